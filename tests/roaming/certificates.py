"""Certificates of a roaming network, the same in every run: keys, serial numbers and signatures come of the names.

One authority vouches for everybody. What is made is kept for the whole
process, so that each further network costs nothing.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from seckex.crypto.identity import Identity, TrustAnchors
from tests.crypto.certified import DAY, named, usage, when
from tests.roaming.air import WALL

AUTHORITY: Final = "authority of the roaming network"


@cache
def key(name: str) -> ec.EllipticCurvePrivateKey:
    """Return the key that goes by a name."""
    return ec.derive_private_key(int.from_bytes(hashlib.sha256(name.encode()).digest()[:31], "big"), ec.SECP256R1())


def _signed(builder: x509.CertificateBuilder, name: str, by: str, since: float, until: float) -> x509.Certificate:
    own, issuer = key(name), key(by)
    builder = builder.subject_name(named(name[:64])).issuer_name(named(by)).public_key(own.public_key())
    serial = int.from_bytes(hashlib.sha256(f"{name} {since} {until}".encode()).digest()[:16], "big") >> 1
    builder = builder.serial_number(serial).not_valid_before(when(since)).not_valid_after(when(until))
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(own.public_key()), False)
    if name != by:
        builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), False)
    return builder.sign(issuer, hashes.SHA256(), ecdsa_deterministic=True)


@cache
def authority(name: str = AUTHORITY) -> x509.Certificate:
    """Return the certificate of an authority."""
    builder = x509.CertificateBuilder().add_extension(x509.BasicConstraints(True, 0), True)
    builder = builder.add_extension(usage(sign=False, authority=True), True)
    return _signed(builder, name, name, WALL - 100 * DAY, WALL + 4000 * DAY)


@cache
def identity(
    nai: str, by: str = AUTHORITY, since: float = WALL - DAY, until: float = WALL + 2000 * DAY, held: str = ""
) -> Identity:
    """Return who somebody is; ``held`` is the name of the key that he has, his own unless said otherwise."""
    builder = x509.CertificateBuilder().add_extension(x509.BasicConstraints(False, None), True)
    builder = builder.add_extension(usage(), True)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.RFC822Name(nai)]), False)
    return Identity([_signed(builder, held or nai, by, since, until)], key(held or nai))


@cache
def trust(*names: str) -> TrustAnchors:
    """Return trust in the authority, or in those that are named."""
    return TrustAnchors([authority(name) for name in names or (AUTHORITY,)])
