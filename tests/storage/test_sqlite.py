"""The store in a file: held to the contract, the twin of the one in memory, shared, and private."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hypothesis import given, settings

from seckex.crypto.atrest import MasterKey
from seckex.crypto.secrets import Secret
from seckex.errors import StoreFailed
from seckex.sa.association import Association
from seckex.sa.store import (
    ASIDE,
    DeleteAssociation,
    DeleteRecord,
    MemoryStore,
    Purge,
    PutAssociation,
    PutRecord,
    PutReplay,
    Store,
    Unit,
)
from seckex.storage import schema, sqlite
from tests.storage.case import SqliteCase, sorted_
from tests.storage.contract import CONFLICT, STORED, StoreContract
from tests.storage.contract_logs import LogContract
from tests.storage.contract_records import RecordContract
from tests.storage.samples import LIFETIME, NOW, accepted, association, record, replay
from tests.storage.test_batch import units


class SqliteStoreTests(LogContract, RecordContract, StoreContract, SqliteCase):
    def setUp(self) -> None:
        SqliteCase.setUp(self)
        StoreContract.setUp(self)

    def new_store(self) -> Store:
        return self.open()

    def restarted(self, store: Store) -> Store:
        store.close()
        return self.open()

    def test_it_is_used_no_more_after_it_was_closed(self) -> None:
        self.store.close()
        self.store.close()
        for use in (lambda: self.store.commit([accepted(1)]), lambda: self.store.load(0, NOW)):
            self.assertIn("has been closed", str(self.assertRaises(StoreFailed, use)))

    def test_a_page_is_read_while_another_master_key_comes_into_use(self) -> None:
        store = self.open()
        kept, looking = record(f"a{ASIDE}", b"1"), store._looking

        @contextmanager
        def late() -> Iterator[sqlite3.Connection]:
            store.use(MasterKey(Secret(bytes(32))))
            store.commit([(PutRecord(kept),)])
            with looking() as connection:
                yield connection

        self.patch(store, "_looking", late)
        page = store.page(kept.kind, None, 9)
        self.assertEqual((page.records, page.damaged), ((kept,), ()))

    def test_a_long_purge_is_spread_over_several_commits(self) -> None:
        self.patch(sqlite, "PURGED_AT_ONCE", 2)
        self.store.commit([accepted(n) for n in range(1, 6)])
        left = []
        for unit in ((Purge(NOW + LIFETIME + 1),), (), (), ()):
            self.store.commit([unit])
            snapshot = self.store.load(0, 0.0)
            left.append((len(snapshot.replays), len(snapshot.associations)))
        self.assertEqual(left, [(3, 3), (1, 1), (0, 0), (0, 0)])

    def test_a_long_purge_of_records_is_spread_too(self) -> None:
        self.patch(sqlite, "PURGED_AT_ONCE", 2)
        self.store.commit([(PutRecord(record("kdc.x", b"%d" % n, NOW)),) for n in range(5)])
        left = []
        for unit in ((Purge(NOW + 1),), (), ()):
            self.store.commit([unit])
            left.append(len(self.store.load(0, 0.0).records))
        self.assertEqual(left, [3, 1, 0])

    def test_a_record_that_is_deleted_or_replaced_is_overwritten(self) -> None:
        kept, gone = record("kdc.x", b"kept"), record("kdc.x", b"gone")
        self.store.commit([(PutRecord(kept), PutRecord(gone))])
        sealed = [octets for (octets,) in self.sql("SELECT octets FROM record")]
        self.restarted(self.store).close()
        for octets in sealed:
            self.assertIn(octets, self.path.read_bytes())
        store = self.open()
        store.commit([(PutRecord(record("kdc.x", b"kept")), DeleteRecord("kdc.x", b"gone"))])
        store.close()
        for octets in sealed:
            self.assertNotIn(octets, self.path.read_bytes())

    def test_what_is_deleted_is_overwritten(self) -> None:
        self.store.commit([accepted(1)])
        wrapped = self.sql("SELECT keys FROM association")[0][0]
        self.restarted(self.store).close()
        self.assertIn(wrapped, self.path.read_bytes())
        store = self.open()
        store.commit([(DeleteAssociation(64),)])
        store.close()
        self.assertNotIn(wrapped, self.path.read_bytes())


class TwinTests(SqliteCase):
    @settings(max_examples=25, deadline=None)
    @given(units, units)
    def test_both_stores_do_the_same(self, first: list[Unit], second: list[Unit]) -> None:
        memory = MemoryStore()
        self.new_path()
        store = self.open()
        for batch in (first, second):
            self.assertEqual(store.commit(batch), memory.commit(batch))
            self.assertEqual(sorted_(store.load(0, 0.0)), sorted_(memory.load(0, 0.0)))
        store.close()


class SharedTests(SqliteCase):
    """Two workers on one file."""

    def test_the_first_to_store_an_identification_has_accepted_the_request(self) -> None:
        one, other = self.open(), self.open()
        self.assertEqual(one.commit([accepted(1)]), [STORED])
        # The other one has not heard of it.
        self.assertEqual(other.commit([accepted(1), accepted(2)]), [CONFLICT, STORED])
        self.assertEqual(one.commit([accepted(2), accepted(3)]), [CONFLICT, STORED])

    def test_each_reads_what_the_other_wrapped(self) -> None:
        one, other = self.open(), self.open()
        one.commit([accepted(1)])
        other.commit([accepted(2)])
        self.assertEqual(one.load(0, NOW), other.load(0, NOW))
        self.assertEqual(len(one.load(0, NOW).associations), 2)

    def test_a_file_that_stays_locked_is_told_and_then_used_again(self) -> None:
        self.patch(schema, "BUSY_SECONDS", 0.0)
        store = self.open()
        blocker = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(blocker.close)
        blocker.execute("BEGIN IMMEDIATE")
        error = self.assertRaises(StoreFailed, store.commit, [accepted(1)])
        self.assertIn("stays locked by another process", str(error))
        blocker.execute("ROLLBACK")
        self.assertEqual(store.commit([accepted(1)]), [STORED])


class ConfidentialityTests(SqliteCase):
    def test_no_key_is_in_any_file(self) -> None:
        associations = [association(n << 6) for n in range(1, 20)]
        store = self.open()
        store.commit([(PutAssociation(a), PutReplay(replay(a.spi_in))) for a in associations])
        self.assertSearched(associations, ["seckex.db", "seckex.db-shm", "seckex.db-wal", "seckex.db.lock"])
        store.close()
        self.assertSearched(associations, ["seckex.db", "seckex.db.lock"])

    def assertSearched(self, associations: Sequence[Association], names: list[str]) -> None:
        self.assertEqual(sorted(os.listdir(self.path.parent)), names)
        content = b"".join((self.path.parent / name).read_bytes() for name in names)
        # The search finds what is there ...
        self.assertIn(associations[0].transcript, content)
        # ... and neither what keys come from nor keys, whole or in half.
        for keys in (a.keys for a in associations):
            for key in (keys.secret, keys.dialog, keys.exporter):
                self.assertNotIn(key.octets[:8], content)
                self.assertNotIn(key.octets[16:24], content)

    def test_nothing_of_a_record_is_in_any_file_but_kind_and_name(self) -> None:
        secret = record("kdc.principal", b"node@example.org")
        store = self.open()
        store.commit([(PutRecord(secret),)])
        for closed in (False, True):
            if closed:
                store.close()
            found = b"".join(path.read_bytes() for path in self.path.parent.iterdir())
            self.assertIn(secret.name, found)
            for at in range(0, len(secret.octets), 8):
                self.assertNotIn(secret.octets[at : at + 8], found)

    def test_files_and_directory_are_private(self) -> None:
        self.addCleanup(os.umask, os.umask(0))
        self.open().commit([accepted(1)])
        modes = {path.name: path.stat().st_mode & 0o7777 for path in self.path.parent.iterdir()}
        names = ("seckex.db", "seckex.db-shm", "seckex.db-wal", "seckex.db.lock")
        self.assertEqual(modes, dict.fromkeys(names, 0o600))
        self.assertEqual(self.path.parent.stat().st_mode & 0o7777, 0o700)

    def test_files_open_to_others_are_refused(self) -> None:
        self.open().close()
        self.path.chmod(0o640)
        self.refused("(mode 0640)", "chmod 600")
        self.path.chmod(0o600)
        self.path.parent.chmod(0o755)
        error = self.assertRaises(StoreFailed, self.open)
        self.assertIn(f"chmod 700 {self.path.parent}", str(error))

    def test_keys_are_wrapped_anew_in_each_run(self) -> None:
        epochs = set()
        for number in range(3):
            store = self.open()
            store.commit([accepted(number)])
            store.close()
            epochs.add(self.sql("SELECT keys FROM association ORDER BY rowid DESC LIMIT 1")[0][0][:16])
        self.assertEqual(len(epochs), 3)
