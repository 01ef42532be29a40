"""Revocation lists (RFC 5280, section 5): who of a chain was revoked, by lists that are at hand.

Lists are files that an operator keeps fresh; nothing is fetched. Where any is
configured, each issuer in a chain must have one that it has signed and whose
next update is still to come, so that leaving a list out, or letting it grow
stale, revokes nobody silently: such a chain is refused. Delta lists, lists of
some of the reasons only and lists by another than the issuer are refused when
they are read; what the time of issue says is not judged, since a list from a
clock that is ahead is as good as any.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate, CertificateRevocationList, load_pem_x509_crl

from seckex.crypto.certificates import UNREADABLE, may_sign_lists, public_key, subject_of
from seckex.crypto.suites import SHA256
from seckex.errors import BadCertificate, Flaw
from seckex.events import shown


def read_list(pem: bytes) -> CertificateRevocationList:
    """Return the revocation list in a file; raises `BadCertificate`."""
    try:
        found = load_pem_x509_crl(pem)
        critical = [extension.oid.dotted_string for extension in found.extensions if extension.critical]
        complete = found.next_update_utc is not None
    except UNREADABLE:
        raise BadCertificate(Flaw.MALFORMED, "holds no revocation list in PEM form") from None
    if critical:
        raise BadCertificate(Flaw.WRONG_USAGE, f"is a partial list: it has the critical extension {critical[0]}")
    if not complete:
        raise BadCertificate(Flaw.MALFORMED, "does not say when it will be updated")
    return found


def next_update(found: CertificateRevocationList) -> float:
    """Return when the list is to be replaced, in seconds since 1970."""
    when = found.next_update_utc
    return 0.0 if when is None else when.timestamp()


class RevocationLists:
    """All lists at hand; none at all means that nothing is asked of them."""

    def __init__(self, lists: Iterable[CertificateRevocationList]) -> None:
        self._lists = tuple(lists)
        self._by_issuer: dict[Certificate, tuple[CertificateRevocationList, ...]] = {}

    def check(self, chain: Sequence[Certificate], now: float) -> float:
        """Return until when the lists say that nobody in ``chain`` is revoked, in seconds since 1970.

        ``chain`` goes from a principal to whom is trusted, and is verified.
        Raises `BadCertificate`.
        """
        until = float("inf")
        if not self._lists:
            return until
        for certificate, issuer in pairwise(chain):
            own = self._of(issuer)
            for each in own:
                if each.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None:
                    raise BadCertificate(Flaw.REVOKED, f"{subject_of(certificate)} was revoked by {subject_of(issuer)}")
            fresh = max(map(next_update, own), default=0.0)
            if fresh <= now:
                what = "is out of date" if own else "is not at hand"
                raise BadCertificate(Flaw.REVOCATION_UNKNOWN, f"the revocation list of {subject_of(issuer)} {what}")
            until = min(until, fresh)
        return until

    @property
    def digest(self) -> bytes:
        """The hash of all lists."""
        return SHA256.digest(*(each.public_bytes(Encoding.DER) for each in self._lists))

    def _of(self, issuer: Certificate) -> tuple[CertificateRevocationList, ...]:
        """Return an issuer's lists; each is verified once for each issuer of verified chains, who are few."""
        if issuer not in self._by_issuer:
            named = [each for each in self._lists if each.issuer == issuer.subject] if may_sign_lists(issuer) else []
            key = public_key(issuer)
            self._by_issuer[issuer] = tuple(each for each in named if each.is_signature_valid(key))
        return self._by_issuer[issuer]

    def strangers(self, issuers: Sequence[Certificate]) -> list[str]:
        """Return the issuers of lists that are in the name of some of ``issuers`` and signed by none of those."""
        named = {issuer.subject for issuer in issuers}
        signed = [each for issuer in issuers for each in self._of(issuer)]
        return [
            shown(each.issuer.rfc4514_string()) for each in self._lists if each.issuer in named and each not in signed
        ]
