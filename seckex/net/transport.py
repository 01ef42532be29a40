"""A dialog as a Twisted transport: any protocol runs over it unchanged.

`DialogTransport` stands between a protocol and a `Dialog`: what Twisted calls a
connection is a dialog, half-close is END, abort is RESET, and a dialog that is
lost, since no link carries it on, is a lost connection, never an end of file. Producers and consumers are honoured both
ways: a protocol's producer is paused while the dialog has much queued, and
pausing the transport stops delivery, and with it the peer's credit.

After ``loseConnection`` what the peer still sends is thrown away. A peer that
has taken everything and has not ended its direction is reset, as TCP does,
after `ORPHANED` seconds at least and twice as many at most; one that has not
taken everything, since it reads slowly or no link is there, has its time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from attrs import frozen
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IDelayedCall,
    IHalfCloseableProtocol,
    IProducer,
    IProtocol,
    IPushProducer,
    IReactorTime,
    ITCPTransport,
)
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from seckex.dialog.faces import End, Ending
from seckex.dialog.link import Link
from seckex.dialog.stream import Dialog
from seckex.wire.numbers import Code

ORPHANED: Final = 60.0


@implementer(IAddress)
@frozen
class DialogAddress:
    """One end of a dialog: the principal there, and the service that the dialog is for."""

    principal: str
    service: str

    def __str__(self) -> str:
        return f"{self.service} at {self.principal}"


def connect(
    reactor: IReactorTime,
    link: Link,
    service: str,
    dialog_id: bytes,
    protocol: IProtocol,
    host: str,
    refused: Callable[[Ending], None],
) -> DialogTransport:
    """Open a dialog for ``protocol`` with ``service`` at the peer of an open link; raises as `Link.open` does."""
    peer = "" if link.association is None else link.association.peer
    transport = DialogTransport(reactor, protocol, host, peer, refused)
    transport.dialog = link.open(service, dialog_id, transport)
    return transport


def accept(reactor: IReactorTime, dialog: Dialog, protocol: IProtocol, host: str, peer: str) -> DialogTransport:
    """Accept an offered dialog for ``protocol``."""
    transport = DialogTransport(reactor, protocol, host, peer, _never_refused)
    transport.dialog = dialog
    dialog.attach(transport)
    dialog.accept()
    return transport


def _nothing() -> None:
    """Nobody waits for the end."""


def _never_refused(ending: Ending) -> None:
    """Ignore how a dialog ended that was over before it could be accepted."""


@implementer(ITCPTransport, IConsumer, IPushProducer)
class DialogTransport:
    """The transport of ``protocol`` over ``dialog``, and the dialog's sink; made by `connect` and `accept`.

    ``peer`` and ``host`` are the NAIs of the two ends. The protocol is
    connected when the dialog opens; ``refused`` is called in its place if it
    never does.
    """

    log = Logger()
    disconnecting = False

    def __init__(
        self,
        reactor: IReactorTime,
        protocol: IProtocol,
        host: str,
        peer: str,
        refused: Callable[[Ending], None],
    ) -> None:
        self.dialog: Dialog
        self._reactor = reactor
        self._protocol = protocol
        self._host = host
        self._peer = peer
        self._refused = refused
        self._connected = False
        self._over = False
        self._told = False
        self._told_of_write = False
        self._producer: IProducer | None = None
        self._streaming = False
        self._sink_paused = False
        self._pulling: IDelayedCall | None = None
        self._resuming: IDelayedCall | None = None
        self._orphaned: IDelayedCall | None = None
        self._half_closing = False
        self._when_over: Callable[[], None] = _nothing

    # The dialog's sink.

    def opened(self) -> None:
        """Connect the protocol."""
        self._connected = True
        self._guarded(self._protocol.makeConnection, self)

    def data(self, octets: bytes) -> None:
        """Hand octets to the protocol; an exception there resets the dialog."""
        if not self._told and not self.disconnecting:
            try:
                self._protocol.dataReceived(octets)
            except Exception:
                self._failed()

    def ended(self) -> None:
        """End of file: half a connection is left for a protocol that can do with it, none for others."""
        if self._told or self.disconnecting:
            return
        half = IHalfCloseableProtocol(self._protocol, None)
        if half is not None:
            self._guarded(half.readConnectionLost)
        else:
            self._tell(ConnectionDone())
            self.dialog.end()

    def sent_end(self) -> None:
        """Tell the protocol, later as all transports do, that its direction is closed."""
        self._reactor.callLater(0, self._write_closed)

    def pause(self) -> None:
        """Pause the protocol's producer."""
        self._sink_paused = True
        producer = self._producer
        if producer is not None and self._streaming:
            self._guarded(producer.pauseProducing)  # type: ignore[attr-defined]  # streaming producers are IPushProducer

    def resume(self) -> None:
        """Resume the protocol's producer."""
        self._sink_paused = False
        if self._producer is not None:
            if self._streaming:
                self._guarded(self._producer.resumeProducing)  # type: ignore[attr-defined]  # as above
            else:
                self._pull()

    def over(self, ending: Ending) -> None:
        """Disconnect the protocol."""
        self._over = True
        for call in (self._orphaned, self._resuming, self._pulling):
            if call is not None and call.active():
                call.cancel()
        if not self._connected:
            self._told = True
            self._refused(ending)
            return
        if ending.end is End.FINISHED:
            self._write_closed()
            self._tell(ConnectionDone())
        elif ending.end is End.RESET:
            self._reactor.callLater(0, self._tell, ConnectionAborted(str(ending)))
        else:
            self._tell(ConnectionLost(str(ending)))
        when_over, self._when_over = self._when_over, _nothing
        when_over()

    def when_over(self, call: Callable[[], None]) -> None:
        """Make ``call`` once the dialog is over: it goes on after `loseConnection` until the peer has everything."""
        if self._over:
            call()
        else:
            self._when_over = call

    # ITransport and ITCPTransport.

    def write(self, data: bytes) -> None:
        """Send octets."""
        if not isinstance(data, bytes):
            raise TypeError("Data must be bytes")
        self.dialog.write(data)

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """Send several pieces as if they were one."""
        self.dialog.write_all(data)

    def loseConnection(self) -> None:
        """Send what is queued, then close; with a producer, when it has unregistered."""
        if not self.disconnecting and not self._over:
            self.disconnecting = True
            self._end_when_done()
            # A pause must not keep the peer's END from being seen.
            self.dialog.resume()

    def loseWriteConnection(self) -> None:
        """Send what is queued, then close this direction."""
        if not self._half_closing and not self._over:
            self._half_closing = True
            self._end_when_done()

    def abortConnection(self) -> None:
        """Reset the dialog: what is queued is dropped."""
        self.dialog.reset(Code.RESET_BY_PROGRAM)

    def getHost(self) -> DialogAddress:  # type: ignore[override]  # a dialog has no IP address
        """Return this end."""
        return DialogAddress(self._host, self.dialog.service)

    def getPeer(self) -> DialogAddress:  # type: ignore[override]  # a dialog has no IP address
        """Return the other end."""
        return DialogAddress(self._peer, self.dialog.service)

    def getTcpNoDelay(self) -> bool:
        """Return True: a dialog never waits for more to send."""
        return True

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Do nothing: a dialog never waits for more to send."""

    def getTcpKeepAlive(self) -> bool:
        """Return True: links are kept alive."""
        return True

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Do nothing: links are kept alive."""

    # IConsumer.

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """Pause and resume a streaming producer as the dialog can send; ask another one again and again."""
        if self._producer is not None:
            raise RuntimeError(f"{self._producer} was never unregistered")
        if self._over:
            producer.stopProducing()
            return
        self._producer = producer
        self._streaming = streaming
        if not streaming:
            self._pull()
        elif self._sink_paused:
            producer.pauseProducing()  # type: ignore[attr-defined]  # streaming producers are IPushProducer

    def unregisterProducer(self) -> None:
        """Forget the producer."""
        self._producer = None
        if self.disconnecting or self._half_closing:
            self._end_when_done()

    # IPushProducer.

    def pauseProducing(self) -> None:
        """Deliver no more for the time being."""
        if self._resuming is not None and self._resuming.active():
            self._resuming.cancel()
        self.dialog.pause()

    def resumeProducing(self) -> None:
        """Deliver again, beginning later: never from within this call."""
        if not self._over and (self._resuming is None or not self._resuming.active()):
            self._resuming = self._reactor.callLater(0, self.dialog.resume)

    def stopProducing(self) -> None:
        """Close."""
        self.loseConnection()

    # The rest.

    def _pull(self) -> None:
        producer = self._producer
        if producer is not None and not self._streaming and not self._sink_paused and not self._over:
            self._guarded(producer.resumeProducing)  # type: ignore[attr-defined]  # both kinds of producer have it
            if self._pulling is None or not self._pulling.active():
                self._pulling = self._reactor.callLater(0, self._pull)

    def _end_when_done(self) -> None:
        if self._producer is not None:
            return
        if self.dialog.end_sent:
            self.sent_end()
        else:
            self.dialog.end()

    def _write_closed(self) -> None:
        if self.disconnecting:
            if not self._over and self._orphaned is None:
                self._await_end()
            self._tell(ConnectionDone())
            return
        if self._told or self._told_of_write:
            return
        self._told_of_write = True
        half = IHalfCloseableProtocol(self._protocol, None)
        if half is not None:
            self._guarded(half.writeConnectionLost)

    def _await_end(self) -> None:
        self._orphaned = self._reactor.callLater(ORPHANED, self._not_ended, self.dialog.done_received)

    def _not_ended(self, all_taken: bool) -> None:
        if all_taken:
            self.dialog.reset(Code.RESET_BY_PROGRAM)
        else:
            self._await_end()

    def _tell(self, reason: Exception) -> None:
        if self._told:
            return
        self._told = True
        producer, self._producer = self._producer, None
        if producer is not None:
            self._guarded(producer.stopProducing)
        self._guarded(self._protocol.connectionLost, Failure(reason))

    def _guarded(self, call: Callable[..., object], *arguments: object) -> None:
        try:
            call(*arguments)
        except Exception:
            self._failed()

    def _failed(self) -> None:
        self.log.failure("The program behind a dialog with {peer} failed.", peer=self._peer)
        self.dialog.reset(Code.RESET_BY_PROGRAM)
