"""The peer of `benchmarks.setups`: a Twisted server with mutual TLS 1.3. ``python -m benchmarks.tls_server FOLDER``.

Makes two ECDSA P-256 certificates in FOLDER, listens, and prints its port. Each
connection gets one octet once its handshake is done.
"""

from __future__ import annotations

import datetime
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from twisted.internet import reactor as installed
from twisted.internet import ssl
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Factory, Protocol
from zope.interface import implementer

reactor: object = installed


def make_certificate(path: Path, name: str) -> None:
    """Write a self-signed certificate and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(pem + certificate.public_bytes(serialization.Encoding.PEM))


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
