"""Trust in single certificates, each for the one name in it: what pairing leaves behind.

Such a certificate was compared by people, so nobody else has to vouch for it; it
may have signed itself. It is good for as long as its dates say, cannot be
revoked other than by no longer being pinned, and vouches for nobody else. Where
there are authorities as well, they are asked about every other chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cryptography.x509 import Certificate

from seckex.crypto.certificates import (
    bounded,
    check_dates,
    check_principal,
    der_of,
    fingerprint,
    not_after,
    public_key,
    read_certificate,
    subject_of,
)
from seckex.crypto.identity import Trust, Voucher
from seckex.crypto.schedule import lp
from seckex.crypto.suites import SHA256
from seckex.errors import BadCertificate, Flaw


class PinnedTrust:
    """Trusts ``pinned`` certificates, and whom the ``others`` trust, if there are any."""

    def __init__(self, pinned: Iterable[Certificate], others: Trust | None = None) -> None:
        self._pinned = {der_of(each): (each, voucher_of(each)) for each in pinned}
        self._others = others

    def __repr__(self) -> str:
        return f"<PinnedTrust {len(self._pinned)} {self._others!r}>"

    @property
    def digests(self) -> dict[str, bytes]:
        """See `Trust.digests`; pins are counted in with whom is trusted."""
        others = {} if self._others is None else self._others.digests
        return others | {"trust": SHA256.digest(others.get("trust", b""), *map(lp, sorted(self._pinned)))}

    def verify(self, chain: Sequence[bytes], now: float) -> Voucher:
        """Return what ``chain`` proves at ``now``, wall-clock seconds; raises `BadCertificate`.

        Of a pinned certificate what stands behind it in the chain does not matter.
        """
        bounded(chain)
        found = self._pinned.get(chain[0])
        if found is not None:
            check_dates(found[0], now)
            return found[1]
        if self._others is not None:
            return self._others.verify(chain, now)
        leaf = read_certificate(chain[0])
        raise BadCertificate(Flaw.UNKNOWN_ISSUER, f"{subject_of(leaf)} is not paired with, and no authority is trusted")


def voucher_of(certificate: Certificate) -> Voucher:
    """Return what a certificate says of itself, whoever may believe it; raises `BadCertificate`."""
    nai = check_principal(certificate)
    return Voucher(nai, not_after(certificate), fingerprint(der_of(certificate)), public_key(certificate))
