"""Messages with programs, and what they are called."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from seckex.delivery.faces import Direction, Verdict
from seckex.net.delivery.api import Decision, Dialog, Message
from seckex.net.delivery.http.holding import Holdings
from seckex.net.delivery.http.problems import Problem

NOBODY: Any = None


def message(last: int) -> Message:
    dialog = Dialog(bytes(15) + bytes([last]), "peer@example.net", "orders", Direction.BACK, NOBODY)
    return Message("000000000000.o7", dialog, "peer@example.net", "orders", "", 0.0, 1, b"", NOBODY)


class HoldingTests(SynchronousTestCase):
    def test_a_name_that_may_be_one_of_two(self) -> None:
        holdings = Holdings()
        first, second = holdings.add(message(1)), holdings.add(message(2))
        error = self.assertRaises(Problem, holdings.find, "000000000000.o7")
        self.assertEqual((error.status, error.code, error.field), (409, "ambiguous", "message"))
        self.assertIs(holdings.find(f"{bytes(15).hex()}01.o7"), first)
        holdings.settle(first, Decision(Verdict.DONE))
        self.assertIs(holdings.find("000000000000.o7"), second)

    def test_a_verdict_is_told_once(self) -> None:
        holdings = Holdings()
        held = holdings.add(message(1))
        said: Deferred[Any] = held.said
        holdings.settle(held, Decision(Verdict.DONE))
        holdings.give_back([held])
        self.assertEqual(self.successResultOf(said), Decision(Verdict.DONE))
        self.assertEqual(len(holdings), 0)
