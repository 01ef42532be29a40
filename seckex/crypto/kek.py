"""Where the key exchange keys of dialogs come from: docs/messages.md, section 6.

A KEK that is sealed to a prekey is bound by HPKE's info to both names, both certificates and the dialog: a header
that somebody else signs again does not open. What has no such binding, an anonymous initiator, is put beside the KEK
under the seal instead. A KEK of an association comes of its exporter, with the same names in its context.
"""

from __future__ import annotations

from typing import Final

from seckex.crypto.envelope import KEY_SIZE, NOBODY
from seckex.crypto.hpke import seal
from seckex.crypto.prekeys import PrivatePrekey, PublicPrekey
from seckex.crypto.schedule import AgreedKeys, lp
from seckex.crypto.secrets import Secret
from seckex.crypto.suites import SHA256
from seckex.errors import ApiMisuse, AuthenticationFailed

#: Octets of the nonce that goes with a KEK of an association.
NONCE_SIZE: Final = 32

_FINGERPRINT: Final = 32


def kek_info(
    initiator: str,
    initiator_fingerprint: bytes,
    target: str,
    target_fingerprint: bytes,
    prekey_id: bytes,
    dialog_id: bytes,
) -> bytes:
    """Return HPKE's info; an anonymous ``initiator`` is empty, its fingerprint `seckex.crypto.envelope.NOBODY`."""
    if len(initiator_fingerprint) != _FINGERPRINT or len(target_fingerprint) != _FINGERPRINT:
        raise ApiMisuse(f"a fingerprint has {_FINGERPRINT} octets")
    if (not initiator) != (initiator_fingerprint == NOBODY):
        raise ApiMisuse("who has no name has no fingerprint")
    return (
        b"seckex1 kek"
        + lp(initiator.encode())
        + initiator_fingerprint
        + lp(target.encode())
        + target_fingerprint
        + prekey_id
        + dialog_id
    )


def seal_kek(prekey: PublicPrekey, info: bytes, plaintext: Secret) -> bytes:
    """Return the sealed KEK.

    ``plaintext`` is the KEK; of an initiator without a name it is the KEK, then what
    `seckex.wire.envelope_headers.encode_anonymous` returns.
    """
    return seal(prekey.kem, prekey.public, info, plaintext)


def open_kek(prekey: PrivatePrekey, info: bytes, sealed: bytes) -> Secret:
    """Return the KEK of an initiator with a name; raises `AuthenticationFailed`."""
    kek = prekey.open(sealed, info)
    if len(kek) != KEY_SIZE:
        raise AuthenticationFailed("a seal does not hold a KEK")
    return kek


def open_anonymous(prekey: PrivatePrekey, info: bytes, sealed: bytes) -> tuple[Secret, bytes]:
    """Return the KEK of an initiator without a name, and the octets that say with whom it speaks.

    `seckex.wire.envelope_headers.decode_anonymous` reads these; whoever does compares the target with its own name.
    Raises `AuthenticationFailed`.
    """
    octets = prekey.open(sealed, info).octets
    if len(octets) <= KEY_SIZE:
        raise AuthenticationFailed("a seal does not hold a KEK and whom it is for")
    return Secret(octets[:KEY_SIZE]), octets[KEY_SIZE:]


def exported_kek(export: Secret, nonce: bytes) -> Secret:
    """Return the KEK of an association; ``export`` as of `kek_export`, ``nonce`` 32 random octets."""
    if len(export) != KEY_SIZE or len(nonce) != NONCE_SIZE:
        raise ApiMisuse(f"an export has {KEY_SIZE} octets, a nonce {NONCE_SIZE}")
    return Secret(SHA256.extract(nonce, export.octets))


def kek_export(keys: AgreedKeys, initiator: str, target: str, dialog_id: bytes) -> Secret:
    """Return what the KEKs of one dialog come from, of the keys of an association."""
    context = lp(initiator.encode()) + lp(target.encode()) + dialog_id
    return keys.export(b"seckex1 message kek", context, KEY_SIZE)
