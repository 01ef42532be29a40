"""Associations that come ready-made, of registering: taken up, replaced and let go.

Whoever registers has made them durable and vouches for them, so they are
confirmed from the first. One that is replaced may still carry links: it stays
until these have moved, `LET_GO_AFTER` at most, and is not in the store any more.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from seckex.events import AssociationEnded
from seckex.machine import Now, Report
from seckex.node.actions import Gone, NodeAction, Ready
from seckex.node.associations import AssociationTable
from seckex.node.limits import Limits
from seckex.node.tables import ExpiringTable
from seckex.sa.association import Association
from seckex.wire.numbers import Role

LET_GO_AFTER: Final = 60.0

_REPLACED: Final = "replaced by a newer one"


class Adopted:
    """See the module."""

    def __init__(self, associations: AssociationTable, limits: Limits) -> None:
        self._associations = associations
        self._going: ExpiringTable[int, Association] = ExpiringTable(limits.associations, LET_GO_AFTER)

    def reconfigure(self, limits: Limits) -> None:
        """Go on with other limits."""
        self._going.limit = limits.associations

    def want(self, nai: str, actions: list[NodeAction]) -> None:
        """Build links on the association with ``nai``, if there is one from before a restart."""
        newest = self._associations.newest(nai)
        if newest is not None:
            self._ready(newest, actions)

    def adopt(self, association: Association, replaces: Iterable[int], now: Now, actions: list[NodeAction]) -> None:
        """See `seckex.node.node.Node.adopt`."""
        self._associations.add(association)
        self._ready(association, actions)
        for spi in replaces:
            old = self._associations.get(spi)
            if old is None:
                continue
            if self._going.full:
                self._end(next(iter(self._going.items()))[1], _REPLACED, actions)
            self._going.put(spi, old, now.monotonic)

    def _ready(self, association: Association, actions: list[NodeAction]) -> None:
        if association.role is Role.INITIATOR:
            actions.append(Ready(association))

    def release(self, spi_in: int, why: str, actions: list[NodeAction]) -> None:
        """See `seckex.node.node.Node.release`."""
        association = self._associations.get(spi_in)
        if association is None:
            return
        for held in self._associations.held(association.peer):
            # Who is registered no more has nothing of what was replaced either.
            if held is association or held.spi_in in self._going:
                self._end(held, why, actions)

    def _end(self, association: Association, why: str, actions: list[NodeAction]) -> None:
        spi = association.spi_in
        self._going.pop(spi)
        # Its links may have moved, and the SPI may name another one by now.
        if self._associations.get(spi) is association:
            self._associations.remove(spi)
            actions += [Report(AssociationEnded(association.peer, spi, why)), Gone(association, why)]

    def retired(self, association: Association) -> None:
        """Let go of what has gone before its time: its links have moved."""
        if self._going.get(association.spi_in) is association:
            self._going.pop(association.spi_in)

    def tick(self, now: Now, actions: list[NodeAction]) -> None:
        """Let go what was replaced a while ago."""
        for _, association in self._going.expired(now.monotonic):
            self._end(association, _REPLACED, actions)

    def deadline(self) -> float | None:
        """Return when `tick` has something to do (monotonic)."""
        return self._going.deadline()
