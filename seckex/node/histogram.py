"""How long things take: a histogram with bounds that are fixed, as it is shown to whoever watches."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import Final

#: Seconds; what a disk does, and what goes over a network and back.
QUICK: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
SLOW: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Histogram:
    """Counts observations by the least of ``bounds`` that they do not exceed."""

    __slots__ = ("_counts", "bounds", "total")

    def __init__(self, bounds: tuple[float, ...] = QUICK) -> None:
        self.bounds = bounds
        self.total = 0.0
        self._counts = [0] * (len(bounds) + 1)

    def observe(self, value: float) -> None:
        """Count one."""
        self._counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def cumulated(self) -> tuple[int, ...]:
        """Return how many were at most each bound, and last how many there were."""
        return tuple(accumulate(self._counts))
