"""What the rooms of a house share: its dialogs, peers and connections, and what is to be looked at when a turn ends.

A dialog is kept under its id, a peer under its name, or under the dialog's id where its initiator has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from seckex.delivery.connection import Connection
from seckex.delivery.conversation import SHOWN, Conversation
from seckex.delivery.faces import DialogName, Edge
from seckex.delivery.flow.fair import Turns
from seckex.delivery.flow.memory import Room
from seckex.delivery.flow.receiving import ReceivingTerms
from seckex.delivery.store import SegmentIndex, StoredDialog
from seckex.delivery.terms import HouseTerms, ServiceTerms
from seckex.errors import PeerIncompatible
from seckex.events.messages import EnvelopeRefused
from seckex.machine import Now
from seckex.wire.numbers import Code

#: Octets of payloads of the outbox and the inbox that are kept in memory; others are read in their turn.
MOST_IN_MEMORY: Final = 64 << 20


class PeerAtHouse:
    """Somebody with whom there are dialogs: the connections that lead there, and whose turn it is."""

    __slots__ = ("calling", "connections", "conversations", "key", "trouble", "turns")

    def __init__(self, key: str | bytes) -> None:
        self.key = key
        self.connections: list[Connection] = []
        self.conversations: dict[bytes, Conversation] = {}
        self.turns: Turns[Conversation] = Turns()
        self.calling = False
        self.trouble = ""


class Tables:
    """See the module."""

    def __init__(self, terms: HouseTerms, edge: Edge, restored: float, now: Now) -> None:
        self.terms = terms
        self.edge = edge
        #: The present, as it was when the house was last told.
        self.now = now
        #: When the store was restored from a backup, in seconds since 1970; 0 if it never was.
        self.restored = restored
        self.room = Room(MOST_IN_MEMORY)
        self.connections: dict[int, Connection] = {}
        self.peers: dict[str | bytes, PeerAtHouse] = {}
        self.dialogs: dict[bytes, Conversation] = {}
        self.names: dict[DialogName, bytes] = {}
        #: What the end of the turn has to look at: dialogs, those who are spoken with, services with something to give.
        self.changed: dict[Conversation, None] = {}
        #: Dialogs that time may demand something of; those that sleep are not looked at every second.
        self.awake: dict[Conversation, None] = {}
        self.speaking: dict[PeerAtHouse, None] = {}
        self.giving: dict[str, None] = {}
        self.asked_for_flush = False
        #: What all that waits to be processed, at peers and here, amounts to.
        self.outbox_octets = self.inbox_octets = 0
        #: How often each thing was refused, by label, for metrics.
        self.refused: dict[str, int] = {}

    def adopt(self, row: StoredDialog, segments: Sequence[SegmentIndex]) -> Conversation:
        """Take up a dialog, new or as stored."""
        conversation = Conversation(row, segments, self.room, self.receiving_terms(row), self.restored)
        self.dialogs[row.dialog_id] = conversation
        self.peer(conversation.key).conversations[row.dialog_id] = conversation
        self.measure(conversation)
        if row.initiator and row.last is None and not row.forget:
            self.names[conversation.name] = row.dialog_id
        return conversation

    def receiving_terms(self, row: StoredDialog) -> ReceivingTerms:
        """Return what the service here that a dialog leads to allows."""
        service = self.service(row.own if row.initiator else row.service)
        window = self.terms.limits.window
        if service is None:
            return ReceivingTerms(window=window)
        return ReceivingTerms(service.largest, service.attempts, window)

    def service(self, name: str) -> ServiceTerms | None:
        """Return the terms of a service, None where there is none."""
        return self.terms.services.get(name)

    def peer(self, key: str | bytes) -> PeerAtHouse:
        """Return what is kept of somebody."""
        peer = self.peers.get(key)
        if peer is None:
            peer = self.peers[key] = PeerAtHouse(key)
        return peer

    def soon(self) -> None:
        """Have the house look at what has changed when this turn is over."""
        if not self.asked_for_flush:
            self.asked_for_flush = True
            self.edge.soon()

    def mark(self, conversation: Conversation) -> None:
        """Look at a dialog at the end of this turn."""
        self.changed[conversation] = self.awake[conversation] = None
        self.soon()

    def note_speaking(self, conversation: Conversation) -> None:
        """Have a dialog wait for its turn to speak, if it has something to say."""
        if conversation.has_something_to_say:
            peer = self.peer(conversation.key)
            peer.turns.wait(conversation, conversation.row.priority)
            self.awake[conversation] = None
            self.speaking[peer] = None
            self.soon()

    def check_room(self) -> None:
        """Raise `PeerIncompatible` where there are as many dialogs as there may be."""
        if len(self.dialogs) >= self.terms.limits.dialogs:
            raise PeerIncompatible(Code.TOO_MANY_DIALOGS, f"there are {len(self.dialogs)} dialogs already")

    def living(self, dialog_id: bytes) -> Conversation:
        """Return a dialog that has not ended; raises `PeerIncompatible`."""
        conversation = self.known(dialog_id)
        if conversation.sending.last is not None or conversation.row.forget:
            raise PeerIncompatible(Code.UNKNOWN_DIALOG, "the dialog has ended")
        return conversation

    def measure(self, conversation: Conversation) -> None:
        """Count what a dialog's queues have by now."""
        out, inward = conversation.sending.octets, conversation.receiving.octets
        self.outbox_octets += out - conversation.counted[0]
        self.inbox_octets += inward - conversation.counted[1]
        conversation.counted = out, inward
        self.room.full = self.inbox_octets >= self.terms.limits.inbox

    def count(self, what: str) -> None:
        """Count something that was refused."""
        self.refused[what] = self.refused.get(what, 0) + 1

    def report_refused(self, peer: str, dialog_id: bytes, field: str, code: int, why: str) -> None:
        """Tell the operator that an envelope was refused."""
        self.edge.report(EnvelopeRefused(peer, dialog_id.hex()[:SHOWN], field, code, why))

    def known(self, dialog_id: bytes) -> Conversation:
        """Return a dialog; raises `PeerIncompatible`."""
        conversation = self.dialogs.get(dialog_id)
        if conversation is None:
            raise PeerIncompatible(Code.UNKNOWN_DIALOG, "there is no such dialog")
        return conversation
