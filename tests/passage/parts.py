"""What the tests of hops share: keys, both ends of one, and a wire between them that a test may tamper with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from attrs import define, field

from seckex.crypto.schedule import AgreedKeys
from seckex.crypto.secrets import Secret
from seckex.machine import Now
from seckex.passage.faces import Admission, Admitted, Party
from seckex.passage.hop import HopEnd
from seckex.passage.opening import ExpectOpen
from seckex.passage.times import Times
from seckex.wire.numbers import PRF_HMAC_SHA2_256, Code, Hop

KEY2: Final = AgreedKeys(PRF_HMAC_SHA2_256, Secret(b"2" * 32), b"a context")
KEY3: Final = AgreedKeys(PRF_HMAC_SHA2_256, Secret(b"3" * 32), b"a context")
SPI2: Final = 0x22222222
SPI3: Final = 0x33333333
WALL: Final = 1_700_000_000.0
UNTIL: Final = WALL + 3600
NOW: Final = Now(1000.0, WALL)
WHO: Final = Party("home.example", b"pseudonym")
AGENT, HOME = "fa@visited.example", "agent@home.example"

TO_HOME: Final = Admission(Hop.FA_HA, HOME, "192.0.2.2", 4434, SPI2, UNTIL, KEY2)
TO_AGENT: Final = Admission(Hop.MN_FA, AGENT, "192.0.2.1", 4434, SPI3, UNTIL, KEY3)
AT_HOME: Final = Admitted(Hop.FA_HA, SPI2, UNTIL, WHO, KEY2, link=7)
AT_AGENT: Final = Admitted(Hop.MN_FA, SPI3, UNTIL, WHO, KEY3, onward=TO_HOME)

Tamper = Callable[[bytes], bytes]


def nonce(number: int = 0) -> bytes:
    return bytes([number]) * 16


def later(seconds: float) -> Now:
    return Now(NOW.monotonic + seconds, NOW.wall + seconds)


def awaiting(
    admitted: Admitted = AT_HOME, verdict: Code | None = None, times: Times | None = None, number: int = 1
) -> ExpectOpen:
    """Return what a callee begins with, who knows one association."""
    known = {admitted.spi: admitted}
    return ExpectOpen(nonce(number), known.get, lambda _: verdict, Times() if times is None else times)


class Octets:
    """Takes octets as a link does, into a space that is sometimes small."""

    def __init__(self, size: int = 1000) -> None:
        self._buffer = bytearray(size)
        self.came = bytearray()

    def space(self) -> memoryview:
        return memoryview(self._buffer)

    def received(self, count: int) -> None:
        self.came += self._buffer[:count]


@define
class Side:
    """One end with what it has to send and what it got, and what is on the wire from it."""

    hop: HopEnd
    octets: Octets
    outbox: bytearray = field(factory=bytearray)
    wire: bytearray = field(factory=bytearray)
    said: bytearray = field(factory=bytearray)

    def flush(self, now: float, most: int = 1 << 30) -> None:
        """Send, ``most`` octets at a time."""
        while buffers := self.hop.gather(memoryview(bytes(self.outbox)), now):
            going = b"".join(buffers)[:most]
            del self.outbox[: self.hop.sent(len(going), now)]
            self.wire += going
            self.said += going

    def hear(self, octets: bytes, now: float) -> None:
        """Receive, as a socket would have it."""
        while octets and self.hop.ending is None:
            came = 0
            for buffer in self.hop.into():
                part = octets[came : came + len(buffer)]
                buffer[: len(part)] = part
                came += len(part)
            octets = octets[came:]
            self.hop.took(came, now)


class Conversation:
    """Both ends of a hop, and the wire between them."""

    def __init__(
        self, admission: Admission = TO_HOME, callee: ExpectOpen | None = None, now: Now = NOW, size: int = 1000
    ) -> None:
        self.now = now.monotonic
        sinks = Octets(size), Octets(size)
        self.caller = Side(HopEnd.calling(admission, nonce(), now, sinks[0]), sinks[0])
        self.callee = Side(HopEnd.called(callee or awaiting(), now, sinks[1]), sinks[1])

    def run(self, to_callee: Tamper | None = None, to_caller: Tamper | None = None, most: int = 1 << 30) -> None:
        """Let everything through, until nobody says anything any more."""
        while True:
            self.caller.flush(self.now, most)
            self.callee.flush(self.now, most)
            if not self.caller.wire and not self.callee.wire:
                return
            for side, other, tamper in (
                (self.caller, self.callee, to_callee),
                (self.callee, self.caller, to_caller),
            ):
                octets = bytes(side.wire)
                side.wire.clear()
                other.hear(octets if tamper is None else tamper(octets), self.now)

    def open(self) -> Conversation:
        """Open it, and return it."""
        self.run()
        if not (self.caller.hop.is_open and self.callee.hop.is_open):
            raise AssertionError(f"{self.caller.hop.ending}, {self.callee.hop.ending}")
        return self

    def say(self, octets: bytes, *, inward: bool = False) -> None:
        """Let one side send."""
        (self.callee if inward else self.caller).outbox += octets
