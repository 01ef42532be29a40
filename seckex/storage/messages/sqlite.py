"""A store of messages in one SQLite file, which several workers may share; see `seckex.delivery.store`.

A batch is one transaction with at most one statement of each kind. Durable means
that the write-ahead log was synchronised before `commit` returned; whatever goes
wrong is a `StoreFailed` with nothing of the batch stored, with the one exception
that `seckex.storage.sqlite` tells of.

Segments are sealed under keys of epochs (`seckex.crypto.epochs`). A process
begins an epoch with its first segment, another with each `EPOCH_LIFE` and with each
master key. `tidy` destroys the keys of all epochs of which nothing is left, and
empties the write-ahead log, in which those keys may still stand. Whoever seals
sees in the same transaction that the key is still there.

Limits: a commit waits at most 5 s for other processes; `PURGED_AT_ONCE` dialogs and
programs' keys are forgotten with one commit. Methods may be called from any
thread: one writes at a time, and one reads at a time beside. The store must not be
carried over a fork.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock, RLock
from typing import ClassVar, Final

from seckex.crypto.atrest import EPOCH_SIZE, MasterKey, Wrapping
from seckex.crypto.epochs import EPOCH_KEY_SIZE, MOST_IN_EPOCH, EpochKey
from seckex.crypto.secrets import Secret
from seckex.crypto.suites import SHA256
from seckex.delivery.store import (
    DeadMessage,
    MessageSnapshot,
    MessageUnit,
    Segment,
    SegmentIndex,
    StoredDialog,
)
from seckex.errors import ApiMisuse, AuthenticationFailed, StoreFailed
from seckex.sa.store import WORKER_MASK
from seckex.storage.database import Database
from seckex.storage.failures import damaged, store_failed
from seckex.storage.messages.batch import MessageBatch, settle
from seckex.storage.messages.rows import (
    DEAD_COLUMNS,
    DIALOG_COLUMNS,
    INDEX_COLUMNS,
    SEGMENT_COLUMNS,
    SENT_COLUMNS,
    Row,
    Sent,
    dead_row,
    dialog_row,
    epoch_bound,
    epoch_of,
    read_dead,
    read_dialog,
    read_index,
    read_segment,
    read_sent,
    segment_row,
    sent_row,
)
from seckex.storage.messages.schema import BIAS, EPOCH_BITS, LOSS, TAG_KEY_SIZE, TAGS_BOUND, messages_schema
from seckex.storage.rows import Damaged
from seckex.storage.schema import look_into, open_database

EPOCH_LIFE: Final = 86_400.0
PURGED_AT_ONCE: Final = 5000
#: Keys of epochs that are held for reading.
MOST_EPOCHS: Final = 64

_LABEL: Final = b"messages"
_TAG_SIZE: Final = 16


def _insert(table: str, columns: str, name: str) -> str:
    # Only constants of this package get here.
    every = [column.strip() for column in columns.split(",")]
    changed = ", ".join(f"{column} = excluded.{column}" for column in every if column not in name.split(", "))
    marks = ", ".join("?" for _ in every)
    return f"INSERT INTO {table} ({columns}) VALUES ({marks}) ON CONFLICT ({name}) DO UPDATE SET {changed}"  # noqa: S608  # see above


_PUT_DIALOG: Final = _insert("dialog", DIALOG_COLUMNS, "id")
_PUT_SEGMENT: Final = _insert("segment", SEGMENT_COLUMNS, "dialog, side, last")
_PUT_DEAD: Final = _insert("dead", DEAD_COLUMNS, "dialog, side, number")
_PUT_SENT: Final = _insert("sent", SENT_COLUMNS, "dialog, tag")
_DROP_DIALOG: Final = "DELETE FROM dialog WHERE id = ?"
_DROP_ALL: Final = "DELETE FROM segment WHERE dialog = ?"
_DROP_SENT: Final = "DELETE FROM sent WHERE dialog = ?"
_DROP_SEGMENTS: Final = "DELETE FROM segment WHERE dialog = ? AND side = ? AND last <= ?"
_DROP_DEAD: Final = "DELETE FROM dead WHERE dialog = ? AND side = ? AND number = ?"
_CLOCK: Final = (
    "INSERT INTO meta VALUES ('clock', ?) ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value) "
    "RETURNING value"
)
_TO_FORGET: Final = "SELECT id FROM dialog WHERE forget > 0 AND forget <= ? LIMIT ?"
_PURGE_SENT: Final = "DELETE FROM sent WHERE rowid IN (SELECT rowid FROM sent WHERE until <= ? LIMIT ?)"
_META: Final = "SELECT value FROM meta WHERE name = ?"
_BEGIN_EPOCH: Final = "INSERT INTO epoch (wrapped) VALUES (zeroblob(?))"
_WRAP_EPOCH: Final = "UPDATE epoch SET wrapped = ? WHERE id = ?"
_EPOCH: Final = "SELECT wrapped FROM epoch WHERE id = ?"
_DESTROY: Final = (
    f"DELETE FROM epoch WHERE NOT EXISTS (SELECT 1 FROM segment WHERE seq >= epoch.id << {EPOCH_BITS} "  # noqa: S608  # constants
    f"AND seq < (epoch.id + 1) << {EPOCH_BITS})"
)
# Once more where it is a copy of a copy.
_RESTORE: Final = (
    "INSERT INTO meta SELECT 'restored', ? WHERE EXISTS (SELECT 1 FROM meta WHERE name = 'copy') "
    "ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)
_UNMARK_COPY: Final = "DELETE FROM meta WHERE name = 'copy'"
_LOAD_DIALOGS: Final = f"SELECT {DIALOG_COLUMNS} FROM dialog ORDER BY rowid"  # noqa: S608  # constants
_LOAD_SEGMENTS: Final = f"SELECT {INDEX_COLUMNS} FROM segment ORDER BY dialog, side, last"  # noqa: S608  # constants
_LOAD_SENT: Final = f"SELECT {SENT_COLUMNS} FROM sent WHERE until > ? ORDER BY rowid"  # noqa: S608  # constants
_SEGMENT: Final = (
    f"SELECT {SEGMENT_COLUMNS} FROM segment WHERE dialog = ? AND side = ? AND last >= ? ORDER BY last LIMIT 1"  # noqa: S608  # constants
)
_HEADS: Final = "dialog, side, number, spool, head, NULL"
_DEAD_PAGE: Final = (
    f"SELECT {_HEADS} FROM dead WHERE (dialog, side, number) > (?, ?, ?) ORDER BY dialog, side, number LIMIT ?"  # noqa: S608  # constants
)
_DEAD_ONE: Final = f"SELECT {DEAD_COLUMNS} FROM dead WHERE dialog = ? AND side = ? AND number = ?"  # noqa: S608  # constants
_SPOOLS: Final = (
    "SELECT dialog, spool FROM segment WHERE spool <> '' UNION ALL SELECT dialog, spool FROM dead WHERE spool <> ''"
)


class SqliteMessages(Database):
    """See the module and `seckex.delivery.store.MessageStore`.

    ``path`` is the file; its directory must be this process's alone and is made if its parent exists. ``entropy(n)``
    returns n random octets. ``factory`` makes the connections.
    """

    loss: ClassVar[str] = LOSS

    def __init__(
        self,
        path: Path,
        master: MasterKey,
        entropy: Callable[[int], bytes],
        factory: type[sqlite3.Connection] = sqlite3.Connection,
    ) -> None:
        super().__init__(path, factory)
        self._entropy = entropy
        self._writing = RLock()
        self._reading = Lock()
        self._reader: sqlite3.Connection | None = None
        #: Keys of epochs for reading, and what is sealed with: the epoch, 0 for none, its key, the next number in it.
        self._epochs: dict[int, EpochKey] = {}
        self._epoch = 0
        self._key: EpochKey | None = None
        self._number = 0
        self._since: float | None = None
        self._unpurged = False
        self._untidy = True
        self.use(master)
        with self._failures():
            connection = self._open()
            self._tag_key = self._unwrapped_tags(connection)

    def _prepared(self) -> sqlite3.Connection:
        return open_database(self.path, self._wrapping, self._factory, messages_schema(self._entropy(TAG_KEY_SIZE)))

    def _unwrapped_tags(self, connection: sqlite3.Connection) -> bytes:
        row = connection.execute(_META, ("tags",)).fetchone()
        if row is None or type(row[0]) is not bytes:
            raise damaged(self.path, LOSS)
        try:
            return self._wrapping.unwrap(row[0], TAGS_BOUND)
        except AuthenticationFailed:
            raise damaged(self.path, LOSS) from None

    # -- its master key

    @property
    def master(self) -> MasterKey:
        """What it seals under."""
        return self._master

    @property
    def seal(self) -> Wrapping:
        """What it seals with."""
        return self._wrapping

    def use(self, master: MasterKey) -> None:
        """Seal under ``master`` from now on, in another epoch; what is stored is not touched."""
        with self._writing:
            self._master = master
            self._wrapping = Wrapping(master, _LABEL, self._entropy(EPOCH_SIZE))
            self._end_epoch()

    # -- reading

    def serve(self, now: float) -> None:
        """See `MessageStore.serve`."""

        def note(connection: sqlite3.Connection) -> None:
            connection.execute(_RESTORE, (now,))
            connection.execute(_UNMARK_COPY)

        self.transact(note)

    def load(self, worker: int, now: float) -> MessageSnapshot:
        """See `MessageStore.load`."""
        complaints: list[str] = []
        dialogs: list[StoredDialog] = []
        sent: list[Sent] = []
        with self._failures():
            connection = self._open()
            connection.execute("BEGIN")
            clock = self._time(connection, "clock", now)
            restored = self._time(connection, "restored", now)
            for row in connection.execute(_LOAD_DIALOGS):
                try:
                    if _is_of(worker, row[0]):
                        dialogs.append(read_dialog(row, self._wrapping))
                except Damaged as error:
                    complaints.append(str(error))
            known = {dialog.dialog_id for dialog in dialogs}
            segments = self._indices(connection, worker, known, complaints)
            for row in connection.execute(_LOAD_SENT, (clock,)):
                try:
                    if row[0] in known:
                        sent.append(read_sent(row, self._wrapping))
                except Damaged as error:
                    complaints.append(str(error))
            dead = sum(_is_of(worker, dialog_id) for (dialog_id,) in connection.execute("SELECT dialog FROM dead"))
            connection.execute("COMMIT")
        return MessageSnapshot(tuple(dialogs), tuple(segments), tuple(sent), dead, clock, restored, tuple(complaints))

    @staticmethod
    def _indices(
        connection: sqlite3.Connection, worker: int, known: set[bytes], complaints: list[str]
    ) -> list[SegmentIndex]:
        """Return the segments of the dialogs that are ``known``; tell of those that stand for themselves, or twice."""
        found: list[SegmentIndex] = []
        orphans: dict[bytes, int] = {}
        before: tuple[bytes, bool, int] | None = None
        for row in connection.execute(_LOAD_SEGMENTS):
            dialog_id = row[0]
            if dialog_id not in known:
                if _is_of(worker, dialog_id):
                    orphans[dialog_id] = orphans.get(dialog_id, 0) + 1
                continue
            try:
                index = read_index(row)
            except Damaged as error:
                complaints.append(str(error))
                continue
            if before is not None and before[:2] == (dialog_id, index.ours) and index.first <= before[2]:
                complaints.append(
                    f"a segment of the dialog {dialog_id.hex()[:12]} is left out: another one has its messages"
                )
                continue
            before = dialog_id, index.ours, index.first + index.count - 1
            found.append(index)
        complaints += [
            f"{count} segments of the dialog {dialog_id.hex()[:12]} are left out: the dialog is not there"
            for dialog_id, count in orphans.items()
        ]
        return found

    @staticmethod
    def _time(connection: sqlite3.Connection, name: str, now: float) -> float:
        """Return a time in `meta`, 0 where there is none; one that somebody has damaged is taken for the latest."""
        row = connection.execute(_META, (name,)).fetchone()
        if row is None:
            return 0.0
        found: object = row[0]
        return found if isinstance(found, float) and math.isfinite(found) else now

    def segment(self, dialog_id: bytes, ours: bool, number: int) -> Segment | None:
        """See `MessageStore.segment`."""
        rows, wrapping = self._read(_SEGMENT, (dialog_id, not ours, number - BIAS))
        if not rows or rows[0][3] > number - BIAS:
            return None
        try:
            return read_segment(rows[0], self._epoch_key(epoch_of(rows[0][0]), wrapping))
        except Damaged as error:
            raise StoreFailed(f"{self.path}: {error}") from None

    def _epoch_key(self, epoch: int, wrapping: Wrapping) -> EpochKey:
        """Return the key of an epoch; raises `Damaged`."""
        known = self._epochs.get(epoch)
        if known is not None:
            return known
        rows, _ = self._read(_EPOCH, (epoch,))
        # Another master key may have come into use, or the former have gone, since the row was read.
        for seal in (wrapping, self._wrapping):
            try:
                key = EpochKey(Secret(seal.unwrap(rows[0][0], epoch_bound(epoch))))
                break
            except (ApiMisuse, AuthenticationFailed, IndexError, TypeError):
                continue
        else:
            raise Damaged(f"the key of the epoch {epoch} is gone or damaged")
        if len(self._epochs) >= MOST_EPOCHS:
            self._epochs.clear()
        self._epochs[epoch] = key
        return key

    def dead(self, beyond: tuple[bytes, bool, int] | None, most: int) -> Sequence[DeadMessage]:
        """See `MessageStore.dead`; what cannot be read has no ``peer``, and a ``why`` that says so."""
        after = (b"", 0, 0) if beyond is None else (beyond[0], not beyond[1], beyond[2] - BIAS)
        rows, wrapping = self._read(_DEAD_PAGE, (*after, most))
        return [self._dead_of(row, wrapping) for row in rows]

    def _dead_of(self, row: Row, wrapping: Wrapping) -> DeadMessage:
        try:
            return self._read_dead(row, wrapping, whole=False)
        except Damaged as error:
            dialog_id, side, number, spool, _, _ = row
            return DeadMessage(dialog_id, side == 0, number + BIAS, "", "", 0, str(error), 0.0, 0, 0, b"", spool)

    def _read_dead(self, row: Row, wrapping: Wrapping, *, whole: bool) -> DeadMessage:
        try:
            return read_dead(row, wrapping, whole=whole)
        except Damaged:
            if wrapping is self._wrapping:
                raise
            return read_dead(row, self._wrapping, whole=whole)

    def dead_message(self, dialog_id: bytes, ours: bool, number: int) -> DeadMessage | None:
        """See `MessageStore.dead_message`."""
        rows, wrapping = self._read(_DEAD_ONE, (dialog_id, not ours, number - BIAS))
        try:
            return self._read_dead(rows[0], wrapping, whole=True) if rows else None
        except Damaged as error:
            raise StoreFailed(f"{self.path}: {error}") from None

    def spools(self, worker: int) -> frozenset[str]:
        """See `MessageStore.spools`."""
        rows, _ = self._read(_SPOOLS, ())
        return frozenset(spool for dialog_id, spool in rows if _is_of(worker, dialog_id))

    def _read(self, query: str, values: Row) -> tuple[list[Row], Wrapping]:
        """Return rows as they are now, and what they are sealed with."""
        wrapping = self._wrapping
        with self._reading:
            if self._closed:
                raise StoreFailed(f"{self.path} has been closed")
            try:
                if self._reader is None:
                    self._reader = look_into(self.path, self._factory)
                return self._reader.execute(query, values).fetchall(), wrapping
            except sqlite3.Error as error:
                self._end_reading()
                raise store_failed(self.path, error, LOSS) from error

    def _end_reading(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    # -- writing

    def commit(self, units: Sequence[MessageUnit]) -> list[None]:
        """See `MessageStore.commit`."""
        with self._failures():
            connection = self._open()
            batch = settle(units)
            while not self._written(connection, batch):
                self._begin_epoch(connection)
            self._unpurged = self._purge(connection, batch.clock)
            connection.execute("COMMIT")
            self._untidy |= bool(batch.gone or batch.upto or batch.buried)
        return [None] * len(units)

    def _written(self, connection: sqlite3.Connection, batch: MessageBatch) -> bool:
        """Return whether ``batch`` was written, with the transaction left open; if not, another epoch must begin."""
        segments = [segment for side in batch.segments.values() for segment in side.values()]
        if segments and (self._epoch == 0 or self._number + len(segments) > MOST_IN_EPOCH):
            return False
        # Sealed before the write lock is taken, which other processes wait for.
        statements = self._statements(batch, segments)
        connection.execute("BEGIN IMMEDIATE")
        if segments and connection.execute(_EPOCH, (self._epoch,)).fetchone() is None:
            # Nothing was left of it, and another process has seen that.
            connection.execute("ROLLBACK")
            return False
        for statement, rows in statements:
            connection.executemany(statement, rows)
        return True

    def _statements(self, batch: MessageBatch, segments: list[Segment]) -> list[tuple[str, list[Row]]]:
        wrapping, epoch, number = self._wrapping, self._epoch, self._number
        self._number += len(segments)
        gone: list[Row] = [(dialog_id,) for dialog_id in batch.gone]
        key = self._key
        every: tuple[tuple[str, list[Row]], ...] = (
            (_DROP_DIALOG, gone),
            (_DROP_ALL, gone),
            (_DROP_SENT, gone),
            (_DROP_SEGMENTS, [(dialog_id, not ours, upto - BIAS) for (dialog_id, ours), upto in batch.upto.items()]),
            (_PUT_DIALOG, [dialog_row(dialog, wrapping) for dialog in batch.dialogs.values()]),
            (_PUT_SEGMENT, [segment_row(s, epoch, n, key) for n, s in enumerate(segments, number)] if key else []),
            (_DROP_DEAD, [(dialog_id, not ours, n - BIAS) for dialog_id, ours, n in batch.buried]),
            (_PUT_DEAD, [dead_row(d, wrapping, Secret(self._entropy(EPOCH_KEY_SIZE))) for d in batch.dead.values()]),
            (_PUT_SENT, [sent_row(put, self._tag(put.key), wrapping) for put in batch.keys.values()]),
        )
        return [(statement, rows) for statement, rows in every if rows]

    def _tag(self, key: str) -> bytes:
        return SHA256.mac(self._tag_key, key.encode())[:_TAG_SIZE]

    def _begin_epoch(self, connection: sqlite3.Connection) -> None:
        secret = Secret(self._entropy(EPOCH_KEY_SIZE))
        connection.execute("BEGIN IMMEDIATE")
        epoch = connection.execute(_BEGIN_EPOCH, (0,)).lastrowid
        if epoch is None:
            raise damaged(self.path, LOSS)
        connection.execute(_WRAP_EPOCH, (self._wrapping.wrap(secret.octets, epoch_bound(epoch)), epoch))
        connection.execute("COMMIT")
        self._epoch, self._key, self._number, self._since = epoch, EpochKey(secret), 0, None

    def _end_epoch(self) -> None:
        self._epoch, self._key = 0, None

    def _purge(self, connection: sqlite3.Connection, clock: float | None) -> bool:
        """Forget a portion of what is to be forgotten; return whether there may be more."""
        if clock is None and not self._unpurged:
            return False
        (noted,) = connection.execute(_CLOCK, (clock or 0.0,)).fetchall()[0]
        forgotten = connection.execute(_TO_FORGET, (noted, PURGED_AT_ONCE)).fetchall()
        for statement in (_DROP_DIALOG, _DROP_ALL, _DROP_SENT):
            connection.executemany(statement, forgotten)
        purged = connection.execute(_PURGE_SENT, (noted, PURGED_AT_ONCE)).rowcount
        self._untidy |= bool(forgotten)
        return max(len(forgotten), purged) >= PURGED_AT_ONCE

    def tidy(self, now: float) -> None:
        """See `MessageStore.tidy`; where somebody is reading the file for long, it is not all done before the next."""
        with self._failures():
            if self._since is None:
                self._since = now
            if not 0 <= now - self._since < EPOCH_LIFE:
                self._end_epoch()
            if not self._untidy:
                return
            self.transact(lambda connection: connection.execute(_DESTROY))
            self._epochs.clear()
            if self._open().execute(_EPOCH, (self._epoch,)).fetchone() is None:
                self._end_epoch()
            self._untidy = not self.shrink(patient=False)

    def close(self) -> None:
        """See `MessageStore.close`."""
        with self._reading:
            self._end_reading()
        super().close()

    @contextmanager
    def _failures(self) -> Iterator[None]:
        with self._writing, super()._failures():
            yield


def _is_of(worker: int, dialog_id: object) -> bool:
    return isinstance(dialog_id, bytes) and dialog_id[-1:] != b"" and dialog_id[-1] & WORKER_MASK == worker
