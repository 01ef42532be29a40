"""One dialog of a house: its keys, its two directions, what is stored of it, and what has happened to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from seckex.delivery.connection import Connection
from seckex.delivery.faces import DialogName, Direction
from seckex.delivery.flow.memory import Room
from seckex.delivery.flow.pieces import Piece
from seckex.delivery.flow.receiving import Receiving, ReceivingTerms
from seckex.delivery.flow.sending import Sending
from seckex.delivery.keys.accepting import Accepting
from seckex.delivery.keys.initiating import Initiating
from seckex.delivery.store import PutKey, SegmentIndex, StoredDialog
from seckex.delivery.trail import Trail
from seckex.machine import Now

#: Of a dialog's id, what people are shown.
SHOWN: Final = 12
#: The lower octet of an envelope's flags, and what four bits of it say of the headers (docs/messages.md, section 3).
_FLAGS: Final = 5
_SHAPES: Final = {0x0F: "whole", 0x0D: "anonymous", 0x09: "new session key", 0x00: "short"}


class Conversation:
    """See the module; ``connection`` is what it speaks over at present."""

    __slots__ = (
        "asked",
        "committing",
        "connection",
        "counted",
        "given",
        "greeted",
        "heard",
        "is_stored",
        "kept_by",
        "key",
        "keys",
        "pending_keys",
        "receiving",
        "refused",
        "row",
        "says_restored",
        "sending",
        "speaks",
        "stuck",
        "taken",
        "trail",
        "unkept",
        "unkept_round",
        "why",
    )

    def __init__(
        self, row: StoredDialog, segments: Sequence[SegmentIndex], room: Room, terms: ReceivingTerms, restored: float
    ) -> None:
        self.row = row
        #: What its peer is kept under: the name, or, of somebody without one, the dialog.
        self.key: str | bytes = row.peer or row.dialog_id
        self.sending = Sending(row, [each for each in segments if each.ours], room, restored)
        service = row.own if row.initiator else row.service
        self.receiving = Receiving(row, service, [each for each in segments if not each.ours], room, terms)
        self.keys: Initiating | Accepting | None = None
        self.connection: Connection | None = None
        #: What the peer was heard over last.
        self.heard: Connection | None = None
        #: Whether the peer has to hear of it, be there something to say or not.
        self.speaks = False
        #: Since when (monotonic seconds) nothing may be said before the peer holds the keys; 0 while something may.
        self.stuck = 0.0
        #: Whether the peer has to hear, on this connection, that our store was restored from a backup.
        self.says_restored = False
        #: Whether the peer wants nothing of it.
        self.refused = False
        self.trail = Trail()
        self.committing = False
        #: Whether its row is what is stored, and what is to be stored with it.
        self.is_stored = bool(segments) or row.next_number > 1 or bool(row.delivered)
        self.pending_keys: list[PutKey] = []
        #: Octets of both queues, as the house has counted them last.
        self.counted = 0, 0
        #: How many messages programs have of it.
        self.given = 0
        #: When (monotonic seconds) its keys were asked for last, and why nothing moves, for people.
        self.asked = -1e9
        self.why = ""
        #: Through a relay: hashes of what it was given and has not said KEPT to, in which round of sending
        #: something was not kept, or in doubt, and, without a connection, the relay that keeps all that was sent.
        self.unkept: set[bytes] = set()
        self.unkept_round = 0
        self.kept_by = ""
        #: What relays have brought and has not been told to be KEPT, and when (monotonic seconds) it spoke unasked.
        self.taken: list[tuple[str, bytes]] = []
        self.greeted = -1e9

    def __repr__(self) -> str:
        return f"<Conversation {self.shown} with {self.row.peer!r}>"

    @property
    def shown(self) -> str:
        """What people are shown of its id."""
        return self.row.dialog_id.hex()[:SHOWN]

    @property
    def ours(self) -> Direction:
        """The direction in which we send."""
        return Direction.OUT if self.row.initiator else Direction.BACK

    @property
    def here(self) -> str:
        """The service here, whose program is given what the peer sends."""
        return self.row.own if self.row.initiator else self.row.service

    @property
    def name(self) -> DialogName:
        """What it was begun as."""
        row = self.row
        return DialogName(row.peer, row.service, row.own, row.priority, row.label)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be said in either direction."""
        if self.refused:
            return not self.sending.has_changes
        return self.sending.is_over and self.receiving.is_over

    @property
    def is_expecting(self) -> bool:
        """Whether its peer may have something to say at any time, or has to hear of something."""
        row = self.row
        return (
            not row.forget
            and not self.refused
            and (self.is_active or bool(row.own) or row.processed < row.acknowledged)
        )

    @property
    def is_active(self) -> bool:
        """Whether something waits for the peer, a program, the disk or time."""
        sending, receiving = self.sending, self.receiving
        return bool(
            sending.waiting
            or receiving.waiting
            or sending.has_changes
            or receiving.has_changes
            or sending.has_frames
            or receiving.owes
            or receiving.turned_away
            or (sending.last is not None and not self.is_over)
        )

    @property
    def has_something_to_say(self) -> bool:
        """Whether an envelope could be sealed of it now, or could be if there were a connection."""
        sending = self.sending
        if self.refused:
            return False
        if self.connection is None:
            return bool(self.speaks or sending.waiting or sending.has_frames or self.receiving.owes)
        return self.speaks or sending.is_ready or sending.has_frames or self.receiving.owes

    def doubt(self, now: Now) -> None:
        """Send soon what is not acknowledged, though a relay may keep it: it may be of no use."""
        self.unkept_round = self.sending.rounds
        self.sending.hurry(now)

    def note_said(self, piece: Piece, octets: bytes, now: Now) -> None:
        """Remember that messages went out, in the envelope ``octets``."""
        last = piece.sequence + max(piece.count, 1) - 1
        headers, overhead = _SHAPES[octets[_FLAGS] & 15], len(octets) - len(piece.body)
        self.trail.note(now.wall, True, piece.sequence, last, "went", headers=headers, overhead=overhead)
