"""What the operator of a mobile node is told of agents and of registering."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from attrs import frozen

from seckex.events import Event, label_of, shown


@frozen
class AgentHeard(Event):
    """A foreign agent advertises itself that was not heard before; nothing of it is proved."""

    agent: str
    domain: str
    address: str

    def __str__(self) -> str:
        return f"heard of the foreign agent {shown(self.agent)} of {shown(self.domain)} at {self.address}"


@frozen
class AgentLost(Event):
    """An agent has not been heard for as long as it said that it would be."""

    agent: str
    address: str
    in_use: bool

    def __str__(self) -> str:
        used = ", by way of which we are registered," if self.in_use else ""
        return f"the foreign agent {shown(self.agent)} at {self.address}{used} is not heard any more"


@frozen
class AgentRestarted(Event):
    """An agent counts its advertisements from the beginning again."""

    agent: str
    address: str
    in_use: bool

    def __str__(self) -> str:
        then = ": registering again" if self.in_use else ""
        return f"the foreign agent {shown(self.agent)} at {self.address} has restarted{then}"


@frozen
class RegistrationSent(Event):
    """A request has gone out; ``fallback`` where too many before it had no answer."""

    peer: str
    agent: str
    address: str
    round: int
    lifetime: int
    fallback: bool
    offer: str

    def __str__(self) -> str:
        what = f"registering with {self.peer} for {self.lifetime} s" if self.lifetime else "deregistering"
        spi = "the fallback's form" if self.fallback else "a one-time SPI"
        where = f"by way of {shown(self.agent)} at {self.address}"
        return f"{what} {where}, round {self.round}, with {spi}: {self.offer}"


@frozen
class Registered(Event):
    """The home agent has accepted, and the keys are in place."""

    peer: str
    agent: str
    care_of: str
    home_address: str
    lifetime: int
    keying: str
    kem: str
    rounds: int
    transforms: Mapping[str, str]
    spi_in: int
    spi_out: int

    def __str__(self) -> str:
        chosen = ", ".join(f"{protocol} {name}" for protocol, name in self.transforms.items())
        return (
            f"registered with {self.peer} by way of {shown(self.agent)} for {self.lifetime} s, care-of address "
            f"{self.care_of}, home address {self.home_address or 'none'}, {self.keying} by {self.kem} after "
            f"{self.rounds} round(s): {chosen}; SPI in {self.spi_in:#010x}, out {self.spi_out:#010x}"
        )


@frozen
class MoveRegistered(Event):
    """A registration by way of another agent than the one before, or of the same one from another address, is there.

    ``seconds`` is how long registering took. Dialogs follow, which `Moved` tells.
    """

    peer: str
    left: str
    agent: str
    why: str
    seconds: float
    spi_in: int

    def __str__(self) -> str:
        return (
            f"moved from {shown(self.left)} to {shown(self.agent)}, as {shown(self.why)}: registered with {self.peer} "
            f"within {1000 * self.seconds:.0f} ms; SPI in {self.spi_in:#010x}"
        )


@frozen
class Moved(Event):
    """What was carried under the keys of the place before goes on under those of the new one.

    ``registering`` is how long registering took, ``pause`` the longest that a dialog stood still: from the last that
    came over the old link to the first over the new; both in seconds. At most ``round_trips`` fell into that pause.
    ``octets`` is what the ``dialogs`` had carried by then.
    """

    peer: str
    left: str
    agent: str
    why: str
    registering: float
    pause: float
    round_trips: int
    dialogs: int
    octets: int

    def __str__(self) -> str:
        stood = (
            f"{self.dialogs} dialogs, after {self.octets} octets, stood still for {1000 * self.pause:.1f} ms at most"
        )
        return (
            f"moved from {shown(self.left)} to {shown(self.agent)}, as {shown(self.why)}: "
            f"{stood if self.dialogs else 'no dialogs had to follow'}, in {self.round_trips} round trip(s)"
        )


@frozen
class Deregistered(Event):
    """The registration has ended because this node wanted that; ``told`` whether the home agent is known to know."""

    peer: str
    told: bool

    def __str__(self) -> str:
        heard = "" if self.told else "; the home agent may not know: there the registration ends with its lifetime"
        return f"no longer registered with {self.peer}{heard}"


@frozen
class AgentRefused(Event):
    """An agent says, unauthenticated, that it does not pass a request or its answer on."""

    level: ClassVar[str] = "warn"
    peer: str
    agent: str
    address: str
    code: int
    reason: str

    @property
    def label(self) -> str:
        """The code's name."""
        return label_of(self.code)

    def __str__(self) -> str:
        return (
            f"the foreign agent {shown(self.agent)} at {self.address} says (not authenticated) "
            f"{self.code} {self.label}: {shown(self.reason)}"
        )


@frozen
class RegistrationEnded(Event):
    """A registration is over that this node wanted to keep."""

    level: ClassVar[str] = "warn"
    peer: str
    why: str

    def __str__(self) -> str:
        return f"no longer registered with {self.peer}: {shown(self.why)}"


@frozen
class NotProvisioned(Event):
    """Nothing is stored that came of a KEY 0 with the home agent."""

    level: ClassVar[str] = "error"
    peer: str

    def __str__(self) -> str:
        return f"nothing is shared with {self.peer} yet: run seckex provision with the file from its KDC"


@frozen
class ProvisionTaken(Event):
    """What came of a KEY 0 is stored; KEY 0 itself is not kept."""

    peer: str
    kvno: int

    def __str__(self) -> str:
        return f"provisioned for {self.peer}, version {self.kvno} of KEY 0"


@frozen
class TrafficPasses(Event):
    """Traffic with the home agent goes through an agent from now on."""

    peer: str
    agent: str
    address: str
    passage: str

    def __str__(self) -> str:
        return f"traffic with {self.peer} goes through {shown(self.agent)} at {self.address}, passage {self.passage}"


@frozen
class TrafficRefused(Event):
    """An agent does not carry our traffic; a ``hint`` may be anybody's, ``then`` is what comes of it."""

    level: ClassVar[str] = "warn"

    peer: str
    agent: str
    address: str
    code: int
    hint: bool
    then: str

    @property
    def label(self) -> str:
        """The code's name."""
        return label_of(self.code)

    def __str__(self) -> str:
        proved = " (not authenticated)" if self.hint else ""
        why = f"{self.code} {self.label}{proved}; {self.then}"
        return f"{shown(self.agent)} at {self.address} does not carry traffic with {self.peer}: {why}"


@frozen
class TrafficFailed(Event):
    """There is no passage through an agent, or it broke before it carried; another one is tried."""

    level: ClassVar[str] = "warn"

    peer: str
    agent: str
    address: str
    why: str
    suppressed: int

    def __str__(self) -> str:
        more = f" ({self.suppressed} more not shown)" if self.suppressed else ""
        return f"no traffic with {self.peer} through {shown(self.agent)} at {self.address}: {shown(self.why)}{more}"


@frozen
class TrafficEnded(Event):
    """A passage has ended; octets are of DATA, from the node and to it."""

    peer: str
    agent: str
    passage: str
    how: str
    octets_out: int
    octets_in: int

    def __str__(self) -> str:
        carried = f"{self.octets_out} octets out, {self.octets_in} in"
        how = shown(self.how)
        return f"passage {self.passage} with {self.peer} through {shown(self.agent)} has ended: {how}; {carried}"
