"""The groups that have numbers: docs/protocol.md, section 5."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from seckex.crypto.groups.curves import P256, X25519
from seckex.crypto.groups.hybrid import Hybrid
from seckex.crypto.groups.interface import Group
from seckex.crypto.groups.modp import MODP_768, MODP_1024, MODP_2048, MODP_3072
from seckex.wire.numbers import (
    GROUP_MODP_768,
    GROUP_MODP_1024,
    GROUP_MODP_2048,
    GROUP_MODP_3072,
    GROUP_P256,
    GROUP_X25519,
    GROUP_X25519_ML_KEM_768,
)

GROUPS: Final[Mapping[int, Group]] = {
    GROUP_X25519: X25519(),
    GROUP_P256: P256(),
    GROUP_X25519_ML_KEM_768: Hybrid(),
    GROUP_MODP_2048: MODP_2048,
    GROUP_MODP_3072: MODP_3072,
    GROUP_MODP_1024: MODP_1024,
    GROUP_MODP_768: MODP_768,
}
