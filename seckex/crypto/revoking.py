"""The MACs of REVOCATION and REVOKED: docs/passages.md, section 7.

Both are made with one key, exported from the association that home agent and agent have of one registration (KEY 2); a
label in each MAC keeps the two directions apart. So what is said of one registration says nothing of any other.
"""

from __future__ import annotations

from typing import Final

from seckex.crypto.schedule import AgreedKeys
from seckex.crypto.secrets import equal
from seckex.crypto.suites import SHA256
from seckex.errors import AuthenticationFailed
from seckex.wire.numbers import Kind
from seckex.wire.revocation import MAC_SIZE, Revocation, Revoked, Signed, encode_signed, encode_start

_LABEL: Final = b"seckex1 revocation"
_KEY_SIZE: Final = 32
_SAID: Final = {Revocation: b"revocation", Revoked: b"revoked"}


def _mac(keys: AgreedKeys, said: Revocation | Revoked, covered: bytes) -> bytes:
    key = keys.export(_LABEL, b"", _KEY_SIZE)
    return SHA256.mac(key.octets, _SAID[type(said)], covered)[:MAC_SIZE]


def sign(keys: AgreedKeys, said: Revocation | Revoked) -> bytes:
    """Return the octets of a message under KEY 2; raises `ApiMisuse` for what cannot be said."""
    covered = encode_start(said)
    return encode_signed(Signed(said, covered, _mac(keys, said, covered)))


def verify(keys: AgreedKeys, signed: Signed) -> None:
    """Raise `AuthenticationFailed` unless the MAC verifies; takes the same time for all."""
    if not equal(_mac(keys, signed.said, signed.covered), signed.mac):
        kind = Kind.REVOCATION if isinstance(signed.said, Revocation) else Kind.REVOKED
        raise AuthenticationFailed(f"the MAC of {kind.name} does not verify")


def digest_of(revocation: bytes) -> bytes:
    """Return what a REVOKED names the octets of a REVOCATION by."""
    return SHA256.digest(revocation)
