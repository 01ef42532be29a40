"""Certificates to order: right ones, and wrong in one way at a time.

`Maker` is an authority that signs whatever it is asked to, right or wrong; `anchored`
and `identity` give what the product reads. Keys are made once a process, as each
certificate needs one and making them is most of the work.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from attrs import field, frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from seckex.crypto.identity import Identity, TrustAnchors
from seckex.crypto.revocation import RevocationLists

#: The wall clock of tests; certificates begin a day before and end in ten unless said otherwise.
NOW: Final = 1_790_000_000.0
DAY: Final = 86400.0


def when(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)


@cache
def key(_name: str) -> ec.EllipticCurvePrivateKey:
    """Return the key that goes by a name."""
    return ec.generate_private_key(ec.SECP256R1())


def usage(*, sign: bool = True, authority: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(sign, False, False, False, False, authority, authority, False, False)


def named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@frozen
class Maker:
    """An authority; ``above`` are the certificates between it and whom is trusted, its own first."""

    name: str
    certificate: x509.Certificate
    key: Any = field(repr=False)
    above: tuple[x509.Certificate, ...] = ()

    @classmethod
    def root(cls, name: str = "root", *, since: float = NOW - 100 * DAY, until: float = NOW + 100 * DAY) -> Maker:
        own = key(f"authority {name}")
        return cls(name, _sign(named(name), named(name), own, own, _authority(own, own), since, until), own)

    def under(self, name: str, *extensions: tuple[x509.ExtensionType, bool], path: int | None = None) -> Maker:
        """Return an authority that this one has certified."""
        own = key(f"authority {name}")
        said = [*_authority(own, self.key, path), *extensions]
        made = _sign(named(name), named(self.name), own, self.key, said, NOW - 50 * DAY, NOW + 50 * DAY)
        return Maker(name, made, own, (made, *self.above))

    def certify(
        self,
        *names: x509.GeneralName | str,
        since: float = NOW - DAY,
        until: float = NOW + 10 * DAY,
        held: Any = None,
        key_usage: x509.KeyUsage | None = usage(),  # noqa: B008  # a constant
        authority: bool = False,
        more: Sequence[tuple[x509.ExtensionType, bool]] = (),
        subject: str = "principal",
    ) -> x509.Certificate:
        """Return a principal's certificate; names that are texts are NAIs."""
        own = held or key(f"principal {names[0] if names else ''}")
        said: list[tuple[x509.ExtensionType, bool]] = [
            (x509.BasicConstraints(authority, None), True),
            (x509.SubjectKeyIdentifier.from_public_key(own.public_key()), False),
            (x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False),
            *more,
        ]
        if names:
            alternatives = [x509.RFC822Name(each) if isinstance(each, str) else each for each in names]
            said.append((x509.SubjectAlternativeName(alternatives), False))
        if key_usage is not None:
            said.append((key_usage, True))
        return _sign(named(subject), named(self.name), own, self.key, said, since, until)

    def identity(self, nai: str, **how: Any) -> Identity:
        """Return an identity, the certificates between it and whom is trusted included."""
        return Identity([self.certify(nai, **how), *self.above], key(f"principal {nai}"))

    def revoked(
        self, *certificates: x509.Certificate, until: float = NOW + DAY, more: Sequence[x509.ExtensionType] = ()
    ) -> x509.CertificateRevocationList:
        """Return a revocation list."""
        builder = x509.CertificateRevocationListBuilder().issuer_name(named(self.name))
        builder = builder.last_update(when(NOW - 100 * DAY)).next_update(when(until))
        for each in certificates:
            entry = x509.RevokedCertificateBuilder().serial_number(each.serial_number).revocation_date(when(NOW - DAY))
            builder = builder.add_revoked_certificate(entry.build())
        for extension in more:
            builder = builder.add_extension(extension, critical=True)
        return builder.sign(self.key, hashes.SHA256())


def _authority(own: Any, by: Any, path: int | None = None) -> list[tuple[x509.ExtensionType, bool]]:
    return [
        (x509.BasicConstraints(True, path), True),
        (usage(sign=False, authority=True), True),
        (x509.SubjectKeyIdentifier.from_public_key(own.public_key()), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), False),
    ]


def _sign(
    subject: x509.Name,
    issuer: x509.Name,
    own: Any,
    by: Any,
    extensions: Sequence[tuple[x509.ExtensionType, bool]],
    since: float,
    until: float,
) -> x509.Certificate:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(own.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(when(since)).not_valid_after(when(until))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(by, hashes.SHA256())


def trust(*roots: Maker, lists: Sequence[x509.CertificateRevocationList] = ()) -> TrustAnchors:
    """Return trust in ``roots``."""
    return TrustAnchors([root.certificate for root in roots], RevocationLists(lists))


def der(*certificates: x509.Certificate) -> list[bytes]:
    """Return a chain as it travels."""
    return [each.public_bytes(Encoding.DER) for each in certificates]


def pem(*certificates: x509.Certificate | x509.CertificateRevocationList) -> bytes:
    """Return a file of certificates."""
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)


def key_pem(held: Any) -> bytes:
    """Return a file of a private key."""
    octets: bytes = held.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return octets


def flipped(octets: bytes, bit: int) -> bytes:
    """Return ``octets`` with one bit turned."""
    at, mask = divmod(bit, 8)
    return octets[:at] + bytes([octets[at] ^ 1 << mask]) + octets[at + 1 :]
