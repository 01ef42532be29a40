"""The transforms that seckex has, by name and by number.

One table: what a configuration calls an algorithm, what it is on the wire
(docs/protocol.md, section 5) and how many keys it takes. What is not in the
table is not malformed, it is merely never chosen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import frozen

from seckex.wire.numbers import (
    AUTH_HMAC_SHA2_256_128,
    AUTH_HMAC_SHA2_384_192,
    GROUP_X25519,
    PRF_HMAC_SHA2_256,
    PRF_HMAC_SHA2_384,
    ProtocolId,
    TransformId,
)


@frozen
class Algorithm:
    """One transform: its name in configurations, its numbers on the wire.

    ``key_bits`` is the key length attribute, 0 where the transform has none;
    ``keys`` is the number of keys it needs (Fig. 20).
    """

    name: str
    protocol: ProtocolId
    transform_id: int
    key_bits: int
    keys: int

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
