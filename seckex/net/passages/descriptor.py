"""The socket of a link that runs in a passage: the link's octets in frames, without copies.

It does for a link in a passage what `seckex.net.descriptor.LinkDescriptor` does
for one of its own connection: borrows the socket of the transport, receives
into the link's inbox and sends from its outbox. A `seckex.passage.hop.HopEnd`
puts headers and PROOFs between, and says when the hop is over.

A timer runs only while something may be due: a PROOF, ours or the other end's,
or an answer to OPEN. After a link has closed, the last PROOF and the end of our
direction are said, and what comes is taken until the other end has ended too;
`LINGER` seconds at most.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from attrs import frozen
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IDelayedCall, IReadWriteDescriptor
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure
from zope.interface import implementer

from seckex.dialog.link import Link
from seckex.net.descriptor import LINGER, StreamReactor
from seckex.passage.carrying import TICK
from seckex.passage.hop import HopEnd


class PassageOver(ConnectionLost):
    """The passage has ended, and why."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why

    def __str__(self) -> str:
        return self.why


@frozen
class Through:
    """How links of a connection go through a hop.

    ``begin`` makes the end of it for a link, ``opened`` is called when both ends have proved their key, ``ended``
    when it is over.
    """

    begin: Callable[[Link], HopEnd]
    opened: Callable[[HopEnd], None]
    ended: Callable[[HopEnd], None]


@implementer(IReadWriteDescriptor)
class PassageDescriptor:
    """Moves octets between a link and the socket of ``transport``, through a hop."""

    def __init__(self, reactor: StreamReactor, transport: Connection, link: Link, through: Through) -> None:
        self._reactor = reactor
        self._transport = transport
        self._link = link
        self._outbox = link.outbox
        self._through = through
        self.hop = through.begin(link)
        self._seconds = reactor.seconds
        self._socket: socket.socket = transport.getHandle()
        self._send = self._socket.sendmsg
        self._receive = self._socket.recvmsg_into
        self._reading = False
        self._writing = False
        # The outbox could not be emptied: the link is to be told when it is.
        self._behind = False
        self._opened = False
        self._closing = False
        self._shut = False
        self._gone = False
        self._linger: IDelayedCall | None = None
        self._ticking: IDelayedCall | None = None

    def start(self) -> None:
        """Take the socket over from its transport."""
        self._transport.pauseProducing()
        self._read(True)
        self._push()

    # What the link asks for.

    def flush(self) -> None:
        """Send what the outbox holds, as far as it can be; the rest later."""
        if self._writing:
            self._behind = True
        elif not self._gone:
            self._push()

    def finish(self, politely: bool) -> None:  # noqa: ARG002  # that is for links to which strangers come
        """Disconnect when the outbox is empty: end our direction and wait for the other's."""
        if self._gone or self._closing:
            return
        self._closing = True
        self._linger = self._reactor.callLater(LINGER, self._give_up)
        if not self._writing:
            self._shut_down()

    def abort(self) -> None:
        """Disconnect now."""
        if not self._gone:
            self.hop.lost("the connection was dropped")
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
        """Receive."""
        hop = self.hop
        try:
            count = self._receive(hop.into())[0]
        except BlockingIOError:
            return None
        except OSError:
            return CONNECTION_LOST
        if not count:
            return self._ended_by_peer()
        hop.took(count, self._seconds())
        self._check_open()
        if self._gone:
            return None
        if not self._writing and (hop.wants_to_say or self._behind):
            self._push()
        if hop.ending is not None:
            return PassageOver(str(hop.ending))
        if self._ticking is None:
            self._watch()
        if self._behind and self._link.congested and not self._closing:
            self._read(False)
        return None

    def _check_open(self) -> None:
        if self.hop.is_open and not self._opened:
            self._opened = True
            self._through.opened(self.hop)

    def _ended_by_peer(self) -> Exception:
        hop = self.hop
        if not hop.ended_by_peer():
            return PassageOver(str(hop.ending))
        hop.finish()
        self._push()
        if hop.said_all:
            hop.finished()
        return CONNECTION_DONE

    def doWrite(self) -> Exception | None:  # type: ignore[override]  # as above
        """Send more."""
        self._push()
        return None

    def connectionLost(self, reason: Failure) -> None:
        """Give the socket back to its transport, which closes it."""
        if not self._gone:
            self.hop.lost(reason.getErrorMessage())
            self._leave()
            self._transport.connectionLost(reason)

    # The rest.

    def _push(self) -> None:
        """Send until all is sent, nothing can be before something has come, or the kernel takes no more."""
        hop, outbox, now = self.hop, self._outbox, self._seconds()
        full = False
        while not full:
            buffers = hop.gather(outbox.view[outbox.start : outbox.end], now)
            if not buffers:
                break
            try:
                count = self._send(buffers)
            except BlockingIOError:
                count = 0
            except OSError:
                self.abort()
                return
            full = count < sum(map(len, buffers))
            outbox.start += hop.sent(count, now)
            if outbox.start == outbox.end:
                outbox.start = outbox.end = 0
        self._write(full)
        if self._ticking is None:
            self._watch()
        behind, self._behind = self._behind, outbox.start != outbox.end
        if self._behind or full:
            return
        if self._closing:
            self._shut_down()
        elif behind:
            self._link.drained()
            if not self._behind and not self._gone and not self._reading:
                hop.arriving.resumed(now)
                self._read(True)

    def _read(self, wanted: bool) -> None:
        if wanted != self._reading:
            self._reading = wanted
            (self._reactor.addReader if wanted else self._reactor.removeReader)(self)

    def _write(self, wanted: bool) -> None:
        if wanted != self._writing:
            self._writing = wanted
            (self._reactor.addWriter if wanted else self._reactor.removeWriter)(self)

    def _watch(self) -> None:
        """Look again in a while, if something may be due then."""
        hop = self.hop
        leaving, arriving = hop.leaving, hop.arriving
        settled = leaving.carried == leaving.proved and arriving.carried == arriving.proved
        if hop.ending is None and not self._gone and not (settled and hop.is_open):
            self._ticking = self._reactor.callLater(TICK, self._tick)

    def _tick(self) -> None:
        self._ticking = None
        hop = self.hop
        hop.tick(self._seconds())
        if hop.wants_to_say and not self._writing:
            self._push()
        elif self._ticking is None:
            self._watch()
        if hop.ending is not None:
            self._over()

    def refuse(self, code: int, why: str) -> None:
        """End the hop with a REFUSE."""
        if not self._gone:
            self.hop.refuse(code, why)
            if not self._writing:
                self._push()
            self._over()

    def _over(self) -> None:
        if not self._gone:
            self.connectionLost(Failure(PassageOver(str(self.hop.ending))))

    def _shut_down(self) -> None:
        hop = self.hop
        if self._shut:
            return
        self._check_open()
        if not hop.is_open:
            self._shut = True
            # It may be over time, as the link.
            hop.tick(self._seconds())
            hop.lost("the link has closed")
            self._leave()
            self._transport.loseConnection()
            return
        hop.finish()
        if hop.wants_to_say:
            # It comes back here when that is said.
            self._push()
            return
        self._shut = True
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
        for call in (self._linger, self._ticking):
            if call is not None and call.active():
                call.cancel()
        self._linger = self._ticking = None
        self._through.ended(self.hop)
