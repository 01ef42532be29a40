"""A connection to a SQLite file: opened when it is needed, given up when it may be broken, left in no transaction.

A file that was removed or replaced while it was in use is noticed: what is
written to it then would be lost with the last process that has it open.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import ClassVar, TypeVar

from seckex.errors import StoreFailed
from seckex.storage.failures import NEGOTIATED_ANEW, damaged, store_failed
from seckex.storage.schema import BUSY_SECONDS, look_into

T = TypeVar("T")


class Database:
    """See the module; ``factory`` makes the connection. Whoever inherits says how the file is prepared."""

    #: What becomes of it if somebody moves the file away.
    loss: ClassVar[str] = NEGOTIATED_ANEW

    def __init__(self, path: Path, factory: type[sqlite3.Connection]) -> None:
        self.path = path
        self._factory = factory
        self._connection: sqlite3.Connection | None = None
        self._closed = False
        self._file: tuple[int, int] | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path}>"

    def _prepared(self) -> sqlite3.Connection:
        """Return a new connection, with everything in the file as it should be."""
        raise NotImplementedError

    def transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return what ``work`` does in one transaction, durable then; raises `StoreFailed` and what ``work`` raises."""
        with self._failures():
            connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            done = work(connection)
            connection.execute("COMMIT")
        return done

    def shrink(self, *, patient: bool = True) -> bool:
        """Move all there is in the write-ahead log into the file, and empty it; False where somebody is reading it.

        Who is ``patient`` waits up to `BUSY_SECONDS` for that.
        """
        with self._failures():
            connection = self._open()
            if not patient:
                connection.execute("PRAGMA busy_timeout = 0")
            try:
                busy: int = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            finally:
                connection.execute(f"PRAGMA busy_timeout = {round(BUSY_SECONDS * 1000)}")
        return not busy

    def close(self) -> None:
        """Let go of the file, for good; raises `StoreFailed`."""
        self._closed = True
        with self._failures():
            if self._connection is not None:
                connection, self._connection = self._connection, None
                connection.close()

    @contextmanager
    def _looking(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection that sees the database as it is now and alters nothing."""
        if self._closed:
            raise StoreFailed(f"{self.path} has been closed")
        try:
            with closing(look_into(self.path, self._factory)) as connection:
                connection.execute("BEGIN")
                yield connection
        except sqlite3.Error as error:
            raise store_failed(self.path, error, self.loss) from error

    def _open(self) -> sqlite3.Connection:
        if self._closed:
            raise StoreFailed(f"{self.path} has been closed")
        if self._file is not None and self._file != _identity(self.path):
            # What is written there now would be lost with the last process that has it open.
            raise StoreFailed(
                f"{self.path} was removed or replaced while it was in use: put it back with its directory, or restart "
                "the daemon to begin anew"
            )
        if self._connection is None:
            self._connection = self._prepared()
            self._file = _identity(self.path)
        return self._connection

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Leave no transaction open if the block raises; SQLite's and the system's errors become `StoreFailed`."""
        try:
            yield
        except BaseException as error:
            self._abandon()
            if isinstance(error, sqlite3.Error):
                raise store_failed(self.path, error, self.loss) from error
            if isinstance(error, UnicodeDecodeError):
                # SQLite's own words about damage may quote it.
                raise damaged(self.path, self.loss) from None
            if isinstance(error, OSError):
                raise StoreFailed(f"{self.path} cannot be opened: {error.strerror}") from error
            raise

    def _abandon(self) -> None:
        connection = self._connection
        if connection is None or not connection.in_transaction:
            return
        try:
            connection.execute("ROLLBACK")
        except sqlite3.Error:
            # The next use opens another connection, which begins with what is durable.
            self._connection = None
            with suppress(sqlite3.Error):
                connection.close()


def _identity(path: Path) -> tuple[int, int] | None:
    """Return which file has the name ``path``, None where none has."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
