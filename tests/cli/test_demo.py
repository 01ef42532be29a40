"""The demo without its processes: what it searches and how, what it makes of that, how it speaks, what it runs."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from itertools import chain, repeat
from pathlib import Path

from click.testing import CliRunner
from rich.console import Console
from twisted.trial.unittest import SynchronousTestCase

from seckex.cli.demo import demo, processes
from seckex.cli.demo.processes import DemoFailed, free_port
from seckex.cli.demo.roaming import KEYINGS, TOPOLOGIES, World
from seckex.cli.demo.roaming import memory as searching
from seckex.cli.demo.roaming.holders import (
    ADDRESS,
    KEY0,
    LAYER2,
    MUST_HOLD,
    NAI,
    WHAT,
    Holdings,
    holdings,
    sought,
)
from seckex.cli.demo.roaming.keys import KEYS, keys_of, stored
from seckex.cli.demo.roaming.memory import MemoryUnreadable, held_in, held_in_memory
from seckex.cli.demo.roaming.settings import write_certificates, write_settings
from seckex.cli.demo.roaming.told import tell
from seckex.cli.demo.roaming.world import AAA_F, AGENT, CENTER, HOME, NODE, PLUGINS, Identity
from seckex.cli.demo.story import Story
from seckex.config.load import load_any
from seckex.crypto.secrets import Secret
from seckex.sa.store import PutRecord, Record
from seckex.storage.masterkey import load_master_key
from seckex.storage.sqlite import SqliteStore

ROOT = Path(__file__).parent.parent.parent

#: Waits with what it was told in its memory, as octets that it made itself.
_HOLDER = "import sys; held = bytes.fromhex(sys.stdin.readline()); print(flush=True); sys.stdin.read()"


class FolderCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="seckex-test-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def holder(self, octets: bytes) -> subprocess.Popen[bytes]:
        """Start a process that holds these octets in its memory."""
        child = subprocess.Popen(
            [sys.executable, "-S", "-c", _HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=self.folder
        )
        self.addCleanup(self.end, child)
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(octets.hex().encode() + b"\n")
        child.stdin.flush()
        child.stdout.readline()
        return child

    def end(self, child: subprocess.Popen[bytes]) -> None:
        child.kill()
        child.communicate()


class MemoryTests(FolderCase):
    def test_what_a_process_holds_is_found_and_nothing_else(self) -> None:
        held, other = secrets.token_bytes(32), secrets.token_bytes(32)
        child = self.holder(held)
        self.assertEqual(held_in_memory(child.pid, {"held": (other, held), "other": (other,)}), {"held"})

    def test_what_lies_across_two_pieces_is_found(self) -> None:
        held = secrets.token_bytes(4000)
        child = self.holder(held)
        self.patch(searching, "PIECE", 4096)
        self.assertEqual(held_in_memory(child.pid, {"held": (held,)}), {"held"})

    def test_a_process_that_is_gone_cannot_be_read(self) -> None:
        child = self.holder(b"x")
        self.end(child)
        self.assertRaises(MemoryUnreadable, held_in_memory, child.pid, {"x": (b"x",)})

    def test_one_whose_memory_is_not_shown_cannot_be_read(self) -> None:
        def closed(_descriptor: int, _size: int, _at: int) -> bytes:
            raise PermissionError

        child = self.holder(b"x")
        self.patch(os, "pread", closed)
        self.assertRaises(MemoryUnreadable, held_in_memory, child.pid, {"x": (b"x",)})


class HoldingsTests(FolderCase):
    def setUp(self) -> None:
        super().setUp()
        self.world = World("direct", "stateless", self.folder)
        self.keys = {key: Secret(secrets.token_bytes(32)) for key in (KEY0, *KEYS)}
        self.wanted = sought(self.world.identity, self.keys)

    def store(self, role: str, octets: bytes) -> None:
        """Have a role's database hold something, sealed."""
        state = self.world.state(role)
        state.mkdir(mode=0o700)
        database = state / "seckex.db"
        store = SqliteStore(database, load_master_key(state / "master.key", database, os.urandom), os.urandom)
        store.commit([(PutRecord(Record("x", b"", octets)),)])
        store.close()
        self.world.log(role).write_bytes(b"")

    def found(self, role: str, pid: int) -> Holdings:
        return holdings(self.world, {role: pid}, self.wanted)

    def test_each_form_is_found(self) -> None:
        identity = self.world.identity
        number = identity.home_address
        for octets, what in (
            (identity.nai.encode(), NAI),
            (identity.nai.partition("@")[0].encode(), NAI),
            (str(number).encode(), ADDRESS),
            (number.packed, ADDRESS),
            (identity.layer2, LAYER2),
            (identity.mac.encode(), LAYER2),
            (self.keys["KEY 1"].octets, "KEY 1"),
            (self.keys[KEY0].octets.hex().encode(), KEY0),
        ):
            self.assertEqual(held_in(b"before" + octets + b"after", self.wanted), {what})

    def test_an_address_is_found_as_python_holds_it(self) -> None:
        code = (
            f"import ipaddress, sys; held = ipaddress.ip_address(int({int(self.world.identity.home_address) - 1}) + 1)"
        )
        child = subprocess.Popen(
            [sys.executable, "-S", "-c", f"{code}; print(flush=True); sys.stdin.read()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.addCleanup(self.end, child)
        assert child.stdout is not None
        child.stdout.readline()
        self.assertEqual(held_in_memory(child.pid, self.wanted), {ADDRESS})

    def test_memory_files_and_logs_are_searched(self) -> None:
        key1, key2 = self.keys["KEY 1"].octets, self.keys["KEY 2"].octets
        self.store(AGENT, b"it stands here: " + key2)
        self.world.log(AGENT).write_text(f"heard of {self.world.identity.nai}\n")
        found = self.found(AGENT, self.holder(key1).pid)
        expected = {("KEY 1", AGENT): "m", ("KEY 2", AGENT): "s", (NAI, AGENT): "l"}
        self.assertEqual(found.places, expected)
        self.assertEqual(found.leaks(), ["agent holds the KEY 1 (in memory)", "agent holds the NAI (in its log)"])
        rows = {row[0]: row[1:] for row in found.rows((NODE, AGENT))}
        self.assertEqual((rows["KEY 1"], rows["KEY 3"]), (("-", "m"), ("-", "-")))
        self.assertEqual(tuple(rows), WHAT)

    def test_a_file_in_the_clear_is_searched(self) -> None:
        self.store(AGENT, b"")
        (self.world.state(AGENT) / "notes").write_bytes(self.keys[KEY0].octets)
        self.assertEqual(self.found(AGENT, self.holder(b"").pid).places, {(KEY0, AGENT): "s"})

    def test_memory_that_cannot_be_read_is_told_of(self) -> None:
        self.store(NODE, self.world.identity.nai.encode())
        child = self.holder(b"")
        self.end(child)
        found = self.found(NODE, child.pid)
        self.assertEqual((found.places, set(found.unread)), ({(NAI, NODE): "s"}, {NODE}))
        self.assertNotIn(f"{NAI} was not found with {NODE}, who has it", found.misses())

    def test_who_must_hold_something_has_it_in_memory(self) -> None:
        found = Holdings()
        for what, roles in MUST_HOLD.items():
            for role in roles:
                found.add(role, "m", {what})
        self.assertEqual((found.leaks(), found.misses()), ([], []))
        found.places[NAI, NODE] = "sl"
        self.assertEqual(found.misses(), [f"{NAI} was not found with {NODE}, who has it"])

    def test_a_database_that_holds_no_registration(self) -> None:
        self.store(AGENT, b"x")
        self.assertEqual(len(stored(self.world.state(AGENT)).records), 1)
        error = self.assertRaises(DemoFailed, keys_of, self.world, AGENT)
        self.assertIn("0 records of kind fa.visitor", str(error))


class PortTests(SynchronousTestCase):
    def draw(self, *ports: int) -> None:
        """Have these ports drawn, and then the last one again and again."""
        drawn = chain(ports, repeat(ports[-1]))
        self.patch(secrets, "randbelow", lambda _end: processes.PORTS.index(next(drawn)))

    def test_nobody_else_is_told_of_one(self) -> None:
        program = f"from seckex.cli.demo import processes; print(processes._claim({free_port()}))"
        said = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True).stdout
        self.assertEqual(said, b"False\n")

    def test_one_that_was_told_of_or_is_in_use_is_passed_over(self) -> None:
        told, listened, other = free_port(), free_port(), free_port()
        for _ in (listened, other):
            processes._claims.pop().close()
        with socket.create_server(("127.0.0.3", listened)):
            self.draw(told, listened, other)
            self.assertEqual(free_port(socket.SOCK_DGRAM, hosts=("127.0.0.2", "127.0.0.3")), other)
            with self.assertRaisesRegex(DemoFailed, r"no port of 127\.0\.0\.1 is free"):
                free_port()

    def test_only_the_last_ones_are_kept(self) -> None:
        first = free_port()
        for _ in range(processes._MOST_CLAIMS):
            free_port()
        self.draw(first)
        self.assertEqual(free_port(), first)


class WorldTests(FolderCase):
    def test_all_configurations_are_right(self) -> None:
        for topology in TOPOLOGIES:
            for keying in KEYINGS:
                folder = self.folder / f"{topology}-{keying}"
                folder.mkdir()
                world = World(topology, keying, folder)
                write_certificates(world)
                write_settings(world)
                for role in world.roles:
                    loaded = load_any(world.config(role))
                    self.assertEqual(f"seckex-{loaded.settings.role}", PLUGINS[role])
                    self.assertEqual(loaded.settings.identity.nai, world.nai(role))
                self.assertEqual(AAA_F in world.roles, topology == "aaa")

    def test_no_two_nodes_are_alike(self) -> None:
        one, other = Identity(), Identity()
        self.assertNotEqual(one.nai, other.nai)
        self.assertNotEqual(one.home_address, other.home_address)
        self.assertNotEqual(one.layer2, other.layer2)


class StoryTests(SynchronousTestCase):
    def told(self, *, brief: bool) -> str:
        story = Story(plain=True, brief=brief)
        story.console = Console(width=100, no_color=True)
        with story.console.capture() as captured:
            story.title("A title")
            story.chapter("First", "What it is about.")
            story.draw(["a --- b"])
            story.runs("seckex status")
            story.note("a note")
            tell(story, CENTER, {"event": "PrincipalAllowed", "level": "info", "message": "it was disabled"})
            tell(story, HOME, {"event": "Whatever", "level": "info", "message": "nothing of the story"})
            tell(story, HOME, {"event": "Whatever", "level": "error", "message": "it is broken"})
            with story.progress(8) as progress:
                progress(4)
            story.table([("KEY 1", "[-]")], ("", "node"))
            story.good("as it should")
            story.bad("not so")
        return captured.get()

    def test_at_length(self) -> None:
        text = self.told(brief=False)
        for words in ("1  First", "What it is about.", "a --- b", "$  seckex status", "a note", "50 % of 8 octets"):
            self.assertIn(words, text)
        self.assertIn("center  it was disabled", text)
        self.assertIn("home  it is broken", text)
        self.assertNotIn("nothing of the story", text)

    def test_in_brief(self) -> None:
        lines = [line.split() for line in self.told(brief=True).splitlines() if line.strip()]
        self.assertEqual(lines[0][:2], ["A", "title"])
        self.assertEqual(
            lines[1:], [["node"], ["KEY", "1", "[-]"], ["ok", "as", "it", "should"], ["FAIL", "not", "so"]]
        )


class OptionTests(SynchronousTestCase):
    def test_options_that_do_not_go_together(self) -> None:
        for arguments in (
            ("--all", "--pair"),
            ("--all", "--keep"),
            ("--pair", "--keying", "stateful"),
            ("--all", "--topology", "aaa"),
            ("--topology", "ring"),
            ("--size", "0"),
        ):
            self.assertEqual(CliRunner().invoke(demo, list(arguments)).exit_code, 2, arguments)
