"""Messages for programs: as a stream of lines, or one by one.

A service is received for by one request at a time. A stream is told of at most ``at-once`` messages that it has
given no verdict on; when its connection ends, those are given again. Who asks for one message has it for ``lease``
seconds, whatever becomes of the connection once the answer is written; then it is given again.
"""

from __future__ import annotations

import json
from base64 import b64encode
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from seckex.delivery.faces import Verdict
from seckex.net.delivery.api import Decision, Message, MessageFailed, Messages, Receiving, Said
from seckex.net.delivery.http.asking import Call, begin, write_answer, write_payload, write_problem
from seckex.net.delivery.http.holding import Held, Holdings
from seckex.net.delivery.http.problems import Answer, Problem, problem_of, unfit
from seckex.wire.numbers import Code

#: A longer payload is fetched by itself.
MOST_INLINE: Final = 64 * 1024
NDJSON: Final = "application/x-ndjson"
SCHEMA: Final = "seckex.message/1"
LONGEST_WHY: Final = 1024
LONGEST_AFTER: Final = 30 * 86400
_VERDICTS: Final = {each.value: each for each in Verdict}


def told_of(held: Held) -> dict[str, Any]:
    """Return what a program is told of a message beside its payload."""
    message = held.message
    return {
        "schema": SCHEMA,
        "id": held.id,
        "name": message.name,
        "dialog": message.dialog.id.hex(),
        "peer": message.peer,
        "service": message.service,
        "type": message.type,
        "expires": message.expires,
        "attempt": message.attempt,
        "size": message.size,
        "verdict": f"/v1/messages/{held.id}/verdict",
    }


def _headers(held: Held) -> dict[str, str]:
    """Return the same as headers; what is no visible ASCII is percent-encoded."""
    told = told_of(held)
    names = ("id", "name", "dialog", "peer", "service", "type", "expires", "attempt", "verdict")
    return {f"Seckex-{name.capitalize()}": quote(str(told[name]), safe=_SAFE) for name in names}


_SAFE: Final = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "%")


class Giving:
    """Answers those who receive."""

    def __init__(self, messages: Messages, holdings: Holdings, reactor: IReactorTime) -> None:
        self._messages = messages
        self._holdings = holdings
        self._reactor = reactor

    def receive(self, call: Call) -> None:
        """GET /v1/services/{service}/messages."""
        try:
            if call.said["mode"] == "one":
                _One(self._messages, self._holdings, self._reactor, call).start()
            else:
                _Stream(self._messages, self._holdings, call).start()
        except MessageFailed as error:
            if error.code != Code.PROHIBITED:
                raise
            raise Problem(HTTPStatus.CONFLICT, "taken", error.why, "service") from error

    async def payload(self, call: Call) -> None:
        """GET /v1/messages/{message}/payload."""
        message = self._holdings.find(call.said["message"]).message
        await write_payload(call, message.payload, message.piece, {})

    async def verdict(self, call: Call) -> Answer:
        """POST /v1/messages/{message}/verdict: answered when the message cannot come again, or has to."""
        told = call.json(("verdict", "why", "after"))
        verdict, why, after = _VERDICTS.get(str(told.get("verdict"))), told.get("why", ""), told.get("after")
        if verdict is None:
            raise unfit("verdict", "one of " + ", ".join(_VERDICTS))
        if not isinstance(why, str) or len(why) > LONGEST_WHY:
            raise unfit("why", f"a text of at most {LONGEST_WHY} characters")
        if after is not None and (isinstance(after, bool) or not isinstance(after, int | float)):
            raise unfit("after", _AFTER)
        if after is not None and (verdict is not Verdict.RETRY or not 0 <= after <= LONGEST_AFTER):
            raise unfit("after", _AFTER)
        held = self._holdings.find(call.said["message"])
        self._holdings.settle(held, Decision(verdict, why, after))
        if verdict is Verdict.RETRY or await held.message.kept():
            return Answer(HTTPStatus.NO_CONTENT)
        return Answer(HTTPStatus.ACCEPTED)


_AFTER: Final = f"a number of seconds from 0 to {LONGEST_AFTER}, with the verdict retry"


@define(eq=False)
class _Stream:
    """One program that is told of messages line by line."""

    _messages: Messages
    _holdings: Holdings
    _call: Call
    _mine: list[Held] = field(factory=list)
    _receiving: Receiving | None = None

    def start(self) -> None:
        """Begin to receive; raises `MessageFailed`."""
        self._receiving = self._messages.receive(
            self._call.said["service"], self._take, at_once=self._call.said["at-once"]
        )
        self._begin()
        self._call.when_gone().addBoth(self._gone)

    def _begin(self) -> None:
        if not self._call.request.startedWriting:
            begin(self._call.request, NDJSON, {})

    def _take(self, message: Message) -> Deferred[Said]:
        held = self._holdings.add(message)
        self._mine = [*(each for each in self._mine if not each.said.called), held]
        told = told_of(held)
        if isinstance(message.payload, bytes) and len(message.payload) <= MOST_INLINE:
            told["payload"] = b64encode(message.payload).decode()
        else:
            told["payload-at"] = f"/v1/messages/{held.id}/payload"
        # The first may be given before there is anything to stop it by.
        self._begin()
        self._call.request.write(json.dumps(told).encode() + b"\n")
        return held.said

    def _gone(self, _: object) -> None:
        self._holdings.give_back(self._mine)
        if self._receiving is not None:
            self._receiving.stop()


@define(eq=False)
class _One:
    """One program that has asked for one message; nobody else is given any of the service until it has a verdict."""

    _messages: Messages
    _holdings: Holdings
    _reactor: IReactorTime
    _call: Call
    _receiving: Receiving | None = None
    _held: Held | None = None
    _timer: IDelayedCall | None = None
    _answered: bool = False

    def start(self) -> None:
        """Begin to receive, and to wait; raises `MessageFailed`."""
        said = self._call.said
        self._timer = self._reactor.callLater(said["timeout"], self._nothing)
        try:
            self._receiving = self._messages.receive(said["service"], self._take)
        except BaseException:
            self._timer.cancel()
            raise
        self._call.when_gone().addBoth(self._over)

    def _take(self, message: Message) -> Deferred[Said]:
        self._held = held = self._holdings.add(message)
        self._stop_timer()
        self._timer = self._reactor.callLater(self._call.said["lease"], self._holdings.give_back, [held])
        # The answer, and the end, come when whoever gives is done with giving.
        self._reactor.callLater(0, self._answer, held)
        heard: Deferred[Said] = Deferred()
        held.said.addCallback(self._settled, heard)
        return heard

    def _answer(self, held: Held) -> None:
        if not self._call.gone:
            message = held.message
            written = write_payload(self._call, message.payload, message.piece, _headers(held))
            Deferred.fromCoroutine(written).addCallbacks(self._wrote, self._failed)

    def _wrote(self, _: object) -> None:
        self._answered = True

    def _failed(self, failure: Failure) -> None:
        write_problem(self._call.request, problem_of(failure))
        if self._held is not None:
            self._holdings.give_back([self._held])

    def _nothing(self) -> None:
        self._stop()
        write_answer(self._call.request, Answer(HTTPStatus.NO_CONTENT))

    def _settled(self, said: Said, heard: Deferred[Said]) -> None:
        # First the verdict: what is given back by stopping is given again, whatever is said of it then.
        heard.callback(said)
        self._stop()

    def _over(self, gone: object) -> None:
        """Take note that the request is over: what its program cannot have read is given back."""
        if self._held is None:
            self._stop()
        elif isinstance(gone, Failure) and not self._answered:
            self._holdings.give_back([self._held])

    def _stop(self) -> None:
        self._stop_timer()
        if self._receiving is not None:
            self._receiving.stop()

    def _stop_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
