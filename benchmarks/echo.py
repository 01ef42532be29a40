"""The peer of `benchmarks.cookies`: a Twisted server that sends back what comes by UDP: ``python -m benchmarks.echo``.

Prints its port.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.protocol import DatagramProtocol

from seckex.net.datagram import RECEIVE_BUFFER

reactor: Any = installed


class Echo(DatagramProtocol):
    """Sends back."""

    noisy = False

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        """Send it back."""
        if self.transport is not None:
            self.transport.write(datagram, addr)


def main() -> None:
    """Serve until ended."""
    port = reactor.listenUDP(0, Echo(), interface="127.0.0.1", maxPacketSize=2048)
    port.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    print(port.getHost().port, flush=True)
    reactor.run()


main()
