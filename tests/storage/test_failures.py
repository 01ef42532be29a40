"""Wherever a commit fails, and of whatever, nothing of it is stored, it is told, and the next one works."""

from __future__ import annotations

import itertools
import os
import sqlite3
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from twisted.trial.unittest import SkipTest

from seckex.errors import StoreFailed
from seckex.sa.store import ConfirmAssociation, DeleteAssociation, Purge, Unit
from seckex.storage.failures import store_failed
from tests.storage.case import SqliteCase, sorted_, twin
from tests.storage.contract import STORED
from tests.storage.samples import NOW, accepted


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

    def test_errors_of_pythons_own_are_not_repeated(self) -> None:
        error = store_failed(
            self.path, sqlite3.OperationalError("Could not decode to UTF-8 column 'keys' with text 'x'")
        )
        self.assertEqual(str(error), f"{self.path}: OperationalError")

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
