"""One connection between two neighbours, over whatever secures it.

Each message is preceded by its length in 16 bits. The side that was called says
a length of 0 once it knows who calls and will hear it; until then the caller
says nothing. So whoever calls knows, before anything is entrusted to the
connection, that both ends are satisfied with each other.

Strategy: all that has come is read in one go, and what it leads to is written in
one go. What a neighbour is to prove is the matter of `TlsHop` and `DialogHop`;
who it may be is asked of the owner. The called side does not read from a
neighbour that does not take its answers; the caller goes on reading, and says
nothing more until there is room: if both stopped, neither would ever go on.

Limits: messages of 16 to 16,384 octets; a connection that is not proved within
`PROVE_WITHIN` seconds is dropped; one over which the other machine acknowledges
nothing for `DEAD_AFTER` seconds is given up by the kernel (RFC 5482).
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IHandshakeListener, IPushProducer
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from seckex.crypto.tls import HopContexts
from seckex.errors import AuthenticationFailed, BadCertificate, SeckexError
from seckex.wire.numbers import HEADER_SIZE, MAX_HOP_MESSAGE, MESSAGE_TYPE, Security

PROVE_WITHIN: Final = 5.0
DEAD_AFTER: Final = 10.0
CLOSE_WITHIN: Final = 2.0

# A length and a message.
_ONE: Final = 2
_WELCOME: Final = b"\0\0"
_LENGTH: Final = struct.Struct(">H")


def _nobody(reason: Failure) -> None:
    """Nobody waits for the end."""


class NotSecure(SeckexError):
    """Who is at the other end did not prove to be the neighbour, or would not have us."""


class HopOwner(Protocol):
    """What a connection tells whoever keeps it."""

    def objection(self, hop: HopConnection) -> str:
        """Return why a neighbour that has proved its name will not be heard; empty if it will."""
        ...

    def hop_opened(self, hop: HopConnection) -> None:
        """Use the connection: both ends are satisfied."""
        ...

    def hop_heard(self, hop: HopConnection, octets: bytes) -> None:
        """Take a message."""
        ...

    def hop_reading(self) -> None:
        """Expect `hop_heard`, once or more often, and then `hop_read`."""
        ...

    def hop_read(self) -> None:
        """Have all that was said meanwhile written."""
        ...

    def hop_said(self, hop: HopConnection) -> None:
        """Have a connection over which something was said written soon, or with `hop_read`."""
        ...

    def hop_resumed(self, hop: HopConnection) -> None:
        """Say more: there is room again."""
        ...

    def hop_closed(self, hop: HopConnection, why: str) -> None:
        """Forget the connection, be it that it was opened or never."""
        ...


@implementer(IPushProducer)
class HopConnection(TwistedProtocol):
    """Either end of a connection; ``calling`` tells which. ``neighbour`` is empty until it is proved.

    ``used`` is when it last carried a message, by the reactor's clock; ``full``
    while the neighbour does not read. ``opened`` fires with it when it may be used, or fails with why it cannot be;
    ``lost`` is called when it is gone, and what is in ``gone`` fires. ``expected`` is who a caller has called;
    ``stood`` tells whether it was ever open.
    """

    security: Security
    transport: Any

    def __init__(self, reactor: Any, owner: HopOwner, *, calling: bool) -> None:
        self._reactor = reactor
        self._owner = owner
        self.calling = calling
        self.neighbour = ""
        self.expected = ""
        self.address = ""
        self.standing = False
        self.stood = False
        self.full = False
        self.used = reactor.seconds()
        self.opened: Deferred[HopConnection] = Deferred(lambda _: self.abort("it was given up"))
        self.lost: Callable[[Failure], object] = _nobody
        self.gone: list[Deferred[None]] = []
        self._begun = b""
        self._said: list[bytes] = []
        self._why = ""
        self._secure = True
        self._timer: IDelayedCall | None = None
        self._over = False

    # -- proving

    def connectionMade(self) -> None:
        """Give the other side its time to prove itself."""
        self._timer = self._reactor.callLater(PROVE_WITHIN, self._late)
        self.transport.registerProducer(self, True)

    def proved(self, neighbour: str) -> None:
        """Go on with a neighbour whose name is proved, if it will be heard."""
        self.neighbour = neighbour
        objection = self._owner.objection(self)
        if objection:
            self.refuse(objection)
        elif not self.calling:
            self.transport.write(_WELCOME)
            self._open()

    def refuse(self, why: str) -> None:
        """Drop it, since it is not secure."""
        self._secure = False
        self.abort(why)

    def _open(self) -> None:
        self._stop_timer()
        self.standing = self.stood = True
        self.used = self._reactor.seconds()
        self._owner.hop_opened(self)
        self.opened.callback(self)

    def _late(self) -> None:
        self._timer = None
        self.abort(f"nothing was settled within {PROVE_WITHIN:.0f} s")

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # -- messages

    def dataReceived(self, data: bytes) -> None:
        """Take all messages that are whole, and write what they lead to at once."""
        self._owner.hop_reading()
        try:
            self._read(self._begun + data if self._begun else data)
        finally:
            self._owner.hop_read()

    def _read(self, octets: bytes) -> None:
        at, end = 0, len(octets)
        while end - at >= _LENGTH.size and not self._over:
            size = octets[at] << 8 | octets[at + 1]
            if size > MAX_HOP_MESSAGE:
                self.abort(f"a message of {size} octets came, {MAX_HOP_MESSAGE} are allowed")
                return
            start = at + _LENGTH.size
            at = start + size
            if at > end:
                at = start - _LENGTH.size
                break
            self._take(octets[start:at])
        self._begun = octets[at:]

    def _take(self, octets: bytes) -> None:
        """Take what stands behind a length."""
        if self.standing:
            if len(octets) < HEADER_SIZE or octets[0] != MESSAGE_TYPE:
                self.abort("something else than a general message came")
                return
            self.used = self._reactor.seconds()
            self._owner.hop_heard(self, octets)
        elif self.calling and self.neighbour and not octets:
            self._open()
        else:
            self.abort("it said something before both sides were settled")

    def send(self, octets: bytes) -> None:
        """Say one message; what comes after the end of the connection is lost, as on the way."""
        said = self._said
        said += (_LENGTH.pack(len(octets)), octets)
        if len(said) == _ONE:
            self.used = self._reactor.seconds()
            self._owner.hop_said(self)

    def flush(self) -> None:
        """Write what was said: many messages in one go."""
        said, self._said = self._said, []
        if said and not self._over:
            self.transport.write(b"".join(said))

    # -- the end

    def close(self, why: str) -> None:
        """Close when all is said, or drop it if it never stood or the neighbour does not read."""
        if not self.standing or self.full:
            self.abort(why)
        elif not self._over:
            self.flush()
            self._end(why)
            self.transport.unregisterProducer()
            self.transport.loseConnection()
            # Who hangs does not say that it has heard of the end.
            self._timer = self._reactor.callLater(CLOSE_WITHIN, self._drop)

    def abort(self, why: str) -> None:
        """Drop it now."""
        if not self._over:
            self._end(why)
            self.transport.abortConnection()

    def _drop(self) -> None:
        self._timer = None
        self.transport.abortConnection()

    def _end(self, why: str) -> None:
        self._over = True
        self.standing = False
        self._why = self._why or why
        self._stop_timer()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell of it."""
        super().connectionLost(reason)
        why = self._why or self.reason_of(reason)
        self._end(why)
        self._owner.hop_closed(self, why)
        self.lost(reason)
        gone, self.gone = self.gone, []
        for each in gone:
            each.callback(None)
        if not self.opened.called:
            self.opened.errback(Failure(SeckexError(why) if self._secure else NotSecure(why)))

    def reason_of(self, reason: Failure) -> str:
        """Return why the connection was lost, in words."""
        if self.calling and self.neighbour and not self.standing:
            self._secure = False
            return f"{self.neighbour} closed it without a welcome: its log tells why it does not take us"
        before = "" if self.standing else ", before both sides were settled"
        return " ".join(reason.getErrorMessage().split()).rstrip(".") + before

    # -- what the transport asks for

    def pauseProducing(self) -> None:
        """Stop saying more, or at the called side, reading more."""
        self.full = True
        if not self.calling:
            self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """Go on."""
        self.full = False
        if not self.calling:
            self.transport.resumeProducing()
        if not self._over:
            self._owner.hop_resumed(self)

    def stopProducing(self) -> None:
        """Nothing to do: the connection is going."""


@implementer(IHandshakeListener)
class TlsHop(HopConnection):
    """One over TLS, whose handshake proves the neighbour's name; made from ``contexts``."""

    security = Security.TLS

    def __init__(self, reactor: Any, owner: HopOwner, contexts: HopContexts, *, calling: bool) -> None:
        super().__init__(reactor, owner, calling=calling)
        self.contexts = contexts

    def connectionMade(self) -> None:
        """Have the kernel notice when the other machine is gone."""
        peer = self.transport.getPeer()
        self.address = f"[{peer.host}]:{peer.port}" if ":" in peer.host else f"{peer.host}:{peer.port}"
        self._tls = self.transport.getHandle()
        self.transport.setTcpNoDelay(True)
        self.transport.setTcpKeepAlive(True)
        handle = self.transport.transport.getHandle()
        handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(DEAD_AFTER * 1000))
        handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, int(DEAD_AFTER))
        handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, int(DEAD_AFTER / 2))
        super().connectionMade()

    def handshakeCompleted(self) -> None:
        """Take the name that was proved."""
        try:
            voucher = self.contexts.peer(self._tls)
        except (BadCertificate, AuthenticationFailed) as error:
            self.refuse(str(error))
        else:
            self.proved(voucher.nai)

    def check(self, contexts: HopContexts | None) -> None:
        """Drop the connection unless ``contexts``, those of the moment, still vouch for the neighbour."""
        if not self.standing:
            return
        if contexts is None:
            self.refuse("no certificates are configured any more")
            return
        try:
            contexts.peer(self._tls, self.neighbour)
        except (BadCertificate, AuthenticationFailed) as error:
            self.refuse(str(error))

    def reason_of(self, reason: Failure) -> str:
        """Return it; what went wrong in the handshake is told by either side."""
        flaw = self.contexts.flaw(self._tls)
        if flaw is not None:
            self._secure = False
            return flaw.why
        said = tls_error(reason)
        if said:
            # An alert, or no TLS at all: what the other side takes is not what we have, or the reverse.
            self._secure = False
            return f"TLS: {said}"
        return super().reason_of(reason)


def tls_error(failure: Failure) -> str:
    """Return what OpenSSL says of a failure, empty for one of another kind."""
    value = failure.value
    said = value.args[0] if value is not None and type(value).__module__.startswith("OpenSSL") and value.args else None
    return "; ".join(each[-1] for each in said) if isinstance(said, list) else ""
