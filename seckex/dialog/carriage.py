"""What an open link does: records in, records out, dialogs in turn.

A `Carriage` has the keys of both directions and the table of dialogs. It is the
`seckex.dialog.stream.Carrier` of its dialogs, and as such part of the hot path:
DATA goes from the inbox to its dialog, and from a dialog to the outbox, with as
little between as can be.

When the outbox could not be emptied the carriage is blocked: DATA stays with
its dialogs until `Carriage.drained`, and is then taken from them in turn, one
record each. Other records are few and small and join the outbox all the same.

What breaks a rule raises; its link then closes. Records for a dialog that is
over are ignored, since they may have crossed its end. Numbers of dialogs rise
by two and are used once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from seckex.dialog.faces import MOST_RECORDS, Cause, Closure, Ears, Sink
from seckex.dialog.handshake import Established
from seckex.dialog.record import DATA_WORD, LARGEST_INBOX, Inbox, Octets, Opener, Outbox, Sealer
from seckex.dialog.stream import Dialog
from seckex.errors import AuthenticationFailed, Malformed, PeerIncompatible, PeerMisbehaved, UnsupportedVersion
from seckex.wire.dialog import (
    LINK_TYPES,
    MAX_PING,
    Hello,
    Notice,
    Opening,
    check_dialog_header,
    decode_credit,
    decode_notice,
    decode_opening,
    encode_notice,
    encode_opening,
)
from seckex.wire.numbers import MAX_DETAIL, Code, RecordType, Role

# What waits in the outbox before sending it is worth a system call in the middle of something.
WORTH_SENDING: Final = 4 * 65536

# A context ends this much before it must: it is looked at when the outbox is sent or the inbox used up, not before.
SPARE_RECORDS: Final = 8192
SPARE_OCTETS: Final = LARGEST_INBOX + WORTH_SENDING

# What in a peer's octets ends a link.
FAULTS: Final = (Malformed, UnsupportedVersion, AuthenticationFailed, PeerMisbehaved)

_LARGEST_NUMBER: Final = 0xFFFFFFFF
_UNBOUNDED: Final = 1 << 64
_LARGEST_CONTROL: Final = 2 + MAX_DETAIL


class Carriage:
    """The open part of a link of ``role``; ``limits`` is what this side allows the peer, ``ears`` is its link."""

    def __init__(
        self,
        established: Established,
        role: Role,
        limits: Hello,
        inbox: Inbox,
        outbox: Outbox,
        clock: Callable[[], int],
        ears: Ears,
    ) -> None:
        keys, association = established.keys, established.association
        responds = role is Role.RESPONDER
        ours, theirs = (keys.responder, keys.initiator) if responds else (keys.initiator, keys.responder)
        self._sealer = Sealer(ours, keys.context, responds, clock, outbox)
        self._opener = Opener(theirs, keys.context, not responds, inbox, _LARGEST_CONTROL)
        self._inbox = inbox
        self._outbox = outbox
        self._limits = limits
        self._peer = established.peer
        self._ears = ears

        self._seal = self._sealer.seal
        self.free = True
        self.largest_body = self._peer.largest_body
        self.proved = False
        self._corks = 0
        self._turn_asked = False
        self._ended = False
        self._ready: deque[Dialog] = deque()

        self._dialogs: dict[int, Dialog] = {}
        self._takers: dict[int, Callable[[int, bytes], None]] = {}
        self._past_in = 0
        self._past_out = 0
        self._next_number = 2 if responds else 1
        self._last_of_peer = -1 if responds else 0
        self._routed_for_us = 0
        self._routed_for_peer = 0
        self._kept_for_peer = 0
        self._pings = 0

        self._last_record = min(association.records, MOST_RECORDS) - SPARE_RECORDS
        self._last_octet = (_UNBOUNDED if association.octets is None else association.octets) - SPARE_OCTETS
        self._record_alarm = self._last_record - self._last_record // 8
        self._octet_alarm = self._last_octet - self._last_octet // 8
        self._worn = False

    @property
    def carried(self) -> int:
        """Octets of bodies so far, both ways together."""
        return self._sealer.octets + self._opener.octets

    @property
    def octets_in(self) -> int:
        """Octets that dialogs have received so far."""
        return self._past_in + sum(dialog.received for dialog in self._dialogs.values())

    @property
    def octets_out(self) -> int:
        """Octets that dialogs have sent so far."""
        return self._past_out + sum(dialog.sent for dialog in self._dialogs.values())

    @property
    def dialogs(self) -> tuple[Dialog, ...]:
        """The dialogs whose records are still routed."""
        return tuple(self._dialogs.values())

    # Inbound.

    def receive(self) -> None:
        """Use up the whole records in the inbox."""
        self._corks += 1
        try:
            self._opener.open_all(self._takers, self._take)
        except FAULTS as error:
            self._ears.broken(error)
        finally:
            self._corks -= 1
            if self._ready and self.free:
                self._pump()
            else:
                self._push()

    def _take(self, number: int, kind_word: int, sequence: int, body: bytes) -> None:
        kind = check_dialog_header(number, kind_word, sequence, len(body), 0)
        if not self.proved:
            self.proved = True
            self._opener.largest_body = max(self._limits.largest_body, _LARGEST_CONTROL)
            self._inbox.widen()
            self._ears.proved()
        if kind in LINK_TYPES:
            self._take_link_record(kind, body)
        elif kind is RecordType.OPEN:
            self._take_open(number, decode_opening(body))
        else:
            dialog = self._dialogs.get(number)
            if dialog is not None:
                self._take_dialog_record(dialog, kind, sequence, body)
            elif not self._was_used(number):
                raise _violation(f"{kind.name} for dialog {number}, which was never opened")

    def _take_link_record(self, kind: RecordType, body: bytes) -> None:
        if kind is RecordType.PING:
            self.send(RecordType.PONG, 0, 0, body)
        elif kind is RecordType.PONG:
            if not self._pings:
                raise _violation("PONG without PING")
            self._pings -= 1
        elif kind is RecordType.CLOSE:
            notice = decode_notice(body)
            self._ears.closing(Closure(Cause.CLOSED_BY_PEER, notice.code, notice.text))
        else:
            raise _violation("a second HELLO")

    def _take_dialog_record(self, dialog: Dialog, kind: RecordType, sequence: int, body: bytes) -> None:
        match kind:
            case RecordType.ACCEPT:
                dialog.take_accept()
            case RecordType.REJECT:
                dialog.take_reject(decode_notice(body))
            case RecordType.END:
                dialog.take_end(sequence)
            case RecordType.RESET:
                dialog.take_reset(decode_notice(body))
            case RecordType.CREDIT:
                dialog.take_credit(sequence, decode_credit(body))
            case _:
                raise _violation(f"{kind.name} for a dialog")

    def _take_open(self, number: int, opening: Opening) -> None:
        if number <= self._last_of_peer or (number - self._last_of_peer) % 2:
            raise _violation(f"OPEN of dialog {number} after dialog {self._last_of_peer}")
        self._last_of_peer = number
        if self._routed_for_peer >= self._limits.most_dialogs:
            raise _violation(f"more than {self._limits.most_dialogs} dialogs")
        if self._kept_for_peer >= self._limits.most_dialogs:
            text = "the programs behind earlier dialogs have not read them yet"
            self.send(RecordType.REJECT, number, 0, encode_notice(Notice(Code.TOO_MANY_DIALOGS, text)))
            return
        dialog = self._new_dialog(number, opening, ours=False)
        self._routed_for_peer += 1
        self._kept_for_peer += 1
        self._ears.offered(dialog)

    def _new_dialog(self, number: int, opening: Opening, ours: bool) -> Dialog:
        dialog = Dialog(self, number, opening.dialog_id, opening.service, ours, self._limits.credit, self._peer.credit)
        self._dialogs[number] = dialog
        self._takers[number] = dialog.take_data
        return dialog

    def _was_used(self, number: int) -> bool:
        ours = number % 2 == self._next_number % 2
        return number < self._next_number if ours else number <= self._last_of_peer

    # Outbound.

    def open(self, opening: Opening, sink: Sink) -> Dialog:
        """Ask the peer for a dialog; raises `PeerIncompatible` at the peer's limit."""
        number = self._next_number
        if self._routed_for_us >= self._peer.most_dialogs or number > _LARGEST_NUMBER:
            raise PeerIncompatible(Code.TOO_MANY_DIALOGS, f"the peer allows {self._peer.most_dialogs} dialogs")
        body = encode_opening(opening)
        self._next_number += 2
        self._routed_for_us += 1
        dialog = self._new_dialog(number, opening, ours=True)
        dialog.attach(sink)
        self.send(RecordType.OPEN, number, 0, body)
        return dialog

    def ping(self, octets: bytes = b"") -> None:
        """Ask for a PONG; of ``octets`` the first 64 are used."""
        self._pings += 1
        self.send(RecordType.PING, 0, 0, octets[:MAX_PING])

    def say_close(self, code: int, text: str) -> None:
        """Send CLOSE."""
        self.send(RecordType.CLOSE, 0, 0, encode_notice(Notice(code, text)))

    def send(self, kind: RecordType, dialog: int, sequence: int, body: bytes) -> None:
        """Send a record that is not DATA, blocked or not."""
        if self._ended:
            return
        self._seal(dialog, kind << 24, sequence, body)
        if not self._corks or len(self._outbox) >= WORTH_SENDING:
            self._push()

    def send_data(self, dialog: int, sequence: int, body: Octets) -> None:
        """Send DATA; only while `free`, or from `Dialog.send_next`."""
        self._seal(dialog, DATA_WORD, sequence, body)
        outbox = self._outbox
        if not self._corks or outbox.end - outbox.start >= WORTH_SENDING:
            self._push()

    def schedule(self, dialog: Dialog) -> None:
        """Call `Dialog.send_next` at the end of the turn or when there is room, in turn with others."""
        dialog.scheduled = True
        self._ready.append(dialog)
        if self.free and not self._corks and not self._turn_asked:
            self._turn_asked = True
            self._ears.soon(self.turn)

    def hurry(self) -> None:
        """Send what fills records now."""
        if self.free and not self._corks:
            self._pump(whole=True)
            if self._ready and self.free and not self._turn_asked:
                self._turn_asked = True
                self._ears.soon(self.turn)

    def turn(self) -> None:
        """Send what has gathered in the turn that ends now."""
        self._turn_asked = False
        if self.free and self._ready:
            self._pump()

    def drained(self) -> None:
        """Go on: the outbox has been emptied after all."""
        if not self._ended:
            self._pump()

    def _pump(self, whole: bool = False) -> None:
        """Take what waits from the dialogs in turn, one record each; of ``whole`` records only, if so."""
        ready = self._ready
        self._blocked = False
        self._corks += 1
        idle = 0
        while idle < len(ready) and not self._blocked:
            dialog = ready.popleft()
            # With no other waiting, what the dialog's program writes meanwhile may go straight on.
            self.free = not ready
            if dialog.send_next(whole):
                idle = 0
                ready.append(dialog)
            elif whole and dialog.queued:
                idle += 1
                ready.append(dialog)
            else:
                dialog.scheduled = False
        self.free = not self._blocked and not self._ended
        self._corks -= 1
        if not self._corks:
            self._push()

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

    # Ends.

    def retire(self, dialog: Dialog) -> None:
        """Route no more records to ``dialog``."""
        if self._dialogs.pop(dialog.number, None) is not None:
            del self._takers[dialog.number]
            self._past_in += dialog.received
            self._past_out += dialog.sent
            if dialog.ours:
                self._routed_for_us -= 1
            else:
                self._routed_for_peer -= 1
            if not self._dialogs and not self._ended:
                self._ears.idle()

    def release(self, dialog: Dialog) -> None:
        """Forget ``dialog``."""
        if not dialog.ours:
            self._kept_for_peer -= 1

    def end(self, text: str) -> None:
        """Send and take nothing more; every dialog is lost."""
        self._ended = True
        self._opener.stop()
        self.free = False
        self._ready.clear()
        for dialog in self.dialogs:
            dialog.lose(text)


def _violation(text: str) -> PeerMisbehaved:
    return PeerMisbehaved(Code.PROTOCOL_ERROR, text)
