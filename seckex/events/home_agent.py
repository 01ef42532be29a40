"""What the operator of a home agent is told of its nodes.

A home agent knows its nodes' names, so they are in these events; keys are in none.
"""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

from seckex.events import Event, label_of, shown


@frozen
class NodeRegistered(Event):
    """A node is registered through an agent, and all three keys are in place."""

    peer: str
    agent: str
    care_of: str
    home_address: str
    lifetime: int
    mode: str
    spi_in: int
    fallback: bool

    def __str__(self) -> str:
        spi = " (by the fallback, not by its SPI)" if self.fallback else ""
        address = f", home address {self.home_address}" if self.home_address else ""
        return (
            f"{self.peer} is registered through {self.agent} at {self.care_of}{address}, "
            f"for {self.lifetime} s, {self.mode}; SPI in {self.spi_in:#010x}{spi}"
        )


@frozen
class NodeDeregistered(Event):
    """A node has ended its registration."""

    peer: str
    agent: str

    def __str__(self) -> str:
        return f"{self.peer} has ended its registration through {self.agent}"


@frozen
class RequestUnheard(Event):
    """A request had no reply, for nobody has authenticated it; its neighbour was told a code."""

    level: ClassVar[str] = "warn"

    neighbour: str
    cause: str
    code: int
    why: str
    suppressed: int

    @property
    def label(self) -> str:
        """The code's name."""
        return label_of(self.code)

    def __str__(self) -> str:
        more = f" ({self.suppressed} more not shown)" if self.suppressed else ""
        return f"no reply to a request from {self.neighbour}: {self.code} {self.label}: {shown(self.why)}{more}"


@frozen
class BindingExpired(Event):
    """A registration's lifetime is over."""

    node: str
    agent: str

    def __str__(self) -> str:
        return f"the registration of {self.node} through {self.agent} is over"


@frozen
class NodeEnded(Event):
    """A node is at home here no more, for now or for good: what it had has ended."""

    level: ClassVar[str] = "warn"

    node: str
    why: str

    def __str__(self) -> str:
        return f"{self.node} {self.why}: what it had here has ended"


@frozen
class NodeRevoked(Event):
    """A node was revoked: nothing of it stays here but its name, and its agents are told."""

    level: ClassVar[str] = "warn"

    node: str
    agents: int

    def __str__(self) -> str:
        return f"{self.node} was revoked at its key distribution center; {self.agents} agent(s) are told"


@frozen
class BindingsEnded(Event):
    """What a node had here has ended, by an operator or by its own word; ``told`` registrations, at their agents."""

    node: str
    reason: str
    why: str
    told: int

    def __str__(self) -> str:
        why = f"{self.reason}: {shown(self.why)}"
        return f"{self.node} has no registration any more ({why}); agents are told of {self.told}"


@frozen
class RevocationTold(Event):
    """An agent has nothing of a registration any more that has ended, ``seconds`` after it was to be told."""

    node: str
    agent: str
    reason: str
    seconds: float

    def __str__(self) -> str:
        what = f"its part of a registration of {self.node} ({self.reason})"
        return f"{self.agent} has ended {what}, after {self.seconds:.1f} s"


@frozen
class RevocationGivenUp(Event):
    """An agent has not answered that a registration has ended; it may have it until the lifetime of that is over."""

    level: ClassVar[str] = "warn"

    node: str
    agent: str
    reason: str
    why: str

    def __str__(self) -> str:
        return (
            f"{self.agent} was not reached about the end of a registration of {self.node} ({self.reason}): "
            f"{shown(self.why)}"
        )


@frozen
class NodesTaken(Event):
    """A center has told of nodes that were added or changed."""

    center: str
    count: int
    serial: int

    def __str__(self) -> str:
        return (
            f"{self.center} tells of {self.count} node(s) that were added or have changed, up to serial {self.serial}"
        )


@frozen
class CentersSilent(Event):
    """No center tells of nodes; those that are known stay so."""

    level: ClassVar[str] = "warn"

    why: str

    def __str__(self) -> str:
        return f"no key distribution center tells of nodes: {shown(self.why)}"


@frozen
class CenterPassedOver(Event):
    """A center has issued no keys for a registration, so that the next one is asked."""

    level: ClassVar[str] = "warn"

    center: str
    node: str
    why: str

    def __str__(self) -> str:
        return f"no keys for {self.node} from {self.center}: {shown(self.why)}"


@frozen
class StaticKeysMade(Event):
    """There are younger static keys, of which nodes are told when they register."""

    kems: tuple[str, ...]
    until: int

    def __str__(self) -> str:
        return f"made static keys for {' and '.join(self.kems)}"


@frozen
class LinkNotThroughAgent(Event):
    """A node's link came directly, where only those are taken that come through agents."""

    level: ClassVar[str] = "warn"

    peer: str

    def __str__(self) -> str:
        return f'a link of {self.peer} came directly: home-agent.links is "through-agents"'
