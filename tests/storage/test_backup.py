"""A backup is whole, private, of one moment, begins anew where it is restored, and repeats no nonce."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from seckex.errors import StoreFailed
from seckex.sa.store import Append, PutAssociation, PutRecord, PutReplay
from seckex.storage import backup
from seckex.storage.backup import back_up
from seckex.storage.masterkey import BOTH, HEADER, load_master_key
from seckex.storage.rotation import Rotation
from seckex.storage.sqlite import SqliteStore
from tests.storage.samples import NOW, association, record, replay
from tests.storage.test_rotation import AUDIT, RotationCase


class BackupTests(RotationCase):
    def setUp(self) -> None:
        super().setUp()
        self.patch(backup, "PORTION", 1)
        self.store = self.start()
        self.fill(self.store)
        self.target = self.path.parent.parent / "backup"

    def restored(self, key: Path | None = None) -> SqliteStore:
        """Put the backup in the place of a state directory, as a daemon finds it."""
        place = self.path.parent.parent / "elsewhere"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self.target, place)
        if key is not None:
            shutil.copy(key, place / "master.key")
        database = place / "seckex.db"
        store = SqliteStore(database, load_master_key(place / "master.key", database, os.urandom), os.urandom)
        self.addCleanup(store.close)
        return store

    def test_it_is_what_was_stored_and_private(self) -> None:
        self.addCleanup(os.umask, os.umask(0))
        said = back_up(self.path, self.key, self.target, NOW)
        self.assertEqual(sorted(os.listdir(self.target)), ["backup.json", "seckex.db"])
        self.assertEqual(self.target.stat().st_mode & 0o7777, 0o700)
        for path in self.target.iterdir():
            self.assertEqual(path.stat().st_mode & 0o7777, 0o600, path)
        self.assertEqual(json.loads((self.target / "backup.json").read_text()), said)
        self.assertEqual((said["master_keys"], said["has_key"]), ([self.store.master.name], False))
        self.assertNotIn(bytes(range(32)).hex().encode(), (self.target / "backup.json").read_bytes())
        store = self.restored(self.key)
        self.assertEqual(self.held(store), self.held(self.store))
        self.assertEqual(self.audited(store), self.audited(self.store))

    def test_it_is_of_one_moment_while_others_write(self) -> None:
        count = [100]

        def serving(_left: int, _all: int) -> None:
            count[0] += 1
            name = b"%d" % count[0]
            self.store.commit([(PutRecord(record("kdc.issued", name)), Append(AUDIT, name, NOW))])

        back_up(self.path, self.key, self.target, NOW, tell=serving)
        self.assertGreater(count[0], 110)
        store = self.restored(self.key)
        kept = [each for each in store.load(0, 0.0).records if each.kind == "kdc.issued"]
        self.assertEqual(len(self.audited(store)), 7 + len(kept))
        # All of it is from before the first portion.
        self.assertEqual(kept, [])
        self.assertEqual(len(self.audited(self.store)), 7 + count[0] - 100)

    def test_with_the_key_it_opens_also_where_that_is_being_exchanged(self) -> None:
        turn = Rotation(self.store, self.key, 0, os.urandom)
        turn.begin()
        turn.step()
        said = back_up(self.path, self.key, self.target, NOW, with_key=True)
        self.assertEqual(len(said["master_keys"]), 2)
        self.assertEqual((self.target / "master.key").read_bytes().splitlines()[0], BOTH)
        store = self.restored()
        self.assertEqual(self.held(store), self.held(self.store))

    def test_a_key_that_is_exchanged_while_pages_are_copied(self) -> None:
        turns: list[int] = []

        def once(_left: int, _all: int) -> None:
            if not turns:
                turns.append(1)
                self.rotate(self.store)

        said = back_up(self.path, self.key, self.target, NOW, with_key=True, tell=once)
        self.assertEqual(said["master_keys"], [self.store.master.name])
        self.assertEqual((self.target / "master.key").read_bytes().splitlines()[0], HEADER)
        self.assertEqual(self.held(self.restored()), self.held(self.store))

    def test_it_overwrites_nothing_and_leaves_nothing_where_it_fails(self) -> None:
        self.target.mkdir()
        error = self.assertRaises(StoreFailed, back_up, self.path, self.key, self.target, NOW)
        self.assertIn("exists and is left as it is", str(error))
        self.target.rmdir()

        def full(_left: int, _all: int) -> None:
            raise OSError(28, "No space left on device")

        error = self.assertRaises(StoreFailed, back_up, self.path, self.key, self.target, NOW, tell=full)
        self.assertIn("cannot be made: No space left on device", str(error))
        self.assertEqual(os.listdir(self.target.parent), ["state"])
        self.key.unlink()
        self.assertRaises(StoreFailed, back_up, self.path, self.key, self.target, NOW)
        self.assertEqual(os.listdir(self.target.parent), ["state"])

    def test_a_draft_of_a_killed_process_is_in_nobodys_way(self) -> None:
        (self.target.parent / ".backup.draft").mkdir()
        back_up(self.path, self.key, self.target, NOW)
        self.assertEqual(sorted(os.listdir(self.target.parent)), ["backup", "state"])

    # -- begun with anew

    def test_when_a_daemon_first_began_with_it_is_noted_for_good(self) -> None:
        self.store.serve(NOW)
        self.assertEqual(self.store.load(0, NOW).restored, 0.0)
        back_up(self.path, self.key, self.target, NOW)
        store = self.restored(self.key)
        # Who only looks at it changes nothing.
        self.assertEqual(store.load(0, NOW).restored, 0.0)
        for at in (NOW + 100, NOW + 200):
            store.serve(at)
            self.assertEqual(store.load(0, at).restored, NOW + 100)
        # A copy of it is another copy.
        second = self.target.with_name("second")
        back_up(store.path, self.key, second, NOW)
        self.target = second
        store = self.restored(self.key)
        store.serve(NOW + 300)
        self.assertEqual(store.load(0, NOW).restored, NOW + 300)

    def test_no_nonce_is_used_twice_by_the_two(self) -> None:
        back_up(self.path, self.key, self.target, NOW)
        stores = [self.store, self.restored(self.key)]
        nonces: list[bytes] = []
        for store in stores:
            self.path = store.path
            store.commit(
                [
                    (PutRecord(record("kdc.principal", b"new%d" % n)), PutAssociation(association(n << 12)))
                    for n in range(1, 9)
                ]
            )
            nonces += [row[0][:24] for row in self.sql("SELECT octets FROM record WHERE name > x'6e'")]
            nonces += [row[0][:24] for row in self.sql("SELECT keys FROM association WHERE spi_in >= 4096")]
        self.assertGreater(len(nonces), 30)
        self.assertEqual(len(set(nonces)), len(nonces))

    def test_replay_records_are_in_it(self) -> None:
        self.store.commit([(PutReplay(replay(1)),)])
        back_up(self.path, self.key, self.target, NOW)
        self.assertEqual(len(self.restored(self.key).load(0, NOW).replays), 1)
