"""Requests whose bodies are taken as they come, and refused as soon as it is known that they will be.

Twisted keeps a body in memory or in a file of the system's, in the open, before anybody looks at the request; here
it goes where payloads go, sealed. Who may not ask is told so when the headers are there.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Protocol

from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from twisted.web.server import Request, Site

from seckex.delivery.faces import LARGEST_MESSAGE
from seckex.net.delivery.api import Upload
from seckex.net.delivery.http.body import Body, NoBody, too_long
from seckex.net.delivery.http.problems import CONTENT_TYPE, Problem, problem_of


class Gate(Protocol):
    """Who may ask, as far as headers tell."""

    def refusal(self, headers: Headers) -> Problem | None:
        """Return why not."""
        ...


class Doors(Site):
    """What a connection's requests ask: the gate, and where long bodies go."""

    gate: Gate

    def upload(self) -> Upload:
        """Begin a payload in the spool."""
        raise NotImplementedError

    def log(self, request: object) -> None:
        """Say nothing: what is sent and received has events of its own."""


class MessagesRequest(Request):
    """One request; ``gone`` tells that its program has gone away, ``refused`` why it was before its body was there."""

    content: Body
    gone = False
    refused: Problem | None = None

    def gotLength(self, length: int | None) -> None:
        """Look at the headers, and get ready for a body of ``length`` octets, None where that is not said."""
        channel: Any = self.channel
        doors: Doors = channel.site
        refused = doors.gate.refusal(self.requestHeaders)
        if refused is None and length is not None and length > LARGEST_MESSAGE:
            refused = too_long(LARGEST_MESSAGE)
        if refused is not None:
            self.content = NoBody()
            self.refused = refused
            if length != 0:
                self._refuse(refused)
            return
        transport: Any = self.transport
        self.content = Body(doors.upload, transport.pauseProducing, self._resume, self._trouble)

    def _resume(self) -> None:
        if not self.gone:
            transport: Any = self.transport
            transport.resumeProducing()

    def _trouble(self, failure: Failure) -> None:
        self.refused = problem_of(failure)
        self._refuse(self.refused)

    def _refuse(self, problem: Problem) -> None:
        """Answer before the body is there, and close: where the next request would begin cannot be waited for."""
        document = problem.document()
        head = [
            f"HTTP/1.1 {int(problem.status)} {HTTPStatus(problem.status).phrase}",
            f"Content-Type: {CONTENT_TYPE}",
            f"Content-Length: {len(document)}",
            "Connection: close",
            *(f"{name}: {value}" for name, value in problem.headers.items()),
        ]
        self.gone = True
        self.channel.write("\r\n".join(head).encode() + b"\r\n\r\n" + document)
        self.channel.loseConnection()

    def process(self) -> None:
        """Answer when all of the body is where it belongs."""
        if not self.gone:
            self.content.written().addCallbacks(self._process, self._late)

    def _process(self, _: object) -> None:
        if self.refused is not None:
            self._refuse(self.refused)
        elif not self.gone:
            super().process()  # type: ignore[no-untyped-call]  # Twisted's

    def _late(self, failure: Failure) -> None:
        if not self.gone:
            self._trouble(failure)

    def connectionLost(self, reason: Failure) -> None:
        """Take note that nobody waits for the answer."""
        self.gone = True
        super().connectionLost(reason)  # type: ignore[no-untyped-call]  # Twisted's
