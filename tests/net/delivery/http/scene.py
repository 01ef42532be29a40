"""A program's side of a connection to what serves messages, octet by octet and without a network."""

from __future__ import annotations

import json
from typing import Any

from attrs import frozen
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from seckex.net.delivery.http.gate import OpenGate
from seckex.net.delivery.http.requests import Gate
from seckex.net.delivery.http.serving import Connections, MessagesServed
from seckex.testing import MemoryMessages

PEER = "peer@example.net"
TO = f"to={PEER}&service=bills"


@frozen
class Heard:
    """An answer; ``whole`` tells whether all of it is there."""

    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool

    @property
    def told(self) -> Any:
        """What it says in JSON."""
        return json.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        """What it says in lines of JSON."""
        return [json.loads(line) for line in self.body.splitlines()]


class Wire:
    """One connection."""

    def __init__(self, connections: Connections) -> None:
        protocol = connections.buildProtocol(None)
        if protocol is None:
            raise ConnectionRefusedError
        self.protocol: ProtocolWrapper = protocol
        self.transport = StringTransport()
        self.protocol.makeConnection(self.transport)

    def say(self, octets: bytes) -> None:
        """Send octets."""
        self.protocol.dataReceived(octets)

    def begin(self, method: str, target: str, body: bytes | None = None, **headers: str) -> None:
        """Send a request."""
        lines = [f"{method} {target} HTTP/1.1", "Host: localhost"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if body is not None and "Content_Length" not in headers:
            lines.append(f"Content-Length: {len(body)}")
        self.say("\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b""))

    def heard(self, method: str = "GET") -> Heard:
        """Take what came back, an answer or the beginning of one."""
        octets = self.transport.value()
        head, _, rest = octets.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        status = int(first.split(" ")[1])
        if headers.get("transfer-encoding") == "chunked":
            body, whole = _unchunked(rest)
        else:
            length = 0 if method == "HEAD" or status == 204 else int(headers["content-length"])
            body, whole = rest[:length], len(rest) >= length
        if whole:
            self.transport.clear()
        return Heard(status, headers, body, whole)

    def close(self) -> None:
        """Go away."""
        self.protocol.connectionLost(Failure(ConnectionDone()))


def _unchunked(octets: bytes) -> tuple[bytes, bool]:
    body = b""
    while octets:
        size, _, octets = octets.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            return body, True
        body, octets = body + octets[:length], octets[length + 2 :]
    return body, False


class HttpCase(SynchronousTestCase):
    """Messages in memory, served."""

    def setUp(self) -> None:
        self.messages = MemoryMessages(services=("orders", "bills"))
        self.served = MessagesServed(self.messages, self.messages.clock)
        self.connections = self.behind(OpenGate())

    def behind(self, gate: Gate) -> Connections:
        return self.served.make(gate, ProtocolWrapper)

    def wire(self) -> Wire:
        return Wire(self.connections)

    def ask(self, method: str, target: str, body: bytes | None = None, **headers: str) -> Heard:
        """Ask over a connection of its own, and have what is said become durable."""
        wire = self.wire()
        wire.begin(method, target, body, **headers)
        self.messages.advance()
        heard = wire.heard(method)
        wire.close()
        return heard

    def problem(
        self,
        status: int,
        code: str,
        field: str,
        method: str,
        target: str,
        body: bytes | None = None,
        **headers: str,
    ) -> Any:
        """Ask for what is refused."""
        heard = self.ask(method, target, body, **headers)
        self.assertEqual(heard.headers["content-type"], "application/problem+json")
        told = heard.told
        self.assertEqual((heard.status, told["status"]), (status, status), told)
        self.assertEqual((told["code"], told["field"]), (code, field), told)
        self.assertEqual(told["reason"], told["detail"])
        return told
