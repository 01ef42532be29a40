"""The sockets of an agent's passage: what one receives, the other sends, from the same place.

As for links (`seckex.net.descriptor`) the socket is borrowed from its transport,
which stays its owner and closes it. One read fills a buffer, the passage makes
of it what is to be sent, and the other socket sends it. What that does not take
keeps the buffer, and nothing is read any more until it has gone: so a slow
receiver slows the sender down, by TCP itself.
"""

from __future__ import annotations

import socket
from typing import Final, Protocol

from twisted.internet.interfaces import IDelayedCall, IReadWriteDescriptor
from twisted.internet.main import CONNECTION_LOST
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure
from zope.interface import implementer

from seckex.net.descriptor import LINGER, StreamReactor
from seckex.net.passages.buffers import Buffers

_DISCARD: Final = 65536


class Joint(Protocol):
    """Who has the two sockets."""

    def came(self, at: HopSocket, octets: memoryview) -> int:
        """Take what has come, make of it what is to be sent on, and return how much is used up and to be sent."""
        ...

    def came_to_end(self, at: HopSocket) -> None:
        """Take note that no more will come."""
        ...

    def drained(self, at: HopSocket) -> None:
        """Take note that everything that waited has been sent."""
        ...


@implementer(IReadWriteDescriptor)
class HopSocket:
    """The socket of one hop; what is used up of what comes is sent by ``onward``, where there is one."""

    def __init__(self, reactor: StreamReactor, transport: Connection, joint: Joint, buffers: Buffers) -> None:
        self._reactor = reactor
        self._transport = transport
        self._joint = joint
        self._buffers = buffers
        self._socket: socket.socket = transport.getHandle()
        self._receive = self._socket.recv_into
        self._send = self._socket.send
        self._backlog: memoryview | None = None
        self._lent: memoryview | None = None
        self._reading = False
        self._finishing = False
        self._shut = False
        self._over = False
        self._heard_all = False
        self._gone = False
        self._linger: IDelayedCall | None = None
        self._turn: IDelayedCall | None = None
        self.onward: HopSocket | None = None
        self.unused = b""
        # What is unused has whole frames, which are used in turns of their own; nothing is read until then.
        self.crowded = False
        # How much is read at once.
        self.most: int | None = None
        transport.setTcpNoDelay(True)
        transport.setTcpKeepAlive(True)
        transport.pauseProducing()

    # What the passage wants.

    def read(self, wanted: bool) -> None:
        """Read, or stop reading."""
        if wanted != self._reading and not self._gone:
            self._reading = wanted
            (self._reactor.addReader if wanted else self._reactor.removeReader)(self)

    @property
    def reading(self) -> bool:
        """Whether it is read from."""
        return self._reading

    @property
    def waiting(self) -> bool:
        """Whether something could not be sent yet."""
        return self._backlog is not None

    def say(self, octets: bytes | bytearray) -> None:
        """Send octets after everything that waits."""
        if self._gone or not octets:
            return
        if self._backlog is None:
            self._forward(memoryview(octets), None)
            return
        self._backlog = memoryview(bytes(self._backlog) + octets)
        self._give_back()

    def use(self) -> None:
        """Use what is ``unused``, as if it came now."""
        buffer = self._buffers.take()
        count = len(self.unused)
        if count > len(buffer):
            buffer = memoryview(bytearray(count))
        buffer[:count] = self.unused
        self._use(buffer, count)

    def use_soon(self) -> None:
        """Use what is ``unused`` in a turn of its own, and go on when it has been."""
        if self._turn is None and not self._gone:
            self._turn = self._reactor.callLater(0, self._take_turn)

    def _take_turn(self) -> None:
        self._turn = None
        onward = self.onward
        # What waits there is drained first, which comes back here.
        if onward is None or self._over or onward.waiting:
            return
        self.use()
        if not self.crowded and not onward.waiting and not self._gone:
            self._joint.drained(onward)

    def end(self) -> None:
        """End this direction when everything has been sent."""
        self._finishing = True
        if self._backlog is None:
            self._shut_down()

    def finish(self) -> None:
        """Disconnect when everything has been sent and the other end has gone too, after `LINGER` seconds at most."""
        if not self._gone and not self._over:
            self._over = True
            self.onward = None
            self._linger = self._reactor.callLater(LINGER, self._give_up)
            self.end()
            self.read(not self._heard_all)
            self._check_over()

    def abort(self) -> None:
        """Disconnect now."""
        if not self._gone:
            self._leave()
            self._transport.abortConnection()

    # What the reactor calls.

    def fileno(self) -> int:
        """Return the descriptor, -1 when it is gone."""
        return -1 if self._gone else self._socket.fileno()

    def logPrefix(self) -> str:
        """Return what log lines begin with."""
        return "passage"

    def doRead(self) -> Exception | None:  # type: ignore[override]  # the interface says Failure, the reactor takes these
        """Receive, and send on."""
        if self._over:
            return self._discard()
        buffer = self._buffers.take()
        at = len(self.unused)
        if at:
            buffer[:at] = self.unused
        try:
            count = self._receive(buffer[at : self.most])
        except BlockingIOError:
            self._buffers.give(buffer)
            return None
        except OSError:
            self._buffers.give(buffer)
            return CONNECTION_LOST
        if count:
            self._use(buffer, at + count)
            return None
        self._buffers.give(buffer)
        self.read(False)
        self._heard_all = True
        self._joint.came_to_end(self)
        return None

    def _discard(self) -> Exception | None:
        try:
            octets = self._socket.recv(_DISCARD)
        except BlockingIOError:
            return None
        except OSError:
            return CONNECTION_LOST
        if not octets:
            self.read(False)
            self._heard_all = True
            self._check_over()
        return None

    def _use(self, buffer: memoryview, end: int) -> None:
        onward = self.onward
        used = self._joint.came(self, buffer[:end])
        self.unused = bytes(buffer[used:end])
        if onward is None or not used:
            self._buffers.give(buffer)
        elif not onward._forward(buffer[:used], buffer):
            self.read(False)
        elif self.crowded:
            self.read(False)
            self.use_soon()

    def _forward(self, octets: memoryview, lent: memoryview | None) -> bool:
        """Send; what cannot go waits, and with it the buffer that was ``lent``. Tell whether all has gone."""
        try:
            count = self._send(octets)
        except BlockingIOError:
            count = 0
        except OSError:
            # The reactor will tell of it.
            count = len(octets)
        if count == len(octets):
            if lent is not None:
                self._buffers.give(lent)
            return True
        self._backlog, self._lent = octets[count:], lent
        self._reactor.addWriter(self)
        return False

    def doWrite(self) -> Exception | None:  # type: ignore[override]  # as above
        """Send what waits."""
        backlog = self._backlog
        if backlog is not None:
            try:
                count = self._send(backlog)
            except BlockingIOError:
                return None
            except OSError:
                return CONNECTION_LOST
            if count < len(backlog):
                self._backlog = backlog[count:]
                return None
        self._backlog = None
        self._give_back()
        self._reactor.removeWriter(self)
        if self._finishing:
            self._shut_down()
        if self._over:
            self._check_over()
        else:
            self._joint.drained(self)
        return None

    def connectionLost(self, reason: Failure) -> None:
        """Give the socket back to its transport, which closes it."""
        if not self._gone:
            self._leave()
            self._transport.connectionLost(reason)

    # The rest.

    def _give_back(self) -> None:
        lent, self._lent = self._lent, None
        if lent is not None:
            self._buffers.give(lent)

    def _shut_down(self) -> None:
        if not self._shut and not self._gone:
            self._shut = True
            try:
                self._socket.shutdown(socket.SHUT_WR)
            except OSError:
                self.abort()

    def _check_over(self) -> None:
        if self._heard_all and self._backlog is None and not self._gone:
            self._leave()
            self._transport.loseConnection()

    def _give_up(self) -> None:
        self._linger = None
        self.abort()

    def _leave(self) -> None:
        self._reactor.removeReader(self)
        self._reactor.removeWriter(self)
        self._gone = True
        self._reading = False
        self._backlog = None
        self._give_back()
        for call in (self._linger, self._turn):
            if call is not None and call.active():
                call.cancel()
        self._linger = self._turn = None
