"""General messages over TCP, for those that are too long for a datagram (docs/protocol.md, section 2).

Each message is preceded by its length in 16 bits. What comes goes to the node
like a datagram, with a path that names its connection, so that the answer goes
back over the same. A connection that the node asks for by host and port is
made when the first message is to be sent, kept while it is used, and made anew
when it is needed again: repeating a request is the business of the exchange.

Bounds: ``most`` accepted connections. For one more, the one is dropped that has
been silent longest of those from the part of the net that has most of them. A
connection whose first message is not there whole `FIRST_WITHIN` seconds after it
was made, or whose next is not `IDLE_FOR` seconds after the last, is closed. A
peer that does not read its answers is not read from. The side that asks drops a
connection over which nothing has come for `ANSWER_WITHIN` seconds after a
request: a path may have gone dead without a word, and the request is repeated over a new one.
"""

from __future__ import annotations

import struct
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable
from typing import Any, Final

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure
from zope.interface import implementer

from seckex.machine import Path
from seckex.wire.numbers import HEADER_SIZE, MAX_MESSAGE

FIRST_WITHIN: Final = 10.0
IDLE_FOR: Final = 60.0
# The side that has asked closes first, so that an answer never meets a closed connection.
ASKING_IDLE_FOR: Final = 30.0
ANSWER_WITHIN: Final = 7.0
CONNECT_WITHIN: Final = 10
_MOST_WAITING: Final = 8

_LENGTH: Final = struct.Struct(">H")


@implementer(IPushProducer)
class MessageConnection(Protocol):
    """One connection that carries general messages, whichever side made it.

    ``got`` is called with each message and this connection, ``gone`` when it is over;
    ``foreign`` tells then whether what came was no such message.
    """

    transport: Connection

    def __init__(
        self,
        reactor: Any,
        got: Callable[[bytes, MessageConnection], None],
        gone: Callable[[MessageConnection], None],
        *,
        asking: bool,
    ) -> None:
        self._reactor = reactor
        self._got = got
        self._gone = gone
        self._asking = asking
        self._unanswered = False
        self._paused = False
        self._buffer = bytearray()
        self._timer: IDelayedCall | None = None
        self.number = 0
        self.source: Hashable = None
        self.foreign = False

    def connectionMade(self) -> None:
        """Start the clock."""
        self.transport.setTcpNoDelay(True)
        self.transport.registerProducer(self, True)
        self._timer = self._reactor.callLater(FIRST_WITHIN, self._expired)

    def dataReceived(self, data: bytes) -> None:
        """Hand on every message that is whole."""
        buffer = self._buffer
        buffer += data
        while len(buffer) >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(buffer)
            if not HEADER_SIZE <= size <= MAX_MESSAGE:
                self.foreign = True
                self.abort()
                return
            end = _LENGTH.size + size
            if len(buffer) < end:
                return
            message = bytes(buffer[_LENGTH.size : end])
            del buffer[:end]
            self._unanswered = False
            self._used(ASKING_IDLE_FOR if self._asking else IDLE_FOR)
            self._got(message, self)
            if self._timer is None:
                return

    def send(self, octets: bytes) -> None:
        """Send a message, unless the connection is over."""
        if self._timer is not None:
            if not self._asking:
                self._used(IDLE_FOR)
            elif not self._unanswered:
                self._unanswered = True
                self._used(ANSWER_WITHIN)
            self.transport.write(_LENGTH.pack(len(octets)) + octets)

    def _used(self, expires: float) -> None:
        if self._timer is not None:
            self._timer.reset(expires)

    def _expired(self) -> None:
        if self._unanswered or self._paused:
            self.abort()
            return
        self._stop()
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def abort(self) -> None:
        """Disconnect now."""
        self._stop()
        self.transport.abortConnection()

    def _stop(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: ARG002  # the signature is Twisted's
        """Tell of it."""
        self._stop()
        self._gone(self)

    # What the transport asks for.

    def pauseProducing(self) -> None:
        """Read no requests while answers are not taken."""
        self._paused = True
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """Read again."""
        self._paused = False
        self.transport.resumeProducing()

    def stopProducing(self) -> None:
        """Nothing to do: the connection is going."""


@define
class _Asked:
    """A connection that is being made or stands, and what waits for it."""

    waiting: list[bytes] = field(factory=list)
    connection: MessageConnection | None = None
    connecting: Deferred[Any] | None = None


class Messages:
    """All connections of a daemon that carry general messages.

    ``received`` takes what comes, ``trouble`` hears why a connection could not
    be made, ``source`` tells the part of the net of an address. ``counts`` has what was turned away.
    """

    def __init__(
        self,
        reactor: Any,
        received: Callable[[bytes, Path], None],
        trouble: Callable[[Path, str], None],
        source: Callable[[str], Hashable],
        most: int = 256,
    ) -> None:
        self._reactor = reactor
        self._received = received
        self._trouble = trouble
        self._source = source
        self.most = most
        self._last = 0
        self._accepted: dict[int, MessageConnection] = {}
        self._made: dict[int, MessageConnection] = {}
        self._asked: dict[tuple[str, int], _Asked] = {}
        self._stopped = False
        self.counts: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._accepted) + len(self._made)

    # -- what comes

    def accept(self, host: str) -> MessageConnection:
        """Return the protocol of a connection that came from ``host``; for one too many another one is dropped."""
        if len(self._accepted) >= self.most:
            self.counts["dropped"] += 1
            self._one_too_many().abort()
        connection = MessageConnection(self._reactor, self._got, self._ended, asking=False)
        connection.source = self._source(host)
        self._enter(connection, self._accepted)
        return connection

    def _enter(self, connection: MessageConnection, table: dict[int, MessageConnection]) -> None:
        self._last += 1
        connection.number = self._last
        table[self._last] = connection

    def _one_too_many(self) -> MessageConnection:
        by_source: defaultdict[Hashable, list[MessageConnection]] = defaultdict(list)
        for connection in self._accepted.values():
            by_source[connection.source].append(connection)
        # The table is in the order of what came last over each.
        victim = max(by_source.values(), key=len)[0]
        del self._accepted[victim.number]
        return victim

    def _got(self, octets: bytes, connection: MessageConnection) -> None:
        if self._accepted.pop(connection.number, None) is not None:
            self._accepted[connection.number] = connection
        peer = connection.transport.getPeer()
        self._received(octets, Path(peer.host, peer.port, connection.number, tcp=True))

    def _ended(self, connection: MessageConnection) -> None:
        if connection.foreign:
            self.counts["foreign"] += 1
        self._accepted.pop(connection.number, None)
        self._made.pop(connection.number, None)
        for name, asked in list(self._asked.items()):
            if asked.connection is connection:
                del self._asked[name]

    # -- what goes

    def send(self, octets: bytes, path: Path) -> None:
        """Send over the connection that ``path`` names, or over one to its host and port."""
        if path.via is not None:
            connection = self._accepted.get(path.via) or self._made.get(path.via)
            if connection is not None:
                connection.send(octets)
            return
        asked = self._asked.get(path[:2])
        if asked is None:
            if self._stopped:
                return
            asked = self._asked[path[:2]] = _Asked()
            self._connect(path, asked)
        if asked.connection is not None:
            asked.connection.send(octets)
        elif len(asked.waiting) < _MOST_WAITING and octets not in asked.waiting:
            asked.waiting.append(octets)

    def _connect(self, path: Path, asked: _Asked) -> None:
        def connected(connection: MessageConnection) -> None:
            if self._stopped:
                connection.abort()
                return
            self._enter(connection, self._made)
            asked.connection = connection
            waiting, asked.waiting = asked.waiting, []
            for octets in waiting:
                connection.send(octets)

        def failed(failure: Failure) -> None:
            if self._asked.get(path[:2]) is asked:
                del self._asked[path[:2]]
            if not self._stopped:
                self._trouble(path, f"connecting over TCP: {failure.getErrorMessage()}")

        protocol = MessageConnection(self._reactor, self._got, self._ended, asking=True)
        endpoint = HostnameEndpoint(self._reactor, path.host, path.port, timeout=CONNECT_WITHIN)
        asked.connecting = connectProtocol(endpoint, protocol)
        asked.connecting.addCallback(connected).addErrback(failed)

    def stop(self) -> None:
        """Close all connections and make no more."""
        self._stopped = True
        for connection in (*self._accepted.values(), *self._made.values()):
            connection.abort()
        for asked in tuple(self._asked.values()):
            if asked.connection is None and asked.connecting is not None:
                asked.connecting.cancel()
