"""Programs of this process and the house of dialogs: what they send, what they are given, what they are told.

What comes of the house is told to programs in turns of the reactor of their own, since a program may call back; a turn
gives at most `MOST_A_TURN` messages. A message whose handler raises is given again; the log has where that was, and
not what the exception says, in which the message may be quoted.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final

from attrs import define, field
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from seckex.delivery.faces import (
    PRIORITY,
    DialogName,
    Direction,
    Incoming,
    Outgoing,
    Spooled,
    Stage,
    Verdict,
    message_name,
)
from seckex.errors import PeerFault, StoreFailed
from seckex.net.delivery.api import Decision, Dialog, Handler, Message, MessageFailed, Sent
from seckex.net.delivery.faces import DialogHouse
from seckex.net.delivery.tracks import Tracks
from seckex.net.principal import Clock
from seckex.wire.numbers import Code

MOST_A_TURN: Final = 256
MOST_DIALOGS: Final = 4096
#: Of a service that the configuration has no more.
RETRY_AFTER: Final = 10.0

_log: Final = Logger()


@define(eq=False)
class ServiceReceiving:
    """A program that receives for ``service``; see `seckex.net.delivery.api.Receiving`.

    ``detach`` is called when it has stopped and has no message any more: until then another program has to wait.
    """

    service: str
    handler: Handler
    _detach: Callable[[ServiceReceiving], None]
    given: int = 0
    stopped: bool = False
    _emptied: list[Deferred[None]] = field(factory=list)

    def stop(self) -> Deferred[None]:
        """Have no more messages given; fires when none is with the program any more."""
        before, self.stopped = self.stopped, True
        if not self.given:
            if not before:
                self._detach(self)
            return succeed(None)
        emptied: Deferred[None] = Deferred()
        self._emptied.append(emptied)
        return emptied

    def had(self) -> None:
        """Take note that one is not with the program any more."""
        self.given -= 1
        if self.stopped and not self.given:
            self._detach(self)
            emptied, self._emptied = self._emptied, []
            for waiting in emptied:
                waiting.callback(None)


class ProgramOffice:
    """See the module; `seckex.net.delivery.api.Office`, and the part of `Messages` that is about programs.

    ``house`` is set before anything is called. ``retry_after`` tells after how many seconds a message for a service
    that is configured is given again, None of others.
    """

    house: DialogHouse

    def __init__(
        self,
        reactor: Any,
        clock: Clock,
        retry_after: Callable[[str], float | None],
        read: Callable[[str, int, Callable[[bytes | StoreFailed], None]], None],
        most_dialogs: int,
    ) -> None:
        self._reactor = reactor
        self._clock = clock
        self._service = retry_after
        self._read = read
        self._tracks = Tracks(most_dialogs)
        self._verdicts = Tracks(most_dialogs)
        self._dialogs: dict[tuple[bytes, Direction], Dialog] = {}
        self._receiving: dict[str, ServiceReceiving] = {}
        self._turn: deque[Callable[[], None] | tuple[ServiceReceiving | None, Incoming]] = deque()
        self._due: IDelayedCall | None = None
        self._full = False
        self._room: list[Deferred[None]] = []
        self._stopped = False
        self.counts: Counter[str] = Counter()

    def has(self, service: str) -> bool:
        """Tell whether a program receives for a service."""
        return service in self._receiving

    # -- sending

    def dialog(self, peer: str, service: str, *, own: str = "", priority: int = PRIORITY, label: str = "") -> Dialog:
        """See `seckex.net.delivery.api.Messages.dialog`."""
        self._may()
        try:
            dialog_id = self.house.dialog(DialogName(peer, service, own, priority, label), self._clock.now())
        except PeerFault as error:
            raise MessageFailed(error.code, error.why) from None
        return self._dialog(dialog_id, Direction.OUT, peer, service)

    def _may(self) -> None:
        if self._stopped:
            raise MessageFailed(Code.SHUTTING_DOWN, "the daemon is stopping")

    def _dialog(self, dialog_id: bytes, direction: Direction, peer: str, service: str) -> Dialog:
        key = dialog_id, direction
        dialog = self._dialogs.get(key)
        if dialog is None:
            while len(self._dialogs) >= MOST_DIALOGS:
                del self._dialogs[next(iter(self._dialogs))]
            dialog = self._dialogs[key] = Dialog(dialog_id, peer, service, direction, self)
        return dialog

    def send(self, dialog: Dialog, messages: Sequence[Outgoing], key: str) -> list[Sent]:
        """See `seckex.net.delivery.api.Office`."""
        try:
            self._may()
            first = self.house.send(dialog.id, messages, self._clock.now(), key)
        except (PeerFault, MessageFailed) as error:
            self._full = self._full or error.code == Code.INSUFFICIENT_RESOURCES
            refusal = MessageFailed(error.code, error.why)
            return [Sent(self, dialog, 0, "", refusal) for _ in messages]
        self.counts["sent"] += len(messages)
        numbers, of, way = range(first, first + len(messages)), dialog.id, dialog.direction
        return [Sent(self, dialog, number, message_name(of, way, number)) for number in numbers]

    def ready(self, dialog: Dialog) -> Deferred[None]:  # noqa: ARG002  # there is one outbox for all
        """See `seckex.net.delivery.api.Office`."""
        if not self._full:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._room.append(waiting)
        return waiting

    def when(self, sent: Sent, stage: Stage) -> Deferred[None]:
        """See `seckex.net.delivery.api.Office`."""
        if sent.refusal is not None:
            return fail(sent.refusal)
        return self._tracks.of(sent.dialog.id).when(sent.number, stage)

    def expiry(self, ttl: float | None) -> float:
        """See `seckex.net.delivery.api.Office`."""
        return 0.0 if ttl is None else self._clock.wall() + ttl

    def end(self, dialog_id: bytes, code: int = 0, why: str = "") -> None:
        """See `seckex.net.delivery.api.Office`."""
        self._may()
        try:
            self.house.end(dialog_id, self._clock.now(), code, why)
        except PeerFault as error:
            raise MessageFailed(error.code, error.why) from None

    def piece(self, payload: Spooled, index: int) -> Deferred[bytes]:
        """See `seckex.net.delivery.api.Office`."""
        done: Deferred[bytes] = Deferred()

        def read(result: bytes | StoreFailed) -> None:
            if isinstance(result, StoreFailed):
                done.errback(result)
            else:
                done.callback(result)

        self._read(payload.name, index, read)
        return done

    # -- receiving

    def kept(self, dialog_id: bytes, number: int) -> Deferred[bool]:
        """See `seckex.net.delivery.api.Message.kept`."""
        if not self.house.has_judged(dialog_id, number):
            return succeed(False)
        durable = self._verdicts.of(dialog_id).when(number, Stage.PROCESSED)
        return durable.addCallback(lambda _: True)

    def receive(self, service: str, handler: Handler, *, at_once: int = 1) -> ServiceReceiving:
        """See `seckex.net.delivery.api.Messages.receive`."""
        self._may()
        if self._service(service) is None:
            raise MessageFailed(Code.UNKNOWN_SERVICE, f"the configuration has no service {service!r} of messages")
        if service in self._receiving:
            raise MessageFailed(Code.PROHIBITED, f"another program receives for {service!r}")
        receiving = self._receiving[service] = ServiceReceiving(service, handler, self._detach)
        try:
            self.house.attach(service, at_once, self._clock.now())
        except PeerFault as error:
            del self._receiving[service]
            raise MessageFailed(error.code, error.why) from None
        return receiving

    def _detach(self, receiving: ServiceReceiving) -> None:
        """Have back what the program was not given yet."""
        del self._receiving[receiving.service]
        if not self._stopped:
            self.house.detach(receiving.service, self._clock.now())

    def _retry_after(self, service: str) -> float:
        after = self._service(service)
        return RETRY_AFTER if after is None else after

    # -- what the house tells; nothing here calls back before it returns

    def give(self, given: Incoming) -> None:
        """Give a message to the program of its service."""
        self._turn.append((self._receiving.get(given.service), given))
        self._have_a_turn()

    def progress(self, dialog_id: bytes, stage: Stage, upto: int) -> None:
        """Tell programs how far their messages have come."""
        for waiting in self._tracks.of(dialog_id).progress(stage, upto):
            self.soon(partial(waiting.callback, None))
        if stage is Stage.PROCESSED:
            self.look_for_room()

    def judged(self, dialog_id: bytes, upto: int) -> None:
        """Tell programs that their verdicts are durable."""
        for waiting in self._verdicts.of(dialog_id).progress(Stage.PROCESSED, upto):
            self.soon(partial(waiting.callback, None))

    def failed(self, dialog_id: bytes, number: int, code: int, why: str) -> None:
        """Tell programs that a message of theirs has failed."""
        self.counts["failed"] += 1
        failure = MessageFailed(code, why)
        for waiting in self._tracks.of(dialog_id).fail(number, failure):
            self.soon(partial(waiting.errback, failure))
        self.look_for_room()

    def look_for_room(self) -> None:
        """Have programs try again to send; it is called once a second as well."""
        if self._full:
            self._full = False
            room, self._room = self._room, []
            for waiting in room:
                self.soon(partial(waiting.callback, None))

    def soon(self, tell: Callable[[], None]) -> None:
        """Call back in a turn of the reactor of its own."""
        self._turn.append(tell)
        self._have_a_turn()

    def _have_a_turn(self) -> None:
        if self._due is None and not self._stopped:
            self._due = self._reactor.callLater(0, self._take_turn)

    def _take_turn(self) -> None:
        self._due = None
        turn, left = self._turn, MOST_A_TURN
        while turn and left and not self._stopped:
            left -= 1
            told = turn.popleft()
            try:
                if isinstance(told, tuple):
                    self._give(*told)
                else:
                    told()
            except Exception:
                _log.failure("what a program was to be told has failed")
        if turn:
            self._have_a_turn()

    def _give(self, receiving: ServiceReceiving | None, given: Incoming) -> None:
        if receiving is None or receiving.stopped:
            # The house takes back what was given and not judged.
            return
        dialog = self._dialog(given.dialog_id, given.direction.other, given.peer, given.service)
        message = Message(
            given.name,
            dialog,
            given.peer,
            given.service,
            given.type,
            given.expires,
            given.attempt,
            given.payload,
            self,
        )
        receiving.given += 1
        self.counts["given" if given.attempt <= 1 else "given-again"] += 1
        try:
            said: Any = receiving.handler(message)
        except Exception:
            said = Failure()
        if said is Verdict.DONE:
            self._say(receiving, given, said)
            return
        if isinstance(said, Coroutine):
            said = Deferred.fromCoroutine(said)
        if isinstance(said, Deferred):
            # The program may keep its own.
            said.addBoth(self._heard, receiving, given)
        else:
            self._judge(receiving, given, said)

    def _heard(self, said: object, receiving: ServiceReceiving, given: Incoming) -> object:
        self._judge(receiving, given, said)
        return None if isinstance(said, Failure) else said

    def _judge(self, receiving: ServiceReceiving, given: Incoming, said: object) -> None:
        if isinstance(said, Verdict):
            self._say(receiving, given, said)
            return
        if isinstance(said, Decision):
            decision = said
        elif isinstance(said, Failure):
            kind = said.type.__name__ if said.type else "error"
            _log.error(
                "the program of service {service} failed with message {name}: {kind}{where}",
                service=given.service,
                name=given.name,
                kind=kind,
                where="".join(f"\n  {file}:{line} {function}" for function, file, line, *_ in said.frames),
            )
            decision = Decision(Verdict.RETRY, f"the program failed: {kind}")
        else:
            kind = type(said).__name__
            _log.error("the program of service {service} returned {kind}, no verdict", service=given.service, kind=kind)
            decision = Decision(Verdict.RETRY, "the program returned no verdict")
        self._say(receiving, given, decision.verdict, decision.why, decision.after)

    def _say(
        self,
        receiving: ServiceReceiving,
        given: Incoming,
        verdict: Verdict,
        why: str = "",
        after: float | None = None,
    ) -> None:
        if not self._stopped:
            if after is None:
                after = self._retry_after(given.service) if verdict is Verdict.RETRY else 0.0
            self.house.verdict(given.dialog_id, given.number, verdict, why, self._clock.now(), after)
        receiving.had()

    def stop(self) -> None:
        """Tell programs nothing more: what they were given and have not judged is given again after the next start."""
        self._stopped = True
        self._turn.clear()
        if self._due is not None:
            self._due.cancel()
            self._due = None
