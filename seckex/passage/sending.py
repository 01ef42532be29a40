"""What one end of a hop says, frame by frame, beside octets that stay where they are.

An OPEN, an ACCEPT, a PROOF or a REFUSE goes as it is; DATA are a header here and
octets at whoever has them, who offers them again until all of the frame has
gone. Nothing can stand within DATA.
"""

from __future__ import annotations

from collections.abc import Callable

from seckex.passage.carrying import Leaving
from seckex.wire.passage import data_header

_NO_OCTETS = memoryview(b"")


class Sending:
    """See the module; ``proof`` makes a PROOF of all that ``leaving`` has counted.

    Octets may go while ``may_carry``, PROOFs while it ``proves``; ``owed`` is a PROOF that is to come next.
    """

    __slots__ = (
        "_going",
        "_head",
        "_leaving",
        "_payload",
        "_proof",
        "_refusal",
        "finishing",
        "may_carry",
        "owed",
        "proves",
    )

    def __init__(self, leaving: Leaving, proof: Callable[[float], bytes]) -> None:
        self._leaving = leaving
        self._proof = proof
        self._head = b""
        self._refusal = b""
        self._going = 0
        self._payload = _NO_OCTETS
        self.may_carry = self.proves = self.owed = self.finishing = False

    @property
    def wanted(self) -> bool:
        """Whether there is something to say besides octets."""
        return bool(self._head or self._refusal or self.owed)

    @property
    def done(self) -> bool:
        """Whether this direction has ended and all has been said."""
        return self.finishing and self.proves and not (self._head or self._going or self.owed)

    def say(self, frame: bytes) -> None:
        """Say a frame next."""
        self._head += frame

    def refuse(self, frame: bytes) -> None:
        """Say REFUSE after what is under way, unless that is DATA."""
        if not self._going:
            self._refusal = frame

    def stop(self) -> None:
        """Say no more than a REFUSE, and what has begun; DATA under way are not ended, so that nothing can follow."""
        self.may_carry = self.proves = self.owed = False
        if self._going:
            self._head, self._going = b"", 0

    def gather(self, payload: memoryview, now: float) -> list[bytes | memoryview]:
        """See `seckex.passage.hop.HopEnd.gather`."""
        if not self._going and not self._head and not self._next(len(payload), now):
            return []
        octets = self._payload = payload[: self._going]
        if not self._head:
            return [octets] if octets else []
        return [self._head, octets] if octets else [self._head]

    def sent(self, count: int, now: float) -> int:
        """See `seckex.passage.hop.HopEnd.sent`."""
        head = self._head
        if head:
            if count < len(head):
                self._head = head[count:]
                return 0
            self._head = b""
            count -= len(head)
        if count:
            self._leaving.cover(self._payload[:count], now)
            self._going -= count
        self._payload = _NO_OCTETS
        return count

    def _next(self, offered: int, now: float) -> bool:
        """Choose the next frame; tell whether there is one."""
        if self._refusal:
            self._head, self._refusal = self._refusal, b""
            return True
        leaving = self._leaving
        if self.proves and (self.owed or leaving.room <= 0):
            self.owed = False
            self._head = self._proof(now)
            return True
        if not self.may_carry or self.finishing:
            return False
        self._going = max(min(offered, leaving.room), 0)
        if self._going:
            self._head = data_header(self._going)
        return bool(self._going)
