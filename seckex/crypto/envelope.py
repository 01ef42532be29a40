"""The keys of envelopes and what vouches for their headers: docs/messages.md, sections 4, 5 and 8.

A key exchange key (KEK) seals dialog session keys (DSK), one for each generation; a DSK, a salt, the connection's
path, the suite and the sender give the key of the bodies of one direction. Headers come and go as the octets that
they are on the wire: what is signed, hashed or associated is never encoded a second time.

All of it is HKDF and HMAC with SHA-256 and AES-256-GCM. Whatever does not verify raises `AuthenticationFailed`, which
does not say what was wrong.
"""

from __future__ import annotations

from typing import Final

from attrs import field, frozen

from seckex.crypto.identity import Identity, Voucher
from seckex.crypto.schedule import PREFIX_SIZE, lp
from seckex.crypto.secrets import Secret, equal
from seckex.crypto.suites import KEY_SIZES, SHA256, InvalidTag, new_aead
from seckex.errors import ApiMisuse, AuthenticationFailed
from seckex.wire.envelope_headers import DSK_ID_SIZE, KEK_ID_SIZE
from seckex.wire.numbers import Suite

#: Octets of a KEK, of a DSK and of what seals a DSK.
KEY_SIZE: Final = 32
HASH_SIZE: Final = 16
SALT_SIZE: Final = 16
PATH_SIZE: Final = 16
NOTICE_MAC_SIZE: Final = 16
#: The path of envelopes that have a routing header.
NO_PATH: Final = bytes(PATH_SIZE)
#: The fingerprint of an initiator without a name.
NOBODY: Final = bytes(32)

_PAIR_LABEL: Final = b"seckex1 service pair signature"
_NOTICE_LABEL: Final = b"seckex1 notice"
_COLLECT_LABEL: Final = b"seckex1 collect"
_NONCE: Final = bytes(12)


def _key(secret: Secret, info: bytes, size: int = KEY_SIZE) -> bytes:
    if len(secret) != KEY_SIZE:
        raise ApiMisuse(f"such a key has {KEY_SIZE} octets")
    return SHA256.expand(secret.octets, info, size)


def kek_id(kek: Secret) -> bytes:
    """Return what names a KEK, 16 octets."""
    return _key(kek, b"seckex1 kek id", KEK_ID_SIZE)


def dsk_id(dsk: Secret) -> bytes:
    """Return what names a DSK, 8 octets."""
    return _key(dsk, b"seckex1 dsk id", DSK_ID_SIZE)


def message_path(caller: bytes, callee: bytes) -> bytes:
    """Return the name of the connection on which HELLO had these nonces, 16 octets: section 2."""
    return SHA256.digest(b"seckex1 message path", caller, callee)[:PATH_SIZE]


def association_fingerprint(nai: str) -> bytes:
    """Return what stands in a service pair header for the fingerprint of who has no certificate, 32 octets."""
    return SHA256.digest(b"seckex1 association principal", lp(nai.encode()))


def _wrap(kek: Secret, generation: int) -> bytes:
    return _key(kek, b"seckex1 wrap dsk" + generation.to_bytes(4, "big"))


def wrap_dsk(kek: Secret, generation: int, dsk: Secret, dialog_id: bytes, kek_octets: bytes) -> bytes:
    """Return the sealed DSK, 48 octets; ``kek_octets`` is the KEK header.

    For a generation of a KEK this may be called with one DSK and one KEK header only: the nonce is always the same.
    """
    if len(dsk) != KEY_SIZE:
        raise ApiMisuse(f"a DSK has {KEY_SIZE} octets")
    aead = new_aead(Suite.AES_256_GCM, _wrap(kek, generation))
    return aead.encrypt(_NONCE, dsk.octets, dialog_id + kek_octets)


def unwrap_dsk(kek: Secret, generation: int, sealed: bytes, dialog_id: bytes, kek_octets: bytes) -> Secret:
    """Return the DSK that `wrap_dsk` sealed; raises `AuthenticationFailed`."""
    aead = new_aead(Suite.AES_256_GCM, _wrap(kek, generation))
    try:
        dsk = aead.decrypt(_NONCE, sealed, dialog_id + kek_octets)
    except InvalidTag:
        dsk = b""
    if len(dsk) != KEY_SIZE:
        raise AuthenticationFailed("the seal of a session key does not open")
    return Secret(dsk)


@frozen
class BodyKey:
    """What one direction of a dialog seals bodies with under one salt: key, first 4 octets of nonces, and its name."""

    suite: Suite
    key: Secret
    prefix: bytes = field(repr=False)
    context: int


def body_key(
    suite: Suite, dsk: Secret, salt: bytes, path: bytes, direction: int, fingerprint: bytes, dialog_id: bytes
) -> BodyKey:
    """Return the key of the bodies that the principal with ``fingerprint`` sends.

    ``direction`` is 0 from the initiator, 1 from the target; ``path`` names the connection, `NO_PATH` where the
    envelope has a routing header.
    """
    if len(dsk) != KEY_SIZE or len(salt) != SALT_SIZE or len(path) != PATH_SIZE:
        raise ApiMisuse(f"a DSK has {KEY_SIZE} octets, a salt {SALT_SIZE}, a path {PATH_SIZE}")
    prk = SHA256.extract(salt + path, dsk.octets)
    size, way = KEY_SIZES[suite], direction.to_bytes(1, "big")
    info = b"seckex1 body" + suite.to_bytes(1, "big") + way + fingerprint + dialog_id
    octets = SHA256.expand(prk, info, size + PREFIX_SIZE)
    context = SHA256.expand(prk, b"seckex1 context" + way + dialog_id, 4)
    return BodyKey(suite, Secret(octets[:size]), octets[size:], int.from_bytes(context, "big"))


def chain_hash(pair_unsigned: bytes, kek_octets: bytes, key_octets: bytes) -> bytes:
    """Return what names headers that were sent, 16 octets: section 8; ``pair_unsigned`` empty in an anonymous chain.

    ``key_octets`` is the session key header with the sealed DSK.
    """
    return SHA256.digest(b"seckex1 header chain", pair_unsigned, kek_octets, key_octets)[:HASH_SIZE]


def sign(identity: Identity, label: bytes, covered: bytes) -> bytes:
    """Return a signature of at most 72 octets over the hash of ``covered`` under ``label``."""
    return identity.sign(label, SHA256.digest(covered))


def verify(voucher: Voucher, signature: bytes, label: bytes, covered: bytes) -> None:
    """Raise `AuthenticationFailed` unless `sign` made ``signature`` with the key of ``voucher``."""
    voucher.verify(signature, label, SHA256.digest(covered))


def sign_pair(identity: Identity, signed: bytes) -> bytes:
    """Return the proof of a service pair header; ``signed`` as of `seckex.wire.envelope.Envelope`."""
    return sign(identity, _PAIR_LABEL, signed)


def verify_pair(voucher: Voucher, proof: bytes, signed: bytes) -> None:
    """Raise `AuthenticationFailed` unless the principal of ``voucher`` has signed these headers."""
    verify(voucher, proof, _PAIR_LABEL, signed)


def mac_pair(kek: Secret, signed: bytes) -> bytes:
    """Return the proof of a service pair header where an association vouches, 32 octets."""
    key = _key(kek, b"seckex1 service pair mac")
    return SHA256.mac(key, b"seckex1 service pair", SHA256.digest(signed))


def verify_mac_pair(kek: Secret, proof: bytes, signed: bytes) -> None:
    """Raise `AuthenticationFailed` unless ``proof`` is what `mac_pair` returns."""
    if not equal(mac_pair(kek, signed), proof):
        raise AuthenticationFailed("the MAC of a service pair header does not verify")


def sign_notice(identity: Identity, path: bytes, covered: bytes) -> bytes:
    """Return the proof of a NOTICE on the connection ``path``; ``covered`` is all before the proof."""
    return sign(identity, _NOTICE_LABEL, path + covered)


def verify_notice(voucher: Voucher, proof: bytes, path: bytes, covered: bytes) -> None:
    """Raise `AuthenticationFailed` unless the principal of ``voucher`` has said this NOTICE on this connection."""
    verify(voucher, proof, _NOTICE_LABEL, path + covered)


def sign_prove(identity: Identity, path: bytes, relay: str) -> bytes:
    """Return the signature by which a principal proves its name to ``relay`` (a NAI) on the connection ``path``.

    The relay's name is in it, so that a relay cannot pass it on to another and be taken for the principal there.
    """
    return sign(identity, _COLLECT_LABEL, path + lp(relay.encode()))


def verify_prove(voucher: Voucher, proof: bytes, path: bytes, relay: str) -> None:
    """Raise `AuthenticationFailed` unless ``proof`` is what the principal of ``voucher`` gets of `sign_prove`."""
    verify(voucher, proof, _COLLECT_LABEL, path + lp(relay.encode()))


def mac_notice(kek: Secret, direction: int, path: bytes, covered: bytes) -> bytes:
    """Return the proof of a NOTICE by who holds the KEK, 16 octets; ``direction`` is 0 where the initiator says it."""
    key = _key(kek, _NOTICE_LABEL + direction.to_bytes(1, "big"))
    return SHA256.mac(key, path, covered)[:NOTICE_MAC_SIZE]


def verify_mac_notice(kek: Secret, direction: int, proof: bytes, path: bytes, covered: bytes) -> None:
    """Raise `AuthenticationFailed` unless ``proof`` is what `mac_notice` returns."""
    if not equal(mac_notice(kek, direction, path, covered), proof):
        raise AuthenticationFailed("the MAC of a NOTICE does not verify")
