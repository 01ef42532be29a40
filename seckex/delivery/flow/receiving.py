"""The peer's direction of a dialog: from what comes in any order to what a program is given once, in order.

What comes is stored as it is, one body one segment, unless a part of it is there
already. It counts as received when the commit that has it is durable, together
with the number up to which all is (`delivered`); what is beyond a gap is told
by RECEIVED, and waits. Then it is given (`seckex.delivery.flow.inbox`). Numbers that
are skipped, and a message that is refused before it is there, count as received
and done.

Bounds. Of what is not done the dialog has at most twice the service's window
(twice, since a sender that starts anew does not know what is not processed),
or beyond that the one whose turn it is; and at most `MOST_GAPS` ranges of numbers. What is beyond is dropped, and comes again. DEAD
is said for the last `MOST_DEAD` messages that were put aside, on each connection.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

from attrs import evolve

from seckex.delivery.faces import Direction, Incoming, Verdict
from seckex.delivery.flow.assembling import Assembling, Assembly
from seckex.delivery.flow.inbox import Arrived, Inbox
from seckex.delivery.flow.inbox import ReceivingTerms as ReceivingTerms
from seckex.delivery.flow.memory import Room
from seckex.delivery.flow.pieces import Gap, ReceivingChanges, SpoolWork, Wanted
from seckex.delivery.flow.ranges import Ranges
from seckex.delivery.flow.revived import Revived
from seckex.delivery.flow.segments import message_size, violation
from seckex.delivery.store import (
    DeadMessage,
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
    Ask,
    Credit,
    Dead,
    End,
    Ended,
    Frame,
    Processed,
    Received,
    Skip,
    Where,
    pack_messages,
    unpack_messages,
)
from seckex.wire.numbers import MOST_JOINED, Code

MOST_GAPS: Final = MOST_RANGES
MOST_DEAD: Final = 64

_HIGHEST: Final = (1 << 64) - 1


class Receiving:
    """The peer's direction of one dialog.

    ``dialog`` as stored, or new; ``service`` is ours that takes the messages; ``segments`` those of the inbox that the
    store has, rising. ``room`` is memory for payloads that all dialogs share.

    For reading: ``delivered`` and ``done``, the numbers up to which all is durable, and done; ``last``, the number of
    the peer's END, or None, with ``code`` and ``why``; ``octets``, what is here and not done; ``refused`` counts what
    was dropped since it was beyond the bounds.
    """

    def __init__(
        self, dialog: StoredDialog, service: str, segments: Sequence[SegmentIndex], room: Room, terms: ReceivingTerms
    ) -> None:
        self._dialog_id = dialog.dialog_id
        direction = Direction.BACK if dialog.initiator else Direction.OUT
        peer = "" if dialog.anonymous and not dialog.initiator else dialog.peer
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
        self._changed = self._under_way = False
        self._again: ReceivingChanges | None = None
        self._put_delivered = self.delivered
        self._put_done = self.done
        self._gaps: list[Gap] = []
        self._gap_upto = 0

        self._owes = self._owes_acknowledgement = False
        self._says_all = True
        self._credit_said = self._processed_said = -1
        self._deads: deque[tuple[int, int, str]] = deque(maxlen=MOST_DEAD)
        self._deads_unsaid: list[tuple[int, int, str]] = []
        self._ended_said = False
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
    def terms(self) -> ReceivingTerms:
        """What the service allows."""
        return self._inbox.terms

    @terms.setter
    def terms(self, terms: ReceivingTerms) -> None:
        self._inbox.terms = terms
        self._owes = True

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
        if (self.octets + weight > 2 * self.terms.window and not (is_next and self._done_now == first - 1)) or (
            len(self._known) >= MOST_GAPS and not is_next
        ):
            self.refused += 1
            return False
        return True

    @property
    def _done_now(self) -> int:
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
        if assembly.size > self.terms.largest:
            why = f"longer than {self.terms.largest} octets"
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

    def hear(self, frame: Frame, now: Now) -> bool:  # noqa: ARG002  # both sides are asked alike
        """Take a frame; return whether it is of this side: SKIP, END, ASK, WHERE. Raises `PeerMisbehaved`."""
        match frame:
            case Skip(after, to):
                self._hear_skip(after + 1, to)
            case End(last, code, text):
                self._hear_end(last, code, text)
            case Ask():
                self.connected()
            case Where(number):
                self._owes = self._owes_acknowledgement = True
                self._processed_said = -1
                if number > max(self.delivered, self._gap_upto):
                    self._gaps.append(Gap(False, self.delivered + 1, number))
                    self._gap_upto = number
                    self._changed = True
            case _:
                return False
        return True

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

    # What is said.

    @property
    def owes(self) -> bool:
        """Whether STATE is to be said, unless another envelope was just sent and nothing but Acknowledged is news."""
        return self._owes or self._owes_acknowledgement

    def acknowledge(self) -> int:
        """Return the number for Acknowledged of an envelope that is now sent."""
        self._owes_acknowledgement = False
        return self.delivered

    def connected(self) -> None:
        """Say everything, over a new connection."""
        self._owes = self._says_all = True
        self._credit_said = self._processed_said = -1
        self._ended_said = False
        self._deads_unsaid = sorted({*self._deads, *self._deads_unsaid})

    def frames(self, now: Now) -> list[Frame]:  # noqa: ARG002  # both sides are asked alike
        """Return frames of a STATE that are news: CREDIT, RECEIVED, DEAD, PROCESSED, FRAGMENTS, ENDED."""
        frames: list[Frame] = []
        if self._credit_said != self.terms.window:
            self._credit_said = self.terms.window
            frames.append(Credit(self.terms.window))
        if self._later:
            frames.append(
                Received(tuple(Ranges(sorted((each.first, each.last) for each in self._later)))[:MOST_RANGES])
            )
        for each in self._deads_unsaid:
            self._deads.append(each)
            frames.append(Dead(*each))
        self._deads_unsaid = []
        if self._processed_said != self.done:
            self._processed_said = self.done
            frames.append(Processed(self.done))
        frames += self._assembling.frames(self._says_all)
        if self._is_finished and not self._ended_said and self.last is not None:
            self._ended_said = True
            frames.append(Ended(self.last))
        self._owes = self._says_all = False
        return frames

    @property
    def _is_finished(self) -> bool:
        if not self._last_durable or self.last is None:
            return False
        return self.done >= self.last or bool(self.code and self.done >= self.delivered)

    @property
    def is_over(self) -> bool:
        """Whether END of the peer is durable and all before it is done, and that was said."""
        return self._is_finished and self._ended_said

    # The program's side.

    @property
    def can_give(self) -> bool:
        """Whether `give` may have something."""
        return self._inbox.can_give or bool(self._revived.waiting)

    def give(self, most: int, now: Now) -> list[Incoming]:
        """Return what the program is to be given next, so that it has at most ``most`` messages of the dialog.

        Those are in order; but what an operator has revived goes beside them.
        """
        given = self._inbox.give(most, now)
        if self._revived.waiting:
            given += self._revived.give()
        return given

    def wanted(self) -> list[Wanted]:
        """Return what has to be read so that `give` can go on; each is told once."""
        return self._inbox.wanted()

    def fetched(self, wanted: Wanted, octets: bytes) -> None:
        """Take what was read."""
        self._inbox.fetched(wanted[0], octets)

    def not_fetched(self, wanted: Wanted, now: Now) -> None:  # noqa: ARG002  # both sides are told alike
        """Note that something could not be read; it is wanted again after the next tick."""
        self._inbox.fetched(wanted[0], None)

    def verdict(self, number: int, verdict: Verdict, why: str, now: Now, after: float = 0.0) -> bool:
        """Take what the program says of a message; return whether it had it.

        ``after`` seconds it is given again, where it is to be tried again; 0 leaves that to us.
        """
        return self._inbox.verdict(number, verdict, why, now, after) or self._revived.verdict(number, verdict)

    def take_back(self, now: Now, counted: bool = True) -> None:
        """Have given again what the program has, which is gone; ``counted`` as an attempt."""
        self._inbox.take_back(now, counted)
        self._revived.take_back()

    def retry(self, now: Now) -> None:
        """Have given again at once what waits for another attempt, as an operator wants."""
        self._inbox.retry(now)

    def drop(self, number: int, why: str, now: Now) -> bool | None:
        """Put a message aside that the program does not have, as an operator wants.

        Returns whether it is there; None while it has to be read first (`wanted`).
        """
        return self._inbox.drop(number, why, now)

    def revive(self, dead: DeadMessage, now: Now) -> bool:  # noqa: ARG002  # as all of an operator's wishes
        """Have a dead message given again; return whether it can be read. *done* drops it from the dead."""
        return self._revived.add(dead)

    def tick(self, now: Now) -> None:  # noqa: ARG002  # both sides are asked alike
        """Try again what the store or the spool could not do."""
        self._inbox.tick()
        self._assembling.tick()

    # For operators.

    def shown(self) -> dict[str, Any]:
        """Return where the peer's direction is, as plain values."""
        return {
            "delivered": self.delivered,
            "done": self.done,
            "segments": self.waiting,
            "octets": self.octets,
            "window": self.terms.window,
            "beyond": [list(each) for each in Ranges(sorted((each.first, each.last) for each in self._later))],
            "refused": self.refused,
            "last": self.last,
        }

    def queue(self, most: int) -> list[dict[str, Any]]:
        """Return the first segments of what waits for the program, as plain values."""
        return self._inbox.shown(most)


def _first(arrived: Arrived) -> int:
    return arrived.first
