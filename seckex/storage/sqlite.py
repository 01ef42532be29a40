"""A store in one SQLite file, which several workers may share.

A batch is one transaction with at most one statement of each kind. It is first
written as if nothing in it were in conflict; if SQLite finds that something is,
the batch is rolled back, what is in the way is looked up under the write lock,
and the batch is written again without the units that it hits. So a replay costs
its batch two more queries and harms no other unit.

Durable means that the write-ahead log was synchronised (``synchronous=FULL``)
before `commit` returned. Whatever goes wrong is a `StoreFailed` with nothing of
the batch stored; the next commit stands on its own. One thing cannot be known:
when synchronising itself fails and the machine then stops before the next
commit, the batch that was reported as failed may be found stored.

Limits: a commit waits at most 5 s for other processes; a purge removes
`PURGED_AT_ONCE` rows of each table with each commit until it is done. The store
is used by one thread at a time and must not be carried over a fork.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from seckex.crypto.atrest import EPOCH_SIZE, MasterKey, Wrapping
from seckex.errors import AuthenticationFailed, StoreFailed
from seckex.sa.association import Association
from seckex.sa.logs import LogCheck, LogEntry
from seckex.sa.store import (
    ASIDE,
    MOST_REPLAYS,
    WORKER_MASK,
    Append,
    Later,
    Outcome,
    Page,
    Purge,
    Record,
    ReplayRecord,
    Snapshot,
    Unit,
)
from seckex.storage.batch import Batch, RecordKey, named, settle
from seckex.storage.database import Database
from seckex.storage.logs import check_log, read_entries, write_entries
from seckex.storage.rows import (
    ASSOCIATION_COLUMNS,
    RECORD_COLUMNS,
    REPLAY_COLUMNS,
    Damaged,
    Row,
    association_row,
    bound_to,
    read_association,
    read_record,
    read_replay,
    record_row,
    replay_key,
    replay_name,
    replay_row,
)
from seckex.storage.schema import open_database

PURGED_AT_ONCE: Final = 5000

_LABEL: Final = b"association keys"
_RECORD_LABEL: Final = b"records of roles"


def _insert(table: str, columns: str) -> str:
    # Only constants of this package get here.
    return f"INSERT INTO {table} ({columns}) VALUES ({', '.join('?' for _ in columns.split(','))})"  # noqa: S608  # see above


_PUT_REPLAY: Final = _insert("replay", REPLAY_COLUMNS)
_PUT_ASSOCIATION: Final = _insert("association", ASSOCIATION_COLUMNS)
_PUT_RECORD: Final = _insert("record", RECORD_COLUMNS)
_REPLACE_RECORD: Final = (
    f"{_PUT_RECORD} ON CONFLICT (kind, name) DO UPDATE SET octets = excluded.octets, expires = excluded.expires"
)
_ERASE: Final = "DELETE FROM record WHERE kind = ? AND name = ?"
_CONFIRM: Final = "UPDATE association SET confirmed = 1 WHERE spi_in = ?"
_DELETE: Final = "DELETE FROM association WHERE spi_in = ?"
_PURGE_REPLAYS: Final = "DELETE FROM replay WHERE rowid IN (SELECT rowid FROM replay WHERE expires < ? LIMIT ?)"
_PURGE_ASSOCIATIONS: Final = (
    "DELETE FROM association WHERE rowid IN (SELECT rowid FROM association WHERE expires < ? LIMIT ?)"
)
_PURGE_RECORDS: Final = "DELETE FROM record WHERE rowid IN (SELECT rowid FROM record WHERE expires < ? LIMIT ?)"
_FORGET: Final = (
    "INSERT INTO meta VALUES ('forgotten', ?) ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)"
)
# Once more where it is a copy of a copy.
_RESTORE: Final = (
    "INSERT INTO meta SELECT 'restored', ? WHERE EXISTS (SELECT 1 FROM meta WHERE name = 'copy') "
    "ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)
_UNMARK_COPY: Final = "DELETE FROM meta WHERE name = 'copy'"
_RESTORED: Final = "SELECT value FROM meta WHERE name = 'restored'"
_FORGOTTEN: Final = "SELECT value FROM meta WHERE name = 'forgotten'"
_STORED_REPLAYS: Final = (
    "SELECT r.spi, r.identification FROM json_each(?) AS k CROSS JOIN replay AS r "
    "ON r.identification = json_extract(k.value, '$[1]') AND r.spi = json_extract(k.value, '$[0]')"
)
_STORED_ASSOCIATIONS: Final = "SELECT a.spi_in FROM json_each(?) AS k CROSS JOIN association AS a ON a.spi_in = k.value"
_STORED_RECORD: Final = "SELECT 1 FROM record WHERE kind = ? AND name = ?"
_LOAD_RECORDS: Final = (
    f"SELECT {RECORD_COLUMNS} FROM record WHERE expires > ? AND substr(kind, -{len(ASIDE)}) IS NOT '{ASIDE}' "  # noqa: S608  # constants
    "ORDER BY rowid"
)
_PAGE_UP: Final = f"SELECT {RECORD_COLUMNS} FROM record WHERE kind = ? AND name > ? ORDER BY name LIMIT ?"  # noqa: S608  # constants
_PAGE_DOWN: Final = (
    f"SELECT {RECORD_COLUMNS} FROM record WHERE kind = ? AND (? IS NULL OR name < ?) ORDER BY name DESC LIMIT ?"  # noqa: S608  # constants
)
# Beside those that come later, of which there may be a million: those are not looked at.
_LOAD_OTHERS: Final = (
    f"SELECT {RECORD_COLUMNS} FROM record WHERE kind IN (SELECT value FROM json_each(?1)) AND expires > ?3 "  # noqa: S608  # constants
    f"UNION ALL SELECT {RECORD_COLUMNS} FROM record "
    "WHERE kind IN (SELECT value FROM json_each(?2)) AND expires > ?3 AND expires < 9e999"
)
# Each kind is found in the index behind the one before.
_KINDS: Final = (
    "WITH RECURSIVE k (kind) AS (SELECT min(kind) FROM record "
    "UNION ALL SELECT (SELECT min(kind) FROM record WHERE kind > k.kind) FROM k WHERE k.kind IS NOT NULL) "
    "SELECT kind FROM k WHERE kind IS NOT NULL"
)
# In the order of the rows, and not through the index, which would look for each row by itself.
_LOAD_LATER: Final = "SELECT name, octets FROM record WHERE +kind = ? AND expires = 9e999 ORDER BY rowid"
_LOAD_ASSOCIATIONS: Final = (
    f"SELECT {ASSOCIATION_COLUMNS} FROM association WHERE expires > ? AND spi_in & {WORKER_MASK} = ? "  # noqa: S608  # constants
    "ORDER BY rowid"
)
_LOAD_REPLAYS: Final = f"SELECT {REPLAY_COLUMNS} FROM replay WHERE expires > ? ORDER BY expires DESC LIMIT ?"  # noqa: S608  # constants


class SqliteStore(Database):
    """See the module and `seckex.sa.store.Store`.

    ``path`` is the file; its directory must be this process's alone and is made
    if its parent exists. ``entropy(n)`` returns n random octets. ``factory``
    makes the connection.
    """

    def __init__(
        self,
        path: Path,
        master: MasterKey,
        entropy: Callable[[int], bytes],
        factory: type[sqlite3.Connection] = sqlite3.Connection,
    ) -> None:
        super().__init__(path, factory)
        self._entropy = entropy
        self.use(master)
        self._unpurged: Purge | None = None
        with self._failures():
            self._open()

    # -- its master key

    @property
    def master(self) -> MasterKey:
        """What it seals under."""
        return self._master

    @property
    def seals(self) -> tuple[Wrapping, Wrapping]:
        """What it seals with: keys of associations and whatever else is its own, records of roles."""
        return self._wrapping, self._records

    def use(self, master: MasterKey) -> None:
        """Seal under ``master`` from now on; what is stored is not touched."""
        self._master = master
        self._wrapping = Wrapping(master, _LABEL, self._entropy(EPOCH_SIZE))
        self._records = Wrapping(master, _RECORD_LABEL, self._entropy(EPOCH_SIZE))

    # -- reading

    def serve(self, now: float) -> None:
        """Be used by a daemon from ``now`` on: where this is a copy, what was said before is not new any more."""

        def note(connection: sqlite3.Connection) -> None:
            connection.execute(_RESTORE, (now,))
            connection.execute(_UNMARK_COPY)

        self.transact(note)

    def load(self, worker: int, now: float, most_replays: int = MOST_REPLAYS, later: Collection[str] = ()) -> Snapshot:
        """See `Store.load`."""
        associations: list[Association] = []
        replays: list[ReplayRecord] = []
        records: list[Record] = []
        complaints: list[str] = []
        with self._failures():
            connection = self._open()
            connection.execute("BEGIN")
            for row in connection.execute(_LOAD_ASSOCIATIONS, (now, worker)):
                try:
                    associations.append(read_association(row, self._wrapping))
                except Damaged as error:
                    complaints.append(str(error))
            for row in connection.execute(_LOAD_REPLAYS, (now, most_replays)):
                try:
                    replays.append(read_replay(row))
                except Damaged as error:
                    complaints.append(str(error))
            kinds = {kind for (kind,) in connection.execute(_KINDS)} if later else set()
            for row in self._unless(connection, kinds, later, now):
                try:
                    records.append(read_record(row, self._records))
                except Damaged as error:
                    complaints.append(str(error))
            lasting = tuple(self._later(connection, kind) for kind in later if kind in kinds)
            found = connection.execute(_FORGOTTEN).fetchone()
            restored = connection.execute(_RESTORED).fetchone()
            connection.execute("COMMIT")
        forgotten = 0.0 if found is None else found[0]
        if not isinstance(forgotten, float) or not math.isfinite(forgotten):
            complaints.append(
                "the time up to which replay records were purged is damaged; the clock serves in its place"
            )
            forgotten = 0.0
        return Snapshot(
            tuple(associations),
            tuple(replays),
            tuple(complaints),
            forgotten,
            tuple(records),
            lasting,
            # A value that somebody has damaged is taken for the latest there can be.
            restored=0.0 if restored is None else restored[0] if isinstance(restored[0], float) else now,
        )

    @staticmethod
    def _unless(connection: sqlite3.Connection, kinds: set[str], later: Collection[str], now: float) -> Iterator[Row]:
        """Yield the rows of all records but those that come later."""
        if not later:
            return connection.execute(_LOAD_RECORDS, (now,))
        others = json.dumps([kind for kind in kinds if kind not in later and not kind.endswith(ASIDE)])
        return connection.execute(_LOAD_OTHERS, (others, json.dumps(list(later)), now))

    def _later(self, connection: sqlite3.Connection, kind: str) -> Later:
        unwrap, bound = self._records.unwrap, bound_to(kind)
        sealed = dict(connection.execute(_LOAD_LATER, (kind,)))

        def unseal(name: bytes, octets: bytes) -> bytes:
            try:
                return unwrap(octets, bound(name))
            except TypeError:
                raise AuthenticationFailed("a column holds something else than it should") from None

        return Later(kind, sealed, unseal)

    # -- writing

    def commit(self, units: Sequence[Unit]) -> list[Outcome]:
        """See `Store.commit`."""
        if not units:
            return []
        with self._failures():
            connection = self._open()
            batch = settle(units)
            if batch.hides_conflicts or not self._written(connection, batch):
                connection.execute("BEGIN IMMEDIATE")
                batch = settle(units, *self._stored(connection, units))
                self._write(connection, self._statements(batch))
            write_entries(connection, batch.appended, self._wrapping)
            purging = self._purge(connection, batch.purge)
            connection.execute("COMMIT")
            self._unpurged = purging
        return batch.outcomes

    def put_all(self, records: Iterable[Record], entries: Callable[[], Sequence[Append]]) -> None:
        """Store records, each in place of the one of its name, all or none, without having all of them in memory.

        Nothing else is stored meanwhile. ``entries`` are asked for when the last record has come. Raises `StoreFailed`
        and what ``records`` raises.
        """

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany(_REPLACE_RECORD, (record_row(record, self._records) for record in records))
            write_entries(connection, entries(), self._wrapping)

        self.transact(work)

    def _written(self, connection: sqlite3.Connection, batch: Batch) -> bool:
        """Return whether ``batch`` could be written as it is; if so the transaction is left open."""
        # Encoded before the write lock is taken, which other processes wait for.
        statements = self._statements(batch)
        connection.execute("BEGIN IMMEDIATE")
        try:
            self._write(connection, statements)
        except sqlite3.IntegrityError:
            connection.execute("ROLLBACK")
            return False
        return True

    def _statements(self, batch: Batch) -> list[tuple[str, list[Row]]]:
        puts = batch.records.values()
        every: tuple[tuple[str, list[Row]], ...] = (
            (_DELETE, [(spi,) for spi in batch.deleted]),
            (_PUT_REPLAY, [replay_row(record) for record in batch.replays.values()]),
            (_PUT_ASSOCIATION, [association_row(a, self._wrapping) for a in batch.associations.values()]),
            (_CONFIRM, [(spi,) for spi in batch.confirmed]),
            (_ERASE, list(batch.erased)),
            (_PUT_RECORD, [record_row(put.record, self._records) for put in puts if put.fresh]),
            (_REPLACE_RECORD, [record_row(put.record, self._records) for put in puts if not put.fresh]),
        )
        return [(statement, rows) for statement, rows in every if rows]

    @staticmethod
    def _write(connection: sqlite3.Connection, statements: list[tuple[str, list[Row]]]) -> None:
        for statement, rows in statements:
            connection.executemany(statement, rows)

    @staticmethod
    def _stored(
        connection: sqlite3.Connection, units: Sequence[Unit]
    ) -> tuple[set[tuple[int, int]], set[int], set[RecordKey]]:
        """Return which of the names that ``units`` want to store are stored already."""
        replays, associations, records = named(units)
        keys = json.dumps([replay_key(*name) for name in replays])
        return (
            {replay_name(*row) for row in connection.execute(_STORED_REPLAYS, (keys,))},
            {spi for (spi,) in connection.execute(_STORED_ASSOCIATIONS, (json.dumps(list(associations)),))},
            {key for key in records if connection.execute(_STORED_RECORD, key).fetchone()},
        )

    def _purge(self, connection: sqlite3.Connection, asked: Purge | None) -> Purge | None:
        """Remove a portion of what has expired; return what there may be more of, None where there is not."""
        purge = self._unpurged if asked is None else asked.joined(self._unpurged)
        if purge is None:
            return None
        connection.execute(_FORGET, (purge.forgotten,))
        removed = (
            connection.execute(_PURGE_REPLAYS, (purge.replays, PURGED_AT_ONCE)).rowcount,
            connection.execute(_PURGE_ASSOCIATIONS, (purge.before, PURGED_AT_ONCE)).rowcount,
            connection.execute(_PURGE_RECORDS, (purge.before, PURGED_AT_ONCE)).rowcount,
        )
        return purge if max(removed) >= PURGED_AT_ONCE else None

    # -- pages

    def page(self, kind: str, beyond: bytes | None, most: int, *, down: bool = False) -> Page:
        """See `Store.page`."""
        # Another master key may come into use meanwhile: what these do not open, those of then do.
        seals = self._records
        with self._looking() as connection:
            found = (
                connection.execute(_PAGE_DOWN, (kind, beyond, beyond, most))
                if down
                # Every name comes after the empty text, also the empty name.
                else connection.execute(_PAGE_UP, (kind, "" if beyond is None else beyond, most))
            )
            rows = found.fetchall()
        records: list[Record] = []
        damaged_rows: list[str] = []
        for row in rows:
            try:
                records.append(self._read_beside(row, seals))
            except Damaged as error:
                damaged_rows.append(str(error))
        return Page(tuple(records), rows[-1][1] if len(rows) == most else None, tuple(damaged_rows))

    def _read_beside(self, row: Row, seals: Wrapping) -> Record:
        try:
            return read_record(row, seals)
        except Damaged:
            if seals is self._records:
                raise
            return read_record(row, self._records)

    # -- logs

    def entries(self, log: str, after: int, most: int) -> list[LogEntry]:
        """See `Store.entries`."""
        with self._looking() as connection:
            try:
                return list(read_entries(connection, log, after, most))
            except Damaged as error:
                raise StoreFailed(f"the log {log} in {self.path}: {error}") from None

    def verify(self, log: str) -> LogCheck:
        """See `Store.verify`."""
        with self._looking() as connection:
            return check_log(connection, log, self._wrapping)

    # -- the connection

    def _prepared(self) -> sqlite3.Connection:
        return open_database(self.path, self._wrapping, self._factory)
