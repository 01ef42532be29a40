"""All dialogs of messages of one principal: connections, keys, flow and store joined.

Whoever drives it calls its methods from one thread and gives it the present; what it asks for goes through
`seckex.delivery.faces.Edge`. What programs send and what is to be acknowledged is gathered while a turn of the reactor
lasts; `House.flush`, which the edge calls at its end, commits it, seals it and says it. So a turn costs one commit for
each dialog, and envelopes are as full as they can be.

A dialog speaks over one connection at a time: at its initiator any that was called there or has proved itself, at its
target one that has proved itself. When that is lost it goes on over the next one, from the number behind Acknowledged.

Limits: `HouseLimits`. A further dialog is refused (code 303), a message for which the outbox has no room as well
(code 130); of peers an inbox that is full takes nothing more until programs have processed something. Of what is not
answered for want of keys `MOST_NOTICES` are told a second.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

from attrs import evolve

from seckex.delivery.connection import Connection
from seckex.delivery.conversation import SHOWN, Conversation
from seckex.delivery.exchanging import Exchanging
from seckex.delivery.faces import (
    WHOLE_UPTO,
    DialogName,
    Direction,
    Edge,
    Outgoing,
    Spooled,
    Stage,
    Verdict,
)
from seckex.delivery.flow.fair import Turns
from seckex.delivery.flow.memory import Room
from seckex.delivery.flow.pieces import (
    DropSpool,
    ReceivingChanges,
    SendingChanges,
    SyncSpool,
    Wanted,
    WantedPiece,
    WritePiece,
)
from seckex.delivery.flow.receiving import ReceivingTerms
from seckex.delivery.keys.accepting import Accepting
from seckex.delivery.keys.doorkeeper import Doorkeeper
from seckex.delivery.keys.faces import Forged, HeadersMissing, Opened, Refused
from seckex.delivery.keys.initiating import Initiating
from seckex.delivery.keys.notices import Notices
from seckex.delivery.keys.pair import Terms
from seckex.delivery.keys.sources import AssociationSource, KekSource, PrekeySource
from seckex.delivery.showing import MOST_LISTED, parse_name, shown_dialog, shown_queue, why_message
from seckex.delivery.store import (
    DeadMessage,
    DropDialog,
    MessageOperation,
    MessageSnapshot,
    NoteClock,
    PutDialog,
    PutKey,
    SegmentIndex,
    StoredDialog,
)
from seckex.delivery.terms import HouseTerms, PeerTerms, ServiceTerms, matches
from seckex.errors import ApiMisuse, AuthenticationFailed, Malformed, PeerIncompatible, PeerMisbehaved, StoreFailed
from seckex.events.messages import (
    DialogBegun,
    DialogEnded,
    DialogRefused,
    EnvelopeRefused,
    GapAfterRestore,
    MessageDead,
    MessagesNotStored,
    MessagesUnreachable,
)
from seckex.events.messages import HeadersMissing as HeadersMissingTold
from seckex.machine import Now
from seckex.sa.association import WORKER_BITS
from seckex.wire.bodies import Held, Restored, Shift, decode_frames, encode_frames
from seckex.wire.dialog import DIALOG_ID_SIZE, FULL_PREAMBLE_SIZE, PREAMBLE_SIZE
from seckex.wire.numbers import Code, MessageKind, NoticeWhat, RecordFlag
from seckex.wire.units import Gone, Hello, Notice, Phase, Ping, Pong, Prekeys, decode_unit, encode_unit, is_envelope

#: Octets that wait for a connection; then it is told no more until few do.
MOST_BACKLOG: Final = 1 << 20
#: Octets of payloads of the outbox and the inbox that are kept in memory; others are read in their turn.
MOST_IN_MEMORY: Final = 64 << 20
#: Seconds between attempts to have what was not stored stored.
STORED_AGAIN: Final = 1.0
#: Seconds for which a program's key is remembered.
KEYS_FOR: Final = 86_400.0
#: Keys of programs that are remembered; of more the oldest is forgotten.
MOST_KEYS: Final = 65_536
#: Seconds between two notices that a dialog's keys are missing.
ASKED_EVERY: Final = 1.0
#: Seconds that an ended dialog's numbers are kept: the longest life of a KEK, and 600.
TOMBSTONE: Final = 30 * 86_400 + 600.0
_NOTED_EVERY: Final = 60.0


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


class Programs:
    """A service that is received for: how many messages its program takes at a time, and which dialogs have some."""

    __slots__ = ("at_once", "given", "waiting")

    def __init__(self, at_once: int) -> None:
        self.at_once = at_once
        self.given = 0
        self.waiting: OrderedDict[Conversation, None] = OrderedDict()


class House:
    """See the module."""

    def __init__(self, terms: HouseTerms, edge: Edge, snapshot: MessageSnapshot, now: Now) -> None:
        self._terms = terms
        self._edge = edge
        self._now = now
        self._restored = snapshot.restored
        self._room = Room(MOST_IN_MEMORY)
        self._door = Doorkeeper(terms.vault, refuse_before=snapshot.restored)
        self._notices = Notices(terms.vault)
        self._exchanging = Exchanging(terms.vault, edge.entropy, edge.say, self._moved)
        self._connections: dict[int, Connection] = {}
        self._peers: dict[str | bytes, PeerAtHouse] = {}
        self._dialogs: dict[bytes, Conversation] = {}
        self._names: dict[DialogName, bytes] = {}
        self._programs: dict[str, Programs] = {}
        self._keys: OrderedDict[str, tuple[bytes, int, float]] = OrderedDict()
        self._changed: dict[Conversation, None] = {}
        self._speaking: dict[PeerAtHouse, None] = {}
        self._giving: dict[str, None] = {}
        self._asked_for_flush = False
        self._store_trouble = ""
        self._clock = max(snapshot.clock, 0.0)
        self._noted = now.monotonic
        self._ids = 0
        #: What all that waits to be processed, at peers and here, amounts to.
        self.outbox_octets = self.inbox_octets = 0
        #: How often each thing was refused, by label, for metrics.
        self.refused: dict[str, int] = {}
        by_dialog: dict[bytes, list[SegmentIndex]] = {}
        for segment in snapshot.segments:
            by_dialog.setdefault(segment.dialog_id, []).append(segment)
        for row in snapshot.dialogs:
            self._adopt(row, by_dialog.get(row.dialog_id, ()))
        for key, dialog_id, number, until in snapshot.keys:
            self._keys[key] = dialog_id, number, until
        for conversation in self._dialogs.values():
            conversation.speaks = conversation.row.initiator and conversation.is_expecting
            self._mark(conversation)

    def __len__(self) -> int:
        """How many dialogs there are, those that have ended and are remembered among them."""
        return len(self._dialogs)

    # -- tables

    def _adopt(self, row: StoredDialog, segments: Sequence[SegmentIndex]) -> Conversation:
        conversation = Conversation(row, segments, self._room, self._receiving_terms(row), self._restored)
        self._dialogs[row.dialog_id] = conversation
        self._peer(conversation.key).conversations[row.dialog_id] = conversation
        self._measure(conversation)
        if row.initiator and row.last is None and not row.forget:
            self._names[conversation.name] = row.dialog_id
        return conversation

    def _receiving_terms(self, row: StoredDialog) -> ReceivingTerms:
        service = self._service(row.own if row.initiator else row.service)
        window = self._terms.limits.window
        if service is None:
            return ReceivingTerms(window=window)
        return ReceivingTerms(service.largest, service.attempts, window)

    def _service(self, name: str) -> ServiceTerms | None:
        return self._terms.services.get(name)

    def _peer(self, key: str | bytes) -> PeerAtHouse:
        peer = self._peers.get(key)
        if peer is None:
            peer = self._peers[key] = PeerAtHouse(key)
        return peer

    def _soon(self) -> None:
        if not self._asked_for_flush:
            self._asked_for_flush = True
            self._edge.soon()

    def _mark(self, conversation: Conversation) -> None:
        """Look at a dialog at the end of this turn."""
        self._changed[conversation] = None
        self._soon()

    def _note_speaking(self, conversation: Conversation) -> None:
        if conversation.has_something_to_say:
            peer = self._peer(conversation.key)
            peer.turns.wait(conversation, conversation.row.priority)
            self._speaking[peer] = None
            self._soon()

    # -- programs

    def dialog(self, name: DialogName, now: Now) -> bytes:
        """Return the id of the dialog with a name, which begins where there is none; raises `PeerIncompatible`."""
        known = self._names.get(name)
        if known is not None:
            return known
        terms = self._terms.peers.get(name.peer)
        if terms is None:
            raise PeerIncompatible(Code.PROHIBITED, f"{name.peer} is none of messages.peers")
        if terms.services is not None and name.service not in terms.services:
            raise PeerIncompatible(Code.PROHIBITED, f"{name.service} of {name.peer} is not to be used")
        self._check_room()
        row = StoredDialog(
            dialog_id=self._new_id(),
            initiator=True,
            peer=name.peer,
            service=name.service,
            own=name.own,
            priority=name.priority,
            label=name.label,
            created=now.wall,
            anonymous=terms.anonymous,
        )
        conversation = self._adopt(row, ())
        conversation.trail.note(now.wall, True, 0, 0, "begun")
        self._edge.report(DialogBegun(row.peer, row.service, conversation.shown, here=True))
        return row.dialog_id

    def _check_room(self) -> None:
        if len(self._dialogs) >= self._terms.limits.dialogs:
            raise PeerIncompatible(Code.TOO_MANY_DIALOGS, f"there are {len(self._dialogs)} dialogs already")

    def _new_id(self) -> bytes:
        mask = (1 << WORKER_BITS) - 1
        drawn = self._edge.entropy(16)
        return drawn[:15] + bytes([drawn[15] & ~mask & 0xFF | self._terms.worker])

    def send(self, dialog_id: bytes, messages: Sequence[Outgoing], now: Now, key: str = "") -> int:
        """Take messages of a program; return the number of the first.

        With a ``key`` that was used before, nothing is taken and that message's number returned. Raises `PeerFault`:
        303 or 307 where the dialog has ended, 130 where the outbox or the store is full.
        """
        conversation = self._living(dialog_id)
        if key:
            known = self._keys.get(key)
            if known is not None and known[0] == dialog_id and known[2] > now.wall:
                return known[1]
        if self._store_trouble:
            raise PeerIncompatible(Code.INSUFFICIENT_RESOURCES, self._store_trouble)
        size = sum(each.payload.size if isinstance(each.payload, Spooled) else len(each.payload) for each in messages)
        if conversation.sending.octets and self.outbox_octets + size > self._terms.limits.outbox:
            raise PeerIncompatible(Code.INSUFFICIENT_RESOURCES, "the outbox is full")
        try:
            first = conversation.sending.accept(messages, now)
        except ApiMisuse as error:
            raise PeerIncompatible(Code.POORLY_FORMED, str(error)) from None
        self._measure(conversation)
        conversation.trail.note(now.wall, True, first, first + len(messages) - 1, "sent by the program")
        if key:
            self._remember_key(key, conversation, first, now)
        self._mark(conversation)
        return first

    def _living(self, dialog_id: bytes) -> Conversation:
        conversation = self._dialogs.get(dialog_id)
        if conversation is None:
            raise PeerIncompatible(Code.UNKNOWN_DIALOG, "there is no such dialog")
        if conversation.sending.last is not None or conversation.row.forget:
            raise PeerIncompatible(Code.UNKNOWN_DIALOG, "the dialog has ended")
        return conversation

    def _remember_key(self, key: str, conversation: Conversation, number: int, now: Now) -> None:
        self._keys.pop(key, None)
        self._keys[key] = conversation.row.dialog_id, number, now.wall + KEYS_FOR
        if len(self._keys) > MOST_KEYS:
            self._keys.popitem(last=False)
        conversation.pending_keys.append(PutKey(key, conversation.row.dialog_id, number, now.wall + KEYS_FOR))

    def _measure(self, conversation: Conversation) -> None:
        """Count what a dialog's queues have by now."""
        out, inward = conversation.sending.octets, conversation.receiving.octets
        self.outbox_octets += out - conversation.counted[0]
        self.inbox_octets += inward - conversation.counted[1]
        conversation.counted = out, inward

    def end(self, dialog_id: bytes, now: Now, code: int = 0, why: str = "") -> None:
        """Say no more in a dialog; raises `PeerFault`."""
        conversation = self._living(dialog_id)
        conversation.sending.end(code, why)
        conversation.trail.note(now.wall, True, 0, 0, "ended by the program", code=code)
        self._names.pop(conversation.name, None)
        self._mark(conversation)

    def attach(self, service: str, at_once: int, now: Now) -> None:
        """Give the messages for a service to its program, so many at a time; raises `PeerFault`."""
        if service in self._programs:
            raise PeerIncompatible(Code.PROHIBITED, f"another program receives for {service}")
        programs = self._programs[service] = Programs(at_once)
        for conversation in self._dialogs.values():
            if conversation.here == service and conversation.receiving.waiting:
                programs.waiting[conversation] = None
        self._give(service, now)

    def detach(self, service: str, now: Now) -> None:
        """Give no more; what was given without a verdict is given again to the next."""
        if self._programs.pop(service, None) is None:
            return
        for conversation in self._dialogs.values():
            if conversation.here == service and conversation.given:
                conversation.given = 0
                conversation.receiving.take_back(now)

    def verdict(self, dialog_id: bytes, number: int, verdict: Verdict, why: str, now: Now, after: float = 0.0) -> None:
        """Take what a program says of a message that it was given; nothing if it has it no more."""
        conversation = self._dialogs.get(dialog_id)
        if conversation is None or not conversation.receiving.verdict(number, verdict, why, now, after):
            return
        conversation.given -= 1
        programs = self._programs.get(conversation.here)
        if programs is not None:
            programs.given -= 1
            programs.waiting.setdefault(conversation)
            self._giving[conversation.here] = None
        if verdict is not Verdict.DONE:
            conversation.trail.note(now.wall, False, number, number, verdict.value, why=why)
        self._mark(conversation)

    def has_judged(self, dialog_id: bytes, number: int) -> bool:
        """Tell whether a verdict on a message will last when it is durable: those before it have one as well."""
        conversation = self._dialogs.get(dialog_id)
        return conversation is not None and conversation.receiving.judged >= number

    def _give(self, service: str, now: Now) -> None:
        programs = self._programs.get(service)
        if programs is None:
            return
        for _ in range(len(programs.waiting)):
            room = programs.at_once - programs.given
            if room <= 0 or not programs.waiting:
                return
            conversation, _ = programs.waiting.popitem(last=False)
            for message in conversation.receiving.give(conversation.given + room, now):
                conversation.given += 1
                programs.given += 1
                self._edge.give(message)
            self._read(conversation)
            if conversation.receiving.can_give:
                programs.waiting[conversation] = None

    # -- the end of a turn

    def flush(self, now: Now) -> None:
        """Commit, give and say what this turn has brought."""
        self._asked_for_flush = False
        self._now = now
        changed, self._changed = self._changed, {}
        for conversation in changed:
            self._commit(conversation, now)
            self._measure(conversation)
            self._note_speaking(conversation)
        giving, self._giving = self._giving, {}
        for service in giving:
            self._give(service, now)
        speaking, self._speaking = self._speaking, {}
        for peer in speaking:
            self._speak(peer, now)

    def _commit(self, conversation: Conversation, now: Now) -> None:
        if conversation.committing or self._store_trouble:
            return
        sending, receiving = conversation.sending, conversation.receiving
        ours = sending.changes() if sending.has_changes else None
        theirs = receiving.changes(now) if receiving.has_changes else None
        if ours is None and theirs is None and conversation.is_stored:
            return
        unit: list[MessageOperation] = list(conversation.pending_keys)
        row = conversation.row
        if ours is not None:
            unit += ours.operations
        if theirs is not None:
            unit += theirs.operations
        if not conversation.is_stored or (ours and ours.numbers) or (theirs and theirs.numbers):
            row = receiving.written_into(sending.written_into(row))
            unit.append(PutDialog(row))
        conversation.committing = True
        keys = len(conversation.pending_keys)

        def done(failure: StoreFailed | None) -> None:
            self._committed(conversation, row, ours, theirs, keys, failure)

        self._edge.commit(tuple(unit), done)

    def _committed(
        self,
        conversation: Conversation,
        row: StoredDialog,
        ours: SendingChanges | None,
        theirs: ReceivingChanges | None,
        keys: int,
        failure: StoreFailed | None,
    ) -> None:
        sending, receiving = conversation.sending, conversation.receiving
        conversation.committing = False
        if failure is not None:
            if ours is not None:
                sending.not_committed(ours)
            if theirs is not None:
                receiving.not_committed(theirs)
            if not self._store_trouble:
                self._edge.report(MessagesNotStored(str(failure)))
            self._store_trouble = str(failure)
            self._changed[conversation] = None
            return
        conversation.row = row
        conversation.is_stored = True
        del conversation.pending_keys[:keys]
        dialog_id, direction = row.dialog_id, conversation.ours
        if ours is not None:
            sending.committed(ours)
            for each in ours.failed:
                self._edge.failed(dialog_id, direction, each.number, each.code, each.why)
            for stage, upto in (
                (Stage.ACCEPTED, ours.accepted),
                (Stage.DELIVERED, ours.delivered),
                (Stage.PROCESSED, ours.processed),
            ):
                if upto:
                    self._edge.progress(dialog_id, direction, stage, upto)
        if theirs is not None:
            receiving.committed(theirs)
            for dead in theirs.dead:
                name = f"{conversation.shown}.{direction.other.letter}{dead.number}"
                self._edge.report(MessageDead(name, dead.peer, dead.service, dead.code, dead.why, dead.attempts))
            self._edge.judged(dialog_id, theirs.done)
        for changes in (ours, theirs):
            if changes is not None:
                for spool in changes.spools:
                    self._edge.drop_spool(spool)
                for gap in changes.gaps:
                    self._edge.report(GapAfterRestore(row.peer, conversation.shown, gap.first, gap.last))
        self._give_soon(conversation)
        self._mark(conversation)

    # -- speaking

    def _speak(self, peer: PeerAtHouse, now: Now) -> None:
        turns, edge = peer.turns, self._edge
        while True:
            conversation = turns.next()
            if conversation is None:
                return
            connection = conversation.connection or self._way(peer)
            if connection is None:
                turns.wait(conversation, conversation.row.priority)
                self._call(peer)
                return
            if edge.backlog(connection.number) >= MOST_BACKLOG:
                # `writable` goes on.
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
        terms = self._terms.peers.get(peer.key) if isinstance(peer.key, str) else None
        if terms is not None and terms.calls and not peer.calling:
            peer.calling = True
            self._edge.call(str(peer.key))

    def _say_one(self, conversation: Conversation, connection: Connection, now: Now) -> bool:
        """Say one envelope of a dialog; return whether one was said."""
        if not conversation.is_stored:
            # Nobody may hear of a dialog that a crash would have forgotten.
            return False
        if conversation.connection is None:
            if not conversation.row.initiator:
                # Its initiator chooses where the dialog goes; it is told that there is something to say.
                conversation.why = "waits for its initiator to speak"
                self._say_wanted(conversation, connection, now)
                return False
            self._go_over(conversation, connection, now)
        keys = conversation.keys
        if keys is None:
            return False
        sending, receiving = conversation.sending, conversation.receiving
        accepting = keys if isinstance(keys, Accepting) else None
        if keys.room() <= 0:
            conversation.why = "waits for the peer to say that it holds the keys"
            return False
        # What is taken from the queues below counts as said.
        wanting = keys.wanting(now)
        if wanting:
            conversation.why = wanting
            self._may_exchange(conversation, now)
            return False
        held = keys.pending_held()
        if conversation.speaks or held is not None or receiving.owes or sending.has_frames:
            conversation.speaks = False
            frames = [*sending.frames(now), *receiving.frames(now)]
            if held is not None:
                frames.append(Held(held))
            if conversation.says_restored:
                conversation.says_restored = False
                frames.append(Restored(int(self._restored)))
            if accepting is not None and accepting.shift_due(now):
                frames.append(Shift())
            octets = keys.seal(MessageKind.STATE, 0, 0, 0, 0, receiving.acknowledge(), encode_frames(frames), now)
        else:
            piece = sending.next(WHOLE_UPTO, now)
            if piece is None:
                self._read(conversation)
                return False
            kind, count, fragment, fragments = piece.kind, piece.count, piece.fragment, piece.fragments
            acknowledged = receiving.acknowledge()
            octets = keys.seal(kind, count, fragment, fragments, piece.sequence, acknowledged, piece.body, now)
            conversation.note_said(piece, len(octets), now)
        conversation.why = ""
        self._edge.say(connection.number, octets)
        return True

    def _go_over(self, conversation: Conversation, connection: Connection, now: Now) -> None:
        """Have a dialog speak over a connection from now on."""
        former = conversation.connection
        if former is connection:
            return
        if former is not None:
            former.conversations.pop(conversation, None)
            conversation.sending.disconnected()
        conversation.connection = connection
        connection.conversations[conversation] = None
        if conversation.keys is None:
            conversation.keys = self._begin_keys(conversation.row)
        conversation.keys.connection(connection.path, now)
        conversation.sending.connected(now)
        conversation.receiving.connected()
        if conversation.row.created < self._restored:
            conversation.says_restored = conversation.speaks = True

    def _begin_keys(self, row: StoredDialog) -> Initiating:
        vault, peer = self._terms.vault, self._terms.peers.get(row.peer, PeerTerms())
        terms = Terms(row.dialog_id, row.peer, row.service, row.own, row.priority, row.anonymous)
        source: KekSource = PrekeySource(vault)
        if peer.source == "association" or (peer.source == "auto" and vault.identity is None):
            kdc = vault.association_to(row.peer, True) is not None
            source = AssociationSource(vault, kdc=kdc)
        return Initiating(vault, terms, source)

    def _read(self, conversation: Conversation) -> None:
        """Have what is to be sent or given next read from the store and the spool."""
        sending, receiving = conversation.sending, conversation.receiving
        for wanted in sending.wanted():
            self._fetch(conversation, sending, conversation.ours, wanted)
        for wanted in receiving.wanted():
            self._fetch(conversation, receiving, conversation.ours.other, wanted)

    def _fetch(self, conversation: Conversation, side: Any, direction: Direction, wanted: Wanted) -> None:
        def done(result: bytes | StoreFailed) -> None:
            if isinstance(result, bytes):
                side.fetched(wanted, result)
            else:
                conversation.why = str(result)
                side.not_fetched(wanted, self._now)
            self._give_soon(conversation)
            self._mark(conversation)

        if isinstance(wanted, WantedPiece):
            self._edge.read_piece(wanted.spool, wanted.fragment, done)
        else:
            self._edge.fetch(conversation.row.dialog_id, direction, wanted.first, done)

    # -- connections

    def connected(self, number: int, peer: str | None, now: Now) -> None:
        """Take a new connection: one to ``peer`` that we have made, or with None one that somebody else has."""
        connection = Connection(number, peer, self._edge.entropy(16), now.monotonic)
        self._connections[number] = connection
        if peer is not None:
            terms = self._terms.peers.get(peer)
            own = "" if terms is not None and terms.anonymous else self._terms.nai
            self._say(connection, Hello(connection.nonce, peer, own))

    def _say(self, connection: Connection, unit: Any) -> None:
        self._edge.say(connection.number, encode_unit(unit))

    def unreachable(self, peer: str, why: str, now: Now) -> None:  # noqa: ARG002  # as of all events
        """Take note that an attempt to call somebody has failed."""
        state = self._peers.get(peer)
        if state is None:
            return
        if not state.trouble:
            self._edge.report(MessagesUnreachable(peer, why))
        state.trouble = why
        for conversation in state.conversations.values():
            conversation.why = f"{peer} is not reached: {why}"

    def lost(self, number: int, now: Now) -> None:  # noqa: ARG002  # as of all events
        """Take note that a connection has ended."""
        connection = self._connections.pop(number, None)
        if connection is None:
            return
        self._door.lost(connection.path)
        self._exchanging.lost(connection)
        for conversation in connection.conversations:
            conversation.connection = None
            conversation.sending.disconnected()
            conversation.speaks = conversation.row.initiator and conversation.is_expecting
            self._mark(conversation)
        connection.conversations.clear()
        if connection.called is not None and not connection.leads_to:
            self._peer(connection.called).calling = False
        for key in connection.leads_to:
            peer = self._peers.get(key)
            if peer is not None:
                peer.connections = [each for each in peer.connections if each is not connection]
                if not peer.conversations:
                    del self._peers[key]

    def writable(self, number: int, now: Now) -> None:
        """Go on with what waits for a connection that takes more again."""
        connection = self._connections.get(number)
        for key in () if connection is None else connection.leads_to:
            peer = self._peers.get(key)
            if peer is not None:
                self._speak(peer, now)

    def _leads_to(self, connection: Connection, key: str | bytes) -> None:
        """Speak with somebody over a connection from now on."""
        if key in connection.leads_to:
            return
        connection.leads_to.add(key)
        peer = self._peer(key)
        peer.connections.append(connection)
        peer.trouble = ""
        if connection.called == key:
            peer.calling = False
        for conversation in peer.conversations.values():
            if conversation.connection is None and not conversation.row.forget:
                conversation.why = ""
                # The target may have something to say, and cannot before it has heard of the dialog here.
                conversation.speaks = conversation.speaks or (conversation.row.initiator and conversation.is_expecting)
                self._note_speaking(conversation)

    def unit(self, number: int, octets: bytes, now: Now) -> None:
        """Take a whole unit; raises `SeckexError` where the connection is to be dropped."""
        connection = self._connections.get(number)
        if connection is None:
            return
        connection.heard = now.monotonic
        connection.asked = False
        if is_envelope(octets):
            if not connection.path:
                raise Malformed("unit", 0, "an envelope before HELLO")
            self._envelope(connection, octets, now)
            return
        unit = decode_unit(octets)
        if isinstance(unit, Hello):
            self._hello(connection, unit, now)
            return
        if isinstance(unit, Gone):
            self._gone(connection, unit)
            return
        if not connection.path:
            raise Malformed("unit", 0, f"{type(unit).__name__.upper()} before HELLO")
        match unit:
            case Prekeys(prekeys):
                self._prekeys(connection, prekeys, now)
            case Notice():
                self._notice(connection, unit, now)
            case Ping(said):
                self._say(connection, Pong(said))
            case Phase():
                self._phase(connection, unit, now)
            case Pong():
                pass

    def _hello(self, connection: Connection, hello: Hello, now: Now) -> None:
        if connection.path:
            raise Malformed("HELLO", 0, "comes a second time")
        if connection.called is None and hello.meant != self._terms.nai:
            self._say(connection, Gone(Code.UNKNOWN_SERVICE, f"{hello.meant} is not here"))
            self._drop(connection)
            return
        connection.met(hello.nonce)
        if connection.called is not None:
            return
        connection.claimed = hello.sender
        connection.ready = True
        self._say(connection, Hello(connection.nonce, hello.sender, self._terms.nai))
        self._say(connection, Prekeys(tuple(self._terms.vault.told_prekeys(now.wall))))
        peer = self._peers.get(hello.sender) if hello.sender else None
        for conversation in () if peer is None else list(peer.conversations.values()):
            # Whoever calls may be its initiator, which has forgotten what it said, or does not know that we have.
            if conversation.keys is None and not conversation.row.initiator and conversation.is_active:
                self._say_wanted(conversation, connection, now)

    def _prekeys(self, connection: Connection, prekeys: tuple[bytes, ...], now: Now) -> None:
        if connection.called is None or connection.ready:
            raise Malformed("PREKEYS", 0, "cannot be said here")
        self._terms.vault.learn_prekeys(connection.called, prekeys, now.wall)
        connection.ready = True
        self._leads_to(connection, connection.called)

    def _gone(self, connection: Connection, unit: Gone) -> None:
        for key in connection.leads_to | {connection.called or ""}:
            peer = self._peers.get(key)
            for conversation in () if peer is None else peer.conversations.values():
                conversation.why = f"the other end has closed the connection: {unit.code} {unit.text}"
        self._drop(connection)

    def _drop(self, connection: Connection) -> None:
        connection.closing = True
        self._edge.drop(connection.number)

    # -- envelopes

    def _envelope(self, connection: Connection, octets: bytes, now: Now) -> None:
        try:
            opened = self._open(connection, octets, now)
        except HeadersMissing as missing:
            self._missing(connection, missing, len(octets), now)
            return
        except Refused as refused:
            self._count("refused")
            self._report_refused(refused.peer, refused.dialog_id, refused.field, refused.code, refused.why)
            keys = self._keys_of(refused.dialog_id)
            self._tell(connection, self._notices.refused(refused, connection.path, now, keys=keys, size=len(octets)))
            return
        except Forged as forged:
            self._count("forged")
            self._report_refused(forged.peer, forged.dialog_id, forged.field, Code.FAILED_AUTHENTICATION, forged.why)
            return
        except AuthenticationFailed as error:
            self._count("forged")
            dialog_id, _ = where(octets)
            self._report_refused("", dialog_id, "MIC", Code.FAILED_AUTHENTICATION, str(error))
            return
        conversation = self._dialogs.get(opened.dialog.dialog_id)
        if conversation is None:
            conversation = self._begun(opened, now)
        self._opened(conversation, connection, opened, now)

    def _missing(self, connection: Connection, missing: HeadersMissing, size: int, now: Now) -> None:
        """Answer an envelope whose keys are not held; what goes back is asked for by its sender anyway."""
        self._count("headers-missing")
        conversation = self._dialogs.get(missing.dialog_id)
        if conversation is not None and conversation.row.initiator:
            # What is said shows the target which keys count.
            if now.monotonic - conversation.asked >= ASKED_EVERY:
                conversation.asked = now.monotonic
                conversation.speaks = True
                self._mark(conversation)
            return
        keys = self._keys_of(missing.dialog_id)
        told = self._notices.missing(missing.dialog_id, missing.digest, connection.path, now, keys=keys, size=size)
        self._tell(connection, told)
        if told is None:
            return
        peer = missing.peer if conversation is None else conversation.row.peer
        shown = missing.dialog_id.hex()[:SHOWN]
        self._edge.report(HeadersMissingTold(peer, shown, here=True, why=f"{missing.field}: {missing.why}"))
        if conversation is not None:
            conversation.trail.note(now.wall, False, 0, 0, "its keys are not held here: all headers are asked for")

    def _keys_of(self, dialog_id: bytes) -> Initiating | Accepting | None:
        conversation = self._dialogs.get(dialog_id)
        return None if conversation is None else conversation.keys

    def _tell(self, connection: Connection, unit: bytes | None) -> None:
        if unit is not None:
            self._edge.say(connection.number, unit)

    def _open(self, connection: Connection, octets: bytes, now: Now) -> Opened:
        dialog_id, back = where(octets)
        if not back:
            known = self._dialogs.get(dialog_id)
            if known is not None and known.row.initiator:
                raise Forged("direction", "of a dialog that began here", dialog_id)
            opened: Opened = self._door.open(octets, connection.path, now)
            self._check_target(opened)
            return opened
        conversation = self._dialogs.get(dialog_id)
        if conversation is None or not isinstance(conversation.keys, Initiating):
            raise Forged("Dialog id", "is of no dialog that began here and has keys", dialog_id)
        if conversation.connection is not connection:
            raise HeadersMissing("connection", "the dialog speaks over another", dialog_id)
        return conversation.keys.open(octets, connection.path, now)

    def _check_target(self, opened: Opened) -> None:
        """Judge what verified: may this initiator send to this service? Raises `Refused`."""
        pair, dialog_id = opened.pair, opened.dialog.dialog_id
        known = self._dialogs.get(dialog_id)
        if known is not None:
            if known.row.peer != opened.peer:
                raise Refused(Code.PROHIBITED, "Dialog id", "is of another initiator's dialog", dialog_id)
            return
        service = self._service(pair.service)
        if service is None:
            raise Refused(Code.UNKNOWN_SERVICE, "target's service", f"there is no {pair.service!r}", dialog_id)
        allowed = service.anonymous if pair.anonymous else matches(opened.peer, service.allowed)
        if not allowed:
            raise Refused(Code.PROHIBITED, "initiator's NAI", f"may not send to {pair.service!r}", dialog_id)
        if len(self._dialogs) >= self._terms.limits.dialogs:
            raise Refused(Code.TOO_MANY_DIALOGS, "Dialog id", "there are too many dialogs", dialog_id)

    def _begun(self, opened: Opened, now: Now) -> Conversation:
        pair = opened.pair
        row = StoredDialog(
            dialog_id=opened.dialog.dialog_id,
            initiator=False,
            peer=opened.peer,
            service=pair.service,
            own=pair.own,
            priority=pair.priority,
            created=now.wall,
            anonymous=pair.anonymous,
        )
        conversation = self._adopt(row, ())
        conversation.trail.note(now.wall, False, 0, 0, "begun by the peer")
        self._edge.report(DialogBegun(row.peer, row.service, conversation.shown, here=False))
        return conversation

    def _opened(self, conversation: Conversation, connection: Connection, opened: Opened, now: Now) -> None:
        header = opened.dialog
        if isinstance(opened.accepting, Accepting):
            conversation.keys = opened.accepting
            if conversation.connection is not connection:
                self._go_over(conversation, connection, now)
        if connection.proved is None:
            connection.proved = opened.peer if not opened.back else conversation.row.peer
        self._leads_to(connection, conversation.key)
        if opened.new_chain is not None:
            conversation.trail.note(now.wall, False, 0, 0, "opened with all headers", chain=opened.new_chain.hex()[:8])
        sending, receiving = conversation.sending, conversation.receiving
        try:
            sending.acknowledged(header.acknowledged, now)
            if header.kind is MessageKind.MESSAGES:
                receiving.take_messages(header.sequence, header.count, opened.body, now)
                last = header.sequence + header.count - 1
                conversation.trail.note(now.wall, False, header.sequence, last, "came")
            elif header.kind is MessageKind.FRAGMENT:
                receiving.take_fragment(header.sequence, header.fragment, header.fragments, opened.body, now)
                self._spool(conversation)
            else:
                self._frames(conversation, opened.body, now)
        except PeerMisbehaved as error:
            self._report_refused(opened.peer, header.dialog_id, "body", error.code, error.why)
            raise
        self._mark(conversation)

    def _frames(self, conversation: Conversation, body: bytes, now: Now) -> None:
        for frame in decode_frames(body):
            if isinstance(frame, Held):
                if isinstance(conversation.keys, Initiating):
                    conversation.keys.held(frame.chain, now)
                    self._may_exchange(conversation, now)
            elif isinstance(frame, Shift):
                if isinstance(conversation.keys, Initiating):
                    conversation.keys.shift(now)
            elif not conversation.sending.hear(frame, now):
                conversation.receiving.hear(frame, now)
        conversation.sending.heard_state(now)

    def _spool(self, conversation: Conversation) -> None:
        receiving = conversation.receiving
        for work in receiving.spool_work():
            if isinstance(work, DropSpool):
                self._edge.drop_spool(work.spool)
                continue

            def done(failure: StoreFailed | None, work: WritePiece | SyncSpool = work) -> None:
                receiving.written(work, failure is None)
                if failure is not None:
                    conversation.why = str(failure)
                self._spool(conversation)
                self._mark(conversation)

            if isinstance(work, WritePiece):
                self._edge.write_piece(work.spool, work.fragment, work.octets, done)
            else:
                self._edge.sync_spool(work.spool, done)

    def _count(self, what: str) -> None:
        self.refused[what] = self.refused.get(what, 0) + 1

    def _report_refused(self, peer: str, dialog_id: bytes, field: str, code: int, why: str) -> None:
        self._edge.report(EnvelopeRefused(peer, dialog_id.hex()[:12], field, code, why))

    # -- notices

    def _say_wanted(self, conversation: Conversation, connection: Connection, now: Now) -> None:
        """Tell an initiator that its dialog has something to say here, and no connection or keys to say it with."""
        if now.monotonic - conversation.asked < ASKED_EVERY:
            return
        conversation.asked = now.monotonic
        keys, path = conversation.keys, connection.path
        self._tell(connection, self._notices.missing(conversation.row.dialog_id, b"", path, now, keys=keys))

    def _notice(self, connection: Connection, notice: Notice, now: Now) -> None:
        conversation = self._dialogs.get(notice.dialog_id)
        if conversation is None or not conversation.row.initiator:
            return
        try:
            self._notices.believe(notice, conversation.keys, connection.path, now)
        except AuthenticationFailed as error:
            self._count("notices")
            conversation.trail.note(now.wall, True, 0, 0, "a notice was not believed", why=str(error))
            return
        row = conversation.row
        if notice.what is NoticeWhat.MISSING:
            keys = conversation.keys
            if isinstance(keys, Initiating) and keys.missing(now):
                self._edge.report(HeadersMissingTold(row.peer, conversation.shown, here=False, why=""))
                conversation.trail.note(now.wall, True, 0, 0, "the peer does not hold the keys: all headers go again")
                conversation.sending.retry(now)
            self._leads_to(connection, conversation.key)
            self._go_over(conversation, connection, now)
            conversation.speaks = True
            self._mark(conversation)
        elif notice.what is NoticeWhat.REFUSED:
            self._edge.report(DialogRefused(row.peer, row.service, conversation.shown, notice.code))
            conversation.trail.note(now.wall, True, 0, 0, "refused by the peer", code=notice.code)
            conversation.why = f"refused by {row.peer} with {notice.code}"
            self._names.pop(conversation.name, None)
            conversation.sending.end(notice.code, f"refused by {row.peer}")
            # There is nobody to say the end to.
            conversation.refused = True
            self._mark(conversation)

    def _phase(self, connection: Connection, unit: Phase, now: Now) -> None:
        """Take a message of the three-phase exchange."""
        refusal = self._exchanging.take(connection, unit, now)
        if refusal is not None:
            self._count("phases")
            self._report_refused(connection.claimed, bytes(16), unit.kind.name, 0, str(refusal))

    def _moved(self, conversation: Conversation, now: Now) -> None:
        """Go on under the keys that an exchange has given a dialog."""
        conversation.trail.note(now.wall, True, 0, 0, "keys of a three-phase exchange")
        conversation.speaks = True
        self._mark(conversation)

    def _may_exchange(self, conversation: Conversation, now: Now) -> None:
        connection, peer = conversation.connection, self._terms.peers.get(conversation.row.peer)
        if connection is not None and peer is not None and peer.source in ("auto", "three-phase"):
            self._exchanging.wanted(conversation, connection, now)

    # -- time

    def tick(self, now: Now) -> None:
        """Do what time demands, once a second."""
        if self._store_trouble:
            self._store_trouble = ""
            self._soon()
        self._door.expire(now)
        self._exchanging.tick(now)
        for connection in list(self._connections.values()):
            due = connection.due(now.monotonic)
            if due == "ask":
                connection.asked = True
                self._say(connection, Ping(self._edge.entropy(8)))
            elif due == "drop" and not connection.closing:
                self._drop(connection)
        for conversation in list(self._dialogs.values()):
            if conversation.is_active:
                self._tick(conversation, now)
            if conversation.row.forget and now.wall >= conversation.row.forget:
                self._forget(conversation)
        self._clock = max(self._clock, now.wall)
        if now.monotonic - self._noted >= _NOTED_EVERY:
            self._noted = now.monotonic
            self._edge.commit((NoteClock(self._clock),), _ignored)

    def _tick(self, conversation: Conversation, now: Now) -> None:
        connection = conversation.connection
        blocked = connection is None or self._edge.backlog(connection.number) >= MOST_BACKLOG
        conversation.sending.tick(now, blocked)
        conversation.receiving.tick(now)
        if conversation.is_over and not conversation.row.forget and not conversation.committing:
            self._over(conversation, now)
        self._give_soon(conversation)
        self._mark(conversation)

    def _over(self, conversation: Conversation, now: Now) -> None:
        row = conversation.row = evolve(conversation.row, forget=max(self._clock, now.wall) + TOMBSTONE)
        conversation.is_stored = False
        self._names.pop(conversation.name, None)
        conversation.keys = None
        self._edge.report(DialogEnded(row.peer, row.service, conversation.shown, row.code, row.why))
        self._edge.commit((PutDialog(row),), _ignored)

    # -- operators

    def shown_dialogs(self, now: Now) -> list[dict[str, Any]]:
        """Return what is told of dialogs, those that live first."""
        rows = sorted(self._dialogs.values(), key=lambda each: (bool(each.row.forget), each.row.created))
        return [shown_dialog(each, now) for each in rows[:MOST_LISTED]]

    def shown_queue(self, ours: bool, dialog_id: bytes | None = None) -> list[dict[str, Any]]:
        """Return what waits to be processed at the peer (``ours``) or here, the oldest of each dialog."""
        found: list[dict[str, Any]] = []
        for conversation in self._dialogs.values():
            if (dialog_id is None or conversation.row.dialog_id == dialog_id) and len(found) < MOST_LISTED:
                found += shown_queue(conversation, ours=ours)
        return found[:MOST_LISTED]

    def why(self, name: str, now: Now) -> dict[str, Any] | None:
        """Return what there is to say of a message or a dialog, None where it is not known."""
        parsed = parse_name(name)
        if parsed is None:
            return None
        begins, letter, number = parsed
        found = [each for id_, each in self._dialogs.items() if id_.hex().startswith(begins)]
        if len(found) != 1:
            return None
        if not number:
            return {"dialog": shown_dialog(found[0], now), "steps": found[0].trail.of(True, 0)}
        return why_message(found[0], letter, number, now)

    def drop(self, dialog_id: bytes, ours: bool, number: int, now: Now) -> None:
        """Leave out a message of ours that waits, or put one aside that waits for a program; raises `PeerFault`."""
        conversation = self._known(dialog_id)
        side = conversation.sending if ours else conversation.receiving
        dropped = (
            conversation.sending.drop(number, Code.RESET_BY_PROGRAM, "dropped by the operator")
            if ours
            else conversation.receiving.drop(number, "dropped by the operator", now)
        )
        if not dropped:
            raise PeerIncompatible(Code.UNKNOWN_DIALOG, f"message {number} does not wait, or is with the program")
        conversation.trail.note(now.wall, side is conversation.sending, number, number, "dropped by the operator")
        self._mark(conversation)

    def retry(self, dialog_id: bytes, ours: bool, now: Now) -> None:
        """Send what waits again, or give what waits for another attempt, now; raises `PeerFault`."""
        conversation = self._known(dialog_id)
        if ours:
            conversation.sending.retry(now)
        else:
            conversation.receiving.retry(now)
            self._give_soon(conversation)
        self._mark(conversation)

    def revive(self, dead: DeadMessage, now: Now) -> None:
        """Give a message that was put aside to its program again; raises `PeerFault`."""
        conversation = self._known(dead.dialog_id)
        conversation.receiving.revive(dead, now)
        self._give_soon(conversation)
        self._mark(conversation)

    def _known(self, dialog_id: bytes) -> Conversation:
        conversation = self._dialogs.get(dialog_id)
        if conversation is None:
            raise PeerIncompatible(Code.UNKNOWN_DIALOG, "there is no such dialog")
        return conversation

    def _give_soon(self, conversation: Conversation) -> None:
        programs = self._programs.get(conversation.here)
        if programs is not None and conversation.receiving.can_give:
            programs.waiting.setdefault(conversation)
            self._giving[conversation.here] = None
            self._soon()

    def dialog_ids(self) -> list[bytes]:
        """Return the ids of all dialogs that are known."""
        return list(self._dialogs)

    def dialog_row(self, dialog_id: bytes) -> StoredDialog:
        """Return a dialog as it is durable; raises `PeerFault`."""
        return self._known(dialog_id).row

    def ours(self, dialog_id: bytes, direction: Direction) -> bool:
        """Tell whether a direction of a dialog is the one in which we send."""
        conversation = self._dialogs.get(dialog_id)
        return conversation is not None and conversation.ours is direction

    def reconfigure(self, terms: HouseTerms, now: Now) -> None:
        """Have other services, peers and bounds; dialogs that live go on."""
        self._terms = terms
        self._door.recheck(now)
        for conversation in self._dialogs.values():
            conversation.receiving.terms = self._receiving_terms(conversation.row)

    def stop(self, now: Now) -> None:  # noqa: ARG002  # as of all events
        """Say the last word over each connection."""
        for connection in list(self._connections.values()):
            self._say(connection, Gone(Code.SHUTTING_DOWN, "the daemon ends"))
            self._drop(connection)

    def _forget(self, conversation: Conversation) -> None:
        row = conversation.row
        self._exchanging.forget(conversation)
        del self._dialogs[row.dialog_id]
        peer = self._peers.get(conversation.key)
        if peer is not None:
            peer.conversations.pop(row.dialog_id, None)
            peer.turns.leave(conversation, row.priority)
            if not peer.conversations and not peer.connections:
                del self._peers[conversation.key]
        if conversation.connection is not None:
            conversation.connection.conversations.pop(conversation, None)
        self._edge.commit((DropDialog(row.dialog_id),), _ignored)


def _ignored(_failure: StoreFailed | None) -> None:
    """Go on: what is not stored now is stored, or forgotten, the next time."""


def where(octets: bytes) -> tuple[bytes, bool]:
    """Return an envelope's dialog id and whether it goes back; raises `Malformed`."""
    flags = octets[5]
    at = FULL_PREAMBLE_SIZE if flags & RecordFlag.FULL else PREAMBLE_SIZE
    if flags & RecordFlag.ROUTING:
        at += 4 + int.from_bytes(octets[at : at + 2], "big")
    if len(octets) < at + DIALOG_ID_SIZE:
        raise Malformed("dialog header", at, "is cut short")
    return octets[at : at + DIALOG_ID_SIZE], bool(flags & RecordFlag.FROM_RESPONDER)
