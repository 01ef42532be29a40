"""What an operator is told of secure hops."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

from seckex.events import Event, shown


@frozen
class HopOpened(Event):
    """There is a secure hop with a neighbour; ``asked`` tells whether it has come to us or we have made it."""

    neighbour: str
    address: str
    security: str
    asked: bool

    def __str__(self) -> str:
        how = "from" if self.asked else "to"
        return f"hop {how} {self.neighbour} at {self.address}, secured by {self.security}"


@frozen
class HopClosed(Event):
    """A hop that stood is gone."""

    neighbour: str
    address: str
    asked: bool
    why: str

    def __str__(self) -> str:
        how = "from" if self.asked else "to"
        return f"the hop {how} {self.neighbour} at {self.address} is closed: {shown(self.why)}"


@frozen
class HopFailed(Event):
    """A hop to a neighbour cannot be had; ``code`` tells whether it would not be secure or does not lead there."""

    level: ClassVar[str] = "warn"

    neighbour: str
    code: int
    why: str

    def __str__(self) -> str:
        return f"no hop to {self.neighbour}: {shown(self.why)}"


@frozen
class HopRefused(Event):
    """Somebody has come who is none of our neighbours, or cannot prove it; ``suppressed`` more were not told of."""

    level: ClassVar[str] = "warn"

    address: str
    why: str
    suppressed: int

    def __str__(self) -> str:
        more = f" ({self.suppressed} more were not told of)" if self.suppressed else ""
        return f"no hop from {self.address}: {shown(self.why)}{more}"
