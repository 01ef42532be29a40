"""``seckex kdc``: nodes are added, listed, shown and exported, by the daemon that runs or without one."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from seckex.cli.control_client import Refused, Unreachable
from seckex.cli.kdc import alone, command, desk
from seckex.cli.main import main
from seckex.config.devicekey import render_private, render_public
from seckex.config.files import create_private
from seckex.config.load import read_settings
from seckex.config.provision import Provision, parse_provision
from seckex.crypto.provisioning import public_of, read_sealed
from seckex.crypto.secrets import Secret
from seckex.net import kdc_commands
from seckex.net.control import ControlFactory
from seckex.net.kdc_desk import commands_of
from seckex.net.principal import Clock
from seckex.roles.kdc.center import Center
from seckex.sa.store import MemoryStore
from seckex.storage.lock import WorkerLock
from seckex.storage.sqlite import SqliteStore
from tests.config.written import RESPONDER, write_all
from tests.storage.case import SqliteCase

NODE, HOME = "node@example.org", "home@example.org"
PASSPHRASE = "correct horse battery staple"
KDC = """
role = "kdc"
[identity]
nai = "kdc@example.org"
certificate = "kdc.pem"
private-key = "kdc.key"
trust = ["ca.pem"]
[hops-listen]
addresses = ["127.0.0.4"]
[state]
directory = "state"
"""


class KdcCase(SynchronousTestCase):
    def setUp(self) -> None:
        # The path of a control socket is short; the tests synchronise often.
        memory = "/dev/shm"
        self.directory = Path(tempfile.mkdtemp(prefix="seckex-", dir=memory if os.access(memory, os.W_OK) else None))
        self.addCleanup(shutil.rmtree, self.directory)
        self.config = self.directory / "kdc.toml"
        self.config.write_text(KDC)
        self.state = self.directory / "state"

    def seckex(self, *arguments: str, text: str | None = None) -> Result:
        return CliRunner().invoke(main, ["kdc", *arguments], input=text)

    def kdc(self, *arguments: str, code: int = 0, text: str | None = None) -> Result:
        """Run a command on the configuration, and expect an exit code."""
        result = self.seckex(*arguments, "--config", str(self.config), text=text)
        self.assertEqual(result.exit_code, code, result.output)
        return result

    def init(self) -> Result:
        return self.kdc("init")

    def add(self, nai: str = NODE, *more: str) -> Result:
        return self.kdc("add", nai, "--home-agent", HOME, *more)

    def secret(self, name: str, octets: bytes) -> str:
        """Write a file of a secret, and return its path."""
        create_private(self.directory / name, octets)
        return str(self.directory / name)

    def opened(self, file: Path, passphrase: str = PASSPHRASE) -> Provision:
        """Open a provisioning file."""
        octets = read_sealed(file.read_text()).open_with_passphrase(passphrase)
        return parse_provision(octets.octets, file)


class InitTests(KdcCase):
    def test_it_makes_the_state_and_says_what_comes_next(self) -> None:
        said = self.init().stdout
        self.assertEqual(
            sorted(path.name for path in self.state.iterdir() if path.suffix != ".lock"), ["master.key", "seckex.db"]
        )
        self.assertEqual(self.state.stat().st_mode & 0o777, 0o700)
        for line in (
            "seckex cert new kdc@example.org",
            f"seckex kdc add NODE --home-agent HOME-AGENT --config {self.config}",
        ):
            self.assertIn(line, said)

    def test_what_is_there_is_left_as_it_is(self) -> None:
        self.init()
        self.add()
        self.assertIn("is there already, and is left as it is", self.kdc("init", code=1).stderr)
        self.assertIn(NODE, self.kdc("list").stdout)

    def test_json(self) -> None:
        told = json.loads(self.kdc("init", "--json").stdout)
        self.assertEqual(told["schema"], "seckex.kdc-init/1")
        self.assertEqual(told["database"], str(self.state / "seckex.db"))

    def test_without_a_configuration_it_has_a_place_by_default(self) -> None:
        self.patch(os, "environ", {"XDG_STATE_HOME": str(self.directory / "home")})
        result = self.seckex("init")
        self.assertEqual(result.exit_code, 0, result.output)
        self.assertTrue((self.directory / "home/seckex/kdc/master.key").exists())
        self.assertIn("write kdc.toml", result.stdout)
        self.patch(os, "environ", {})
        self.patch(command, "default_state", _nowhere)
        self.assertIn("no home directory", self.seckex("init").stderr)

    def test_the_file_of_somebody_else(self) -> None:
        file = write_all(self.directory / "other", RESPONDER)
        result = self.seckex("init", "--config", str(file))
        self.assertEqual(result.exit_code, 1)
        self.assertIn("is not the file of a key distribution center: it has no [kdc]", result.stderr)

    def test_a_home_agent_may_be_a_center(self) -> None:
        file = write_all(self.directory / "other", RESPONDER + "[kdc]\n")
        result = self.seckex("init", "--config", str(file))
        self.assertEqual(result.exit_code, 0, result.output)
        self.assertIn("seckex-responder --config", result.stdout)

    def test_a_process_that_is_there_already(self) -> None:
        self.state.mkdir(mode=0o700)
        lock = WorkerLock(self.state, 0)
        self.addCleanup(lock.release)
        self.assertIn("worker 0 is already running", self.kdc("init", code=1).stderr)

    def test_a_file_that_is_wrong(self) -> None:
        self.config.write_text(KDC + "[kdc]\nkeyng = []\n")
        self.assertIn('kdc.keyng: is not a setting; did you mean "keying"?', self.kdc("init", code=4).stderr)


class AloneTests(KdcCase):
    """Without a daemon."""

    def setUp(self) -> None:
        super().setUp()
        self.init()

    def test_a_node_is_added_and_shown(self) -> None:
        said = self.add(NODE, "--home-address", "10.0.0.7", "--layer2", "02:00:00:00:00:01").stdout
        self.assertEqual(said, f"{NODE} is at home with {HOME}, key version 1\n")
        shown = self.kdc("show", NODE).stdout
        for line in (
            "home address  10.0.0.7",
            "layer 2       02:00:00:00:00:01",
            "state         enabled",
            "KEY 0         here",
        ):
            self.assertIn(line, shown)
        told = json.loads(self.kdc("show", NODE, "--json").stdout)
        self.assertEqual((told["principal"], told["kvno"], told["home_keys"], told["copied"]), (NODE, 1, [], False))

    def test_the_list(self) -> None:
        self.assertEqual(self.kdc("list").stdout, "no nodes\n")
        for name in ("b@example.org", "a@example.org"):
            self.add(name)
        lines = self.kdc("list").stdout.splitlines()
        self.assertEqual([line.split()[0] for line in lines], ["node", "a@example.org", "b@example.org"])
        told = [json.loads(line) for line in self.kdc("list", "--json").stdout.splitlines()]
        self.assertEqual([one["principal"] for one in told], ["b@example.org", "a@example.org"])
        self.assertEqual({one["schema"] for one in told}, {"seckex.kdc-principal/1"})

    def test_a_node_is_disabled_and_enabled(self) -> None:
        self.add()
        self.assertEqual(self.kdc("disable", NODE).stdout, f"{NODE} is disabled\n")
        self.assertIn("disabled", self.kdc("list").stdout)
        self.assertIn("is disabled", self.kdc("disable", NODE).stdout)
        told = json.loads(self.kdc("enable", NODE, "--json").stdout)
        self.assertEqual((told["schema"], told["enabled"]), ("seckex.kdc-principal/1", True))
        self.assertIn("not known here", self.kdc("disable", "x@example.org", code=1).stderr)

    def test_a_node_gets_another_key_0(self) -> None:
        self.add()
        self.assertIn("another KEY 0, key version 2", self.kdc("rotate", NODE).stdout)
        told = json.loads(self.kdc("rotate", NODE, "--json").stdout)
        self.assertEqual((told["schema"], told["kvno"]), ("seckex.kdc-principal/1", 3))
        self.assertIn("not known here", self.kdc("rotate", "x@example.org", code=1).stderr)

    def test_a_long_list_comes_in_parts(self) -> None:
        self.patch(kdc_commands, "LOOKED_AT", 2)
        for n in range(5):
            self.add(f"n{n}@example.org")
        self.assertEqual(len(self.kdc("list").stdout.splitlines()), 6)

    def test_what_cannot_be(self) -> None:
        self.add()
        for arguments, code, why in (
            (("add", NODE, "--home-agent", HOME), 1, f"{NODE} is there already"),
            (("add", "nobody", "--home-agent", HOME), 2, "must be a network access identifier"),
            (("add", "x@y", "--home-agent", HOME, "--home-address", "10"), 2, "home_address must be an IP address"),
            (("add", "x@y", "--home-agent", HOME, "--layer2", "10"), 2, "layer2 must be an Ethernet address"),
            (("add", "x@y", "--home-agent", "x@y"), 1, "cannot be its own home agent"),
            (("show", "x@y"), 1, "x@y is not known here"),
            (("export", "x@y"), 1, "x@y is not known here"),
            (
                ("export", NODE, "--home-agent-address", "10", "--passphrase-file", self.secret("p", b"0123456789ab")),
                2,
                "IP address",
            ),
        ):
            self.assertIn(why, self.kdc(*arguments, code=code).stderr)

    def test_a_node_is_exported_under_a_passphrase(self) -> None:
        self.add(NODE, "--home-address", "10.0.0.7")
        file = self.directory / "out"
        passphrase = self.secret("passphrase", PASSPHRASE.encode() + b"\n")
        result = self.kdc(
            "export", NODE, "-o", str(file), "--passphrase-file", passphrase, "--home-agent-address", "192.0.2.1"
        )
        self.assertIn("sealed under a passphrase", result.stdout)
        self.assertIn("It has no static key", result.stderr)
        self.assertEqual(file.stat().st_mode & 0o777, 0o600)
        found = self.opened(file)
        self.assertEqual((found.nai, found.home_agent, found.addresses), (NODE, HOME, ("192.0.2.1",)))
        self.assertNotIn(found.key0.octets.hex(), result.output + file.read_text())
        self.assertIn("exists and is left as it is", self.kdc("export", NODE, "-o", str(file), code=1).stderr)

    def test_a_node_is_exported_to_a_key(self) -> None:
        self.add()
        private = Secret(bytes(range(32)))
        public = self.directory / "device.pub"
        public.write_bytes(render_public(public_of(private)))
        file = self.directory / "out"
        told = json.loads(self.kdc("export", NODE, "-o", str(file), "--to", str(public), "--json").stdout)
        self.assertEqual((told["schema"], told["file"], told["home_keys"]), ("seckex.kdc-export/1", str(file), 0))
        self.assertNotIn("sealed", set(told))
        sealed = read_sealed(file.read_text())
        self.assertIn(sealed.recipient, told["sealed_to"])
        self.assertEqual(parse_provision(sealed.open_with_key(private).octets, file).nai, NODE)

    def test_what_seals_must_be_given_and_right(self) -> None:
        self.add()
        self.assertIn("nobody to ask", self.kdc("export", NODE, code=2).stderr)
        for option, name, octets, code, why in (
            ("--passphrase-file", "short", b"too short\n", 1, "a line of at least 12 characters"),
            ("--passphrase-file", "empty", b"", 1, "a line of at least 12 characters"),
            ("--passphrase-file", "latin", b"\xff" * 20, 1, "is not UTF-8 text"),
            ("--to", "device.key", render_private(Secret(bytes(32))), 4, "must not leave it"),
            ("--to", "other", b"rubbish", 4, "is not the public key of a device"),
        ):
            self.assertIn(why, self.kdc("export", NODE, option, self.secret(name, octets), code=code).stderr)
        both = ("--passphrase-file", "x", "--to", "y")
        self.assertIn("not both", self.kdc("export", NODE, *both, code=2).stderr)
        self.assertFalse(Path(f"{NODE}.provision").exists())

    def test_a_passphrase_is_asked_for(self) -> None:
        self.add()
        self.patch(command, "sys", _Terminal)
        file = self.directory / "out"
        result = self.kdc("export", NODE, "-o", str(file), text=f"{PASSPHRASE}\n{PASSPHRASE}\n")
        self.assertNotIn(PASSPHRASE, result.output)
        self.assertEqual(self.opened(file).nai, NODE)

    def test_no_database(self) -> None:
        shutil.rmtree(self.state)
        self.assertIn("make it with seckex kdc init", self.kdc("list", code=1).stderr)

    def test_a_daemon_that_runs_and_cannot_be_reached(self) -> None:
        lock = WorkerLock(self.state, 0)
        self.addCleanup(lock.release)
        said = self.kdc("list", code=3).stderr
        self.assertIn(f"no daemon answers on {self.state}/control.sock, though one runs or another command does", said)
        self.assertIn(f"as process {os.getpid()}", said)

    def test_a_directory_that_is_open_to_others(self) -> None:
        self.state.chmod(0o755)
        self.assertIn("is open to others: run chmod 0700", self.kdc("list", code=4).stderr)

    def test_damage_is_told(self) -> None:
        self.add()
        SqliteCase.sql(_At(self.state / "seckex.db"), "UPDATE record SET octets = zeroblob(200)")  # type: ignore[arg-type]  # it has a path
        result = self.kdc("list")
        self.assertIn(
            "the kind kdc.principal is left out: the seal of a wrapped secret does not verify",
            result.stderr,
        )
        self.assertEqual(result.stdout, "no nodes\n")

    def test_a_disk_that_is_full(self) -> None:
        self.patch(SqliteStore, "commit", lambda _store, _units: [_full()])
        self.assertIn("no room", self.kdc("add", NODE, "--home-agent", HOME, code=1).stderr)

    def test_a_replica_says_where_to_go(self) -> None:
        first = '[[hops]]\nnai = "first@example.org"\naddress = "127.0.0.5"\n'
        self.config.write_text(KDC + '[kdc]\nreplicates = "first@example.org"\n' + first)
        said = self.kdc("add", NODE, "--home-agent", HOME, code=1).stderr
        self.assertIn("is a replica of first@example.org: add nodes there", said)


class LiveTests(KdcCase):
    """With a daemon."""

    def setUp(self) -> None:
        super().setUp()
        self.init()
        self.served: list[str] = []

    def serve(self, answers: Any = None) -> None:
        """Have a daemon answer: one with a center, or what ``answers`` say."""
        asked = self.served

        def ask(_path: Path, request: dict[str, Any], schema: str, _timeout: float = 0.0) -> dict[str, Any]:
            asked.append(request["command"])
            if answers is not None:
                raise answers
            with alone.center_alone(self.config) as center:
                answer = center(json.loads(json.dumps(request)), schema)
            self.assertEqual(answer["schema"], schema)
            return answer

        self.patch(desk, "ask", ask)

    def test_it_is_asked_and_the_database_left_alone(self) -> None:
        self.serve()
        self.add()
        self.assertEqual(self.served, ["kdc-list", "kdc-add"])
        self.assertIn(NODE, self.kdc("list").stdout)

    def test_one_is_found_by_itself(self) -> None:
        self.serve()
        result = self.seckex("add", NODE, "--home-agent", HOME)
        self.assertEqual(result.exit_code, 0, result.output)

    def test_none_is_there(self) -> None:
        self.serve(Unreachable(Path("/x"), "no such file", absent=True))
        result = self.seckex("list")
        self.assertEqual(result.exit_code, 3)
        self.assertIn("say with --config where its database is", result.stderr)
        self.assertEqual(self.seckex("list", "--socket", "/x").exit_code, 3)
        self.assertIn("no nodes", self.kdc("list").stdout)

    def test_one_that_hangs(self) -> None:
        self.serve(Unreachable(Path("/x"), "silent for 5 s"))
        self.assertIn("silent for 5 s", self.kdc("list", code=3).stderr)

    def test_one_without_a_center(self) -> None:
        self.serve(Refused("the daemon refuses", "the command is one of", "unknown-command"))
        self.assertIn("is no key distribution center", self.kdc("list", code=1).stderr)
        self.assertEqual(self.seckex("list").exit_code, 3)

    def test_one_that_refuses(self) -> None:
        self.serve(Refused("the daemon refuses: 16 connections are open already"))
        self.assertIn("16 connections", self.kdc("list", code=1).stderr)


class SocketTests(KdcCase):
    """What comes over the socket is checked."""

    def test_requests_that_make_no_sense(self) -> None:
        center = Center("kdc@example.org", desk.kdc_of(read_settings(self.config), self.config), os.urandom)
        commands = commands_of(
            center, lambda _what: None, lambda _call: Deferred(), lambda _call: Deferred(), Clock(), MemoryStore()
        )
        factory = ControlFactory(commands, None)
        for request in (
            {"command": "kdc-add"},
            {"command": "kdc-add", "principal": 1, "home_agent": HOME},
            {"command": "kdc-add", "principal": NODE, "home_agent": HOME, "layer2": []},
            {"command": "kdc-allow", "principal": NODE},
            {"command": "kdc-allow", "principal": NODE, "enabled": 0},
            {"command": "kdc-allow", "enabled": True},
            {"command": "kdc-list", "after": "0"},
            {"command": "kdc-list", "after": -1},
            {"command": "kdc-list", "after": True},
            {"command": "kdc-show", "principal": None},
            {"command": "kdc-export", "principal": NODE},
            {"command": "kdc-export", "principal": NODE, "passphrase": "p", "public": "x"},
            {"command": "kdc-export", "principal": NODE, "public": 7},
            {"command": "kdc-export", "principal": NODE, "public": "AA=="},
            {"command": "kdc-export", "principal": NODE, "public": "*"},
            {"command": "kdc-export", "principal": NODE, "passphrase": "p", "addresses": "192.0.2.1"},
            {"command": "kdc-export", "principal": NODE, "passphrase": "p", "addresses": ["192.0.2.1"] * 17},
            {"command": "kdc-export", "principal": NODE, "passphrase": "p", "addresses": [7]},
        ):
            answer = factory.answer(dict(request))
            assert isinstance(answer, bytes)
            self.assertEqual(json.loads(answer).get("word"), "unfit", request)


def _nowhere(_role: str) -> Path:
    raise RuntimeError


def _full() -> str:
    return "no room"


class _Terminal:
    class stdin:  # noqa: N801  # as of sys
        @staticmethod
        def isatty() -> bool:
            return True


class _At:
    def __init__(self, path: Path) -> None:
        self.path = path
