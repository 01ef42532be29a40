"""A local connection joined to a dialog: octets, ends, aborts and pauses go through both ways.

The same class serves both ends: at the initiator the local connection comes
first and the dialog opens behind it, at the responder a dialog is offered and
the service is connected to. Nothing is read from the local side before the
dialog carries, and neither side is read faster than the other one takes it.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure
from zope.interface import implementer

from seckex.dialog.faces import End, Ending
from seckex.dialog.stream import Dialog
from seckex.wire.numbers import Code


def _nothing() -> None:
    """There is nothing to give up."""


@implementer(IHalfCloseableProtocol, IPushProducer)
class Pipe(Protocol):
    """One pipe.

    ``connected`` is called when the local connection is there, ``opened`` when
    the dialog carries, and ``over``, once, when all has ended: with the dialog's ending,
    or None if there never was a dialog. `give_up` is what ends an attempt to connect.
    """

    transport: Connection

    def __init__(
        self,
        connected: Callable[[Pipe], None],
        opened: Callable[[Pipe], None],
        over: Callable[[Pipe, Ending | None], None],
    ) -> None:
        self.dialog: Dialog | None = None
        self._connected = connected
        self._opened = opened
        self._over = over
        self._local = False
        self.carried = False
        self._told = False
        self.give_up: Callable[[], object] = _nothing

    # -- the local connection

    def connectionMade(self) -> None:
        """Read nothing yet; let the local side say when it is full."""
        self._local = True
        if self._told:
            # The dialog was over before there was anything to join it to.
            self.transport.abortConnection()
            return
        set_no_delay = getattr(self.transport, "setTcpNoDelay", None)
        if set_no_delay is not None:
            set_no_delay(True)
        self.transport.pauseProducing()
        self.transport.registerProducer(self, True)
        self._connected(self)

    def dataReceived(self, data: bytes) -> None:
        """Send what the local program wrote."""
        if self.dialog is not None:
            self.dialog.write(data)

    def readConnectionLost(self) -> None:
        """End our direction of the dialog."""
        if self.dialog is not None:
            self.dialog.end()

    def writeConnectionLost(self) -> None:
        """Nothing: the dialog's end is what closed it."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Reset a dialog that is not over: the program went away."""
        self._local = False
        if self.dialog is not None and not self.dialog.is_over:
            self.dialog.reset(Code.RESET_BY_PROGRAM, reason.getErrorMessage())
        self._tell(None)

    def pauseProducing(self) -> None:
        """Deliver no more: the local side is full."""
        if self.dialog is not None:
            self.dialog.pause()

    def resumeProducing(self) -> None:
        """Deliver again."""
        if self.dialog is not None:
            self.dialog.resume()

    def stopProducing(self) -> None:
        """Nothing: `connectionLost` follows."""

    def drop(self) -> None:
        """Abort the local connection: there will be no dialog."""
        if self._local:
            self.transport.abortConnection()

    # -- the dialog

    def opened(self) -> None:
        """Begin to read from the local side."""
        self.carried = True
        self._opened(self)
        if self._local:
            self.transport.resumeProducing()

    def data(self, octets: bytes) -> None:
        """Write to the local side."""
        if self._local:
            self.transport.write(octets)

    def ended(self) -> None:
        """Close the local side for writing."""
        if self._local:
            self.transport.loseWriteConnection()

    def sent_end(self) -> None:
        """Nothing: the local side has ended by itself."""

    def pause(self) -> None:
        """Read no more: too much waits to be sent."""
        if self._local:
            self.transport.pauseProducing()

    def resume(self) -> None:
        """Read again."""
        if self._local and self.carried:
            self.transport.resumeProducing()

    def over(self, ending: Ending) -> None:
        """Close the local side as the dialog has ended: cleanly, or by an abort."""
        self._tell(ending)
        if self._local:
            if ending.end is End.FINISHED:
                self.transport.unregisterProducer()
                self.transport.loseConnection()
            else:
                self.transport.abortConnection()

    def _tell(self, ending: Ending | None) -> None:
        if not self._told:
            self._told = True
            if not self._local:
                self.give_up()
            self._over(self, ending)
