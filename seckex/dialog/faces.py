"""What stands around a link: the association below it, the programs behind its dialogs, and its owner.

A link and its dialogs call these interfaces and nothing else; the edge and the
node provide them. None of the calls may raise.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, Protocol

from attrs import frozen

from seckex.crypto.schedule import LinkSchedule
from seckex.wire.numbers import Code

if TYPE_CHECKING:
    from seckex.dialog.link import Link
    from seckex.dialog.stream import Dialog

# A context of docs/protocol.md, section 10, ends at this many records at the latest.
MOST_RECORDS: Final = 1 << 32


@frozen
class LinkAssociation:
    """What a link needs of an association.

    ``spi`` is that at the acceptor of the link, ``here`` that at this end,
    whichever of the two it is; ``peer`` is the other principal's NAI.
    ``octets`` is how many octets of bodies, both ways together, the association
    may still carry, None where it has no bound; ``records`` how many records
    each direction may have. At ``worn_at`` of either it is time for another
    association.
    """

    spi: int
    peer: str
    schedule: LinkSchedule
    octets: int | None = None
    records: int = MOST_RECORDS
    here: int = 0
    worn_at: float = 0.875


@frozen
class DeadPeer:
    """When a peer counts as dead: it is asked after ``idle`` seconds of silence, and given ``timeout`` more."""

    idle: int = 20
    timeout: int = 10


class Cause(Enum):
    """Why a link is closed."""

    FOREIGN = auto()
    """What came does not begin with a record: some other protocol."""
    MALFORMED = auto()
    """A HELLO, or an answer to it, that no peer of ours can have sent."""
    UNKNOWN_ASSOCIATION = auto()
    """At a responder: a HELLO named no association. At an initiator: a hint, not authenticated, that it did."""
    FORGED = auto()
    """A HELLO, or the first record after it, did not verify."""
    TIMED_OUT = auto()
    """The peer had not proved its keys when the time for that was over."""
    VIOLATED = auto()
    """The peer broke a rule, or somebody between altered what it sent."""
    CLOSED_BY_PEER = auto()
    """The peer said CLOSE."""
    CLOSED = auto()
    """This side closed it."""
    WORN_OUT = auto()
    """The association has carried what it may."""
    LOST = auto()
    """The connection below was lost."""
    DEAD = auto()
    """Nothing came from the peer for too long, though it was asked."""


@frozen
class Closure:
    """How a link ended: ``code`` of section 11 and text, the peer's own if the cause is `Cause.CLOSED_BY_PEER`."""

    cause: Cause
    code: int = 0
    text: str = ""

    def __str__(self) -> str:
        return f"{self.cause.name.lower().replace('_', ' ')}{describe(self.code, self.text)}"


class End(Enum):
    """Why a dialog is over."""

    FINISHED = auto()
    """Both directions were ended and everything was delivered."""
    REJECTED = auto()
    """The peer did not accept it."""
    RESET_BY_PEER = auto()
    """The peer said RESET."""
    RESET = auto()
    """This side said RESET, or refused it."""
    LOST = auto()
    """No link will carry it on: what was on its way may be lost."""


@frozen
class Ending:
    """How a dialog ended, with the code of section 11 and the text that came with it or were sent."""

    end: End
    code: int = 0
    text: str = ""

    def __str__(self) -> str:
        return f"{self.end.name.lower().replace('_', ' ')}{describe(self.code, self.text)}"


def describe(code: int, text: str) -> str:
    """Return ``code`` and ``text`` for a log: the text is a peer's, so it is quoted and escaped."""
    if not code:
        return f": {text}" if text else ""
    name = Code(code).label if code in Code.__members__.values() else "unknown code"
    return f", {name} ({code})" + (f": {text!r}" if text else "")


class Sink(Protocol):
    """The program behind one side of a dialog."""

    def opened(self) -> None:
        """Begin: the dialog may be used from now on, in both directions."""
        ...

    def data(self, octets: bytes) -> None:
        """Take octets; they count as consumed when this returns."""
        ...

    def ended(self) -> None:
        """Expect no more data: the peer has ended its direction, and everything it sent has been delivered."""
        ...

    def sent_end(self) -> None:
        """Note that this side's direction has ended: everything written has left, and END behind it."""
        ...

    def pause(self) -> None:
        """Stop writing: more is waiting to be sent than should be."""
        ...

    def resume(self) -> None:
        """Write again."""
        ...

    def over(self, ending: Ending) -> None:
        """Stop: the dialog is over. Called once, last of all, also for a dialog that was never opened."""
        ...


class Ears(Protocol):
    """What the open part of a link reports to the link itself."""

    def proved(self) -> None:
        """Note that a first record has verified."""
        ...

    def offered(self, dialog: Dialog) -> None:
        """Take a dialog that the peer asks for."""
        ...

    def idle(self) -> None:
        """Note that the last dialog is gone."""
        ...

    def worn(self) -> None:
        """Note that most of what may be carried is used up (`LinkAssociation.worn_at`)."""
        ...

    def closing(self, closure: Closure) -> None:
        """Close the link: the peer said CLOSE, or what may be carried is used up."""
        ...

    def broken(self, error: Exception) -> None:
        """Close the link: what came cannot be read, does not verify or breaks a rule."""
        ...

    def flush(self) -> None:
        """Empty the outbox as far as the transport takes it."""
        ...

    def soon(self, call: Callable[[], None]) -> None:
        """Make ``call`` when all that happens now is done."""
        ...


class LinkOwner(Protocol):
    """Who a link reports to."""

    def link_opened(self, link: Link) -> None:
        """Use the link: the peer has proved that it holds the association's keys, now and on this connection."""
        ...

    def dialog_offered(self, link: Link, dialog: Dialog) -> None:
        """Attach a sink to a dialog that the peer wants, then ``accept`` or ``reject`` it, now or later."""
        ...

    def link_idle(self, link: Link) -> None:
        """Note that the last dialog of an open link is over."""
        ...

    def link_worn(self, link: Link) -> None:
        """Agree a new association: most of what this one may carry is used up."""
        ...

    def link_closed(self, link: Link, closure: Closure) -> None:
        """Send what the outbox still holds, and disconnect: the link is closed, its dialogs are detached or over."""
        ...
