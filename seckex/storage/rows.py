"""Associations and replay records as rows of tables.

Everything about an association is readable in the file, save its keys, which
are wrapped. The wrapping is bound to the table, the schema's version and every
column that does not change, so that a row whose lifetime, peer or algorithms
were altered does not open; ``confirmed`` changes and is not covered. Replay
records hold nothing that did not go over the network, and are not sealed.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from seckex.crypto.atrest import Wrapping
from seckex.crypto.schedule import AgreedKeys, lp
from seckex.errors import ApiMisuse, AuthenticationFailed
from seckex.sa.algorithms import named
from seckex.sa.association import Agreement, Association
from seckex.sa.store import Record, ReplayRecord
from seckex.wire.numbers import MAX_MESSAGE, Role

Row: TypeAlias = tuple[Any, ...]

ASSOCIATION_COLUMNS: Final = (
    "spi_in, spi_out, role, local, peer, algorithms, lifetime, mebioctets, "
    "created, expires, transcript, confirmed, root, replaces, keys"
)
RECORD_COLUMNS: Final = "kind, name, octets, expires"
REPLAY_COLUMNS: Final = "spi, identification, request, answer, expires"

_FIXED: Final = struct.Struct(">16sIIBQQdI")
_EXPIRES: Final = struct.Struct(">d")
_TABLE: Final = b"association v2"
_SHORT: Final = 256

# SQLite's integers are signed; this keeps Identifications in the order of their seconds.
_BIAS: Final = 1 << 63
_U32: Final = 1 << 32


class Damaged(Exception):
    """A row that does not hold what was stored; the text tells which."""


def _bound(
    spi_in: int,
    spi_out: int,
    role: int,
    local: str,
    peer: str,
    algorithms: str,
    lifetime: int,
    mebioctets: int,
    created: float,
    transcript: bytes,
    root: str,
    replaces: int,
) -> bytes:
    return b"".join(
        (
            _FIXED.pack(_TABLE, spi_in, spi_out, role, lifetime, mebioctets, created, replaces),
            lp(local.encode()),
            lp(peer.encode()),
            lp(algorithms.encode()),
            lp(root.encode()),
            transcript,
        )
    )


def association_row(association: Association, wrapping: Wrapping) -> Row:
    """Return the row of `ASSOCIATION_COLUMNS` for ``association``."""
    a, agreement = association, association.agreement
    algorithms = " ".join([algorithm.name for algorithm in agreement.algorithms])
    role, lifetime, mebioctets = int(a.role), agreement.lifetime, agreement.mebioctets
    bound = _bound(
        a.spi_in,
        a.spi_out,
        role,
        a.local,
        a.peer,
        algorithms,
        lifetime,
        mebioctets,
        a.created,
        a.transcript,
        a.root,
        a.replaces,
    )
    return (
        a.spi_in,
        a.spi_out,
        role,
        a.local,
        a.peer,
        algorithms,
        lifetime,
        mebioctets,
        a.created,
        a.created + lifetime,
        a.transcript,
        a.confirmed,
        a.root,
        a.replaces,
        wrapping.wrap(a.keys.octets(), bound),
    )


def read_association(row: Row, wrapping: Wrapping) -> Association:
    """Return what `association_row` made ``row`` of; raise `Damaged` for anything else."""
    try:
        (
            spi_in,
            spi_out,
            role,
            local,
            peer,
            algorithms,
            lifetime,
            mebioctets,
            created,
            expires,
            transcript,
            confirmed,
            root,
            replaces,
            keys,
        ) = row
        bound = _bound(
            spi_in, spi_out, role, local, peer, algorithms, lifetime, mebioctets, created, transcript, root, replaces
        )
        if expires != created + lifetime:
            raise ValueError("the index and the terms disagree")
        return Association(
            role=Role(role),
            local=local,
            peer=peer,
            spi_in=spi_in,
            spi_out=spi_out,
            agreement=Agreement(tuple(map(named, algorithms.split())), lifetime, mebioctets),
            created=created,
            transcript=transcript,
            keys=AgreedKeys.from_octets(wrapping.unwrap(keys, bound)),
            confirmed=bool(confirmed),
            root=root,
            replaces=replaces,
        )
    except AuthenticationFailed:
        why = "its seal does not verify"
    except KeyError as unknown:
        why = f"the algorithm {unknown} is not known here"
    except (ApiMisuse, AttributeError, TypeError, ValueError, struct.error):
        why = "a column holds something else than it should"
    raise Damaged(f"the association with SPI {_shown(row[0])} is left out: {why}")


def association_seal(row: Row) -> tuple[bytes, bytes]:
    """Return what is sealed in a row of `ASSOCIATION_COLUMNS`, and what it is bound to; raise `Damaged`."""
    try:
        spi_in, spi_out, role, local, peer, algorithms, lifetime, mebioctets, created, _, transcript = row[:11]
        root, replaces, keys = row[12:]
        bound = _bound(
            spi_in, spi_out, role, local, peer, algorithms, lifetime, mebioctets, created, transcript, root, replaces
        )
    except (AttributeError, TypeError, ValueError, struct.error):
        raise Damaged(f"the association with SPI {_shown(row[0])} is damaged") from None
    return keys, bound


def record_seal(row: Row) -> tuple[bytes, bytes]:
    """Return what is sealed in a row of `RECORD_COLUMNS`, and what it is bound to; raise `Damaged`."""
    kind, name, sealed, expires = row
    try:
        return sealed, _bound_record(kind, name, expires)
    except (AttributeError, TypeError, ValueError, struct.error):
        raise Damaged(f"a record of the kind {kind!r} is damaged") from None


def replay_row(record: ReplayRecord) -> Row:
    """Return the row of `REPLAY_COLUMNS` for ``record``."""
    return record.spi, record.identification - _BIAS, record.request, record.answer, record.expires


def replay_key(spi: int, identification: int) -> tuple[int, int]:
    """Return the two columns that name a record."""
    return spi, identification - _BIAS


def replay_name(spi: int, identification: int) -> tuple[int, int]:
    """Return the name whose `replay_key` is given."""
    return spi, identification + _BIAS


def read_replay(row: Row) -> ReplayRecord:
    """Return what `replay_row` made ``row`` of; raise `Damaged` for anything else."""
    spi, identification, request, answer, expires = row
    sound = (
        type(spi) is int
        and 0 <= spi < _U32
        and type(identification) is int
        and type(request) is bytes
        and len(request) == 32
        and type(answer) is bytes
        and len(answer) <= MAX_MESSAGE
        and type(expires) is float
    )
    if not sound:
        raise Damaged(f"a replay record of the KEY 0 with SPI {_shown(spi)} is left out: it is damaged")
    return ReplayRecord(*replay_name(spi, identification), request, answer, expires)


def record_row(record: Record, wrapping: Wrapping) -> Row:
    """Return the row of `RECORD_COLUMNS` for ``record``."""
    sealed = wrapping.wrap(record.octets, _bound_record(record.kind, record.name, record.expires))
    return record.kind, record.name, sealed, record.expires


def read_record(row: Row, wrapping: Wrapping) -> Record:
    """Return what `record_row` made ``row`` of; raise `Damaged` for anything else."""
    kind, name, sealed, expires = row
    try:
        return Record(kind, name, wrapping.unwrap(sealed, _bound_record(kind, name, expires)), expires)
    except AuthenticationFailed:
        why = "its seal does not verify"
    except (AttributeError, TypeError, ValueError, struct.error):
        why = "a column holds something else than it should"
    raise Damaged(f"a record of the kind {kind!r} is left out: {why}")


def _bound_record(kind: str, name: bytes, expires: float) -> bytes:
    return b"record v1" + lp(kind.encode()) + lp(name) + _EXPIRES.pack(expires)


def bound_to(kind: str) -> Callable[[bytes], bytes]:
    """Return what the seals of records of this kind that never expire are bound to, by the name of each."""
    start, end = b"record v1" + lp(kind.encode()), _EXPIRES.pack(math.inf)
    # All that stands before a name, by its size: there may be a million names.
    starts = [start + lp(bytes(size))[: len(lp(b""))] for size in range(_SHORT)]

    def bound(name: bytes) -> bytes:
        size = len(name)
        return starts[size] + name + end if size < _SHORT else start + lp(name) + end

    return bound


def _shown(spi: object) -> str:
    return f"{spi:#010x}" if isinstance(spi, int) else "unreadable"
