"""Token buckets: how much they give, how they fill, whom they belong to, and what gives way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.node.buckets import Buckets, source_of
from tests.wire.samples import FEW


class BucketTests(SynchronousTestCase):
    def taken(self, buckets: Buckets, source: str, now: float, tries: int = 100) -> int:
        """Return how many of so many tries at one time succeed."""
        return sum(buckets.take(source, now) for _ in range(tries))

    def test_a_burst_and_then_the_rate(self) -> None:
        buckets = Buckets(rate=4, burst=10, most=8)
        self.assertEqual(self.taken(buckets, "a", 100.0), 10)
        self.assertEqual(self.taken(buckets, "a", 100.2), 0)
        self.assertEqual(self.taken(buckets, "a", 100.25), 1)
        self.assertEqual(self.taken(buckets, "a", 101.25), 4)
        self.assertEqual(self.taken(buckets, "a", 1000.0), 10)

    def test_who_is_refused_pays_nothing_for_it(self) -> None:
        buckets = Buckets(rate=1, burst=1, most=8)
        self.taken(buckets, "a", 100.0, 1000)
        self.assertEqual(self.taken(buckets, "a", 101.0), 1)

    def test_one_empties_no_others(self) -> None:
        buckets = Buckets(rate=1, burst=5, most=8)
        self.taken(buckets, "a", 100.0)
        self.assertEqual(self.taken(buckets, "b", 100.0), 5)

    def test_at_the_bound_the_one_that_was_used_least_recently_gives_way(self) -> None:
        buckets = Buckets(rate=1, burst=2, most=3)
        for source in ("a", "b", "c", "a", "d"):
            buckets.take(source, 100.0)
        self.assertEqual(len(buckets), 3)
        # a was used twice, b has gone and begins with a full one, whereby c goes.
        self.assertFalse(buckets.take("a", 100.0))
        self.assertEqual(self.taken(buckets, "b", 100.0), 2)
        self.assertEqual(len(buckets), 3)

    def test_full_ones_are_forgotten(self) -> None:
        buckets = Buckets(rate=1, burst=5, most=100)
        for number in range(50):
            buckets.take(str(number), 100.0 + number)
        buckets.expire(125.5)
        self.assertEqual(len(buckets), 25)
        buckets.expire(200)
        self.assertEqual(len(buckets), 0)

    @FEW
    @given(st.lists(st.floats(0, 10), max_size=200), st.integers(1, 50), st.integers(1, 50))
    def test_never_more_than_the_burst_and_what_time_gives(self, times: list[float], rate: int, burst: int) -> None:
        buckets = Buckets(rate, burst, 4)
        times.sort()
        given = [at for at in times if buckets.take("a", at)]
        if given:
            self.assertLessEqual(len(given), burst + rate * (given[-1] - given[0]) + 1e-6)


class SourceTests(SynchronousTestCase):
    def test_prefixes(self) -> None:
        for one, other, same in (
            ("192.0.2.1", "192.0.2.254", True),
            ("192.0.2.1", "192.0.3.1", False),
            ("192.0.2.1", "::ffff:192.0.2.7", True),
            ("2001:db8:1::1", "2001:db8:1:ffff::2", True),
            ("2001:db8:1::1", "2001:db8:2::1", False),
            ("fe80::1%lo", "fe80::2%lo", True),
            ("0.0.0.1", "::1", False),
        ):
            self.assertEqual(source_of(one, 24, 48) == source_of(other, 24, 48), same, (one, other))

    def test_other_lengths(self) -> None:
        self.assertNotEqual(source_of("192.0.2.1", 32, 48), source_of("192.0.2.2", 32, 48))
        self.assertEqual(source_of("192.0.2.1", 0, 48), source_of("198.51.100.1", 0, 48))
        self.assertEqual(source_of("2001:db8::1", 24, 0), source_of("::1", 24, 0))

    def test_what_is_no_address_stands_for_itself(self) -> None:
        self.assertEqual(source_of("home.example.org", 24, 48), "home.example.org")
