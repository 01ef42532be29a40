"""Programs beside a house: they send, have messages given, and say what is to become of them.

Of each service one program receives, at most so many messages at a time as it has said; which dialog is next goes in
turn. A program's key stands for the message that it was first used with, for a day.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from seckex.delivery.conversation import Conversation
from seckex.delivery.faces import DialogName, Outgoing, Spooled, Stage, Verdict
from seckex.delivery.store import PutKey, StoredDialog
from seckex.delivery.tables import Tables
from seckex.errors import ApiMisuse, PeerIncompatible
from seckex.events.messages import DialogBegun
from seckex.machine import Now
from seckex.sa.association import WORKER_BITS
from seckex.wire.numbers import Code

#: Seconds for which a program's key is remembered.
KEYS_FOR: Final = 86_400.0
#: Keys of programs that are remembered; of more the oldest is forgotten.
MOST_KEYS: Final = 65_536


class Receivers:
    """A service that is received for: how many messages its program takes at a time, and which dialogs have some."""

    __slots__ = ("at_once", "given", "waiting")

    def __init__(self, at_once: int) -> None:
        self.at_once = at_once
        self.given = 0
        self.waiting: OrderedDict[Conversation, None] = OrderedDict()


class ProgramsAtHouse:
    """See the module; ``read`` has what is to be given next read from the store."""

    def __init__(self, tables: Tables, read: Callable[[Conversation], None], trouble: Callable[[], str]) -> None:
        self._tables = tables
        self._read = read
        self._trouble = trouble
        self.receiving: dict[str, Receivers] = {}
        #: What programs have sent under which key by which dialog, and until when that is remembered.
        self.keys: OrderedDict[tuple[bytes, str], tuple[int, float]] = OrderedDict()

    def dialog(self, name: DialogName, now: Now) -> bytes:
        """Return the id of the dialog with a name, which begins where there is none; raises `PeerIncompatible`."""
        known = self._tables.names.get(name)
        if known is not None:
            self._tell_stages(self._tables.dialogs[known])
            return known
        terms = self._tables.terms.peers.get(name.peer)
        if terms is None:
            raise PeerIncompatible(Code.PROHIBITED, f"{name.peer} is none of messages.peers")
        if terms.services is not None and name.service not in terms.services:
            raise PeerIncompatible(Code.PROHIBITED, f"{name.service} of {name.peer} is not to be used")
        self._tables.check_room()
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
        conversation = self._tables.adopt(row, ())
        conversation.trail.note(now.wall, True, 0, 0, "begun")
        self._tables.edge.report(DialogBegun(row.peer, row.service, conversation.shown, here=True))
        return row.dialog_id

    def _new_id(self) -> bytes:
        mask = (1 << WORKER_BITS) - 1
        drawn = self._tables.edge.entropy(16)
        return drawn[:15] + bytes([drawn[15] & ~mask & 0xFF | self._tables.terms.worker])

    def send(self, dialog_id: bytes, messages: Sequence[Outgoing], now: Now, key: str = "") -> int:
        """Take messages of a program; return the number of the first.

        With a ``key`` that was used before, nothing is taken and that message's number returned. Raises `PeerFault`:
        303 or 307 where the dialog has ended, 130 where the outbox or the store is full.
        """
        conversation = self._tables.living(dialog_id)
        if key:
            known = self.keys.get((dialog_id, key))
            if known is not None and known[1] > now.wall:
                return known[0]
        if self._trouble():
            raise PeerIncompatible(Code.INSUFFICIENT_RESOURCES, self._trouble())
        size = sum(each.payload.size if isinstance(each.payload, Spooled) else len(each.payload) for each in messages)
        if conversation.sending.octets and self._tables.outbox_octets + size > self._tables.terms.limits.outbox:
            raise PeerIncompatible(Code.INSUFFICIENT_RESOURCES, "the outbox is full")
        try:
            first = conversation.sending.accept(messages, now)
        except ApiMisuse as error:
            raise PeerIncompatible(Code.POORLY_FORMED, str(error)) from None
        self._tables.measure(conversation)
        conversation.trail.note(now.wall, True, first, first + len(messages) - 1, "sent by the program")
        if key:
            self._remember_key(key, conversation, first, now)
        self._tables.mark(conversation)
        return first

    def _tell_stages(self, conversation: Conversation) -> None:
        """Tell a program that comes late what has become of the messages before."""
        row, progress = conversation.row, self._tables.edge.progress
        stages = (Stage.DELIVERED, row.acknowledged), (Stage.PROCESSED, row.processed)
        for stage, upto in ((Stage.ACCEPTED, max(row.next_number - 1, row.acknowledged)), *stages):
            if upto:
                progress(row.dialog_id, conversation.ours, stage, upto)

    def _remember_key(self, key: str, conversation: Conversation, number: int, now: Now) -> None:
        dialog_id = conversation.row.dialog_id
        self.keys.pop((dialog_id, key), None)
        self.keys[dialog_id, key] = number, now.wall + KEYS_FOR
        if len(self.keys) > MOST_KEYS:
            self.keys.popitem(last=False)
        conversation.pending_keys.append(PutKey(key, dialog_id, number, now.wall + KEYS_FOR))

    def end(self, dialog_id: bytes, now: Now, code: int = 0, why: str = "") -> None:
        """Say no more in a dialog; raises `PeerFault`."""
        conversation = self._tables.living(dialog_id)
        conversation.sending.end(code, why)
        conversation.trail.note(now.wall, True, 0, 0, "ended by the program", code=code)
        self._tables.names.pop(conversation.name, None)
        self._tables.mark(conversation)

    def attach(self, service: str, at_once: int, now: Now) -> None:
        """Give the messages for a service to its program, so many at a time; raises `PeerFault`."""
        if service in self.receiving:
            raise PeerIncompatible(Code.PROHIBITED, f"another program receives for {service}")
        programs = self.receiving[service] = Receivers(at_once)
        for conversation in self._tables.dialogs.values():
            if conversation.here == service and (conversation.receiving.waiting or conversation.receiving.can_give):
                programs.waiting[conversation] = None
        self.give(service, now)

    def detach(self, service: str, now: Now) -> None:
        """Give no more; what was given and has no verdict yet is given to the next program, as the same attempt."""
        if self.receiving.pop(service, None) is None:
            return
        for conversation in self._tables.dialogs.values():
            if conversation.given and conversation.here == service:
                conversation.given = 0
                conversation.receiving.take_back(now, counted=False)

    def verdict(self, dialog_id: bytes, number: int, verdict: Verdict, why: str, now: Now, after: float = 0.0) -> None:
        """Take what a program says of a message that it was given; nothing if it has it no more."""
        conversation = self._tables.dialogs.get(dialog_id)
        if conversation is None or not conversation.receiving.verdict(number, verdict, why, now, after):
            return
        conversation.given -= 1
        programs = self.receiving.get(conversation.here)
        if programs is not None:
            programs.given -= 1
            programs.waiting.setdefault(conversation)
            self._tables.giving[conversation.here] = None
        if verdict is not Verdict.DONE:
            conversation.trail.note(now.wall, False, number, number, verdict.value, why=why)
        self._tables.mark(conversation)

    def has_judged(self, dialog_id: bytes, number: int) -> bool:
        """Tell whether a verdict on a message will last when it is durable: those before it have one as well."""
        conversation = self._tables.dialogs.get(dialog_id)
        return conversation is not None and conversation.receiving.judged >= number

    def give(self, service: str, now: Now) -> None:
        """Give programs of a service as many messages as they take."""
        programs = self.receiving.get(service)
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
                self._tables.edge.give(message)
            self._read(conversation)
            if conversation.receiving.can_give:
                programs.waiting[conversation] = None

    def give_soon(self, conversation: Conversation) -> None:
        """Give a dialog's messages at the end of this turn, if there is anybody to give them to."""
        programs = self.receiving.get(conversation.here)
        if programs is not None and conversation.receiving.can_give:
            programs.waiting.setdefault(conversation)
            self._tables.giving[conversation.here] = None
            self._tables.soon()
