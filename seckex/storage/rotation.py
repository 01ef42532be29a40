"""Another master key for a store that is in use.

    begin   the key file holds both keys, `meta` is sealed under the new one and has the row ``rotation``
    step    a portion of the rows is sealed anew; again and again, between commits
    end     the row ``rotation`` goes, the write-ahead log is emptied, the key file holds the new key alone

From `begin` on everything that is written is sealed under the new key. The
tables are gone through until nothing was found that is not: the last pass is
the proof that no row needs the former key. A process may be killed at any
point: the key file tells the next one that there are two keys, and `begin`
goes on from whatever it finds. What neither key opens stays as it is, counted,
and is told of as damaged whenever it is read, as before.

Only one worker may be at work when it begins, since others would go on sealing
under the key that they have. Those that start later have both.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

from attrs import define, field, frozen

from seckex.crypto.atrest import MasterKey, Wrapping
from seckex.errors import AuthenticationFailed, StoreFailed
from seckex.sa.store import Append
from seckex.storage.lock import locked, others_at_work
from seckex.storage.logs import HEADS_BOUND, write_entries
from seckex.storage.masterkey import drop_former_key, put_new_key
from seckex.storage.rows import ASSOCIATION_COLUMNS, RECORD_COLUMNS, Damaged, Row, association_seal, record_seal
from seckex.storage.schema import CHECK_BOUND
from seckex.storage.sqlite import SqliteStore

#: Rows that are gone through at once: some 2 ms, for which commits have to wait.
PORTION: Final = 256

_UNDER_WAY: Final = "SELECT count(*) FROM meta WHERE name = 'rotation'"
_MARK: Final = "INSERT INTO meta VALUES ('rotation', x'') ON CONFLICT DO NOTHING"
_UNMARK: Final = "DELETE FROM meta WHERE name = 'rotation'"
_SEALED_META: Final = (("check", CHECK_BOUND), ("heads", HEADS_BOUND))

Seal: TypeAlias = Callable[[Row], tuple[bytes, bytes]]
#: Returns what a log gets, of the new master key and the one that it takes the place of.
Entries: TypeAlias = Callable[[MasterKey], tuple[Append, ...]]


@frozen
class _Table:
    name: str
    seal: Seal
    some: str
    put: str
    which: int

    @property
    def last(self) -> str:
        return f"SELECT coalesce(max(rowid), 0) FROM {self.name}"  # noqa: S608  # a constant


def _table(name: str, columns: str, sealed: str, seal: Seal, which: int) -> _Table:
    # Only constants of this package get here.
    some = f"SELECT rowid, {columns} FROM {name} WHERE rowid > ? AND rowid <= ? ORDER BY rowid LIMIT ?"  # noqa: S608  # see above
    return _Table(name, seal, some, f"UPDATE {name} SET {sealed} = ? WHERE rowid = ?", which)  # noqa: S608  # see above


_TABLES: Final = (
    _table("association", ASSOCIATION_COLUMNS, "keys", association_seal, 0),
    _table("record", RECORD_COLUMNS, "octets", record_seal, 1),
)


def _nothing(_master: MasterKey) -> tuple[Append, ...]:
    return ()


@frozen
class Progress:
    """How far it is: rows sealed anew, rows that neither key opens, and the part of the rows that was gone through.

    ``passes`` begun; the last one finds nothing to do.
    """

    rewrapped: int
    unreadable: int
    part: float
    passes: int


@define
class Rotation:
    """See the module; ``key_file`` is where the master key is, ``worker`` our number among those of the store.

    All methods are for the store's thread and raise `StoreFailed`; they can be called again then.
    """

    _store: SqliteStore
    _key_file: Path
    _worker: int
    _entropy: Callable[[int], bytes]
    _rewrapped: int = field(default=0, init=False)
    _unreadable: int = field(default=0, init=False)
    _passes: int = field(default=0, init=False)
    _found: int = field(default=0, init=False)
    _at: int = field(default=0, init=False)
    _after: int = field(default=0, init=False)
    _lasts: list[int] = field(factory=list, init=False)

    @property
    def progress(self) -> Progress:
        """How far it is."""
        whole = sum(self._lasts)
        done = sum(self._lasts[: self._at]) + self._after
        return Progress(self._rewrapped, self._unreadable, done / whole if whole else 1.0, self._passes)

    def begin(self, entries: Entries = _nothing) -> None:
        """Have two keys and seal under the new one, unless it is so already; ``entries`` are written once."""
        store = self._store
        try:
            with locked(store.path.with_name(store.path.name + ".lock")):
                if store.master.former is None:
                    others = others_at_work(store.path.parent, self._worker)
                    if others:
                        raise StoreFailed(_OTHERS.format(others=", ".join(map(str, others))))
                store.use(put_new_key(self._key_file, store.master, self._entropy))
                store.transact(lambda connection: self._begin(connection, entries))
        except OSError as error:
            raise StoreFailed(f"the locks in {store.path.parent} cannot be used: {error.strerror}") from error
        self._start_pass(first=True)

    def _begin(self, connection: sqlite3.Connection, entries: Entries) -> None:
        if self._rewrap_meta(connection):
            # It has not begun before: whoever has begun has done this.
            connection.execute(_MARK)
            write_entries(connection, entries(self._store.master), self._store.seals[0])

    def step(self) -> bool:
        """Go through a portion of the rows; return whether a whole pass has found nothing to do."""
        if self._at < len(_TABLES):
            rows, anew, unreadable = self._store.transact(self._portion)
            self._unreadable += unreadable
            self._found += anew
            self._rewrapped += anew
            if len(rows) < PORTION:
                self._at, self._after = self._at + 1, 0
            else:
                self._after = rows[-1]
            return False
        if self._found == 0:
            return True
        self._start_pass(first=False)
        return False

    def end(self, entries: Entries = _nothing) -> None:
        """Let go of the former key; ``entries`` are written once."""
        self._store.transact(lambda connection: self._end(connection, entries))
        # What a long reader keeps in the log there is sealed under a key that is about to be gone.
        self._store.shrink()
        self._store.use(drop_former_key(self._key_file, self._store.master))

    def _end(self, connection: sqlite3.Connection, entries: Entries) -> None:
        self._rewrap_meta(connection)
        if connection.execute(_UNDER_WAY).fetchone()[0]:
            connection.execute(_UNMARK)
            write_entries(connection, entries(self._store.master), self._store.seals[0])

    # -- rows

    def _start_pass(self, *, first: bool) -> None:
        self._passes = 1 if first else self._passes + 1
        self._rewrapped = 0 if first else self._rewrapped
        self._found = self._unreadable = self._at = self._after = 0
        self._lasts = self._store.transact(
            lambda connection: [connection.execute(table.last).fetchone()[0] for table in _TABLES]
        )

    def _portion(self, connection: sqlite3.Connection) -> tuple[list[int], int, int]:
        """Return the numbers of the rows, how many were sealed anew and how many cannot be read."""
        table, last = _TABLES[self._at], self._lasts[self._at]
        wrapping = self._store.seals[table.which]
        rows = connection.execute(table.some, (self._after, last, PORTION)).fetchall()
        anew: list[tuple[bytes, int]] = []
        unreadable = 0
        for number, *row in rows:
            try:
                sealed = _rewrapped(wrapping, *table.seal(tuple(row)))
            except (AuthenticationFailed, Damaged):
                unreadable += 1
                continue
            if sealed is not None:
                anew.append((sealed, number))
        connection.executemany(table.put, anew)
        return [row[0] for row in rows], len(anew), unreadable

    def _rewrap_meta(self, connection: sqlite3.Connection) -> bool:
        """Seal what is in `meta` anew; return whether there was anything to do."""
        anew: list[tuple[bytes, str]] = []
        for name, bound in _SEALED_META:
            row = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
            try:
                sealed = None if row is None else _rewrapped(self._store.seals[0], row[0], bound)
            except AuthenticationFailed:
                # Altered; whoever reads it is told.
                continue
            if sealed is not None:
                anew.append((sealed, name))
        connection.executemany("UPDATE meta SET value = ? WHERE name = ?", anew)
        return bool(anew)


_OTHERS: Final = (
    "the workers {others} use this database too, and would go on sealing under the key that they have: stop them, "
    "exchange the master key, and start them again"
)


def _rewrapped(wrapping: Wrapping, sealed: object, bound: bytes) -> bytes | None:
    if not isinstance(sealed, bytes):
        raise AuthenticationFailed("not octets")
    return wrapping.rewrap(sealed, bound)
