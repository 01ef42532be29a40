"""What carries the records of a dialog: a link, or for the time being nothing.

A dialog outlives its links. Between two of them its carrier is `NOWHERE`, which
takes nothing: what a program writes waits in the dialog, and what the peer is
to know is told when a link takes the dialog over.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Final, Protocol

from seckex.dialog.faces import Ending, Sink
from seckex.dialog.record import Octets
from seckex.wire.numbers import RecordType

if TYPE_CHECKING:
    from seckex.dialog.stream import Dialog


class Phase(Enum):
    """How far a dialog is."""

    ASKED = auto()
    OFFERED = auto()
    CARRYING = auto()
    OVER = auto()


class Carrier(Protocol):
    """What carries the records of a dialog.

    ``carries`` tells that records reach the peer, ``free`` that one given to it
    now leaves at once; ``largest_body`` is the most octets in one DATA. ``heard_at`` is when something came last, in
    nanoseconds since 1970.
    """

    carries: bool
    free: bool
    largest_body: int
    heard_at: int

    def send_data(self, dialog: int, sequence: int, body: Octets) -> None:
        """Send DATA."""
        ...

    def send(self, kind: RecordType, dialog: int, sequence: int, body: bytes) -> None:
        """Send any other record, blocked or not."""
        ...

    def schedule(self, dialog: Dialog) -> None:
        """Call the dialog's ``send_next`` at the end of the turn or when there is room, in turn with others."""
        ...

    def hurry(self) -> None:
        """Send what fills records now."""
        ...

    def retire(self, dialog: Dialog) -> None:
        """Route no more records to the dialog: it is over, or another link has it."""
        ...


class Home(Protocol):
    """Where a dialog is known by its id, above all links."""

    def over(self, dialog: Dialog, ending: Ending) -> None:
        """Forget the dialog, but not for a while how it ended."""
        ...


class Nowhere:
    """The carrier of a dialog that no link carries."""

    carries = False
    free = False
    largest_body = 1
    heard_at = 0

    def send_data(self, dialog: int, sequence: int, body: Octets) -> None:
        """Drop it: it is kept."""

    def send(self, kind: RecordType, dialog: int, sequence: int, body: bytes) -> None:
        """Drop it: what it says is said again when a link takes the dialog over."""

    def schedule(self, dialog: Dialog) -> None:
        """Do nothing: the link that takes the dialog over will ask."""

    def hurry(self) -> None:
        """Do nothing."""

    def retire(self, dialog: Dialog) -> None:
        """Do nothing: no record is routed."""


NOWHERE: Final[Carrier] = Nowhere()


class _Nobody:
    """The sink of a dialog that has no program yet."""

    def opened(self) -> None:
        """Ignore it."""

    def data(self, octets: bytes) -> None:
        """Drop them."""

    def ended(self) -> None:
        """Ignore it."""

    def sent_end(self) -> None:
        """Ignore it."""

    def pause(self) -> None:
        """Ignore it."""

    def resume(self) -> None:
        """Ignore it."""

    def over(self, ending: Ending) -> None:
        """Ignore it."""


NOBODY: Final[Sink] = _Nobody()
