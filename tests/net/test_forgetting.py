"""That what has ended is taken back soon, once for many, and not all the time."""

from __future__ import annotations

import gc

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from seckex.events import AssociationEnded
from seckex.events.mobile_node import AgentLost
from seckex.net.forgetting import SHARE, SOON, Forgetting
from seckex.net.log import EventLog

ENDED = AssociationEnded("home@example.org", 0x1000, "replaced by a newer one")


class ForgettingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.taking = 0.0
        self.times: list[float] = []
        # The process that runs the tests keeps its own.
        self.patch(gc, "freeze", lambda: None)
        self.patch(gc, "collect", self.collect)
        self.log = EventLog("error", lambda: 0.0)
        self.forgetting = Forgetting(self.clock, self.log)

    def collect(self) -> int:
        self.times.append(self.clock.seconds())
        self.clock.rightNow += self.taking
        return 0

    def test_once_for_all_that_ends_within_a_second(self) -> None:
        for _ in range(1000):
            self.log.report(ENDED)
        self.clock.advance(SOON)
        self.assertEqual(self.times, [SOON])
        self.clock.advance(60)
        self.assertEqual(len(self.times), 1)

    def test_what_ends_nothing_is_nothing(self) -> None:
        self.log.report(AgentLost("north@a.example", "192.0.2.1:4434", True))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_where_it_takes_long_it_is_done_less_often(self) -> None:
        self.taking = 0.5
        for _ in range(200):
            self.log.report(ENDED)
            self.clock.advance(1)
        self.assertLessEqual(len(self.times), 200 * SHARE / self.taking + 1)
        self.assertGreater(len(self.times), 2)

    def test_stopped_it_leaves_nothing(self) -> None:
        self.log.report(ENDED)
        self.forgetting.stop()
        self.log.report(ENDED)
        self.assertEqual(self.clock.getDelayedCalls(), [])
