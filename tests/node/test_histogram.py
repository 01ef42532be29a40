"""Histograms of how long things take."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.node.histogram import QUICK, SLOW, Histogram


class HistogramTests(SynchronousTestCase):
    def test_a_bound_counts_what_is_at_most_that(self) -> None:
        histogram = Histogram((1.0, 2.0))
        for value in (0.5, 1.0, 1.5, 9.0):
            histogram.observe(value)
        self.assertEqual((histogram.cumulated(), histogram.total), ((2, 3, 4), 12.0))

    @settings(max_examples=50, deadline=None)
    @given(st.lists(st.floats(0, 100)), st.sampled_from((QUICK, SLOW)))
    def test_every_bound_has_as_many_as_there_are(self, values: list[float], bounds: tuple[float, ...]) -> None:
        histogram = Histogram(bounds)
        for value in values:
            histogram.observe(value)
        expected = (*(sum(value <= bound for value in values) for bound in bounds), len(values))
        self.assertEqual(histogram.cumulated(), expected)
