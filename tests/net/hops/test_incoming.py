"""Which of the hops that neighbours have made are used and closed, while some of them are on their way out."""

from __future__ import annotations

from typing import Any

from attrs import define
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from seckex.net.hops.incoming import MOST_OF_ONE, Incoming


@define(eq=False)
class Hanging:
    """A hop whose neighbour does not say that it has heard of the end."""

    used: float
    neighbour: str = "agent@visited.example"
    standing: bool = True

    def close(self, _why: str) -> None:
        self.standing = False


class ClosingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.incoming = Incoming(Clock())
        self.hops: list[Any] = [Hanging(used) for used in range(MOST_OF_ONE + 3)]
        for hop in self.hops:
            self.incoming.opened(hop)

    def test_each_that_is_one_too_many_has_another_closed(self) -> None:
        self.assertEqual([hop.standing for hop in self.hops], [False] * 3 + [True] * MOST_OF_ONE)

    def test_nothing_is_said_over_one_that_is_being_closed(self) -> None:
        identification, last = bytes(8), self.hops[-1]
        self.incoming.asked(last, identification)
        last.close("")
        self.assertIs(self.incoming.newest(last.neighbour), self.hops[-2])
        self.assertIs(self.incoming.answer(last.neighbour, identification), self.hops[-2])
        for hop in self.hops:
            hop.close("")
        self.assertIsNone(self.incoming.newest(last.neighbour))
