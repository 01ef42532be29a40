"""A request as those see it who answer it, and what they write."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final, TypeAlias

from attrs import define
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from seckex.delivery.faces import Payload, Spooled
from seckex.net.delivery.api import pieces_of
from seckex.net.delivery.http.body import Body, too_long
from seckex.net.delivery.http.problems import CONTENT_TYPE, Answer, Problem, unfit
from seckex.net.delivery.http.requests import MessagesRequest

MOST_JSON: Final = 64 * 1024
#: Reads one piece of a payload in the spool.
Reader: TypeAlias = Callable[[int], Deferred[bytes]]


@define(eq=False)
class Call:
    """One request: ``said`` has its parameters and what stands in its path, by their names."""

    request: MessagesRequest
    said: Mapping[str, Any]

    @property
    def body(self) -> Body:
        """What came with it."""
        return self.request.content

    @property
    def gone(self) -> bool:
        """Whether nobody waits for the answer any more."""
        return self.request.gone

    def when_gone(self) -> Deferred[None]:
        """Fire, or fail, when the request is over."""
        return self.request.notifyFinish()

    def json(self, known: tuple[str, ...]) -> Mapping[str, Any]:
        """Return the object in the body, which has no members but the ``known``; raises `Problem`."""
        try:
            told = json.loads(self.body.whole(MOST_JSON))
        except (ValueError, RecursionError):
            told = None
        if not isinstance(told, dict):
            raise unfit("body", "one JSON object")
        for name in told:
            if name not in known:
                raise Problem(HTTPStatus.BAD_REQUEST, "unknown-member", f"the body has no member {name}", name)
        return told

    def no_body(self) -> None:
        """Raise `Problem` if there is a body."""
        if self.body.tell():
            raise too_long(0, "body")


def write_answer(request: MessagesRequest, answer: Answer) -> None:
    """Write a whole answer."""
    if request.gone:
        return
    body, content_type = answer.body, answer.content_type
    if answer.told is not None:
        body, content_type = json.dumps(answer.told).encode() + b"\n", "application/json"
    _head(request, answer.status, answer.headers)
    if body:
        request.setHeader("Content-Type", content_type)
    if answer.status != HTTPStatus.NO_CONTENT:
        request.setHeader("Content-Length", str(len(body)))
    request.write(body)
    request.finish()


def write_problem(request: MessagesRequest, problem: Problem) -> None:
    """Write a problem document."""
    answer = Answer(problem.status, None, problem.document(), CONTENT_TYPE, problem.headers)
    if not request.startedWriting:
        write_answer(request, answer)
    elif not request.gone:
        # What has begun well can only be broken off.
        transport: Any = request.transport
        transport.abortConnection()


def begin(request: MessagesRequest, content_type: str, headers: Mapping[str, str], length: int | None = None) -> None:
    """Write what stands before a body that follows in pieces."""
    if request.gone:
        return
    _head(request, HTTPStatus.OK, headers)
    request.setHeader("Content-Type", content_type)
    if length is not None:
        request.setHeader("Content-Length", str(length))
    request.write(b"")


@implementer(IPushProducer)
class Paced:
    """Writes pieces of a body no faster than they are read."""

    def __init__(self, request: MessagesRequest) -> None:
        self._request = request
        self._paused: Deferred[None] | None = None
        request.registerProducer(self, True)

    def write(self, octets: bytes) -> Deferred[None] | None:
        """Write a piece; what is returned fires when the next may follow, and fails when nobody reads any more."""
        if self._request.gone:
            return fail(ConnectionDone())
        self._request.write(octets)
        return self._paused

    def pauseProducing(self) -> None:
        """Have what is written wait."""
        self._paused = Deferred()

    def resumeProducing(self) -> None:
        """Have it go on."""
        paused, self._paused = self._paused, None
        if paused is not None:
            paused.callback(None)

    def stopProducing(self) -> None:
        """Have it end."""
        self.resumeProducing()


async def write_payload(call: Call, payload: Payload, read: Reader, headers: Mapping[str, str]) -> None:
    """Write a payload as a body; ``read`` gives the pieces of one in the spool."""
    if not isinstance(payload, Spooled):
        write_answer(call.request, Answer(body=payload, headers=headers))
        return
    paced = Paced(call.request)
    try:
        # Nothing is written before the first piece has been read: that it cannot be is an answer of its own.
        octets = await read(0)
        begin(call.request, "application/octet-stream", headers, payload.size)
        for index in range(1, pieces_of(payload) + 1):
            written = paced.write(octets)
            if written is not None:
                await written
            if index < pieces_of(payload):
                octets = await read(index)
    except ConnectionDone:
        return
    finally:
        if not call.gone:
            call.request.unregisterProducer()
    if not call.gone:
        call.request.finish()


def _head(request: MessagesRequest, status: int, headers: Mapping[str, str]) -> None:
    request.setResponseCode(int(status), HTTPStatus(status).phrase.encode())
    request.setHeader("Cache-Control", "no-store")
    for name, value in headers.items():
        request.setHeader(name, value)
