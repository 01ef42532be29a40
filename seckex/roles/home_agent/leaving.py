"""What goes on for a while after another registration has taken its place, so that links can move.

A node that has moved to another agent has `MOVES_WITHIN` seconds for that, or until its links have moved: then the
old KEY 1 is let go and passages under the old KEY 2 are closed, when the agent is told. Through the same agent it is as
long as a node keeps what was replaced. In memory only: after a restart links are built anew in any case.

Limit: `MOST_LEAVING` of each kind; for one more the oldest ends at once.
"""

from __future__ import annotations

import math
from typing import Any, Final

from attrs import frozen

from seckex.exchange.terms import Entropy
from seckex.machine import Now
from seckex.node.adopted import LET_GO_AFTER
from seckex.node.tables import ExpiringTable
from seckex.roles.faces import ClosePassages, Release
from seckex.roles.home_agent.bindings import Binding
from seckex.roles.home_agent.ended import MOVES_WITHIN, Ended
from seckex.roles.home_agent.records import ended_record
from seckex.roles.home_agent.revocations import MOST_BEHIND, Revocations
from seckex.sa.store import PutRecord, Unit
from seckex.wire.numbers import Code, Reason

MOST_LEAVING: Final = 16384

MOVED: Final = "the node has moved to another agent"
LEFT: Final = "the node has deregistered"
REPLACED: Final = "the node has registered again"


@frozen
class Leaver:
    """A binding that another one has replaced; ``association`` is the SPI here of its KEY 1."""

    node: str
    binding: Binding
    association: int
    ended: Ended

    @property
    def moved(self) -> bool:
        """Whether it was at another agent."""
        return self.ended.reason is not None


class Leaving:
    """See the module."""

    def __init__(self, revocations: Revocations) -> None:
        self._revocations = revocations
        self._moved: ExpiringTable[int, Leaver] = ExpiringTable(MOST_LEAVING, MOVES_WITHIN)
        self._replaced: ExpiringTable[int, Leaver] = ExpiringTable(MOST_LEAVING, LET_GO_AFTER)
        self._by_association: dict[int, int] = {}
        self._by_node: dict[str, dict[int, None]] = {}

    def __len__(self) -> int:
        return len(self._moved) + len(self._replaced)

    def get(self, spi_in: int) -> Leaver | None:
        """Return the one whose KEY 2 has this SPI here."""
        return self._moved.get(spi_in) or self._replaced.get(spi_in)

    def keep(self, leaver: Leaver, now: Now, actions: list[Any]) -> None:
        """Have one go on for its while."""
        table = self._moved if leaver.moved else self._replaced
        if table.full:
            self._close(table.items()[0][1], now, actions)
        spi = leaver.binding.spi_in
        table.put(spi, leaver, now.monotonic)
        self._by_association[leaver.association] = spi
        self._by_node.setdefault(leaver.node, {})[spi] = None

    def registered(
        self,
        node: str,
        ended: tuple[tuple[Binding, Ended], ...],
        association: int,
        entropy: Entropy,
        now: Now,
        actions: list[Any],
    ) -> Unit:
        """Let go, in time, of what a registration has ended; ``association`` is the SPI of KEY 1 before it.

        Return what else is to be made durable.
        """
        revocations = self._revocations
        quiet = any(each.reason is None for _, each in ended)
        surplus = revocations.behind(node)[: 1 - MOST_BEHIND] if quiet else ()
        told = [each.told(Reason.MOVED, entropy, now) for each in surplus]
        for each in (*told, *(each for _, each in ended)):
            revocations.keep(each, now, actions)
        for binding, each in ended:
            if each.reason is Reason.LEFT:
                actions.append(ClosePassages(binding.spi_in, Code.UNKNOWN_ASSOCIATION, LEFT))
            else:
                self.keep(Leaver(node, binding, association, each), now, actions)
        return tuple(PutRecord(ended_record(each)) for each in told)

    def _close(self, leaver: Leaver, now: Now, actions: list[Any]) -> None:
        spi = leaver.binding.spi_in
        self._moved.pop(spi)
        self._replaced.pop(spi)
        self._by_association.pop(leaver.association, None)
        of_node = self._by_node.get(leaver.node, {})
        of_node.pop(spi, None)
        if not of_node:
            self._by_node.pop(leaver.node, None)
        why = MOVED if leaver.moved else REPLACED
        if leaver.moved:
            actions.append(Release(leaver.association, why))
            self._revocations.hasten(leaver.ended, now)
        actions.append(ClosePassages(spi, Code.UNKNOWN_ASSOCIATION, why))

    def let_go(self, association: int, now: Now, actions: list[Any]) -> None:
        """End the one of an association whose links have moved."""
        leaver = self.get(self._by_association.get(association, 0))
        if leaver is not None:
            self._close(leaver, now, actions)

    def end(self, node: str, now: Now, actions: list[Any]) -> None:
        """End those of a node."""
        for leaver in [self.get(spi) for spi in self._by_node.get(node, ())]:
            if leaver is not None:
                self._close(leaver, now, actions)

    def tick(self, now: Now, actions: list[Any]) -> None:
        """End those whose time is over."""
        for table in (self._moved, self._replaced):
            for _, leaver in table.expired(now.monotonic):
                self._close(leaver, now, actions)

    def deadline(self) -> float:
        """Return when `tick` has something to do (monotonic)."""
        return min((each for each in (self._moved.deadline(), self._replaced.deadline()) if each), default=math.inf)
