"""The sending half of a dialog: what a program has written, until the peer has consumed it.

Octets are queued, sent, and kept until a CREDIT tells that the peer has
consumed them, since the link that carried them may be lost; another link then
sends them again from where the peer is. They are kept as they were written or
sent, without copies; many small pieces are joined now and then.

Bounds: a program is asked to pause above `MOST_QUEUED` octets in the queue. Kept
are no more octets than the peer's window has, and no more than `MOST_KEPT`,
however large that window is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, cast

from seckex.dialog.carrier import NOBODY, NOWHERE, Carrier, Phase
from seckex.dialog.faces import Sink
from seckex.dialog.record import Octets
from seckex.errors import PeerMisbehaved
from seckex.wire.numbers import Code, RecordType
from seckex.wire.resumption import Standing

if TYPE_CHECKING:
    from seckex.dialog.stream import Dialog

# Octets that are less than this leave at once if they can; more wait for the end of the turn, to fill records.
SMALL: Final = 16384

# So much that waits is worth sending before the end of the turn. Above it a sink is asked to pause.
MOST_QUEUED: Final = 4 * 65536

# A paused sink is asked to resume when less than this waits, so that the next records can be filled.
FEW_QUEUED: Final = 65536

# Consumed octets are told at the latest when there are so many: half of what a sender keeps at least.
CREDIT_EVERY: Final = 1 << 20
MOST_KEPT: Final = 4 * CREDIT_EVERY

# So many pieces that are kept are joined into one: each alone costs more memory than small pieces have octets.
MANY_PIECES: Final = 1024

# Looked up for every record.
_CARRYING: Final = Phase.CARRYING


class Outbound:
    """The sending half; `seckex.dialog.stream.Dialog` is the whole.

    ``sent`` counts the octets of the stream that are sent; it goes back when a
    link takes the dialog over, to where the peer is. ``end_sent`` tells that END
    was sent once, ``done_received`` that the peer has taken everything and END.
    """

    __slots__ = (
        "_carrier",
        "_deliver",
        "_end_here",
        "_head_used",
        "_kept",
        "_kept_from",
        "_limit_out",
        "_limit_peer",
        "_phase",
        "_pieces_allowed",
        "_queue",
        "_queued",
        "_sink",
        "_sink_paused",
        "done_received",
        "end_queued",
        "end_sent",
        "number",
        "scheduled",
        "sent",
    )

    def __init__(self, phase: Phase, window: int) -> None:
        self._carrier: Carrier = NOWHERE
        self.number = 0
        self._phase = phase
        self._sink: Sink = NOBODY
        self._deliver = NOBODY.data

        self.sent = 0
        self._limit_peer = window
        self._limit_out = min(window, MOST_KEPT)
        self._queue: deque[Octets] = deque()
        self._queued = 0
        self._head_used = 0
        self._kept: deque[Octets] = deque()
        self._kept_from = 0
        self._pieces_allowed = MANY_PIECES
        self._sink_paused = False
        self.scheduled = False
        self.end_queued = False
        self.end_sent = False
        self._end_here = False
        self.done_received = False

    @property
    def queued(self) -> int:
        """Octets written and not sent."""
        return self._queued

    @property
    def kept(self) -> int:
        """Octets sent, and not known to be consumed."""
        return self.sent - self._kept_from

    # The program's side.

    def write(self, octets: bytes) -> None:
        """Send octets: few at once if they can be, many soon; none after ``end``, or when the dialog is over."""
        length = len(octets)
        if not length or self.end_queued:
            return
        carrier = self._carrier
        if length < SMALL and carrier.free and not self._queue and self._phase is _CARRYING:
            start = self.sent
            end = start + length
            if end <= self._limit_out and length <= carrier.largest_body:
                self.sent = end
                kept = self._kept
                kept.append(octets)
                if len(kept) > self._pieces_allowed:
                    self._join_kept()
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

    # The link's side.

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
        kept = self._kept
        body: Octets
        if left > room:
            body = memoryview(head)[used : used + room]
            self._head_used = used + room
            kept.append(body)
        elif left == room or len(queue) == 1:
            body = memoryview(head)[used:] if used else head
            self._head_used = 0
            queue.popleft()
            kept.append(body)
        else:
            # The pieces are kept, not what they are joined into: that memory is needed again at once.
            pieces = self._gather(room)
            body = b"".join(pieces)
            kept.extend(pieces)
        start = self.sent
        length = len(body)
        self.sent = start + length
        self._queued -= length
        if len(kept) > self._pieces_allowed:
            self._join_kept()
        carrier.send_data(self.number, start, body)
        if self._sink_paused and self._queued < FEW_QUEUED:
            self._sink_paused = False
            self._sink.resume()
        if not queue:
            self._send_end()
        return True

    def _gather(self, room: int) -> list[Octets]:
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
        return pieces

    def _send_waiting(self) -> None:
        if not self.scheduled and self._can_send():
            self._carrier.schedule(cast("Dialog", self))
        if self._queued >= MOST_QUEUED:
            self._carrier.hurry()
            if self._queued >= MOST_QUEUED and not self._sink_paused and self._phase is not Phase.OVER:
                self._sink_paused = True
                self._sink.pause()

    def _can_send(self) -> bool:
        return bool(self._queue) and self.sent < self._limit_out and self._phase is _CARRYING

    def _send_end(self) -> None:
        if (
            self.end_queued
            and not self._end_here
            and not self.done_received
            and not self._queue
            and self._phase is _CARRYING
            and self._carrier.carries
        ):
            self._end_here = True
            first = not self.end_sent
            self.end_sent = True
            self._carrier.send(RecordType.END, self.number, self.sent, b"")
            if first:
                self._sink.sent_end()

    def take_credit(self, consumed: int, limit: int) -> None:
        """Take CREDIT from the peer; raises `PeerMisbehaved`."""
        if self._phase is Phase.ASKED or consumed > self.sent or limit < self._limit_peer:
            raise violation(f"CREDIT for {consumed} octets up to {limit}, after {self.sent} up to {self._limit_peer}")
        self._free(consumed)
        self._limit_peer = limit
        self._limit_out = min(limit, consumed + MOST_KEPT)
        if not self.scheduled and self._can_send():
            self._carrier.schedule(cast("Dialog", self))

    # What is kept.

    def _free(self, consumed: int) -> None:
        kept, start = self._kept, self._kept_from
        while kept:
            end = start + len(kept[0])
            if end > consumed:
                break
            kept.popleft()
            start = end
        self._kept_from = start

    def _join_kept(self) -> None:
        kept = self._kept
        last = [kept.pop() for _ in range(MANY_PIECES)]
        kept.append(b"".join(reversed(last)))
        self._pieces_allowed = len(kept) + MANY_PIECES

    def _fits(self, standing: Standing) -> bool:
        """Tell whether the peer can be where it says: within what is kept, its limit not taken back."""
        return self._kept_from <= standing.received <= self.sent and standing.limit >= self._limit_peer

    def _go_back(self, standing: Standing) -> None:
        """Send everything again from where the peer is."""
        received = standing.received
        again: deque[Octets] = deque()
        start = self._kept_from
        for piece in self._kept:
            end = start + len(piece)
            if end > received:
                again.append(memoryview(piece)[received - start :] if start < received else piece)
            start = end
        if self._head_used:
            again.append(memoryview(self._queue.popleft())[self._head_used :])
            self._head_used = 0
        again.extend(self._queue)
        self._queue = again
        self._queued += self.sent - received
        self._kept.clear()
        self.sent = self._kept_from = received
        self._end_here = False
        self._limit_peer = standing.limit
        self._limit_out = min(standing.limit, received + MOST_KEPT)

    def _drop_all(self) -> None:
        self._queue.clear()
        self._queued = 0
        self._kept.clear()
        self._kept_from = self.sent
        self.end_queued = True


def violation(text: str) -> PeerMisbehaved:
    """Return the error of a peer that breaks a rule of section 10."""
    return PeerMisbehaved(Code.PROTOCOL_ERROR, text)
