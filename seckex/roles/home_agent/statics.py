"""The static KEM keys: requests are sealed to them before anything else of a node is known.

For each KEM the two youngest live, so that a node that has not been told of the
youngest is still heard; what comes before them is destroyed with its record, and
with it whatever was sealed to it. A key is used from when it is durable on.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from seckex.crypto.kem import KEMS
from seckex.exchange.terms import Entropy
from seckex.roles.home_agent.records import STATIC_KEY, StaticKey
from seckex.sa.store import DeleteRecord, PutRecord, Unit
from seckex.wire.keying import HomeKey
from seckex.wire.numbers import Kem

LIVE: Final = 2


class Statics:
    """See the module; ``rotation`` in seconds is how long a key is the youngest."""

    def __init__(self, keys: Iterable[StaticKey], rotation: int, now: float) -> None:
        self.rotation = rotation
        self._keys: dict[Kem, list[StaticKey]] = {number: [] for number in map(Kem, KEMS)}
        # What was made when the clock was far ahead is the oldest: its turn would never be over.
        self.take(sorted(keys, key=lambda key: key.since if key.since <= now + rotation else 0))

    def take(self, keys: Iterable[StaticKey]) -> None:
        """Use ``keys`` as well, which are durable, the youngest last; of each KEM the youngest stay."""
        for key in keys:
            held = self._keys[key.number]
            held.insert(0, key)
            del held[LIVE:]

    def of(self, number: Kem) -> tuple[StaticKey, ...]:
        """Return the keys of a KEM, the youngest first."""
        return tuple(self._keys[number])

    def told(self, *numbers: Kem) -> tuple[HomeKey, ...]:
        """Return the youngest key of each KEM, of all of them unless some are named."""
        return tuple(held[0].told for number, held in self._keys.items() if held and number in (numbers or self._keys))

    def due(self, now: float) -> float:
        """Return when a key is due next, in wall-clock seconds."""
        return min(held[0].since + self.rotation if held else now for held in self._keys.values())

    def overdue(self, now: float, entropy: Entropy) -> tuple[tuple[StaticKey, ...], Unit]:
        """Return the keys that are due and what makes them durable; nothing where none are."""
        made: list[StaticKey] = []
        gone: list[StaticKey] = []
        for number, held in self._keys.items():
            if not held or not held[0].since - self.rotation <= now < held[0].since + self.rotation:
                since = int(now)
                seed = entropy(KEMS[number].seed_size)
                made.append(StaticKey.of(number, since, since + LIVE * self.rotation, seed))
                gone += held[LIVE - 1 :]
        puts = (PutRecord(key.record()) for key in made)
        return tuple(made), (*puts, *(DeleteRecord(STATIC_KEY, key.name) for key in gone))
