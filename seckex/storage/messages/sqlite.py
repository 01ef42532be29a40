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
from seckex.delivery.store import DeadMessage, MessageSnapshot, MessageUnit, Segment
from seckex.errors import ApiMisuse, AuthenticationFailed, StoreFailed
from seckex.storage.database import Database
from seckex.storage.failures import damaged, store_failed
from seckex.storage.messages.batch import MessageBatch, settle
from seckex.storage.messages.loading import is_of, load
from seckex.storage.messages.rows import (
    Row,
    dead_row,
    dialog_row,
    epoch_bound,
    epoch_of,
    kept_row,
    read_dead,
    read_segment,
    segment_row,
    sent_row,
    told_row,
)
from seckex.storage.messages.schema import BIAS, LOSS, TAG_KEY_SIZE, TAGS_BOUND, messages_schema
from seckex.storage.messages.statements import (
    BEGIN_EPOCH,
    CLOCK,
    DEAD_ONE,
    DEAD_PAGE,
    DESTROY,
    DROP_ALL,
    DROP_DEAD,
    DROP_DIALOG,
    DROP_KEPT,
    DROP_SEGMENTS,
    DROP_SENT,
    DROP_TOLD,
    EPOCH,
    KEPT,
    META,
    PURGE_SENT,
    PUT_DEAD,
    PUT_DIALOG,
    PUT_KEPT,
    PUT_SEGMENT,
    PUT_SENT,
    PUT_TOLD,
    RESTORE,
    SEGMENT,
    SPOOLS,
    TO_FORGET,
    UNMARK_COPY,
    WRAP_EPOCH,
)
from seckex.storage.rows import Damaged
from seckex.storage.schema import look_into, open_database

EPOCH_LIFE: Final = 86_400.0
PURGED_AT_ONCE: Final = 5000
#: Keys of epochs that are held for reading.
MOST_EPOCHS: Final = 64

_LABEL: Final = b"messages"
_TAG_SIZE: Final = 16


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
        #: Keys of epochs for reading.
        self._epochs: dict[int, EpochKey] = {}
        #: What is sealed with: the epoch, 0 for none, its key, the same as it is stored, and the next number in it.
        self._epoch = 0
        self._key: EpochKey | None = None
        self._wrapped = b""
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
        row = connection.execute(META, ("tags",)).fetchone()
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
            connection.execute(RESTORE, (now,))
            connection.execute(UNMARK_COPY)

        self.transact(note)

    def load(self, worker: int, now: float) -> MessageSnapshot:
        """See `MessageStore.load`."""
        with self._failures():
            connection = self._open()
            connection.execute("BEGIN")
            snapshot = load(connection, self._wrapping, worker, now)
            connection.execute("COMMIT")
        return snapshot

    def segment(self, dialog_id: bytes, ours: bool, number: int) -> Segment | None:
        """See `MessageStore.segment`."""
        rows, wrapping = self._read(SEGMENT, (dialog_id, not ours, number - BIAS))
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
        rows, _ = self._read(EPOCH, (epoch,))
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
        rows, wrapping = self._read(DEAD_PAGE, (*after, most))
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
        rows, wrapping = self._read(DEAD_ONE, (dialog_id, not ours, number - BIAS))
        try:
            return self._read_dead(rows[0], wrapping, whole=True) if rows else None
        except Damaged as error:
            raise StoreFailed(f"{self.path}: {error}") from None

    def kept(self, number: int) -> bytes | None:
        """See `MessageStore.kept`."""
        rows, _ = self._read(KEPT, (number,))
        return bytes(rows[0][0]) if rows else None

    def spools(self, worker: int) -> frozenset[str]:
        """See `MessageStore.spools`."""
        rows, _ = self._read(SPOOLS, ())
        return frozenset(spool for dialog_id, spool in rows if is_of(worker, dialog_id))

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
        if segments:
            found = connection.execute(EPOCH, (self._epoch,)).fetchone()
            if found is None:
                # Nothing was left of it, and another process has seen that.
                connection.execute("ROLLBACK")
                return False
            if found[0] != self._wrapped:
                # What is written here from now on could not be read later.
                raise StoreFailed(f"{self.path} is sealed under another master key by now: restart the daemon")
        for statement, rows in statements:
            connection.executemany(statement, rows)
        return True

    def _statements(self, batch: MessageBatch, segments: list[Segment]) -> list[tuple[str, list[Row]]]:
        wrapping, epoch, number = self._wrapping, self._epoch, self._number
        self._number += len(segments)
        gone: list[Row] = [(dialog_id,) for dialog_id in batch.gone]
        key = self._key
        every: tuple[tuple[str, list[Row]], ...] = (
            (DROP_DIALOG, gone),
            (DROP_ALL, gone),
            (DROP_SENT, gone),
            (DROP_SEGMENTS, [(dialog_id, not ours, upto - BIAS) for (dialog_id, ours), upto in batch.upto.items()]),
            (PUT_DIALOG, [dialog_row(dialog, wrapping) for dialog in batch.dialogs.values()]),
            (PUT_SEGMENT, [segment_row(s, epoch, n, key) for n, s in enumerate(segments, number)] if key else []),
            (DROP_DEAD, [(dialog_id, not ours, n - BIAS) for dialog_id, ours, n in batch.buried]),
            (PUT_DEAD, [dead_row(d, wrapping, Secret(self._entropy(EPOCH_KEY_SIZE))) for d in batch.dead.values()]),
            (PUT_SENT, [sent_row(put, self._tag(put.key), wrapping) for put in batch.keys.values()]),
            (DROP_KEPT, [(number,) for number in batch.given]),
            (PUT_KEPT, [kept_row(envelope) for envelope in batch.kept.values()]),
            (DROP_TOLD, [(nai,) for nai in batch.untold]),
            (PUT_TOLD, [told_row(told) for told in batch.told.values()]),
        )
        return [(statement, rows) for statement, rows in every if rows]

    def _tag(self, key: str) -> bytes:
        return SHA256.mac(self._tag_key, key.encode())[:_TAG_SIZE]

    def _begin_epoch(self, connection: sqlite3.Connection) -> None:
        secret = Secret(self._entropy(EPOCH_KEY_SIZE))
        connection.execute("BEGIN IMMEDIATE")
        epoch = connection.execute(BEGIN_EPOCH).lastrowid
        if epoch is None:
            raise damaged(self.path, LOSS)
        wrapped = self._wrapping.wrap(secret.octets, epoch_bound(epoch))
        connection.execute(WRAP_EPOCH, (wrapped, epoch))
        connection.execute("COMMIT")
        self._epoch, self._key, self._wrapped, self._number, self._since = epoch, EpochKey(secret), wrapped, 0, None

    def _end_epoch(self) -> None:
        self._epoch, self._key = 0, None

    def _purge(self, connection: sqlite3.Connection, clock: float | None) -> bool:
        """Forget a portion of what is to be forgotten; return whether there may be more."""
        if clock is None and not self._unpurged:
            return False
        (noted,) = connection.execute(CLOCK, (clock or 0.0,)).fetchall()[0]
        forgotten = connection.execute(TO_FORGET, (noted, PURGED_AT_ONCE)).fetchall()
        for statement in (DROP_DIALOG, DROP_ALL, DROP_SENT):
            connection.executemany(statement, forgotten)
        purged = connection.execute(PURGE_SENT, (noted, PURGED_AT_ONCE)).rowcount
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
            self.transact(lambda connection: connection.execute(DESTROY))
            self._epochs.clear()
            if self._open().execute(EPOCH, (self._epoch,)).fetchone() is None:
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
