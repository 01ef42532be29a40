"""Another master key for a store that is in use.

    begin   the key file holds both keys, `meta` is sealed under the new one and has the row ``rotation``
    step    a portion of the rows is sealed anew; again and again, between commits
    end     the row ``rotation`` goes, write-ahead logs are emptied, the key file holds the new key alone

From `begin` on everything that is written is sealed under the new key. The
tables, and those of messages and the files of the spool that are beside, are gone
through until nothing was found that is not: the last pass is the proof that
nothing needs the former key. A process may be killed at any
point: the key file tells the next one that there are two keys, and `begin`
goes on from whatever it finds. What neither key opens stays as it is, counted,
and is told of as damaged whenever it is read, as before.

Only one worker may be at work when it begins, since others would go on sealing
under the key that they have. Those that start later have both.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from attrs import define, field, frozen

from seckex.crypto.atrest import MasterKey
from seckex.errors import StoreFailed
from seckex.sa.store import Append
from seckex.storage.lock import locked, others_at_work
from seckex.storage.logs import HEADS_BOUND, write_entries
from seckex.storage.masterkey import drop_former_key, put_new_key
from seckex.storage.messages.sealed import sealed_beside
from seckex.storage.messages.sqlite import SqliteMessages
from seckex.storage.resealing import Place, Tables, rewrap_meta, table
from seckex.storage.rows import ASSOCIATION_COLUMNS, RECORD_COLUMNS, association_seal, record_seal
from seckex.storage.schema import CHECK_BOUND
from seckex.storage.spool import Spool
from seckex.storage.sqlite import SqliteStore

#: Rows that are gone through at once: some 2 ms, for which commits have to wait.
PORTION: Final = 256

_UNDER_WAY: Final = "SELECT count(*) FROM meta WHERE name = 'rotation'"
_MARK: Final = "INSERT INTO meta VALUES ('rotation', x'') ON CONFLICT DO NOTHING"
_UNMARK: Final = "DELETE FROM meta WHERE name = 'rotation'"
_SEALED_META: Final = (("check", CHECK_BOUND), ("heads", HEADS_BOUND))

#: Returns what a log gets, of the new master key and the one that it takes the place of.
Entries: TypeAlias = Callable[[MasterKey], tuple[Append, ...]]

_TABLES: Final = (
    table("association", ASSOCIATION_COLUMNS, "keys", association_seal, 0),
    table("record", RECORD_COLUMNS, "octets", record_seal, 1),
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


class _SealedStore(Tables):
    """The store of associations, for which `Rotation` does the rest."""

    def __init__(self, store: SqliteStore) -> None:
        super().__init__(store, _TABLES, lambda: store.seals)

        self._store = store

    def use(self, master: MasterKey) -> None:
        self._store.use(master)

    def begin(self) -> None:
        """Nothing: it is done with what logs get."""

    def end(self) -> None:
        self._store.shrink()

    def close(self, master: MasterKey) -> None:
        self._store.use(master)


@define
class Rotation:
    """See the module; ``key_file`` is where the master key is, ``worker`` our number among those of the store.

    ``messages`` and ``spools`` must be those that this process uses; those beside the store that it does not use are
    opened. All methods are for the store's thread and raise `StoreFailed`; they can be called again then.
    """

    _store: SqliteStore
    _key_file: Path
    _worker: int
    _entropy: Callable[[int], bytes]
    _messages: SqliteMessages | None = None
    _spools: Sequence[Spool] = ()
    _places: list[Place] = field(factory=list, init=False)
    _at: int = field(default=0, init=False)
    _rewrapped: int = field(default=0, init=False)
    _passes: int = field(default=0, init=False)

    @property
    def progress(self) -> Progress:
        """How far it is."""
        whole = sum(place.whole for place in self._places)
        done = sum(place.done for place in self._places)
        found = sum(place.found for place in self._places)
        unreadable = sum(place.unreadable for place in self._places)
        return Progress(self._rewrapped + found, unreadable, done / whole if whole else 1.0, self._passes)

    def begin(self, entries: Entries = _nothing) -> None:
        """Have two keys and seal under the new one, unless it is so already; ``entries`` are written once."""
        store = self._store
        try:
            with locked(store.path.with_name(store.path.name + ".lock")):
                if store.master.former is None:
                    others = others_at_work(store.path.parent, self._worker)
                    if others:
                        raise StoreFailed(_OTHERS.format(others=", ".join(map(str, others))))
                if not self._places:
                    # Opened with the key that there is, since they may not know of another yet.
                    self._places = self._found()
                master = put_new_key(self._key_file, store.master, self._entropy)
                for place in self._places:
                    place.use(master)
                    place.begin()
                store.transact(lambda connection: self._begin(connection, entries))
        except OSError as error:
            raise StoreFailed(f"the locks in {store.path.parent} cannot be used: {error.strerror}") from error
        self._rewrapped = self._passes = 0
        self._start_pass()

    def _found(self) -> list[Place]:
        store = self._store
        state = store.path.parent
        beside = sealed_beside(state, store.master, self._entropy, self._messages, self._spools)
        return [_SealedStore(store), *beside]

    def _begin(self, connection: sqlite3.Connection, entries: Entries) -> None:
        if self._rewrap_meta(connection):
            # It has not begun before: whoever has begun has done this.
            connection.execute(_MARK)
            write_entries(connection, entries(self._store.master), self._store.seals[0])

    def step(self) -> bool:
        """Go through a portion of the rows; return whether a whole pass has found nothing to do."""
        if self._at < len(self._places):
            self._at += self._places[self._at].step(PORTION)
            return False
        found = sum(place.found for place in self._places)
        if found == 0:
            return True
        self._rewrapped += found
        self._start_pass()
        return False

    def end(self, entries: Entries = _nothing) -> None:
        """Let go of the former key; ``entries`` are written once."""
        self._store.transact(lambda connection: self._end(connection, entries))
        # What a long reader keeps in the log there is sealed under a key that is about to be gone.
        for place in self._places:
            place.end()
        master = drop_former_key(self._key_file, self._store.master)
        for place in self._places:
            place.close(master)

    def _end(self, connection: sqlite3.Connection, entries: Entries) -> None:
        self._rewrap_meta(connection)
        if connection.execute(_UNDER_WAY).fetchone()[0]:
            connection.execute(_UNMARK)
            write_entries(connection, entries(self._store.master), self._store.seals[0])

    def _start_pass(self) -> None:
        self._passes += 1
        self._at = 0
        for place in self._places:
            place.start()

    def _rewrap_meta(self, connection: sqlite3.Connection) -> bool:
        """Seal what is in `meta` anew; return whether there was anything to do."""
        return rewrap_meta(connection, _SEALED_META, self._store.seals[0])


_OTHERS: Final = (
    "the workers {others} use this database too, and would go on sealing under the key that they have: stop them, "
    "exchange the master key, and start them again"
)
