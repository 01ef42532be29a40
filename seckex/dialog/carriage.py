"""What an open link does: records in, records out, dialogs in turn.

A `Carriage` has the keys of both directions and takes what comes; DATA goes
from the inbox to its dialog with as little between as can be. Which dialogs
this link carries is the business of `Routes`, and what leaves that of `Outlet`.

A dialog comes here by OPEN, or from another link by RESUME and RESUMED, which
say where each side is. Whoever asks parks the dialog until the answer is there:
nothing is sent or taken for it meanwhile. Asks may cross; ``attempt`` orders
them (docs/protocol.md, section 10).

What breaks a rule raises; its link then closes. Records for a dialog that is
over or that another link carries are ignored, since they may have crossed its
end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from seckex.dialog.faces import Cause, Closure, Ears, Sink
from seckex.dialog.handshake import Established
from seckex.dialog.outbound import violation
from seckex.dialog.record import Inbox, Opener, Outbox, Sealer
from seckex.dialog.routes import LARGEST_NUMBER, Routes
from seckex.dialog.stream import Dialog
from seckex.dialog.table import DialogTables, Tombstone, is_finished
from seckex.errors import (
    ApiMisuse,
    AuthenticationFailed,
    Malformed,
    PeerIncompatible,
    PeerMisbehaved,
    UnsupportedVersion,
)
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
from seckex.wire.resumption import Standing, decode_resume, decode_resumed, encode_resumed

# What in a peer's octets ends a link.
FAULTS: Final = (Malformed, UnsupportedVersion, AuthenticationFailed, PeerMisbehaved)

_LARGEST_CONTROL: Final = 2 + MAX_DETAIL


class Carriage(Routes):
    """The open part of a link of ``role``; ``limits`` is what this side allows the peer, ``ears`` is its link."""

    def __init__(
        self,
        established: Established,
        role: Role,
        limits: Hello,
        inbox: Inbox,
        outbox: Outbox,
        clock: Callable[[], int],
        tables: DialogTables,
        ears: Ears,
    ) -> None:
        keys, association = established.keys, established.association
        responds = role is Role.RESPONDER
        ours, theirs = (keys.responder, keys.initiator) if responds else (keys.initiator, keys.responder)
        sealer = Sealer(ours, keys.context, responds, clock, outbox)
        opener = Opener(theirs, keys.context, not responds, inbox, _LARGEST_CONTROL)
        super().__init__(association, sealer, opener, outbox, established.peer.largest_body, ears, limits, not responds)
        self._inbox = inbox
        self._peer = established.peer
        self._tables = tables
        self._peer_name = association.peer
        self._begun = False
        self._clock = clock
        # Dialogs that were taken over and of which nothing has come here, and what had come before.
        self._silent: dict[Dialog, int] = {}

        self._pings = 0

    @property
    def heard(self) -> tuple[int, int]:
        """What changes when something has come: records so far, and octets of the next one."""
        return self._opener.counter, self._inbox.end - self._inbox.start

    @property
    def said(self) -> int:
        """How many records this side has made."""
        return self._sealer.counter

    @property
    def told(self) -> int:
        """How many octets of bodies have come."""
        return self._opener.octets

    def begin(self) -> None:
        """Take dialogs over: the link is open."""
        self._begun = True
        self._table = self._tables.of(self._peer_name)
        self._corks += 1
        try:
            self._table.opened(self)
        finally:
            self._corks -= 1
        if not self._corks:
            self._push()

    # Inbound.

    def receive(self) -> None:
        """Use up the whole records in the inbox."""
        self.heard_at = self._clock()
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
            if self._silent:
                self._tell_what_came()

    def _tell_what_came(self) -> None:
        for dialog, before in tuple(self._silent.items()):
            if dialog.is_over or dialog.carrier is not self:
                del self._silent[dialog]
            elif dialog.received != before:
                del self._silent[dialog]
                self._table.went_on(dialog, self.heard_at)

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
            self._take_open(number, sequence, decode_opening(body))
        elif kind is RecordType.RESUME:
            self._take_resume(number, sequence, *decode_resume(body))
        else:
            dialog = self._dialogs.get(number)
            if dialog is not None:
                self._take_dialog_record(dialog, kind, sequence, body)
            elif number in self.abandoned:
                self._take_answer_too_late(number, kind)
            elif not self._was_used(number):
                raise violation(f"{kind.name} for dialog {number}, which was never opened")

    def _take_link_record(self, kind: RecordType, body: bytes) -> None:
        if kind is RecordType.PING:
            self.send(RecordType.PONG, 0, 0, body)
        elif kind is RecordType.PONG:
            if not self._pings:
                raise violation("PONG without PING")
            self._pings -= 1
        elif kind is RecordType.CLOSE:
            notice = decode_notice(body)
            self._ears.closing(Closure(Cause.CLOSED_BY_PEER, notice.code, notice.text))
        else:
            raise violation("a second HELLO")

    def _take_dialog_record(self, dialog: Dialog, kind: RecordType, sequence: int, body: bytes) -> None:
        if dialog.carrier is self._parked:
            self._take_answer(dialog, kind, sequence, body)
            return
        match kind:
            case RecordType.ACCEPT:
                dialog.take_accept()
            case RecordType.REJECT:
                dialog.take_reject(decode_notice(body))
            case RecordType.END:
                dialog.take_end(sequence)
            case RecordType.DONE:
                dialog.take_done(sequence)
            case RecordType.RESET:
                dialog.take_reset(decode_notice(body))
            case RecordType.CREDIT:
                dialog.take_credit(sequence, decode_credit(body))
            case RecordType.RESUMED:
                self._take_resumed(dialog, sequence, decode_resumed(body))
            case _:
                raise violation(f"{kind.name} for a dialog")

    def _take_answer(self, dialog: Dialog, kind: RecordType, sequence: int, body: bytes) -> None:
        number = dialog.number
        match kind:
            case RecordType.RESUMED:
                self._take_resumed(dialog, sequence, decode_resumed(body))
            case RecordType.REJECT:
                notice = decode_notice(body)
                dialog.lose(notice.text, notice.code)
            case RecordType.RESET:
                dialog.take_reset(decode_notice(body))
            case RecordType.DONE:
                dialog.take_done(sequence)
            case _:
                raise violation(f"{kind.name} in answer to RESUME")
        # It is answered; whether its program has gone away meanwhile is of no interest any more.
        self.abandoned.pop(number, None)

    def _take_open(self, number: int, attempt: int, opening: Opening) -> None:
        self._take_number(RecordType.OPEN, number, attempt)
        most = self._limits.most_dialogs
        known = self._table.get(opening.dialog_id)
        gone = self._table.tombstone(opening.dialog_id)
        if known is not None:
            self._take_open_again(known, number, attempt)
        elif gone is not None:
            self._reject(number, gone.ending.code or Code.UNKNOWN_DIALOG, gone.ending.text)
        elif self._table.theirs >= most:
            self._reject(number, Code.TOO_MANY_DIALOGS, f"{most} dialogs that this peer opened are not over yet")
        else:
            self._ears.offered(self._new_dialog(number, opening, False, attempt))

    def _take_open_again(self, dialog: Dialog, number: int, attempt: int) -> None:
        if dialog.ours:
            raise violation("OPEN of a dialog that the other side has opened")
        if self._is_stale(dialog, attempt):
            return
        nothing = Standing(0, dialog.peer_limit)
        if dialog.is_carrying and not dialog.can_take_up(nothing):
            self._break_off(dialog, number, "OPEN came again for a dialog that was answered")
            return
        self._board(dialog, number, attempt)
        if dialog.is_carrying:
            self._go_on(dialog, nothing)
        else:
            dialog.offer_again()

    def _take_resume(self, number: int, attempt: int, dialog_id: bytes, standing: Standing) -> None:
        self._take_number(RecordType.RESUME, number, attempt)
        dialog = self._table.get(dialog_id)
        if dialog is None:
            self._answer_for_gone(number, dialog_id)
        elif not self._is_stale(dialog, attempt):
            if not (dialog.is_carrying or dialog.is_asked):
                raise violation("RESUME of a dialog that was not accepted")
            if not dialog.can_take_up(standing):
                self._break_off(dialog, number, f"RESUME at {standing.received} up to {standing.limit} cannot be")
            else:
                self._board(dialog, number, attempt)
                self._go_on(dialog, standing)

    def _is_stale(self, dialog: Dialog, attempt: int) -> bool:
        """Tell whether the peer's ask is older than what holds, or gives way to our own."""
        if attempt != dialog.attempt:
            return attempt < dialog.attempt
        awaits = dialog.is_asked or not dialog.carrier.carries
        return dialog.ours and not self._tables.is_detached(dialog) if awaits else True

    def _take_resumed(self, dialog: Dialog, attempt: int, standing: Standing) -> None:
        if not attempt or attempt != dialog.attempt or not (dialog.carrier is self._parked or dialog.is_asked):
            raise violation("RESUMED where none can be")
        if not dialog.can_take_up(standing):
            self._break_off(dialog, dialog.number, f"RESUMED at {standing.received} up to {standing.limit} cannot be")
            return
        self._route(dialog, dialog.number)
        self._bases[dialog.number] = (dialog.received, standing.received)
        self._table.resumed(dialog, self.heard_at)
        if not dialog.end_received:
            self._silent[dialog] = dialog.received
        dialog.take_up(standing)

    def _take_answer_too_late(self, number: int, kind: RecordType) -> None:
        """Answer RESUMED of a dialog that has ended meanwhile; other answers end it too."""
        gone = self._table.tombstone(self.abandoned.pop(number))
        if kind is RecordType.RESUMED and gone is not None:
            self._say_how_it_ended(number, gone)

    def _answer_for_gone(self, number: int, dialog_id: bytes) -> None:
        gone = self._table.tombstone(dialog_id)
        if gone is None:
            self._reject(number, Code.UNKNOWN_DIALOG, "")
        else:
            self._say_how_it_ended(number, gone)

    def _say_how_it_ended(self, number: int, gone: Tombstone) -> None:
        if is_finished(gone):
            self.send(RecordType.DONE, number, gone.received, b"")
        else:
            notice = Notice(gone.ending.code or Code.UNKNOWN_DIALOG, gone.ending.text)
            self.send(RecordType.RESET, number, 0, encode_notice(notice))

    def _go_on(self, dialog: Dialog, standing: Standing) -> None:
        self._bases[dialog.number] = (dialog.received, standing.received)
        told = encode_resumed(dialog.standing())
        self.send(RecordType.RESUMED, dialog.number, dialog.attempt, told)
        dialog.take_up(standing)

    def _break_off(self, dialog: Dialog, number: int, text: str) -> None:
        self.send(RecordType.RESET, number, 0, encode_notice(Notice(Code.PROTOCOL_ERROR, text)))
        dialog.lose(text, Code.PROTOCOL_ERROR)

    def _reject(self, number: int, code: int, text: str) -> None:
        self.send(RecordType.REJECT, number, 0, encode_notice(Notice(code, text)))

    # Dialogs.

    def open(self, opening: Opening, sink: Sink) -> Dialog:
        """Ask the peer for a dialog; raises `PeerIncompatible` at the peer's limit."""
        number = self._next_number
        if self._table.ours >= self._peer.most_dialogs or number > LARGEST_NUMBER:
            raise PeerIncompatible(Code.TOO_MANY_DIALOGS, f"the peer allows {self._peer.most_dialogs} dialogs")
        body = encode_opening(opening)
        if self._table.get(opening.dialog_id) is not None:
            raise ApiMisuse("the id of a dialog is drawn anew for each")
        self._next_number += 2
        dialog = self._new_dialog(number, opening, True, 0)
        dialog.attach(sink)
        self.send(RecordType.OPEN, number, 0, body)
        return dialog

    def _new_dialog(self, number: int, opening: Opening, ours: bool, attempt: int) -> Dialog:
        windows = (self._limits.credit, self._peer.credit)
        dialog = Dialog(self._table, opening.dialog_id, opening.service, ours, *windows, attempt)
        self._table.add(dialog)
        self._bases[number] = (0, 0)
        self._route(dialog, number)
        return dialog

    # The link.

    def ping(self, octets: bytes = b"") -> None:
        """Ask for a PONG; of ``octets`` the first 64 are used."""
        self._pings += 1
        self.send(RecordType.PING, 0, 0, octets[:MAX_PING])

    def say_close(self, code: int, text: str) -> None:
        """Send CLOSE."""
        self.send(RecordType.CLOSE, 0, 0, encode_notice(Notice(code, text)))

    def end(self, text: str, *, lost: bool, peer_ends: bool) -> None:
        """Send and take nothing more; dialogs are detached, or ``lost``, and if the ``peer_ends`` all that wait too."""
        self._ended = True
        self._opener.stop()
        self.free = False
        self._ready.clear()
        if not self._begun:
            return
        self._table.closed(self)
        for dialog in self.dialogs:
            if lost:
                dialog.lose(text)
            else:
                self._table.detach(dialog, text)
        if peer_ends:
            self._table.lose_all(text)
