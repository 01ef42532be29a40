"""One TCP port for links, general messages and passages: the first octet tells which (docs/protocol.md, section 2).

It is looked at and left where it is, so that whoever the connection is for reads
it from its beginning. An octet of at most 0x20 begins a general message, 0x50 a
passage and 0x4D a connection of durable messages where there are any; everything
else is given to the links, which turn away what is none.

Bounds: a connection that says nothing for `SILENT_FOR` seconds is closed, and of
those that have said nothing yet ``most_silent`` are kept; for one more the
oldest is dropped, since whoever connects has something to say.
"""

from __future__ import annotations

import socket
from typing import Any, Final

from twisted.internet.interfaces import IAddress, IDelayedCall, IReadDescriptor
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure
from zope.interface import implementer

from seckex.net.delivery.connections import Connections, UnitConnection
from seckex.net.messages import MessageConnection, Messages
from seckex.net.passages.port import Caller, PassagePort
from seckex.net.stream import LinkConnection, LinkPort
from seckex.wire.numbers import PASSAGE_MAGIC, UNIT_MAGIC

SILENT_FOR: Final = 10.0
HIGHEST_OF_A_LENGTH: Final = 0x20
FIRST_OF_A_PASSAGE: Final = PASSAGE_MAGIC >> 8
FIRST_OF_A_UNIT: Final = UNIT_MAGIC >> 8


@implementer(IReadDescriptor)
class FirstOctet(Protocol):
    """A connection that has said nothing yet."""

    transport: Connection

    def __init__(self, port: SharedPort, reactor: Any) -> None:
        self._port = port
        self._reactor = reactor
        self._timer: IDelayedCall | None = None
        self._socket: socket.socket
        self._number = -1
        self._waiting = False

    def connectionMade(self) -> None:
        """Wait for the first octet in place of the transport, which would take it."""
        self.transport.pauseProducing()
        self._socket = self.transport.getHandle()
        # As long as this is registered the number stays the same, even where the socket is closed meanwhile.
        self._number = self._socket.fileno()
        self._timer = self._reactor.callLater(SILENT_FOR, self.abort)
        self._waiting = True
        self._reactor.addReader(self)

    def fileno(self) -> int:
        """Return the number of the socket."""
        return self._number

    def logPrefix(self) -> str:
        """Return what log lines begin with."""
        return "port"

    def doRead(self) -> Exception | None:  # type: ignore[override]  # the interface says Failure, the reactor takes these
        """Look at the first octet and hand the connection on."""
        try:
            first = self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return None
        except OSError:
            return CONNECTION_LOST
        if not first:
            return CONNECTION_DONE
        self._leave()
        self._port.decided(self, first[0])
        return None

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Take note of the end, be it the reactor or the transport that tells of it."""
        waiting = self._waiting
        self._leave()
        self._port.forget(self)
        if waiting:
            self.transport.connectionLost(reason)

    def abort(self) -> None:
        """Disconnect now."""
        self._leave()
        self.transport.abortConnection()

    def _leave(self) -> None:
        if self._waiting:
            self._waiting = False
            self._reactor.removeReader(self)
        if self._timer is not None and self._timer.active():
            self._timer.cancel()


class SharedPort(ServerFactory):
    """The factory of the port; ``dropped`` counts connections that had to go before they said anything.

    ``passages`` and ``units`` may be set at any time.
    """

    noisy = False

    def __init__(self, reactor: Any, links: LinkPort, messages: Messages, most_silent: int = 256) -> None:
        self._reactor = reactor
        self._links = links
        self._messages = messages
        self._most_silent = most_silent
        self._silent: dict[FirstOctet, None] = {}
        self.passages: PassagePort | None = None
        self.units: Connections | None = None
        self.dropped = 0

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:  # noqa: ARG002  # the signature is Twisted's
        """Accept a connection and wait for what it says."""
        if len(self._silent) >= self._most_silent:
            self.dropped += 1
            oldest = next(iter(self._silent))
            self.forget(oldest)
            oldest.abort()
        protocol = FirstOctet(self, self._reactor)
        self._silent[protocol] = None
        return protocol

    def decided(self, silent: FirstOctet, first: int) -> None:
        """Give the connection to those that it is for."""
        self.forget(silent)
        transport = silent.transport
        protocol: MessageConnection | LinkConnection | Caller | UnitConnection | None
        general = first <= HIGHEST_OF_A_LENGTH
        if general:
            protocol = self._messages.accept(transport.getPeer().host)
        elif first == FIRST_OF_A_PASSAGE and self.passages is not None:
            protocol = self.passages.buildProtocol(transport.getPeer())
        elif first == FIRST_OF_A_UNIT and self.units is not None:
            protocol = self.units.accept()
        else:
            protocol = self._links.buildProtocol(transport.getPeer())
        if protocol is None:
            transport.abortConnection()
            return
        transport.protocol = protocol
        protocol.makeConnection(transport)  # type: ignore[no-untyped-call]  # Twisted's
        if general:
            transport.resumeProducing()

    def forget(self, silent: FirstOctet) -> None:
        """Take note that a connection is silent no more, or gone."""
        self._silent.pop(silent, None)

    def close(self) -> None:
        """Drop those that have said nothing."""
        for silent in list(self._silent):
            silent.abort()
