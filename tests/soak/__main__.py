"""Runs slow tests by name, all of them without a name; prints their figures and fails if a bound is missed.

A test is a module of this package with a function ``run()`` that returns its `Figure`s. ``messages --kills N`` kills so
many times.
"""

from __future__ import annotations

import importlib
import sys
import time
from typing import Final

NAMES: Final = ("flood", "clocks", "messages")


def main(arguments: list[str]) -> int:
    """Run as the command line says."""
    kills: dict[str, int] = {}
    if "--kills" in arguments:
        at = arguments.index("--kills")
        kills["kills"] = int(arguments[at + 1])
        arguments = arguments[:at] + arguments[at + 2 :]
    unknown = [name for name in arguments if name not in NAMES]
    if unknown:
        print(f"no such test: {', '.join(unknown)}; there are: {', '.join(NAMES)}", file=sys.stderr)
        return 2
    missed = 0
    for name in arguments or NAMES:
        began = time.monotonic()
        figures = importlib.import_module(f"tests.soak.{name}").run(**(kills if name == "messages" else {}))
        print(f"{name} ({time.monotonic() - began:.0f} s)")
        for figure in figures:
            print(f"  {figure}")
            missed += not figure.kept
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
