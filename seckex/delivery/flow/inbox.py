"""Messages that are durable here, in order: given to a program, and kept until it has said what becomes of them.

The next message is given while fewer than the program takes at once are with
it. One that is to be tried again stops those behind it until it is given again;
each time it waits twice as long, unless the program says how long. A
message that was tried as often as the service allows, that has expired, cannot
be read, or is too long is put aside.

Where a program takes several at once, what it says of one is durable when all
before that one are done; until then a restart has it given again.

A segment's messages are kept in memory from when they arrive, as long as the
room that all dialogs share lasts; others are read from the store, at most `AHEAD` octets ahead of
the program.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import Any, Final

from seckex.delivery.faces import Direction, Incoming, Verdict
from seckex.delivery.flow.arrived import Arrived, ReceivingTerms
from seckex.delivery.flow.memory import Room
from seckex.delivery.flow.pieces import Wanted, WantedSegment
from seckex.delivery.flow.segments import Message, message_size, packed
from seckex.delivery.store import DeadMessage
from seckex.machine import Now
from seckex.wire.numbers import Code

AHEAD: Final = 1 << 18
RETRY_AFTER: Final = 1.0
MOST_RETRY_AFTER: Final = 300.0


class Inbox:
    """What is durable and not done of one direction of one dialog, in order.

    ``dead`` and ``spools`` have what was put aside, and which files nobody needs any more; ``has_done`` and
    ``has_dropped`` tell that messages, and segments, are done. Who makes that durable clears them.
    """

    def __init__(
        self, dialog_id: bytes, direction: Direction, peer: str, service: str, terms: ReceivingTerms, room: Room
    ) -> None:
        self._dialog_id = dialog_id
        self._direction = direction
        self._peer = peer
        self._service = service
        self._room = room
        self.terms = terms
        self._queue: deque[Arrived] = deque()
        # Which segment's turn it is, and how many of its messages were given.
        self._at = self._offset = 0
        self._out: set[int] = set()
        self._again: dict[int, float] = {}
        self._tries: dict[int, int] = {}
        self._beyond: set[int] = set()
        self._unreadable = False
        self.dead: list[DeadMessage] = []
        self.spools: list[str] = []
        self.has_done = self.has_dropped = False
        #: What the segments that are done counted for since this was set to 0.
        self.freed = 0

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def first_undone(self) -> int | None:
        """The lowest number that is not done, None if there is none."""
        if not self._queue:
            return None
        front = self._queue[0]
        return front.first + front.finished

    def add(self, arrived: Arrived) -> None:
        """Take the segment behind all others; what it has ``finished`` is not given."""
        self._queue.append(arrived)

    def keep(self, arrived: Arrived) -> None:
        """Keep the messages of a segment in memory if there is room, else forget them."""
        if not arrived.broken and not arrived.kept:
            arrived.kept = self._room.take(arrived.length)
            if not arrived.kept:
                arrived.messages = None

    # What is given.

    @property
    def can_give(self) -> bool:
        """Whether there is something that was not given, or is to be given again."""
        return bool(self._again) or self._at < len(self._queue)

    def give(self, most: int, now: Now) -> list[Incoming]:
        """Return what is to be given next, with what the program has at most ``most`` messages."""
        given: list[Incoming] = []
        for number in sorted(self._again) if self._again else ():
            if len(self._out) >= most or self._again[number] > now.monotonic:
                return given
            message = self._message(number)
            if message is None:
                return given
            del self._again[number]
            self._tries[number] += 1
            self._out.add(number)
            given.append(self._incoming(number, message))
        while (room := most - len(self._out)) > 0 and self._at < len(self._queue) and not self._again:
            segment = self._queue[self._at]
            messages = segment.messages
            if messages is None:
                break
            begin = max(self._offset, segment.finished)
            end = begin + room
            if end >= segment.count or segment.broken:
                self._at += 1
                self._offset = 0
            else:
                self._offset = end
            if segment.broken:
                self._put_aside_all(segment, begin, now)
            else:
                self._give_of(segment, messages, begin, end, now, given)
        return given

    def _give_of(
        self, segment: Arrived, messages: list[Message], begin: int, end: int, now: Now, given: list[Incoming]
    ) -> None:
        dialog_id, direction, peer, service = self._dialog_id, self._direction, self._peer, self._service
        wall, largest = now.wall * 1_000_000, self.terms.largest
        out, beyond = self._out, self._beyond
        bad: list[tuple[int, Message, Code, str]] = []
        number = segment.first + begin
        for message in messages[begin:end]:
            name, expires, payload = message
            size = len(payload) if type(payload) is bytes else message_size(payload)
            if beyond and number in beyond:
                pass
            elif size > largest:
                bad.append((number, message, Code.INSUFFICIENT_RESOURCES, f"longer than {largest} octets"))
            elif expires and expires <= wall:
                bad.append((number, message, Code.EXPIRED, "expired before it was given"))
            else:
                out.add(number)
                seconds = expires / 1_000_000 if expires else 0.0
                given.append(Incoming(dialog_id, direction, number, peer, service, name, seconds, 1, payload))
            number += 1
        for which, message, code, why in bad:
            self._put_aside(segment, which, message, code, why, now)

    def _incoming(self, number: int, message: Message) -> Incoming:
        name, expires, payload = message
        return Incoming(
            self._dialog_id,
            self._direction,
            number,
            self._peer,
            self._service,
            name,
            expires / 1_000_000 if expires else 0.0,
            self._tries[number],
            payload,
        )

    def _find(self, number: int) -> Arrived | None:
        for segment in self._queue:
            if segment.first <= number <= segment.last:
                return segment
        return None

    def _message(self, number: int) -> Message | None:
        segment = self._find(number)
        return segment.messages[number - segment.first] if segment is not None and segment.messages else None

    # What has to be read.

    def wanted(self) -> list[Wanted]:
        """Return what has to be read before it can be given, each once."""
        found: list[Wanted] = []
        if self._unreadable:
            return found
        ahead = 0
        for segment in islice(self._queue, self._at, None):
            if ahead >= AHEAD:
                break
            ahead += segment.length
            if segment.messages is None and not segment.fetching:
                segment.fetching = True
                found.append(WantedSegment(segment.first))
        return found

    def fetched(self, first: int, octets: bytes | None) -> None:
        """Take a segment that was read; None when it could not be, and is to be asked for again after a tick."""
        segment = self._find(first)
        if segment is not None:
            segment.fetching = False
            if octets is None:
                self._unreadable = True
            else:
                segment.read(octets)

    def tick(self) -> None:
        """Try again to read what could not be read."""
        self._unreadable = False

    # What becomes of it.

    def verdict(self, number: int, verdict: Verdict, why: str, now: Now, after: float) -> bool:
        """Take what the program says of a message; return whether it had it."""
        if number not in self._out:
            return False
        self._out.discard(number)
        if verdict is Verdict.DONE:
            self._finish(number)
        elif verdict is Verdict.RETRY:
            self._try_again(number, why, now, after)
        else:
            self._tries.setdefault(number, 1)
            self._put_number_aside(number, Code.RESET_BY_PROGRAM, why, now)
        return True

    def _try_again(self, number: int, why: str, now: Now, after: float) -> None:
        tries = self._tries.setdefault(number, 1)
        if tries >= self.terms.attempts:
            self._put_number_aside(number, Code.RESET_BY_PROGRAM, f"tried {tries} times: {why}", now)
        else:
            seconds = after or min(RETRY_AFTER * 2.0 ** min(tries - 1, 16), MOST_RETRY_AFTER)
            self._again[number] = now.monotonic + seconds

    def take_back(self, now: Now, counted: bool) -> None:
        """Have given again what the program has; ``counted`` as an attempt."""
        for number in sorted(self._out):
            tries = self._tries.setdefault(number, 1)
            if counted:
                self._try_again(number, "the program was gone", now, 0.0)
            else:
                self._tries[number] = tries - 1
                self._again[number] = now.monotonic
        self._out.clear()

    def retry(self, now: Now) -> None:
        """Have given again at once what waits for that."""
        self._again = dict.fromkeys(self._again, now.monotonic)

    def drop(self, number: int, why: str, now: Now) -> bool | None:
        """Put a message aside that the program does not have; return whether it is there, None if it has to be read."""
        segment = self._find(number)
        if (
            segment is None
            or number in self._out
            or number in self._beyond
            or number < segment.first + segment.finished
        ):
            return False
        if not segment.messages:
            return None
        self._again.pop(number, None)
        self._put_aside(segment, number, segment.messages[number - segment.first], Code.RESET_BY_PROGRAM, why, now)
        return True

    def _put_number_aside(self, number: int, code: Code, why: str, now: Now) -> None:
        segment = self._find(number)
        if segment is not None and segment.messages:
            self._put_aside(segment, number, segment.messages[number - segment.first], code, why, now)

    def _put_aside(self, segment: Arrived, number: int, message: Message, code: Code, why: str, now: Now) -> None:
        (alone,) = packed(number, [message])
        self.put_aside(number, code, why, now, alone.size, alone.octets, alone.spool)
        # The file stays: it is the dead message's now.
        segment.spool = ""
        self._finish(number)

    def _put_aside_all(self, segment: Arrived, begin: int, now: Now) -> None:
        octets = segment.octets
        for number in range(segment.first + begin, segment.last + 1):
            self.put_aside(number, Code.POORLY_FORMED, segment.broken, now, segment.size, octets, "")
            octets = b""
            self._finish(number)

    def put_aside(self, number: int, code: Code, why: str, now: Now, size: int, octets: bytes, spool: str) -> None:
        """Note a dead message."""
        tries = self._tries.get(number, 0)
        self.dead.append(
            DeadMessage(
                self._dialog_id,
                False,
                number,
                self._peer,
                self._service,
                code,
                why,
                now.wall,
                tries,
                size,
                octets,
                spool,
            )
        )

    def _finish(self, number: int) -> None:
        self.has_done = True
        if self._tries:
            self._tries.pop(number, None)
        front = self._queue[0]
        if number != front.first + front.finished:
            self._beyond.add(number)
            return
        front.finished += 1
        beyond = self._beyond
        while True:
            if front.finished == front.count:
                self._drop_front(front)
                if not beyond or not self._queue:
                    return
                front = self._queue[0]
            number = front.first + front.finished
            if number not in beyond:
                return
            beyond.discard(number)
            front.finished += 1

    def _drop_front(self, front: Arrived) -> None:
        self._queue.popleft()
        if self._at:
            self._at -= 1
        else:
            self._offset = 0
        self.has_dropped = True
        self.freed += front.weight
        if front.kept:
            self._room.give_back(front.length)
        if front.spool:
            self.spools.append(front.spool)

    # For operators.

    def shown(self, most: int) -> list[dict[str, Any]]:
        """Return the first segments, as plain values."""
        return [
            {
                "first": each.first,
                "count": each.count,
                "size": each.size,
                "spool": each.spool,
                "done": each.finished,
                "given": sorted(number for number in self._out if each.first <= number <= each.last),
                "again": {
                    str(number): self._tries[number] for number in self._again if each.first <= number <= each.last
                },
            }
            for each in islice(self._queue, most)
        ]
