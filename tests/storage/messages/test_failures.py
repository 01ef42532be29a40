"""Wherever a commit fails, and of whatever, nothing of it is stored, it is told, and the next one works."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar
from unittest import skipIf

from twisted.trial.unittest import SkipTest

from seckex.delivery.memory import MemoryMessages
from seckex.delivery.store import (
    DropDead,
    DropDialog,
    DropSegments,
    MessageSnapshot,
    MessageStore,
    MessageUnit,
    NoteClock,
    PutDead,
    PutDialog,
    PutKey,
    PutSegment,
)
from seckex.errors import StoreFailed
from seckex.storage.messages import sqlite
from seckex.storage.messages.sqlite import SqliteMessages
from tests.delivery.samples import NOW, dead, dialog, dialog_id, segment
from tests.storage.messages.case import MessagesCase
from tests.storage.samples import entropy, master
from tests.storage.test_failures import Failing
from tests.storage.test_rotation import Killed, Killing

BEFORE: Sequence[MessageUnit] = [
    (PutDialog(dialog(1)), PutSegment(segment(1, 1, 3)), PutSegment(segment(1, 4))),
    (PutDialog(dialog(2)), PutSegment(segment(2, 1)), PutKey("k", dialog_id(2), 1, NOW + 5)),
    (PutDialog(dialog(3, forget=NOW + 1)), PutDead(dead(1, 9)), PutDead(dead(2, 9, spool="x"))),
]
BATCH: Sequence[MessageUnit] = [
    (PutDialog(dialog(1, next_number=9)), DropSegments(dialog_id(1), True, 3), PutSegment(segment(1, 5))),
    (PutDialog(dialog(4)), PutSegment(segment(4, 1)), PutKey("l", dialog_id(4), 1, NOW + 9)),
    (DropDialog(dialog_id(2)), DropDead(dialog_id(1), False, 9), PutDead(dead(4, 1)), NoteClock(NOW + 2)),
]


def held(store: MessageStore) -> tuple[object, ...]:
    """Return all that is stored."""
    snapshot = store.load(0, NOW)
    letters = [store.dead_message(each.dialog_id, each.ours, each.number) for each in store.dead(None, 99)]
    segments = [store.segment(each.dialog_id, each.ours, each.first) for each in snapshot.segments]
    return snapshot, letters, segments


def twin(*batches: Sequence[MessageUnit]) -> tuple[object, ...]:
    """Return what the store in memory holds after ``batches``."""
    memory = MemoryMessages()
    for batch in batches:
        memory.commit(batch)
    return held(memory)


class FailureTests(MessagesCase):
    def setUp(self) -> None:
        super().setUp()
        Failing.fail_at, Failing.for_good = -1, False
        Killing.at = None

    def check(self, *, for_good: bool) -> None:
        before, after = twin(BEFORE), twin(BEFORE, BATCH)
        for fail_at in itertools.count():
            self.new_path()
            Failing.fail_at, Failing.for_good = -1, False
            store = self.open(Failing)
            store.commit(BEFORE)
            # In another epoch, which has to begin first.
            store.use(master)
            Failing.fail_at, Failing.for_good = fail_at, for_good
            try:
                store.commit(BATCH)
            except StoreFailed as error:
                Failing.for_good = False
                self.assertIn("does not read or write: see the kernel's log (SQLITE_IOERR_FSYNC", str(error))
                self.assertEqual(held(store), before)
                store.commit(BATCH)
                self.assertEqual(held(store), after)
                store.close()
            else:
                # It was through before the statement that would have failed.
                self.assertGreater(fail_at, 15)
                self.assertGreaterEqual(Failing.fail_at, 0)
                break

    def test_one_statement_fails(self) -> None:
        self.check(for_good=False)

    def test_everything_fails_from_one_statement_on_the_rollback_too(self) -> None:
        self.check(for_good=True)

    def test_opening_and_reading_fail(self) -> None:
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
        store.commit(BEFORE)
        for use in (
            lambda: store.load(0, NOW),
            lambda: store.segment(dialog_id(1), True, 1),
            lambda: store.dead(None, 9),
            lambda: store.dead_message(dialog_id(1), False, 9),
            lambda: store.spools(0),
            lambda: store.tidy(NOW),
            lambda: store.serve(NOW),
        ):
            Failing.fail_at = 0
            self.assertRaises(StoreFailed, use)
            Failing.fail_at = -1
            use()
        self.assertEqual(held(store), twin(BEFORE))

    def test_tidying_that_fails_anywhere_loses_nothing(self) -> None:
        for fail_at in itertools.count():
            self.new_path()
            Failing.fail_at = -1
            store = self.open(Failing)
            store.commit(BEFORE)
            store.use(master)
            store.commit(BATCH)
            Failing.fail_at = fail_at
            try:
                store.tidy(NOW)
            except StoreFailed:
                Failing.fail_at = -1
            else:
                self.assertGreater(fail_at, 4)
                break
            self.assertEqual(held(store), twin(BEFORE, BATCH))
            store.tidy(NOW)
            self.assertEqual(os.path.getsize(f"{self.path}-wal"), 0)
            self.assertEqual(held(store), twin(BEFORE, BATCH))
            store.close()

    def test_killed_at_every_statement(self) -> None:
        before, after = twin(BEFORE), twin(BEFORE, BATCH)
        for at in itertools.count():
            self.new_path()
            self.open().commit(BEFORE)
            killed = False
            store = self.open(Killing)
            Killing.at = at
            try:
                store.commit(BATCH)
                store.tidy(NOW)
            except Killed:
                killed = True
            finally:
                Killing.at = None
                connection, store._connection, store._closed = store._connection, None, True
                if connection is not None:
                    connection.close()
            found = self.open()
            self.assertIn(held(found), [before, after] if killed else [after], at)
            found.tidy(NOW)
            self.assertIn(held(found), [before, after], at)
            if not killed:
                self.assertGreater(at, 20)
                break

    def test_a_file_that_cannot_be_written_is_told(self) -> None:
        store = self.open()
        store._open().execute("PRAGMA query_only = ON")
        error = self.assertRaises(StoreFailed, store.commit, BEFORE)
        self.assertIn("cannot be written: see that its file system is mounted for writing", str(error))

    @skipIf(os.geteuid() == 0, "root may write everywhere")
    def test_a_file_without_the_right_to_write(self) -> None:
        self.open().close()
        self.path.chmod(0o400)
        self.assertIn("cannot be opened", str(self.assertRaises(StoreFailed, self.open)))

    def test_a_file_that_goes_away_is_noticed(self) -> None:
        store = self.open()
        store.commit(BEFORE)
        self.path.rename(self.path.with_name("aside"))
        error = self.assertRaises(StoreFailed, store.commit, BATCH)
        self.assertIn("was removed or replaced while it was in use", str(error))

    def test_a_database_that_stays_locked_is_told(self) -> None:
        store = self.open()
        store._open().execute("PRAGMA busy_timeout = 0")
        with self.reader() as run:
            run("BEGIN IMMEDIATE")
            error = self.assertRaises(StoreFailed, store.commit, BEFORE)
            self.assertIn("stays locked by another process", str(error))
        self.assertEqual(store.commit(BEFORE), [None] * 3)

    def test_it_is_used_no_more_after_it_was_closed(self) -> None:
        store = self.open()
        store.dead(None, 1)
        store.close()
        for use in (lambda: store.load(0, NOW), lambda: store.dead(None, 1), lambda: store.commit(BEFORE)):
            self.assertIn("has been closed", str(self.assertRaises(StoreFailed, use)))

    def test_what_is_to_be_forgotten_goes_in_portions(self) -> None:
        self.patch(sqlite, "PURGED_AT_ONCE", 2)
        store = self.open()
        store.commit([(PutDialog(dialog(n, forget=NOW)), PutSegment(segment(n, 1))) for n in range(5)])
        store.commit([tuple(PutKey(f"k{n}", dialog_id(9), n, NOW) for n in range(3)), (PutDialog(dialog(9)),)])
        left = []
        for unit in ((NoteClock(NOW),), (), (), ()):
            store.commit([unit])
            rows = "SELECT count(*) FROM dialog", "SELECT count(*) FROM segment", "SELECT count(*) FROM sent"
            left.append(tuple(count for (count,) in self.sql(*rows)))
        self.assertEqual(left, [(4, 3, 1), (2, 1, 0), (1, 0, 0), (1, 0, 0)])


# Commits batches for several dialogs, and after each tells how many messages of each are stored.
PROGRAM = """
import os, pathlib, random, sys
from seckex.delivery.store import DropSegments, PutDialog, PutSegment
from seckex.storage.messages.sqlite import SqliteMessages
from tests.delivery.samples import NOW, dialog, dialog_id, segment
from tests.storage.samples import master

path, stored, seed = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
store, size = SqliteMessages(path, master, os.urandom), random.Random(seed)
while True:
    count = size.randrange(1, 41)
    store.commit([
        (PutDialog(dialog(n, next_number=stored + count + 1)), PutSegment(segment(n, stored + 1, count)))
        + ((DropSegments(dialog_id(n), True, stored - 50),) if stored > 50 else ())
        for n in range(3)
    ])
    stored += count
    os.write(1, b"%d\\n" % stored)
    if size.random() < 0.3:
        store.tidy(NOW + stored * 5000)
"""


class KilledTests(MessagesCase):
    """A process that is killed loses nothing that it was told is stored, and leaves no unit half done."""

    def test_nothing_that_was_told_is_stored_is_lost(self) -> None:
        stored = 0
        for seed, batches in enumerate((1, 40, 90)):
            told = self.run_and_kill(stored, seed, batches)
            store = self.open()
            found: MessageSnapshot = store.load(0, NOW)
            self.assertEqual(found.damaged, ())
            self.assertEqual(len(found.dialogs), 3)
            (stored,) = {each.next_number - 1 for each in found.dialogs}
            self.assertGreaterEqual(stored, told)
            for number in range(3):
                each = [index for index in found.segments if index.dialog_id == dialog_id(number)]
                self.assertLessEqual(each[0].first, max(1, stored - 50))
                self.assertEqual(each[-1].first + each[-1].count - 1, stored)
                for index, following in itertools.pairwise(each):
                    self.assertEqual(index.first + index.count, following.first)
                for index in each:
                    self.assertIsNotNone(store.segment(index.dialog_id, True, index.first))
            store.close()
        self.assertGreater(stored, 120)

    def run_and_kill(self, stored: int, seed: int, batches: int) -> int:
        """Run the program until it has told of ``batches``; return how many messages it told of in all."""
        with subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(self.path), str(stored), str(seed)],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[3],
            env={"PYTHONPATH": os.pathsep.join(path or "." for path in sys.path)},
        ) as process:
            assert process.stdout is not None
            told = [process.stdout.readline() for _ in range(batches)]
            process.kill()
            told += process.stdout.readlines()
        whole = [line for line in told if line.endswith(b"\n")]
        self.assertGreaterEqual(len(whole), batches)
        return int(whole[-1])


class FullDiskTests(MessagesCase):
    LIMIT: ClassVar[int] = 1000

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
        self.path = self.disk / "messages.db"

    def tearDown(self) -> None:
        # Before the clean-ups, which close the store once more.
        self.store.close()
        subprocess.run(["umount", self.disk], check=True)

    def stored(self) -> set[int]:
        found = self.store.load(0, NOW)
        self.assertEqual(found.damaged, ())
        for index in found.segments:
            self.assertIsNotNone(self.store.segment(index.dialog_id, True, index.first))
        return {index.first for index in found.segments}

    def test_a_full_disk_is_told_and_all_goes_on_when_there_is_room(self) -> None:
        self.store = SqliteMessages(self.path, master, entropy)
        ballast = self.disk / "ballast"
        ballast.write_bytes(bytes(256 << 10))
        self.store.commit([(PutDialog(dialog(1)),)])
        stored: set[int] = set()
        for number in range(1, self.LIMIT):
            try:
                self.store.commit([(PutDialog(dialog(1)), PutSegment(segment(1, number, 1)))])
            except StoreFailed as error:
                self.assertIn("is full, or a quota is used up: make room", str(error))
                break
            stored.add(number)
        self.assertLess(number, self.LIMIT - 1)
        self.assertRaises(StoreFailed, self.store.commit, [(PutSegment(segment(1, number)),)])
        self.assertEqual(self.stored(), stored)
        ballast.unlink()
        self.store.commit([(PutSegment(segment(1, number)),)])
        self.assertEqual(self.stored(), stored | {number})
        self.store.close()
        self.store = SqliteMessages(self.path, master, entropy)
        self.assertEqual(self.stored(), stored | {number})
        # What was delivered makes room.
        self.store.commit([(DropSegments(dialog_id(1), True, number),)])
        self.store.tidy(NOW)
        self.assertEqual(self.stored(), set())
