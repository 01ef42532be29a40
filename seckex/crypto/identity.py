"""Who somebody is, by certificates: our own identity, and whom we trust to vouch for others.

An `Identity` is a chain of certificates (the principal's first, up to but
without whom the others trust) and the private key of the first. `TrustAnchors`
verify a chain that a peer presents: path, dates and constraints by
`cryptography.x509.verification`, then revocation lists. A verified chain is
remembered by its hash for as long as it would verify, so that a peer that comes
again costs one signature. Trust is never changed: reloading makes another one,
with nothing remembered.

Every flaw is a `BadCertificate` that names what is wrong. All keys are ECDSA on
P-256 with SHA-256 (FIPS 186-5); only the hashes of a transcript are ever signed,
behind a label and a zero octet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final, Protocol

from attrs import field, frozen
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import BasicConstraints, Certificate, KeyUsage, SubjectAlternativeName
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from seckex.crypto.certificates import (
    UNREADABLE,
    bounded,
    check_authority,
    check_dates,
    check_principal,
    der_of,
    fingerprint,
    not_after,
    not_before,
    public_key,
    read_certificate,
    read_certificates,
    subject_of,
)
from seckex.crypto.revocation import RevocationLists, read_list
from seckex.crypto.schedule import lp
from seckex.crypto.suites import SHA256
from seckex.errors import AuthenticationFailed, BadCertificate, Flaw
from seckex.wire.identity import MAX_SIGNATURE
from seckex.wire.numbers import MAX_CERTIFICATES

REMEMBERED: Final = 1024
MAX_ANCHORS: Final = 256

# What the certificate of a principal must have in any case is looked at before, flaw by flaw: `check_principal`.
_PRINCIPAL: Final = (
    ExtensionPolicy.permit_all()
    .require_present(SubjectAlternativeName, Criticality.AGNOSTIC, None)
    .require_present(KeyUsage, Criticality.AGNOSTIC, None)
    .may_be_present(BasicConstraints, Criticality.AGNOSTIC, None)
)
_AUTHORITY: Final = ExtensionPolicy.webpki_defaults_ca()

_VERIFYING: Final = ec.ECDSA(hashes.SHA256())
_SIGNING: Final = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)


def _signed(label: bytes, transcript: bytes) -> bytes:
    return label + b"\0" + transcript


@frozen
class Voucher:
    """What a verified chain says: who, until when, and with which key it signs.

    ``not_after`` is the end of the shortest life in the chain, in seconds since
    1970; ``fingerprint`` is that of the principal's certificate and ``issued`` its
    notBefore.
    """

    nai: str
    not_after: float
    fingerprint: str
    key: ec.EllipticCurvePublicKey = field(repr=False, eq=False)
    issued: int = 0

    def verify(self, signature: bytes, label: bytes, transcript: bytes) -> None:
        """Raise `AuthenticationFailed` unless the principal has signed ``transcript`` under ``label``."""
        try:
            if len(signature) > MAX_SIGNATURE:
                raise InvalidSignature
            self.key.verify(signature, _signed(label, transcript), _VERIFYING)
        except InvalidSignature:
            raise AuthenticationFailed(f"the signature by {self.nai} does not verify") from None


class Trust(Protocol):
    """Whoever judges chains of certificates: `TrustAnchors`, or `seckex.crypto.pinned.PinnedTrust` beside them."""

    @property
    def digests(self) -> dict[str, bytes]:
        """The hashes of what it judges by, to tell whether that is another than it was."""
        ...

    def verify(self, chain: Sequence[bytes], now: float) -> Voucher:
        """Return what a chain of DER certificates proves at ``now``, wall-clock seconds; raises `BadCertificate`."""
        ...


class Identity:
    """Our own name, with the chain that proves it and the key that signs.

    ``chain`` has DER certificates, our own first; ``not_after`` is the end of
    the shortest life among them, ``issued`` our own certificate's notBefore. ``key``
    itself is for TLS, which signs as it likes; whatever else is signed goes through
    `sign`.
    """

    __slots__ = ("chain", "fingerprint", "issued", "key", "nai", "not_after", "not_before")

    def __init__(self, certificates: Sequence[Certificate], key: ec.EllipticCurvePrivateKey) -> None:
        self.chain = tuple(map(der_of, certificates))
        bounded(self.chain)
        self.nai = check_principal(certificates[0])
        if public_key(certificates[0]) != key.public_key():
            why = f"the private key is not that of the certificate of {subject_of(certificates[0])}"
            raise BadCertificate(Flaw.WRONG_KEY, why)
        for certificate, issuer in pairwise(certificates):
            if certificate.issuer != issuer.subject:
                why = f"{subject_of(issuer)} is not the issuer of {subject_of(certificate)}, which stands before it"
                raise BadCertificate(Flaw.UNKNOWN_ISSUER, why)
        self.fingerprint = fingerprint(self.chain[0])
        self.not_after = min(map(not_after, certificates))
        self.not_before = max(map(not_before, certificates))
        self.issued = int(not_before(certificates[0]))
        self.key = key

    @classmethod
    def from_pem(cls, certificates: bytes, key: bytes) -> Identity:
        """Read the files of a chain and of its key, not encrypted; raises `BadCertificate`."""
        return cls(read_certificates(certificates), read_private_key(key))

    def __repr__(self) -> str:
        return f"<Identity {self.nai} {self.fingerprint[:16]}>"

    def sign(self, label: bytes, transcript: bytes) -> bytes:
        """Return a signature of at most 72 octets over ``transcript`` under ``label``."""
        return self.key.sign(_signed(label, transcript), _SIGNING)


def read_private_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """Return the key in a file; raises `BadCertificate`, which says nothing of what is in it."""
    try:
        key = load_pem_private_key(pem, None)
    except TypeError:
        raise BadCertificate(Flaw.WRONG_KEY, "the private key is encrypted; the daemon needs it in the clear") from None
    except Exception:  # whatever it is, its text may be of the key
        raise BadCertificate(Flaw.MALFORMED, "holds no private key in PEM form") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise BadCertificate(Flaw.WRONG_KEY, "the private key is not an ECDSA key on P-256")
    return key


@frozen
class _Remembered:
    """A chain that was verified, and when it would verify again without being looked at."""

    voucher: Voucher
    since: float
    until: float


class TrustAnchors:
    """Whom we trust to vouch for others, and what they have revoked."""

    def __init__(self, anchors: Sequence[Certificate], lists: RevocationLists | None = None) -> None:
        if not 0 < len(anchors) <= MAX_ANCHORS:
            raise BadCertificate(Flaw.TOO_LONG, f"{len(anchors)} authorities to trust, it must be 1 to {MAX_ANCHORS}")
        for anchor in anchors:
            check_authority(anchor)
        self._lists = lists or RevocationLists(())
        strangers = self._lists.strangers(anchors)
        if strangers:
            raise BadCertificate(Flaw.UNKNOWN_ISSUER, f"the revocation list of {strangers[0]} is not signed by it")
        self._anchors = tuple(anchors)
        self._store = Store(list(anchors))
        self._remembered: dict[bytes, _Remembered] = {}

    @classmethod
    def from_pem(cls, anchors: Iterable[bytes], lists: Iterable[bytes] = ()) -> TrustAnchors:
        """Read files of authorities, several in each, and of revocation lists; raises `BadCertificate`."""
        found = [certificate for pem in anchors for certificate in read_certificates(pem)]
        return cls(found, RevocationLists(map(read_list, lists)))

    def __repr__(self) -> str:
        return f"<TrustAnchors {len(self._anchors)}>"

    @property
    def digests(self) -> dict[str, bytes]:
        """The hashes of whom is trusted and of what is revoked, to tell whether either is another than it was."""
        return {"trust": SHA256.digest(*map(der_of, self._anchors)), "revocation": self._lists.digest}

    def verify(self, chain: Sequence[bytes], now: float) -> Voucher:
        """Return what ``chain`` of DER certificates, a principal's first, proves at ``now``; wall-clock seconds.

        Raises `BadCertificate`.
        """
        bounded(chain)
        name = SHA256.digest(*map(lp, chain))
        known = self._remembered.pop(name, None)
        if known is None or not known.since <= now < known.until:
            known = self._verify([read_certificate(der) for der in chain], now)
        # What was asked for last is the youngest; at the limit the oldest is looked at anew when it comes.
        self._remembered[name] = known
        if len(self._remembered) > REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        return known.voucher

    def _verify(self, certificates: list[Certificate], now: float) -> _Remembered:
        leaf = certificates[0]
        nai = check_principal(leaf)
        for certificate in certificates:
            check_dates(certificate, now)
        policy = (
            PolicyBuilder()
            .store(self._store)
            .time(datetime.fromtimestamp(int(now), UTC))
            .max_chain_depth(MAX_CERTIFICATES)
            .extension_policies(ca_policy=_AUTHORITY, ee_policy=_PRINCIPAL)
        )
        try:
            path = policy.build_client_verifier().verify(leaf, certificates[1:]).chain
        except VerificationError as error:
            raise self._flaw(certificates, now, error) from None
        except UNREADABLE:
            raise BadCertificate(Flaw.MALFORMED, f"the chain of {subject_of(leaf)} cannot be read") from None
        until = self._lists.check(path, now)
        end = min(map(not_after, path))
        voucher = Voucher(nai, end, fingerprint(der_of(leaf)), public_key(leaf), int(not_before(leaf)))
        return _Remembered(voucher, max(map(not_before, path)), min(until, end))

    def _flaw(self, certificates: Sequence[Certificate], now: float, error: VerificationError) -> BadCertificate:
        """Return what is wrong with certificates of which each was right by itself."""
        top = certificates[-1]
        named = [anchor for anchor in self._anchors if anchor.subject in {each.issuer for each in certificates}]
        for anchor in named:
            try:
                check_dates(anchor, now)
            except BadCertificate as flaw:
                return flaw
        if not named:
            why = f"nobody who is trusted has issued {subject_of(top)}"
            return BadCertificate(Flaw.UNKNOWN_ISSUER, why)
        said = str(error).partition(" (encountered")[0].removeprefix("validation failed: ")
        usage = any(word in said for word in ("onstraint", "xtension", "depth"))
        why = f"the chain of {subject_of(certificates[0])} does not verify: {said}"
        return BadCertificate(Flaw.WRONG_USAGE if usage else Flaw.UNKNOWN_ISSUER, why)
