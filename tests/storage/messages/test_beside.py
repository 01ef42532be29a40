"""Messages beside the database of associations: where the master key is exchanged, in backups, for a doctor."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from seckex.crypto.atrest import MasterKey
from seckex.crypto.secrets import Secret
from seckex.delivery.faces import FRAGMENT
from seckex.delivery.store import DropSegments, PutDead, PutDialog, PutKey, PutSegment
from seckex.errors import StoreFailed
from seckex.storage import backup, spool_copy
from seckex.storage.backup import back_up
from seckex.storage.inspect import inspect_messages
from seckex.storage.masterkey import load_master_key
from seckex.storage.messages.schema import MESSAGES
from seckex.storage.messages.sqlite import SqliteMessages
from seckex.storage.rotation import Rotation
from seckex.storage.spool import Spool, spool_directory
from seckex.storage.sqlite import SqliteStore
from tests.delivery.samples import NOW, dead, dialog, dialog_id, segment
from tests.storage.messages.test_failures import held
from tests.storage.samples import entropy
from tests.storage.test_rotation import BEGUN, ENDED, KEY, Killed, Killing, RotationCase

PIECES = (entropy(FRAGMENT), entropy(9))
LARGE = ("a-1", "a-2")


class BesideCase(RotationCase):
    def setUp(self) -> None:
        super().setUp()
        self.place = self.path.parent

    def at(self, place: Path, factory: type[sqlite3.Connection] = sqlite3.Connection) -> SqliteMessages:
        """Return the messages in a state directory as a daemon has them."""
        store = SqliteMessages(place / MESSAGES, self.key_of(place), os.urandom, factory)
        self.addCleanup(store.close)
        return store

    def spool_at(self, place: Path) -> Spool:
        return Spool(spool_directory(place, 0), self.key_of(place), os.urandom)

    def key_of(self, place: Path) -> MasterKey:
        return load_master_key(place / "master.key", place / MESSAGES, os.urandom)

    def fill_messages(self, store: SqliteMessages, spool: Spool) -> None:
        store.commit([(PutDialog(dialog(n)), PutSegment(segment(n, 1, 3))) for n in range(1, 6)])
        store.commit([(PutDead(dead(1, 9)), PutKey("k", dialog_id(1), 1, NOW + 9))])
        for name in LARGE:
            for fragment, octets in enumerate(PIECES):
                spool.write(name, fragment, octets)
            spool.sync(name)
        store.commit([(PutSegment(segment(1, 4, spool=LARGE[0])), PutDead(dead(2, 5, spool=LARGE[1])))])

    def whole(self, place: Path, expected: tuple[object, ...]) -> None:
        """Check that a daemon that starts with a state directory finds everything."""
        store = self.at(place)
        self.assertEqual(held(store), expected)
        spool = self.spool_at(place)
        for name in store.spools(0):
            for fragment, octets in enumerate(PIECES):
                self.assertEqual(spool.read(name, fragment), octets)
        self.assertEqual(store.spools(0), set(LARGE))
        store.close()


class RotationTests(BesideCase):
    def test_messages_go_along_whether_they_are_in_use_or_not(self) -> None:
        for in_use in (True, False):
            self.new_path()
            place = self.path.parent
            store, messages, spool = self.start(), self.at(place), self.spool_at(place)
            self.fill(store)
            self.fill_messages(messages, spool)
            spool.write("half", 0, PIECES[0])
            before = held(messages)
            connection = sqlite3.connect(place / MESSAGES)
            queries = (
                "SELECT wrapped FROM epoch UNION ALL SELECT octets FROM dialog",
                "SELECT octets FROM sent UNION ALL SELECT head FROM dead",
                "SELECT value FROM meta WHERE typeof(value) = 'blob'",
            )
            sealed = [row[0] for query in queries for row in connection.execute(query)]
            connection.close()
            sealed += [path.read_bytes()[8:48] for path in spool.files()]
            if not in_use:
                messages.close()
            turn = Rotation(store, self.key, 0, os.urandom, messages if in_use else None, (spool,) if in_use else ())
            turn.begin(lambda _master: BEGUN)
            steps = 0
            while not turn.step():
                steps += 1
                if in_use and steps < 6:
                    # It serves meanwhile.
                    messages.commit([(PutDialog(dialog(2)), PutSegment(segment(5, 3 + steps)))])
                    messages.commit([(DropSegments(dialog_id(5), True, 3 + steps),)])
                    before = held(messages)
            turn.end(lambda _master: ENDED)
            # 14 rows of the store; 1 epoch, 5 dialogs, 2 dead messages, 1 key of a program; 3 files.
            self.assertGreaterEqual(turn.progress.rewrapped, 14 + 9 + 3 - 1)
            self.assertEqual((turn.progress.unreadable, turn.progress.part), (0, 1.0))
            if in_use:
                messages.commit([(PutDialog(dialog(1)),)])
                spool.write("half", 1, b"x")
                messages.close()
            self.whole(place, before)
            spool = self.spool_at(place)
            spool.write("half", 2, b"x")
            spool.sync("half")
            self.assertEqual(spool.read("half", 0), PIECES[0])
            former = MasterKey(Secret(KEY))
            error = self.assertRaises(StoreFailed, SqliteMessages, place / MESSAGES, former, entropy)
            self.assertIn("another master key", str(error))
            for path in place.rglob("*"):
                content = path.read_bytes() if path.is_file() else b""
                for octets in sealed:
                    self.assertNotIn(octets[:40], content, path.name)

    def test_a_store_that_was_not_told_of_it_notices(self) -> None:
        store, messages = self.start(), self.at(self.place)
        messages.commit([(PutDialog(dialog(1)), PutSegment(segment(1, 1)))])
        self.rotate(store)
        error = self.assertRaises(StoreFailed, messages.commit, [(PutSegment(segment(1, 2)),)])
        self.assertIn("is sealed under another master key by now: restart the daemon", str(error))

    def test_killed_at_every_point(self) -> None:
        calls: dict[str, Callable[..., Any]] = {
            name: getattr(os, name) for name in ("fsync", "fdatasync", "pwrite", "replace", "unlink")
        }
        for name, call in calls.items():

            def killable(*args: Any, call: Callable[..., Any] = call, **kwargs: Any) -> Any:
                Killing.count()
                return call(*args, **kwargs)

            self.patch(os, name, killable)
        for at in range(0, 10_000, 3):
            self.new_path()
            place = self.path.parent
            store, messages = self.start(), self.at(place)
            self.fill(store, 1)
            self.fill_messages(messages, self.spool_at(place))
            before = held(messages)
            store.close()
            messages.close()
            killed = self.attempt(at)
            self.whole(place, before)
            store = self.start()
            if store.master.former is not None:
                self.rotate(store)
            self.whole(place, before)
            store.close()
            if not killed:
                self.assertNotIn(KEY.hex().encode(), self.key.read_bytes())
                self.assertGreater(at, 60)
                break

    def attempt(self, at: int) -> bool:
        """Have a process exchange the key that is killed at some point; return whether it was."""
        place = self.path.parent
        store, messages = self.start(Killing), self.at(place, Killing)
        turn = Rotation(store, self.key, 0, os.urandom, messages, (self.spool_at(place),))
        Killing.at = at
        try:
            turn.begin()
            while not turn.step():
                pass
            turn.end()
        except Killed:
            return True
        finally:
            Killing.at = None
            for each in (store, messages):
                connection, each._connection, each._closed = each._connection, None, True
                if connection is not None:
                    connection.close()
        return False


class BackupTests(BesideCase):
    def setUp(self) -> None:
        super().setUp()
        self.patch(backup, "PORTION", 1)
        self.store, self.messages = self.start(), self.at(self.place)
        self.spool = self.spool_at(self.place)
        self.fill(self.store)
        self.fill_messages(self.messages, self.spool)
        self.before = held(self.messages)
        self.target = self.place.parent / "backup"

    def test_it_has_messages_and_the_files_that_they_need(self) -> None:
        self.spool.write("half", 0, PIECES[0])
        self.addCleanup(os.umask, os.umask(0))
        said = back_up(self.path, self.key, self.target, NOW, with_key=True)
        self.assertEqual(sorted(os.listdir(self.target)), ["backup.json", "master.key", MESSAGES, "seckex.db", "spool"])
        self.assertEqual(sorted(os.listdir(self.target / "spool" / "0")), sorted(LARGE))
        for path in self.target.rglob("*"):
            self.assertEqual(path.stat().st_mode & 0o7777, 0o700 if path.is_dir() else 0o600, path)
        counted = {key: said["messages"][key] for key in ("database", "database_schema", "files", "missing")}
        self.assertEqual(counted, {"database": MESSAGES, "database_schema": 2, "files": 2, "missing": 0})
        self.assertEqual(inspect_messages(self.target / MESSAGES), [])
        self.whole(self.target, self.before)

    def test_it_is_of_one_moment_while_messages_come_and_go(self) -> None:
        for held_open in (256, 0):
            self.patch(spool_copy, "MOST_OPEN", held_open)
            shutil.rmtree(self.target, ignore_errors=True)
            gone: list[int] = []

            def serving(_left: int, _all: int, gone: list[int] = gone) -> None:
                if not gone:
                    # A large message is processed, and its file dropped.
                    self.messages.commit([(DropSegments(dialog_id(1), True, 4), PutDialog(dialog(9)))])
                    self.spool.drop(LARGE[0])
                gone.append(1)

            back_up(self.path, self.key, self.target, NOW, with_key=True, tell=serving)
            if held_open:
                self.whole(self.target, self.before)
                self.spool.write(LARGE[0], 0, PIECES[0])
                self.spool.sync(LARGE[0])
                self.messages.commit([(PutSegment(segment(1, 4, spool=LARGE[0])),)])
            else:
                # The file was gone when it was its turn: all is of a moment after that.
                store = self.at(self.target)
                self.assertEqual(held(store), held(self.messages))
                self.assertEqual(store.spools(0), {LARGE[1]})

    def test_a_file_that_is_missing_is_counted(self) -> None:
        self.spool.drop(LARGE[1])
        said = back_up(self.path, self.key, self.target, NOW, with_key=True)
        self.assertEqual((said["messages"]["files"], said["messages"]["missing"]), (1, 1))
        missing = [self.spool_at(self.target).sweep(self.at(self.target).spools(0)).missing]
        self.assertEqual(missing, [(LARGE[1],)])

    def test_without_messages(self) -> None:
        self.messages.close()
        for path in self.place.glob(f"{MESSAGES}*"):
            path.unlink()
        self.assertIsNone(back_up(self.path, self.key, self.target, NOW)["messages"])
        self.assertEqual(sorted(os.listdir(self.target)), ["backup.json", "seckex.db"])

    def test_the_database_of_another_program_in_its_place(self) -> None:
        self.messages.close()
        for path in self.place.glob(f"{MESSAGES}*"):
            path.unlink()
        connection = sqlite3.connect(self.place / MESSAGES)
        connection.execute("CREATE TABLE songs (name TEXT)")
        connection.close()
        error = self.assertRaises(StoreFailed, back_up, self.path, self.key, self.target, NOW)
        self.assertIn("is the database of another program", str(error))
        self.assertFalse(self.target.exists())

    def test_the_first_daemon_that_serves_with_it_knows(self) -> None:
        self.messages.serve(NOW)
        back_up(self.path, self.key, self.target, NOW, with_key=True)
        store = self.at(self.target)
        for now in (NOW + 100, NOW + 200):
            store.serve(now)
            self.assertEqual(store.load(0, now).restored, NOW + 100)
        self.assertEqual(self.messages.load(0, NOW).restored, 0.0)

    def test_old_messages_beside_a_newer_store(self) -> None:
        back_up(self.path, self.key, self.target, NOW, with_key=True)
        self.fill(self.store)
        self.messages.commit([(PutDialog(dialog(9)),)])
        self.messages.close()
        for beside in ("-wal", "-shm"):
            (self.place / (MESSAGES + beside)).unlink(missing_ok=True)
        shutil.copy(self.target / MESSAGES, self.place / MESSAGES)
        shutil.rmtree(self.place / "spool")
        shutil.copytree(self.target / "spool", self.place / "spool")
        messages = self.at(self.place)
        messages.serve(NOW + 5)
        self.store.serve(NOW + 5)
        self.assertEqual(messages.load(0, NOW).restored, NOW + 5)
        self.assertEqual(self.store.load(0, NOW).restored, 0.0)
        messages.close()
        # And the other way round.
        self.store.close()
        for beside in ("-wal", "-shm"):
            self.path.with_name(self.path.name + beside).unlink(missing_ok=True)
        shutil.copy(self.target / "seckex.db", self.path)
        store = SqliteStore(self.path, self.key_of(self.place), os.urandom)
        self.addCleanup(store.close)
        store.serve(NOW + 9)
        self.assertEqual(store.load(0, NOW).restored, NOW + 9)
        messages = self.at(self.place)
        messages.serve(NOW + 9)
        self.assertEqual(messages.load(0, NOW).restored, NOW + 5)

    def test_no_nonce_is_used_twice_by_the_two(self) -> None:
        back_up(self.path, self.key, self.target, NOW, with_key=True)
        stores = [self.messages, self.at(self.target)]
        nonces: list[bytes] = []
        for store in stores:
            store.commit([(PutDialog(dialog(n)), PutSegment(segment(n, 1))) for n in range(20, 30)])
            connection = sqlite3.connect(store.path)
            nonces += [row[0][:24] for row in connection.execute("SELECT octets FROM dialog WHERE rowid > 5")]
            nonces += [row[0][:24] for row in connection.execute("SELECT wrapped FROM epoch ORDER BY id DESC LIMIT 1")]
            connection.close()
        self.assertEqual(len(set(nonces)), 22)


class DoctorTests(BesideCase):
    def test_what_is_sound_and_what_is_not(self) -> None:
        self.assertRaises(FileNotFoundError, inspect_messages, self.place / MESSAGES)
        messages, spool = self.at(self.place), self.spool_at(self.place)
        self.fill_messages(messages, spool)
        self.assertEqual(inspect_messages(messages.path), [])
        spool.drop(LARGE[0])
        (fault,) = inspect_messages(messages.path)
        self.assertIn("spool/0/a-1, which has the payload of a message, is missing", fault)
        messages.close()
        connection = sqlite3.connect(messages.path)
        connection.execute("PRAGMA user_version = 99")
        connection.close()
        (fault,) = inspect_messages(messages.path)
        self.assertIn("was written by a newer version of seckex (schema 99, this one knows 2)", fault)
        self.start().close()
        self.assertIn("another program", inspect_messages(self.path)[0])
