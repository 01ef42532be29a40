"""Another master key while the store is used: whole at every moment, and the old key is gone in the end."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar
from unittest import skipIf

from seckex.crypto.atrest import MasterKey
from seckex.crypto.secrets import Secret
from seckex.errors import StoreFailed
from seckex.sa.store import Append, PutAssociation, PutRecord, Snapshot
from seckex.storage import masterkey, rotation
from seckex.storage.masterkey import load_master_key
from seckex.storage.rotation import Rotation
from seckex.storage.sqlite import SqliteStore
from tests.storage.case import SqliteCase, sorted_
from tests.storage.samples import NOW, association, entropy, record

KEY = bytes(range(32))
AUDIT = "kdc.audit"
BEGUN, ENDED = (Append(AUDIT, b"begun", NOW),), (Append(AUDIT, b"ended", NOW),)


class Killed(BaseException):
    """The process is gone from here on."""


class Killing(sqlite3.Connection):
    """Is killed before the ``at``-th statement from now, or call of those that count, and dead from then on."""

    at: ClassVar[int | None] = None

    def execute(self, *args: Any) -> sqlite3.Cursor:
        self.count()
        return super().execute(*args)

    def executemany(self, *args: Any) -> sqlite3.Cursor:
        self.count()
        return super().executemany(*args)

    @classmethod
    def count(cls) -> None:
        if cls.at is not None:
            cls.at -= 1
            if cls.at < 0:
                raise Killed


class RotationCase(SqliteCase):
    def setUp(self) -> None:
        super().setUp()
        self.patch(rotation, "PORTION", 3)
        Killing.at = None

    def new_path(self) -> None:
        super().new_path()
        self.key = self.path.parent / "master.key"
        self.path.parent.mkdir(mode=0o700)
        self.key.write_bytes(masterkey.HEADER + b"\n" + KEY.hex().encode() + b"\n")
        self.key.chmod(0o600)

    def start(self, factory: type[sqlite3.Connection] = sqlite3.Connection) -> SqliteStore:
        """Return the store as a daemon opens it."""
        store = SqliteStore(self.path, load_master_key(self.key, self.path, entropy), entropy, factory)
        self.addCleanup(store.close)
        return store

    def fill(self, store: SqliteStore, count: int = 7) -> None:
        store.commit([(PutAssociation(association(n << 6)),) for n in range(1, count + 1)])
        store.commit(
            [(PutRecord(record("kdc.principal", b"%d" % n)), Append(AUDIT, b"%d" % n, NOW)) for n in range(count)]
        )

    def rotate(self, store: SqliteStore, between: Callable[[], object] = lambda: None) -> Rotation:
        """Exchange the master key from wherever it stands."""
        turn = Rotation(store, self.key, 0, os.urandom)
        turn.begin(lambda _master: BEGUN)
        between()
        while not turn.step():
            between()
        turn.end(lambda _master: ENDED)
        return turn

    def audited(self, store: SqliteStore) -> list[bytes]:
        self.assertTrue(store.verify(AUDIT).is_sound)
        return [entry.octets for entry in store.entries(AUDIT, 0, 99)]

    def key_lines(self) -> list[bytes]:
        return self.key.read_bytes().splitlines()

    def held(self, store: SqliteStore) -> tuple[object, ...]:
        snapshot: Snapshot = store.load(0, 0.0)
        self.assertEqual(snapshot.damaged, ())
        return sorted_(snapshot)


class RotationTests(RotationCase):
    def test_everything_is_sealed_under_the_new_key_and_the_old_one_is_gone(self) -> None:
        store = self.start()
        self.fill(store)
        before = self.held(store)
        turn = self.rotate(store)
        self.assertEqual((turn.progress.rewrapped, turn.progress.unreadable, turn.progress.part), (14, 0, 1.0))
        header, key = self.key_lines()
        self.assertEqual(header, masterkey.HEADER)
        self.assertNotEqual(key, KEY.hex().encode())
        self.assertEqual(self.held(store), before)
        self.assertEqual(self.audited(store), [b"%d" % n for n in range(7)] + [b"begun", b"ended"])
        store.close()
        self.assertEqual(self.held(self.start()), before)
        # The old key opens the database no more.
        error = self.assertRaises(StoreFailed, SqliteStore, self.path, MasterKey(Secret(KEY)), entropy)
        self.assertIn("another master key", str(error))
        self.assertEqual(sorted(path.name for path in self.path.parent.glob(".*")), [])

    def test_nothing_that_the_old_key_opens_is_left_in_any_file(self) -> None:
        store = self.start()
        self.fill(store)
        sealed = [row[0] for row in self.sql("SELECT keys FROM association", "SELECT octets FROM record")]
        sealed += [row[0] for row in self.sql("SELECT value FROM meta WHERE name IN ('check', 'heads')")]
        self.rotate(store)
        for path in self.path.parent.iterdir():
            content = path.read_bytes()
            for octets in sealed:
                self.assertNotIn(octets[:40], content, path.name)

    def test_what_is_stored_meanwhile_is_sealed_under_the_new_key(self) -> None:
        store = self.start()
        self.fill(store)
        numbers = iter(range(100, 1000))

        def serving() -> None:
            n = next(numbers)
            if n < 130:
                store.commit([(PutRecord(record("kdc.issued", b"%d" % n)), Append(AUDIT, b"%d" % n, NOW))])
                store.commit([(PutRecord(record("kdc.principal", b"3")),)])

        turn = self.rotate(store, serving)
        self.assertEqual(turn.progress.unreadable, 0)
        # All that is not the new key's is found in the first pass, and the second finds nothing.
        self.assertEqual(turn.progress.passes, 2)
        before = self.held(store)
        store.close()
        self.assertEqual(self.held(self.start()), before)

    def test_it_may_be_done_again(self) -> None:
        store = self.start()
        self.fill(store)
        before, names = self.held(store), {store.master.name}
        for _ in range(3):
            self.rotate(store)
            names.add(store.master.name)
        self.assertEqual(len(names), 4)
        self.assertEqual(self.held(store), before)

    def test_an_empty_store(self) -> None:
        store = self.start()
        turn = self.rotate(store)
        self.assertEqual((turn.progress.rewrapped, turn.progress.part), (0, 1.0))
        self.assertEqual(self.audited(store), [b"begun", b"ended"])

    def test_what_no_key_opens_is_counted_and_left_as_it_is(self) -> None:
        store = self.start()
        self.fill(store)
        self.sql(
            "UPDATE record SET octets = zeroblob(80) WHERE name = x'33'",
            "UPDATE association SET keys = 'x' WHERE spi_in = 64",
        )
        turn = self.rotate(store)
        self.assertEqual((turn.progress.rewrapped, turn.progress.unreadable), (12, 2))
        self.assertEqual(len(store.load(0, 0.0).damaged), 2)

    # -- refused

    def test_other_workers_that_run_are_told_of_and_nothing_is_changed(self) -> None:
        store = self.start()
        other = (self.path.parent / "worker-3.lock").open("w")
        self.addCleanup(other.close)
        fcntl.flock(other, fcntl.LOCK_EX)
        (self.path.parent / "worker-0.lock").touch()
        error = self.assertRaises(StoreFailed, self.rotate, store)
        self.assertIn("the workers 3 use this database too", str(error))
        self.assertEqual(self.key_lines()[1:], [KEY.hex().encode()])
        other.close()
        self.rotate(store)

    def test_a_key_file_of_another_key_is_not_replaced(self) -> None:
        store = self.start()
        self.key.write_bytes(masterkey.HEADER + b"\n" + bytes(32).hex().encode() + b"\n")
        self.assertIn("is another one than", str(self.assertRaises(StoreFailed, self.rotate, store)))
        self.assertIsNone(store.master.former)

    def test_a_key_file_that_is_gone(self) -> None:
        store = self.start()
        self.key.unlink()
        error = self.assertRaises(StoreFailed, self.rotate, store)
        self.assertIn("cannot be replaced: No such file or directory", str(error))

    @skipIf(os.geteuid() != 0, "only root can give files away")
    def test_a_key_file_of_somebody_else(self) -> None:
        store = self.start()
        os.chown(self.key, 4434, -1)
        self.assertIn("belongs to user 4434", str(self.assertRaises(StoreFailed, self.rotate, store)))

    def test_a_worker_that_read_the_old_key_just_before_does_not_start(self) -> None:
        store = self.start()
        late = load_master_key(self.key, self.path, entropy)
        Rotation(store, self.key, 0, os.urandom).begin()
        error = self.assertRaises(StoreFailed, SqliteStore, self.path, late, entropy)
        self.assertIn("another master key", str(error))
        self.start().close()


class KilledTests(RotationCase):
    """Killed at every statement and at every step of replacing the key file: all is there, and it goes on."""

    def attempt(self, at: int) -> bool:
        """Have a process exchange the key that is killed at some point; return whether it was."""
        store = self.start(Killing)
        Killing.at = at
        try:
            self.rotate(store)
        except Killed:
            # As if the process were gone: what it had open is closed without a word.
            return True
        finally:
            Killing.at = None
            connection, store._connection = store._connection, None
            if connection is not None:
                connection.close()
            store._closed = True
        return False

    def test_at_every_point(self) -> None:
        system: dict[str, Callable[..., Any]] = {"fsync": os.fsync, "replace": os.replace, "unlink": os.unlink}
        for name, call in system.items():

            def killable(*args: Any, call: Callable[..., Any] = call, **kwargs: Any) -> Any:
                Killing.count()
                return call(*args, **kwargs)

            self.patch(os, name, killable)
        points = 0
        for at in range(10_000):
            self.new_path()
            store = self.start()
            self.fill(store, 4)
            before = self.held(store)
            store.close()
            killed = self.attempt(at)
            # Another process finds everything, whatever it finds of the keys, and goes on.
            store = self.start()
            self.assertEqual(self.held(store), before, at)
            entries = self.audited(store)
            self.assertIn(entries[4:], ([], [b"begun"], [b"begun", b"ended"]), at)
            if store.master.former is not None:
                self.rotate(store)
                self.assertEqual(self.audited(store)[4:], [b"begun", b"ended"], at)
            elif entries[4:]:
                # It was through: what is left of the old key is nothing.
                self.assertEqual(entries[4:], [b"begun", b"ended"])
                self.assertNotIn(KEY.hex().encode(), self.key.read_bytes())
            self.assertEqual(self.held(store), before, at)
            store.close()
            if not killed:
                break
            points += 1
        self.assertGreater(points, 40)

    def test_a_draft_that_a_killed_process_left_is_removed(self) -> None:
        store = self.start()
        draft = Path(f"{self.key.parent}/.{self.key.name}.draft")
        draft.write_bytes(b"keys")
        self.rotate(store)
        self.assertFalse(draft.exists())
