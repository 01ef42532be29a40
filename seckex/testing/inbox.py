"""What peers have sent to the program under test: given in order, given again, put aside."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final

from attrs import define
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from seckex.delivery.faces import Verdict
from seckex.net.delivery.api import Decision, Handler, Message, MessageFailed, Said
from seckex.testing.delivered import Delivered, State
from seckex.wire.numbers import Code

EXPIRED: Final = 69
_WHO: Final = "the program"


@define(eq=False)
class MemoryReceiving:
    """A program that takes the messages of a service, at most ``at_once`` at a time."""

    service: str
    handler: Handler
    at_once: int
    given: int = 0
    stopped: bool = False
    _emptied: Deferred[None] | None = None

    def stop(self) -> Deferred[None]:
        """Take no more; fires when none is with the program."""
        self.stopped = True
        if not self.given:
            return succeed(None)
        if self._emptied is None:
            self._emptied = Deferred()
        return self._emptied

    def had(self) -> None:
        """Take note that one is not with the program any more."""
        self.given -= 1
        if not self.given and self._emptied is not None:
            emptied, self._emptied = self._emptied, None
            emptied.callback(None)


class Inbox:
    """See the module; ``message`` makes what the program is given, ``commit`` calls when what was said is durable."""

    def __init__(
        self,
        clock: IReactorTime,
        message: Callable[[Delivered], Message],
        commit: Callable[[Callable[[], None]], None],
        attempts: int,
        retry_after: float,
    ) -> None:
        self._clock = clock
        self._message = message
        self._commit = commit
        self._attempts = attempts
        self._retry_after = retry_after
        self._receiving: dict[str, MemoryReceiving] = {}
        self._due: list[IDelayedCall] = []
        self.all: list[Delivered] = []

    @property
    def services(self) -> frozenset[str]:
        """Those that are received for."""
        return frozenset(name for name, each in self._receiving.items() if not each.stopped)

    def receive(self, service: str, handler: Handler, at_once: int) -> MemoryReceiving:
        """Begin to give; raises `MessageFailed` where somebody else has the service."""
        before = self._receiving.get(service)
        if before is not None and not before.stopped:
            raise MessageFailed(Code.PROHIBITED, f"another program receives for {service}")
        receiving = self._receiving[service] = MemoryReceiving(service, handler, at_once)
        self.give(service)
        return receiving

    def add(self, delivered: Delivered) -> None:
        """Take what a peer has sent, and give it when it is its turn."""
        self.all.append(delivered)
        self.give(delivered.service)

    def give(self, service: str) -> None:
        """Give as much as the program takes now."""
        receiving = self._receiving.get(service)
        while receiving is not None and not receiving.stopped and receiving.given < receiving.at_once:
            delivered = self._next(service)
            if delivered is None:
                return
            self._give(receiving, delivered)

    def tend(self) -> None:
        """Put aside what has expired, and give what is due."""
        now = self._clock.seconds()
        for delivered in self.all:
            if delivered.state is State.WAITING and 0 < delivered.expires <= now:
                self.put_aside(delivered, EXPIRED, "it expired before it was given")
        for service in list(self._receiving):
            self.give(service)

    def put_aside(self, delivered: Delivered, code: int, why: str) -> None:
        """Make it a dead letter."""
        delivered.state, delivered.code, delivered.why = State.DEAD, code, why

    def crash(self) -> None:
        """Forget the programs, and what they were given without a durable verdict."""
        for each in self._due:
            if each.active():
                each.cancel()
        self._receiving.clear()
        for delivered in self.all:
            if delivered.state is State.GIVEN:
                delivered.state, delivered.due = State.WAITING, 0.0

    def _next(self, service: str) -> Delivered | None:
        """Return the first in order that may be given: what waits to be given again stops its own dialog."""
        now = self._clock.seconds()
        stopped = set()
        for delivered in self.all:
            if delivered.service != service or delivered.state is not State.WAITING:
                continue
            way = delivered.dialog_id, delivered.direction
            if way not in stopped and delivered.due <= now:
                return delivered
            stopped.add(way)
        return None

    def _give(self, receiving: MemoryReceiving, delivered: Delivered) -> None:
        delivered.state = State.GIVEN
        delivered.attempt += 1
        attempt = delivered.attempt
        receiving.given += 1

        def said(verdict: object) -> None:
            # A verdict of a program that has crashed since is nobody's.
            if self._receiving.get(receiving.service) is receiving or receiving.stopped:
                self._judge(receiving, delivered, attempt, verdict)

        _called(receiving.handler, self._message(delivered)).addBoth(said)

    def _judge(self, receiving: MemoryReceiving, delivered: Delivered, attempt: int, verdict: object) -> None:
        if isinstance(verdict, Failure):
            delivered.failures.append(verdict)
            decision = Decision(Verdict.RETRY, f"{_WHO} raised {type(verdict.value).__name__}")
        elif isinstance(verdict, Verdict):
            decision = Decision(verdict)
        elif isinstance(verdict, Decision):
            decision = verdict
        else:
            decision = Decision(Verdict.RETRY, f"{_WHO} returned {verdict!r}, which is no verdict")
        delivered.verdicts.append(decision.verdict)

        def durable() -> None:
            if delivered.state is State.GIVEN and delivered.attempt == attempt:
                self._settle(delivered, decision)
            receiving.had()
            self.give(receiving.service)

        self._commit(durable)

    def _settle(self, delivered: Delivered, decision: Decision) -> None:
        if decision.verdict is Verdict.DONE:
            delivered.state = State.DONE
        elif decision.verdict is Verdict.DEAD:
            self.put_aside(delivered, Code.RESET_BY_PROGRAM, decision.why or f"{_WHO} would not have it")
        elif delivered.attempt >= self._attempts:
            why = f"given {delivered.attempt} times and never done" + (f": {decision.why}" if decision.why else "")
            self.put_aside(delivered, Code.UNSPECIFIED, why)
        else:
            after = self._retry_after if decision.after is None else decision.after
            delivered.state, delivered.due, delivered.why = State.WAITING, self._clock.seconds() + after, decision.why
            self._due = [each for each in self._due if each.active()]
            self._due.append(self._clock.callLater(after, self.tend))


def _called(handler: Handler, message: Message) -> Deferred[Any]:
    """Call a handler of whichever kind."""
    try:
        said: Said | Deferred[Said] | Coroutine[Deferred[Any], Any, Said] = handler(message)
    except Exception:
        failed: Deferred[Any] = Deferred()
        failed.errback(Failure())
        return failed
    if isinstance(said, Deferred):
        # The program may keep its own.
        heard: Deferred[Any] = Deferred()
        said.addCallbacks(heard.callback, heard.errback)
        return heard
    return Deferred.fromCoroutine(said) if isinstance(said, Coroutine) else succeed(said)
