"""What the peer sends, in any order, until it is durable here and its turn comes.

What comes is stored as it is, one body one segment, unless a part of it is there
already. It counts as received when the commit that has it is durable, together
with the number up to which all is (`delivered`). What is beyond a gap waits.
Numbers that are skipped, and a message that is refused before it is there, count
as received and done. `seckex.delivery.flow.receiving.Receiving` is the whole.

Bounds. Of what is not done the dialog has at most twice the service's window
(twice, since a sender that starts anew does not know what is not processed), or
beyond that the message whose turn it is; and at most `MOST_GAPS` ranges of
numbers. All dialogs together have what the shared room says, whoever's turn it
is. What is beyond is dropped, and comes again.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Final

from attrs import evolve

from seckex.delivery.faces import Direction
from seckex.delivery.flow.arrived import Arrived, ReceivingTerms
from seckex.delivery.flow.assembling import Assembling, Assembly
from seckex.delivery.flow.inbox import Inbox
from seckex.delivery.flow.memory import Room
from seckex.delivery.flow.pieces import Gap, ReceivingChanges, SpoolWork, SyncSpool
from seckex.delivery.flow.ranges import Ranges
from seckex.delivery.flow.revived import Revived
from seckex.delivery.flow.segments import message_size, violation
from seckex.delivery.store import (
    DropSegments,
    PutDead,
    PutSegment,
    Segment,
    SegmentIndex,
    StoredDialog,
)
from seckex.errors import Malformed
from seckex.machine import Now
from seckex.wire.bodies import (
    MOST_RANGES,
    pack_messages,
    unpack_messages,
)
from seckex.wire.numbers import MOST_JOINED, Code

MOST_GAPS: Final = MOST_RANGES
MOST_DEAD: Final = 64

_HIGHEST: Final = (1 << 64) - 1


class Arriving:
    """What comes of the peer's direction, and what of it is durable."""

    def __init__(
        self, dialog: StoredDialog, service: str, segments: Sequence[SegmentIndex], room: Room, terms: ReceivingTerms
    ) -> None:
        self._dialog_id = dialog.dialog_id
        direction = Direction.BACK if dialog.initiator else Direction.OUT
        peer = "" if dialog.anonymous and not dialog.initiator else dialog.peer
        self._room = room
        self._inbox = Inbox(dialog.dialog_id, direction, peer, service, terms, room)
        self._assembling = Assembling(f"{dialog.dialog_id.hex()}.{direction.letter}")
        self._revived = Revived(dialog.dialog_id, direction, peer, service)
        self.delivered = dialog.delivered
        self.done = dialog.done
        self.last = dialog.peer_last
        self.code = dialog.code
        self.why = dialog.why
        self._last_durable = dialog.peer_last is not None

        # All numbers beyond ``delivered`` that came; those segments that are durable beyond a gap, that wait for a
        # commit, and that are in the one under way.
        self._known = Ranges()
        self._later: list[Arrived] = []
        self._fresh: list[Arrived] = []
        self._storing: list[Arrived] = []
        self.octets = 0
        self.refused = 0
        #: Whether the peer has to hear when there is room again for all.
        self.turned_away = False
        self._changed = self._under_way = False
        self._again: ReceivingChanges | None = None
        self._put_delivered = self.delivered
        self._put_done = self.done
        self._gaps: list[Gap] = []
        self._gap_upto = 0

        self._owes = self._owes_acknowledgement = False
        self._deads_unsaid: list[tuple[int, int, str]] = []
        self._load(segments)
        self._next = self._known.reach(self.delivered) + 1

    def _load(self, segments: Sequence[SegmentIndex]) -> None:
        for index in segments:
            arrived = Arrived(index.first, index.count, index.size, index.length, index.spool)
            if arrived.last <= self.done:
                self._inbox.has_dropped = self._changed = True
                continue
            self.octets += arrived.weight
            if arrived.last <= self.delivered:
                arrived.finished = max(0, self.done + 1 - arrived.first)
                self._inbox.add(arrived)
            else:
                self._known.add(arrived.first, arrived.last)
                self._later.append(arrived)

    @property
    def waiting(self) -> int:
        """Segments that are not done."""
        return len(self._inbox) + len(self._later) + len(self._fresh) + len(self._storing)

    # What comes.

    def take_messages(self, first: int, count: int, body: bytes, now: Now) -> None:  # noqa: ARG002  # as the next
        """Take the body of a MESSAGES; raises `PeerMisbehaved`."""
        last = first + count - 1
        self._check(first, last)
        if not 1 <= count <= MOST_JOINED:
            raise violation(f"a body of {count} messages")
        if first == self._next and first > self._known.last:
            parts = [(first, last)]
        else:
            parts = self._known.missing(max(first, self.delivered + 1), last)
            if not parts:
                self._owes_acknowledgement = True
                return
        if not self._fits(len(body), first):
            return
        # A peer that says a message both ways is believed once.
        self.octets -= self._assembling.give_up(first, last)
        if parts == [(first, last)]:
            self._arrive(first, count, body)
            return
        try:
            messages = unpack_messages(body, count)
        except Malformed:
            messages = []
        for begin, end in parts:
            # A body without messages cannot be read, which is then found out in its turn.
            octets = pack_messages(messages[begin - first : end + 1 - first]) if messages else b""
            self._arrive(begin, end + 1 - begin, octets)

    def _check(self, first: int, last: int) -> None:
        if not 1 <= first <= last <= _HIGHEST:
            raise violation(f"messages {first} to {last}")
        if self.last is not None and last > self.last:
            raise violation(f"message {last} behind the end at {self.last}")

    def _fits(self, weight: int, first: int) -> bool:
        is_next = first == self._next
        if weight and self._room.full:
            self.refused += 1
            self.turned_away = self._owes = True
            return False
        if (self.octets + weight > 2 * self._inbox.terms.window and not (is_next and self.judged == first - 1)) or (
            len(self._known) >= MOST_GAPS and not is_next
        ):
            self.refused += 1
            return False
        return True

    @property
    def judged(self) -> int:
        """The number up to which all is done, be it durable or not."""
        return self._done(self._next - 1)

    def _arrive(self, first: int, count: int, octets: bytes) -> None:
        arrived = Arrived(first, count, 0, len(octets), "")
        arrived.read(octets)
        arrived.octets = octets
        arrived.size = sum([message_size(payload) for _, _, payload in arrived.messages or ()])
        self.octets += arrived.weight
        self._came(arrived)

    def _came(self, arrived: Arrived) -> None:
        self._fresh.append(arrived)
        self._changed = True
        self._inbox.keep(arrived)
        self._know(arrived.first, arrived.last)

    def _know(self, first: int, last: int) -> None:
        self._known.add(first, last)
        self._next = self._known.reach(self.delivered) + 1

    def take_fragment(self, number: int, fragment: int, fragments: int, body: bytes, now: Now) -> None:
        """Take the body of a FRAGMENT; raises `PeerMisbehaved`."""
        self._check(number, number)
        assembling = self._assembling
        if number <= self.delivered or number in self._known:
            self._owes_acknowledgement = True
            return
        if number not in assembling and (fragment or not self._begin(number, fragments, body, now)):
            return
        whole = assembling.take(number, fragment, fragments, body)
        if whole is not None:
            self._assembled(whole)
        self._owes |= assembling.owes

    def _begin(self, number: int, fragments: int, body: bytes, now: Now) -> bool:
        try:
            assembly = self._assembling.begin(number, fragments, body)
        except Malformed as error:
            self._refuse(number, Code.POORLY_FORMED, str(error), now, 0, body)
            return False
        if assembly.size > self._inbox.terms.largest:
            why = f"longer than {self._inbox.terms.largest} octets"
            self._refuse(number, Code.INSUFFICIENT_RESOURCES, why, now, assembly.size, assembly.head)
            return False
        if not self._fits(assembly.weight, number) or not self._assembling.add(assembly, number == self._next):
            return False
        self.octets += assembly.weight
        return True

    def _refuse(self, number: int, code: Code, why: str, now: Now, size: int, octets: bytes) -> None:
        """Put a message aside that is not here, when it is the next; before that it comes again."""
        if number == self._next:
            self._inbox.put_aside(number, code, why, now, size, octets, "")
            self._know(number, number)
            self._changed = True

    def _assembled(self, whole: Assembly) -> None:
        octets = whole.octets()
        arrived = Arrived(whole.number, 1, whole.size, len(octets), whole.spool)
        arrived.read(octets)
        arrived.octets = octets
        self._came(arrived)

    def _hear_skip(self, first: int, last: int) -> None:
        self._check(first, last)
        self._owes_acknowledgement = True
        if last <= self.delivered:
            return
        if not self._fits(0, first):
            return
        self.octets -= self._assembling.give_up(first, last)
        self._know(max(first, self.delivered + 1), last)
        self._changed = True

    def _hear_end(self, last: int, code: int, text: str) -> None:
        if self.last is not None and last != self.last:
            raise violation(f"END at {last}, and END at {self.last}")
        if last < max(self.delivered, self._known.last):
            raise violation(f"END at {last}, and messages behind it")
        self._owes = True
        if self.last is None:
            self.last, self._changed = last, True
        if code and not self.code:
            self.code, self.why, self._changed = code, text, True

    # The spool.

    def spool_work(self) -> list[SpoolWork]:
        """Return what is to be done with the spool, in this order, each once; `written` answers."""
        work = self._assembling.work
        self._assembling.work = []
        return work

    def written(self, work: SpoolWork, ok: bool) -> None:
        """Note that something of `spool_work` was done, or could not be."""
        whole = self._assembling.done(work, ok)
        if whole is not None:
            self._assembled(whole)
        elif isinstance(work, SyncSpool) and not ok:
            # It comes again from its beginning.
            self.octets -= self._assembling.give_up(work.number, work.number)
        self._owes |= self._assembling.owes

    # Commits.

    @property
    def has_changes(self) -> bool:
        """Whether `changes` has any."""
        return (self._changed or self._inbox.has_done or bool(self._revived.finished)) and not self._under_way

    def changes(self, now: Now) -> ReceivingChanges | None:
        """Return what is to be made durable now; None if nothing is, or while a commit is under way."""
        if not self.has_changes:
            return None
        inbox = self._inbox
        changes = self._again or ReceivingChanges()
        self._again = None
        self._changed, self._under_way = False, True
        operations = changes.operations
        for each in self._fresh:
            segment = Segment(
                self._dialog_id, False, each.first, each.count, each.size, each.octets, each.spool, now.wall
            )
            operations.append(PutSegment(segment))
            if not each.broken:
                each.octets = b""
        self._storing += self._fresh
        self._fresh = []
        for dead in inbox.dead:
            operations.append(PutDead(dead))
        changes.dead += inbox.dead
        operations += self._revived.finished
        self._revived.finished = []
        changes.delivered = self._next - 1
        changes.done = self._done(changes.delivered)
        if inbox.has_dropped:
            operations.append(DropSegments(self._dialog_id, False, changes.done))
        changes.spools += inbox.spools + self._revived.spools
        self._revived.spools = []
        changes.gaps += self._gaps
        changes.last = self.last
        changes.numbers |= (
            changes.delivered != self._put_delivered
            or changes.done != self._put_done
            or (self.last is not None and not self._last_durable)
        )
        self.octets -= inbox.freed
        inbox.freed = 0
        inbox.dead, inbox.spools, self._gaps = [], [], []
        inbox.has_done = inbox.has_dropped = False
        self._put_delivered, self._put_done = changes.delivered, changes.done
        return changes

    def _done(self, delivered: int) -> int:
        undone = self._inbox.first_undone
        if undone is None and (self._fresh or self._storing or self._later):
            waiting = chain(self._fresh, self._storing, self._later)
            undone = min((each.first for each in waiting if each.last <= delivered), default=None)
        return delivered if undone is None else undone - 1

    def committed(self, changes: ReceivingChanges) -> None:
        """Note that changes are durable: what came in order can be given, and is to be acknowledged."""
        self._under_way = False
        if self._storing or self._later:
            waiting = [*self._later, *self._storing]
            self._later = [each for each in waiting if each.last > changes.delivered]
            self._storing = []
            for each in sorted([each for each in waiting if each.last <= changes.delivered], key=_first):
                self._inbox.add(each)
            self._owes_acknowledgement = True
            self._owes |= bool(self._later)
        if changes.delivered > self.delivered:
            self._owes_acknowledgement = True
            self.delivered = changes.delivered
            self._known.cut(changes.delivered)
        for dead in changes.dead:
            self._deads_unsaid.append((dead.number, dead.code, dead.why))
        if changes.done != self.done or changes.dead:
            self.done = changes.done
            self._owes = True
        if changes.last is not None and not self._last_durable:
            self._last_durable = self._owes = True

    def not_committed(self, changes: ReceivingChanges) -> None:
        """Note that changes could not be made durable: the next have them again."""
        self._under_way = False
        self._again = changes
        self._changed = True
        changes.numbers = True

    def written_into(self, dialog: StoredDialog) -> StoredDialog:
        """Return the dialog with the peer's numbers, right after `changes`."""
        return evolve(
            dialog,
            delivered=self._put_delivered,
            done=self._put_done,
            peer_last=self.last,
            code=self.code or dialog.code,
            why=self.why or dialog.why,
        )


def _first(arrived: Arrived) -> int:
    return arrived.first
