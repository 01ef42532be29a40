"""Our direction of a dialog: from what a program wants sent to what the peer has processed.

What was accepted (`seckex.delivery.flow.accepted`) and is durable is sent. It counts in the window until it is
processed; what nobody answers to is sent again (`seckex.delivery.flow.outbox`,
`seckex.delivery.flow.window`).

A message that has expired before it was sent, and one that an operator drops,
is left out (`seckex.delivery.flow.skips`). What may have been sent, and so all
that was there when the process started, is not left out on its own. At most
`MOST_SKIPS` ranges are left out at a time; what expires beyond that is sent all
the same, and the receiver puts it aside.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any, Final

from seckex.delivery.flow.accepted import Accepted
from seckex.delivery.flow.backwards import Backwards
from seckex.delivery.flow.held import Held
from seckex.delivery.flow.memory import Room
from seckex.delivery.flow.pieces import Gap, Piece, Wanted
from seckex.delivery.flow.segments import violation
from seckex.delivery.flow.window import Patience, Window
from seckex.delivery.store import SegmentIndex, StoredDialog
from seckex.machine import Now
from seckex.wire.bodies import (
    Ask,
    Credit,
    Dead,
    End,
    Ended,
    Fragments,
    Frame,
    Processed,
    Received,
    Restored,
    Where,
    unpack_messages,
)
from seckex.wire.numbers import Code

MOST_SKIPS: Final = 1024


class Sending(Accepted):
    """Our direction of one dialog.

    ``dialog`` as stored, or new; ``segments`` those of the outbox that the store has, rising. ``room`` is memory for
    payloads that all dialogs share. ``restored`` is when our store was restored (wall-clock seconds), 0 if it
    never was: the numbers of dialogs that are older go on from there.

    For reading: ``next_number``; ``last``, the number of our END, or None; ``is_over``: ENDED was heard, and that is
    durable.
    """

    def __init__(
        self, dialog: StoredDialog, segments: Sequence[SegmentIndex], room: Room, restored: float = 0.0
    ) -> None:
        super().__init__(dialog, segments, room, restored)
        self._window = Window()
        self._patience = Patience()
        self._backwards = Backwards()
        self._dead: set[int] = set()
        self._end_said = self._asks = self._awaits_state = self._unreadable = False
        #: How often all that is not acknowledged was begun anew.
        self.rounds = 0

    # A connection's side.

    @property
    def is_ready(self) -> bool:
        """Whether `next` may have something; without a connection, whether it would have with one."""
        return self._ready if self._is_connected else self._outbox.has_durable

    def connected(self, now: Now) -> None:
        """Begin anew behind what is acknowledged, over a new connection.

        Of a message in fragments that was begun nothing goes before the peer has said in a STATE what it has of it.
        """
        self._is_connected = self._ready = True
        self._patience.stop()
        self._begin_anew()
        self._awaits_state = self._asks = self._outbox.forget_fragments()
        if self._is_awaited():
            self._patience.begin(now.monotonic)

    def resumed(self, now: Now) -> None:
        """Go on over another connection to the relay that keeps all that was sent."""
        self._is_connected = self._ready = True
        self.kept(now)

    def kept(self, now: Now) -> None:
        """Note that a relay keeps all that was sent and is not acknowledged."""
        if self._is_awaited():
            self._patience.kept(now.monotonic)

    def hurry(self, now: Now) -> None:
        """Send soon what is not acknowledged: what relays keep of it may be of no use."""
        self._patience.hurry(now.monotonic)

    def disconnected(self) -> None:
        """Note that there is no connection."""
        self._is_connected = self._ready = False
        self._patience.stop()

    def _begin_anew(self) -> None:
        self.rounds += 1
        self._ready = True
        self._outbox.rewind()
        self._skips.say_again()
        self._end_said = False
        self._backwards.asks = self._backwards.lower is not None

    def next(self, room: int, now: Now) -> Piece | None:
        """Return what is to be sent next, None if nothing is now.

        Whole messages are joined up to ``room`` octets; a segment, and a fragment, may be longer than that.
        """
        outbox, window = self._outbox, self._window
        piece: Piece | None = None
        while self._ready and (segment := outbox.current()) is not None:
            sent = segment.sent
            if not sent:
                if segment.earliest <= now.wall and self._expires(segment, now.wall):
                    continue
                if window.used and segment.weight > window.left:
                    break
            if segment.fragments:
                if not (sent and self._awaits_state):
                    piece = outbox.fragment(segment)
                    if piece is not None and not sent:
                        segment.sent = True
                        window.sent(segment.last, segment.weight)
                break
            joined = outbox.whole(segment, room, window.left, now.wall)
            if joined is not None:
                piece, passed = joined
                for each in passed:
                    if not each.sent:
                        each.sent = True
                        window.sent(each.last, each.weight)
            break
        if piece is None:
            self._ready = False
        else:
            self._patience.begin(now.monotonic)
        return piece

    def wanted(self) -> list[Wanted]:
        """Return what has to be read so that `next` can go on; each is told once."""
        if not self._is_connected or self._unreadable:
            return []
        return self._outbox.wanted(self._window.left)

    def fetched(self, wanted: Wanted, octets: bytes) -> None:
        """Take what was read."""
        self._outbox.fetched(wanted, octets)
        self._ready = self._is_connected

    def not_fetched(self, wanted: Wanted, now: Now) -> None:  # noqa: ARG002  # both sides are told alike
        """Note that something could not be read; it is wanted again after the next tick."""
        self._outbox.fetched(wanted, None)
        self._unreadable = True

    @property
    def has_frames(self) -> bool:
        """Whether `frames` has something to say; without a connection, whether it would have with one."""
        says_end = self._end_durable and not self._ended
        if not self._is_connected:
            return says_end or bool(self._skips.durable)
        return self._asks or self._backwards.asks or self._skips.has_frames or (says_end and not self._end_said)

    def frames(self, now: Now) -> list[Frame]:
        """Return frames of a STATE, each once on a connection, and again when nobody answers: SKIP, END, WHERE, ASK."""
        frames = self._skips.frames()
        if self._end_durable and not self._ended and not self._end_said and self.last is not None:
            self._end_said = True
            frames.append(End(self.last, self._code, self._why))
        if self._backwards.asks:
            self._backwards.asks = False
            frames.append(Where(self._acknowledged))
        if self._asks:
            self._asks = False
            frames.append(Ask())
        if frames:
            self._patience.begin(now.monotonic)
        return frames

    # Time.

    def tick(self, now: Now, blocked: bool) -> None:
        """Send again what nobody answered to, and leave out what has expired.

        ``blocked``: the connection takes nothing at the moment, so nobody can have answered.
        """
        if self._outbox.expiry <= now.wall:
            for segment in self._outbox.expired(now.wall):
                self._expires(segment, now.wall)
        if not self._is_connected:
            return
        if self._unreadable:
            self._unreadable = False
            self._ready = True
        if blocked:
            self._patience.suspend(now.monotonic)
        if self._patience.is_over(now.monotonic):
            self._send_again()

    def retry(self, now: Now) -> None:
        """Send what is not acknowledged again, now, as an operator wants."""
        if self._is_connected:
            self._patience.answered(now.monotonic, self._is_awaited())
            self._send_again()

    def _send_again(self) -> None:
        if not self._is_awaited():
            self._patience.stop()
            return
        self._begin_anew()
        self._asks = True
        # Who was asked already, and did not say what it has, may be behind a relay: that gets all, every other time.
        self._awaits_state = not self._awaits_state and self._outbox.forget_fragments()

    def _is_awaited(self) -> bool:
        return bool(
            self._skips.durable
            or (self._end_durable and not self._ended)
            or self._backwards.lower is not None
            or self._outbox.awaits
        )

    def _progress(self, now: Now) -> None:
        self._patience.answered(now.monotonic, self._is_awaited())
        self._ready = self._is_connected

    def _expires(self, segment: Held, wall: float) -> bool:
        """Leave out what has expired of a segment; return whether that could be told."""
        if segment.latest <= wall:
            gone = [(segment.first, segment.last)]
        elif segment.octets is None:
            return False
        else:
            messages = unpack_messages(segment.octets, segment.count)
            dates = [expires / 1_000_000 if expires else inf for _, expires, _ in messages]
            gone = [(number, number) for number, date in enumerate(dates, segment.first) if date <= wall]
            segment.earliest = min(date for date in [*dates, inf] if date > wall)
        if len(self._skips.ranges) + len(gone) > MOST_SKIPS:
            segment.earliest = segment.latest = inf
            return False
        for first, last in gone:
            for begin, end in segment.left(first, last):
                self._left_out(begin, end, Code.EXPIRED, "expired before it was sent")
            segment.leave_out(first, last)
        return True

    # The peer's side.

    def acknowledged(self, upto: int, now: Now) -> None:
        """Take Acknowledged of an envelope; raises `PeerMisbehaved`."""
        known = self._acknowledged
        if upto == known:
            if self._backwards.lower is not None:
                self._backwards.over()
            return
        if upto >= self.next_number:
            raise violation(f"{upto} was acknowledged, and {self.next_number} comes next")
        if upto < known:
            if self._backwards.heard(upto, now.monotonic):
                self._gone_back(upto)
            elif self._is_connected:
                self._patience.begin(now.monotonic)
            return
        self._backwards.over()
        self._acknowledged = upto
        self._changed = self._numbers = True
        self._skips.ranges.cut(upto)
        before = self._outbox.waiting
        self._spools += self._outbox.drop(upto)
        self._dropped |= self._outbox.waiting != before
        self._progress(now)

    def _gone_back(self, upto: int) -> None:
        """Believe that the peer has lost what it had acknowledged, and we do not have any more."""
        self._backwards.over()
        self._skips.ranges.add(upto + 1, self._acknowledged)
        self._gaps.append(Gap(True, upto + 1, self._acknowledged))
        self._acknowledged = upto
        self._changed = self._numbers = True

    def hear(self, frame: Frame, now: Now) -> bool:
        """Take a frame behind `acknowledged` of its envelope; return whether it is of this side.

        These are RECEIVED, PROCESSED, DEAD, CREDIT, FRAGMENTS, ENDED and RESTORED. Raises `PeerMisbehaved`.
        """
        match frame:
            case Received(ranges):
                # What is in front of these has no answer yet, however many come behind it.
                if self._outbox.received(ranges):
                    self._ready = self._is_connected
            case Processed(upto):
                self._hear_processed(upto, now)
            case Dead(number, code, text):
                self._hear_dead(number, code, text)
            case Credit(window):
                again = window and not self._window.most
                self._window.most = window
                if again:
                    # What came to no room was dropped.
                    self._begin_anew()
                self._ready = self._is_connected
            case Fragments(number, count):
                if self._outbox.has_fragments(number, count):
                    self._progress(now)
            case Ended(last):
                if not self._end_durable or last != self.last:
                    raise violation(f"ENDED at {last}, and END at {self.last}")
                if not self._ended:
                    self._hear_processed(last, now)
                    self._ended = self._changed = True
            case Restored():
                self._outbox.forget_received()
                if self._backwards.lower is not None:
                    self._gone_back(self._backwards.lower)
            case _:
                return False
        return True

    def heard_state(self, now: Now) -> None:
        """Note that a whole STATE was heard, so that what it does not say is not so."""
        if self._awaits_state:
            self._awaits_state = False
            self._progress(now)

    def _hear_processed(self, upto: int, now: Now) -> None:
        if upto > self._acknowledged:
            self.acknowledged(upto, now)
        if upto > self._processed:
            self._processed = upto
            self._window.processed(upto)
            self._dead = {number for number in self._dead if number > upto}
            self._changed = self._numbers = True
            self._ready = self._is_connected

    def _hear_dead(self, number: int, code: int, text: str) -> None:
        if not 0 < number < self.next_number:
            raise violation(f"{number} is dead, and {self.next_number} comes next")
        if number > self._processed and number not in self._dead and number not in self._skips:
            self._dead.add(number)
            self._fail([number], code, text)
            self._outbox.put_aside(number)
            self._changed = True

    # For operators.

    def shown(self) -> dict[str, Any]:
        """Return where our direction is, as plain values."""
        return {
            "next": self.next_number,
            "acknowledged": self._acknowledged,
            "processed": self._processed,
            "waiting": self.waiting,
            "octets": self.octets,
            "under_way": self._window.used,
            "window": self._window.most,
            "skips": [list(each) for each in self._skips.listed()],
            "last": self.last,
        }

    def queue(self, most: int) -> list[dict[str, Any]]:
        """Return the first segments of what waits, as plain values."""
        return self._outbox.shown(most)
