"""The socket of a link, read and written without copies.

Twisted's own transport joins what it is given into one string before it sends
it, and hands over what it read as a new one; at 64 KiB a record that costs as
much as sealing them. So the protocol of a link borrows the socket of its
transport (`ISystemHandle`), has the reactor call this descriptor for it
(`IReactorFDSet`), receives into the link's inbox and sends from its outbox, at
once, as far as the kernel takes it. The transport stays the owner: it is never
written to, does not read, and closes the socket in the end.

After a link has closed, what its outbox holds is sent, the connection is shut
down, and what still comes is thrown away until the peer has closed too, so that
CLOSE is not lost to a reset; `LINGER` seconds at most.
"""

from __future__ import annotations

import socket
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorFDSet, IReactorTime, IReadWriteDescriptor
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure
from zope.interface import implementer

from seckex.dialog.link import Link

LINGER: Final = 5.0

_DISCARD: Final = 65536


class StreamReactor(IReactorFDSet, IReactorTime):
    """What a descriptor needs of a reactor."""


@implementer(IReadWriteDescriptor)
class LinkDescriptor:
    """Moves octets between a link and the socket of ``transport``."""

    def __init__(self, reactor: StreamReactor, transport: Connection, link: Link) -> None:
        self._reactor = reactor
        self._transport = transport
        self._link = link
        self._inbox = link.inbox
        self._outbox = link.outbox
        self._socket: socket.socket = transport.getHandle()
        self._send = self._socket.send
        self._receive = self._socket.recv_into
        self._reading = False
        self._writing = False
        self._closing = False
        self._politely = False
        self._shut = False
        self._gone = False
        self._linger: IDelayedCall | None = None

    def start(self) -> None:
        """Take the socket over from its transport."""
        self._transport.pauseProducing()
        self._read(True)

    # What the link asks for.

    def flush(self) -> None:
        """Send what the outbox holds, as far as it can be; the rest later."""
        if self._writing or self._gone:
            return
        outbox = self._outbox
        try:
            count = self._send(outbox.view[outbox.start : outbox.end])
        except BlockingIOError:
            count = 0
        except OSError:
            self.abort()
            return
        outbox.start += count
        if outbox.start == outbox.end:
            outbox.start = outbox.end = 0
        else:
            self._writing = True
            self._reactor.addWriter(self)

    def finish(self, politely: bool) -> None:
        """Disconnect when the outbox is empty: shut down and wait for the peer to do so too if ``politely``."""
        if self._gone or self._closing:
            return
        self._closing = True
        self._linger = self._reactor.callLater(LINGER, self._give_up)
        self._politely = politely
        if not self._writing:
            self._shut_down()

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
        return "link"

    def doRead(self) -> Exception | None:  # type: ignore[override]  # the interface says Failure, the reactor takes these
        """Receive."""
        if self._closing:
            return self._discard()
        inbox = self._inbox
        try:
            count = self._receive(inbox.space())
        except BlockingIOError:
            return None
        except OSError:
            return CONNECTION_LOST
        if not count:
            return CONNECTION_DONE
        inbox.end += count
        self._link.use_inbox()
        if self._writing and self._link.congested and not self._closing:
            self._read(False)
        return None

    def _discard(self) -> Exception | None:
        try:
            return None if self._socket.recv(_DISCARD) else CONNECTION_DONE
        except BlockingIOError:
            return None
        except OSError:
            return CONNECTION_LOST

    def doWrite(self) -> Exception | None:  # type: ignore[override]  # as above
        """Send the rest of an outbox."""
        outbox = self._outbox
        try:
            outbox.sent(self._send(outbox.view[outbox.start : outbox.end]))
        except BlockingIOError:
            return None
        except OSError:
            return CONNECTION_LOST
        if outbox.end != outbox.start:
            return None
        self._writing = False
        self._link.drained()
        if not self._writing and not self._gone:
            self._reactor.removeWriter(self)
            if self._closing:
                self._shut_down()
            else:
                self._read(True)
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

    def _shut_down(self) -> None:
        if self._shut:
            return
        self._shut = True
        if not self._politely:
            self._leave()
            self._transport.loseConnection()
            return
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
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
