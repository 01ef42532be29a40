"""One dialog: a stream of octets each way, with credit, half-close and reset.

A `Dialog` knows its offsets, its limits and what waits to be sent or delivered;
what carries its records is a `Carrier`, of which it knows little, and which may
be another one tomorrow: offsets count from the beginning of the stream, what
was sent is kept until it was consumed (`seckex.dialog.outbound`), and a dialog
is over only when both sides know that everything has arrived.

Bounds. From the peer: what it sends is delivered at once; if the program has
paused delivery, or has not yet accepted the dialog, it is held, at most one
window of it, since credit is only given for what was delivered.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from seckex.dialog.carrier import NOBODY, NOWHERE, Carrier, Home, Phase
from seckex.dialog.faces import End, Ending, Sink
from seckex.dialog.outbound import CREDIT_EVERY, Outbound, violation
from seckex.errors import ApiMisuse, PeerMisbehaved
from seckex.wire.dialog import Notice, encode_credit, encode_notice
from seckex.wire.numbers import Code, RecordType
from seckex.wire.resumption import Standing, encode_resumed

# Looked up for every record.
_ASKED: Final = Phase.ASKED
_OFFERED: Final = Phase.OFFERED
_CARRYING: Final = Phase.CARRYING


class Dialog(Outbound):
    """One side of one dialog.

    ``dialog_id`` (16 octets) is its name between the two principals, ``number``
    that on the link that carries it. ``sent`` and ``received`` count the octets
    of each stream; ``ours`` tells that this side opened it. ``attempt`` counts
    how often a link was asked to carry it, by either side; ``awaited`` the
    seconds that an answer of the peer is awaited for. ``left_at`` is when the link that carried it last was heard for
    the last time, in nanoseconds since 1970; 0 before any has.
    """

    __slots__ = (
        "_consumed",
        "_credit_due",
        "_end_delivered",
        "_end_may_repeat",
        "_held",
        "_home",
        "_limit_in",
        "_limit_told",
        "_paused",
        "_window",
        "attempt",
        "awaited",
        "dialog_id",
        "done_sent",
        "end_received",
        "left_at",
        "ours",
        "received",
        "service",
    )

    def __init__(
        self, home: Home, dialog_id: bytes, service: str, ours: bool, window_in: int, window_out: int, attempt: int = 0
    ) -> None:
        super().__init__(Phase.ASKED if ours else Phase.OFFERED, window_out)
        self._home = home
        self.dialog_id = dialog_id
        self.service = service
        self.ours = ours
        self.attempt = attempt
        self.awaited = 0
        self.left_at = 0

        self.received = 0
        self._window = window_in
        self._limit_in = self._limit_told = window_in
        self._consumed = 0
        self._credit_due = min((window_in + 1) // 2, CREDIT_EVERY)
        self._held: deque[bytes] = deque()
        self._paused = False
        self._end_delivered = False
        self._end_may_repeat = False
        self.end_received = False
        self.done_sent = False

    def __repr__(self) -> str:
        return f"<Dialog {self.number} {self.service!r} {self._phase.name}>"

    @property
    def is_asked(self) -> bool:
        """Whether the peer has not answered OPEN."""
        return self._phase is Phase.ASKED

    @property
    def is_carrying(self) -> bool:
        """Whether the dialog was accepted and is not over."""
        return self._phase is Phase.CARRYING

    @property
    def is_over(self) -> bool:
        """Whether nothing can be sent or will be delivered any more."""
        return self._phase is Phase.OVER

    @property
    def peer_limit(self) -> int:
        """The offset up to which the peer lets this side send."""
        return self._limit_peer

    @property
    def carrier(self) -> Carrier:
        """What carries it."""
        return self._carrier

    def attach(self, sink: Sink) -> None:
        """Set the program behind the dialog, once, while the dialog is being offered or asked for."""
        if self._sink is not NOBODY:
            raise ApiMisuse("a dialog has one sink")
        self._sink = sink
        self._deliver = sink.data

    # The program's side.

    def accept(self) -> None:
        """Let an offered dialog begin. Nothing happens if it is over by now: the sink has been told."""
        if self._phase is Phase.OVER:
            return
        if self._phase is not Phase.OFFERED:
            raise ApiMisuse("only an offered dialog can be accepted")
        self._phase = Phase.CARRYING
        if self.attempt:
            self._carrier.send(RecordType.RESUMED, self.number, self.attempt, encode_resumed(self.standing()))
        else:
            self._carrier.send(RecordType.ACCEPT, self.number, 0, b"")
        self._begin()

    def reject(self, code: Code, text: str = "") -> None:
        """Refuse an offered dialog. Nothing happens if it is over by now."""
        if self._phase is Phase.OVER:
            return
        if self._phase is not Phase.OFFERED:
            raise ApiMisuse("only an offered dialog can be rejected")
        self._carrier.send(RecordType.REJECT, self.number, 0, encode_notice(Notice(code, text)))
        self._finish(Ending(End.RESET, code, text))

    def reset(self, code: Code = Code.RESET_BY_PROGRAM, text: str = "") -> None:
        """End both directions now; what is queued or held is dropped."""
        if self._phase is _OFFERED:
            self.reject(code, text)
        elif self._phase is not Phase.OVER:
            self._carrier.send(RecordType.RESET, self.number, 0, encode_notice(Notice(code, text)))
            self._finish(Ending(End.RESET, code, text))

    def pause(self) -> None:
        """Deliver no more until `resume`."""
        self._paused = True

    def resume(self) -> None:
        """Deliver again, first what was held."""
        self._paused = False
        if self._phase is _CARRYING:
            self._deliver_held()

    # Links come and go.

    def standing(self) -> Standing:
        """Return how far this side is, as the peer is told now."""
        self._limit_told = self._limit_in
        return Standing(self.received, self._limit_in)

    def leave(self) -> None:
        """Be carried by nothing."""
        carrier, self._carrier = self._carrier, NOWHERE
        if carrier.carries:
            self.left_at = carrier.heard_at
        carrier.retire(self)
        self.number = 0

    def board(self, carrier: Carrier, number: int) -> None:
        """Be carried by ``carrier`` from now on; the dialog is then asked for, offered, or taken up by `take_up`."""
        self._carrier = carrier
        self.number = number

    def ask_again(self, window_in: int) -> None:
        """Prepare for another OPEN; RESUMED will tell how much may be sent."""
        self._window = self._limit_in = self._limit_told = max(self._window, window_in)
        self._go_back(Standing(0, 0))

    def offer_again(self) -> None:
        """Forget what came before the dialog was accepted: the peer sends it again."""
        self._held.clear()
        self.received = 0
        self.end_received = False

    def can_take_up(self, standing: Standing) -> bool:
        """Tell whether the peer can be where it says it is."""
        return self._fits(standing)

    def take_up(self, standing: Standing) -> None:
        """Go on from where the peer is: what it lacks is sent again, and what it may not know is told."""
        self.awaited = 0
        self._end_may_repeat = True
        self._go_back(standing)
        if self._phase is _ASKED:
            self._phase = Phase.CARRYING
            self._begin()
            return
        if self._limit_told != self._limit_in and not self.end_received:
            self._tell_credit()
        self._send_waiting()
        self._send_end()

    # The link's side, inbound. What breaks a rule raises `PeerMisbehaved`.

    def take_accept(self) -> None:
        """Take ACCEPT from the peer."""
        if self._phase is not Phase.ASKED:
            raise violation("ACCEPT of a dialog that was not asked for")
        self._phase = Phase.CARRYING
        self._begin()

    def take_reject(self, notice: Notice) -> None:
        """Take REJECT from the peer."""
        if self._phase is not Phase.ASKED:
            raise violation("REJECT of a dialog that was not asked for")
        self._finish(Ending(End.REJECTED, notice.code, notice.text))

    def take_data(self, sequence: int, body: bytes) -> None:
        """Take DATA from the peer."""
        end = sequence + len(body)
        if sequence != self.received or end > self._limit_in or self.end_received or self._phase is _ASKED:
            raise self._data_violation(sequence, end)
        self.received = end
        if self._paused or self._held or self._phase is _OFFERED:
            self._held.append(body)
            return
        self._deliver(body)
        self._consumed = end
        if end >= self._credit_due:
            self._give_credit()

    def take_end(self, sequence: int) -> None:
        """Take END from the peer, again too if a link has taken the dialog over since."""
        if self._phase is _ASKED or (self.end_received and not self._end_may_repeat):
            raise violation("END where none can be")
        if sequence != self.received:
            raise violation(f"END at {sequence}, but {self.received} octets have come")
        self._end_may_repeat = False
        self.end_received = True
        if self.done_sent:
            self._tell_done()
        elif self._phase is _CARRYING and not self._held and not self._paused:
            self._deliver_end()

    def take_done(self, sequence: int) -> None:
        """Take DONE from the peer."""
        if not self._end_here or self.done_received or sequence != self.sent:
            raise violation(f"DONE at {sequence}, after {self.sent} octets")
        self.done_received = True
        self._free(sequence)
        self._check_finished()

    def take_reset(self, notice: Notice) -> None:
        """Take RESET from the peer."""
        if self._phase is _ASKED:
            raise violation("RESET of a dialog that was not accepted")
        self._finish(Ending(End.RESET_BY_PEER, notice.code, notice.text))

    def lose(self, text: str, code: int = 0) -> None:
        """Give up: no link will carry the dialog on."""
        if self._phase is not Phase.OVER:
            self._finish(Ending(End.LOST, code, text))

    def give_up(self, code: Code, text: str) -> None:
        """Give up, and tell the peer so."""
        if self._phase is not Phase.OVER:
            self._carrier.send(RecordType.RESET, self.number, 0, encode_notice(Notice(code, text)))
            self._finish(Ending(End.LOST, code, text))

    def _data_violation(self, sequence: int, end: int) -> PeerMisbehaved:
        if self.end_received:
            return violation("DATA after END")
        if self._phase is _ASKED:
            return violation("DATA of a dialog that was not accepted")
        if sequence != self.received:
            return violation(f"DATA at {sequence}, but {self.received} octets have come")
        return violation(f"DATA up to {end}, but the limit is {self._limit_in}")

    def _begin(self) -> None:
        self.awaited = 0
        self._sink.opened()
        if self._phase is _CARRYING:
            self._send_waiting()
            self._send_end()
        if self._phase is _CARRYING and not self._paused:
            self._deliver_held()

    def _deliver_held(self) -> None:
        held = self._held
        while held and not self._paused:
            body = held.popleft()
            self._deliver(body)
            if self._phase is Phase.OVER:
                return
            self._consumed += len(body)
            if self._consumed >= self._credit_due:
                self._give_credit()
        if self.end_received and not held and not self._paused:
            self._deliver_end()

    def _deliver_end(self) -> None:
        if not self._end_delivered:
            self._end_delivered = True
            self._sink.ended()
            if self._phase is not Phase.OVER:
                self.done_sent = True
                self._tell_done()
                self._check_finished()

    def _check_finished(self) -> None:
        if self.done_sent and self.done_received and self._phase is not Phase.OVER:
            self._finish(Ending(End.FINISHED))

    def _give_credit(self) -> None:
        consumed = self._consumed
        self._limit_in = consumed + self._window
        self._credit_due = consumed + min((self._window + 1) // 2, CREDIT_EVERY)
        if not self.end_received and self._phase is _CARRYING and self._carrier.carries:
            self._tell_credit()

    def _tell_credit(self) -> None:
        self._limit_told = self._limit_in
        self._carrier.send(RecordType.CREDIT, self.number, self._consumed, encode_credit(self._limit_in))

    def _tell_done(self) -> None:
        self._carrier.send(RecordType.DONE, self.number, self.received, b"")

    def _finish(self, ending: Ending) -> None:
        self._phase = Phase.OVER
        self._drop_all()
        self._held.clear()
        self.leave()
        self._home.over(self, ending)
        self._sink.over(ending)
