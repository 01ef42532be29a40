"""What an agent calls a node: docs/registration.md, section 6.

Another name in each registration, so that an agent cannot follow a node by it; or,
where that is the policy, the same as long as the node visits it. The agent keeps a
name until the registration with it would have ended, whatever has replaced that. So
that nobody fills an agent's tables by registering over and over, a node that has
`MOST_AT_ONCE` names at an agent that have not ended keeps the last of them.

Limits: in memory only; `MOST_AGENTS` agents for each node and ``limit`` nodes, of which
those that registered least recently are forgotten.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from seckex.machine import Now
from seckex.roles.home_agent.nodes import KnownNode
from seckex.roles.home_agent.terms import HomeTerms

MOST_AT_ONCE: Final = 4
MOST_AGENTS: Final = 16
NO_PSEUDONYM: Final = bytes(16)

_SIZE: Final = 16


class Pseudonyms:
    """See the module."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        # By node and by agent: names, and when the registrations end that have them (monotonic).
        self._given: OrderedDict[str, OrderedDict[str, dict[bytes, float]]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._given)

    def of_visit(self, node: KnownNode, agent: str, terms: HomeTerms, now: Now) -> bytes:
        """Return what the agent calls the node already and may be told again, `NO_PSEUDONYM` for nothing."""
        if not terms.same_pseudonym:
            return NO_PSEUDONYM
        there = (each.pseudonym for each in node.bindings if each.agent == agent and each.until > now.wall)
        return next(there, NO_PSEUDONYM)

    def give(self, node: KnownNode, agent: str, lifetime: int, terms: HomeTerms, now: Now) -> bytes:
        """Return what the agent is to call the node in a registration of ``lifetime`` seconds."""
        known = self.of_visit(node, agent, terms, now)
        if known != NO_PSEUDONYM:
            return known
        self._expire(now)
        names = self._names(node.nai, agent)
        for name in [name for name, until in names.items() if until <= now.monotonic]:
            del names[name]
        name = next(reversed(names)) if len(names) >= MOST_AT_ONCE else terms.entropy(_SIZE)
        names[name] = now.monotonic + lifetime
        return name

    def forget(self, node: str) -> None:
        """Forget what agents call a node."""
        self._given.pop(node, None)

    def _names(self, nai: str, agent: str) -> dict[bytes, float]:
        agents = self._given.setdefault(nai, OrderedDict())
        self._given.move_to_end(nai)
        while len(self._given) > self.limit:
            self._given.popitem(last=False)
        names = agents.setdefault(agent, {})
        agents.move_to_end(agent)
        if len(agents) > MOST_AGENTS:
            agents.popitem(last=False)
        return names

    def _expire(self, now: Now) -> None:
        """Forget nodes that have nothing any more, from the one that registered least recently on."""
        while self._given:
            nai, agents = next(iter(self._given.items()))
            if any(until > now.monotonic for names in agents.values() for until in names.values()):
                return
            del self._given[nai]
