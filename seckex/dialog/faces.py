"""What stands around a link: the association below it, the programs behind its dialogs, and its owner.

A link and its dialogs call these interfaces and nothing else; the edge and the
node provide them. None of the calls may raise.
"""

from __future__ import annotations

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

    ``spi`` is that at the responder, ``peer`` the other principal's NAI.
    ``octets`` is how many octets of bodies, both ways together, the association
    may still carry, None where it has no bound; ``records`` how many records
    each direction may have.
    """

    spi: int
    peer: str
    schedule: LinkSchedule
    octets: int | None = None
    records: int = MOST_RECORDS


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
    """The link broke off or was closed: what was on its way may be lost."""


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
        """The dialog may be used from now on, in both directions."""
        ...

    def data(self, octets: bytes) -> None:
        """Octets have come; they count as consumed when this returns."""
        ...

    def ended(self) -> None:
        """The peer will send no more; everything it sent has been delivered."""
        ...

    def pause(self) -> None:
        """More is waiting to be sent than should be: stop writing."""
        ...

    def resume(self) -> None:
        """Write again."""
        ...

    def over(self, ending: Ending) -> None:
        """The dialog is over; nothing more is called. Comes last, exactly once, also for one that was never opened."""
        ...


class LinkOwner(Protocol):
    """Who a link reports to."""

    def link_opened(self, link: Link) -> None:
        """The peer has proved that it holds the association's keys now, on this connection."""
        ...

    def dialog_offered(self, link: Link, dialog: Dialog) -> Sink:
        """The peer wants a dialog; return the sink, and call ``dialog.accept`` or ``dialog.reject`` now or later."""
        ...

    def link_worn(self, link: Link) -> None:
        """Seven eighths of what the link may carry are used up: time for a new association."""
        ...

    def link_closed(self, link: Link, closure: Closure) -> None:
        """The link is closed, and its dialogs are over. What its outbox holds should still be sent, then disconnect."""
        ...
