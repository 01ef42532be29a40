"""What stands around dialogs of messages: programs, connections, the store; and the words that all of them use.

The house of dialogs (`seckex.delivery.house`) calls `Edge` and nothing else; the edge calls the house's methods.
None of the calls of `Edge` may raise or call back before it returns.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, IntEnum
from typing import Any, Final, Protocol, TypeAlias

from attrs import field, frozen

from seckex.delivery.store import MessageUnit
from seckex.errors import StoreFailed

#: docs/messages.md, section 7: octets of the payload in each fragment but the last. A longer payload goes in fragments.
FRAGMENT: Final = 61_440
MOST_FRAGMENTS: Final = 65_535
LARGEST_MESSAGE: Final = FRAGMENT * MOST_FRAGMENTS
#: A payload above this lies in a spool file, at the sender and at the receiver.
SPOOLED_ABOVE: Final = 1 << 20
#: Whole messages are joined up to this much of a body; a longer one goes alone.
WHOLE_UPTO: Final = 49_152
HIGHEST_PRIORITY: Final = 0
PRIORITY: Final = 4
LOWEST_PRIORITY: Final = 7


class Direction(IntEnum):
    """Which way a message of a dialog goes; ``letter`` is that of its name."""

    OUT = 0
    BACK = 1

    @property
    def letter(self) -> str:
        """Return what names of messages have of it."""
        return "ob"[self]

    @property
    def other(self) -> Direction:
        """Return the opposite."""
        return Direction.BACK if self is Direction.OUT else Direction.OUT


class Stage(Enum):
    """How far a message has come, as its sender is told."""

    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    PROCESSED = "processed"


class Verdict(Enum):
    """What a program says of a message that it was given."""

    DONE = "done"
    RETRY = "retry"
    DEAD = "dead-letter"


def message_name(dialog_id: bytes, direction: Direction, number: int) -> str:
    """Return what a message is called by people."""
    return f"{dialog_id[:6].hex()}.{direction.letter}{number}"


@frozen
class DialogName:
    """What a dialog is between; who has the same name again goes on with the same dialog, as long as it lives.

    ``peer`` is the target's NAI, ``service`` its service and ``own`` ours, which may be empty; ``label`` tells dialogs
    apart that have all else in common.
    """

    peer: str
    service: str
    own: str = ""
    priority: int = PRIORITY
    label: str = ""


@frozen
class Spooled:
    """A payload in a file of the spool, sealed piece by piece: ``name`` is the file's, ``size`` of the payload."""

    name: str
    size: int


Payload: TypeAlias = bytes | Spooled


@frozen
class Outgoing:
    """A message that a program sends; ``expires`` in wall-clock seconds, 0 for never."""

    payload: Payload = field(repr=False)
    type: str = ""
    expires: float = 0.0


@frozen
class Incoming:
    """A message for a program here: ``peer`` has sent it, for ``service``, and it is given for the ``attempt``-th time.

    ``peer`` is empty where the initiator is anonymous.
    """

    dialog_id: bytes
    direction: Direction
    number: int
    peer: str
    service: str
    type: str
    expires: float
    attempt: int
    payload: Payload = field(repr=False)

    @property
    def name(self) -> str:
        """What it is called by people."""
        return message_name(self.dialog_id, self.direction, self.number)


class Edge(Protocol):
    """What the house asks of the edge."""

    def entropy(self, count: int) -> bytes:
        """Return so many random octets."""
        ...

    def soon(self) -> None:
        """Have `House.flush` called once, when this turn of the reactor is over."""
        ...

    def say(self, connection: int, octets: bytes) -> None:
        """Send a whole unit over a connection; nothing if it is gone."""
        ...

    def backlog(self, connection: int) -> int:
        """Return how many octets wait to be taken by a connection; `House.writable` tells when few do."""
        ...

    def call(self, peer: str) -> None:
        """Have a connection to ``peer`` made, again and again with growing delays until there is one.

        `House.connected` comes of it, and `House.unreachable` of each attempt that fails.
        """
        ...

    def drop(self, connection: int) -> None:
        """Close a connection after what was said; `House.lost` comes of it."""
        ...

    def commit(self, unit: MessageUnit, done: Callable[[StoreFailed | None], None]) -> None:
        """Make a unit durable, in the order of these calls; ``done`` is told later, with None when it is."""
        ...

    def fetch(
        self, dialog_id: bytes, direction: Direction, first: int, done: Callable[[bytes | StoreFailed], None]
    ) -> None:
        """Read the octets of a stored segment, in time."""
        ...

    def fetch_kept(self, number: int, done: Callable[[bytes | StoreFailed], None]) -> None:
        """Read the octets of an envelope that is kept as a relay, in time."""
        ...

    def read_piece(self, spool: str, fragment: int, done: Callable[[bytes | StoreFailed], None]) -> None:
        """Read the octets of one fragment of a file of the spool, in time."""
        ...

    def write_piece(self, spool: str, fragment: int, octets: bytes, done: Callable[[StoreFailed | None], None]) -> None:
        """Write the octets of one fragment into a file of the spool that is not finished, made when it is not there."""
        ...

    def sync_spool(self, spool: str, done: Callable[[StoreFailed | None], None]) -> None:
        """Make what was written to a file durable, in time, and give it the name of a finished one."""
        ...

    def drop_spool(self, spool: str) -> None:
        """Forget a file of the spool, in time."""
        ...

    def give(self, message: Incoming) -> None:
        """Give a message to the program of its service; `House.verdict` comes of it."""
        ...

    def judged(self, dialog_id: bytes, upto: int) -> None:
        """Tell that what programs have said of the peer's messages up to a number is durable."""
        ...

    def progress(self, dialog_id: bytes, direction: Direction, stage: Stage, upto: int) -> None:
        """Tell that all messages of a direction of ours up to a number have reached a stage."""
        ...

    def failed(self, dialog_id: bytes, direction: Direction, number: int, code: int, why: str) -> None:
        """Tell that a message of ours has failed for good."""
        ...

    def report(self, event: Any) -> None:
        """Tell the operator."""
        ...
