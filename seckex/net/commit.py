"""Group commit: all units that wait become durable with one transaction.

While a commit runs in its thread, units gather; when it is done, all that have
gathered go into the next one, which is begun before the outcomes of the last
are told, so that disk and reactor work side by side. Batches grow with the load
by themselves.

A transaction costs some 250 us of processor time beside what its units cost,
so on a fast disk there would be many small ones: after one of several units the
next is begun `PACE` later at least. One of a single unit is followed at once, so
that whoever asks for one thing after the other does not wait. A commit takes all
that comes in one turn of the reactor, and begins when that is over.

Other pieces of work on the store are done between commits (`GroupCommit.between`):
one at a time, and never two while units wait, so that a unit waits for one piece at most.

Limits: at most `MOST_WAITING` units wait and at most `MOST_AT_ONCE` are in one
transaction. When too many wait a unit is refused at once: the store does not
keep up, and its peer is better told so now.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorFromThreads, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from seckex.errors import StoreFailed
from seckex.node.histogram import Histogram
from seckex.sa.store import Outcome, Unit

T = TypeVar("T")
#: What is made durable, and what is told of it.
U = TypeVar("U")
R = TypeVar("R")
U_contra = TypeVar("U_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)

MOST_WAITING: Final = 8192
MOST_AT_ONCE: Final = 512
PACE: Final = 0.005

_log: Final = Logger()


class Aside(Protocol):
    """Something that runs one piece of work at a time, aside from the reactor."""

    def run(self, work: Callable[[], Any], finished: Callable[[Any], None]) -> None:
        """Run ``work`` and, in the reactor's thread, give ``finished`` what it returned or the exception it raised."""
        ...

    def stop(self) -> None:
        """End; nothing is running."""
        ...


class Batches(Protocol[U_contra, R_co]):
    """A store that takes several units in one transaction: `seckex.sa.store.Store`, or one of messages."""

    def commit(self, units: Sequence[U_contra]) -> Sequence[R_co]:
        """Make units durable, in their order, and return what became of each; raises `StoreFailed`."""
        ...

    def close(self) -> None:
        """Let go of what the store holds open."""
        ...


class CommitThread:
    """One thread that lasts until `stop`.

    A process that ends without `stop` does not wait for it: what was not told
    to be stored then may or may not be, as after a crash.
    """

    def __init__(self, reactor: IReactorFromThreads, name: str = "seckex-commit") -> None:
        self._reactor = reactor
        self._tasks: SimpleQueue[tuple[Callable[[], Any], Callable[[Any], None]] | None] = SimpleQueue()
        self._thread = Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def run(self, work: Callable[[], Any], finished: Callable[[Any], None]) -> None:
        """See `Aside.run`."""
        self._tasks.put((work, finished))

    def _serve(self) -> None:
        while (task := self._tasks.get()) is not None:
            work, finished = task
            try:
                result = work()
            except BaseException as error:
                result = error
            self._reactor.callFromThread(finished, result)

    def stop(self) -> None:
        """See `Aside.stop`."""
        self._tasks.put(None)
        self._thread.join()


@define
class GroupsOf(Generic[U, R]):
    """Feeds ``store``, whose only user it is, from the reactor's thread; ``clock`` is the reactor."""

    _store: Batches[U, R]
    _aside: Aside
    _clock: IReactorTime
    _most_waiting: int = MOST_WAITING
    _waiting: list[tuple[U, Callable[[R | StoreFailed], None]]] = field(factory=list, init=False, repr=False)
    _running: bool = field(default=False, init=False)
    _not_before: float = field(default=-math.inf, init=False)
    _due: IDelayedCall | None = field(default=None, init=False)
    _pieces: deque[tuple[Callable[[], Any], Deferred[Any]]] = field(factory=deque, init=False, repr=False)
    _stopping: list[Deferred[None]] = field(factory=list, init=False, repr=False)
    _stopped: bool = field(default=False, init=False)
    _begun: float = field(default=0.0, init=False)
    #: Why the last transaction failed, empty if it did not; and how long they took.
    trouble: str = field(default="", init=False)
    took: Histogram = field(factory=Histogram, init=False, repr=False)

    def __len__(self) -> int:
        """How many units wait, those that are being committed not counted."""
        return len(self._waiting)

    def submit(self, unit: U, done: Callable[[R | StoreFailed], None]) -> None:
        """Make ``unit`` durable and tell ``done``, later, what became of it.

        ``done`` is called exactly once, never before this returns, with what the
        store returned for it or with the `StoreFailed` for which nothing was stored. Raises
        `StoreFailed` when too many units wait, and after `stop`; then ``done``
        is not called.
        """
        if self._stopping or self._stopped:
            raise StoreFailed("the store is being closed")
        if len(self._waiting) >= self._most_waiting:
            raise StoreFailed(f"too many units wait for the store ({self._most_waiting})")
        self._waiting.append((unit, done))
        if not self._running and self._due is None:
            self._due = self._clock.callLater(max(self._wait, 0), self._next)

    def between(self, piece: Callable[[], T]) -> Deferred[T]:
        """Have ``piece`` done in the thread of the store when no commit runs; fire with what it returns.

        Fails with what it raises, and with `StoreFailed` after `stop`.
        """
        done: Deferred[T] = Deferred()
        if self._stopping or self._stopped:
            done.errback(StoreFailed("the store is being closed"))
        else:
            self._pieces.append((piece, done))
            if not self._running:
                self._next_piece()
        return done

    def stop(self) -> Deferred[None]:
        """Take no more units; fire when those that wait are committed, the store is closed and the thread has ended.

        Fails with `StoreFailed` if the store does not close.
        """
        if self._stopped:
            return succeed(None)
        stopped: Deferred[None] = Deferred()
        self._stopping.append(stopped)
        while self._pieces:
            self._pieces.popleft()[1].errback(StoreFailed("the store is being closed"))
        if self._due is not None:
            self._due.cancel()
            self._next()
        elif not self._running:
            self._close()
        return stopped

    @property
    def _wait(self) -> float:
        """How long the next commit has to wait yet, in seconds."""
        return self._not_before - self._clock.seconds()

    def _soon(self) -> None:
        wait = self._wait
        if wait > 0 and not self._stopping:
            self._due = self._clock.callLater(wait, self._next)
        else:
            self._next()

    def _next(self) -> None:
        self._due = None
        if self._running:
            # A piece of work is under way; it is followed by this.
            return
        batch = self._waiting[:MOST_AT_ONCE]
        if len(batch) > 1:
            self._not_before = self._clock.seconds() + PACE
        del self._waiting[:MOST_AT_ONCE]
        self._running = True
        self._begun = self._clock.seconds()
        self._aside.run(partial(self._store.commit, [unit for unit, _ in batch]), partial(self._finished, batch))

    def _finished(
        self, batch: Sequence[tuple[U, Callable[[R | StoreFailed], None]]], result: Sequence[R] | BaseException
    ) -> None:
        self._running = False
        self.took.observe(self._clock.seconds() - self._begun)
        outcomes = _outcomes(result, len(batch))
        self.trouble = next((str(each) for each in outcomes if isinstance(each, StoreFailed)), "")
        if self._pieces:
            self._next_piece()
        elif self._waiting:
            self._soon()
        for (_, done), outcome in zip(batch, outcomes, strict=True):
            try:
                done(outcome)
            except Exception:
                _log.failure("what waited for a commit failed when it was told")
        if self._stopping and not self._running:
            self._close()

    def _next_piece(self) -> None:
        piece, done = self._pieces.popleft()
        self._running = True
        self._aside.run(piece, partial(self._piece_done, done))

    def _piece_done(self, done: Deferred[Any], result: object) -> None:
        self._running = False
        if self._waiting:
            if self._due is None:
                self._soon()
        elif self._pieces:
            self._next_piece()
        elif self._stopping:
            self._close()
        if isinstance(result, BaseException):
            done.errback(Failure(result))
        else:
            done.callback(result)

    def _close(self) -> None:
        self._running = True
        self._aside.run(self._store.close, self._closed)

    def _closed(self, result: object) -> None:
        self._aside.stop()
        self._stopped = True
        for stopped in self._stopping:
            if isinstance(result, Exception):
                stopped.errback(result)
            else:
                stopped.callback(None)
        self._stopping.clear()


#: Of associations and records.
GroupCommit: TypeAlias = GroupsOf[Unit, Outcome]


def _outcomes(result: Sequence[R] | BaseException, count: int) -> Sequence[R | StoreFailed]:
    if isinstance(result, list):
        return result
    if isinstance(result, StoreFailed):
        return [result] * count
    # A fault in the program: the units are not stored, and the daemon goes on.
    _log.failure("a commit failed unexpectedly", Failure(result) if isinstance(result, BaseException) else None)
    return [StoreFailed(f"the store failed unexpectedly ({type(result).__name__})")] * count
