"""Passages that are to end: some at once, those of who has registered anew a little later.

Who registers anew takes what goes on over to new passages, and needs the old
ones until then. So these go on for `GRACE` seconds, while nothing opens any
more under what was replaced (docs/passages.md, section 6).
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any, Final

from seckex.machine import Now
from seckex.roles.faces import ClosePassages
from seckex.wire.numbers import Code

GRACE: Final = 5.0


class EndingPassages:
    """See the module; as many as are replaced in `GRACE` seconds."""

    def __init__(self) -> None:
        self._later: deque[tuple[float, int]] = deque()

    def end(self, spi: int, why: str, actions: list[Any]) -> None:
        """Close those that were opened by this SPI of ours."""
        actions.append(ClosePassages(spi, Code.UNKNOWN_ASSOCIATION, why))

    def replaced(self, spi: int, now: Now) -> None:
        """Close them after `GRACE` seconds."""
        self._later.append((now.monotonic + GRACE, spi))

    def tick(self, now: Now, actions: list[Any]) -> None:
        """Close those whose time is over."""
        while self._later and self._later[0][0] <= now.monotonic:
            self.end(self._later.popleft()[1], "its node has registered anew", actions)

    def deadline(self) -> float:
        """Return when `tick` has something to do (monotonic); infinity where it has not."""
        return self._later[0][0] if self._later else math.inf
