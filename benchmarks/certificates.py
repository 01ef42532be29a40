"""Certificates for the peers of benchmarks."""

from __future__ import annotations

import datetime
import time
from collections.abc import Mapping
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from seckex.config.files import create_private
from seckex.crypto.issuing import Authority


def make_certificate(path: Path, name: str) -> None:
    """Write a self-signed certificate and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(_pem(key) + _signed(name, key, name, key, ca=True))


def make_certificates(authority: Path, path: Path) -> None:
    """Write an authority's certificate, and one that it has issued with its key."""
    above, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority.write_bytes(_signed("authority", above, "authority", above, ca=True))
    path.write_bytes(_pem(key) + _signed("end", key, "authority", above, ca=False))


def _signed(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: str, above: ec.EllipticCurvePrivateKey, *, ca: bool
) -> bytes:
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .sign(above, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def make_principals(folder: Path, names: Mapping[str, str]) -> None:
    """Write ``ca.pem``, and for each of ``names`` a certificate for a NAI, NAME.pem, with its key, NAME.key.

    They say nothing of what they are for, so that the standard library takes them at both ends.
    """
    now = time.time()
    issued = Authority.issue_itself("authority of benchmarks", now, 1)
    authority = Authority.from_pem(issued.certificate, issued.key.octets)
    (folder / "ca.pem").write_bytes(issued.certificate)
    for name, nai in names.items():
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(authority.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(datetime.datetime.fromtimestamp(int(now) - 60, datetime.UTC))
            .not_valid_after(authority.certificate.not_valid_after_utc)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.RFC822Name(nai)]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False
            )
            .add_extension(x509.KeyUsage(True, *[False] * 8), critical=True)
            .sign(authority.key, hashes.SHA256())
        )
        (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        create_private(folder / f"{name}.key", _pem(key))
