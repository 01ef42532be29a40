"""How registrations end before their time: by a center, by the node, by an operator, or by a move.

Whatever ends them, it is durable first, with the REVOCATION of each: bindings of a node, and what of it other
agents may still have. Then links, dialogs and passages are closed, and the agents are told (`revocations`).

What an operator or a node's DELETE ends waits for the node's turn: one of each node, the last of those who asked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from attrs import frozen

from seckex.events.home_agent import BindingsEnded
from seckex.machine import Now, Report
from seckex.roles.faces import ClosePassages, Release
from seckex.roles.home_agent.bindings import Binding
from seckex.roles.home_agent.ended import Ended, over
from seckex.roles.home_agent.home import Home
from seckex.roles.home_agent.nodes import KnownNode
from seckex.roles.home_agent.records import ended_record, node_record
from seckex.roles.home_agent.registering import Registering
from seckex.roles.home_agent.units import Units
from seckex.sa.store import DeleteAssociation, Operation, Outcome, PutRecord
from seckex.wire.numbers import Code, Reason

_TURN: Final = "ended here"


@frozen
class Ending:
    """What ends with a node's registrations: its ``bindings``, and what its agents are told of these and others."""

    node: str
    association: int
    bindings: tuple[Binding, ...]
    ended: tuple[Ended, ...]

    @property
    def unit(self) -> tuple[Operation, ...]:
        """What makes it durable, beside the node."""
        gone = (DeleteAssociation(self.association),) if self.association else ()
        return (*gone, *(PutRecord(ended_record(each)) for each in self.ended))


def ending(home: Home, known: KnownNode | None, nai: str, reason: Reason, now: Now) -> Ending:
    """Return what ends where a node is to have nothing any more, anywhere."""
    entropy = home.terms.entropy
    bindings = () if known is None else tuple(each for each in known.bindings if each.until > now.wall)
    left = tuple(each.told(reason, entropy, now) for each in home.revocations.behind(nai) if each.until > now.wall)
    ended = (*left, *(over(nai, each, reason, entropy, now) for each in bindings))
    return Ending(nai, 0 if known is None else known.association, bindings, ended)


class Endings:
    """See the module."""

    def __init__(self, home: Home, units: Units, registering: Registering) -> None:
        self._home = home
        self._units = units
        self._registering = registering
        self._wanted: dict[str, tuple[Reason, str, Callable[[str], None]]] = {}

    # -- after it is durable

    def took(self, ended: Ending, why: str, now: Now, actions: list[Any]) -> None:
        """Close what has ended, durably, and tell the agents."""
        revocations = self._home.revocations
        if ended.association:
            actions.append(Release(ended.association, why, ended.node))
        for each in ended.ended:
            revocations.keep(each, now, actions)
        # What had some seconds left for its links to move has none.
        for each in revocations.of(ended.node):
            actions.append(ClosePassages(each.spi_in, Code.UNKNOWN_ASSOCIATION, why))
            revocations.hasten(each, now)

    # -- by an operator or a node

    def end(
        self, nai: str, reason: Reason, why: str, done: Callable[[str], None], now: Now, actions: list[Any]
    ) -> None:
        """End what a node has here, as soon as nothing else changes it; ``done`` is told why not, or nothing.

        The node may register again.
        """
        before = self._wanted.pop(nai, None)
        if before is not None:
            before[2]("somebody else has asked for the same")
        self._wanted[nai] = reason, why, done
        self.resume(now, actions)

    def resume(self, now: Now, actions: list[Any]) -> None:
        """End what waits, if nothing is in its way any more."""
        for nai in tuple(self._wanted):
            self._registering.let_go(nai, "its registration is ended", now, actions)
            if self._registering.turns.holder(nai) is None:
                reason, why, done = self._wanted.pop(nai)
                self._begin(nai, reason, why, done, now, actions)

    def _begin(
        self, nai: str, reason: Reason, why: str, done: Callable[[str], None], now: Now, actions: list[Any]
    ) -> None:
        home = self._home
        known = home.nodes.get(nai)
        ends = ending(home, known, nai, reason, now)
        if known is None or not (ends.bindings or ends.association or ends.ended):
            done("it is not registered")
            return
        after = known.left()
        self._registering.turns.take(nai, _TURN)

        def stored(outcome: Outcome | str, later: Now, told: list[Any]) -> None:
            if outcome is Outcome.STORED:
                home.nodes.put(after)
                told.append(Report(BindingsEnded(nai, reason.label, why, len(ends.ended))))
                self.took(ends, why, later, told)
            self._registering.ended(nai, later, told)
            done("" if outcome is Outcome.STORED else f"the store cannot be written: {outcome}")

        self._units.commit((PutRecord(node_record(after)), *ends.unit), stored, actions)
