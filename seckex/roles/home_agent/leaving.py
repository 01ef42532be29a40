"""What a node that has moved to another agent leaves behind, as long as its links may still move.

They have `MOVES_WITHIN` seconds for that, or until they have moved: then the old KEY 1 is let go, and the old agent
is told. In memory only: after a restart links are built anew in any case.

Limit: `MOST_LEAVING`; for one more the oldest ends at once.
"""

from __future__ import annotations

import math
from typing import Any, Final

from attrs import frozen

from seckex.exchange.terms import Entropy
from seckex.machine import Now
from seckex.node.tables import ExpiringTable
from seckex.roles.faces import Release
from seckex.roles.home_agent.bindings import Binding
from seckex.roles.home_agent.ended import MOVES_WITHIN, Ended
from seckex.roles.home_agent.records import ended_record
from seckex.roles.home_agent.revocations import MOST_BEHIND, Revocations
from seckex.sa.store import PutRecord, Unit
from seckex.wire.numbers import Reason

MOST_LEAVING: Final = 16384

MOVED: Final = "the node has moved to another agent"


@frozen
class _Leaver:
    """A registration that is no binding any more; ``association`` is the SPI here of its KEY 1."""

    association: int
    ended: Ended


class Leaving:
    """See the module."""

    def __init__(self, revocations: Revocations) -> None:
        self._revocations = revocations
        self._leavers: ExpiringTable[int, _Leaver] = ExpiringTable(MOST_LEAVING, MOVES_WITHIN)

    def __len__(self) -> int:
        return len(self._leavers)

    def registered(
        self,
        node: str,
        ended: tuple[tuple[Binding, Ended], ...],
        entropy: Entropy,
        now: Now,
        actions: list[Any],
    ) -> Unit:
        """Let go, in time, of what a registration has ended; return what else is to be made durable."""
        revocations = self._revocations
        quiet = any(each.reason is None for _, each in ended)
        surplus = revocations.behind(node)[: 1 - MOST_BEHIND] if quiet else ()
        told = [each.told(Reason.MOVED, entropy, now) for each in surplus]
        for each in (*told, *(each for _, each in ended)):
            revocations.keep(each, now, actions)
        for binding, each in ended:
            if each.reason is Reason.MOVED:
                self._keep(_Leaver(binding.link, each), now, actions)
        return tuple(PutRecord(ended_record(each)) for each in told)

    def _keep(self, leaver: _Leaver, now: Now, actions: list[Any]) -> None:
        if self._leavers.full:
            self._close(self._leavers.items()[0][1], now, actions)
        self._leavers.put(leaver.association, leaver, now.monotonic)

    def _close(self, leaver: _Leaver, now: Now, actions: list[Any]) -> None:
        self._leavers.pop(leaver.association)
        actions.append(Release(leaver.association, MOVED))
        self._revocations.hasten(leaver.ended, now)

    def let_go(self, association: int, now: Now, actions: list[Any]) -> None:
        """End the one of an association whose links have moved."""
        leaver = self._leavers.get(association)
        if leaver is not None:
            self._close(leaver, now, actions)

    def tick(self, now: Now, actions: list[Any]) -> None:
        """End those whose time is over."""
        for _, leaver in self._leavers.expired(now.monotonic):
            self._close(leaver, now, actions)

    def deadline(self) -> float:
        """Return when `tick` has something to do (monotonic)."""
        deadline = self._leavers.deadline()
        return math.inf if deadline is None else deadline
