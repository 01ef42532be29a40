"""The peer of `benchmarks.setups`: a Twisted server with mutual TLS 1.3. ``python -m benchmarks.tls_server FOLDER``.

Makes two ECDSA P-256 certificates in FOLDER, listens, and prints its port. Each
connection gets one octet once its handshake is done.
"""

from __future__ import annotations

import sys
from pathlib import Path

from twisted.internet import reactor as installed
from twisted.internet import ssl
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Factory, Protocol
from zope.interface import implementer

from benchmarks.certificates import make_certificate

reactor: object = installed


@implementer(IHandshakeListener)
class Accepting(Protocol):
    """Says that the handshake is done."""

    def handshakeCompleted(self) -> None:
        """Send one octet and close."""
        if self.transport is not None:
            self.transport.write(b".")
            self.transport.loseConnection()


class Server(Factory):
    """Makes them."""

    protocol = Accepting
    noisy = False


def main() -> None:
    """Run until ended."""
    folder = Path(sys.argv[1])
    for name in ("server", "client"):
        make_certificate(folder / f"{name}.pem", name)
    own = ssl.PrivateCertificate.loadPEM((folder / "server.pem").read_bytes())
    authority = ssl.Certificate.loadPEM((folder / "client.pem").read_bytes())
    port = installed.listenSSL(0, Server(), own.options(authority), interface="127.0.0.1")  # type: ignore[attr-defined]  # the reactor module has it
    print(port.getHost().port, flush=True)
    installed.run()


main()
