"""Moves: by way of another agent, or of the same one from another address (docs/passages.md, section 6).

A move is a registration in place of one that stands or stood; what was before goes
on until the new one is there, if it can. This tells which registrations are moves,
why, and how long they took, and begins those that are not the business of the
lifetime: an operator asks for one, our own address has changed, the agent does not carry
what we say any more.

An address that has changed is our own knowledge, so it is acted upon at once: all agents are asked whether
they are there, the first to answer is registered by, and for `STAY_WITHIN` it may be the one in use.
What others make us believe, of agents and passages, has us register now and then only (`schedule`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from seckex.errors import Unfeasible
from seckex.events.mobile_node import Moved, MoveRegistered
from seckex.machine import Now, Report
from seckex.passage.faces import ANEW
from seckex.roles.faces import RoleAction
from seckex.roles.mobile_node.agents import Agent, AgentKey
from seckex.roles.mobile_node.attempt import Done
from seckex.roles.mobile_node.records import Registration
from seckex.roles.mobile_node.registering import ExpectIndex, ExpectReply

if TYPE_CHECKING:
    from seckex.roles.mobile_node.keeping import Keeping

#: Seconds in which the agent in use may answer as well, before another one that has answered takes its place.
STAY_WITHIN: Final = 0.25
#: Where the old place is gone requests are repeated sooner, and where there are others to ask given up sooner.
HURRIED_WAIT: Final = 0.25
HURRIED_GIVE_UP: Final = 4.0

ASKED_FOR: Final = "asked for"


class Moves:
    """See the module; ``node`` is whose moves they are."""

    def __init__(self, node: Keeping) -> None:
        self._node = node
        self._why = ""
        self._left: AgentKey | None = None
        self._elsewhere = False
        self._began = 0.0
        self._refused: int | None = None
        self.count = 0
        #: The last move whose dialogs have followed, and when that was (wall clock): told by who sees to them.
        self.followed: tuple[Moved, float] | None = None

    @property
    def left(self) -> str:
        """The agent by way of which the node was registered last, empty before any and after it left for good."""
        return "" if self._left is None else self._left[0]

    # -- what registrations are

    def stood(self, registration: Registration | None) -> None:
        """Take note of what there is without a move: from before a restart, or nothing more."""
        path = None if registration is None else registration.path
        self._left = None if registration is None or path is None else (registration.agent, path.host, path.port)
        self._why, self._elsewhere = "", False

    def begins(self, agent: Agent, now: Now) -> None:
        """Take note that a registration begins."""
        self._began = now.monotonic
        if self._left is not None and agent.key != self._left and not self._why:
            self._why = self._reason(agent, now)

    def _reason(self, agent: Agent, now: Now) -> str:
        agents = self._node.agents
        used = agents.used
        if used is None:
            return f"{self.left} is not heard any more"
        if agents.avoided(used, now):
            return f"{self.left} has failed"
        if agents.objection(used, self._node.plan.kem):
            return f"{self.left} will not do any more"
        return f"{agent.nai} is not busy" if used.busy else f"{agent.nai} is preferred"

    def registered(self, done: Done, now: Now) -> list[RoleAction]:
        """Return what is to be told of a registration, nothing where it is no move."""
        before, key = self._left, done.attempt.agent.key
        elsewhere, why = self._elsewhere, self._why
        left = self.left
        self.stood(done.registration)
        if before is None or (before == key and not elsewhere):
            return []
        self.count += 1
        took = now.monotonic - self._began
        event = MoveRegistered(done.registration.home_agent, left, key[0], why, took, done.registration.spi_in)
        return [Report(event)]

    def gone(self, now: Now) -> bool:
        """Tell whether the place where the node is registered is gone, as far as can be told."""
        node, used = self._node, self._node.agents.used
        if node.registration is None:
            return False
        return self._elsewhere or used is None or used.doubted or node.agents.avoided(used, now)

    def instead(self, agent: Agent, now: Now, actions: list[RoleAction]) -> None:
        """Register by an agent that is heard, where that in use is not heard again in time."""
        node, state = self._node, self._node.course.state
        if isinstance(state, ExpectReply) and node.agents.doubts(state.attempt.agent.key) and not state.refusal:
            if node.agents.objection(agent, node.plan.kem) or not state.attempt.lifetime:
                return
            node.let_go(actions)
        node.schedule.at(max(now.monotonic, node.agents.stay_until))

    # -- what makes the node move

    def move(self, nai: str, now: Now) -> list[RoleAction]:
        """Register by way of the agent ``nai`` and stay with it; empty is the best of the others.

        Raises `Unfeasible`.
        """
        node = self._node
        if node.registration is None or not node.wanted:
            raise Unfeasible(f"not registered with {node.plan.home_agent}: run seckex up")
        if node.course.state is not None:
            raise Unfeasible(f"a registration with {node.plan.home_agent} is under way already")
        agent = self._wanted(nai, now)
        node.agents.choose(agent.key)
        self._why = ASKED_FOR
        node.schedule.soon(now)
        actions: list[RoleAction] = []
        node.consider(now, actions)
        return actions

    def _wanted(self, nai: str, now: Now) -> Agent:
        agents, kem = self._node.agents, self._node.plan.kem
        others = agents.others(kem, now)
        if not nai:
            if not others:
                raise Unfeasible("no other foreign agent is heard that would do")
            return others[0]
        heard = [agent for agent in agents if agent.nai == nai]
        if not heard:
            names = ", ".join(sorted({agent.nai for agent in agents})) or "none"
            raise Unfeasible(f"no foreign agent {nai} is heard; heard is {names}")
        fitting = [agent for agent in others if agent.nai == nai]
        if fitting:
            return fitting[0]
        if any(agent.key == agents.in_use for agent in heard):
            raise Unfeasible(f"{nai} is the agent in use; seckex rekey registers again by way of it")
        raise Unfeasible(f"{nai} will not do: {agents.objection(heard[0], kem)}")

    def elsewhere(self, why: str, now: Now) -> list[RoleAction]:
        """Register from where we are now: our own address towards the agent has changed, or is gone."""
        node = self._node
        actions: list[RoleAction] = []
        if node.home is None or not node.wanted:
            return actions
        node.agents.doubt_all(now.monotonic + STAY_WITHIN)
        if node.registration is not None:
            self._why, self._elsewhere = why, True
        if isinstance(node.course.state, ExpectIndex | ExpectReply):
            node.let_go(actions)
        node.soliciting.search(now, anew=True)
        node.schedule.soon(now)
        node.consider(now, actions)
        return actions

    @property
    def in_vain(self) -> bool:
        """Whether what the node is registered as is refused: it has ended at home or at the agent, or seems so."""
        registration = self._node.registration
        return registration is not None and registration.spi_in == self._refused

    def refused(self, spi_in: int) -> None:
        """Take note that an association is refused, until it is `served` or has been replaced."""
        self._refused = spi_in

    def served(self, spi_in: int) -> None:
        """Take note that a link stands under an association: who refused it does so no more, or was somebody else."""
        if self._refused == spi_in:
            self._refused = None

    def turned_away(self, spi_in: int, code: int, now: Now) -> list[RoleAction]:
        """Take note that the agent refuses to carry what an association is for, or with code 0 that it is not reached.

        Where it does not know us any more, or carries nothing: register again. Else it is left for another agent, if
        one is heard; if none is, links are tried again, and who is not reached may have lost the registration.
        """
        node = self._node
        actions: list[RoleAction] = []
        if not node.wanted or node.registration is None or node.registration.spi_in != spi_in:
            return actions
        used = node.agents.used
        others = any(not each.doubted for each in node.agents.others(node.plan.kem, now))
        if code in ANEW:
            self.refused(spi_in)
            node.schedule.refused(now)
        elif used is not None and others:
            self._why = self._why or f"{used.nai} {'does not carry' if code else 'is not reached'}"
            node.agents.doubt(used.key)
            if code:
                node.agents.failed(used.key, now)
            node.schedule.refused(now)
        elif not code:
            node.schedule.hinted(now)
        node.consider(now, actions)
        return actions
