"""Where it is served: a unix socket of the daemon's user, and loopback TCP for who has the token.

Imported where messages are served only: it brings in an HTTP server.

Bounds: `MOST_CONNECTIONS` over each socket, each closed after `IDLE_SECONDS` without a request; the lines of a
request have at most 16,384 octets together, which Twisted sees to, and answers with 400.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from twisted.internet.interfaces import IAddress, IListeningPort, ITransport
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory

from seckex.crypto.secrets import Secret
from seckex.net.control import PrivatePort, peer_user
from seckex.net.delivery.api import Upload
from seckex.net.delivery.http.gate import OpenGate, TokenGate
from seckex.net.delivery.http.looking import Readable
from seckex.net.delivery.http.requests import Doors, Gate, MessagesRequest
from seckex.net.delivery.http.tree import Tree
from seckex.net.stale import remove_stale

MOST_CONNECTIONS: Final = 64
IDLE_SECONDS: Final = 60


class _Site(Doors):
    def __init__(self, tree: Tree, messages: Readable, gate: Gate, reactor: Any) -> None:
        super().__init__(  # type: ignore[no-untyped-call]  # Twisted's
            tree, requestFactory=MessagesRequest, timeout=IDLE_SECONDS, parsePOSTFormSubmission=False, reactor=reactor
        )
        self.displayTracebacks = False
        self.noisy = False
        self.gate = gate
        self._messages = messages

    def upload(self) -> Upload:
        return self._messages.upload()


class _OfOwner(ProtocolWrapper):
    """One connection of the daemon's user, or of root."""

    def makeConnection(self, transport: ITransport) -> None:
        """Turn away who may not ask."""
        super().makeConnection(transport)  # type: ignore[no-untyped-call]  # Twisted's
        connected: Any = transport
        if peer_user(connected.getHandle()) not in (os.geteuid(), 0):
            connected.abortConnection()


class Connections(WrappingFactory):
    """At most `MOST_CONNECTIONS`; `close` ends those that there are."""

    noisy = False
    protocols: dict[ProtocolWrapper, int]

    def __init__(self, site: Doors, kind: type[ProtocolWrapper]) -> None:
        super().__init__(site)  # type: ignore[no-untyped-call]  # Twisted's
        self.protocol = kind

    def buildProtocol(self, addr: IAddress | None) -> ProtocolWrapper | None:  # type: ignore[override]  # it may decline
        """Return the protocol of a connection, None for one too many."""
        return None if len(self.protocols) >= MOST_CONNECTIONS else super().buildProtocol(addr)

    def close(self) -> None:
        """Close what is open, whatever is under way there."""
        for connection in list(self.protocols):
            connection.abortConnection()


class MessagesServed:
    """What serves the messages of one daemon, over any number of sockets."""

    def __init__(self, messages: Readable, reactor: Any) -> None:
        self._messages = messages
        self._reactor = reactor
        self._made: list[Connections] = []
        self.tree = Tree(messages, reactor)

    def over_unix(self) -> Connections:
        """Return what serves a unix socket."""
        return self.make(OpenGate(), _OfOwner)

    def over_tcp(self, token: Secret) -> Connections:
        """Return what serves ports of loopback addresses."""
        return self.make(TokenGate(token), ProtocolWrapper)

    def listen_unix(self, path: Path) -> IListeningPort:
        """Listen on the unix socket ``path``, made with mode 0600; stopping the port removes it.

        Raises `seckex.net.stale.SocketTaken` and `twisted.internet.error.CannotListenError`. Who calls holds the
        lock of the state directory, so that a socket that nobody listens on is one left behind.
        """
        remove_stale(path)
        port = PrivatePort(path, self.over_unix(), self._reactor)
        port.startListening()
        return port

    def close(self) -> None:
        """End all connections, and so give back what programs have; forget uploads."""
        for connections in self._made:
            connections.close()
        self.tree.close()

    def make(self, gate: Gate, kind: type[ProtocolWrapper]) -> Connections:
        """Return what serves whom a gate lets in, each over a connection of a kind."""
        connections = Connections(_Site(self.tree, self._messages, gate, self._reactor), kind)
        self._made.append(connections)
        return connections
