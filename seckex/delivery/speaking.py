"""How a house speaks: whose turn it is, over which connection, and what is sealed.

A dialog speaks over one connection at a time: at its initiator any that was called there or has proved itself, at its
target the one that its initiator was heard on last. When that is lost it goes on over the next one, from the number
behind Acknowledged. An initiator speaks on each new connection of dialogs whose target may have something to say.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from seckex.crypto.envelope import NO_PATH
from seckex.crypto.suites import SHA256
from seckex.delivery.collecting import GREET_ANEW, MOST_UNKEPT
from seckex.delivery.connection import Connection
from seckex.delivery.conversation import Conversation
from seckex.delivery.exchanging import Exchanging
from seckex.delivery.faces import WHOLE_UPTO
from seckex.delivery.keys.accepting import Accepting
from seckex.delivery.keys.initiating import Initiating
from seckex.delivery.keys.notices import Notices
from seckex.delivery.keys.pair import Terms
from seckex.delivery.keys.sources import AssociationSource, KekSource, PrekeySource
from seckex.delivery.store import StoredDialog
from seckex.delivery.tables import PeerAtHouse, Tables
from seckex.delivery.terms import PeerTerms
from seckex.machine import Now
from seckex.wire.bodies import Held, Restored, Shift, encode_frames
from seckex.wire.numbers import MessageKind
from seckex.wire.units import HASH_SIZE, Phase, encode_unit

#: Octets that wait for a connection; then it is told no more until few do.
MOST_BACKLOG: Final = 1 << 20
#: Seconds between two notices that a dialog's keys are missing.
ASKED_EVERY: Final = 1.0


class Speaking:
    """See the module; ``read`` has what is to be said next read from the store."""

    def __init__(self, tables: Tables, read: Callable[[Conversation], None]) -> None:
        self._tables = tables
        self._read = read
        self.notices = Notices(tables.terms.vault)
        self.exchanging = Exchanging(tables.terms.vault, tables.edge.entropy, tables.edge.say, self.moved)

    def speak(self, peer: PeerAtHouse, now: Now) -> None:
        """Say what there is to somebody, as much as the connection takes."""
        turns = peer.turns
        while True:
            conversation = turns.next()
            if conversation is None:
                return
            connection = conversation.connection or self._way(peer)
            if connection is None:
                turns.wait(conversation, conversation.row.priority)
                self._call(peer)
                return
            if not self.takes_more(connection) or len(connection.said) >= MOST_UNKEPT:
                # `writable` goes on, or what a relay says.
                turns.wait(conversation, conversation.row.priority)
                return
            if self._say_one(conversation, connection, now) and conversation.has_something_to_say:
                turns.wait(conversation, conversation.row.priority)

    def _way(self, peer: PeerAtHouse) -> Connection | None:
        for connection in reversed(peer.connections):
            if connection.ready and not connection.closing:
                return connection
        return None

    def _call(self, peer: PeerAtHouse) -> None:
        """Have a connection made to who can be called; what waits goes on when there is one."""
        terms = self._tables.terms.peers.get(peer.key) if isinstance(peer.key, str) else None
        if terms is not None and terms.calls and not peer.calling:
            peer.calling = True
            self._tables.edge.call(str(peer.key))

    def _say_one(self, conversation: Conversation, connection: Connection, now: Now) -> bool:
        """Say one envelope of a dialog; return whether one was said."""
        if not conversation.is_stored:
            # Nobody may hear of a dialog that a crash would have forgotten.
            return False
        if conversation.connection is None:
            if not conversation.row.initiator:
                # Its initiator chooses where the dialog goes; it is told that there is something to say.
                conversation.why = "waits for its initiator to speak"
                if not connection.is_way_through(conversation.key):
                    self.say_wanted(conversation, connection, now)
                return False
            self.go_over(conversation, connection, now)
        keys = conversation.keys
        if keys is None:
            return False
        if keys.room() <= 0:
            conversation.why = "waits for the peer to say that it holds the keys"
            if not conversation.stuck:
                conversation.stuck = now.monotonic
            return False
        conversation.stuck = 0.0
        sending, receiving = conversation.sending, conversation.receiving
        # What is taken from the queues below counts as said.
        wanting = keys.wanting(now)
        if wanting:
            conversation.why = wanting
            self.may_exchange(conversation, now)
            return False
        octets = self._state(conversation, keys, now)
        if octets is None:
            piece = sending.next(WHOLE_UPTO, now)
            if piece is None:
                self._read(conversation)
                return False
            kind, count, fragment, fragments = piece.kind, piece.count, piece.fragment, piece.fragments
            acknowledged = receiving.acknowledge()
            octets = keys.seal(kind, count, fragment, fragments, piece.sequence, acknowledged, piece.body, now)
            conversation.note_said(piece, octets, now)
        conversation.why = ""
        connection.used = now.monotonic
        self._tables.edge.say(connection.number, octets)
        if connection.is_way_through(conversation.key):
            digest = SHA256.digest(octets)[:HASH_SIZE]
            connection.said[digest] = conversation
            conversation.unkept.add(digest)
        return True

    def _state(self, conversation: Conversation, keys: Initiating | Accepting, now: Now) -> bytes | None:
        """Return the envelope of a STATE, None where nothing has to be said by one."""
        sending, receiving = conversation.sending, conversation.receiving
        held = keys.pending_held()
        shift = isinstance(keys, Accepting) and keys.shift_due(now)
        news = conversation.speaks or held is not None or shift or sending.has_frames or receiving.has_frames
        # What is acknowledged goes with whatever else there is to say.
        if not news and (sending.is_ready or not receiving.owes):
            return None
        frames = [*sending.frames(now), *receiving.frames(now)]
        if held is not None:
            frames.append(Held(held))
        if conversation.says_restored:
            conversation.says_restored = False
            frames.append(Restored(int(self._tables.restored)))
        if shift:
            frames.append(Shift())
        if conversation.speaks:
            conversation.greeted = now.monotonic
        conversation.speaks = False
        return keys.seal(MessageKind.STATE, 0, 0, 0, 0, receiving.acknowledge(), encode_frames(frames), now)

    def go_over(self, conversation: Conversation, connection: Connection, now: Now) -> None:
        """Have a dialog speak over a connection from now on."""
        former = conversation.connection
        if former is connection:
            return
        if former is not None:
            former.conversations.pop(conversation, None)
            self.leave(conversation, former)
        conversation.connection = connection
        connection.conversations[conversation] = None
        if conversation.keys is None:
            conversation.keys = self._begin_keys(conversation.row)
        through = connection.is_way_through(conversation.key)
        conversation.keys.connection(NO_PATH if through else connection.path, now)
        if through and conversation.kept_by == connection.relay:
            conversation.sending.resumed(now)
            if now.monotonic - conversation.greeted < GREET_ANEW:
                conversation.speaks = False
        else:
            conversation.sending.connected(now)
        conversation.receiving.connected()
        if conversation.row.created < self._tables.restored:
            conversation.says_restored = conversation.speaks = True

    def leave(self, conversation: Conversation, former: Connection) -> None:
        """Take note that a dialog does not speak over a connection any more."""
        through = former.is_way_through(conversation.key)
        kept = not conversation.unkept and conversation.unkept_round != conversation.sending.rounds
        conversation.kept_by = former.relay if through and kept else ""
        if conversation.unkept:
            # Whether it was kept is not known.
            conversation.unkept.clear()
            conversation.greeted = -1e9
            former.said = {digest: each for digest, each in former.said.items() if each is not conversation}
        conversation.connection = None
        conversation.sending.disconnected()

    def _begin_keys(self, row: StoredDialog) -> Initiating:
        vault, peer = self._tables.terms.vault, self._tables.terms.peers.get(row.peer, PeerTerms())
        terms = Terms(row.dialog_id, row.peer, row.service, row.own, row.priority, row.anonymous)
        source: KekSource = PrekeySource(vault)
        if peer.source == "association" or (peer.source == "auto" and vault.identity is None):
            kdc = vault.association_to(row.peer, True) is not None
            source = AssociationSource(vault, kdc=kdc)
        return Initiating(vault, terms, source)

    def say(self, connection: Connection, unit: Any) -> None:
        """Say a unit that is no envelope."""
        self._tables.edge.say(connection.number, encode_unit(unit))

    def takes_more(self, connection: Connection) -> bool:
        """Tell whether little enough waits for a connection: who reads nothing is answered nothing."""
        return self._tables.edge.backlog(connection.number) < MOST_BACKLOG

    def tell(self, connection: Connection, unit: bytes | None) -> None:
        """Say a unit, if there is one."""
        if unit is not None:
            self._tables.edge.say(connection.number, unit)

    def drop(self, connection: Connection) -> None:
        """Close a connection after what was said."""
        connection.closing = True
        self._tables.edge.drop(connection.number)

    def say_wanted(self, conversation: Conversation, connection: Connection, now: Now) -> None:
        """Tell an initiator that its dialog has something to say here, and no connection or keys to say it with."""
        if now.monotonic - conversation.asked < ASKED_EVERY:
            return
        conversation.asked = now.monotonic
        keys, path = conversation.keys, connection.path
        self.tell(connection, self.notices.missing(conversation.row.dialog_id, b"", path, now, keys=keys))

    def leads_to(self, connection: Connection, key: str | bytes) -> None:
        """Speak with somebody over a connection from now on."""
        if key in connection.leads_to:
            return
        connection.leads_to.add(key)
        peer = self._tables.peer(key)
        peer.connections.append(connection)
        peer.trouble = ""
        if connection.called == key:
            peer.calling = False
        for conversation in peer.conversations.values():
            if conversation.connection is None and not conversation.row.forget:
                conversation.why = ""
                # The target may have something to say, and cannot before it has heard of the dialog here.
                conversation.speaks = conversation.speaks or (conversation.row.initiator and conversation.is_expecting)
                self._tables.note_speaking(conversation)

    def phase(self, connection: Connection, unit: Phase, now: Now) -> None:
        """Take a message of the three-phase exchange."""
        refusal = self.exchanging.take(connection, unit, now)
        if refusal is not None:
            self._tables.count("phases")
            self._tables.report_refused(connection.claimed, bytes(16), unit.kind.name, 0, str(refusal))

    def moved(self, conversation: Conversation, now: Now) -> None:
        """Go on under the keys that an exchange has given a dialog."""
        conversation.trail.note(now.wall, True, 0, 0, "keys of a three-phase exchange")
        conversation.speaks = True
        self._tables.mark(conversation)

    def go_on(self, key: str | bytes) -> None:
        """Have all that waits for somebody wait for its turn: there may be keys by now."""
        peer = self._tables.peers.get(key)
        for conversation in () if peer is None else peer.conversations.values():
            self._tables.note_speaking(conversation)

    def may_exchange(self, conversation: Conversation, now: Now) -> bool:
        """Have a three-phase exchange for a dialog when its turn comes, where its terms have it so; tell whether so."""
        connection, peer = conversation.connection, self._tables.terms.peers.get(conversation.row.peer)
        if connection is None or connection.is_way_through(conversation.key):
            return False
        keys = conversation.keys
        # What has moved never goes back, whatever the terms are by now.
        due = isinstance(keys, Initiating) and keys.exchange_due(now)
        if due or (peer is not None and peer.source in ("auto", "three-phase")):
            return self.exchanging.wanted(conversation, connection, now)
        return False
