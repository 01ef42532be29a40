"""UDP at the edge: sockets in, datagrams out.

A `Path` that came in names the socket it came through, so that an answer leaves
from the address that was asked. A path to a name instead of an address is
looked up by `seckex.net.names`.

What comes is shown to the node's gate first. What the gate answers leaves at
once, through the socket itself: that is the way of a flood, and it goes
through nothing that costs more than a call.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, Final

from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import DatagramProtocol

from seckex.machine import Path
from seckex.net.multicast import Place, is_group
from seckex.net.names import Names
from seckex.wire.numbers import MAX_DATAGRAM

# Room for a burst of a thousand requests in the kernel while the reactor is elsewhere.
RECEIVE_BUFFER: Final = 1 << 20

Received = Callable[[bytes, Path], None]
Judge = Callable[[bytes, str, int], bytes | None]
Trouble = Callable[[Path, str], None]


class Socket(DatagramProtocol):
    """One bound UDP socket; ``number`` stands in the paths of what comes through it."""

    noisy = False

    def __init__(self, number: int, judge: Judge, received: Received) -> None:
        self._number = number
        self._judge = judge
        self._received = received
        self._handle: socket.socket

    def startProtocol(self) -> None:
        """Make room in the kernel for bursts."""
        self._handle = self.transport.getHandle()  # type: ignore[union-attr]  # twisted.internet.udp.Port has it
        self._handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)

    def datagramReceived(self, datagram: bytes, addr: tuple[Any, ...]) -> None:
        """Hand a datagram on, unless it is answered or dropped at the gate."""
        answer = self._judge(datagram, addr[0], addr[1])
        if answer is None:
            self._received(datagram, Path(addr[0], addr[1], self._number))
        elif answer:
            try:
                self._handle.sendto(answer, addr)
            except OSError:
                return

    def aim(self, place: Place) -> None:
        """Let what is said to groups leave at ``place``; raises OSError."""
        place.aim(self._handle)

    def send(self, octets: bytes, host: str, port: int) -> str:
        """Send; return why it could not be, which retransmission makes up for, or nothing."""
        if self.transport is not None:
            try:
                # As replies to floods do, past what Twisted looks at for each.
                self._handle.sendto(octets, (host, port))
            except ConnectionRefusedError:
                # Of an earlier datagram.
                return ""
            except OSError as error:
                return os.strerror(error.errno) if error.errno else str(error)
        return ""


class Datagrams:
    """All UDP sockets of a daemon.

    A responder binds what its configuration says; an initiator sends from one
    unbound socket for each family, made when first needed. ``judge`` sees what
    comes before ``received`` does; ``trouble`` hears why a request could not be sent. ``place`` is where
    what unbound sockets say to multicast groups leaves.
    """

    def __init__(
        self, reactor: Any, judge: Judge, received: Received, trouble: Trouble, place: Place | None = None
    ) -> None:
        self._reactor = reactor
        self._place = place
        self._judge = judge
        self._received = received
        self._trouble = trouble
        self._sockets: dict[int, Socket] = {}
        self._ports: list[IListeningPort] = []
        self._made = 0
        self._by_family: dict[int, int] = {}
        self._names = Names(reactor)

    def bind(self, host: str, port: int) -> IListeningPort:
        """Listen on an address; raises `twisted.internet.error.CannotListenError`."""
        protocol = Socket(self._made, self._judge, self._received)
        listening: IListeningPort = self._reactor.listenUDP(
            port, protocol, interface=host, maxPacketSize=MAX_DATAGRAM + 1
        )
        return self._took(protocol, listening)

    def adopt(self, bound: socket.socket) -> IListeningPort:
        """Listen on a socket that is bound already, and take it over."""
        protocol = Socket(self._made, self._judge, self._received)
        listening: IListeningPort = self._reactor.adoptDatagramPort(
            bound.fileno(), bound.family, protocol, maxPacketSize=MAX_DATAGRAM + 1
        )
        # The reactor has a descriptor of its own for it.
        bound.close()
        return self._took(protocol, listening)

    def _took(self, protocol: Socket, listening: IListeningPort) -> IListeningPort:
        self._sockets[self._made] = protocol
        self._made += 1
        self._ports.append(listening)
        return listening

    def number_of(self, host: str) -> int | None:
        """Return what stands in the paths of what comes to ``host``, or to all addresses; None where nothing does."""
        bound = {str(each.transport.getHost().host): number for number, each in self._sockets.items() if each.transport}
        family = ip_address(host).version
        return bound.get(host, bound.get("0.0.0.0" if family == 4 else "::"))  # noqa: S104  # where it is bound

    def drop(self, port: IListeningPort) -> Any:
        """Listen on ``port`` no more; return a Deferred of that, or None."""
        self._ports.remove(port)
        for number, each in tuple(self._sockets.items()):
            if each.transport is port:  # type: ignore[comparison-overlap]  # a udp.Port is both
                del self._sockets[number]
        return port.stopListening()

    def send(self, octets: bytes, path: Path) -> None:
        """Send to ``path``, looking its name up if it is one; what is too long for a datagram never leaves."""
        if len(octets) > MAX_DATAGRAM:
            self._trouble(path, f"{len(octets)} octets are too long for a datagram")
        elif path.via is not None:
            # The address may have been taken away since it was asked; nothing else of ours may answer for it.
            asked = self._sockets.get(path.via)
            if asked is not None:
                asked.send(octets, path.host, path.port)
        elif _is_address(path.host):
            self._send_from_own(octets, path, path.host)
        else:
            self._names.ask(
                path.host,
                path.port,
                lambda address: self._send_from_own(octets, path, address),
                lambda why: self._trouble(path, why),
            )

    def _send_from_own(self, octets: bytes, path: Path, address: str) -> None:
        family = ip_address(address).version
        if family not in self._by_family:
            number = self._made
            self.bind("0.0.0.0" if family == 4 else "::", 0)  # noqa: S104  # unbound: the route decides
            self._by_family[family] = number
        if self._place is not None and is_group(address):
            try:
                self._sockets[self._by_family[family]].aim(self._place)
            except OSError as error:
                self._trouble(path, f"sending to {address}: {os.strerror(error.errno) if error.errno else error}")
                return
        why = self._sockets[self._by_family[family]].send(octets, address, path.port)
        if why:
            self._trouble(path, f"sending to {address}: {why}")

    def heard(self, address: str) -> None:
        """Take note that an answer has come from ``address``: a name that has it is asked there from now on."""
        self._names.heard(address)

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
