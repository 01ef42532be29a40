"""What the operator of a foreign agent is told: of visitors by pseudonym and realm, and of the way to their homes.

Whoever can reach the agent can have a request relayed that leads nowhere. So those that tell of such are rationed:
``suppressed`` were not reported before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from attrs import frozen

from seckex.events import Event, label_of, shown


def _more(suppressed: int) -> str:
    return f" ({suppressed} more not shown)" if suppressed else ""


@frozen
class VisitorRegistered(Event):
    """A node of a home agent's has registered, or registered again; nobody here knows who it is."""

    home_agent: str
    pseudonym: str
    lifetime: int
    keying: str
    kem: str
    transforms: Mapping[str, str]
    again: bool

    def __str__(self) -> str:
        chosen = ", ".join(f"{protocol} {name}" for protocol, name in self.transforms.items())
        how = "registers again" if self.again else "is registered"
        return (
            f"visitor {self.pseudonym} of {shown(self.home_agent)} {how} for {self.lifetime} s, {self.keying} by "
            f"{self.kem}: {chosen}"
        )


@frozen
class VisitorLeft(Event):
    """A registration has ended."""

    home_agent: str
    pseudonym: str
    why: str

    def __str__(self) -> str:
        return f"visitor {self.pseudonym} of {shown(self.home_agent)} has left: {self.why}"


@frozen
class VisitorRevoked(Event):
    """A home agent has ended a registration before its time; nothing of it stays here, and its traffic stops."""

    home_agent: str
    pseudonym: str
    reason: str

    def __str__(self) -> str:
        return f"visitor {self.pseudonym} of {shown(self.home_agent)} was ended by its home agent: {self.reason}"


@frozen
class RequestTurnedAway(Event):
    """A node's request was not relayed."""

    realm: str
    code: int
    reason: str
    suppressed: int

    @property
    def label(self) -> str:
        """The code's name."""
        return label_of(self.code)

    def __str__(self) -> str:
        whose = f"for {shown(self.realm)} " if self.realm else ""
        why = f"{self.code} {self.label}: {shown(self.reason)}"
        return f"turned a request {whose}away with {why}{_more(self.suppressed)}"


@frozen
class RelayFailed(Event):
    """A request could not be relayed over one neighbour; ``then`` is the one that it goes to instead, if any."""

    level: ClassVar[str] = "warn"
    neighbour: str
    home_agent: str
    code: int
    reason: str
    then: str
    suppressed: int = 0

    @property
    def label(self) -> str:
        """The code's name."""
        return label_of(self.code)

    def __str__(self) -> str:
        what = f"trying {self.then}" if self.then else "nobody else is left to try"
        return (
            f"{self.neighbour} does not take a request to {shown(self.home_agent)} on, {self.code} {self.label}: "
            f"{shown(self.reason)}; {what}{_more(self.suppressed)}"
        )


@frozen
class HomeNetworkRefused(Event):
    """The home network refuses what this agent relays, for a reason that somebody here can act on."""

    level: ClassVar[str] = "warn"
    home_agent: str
    by: str
    code: int
    reason: str
    suppressed: int = 0

    @property
    def label(self) -> str:
        """The code's name."""
        return label_of(self.code)

    def __str__(self) -> str:
        what = f"a request to {shown(self.home_agent)} with {self.code} {self.label}"
        return f"{shown(self.by)} refuses {what}: {shown(self.reason)}{_more(self.suppressed)}"


@frozen
class HomeAgentRefused(Event):
    """A home agent has refused a node; the reason is sealed, for the node alone."""

    home_agent: str
    suppressed: int = 0

    def __str__(self) -> str:
        return f"{shown(self.home_agent)} refuses a node; why is for the node to know{_more(self.suppressed)}"


@frozen
class ReplyUnbelievable(Event):
    """What came in place of a home agent's reply is none, or not its own."""

    level: ClassVar[str] = "warn"
    neighbour: str
    home_agent: str
    why: str
    suppressed: int = 0

    def __str__(self) -> str:
        what = f"a reply of {shown(self.home_agent)} that came by way of {self.neighbour}"
        return f"{what} is not believed: {shown(self.why)}{_more(self.suppressed)}"


@frozen
class NoReply(Event):
    """Nothing came from the home network in time."""

    level: ClassVar[str] = "warn"
    home_agent: str
    neighbour: str
    seconds: float
    suppressed: int = 0

    def __str__(self) -> str:
        what = f"no reply of {shown(self.home_agent)} within {self.seconds:g} s"
        return f"{what}, asked by way of {self.neighbour}{_more(self.suppressed)}"


@frozen
class VisitorForgotten(Event):
    """The record of a visitor cannot be read; the node has to register again."""

    level: ClassVar[str] = "error"
    why: str

    def __str__(self) -> str:
        return f"a visitor is forgotten, what was stored of it cannot be read: {self.why}"


@frozen
class AgentBusy(Event):
    """The agent advertises that it is busy from now on."""

    level: ClassVar[str] = "warn"
    why: str

    def __str__(self) -> str:
        return f"advertising to be busy: {self.why}"


@frozen
class AgentIdle(Event):
    """The agent is busy no longer."""

    def __str__(self) -> str:
        return "no longer advertising to be busy"
