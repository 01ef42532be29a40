"""UDP at the edge: sockets in, datagrams out.

A `Path` that came in names the socket it came through, so that an answer leaves
from the address that was asked. A path to a name instead of an address is
looked up when it is used, at most once a minute.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, Final

from twisted.internet.interfaces import IHostResolution, IListeningPort, IResolutionReceiver
from twisted.internet.protocol import DatagramProtocol
from zope.interface import implementer

from seckex.machine import Path
from seckex.wire.numbers import MAX_MESSAGE

RESOLVED_FOR: Final = 60.0
# Room for a burst of a thousand requests in the kernel while the reactor is elsewhere.
RECEIVE_BUFFER: Final = 1 << 20

Received = Callable[[bytes, Path], None]


class Socket(DatagramProtocol):
    """One bound UDP socket; ``number`` stands in the paths of what comes through it."""

    noisy = False

    def __init__(self, number: int, received: Received) -> None:
        self._number = number
        self._received = received

    def startProtocol(self) -> None:
        """Make room in the kernel for bursts."""
        handle: socket.socket = self.transport.getHandle()  # type: ignore[union-attr]  # twisted.internet.udp.Port has it
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)

    def datagramReceived(self, datagram: bytes, addr: tuple[Any, ...]) -> None:
        """Hand a datagram on."""
        self._received(datagram, Path(addr[0], addr[1], self._number))

    def send(self, octets: bytes, host: str, port: int) -> None:
        """Send; a kernel without room or route drops it, which retransmission makes up for."""
        if self.transport is not None:
            try:
                self.transport.write(octets, (host, port))
            except OSError:
                return


@implementer(IResolutionReceiver)
class _Lookup:
    """Collects the addresses of one look-up."""

    def __init__(self, done: Callable[[list[str]], None]) -> None:
        self._done = done
        self._found: list[str] = []

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        """Nothing to do."""

    def addressResolved(self, address: Any) -> None:
        """Take note of one address."""
        self._found.append(address.host)

    def resolutionComplete(self) -> None:
        """Hand on what was found."""
        self._done(self._found)


class Datagrams:
    """All UDP sockets of a daemon.

    A responder binds what its configuration says; an initiator sends from one
    unbound socket for each family, made when first needed.
    """

    def __init__(self, reactor: Any, received: Received) -> None:
        self._reactor = reactor
        self._received = received
        self._sockets: dict[int, Socket] = {}
        self._ports: list[IListeningPort] = []
        self._made = 0
        self._by_family: dict[int, int] = {}
        self._resolved: dict[str, tuple[float, str]] = {}

    def bind(self, host: str, port: int) -> IListeningPort:
        """Listen on an address; raises `twisted.internet.error.CannotListenError`."""
        protocol = Socket(self._made, self._received)
        listening: IListeningPort = self._reactor.listenUDP(
            port, protocol, interface=host, maxPacketSize=MAX_MESSAGE + 1
        )
        return self._took(protocol, listening)

    def adopt(self, bound: socket.socket) -> IListeningPort:
        """Listen on a socket that is bound already, and take it over."""
        protocol = Socket(self._made, self._received)
        listening: IListeningPort = self._reactor.adoptDatagramPort(
            bound.fileno(), bound.family, protocol, maxPacketSize=MAX_MESSAGE + 1
        )
        # The reactor has a descriptor of its own for it.
        bound.close()
        return self._took(protocol, listening)

    def _took(self, protocol: Socket, listening: IListeningPort) -> IListeningPort:
        self._sockets[self._made] = protocol
        self._made += 1
        self._ports.append(listening)
        return listening

    def drop(self, port: IListeningPort) -> Any:
        """Listen on ``port`` no more; return a Deferred of that, or None."""
        self._ports.remove(port)
        for number, each in tuple(self._sockets.items()):
            if each.transport is port:  # type: ignore[comparison-overlap]  # a udp.Port is both
                del self._sockets[number]
        return port.stopListening()

    def send(self, octets: bytes, path: Path) -> None:
        """Send to ``path``, looking its name up if it is one."""
        if path.via is not None:
            # The address may have been taken away since it was asked; nothing else of ours may answer for it.
            asked = self._sockets.get(path.via)
            if asked is not None:
                asked.send(octets, path.host, path.port)
            return
        if _is_address(path.host):
            self._send_from_own(octets, path.host, path.port)
            return
        until, address = self._resolved.get(path.host, (0.0, ""))
        if until > self._reactor.seconds():
            self._send_from_own(octets, address, path.port)
            return

        def found(addresses: list[str]) -> None:
            if addresses:
                self._resolved[path.host] = (self._reactor.seconds() + RESOLVED_FOR, addresses[0])
                self._send_from_own(octets, addresses[0], path.port)

        self._reactor.nameResolver.resolveHostName(_Lookup(found), path.host, path.port)

    def _send_from_own(self, octets: bytes, host: str, port: int) -> None:
        family = ip_address(host).version
        if family not in self._by_family:
            number = self._made
            self.bind("0.0.0.0" if family == 4 else "::", 0)  # noqa: S104  # unbound: the route decides
            self._by_family[family] = number
        self._sockets[self._by_family[family]].send(octets, host, port)

    def stop(self) -> list[Any]:
        """Close all sockets; return Deferreds of that."""
        ports, self._ports = self._ports, []
        return [port.stopListening() for port in ports]


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
