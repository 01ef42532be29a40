"""Whose turn it is."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from seckex.delivery.flow.fair import Turns


class TurnTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.turns = Turns[str]()

    def order(self) -> list[str]:
        """Return who is next, until nobody is."""
        found = []
        while (who := self.turns.next()) is not None:
            found.append(who)
        return found

    def test_by_priority_and_then_in_turn(self) -> None:
        for who, priority in (("late", 7), ("a", 4), ("first", 0), ("b", 4), ("a", 4)):
            self.turns.wait(who, priority)
        self.assertEqual(len(self.turns), 4)
        self.assertEqual(self.order(), ["first", "a", "b", "late"])

    def test_whoever_has_more_goes_behind_the_others(self) -> None:
        for who in "abc":
            self.turns.wait(who, 4)
        said = []
        for _ in range(7):
            turn = self.turns.next()
            assert turn is not None
            said.append(turn)
            self.turns.wait(turn, 4)
        self.assertEqual("".join(said), "abcabca")

    def test_a_whole_message_of_a_higher_priority_goes_between_fragments(self) -> None:
        self.turns.wait("file", 4)
        self.assertEqual(self.turns.next(), "file")
        self.turns.wait("file", 4)
        self.turns.wait("urgent", 1)
        self.assertEqual(self.order(), ["urgent", "file"])

    def test_who_leaves_waits_no_more(self) -> None:
        for who in "abc":
            self.turns.wait(who, 4)
        self.turns.leave("b", 4)
        self.turns.leave("d", 4)
        self.assertEqual(self.order(), ["a", "c"])
        self.assertFalse(self.turns)
