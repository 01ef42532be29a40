"""All dialogs of messages of one principal: connections, keys, flow and store joined.

Whoever drives it calls its methods from one thread and gives it the present; what it asks for goes through
`seckex.delivery.faces.Edge`. What programs send and what is to be acknowledged is gathered while a turn of the reactor
lasts; `House.flush`, which the edge calls at its end, commits it, seals it and says it. So a turn costs one commit for
each dialog, and envelopes are as full as they can be.

Limits: `HouseLimits`. A further dialog is refused (code 303), a message for which the outbox has no room as well
(code 130); of peers an inbox that is full takes nothing more until programs have processed something.
"""

from __future__ import annotations

from typing import Final

from attrs import evolve

from seckex.delivery.collecting import Collecting
from seckex.delivery.connection import Connection
from seckex.delivery.conversation import Conversation
from seckex.delivery.faces import Direction, Edge
from seckex.delivery.hearing import Hearing
from seckex.delivery.keeping import Keeping
from seckex.delivery.keys.accepting import Accepting
from seckex.delivery.keys.initiating import Initiating
from seckex.delivery.operating import Operating
from seckex.delivery.programs import ProgramsAtHouse
from seckex.delivery.relaying import Relaying
from seckex.delivery.speaking import MOST_BACKLOG, Speaking
from seckex.delivery.store import DropDialog, MessageSnapshot, NoteClock, PutDialog, SegmentIndex
from seckex.delivery.tables import Tables
from seckex.delivery.terms import HouseTerms
from seckex.errors import StoreFailed
from seckex.events.messages import DialogEnded
from seckex.machine import Now
from seckex.wire.numbers import Code
from seckex.wire.units import Gone, Ping

#: Seconds that an ended dialog's numbers are kept: the longest life of a KEK, and 600.
TOMBSTONE: Final = 30 * 86_400 + 600.0
_NOTED_EVERY: Final = 60.0
#: Seconds for which a target may leave open whether it holds the headers; then they are made anew.
HELD_WITHIN: Final = 5.0


class House:
    """See the module; `dialog`, `send` and so on are those of its rooms."""

    def __init__(self, terms: HouseTerms, edge: Edge, snapshot: MessageSnapshot, now: Now) -> None:
        tables = self._tables = Tables(terms, edge, snapshot.restored, now)
        programs = self._programs = ProgramsAtHouse(tables, lambda each: keeping.read(each), lambda: keeping.trouble)
        collecting = self._collecting = Collecting(tables)
        keeping = self._keeping = Keeping(tables, programs.give_soon, collecting.release)
        speaking = self._speaking = Speaking(tables, keeping.read)
        #: What is kept for others, where we are a relay.
        self.relaying = Relaying(tables, speaking, snapshot)
        hearing = self._hearing = Hearing(tables, speaking, keeping, collecting, self.relaying)
        operating = Operating(tables, programs)
        self.dialog, self.send, self.end = programs.dialog, programs.send, programs.end
        self.attach, self.detach, self.verdict = programs.attach, programs.detach, programs.verdict
        self.has_judged = programs.has_judged
        self.connected, self.unreachable, self.lost = hearing.connected, hearing.unreachable, hearing.lost
        self.unit, self.writable = hearing.unit, hearing.writable
        self.shown_dialogs, self.shown_queue, self.why = operating.shown_dialogs, operating.shown_queue, operating.why
        self.drop, self.retry, self.revive = operating.drop, operating.retry, operating.revive
        self._clock = max(snapshot.clock, 0.0)
        self._noted = now.monotonic
        by_dialog: dict[bytes, list[SegmentIndex]] = {}
        for segment in snapshot.segments:
            by_dialog.setdefault(segment.dialog_id, []).append(segment)
        for row in snapshot.dialogs:
            tables.adopt(row, by_dialog.get(row.dialog_id, ()))
        for key, dialog_id, number, until in snapshot.keys:
            programs.keys[dialog_id, key] = number, until
        for conversation in tables.dialogs.values():
            conversation.speaks = conversation.row.initiator and conversation.is_expecting
            tables.mark(conversation)

    @property
    def outbox_octets(self) -> int:
        """What all that waits to be processed at peers amounts to."""
        return self._tables.outbox_octets

    @property
    def inbox_octets(self) -> int:
        """What all that waits to be processed here amounts to."""
        return self._tables.inbox_octets

    @property
    def refused(self) -> dict[str, int]:
        """How often each thing was refused, by label."""
        return self._tables.refused

    def flush(self, now: Now) -> None:
        """Commit, give and say what this turn has brought."""
        self._tables.asked_for_flush = False
        self._tables.now = now
        changed, self._tables.changed = self._tables.changed, {}
        for conversation in changed:
            self._keeping.commit(conversation, now)
            self._tables.measure(conversation)
            self._tables.note_speaking(conversation)
        giving, self._tables.giving = self._tables.giving, {}
        for service in giving:
            self._programs.give(service, now)
        speaking, self._tables.speaking = self._tables.speaking, {}
        for peer in speaking:
            self._speaking.speak(peer, now)

    def tick(self, now: Now) -> None:
        """Do what time demands, once a second."""
        if self._keeping.trouble:
            self._keeping.trouble = ""
            self._tables.soon()
        self._hearing.door.expire(now)
        self._speaking.exchanging.tick(now)
        self._collecting.tick(now)
        self.relaying.tick(now)
        for connection in list(self._tables.connections.values()):
            due = connection.due(now.monotonic)
            if due == "ask":
                connection.asked = True
                self._speaking.say(connection, Ping(self._tables.edge.entropy(8)))
            elif (due == "drop" or self._is_idle(connection, now)) and not connection.closing:
                self._speaking.drop(connection)
        for conversation in list(self._tables.awake):
            keys, waits = conversation.keys, False
            if isinstance(keys, Initiating):
                keys.expire(now)
                may = keys.is_held or keys.exchange_due(now)
                waits = (may and self._speaking.may_exchange(conversation, now)) or bool(keys.former)
            if conversation.is_active:
                self._tick(conversation, now)
            elif not waits:
                del self._tables.awake[conversation]
        self._clock = max(self._clock, now.wall)
        if now.monotonic - self._noted >= _NOTED_EVERY:
            self._noted = now.monotonic
            for conversation in list(self._tables.dialogs.values()):
                if conversation.row.forget and now.wall >= conversation.row.forget:
                    self._forget(conversation)
            self._tables.edge.commit((NoteClock(self._clock),), _ignored)

    def _is_idle(self, connection: Connection, now: Now) -> bool:
        """Tell whether a connection that we have made is of no use: nothing is expected over it any more."""
        idle = now.monotonic - connection.used >= self._tables.terms.limits.idle
        if not idle or connection.called is None or connection.called == connection.relay:
            return False
        return not any(each.is_expecting for each in connection.conversations)

    def _tick(self, conversation: Conversation, now: Now) -> None:
        connection = conversation.connection
        blocked = connection is None or self._tables.edge.backlog(connection.number) >= MOST_BACKLOG
        conversation.sending.tick(now, blocked)
        conversation.receiving.tick(now)
        keys = conversation.keys
        if conversation.stuck and now.monotonic - conversation.stuck >= HELD_WITHIN and isinstance(keys, Initiating):
            # Its notice was lost, or it could not say one.
            conversation.stuck = 0.0
            if keys.missing(now):
                conversation.sending.retry(now)
                conversation.speaks = True
        if conversation.is_over and not conversation.row.forget and not conversation.committing:
            self._over(conversation, now)
        self._programs.give_soon(conversation)
        self._tables.mark(conversation)

    def _over(self, conversation: Conversation, now: Now) -> None:
        row = conversation.row = evolve(conversation.row, forget=max(self._clock, now.wall) + TOMBSTONE)
        conversation.is_stored = False
        self._tables.names.pop(conversation.name, None)
        if isinstance(conversation.keys, Accepting):
            self._hearing.door.forget(conversation.keys)
        conversation.keys = None
        self._tables.edge.report(DialogEnded(row.peer, row.service, conversation.shown, row.code, row.why))
        self._tables.edge.commit((PutDialog(row),), _ignored)

    def _forget(self, conversation: Conversation) -> None:
        row = conversation.row
        self._speaking.exchanging.forget(conversation)
        del self._tables.dialogs[row.dialog_id]
        self._tables.awake.pop(conversation, None)
        peer = self._tables.peers.get(conversation.key)
        if peer is not None:
            peer.conversations.pop(row.dialog_id, None)
            peer.turns.leave(conversation, row.priority)
            if not peer.conversations and not peer.connections:
                del self._tables.peers[conversation.key]
        if conversation.connection is not None:
            conversation.connection.conversations.pop(conversation, None)
        self._tables.edge.commit((DropDialog(row.dialog_id),), _ignored)

    def ours(self, dialog_id: bytes, direction: Direction) -> bool:
        """Tell whether a direction of a dialog is the one in which we send."""
        conversation = self._tables.dialogs.get(dialog_id)
        return conversation is not None and conversation.ours is direction

    def reconfigure(self, terms: HouseTerms, now: Now) -> None:
        """Have other services, peers and bounds; dialogs that live go on."""
        self._tables.terms = terms
        self._hearing.door.recheck(now)
        for peer in self._tables.peers.values():
            # Who was being called may have been left out meanwhile.
            peer.calling = False
        for conversation in self._tables.dialogs.values():
            conversation.receiving.terms = self._tables.receiving_terms(conversation.row)
            self._tables.mark(conversation)
            if isinstance(conversation.keys, Initiating):
                conversation.keys.recheck(now)

    def stop(self, now: Now) -> None:  # noqa: ARG002  # as of all events
        """Say the last word over each connection."""
        for connection in list(self._tables.connections.values()):
            self._speaking.say(connection, Gone(Code.SHUTTING_DOWN, "the daemon ends"))
            self._speaking.drop(connection)

    def __len__(self) -> int:
        """How many dialogs there are, those that have ended and are remembered among them."""
        return len(self._tables.dialogs)


def _ignored(_failure: StoreFailed | None) -> None:
    """Go on: what is not stored now is stored, or forgotten, the next time."""
