"""Counting what is met with silence, and telling of it without being flooded.

Anybody can send rubbish, so reports of it are rationed: a few at once, then
one every few seconds, each saying how many were left out. Counters are exact.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from seckex.events import MessageDropped
from seckex.machine import Now, Path, Report
from seckex.node.actions import NodeAction

BURST: Final = 10
PER_SECOND: Final = 0.2


class Drops:
    """Counters by cause, and rationed reports."""

    def __init__(self) -> None:
        self.counters: Counter[str] = Counter()
        self._allowance = float(BURST)
        self._since = 0.0
        self._suppressed = 0

    def note(self, cause: str, why: str, path: Path, now: Now, actions: list[NodeAction]) -> None:
        """Count one drop and, within the ration, report it."""
        if self.ration(cause, now):
            actions.append(Report(MessageDropped(str(path), cause, why, self.left_out())))

    def ration(self, cause: str, now: Now) -> bool:
        """Count one drop; return whether it may be reported."""
        self.counters[f"dropped.{cause}"] += 1
        self._allowance = min(BURST, self._allowance + (now.monotonic - self._since) * PER_SECOND)
        self._since = now.monotonic
        if self._allowance < 1:
            self._suppressed += 1
            return False
        self._allowance -= 1
        return True

    def left_out(self) -> int:
        """Return how many have not been reported since this was last asked."""
        suppressed, self._suppressed = self._suppressed, 0
        return suppressed
