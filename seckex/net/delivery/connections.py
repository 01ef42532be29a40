"""TCP connections of units, both ways (docs/messages.md, section 2).

A connection has a number, and is the house's to judge: here octets become units, and nothing of them is looked at.
Octets that begin no unit, and units that the house refuses, end a connection.

Bounds: ``most`` connections that others have made; a further one is closed at once, and counted. The house drops those
over which nobody proves a name in time. What waits to be sent is the house's to bound, by `backlog`. While `pause`
holds nothing is read, and peers are held back by TCP.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.tcp import Connection
from twisted.logger import Logger
from twisted.python.failure import Failure

from seckex.errors import SeckexError
from seckex.net.delivery.calling import Call
from seckex.net.delivery.faces import Connected
from seckex.net.delivery.socket import ReadBuffer, UnitSocket
from seckex.net.principal import Clock

_log: Final = Logger()


class UnitConnection(Protocol):
    """One connection; ``peer`` is whom we called, None where somebody called us."""

    transport: Connection
    socket: UnitSocket | None = None

    def __init__(self, connections: Connections, number: int, peer: str | None) -> None:
        self._connections = connections
        self.number = number
        self.peer = peer

    def connectionMade(self) -> None:
        """Take the socket over."""
        self.transport.setTcpNoDelay(True)
        self.transport.setTcpKeepAlive(True)
        self.socket = self._connections.made(self)
        if self.socket is None:
            self.transport.abortConnection()
        else:
            self.socket.start()

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: ARG002  # the signature is Twisted's
        """Tell of it."""
        self._connections.gone(self)


class Connections:
    """All of a daemon's; ``house`` is set before any is made. ``seconds`` of silence are the house's to judge."""

    house: Connected

    def __init__(self, reactor: Any, clock: Clock, most: int, broken: Callable[[str, str], None]) -> None:
        self._reactor = reactor
        self._clock = clock
        self._broken = broken
        self.most = most
        self._buffer = ReadBuffer()
        self._last = 0
        self._open: dict[int, UnitConnection] = {}
        self._accepted = 0
        self._calls: dict[str, Call] = {}
        self._dirty: list[UnitSocket] = []
        self._due: IDelayedCall | None = None
        self._paused = False
        self._stopped = False
        self._empty: list[Deferred[None]] = []
        self.counts: Counter[str] = Counter()
        self._carried = [0, 0]

    def __len__(self) -> int:
        return len(self._open)

    @property
    def octets(self) -> tuple[int, int]:
        """What all connections have received and sent."""
        sockets = [each.socket for each in self._open.values() if each.socket is not None]
        return (
            self._carried[0] + sum(each.received for each in sockets),
            self._carried[1] + sum(each.sent for each in sockets),
        )

    @property
    def waiting(self) -> int:
        """The octets that wait to be sent."""
        return sum(each.socket.waiting for each in self._open.values() if each.socket is not None)

    # -- connections come and go

    def accept(self) -> UnitConnection | None:
        """Return the protocol of a connection that somebody has made, None where there are too many."""
        if self._stopped or self._accepted >= self.most:
            self.counts["refused"] += 1
            return None
        return self._another(None)

    def _another(self, peer: str | None) -> UnitConnection:
        self._last += 1
        return UnitConnection(self, self._last, peer)

    def made(self, connection: UnitConnection) -> UnitSocket | None:
        """Take note of a connection that is made; return what reads and writes it, None where it is not wanted."""
        if self._stopped:
            return None
        number, peer = connection.number, connection.peer
        self._open[number] = connection
        self._accepted += peer is None
        self.counts["accepted" if peer is None else "made"] += 1
        house, clock = self.house, self._clock
        socket = UnitSocket(
            self._reactor,
            connection.transport,
            self._buffer,
            lambda octets: house.unit(number, octets, clock.now()),
            lambda error: self._ended_by(number, error),
            lambda: house.writable(number, clock.now()),
            self._flush_soon,
        )
        socket.pause(self._paused)
        connection.socket = socket
        house.connected(number, peer, clock.now())
        return socket

    def gone(self, connection: UnitConnection) -> None:
        """Take note that one has ended."""
        if self._open.pop(connection.number, None) is None:
            return
        self._accepted -= connection.peer is None
        if connection.socket is not None:
            self._carried[0] += connection.socket.received
            self._carried[1] += connection.socket.sent
        call = self._calls.get(connection.peer or "")
        if call is not None:
            call.lost()
        self.house.lost(connection.number, self._clock.now())
        self._check_empty()

    def _ended_by(self, number: int, error: Exception) -> None:
        """End a connection over which came what cannot be read."""
        if isinstance(error, SeckexError):
            self.counts["broken"] += 1
            connection = self._open.get(number)
            if connection is not None:
                self._broken(connection.transport.getPeer().host, str(error))
        else:
            _log.failure("a unit could not be taken", Failure(error))
        self.drop(number)

    # -- what the house asks for

    def say(self, number: int, octets: bytes) -> None:
        """Send a unit, if the connection is there."""
        connection = self._open.get(number)
        if connection is not None and connection.socket is not None:
            connection.socket.say(octets)

    def backlog(self, number: int) -> int:
        """Return how many octets wait to be sent over a connection."""
        connection = self._open.get(number)
        return 0 if connection is None or connection.socket is None else connection.socket.waiting

    def drop(self, number: int) -> None:
        """Close a connection after what was said."""
        connection = self._open.get(number)
        if connection is not None and connection.socket is not None:
            connection.socket.finish()

    def call(self, peer: str) -> None:
        """Have a connection to ``peer`` made, as soon as it may be attempted."""
        call = self._calls.get(peer)
        if call is not None:
            call.begin()
        elif not self._stopped:
            self._reactor.callLater(0, self._not_called, peer, "there is no address")

    def _not_called(self, peer: str, why: str) -> None:
        self.counts["failed"] += 1
        self.house.unreachable(peer, why, self._clock.now())

    # -- the rest

    def meet(self, addresses: Mapping[str, tuple[str, int]]) -> None:
        """Call peers at these addresses from now on."""
        for peer in self._calls.keys() - addresses.keys():
            self._calls.pop(peer).stop()
        for peer, (host, port) in addresses.items():
            call = self._calls.get(peer)
            if call is None:
                self._calls[peer] = self._call_to(peer, host, port)
            elif (call.host, call.port) != (host, port):
                call.host, call.port = host, port
                call.hurry()

    def _call_to(self, peer: str, host: str, port: int) -> Call:
        return Call(
            self._reactor,
            host,
            port,
            lambda: self._another(peer),
            lambda why: self._not_called(peer, why),
            lambda: os.urandom(1)[0] / 255,
        )

    def pause(self, paused: bool) -> None:
        """Read nothing, or again."""
        if paused != self._paused:
            self._paused = paused
            self.counts["paused"] += paused
            for connection in self._open.values():
                if connection.socket is not None:
                    connection.socket.pause(paused)

    def _flush_soon(self, socket: UnitSocket) -> None:
        self._dirty.append(socket)
        if self._due is None:
            self._due = self._reactor.callLater(0, self.flush)

    def flush(self) -> None:
        """Send what was said."""
        if self._due is not None and self._due.active():
            self._due.cancel()
        self._due = None
        dirty, self._dirty = self._dirty, []
        for socket in dirty:
            socket.flush()

    def close(self) -> Deferred[None]:
        """Close all when what was said is sent, make no more; fires when they are gone."""
        self._stopped = True
        for call in self._calls.values():
            call.stop()
        self._calls.clear()
        for connection in tuple(self._open.values()):
            if connection.socket is not None:
                connection.socket.finish()
        if not self._open:
            return succeed(None)
        done: Deferred[None] = Deferred()
        self._empty.append(done)
        return done

    def _check_empty(self) -> None:
        if self._open:
            return
        empty, self._empty = self._empty, []
        for done in empty:
            done.callback(None)
