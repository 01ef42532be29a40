"""One dialog: a stream of octets each way, with credit, half-close and reset.

A `Dialog` knows its offsets, its limits and what waits to be sent or delivered;
what carries its records is a `Carrier`, of which it knows little. Offsets count
from the beginning of the stream, so that nothing here depends on one link.

Bounds. Towards the peer: what a program writes while the dialog is out of
credit or the link is blocked is queued, and the program is asked to pause above
`MOST_QUEUED` octets. From the peer: what it sends is delivered at once; if the
program has paused delivery, or has not yet accepted the dialog, it is held, at
most one window of it, since credit is only given for what was delivered.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from enum import Enum, auto
from typing import Final, Protocol

from seckex.dialog.faces import End, Ending, Sink
from seckex.dialog.record import Octets
from seckex.errors import ApiMisuse, PeerMisbehaved
from seckex.wire.dialog import Notice, encode_credit, encode_notice
from seckex.wire.numbers import Code, RecordType

# Octets that are less than this leave at once if they can; more wait for the end of the turn, to fill records.
SMALL: Final = 16384

# So much that waits is worth sending before the end of the turn. Above it a sink is asked to pause.
MOST_QUEUED: Final = 4 * 65536

# A paused sink is asked to resume when less than this waits, so that the next records can be filled.
FEW_QUEUED: Final = 65536


class Carrier(Protocol):
    """What carries the records of a dialog: a link.

    ``free`` tells that a record given to it now leaves at once, ``largest_body``
    is the most octets in one DATA.
    """

    free: bool
    largest_body: int

    def send_data(self, dialog: int, sequence: int, body: Octets) -> None:
        """Send DATA."""
        ...

    def send(self, kind: RecordType, dialog: int, sequence: int, body: bytes) -> None:
        """Send any other record, blocked or not."""
        ...

    def schedule(self, dialog: Dialog) -> None:
        """Call the dialog's `Dialog.send_next` at the end of the turn or when there is room, in turn with others."""
        ...

    def hurry(self) -> None:
        """Send what fills records now."""
        ...

    def retire(self, dialog: Dialog) -> None:
        """Route no more records to the dialog: both directions are ended, or it was reset."""
        ...

    def release(self, dialog: Dialog) -> None:
        """Forget the dialog: it holds nothing any more."""
        ...


class _Nobody:
    """The sink of a dialog that has no program yet."""

    def opened(self) -> None:
        """Ignore it."""

    def data(self, octets: bytes) -> None:
        """Drop them."""

    def ended(self) -> None:
        """Ignore it."""

    def sent_end(self) -> None:
        """Ignore it."""

    def pause(self) -> None:
        """Ignore it."""

    def resume(self) -> None:
        """Ignore it."""

    def over(self, ending: Ending) -> None:
        """Ignore it."""


NOBODY: Final[Sink] = _Nobody()


class Phase(Enum):
    """How far a dialog is."""

    ASKED = auto()
    OFFERED = auto()
    CARRYING = auto()
    OVER = auto()


# Looked up for every record.
_ASKED: Final = Phase.ASKED
_OFFERED: Final = Phase.OFFERED
_CARRYING: Final = Phase.CARRYING


class Dialog:
    """One side of one dialog.

    ``number`` is the link's, ``dialog_id`` (16 octets) the dialog's own.
    ``sent`` and ``received`` count the octets of each stream; ``ours`` tells
    that this side opened it.
    """

    __slots__ = (
        "_carrier",
        "_consumed",
        "_credit_due",
        "_deliver",
        "_end_delivered",
        "_head_used",
        "_held",
        "_limit_in",
        "_limit_out",
        "_paused",
        "_phase",
        "_queue",
        "_queued",
        "_sink",
        "_sink_paused",
        "_window",
        "dialog_id",
        "end_queued",
        "end_received",
        "end_sent",
        "number",
        "ours",
        "received",
        "scheduled",
        "sent",
        "service",
    )

    def __init__(
        self, carrier: Carrier, number: int, dialog_id: bytes, service: str, ours: bool, window_in: int, window_out: int
    ) -> None:
        self._carrier = carrier
        self.number = number
        self.dialog_id = dialog_id
        self.service = service
        self.ours = ours
        self._phase = Phase.ASKED if ours else Phase.OFFERED
        self._sink: Sink = NOBODY
        self._deliver = NOBODY.data

        self.sent = 0
        self._limit_out = window_out
        self._queue: deque[Octets] = deque()
        self._queued = 0
        self._head_used = 0
        self._sink_paused = False
        self.scheduled = False
        self.end_queued = False
        self.end_sent = False

        self.received = 0
        self._window = window_in
        self._limit_in = window_in
        self._consumed = 0
        self._credit_due = (window_in + 1) // 2
        self._held: deque[bytes] = deque()
        self._paused = False
        self._end_delivered = False
        self.end_received = False

    def __repr__(self) -> str:
        return f"<Dialog {self.number} {self.service!r} {self._phase.name}>"

    @property
    def is_over(self) -> bool:
        """Whether nothing can be sent or will be delivered any more."""
        return self._phase is Phase.OVER

    @property
    def queued(self) -> int:
        """Octets written and not sent."""
        return self._queued

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

    def write(self, octets: bytes) -> None:
        """Send octets: few at once if they can be, many soon; none after `end`, or when the dialog is over."""
        length = len(octets)
        if not length or self.end_queued:
            return
        carrier = self._carrier
        if length < SMALL and carrier.free and not self._queue and self._phase is _CARRYING:
            start = self.sent
            end = start + length
            if end <= self._limit_out and length <= carrier.largest_body:
                self.sent = end
                carrier.send_data(self.number, start, octets)
                return
        self._queue.append(octets)
        self._queued += length
        self._send_waiting()

    def write_all(self, pieces: Iterable[bytes]) -> None:
        """Send several pieces as if they were one; raises `TypeError` if one is not ``bytes``, and sends none then."""
        pieces = tuple(pieces)
        length = 0
        for octets in pieces:
            if not isinstance(octets, bytes):
                raise TypeError("Data must be bytes")
            length += len(octets)
        if length < SMALL:
            self.write(b"".join(pieces))
        elif not self.end_queued:
            self._queue.extend(filter(None, pieces))
            self._queued += length
            self._send_waiting()

    def end(self) -> None:
        """Send no more: END follows what is queued."""
        if not self.end_queued:
            self.end_queued = True
            self._send_end()

    def reset(self, code: Code = Code.RESET_BY_PROGRAM, text: str = "") -> None:
        """End both directions now; what is queued or held is dropped."""
        if self._phase is _OFFERED:
            self.reject(code, text)
        elif self._phase is not Phase.OVER:
            if not (self.end_sent and self.end_received):
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

    # The link's side, outbound.

    def send_next(self, whole: bool) -> bool:
        """Send one DATA of what is queued, only a full one if ``whole``; return whether it did.

        END goes behind the last.
        """
        carrier = self._carrier
        queue = self._queue
        room = min(self._limit_out - self.sent, carrier.largest_body)
        if not queue or room <= 0 or (whole and self._queued < room):
            return False
        head = queue[0]
        used = self._head_used
        left = len(head) - used
        body: Octets
        if left > room:
            body = memoryview(head)[used : used + room]
            self._head_used = used + room
        elif left == room or len(queue) == 1:
            body = memoryview(head)[used:] if used else head
            self._head_used = 0
            queue.popleft()
        else:
            body = self._gather(room)
        start = self.sent
        length = len(body)
        self.sent = start + length
        self._queued -= length
        carrier.send_data(self.number, start, body)
        if self._sink_paused and self._queued < FEW_QUEUED:
            self._sink_paused = False
            self._sink.resume()
        if not queue:
            self._send_end()
        return True

    def _gather(self, room: int) -> bytes:
        queue = self._queue
        pieces: list[Octets] = [memoryview(queue.popleft())[self._head_used :]]
        self._head_used = 0
        room -= len(pieces[0])
        while room and queue:
            piece = queue[0]
            if len(piece) > room:
                pieces.append(memoryview(piece)[:room])
                self._head_used = room
                break
            pieces.append(queue.popleft())
            room -= len(piece)
        return b"".join(pieces)

    def _send_waiting(self) -> None:
        if not self.scheduled and self._can_send():
            self._carrier.schedule(self)
        if self._queued >= MOST_QUEUED:
            self._carrier.hurry()
            if self._queued >= MOST_QUEUED and not self._sink_paused and self._phase is not Phase.OVER:
                self._sink_paused = True
                self._sink.pause()

    def _can_send(self) -> bool:
        return bool(self._queue) and self.sent < self._limit_out and self._phase is _CARRYING

    def _send_end(self) -> None:
        if self.end_queued and not self.end_sent and not self._queue and self._phase is _CARRYING:
            self.end_sent = True
            self._carrier.send(RecordType.END, self.number, self.sent, b"")
            if self.end_received:
                self._carrier.retire(self)
            self._sink.sent_end()
            self._check_finished()

    # The link's side, inbound. What breaks a rule raises `PeerMisbehaved`.

    def take_accept(self) -> None:
        """Take ACCEPT from the peer."""
        if self._phase is not Phase.ASKED:
            raise _violation("ACCEPT of a dialog that was not asked for")
        self._phase = Phase.CARRYING
        self._begin()

    def take_reject(self, notice: Notice) -> None:
        """Take REJECT from the peer."""
        if self._phase is not Phase.ASKED:
            raise _violation("REJECT of a dialog that was not asked for")
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
        """Take END from the peer."""
        if self._phase is _ASKED or self.end_received:
            raise _violation("END where none can be")
        if sequence != self.received:
            raise _violation(f"END at {sequence}, but {self.received} octets have come")
        self.end_received = True
        if self.end_sent:
            self._carrier.retire(self)
        if self._phase is _CARRYING and not self._held and not self._paused:
            self._deliver_end()

    def take_credit(self, consumed: int, limit: int) -> None:
        """Take CREDIT from the peer."""
        if self._phase is _ASKED or consumed > self.sent or limit < self._limit_out:
            raise _violation(f"CREDIT for {consumed} octets up to {limit}, after {self.sent} up to {self._limit_out}")
        self._limit_out = limit
        if not self.scheduled and self._can_send():
            self._carrier.schedule(self)

    def take_reset(self, notice: Notice) -> None:
        """Take RESET from the peer."""
        if self._phase is _ASKED:
            raise _violation("RESET of a dialog that was not accepted")
        self._finish(Ending(End.RESET_BY_PEER, notice.code, notice.text))

    def lose(self, text: str) -> None:
        """Give up: the link is gone."""
        if self._phase is not Phase.OVER:
            self._finish(Ending(End.LOST, 0, text))

    def _data_violation(self, sequence: int, end: int) -> PeerMisbehaved:
        if self.end_received:
            return _violation("DATA after END")
        if self._phase is _ASKED:
            return _violation("DATA of a dialog that was not accepted")
        if sequence != self.received:
            return _violation(f"DATA at {sequence}, but {self.received} octets have come")
        return _violation(f"DATA up to {end}, but the limit is {self._limit_in}")

    def _begin(self) -> None:
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
            self._check_finished()

    def _check_finished(self) -> None:
        if self.end_sent and self._end_delivered and self._phase is not Phase.OVER:
            self._finish(Ending(End.FINISHED))

    def _give_credit(self) -> None:
        consumed = self._consumed
        self._limit_in = consumed + self._window
        self._credit_due = consumed + (self._window + 1) // 2
        if not self.end_received and self._phase is _CARRYING:
            self._carrier.send(RecordType.CREDIT, self.number, consumed, encode_credit(self._limit_in))

    def _finish(self, ending: Ending) -> None:
        self._phase = Phase.OVER
        self._queue.clear()
        self._queued = 0
        self._held.clear()
        self.end_queued = True
        self._carrier.retire(self)
        self._carrier.release(self)
        self._sink.over(ending)


def _violation(text: str) -> PeerMisbehaved:
    return PeerMisbehaved(Code.PROTOCOL_ERROR, text)
