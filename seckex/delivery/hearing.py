"""How a house hears: connections, units, envelopes, and who is let in.

A unit that cannot be read raises, and its connection is dropped. An envelope that cannot be opened is answered as
docs/messages.md, section 8, says, or met with silence, and told to the operator; nothing has changed then.
"""

from __future__ import annotations

from typing import Final

from seckex.delivery.collecting import Collecting
from seckex.delivery.connection import Connection
from seckex.delivery.conversation import SHOWN, Conversation
from seckex.delivery.flow.segments import violation
from seckex.delivery.keeping import Keeping
from seckex.delivery.keys.accepting import Accepting
from seckex.delivery.keys.doorkeeper import FLAGS_AT, Doorkeeper
from seckex.delivery.keys.faces import Forged, HeadersMissing, Opened, Refused
from seckex.delivery.keys.initiating import Initiating
from seckex.delivery.relaying import Relaying
from seckex.delivery.speaking import ASKED_EVERY, Speaking
from seckex.delivery.store import StoredDialog
from seckex.delivery.tables import Tables
from seckex.delivery.terms import matches
from seckex.errors import AuthenticationFailed, Malformed, PeerMisbehaved, SeckexError
from seckex.events import label_of
from seckex.events.messages import DialogBegun, MessagesRefused, MessagesUnreachable
from seckex.events.messages import HeadersMissing as HeadersMissingTold
from seckex.machine import Now
from seckex.wire.bodies import Dead, End, Fragments, Frame, Held, Shift, Skip, decode_frames
from seckex.wire.dialog import DIALOG_ID_SIZE, FULL_PREAMBLE_SIZE, PREAMBLE_SIZE
from seckex.wire.numbers import Code, MessageKind, NoticeWhat, RecordFlag
from seckex.wire.units import Gone, Hello, Notice, Phase, Ping, Pong, Prekeys, Prove, decode_unit, is_envelope

#: Frames that a STATE may have several of; so one envelope is little work.
_OFTEN: Final = (Dead, Fragments, Skip)


#: Envelopes that do not verify, from a caller that has proved nothing; then the connection is dropped.
MOST_FORGED: Final = 16
#: Seconds between two times that prekeys are learnt on one connection.
LEARNT_EVERY: Final = 1.0


class Hearing:
    """See the module."""

    def __init__(
        self, tables: Tables, speaking: Speaking, keeping: Keeping, collecting: Collecting, relaying: Relaying
    ) -> None:
        self._tables = tables
        self._speaking = speaking
        self._keeping = keeping
        self._collecting = collecting
        self._relaying = relaying
        self.door = Doorkeeper(tables.terms.vault, refuse_before=tables.restored)

    def connected(self, number: int, peer: str | None, now: Now) -> None:
        """Take a new connection: one to ``peer`` that we have made, or with None one that somebody else has."""
        connection = Connection(number, peer, self._tables.edge.entropy(16), now.monotonic)
        self._tables.connections[number] = connection
        if peer is not None:
            terms = self._tables.terms.peers.get(peer)
            own = "" if terms is not None and terms.anonymous else self._tables.terms.nai
            if terms is not None:
                connection.relay = terms.via or (peer if terms.collects else "")
            self._speaking.say(connection, Hello(connection.nonce, peer, own))

    def unreachable(self, peer: str, why: str, now: Now) -> None:  # noqa: ARG002  # as of all events
        """Take note that an attempt to call somebody has failed."""
        state = self._tables.peers.get(peer)
        if state is None:
            return
        if not state.trouble:
            self._tables.edge.report(MessagesUnreachable(peer, why))
        state.trouble = why
        for conversation in state.conversations.values():
            conversation.why = f"{peer} is not reached: {why}"

    def lost(self, number: int, now: Now) -> None:  # noqa: ARG002  # as of all events
        """Take note that a connection has ended."""
        connection = self._tables.connections.pop(number, None)
        if connection is None:
            return
        self.door.lost(connection.path)
        self._speaking.exchanging.lost(connection)
        self._relaying.lost(connection)
        for conversation in connection.conversations:
            self._speaking.leave(conversation, connection)
            conversation.speaks = conversation.row.initiator and conversation.is_expecting
            self._tables.mark(conversation)
        connection.conversations.clear()
        if connection.called is not None and not connection.leads_to:
            self._tables.peer(connection.called).calling = False
        for key in connection.leads_to:
            peer = self._tables.peers.get(key)
            if peer is not None:
                peer.connections = [each for each in peer.connections if each is not connection]
                if not peer.conversations and not peer.connections:
                    del self._tables.peers[key]

    def writable(self, number: int, now: Now) -> None:
        """Go on with what waits for a connection that takes more again."""
        connection = self._tables.connections.get(number)
        if connection is not None:
            self._relaying.writable(connection)
        for key in () if connection is None else connection.leads_to:
            peer = self._tables.peers.get(key)
            if peer is not None:
                self._speaking.speak(peer, now)

    def unit(self, number: int, octets: bytes, now: Now) -> None:
        """Take a whole unit; raises `SeckexError` where the connection is to be dropped."""
        connection = self._tables.connections.get(number)
        if connection is None:
            return
        connection.heard = now.monotonic
        connection.asked = False
        if is_envelope(octets):
            if not connection.path:
                raise Malformed("unit", 0, "an envelope before HELLO")
            if octets[FLAGS_AT] & RecordFlag.ROUTING:
                self._routed(connection, octets, now)
            else:
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
                if self._speaking.takes_more(connection):
                    self._speaking.say(connection, Pong(said))
            case Prove():
                self._relaying.prove(connection, unit, now)
            case Phase():
                if self._speaking.takes_more(connection):
                    self._speaking.phase(connection, unit, now)
            case Pong():
                pass

    def _hello(self, connection: Connection, hello: Hello, now: Now) -> None:
        if connection.path:
            raise Malformed("HELLO", 0, "comes a second time")
        relayed = hello.meant if self._relaying.serves(hello.meant) else ""
        if connection.called is None and hello.meant != self._tables.terms.nai and not relayed:
            self._speaking.say(connection, Gone(Code.UNKNOWN_SERVICE, f"{hello.meant} is not here"))
            self._speaking.drop(connection)
            return
        connection.met(hello.nonce)
        if connection.called is not None:
            if connection.relay:
                self._collecting.prove(connection, now)
            return
        connection.claimed = hello.sender
        connection.ready = True
        self._speaking.say(connection, Hello(connection.nonce, hello.sender, self._tables.terms.nai))
        if relayed:
            self._relaying.met(connection, relayed)
            return
        connection.told = tuple(self._tables.terms.vault.told_prekeys(now.wall))
        self._speaking.say(connection, Prekeys(connection.told))
        peer = self._tables.peers.get(hello.sender) if hello.sender else None
        for conversation in () if peer is None else list(peer.conversations.values()):
            # Whoever calls may be its initiator, which has forgotten what it said, or does not know that we have.
            if conversation.keys is None and not conversation.row.initiator and conversation.is_active:
                self._speaking.say_wanted(conversation, connection, now)

    def _prekeys(self, connection: Connection, prekeys: tuple[bytes, ...], now: Now) -> None:
        if connection.called is None and connection.collects:
            self._relaying.told(connection, prekeys)
            return
        whose = connection.called or (connection.proved if connection.chain else None)
        if not whose:
            raise Malformed("PREKEYS", 0, "cannot be said here")
        if now.monotonic - connection.learnt < LEARNT_EVERY:
            # Each costs signatures; who has others says so again.
            return
        connection.learnt = now.monotonic
        self._tables.terms.vault.learn_prekeys(whose, prekeys, now.wall)
        if connection.called is None:
            self._speaking.go_on(whose)
            return
        if connection.ready:
            if connection.is_way_through(connection.called):
                self._collecting.is_there(connection.called, now)
            return
        connection.ready = True
        self._speaking.leads_to(connection, connection.called)

    def _gone(self, connection: Connection, unit: Gone) -> None:
        for key in connection.leads_to | {connection.called or ""}:
            peer = self._tables.peers.get(key)
            for conversation in () if peer is None else peer.conversations.values():
                conversation.why = f"the other end has closed the connection: {unit.code} {unit.text}"
        self._speaking.drop(connection)

    def _routed(self, connection: Connection, octets: bytes, now: Now) -> None:
        """Take an envelope that goes by way of relays: to be passed on here, or collected."""
        if not connection.relay:
            self._relaying.deposit(connection, octets, now)
            return
        digest = self._collecting.had(connection, octets)
        if digest is None:
            return
        conversation = None
        try:
            conversation = self._envelope(connection, octets, now)
        except SeckexError as error:
            # The relay is not to blame, and would bring it again.
            self._tables.count("refused")
            self._tables.report_refused("", bytes(DIALOG_ID_SIZE), "envelope", Code.POORLY_FORMED, str(error))
        if conversation is None:
            self._collecting.release([(connection.relay, digest)])
        else:
            conversation.taken.append((connection.relay, digest))

    def _envelope(self, connection: Connection, octets: bytes, now: Now) -> Conversation | None:
        """Open an envelope and take what it says; return its dialog, None where it was refused."""
        routed = bool(octets[FLAGS_AT] & RecordFlag.ROUTING)
        try:
            opened = self._open(connection, octets, now)
        except HeadersMissing as missing:
            self._missing(connection, missing, len(octets), now, routed=routed)
            return None
        except Refused as refused:
            self._tables.count("refused")
            self._tables.report_refused(refused.peer, refused.dialog_id, refused.field, refused.code, refused.why)
            keys = self._keys_of(refused.dialog_id)
            notices, path = self._speaking.notices, connection.path
            if not routed:
                self._speaking.tell(connection, notices.refused(refused, path, now, keys=keys, size=len(octets)))
            return None
        except Forged as forged:
            self._tables.count("forged")
            self._tables.report_refused(
                forged.peer, forged.dialog_id, forged.field, Code.FAILED_AUTHENTICATION, forged.why
            )
            self._doubt(connection)
            return None
        except AuthenticationFailed as error:
            self._tables.count("forged")
            dialog_id, _ = where(octets)
            self._tables.report_refused("", dialog_id, "MIC", Code.FAILED_AUTHENTICATION, str(error))
            self._doubt(connection)
            return None
        conversation = self._tables.dialogs.get(opened.dialog.dialog_id)
        if conversation is None:
            conversation = self._begun(opened, now)
        self._opened(conversation, connection, opened, now, routed=routed)
        return conversation

    def _doubt(self, connection: Connection) -> None:
        """Drop who calls, proves nothing and goes on saying what does not verify: that costs public-key operations."""
        if connection.called is None and connection.proved is None:
            connection.forged += 1
            if connection.forged >= MOST_FORGED and not connection.closing:
                self._speaking.drop(connection)

    def _missing(
        self, connection: Connection, missing: HeadersMissing, size: int, now: Now, *, routed: bool = False
    ) -> None:
        """Answer an envelope whose keys are not held; what goes back is asked for by its sender anyway."""
        self._tables.count("headers-missing")
        conversation = self._tables.dialogs.get(missing.dialog_id)
        if conversation is not None and conversation.row.initiator:
            # What is said shows the target which keys count.
            if now.monotonic - conversation.asked >= ASKED_EVERY:
                conversation.asked = now.monotonic
                conversation.speaks = True
                conversation.greeted = -1e9
                self._tables.mark(conversation)
            return
        if routed:
            self._tables.report_refused(
                missing.peer, missing.dialog_id, missing.field, Code.FAILED_AUTHENTICATION, missing.why
            )
            return
        keys = self._keys_of(missing.dialog_id)
        told = self._speaking.notices.missing(
            missing.dialog_id, missing.digest, connection.path, now, keys=keys, size=size
        )
        self._speaking.tell(connection, told)
        if told is None:
            return
        peer = missing.peer if conversation is None else conversation.row.peer
        shown = missing.dialog_id.hex()[:SHOWN]
        self._tables.edge.report(HeadersMissingTold(peer, shown, here=True, why=f"{missing.field}: {missing.why}"))
        if conversation is not None:
            conversation.trail.note(now.wall, False, 0, 0, "its keys are not held here: all headers are asked for")

    def _keys_of(self, dialog_id: bytes) -> Initiating | Accepting | None:
        conversation = self._tables.dialogs.get(dialog_id)
        return None if conversation is None else conversation.keys

    def _open(self, connection: Connection, octets: bytes, now: Now) -> Opened:
        dialog_id, back = where(octets)
        if not back:
            known = self._tables.dialogs.get(dialog_id)
            if known is not None and known.row.initiator:
                raise Forged("direction", "of a dialog that began here", dialog_id)
            opened: Opened = self.door.open(octets, connection.path, now)
            try:
                self._check_target(opened)
            except Refused:
                if opened.accepting is not None:
                    self.door.forget(opened.accepting)
                raise
            return opened
        conversation = self._tables.dialogs.get(dialog_id)
        routed = octets[FLAGS_AT] & RecordFlag.ROUTING
        if routed and conversation is not None and conversation.row.initiator and conversation.keys is None:
            raise HeadersMissing("keys", "those of the process before are gone", dialog_id)
        if conversation is None or not isinstance(conversation.keys, Initiating):
            raise Forged("Dialog id", "is of no dialog that began here and has keys", dialog_id)
        if conversation.connection is not connection and not routed:
            raise HeadersMissing("connection", "the dialog speaks over another", dialog_id)
        return conversation.keys.open(octets, connection.path, now)

    def _check_target(self, opened: Opened) -> None:
        """Judge what verified: may this initiator send to this service? Raises `Refused`."""
        pair, dialog_id = opened.pair, opened.dialog.dialog_id
        known = self._tables.dialogs.get(dialog_id)
        if known is not None:
            if known.row.peer != opened.peer:
                raise Refused(Code.PROHIBITED, "Dialog id", "is of another initiator's dialog", dialog_id)
            return
        service = self._tables.service(pair.service)
        if service is None:
            raise Refused(Code.UNKNOWN_SERVICE, "target's service", f"there is no {pair.service!r}", dialog_id)
        allowed = service.anonymous if pair.anonymous else matches(opened.peer, service.allowed)
        if not allowed:
            raise Refused(Code.PROHIBITED, "initiator's NAI", f"may not send to {pair.service!r}", dialog_id)
        if len(self._tables.dialogs) >= self._tables.terms.limits.dialogs:
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
        conversation = self._tables.adopt(row, ())
        conversation.trail.note(now.wall, False, 0, 0, "begun by the peer")
        self._tables.edge.report(DialogBegun(row.peer, row.service, conversation.shown, here=False))
        return conversation

    def _opened(
        self, conversation: Conversation, connection: Connection, opened: Opened, now: Now, *, routed: bool
    ) -> None:
        header = opened.dialog
        conversation.heard = connection
        connection.used = now.monotonic
        if isinstance(opened.accepting, Accepting):
            conversation.keys = opened.accepting
            if conversation.connection is not connection:
                self._speaking.go_over(conversation, connection, now)
        if connection.proved is None:
            connection.proved = opened.peer if not opened.back else conversation.row.peer
        self._speaking.leads_to(connection, conversation.key)
        if opened.new_chain is not None:
            # HELD must not wait for anything else: a fragment alone is not acknowledged, and its sender may wait.
            conversation.speaks = True
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
            else:
                self._frames(conversation, opened.body, now)
        except PeerMisbehaved as error:
            self._tables.report_refused(opened.peer, header.dialog_id, "body", error.code, error.why)
            raise
        self._keeping.spool(conversation)
        self._tables.measure(conversation)
        if routed and opened.new_chain is not None:
            # Its initiator may hold the former keys no more.
            conversation.doubt(now)
        self._tables.mark(conversation)

    def _frames(self, conversation: Conversation, body: bytes, now: Now) -> None:
        told: set[type[Frame]] = set()
        for frame in decode_frames(body):
            if type(frame) not in _OFTEN:
                if type(frame) in told:
                    raise violation(f"{type(frame).__name__.upper()} twice in one STATE")
                told.add(type(frame))
            if isinstance(frame, Held):
                if isinstance(conversation.keys, Initiating):
                    conversation.keys.held(frame.chain, now)
                    self._speaking.may_exchange(conversation, now)
            elif isinstance(frame, Shift):
                if isinstance(conversation.keys, Initiating):
                    conversation.keys.shift(now)
            elif not conversation.sending.hear(frame, now):
                conversation.receiving.hear(frame, now)
            if isinstance(frame, End) and frame.code and conversation.sending.last is None:
                # What the peer does not take any more is not to be sent.
                conversation.sending.end(frame.code, f"{conversation.row.peer or 'the peer'} has ended the dialog")
        conversation.sending.heard_state(now)

    def _notice(self, connection: Connection, notice: Notice, now: Now) -> None:
        if notice.what in (NoticeWhat.KEPT, NoticeWhat.UNKEPT):
            if connection.relay:
                self._collecting.deposited(connection, notice, now)
            elif notice.what is NoticeWhat.KEPT:
                self._relaying.collected(connection, notice.digest)
            return
        conversation = self._tables.dialogs.get(notice.dialog_id)
        if conversation is None or not conversation.row.initiator:
            return
        try:
            self._speaking.notices.believe(notice, conversation.keys, connection.path, now)
        except AuthenticationFailed as error:
            self._tables.count("notices")
            conversation.trail.note(now.wall, True, 0, 0, "a notice was not believed", why=str(error))
            return
        row = conversation.row
        if notice.what is NoticeWhat.MISSING:
            self._others_missing(conversation, connection, now)
            keys = conversation.keys
            if isinstance(keys, Initiating) and keys.missing(now):
                self._tables.edge.report(HeadersMissingTold(row.peer, conversation.shown, here=False, why=""))
                conversation.trail.note(now.wall, True, 0, 0, "the peer does not hold the keys: all headers go again")
                conversation.sending.retry(now)
            self._speaking.leads_to(connection, conversation.key)
            self._speaking.go_over(conversation, connection, now)
            conversation.speaks = True
            self._tables.mark(conversation)
        elif notice.what is NoticeWhat.REFUSED:
            self._tables.edge.report(MessagesRefused(row.peer, row.service, conversation.shown, notice.code))
            conversation.trail.note(now.wall, True, 0, 0, "refused by the peer", code=notice.code)
            why = conversation.why = f"refused by {row.peer}, {notice.code} {label_of(notice.code)}"
            self._tables.names.pop(conversation.name, None)
            conversation.sending.end(notice.code, why)
            # There is nobody to say the end to.
            conversation.refused = True
            self._tables.mark(conversation)

    def _others_missing(self, missing: Conversation, connection: Connection, now: Now) -> None:
        """Make keys anew of all dialogs that have not been heard of on a connection whose target has lost some."""
        for conversation in connection.conversations:
            keys = conversation.keys
            unheard = conversation.heard is not connection and conversation.key == missing.key
            if conversation is not missing and unheard and isinstance(keys, Initiating) and keys.missing(now):
                conversation.sending.retry(now)
                conversation.speaks = True
                self._tables.mark(conversation)


def where(octets: bytes) -> tuple[bytes, bool]:
    """Return an envelope's dialog id and whether it goes back; raises `Malformed`."""
    flags = octets[5]
    at = FULL_PREAMBLE_SIZE if flags & RecordFlag.FULL else PREAMBLE_SIZE
    if flags & RecordFlag.ROUTING:
        at += 4 + int.from_bytes(octets[at : at + 2], "big")
    if len(octets) < at + DIALOG_ID_SIZE:
        raise Malformed("dialog header", at, "is cut short")
    return octets[at : at + DIALOG_ID_SIZE], bool(flags & RecordFlag.FROM_RESPONDER)
