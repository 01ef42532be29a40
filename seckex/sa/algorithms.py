"""The transforms that seckex has, by name and by number.

One table: what a configuration calls an algorithm, what it is on the wire
(docs/protocol.md, section 5) and how many keys it takes. What is not in the
table is not malformed, it is merely never chosen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from attrs import frozen

from seckex.crypto.groups.user import FINGERPRINT_SIZE, USER_PREFIX, user_name
from seckex.wire.numbers import (
    AUTH_HMAC_SHA2_256_128,
    AUTH_HMAC_SHA2_384_192,
    GROUP_MODP_768,
    GROUP_MODP_1024,
    GROUP_MODP_2048,
    GROUP_MODP_3072,
    GROUP_P256,
    GROUP_USER,
    GROUP_X25519,
    GROUP_X25519_ML_KEM_768,
    PRF_HMAC_SHA2_256,
    PRF_HMAC_SHA2_384,
    ProtocolId,
    TransformId,
)

# A group by its number, or a user-defined one by its fingerprint.
GroupKey: TypeAlias = int | bytes


@frozen
class Algorithm:
    """One transform: its name in configurations, its numbers on the wire.

    ``key_bits`` is the key length attribute, 0 where the transform has none;
    ``keys`` is the number of keys it needs (Fig. 20). ``fingerprint`` tells
    user-defined groups apart, and is empty for everything else.
    """

    name: str
    protocol: ProtocolId
    transform_id: int
    key_bits: int
    keys: int
    fingerprint: bytes = b""

    @property
    def group(self) -> GroupKey:
        """What names a key agreement's group, among those with numbers and those of users."""
        return self.fingerprint or self.transform_id

    def __str__(self) -> str:
        return self.name


ALL: Final = (
    Algorithm("aes-256-gcm", ProtocolId.ENCRYPTION, TransformId.ENCR_AES_GCM_16, 256, 2),
    Algorithm("aes-128-gcm", ProtocolId.ENCRYPTION, TransformId.ENCR_AES_GCM_16, 128, 2),
    Algorithm("chacha20-poly1305", ProtocolId.ENCRYPTION, TransformId.ENCR_CHACHA20_POLY1305, 0, 2),
    Algorithm("hmac-sha-256", ProtocolId.AUTHENTICATION, AUTH_HMAC_SHA2_256_128, 0, 2),
    Algorithm("hmac-sha-384", ProtocolId.AUTHENTICATION, AUTH_HMAC_SHA2_384_192, 0, 2),
    Algorithm("prf-hmac-sha-256", ProtocolId.PRF, PRF_HMAC_SHA2_256, 0, 1),
    Algorithm("prf-hmac-sha-384", ProtocolId.PRF, PRF_HMAC_SHA2_384, 0, 1),
    Algorithm("x25519", ProtocolId.KEY_AGREEMENT, GROUP_X25519, 0, 0),
    Algorithm("p-256", ProtocolId.KEY_AGREEMENT, GROUP_P256, 0, 0),
    Algorithm("x25519-ml-kem-768", ProtocolId.KEY_AGREEMENT, GROUP_X25519_ML_KEM_768, 0, 0),
    Algorithm("modp-2048", ProtocolId.KEY_AGREEMENT, GROUP_MODP_2048, 0, 0),
    Algorithm("modp-3072", ProtocolId.KEY_AGREEMENT, GROUP_MODP_3072, 0, 0),
    Algorithm("modp-1024", ProtocolId.KEY_AGREEMENT, GROUP_MODP_1024, 0, 0),
    Algorithm("modp-768", ProtocolId.KEY_AGREEMENT, GROUP_MODP_768, 0, 0),
)

BY_NAME: Final[Mapping[str, Algorithm]] = {algorithm.name: algorithm for algorithm in ALL}
BY_NUMBER: Final[Mapping[tuple[ProtocolId, int, int], Algorithm]] = {
    (algorithm.protocol, algorithm.transform_id, algorithm.key_bits): algorithm for algorithm in ALL
}

PROTOCOL_NAMES: Final[Mapping[ProtocolId, str]] = {
    ProtocolId.ENCRYPTION: "encryption",
    ProtocolId.AUTHENTICATION: "authentication",
    ProtocolId.PRF: "prf",
    ProtocolId.KEY_AGREEMENT: "key-agreement",
}

# Stands in a policy for every user-defined group that a peer may bring along; never offered.
ANY_USER_GROUP: Final = Algorithm("user-defined", ProtocolId.KEY_AGREEMENT, GROUP_USER, 0, 0)


def user_group(fingerprint: bytes) -> Algorithm:
    """Return the transform of the user-defined group with ``fingerprint``."""
    return Algorithm(user_name(fingerprint), ProtocolId.KEY_AGREEMENT, GROUP_USER, 0, 0, fingerprint)


def named(name: str) -> Algorithm:
    """Return the algorithm with ``name``, user-defined groups included; raises KeyError."""
    algorithm = BY_NAME.get(name)
    if algorithm is None:
        try:
            algorithm = user_group(bytes.fromhex(name.removeprefix(USER_PREFIX)))
        except ValueError:
            raise KeyError(name) from None
        if algorithm.name != name or len(algorithm.fingerprint) != FINGERPRINT_SIZE:
            raise KeyError(name)
    return algorithm
