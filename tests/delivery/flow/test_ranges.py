"""Ranges of numbers, compared with sets of them."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.delivery.flow.ranges import Ranges

RANGE = st.tuples(st.integers(1, 40), st.integers(0, 6)).map(lambda each: (each[0], each[0] + each[1]))


def numbers(ranges: object) -> set[int]:
    """Return all numbers of ranges."""
    return {number for first, last in ranges for number in range(first, last + 1)}  # type: ignore[attr-defined]


class RangesTests(SynchronousTestCase):
    @settings(max_examples=200, deadline=None)
    @given(st.lists(RANGE, max_size=12), RANGE, st.integers(0, 45))
    def test_as_a_set_of_numbers(self, added: list[tuple[int, int]], asked: tuple[int, int], at: int) -> None:
        ranges, model = Ranges(added), numbers(added)
        self.assertEqual(numbers(ranges), model)
        pieces = list(ranges)
        self.assertTrue(all(last + 1 < first for (_, last), (first, _) in pairwise(pieces)))
        self.assertEqual((len(ranges), ranges.last), (len(pieces), max(model, default=0)))
        self.assertEqual(numbers(ranges.missing(*asked)), numbers([asked]) - model)
        self.assertEqual(at in ranges, at in model)
        reach = at
        while reach + 1 in model:
            reach += 1
        self.assertEqual(ranges.reach(at), reach)
        ranges.cut(at)
        self.assertEqual(numbers(ranges), {number for number in model if number > at})
