"""One end of a measured connection.

``python -m benchmarks.carrier server|client tcp|tls|dialog messages|echo PORT COUNT [FOLDER]``

The same two Twisted protocols run over plain TCP, over TLS and over a dialog,
tuned alike: 256 KiB reads, TCP_NODELAY, malloc that keeps what it has. The
server prints octets a second once COUNT messages of 64 KiB have come, or
the client the median round trip of COUNT echoes of 64 octets, in microseconds.
"""

from __future__ import annotations

import ctypes
import os
import statistics
import struct
import sys
import time
from pathlib import Path
from typing import Any, Final

from attrs import define
from twisted.internet import reactor as installed
from twisted.internet import ssl
from twisted.internet.endpoints import clientFromString
from twisted.internet.protocol import ClientFactory, Factory, Protocol

from seckex.crypto.schedule import LinkSchedule
from seckex.crypto.secrets import Secret
from seckex.dialog.faces import Closure, Ending, LinkAssociation
from seckex.dialog.link import Link
from seckex.dialog.stream import Dialog
from seckex.net.peer import PeerLinks
from seckex.net.stream import LinkPort, LinkTerms
from seckex.net.transport import DialogTransport
from seckex.wire.dialog import Hello
from seckex.wire.numbers import MAX_BODY, PRF_HMAC_SHA2_256, Suite

SIZE: Final = 65536
SMALL: Final = 64
READS: Final = 256 * 1024
CREDIT: Final = 1 << 20
_LENGTH: Final = struct.Struct(">I")
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3

reactor: Any = installed


def tune(transport: Any) -> None:
    """Give all carriers the same advantages."""
    transport.setTcpNoDelay(True)
    for layer in (transport, getattr(transport, "transport", None)):
        if layer is not None and hasattr(layer, "bufferSize"):
            layer.bufferSize = READS


@define(eq=False)
class Receiving(Protocol):
    """Takes messages with a length of 32 bits before each, and prints how fast they came."""

    count: int
    _chunks: list[memoryview]
    _have: int = 0
    _wanted: int = -1
    _prefix: bytes = b""
    _messages: int = 0
    _octets: int = 0
    _began: float = 0.0

    def connectionMade(self) -> None:
        """Begin."""
        tune(self.transport)

    def dataReceived(self, data: bytes) -> None:
        """Take messages out of what came."""
        view, at, end = memoryview(data), 0, len(data)
        while at < end:
            if self._wanted < 0:
                take = _LENGTH.size - len(self._prefix)
                self._prefix += data[at : at + take]
                at += take
                if len(self._prefix) < _LENGTH.size:
                    return
                self._wanted = _LENGTH.unpack(self._prefix)[0]
                self._prefix = b""
            needed = self._wanted - self._have
            piece = view[at : at + needed]
            self._chunks.append(piece)
            self._have += len(piece)
            at += needed
            if self._have == self._wanted:
                message = b"".join(self._chunks)
                self._chunks.clear()
                self._have, self._wanted = 0, -1
                self._message(message)

    def _message(self, message: bytes) -> None:
        if not self._messages:
            self._began = time.perf_counter()
        self._messages += 1
        self._octets += len(message)
        if self._messages == self.count:
            print(self._octets / (time.perf_counter() - self._began) / 1e6, flush=True)
            reactor.callLater(0.1, reactor.stop)


class Sending(Protocol):
    """Sends messages as fast as its transport takes them."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._paused = False
        self._message = (_LENGTH.pack(SIZE), os.urandom(SIZE))

    def connectionMade(self) -> None:
        """Begin."""
        tune(self.transport)
        self.transport.registerProducer(self, True)  # type: ignore[union-attr]  # all carriers are consumers
        self.resumeProducing()

    def pauseProducing(self) -> None:
        """Stop for a while."""
        self._paused = True

    def stopProducing(self) -> None:
        """Stop."""
        self._left = 0

    def resumeProducing(self) -> None:
        """Send until paused."""
        self._paused = False
        while not self._paused and self._left:
            self._left -= 1
            self.transport.writeSequence(self._message)  # type: ignore[union-attr]  # connected


class Echoing(Protocol):
    """Sends back what comes."""

    def connectionMade(self) -> None:
        """Begin."""
        tune(self.transport)

    def dataReceived(self, data: bytes) -> None:
        """Send it back."""
        self.transport.write(data)  # type: ignore[union-attr]  # connected


class Asking(Protocol):
    """Has small messages echoed, one at a time."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._taken: list[float] = []
        self._octets = os.urandom(SMALL)
        self._got = 0
        self._asked = 0.0

    def connectionMade(self) -> None:
        """Begin."""
        tune(self.transport)
        self._ask()

    def _ask(self) -> None:
        self._got = 0
        self._asked = time.perf_counter()
        self.transport.write(self._octets)  # type: ignore[union-attr]  # connected

    def dataReceived(self, data: bytes) -> None:
        """Take the time, and ask again."""
        self._got += len(data)
        if self._got < SMALL:
            return
        self._taken.append(time.perf_counter() - self._asked)
        if len(self._taken) < self._count:
            self._ask()
            return
        print(statistics.median(self._taken) * 1e6, flush=True)
        reactor.callLater(0.1, reactor.stop)


class Owner:
    """Gives each dialog a protocol, and hears the rest."""

    def __init__(self, factory: Factory) -> None:
        self._factory = factory

    def dialog_offered(self, _link: Link, dialog: Dialog) -> None:
        """Accept."""
        self.attach(dialog)
        dialog.accept()

    def attach(self, dialog: Dialog) -> None:
        """Put a protocol behind a dialog."""
        transport = transport_of(self._factory)
        transport.dialog = dialog
        dialog.attach(transport)

    def link_opened(self, _link: Link) -> None:
        """Nothing."""

    def link_idle(self, _link: Link) -> None:
        """Nothing."""

    def link_worn(self, _link: Link) -> None:
        """Nothing."""

    def link_closed(self, _link: Link, closure: Closure) -> None:
        """Tell."""
        print(closure, file=sys.stderr)


def transport_of(factory: Factory) -> DialogTransport:
    """Return the transport of a new protocol."""
    protocol = factory.buildProtocol(None)
    if protocol is None:
        raise RuntimeError("no protocol")

    def refused(ending: Ending) -> None:
        raise RuntimeError(f"the dialog was refused: {ending}")

    return DialogTransport(reactor, protocol, "here@example.net", "there@example.net", refused)


def serve(carrier: str, factory: Factory, port: int, folder: Path = Path()) -> None:
    """Listen; ``folder`` has the certificate for TLS."""
    if carrier == "tcp":
        reactor.listenTCP(port, factory, interface="127.0.0.1")
    elif carrier == "tls":
        own = ssl.PrivateCertificate.loadPEM((folder / "server.pem").read_bytes())
        reactor.listenSSL(port, factory, own.options(), interface="127.0.0.1")
    else:
        owner = Owner(factory)
        reactor.listenTCP(port, LinkPort(terms(), owner, lambda _: association()), interface="127.0.0.1")


def connect(carrier: str, factory: Factory, port: int) -> None:
    """Connect."""
    client = ClientFactory()
    client.buildProtocol = factory.buildProtocol  # type: ignore[method-assign]  # the same protocol over all carriers
    if carrier == "tcp":
        reactor.connectTCP("127.0.0.1", port, client)
    elif carrier == "tls":
        reactor.connectSSL("127.0.0.1", port, client, ssl.CertificateOptions())
    else:
        owner = Owner(factory)
        links = PeerLinks(terms(), clientFromString(reactor, f"tcp:127.0.0.1:{port}"), owner)
        links.use(association())
        links.startService()

        def opened(link: Link) -> None:
            transport = transport_of(factory)
            transport.dialog = link.open("benchmark", os.urandom(16), transport)

        links.when_open(10).addCallback(opened)


def terms() -> LinkTerms:
    """Return what both ends' links have."""
    return LinkTerms(reactor, Hello(CREDIT, 16, MAX_BODY), time.time_ns, os.urandom)


def association() -> LinkAssociation:
    """Return an association whose keys both ends know: only its records are measured."""
    schedule = LinkSchedule(Suite.AES_256_GCM, PRF_HMAC_SHA2_256, Secret(b"benchmark" * 4))
    return LinkAssociation(0x5EC0DE, "there@example.net", schedule)


class Making(Factory):
    """Makes the protocol of one end of one test."""

    noisy = False

    def __init__(self, role: str, test: str, count: int) -> None:
        self._kind = (role, test)
        self._count = count

    def buildProtocol(self, addr: object) -> Protocol:  # noqa: ARG002  # the signature is Twisted's
        """Make it."""
        match self._kind:
            case ("server", "messages"):
                return Receiving(self._count, [])
            case ("client", "messages"):
                return Sending(self._count)
            case ("server", _):
                return Echoing()
        return Asking(self._count)


def main() -> None:
    """Run as the command line says."""
    role, carrier, test, port, count = *sys.argv[1:4], int(sys.argv[4]), int(sys.argv[5])
    libc = ctypes.CDLL(None)
    libc.mallopt(_TRIM_THRESHOLD, 64 << 20)
    libc.mallopt(_MMAP_THRESHOLD, 32 << 20)
    factory = Making(role, test, count)
    if role == "server":
        serve(carrier, factory, port, Path(sys.argv[6]))
        reactor.callWhenRunning(print, "ready", flush=True)
    else:
        connect(carrier, factory, port)
    reactor.run()


if __name__ == "__main__":
    main()
