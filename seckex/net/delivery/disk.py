"""What is read from the store, and read and written in the spool, aside from the reactor.

One thread does it all in the order in which it was asked for, so that a file is written before it is synchronised, and
commits, which have a thread of their own, do not wait for long payloads.

The spool has at most ``most`` octets of payloads; a piece more is refused, and its writer told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from seckex.delivery.store import DeadMessage, Segment
from seckex.errors import StoreFailed
from seckex.net.commit import Aside

T = TypeVar("T")

_log: Final = Logger()


class Stored(Protocol):
    """What is read of a store of messages, from any thread: `seckex.delivery.store.MessageStore`."""

    def segment(self, dialog_id: bytes, ours: bool, number: int) -> Segment | None:
        """Return the segment that has a message."""
        ...

    def dead(self, beyond: tuple[bytes, bool, int] | None, most: int) -> Iterable[DeadMessage]:
        """Return dead messages without their octets."""
        ...

    def dead_message(self, dialog_id: bytes, ours: bool, number: int) -> DeadMessage | None:
        """Return one dead message."""
        ...

    def kept(self, number: int) -> bytes | None:
        """Return the octets of an envelope that a relay keeps."""
        ...


class SpoolFiles(Protocol):
    """The files of the spool (`seckex.storage.spool`); methods raise `StoreFailed`."""

    def sizes(self) -> dict[str, int]:
        """Return the octets of the payload of each file, finished or not, by its name."""
        ...

    def read(self, name: str, fragment: int) -> bytes:
        """Return one fragment."""
        ...

    def write(self, name: str, fragment: int, octets: bytes) -> None:
        """Write one fragment of a file that is not finished."""
        ...

    def sync(self, name: str) -> None:
        """Make a file durable, and finished."""
        ...

    def drop(self, name: str) -> None:
        """Forget a file."""
        ...


class Disk:
    """See the module; of the spool there is left what is needed."""

    def __init__(self, store: Stored, spool: SpoolFiles, aside: Aside, most: int) -> None:
        self._store = store
        self._spool = spool
        self._aside = aside
        self.most = most
        self._under_way = 0
        self._stopping: Deferred[None] | None = None
        self._stopped = False
        self._sizes = spool.sizes()
        #: Octets of payloads in the spool.
        self.used = sum(self._sizes.values())

    def fetch(self, dialog_id: bytes, ours: bool, number: int, done: Callable[[bytes | StoreFailed], None]) -> None:
        """Read the octets of the segment that has a message."""

        def read() -> bytes:
            segment = self._store.segment(dialog_id, ours, number)
            if segment is None:
                raise StoreFailed("a segment that was stored is gone")
            return segment.octets

        self._run(read, done)

    def fetch_kept(self, number: int, done: Callable[[bytes | StoreFailed], None]) -> None:
        """Read the octets of an envelope that is kept for somebody."""

        def read() -> bytes:
            octets = self._store.kept(number)
            if octets is None:
                raise StoreFailed("an envelope that was kept is gone")
            return octets

        self._run(read, done)

    def dead(self, beyond: tuple[bytes, bool, int] | None, most: int) -> Deferred[list[DeadMessage]]:
        """Fire with dead messages, without their octets."""
        return self._later(lambda: list(self._store.dead(beyond, most)))

    def dead_message(self, dialog_id: bytes, ours: bool, number: int) -> Deferred[DeadMessage | None]:
        """Fire with a dead message."""
        return self._later(lambda: self._store.dead_message(dialog_id, ours, number))

    def read(self, name: str, fragment: int, done: Callable[[bytes | StoreFailed], None]) -> None:
        """Read one fragment of a file."""
        self._run(partial(self._spool.read, name, fragment), done)

    def write(self, name: str, fragment: int, octets: bytes, done: Callable[[StoreFailed | None], None]) -> None:
        """Write one fragment of a file, if the spool has room for it."""
        if self.used + len(octets) > self.most:
            self._run(_no_room, done)
            return
        self._sizes[name] = self._sizes.get(name, 0) + len(octets)
        self.used += len(octets)
        self._run(partial(self._spool.write, name, fragment, octets), done)

    def sync(self, name: str, done: Callable[[StoreFailed | None], None]) -> None:
        """Make a file durable, and finished."""
        self._run(partial(self._spool.sync, name), done)

    def drop(self, name: str) -> None:
        """Forget a file."""
        self.used -= self._sizes.pop(name, 0)
        self._run(partial(self._spool.drop, name), _forget)

    def stop(self) -> Deferred[None]:
        """Do no more; fires when what was asked for is done and the thread has ended."""
        if self._stopping is None:
            self._stopping = Deferred()
            self._check_stopped()
        return self._stopping if not self._stopped else succeed(None)

    def _later(self, work: Callable[[], T]) -> Deferred[T]:
        later: Deferred[T] = Deferred()

        def done(result: T | StoreFailed) -> None:
            if isinstance(result, StoreFailed):
                later.errback(result)
            else:
                later.callback(result)

        self._run(work, done)
        return later

    def _run(self, work: Callable[[], T], done: Callable[[T | StoreFailed], None]) -> None:
        if self._stopping is not None:
            work = _closed
        self._under_way += 1
        self._aside.run(work, partial(self._done, done))

    def _done(self, done: Callable[[Any], None], result: object) -> None:
        self._under_way -= 1
        if isinstance(result, BaseException) and not isinstance(result, StoreFailed):
            _log.failure("the disk failed unexpectedly", Failure(result))
            result = StoreFailed(f"the disk failed unexpectedly ({type(result).__name__})")
        try:
            done(result)
        except Exception:
            _log.failure("what waited for the disk failed when it was told")
        self._check_stopped()

    def _check_stopped(self) -> None:
        if self._stopping is not None and not self._under_way and not self._stopped:
            self._stopped = True
            self._aside.stop()
            self._stopping.callback(None)


def _no_room() -> Any:
    raise StoreFailed("the spool is full")


def _closed() -> Any:
    raise StoreFailed("the store is being closed")


def _forget(result: StoreFailed | None) -> None:
    if result is not None:
        _log.warn("a file of the spool is left behind: {why}", why=str(result))
