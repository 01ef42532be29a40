"""What a benchmark reports: one row for each figure.

``ratio`` is ours by the peer's, always so that the two mean the same thing;
``target`` is of the ratio, or absolute where there is no peer. ``met`` is null
where the peer is absent.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from attrs import asdict, frozen


@frozen
class Row:
    """One figure: medians of all runs. ``lower`` tells that less is better."""

    name: str
    unit: str
    ours: float
    peer: float | None
    peer_name: str
    target: float | None
    lower: bool = False

    @property
    def ratio(self) -> float | None:
        """Ours by the peer's."""
        return None if not self.peer else self.ours / self.peer

    @property
    def met(self) -> bool | None:
        """Whether the target is reached, None where that cannot be told."""
        if self.target is None:
            return None
        reached = self.ours if self.peer_name == "" else self.ratio
        if reached is None:
            return None
        return reached <= self.target if self.lower else reached >= self.target

    def as_dict(self) -> dict[str, Any]:
        """Return the row as the JSON object that is printed."""
        row = asdict(self)
        del row["lower"]
        return row | {"ratio": self.ratio, "met": self.met}


def alternate(runs: int, *measures: Callable[[], float]) -> list[float]:
    """Run the measures in turn, ``runs`` times, and return the median of each: drifts of the machine hit all alike."""

    def single(measure: Callable[[], float]) -> Callable[[], Sequence[float]]:
        return lambda: (measure(),)

    return [found for (found,) in alternate_several(runs, *map(single, measures))]


def alternate_several(runs: int, *measures: Callable[[], Sequence[float]]) -> list[list[float]]:
    """Do the same with measures of several figures each."""
    found: list[list[Sequence[float]]] = [[] for _ in measures]
    for _ in range(runs):
        for values, measure in zip(found, measures, strict=True):
            values.append(measure())
    return [[statistics.median(column) for column in zip(*values, strict=True)] for values in found]


Benchmark = Callable[[bool], Sequence[Row]]
