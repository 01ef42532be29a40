"""What may come of an input: nothing but the typed errors, in little time and with nothing kept.

A target is run through `Watch`, which tells of whatever else happens as a
`Finding`. Time is the processor's, so that a busy machine is no finding, and
an input that seems slow gets further chances; memory is counted in
allocated blocks, over many inputs.
"""

from __future__ import annotations

import gc
import sys
import time
from typing import Final

from seckex.errors import SeckexError
from tests.fuzz.target import Target

SLOW: Final = 0.050
CHANCES: Final = 3

#: Blocks that may be allocated for good by so many inputs; caches have filled before the count begins.
COUNTED_FROM: Final = 2000
LEAST_COUNTED: Final = 2000
KEPT_FOR_EACH: Final = 0.5
KEPT: Final = 20_000


class Finding(AssertionError):
    """An input that had an effect that none may have."""

    def __init__(self, target: str, octets: bytes, why: str) -> None:
        super().__init__(f"{target}: {why}; the input: {octets[:200].hex()}{'...' if len(octets) > 200 else ''}")
        self.octets = octets


class Watch:
    """Runs one target and judges it."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.runs = 0
        self.slowest = 0.0
        self._blocks = 0

    def run(self, octets: bytes) -> None:
        """Give the target one input; raises `Finding`."""
        spent = self._spend(octets)
        if spent > SLOW:
            spent = min(spent, *(self._spend(octets) for _ in range(CHANCES)))
            if spent > SLOW:
                raise Finding(self.target.name, octets, f"took {1000 * spent:.0f} ms")
        self.slowest = max(self.slowest, spent)
        self.runs += 1
        if self.runs == COUNTED_FROM:
            self._blocks = self._allocated()

    def _spend(self, octets: bytes) -> float:
        began = time.process_time()
        try:
            self.target.run(octets)
        except SeckexError as error:
            if not isinstance(error, self.target.allowed):
                raise Finding(self.target.name, octets, f"{type(error).__name__}: {error}") from error
        except RecursionError as error:
            raise Finding(self.target.name, octets, "recursion") from error
        except Exception as error:
            raise Finding(self.target.name, octets, f"{type(error).__name__}: {error}") from error
        return time.process_time() - began

    def finish(self) -> None:
        """Judge what is left in memory; raises `Finding`."""
        counted = self.runs - COUNTED_FROM
        if counted >= LEAST_COUNTED:
            kept = self._allocated() - self._blocks
            if kept > KEPT + KEPT_FOR_EACH * counted:
                raise Finding(self.target.name, b"", f"{kept} blocks of memory were kept after {counted} inputs")

    def _allocated(self) -> int:
        self.target.reset()
        gc.collect()
        return sys.getallocatedblocks()
