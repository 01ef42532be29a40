"""When the next registration is to begin."""

from __future__ import annotations

import math
from typing import Final

from seckex.machine import Now
from seckex.roles.mobile_node.records import Registration
from seckex.roles.mobile_node.request import Entropy

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
JITTER: Final = 0.25
RENEW_FROM, RENEW_TO = 0.8, 0.9
#: What nobody has proved makes the node register again at most so often.
HINT_EVERY: Final = 30.0
#: What an agent that refuses traffic does, at most so often.
REFUSED_EVERY: Final = 10.0


class Schedule:
    """``due`` is when (monotonic), None for not at all."""

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy
        self._pause = FIRST_PAUSE
        self._hinted_at = self._refused_at = -math.inf
        self.due: float | None = None

    @property
    def first(self) -> bool:
        """Whether nothing has failed since somebody asked, or since it last worked."""
        return self._pause == FIRST_PAUSE

    def soon(self, now: Now) -> None:
        """Begin now, whatever has failed before."""
        self.due, self._pause = now.monotonic, FIRST_PAUSE

    def at(self, moment: float) -> None:
        """Begin at ``moment`` (monotonic) at the latest."""
        self.due = moment if self.due is None else min(self.due, moment)

    def hinted(self, now: Now) -> None:
        """Begin soon for a reason that anybody could have made up: at most every `HINT_EVERY`."""
        moment = max(now.monotonic, self._hinted_at + HINT_EVERY)
        if self.due is None or moment < self.due:
            self.due = self._hinted_at = moment

    def refused(self, now: Now) -> None:
        """Begin soon, since the agent does not carry what it should: at most every `REFUSED_EVERY`."""
        moment = max(now.monotonic, self._refused_at + REFUSED_EVERY)
        if self.due is None or moment < self.due:
            self.due = self._refused_at = moment

    def failed(self, now: Now) -> None:
        """Begin again after a pause, longer each time."""
        jitter = 1 + JITTER * int.from_bytes(self._entropy(2), "big") / 0xFFFF
        self.due = now.monotonic + self._pause * jitter
        self._pause = min(self._pause * 2, LONGEST_PAUSE)

    def registered(self, registration: Registration, now: Now) -> None:
        """Begin again before a registration is over: at 80 to 90 % of it.

        That is drawn, so that many nodes do not come at once. A clock that was set back makes nothing younger than new.
        """
        self._pause = FIRST_PAUSE
        drawn = int.from_bytes(self._entropy(2), "big") / 0xFFFF
        most = registration.serves * (RENEW_FROM + (RENEW_TO - RENEW_FROM) * drawn)
        self.due = now.monotonic + min(max(registration.since + most - now.wall, 0), most)

    def never(self) -> None:
        """Begin no more."""
        self.due = None
