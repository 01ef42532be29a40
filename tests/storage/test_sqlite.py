"""The store in a file: held to the contract, shared, damaged, full, locked and failing at every statement."""

from __future__ import annotations

import itertools
import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import given, settings
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from seckex.crypto.atrest import MasterKey
from seckex.crypto.secrets import Secret
from seckex.errors import StoreFailed
from seckex.sa.store import (
    ConfirmAssociation,
    DeleteAssociation,
    MemoryStore,
    Outcome,
    Purge,
    PutAssociation,
    PutReplay,
    Snapshot,
    Store,
    Unit,
)
from seckex.storage import schema, sqlite
from seckex.storage.sqlite import SqliteStore
from tests.storage.contract import CONFLICT, STORED, StoreContract
from tests.storage.samples import LIFETIME, NOW, accepted, association, entropy, master, replay
from tests.storage.test_batch import units


class SqliteCase(SynchronousTestCase):
    """Has a place for its database, which is closed in the end."""

    def setUp(self) -> None:
        self.new_path()

    def new_path(self) -> None:
        """Use another file from now on, in memory where there is such a place, since the tests synchronise often."""
        memory = "/dev/shm"
        top = tempfile.mkdtemp(prefix="seckex-", dir=memory if os.access(memory, os.W_OK) else None)
        self.addCleanup(shutil.rmtree, top)
        self.path = Path(top) / "state" / "seckex.db"

    def open(self, factory: type[sqlite3.Connection] = sqlite3.Connection) -> SqliteStore:
        store = SqliteStore(self.path, master, entropy, factory)
        self.addCleanup(store.close)
        return store

    def refused(self, *words: str) -> None:
        error = self.assertRaises(StoreFailed, self.open)
        for word in (str(self.path), *words):
            self.assertIn(word, str(error))

    def sql(self, *statements: str) -> list[Any]:
        """Run statements beside the store, and return what they yield."""
        connection = sqlite3.connect(self.path, isolation_level=None)
        try:
            return [row for statement in statements for row in connection.execute(statement)]
        finally:
            connection.close()


class SqliteStoreTests(StoreContract, SqliteCase):
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

    def test_a_long_purge_is_spread_over_several_commits(self) -> None:
        self.patch(sqlite, "PURGED_AT_ONCE", 2)
        self.store.commit([accepted(n) for n in range(1, 6)])
        left = []
        for unit in ((Purge(NOW + LIFETIME + 1),), (), (), ()):
            self.store.commit([unit])
            snapshot = self.store.load(0, 0.0)
            left.append((len(snapshot.replays), len(snapshot.associations)))
        self.assertEqual(left, [(3, 3), (1, 1), (0, 0), (0, 0)])

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


def twin(*batches: Sequence[Unit]) -> tuple[object, ...]:
    """Return what the store in memory holds after ``batches``."""
    memory = MemoryStore()
    for batch in batches:
        memory.commit(batch)
    return sorted_(memory.load(0, 0.0))


def sorted_(snapshot: Snapshot) -> tuple[object, ...]:
    return (
        sorted(snapshot.associations, key=lambda a: a.spi_in),
        sorted(snapshot.replays, key=lambda r: r.identification),
        snapshot.damaged,
    )


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

    def assertSearched(self, associations: Sequence[Any], names: list[str]) -> None:
        self.assertEqual(sorted(os.listdir(self.path.parent)), names)
        content = b"".join((self.path.parent / name).read_bytes() for name in names)
        # The search finds what is there ...
        self.assertIn(associations[0].transcript, content)
        # ... and neither what keys come from nor keys, whole or in half.
        for keys in (a.keys for a in associations):
            for key in (keys.secret, keys.dialog, keys.exporter):
                self.assertNotIn(key.octets[:8], content)
                self.assertNotIn(key.octets[16:24], content)

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


class DamageTests(SqliteCase):
    """A row that is not what was stored is left out and told; a file that is damaged is not used."""

    CHANGES: ClassVar[Sequence[str]] = (
        "keys = substr(keys, 1, length(keys) - 1) || x'00'",
        "keys = x''",
        "keys = NULL",
        "keys = 'text'",
        "spi_out = spi_out + 1",
        "spi_out = -1",
        "role = 1",
        "role = 3",
        "local = 'eve@example.org'",
        "peer = 'eve@example.org'",
        "peer = x'ff'",
        "algorithms = 'aes-128-gcm hmac-sha-256 prf-hmac-sha-256 x25519'",
        "lifetime = lifetime + 1",
        "lifetime = 'long'",
        "mebioctets = 0",
        "created = created + 1",
        "created = NULL",
        "transcript = zeroblob(48)",
    )

    def damaged(self, change: str) -> tuple[str, ...]:
        """Store two units, change the first row of a table, and return what is told of it."""
        self.new_path()
        store = self.open()
        first, second = accepted(1), accepted(2)
        store.commit([first, second])
        # Tables with NOT NULL hold off our NULL; damage is not so polite.
        self.sql("PRAGMA writable_schema = ON", "UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '')")
        self.sql(f"UPDATE {change} WHERE rowid = 1")
        store.close()
        snapshot = self.open().load(0, NOW)
        left = [PutAssociation(a) for a in snapshot.associations] + [PutReplay(r) for r in snapshot.replays]
        everything = [first[1], second[1], first[0], second[0]]
        lost = 0 if change.startswith("association") else 2
        self.assertCountEqual(left, everything[:lost] + everything[lost + 1 :])
        return snapshot.damaged

    def test_an_association_with_any_column_changed_is_left_out(self) -> None:
        for change in self.CHANGES:
            told = self.damaged("association SET " + change)
            self.assertEqual(len(told), 1, change)
            self.assertIn("the association with SPI 0x00000040 is left out: ", told[0])

    def test_keys_moved_to_another_row_are_left_out(self) -> None:
        told = self.damaged("association SET keys = (SELECT keys FROM association WHERE rowid = 2)")
        self.assertEqual(told, ("the association with SPI 0x00000040 is left out: its seal does not verify",))
        told = self.damaged("association SET spi_in = 192")
        self.assertEqual(told, ("the association with SPI 0x000000c0 is left out: its seal does not verify",))

    def test_an_algorithm_that_is_not_known_is_named(self) -> None:
        store = self.open()
        self.patch(sqlite, "association_row", lambda a, w: _with_algorithms(a, w))
        store.commit([(PutAssociation(association(64)),)])
        self.assertEqual(
            store.load(0, NOW).damaged,
            ("the association with SPI 0x00000040 is left out: the algorithm 'rot-13' is not known here",),
        )

    def test_a_replay_record_that_is_damaged_is_left_out(self) -> None:
        for change in (
            "request = x'00'",
            "answer = NULL",
            "answer = zeroblob(8193)",
            "identification = 'x'",
            "spi = -1",
        ):
            told = self.damaged("replay SET " + change)
            self.assertEqual(len(told), 1, change)
            self.assertIn("a replay record", told[0])

    def test_a_file_that_is_not_a_database_is_not_used(self) -> None:
        self.path.parent.mkdir(mode=0o700)
        self.path.write_bytes(b"not a database" * 1000)
        self.path.chmod(0o600)
        self.refused("is not a database, or is damaged", "move it away")
        self.assertEqual(self.path.read_bytes(), b"not a database" * 1000)

    def test_damaged_pages_are_told(self) -> None:
        store = self.open()
        store.commit([accepted(n) for n in range(100)])
        store.close()
        roots = self.sql("SELECT rootpage FROM sqlite_master WHERE name IN ('replay', 'association')")
        pages = bytearray(self.path.read_bytes())
        for (root,) in roots:
            pages[(root - 1) * 4096 : (root - 1) * 4096 + 100] = b"\xee" * 100
        self.path.write_bytes(pages)
        store = self.open()
        for use in (lambda: store.load(0, NOW), lambda: store.commit([accepted(200)])):
            error = self.assertRaises(StoreFailed, use)
            self.assertIn("is damaged: restore it from a backup, or move it away", str(error))


def _with_algorithms(a: Any, wrapping: Any) -> Any:
    from attrs import evolve

    from seckex.storage.rows import association_row

    algorithms = (evolve(a.agreement.algorithms[0], name="rot-13"),)
    return association_row(evolve(a, agreement=evolve(a.agreement, algorithms=algorithms)), wrapping)


class SchemaTests(SqliteCase):
    def test_the_database_of_another_program_is_left_alone(self) -> None:
        self.path.parent.mkdir(mode=0o700)
        self.sql("CREATE TABLE songs (name TEXT)")
        self.path.chmod(0o600)
        before = self.path.read_bytes()
        self.refused("is the database of another program")
        self.assertEqual(self.path.read_bytes(), before)

    def test_a_newer_schema_is_refused(self) -> None:
        self.open().close()
        self.sql("PRAGMA user_version = 7")
        self.refused("was written by a newer version of seckex (schema 7, this one knows 1)")

    def test_an_older_schema_is_brought_up_to_date(self) -> None:
        store = self.open()
        store.commit([accepted(1)])
        store.close()
        self.patch(schema, "MIGRATIONS", (*schema.MIGRATIONS, ("ALTER TABLE replay ADD COLUMN note TEXT",)))
        store = self.open()
        self.assertEqual(len(store.load(0, NOW).replays), 1)
        self.assertEqual(self.sql("PRAGMA user_version", "SELECT note FROM replay"), [(2,), (None,)])
        self.open()

    def test_a_migration_happens_whole_or_not_at_all(self) -> None:
        self.open().close()
        migration = ("ALTER TABLE replay ADD COLUMN note TEXT", "ALTER TABLE nonsense ADD COLUMN note TEXT")
        self.patch(schema, "MIGRATIONS", (*schema.MIGRATIONS, migration))
        self.refused("no such table: nonsense")
        self.assertEqual(self.sql("PRAGMA user_version"), [(1,)])
        self.assertNotIn("note", [row[1] for row in self.sql("PRAGMA table_info(replay)")])

    def test_another_master_key_is_refused(self) -> None:
        self.open().close()
        other = MasterKey(Secret(bytes(32)))
        error = self.assertRaises(StoreFailed, SqliteStore, self.path, other, entropy)
        self.assertIn("was written under another master key: restore that key", str(error))

    def test_a_missing_parent_is_told(self) -> None:
        self.path = self.path.parent / "deeper" / "still" / "seckex.db"
        error = self.assertRaises(StoreFailed, self.open)
        self.assertIn("No such file or directory", str(error))

    def test_durable_means_synchronised(self) -> None:
        store = self.open()
        connection = store._open()
        for pragma, value in (("journal_mode", "wal"), ("synchronous", 2), ("secure_delete", 1)):
            self.assertEqual(connection.execute(f"PRAGMA {pragma}").fetchone(), (value,))

    def test_lookups_go_by_index(self) -> None:
        connection = self.open()._open()
        for query, count in (
            (sqlite._STORED_REPLAYS, 1),
            (sqlite._STORED_ASSOCIATIONS, 1),
            (sqlite._PURGE[0], 2),
            (sqlite._PURGE[1], 2),
            (sqlite._CONFIRM, 1),
            (sqlite._DELETE, 1),
            (sqlite._LOAD_REPLAYS, 2),
        ):
            plan = [row[3] for row in connection.execute("EXPLAIN QUERY PLAN " + query, ("[]",) * count)]
            self.assertEqual([step for step in plan if step.startswith("SCAN") and "VIRTUAL" not in step], [], query)


class Failing(sqlite3.Connection):
    """Fails at the ``fail_at``-th statement from now, and at every later one if ``for_good``."""

    fail_at: ClassVar[int] = -1
    for_good: ClassVar[bool] = False

    def _count(self) -> None:
        cls = type(self)
        cls.fail_at -= 1
        if cls.fail_at == -1 or (cls.for_good and cls.fail_at < 0):
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            error.sqlite_errorname = "SQLITE_IOERR_FSYNC"
            raise error

    def execute(self, *args: Any) -> sqlite3.Cursor:
        self._count()
        return super().execute(*args)

    def executemany(self, *args: Any) -> sqlite3.Cursor:
        self._count()
        return super().executemany(*args)


class FailureTests(SqliteCase):
    """Wherever a commit fails, nothing of it is stored, and the next one works."""

    def setUp(self) -> None:
        super().setUp()
        Failing.fail_at, Failing.for_good = -1, False

    BEFORE: ClassVar[Sequence[Unit]] = [accepted(1), accepted(2), accepted(3)]
    BATCHES: ClassVar[Sequence[list[Unit]]] = [
        [accepted(10), (ConfirmAssociation(64),), (DeleteAssociation(128),), accepted(11), (Purge(NOW),)],
        # With a conflict in it, which is written twice.
        [accepted(10), accepted(1), (ConfirmAssociation(64), DeleteAssociation(128)), (Purge(NOW),)],
    ]

    def check(self, *, for_good: bool) -> None:
        for batch in self.BATCHES:
            before, after = twin(self.BEFORE), twin(self.BEFORE, batch)
            for fail_at in itertools.count():
                self.new_path()
                Failing.fail_at, Failing.for_good = -1, False
                store = self.open(Failing)
                store.commit(self.BEFORE)
                Failing.fail_at, Failing.for_good = fail_at, for_good
                try:
                    store.commit(batch)
                except StoreFailed as error:
                    Failing.for_good = False
                    self.assertIn("does not read or write: see the kernel's log (SQLITE_IOERR_FSYNC", str(error))
                    self.assertEqual(sorted_(store.load(0, 0.0)), before)
                    store.commit(batch)
                    self.assertEqual(sorted_(store.load(0, 0.0)), after)
                    store.close()
                else:
                    # It was through before the statement that would have failed.
                    self.assertGreater(fail_at, 5)
                    self.assertGreaterEqual(Failing.fail_at, 0)
                    break

    def test_one_statement_fails(self) -> None:
        self.check(for_good=False)

    def test_everything_fails_from_one_statement_on_the_rollback_too(self) -> None:
        self.check(for_good=True)

    def test_opening_fails(self) -> None:
        failures = 0
        for Failing.fail_at in itertools.count():
            try:
                store = self.open(Failing)
            except StoreFailed:
                failures += 1
            else:
                break
        self.assertGreater(failures, 10)
        Failing.fail_at = -1
        self.assertEqual(store.commit([accepted(1)]), [STORED])

    def test_loading_fails(self) -> None:
        self.open().commit([accepted(1)])
        Failing.fail_at = -1
        store = self.open(Failing)
        for fail_at in range(4):
            Failing.fail_at, Failing.for_good = fail_at, False
            self.assertRaises(StoreFailed, store.load, 0, NOW)
            self.assertEqual(len(store.load(0, NOW).associations), 1)

    def test_a_fault_of_the_program_leaves_no_transaction_open(self) -> None:
        store = self.open()
        too_large: Unit = (ConfirmAssociation(1 << 70),)
        self.assertRaises(OverflowError, store.commit, [accepted(1), too_large])
        self.assertEqual(store.commit([accepted(1)]), [STORED])

    def test_a_file_that_cannot_be_written_is_told(self) -> None:
        store = self.open()
        store._open().execute("PRAGMA query_only = ON")
        error = self.assertRaises(StoreFailed, store.commit, [accepted(1)])
        self.assertIn("cannot be written: see that its file system is mounted for writing", str(error))

    def test_other_errors_are_told_as_they_are(self) -> None:
        store = self.open()
        self.sql("DROP TABLE replay")
        error = self.assertRaises(StoreFailed, store.commit, [accepted(1)])
        self.assertIn("no such table", str(error))


class FullDiskTests(SqliteCase):
    def setUp(self) -> None:
        super().setUp()
        if os.geteuid() != 0:
            raise SkipTest("only root can mount a small file system")
        self.disk = Path(self.mktemp())
        self.disk.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", self.disk], capture_output=True, check=False
        )
        if mounted.returncode != 0:
            raise SkipTest(f"a small file system cannot be mounted here: {mounted.stderr.decode().strip()}")
        self.path = self.disk / "seckex.db"

    def tearDown(self) -> None:
        # Before the clean-ups, which close the store once more.
        self.store.close()
        subprocess.run(["umount", self.disk], check=True)

    def test_a_full_disk_is_told_and_all_goes_on_when_there_is_room(self) -> None:
        self.store = self.open()
        ballast = self.disk / "ballast"
        ballast.write_bytes(bytes(256 << 10))
        self.store.commit([accepted(0)])
        stored = {0}
        for number in itertools.count(1):
            try:
                self.store.commit([accepted(number)])
            except StoreFailed as error:
                self.assertIn("is full, or a quota is used up: make room", str(error))
                break
            stored.add(number)
            self.assertLess(number, 1000)
        # Still full, and still telling it.
        self.assertRaises(StoreFailed, self.store.commit, [accepted(number)])
        self.assertEqual(self.numbers(), stored)
        ballast.unlink()
        self.assertEqual(self.store.commit([accepted(number)]), [STORED])
        self.assertEqual(self.numbers(), stored | {number})
        self.store.close()
        self.store = self.open()
        self.assertEqual(self.numbers(), stored | {number})

    def numbers(self) -> set[int]:
        snapshot = self.store.load(0, NOW)
        self.assertEqual(snapshot.damaged, ())
        numbers = {record.identification for record in snapshot.replays}
        self.assertEqual({a.spi_in >> 6 for a in snapshot.associations}, numbers)
        return numbers


class ContentionOutcomeTests(SqliteCase):
    def test_the_outcomes_stand_in_the_order_of_the_units(self) -> None:
        store = self.open()
        store.commit([accepted(n) for n in range(0, 100, 3)])
        outcomes = store.commit([accepted(n) for n in range(100)])
        self.assertEqual(outcomes, [Outcome.STORED if n % 3 else Outcome.CONFLICT for n in range(100)])
