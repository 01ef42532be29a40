"""Where a peer is, for whoever connects to it again and again while that may change."""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from zope.interface import implementer

# An attempt that was begun at an address which this machine does not have any more must not take long.
CONNECT_WITHIN: Final = 5.0


@implementer(IStreamClientEndpoint)
class PeerAddress:
    """Connects to ``host``, an address or a name, and ``port``, as they are at the time.

    ``reached`` is the address at which it was last, empty before.
    """

    reached = ""

    def __init__(self, reactor: Any, host: str, port: int) -> None:
        self._reactor = reactor
        self.host = host
        self.port = port

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect; fails as `HostnameEndpoint` does."""
        endpoint = HostnameEndpoint(self._reactor, self.host, self.port, CONNECT_WITHIN)
        connecting: Deferred[IProtocol] = endpoint.connect(protocolFactory)
        return connecting.addCallback(self._connected)

    def _connected(self, protocol: IProtocol) -> IProtocol:
        transport: Any = getattr(protocol, "transport", None)
        self.reached = getattr(transport and transport.getPeer(), "host", "")
        return protocol
