"""How long keys serve, and what one DSK has under it: docs/messages.md, section 10.

The initiator counts what went under a DSK both ways, since it alone can make another. A salt that is over, with its
connection for example, leaves its counts with its generation. Whatever is superseded stays for `Wear.hold` seconds at
most, to read what was sealed before; then nothing refers to it any more.
"""

from __future__ import annotations

from typing import Final

from attrs import frozen

from seckex.crypto.envelope import chain_hash
from seckex.crypto.secrets import Secret
from seckex.machine import Now
from seckex.wire.envelope_headers import SessionKeyHeader, encode_key

DAY: Final = 86400

#: Envelopes that may be under way before the target has said once that it holds their headers: section 8.
FIRST_ENVELOPES: Final = 4
#: Seconds that the longest life of a KEK has: section 4.
LONGEST_KEK: Final = 30 * DAY
#: Seconds that two clocks may be apart.
SKEW: Final = 300
#: What `Initiating.room` returns where there is no such bound.
PLENTY: Final = 1 << 20


@frozen
class Wear:
    """When keys are worn out: numbers of envelopes and octets of bodies, ages in seconds.

    A KEK is made to live ``kek_life`` seconds at most, and changed after ``kek_age`` or ``kek_part`` of its life.
    """

    envelopes: int = 1 << 20
    octets: int = 1 << 36
    dsk_age: float = 3600.0
    kek_age: float = float(DAY)
    kek_part: float = 0.8
    kek_life: int = LONGEST_KEK
    hold: float = 60.0

    def kek_turn(self, since: Now, until: float, now: Now) -> float:
        """Return when (monotonic) a KEK is due that was made at ``since`` and ends at ``until`` (wall clock)."""
        left = since.wall + (until - since.wall) * self.kek_part - now.wall
        return min(since.monotonic + self.kek_age, now.monotonic + left)

    def worn(self, since: float, envelopes: int, octets: int, now: Now) -> bool:
        """Tell whether a DSK is due that was made at ``since`` (monotonic) and has had so much under it."""
        old = now.monotonic - since >= self.dsk_age
        return old or envelopes >= self.envelopes or octets >= self.octets


#: What keys live where nobody says anything else.
USUAL: Final = Wear()


class Generation:
    """A DSK of a KEK, as its two ends have it.

    ``sealed`` is its session key header with the sealed DSK, ``before`` are the two headers before that; ``chain`` is
    the chain hash that it is HELD by. ``since`` is when it was made here, or learnt (monotonic seconds); ``until``
    (the same) is when it goes, once there is another, and None before.
    """

    __slots__ = ("_kek_id", "chain", "dsk", "envelopes", "id", "number", "octets", "sealed", "since", "until")

    def __init__(
        self,
        number: int,
        dsk: Secret,
        name: bytes,
        kek_id: bytes,
        sealed: bytes,
        before: tuple[bytes, bytes],
        since: float,
    ) -> None:
        self.number = number
        self.dsk = dsk
        self.id = name
        self.sealed = sealed
        self.chain = chain_hash(*before, sealed)
        self._kek_id = kek_id
        self.since = since
        self.until: float | None = None
        self.envelopes = 0
        self.octets = 0

    def __repr__(self) -> str:
        return f"<Generation {self.number} {self.id.hex()}>"

    @property
    def named(self) -> bytes:
        """Its session key header without the sealed DSK."""
        return encode_key(SessionKeyHeader(self.number, self.id, self._kek_id))

    def spent(self, envelopes: int, octets: int) -> None:
        """Count what a context had that is over."""
        self.envelopes += envelopes
        self.octets += octets
