"""Memory of what has ended, keys among it, taken back soon.

Connections and those that they report to refer to each other, so that what ends
would stay in memory until Python's collector comes by, which may be hours. So it
is called `SOON` seconds after something has ended. What the process has
had from its start is left out, so that it takes about a millisecond; where it takes more it is called
as much less often: `SHARE` of the time at most is spent on it.

Python frees memory without writing over it; docs/security.md says how to have the C library do that.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall

from seckex.events import AssociationEnded, Event
from seckex.events.foreign_agent import VisitorLeft, VisitorRevoked
from seckex.events.mobile_node import TrafficEnded
from seckex.events.passages import PassageClosed
from seckex.net.log import EventLog

SOON: Final = 1.0
SHARE: Final = 0.01

_ENDS: Final = (AssociationEnded, VisitorLeft, VisitorRevoked, TrafficEnded, PassageClosed)


class Forgetting:
    """See the module; for a process that is a daemon's alone."""

    def __init__(self, reactor: Any, log: EventLog) -> None:
        self._reactor = reactor
        self._timer: IDelayedCall | None = None
        self._not_before = 0.0
        self._unsubscribe: Callable[[], None] = log.subscribe(self._heard)
        gc.freeze()

    def _heard(self, _at: float, event: Event) -> None:
        if isinstance(event, _ENDS) and self._timer is None:
            now = self._reactor.seconds()
            self._timer = self._reactor.callLater(max(SOON, self._not_before - now), self._collect)

    def _collect(self) -> None:
        self._timer = None
        began = self._reactor.seconds()
        gc.collect()
        ended = self._reactor.seconds()
        self._not_before = ended + (ended - began) / SHARE

    def stop(self) -> None:
        """Do nothing more."""
        self._unsubscribe()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
