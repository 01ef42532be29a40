"""An Acknowledged that goes backwards: it is old, or the peer's store was restored (docs/messages.md, section 12).

RESTORED tells. Without it the peer is asked (WHERE), and believed when it still
says so after `BELIEVED_AFTER` seconds; by then nothing that was said before can
still be under way.
"""

from __future__ import annotations

from math import inf
from typing import Final

BELIEVED_AFTER: Final = 10.0


class Backwards:
    """What is known of a number that was acknowledged lower than before."""

    __slots__ = ("_since", "asks", "lower")

    def __init__(self) -> None:
        self.lower: int | None = None
        self.asks = False
        self._since = inf

    def heard(self, upto: int, now: float) -> bool:
        """Take a lower number; return whether to believe it."""
        if self.lower is None:
            self._since = now
            self.asks = True
        self.lower = upto
        return now >= self._since + BELIEVED_AFTER

    def over(self) -> None:
        """Note that the peer has said a number that is not lower, or is believed."""
        self.lower = None
        self.asks = False
