"""What a role is to whoever runs it, and what it asks for.

A role is driven like a node: by messages, by the outcomes of what it wanted to
be durable or done aside, and by ticks. Messages come in two ways that must not
be confused: `received` is what anybody can send, `heard` what came over a hop
whose other end has proved its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias, runtime_checkable

from attrs import field, frozen

from seckex.machine import Now, Path, Report, Send
from seckex.node.actions import Commit, Work
from seckex.passage.faces import Figures
from seckex.sa.association import Association
from seckex.sa.store import Outcome, Snapshot
from seckex.wire.numbers import Code


@frozen
class Relay:
    """Say a general message to the principal ``neighbour`` over a secure hop, which is made if there is none.

    If that cannot be, `Role.unreachable` comes. Our own name is answered in this process.
    """

    neighbour: str
    octets: bytes = field(repr=False)


@frozen
class Adopt:
    """Use an association, which is durable already, for links and dialogs.

    Those that it ``replaces``, by their SPIs here, are let go once their links have moved. Whether its links are built
    in passages is asked of the role whose it is.
    """

    association: Association
    replaces: tuple[int, ...] = ()


@frozen
class Release:
    """Use an association no more, and close its links; its record is the business of the role.

    With the name of a ``peer`` all dialogs with it end as well, also those that wait for a link.
    """

    spi_in: int
    why: str
    peer: str = ""


@frozen
class ClosePassages:
    """Close the passages that were opened by this SPI of ours, with a code and why."""

    spi: int
    code: Code
    why: str


@frozen
class ClosePort:
    """Close the port of its own that `Send` opened for a path with this ``via``, which is negative."""

    via: int


RoleAction: TypeAlias = Send | Report | Commit | Work | Relay | Adopt | Release | ClosePassages | ClosePort


@runtime_checkable
class Adopting(Protocol):
    """A role that hears what became of the associations that it had adopted."""

    def gone(self, spi_in: int, now: Now, *, by_peer: bool) -> list[RoleAction]:
        """Take note that an association has ended: ``by_peer``, or since it is not needed any more."""
        ...


class Role(Protocol):
    """One role; whatever peers send, nothing here raises.

    ``kinds`` are the requests that it takes, as `seckex.wire.numbers.Kind`, and for
    registration messages their types, REGISTRATION_REQUEST and REGISTRATION_REPLY.
    """

    @property
    def kinds(self) -> frozenset[int]:
        """See the class."""
        ...

    @property
    def counters(self) -> Mapping[str, int]:
        """Every counter and the size of every table, by name."""
        ...

    def status(self, now: Now) -> dict[str, Any]:
        """Return what an operator is shown, ready for JSON, without secrets."""
        ...

    def start(self, snapshot: Snapshot, now: Now) -> list[RoleAction]:
        """Take over what the store holds, and begin."""
        ...

    def received(self, octets: bytes, path: Path, now: Now) -> list[RoleAction]:
        """Take a message from whoever can reach us."""
        ...

    def heard(self, neighbour: str, octets: bytes, now: Now) -> list[RoleAction]:
        """Take a general message from the principal ``neighbour``, over a secure hop."""
        ...

    def awaits(self, identification: int) -> bool:
        """Tell whether an answer with this Identification over a hop is ours."""
        ...

    def unreachable(self, neighbour: str, identification: int, why: str, code: int, now: Now) -> list[RoleAction]:
        """Take note that a `Relay` could not be sent: no secure hop (279) or no way to the neighbour (280)."""
        ...

    def failed(self, path: Path, why: str, now: Now) -> list[RoleAction]:
        """Take note that a `Send` to ``path`` could not be sent."""
        ...

    def committed(self, token: int, outcome: Outcome | str, now: Now) -> list[RoleAction]:
        """Take what became of a `Commit`: an outcome, or why nothing was stored."""
        ...

    def worked(self, token: int, result: object, now: Now) -> list[RoleAction]:
        """Take what became of a `Work`."""
        ...

    def tick(self, now: Now) -> list[RoleAction]:
        """Do what is due."""
        ...

    def next_deadline(self, now: Now) -> float | None:
        """Return when `tick` has something to do (monotonic)."""
        ...


@runtime_checkable
class Accounting(Protocol):
    """A role that keeps accounts of passages, and makes them durable."""

    def accounted(self, figures: Figures, now: Now) -> list[RoleAction]:
        """Take what a hop under KEY 2 has amounted to: as it begins, from time to time, and at its end."""
        ...

    def closing(self) -> list[RoleAction]:
        """Make durable what has come; nothing further will."""
        ...
