"""The chain of an append-only log: each entry's hash covers the hash of the one before.

    hash(0) = 32 zero octets
    hash(n) = SHA-256("seckex1 log" | lp(log) | hash(n-1) | n 64 | at, an IEEE 754 double | octets)

No key goes into it, so whoever has an exported log can follow it: who knows the
hash of one entry from elsewhere knows that none up to it was altered, left out
or put in. That nobody has made the whole chain anew, or cut it short, the store
tells by its seal over the last hash, which needs the master key.
"""

from __future__ import annotations

import struct
from typing import Final

from seckex.crypto.schedule import lp
from seckex.crypto.suites import SHA256

HASH_SIZE: Final = 32
#: What stands before the first entry of a log.
FIRST: Final = bytes(HASH_SIZE)

_LABEL: Final = b"seckex1 log"
_FIXED: Final = struct.Struct(">Qd")


def link(log: str, previous: bytes, seq: int, at: float, octets: bytes) -> bytes:
    """Return the hash of the entry ``seq`` of ``log``, made at the time ``at``; ``previous`` is the one before it."""
    return SHA256.digest(_LABEL, lp(log.encode()), previous, _FIXED.pack(seq, at), octets)
