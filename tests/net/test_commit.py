"""Group commit: what waits goes together, and each hears what became of it, once."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Sequence
from typing import Any

from attrs import define, field
from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from seckex.errors import StoreFailed
from seckex.net import commit
from seckex.net.commit import CommitThread, GroupCommit
from seckex.sa.logs import LogCheck, LogEntry
from seckex.sa.store import MemoryStore, Outcome, Page, PutReplay, Snapshot, Unit
from tests.storage.samples import replay

STORED, CONFLICT = Outcome.STORED, Outcome.CONFLICT


def unit(number: int) -> Unit:
    return (PutReplay(replay(number)),)


@define
class Scripted:
    """A store in memory that remembers its batches, and fails with what it is told to."""

    batches: list[int] = field(factory=list)
    failure: Exception | None = None
    closed: bool = False
    memory: MemoryStore = field(factory=MemoryStore)
    threads: set[int] = field(factory=set)

    def load(self, worker: int, now: float, most_replays: int = 0, later: Collection[str] = ()) -> Snapshot:
        raise NotImplementedError

    def commit(self, units: Sequence[Unit]) -> list[Outcome]:
        self.threads.add(threading.get_ident())
        self.batches.append(len(units))
        if self.failure is not None:
            raise self.failure
        return self.memory.commit(units)

    def entries(self, log: str, after: int, most: int) -> list[LogEntry]:
        raise NotImplementedError

    def verify(self, log: str) -> LogCheck:
        raise NotImplementedError

    def page(self, kind: str, beyond: bytes | None, most: int, *, down: bool = False) -> Page:
        raise NotImplementedError

    def close(self) -> None:
        self.closed = True
        if self.failure is not None:
            raise self.failure


class ByHand:
    """A thread that runs when the test says so."""

    def __init__(self) -> None:
        self.pending: list[tuple[Callable[[], Any], Callable[[Any], None]]] = []
        self.stopped = False

    def run(self, work: Callable[[], Any], finished: Callable[[Any], None]) -> None:
        self.pending.append((work, finished))

    def turn(self) -> None:
        """Run the one piece of work there may be."""
        [(work, finished)] = self.pending
        self.pending.clear()
        try:
            result = work()
        except Exception as error:
            result = error
        finished(result)

    def stop(self) -> None:
        assert not self.pending
        self.stopped = True


class GroupCommitCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.store = Scripted()
        self.thread = ByHand()
        self.clock = Clock()
        self.group = GroupCommit(self.store, self.thread, self.clock)
        self.heard: list[tuple[int, Outcome | str]] = []

    def turn(self) -> None:
        """Let as much time pass as lies between commits, and the commit that is due happen."""
        self.clock.advance(commit.PACE)
        self.thread.turn()

    def submit(self, number: int) -> None:
        def done(outcome: Outcome | StoreFailed) -> None:
            self.heard.append((number, outcome if isinstance(outcome, Outcome) else str(outcome)))

        self.group.submit(unit(number), done)
        # The turn in which it came is over.
        self.clock.advance(0)


class GroupCommitTests(GroupCommitCase):
    def test_the_first_unit_does_not_wait_and_the_next_wait_for_it(self) -> None:
        for number in range(4):
            self.submit(number)
        self.assertEqual((len(self.group), self.heard), (3, []))
        # The first is stored; the three that came meanwhile are begun together.
        self.turn()
        self.assertEqual((len(self.group), self.heard), (0, [(0, STORED)]))
        self.turn()
        self.assertEqual(self.heard, [(n, STORED) for n in range(4)])
        self.assertEqual(self.store.batches, [1, 3])
        self.assertEqual(self.thread.pending, [])

    def test_what_comes_in_one_turn_is_begun_together_when_that_is_over(self) -> None:
        for number in range(3):
            self.group.submit(unit(number), lambda outcome: self.assertIs(outcome, STORED))
        self.assertEqual(self.thread.pending, [])
        self.clock.advance(0)
        self.thread.turn()
        self.assertEqual(self.store.batches, [3])

    def test_each_hears_its_own_outcome(self) -> None:
        for number in (0, 1, 2, 1, 0, 3):
            self.submit(number)
        self.turn()
        self.turn()
        self.assertEqual(self.heard, [(0, STORED), (1, STORED), (2, STORED), (1, CONFLICT), (0, CONFLICT), (3, STORED)])

    def test_a_slow_commit_is_followed_by_the_next_before_it_is_told(self) -> None:
        begun: list[int] = []
        self.group.submit(unit(0), lambda _: begun.append(len(self.thread.pending)))
        self.clock.advance(0)
        self.submit(1)
        self.turn()
        self.assertEqual(begun, [1])

    def test_fast_commits_of_several_keep_their_pace(self) -> None:
        for number in (0, 1, 2):
            self.submit(number)
        self.thread.turn()
        self.clock.advance(commit.PACE / 4)
        self.thread.turn()
        self.assertEqual(self.store.batches, [1, 2])
        # Stored in no time; the next units gather until it is time for them.
        for number in (3, 4, 5):
            self.submit(number)
            self.assertEqual(self.thread.pending, [])
            self.clock.advance(commit.PACE / 4)
        self.thread.turn()
        self.assertEqual(self.store.batches, [1, 2, 3])
        self.clock.advance(commit.PACE)
        # Those who come one by one do not wait for each other.
        for number in (6, 7):
            self.submit(number)
            self.thread.turn()
        self.assertEqual(self.store.batches, [1, 2, 3, 1, 1])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_is_submitted_by_who_was_told_is_stored_too(self) -> None:
        self.group.submit(unit(0), lambda _: self.submit(1))
        self.turn()
        self.turn()
        self.assertEqual(self.heard, [(1, STORED)])

    def test_a_batch_is_bounded(self) -> None:
        self.patch(commit, "MOST_AT_ONCE", 2)
        for number in range(6):
            self.submit(number)
        for _ in range(4):
            self.turn()
        self.assertEqual(self.store.batches, [1, 2, 2, 1])
        self.assertEqual(self.heard, [(n, STORED) for n in range(6)])

    def test_too_many_are_refused_at_once_and_later_ones_are_not(self) -> None:
        self.group = GroupCommit(self.store, self.thread, self.clock, 2)
        for number in range(3):
            self.submit(number)
        error = self.assertRaises(StoreFailed, self.submit, 3)
        self.assertEqual(str(error), "too many units wait for the store (2)")
        self.turn()
        self.submit(4)
        self.turn()
        self.turn()
        self.assertEqual(self.heard, [(n, STORED) for n in (0, 1, 2, 4)])

    def test_a_failure_is_told_to_all_of_its_batch_and_to_nobody_else(self) -> None:
        for number in range(3):
            self.submit(number)
        self.turn()
        self.store.failure = StoreFailed("the disk is full")
        self.turn()
        self.store.failure = None
        self.submit(1)
        self.turn()
        why = "the disk is full"
        self.assertEqual(self.heard, [(0, STORED), (1, why), (2, why), (1, STORED)])

    def test_a_fault_of_the_program_is_logged_and_told_as_a_failure(self) -> None:
        self.store.failure = ZeroDivisionError("with a secret in it")
        self.submit(0)
        self.turn()
        self.assertEqual(self.heard, [(0, "the store failed unexpectedly (ZeroDivisionError)")])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_who_fails_when_told_keeps_nobody_from_hearing(self) -> None:
        self.submit(0)
        self.group.submit(unit(1), lambda _: 1 // 0)  # type: ignore[arg-type]  # never returns
        self.submit(2)
        self.turn()
        self.turn()
        self.assertEqual(self.heard, [(0, STORED), (2, STORED)])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class StopTests(GroupCommitCase):
    def test_it_stops_at_once_when_nothing_waits(self) -> None:
        stopped = self.group.stop()
        self.assertNoResult(stopped)
        self.turn()
        self.assertIsNone(self.successResultOf(stopped))
        self.assertTrue(self.store.closed and self.thread.stopped)

    def test_what_waits_is_stored_first(self) -> None:
        for number in range(3):
            self.submit(number)
        stopped = self.group.stop()
        self.turn()
        self.assertFalse(self.store.closed)
        self.turn()
        self.assertEqual(self.heard, [(n, STORED) for n in range(3)])
        self.assertNoResult(stopped)
        self.turn()
        self.successResultOf(stopped)
        self.assertEqual(self.store.batches, [1, 2])
        self.assertTrue(self.store.closed and self.thread.stopped)

    def test_what_would_have_waited_for_its_time_is_stored_at_once(self) -> None:
        for number in range(3):
            self.submit(number)
        for _ in range(2):
            self.thread.turn()
        self.submit(3)
        self.assertEqual(self.thread.pending, [])
        stopped = self.group.stop()
        self.thread.turn()
        self.thread.turn()
        self.successResultOf(stopped)
        self.assertEqual(self.heard, [(n, STORED) for n in range(4)])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nothing_more_is_taken(self) -> None:
        stopped = self.group.stop()
        self.assertIn("is being closed", str(self.assertRaises(StoreFailed, self.submit, 0)))
        self.turn()
        self.assertIn("is being closed", str(self.assertRaises(StoreFailed, self.submit, 0)))
        self.successResultOf(stopped)
        self.assertEqual(self.heard, [])

    def test_it_may_be_stopped_by_who_is_told_and_more_than_once(self) -> None:
        stopped: list[Deferred[None]] = []
        self.group.submit(unit(0), lambda _: stopped.extend([self.group.stop(), self.group.stop()]))
        self.turn()
        self.turn()
        stopped.append(self.group.stop())
        self.assertEqual([self.successResultOf(each) for each in stopped], [None] * 3)

    def test_a_store_that_does_not_close_is_told(self) -> None:
        self.store.failure = StoreFailed("the disk does not write")
        stopped = self.group.stop()
        self.turn()
        self.assertEqual(str(self.failureResultOf(stopped, StoreFailed).value), "the disk does not write")
        self.assertTrue(self.thread.stopped)


class CommitThreadTests(TestCase):
    @inlineCallbacks
    def test_units_are_committed_in_one_other_thread_and_told_in_the_reactors(self) -> Any:
        store = Scripted()
        group = GroupCommit(store, CommitThread(reactor), reactor)  # type: ignore[arg-type]  # the module is the reactor
        heard: list[tuple[Outcome | StoreFailed, int]] = []
        waiting = []
        for number in (*range(50), 0):
            told: Deferred[None] = Deferred()
            waiting.append(told)

            def done(outcome: Outcome | StoreFailed, told: Deferred[None] = told) -> None:
                heard.append((outcome, threading.get_ident()))
                told.callback(None)

            group.submit(unit(number), done)
        for told in waiting:
            yield told
        store.failure = StoreFailed("the disk is full")
        failed: Deferred[Outcome | StoreFailed] = Deferred()
        group.submit(unit(99), failed.callback)
        self.assertIs((yield failed), store.failure)
        store.failure = None
        yield group.stop()
        self.assertEqual([outcome for outcome, _ in heard], [STORED] * 50 + [CONFLICT])
        self.assertEqual({thread for _, thread in heard}, {threading.get_ident()})
        self.assertEqual(len(store.threads), 1)
        self.assertNotIn(threading.get_ident(), store.threads)
        self.assertTrue(store.closed)

    def test_a_process_that_ends_does_not_wait_for_the_thread(self) -> None:
        program = (
            "import sys\n"
            "from twisted.internet import reactor\n"
            "from seckex.net.commit import CommitThread\n"
            "thread = CommitThread(reactor)\n"
            "sys.exit('the port is taken')\n"
        )
        environment = {"PYTHONPATH": os.pathsep.join(path or "." for path in sys.path)}
        ended = subprocess.run([sys.executable, "-c", program], capture_output=True, env=environment, timeout=120)
        self.assertEqual((ended.returncode, ended.stderr), (1, b"the port is taken\n"))
