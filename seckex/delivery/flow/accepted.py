"""What a program wants sent, from when it is accepted: numbers, segments, commits, and how it ends.

Messages get their numbers at once, are packed into segments when a commit is
made, and can be sent when that commit is durable. `seckex.delivery.flow.sending.Sending` is the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from attrs import evolve

from seckex.delivery.faces import Outgoing
from seckex.delivery.flow.memory import Room
from seckex.delivery.flow.outbox import Outbox
from seckex.delivery.flow.pieces import Failure, Gap, SendingChanges
from seckex.delivery.flow.segments import Message, message_of, packed
from seckex.delivery.flow.skips import Skips
from seckex.delivery.store import DropSegments, PutSegment, Segment, SegmentIndex, StoredDialog
from seckex.errors import ApiMisuse
from seckex.machine import Now

#: How far the time of a restore is shifted to make numbers that were never used: they stay below 2^63 for a
#: thousand years, and a quarter of a billion messages a second would be needed to reach the next second's.
RESTORED_SHIFT: Final = 28


class Accepted:
    """The program's side of our direction, and what of it is durable."""

    def __init__(
        self, dialog: StoredDialog, segments: Sequence[SegmentIndex], room: Room, restored: float = 0.0
    ) -> None:
        self._dialog_id = dialog.dialog_id
        self._outbox = Outbox(segments, room)
        behind = segments[-1].first + segments[-1].count if segments else 1
        self.next_number = max(dialog.next_number, behind, dialog.acknowledged + 1)
        self._acknowledged = self._delivered_told = dialog.acknowledged
        self._processed = self._processed_told = dialog.processed
        self._pending: list[Message] = []
        self._pending_octets = 0
        self._accepted_at = 0.0

        self._changed = self._numbers = self._dropped = self._under_way = False
        self._again: SendingChanges | None = None
        self._failed: list[Failure] = []
        self._gaps: list[Gap] = []
        self._spools: list[str] = []

        self.last = dialog.last
        self._code, self._why = dialog.code, dialog.why
        self._end_durable = dialog.last is not None
        self._ended = self.is_over = False

        self._skips = Skips(dialog.skips)
        self._is_connected = self._ready = False

        for first, last in self._skips.ranges:
            self._outbox.leave_out(first, last)
        base = int(restored) << RESTORED_SHIFT if dialog.created < restored else 0
        if self.next_number < base and self.last is None:
            self._skips.ranges.add(self.next_number, base - 1)
            self.next_number = base
            self._changed = self._numbers = True

    @property
    def waiting(self) -> int:
        """Messages that are not acknowledged."""
        return self._outbox.waiting + len(self._pending)

    @property
    def octets(self) -> int:
        """What the outbox has of the dialog, in octets, with what the store adds."""
        return self._outbox.octets + self._pending_octets

    # The program's side.

    def accept(self, messages: Sequence[Outgoing], now: Now) -> int:
        """Take messages; return the number of the first.

        `changes` then has them. Raises `ApiMisuse` after an end, and for a message that cannot be; none is taken then.
        """
        if self.last is not None:
            raise ApiMisuse("the dialog has ended")
        taken = [message_of(each) for each in messages]
        first = self.next_number
        self.next_number += len(taken)
        self._pending += taken
        for _, _, payload in taken:
            self._pending_octets += len(payload) if isinstance(payload, bytes) else payload.size
        self._accepted_at = now.wall
        self._changed = True
        return first

    def end(self, code: int = 0, why: str = "") -> None:
        """End our direction behind what was accepted; with a code at once: what was not acknowledged fails with it."""
        if self.last is None:
            self.last = self.next_number - 1
        if code and not self._code:
            self._code, self._why = code, why
            first = self.next_number - len(self._pending)
            self._fail([*self._outbox.numbers(), *range(first, self.next_number)], code, why)
            self._spools += [payload.name for _, _, payload in self._pending if not isinstance(payload, bytes)]
            self._spools += self._outbox.drop(self.next_number)
            self._pending, self._pending_octets = [], 0
            self._dropped = True
        self._changed = self._numbers = True

    def _fail(self, numbers: Sequence[int], code: int, why: str) -> None:
        self._failed += [Failure(number, code, why) for number in numbers]

    def drop(self, number: int, code: int, why: str) -> bool:
        """Leave out a message that waits, as an operator wants; return whether it waited."""
        if number in self._skips or not self._outbox.leave_out(number, number):
            return False
        self._left_out(number, number, code, why)
        return True

    def _left_out(self, first: int, last: int, code: int, why: str) -> None:
        self._skips.ranges.add(first, last)
        self._fail(range(first, last + 1), code, why)
        self._changed = self._numbers = True

    # Commits.

    @property
    def has_changes(self) -> bool:
        """Whether `changes` has any."""
        return self._changed and not self._under_way

    def changes(self) -> SendingChanges | None:
        """Return what is to be made durable now; None if nothing is, or while a commit is under way."""
        if self._under_way or not self._changed:
            return None
        changes = self._again or SendingChanges()
        self._again = None
        self._changed, self._under_way = False, True
        if self._pending:
            self._pack(changes)
        if self._dropped:
            self._dropped = False
            upto = self.next_number - 1 if self._code else self._acknowledged
            changes.operations.append(DropSegments(self._dialog_id, True, upto))
        changes.numbers |= self._numbers
        self._numbers = False
        changes.failed += self._failed
        changes.gaps += self._gaps
        changes.spools += self._spools
        self._failed, self._gaps, self._spools = [], [], []
        changes.skips = self._skips.listed()
        changes.last = self.last
        changes.ended = self._ended
        if self._acknowledged > self._delivered_told:
            changes.delivered = self._delivered_told = self._acknowledged
        if self._processed > self._processed_told:
            changes.processed = self._processed_told = self._processed
        return changes

    def _pack(self, changes: SendingChanges) -> None:
        for each in packed(self.next_number - len(self._pending), self._pending):
            self._outbox.add(each)
            segment = Segment(
                self._dialog_id, True, each.first, each.count, each.size, each.octets, each.spool, self._accepted_at
            )
            changes.operations.append(PutSegment(segment))
        self._pending, self._pending_octets = [], 0
        changes.accepted = self.next_number - 1

    def committed(self, changes: SendingChanges) -> None:
        """Note that changes are durable."""
        self._under_way = False
        if changes.accepted:
            self._outbox.stored(changes.accepted)
            self._ready = self._is_connected
        self._skips.stored(changes.skips)
        self._end_durable = changes.last is not None
        self.is_over = changes.ended

    def not_committed(self, changes: SendingChanges) -> None:
        """Note that changes could not be made durable: the next have them again."""
        self._under_way = False
        self._again = changes
        self._changed = True

    def written_into(self, dialog: StoredDialog) -> StoredDialog:
        """Return the dialog with our numbers, right after `changes`."""
        return evolve(
            dialog,
            next_number=self.next_number,
            acknowledged=self._acknowledged,
            processed=self._processed,
            skips=self._skips.listed(),
            last=self.last,
            code=self._code or dialog.code,
            why=self._why or dialog.why,
        )
