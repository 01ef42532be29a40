"""Seeds of the simulation: that they hold, that they repeat themselves, and that they see programs that are wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

from twisted.trial.unittest import FailTest, SynchronousTestCase

from tests.simulation.__main__ import run_all, shortened
from tests.simulation.breaking import BREAKING
from tests.simulation.run import run

SEEDS = 300
#: Of so many seeds one has to see what is wrong.
ENOUGH = 60


class SeedTests(SynchronousTestCase):
    def test_all_hold(self) -> None:
        results = run_all(range(SEEDS), min(2, os.cpu_count() or 1))
        for seed, result, why in results:
            if result is None:
                self.fail(f"seed {seed}: python -m tests.simulation --seeds 1 --first {seed} --trace\n{shortened(why)}")
        found = [result for _, result, _ in results if result is not None]
        # Much goes wrong in them, and much goes right.
        self.assertGreater(sum(result.crashes for result in found), SEEDS)
        self.assertGreater(sum(result.accepted for result in found), 2 * SEEDS)
        self.assertGreater(sum(result.downloads for result in found), 2 * SEEDS)
        self.assertGreater(sum(result.handed_over for result in found), SEEDS)

    def test_a_seed_repeats_itself(self) -> None:
        for seed in (3, 4, 5):
            self.assertEqual(run(seed).trace, run(seed).trace)
        self.assertNotEqual(run(3).trace, run(4).trace)

    def test_a_seed_repeats_itself_in_another_process(self) -> None:
        # Sets of texts are in another order there.
        told = subprocess.run(
            [sys.executable, "-c", "from tests.simulation.run import run; print(run(3).trace)"],
            env={**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)},
            check=True,
            capture_output=True,
            text=True,
        )
        self.assertEqual(told.stdout.strip(), run(3).trace)


class BreakingTests(SynchronousTestCase):
    """Below there is one for each."""

    def sees(self, name: str) -> None:
        breaking, told = BREAKING[name]
        for seed in range(ENOUGH):
            try:
                run(seed, breaking)
            except FailTest as failure:
                self.assertIn(told, str(failure).partition("\n")[0])
                return
        self.fail(f"{ENOUGH} seeds have not seen {name}")


def _seeing(name: str) -> Callable[[BreakingTests], None]:
    def test(self: BreakingTests) -> None:
        self.sees(name)

    return test


for _name in BREAKING:
    setattr(BreakingTests, f"test_the_simulation_sees_{_name.replace(' ', '_')}", _seeing(_name))
