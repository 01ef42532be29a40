"""Single certificates: read within bounds, and judged for what they must say of themselves.

The certificate of a principal has an ECDSA key on P-256, its network access
identifier as the one rfc822Name among its alternative names (RFC 5280, section
4.2.1.6), may sign, and is no certificate authority. Where it lists extended key
usages, TLS client, IKE (RFC 4945) or any must be among them. Names of other
kinds beside the rfc822Name do not matter. An rfc822Name is ASCII, so that only
principals with such NAIs have certificates.

Whether a chain leads to somebody trusted is judged in `seckex.crypto.identity`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Final, TypeVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import (
    BasicConstraints,
    Certificate,
    DuplicateExtension,
    ExtendedKeyUsage,
    ExtensionNotFound,
    ExtensionType,
    InvalidVersion,
    KeyUsage,
    RFC822Name,
    SubjectAlternativeName,
    load_der_x509_certificate,
    load_pem_x509_certificates,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from seckex.crypto.suites import SHA256
from seckex.errors import BadCertificate, Flaw
from seckex.events import shown
from seckex.wire.info import is_nai
from seckex.wire.numbers import MAX_CERTIFICATES, MAX_CHAIN

USAGES: Final = (
    ExtendedKeyUsageOID.CLIENT_AUTH,
    ExtendedKeyUsageOID.IPSEC_IKE,
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
)

E = TypeVar("E", bound=ExtensionType)

# Such a certificate is refused below, and what peers send is not to be warned of on the standard error.
warnings.filterwarnings("ignore", "Parsed a serial number which wasn't positive")

# Whatever the library says of octets that are no certificate: before 50 a KeyError where it does not know a kind of
# string.
UNREADABLE: Final = (ValueError, KeyError, UnsupportedAlgorithm, InvalidVersion, DuplicateExtension)


def bounded(chain: Sequence[bytes]) -> None:
    """Raise `BadCertificate` for an empty chain, or one of too many or too large certificates."""
    if not chain:
        raise BadCertificate(Flaw.MALFORMED, "no certificate")
    if len(chain) > MAX_CERTIFICATES:
        raise BadCertificate(Flaw.TOO_LONG, f"{len(chain)} certificates, a chain has at most {MAX_CERTIFICATES}")
    if sum(map(len, chain)) > MAX_CHAIN:
        raise BadCertificate(Flaw.TOO_LONG, f"certificates of {sum(map(len, chain))} octets, {MAX_CHAIN} are allowed")


def read_certificate(der: bytes) -> Certificate:
    """Return the certificate in ``der``, read to the end, with a key on P-256; raises `BadCertificate`."""
    try:
        certificate = load_der_x509_certificate(der)
        # The library parses these when they are first asked for; what is wrong with them must be found here.
        _ = certificate.extensions, certificate.subject, certificate.issuer
        _ = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        # It passes over the octet that counts unused bits of the signature, which must be none.
        if der[-len(certificate.signature) - 1] != 0 or certificate.serial_number <= 0:
            raise ValueError
    except UNREADABLE:
        raise BadCertificate(Flaw.MALFORMED, "octets that are no certificate") from None
    public_key(certificate)
    return certificate


def read_certificates(pem: bytes) -> list[Certificate]:
    """Return the certificates in a file, in its order; raises `BadCertificate`."""
    try:
        found = load_pem_x509_certificates(pem)
    except UNREADABLE:
        raise BadCertificate(Flaw.MALFORMED, "holds no certificates in PEM form, or one that cannot be read") from None
    return [read_certificate(der_of(certificate)) for certificate in found]


def der_of(certificate: Certificate) -> bytes:
    """Return the octets of a certificate."""
    return certificate.public_bytes(Encoding.DER)


def fingerprint(der: bytes) -> str:
    """Return SHA-256 of a certificate's octets, in hexadecimal."""
    return SHA256.digest(der).hex()


def subject_of(certificate: Certificate) -> str:
    """Return the subject as one line that moves no cursor; where it is empty, the serial number."""
    text = certificate.subject.rfc4514_string() or f"serial number {certificate.serial_number}"
    return shown(text)


def public_key(certificate: Certificate) -> ec.EllipticCurvePublicKey:
    """Return the key, which must be on P-256; raises `BadCertificate`."""
    try:
        key = certificate.public_key()
    except UNREADABLE:
        raise BadCertificate(Flaw.WRONG_KEY, f"the key of {subject_of(certificate)} cannot be read") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise BadCertificate(Flaw.WRONG_KEY, f"the key of {subject_of(certificate)} is not an ECDSA key on P-256")
    return key


def check_dates(certificate: Certificate, now: float) -> None:
    """Raise `BadCertificate` if ``now``, in seconds since 1970, is not within the certificate's life."""
    if now >= not_after(certificate):
        when = f"{certificate.not_valid_after_utc:%Y-%m-%d %H:%M:%S} UTC"
        raise BadCertificate(Flaw.EXPIRED, f"the certificate of {subject_of(certificate)} expired at {when}")
    if now < not_before(certificate):
        when = f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M:%S} UTC"
        raise BadCertificate(Flaw.NOT_YET_VALID, f"the certificate of {subject_of(certificate)} begins at {when}")


def not_after(certificate: Certificate) -> float:
    """Return the end of its life in seconds since 1970."""
    return certificate.not_valid_after_utc.timestamp()


def not_before(certificate: Certificate) -> float:
    """Return the beginning of its life in seconds since 1970."""
    return certificate.not_valid_before_utc.timestamp()


def check_principal(certificate: Certificate) -> str:
    """Return the NAI that the certificate is for; raises `BadCertificate` where it is not one of a principal."""
    basic = _extension(certificate, BasicConstraints)
    if basic is not None and basic.ca:
        raise BadCertificate(Flaw.WRONG_USAGE, f"{subject_of(certificate)} is a certificate authority")
    usage = _extension(certificate, KeyUsage)
    if usage is None or not usage.digital_signature:
        raise BadCertificate(Flaw.WRONG_USAGE, f"the key of {subject_of(certificate)} is not for digital signatures")
    extended = _extension(certificate, ExtendedKeyUsage)
    if extended is not None and not any(each in USAGES for each in extended):
        why = f"the extended key usages of {subject_of(certificate)} have neither TLS client nor IKE nor any"
        raise BadCertificate(Flaw.WRONG_USAGE, why)
    return _nai(certificate)


def _nai(certificate: Certificate) -> str:
    names = _extension(certificate, SubjectAlternativeName)
    found = [] if names is None else names.get_values_for_type(RFC822Name)
    if len(found) != 1:
        raise BadCertificate(
            Flaw.WRONG_NAME, f"{subject_of(certificate)} has {len(found)} rfc822Names, it must be one, the NAI"
        )
    if not is_nai(found[0]):
        raise BadCertificate(Flaw.WRONG_NAME, f"the rfc822Name of {subject_of(certificate)} is not a NAI")
    return found[0]


def check_authority(certificate: Certificate) -> None:
    """Raise `BadCertificate` if the certificate is not one of an authority."""
    basic = _extension(certificate, BasicConstraints)
    usage = _extension(certificate, KeyUsage)
    if basic is None or not basic.ca or usage is None or not usage.key_cert_sign:
        raise BadCertificate(Flaw.WRONG_USAGE, f"{subject_of(certificate)} is no certificate authority")


def may_sign_lists(certificate: Certificate) -> bool:
    """Tell whether the key is for revocation lists."""
    usage = _extension(certificate, KeyUsage)
    return usage is not None and usage.crl_sign


def _extension(certificate: Certificate, kind: type[E]) -> E | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except ExtensionNotFound:
        return None
