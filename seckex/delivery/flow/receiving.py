"""The peer's direction of a dialog: from what comes in any order to what a program is given once, in order.

What comes is made durable (`seckex.delivery.flow.arriving`), then given
(`seckex.delivery.flow.inbox`); here is what is said of it. RECEIVED tells what is
durable beyond a gap. DEAD goes before the PROCESSED that has its number, and is
said again on each connection for the last `MOST_DEAD` messages that were put
aside since the process started. A STATE has so many DEADs at most: what is left
goes with the next, and PROCESSED waits for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from seckex.delivery.faces import Incoming, Verdict
from seckex.delivery.flow.arrived import ReceivingTerms as ReceivingTerms
from seckex.delivery.flow.arriving import Arriving
from seckex.delivery.flow.memory import Room
from seckex.delivery.flow.pieces import Gap, Wanted
from seckex.delivery.flow.ranges import Ranges
from seckex.delivery.store import (
    DeadMessage,
    SegmentIndex,
    StoredDialog,
)
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
)

MOST_GAPS: Final = MOST_RANGES
MOST_DEAD: Final = 64

_HIGHEST: Final = (1 << 64) - 1


class Receiving(Arriving):
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
        super().__init__(dialog, service, segments, room, terms)
        self._says_all = True
        self._credit_said = self._processed_said = -1
        self._deads: deque[tuple[int, int, str]] = deque(maxlen=MOST_DEAD)
        self._ended_said = False

    @property
    def terms(self) -> ReceivingTerms:
        """What the service allows."""
        return self._inbox.terms

    @terms.setter
    def terms(self, terms: ReceivingTerms) -> None:
        self._inbox.terms = terms
        self._owes = True

    # What is heard and said.

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

    @property
    def owes(self) -> bool:
        """Whether STATE is to be said, unless another envelope was just sent and nothing but Acknowledged is news."""
        return self._owes or self._owes_acknowledgement

    @property
    def has_frames(self) -> bool:
        """Whether `frames` has news."""
        return self._owes

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
        self.turned_away = self.turned_away and self._room.full
        window = 0 if self.turned_away else self.terms.window
        if self._credit_said != window:
            self._credit_said = window
            frames.append(Credit(window))
        if self._later:
            frames.append(
                Received(tuple(Ranges(sorted((each.first, each.last) for each in self._later)))[:MOST_RANGES])
            )
        said, unsaid = self._deads_unsaid[:MOST_DEAD], self._deads_unsaid[MOST_DEAD:]
        self._deads_unsaid = unsaid
        for each in said:
            self._deads.append(each)
            frames.append(Dead(*each))
        upto = min([self.done, *(number - 1 for number, _, _ in unsaid)])
        if self._processed_said != upto:
            self._processed_said = upto
            frames.append(Processed(upto))
        frames += self._assembling.frames(self._says_all)
        if self._is_finished and not unsaid and not self._ended_said and self.last is not None:
            self._ended_said = True
            frames.append(Ended(self.last))
        self._owes, self._says_all = bool(unsaid), False
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
        """Try again what the store could not do, and have the peer hear of room."""
        self._inbox.tick()
        self._owes |= self.turned_away and not self._room.full

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
