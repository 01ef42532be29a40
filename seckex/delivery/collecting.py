"""Our side of a relay: who we are is proved to it, what it brings is answered with KEPT, what it keeps is waited for.

What is collected is KEPT when what came of it is durable, so that a crash loses nothing; what cannot be opened is KEPT
at once, since nothing will come of it later either. An envelope that comes a second time is known by its hash, and not
opened again: `MOST_COLLECTED` hashes are remembered, of more the oldest is forgotten, and its envelope is then a copy
as any other.

What we deposit is sent again as over any connection until the relay says KEPT; then after hours only
(`seckex.delivery.flow.window.Patience`), and on the next connection to the relay not at all. That the peer tells the
relay its prekeys is a sign that it is there: then dialogs that began here speak, since a peer that has started anew
has no keys to speak with.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, TypeAlias

from seckex.crypto.envelope import sign_prove
from seckex.crypto.suites import SHA256
from seckex.delivery.connection import Connection
from seckex.delivery.conversation import Conversation
from seckex.delivery.tables import Tables
from seckex.machine import Now
from seckex.wire.numbers import NoticeWhat
from seckex.wire.units import HASH_SIZE, Notice, Prekeys, Prove, encode_unit

MOST_COLLECTED: Final = 4096
#: Envelopes to which a relay has not said KEPT; it is told no more until there are fewer.
MOST_UNKEPT: Final = 1024
#: Seconds between two times that a dialog speaks because its peer is there, and because there is a new connection.
GREET_EVERY: Final = 10.0
GREET_ANEW: Final = 600.0
#: Seconds between two looks whether our prekeys are others than those that were told.
TELL_EVERY: Final = 10.0

#: The relay that has brought an envelope, and the hash of that.
Taken: TypeAlias = tuple[str, bytes]


class Collecting:
    """See the module."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._collected: OrderedDict[bytes, bool] = OrderedDict()
        self._greeting: dict[Conversation, None] = {}
        self._told_at = -TELL_EVERY

    # -- connections

    def prove(self, connection: Connection, now: Now) -> None:
        """Prove our name to a relay, and tell it our prekeys, when its nonce is known."""
        vault = self._tables.terms.vault
        identity = vault.identity
        if identity is None:
            return
        signature = sign_prove(identity, connection.path, connection.relay)
        self._tables.edge.say(connection.number, encode_unit(Prove(identity.chain, signature)))
        self._tell(connection, now)

    def _tell(self, connection: Connection, now: Now) -> None:
        prekeys = tuple(self._tables.terms.vault.told_prekeys(now.wall))
        if prekeys and prekeys != connection.told:
            connection.told = prekeys
            self._tables.edge.say(connection.number, encode_unit(Prekeys(prekeys)))

    def is_there(self, peer: str, now: Now) -> None:
        """Speak with somebody who has just come to its relay."""
        state = self._tables.peers.get(peer)
        for conversation in () if state is None else state.conversations.values():
            conversation.doubt(now)
            if conversation.row.initiator:
                self._greeting[conversation] = None
        self._greet(now)

    def _greet(self, now: Now) -> None:
        for conversation in tuple(self._greeting):
            if now.monotonic - conversation.greeted >= GREET_EVERY:
                del self._greeting[conversation]
                conversation.speaks = conversation.speaks or conversation.is_expecting
                self._tables.mark(conversation)

    def tick(self, now: Now) -> None:
        """Keep connections to the relays that collect for us, and tell them of new prekeys."""
        tables = self._tables
        self._greet(now)
        for name, terms in tables.terms.peers.items():
            if terms.collects and not any(each.called == name for each in tables.connections.values()):
                peer = tables.peer(name)
                if not peer.calling:
                    peer.calling = True
                    tables.edge.call(name)
        if now.monotonic - self._told_at >= TELL_EVERY:
            self._told_at = now.monotonic
            for connection in tables.connections.values():
                if connection.told and not connection.closing:
                    self._tell(connection, now)

    # -- what is collected

    def had(self, connection: Connection, octets: bytes) -> bytes | None:
        """Return the hash of an envelope that a relay brings, None if it has come before: it is answered then."""
        digest = SHA256.digest(octets)[:HASH_SIZE]
        known = self._collected.get(digest)
        if known is None:
            self._collected[digest] = False
            if len(self._collected) > MOST_COLLECTED:
                self._collected.popitem(last=False)
            return digest
        if known:
            self._say_kept(connection, digest)
        return None

    def release(self, taken: Sequence[Taken]) -> None:
        """Say KEPT to envelopes of which everything is durable."""
        for relay, digest in taken:
            if digest in self._collected:
                self._collected[digest] = True
            for connection in self._tables.connections.values():
                if connection.relay == relay and connection.path and not connection.closing:
                    self._say_kept(connection, digest)
                    break

    def _say_kept(self, connection: Connection, digest: bytes) -> None:
        self._tables.edge.say(connection.number, encode_unit(Notice(NoticeWhat.KEPT, digest=digest)))

    # -- what is deposited

    def deposited(self, connection: Connection, notice: Notice, now: Now) -> None:
        """Take what a relay says of an envelope of ours."""
        conversation = connection.said.pop(notice.digest, None)
        if conversation is None:
            return
        conversation.unkept.discard(notice.digest)
        if len(connection.said) == MOST_UNKEPT - 1:
            self._go_on(connection)
        if notice.what is NoticeWhat.UNKEPT:
            conversation.unkept_round = conversation.sending.rounds
            conversation.why = f"the relay {connection.relay} does not keep it: {notice.code}"
            conversation.trail.note(now.wall, True, 0, 0, "not kept by the relay", code=notice.code)
        elif not conversation.unkept and conversation.unkept_round != conversation.sending.rounds:
            conversation.sending.kept(now)
            conversation.trail.note(now.wall, True, 0, 0, "kept by the relay", relay=connection.relay)

    def _go_on(self, connection: Connection) -> None:
        for key in connection.leads_to:
            peer = self._tables.peers.get(key)
            if peer is not None:
                self._tables.speaking[peer] = None
                self._tables.soon()
