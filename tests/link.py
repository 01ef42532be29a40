"""What is on a link of `tests.pump`: datagrams, and the faults that they can suffer there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from attrs import evolve, frozen

from seckex.machine import Path
from seckex.wire.numbers import HEADER_SIZE, MESSAGE_TYPE, REGISTRATION_REPLY, REGISTRATION_REQUEST, Kind

LATENCY: Final = 0.01

#: Registration messages, by their first octet (docs/registration.md, section 2).
REGISTRATION: Final = {bytes((REGISTRATION_REQUEST,)): "REQUEST", bytes((REGISTRATION_REPLY,)): "REPLY"}

_IN_ROUNDS: Final = frozenset((Kind.OFFER, Kind.CHOICE, Kind.COUNTER, Kind.REFUSAL, Kind.ABANDON))
_ROUND_AT: Final = HEADER_SIZE + 4


def label(octets: bytes) -> str:
    """Return what a datagram calls itself: its kind and, where it has one, its round."""
    if octets[:1] in REGISTRATION:
        return REGISTRATION[octets[:1]]
    if len(octets) < HEADER_SIZE or octets[0] != MESSAGE_TYPE:
        return "RUBBISH"
    version = octets[1] >> 4
    try:
        kind = Kind(int.from_bytes(octets[2:4], "big"))
    except ValueError:
        return "RUBBISH"
    if version != (0 if kind is Kind.VERSIONS else 1):
        return f"{kind.name} of version {version}"
    return f"{kind.name} {octets[_ROUND_AT]}" if kind in _IN_ROUNDS and len(octets) > _ROUND_AT else kind.name


@frozen
class Datagram:
    """What is on its way; ``delay`` is how long it will be."""

    source: Path
    destination: Path
    octets: bytes
    delay: float = LATENCY

    @property
    def label(self) -> str:
        """See `label`."""
        return label(self.octets)

    def called(self, wanted: str) -> bool:
        """Tell whether the label is ``wanted``, with any round where that does not say which."""
        return self.label == wanted or self.label.startswith(wanted + " ")


Fault: TypeAlias = Callable[[Datagram], Iterable[Datagram]]


def lose(_datagram: Datagram) -> Iterable[Datagram]:
    """Deliver nothing."""
    return ()


def duplicate(datagram: Datagram) -> Iterable[Datagram]:
    """Deliver it, and once more a little later."""
    return (datagram, evolve(datagram, delay=datagram.delay * 1.5))


def late(seconds: float) -> Fault:
    """Deliver ``seconds`` later."""
    return lambda datagram: (evolve(datagram, delay=datagram.delay + seconds),)


def altered(change: Callable[[bytes], bytes]) -> Fault:
    """Deliver what ``change`` makes of the octets."""
    return lambda datagram: (evolve(datagram, octets=change(datagram.octets)),)


def on(wanted: str, fault: Fault, times: int = 1) -> Fault:
    """Apply ``fault`` to the first ``times`` datagrams that are called ``wanted``."""
    left = times

    def apply(datagram: Datagram) -> Iterable[Datagram]:
        nonlocal left
        if not left or not datagram.called(wanted):
            return (datagram,)
        left -= 1
        return fault(datagram)

    return apply


def nth(number: int, fault: Fault) -> Fault:
    """Apply ``fault`` to one datagram of all: the first is number 1."""
    seen = 0

    def apply(datagram: Datagram) -> Iterable[Datagram]:
        nonlocal seen
        seen += 1
        return fault(datagram) if seen == number else (datagram,)

    return apply


def flipped(octets: bytes, bit: int) -> bytes:
    """Return ``octets`` with one bit turned over; bit 0 is the highest of the first octet."""
    at, place = divmod(bit, 8)
    return octets[:at] + bytes((octets[at] ^ 0x80 >> place,)) + octets[at + 1 :]
