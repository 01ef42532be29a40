"""What a batch of units of messages comes to, worked out before anything is written.

Only the net effect is kept, so that one statement of each kind writes all of it:
the last state of each dialog, and of segments those that were not dropped in
the same batch. Everything is dropped first and put then; the clock comes last.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from attrs import define, field

from seckex.delivery.store import (
    DeadMessage,
    DropDead,
    DropDialog,
    DropKept,
    DropSegments,
    DropTold,
    KeptEnvelope,
    MessageUnit,
    NoteClock,
    PutDead,
    PutDialog,
    PutKept,
    PutKey,
    PutSegment,
    PutTold,
    Segment,
    StoredDialog,
)

Side: TypeAlias = tuple[bytes, bool]


@define
class MessageBatch:
    """The net effect; segments by their side and last number, ``upto`` by the side whose segments are dropped."""

    dialogs: dict[bytes, StoredDialog] = field(factory=dict)
    gone: set[bytes] = field(factory=set)
    segments: dict[Side, dict[int, Segment]] = field(factory=dict)
    upto: dict[Side, int] = field(factory=dict)
    dead: dict[tuple[bytes, bool, int], DeadMessage] = field(factory=dict)
    buried: set[tuple[bytes, bool, int]] = field(factory=set)
    keys: dict[tuple[bytes, str], PutKey] = field(factory=dict)
    kept: dict[int, KeptEnvelope] = field(factory=dict)
    given: set[int] = field(factory=set)
    told: dict[str, PutTold] = field(factory=dict)
    untold: set[str] = field(factory=set)
    clock: float | None = None


def settle(units: Iterable[MessageUnit]) -> MessageBatch:
    """Return what ``units`` come to, one after the other."""
    batch = MessageBatch()
    segments = batch.segments
    for unit in units:
        for operation in unit:
            kind = type(operation)
            # By class and not by match: there are thousands in a batch, most of them of these three kinds.
            if kind is PutSegment:
                segment = operation.segment  # type: ignore[union-attr]  # its class was just looked at
                side = segment.dialog_id, segment.ours
                last = segment.first + segment.count - 1
                if side in segments:
                    segments[side][last] = segment
                else:
                    segments[side] = {last: segment}
            elif kind is PutDialog:
                dialog = operation.dialog  # type: ignore[union-attr]  # the same
                batch.dialogs[dialog.dialog_id] = dialog
            elif kind is DropSegments:
                _drop_segments(batch, operation)  # type: ignore[arg-type]  # the same
            else:
                _take(batch, operation)
    return batch


def _drop_segments(batch: MessageBatch, drop: DropSegments) -> None:
    side, upto = (drop.dialog_id, drop.ours), drop.upto
    batch.upto[side] = max(upto, batch.upto.get(side, 0))
    waiting = batch.segments.get(side)
    if waiting:
        batch.segments[side] = {last: segment for last, segment in waiting.items() if last > upto}


def _take(batch: MessageBatch, operation: object) -> None:
    match operation:
        case DropDialog(dialog_id):
            batch.dialogs.pop(dialog_id, None)
            batch.gone.add(dialog_id)
            for ours in (True, False):
                batch.segments.pop((dialog_id, ours), None)
            for name in [name for name in batch.keys if name[0] == dialog_id]:
                del batch.keys[name]
        case PutDead(dead):
            batch.dead[dead.dialog_id, dead.ours, dead.number] = dead
        case DropDead(dialog_id, ours, number):
            batch.dead.pop((dialog_id, ours, number), None)
            batch.buried.add((dialog_id, ours, number))
        case PutKey(key, dialog_id):
            batch.keys[dialog_id, key] = operation
        case PutKept(envelope):
            batch.kept[envelope.number] = envelope
        case DropKept(numbers):
            for number in numbers:
                if batch.kept.pop(number, None) is None:
                    batch.given.add(number)
        case PutTold(nai):
            batch.told[nai] = operation
        case DropTold(nai):
            batch.told.pop(nai, None)
            batch.untold.add(nai)
        case NoteClock(now):
            batch.clock = now if batch.clock is None else max(now, batch.clock)
