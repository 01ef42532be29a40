"""Messages that programs send: taken whole, or from an upload, and answered when they have come as far as is asked."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from attrs import Factory, define
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from seckex.delivery.faces import Payload, Stage
from seckex.net.delivery.api import Dialog, Messages, Sent
from seckex.net.delivery.http.asking import Call
from seckex.net.delivery.http.holding import Holdings
from seckex.net.delivery.http.problems import Answer, problem_of, unfit
from seckex.net.delivery.http.uploads import Uploads

SCHEMA: Final = "seckex.sent/1"
_STAGES: Final = (Stage.ACCEPTED, Stage.DELIVERED, Stage.PROCESSED)


class Sending:
    """Answers those who send."""

    def __init__(self, messages: Messages, holdings: Holdings, uploads: Uploads, reactor: IReactorTime) -> None:
        self._messages = messages
        self._holdings = holdings
        self._uploads = uploads
        self._reactor = reactor

    async def send(self, call: Call) -> Answer | None:
        """POST /v1/messages."""
        said = call.said
        # A wrong name is told before a long payload is made durable.
        dialog = self._dialog(said)
        payload = await self._payload(call)
        if call.gone:
            return None
        sent = dialog.send(payload, type=said["type"], ttl=said["ttl"], key=said["key"])
        if sent.refusal is None:
            call.body.sent()
        waiting = _Waiting()
        try:
            await self._wait(waiting, sent, Stage(said["wait"]), said["timeout"])
        finally:
            if said["upload"] is not None and waiting.reached is not None:
                self._uploads.forget(said["upload"])
        reached = waiting.reached
        return Answer(
            HTTPStatus.CREATED if reached is Stage(said["wait"]) else HTTPStatus.ACCEPTED, _told(sent, reached)
        )

    def _dialog(self, said: Mapping[str, Any]) -> Dialog:
        if said["answers"] is not None:
            if said["to"] is not None or said["service"] is not None:
                raise unfit("answers", "said without to and service: an answer goes by the dialog of its message")
            return self._holdings.find(said["answers"]).message.dialog
        for name in ("to", "service"):
            if said[name] is None:
                raise unfit(name, "said, unless it is an answer")
        return self._messages.dialog(
            said["to"], said["service"], own=said["own"], priority=said["priority"], label=said["label"]
        )

    async def _payload(self, call: Call) -> Payload:
        if call.said["upload"] is None:
            return await call.body.payload()
        call.no_body()
        return self._uploads.complete(call.said["upload"])

    async def _wait(self, waiting: _Waiting, sent: Sent, stage: Stage, timeout: float) -> None:
        """Wait until a message has come as far as is asked, or time is up; raises `Problem` when it has failed."""
        for each in _STAGES[: _STAGES.index(stage) + 1]:
            waiting.watch(each, getattr(sent, each.value), last=each is stage)
        timer = self._reactor.callLater(timeout, waiting.end)
        try:
            await waiting.over
        except Exception:
            problem = problem_of(Failure())
            problem.more = {**problem.more, "name": sent.name}
            raise problem from None
        finally:
            if timer.active():
                timer.cancel()


@define(eq=False)
class _Waiting:
    """How far a message has come while somebody waits for it."""

    reached: Stage | None = None
    over: Deferred[None] = Factory(Deferred)

    def watch(self, stage: Stage, when: Deferred[None], *, last: bool) -> None:
        """Take note when it has come to a stage; others may wait for the same Deferred."""

        def come(result: None) -> None:
            self.reached = stage
            if last:
                self.end()
            return result

        def failed(failure: Failure) -> None:
            if not self.over.called:
                self.over.errback(failure)

        when.addCallbacks(come, failed)

    def end(self) -> None:
        """Wait no longer."""
        if not self.over.called:
            self.over.callback(None)


def _told(sent: Sent, reached: Stage | None) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "name": sent.name,
        "dialog": sent.dialog.id.hex(),
        "number": sent.number,
        "stage": "" if reached is None else reached.value,
    }
