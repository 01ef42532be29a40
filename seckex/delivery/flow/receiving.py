"""The peer's direction of a dialog (API first; see the package's docstring for how it is driven)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import define

from seckex.delivery.faces import Incoming, Verdict
from seckex.delivery.flow.memory import Room
from seckex.delivery.flow.pieces import ReceivingChanges, SpoolWork, Wanted
from seckex.delivery.store import DeadMessage, SegmentIndex, StoredDialog
from seckex.machine import Now


@define
class ReceivingTerms:
    """What the service that takes the messages allows: the longest payload, how often one is tried; ``window`` in octets."""

    largest: int = 1 << 20
    attempts: int = 8
    window: int = 4 << 20


class Receiving:
    """The peer's direction of one dialog. ``spool`` returns a name for a new file of the spool.

    Attributes for reading: ``delivered`` and ``done`` (durable), ``last`` (of the peer's END, or None), ``waiting``
    (messages not done), ``octets`` (what the inbox has of the dialog).
    """

    delivered: int
    done: int
    last: int | None
    waiting: int
    octets: int
    terms: ReceivingTerms

    def __init__(
        self, dialog: StoredDialog, service: str, segments: Sequence[SegmentIndex], room: Room, terms: ReceivingTerms
    ) -> None: ...

    # What comes; raise `PeerMisbehaved`.
    def take_messages(self, first: int, count: int, body: bytes, now: Now) -> None: ...
    def take_fragment(self, number: int, fragment: int, fragments: int, body: bytes, now: Now) -> None: ...
    def hear(self, frame: Any, now: Now) -> bool:
        """Take SKIP, END, ASK, WHERE; return whether it was one of these."""
        ...

    # The spool.
    def spool_work(self) -> list[SpoolWork]:
        """Return what is to be done with the spool, each once; `written` and `synced` answer."""
        ...

    def written(self, work: SpoolWork, ok: bool) -> None:
        """Note that a `WritePiece` or `SyncSpool` was done, or failed."""
        ...

    # Commits.
    has_changes: bool

    def changes(self, now: Now) -> ReceivingChanges | None: ...
    def committed(self, changes: ReceivingChanges) -> None: ...
    def not_committed(self, changes: ReceivingChanges) -> None: ...
    def written_into(self, dialog: StoredDialog) -> StoredDialog: ...

    # What is said.
    owes: bool  # property: STATE is to be said

    def acknowledge(self) -> int:
        """Return the number for Acknowledged, which is then said."""
        ...

    def frames(self, now: Now) -> list[Any]:
        """Return RECEIVED, DEAD, PROCESSED, CREDIT, FRAGMENTS, ENDED where they are news to the peer."""
        ...

    def connected(self) -> None:
        """Say everything anew."""
        ...

    # The program's side.
    can_give: bool  # property

    def give(self, most: int, now: Now) -> list[Incoming]:
        """Return the next messages for the program, in order, with those that it has not said anything of at most ``most``."""
        ...

    def wanted(self) -> list[Wanted]: ...
    def fetched(self, wanted: Wanted, octets: bytes) -> None: ...
    def not_fetched(self, wanted: Wanted, now: Now) -> None: ...
    def verdict(self, number: int, verdict: Verdict, why: str, now: Now, after: float = 0.0) -> bool:
        """Take what the program says of a message; return whether it had it."""
        ...

    def take_back(self, now: Now, counted: bool = True) -> None:
        """The program is gone: what it said nothing of is given again; ``counted`` as an attempt."""
        ...

    def retry(self, now: Now) -> None:
        """Give what waits for another attempt, now (an operator's wish)."""
        ...

    def drop(self, number: int, why: str, now: Now) -> bool:
        """Put a message aside that waits and is not with the program (an operator's wish); return whether it was there."""
        ...

    def revive(self, dead: DeadMessage, now: Now) -> None:
        """Give a dead message again, beside the others; the verdict *done* drops it from the dead."""
        ...

    def tick(self, now: Now) -> None: ...

    is_over: bool  # property: all up to the peer's END is done, durably, and ENDED was said

    def shown(self) -> dict[str, Any]: ...
    def queue(self, most: int) -> list[dict[str, Any]]: ...
