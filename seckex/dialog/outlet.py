"""What leaves a link: records sealed into the outbox, and dialogs that send in turn.

Part of the hot path. When the outbox could not be emptied the link is blocked:
DATA stays with its dialogs until `Outlet.drained`, and is then taken from them
in turn, one record each. Other records are few and small and join the outbox
all the same. One turn of the event loop seals at most `MOST_IN_TURN` records,
so that a peer that takes small bodies only cannot hold up everybody else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Final

from seckex.dialog.faces import MOST_RECORDS, Cause, Closure, Ears, LinkAssociation
from seckex.dialog.record import DATA_WORD, LARGEST_INBOX, Octets, Opener, Outbox, Sealer
from seckex.wire.numbers import Code, RecordType

if TYPE_CHECKING:
    from seckex.dialog.stream import Dialog

# What waits in the outbox before sending it is worth a system call in the middle of something.
WORTH_SENDING: Final = 4 * 65536

MOST_IN_TURN: Final = 512

# A context ends this much before it must: it is looked at when the outbox is sent or the inbox used up, not before.
SPARE_RECORDS: Final = 8192
SPARE_OCTETS: Final = LARGEST_INBOX + WORTH_SENDING

_UNBOUNDED: Final = 1 << 64


class Outlet(ABC):
    """The sending part of `seckex.dialog.carriage.Carriage`; it also sees to what the association may carry."""

    carries = True

    def __init__(
        self,
        association: LinkAssociation,
        sealer: Sealer,
        opener: Opener,
        outbox: Outbox,
        largest_body: int,
        ears: Ears,
    ) -> None:
        self._sealer = sealer
        self._opener = opener
        self._seal = sealer.seal
        self._outbox = outbox
        self._ears = ears
        self.free = True
        self.largest_body = largest_body
        self.heard_at = 0
        self._corks = 0
        self._blocked = False
        self._turn_asked = False
        self._ended = False
        self._ready: deque[Dialog] = deque()
        self.proved = False
        self._last_record = min(association.records, MOST_RECORDS) - SPARE_RECORDS
        self._last_octet = (_UNBOUNDED if association.octets is None else association.octets) - SPARE_OCTETS
        self._record_alarm = int(self._last_record * association.worn_at)
        self._octet_alarm = int(self._last_octet * association.worn_at)
        self._worn = False

    @property
    def carried(self) -> int:
        """Octets of bodies so far, both ways together."""
        return self._sealer.octets + self._opener.octets

    @abstractmethod
    def retire(self, dialog: Dialog) -> None:
        """Route no more records to ``dialog``."""

    def send(self, kind: RecordType, dialog: int, sequence: int, body: bytes) -> None:
        """Send a record that is not DATA, blocked or not."""
        if self._ended:
            return
        self._seal(dialog, kind << 24, sequence, body)
        if not self._corks or len(self._outbox) >= WORTH_SENDING:
            self._push()

    def send_data(self, dialog: int, sequence: int, body: Octets) -> None:
        """Send DATA; only while ``free``, or from a dialog's ``send_next``."""
        self._seal(dialog, DATA_WORD, sequence, body)
        outbox = self._outbox
        if not self._corks or outbox.end - outbox.start >= WORTH_SENDING:
            self._push()

    def schedule(self, dialog: Dialog) -> None:
        """Call the dialog's ``send_next`` at the end of the turn or when there is room, in turn with others."""
        dialog.scheduled = True
        self._ready.append(dialog)
        if self.free and not self._corks:
            self._ask_turn()

    def hurry(self) -> None:
        """Send what fills records now."""
        if self.free and not self._corks:
            self._pump(whole=True)
            if self._ready and self.free:
                self._ask_turn()

    def turn(self) -> None:
        """Send what has gathered in the turn that ends now."""
        self._turn_asked = False
        if self.free and self._ready:
            self._pump()

    def drained(self) -> None:
        """Go on: the outbox has been emptied after all."""
        if not self._ended:
            self._pump()

    def _unschedule(self, dialog: Dialog) -> None:
        if dialog.scheduled:
            dialog.scheduled = False
            if dialog in self._ready:
                self._ready.remove(dialog)

    def _ask_turn(self) -> None:
        if not self._turn_asked:
            self._turn_asked = True
            self._ears.soon(self.turn)

    def _pump(self, whole: bool = False) -> None:
        """Take what waits from the dialogs in turn, one record each; of ``whole`` records only, if so."""
        ready = self._ready
        self._blocked = False
        self._corks += 1
        idle = 0
        budget = MOST_IN_TURN
        while idle < len(ready) and not self._blocked and budget:
            budget -= 1
            dialog = ready.popleft()
            # With no other waiting, what the dialog's program writes meanwhile may go straight on.
            self.free = not ready
            if dialog.send_next(whole):
                idle = 0
                again = True
            else:
                again = whole and dialog.queued > 0
                idle += again
            # Sending may have ended the link, or made a program reset the dialog.
            if again and dialog.carrier is self:
                ready.append(dialog)
            else:
                dialog.scheduled = False
        self.free = not self._blocked and not self._ended
        self._corks -= 1
        if not self._corks:
            self._push()
        if not budget and ready and self.free:
            self._ask_turn()

    def _push(self) -> None:
        outbox = self._outbox
        if outbox.end != outbox.start:
            self._ears.flush()
            if outbox.end != outbox.start:
                self.free = False
                self._blocked = True
        sealer = self._sealer
        if sealer.counter >= self._record_alarm or sealer.octets + self._opener.octets >= self._octet_alarm:
            self._wear()

    def _wear(self) -> None:
        if self._ended or not self.proved:
            return
        spent = self._sealer.counter >= self._last_record or self.carried >= self._last_octet
        self._record_alarm, self._octet_alarm = (
            (_UNBOUNDED, _UNBOUNDED) if spent else (self._last_record, self._last_octet)
        )
        if not self._worn:
            self._worn = True
            self._ears.worn()
        if spent:
            self._ears.closing(Closure(Cause.WORN_OUT, Code.UNKNOWN_ASSOCIATION, "the association has carried its due"))
