"""How many keys are issued for one node: so many a minute, after a burst.

A node that has used up its burst waits; others do not. What counts are keys that
are drawn, which a home agent asks for only when it has authenticated the node:
nothing that somebody else can send uses up anything of a node's.

A bucket is one number: when it would be full again. One that is full is forgotten.

Limit: `MOST` buckets; of more, that of the node which had keys least lately is forgotten, and it has its whole burst
again.
"""

from __future__ import annotations

from typing import Final

from seckex.machine import Now

MOST: Final = 65_536
_A_MINUTE: Final = 60.0
# So many full buckets are forgotten with each that is used.
_AT_ONCE: Final = 2


class Rates:
    """See the module."""

    def __init__(self, rate: int, burst: int) -> None:
        self.reconfigure(rate, burst)
        #: When each is full again (monotonic), those that had keys least lately first.
        self._full: dict[str, float] = {}

    def reconfigure(self, rate: int, burst: int) -> None:
        """Go on with ``rate`` keys a minute, 0 for no limit, after a ``burst``."""
        self._interval = _A_MINUTE / rate if rate else 0.0
        self._room = self._interval * burst

    def __len__(self) -> int:
        return len(self._full)

    def takes(self, node: str, now: Now) -> bool:
        """Tell whether a node may have keys now, and count that it has if so."""
        if not self._interval:
            return True
        moment = now.monotonic
        full = max(self._full.get(node, moment), moment) + self._interval
        # The last of a burst may come a rounding error too late.
        if full - moment > self._room + 1e-6:
            return False
        self._full.pop(node, None)
        self._full[node] = full
        self._forget(moment)
        return True

    def _forget(self, moment: float) -> None:
        for _ in range(_AT_ONCE):
            first = next(iter(self._full))
            if self._full[first] > moment and len(self._full) <= MOST:
                return
            del self._full[first]
            if not self._full:
                return
