"""What an operator is told of passages: traffic that goes through agents.

An agent knows visitors by pseudonym and realm, a home agent its nodes. What anybody can cause is rationed:
``suppressed`` were not reported before.
"""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

from seckex.events import Event, label_of, shown


def _more(suppressed: int) -> str:
    return f" ({suppressed} more not shown)" if suppressed else ""


def _whose(node: str, pseudonym: str, domain: str) -> str:
    return f"{shown(node)} by way of {shown(domain)}" if node else f"visitor {pseudonym} of {shown(domain)}"


@frozen
class PassageOpened(Event):
    """A passage has come about: both of its ends here, at an agent, or its end, have proved their keys."""

    address: str
    domain: str
    pseudonym: str
    node: str

    def __str__(self) -> str:
        return f"passage of {_whose(self.node, self.pseudonym, self.domain)} from {self.address}"


@frozen
class PassageRefused(Event):
    """Somebody has called who may not have a passage, or did not prove that he may."""

    address: str
    code: int
    why: str
    suppressed: int

    @property
    def label(self) -> str:
        """The code's name."""
        return label_of(self.code)

    def __str__(self) -> str:
        code = f" with {self.code} {self.label}" if self.code else ""
        why = f": {shown(self.why)}" if self.why else ""
        return f"no passage from {self.address}{code}{why}{_more(self.suppressed)}"


@frozen
class PassageFailed(Event):
    """A home agent could not be had for a visitor's passage."""

    level: ClassVar[str] = "warn"

    home_agent: str
    address: str
    why: str
    suppressed: int

    def __str__(self) -> str:
        more = _more(self.suppressed)
        return f"no passage to {shown(self.home_agent)} at {self.address}: {shown(self.why)}{more}"


@frozen
class PassageClosed(Event):
    """A passage that had come about has ended; octets are those of DATA, to the home agent and from it."""

    address: str
    domain: str
    pseudonym: str
    node: str
    why: str
    outward: int
    inward: int

    def __str__(self) -> str:
        return (
            f"the passage of {_whose(self.node, self.pseudonym, self.domain)} from {self.address} is closed: "
            f"{shown(self.why)}; {self.outward} octets to the home agent, {self.inward} from it"
        )
