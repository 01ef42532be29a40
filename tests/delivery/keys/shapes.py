"""What an envelope looks like from outside, for tests that compare shapes."""

from __future__ import annotations

from attrs import frozen

from seckex.wire.envelope import decode_envelope


@frozen
class Shape:
    """Which headers there are: ``pair``, ``kek``, ``key`` (with or without the sealed DSK), ``salt``."""

    pair: bool = False
    kek: bool = False
    key: bool = False
    sealed: bool = False
    salt: bool = False
    routing: bool = False


SHORT = Shape()
NAMED = Shape(key=True, salt=True)
NEW_KEY = Shape(key=True, sealed=True, salt=True)
ANONYMOUS = Shape(kek=True, key=True, sealed=True, salt=True)
WHOLE = Shape(pair=True, kek=True, key=True, sealed=True, salt=True)


def shape_of(octets: bytes) -> Shape:
    """Return the shape of an envelope."""
    found = decode_envelope(octets)
    sealed = found.key is not None and bool(found.key.sealed)
    return Shape(
        found.pair is not None,
        found.kek is not None,
        found.key is not None,
        sealed,
        bool(found.salt),
        found.routing is not None,
    )
