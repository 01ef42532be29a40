"""Going through all that is sealed under a master key, and sealing anew what is not under the present one.

A pass goes through everything once, in portions. What neither key opens stays as it is, and
is counted.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Protocol

from attrs import define, field, frozen

from seckex.crypto.atrest import MasterKey, Wrapping
from seckex.errors import AuthenticationFailed
from seckex.storage.database import Database
from seckex.storage.rows import Damaged, Row


class Place(Protocol):
    """A place where things are sealed; numbers are of the pass that was started last. Methods raise `StoreFailed`."""

    found: int
    unreadable: int

    @property
    def whole(self) -> int:
        """How much there is to go through."""
        ...

    @property
    def done(self) -> int:
        """How much of it was gone through."""
        ...

    def use(self, master: MasterKey) -> None:
        """Seal under ``master`` from now on."""
        ...

    def begin(self) -> None:
        """Seal anew what tells which master key the place belongs to."""
        ...

    def start(self) -> None:
        """Start a pass."""
        ...

    def step(self, portion: int) -> bool:
        """Go through a portion; return whether the pass is through."""
        ...

    def end(self) -> None:
        """Let nothing be left of what was sealed under the former key."""
        ...

    def close(self, master: MasterKey) -> None:
        """Have ``master`` alone, or let go of what was opened for this."""
        ...


@frozen
class Table:
    """A table with a sealed column; ``seal`` returns what is sealed in a row and what it is bound to (or `Damaged`)."""

    some: str
    last: str
    put: str
    seal: Callable[[Row], tuple[bytes, bytes]]
    which: int


def table(name: str, columns: str, sealed: str, seal: Callable[[Row], tuple[bytes, bytes]], which: int = 0) -> Table:
    """Return a table; ``which`` of the database's seals is its."""
    # Only constants of this package get here.
    return Table(
        f"SELECT rowid, {columns} FROM {name} WHERE rowid > ? AND rowid <= ? ORDER BY rowid LIMIT ?",  # noqa: S608  # see above
        f"SELECT coalesce(max(rowid), 0) FROM {name}",  # noqa: S608  # see above
        f"UPDATE {name} SET {sealed} = ? WHERE rowid = ?",  # noqa: S608  # see above
        seal,
        which,
    )


@define
class Tables:
    """The tables of a database; ``seals`` returns what they are sealed with now."""

    _database: Database
    _tables: Sequence[Table]
    _seals: Callable[[], Sequence[Wrapping]]
    found: int = field(default=0, init=False)
    unreadable: int = field(default=0, init=False)
    _at: int = field(default=0, init=False)
    _after: int = field(default=0, init=False)
    _lasts: list[int] = field(factory=list, init=False)

    @property
    def whole(self) -> int:
        """How many rows there may be."""
        return sum(self._lasts)

    @property
    def done(self) -> int:
        """How many of them were gone through."""
        return sum(self._lasts[: self._at]) + self._after

    def start(self) -> None:
        """Start a pass."""
        self.found = self.unreadable = self._at = self._after = 0
        self._lasts = self._database.transact(
            lambda connection: [connection.execute(each.last).fetchone()[0] for each in self._tables]
        )

    def step(self, portion: int) -> bool:
        """Go through some rows; return whether the pass is through."""
        if self._at < len(self._tables):
            rows, anew, unreadable = self._database.transact(lambda connection: self._portion(connection, portion))
            self.unreadable += unreadable
            self.found += anew
            if len(rows) < portion:
                self._at, self._after = self._at + 1, 0
            else:
                self._after = rows[-1]
        return self._at >= len(self._tables)

    def _portion(self, connection: sqlite3.Connection, portion: int) -> tuple[list[int], int, int]:
        """Return the numbers of the rows, how many were sealed anew and how many cannot be read."""
        place, last = self._tables[self._at], self._lasts[self._at]
        wrapping = self._seals()[place.which]
        rows = connection.execute(place.some, (self._after, last, portion)).fetchall()
        anew: list[tuple[bytes, int]] = []
        unreadable = 0
        for number, *row in rows:
            try:
                sealed = rewrapped(wrapping, *place.seal(tuple(row)))
            except (AuthenticationFailed, Damaged):
                unreadable += 1
                continue
            if sealed is not None:
                anew.append((sealed, number))
        connection.executemany(place.put, anew)
        return [row[0] for row in rows], len(anew), unreadable


def rewrapped(wrapping: Wrapping, sealed: object, bound: bytes) -> bytes | None:
    """Return what is sealed, sealed anew, None where that is not needed; raises `AuthenticationFailed`."""
    if not isinstance(sealed, bytes):
        raise AuthenticationFailed("not octets")
    return wrapping.rewrap(sealed, bound)


def rewrap_meta(connection: sqlite3.Connection, names: Sequence[tuple[str, bytes]], wrapping: Wrapping) -> bool:
    """Seal rows of `meta` anew, by name and what they are bound to; return whether there was anything to do."""
    anew: list[tuple[bytes, str]] = []
    for name, bound in names:
        row = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        try:
            sealed = None if row is None else rewrapped(wrapping, row[0], bound)
        except AuthenticationFailed:
            # Altered; whoever reads it is told.
            continue
        if sealed is not None:
            anew.append((sealed, name))
    connection.executemany("UPDATE meta SET value = ? WHERE name = ?", anew)
    return bool(anew)
