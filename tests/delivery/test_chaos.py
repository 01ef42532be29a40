"""Seeds of chaos: each is a world of failures in which every message arrives once and in its order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from seckex.delivery.conversation import Conversation
from seckex.delivery.flow.receiving import Receiving
from seckex.delivery.memory import MemoryMessages
from seckex.delivery.speaking import Speaking
from tests.delivery.chaos import Chaos, Wrong

SEEDS = 500
STEPS = 60
RELAYED = 60


class ChaosTests(SynchronousTestCase):
    def test_seeds(self) -> None:
        for seed in range(SEEDS):
            try:
                Chaos(seed, STEPS).run()
            except Wrong as error:
                self.fail(f"python -m tests.delivery {seed} --steps {STEPS}: {error}")

    def test_seeds_with_a_relay_between(self) -> None:
        for seed in range(RELAYED):
            try:
                Chaos(seed, STEPS, relay=True).run()
            except Wrong as error:
                self.fail(f"seed {seed}: {error}")

    def test_a_seed_is_the_same_run_each_time(self) -> None:
        one, other = Chaos(7, STEPS).run(), Chaos(7, STEPS).run()
        self.assertEqual(one.table.happened, other.table.happened)
        self.assertEqual(len(one.node.said), len(other.node.said))
        self.assertEqual(one.sent, other.sent)


class WrongProgramTests(SynchronousTestCase):
    """A house with one precaution less is found out within some seeds."""

    def found_out(self, owner: type, name: str, wrong: Callable[..., Any], seeds: int = 60) -> None:
        self.patch(owner, name, wrong)
        for seed in range(seeds):
            try:
                Chaos(seed, STEPS).run()
            except Exception:  # whichever way it shows
                return
        self.fail(f"nobody has found out what {name} does")

    def test_a_store_that_forgets_what_it_was_given(self) -> None:
        self.found_out(MemoryMessages, "sync", lambda _: None)

    def test_speaking_of_a_dialog_that_is_not_durable(self) -> None:
        say = Speaking._say_one

        def wrong(house: Speaking, conversation: Conversation, *rest: Any) -> bool:
            conversation.is_stored = True
            return say(house, conversation, *rest)

        self.found_out(Speaking, "_say_one", wrong)

    def test_giving_what_was_given_before(self) -> None:
        self.found_out(Receiving, "acknowledge", lambda receiving: receiving.delivered + 1)
