"""A center is killed at every point of every operation: it happened, with its entry in the audit log, or it did not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from seckex.cli.kdc.alone import Alone
from seckex.config.kdc import Kdc
from seckex.crypto.archive import ArchiveWriter, header_to_key
from seckex.crypto.provisioning import public_of
from seckex.crypto.secrets import Secret
from seckex.errors import StoreFailed
from seckex.roles.kdc.archive import Ending, encode_chunk
from seckex.roles.kdc.audit import AUDIT
from seckex.roles.kdc.center import Center
from seckex.roles.kdc.principals import PRINCIPAL, Principal
from seckex.storage.inspect import inspect_database
from seckex.storage.sqlite import SqliteStore
from tests.storage.samples import entropy
from tests.storage.test_rotation import Killed, Killing, RotationCase

HOME = "home@example.org"
KDC = "kdc@example.org"
KEY = Secret(bytes(range(32)))

#: Of each node, its key version and what became of it; and what was entered.
State: TypeAlias = tuple[dict[str, tuple[int, str]], list[str]]
Operation: TypeAlias = Callable[[Alone], Any]


def asking(**request: Any) -> Operation:
    return lambda center: center.ask(request, "")


class CenterCase(RotationCase):
    def center(self, store: SqliteStore) -> Alone:
        return Alone(Center(KDC, Kdc(), entropy), store)

    def state(self) -> State:
        """Return what another process finds, which must be whole."""
        self.assertEqual(inspect_database(self.path), [])
        store = self.start()
        try:
            check = store.verify(AUDIT)
            self.assertTrue(check.is_sound, check.why)
            page = store.page(PRINCIPAL, None, 10_000)
            self.assertEqual(page.damaged, ())
            nodes = {record.name.decode(): self.became(Principal.read(record)) for record in page.records}
            return nodes, [self.entered(entry.octets) for entry in store.entries(AUDIT, 0, 1000)]
        finally:
            store.close()

    @staticmethod
    def became(node: Principal) -> tuple[int, str]:
        what = "deleted" if node.deleted else "revoked" if node.revoked else "enabled" if node.enabled else "disabled"
        return node.kvno, what

    @staticmethod
    def entered(octets: bytes) -> str:
        said = json.loads(octets)
        return f"{said['what']} {said['principal']}".strip()

    def let_go(self, store: SqliteStore) -> None:
        """Have a process be gone that has a store open."""
        Killing.at = None
        connection, store._connection, store._closed = store._connection, None, True
        if connection is not None:
            connection.close()


class KilledTests(CenterCase):
    def everywhere(self, *operations: Operation) -> None:
        """Do the last operation after the others, killed at each of its points in turn."""
        *before, operation = operations
        self.begin(before)
        was = self.state()
        self.begin([*before, operation])
        done = self.state()
        self.assertNotEqual(was, done)
        points, happened = 0, set()
        for at in range(1000):
            self.begin(before)
            store = self.start(Killing)
            center = self.center(store)
            Killing.at = at
            try:
                operation(center)
            except Killed:
                killed = True
            else:
                killed = False
            self.let_go(store)
            found = self.state()
            self.assertIn(found, (was, done), at)
            if not killed:
                self.assertEqual(found, done)
                break
            happened.add(found == done)
            points += 1
            # Who starts then can do it, or has it done.
            if found == was:
                store = self.start()
                operation(self.center(store))
                store.close()
                self.assertEqual(self.state(), done, at)
        self.assertGreater(points, 3)
        self.assertIn(False, happened)

    def begin(self, operations: list[Operation]) -> None:
        """Have another center, after these operations."""
        shutil.rmtree(self.path.parent.parent, ignore_errors=True)
        self.path.parent.parent.mkdir()
        self.path.parent.mkdir(mode=0o700)
        self.key.write_bytes(self.key_file)
        self.key.chmod(0o600)
        store = self.start()
        center = self.center(store)
        for operation in operations:
            operation(center)
        store.close()

    def setUp(self) -> None:
        super().setUp()
        self.key_file = self.key.read_bytes()

    ADD = staticmethod(asking(command="kdc-add", principal="a@example.org", home_agent=HOME))
    ENROL = staticmethod(asking(command="kdc-enrol", rows=[[f"n{n}@example.org", HOME, None, None] for n in range(5)]))

    def test_adding(self) -> None:
        self.everywhere(self.ADD)

    def test_disabling(self) -> None:
        self.everywhere(self.ADD, asking(command="kdc-allow", principal="a@example.org", enabled=False))

    def test_rotating(self) -> None:
        self.everywhere(self.ADD, asking(command="kdc-rotate", principal="a@example.org", until=0))

    def test_revoking(self) -> None:
        names = ["n1@example.org", "n3@example.org"]
        self.everywhere(self.ENROL, asking(command="kdc-revoke", principals=names))

    def test_deleting(self) -> None:
        self.everywhere(self.ADD, asking(command="kdc-delete", principal="a@example.org"))

    def test_enrolling(self) -> None:
        self.everywhere(self.ENROL)

    def archive(self, count: int = 3) -> Path:
        """Return an archive of so many nodes."""
        nodes = [
            Principal(
                nai=f"from{n}@example.org", home_agent=HOME, kvno=2, key0=Secret(entropy(32)), serial=n + 1, created=7
            ).record()
            for n in range(count)
        ]
        header = header_to_key(KEY, public_of(KEY))
        writer = ArchiveWriter(KEY, header)
        chunk = encode_chunk([(each.name, each.octets) for each in nodes], Ending(count, 7, KDC))
        file = Path(self.mktemp()).absolute()
        file.write_bytes(header + writer.seal(chunk, last=True))
        return file

    def test_loading(self) -> None:
        load = asking(command="kdc-load", file=str(self.archive()), key=KEY.octets.hex(), replace=True)
        self.everywhere(load)
        self.everywhere(self.ENROL, asking(command="kdc-revoke", principals=["n1@example.org"]), load)

    def test_loading_onto_a_full_disk(self) -> None:
        load = asking(command="kdc-load", file=str(self.archive(300)), key=KEY.octets.hex(), replace=True)
        self.begin([self.ENROL])
        was = self.state()
        store = self.start()
        center = self.center(store)
        connection = store._open()
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
        self.assertIn("is full", str(self.assertRaises(StoreFailed, load, center)))
        self.assertEqual(self.state(), was)
        # It goes on when there is room.
        connection.execute("PRAGMA max_page_count = 1073741823")
        load(center)
        store.close()
        self.assertEqual(len(self.state()[0]), 305)


# Does one operation after the other, and tells of each when it is done.
PROGRAM = """
import os, pathlib, sys
from seckex.cli.kdc.alone import Alone
from seckex.config.kdc import Kdc
from seckex.roles.kdc.center import Center
from seckex.sa.store import Append
from seckex.storage.masterkey import load_master_key
from seckex.storage import rotation
from seckex.storage.rotation import Rotation
from seckex.storage.sqlite import SqliteStore

path, begin = pathlib.Path(sys.argv[1]), int(sys.argv[2])
key = path.parent / "master.key"
store = SqliteStore(path, load_master_key(key, path, os.urandom), os.urandom)
center = Alone(Center("kdc@example.org", Kdc(), os.urandom), store)
rotation.PORTION = 4
number = begin
while True:
    names = [f"n{number}-{each}@example.org" for each in range(4)]
    center.ask({"command": "kdc-enrol", "rows": [[name, "home@example.org", None, None] for name in names]}, "")
    center.ask({"command": "kdc-rotate", "principal": names[0], "until": 0}, "")
    center.ask({"command": "kdc-revoke", "principals": names[1:3]}, "")
    center.ask({"command": "kdc-delete", "principal": names[3]}, "")
    os.write(1, b"%d\\n" % number)
    turn = Rotation(store, key, 0, os.urandom)
    turn.begin()
    while not turn.step():
        pass
    turn.end()
    number += 1
"""


class ReallyKilledTests(CenterCase):
    def test_by_the_system(self) -> None:
        begin = 0
        whole: list[int] = []
        for lines in (1, 4, 9):
            whole += range(begin, self.run_and_kill(begin, lines) + 1)
            nodes, entries = self.state()
            for number in whole:
                self.assertEqual(
                    [nodes[f"n{number}-{each}@example.org"] for each in range(4)],
                    [(2, "enabled"), (1, "revoked"), (1, "revoked"), (1, "deleted")],
                )
            # One entry for each thing that was done to each node, and none for anything else.
            done = sum(
                {"deleted": 2, "revoked": 2, "enabled": kvno, "disabled": 2}[what] for kvno, what in nodes.values()
            )
            self.assertEqual(len(entries), done)
            # The last of them may be half done.
            begin = max(int(name[1 : name.index("-")]) for name in nodes) + 1

    def run_and_kill(self, begin: int, lines: int) -> int:
        """Run the program until it has told so many times; return the last number that it told."""
        with subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(self.path), str(begin)],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
            env={"PYTHONPATH": os.pathsep.join(path or "." for path in sys.path)},
        ) as process:
            assert process.stdout is not None
            told = [process.stdout.readline() for _ in range(lines)]
            process.kill()
            told += process.stdout.readlines()
        whole = [line for line in told if line.endswith(b"\n")]
        self.assertGreaterEqual(len(whole), lines)
        return int(whole[-1])
