"""What certificates, revocation lists and keys in a file are, for an operator to read."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen
from cryptography.x509 import Certificate, RFC822Name, SubjectAlternativeName

from seckex.crypto.certificates import (
    check_authority,
    check_principal,
    der_of,
    fingerprint,
    not_after,
    not_before,
    read_certificates,
    subject_of,
)
from seckex.crypto.revocation import next_update, read_list
from seckex.errors import BadCertificate, Flaw
from seckex.events import shown


@frozen
class Shown:
    """One certificate or revocation list.

    ``kind`` is principal, authority, list or other; ``since`` and ``until`` bound
    its life in seconds since 1970. ``objection`` is why a certificate is neither
    of a principal nor of an authority.
    """

    kind: str
    name: str
    issuer: str
    serial: str
    since: float
    until: float
    fingerprint: str
    revoked: tuple[str, ...] = ()
    objection: str = ""


def show(pem: bytes) -> list[Shown]:
    """Return what is in a file; raises `BadCertificate` where it holds neither certificates nor a list."""
    if b"-----BEGIN X509 CRL-----" in pem:
        found = read_list(pem)
        issuer = shown(found.issuer.rfc4514_string())
        since = found.last_update_utc.timestamp()
        revoked = tuple(sorted(f"{entry.serial_number:x}" for entry in found))
        return [Shown("list", issuer, issuer, "", since, next_update(found), "", revoked)]
    if b"PRIVATE KEY-----" in pem and b"-----BEGIN CERTIFICATE-----" not in pem:
        raise BadCertificate(Flaw.MALFORMED, "is a private key, of which nothing is shown")
    return list(map(show_certificate, read_certificates(pem)))


def show_certificate(certificate: Certificate) -> Shown:
    """Return what one certificate is."""
    kind, objection = "other", ""
    name = next(_names(certificate), subject_of(certificate))
    try:
        check_authority(certificate)
        kind = "authority"
    except BadCertificate:
        try:
            name = check_principal(certificate)
            kind = "principal"
        except BadCertificate as error:
            objection = error.why
    return Shown(
        kind=kind,
        name=name,
        issuer=shown(certificate.issuer.rfc4514_string()),
        serial=f"{certificate.serial_number:x}",
        since=not_before(certificate),
        until=not_after(certificate),
        fingerprint=fingerprint(der_of(certificate)),
        objection=objection,
    )


def _names(certificate: Certificate) -> Iterator[str]:
    for extension in certificate.extensions:
        if isinstance(extension.value, SubjectAlternativeName):
            yield from map(shown, extension.value.get_values_for_type(RFC822Name))
