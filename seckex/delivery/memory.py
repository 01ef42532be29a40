"""The store of messages in memory: for tests, and for simulations that crash and restore it.

`commit` writes and `sync` makes durable what was written, as a disk does; unless
it is asked for otherwise each commit is synchronised. `crash` goes back to what is
durable. `copy` is a backup: whoever serves with it first has restored it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

from attrs import define, evolve, field

from seckex.crypto.suites import SHA256
from seckex.delivery.store import (
    DeadMessage,
    DropDead,
    DropDialog,
    DropKept,
    DropSegments,
    DropTold,
    KeptEnvelope,
    KeptIndex,
    MessageOperation,
    MessageSnapshot,
    MessageUnit,
    NoteClock,
    PutDead,
    PutDialog,
    PutKept,
    PutKey,
    PutSegment,
    PutTold,
    Segment,
    SegmentIndex,
    StoredDialog,
)
from seckex.errors import StoreFailed
from seckex.sa.store import WORKER_MASK

#: Octets of the hash that names an envelope.
DIGEST_SIZE: Final = 16

#: A dialog's id, whether it is ours, and the number of a message.
Name: TypeAlias = tuple[bytes, bool, int]


@define
class _Held:
    """All that is stored; the values are frozen. Segments are named by their last message."""

    dialogs: dict[bytes, StoredDialog] = field(factory=dict)
    segments: dict[Name, Segment] = field(factory=dict)
    dead: dict[Name, DeadMessage] = field(factory=dict)
    keys: dict[tuple[bytes, str], PutKey] = field(factory=dict)
    kept: dict[int, KeptEnvelope] = field(factory=dict)
    told: dict[str, PutTold] = field(factory=dict)
    clock: float = 0.0
    restored: float = 0.0
    is_copy: bool = False

    def copied(self) -> _Held:
        return evolve(
            self,
            dialogs={**self.dialogs},
            segments={**self.segments},
            dead={**self.dead},
            keys={**self.keys},
            kept={**self.kept},
            told={**self.told},
        )

    def drop_dialog(self, dialog_id: bytes) -> None:
        self.dialogs.pop(dialog_id, None)
        self.segments = {name: each for name, each in self.segments.items() if name[0] != dialog_id}
        self.keys = {name: each for name, each in self.keys.items() if name[0] != dialog_id}

    def note(self, now: float) -> None:
        self.clock = max(self.clock, now)
        for dialog in [each for each in self.dialogs.values() if 0 < each.forget <= self.clock]:
            self.drop_dialog(dialog.dialog_id)
        self.keys = {name: each for name, each in self.keys.items() if each.until > self.clock}


@define
class MemoryMessages:
    """See the module and `seckex.delivery.store.MessageStore`.

    ``at_once`` tells whether a commit is durable when it returns. ``failing`` is what the next commits fail with.
    """

    at_once: bool = True
    failing: StoreFailed | None = None
    _held: _Held = field(factory=_Held, alias="held")
    _durable: _Held = field(factory=_Held, alias="durable")

    # -- what a simulation does

    def sync(self) -> None:
        """Make durable all that was committed."""
        self._durable = self._held.copied()

    def crash(self) -> None:
        """Forget what is not durable."""
        self._held = self._durable.copied()

    def copy(self) -> MemoryMessages:
        """Return a backup of what is durable."""
        held = evolve(self._durable.copied(), is_copy=True)
        return MemoryMessages(self.at_once, None, held, held.copied())

    def durable_dialogs(self) -> list[StoredDialog]:
        """Return the dialogs that a crash would leave."""
        return list(self._durable.dialogs.values())

    def durable_segments(self, dialog_id: bytes) -> list[Segment]:
        """Return the segments of a dialog that a crash would leave, rising."""
        found = [each for name, each in self._durable.segments.items() if name[0] == dialog_id]
        return sorted(found, key=lambda each: (each.ours, each.first))

    # -- the store

    def serve(self, now: float) -> None:
        """See `MessageStore.serve`."""
        if self._held.is_copy:
            self._held.is_copy, self._held.restored = False, now
        self.sync()

    def load(self, worker: int, now: float) -> MessageSnapshot:  # noqa: ARG002  # the interface's
        """See `MessageStore.load`."""
        held = self._held
        return MessageSnapshot(
            dialogs=tuple(each for each in held.dialogs.values() if _is_of(worker, each.dialog_id)),
            segments=tuple(
                SegmentIndex(s.dialog_id, s.ours, s.first, s.count, s.size, len(s.octets), s.spool, s.stored)
                for (dialog_id, _, _), s in sorted(held.segments.items(), key=_in_order)
                if _is_of(worker, dialog_id) and dialog_id in held.dialogs
            ),
            keys=tuple(
                (put.key, dialog_id, put.number, put.until)
                for (dialog_id, _), put in held.keys.items()
                if _is_of(worker, dialog_id) and dialog_id in held.dialogs and put.until > held.clock
            ),
            dead=sum(_is_of(worker, dialog_id) for dialog_id, _, _ in held.dead),
            clock=held.clock,
            restored=held.restored,
            kept=tuple(
                KeptIndex(
                    e.number, e.destination, e.depositor, e.until, len(e.octets), SHA256.digest(e.octets)[:DIGEST_SIZE]
                )
                for _, e in sorted(held.kept.items())
            )
            if worker == 0
            else (),
            told=tuple(held.told.values()) if worker == 0 else (),
        )

    def commit(self, units: Sequence[MessageUnit]) -> list[None]:
        """See `MessageStore.commit`."""
        if self.failing is not None:
            raise self.failing
        for unit in units:
            for operation in unit:
                self._do(operation)
        clocks = [operation.now for unit in units for operation in unit if isinstance(operation, NoteClock)]
        if clocks:
            self._held.note(max(clocks))
        if self.at_once:
            self.sync()
        return [None] * len(units)

    def _do(self, operation: MessageOperation) -> None:
        held = self._held
        match operation:
            case PutDialog(dialog):
                held.dialogs[dialog.dialog_id] = dialog
            case DropDialog(dialog_id):
                held.drop_dialog(dialog_id)
            case PutSegment(segment):
                held.segments[segment.dialog_id, segment.ours, segment.first + segment.count - 1] = segment
            case DropSegments(dialog_id, ours, upto):
                for name in [n for n in held.segments if n[:2] == (dialog_id, ours) and n[2] <= upto]:
                    del held.segments[name]
            case PutDead(dead):
                held.dead[dead.dialog_id, dead.ours, dead.number] = dead
            case DropDead(dialog_id, ours, number):
                held.dead.pop((dialog_id, ours, number), None)
            case PutKey():
                held.keys[operation.dialog_id, operation.key] = operation
            case PutKept(envelope):
                held.kept[envelope.number] = envelope
            case DropKept(numbers):
                for number in numbers:
                    held.kept.pop(number, None)
            case PutTold(nai):
                held.told[nai] = operation
            case DropTold(nai):
                held.told.pop(nai, None)
            case NoteClock():
                # What is to be forgotten is forgotten when all else was done.
                pass

    def segment(self, dialog_id: bytes, ours: bool, number: int) -> Segment | None:
        """See `MessageStore.segment`."""
        for (of, side, last), segment in self._held.segments.items():
            if (of, side) == (dialog_id, ours) and segment.first <= number <= last:
                return segment
        return None

    def dead(self, beyond: Name | None, most: int) -> Sequence[DeadMessage]:
        """See `MessageStore.dead`."""
        found = sorted(self._held.dead.items(), key=_in_order)
        after = () if beyond is None else _order(beyond)
        return [evolve(dead, octets=b"") for name, dead in found if _order(name) > after][:most]

    def dead_message(self, dialog_id: bytes, ours: bool, number: int) -> DeadMessage | None:
        """See `MessageStore.dead_message`."""
        return self._held.dead.get((dialog_id, ours, number))

    def kept(self, number: int) -> bytes | None:
        """See `MessageStore.kept`."""
        found = self._held.kept.get(number)
        return None if found is None else found.octets

    def spools(self, worker: int) -> frozenset[str]:
        """See `MessageStore.spools`."""
        every: list[Segment | DeadMessage] = [*self._held.segments.values(), *self._held.dead.values()]
        return frozenset(each.spool for each in every if each.spool and _is_of(worker, each.dialog_id))

    def tidy(self, now: float) -> None:
        """See `MessageStore.tidy`; there is nothing to do."""

    def close(self) -> None:
        """See `MessageStore.close`; what is durable may be served again."""


def _is_of(worker: int, dialog_id: bytes) -> bool:
    return dialog_id[-1] & WORKER_MASK == worker


def _order(name: Name) -> tuple[bytes, bool, int]:
    dialog_id, ours, number = name
    return dialog_id, not ours, number


def _in_order(item: tuple[Name, object]) -> tuple[bytes, bool, int]:
    return _order(item[0])
