"""Secure hops of `tests.roaming.network`: two principals, and messages between them that keep order and octets.

A hop is made by whoever has something to say. It takes a moment, in which what
is to be said waits; where it cannot be made, `Role.unreachable` comes for each
message that waits. Once it is there it may break: what is on its way then is lost, and nobody is told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias

from attrs import frozen

from seckex.wire.numbers import ANSWER_FLAG, Code
from tests.link import label

if TYPE_CHECKING:
    from tests.roaming.host import Host
    from tests.roaming.network import Network

SETUP: Final = 0.02
GIVEN_UP: Final = 5.0
LATENCY: Final = 0.005


@frozen
class Parcel:
    """A message from one NAI to another; ``delay`` is how long it will be on its way."""

    sender: str
    receiver: str
    octets: bytes
    delay: float = LATENCY
    breaks: bool = False

    @property
    def label(self) -> str:
        """See `tests.link.label`."""
        return label(self.octets)


#: What becomes of a message: itself, another in its place, or None: the hop breaks before it arrives.
HopFault: TypeAlias = Callable[[Parcel], Parcel | None]


def snap(_parcel: Parcel) -> Parcel | None:
    """Break the hop before the message arrives."""
    return None


def on_hop(wanted: str, fault: HopFault, times: int = 1) -> HopFault:
    """Apply ``fault`` to the first ``times`` messages that are called ``wanted``."""
    left = times

    def apply(parcel: Parcel) -> Parcel | None:
        nonlocal left
        if not left or parcel.label != wanted:
            return parcel
        left -= 1
        return fault(parcel)

    return apply


class Hop:
    """One connection between two hosts, ``first`` having made it."""

    def __init__(self, network: Network, first: Host, second: Host) -> None:
        self.network, self.first, self.second = network, first, second
        self.broken = False
        self.open = False
        self._waiting: list[Parcel] = []
        self._arrived: dict[str, float] = {}
        pair = frozenset((first.nai, second.nai))
        network.at(GIVEN_UP if pair in network.silent else SETUP, self._made)

    def other(self, host: Host) -> Host:
        """Return the other end."""
        return self.second if host is self.first else self.first

    def say(self, parcel: Parcel) -> None:
        """Send a message, once the hop is there."""
        if not self.open:
            self._waiting.append(parcel)
            return
        changed: Parcel | None = parcel
        for fault in self.network.hop_faults:
            changed = None if changed is None else fault(changed)
        if changed is None:
            self.end()
            return
        receiver = self.second if changed.receiver == self.second.nai else self.first
        when = max(self.network.monotonic + changed.delay, self._arrived.get(receiver.name, 0.0))
        self._arrived[receiver.name] = when
        self.network.at(when - self.network.monotonic, self._arrival(receiver, changed))

    def _arrival(self, receiver: Host, parcel: Parcel) -> Callable[[], None]:
        def arrive() -> None:
            if self.broken:
                return
            receiver.hear(parcel.sender, parcel.octets)
            if parcel.breaks:
                self.end()

        return arrive

    def end(self) -> None:
        """Break: nothing that is on its way arrives."""
        if not self.broken:
            self.network.note(f"the hop between {self.first.name} and {self.second.name} breaks")
        self.broken = True

    def _made(self) -> None:
        if self.broken:
            return
        pair = frozenset((self.first.nai, self.second.nai))
        if pair in self.network.unproved:
            self._given_up("it does not prove its name", Code.NO_SECURE_HOP)
        elif pair in self.network.silent or pair in self.network.refused or self.second.house is None:
            self._given_up("it does not answer", Code.NEXT_HOP_UNREACHABLE)
        else:
            self.open = True
            waiting, self._waiting = self._waiting, []
            for number, parcel in enumerate(waiting):
                self.say(parcel)
                if self.broken:
                    # What waited behind is sent over the next hop, as the edge would.
                    for later in waiting[number + 1 :]:
                        self.network.relay(self.other_of(later), later.receiver, later.octets)
                    return

    def other_of(self, parcel: Parcel) -> Host:
        """Return who said a message."""
        return self.first if parcel.sender == self.first.nai else self.second

    def _given_up(self, why: str, code: Code) -> None:
        self.broken = True
        waiting, self._waiting = self._waiting, []
        for parcel in waiting:
            if not parcel.octets[1] & ANSWER_FLAG:
                self.other_of(parcel).unreachable(parcel.receiver, parcel.octets, why, code)
