"""Being registered: when to register, by way of whom, and what to do with what came of it.

It is kept up as long as it is wanted: again before the lifetime is over; again
when the agent is lost, has restarted or is no longer the one to choose. After a
failure another agent is tried, or the same one again after a growing pause. What
an agent or an advertisement says nobody has authenticated: it can make the node
try again, now and then, and never changes what it offers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from attrs import evolve

from seckex.errors import Unfeasible
from seckex.events import NegotiationFailed
from seckex.events.mobile_node import (
    AgentHeard,
    AgentLost,
    AgentRestarted,
    Deregistered,
    NotProvisioned,
    RegistrationEnded,
)
from seckex.machine import Now, Report, Tick
from seckex.node.adopted import LET_GO_AFTER
from seckex.roles.faces import Adopt, ClosePort, Release, RoleAction
from seckex.roles.mobile_node import registering, showing
from seckex.roles.mobile_node.agents import Agent, AgentKey, Agents, News
from seckex.roles.mobile_node.attempt import Attempt, Cause, Done, Ended, Failed, Moved
from seckex.roles.mobile_node.course import Course
from seckex.roles.mobile_node.moving import HURRIED_GIVE_UP, HURRIED_WAIT, Moves
from seckex.roles.mobile_node.plan import Plan
from seckex.roles.mobile_node.provisioning import take_over
from seckex.roles.mobile_node.records import REGISTRATION, Home, Registration, restored
from seckex.roles.mobile_node.registering import ExpectIndex, ExpectReply, ExpectStored
from seckex.roles.mobile_node.request import Entropy
from seckex.roles.mobile_node.schedule import Schedule
from seckex.roles.mobile_node.soliciting import ANSWER_WITHIN, Soliciting
from seckex.sa.association import WORKER_BITS
from seckex.sa.store import DeleteAssociation, DeleteRecord, Snapshot, Unit
from seckex.wire.advertisement import Advertisement
from seckex.wire.numbers import LOWEST_SPI, Code

#: How long a challenge is waited for that is newer than the one that is known.
REFRESH_WITHIN: Final = 2.0
#: After so many rounds of questions that nobody has answered the operator is told.
TOLD_AFTER: Final = 3

# An agent that says one of these can be asked again at once, with a newer challenge.
_STALE: Final = (Code.UNKNOWN_CHALLENGE, Code.STALE_CHALLENGE)
_AT_ONCE: Final = (Code.AGENT_UNSPECIFIED, *_STALE)


class Keeping:
    """See the module.

    ``entropy`` returns that many random octets; ``taken`` tells which SPIs name something here already.
    """

    def __init__(self, plan: Plan, entropy: Entropy, taken: Callable[[int], bool]) -> None:
        self.plan = plan
        self.agents = Agents(plan)
        self.home: Home | None = None
        self.registration: Registration | None = None
        self.wanted = True
        self.last_failure: Failed | None = None
        self.counters = {"begun": 0, "registered": 0, "failed": 0}
        self.course = Course(self._delivered)
        self.schedule = Schedule(entropy)
        self.soliciting = Soliciting(entropy, self._new_via)
        self.moves = Moves(self)
        self._entropy = entropy
        self._taken = taken
        self._vias = 0
        self._refreshing: AgentKey | None = None
        #: Whether another KEY 0 is just being stored: meanwhile nothing is begun that would store that of before.
        self.provisioning = False
        #: Until when the agent of before a restart may be heard again (monotonic).
        self._grace: float | None = None
        #: Associations with the home agent that the store has, and when they end (wall-clock).
        self._held: dict[int, float] = {}
        #: Those whose links may not have moved yet, and until when that may be (monotonic).
        self._going: dict[int, float] = {}

    def start(self, snapshot: Snapshot, now: Now, actions: list[RoleAction]) -> None:
        """Take over what the store holds, and begin."""
        found = restored(snapshot, self.plan.local, self.plan.home_agent)
        self.home, self.registration, self._held = found.home, found.registration, found.held
        self.moves.stood(self.registration)
        actions += (Report(RegistrationEnded(self.plan.home_agent, why)) for why in found.damaged)
        if self.home is None:
            actions.append(Report(NotProvisioned(self.plan.home_agent)))
            return
        self.soliciting.search(now)
        if self.registration is None:
            self.schedule.soon(now)
        else:
            self.agents.in_use = (self.registration.agent, self.registration.path.host, self.registration.path.port)
            self.schedule.registered(self.registration, now)
            self._grace = now.monotonic + ANSWER_WITHIN
            if self.home.chain.index != self.home.answered:
                # A request was out, and the home agent may have taken it in place of what is known here.
                self.schedule.soon(now)
        self.consider(now, actions)

    def tick(self, now: Now, actions: list[RoleAction]) -> None:
        """Do what is due."""
        actions += self.soliciting.tick(now)
        for agent in self.agents.expired(now):
            actions.append(Report(AgentLost(agent.nai, str(agent.path), self.uses(agent))))
            if self.uses(agent):
                self.schedule.hinted(now)
        if self._grace is not None and self._grace <= now.monotonic:
            self._grace = None
            if self.agents.used is None:
                self.schedule.hinted(now)
        if self.registration is not None and now.wall >= self.registration.expires:
            actions.append(Report(RegistrationEnded(self.plan.home_agent, "its lifetime is over")))
            if not isinstance(self.course.state, ExpectStored):
                # One that is just being stored takes its place there.
                self._erase(actions)
            self._forget(now)
        if self.course.deadline is not None and self.course.deadline <= now.monotonic:
            self.course.drive(Tick(), now, actions)
        self._look(now, actions)
        self.consider(now, actions)

    def next_deadline(self, now: Now) -> float | None:
        """Return when `tick` has something to do (monotonic)."""
        deadlines = [self.agents.lost_at(), self.soliciting.over_at(), self._grace]
        if self.course.state is not None:
            deadlines.append(self.course.deadline)
        elif self.home is not None and (not self.soliciting.searching or self.agents.best(self.plan.kem, now)):
            deadlines.append(self.schedule.due)
        deadlines.append(self.soliciting.due(self.agents.used))
        if self.registration is not None:
            deadlines.append(now.monotonic + max(self.registration.expires - now.wall, 0))
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def advertised(
        self, said: Advertisement, host: str, now: Now, actions: list[RoleAction], *, answer: bool = True
    ) -> None:
        """Take an advertisement that came from ``host``, maybe as an ``answer`` of who was asked there."""
        agent, news = self.agents.heard(said, host, now, answer=answer)
        if news is News.NEW:
            actions.append(Report(AgentHeard(agent.nai, agent.domain, str(agent.path))))
        elif news is News.RESTARTED:
            actions.append(Report(AgentRestarted(agent.nai, str(agent.path), self.uses(agent))))
            if self.uses(agent):
                self.schedule.hinted(now)
        if news is not News.NOTHING and self._refreshing == agent.key:
            # Its challenge is what was waited for.
            self._refreshing = None
            self.schedule.at(now.monotonic)
        elif news is not News.NOTHING and self.agents.used is not None and self.agents.used.doubted:
            self.moves.instead(agent, now, actions)

    # -- what to do next

    def uses(self, agent: Agent) -> bool:
        """Tell whether this is the agent that a registration is by."""
        return agent.key == self.agents.in_use

    def _look(self, now: Now, actions: list[RoleAction]) -> None:
        """Ask whether agents are there, if that is due."""
        due = self.soliciting.due(self.agents.used)
        if due is None or due > now.monotonic:
            return
        targets = dict.fromkeys((*self.plan.solicit, *self.plan.groups))
        if self.registration is not None:
            targets[self.registration.path.host, self.registration.path.port] = None
        actions += self.soliciting.ask(targets, now)
        self.soliciting.looked(now)
        waiting = self.schedule.due is not None and self.schedule.due <= now.monotonic
        if waiting and self.soliciting.tries == TOLD_AFTER and self.soliciting.searching:
            passed = self.agents.objections(self.plan.kem)
            why = "no foreign agent is heard that would do" if passed else "no foreign agent is heard"
            actions.append(Report(NegotiationFailed(self.plan.home_agent, why, passed)))

    def consider(self, now: Now, actions: list[RoleAction]) -> None:
        """Begin a registration if one is due, and there is somebody to register by."""
        if self.home is None or self.course.state is not None or self.provisioning:
            return
        if not self.wanted and self.registration is None:
            self.schedule.never()
            self.soliciting.rest()
            return
        due = self.schedule.due is not None and self.schedule.due <= now.monotonic
        agent = self.agents.best(self.plan.kem, now, renewing=due)
        if agent is None:
            self.soliciting.search(now)
            self._look(now, actions)
            return
        used = self.agents.used
        if self.soliciting.searching and not agent.doubted:
            self.soliciting.found(now)
        if used is not None and agent.key != used.key and self.wanted:
            # Another one is preferred, or this one will not do any more.
            self.schedule.hinted(now)
        if self.schedule.due is None or self.schedule.due > now.monotonic:
            return
        if agent.stale_at <= now.monotonic and self._refreshing != agent.key:
            self._refreshing = agent.key
            if agent.doubted:
                self.soliciting.search(now, anew=True)
                self._look(now, actions)
            else:
                actions += self.soliciting.ask([(agent.path.host, agent.path.port)], now)
            self.schedule.due = now.monotonic + REFRESH_WITHIN
            return
        self._begin(agent, now, actions)

    def _begin(self, agent: Agent, now: Now, actions: list[RoleAction]) -> None:
        if self.home is None:
            return
        self.schedule.never()
        self._refreshing = None
        attempt = Attempt(
            plan=self.plan,
            agent=agent,
            lifetime=agent.granting(self.plan.lifetime) if self.wanted else 0,
            via=self._new_via(),
            held=tuple(self._held),
            entropy=self._entropy,
            new_spi=self._new_spi,
        )
        if self.moves.gone(now):
            give_up = HURRIED_GIVE_UP if len(self.agents.others(self.plan.kem, now)) else attempt.give_up
            attempt = evolve(attempt, first_wait=HURRIED_WAIT, give_up=give_up)
        self.moves.begins(agent, now)
        self.counters["begun"] += 1
        self.course.begin(registering.begin(attempt, self.home), now, actions)

    def _new_via(self) -> int:
        self._vias -= 1
        return self._vias

    def _new_spi(self) -> int:
        while True:
            drawn = int.from_bytes(self._entropy(4), "big")
            spi = drawn >> WORKER_BITS << WORKER_BITS | self.plan.worker
            if spi >= LOWEST_SPI and spi not in self._held and not self._taken(spi):
                return spi

    # -- what registrations come to

    def _delivered(self, result: object, now: Now, actions: list[RoleAction]) -> None:
        match result:
            case Moved(home):
                self.home = home
            case Done():
                self._registered(result, now, actions)
            case Ended(attempt, home):
                self.home = home
                actions.append(ClosePort(attempt.via))
                self._ended(now, actions, told=True)
            case Failed():
                self._not_registered(result, now, actions)

    def _registered(self, done: Done, now: Now, actions: list[RoleAction]) -> None:
        association = done.association
        self.counters["registered"] += 1
        self.home, self.registration, self.last_failure = done.home, done.registration, None
        replaced, self._held = tuple(self._held), {association.spi_in: association.expires}
        self._going = {spi: until for spi, until in self._going.items() if until > now.monotonic}
        self._going |= dict.fromkeys(replaced, now.monotonic + LET_GO_AFTER)
        self._grace = None
        self.agents.worked(done.attempt.agent.key)
        told = [Report(showing.told(done)), *self.moves.registered(done, now)]
        actions += [ClosePort(done.attempt.via), Adopt(association, replaced), *told]
        if self.wanted:
            self.schedule.registered(done.registration, now)
        else:
            self.schedule.soon(now)

    def _ended(self, now: Now, actions: list[RoleAction], *, told: bool) -> None:
        """Have no registration any more, as was wanted; what the store had of it is gone or is about to go."""
        going = [spi for spi, until in self._going.items() if until > now.monotonic]
        actions += (Release(spi, "deregistered") for spi in (*going, *self._held))
        self._held = self._going = {}
        actions.append(Report(Deregistered(self.plan.home_agent, told)))
        self._forget(now)
        self.moves.stood(None)

    def _forget(self, now: Now) -> None:
        self.registration = self.agents.in_use = self._grace = None
        if self.wanted:
            self.schedule.soon(now)

    def _not_registered(self, failed: Failed, now: Now, actions: list[RoleAction]) -> None:
        attempt = failed.attempt
        self.counters["failed"] += 1
        self.home, self.last_failure = failed.home, failed
        actions.append(ClosePort(attempt.via))
        if not attempt.lifetime and not self.wanted:
            self._erase(actions)
            self._ended(now, actions, told=False)
            return
        fresh = self.schedule.first
        self.schedule.failed(now)
        if failed.cause is Cause.AGENT and failed.code in _AT_ONCE and fresh:
            self.schedule.at(now.monotonic)
            if failed.code in _STALE:
                self.agents.refuse(attempt.agent.key)
            return
        if failed.cause in (Cause.AGENT, Cause.SILENCE):
            self.agents.failed(attempt.agent.key, now)
            other = self.agents.best(self.plan.kem, now)
            if other is not None and not self.agents.avoided(other, now):
                self.schedule.at(now.monotonic)

    def _erase(self, actions: list[RoleAction]) -> None:
        """Have nothing of the registration in the store any more."""
        record = DeleteRecord(REGISTRATION, self.plan.home_agent.encode())
        gone: Unit = (*map(DeleteAssociation, self._held), record)
        self.course.commit(gone, lambda _outcome, _now, _actions: None, actions)

    # -- what an operator asks for, and links

    def up(self, now: Now) -> list[RoleAction]:
        """Be registered from now on; raises `Unfeasible`."""
        self._insist()
        actions: list[RoleAction] = []
        self.wanted = True
        if self.registration is None:
            self.schedule.soon(now)
        self.consider(now, actions)
        return actions

    def again(self, now: Now) -> list[RoleAction]:
        """Register again now; raises `Unfeasible`."""
        self._insist()
        if self.course.state is not None:
            raise Unfeasible(f"a registration with {self.plan.home_agent} is under way already")
        actions: list[RoleAction] = []
        self.wanted = True
        self.schedule.soon(now)
        self.consider(now, actions)
        return actions

    def down(self, now: Now) -> list[RoleAction]:
        """Deregister, and stay so until asked for otherwise; raises `Unfeasible`."""
        self._insist()
        actions: list[RoleAction] = []
        self.wanted = False
        state = self.course.state
        if isinstance(state, ExpectReply | ExpectIndex) and state.attempt.lifetime:
            self.let_go(actions)
        self.schedule.soon(now)
        self.consider(now, actions)
        return actions

    def _insist(self) -> None:
        if self.home is None:
            raise Unfeasible(f"nothing is shared with {self.plan.home_agent} yet: run seckex provision")

    def let_go(self, actions: list[RoleAction]) -> None:
        """Let a registration go that is under way; its index is used up."""
        state = self.course.state
        if isinstance(state, ExpectIndex):
            # The store may have it as used already.
            self.home = state.spent
        if isinstance(state, ExpectIndex | ExpectReply):
            actions.append(ClosePort(state.attempt.via))
        self.course.let_go()

    def doubted(self, spi_in: int, now: Now, *, proved: bool) -> list[RoleAction]:
        """Register again where the home agent is said not to know an association; ``proved`` if it said so itself."""
        actions: list[RoleAction] = []
        if self.wanted and self.registration is not None and self.registration.spi_in == spi_in:
            if proved:
                self.schedule.soon(now)
            else:
                self.schedule.hinted(now)
            self.consider(now, actions)
        return actions

    def provision(self, home: Home, done: Callable[[str], None]) -> list[RoleAction]:
        """See `seckex.roles.mobile_node.provisioning.take_over`."""
        return take_over(self, home, done)

    def reconfigure(self, plan: Plan, now: Now) -> list[RoleAction]:
        """Go on by another plan for the same home agent."""
        actions: list[RoleAction] = []
        if plan != self.plan:
            self.plan = self.agents.plan = plan
            if isinstance(self.course.state, ExpectReply):
                # What is offered by the old plan may be agreed to.
                self.let_go(actions)
            self.soliciting.search(now)
            self.schedule.soon(now)
            self._look(now, actions)
            self.consider(now, actions)
        return actions
