"""What was found out about user-defined groups, and how much of a processor finding out may take.

At most 256 verdicts are kept, the one that was not asked for longest giving way.
One group is checked at a time, and after a check as long a time goes by as
keeps all of them together under 5 % of one processor: what comes meanwhile with
yet another group is told to try later. Only authenticated peers get as far.
"""

from __future__ import annotations

import math
from typing import Final

from seckex.crypto.groups.modp import Modp
from seckex.crypto.groups.user import Parameters
from seckex.errors import PeerIncompatible

MOST_REMEMBERED: Final = 256
# A check that took so long is followed by 19 times as long without one.
_PAUSE: Final = 19.0
# A check whose end nobody told of does not keep others waiting for ever.
_LONGEST: Final = 120.0

Verdict = Modp | PeerIncompatible


class Verdicts:
    """The memory, and the ration; ``now`` is monotonic seconds throughout."""

    def __init__(self) -> None:
        self._known: dict[bytes, Verdict] = {}
        self._began = -math.inf
        self._next = -math.inf

    def __len__(self) -> int:
        return len(self._known)

    def known(self, parameters: Parameters) -> Verdict | None:
        """Return what was found out, None if that was not asked yet or is forgotten."""
        verdict = self._known.pop(parameters.fingerprint, None)
        if verdict is not None:
            self._known[parameters.fingerprint] = verdict
        return verdict

    def may_begin(self, now: float) -> bool:
        """Take the right to check one group, if it is to be had; `found` is to be told what came out."""
        if now < self._next:
            return False
        self._began, self._next = now, now + _LONGEST
        return True

    def found(self, parameters: Parameters, verdict: Verdict, now: float) -> None:
        """Remember the verdict of the check that was begun."""
        self._next = now + _PAUSE * max(now - self._began, 0.0)
        if len(self._known) == MOST_REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[parameters.fingerprint] = verdict
