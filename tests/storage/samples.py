"""Associations, replay records and master keys to store."""

from __future__ import annotations

import math
import random

from seckex.crypto.atrest import MasterKey
from seckex.crypto.schedule import AgreedKeys
from seckex.crypto.secrets import Secret
from seckex.sa.algorithms import BY_NAME
from seckex.sa.association import Agreement, Association
from seckex.sa.store import PutAssociation, PutReplay, Record, ReplayRecord, Unit
from seckex.wire.numbers import PRF_HMAC_SHA2_256, PRF_HMAC_SHA2_384, Role

SERVER = "server@example.org"
NOW = 1_700_000_000.0
LIFETIME = 3600
WINDOWS = 600
ALGORITHMS = ("aes-256-gcm", "hmac-sha-256", "prf-hmac-sha-256", "x25519")

_random = random.Random(4434)  # noqa: S311  # samples, no secrets
entropy = _random.randbytes
master = MasterKey(Secret(bytes(range(32))))


def keys(prf: int = PRF_HMAC_SHA2_256) -> AgreedKeys:
    """Return keys from a random secret."""
    size = {PRF_HMAC_SHA2_256: 32, PRF_HMAC_SHA2_384: 48}[prf]
    return AgreedKeys(prf, Secret(entropy(size)), entropy(40))


def association(
    spi_in: int,
    *,
    created: float = NOW,
    peer: str = "näd@example.org",
    role: Role = Role.RESPONDER,
    confirmed: bool = False,
    lifetime: int = LIFETIME,
) -> Association:
    """Return an association that ``spi_in`` names."""
    return Association(
        role=role,
        local=SERVER,
        peer=peer,
        spi_in=spi_in,
        spi_out=spi_in ^ 0xFFFFFFFF,
        agreement=Agreement(tuple(BY_NAME[name] for name in ALGORITHMS), lifetime, 7),
        created=created,
        transcript=entropy(48),
        keys=keys(),
        confirmed=confirmed,
    )


def replay(
    identification: int, spi: int = 4096, *, expires: float = NOW + WINDOWS, answer: bytes = b""
) -> ReplayRecord:
    """Return the record of a request."""
    return ReplayRecord(spi, identification, entropy(32), answer or entropy(300), expires)


def record(kind: str, name: bytes, expires: float = math.inf) -> Record:
    """Return a record of a role."""
    return Record(kind, name, entropy(40), expires)


def accepted(number: int) -> Unit:
    """Return the unit of the ``number``-th accepted request: its replay record and its association."""
    return PutReplay(replay(number)), PutAssociation(association(number << 6))
