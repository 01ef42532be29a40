"""The MACs of REVOCATION and REVOKED: docs/passages.md, section 7.

Both are made with one key, exported from the association that home agent and agent have of one registration (KEY 2); a
label in each MAC keeps the two directions apart. So what is said of one registration says nothing of any other, and
this key is all that either end has to keep once the registration has ended.
"""

from __future__ import annotations

from typing import Final

from attrs import field, frozen

from seckex.crypto.schedule import AgreedKeys
from seckex.crypto.secrets import Secret, equal
from seckex.crypto.suites import SHA256
from seckex.errors import AuthenticationFailed
from seckex.wire.numbers import Kind
from seckex.wire.revocation import MAC_SIZE, Revocation, Revoked, Signed, encode_signed, encode_start

KEY_SIZE: Final = 32

_LABEL: Final = b"seckex1 revocation"
_SAID: Final = {Revocation: b"revocation", Revoked: b"revoked"}


@frozen
class RevocationKey:
    """What the end of one registration is said and answered under."""

    secret: Secret = field(repr=False)

    @classmethod
    def of(cls, keys: AgreedKeys) -> RevocationKey:
        """Return that of KEY 2."""
        return cls(keys.export(_LABEL, b"", KEY_SIZE))

    def _mac(self, said: Revocation | Revoked, covered: bytes) -> bytes:
        return SHA256.mac(self.secret.octets, _SAID[type(said)], covered)[:MAC_SIZE]

    def sign(self, said: Revocation | Revoked) -> bytes:
        """Return the octets of a message; raises `ApiMisuse` for what cannot be said."""
        covered = encode_start(said)
        return encode_signed(Signed(said, covered, self._mac(said, covered)))

    def verify(self, signed: Signed) -> None:
        """Raise `AuthenticationFailed` unless the MAC verifies; takes the same time for all."""
        if not equal(self._mac(signed.said, signed.covered), signed.mac):
            kind = Kind.REVOCATION if isinstance(signed.said, Revocation) else Kind.REVOKED
            raise AuthenticationFailed(f"the MAC of {kind.name} does not verify")


def digest_of(revocation: bytes) -> bytes:
    """Return what a REVOKED names the octets of a REVOCATION by."""
    return SHA256.digest(revocation)
