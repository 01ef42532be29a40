"""What an operator is told of AAA relays: names of relays and home agents, and nothing of nodes."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

from seckex.events import Event, label_of, shown


@frozen
class NextHopFailed(Event):
    """A neighbour did not lead to a home agent; others are asked before it for a while."""

    level: ClassVar[str] = "warn"

    neighbour: str
    home_agent: str
    why: str

    def __str__(self) -> str:
        return f"{self.neighbour} does not lead to {self.home_agent}: {shown(self.why)}"


@frozen
class RegistrationNotRelayed(Event):
    """A registration was not passed on, or nothing came of it; ``home_agent`` is empty where it could not be read."""

    level: ClassVar[str] = "warn"

    neighbour: str
    home_agent: str
    code: int
    why: str

    def __str__(self) -> str:
        whither = f" for {self.home_agent}" if self.home_agent else ""
        return f"what {self.neighbour} said{whither} is not relayed: {label_of(self.code)}, {shown(self.why)}"
