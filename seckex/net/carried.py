"""A program's protocol over a dialog: made when the dialog opens, missed when it is gone.

`DialogTransport` connects a protocol that exists already. A program hands over
a factory, whose protocol is to be made once there is a connection, and whoever
carries it wants to know when it is over. `Carried` stands between the two.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.error import NoProtocol
from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import directlyProvides

from seckex.net.transport import DialogTransport


class Carried(Protocol):
    """Passes everything on to the protocol that ``build`` returns once the transport is there.

    ``connected`` is called once with that protocol, or with the failure of
    making it; ``gone``, with the reason, when the connection is over and the dialog too, if it ever was.
    """

    transport: DialogTransport

    def __init__(
        self,
        build: Callable[[], IProtocol | None],
        connected: Callable[[IProtocol | Failure], None],
        gone: Callable[[Failure], None],
    ) -> None:
        self._build = build
        self._connected = connected
        self._gone = gone
        self._protocol: IProtocol | None = None

    def connectionMade(self) -> None:
        """Make the protocol and connect it; without one, abort."""
        try:
            protocol = self._build()
            if protocol is None:
                raise NoProtocol
            self._protocol = protocol
            if IHalfCloseableProtocol.providedBy(protocol):
                directlyProvides(self, IHalfCloseableProtocol)
            protocol.makeConnection(self.transport)
        except Exception:
            failure = Failure()
            self.transport.abortConnection()
            self._connected(failure)
        else:
            self._connected(protocol)

    def dataReceived(self, data: bytes) -> None:
        """Pass it on."""
        if self._protocol is not None:
            self._protocol.dataReceived(data)

    def readConnectionLost(self) -> None:
        """Pass it on; asked only of those that can do with half a connection."""
        half = IHalfCloseableProtocol(self._protocol, None)
        if half is not None:
            half.readConnectionLost()

    def writeConnectionLost(self) -> None:
        """Pass it on, as above."""
        half = IHalfCloseableProtocol(self._protocol, None)
        if half is not None:
            half.writeConnectionLost()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Pass it on, and tell that the connection is over."""
        try:
            if self._protocol is not None:
                self._protocol.connectionLost(reason)
        finally:
            self.transport.when_over(lambda: self._gone(reason))
