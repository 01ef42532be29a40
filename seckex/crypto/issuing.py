"""A small certificate authority for trying things out: one self-signed certificate, principals, a list.

There is nothing between the authority and its principals, and the authority's
key is a file like any other: who runs a network of many principals has an
authority already. Times are seconds since 1970; keys and serial numbers are
drawn by the library.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from attrs import field, frozen
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import (
    AuthorityKeyIdentifier,
    BasicConstraints,
    Certificate,
    CertificateBuilder,
    CertificateRevocationListBuilder,
    CRLNumber,
    ExtendedKeyUsage,
    ExtensionNotFound,
    KeyUsage,
    Name,
    NameAttribute,
    RevokedCertificateBuilder,
    RFC822Name,
    SubjectAlternativeName,
    SubjectKeyIdentifier,
    random_serial_number,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from seckex.crypto.certificates import check_authority, public_key, read_certificates, subject_of
from seckex.crypto.identity import read_private_key
from seckex.crypto.revocation import read_list
from seckex.crypto.secrets import Secret
from seckex.errors import BadCertificate, Flaw
from seckex.wire.info import is_nai

DAY: Final = 86400
# A certificate begins a little earlier than it is made: the clocks of those who get it may be behind.
EARLIER: Final = 300
_MOST_OF_A_NAME: Final = 64  # ub-common-name of RFC 5280


@frozen
class Issued:
    """A certificate and its private key, as files."""

    certificate: bytes
    key: Secret


@frozen
class Authority:
    """An authority's certificate and private key."""

    certificate: Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def from_pem(cls, certificate: bytes, key: bytes) -> Authority:
        """Read its files; raises `BadCertificate`."""
        own = read_certificates(certificate)[0]
        check_authority(own)
        authority = cls(own, read_private_key(key))
        if public_key(own) != authority.key.public_key():
            raise BadCertificate(Flaw.WRONG_KEY, f"the private key is not that of {subject_of(own)}")
        return authority

    @classmethod
    def issue_itself(cls, name: str, now: float, days: int) -> Issued:
        """Return a new authority."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name(name), _name(name), key, key, now, days)
        builder = builder.add_extension(BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(authority=True), critical=True)
        return Issued(_pem(builder.sign(key, hashes.SHA256())), _key_pem(key))

    def issue(self, nai: str, now: float, days: int) -> Issued:
        """Return a principal's certificate, not outliving ours; raises `BadCertificate` for what cannot have one."""
        names, subject, key = _names(nai), _subject(nai), ec.generate_private_key(ec.SECP256R1())
        builder = _builder(subject, self.certificate.subject, key, self.key, now, days, self.certificate)
        return Issued(_pem(_of_principal(builder, names, subject).sign(self.key, hashes.SHA256())), _key_pem(key))

    def issue_list(self, before: bytes | None, revoked: Sequence[Certificate], now: float, days: int) -> bytes:
        """Return a revocation list, in PEM form, with all that is on the one ``before`` and those ``revoked`` now.

        Raises `BadCertificate` for a certificate or a list that is not ours.
        """
        builder = CertificateRevocationListBuilder().issuer_name(self.certificate.subject)
        number = 1
        on_it: set[int] = set()
        if before is not None:
            old = read_list(before)
            if old.issuer != self.certificate.subject or not old.is_signature_valid(public_key(self.certificate)):
                raise BadCertificate(
                    Flaw.UNKNOWN_ISSUER, f"the revocation list is not by {subject_of(self.certificate)}"
                )
            for entry in old:
                on_it.add(entry.serial_number)
                builder = builder.add_revoked_certificate(entry)
            try:
                number = old.extensions.get_extension_for_class(CRLNumber).value.crl_number + 1
            except ExtensionNotFound:
                number = 1
        for each in revoked:
            try:
                each.verify_directly_issued_by(self.certificate)
            except Exception:  # of several kinds, by what differs
                why = f"{subject_of(each)} was not issued by {subject_of(self.certificate)}"
                raise BadCertificate(Flaw.UNKNOWN_ISSUER, why) from None
            if each.serial_number not in on_it:
                on_it.add(each.serial_number)
                made = RevokedCertificateBuilder().serial_number(each.serial_number).revocation_date(_time(now))
                builder = builder.add_revoked_certificate(made.build())
        builder = builder.last_update(_time(now)).next_update(_time(now) + timedelta(days=days))
        builder = builder.add_extension(CRLNumber(number), critical=False)
        identifier = AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = builder.add_extension(identifier, critical=False)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM)


def issue_alone(nai: str, now: float, days: int) -> Issued:
    """Return a principal's certificate that it has signed itself, for those who pair with it; raises `BadCertificate`.

    Its issuer is no authority and vouches for nobody.
    """
    names, subject, key = _names(nai), _subject(nai), ec.generate_private_key(ec.SECP256R1())
    builder = _builder(subject, subject, key, key, now, days)
    return Issued(_pem(_of_principal(builder, names, subject).sign(key, hashes.SHA256())), _key_pem(key))


def _names(nai: str) -> SubjectAlternativeName:
    try:
        if not is_nai(nai):
            raise ValueError
        return SubjectAlternativeName([RFC822Name(nai)])
    except ValueError:
        raise BadCertificate(Flaw.WRONG_NAME, "a certificate is for a NAI in ASCII, name@realm") from None


def _subject(nai: str) -> Name:
    return _name(nai) if len(nai) <= _MOST_OF_A_NAME else Name([])


def _of_principal(builder: CertificateBuilder, names: SubjectAlternativeName, subject: Name) -> CertificateBuilder:
    return (
        builder.add_extension(names, critical=not list(subject))
        .add_extension(BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(ExtendedKeyUsage([ExtendedKeyUsageOID.IPSEC_IKE]), critical=False)
    )


def _time(now: float) -> datetime:
    return datetime.fromtimestamp(int(now), UTC)


def _name(text: str) -> Name:
    return Name([NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: Name,
    issuer: Name,
    key: ec.EllipticCurvePrivateKey,
    by: ec.EllipticCurvePrivateKey,
    now: float,
    days: int,
    above: Certificate | None = None,
) -> CertificateBuilder:
    end = _time(now) + timedelta(days=days)
    return (
        CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(random_serial_number())
        .not_valid_before(_time(now - EARLIER))
        .not_valid_after(end if above is None else min(end, above.not_valid_after_utc))
        .add_extension(SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False)
    )


def _usage(*, authority: bool) -> KeyUsage:
    return KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> Secret:
    return Secret(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
