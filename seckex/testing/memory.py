"""A daemon's messages in memory: what programs call, and what their tests do to them.

What a program says becomes durable when the clock is advanced, if only by 0: its verdicts count then, and what it
sends is accepted then. `MemoryMessages.crash` forgets what was not durable, so a test can have the
program lose its power between any two of its steps. What was given and has no durable verdict is given
again, to whoever receives next.

Where it differs from a daemon: there are no fragments and no windows, and how far a message comes that was sent the
test says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock

from seckex.delivery.faces import (
    PRIORITY,
    DialogName,
    Direction,
    Outgoing,
    Spooled,
    Stage,
    message_name,
)
from seckex.errors import ApiMisuse
from seckex.net.delivery.api import Dialog, Handler, Message, MessageFailed, Sent
from seckex.testing.delivered import Delivered
from seckex.testing.inbox import EXPIRED, Inbox, MemoryReceiving
from seckex.testing.operated import Operated
from seckex.testing.posted import Posted
from seckex.testing.spool import MemorySpool, MemoryUpload
from seckex.wire.numbers import Code

HERE: Final = "here@example.org"
PEER: Final = "peer@example.net"
#: When tests begin, unless they have a clock of their own: seconds since 1970.
BEGINNING: Final = 1_900_000_000


class MemoryMessages(Operated):
    """See the module; `Messages` of `seckex.net.delivery.api` for the program, the rest for its test.

    ``services`` are those that there are, None for any. A message that was given ``attempts`` times and never done is
    put aside; it waits ``retry_after`` seconds before it is given again. Of what the program sends at most ``room``
    messages wait to be processed; one more fails. ``posted`` has what the program sent, ``delivered`` what
    peers sent to it, both in order.
    """

    def __init__(
        self,
        nai: str = HERE,
        *,
        services: Sequence[str] | None = None,
        attempts: int = 8,
        retry_after: float = 10.0,
        room: int = 1000,
        clock: IReactorTime | None = None,
    ) -> None:
        if clock is None:
            clock = Clock()
            clock.advance(BEGINNING)
        super().__init__(Inbox(clock, self._message, self._commit, attempts, retry_after), clock.seconds())
        self.nai = nai
        self.services = services
        self.room = room
        self.clock = clock
        self.spool = MemorySpool()
        self._made = 0
        self._numbers: dict[tuple[bytes, Direction], int] = {}
        self._waiting: list[Deferred[None]] = []
        self._uncommitted: list[Callable[[], None]] = []

    # -- what programs call

    def dialog(self, peer: str, service: str, *, own: str = "", priority: int = PRIORITY, label: str = "") -> Dialog:
        """Return the dialog that has these attributes, which begins if there is none."""
        return self._dialog(DialogName(peer, service, own, priority, label), ours=True)

    def receive(self, service: str, handler: Handler, *, at_once: int = 1) -> MemoryReceiving:
        """Give ``handler`` the messages of a service; raises `MessageFailed`."""
        if self.services is not None and service not in self.services:
            raise MessageFailed(Code.UNKNOWN_SERVICE, f"there is no service {service}")
        return self._inbox.receive(service, handler, at_once)

    def upload(self) -> MemoryUpload:
        """Begin a payload of any length."""
        return MemoryUpload(self.spool)

    # -- what dialogs and messages call

    def send(self, dialog: Dialog, messages: Sequence[Outgoing], key: str) -> list[Sent]:
        """Send messages that become durable together."""
        former = [posted for posted in self.posted if key and posted.key == key]
        if former:
            return [Sent(self, posted.dialog, posted.number, posted.name) for posted in former]
        refused = self._refusal(dialog, len(messages))
        if refused is not None:
            return [Sent(self, dialog, 0, "", refused) for _ in messages]
        posted = [self._post(dialog, each, key) for each in messages]

        def durable() -> None:
            for each in posted:
                each.reach(Stage.ACCEPTED)

        self._commit(durable)
        return [Sent(self, dialog, each.number, each.name) for each in posted]

    def ready(self, dialog: Dialog) -> Deferred[None]:  # noqa: ARG002  # there is one room for all
        """Fire when there is room for more."""
        if self._under_way() < self.room:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        return waiting

    def when(self, sent: Sent, stage: Stage) -> Deferred[None]:
        """Fire when a message has reached a stage."""
        if sent.refusal is not None:
            return fail(sent.refusal)
        found = [posted for posted in self.posted if posted.name == sent.name]
        return found[0].when(stage) if found else fail(MessageFailed(Code.UNSPECIFIED, "it was never durable"))

    def piece(self, payload: Spooled, index: int) -> Deferred[bytes]:
        """Read a piece of a payload."""
        return self.spool.piece(payload, index)

    def kept(self, dialog_id: bytes, number: int) -> Deferred[bool]:
        """Fire when the verdict on a message is durable, with False at once where one before it has none."""
        before = (each for each in self.delivered if each.dialog_id == dialog_id and each.number < number)
        if any(each.open and not each.judged for each in before):
            return succeed(False)
        waiting: Deferred[bool] = Deferred()
        self._commit(lambda: waiting.callback(True))
        return waiting

    def expiry(self, ttl: float | None) -> float:
        """Return when what is sent now expires, 0 for never."""
        return 0.0 if ttl is None else self.clock.seconds() + ttl

    # -- what tests do

    @property
    def delivered(self) -> list[Delivered]:
        """What peers have sent."""
        return self._inbox.all

    @property
    def receiving(self) -> frozenset[str]:
        """The services that the program receives for."""
        return self._inbox.services

    def deliver(
        self,
        service: str,
        payload: bytes,
        *,
        peer: str = PEER,
        type: str = "",  # noqa: A002  # what it is called in messages
        ttl: float | None = None,
        own: str = "",
        label: str = "",
        dialog: Dialog | None = None,
    ) -> Delivered:
        """Have ``peer`` send a message to ``service``, or answer by a ``dialog`` that the program has begun."""
        if dialog is None:
            dialog = self._dialog(DialogName(peer, service, own, label=label), ours=False)
        way = dialog.direction.other
        number = self._numbers[dialog.id, way] = self._numbers.get((dialog.id, way), 0) + 1
        delivered = Delivered(
            dialog.id, way, number, dialog.peer, service, type, self.expiry(ttl), self.spool.add(payload)
        )
        self._inbox.add(delivered)
        return delivered

    def advance(self, seconds: float = 0.0) -> None:
        """Let time pass: what was said becomes durable, what is due is given again, what is too old expires."""
        if not isinstance(self.clock, Clock):
            raise ApiMisuse("the clock is not the test's")
        self.clock.advance(seconds)
        now = self.clock.seconds()
        for posted in self.posted:
            if 0 < posted.expires <= now and not posted.has(Stage.DELIVERED):
                posted.refuse(EXPIRED, "it expired before it was delivered")
        self._inbox.tend()

    def crash(self) -> None:
        """Let the power go: what was not durable is gone, and so are the programs. What is left is as after a start."""
        self._uncommitted.clear()
        self._waiting.clear()
        self.posted[:] = [each for each in self.posted if each.stage is not None]
        for each in self._names.values():
            numbers = [posted.number for posted in self.posted if posted.dialog.id == each.id]
            self._numbers[each.id, each.direction] = max(numbers, default=0)
        self._inbox.crash()

    # -- inside

    def _dialog(self, name: DialogName, *, ours: bool) -> Dialog:
        known = self._names.get((name, ours))
        if known is not None and known.id not in self._ended:
            return known
        self._made += 1
        dialog_id = self._made.to_bytes(6, "big") + bytes(10)
        way = Direction.OUT if ours else Direction.BACK
        made = self._names[name, ours] = Dialog(dialog_id, name.peer, name.service, way, self)
        return made

    def _message(self, delivered: Delivered) -> Message:
        dialog = next(each for each in self._names.values() if each.id == delivered.dialog_id)
        return Message(
            delivered.name,
            dialog,
            delivered.peer,
            delivered.service,
            delivered.type,
            delivered.expires,
            delivered.attempt,
            delivered.payload,
            self,
        )

    def _refusal(self, dialog: Dialog, count: int) -> MessageFailed | None:
        if dialog.id in self._ended:
            return MessageFailed(Code.UNKNOWN_DIALOG, "the dialog has ended")
        if self._under_way() + count > self.room:
            return MessageFailed(Code.INSUFFICIENT_RESOURCES, "the outbox is full")
        return None

    def _under_way(self) -> int:
        return sum(each.failed is None and not each.has(Stage.PROCESSED) for each in self.posted)

    def _post(self, dialog: Dialog, message: Outgoing, key: str) -> Posted:
        number = self._numbers[dialog.id, dialog.direction] = self._numbers.get((dialog.id, dialog.direction), 0) + 1
        name = message_name(dialog.id, dialog.direction, number)
        posted = Posted(dialog, name, number, message.payload, message.type, message.expires, key, self._moved)
        self.posted.append(posted)
        return posted

    def _moved(self) -> None:
        """Tell who waits that there is room."""
        while self._waiting and self._under_way() < self.room:
            self._waiting.pop(0).callback(None)

    def _commit(self, durable: Callable[[], None]) -> None:
        self._uncommitted.append(durable)
        if len(self._uncommitted) == 1:
            self.clock.callLater(0, self._flush)

    def _flush(self) -> None:
        uncommitted, self._uncommitted = self._uncommitted, []
        for durable in uncommitted:
            durable()
