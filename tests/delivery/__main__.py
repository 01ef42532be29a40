"""Runs seeds of chaos by hand: ``python -m tests.delivery [SEED] [--seeds N] [--steps N]``; prints those that fail."""

from __future__ import annotations

import argparse
import sys

from tests.delivery.chaos import Chaos


def main() -> int:
    """Run as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.delivery")
    parser.add_argument("first", type=int, nargs="?", default=0)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--steps", type=int, default=100)
    said = parser.parse_args()
    failed = 0
    for seed in range(said.first, said.first + said.seeds):
        try:
            Chaos(seed, said.steps).run()
        except Exception as error:  # whatever it is, the next seed goes on
            failed += 1
            print(f"seed {seed}, {said.steps} steps: {type(error).__name__}: {error}")
    print(f"{said.seeds - failed} seeds held, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
