"""Sets of numbers that are mostly one piece: ranges, sorted and apart from one another."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator


class Ranges:
    """Ranges ``first`` to ``last``, both in them; adding behind the last takes constant time, else a step for each."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in ranges:
            self.add(first, last)

    def __len__(self) -> int:
        return len(self._firsts)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._firsts, self._lasts, strict=True)

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._firsts, number)
        return at > 0 and number <= self._lasts[at - 1]

    @property
    def last(self) -> int:
        """The highest number, 0 if there is none."""
        return self._lasts[-1] if self._lasts else 0

    def add(self, first: int, last: int) -> None:
        """Add all from ``first`` to ``last``."""
        firsts, lasts = self._firsts, self._lasts
        if not lasts or first > lasts[-1] + 1:
            firsts.append(first)
            lasts.append(last)
            return
        if first == lasts[-1] + 1:
            lasts[-1] = last
            return
        begin = bisect_left(lasts, first - 1)
        end = bisect_right(firsts, last + 1)
        if begin < end:
            first = min(first, firsts[begin])
            last = max(last, lasts[end - 1])
        firsts[begin:end] = [first]
        lasts[begin:end] = [last]

    def missing(self, first: int, last: int) -> list[tuple[int, int]]:
        """Return what is not there of ``first`` to ``last``."""
        gaps: list[tuple[int, int]] = []
        for at in range(bisect_left(self._lasts, first), len(self._firsts)):
            here = self._firsts[at]
            if here > last:
                break
            if here > first:
                gaps.append((first, here - 1))
            first = self._lasts[at] + 1
        if first <= last:
            gaps.append((first, last))
        return gaps

    def reach(self, number: int) -> int:
        """Return up to where all behind ``number`` are there; ``number`` where the next one is missing."""
        at = bisect_right(self._firsts, number + 1)
        return max(number, self._lasts[at - 1]) if at else number

    def cut(self, upto: int) -> None:
        """Forget all numbers up to ``upto``."""
        end = bisect_right(self._lasts, upto)
        del self._firsts[:end], self._lasts[:end]
        if self._firsts and self._firsts[0] <= upto:
            self._firsts[0] = upto + 1
