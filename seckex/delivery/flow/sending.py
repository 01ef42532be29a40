"""Our direction of a dialog (API first; see the package's docstring for how it is driven)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seckex.delivery.faces import Outgoing
from seckex.delivery.flow.memory import Room
from seckex.delivery.flow.pieces import Piece, SendingChanges, Wanted
from seckex.delivery.store import SegmentIndex, StoredDialog
from seckex.machine import Now


class Sending:
    """Our direction of one dialog.

    ``dialog`` as stored, or new; ``segments`` those of the outbox that the store has, rising. ``room`` is memory for
    payloads that all dialogs share. ``restored`` is when our store was restored (wall-clock seconds), 0 if it was not
    since this dialog's peer has heard of it: numbers go on from there.

    Attributes for reading: ``next_number``, ``last`` (END's number, or None), ``waiting`` (messages not acknowledged),
    ``octets`` (what the outbox has of the dialog, with 256 for each segment).
    """

    next_number: int
    last: int | None
    waiting: int
    octets: int

    def __init__(
        self, dialog: StoredDialog, segments: Sequence[SegmentIndex], room: Room, restored: float = 0.0
    ) -> None: ...

    # The program's side.
    def accept(self, messages: Sequence[Outgoing], now: Now) -> int:
        """Take messages; return the number of the first. `changes` then has them. Raises `ApiMisuse` after an end, or for a message that is too long or has a bad type."""
        ...

    def end(self, code: int = 0, why: str = "") -> None:
        """End our direction after what was accepted; with a code at once: what was not acknowledged fails with it."""
        ...

    def drop(self, number: int, code: int, why: str) -> bool:
        """Leave out a message that waits (an operator's wish); return whether it waited."""
        ...

    # Commits.
    has_changes: bool

    def changes(self) -> SendingChanges | None:
        """Return what is to be made durable now; None if nothing is, or while a commit is under way."""
        ...

    def committed(self, changes: SendingChanges) -> None: ...
    def not_committed(self, changes: SendingChanges) -> None: ...
    def written_into(self, dialog: StoredDialog) -> StoredDialog:
        """Return the dialog with our numbers, as they are durable once the changes taken last are."""
        ...

    # A connection's side.
    is_ready: bool  # property: whether next() would probably return a piece

    def connected(self, now: Now) -> None:
        """Begin anew behind what is acknowledged."""
        ...

    def disconnected(self) -> None: ...
    def next(self, room: int, now: Now) -> Piece | None:
        """Return what is to be sent next. Bodies are joined up to ``room`` octets; a single segment or fragment may be longer."""
        ...

    def wanted(self) -> list[Wanted]:
        """Return what has to be read so that `next` can go on; each is told once."""
        ...

    def fetched(self, wanted: Wanted, octets: bytes) -> None: ...
    def not_fetched(self, wanted: Wanted, now: Now) -> None: ...

    has_frames: bool  # property

    def frames(self, now: Now) -> list[Any]:
        """Return frames of STATE: SKIP, END, ASK, WHERE; each once on a connection and once again when nobody answers."""
        ...

    def tick(self, now: Now, blocked: bool) -> None:
        """Send again what nobody answered to, and leave out what has expired; ``blocked``: the connection takes nothing at the moment, or there is none."""
        ...

    # The peer's side; raise `PeerMisbehaved`.
    def acknowledged(self, upto: int, now: Now) -> None: ...
    def hear(self, frame: Any, now: Now) -> bool:
        """Take RECEIVED, PROCESSED, DEAD, CREDIT, FRAGMENTS, ENDED, RESTORED (behind `acknowledged`); return whether it was one of these."""
        ...

    def heard_state(self, now: Now) -> None:
        """Note that a whole STATE was heard: the peer has said which fragments it has."""
        ...

    is_over: bool  # property: ENDED was heard and is durable, or the end has a code

    def retry(self, now: Now) -> None:
        """Send what is not acknowledged again, now (an operator's wish)."""
        ...

    def shown(self) -> dict[str, Any]: ...
    def queue(self, most: int) -> list[dict[str, Any]]: ...
