"""What a daemon that starts is told of its messages; what cannot be read is left out, and told of."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable
from typing import TypeVar

from seckex.crypto.atrest import Wrapping
from seckex.delivery.store import MessageSnapshot, SegmentIndex, StoredDialog
from seckex.sa.store import WORKER_MASK
from seckex.storage.messages.rows import Row, Sent, read_dialog, read_index, read_kept, read_sent, read_told
from seckex.storage.messages.statements import LOAD_DIALOGS, LOAD_KEPT, LOAD_SEGMENTS, LOAD_SENT, LOAD_TOLD, META
from seckex.storage.rows import Damaged

T = TypeVar("T")


def load(connection: sqlite3.Connection, wrapping: Wrapping, worker: int, now: float) -> MessageSnapshot:
    """Return what there is for ``worker``, within a transaction; see `MessageStore.load`."""
    complaints: list[str] = []
    dialogs: list[StoredDialog] = []
    sent: list[Sent] = []
    clock = _time(connection, "clock", now)
    restored = _time(connection, "restored", now)
    for row in connection.execute(LOAD_DIALOGS):
        try:
            if is_of(worker, row[0]):
                dialogs.append(read_dialog(row, wrapping))
        except Damaged as error:
            complaints.append(str(error))
    known = {dialog.dialog_id for dialog in dialogs}
    segments = _indices(connection, worker, known, complaints)
    for row in connection.execute(LOAD_SENT, (clock,)):
        try:
            if row[0] in known:
                sent.append(read_sent(row, wrapping))
        except Damaged as error:
            complaints.append(str(error))
    dead = sum(is_of(worker, dialog_id) for (dialog_id,) in connection.execute("SELECT dialog FROM dead"))
    kept = _read(connection, LOAD_KEPT, read_kept, complaints) if worker == 0 else []
    told = _read(connection, LOAD_TOLD, read_told, complaints) if worker == 0 else []
    return MessageSnapshot(
        tuple(dialogs),
        tuple(segments),
        tuple(sent),
        dead,
        clock,
        restored,
        tuple(complaints),
        tuple(kept),
        tuple(told),
    )


def _read(connection: sqlite3.Connection, query: str, read: Callable[[Row], T], complaints: list[str]) -> list[T]:
    found: list[T] = []
    for row in connection.execute(query):
        try:
            found.append(read(row))
        except Damaged as error:
            complaints.append(str(error))
    return found


def _indices(
    connection: sqlite3.Connection, worker: int, known: set[bytes], complaints: list[str]
) -> list[SegmentIndex]:
    """Return the segments of the dialogs that are ``known``; tell of those that stand for themselves, or twice."""
    found: list[SegmentIndex] = []
    orphans: dict[bytes, int] = {}
    before: tuple[bytes, bool, int] | None = None
    for row in connection.execute(LOAD_SEGMENTS):
        dialog_id = row[0]
        if dialog_id not in known:
            if is_of(worker, dialog_id):
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


def _time(connection: sqlite3.Connection, name: str, now: float) -> float:
    """Return a time in `meta`, 0 where there is none; one that somebody has damaged is taken for the latest."""
    row = connection.execute(META, (name,)).fetchone()
    if row is None:
        return 0.0
    found: object = row[0]
    return found if isinstance(found, float) and math.isfinite(found) else now


def is_of(worker: int, dialog_id: object) -> bool:
    """Tell whether a dialog is a worker's; what is no id is nobody's."""
    return isinstance(dialog_id, bytes) and dialog_id[-1:] != b"" and dialog_id[-1] & WORKER_MASK == worker
