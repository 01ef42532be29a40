"""The socket of a connection of units, read and written with few copies.

As a link's (`seckex.net.descriptor`) it is borrowed from its transport, which stays its owner. All connections read
into one buffer, `READ` octets at a time; what is left of a unit that is not whole yet is all that a connection keeps.
What is said in one turn of the reactor goes out together, as it was given, without being joined.

After the last word the connection is shut down for writing, and what still comes is thrown away until the peer has
closed too, `LINGER` seconds at most, so that the last word is not lost to a reset.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReadWriteDescriptor
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure
from zope.interface import implementer

from seckex.net.descriptor import StreamReactor
from seckex.wire.units import unit_size

LINGER: Final = 5.0
READ: Final = 1 << 18
#: Below this a connection takes more.
LOW: Final = 1 << 18

# The longest unit: docs/messages.md, section 14, and what stands around it.
_LONGEST: Final = 1 << 17
_MOST_PIECES: Final = 512
_MOST_AT_ONCE: Final = 1 << 20
_DISCARD: Final = 1 << 16


class ReadBuffer:
    """Where all connections of a daemon read into, one after the other."""

    __slots__ = ("octets", "view")

    def __init__(self) -> None:
        self.octets = bytearray(_LONGEST + READ)
        self.view = memoryview(self.octets)


@implementer(IReadWriteDescriptor)
class UnitSocket:
    """Moves units between ``transport``'s socket and whoever takes them.

    ``take`` is given each whole unit; what it raises is given to ``broken``, as is why octets begin no unit.
    ``writable`` is called when little waits, ``soon`` asks for `flush` at the end of the reactor's turn.
    """

    def __init__(
        self,
        reactor: StreamReactor,
        transport: Connection,
        buffer: ReadBuffer,
        take: Callable[[bytes], None],
        broken: Callable[[Exception], None],
        writable: Callable[[], None],
        soon: Callable[[UnitSocket], None],
    ) -> None:
        self._reactor = reactor
        self._transport = transport
        self._buffer = buffer
        self._take = take
        self._broken = broken
        self._writable = writable
        self._soon = soon
        self._socket: socket.socket = transport.getHandle()
        self._rest = b""
        self._out: deque[bytes | memoryview] = deque()
        self._started = False
        self._paused = False
        self._reading = False
        self._writing = False
        self._asked = False
        self._closing = False
        self._shut = False
        self._gone = False
        self._linger: IDelayedCall | None = None
        #: Octets that wait to be sent, and all that went each way.
        self.waiting = 0
        self.sent = 0
        self.received = 0

    def start(self) -> None:
        """Take the socket over from its transport."""
        self._transport.pauseProducing()
        self._started = True
        self._read(not self._paused)

    # What the house asks for.

    def say(self, octets: bytes) -> None:
        """Send a unit when this turn of the reactor is over."""
        if self._closing or self._gone:
            return
        self._out.append(octets)
        self.waiting += len(octets)
        if not self._asked and not self._writing:
            self._asked = True
            self._soon(self)

    def finish(self) -> None:
        """Disconnect when all is said."""
        if self._gone or self._closing:
            return
        self._closing = True
        self._linger = self._reactor.callLater(LINGER, self._give_up)
        if not self._out:
            self._shut_down()

    def abort(self) -> None:
        """Disconnect now."""
        if not self._gone:
            self._leave()
            self._transport.abortConnection()

    def pause(self, paused: bool) -> None:
        """Read no more, or again."""
        self._paused = paused
        if self._started and not self._gone and not self._closing:
            self._read(not paused)

    def flush(self) -> None:
        """Send what waits, as far as the kernel takes it; the rest later."""
        self._asked = False
        if self._gone or self._writing:
            return
        if not self._send():
            return
        if self._out:
            self._writing = True
            self._reactor.addWriter(self)

    def _send(self) -> bool:
        out, budget = self._out, _MOST_AT_ONCE
        while out and budget > 0:
            pieces = list(out) if len(out) <= _MOST_PIECES else [out[at] for at in range(_MOST_PIECES)]
            try:
                count = self._socket.sendmsg(pieces)
            except BlockingIOError:
                break
            except OSError:
                self._lost()
                return False
            self.waiting -= count
            self.sent += count
            budget -= count
            while count:
                first = out.popleft()
                if len(first) > count:
                    out.appendleft(memoryview(first)[count:])
                    break
                count -= len(first)
        if self._closing:
            if not out:
                self._shut_down()
        elif self.waiting < LOW:
            self._writable()
        return not self._gone

    # What the reactor calls.

    def fileno(self) -> int:
        """Return the descriptor, -1 when it is gone."""
        return -1 if self._gone else self._socket.fileno()

    def logPrefix(self) -> str:
        """Return what log lines begin with."""
        return "messages"

    def doRead(self) -> Exception | None:  # type: ignore[override]  # the interface says Failure, the reactor takes these
        """Receive, and hand on what is whole."""
        if self._closing:
            return self._discard()
        view, rest = self._buffer.view, self._rest
        end = len(rest)
        view[:end] = rest
        try:
            count = self._socket.recv_into(view[end:])
        except BlockingIOError:
            return None
        except OSError:
            return CONNECTION_LOST
        if not count:
            return CONNECTION_DONE
        self.received += count
        self._hand_on(end + count)
        return None

    def _hand_on(self, end: int) -> None:
        view, at, take = self._buffer.view, 0, self._take
        try:
            while at < end:
                size = unit_size(view[at:end])
                if size is None or at + size > end:
                    break
                take(bytes(view[at : at + size]))
                at += size
                if self._closing or self._gone:
                    return
        except Exception as error:
            self._broken(error)
            return
        self._rest = bytes(view[at:end])

    def _discard(self) -> Exception | None:
        try:
            return None if self._socket.recv(_DISCARD) else CONNECTION_DONE
        except BlockingIOError:
            return None
        except OSError:
            return CONNECTION_LOST

    def doWrite(self) -> Exception | None:  # type: ignore[override]  # as above
        """Send more."""
        if self._send() and not self._out and self._writing:
            self._writing = False
            self._reactor.removeWriter(self)
        return None

    def connectionLost(self, reason: Failure) -> None:
        """Give the socket back to its transport, which closes it."""
        if not self._gone:
            self._leave()
            self._transport.connectionLost(reason)

    # The rest.

    def _read(self, wanted: bool) -> None:
        if wanted != self._reading:
            self._reading = wanted
            (self._reactor.addReader if wanted else self._reactor.removeReader)(self)

    def _lost(self) -> None:
        self.connectionLost(Failure(CONNECTION_LOST))

    def _shut_down(self) -> None:
        if self._shut:
            return
        self._shut = True
        if self._writing:
            self._writing = False
            self._reactor.removeWriter(self)
        self._read(True)
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.abort()

    def _give_up(self) -> None:
        self._linger = None
        self.abort()

    def _leave(self) -> None:
        self._reactor.removeReader(self)
        self._reactor.removeWriter(self)
        self._gone = True
        self._rest = b""
        self._out.clear()
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
