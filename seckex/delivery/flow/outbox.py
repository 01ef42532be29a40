"""Segments of ours that are not acknowledged: which octets are in memory, and how far sending has come in them.

Octets are kept in memory from when they are accepted until they are acknowledged, as long as
the dialog has less than `MOST_KEPT` of them and the room that all dialogs share lasts. All others are
forgotten when they are durable, and read from the store when their turn comes, at most `AHEAD` octets ahead; then
they are forgotten again once they are sent. Of a file of the spool at most
`PIECES_AHEAD` pieces are in memory.

A segment is sent as it is, joined with those that follow up to `WHOLE_UPTO` octets.
Messages that were left out are holes in their segment: what is between is packed again.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable
from itertools import islice
from math import inf
from typing import Any, Final

from seckex.delivery.faces import FRAGMENT, WHOLE_UPTO
from seckex.delivery.flow.held import Held, joined
from seckex.delivery.flow.memory import Room
from seckex.delivery.flow.pieces import Piece, Wanted, WantedPiece, WantedSegment
from seckex.delivery.flow.ranges import Ranges
from seckex.delivery.flow.segments import ROW, Packed
from seckex.delivery.store import SegmentIndex
from seckex.wire.bodies import pack_messages, padded, unpack_messages
from seckex.wire.numbers import MOST_JOINED, MessageKind

MOST_KEPT: Final = 8 << 20
AHEAD: Final = 1 << 20
PIECES_AHEAD: Final = 8

#: docs/messages.md, section 9: so many fragments are under way that FRAGMENTS has not named.
MOST_FRAGMENTS_AHEAD: Final = 64

# Looked up for every piece.
_MESSAGES: Final = MessageKind.MESSAGES
_FRAGMENT: Final = MessageKind.FRAGMENT


class Outbox:
    """What is not acknowledged, in order, and where sending is in it.

    ``octets`` counts what the store has of it, ``waiting`` the messages; ``expiry`` is when the first expires of those
    that were not sent.
    """

    __slots__ = (
        "_absent",
        "_asked",
        "_at",
        "_kept",
        "_offset",
        "_pieces",
        "_room",
        "_unstored",
        "expiry",
        "held",
        "octets",
        "waiting",
    )

    def __init__(self, segments: Iterable[SegmentIndex], room: Room) -> None:
        self._room = room
        self._kept = 0
        self._absent = 0
        self._unstored: deque[Held] = deque()
        self._at = self._offset = 0
        self._pieces: dict[int, bytes] = {}
        self._asked: set[int] = set()
        self.held: deque[Held] = deque()
        self.octets = self.waiting = 0
        self.expiry = inf
        for index in segments:
            segment = Held(index.first, index.count, index.size, index.length, index.spool)
            # Nobody knows whether it was sent before, and what the peer may have is never left out.
            segment.stored = segment.sent = True
            self._absent += 1
            self._append(segment)

    def _append(self, segment: Held) -> None:
        self.held.append(segment)
        self.octets += segment.weight + ROW
        self.waiting += segment.count

    # What comes and goes.

    def add(self, packed: Packed) -> None:
        """Take a segment that is not yet durable."""
        segment = Held(packed.first, packed.count, packed.size, len(packed.octets), packed.spool)
        segment.octets = packed.octets
        segment.earliest, segment.latest = packed.earliest, packed.latest
        if packed.earliest < self.expiry:
            self.expiry = packed.earliest
        if self._kept + segment.length <= MOST_KEPT and self._room.take(segment.length):
            segment.kept = True
            self._kept += segment.length
        self._append(segment)
        self._unstored.append(segment)

    def stored(self, upto: int) -> None:
        """Note that all up to a number are durable."""
        unstored = self._unstored
        while unstored and unstored[0].last <= upto:
            segment = unstored.popleft()
            segment.stored = True
            if not segment.kept:
                self._forget(segment)

    def _forget(self, segment: Held) -> None:
        if segment.octets is not None:
            segment.octets = None
            self._absent += 1

    def drop(self, upto: int) -> list[str]:
        """Drop the segments all of whose messages are up to a number; return the files of the spool that they had."""
        held = self.held
        spools = []
        dropped = 0
        while held and held[0].last <= upto:
            segment = held.popleft()
            dropped += 1
            self.octets -= segment.weight + ROW
            self.waiting -= segment.count
            if segment.kept:
                self._kept -= segment.length
                self._room.give_back(segment.length)
            elif segment.octets is None:
                self._absent -= 1
            if segment.spool:
                spools.append(segment.spool)
        self._at -= dropped
        if self._at < 0:
            self._at = 0
            self._begin_segment()
        while self._unstored and self._unstored[0].last <= upto:
            self._unstored.popleft()
        return spools

    def find(self, number: int) -> Held | None:
        """Return the segment that has a message."""
        at = bisect_left(self.held, number, key=_last)
        return self.held[at] if at < len(self.held) and self.held[at].first <= number else None

    def numbers(self) -> list[int]:
        """Return the numbers that are not left out."""
        return [
            number
            for segment in self.held
            for first, last in segment.left(segment.first, segment.last)
            for number in range(first, last + 1)
        ]

    def leave_out(self, first: int, last: int) -> bool:
        """Never send messages ``first`` to ``last``; return whether one of them is there."""
        found = False
        for segment in self.held:
            if segment.first > last:
                break
            if segment.last >= first:
                segment.leave_out(max(first, segment.first), min(last, segment.last))
                found = True
        return found

    def expired(self, wall: float) -> list[Held]:
        """Return the segments that were not sent and have something that has expired; and note when the next has."""
        unsent = [each for each in self.held if not each.sent and not each.received and each.stored]
        self.expiry = min((each.earliest for each in self.held if not each.sent and each.earliest > wall), default=inf)
        return [each for each in unsent if each.earliest <= wall]

    # What the peer has.

    @property
    def has_durable(self) -> bool:
        """Whether there is something that can be sent."""
        return bool(self.held) and self.held[0].stored

    @property
    def awaits(self) -> bool:
        """Whether something was sent that the peer has not said to have."""
        for segment in self.held:
            if not segment.sent or not segment.received:
                return segment.sent
        return False

    def received(self, ranges: Iterable[tuple[int, int]]) -> bool:
        """Do not send again what the peer has, in rising ranges; return whether that is news."""
        news = False
        rising = iter(ranges)
        first, last = next(rising, (0, 0))
        for segment in self.held:
            while last and segment.first > last:
                first, last = next(rising, (0, 0))
            if not last:
                break
            if first <= segment.first and segment.last <= last and not segment.received:
                segment.received = news = True
        return news

    def forget_received(self) -> None:
        """Send again what the peer said to have."""
        for segment in self.held:
            segment.received = not segment.left(segment.first, segment.last)

    def has_fragments(self, number: int, count: int) -> bool:
        """Note how many fragments of a message the peer has; return whether that is news."""
        segment = self.find(number)
        if segment is None or not segment.have < count <= segment.fragments:
            return False
        segment.have = count
        return True

    def forget_fragments(self) -> bool:
        """Forget which fragments the peer has; return whether any message was begun."""
        begun = False
        for segment in self.held:
            if not segment.sent:
                break
            if segment.fragments and not segment.received:
                segment.have = 0
                begun = True
        return begun

    def put_aside(self, number: int) -> None:
        """Do not send a message again that the peer does not want, if it is alone in its segment."""
        segment = self.find(number)
        if segment is not None and segment.count == 1:
            segment.received = True

    # Where sending is.

    def rewind(self) -> None:
        """Begin anew with the first."""
        self._at = 0
        self._begin_segment()

    def _begin_segment(self) -> None:
        self._offset = 0
        self._pieces.clear()
        self._asked.clear()

    def _pass(self, segment: Held) -> None:
        self._at += 1
        self._begin_segment()
        if not segment.kept:
            self._forget(segment)

    def current(self) -> Held | None:
        """Return the segment whose turn it is; None when there is none that is durable."""
        held = self.held
        while self._at < len(held):
            segment = held[self._at]
            if not segment.stored:
                return None
            if not (segment.received or self._is_through(segment)):
                return segment
            self._pass(segment)
        return None

    def _is_through(self, segment: Held) -> bool:
        if segment.fragments:
            return max(self._offset, segment.have) >= segment.fragments
        return segment.holes is not None and not segment.holes.missing(segment.first + self._offset, segment.last)

    def fragment(self, segment: Held) -> Piece | None:
        """Return the next fragment of the current segment; None while it is not in memory, or enough are under way."""
        number = max(self._offset, segment.have)
        octets = segment.octets
        if octets is None or number >= segment.have + MOST_FRAGMENTS_AHEAD:
            return None
        if segment.spool:
            piece = self._pieces.pop(number, None)
            if piece is None:
                return None
            self._asked.discard(number)
            body = octets + piece if not number else piece
        else:
            head = len(octets) - segment.size
            end = head + (number + 1) * FRAGMENT
            body = octets[end - FRAGMENT if number else 0 : end]
        self._offset = number + 1
        return Piece(_FRAGMENT, 1, number, segment.fragments, segment.first, padded(body))

    def whole(self, segment: Held, room: int, allowed: int, wall: float) -> tuple[Piece, list[Held]] | None:
        """Return whole messages of the current segment and those that can be joined to it, and the segments.

        Joined are those that fit into ``room``, and of those that were not sent those that fit into ``allowed``. None
        while they are not in memory.
        """
        octets = segment.octets
        if octets is None:
            return None
        if segment.holes is not None:
            return self._between_holes(segment, octets), [segment]
        passed = [segment]
        count, length = segment.count, segment.length
        most = min(room, WHOLE_UPTO)
        if length < most:
            if not segment.sent:
                allowed -= segment.weight
            for at in range(self._at + 1, len(self.held)):
                other = self.held[at]
                if (
                    not other.stored
                    or other.octets is None
                    or other.fragments
                    or other.received
                    or other.holes is not None
                    or other.first != segment.first + count
                    or length + other.length > most
                    or count + other.count > MOST_JOINED
                    or (not other.sent and (other.weight > allowed or other.earliest <= wall))
                ):
                    break
                if not other.sent:
                    allowed -= other.weight
                passed.append(other)
                count += other.count
                length += other.length
            if len(passed) > 1:
                octets = joined(passed)
        self._at += len(passed) - 1
        self._pass(passed[-1])
        for each in passed[:-1]:
            if not each.kept:
                self._forget(each)
        return Piece(_MESSAGES, count, 0, 0, segment.first, octets), passed

    def _between_holes(self, segment: Held, octets: bytes) -> Piece:
        messages = unpack_messages(octets, segment.count)
        holes = segment.holes or Ranges()
        runs = holes.missing(segment.first + self._offset, segment.last)
        first, last = runs[0]
        if len(runs) == 1:
            self._pass(segment)
        else:
            self._offset = last + 1 - segment.first
        begin = first - segment.first
        body = pack_messages(messages[begin : last + 1 - segment.first])
        return Piece(_MESSAGES, last + 1 - first, 0, 0, first, body)

    def shown(self, most: int) -> list[dict[str, Any]]:
        """Return the first segments, as plain values."""
        return [segment.shown() for segment in islice(self.held, most)]

    # What has to be read.

    def wanted(self, allowed: int) -> list[Wanted]:
        """Return what has to be read soon, each once; of what was not sent as much as is ``allowed``."""
        found: list[Wanted] = []
        segment = self.current()
        if segment is None:
            return found
        if segment.spool and segment.octets is not None:
            begin = max(self._offset, segment.have)
            end = min(begin + PIECES_AHEAD, segment.have + MOST_FRAGMENTS_AHEAD, segment.fragments)
            for fragment in range(begin, end):
                if fragment not in self._asked:
                    self._asked.add(fragment)
                    found.append(WantedPiece(segment.first, segment.spool, fragment))
        if not self._absent:
            return found
        ahead = 0
        for at in range(self._at, len(self.held)):
            other = self.held[at]
            if not other.stored or ahead >= AHEAD:
                break
            if other.received:
                continue
            if not other.sent:
                allowed -= other.weight
                if allowed < 0 and ahead:
                    break
            ahead += other.length
            if other.octets is None and not other.fetching:
                other.fetching = True
                found.append(WantedSegment(other.first))
        return found

    def fetched(self, wanted: Wanted, octets: bytes | None) -> None:
        """Take what was read; None when it could not be, and is to be asked for again."""
        segment = self.find(wanted[0])
        if segment is None:
            return
        if isinstance(wanted, WantedSegment):
            segment.fetching = False
            if octets is not None and segment.octets is None:
                segment.octets = octets
                self._absent -= 1
        elif octets is None:
            self._asked.discard(wanted.fragment)
        elif self.current() is segment and wanted.fragment in self._asked:
            self._pieces[wanted.fragment] = octets


def _last(segment: Held) -> int:
    return segment.last
