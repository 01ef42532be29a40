"""Which OPEN is no copy of an earlier one: docs/passages.md, section 4.

The Time of each has to be higher than that of every other under its association
that was taken here, and near our clock.

Bounds: the associations of `most` SPIs; for one more what has expired is
forgotten, which is looked for every `SWEPT_EVERY` seconds at most, and otherwise
what was used the longest ago. Of an association that is not remembered an old OPEN
could be taken again, for as long as `CLOCKS_DIFFER`; who sent it has nothing of it,
as it cannot make the first PROOF.
"""

from __future__ import annotations

import math
from typing import Final

CLOCKS_DIFFER: Final = 300.0
SWEPT_EVERY: Final = 10.0


class Times:
    """The highest Time under each association that is in use, in microseconds since 1970."""

    def __init__(self, most: int = 65536) -> None:
        self._most = most
        self._highest: dict[int, tuple[int, float]] = {}
        self._swept = -math.inf

    def __len__(self) -> int:
        return len(self._highest)

    def take(self, spi: int, time: int, until: float, wall: float) -> bool:
        """Tell whether an authentic OPEN with ``time`` is good, and remember it if so, ``until`` then (wall clock)."""
        if abs(time / 1_000_000 - wall) > CLOCKS_DIFFER:
            return False
        known = self._highest.pop(spi, None)
        if known is not None and time <= known[0]:
            self._highest[spi] = known
            return False
        if len(self._highest) >= self._most:
            self._make_room(wall)
        self._highest[spi] = (time, until)
        return True

    def forget(self, spi: int) -> None:
        """Forget an association that has ended."""
        self._highest.pop(spi, None)

    def _make_room(self, wall: float) -> None:
        # A wall clock may have been set back.
        if abs(wall - self._swept) >= SWEPT_EVERY:
            self._swept = wall
            self._highest = {spi: known for spi, known in self._highest.items() if known[1] > wall}
        if len(self._highest) >= self._most:
            del self._highest[next(iter(self._highest))]
