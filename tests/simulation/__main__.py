"""Runs seeds and prints those that fail: ``python -m tests.simulation --seeds N [--first S] [--trace]``."""

from __future__ import annotations

import argparse
import re
import sys
import time
import traceback
from collections.abc import Iterable
from multiprocessing import Pool
from typing import Final

from tests.simulation.run import Result, run

_TRACED: Final = re.compile(r" *\d+\.\d{3}  ")
_TOLD: Final = 12


def attempt(seed: int) -> tuple[int, Result | None, str]:
    """Run a seed; return what it came to, or what went wrong."""
    try:
        return seed, run(seed), ""
    except Exception:  # whatever it is, it is this seed's
        return seed, None, traceback.format_exc()


def run_all(seeds: Iterable[int], processes: int) -> list[tuple[int, Result | None, str]]:
    """Run many, on as many processes."""
    if processes == 1:
        return [attempt(seed) for seed in seeds]
    pool = Pool(processes)
    results = pool.map(attempt, seeds, chunksize=5)
    # Asked to end, not terminated: where a reactor has run its children have its handler of that signal, and go on.
    pool.close()
    pool.join()
    return results


def shortened(why: str) -> str:
    """Return a failure without most of what led to it."""
    lines = why.splitlines()
    told = [line for line in lines if _TRACED.match(line)]
    return "\n".join([line for line in lines if line not in told] + told[-_TOLD:])


def main() -> int:
    """Run as the command line says; return 1 if any seed has failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=300, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the number of the first")
    parser.add_argument("--processes", type=int, default=2, help="at once")
    parser.add_argument("--trace", action="store_true", help="print all that happens, for one seed")
    said = parser.parse_args()
    began = time.monotonic()
    results = run_all(range(said.first, said.first + said.seeds), said.processes)
    taken = time.monotonic() - began
    fine = [result for _, result, _ in results if result is not None]
    for seed, result, why in results:
        if result is None:
            print(why if said.trace else shortened(why))
            print(f"seed {seed} fails; once more: python -m tests.simulation --seeds 1 --first {seed} --trace\n")
        elif said.trace:
            print("\n".join(result.lines))
    failed = [seed for seed, result, _ in results if result is None]
    print(
        f"{len(fine)} of {len(results)} seeds hold in {taken:.1f} s: {sum(r.steps for r in fine)} steps, "
        f"{sum(r.crashes for r in fine)} crashes, {sum(r.accepted for r in fine)} registrations, "
        f"{sum(r.downloads for r in fine)} downloads, {sum(r.handed_over for r in fine)} times handed over, "
        f"{sum(r.simulated for r in fine) / 3600:.1f} h of simulated time"
        + (f"; failed: {', '.join(map(str, failed))}" if failed else "")
    )
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
