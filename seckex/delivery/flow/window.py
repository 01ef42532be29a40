"""How much may be under way, and how long an answer is waited for."""

from __future__ import annotations

from collections import deque
from math import inf
from typing import Final

#: docs/messages.md, section 9: octets that may be under way until CREDIT says otherwise.
FIRST_WINDOW: Final = 4 << 20
ANSWER_WITHIN: Final = 15.0
MOST_PATIENCE: Final = 300.0
#: docs/messages.md, section 13: what a relay keeps goes again after so long, and then half as often each time.
KEPT_PATIENCE: Final = 3600.0
MOST_KEPT_PATIENCE: Final = 86_400.0


class Window:
    """Octets of bodies that were sent and are not known to be processed; at most ``most``, or one segment alone."""

    __slots__ = ("_flights", "most", "used")

    def __init__(self) -> None:
        self.most = FIRST_WINDOW
        self.used = 0
        self._flights: deque[tuple[int, int]] = deque()

    @property
    def left(self) -> int:
        """Octets that may be sent; less than none where the peer has made its window smaller."""
        return self.most - self.used

    def sent(self, last: int, weight: int) -> None:
        """Count a segment that was sent for the first time, up to number ``last``."""
        self.used += weight
        self._flights.append((last, weight))

    def processed(self, upto: int) -> None:
        """Count no more what is processed."""
        flights = self._flights
        while flights and flights[0][0] <= upto:
            self.used -= flights.popleft()[1]


class Patience:
    """When to send again what nobody answers to: after 15 s, and then half as often each time, at least every 5 min.

    What a relay keeps is waited for longer.
    """

    __slots__ = ("_is_kept", "_kept_seconds", "_seconds", "_until")

    def __init__(self) -> None:
        self._seconds = ANSWER_WITHIN
        self._kept_seconds = KEPT_PATIENCE
        self._is_kept = False
        self._until = inf

    def begin(self, now: float) -> None:
        """Wait for an answer from now on, unless that is so already."""
        if self._until == inf or self._is_kept:
            self._is_kept = False
            self._until = now + self._seconds

    def kept(self, now: float) -> None:
        """Wait for long: a relay keeps all that was sent."""
        self._is_kept = True
        self._until = now + self._kept_seconds

    def hurry(self, now: float) -> None:
        """Wait no longer than usual, if something is waited for: the peer is there."""
        if self._until != inf:
            self._is_kept = False
            self._seconds = ANSWER_WITHIN
            self._until = min(self._until, now + ANSWER_WITHIN)

    def answered(self, now: float, more: bool) -> None:
        """Note an answer; with ``more`` others are waited for."""
        self._seconds = ANSWER_WITHIN
        self._kept_seconds = KEPT_PATIENCE
        self._is_kept = False
        self._until = now + ANSWER_WITHIN if more else inf

    def suspend(self, now: float) -> None:
        """Begin to wait anew: nobody can have answered."""
        if self._until != inf:
            self._until = max(self._until, now + self._seconds)

    def stop(self) -> None:
        """Wait no more."""
        self._is_kept = False
        self._seconds = ANSWER_WITHIN
        self._until = inf

    def is_over(self, now: float) -> bool:
        """Tell whether to send again; then the next time is twice as far."""
        if now < self._until:
            return False
        if self._is_kept:
            self._is_kept = False
            self._kept_seconds = min(2 * self._kept_seconds, MOST_KEPT_PATIENCE)
            self._seconds = ANSWER_WITHIN
        else:
            self._seconds = min(2 * self._seconds, MOST_PATIENCE)
        self._until = now + self._seconds
        return True
