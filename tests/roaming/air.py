"""What is between a node and its agent in `tests.roaming.network`: listeners and TCP connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import define, field, frozen

from seckex.machine import Path

if TYPE_CHECKING:
    from tests.roaming.host import Host

WALL: Final = 1_790_000_000.0
PORT: Final = 4434
#: The cell of those who reach each other by wire, which carries nothing that is said to groups.
WIRE: Final = "wire"
GROUPS: Final = ("239.255.67.34", "ff02::4434")


@frozen
class Listener:
    """Where datagrams arrive: ``via`` is the number that the host has for it."""

    host: Host
    via: int


@define(eq=False)
class Stream:
    """A TCP connection: who made it under which number of his, and whose number is what at the other end."""

    client: Host
    client_via: int
    server: Host
    server_via: int
    client_path: Path
    server_path: Path
    broken: bool = False
    arrived: dict[str, float] = field(factory=dict)

    def end(self) -> None:
        """Break, for both."""
        self.broken = True


def family(address: str) -> int:
    """Return 4 or 6."""
    return 6 if ":" in address else 4
