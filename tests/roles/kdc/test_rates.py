"""How many keys one node may have, and that nobody else can use them up."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from seckex.config.kdc import Kdc
from seckex.machine import Now
from seckex.roles.kdc import rates
from seckex.roles.kdc.center import Center
from seckex.roles.kdc.rates import Rates
from seckex.wire.keying import KeyRequest
from seckex.wire.numbers import Code
from tests.roles.kdc.parts import NODE, CenterCase


class BucketTests(SynchronousTestCase):
    def taken(self, buckets: Rates, node: str, moment: float, tries: int = 100) -> int:
        return sum(buckets.takes(node, Now(moment, 0.0)) for _ in range(tries))

    def test_a_burst_and_then_the_rate(self) -> None:
        buckets = Rates(60, 5)
        self.assertEqual(self.taken(buckets, "a", 0.0), 5)
        self.assertEqual(self.taken(buckets, "b", 0.0), 5)
        self.assertEqual(self.taken(buckets, "a", 0.9), 0)
        self.assertEqual(self.taken(buckets, "a", 3.0), 3)
        self.assertEqual(self.taken(buckets, "a", 100.0), 5)

    def test_no_limit(self) -> None:
        buckets = Rates(0, 1)
        self.assertEqual((self.taken(buckets, "a", 0.0), len(buckets)), (100, 0))

    def test_buckets_that_are_full_are_forgotten(self) -> None:
        buckets = Rates(60, 5)
        for number in range(1000):
            buckets.takes(f"n{number}", Now(2.0 * number, 0.0))
        self.assertLess(len(buckets), 3)

    def test_there_are_so_many_at_most(self) -> None:
        self.patch(rates, "MOST", 10)
        buckets = Rates(60, 5)
        for number in range(30):
            self.taken(buckets, f"n{number}", 0.0)
        self.assertEqual(len(buckets), 10)
        self.assertEqual(self.taken(buckets, "n29", 0.0), 0)

    def test_another_rate(self) -> None:
        buckets = Rates(60, 5)
        buckets.reconfigure(60, 10)
        self.assertEqual(self.taken(buckets, "a", 0.0), 10)


class LimitTests(CenterCase):
    settings = Kdc(issue_rate=60, issue_burst=3)

    def setUp(self) -> None:
        super().setUp()
        self.add()
        self.add("second@example.org")
        self.drawn = 0

    def fresh(self, node: str = NODE) -> KeyRequest:
        """Return a request that was not there before."""
        self.drawn += 1
        return self.request(node, digest=self.drawn.to_bytes(32, "big"))

    def test_a_node_has_so_many_and_others_are_not_concerned(self) -> None:
        for _ in range(3):
            self.keys(self.home, self.fresh())
        self.assertEqual(self.refusal(self.home, self.fresh()), Code.INSUFFICIENT_RESOURCES)
        self.keys(self.home, self.fresh("second@example.org"))
        self.assertEqual(self.kdc.counters["kdc.limited"], 1)
        self.network.run(1.5)
        self.keys(self.home, self.fresh())

    def test_what_draws_no_keys_does_not_count(self) -> None:
        once = self.fresh()
        for _ in range(20):
            self.keys(self.home, once)
            self.refusal(self.home, self.request(kvno=9))
            self.refusal(self.other, self.fresh())
        for _ in range(2):
            self.keys(self.home, self.fresh())
        self.assertEqual(self.refusal(self.home, self.fresh()), Code.INSUFFICIENT_RESOURCES)

    def test_it_can_be_set_while_it_runs(self) -> None:
        for _ in range(3):
            self.keys(self.home, self.fresh())
        self.kdc.role(Center).reconfigure(Kdc(issue_rate=0))
        self.keys(self.home, self.fresh())
