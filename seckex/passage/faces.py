"""What the two ends of a hop and whoever runs them know of it.

A passage has two hops, from the node to its agent and from there to the home
agent. Each has a caller, which opens it with the key that it got of registering,
and a callee, which looks that up by an SPI of its own.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from attrs import field, frozen

from seckex.crypto.schedule import AgreedKeys
from seckex.wire.numbers import Code, Hop

#: Octets that may come without a proof, and octets after which one is sent.
MOST_UNPROVED: Final = 1 << 22
PROVE_EVERY: Final = 1 << 20
#: Octets that a callee keeps of a caller that has proved nothing yet.
MOST_HELD: Final = 65536
#: Seconds: until DATA is covered by a proof, how long DATA may be without one, and how long opening may take.
PROVE_WITHIN: Final = 1.0
UNPROVED_FOR: Final = 10.0
OPEN_WITHIN: Final = 10.0

#: What a caller is refused with who may be carried under another registration.
ANEW: Final = frozenset(
    (
        Code.UNKNOWN_ASSOCIATION,
        Code.FAILED_AUTHENTICATION,
        Code.IDENTIFICATION_MISMATCH,
        Code.PROHIBITED,
    )
)


class Way(Enum):
    """A direction of a passage's traffic."""

    OUTWARD = "outward"
    INWARD = "inward"


@frozen
class Admission:
    """What a caller opens a hop with: ``callee`` at ``host`` and ``port``, by its SPI there, ``until`` (wall clock)."""

    hop: Hop
    callee: str
    host: str
    port: int
    spi: int
    until: float
    keys: AgreedKeys = field(repr=False)


@frozen
class Admitted:
    """What a callee knows by the SPI of an OPEN, ``spi``, which is its own.

    ``onward`` is the second hop, at an agent; ``link`` the SPI here of the KEY 1 under which alone there may
    be a link in the passage, at a home agent. ``who`` is what the passage is accounted to.
    """

    hop: Hop
    spi: int
    until: float
    who: Party
    keys: AgreedKeys = field(repr=False)
    onward: Admission | None = None
    link: int = 0


@frozen
class Party:
    """Whose traffic a passage carries, as far as who keeps accounts may know it.

    At an agent ``node`` and ``agent`` are empty, at a home agent the node's name and the agent's. ``domain`` is
    the realm of the home agent there, and that of the agent here.
    """

    domain: str
    pseudonym: bytes
    node: str = ""
    agent: str = ""


@frozen
class Octets:
    """Octets of DATA of one direction of a hop.

    ``carried`` have come or gone, ``proved`` are covered by the last PROOF of who sent them, and ``acknowledged``
    were told as received in a PROOF of who was sent them.
    """

    carried: int = 0
    proved: int = 0
    acknowledged: int = 0


@frozen
class Figures:
    """What a hop under KEY 2 has amounted to so far; ``ended`` and ``why`` when it has (wall clock)."""

    ident: bytes
    who: Party
    began: float
    outward: Octets
    inward: Octets
    ended: float | None = None
    why: str = ""


class End(Enum):
    """How a hop ended."""

    FINISHED = "finished"
    """Both ends have said all, and proved it."""
    REFUSED = "refused"
    """The callee said REFUSE; `Ending.code` is its reason."""
    CLOSED = "closed"
    """This end closed it, or refused; `Ending.code` says for which reason."""
    TIMED_OUT = "timed-out"
    """No ACCEPT, or no first PROOF, in time."""
    FOREIGN = "foreign"
    """What came first is no OPEN."""
    FORGED = "forged"
    """Something did not verify: the other end is not who it says, or somebody between alters what it sends."""
    VIOLATED = "violated"
    """The other end broke a rule."""
    LOST = "lost"
    """The connection broke off."""


@frozen
class Ending:
    """How a hop ended, and why; ``hint`` tells of a REFUSE that anybody on the way could have said."""

    end: End
    code: int = 0
    why: str = ""
    hint: bool = False

    def __str__(self) -> str:
        code = f", code {self.code}" if self.code else ""
        return f"{self.end.value}{code}{': ' if self.why else ''}{self.why}"
