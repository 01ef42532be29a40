"""The foreign agents that are heard, and which of them to register by.

Advertisements are hints: nobody proves them, and what is claimed in them is
proved by registering (docs/registration.md, section 10). So the table is bounded,
an agent is one name at one address, and who does not keep what it claims is avoided
for a while.

The choice is the same whenever the same agents are heard: the order of the
configuration, then the name, then the address. An agent in use stays in use as
long as it is heard and works; for one that is preferred to it, it is given up
only when that has been heard for `STEADY_FOR`, so that two at the edge of hearing
are not changed for each other all the time. Each time that one is left because it was lost or failed, it has to be
heard twice as long before it is preferred again, `STEADIEST` at most, until a registration by way of it was renewed.

Before all that comes the one that an operator has chosen, as long as it is heard and works. Who is doubted,
since we are somewhere else or it did not carry what we said, comes last until it is heard again.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from ipaddress import ip_address
from typing import Final, TypeAlias

from attrs import define, evolve, field, frozen

from seckex.machine import Now, Path
from seckex.roles.mobile_node.plan import Address, Plan
from seckex.wire.advertisement import Advertisement, AdvertisementFlag
from seckex.wire.numbers import LIFETIMES, Kem

#: At the bound the one that was heard least recently gives way, but for the one in use.
MOST_AGENTS: Final = 64
STEADY_FOR: Final = 20.0
STEADIEST: Final = 320.0
#: Agents speak every third of what they say an advertisement serves, some of them a quarter later.
STALE_AFTER: Final = 0.45
AVOID_FIRST: Final = 5.0
AVOID_LONGEST: Final = 300.0

# RFC 5944, section 2.3.2: a number below these after a higher one tells of a restart.
_RESTART_BELOW: Final = 256
_HALF: Final = 1 << 15

AgentKey: TypeAlias = tuple[str, str, int]


@frozen
class Agent:
    """One agent as it was heard last.

    ``path`` is where it takes registrations; ``first`` and ``heard`` are when (monotonic); ``lifetime`` in seconds is
    how long the advertisement serves, ``longest`` how long a registration may. ``challenge`` goes into the next one;
    ``refused`` tells that the agent does not take it any more, ``doubted`` that the agent may not be there any more,
    ``answered`` that it was asked there, and has answered: where others say that they are need not be where we can ask.
    """

    nai: str
    domain: str
    path: Path
    care_of: Address
    challenge: bytes = field(repr=False)
    flags: AdvertisementFlag
    lifetime: int
    longest: int
    sequence: int
    first: float
    heard: float
    refused: bool = False
    doubted: bool = False
    answered: bool = False

    @property
    def key(self) -> AgentKey:
        """What there is one agent of."""
        return self.nai, self.path.host, self.path.port

    @property
    def until(self) -> float:
        """When it counts as lost (monotonic)."""
        return self.heard + self.lifetime

    @property
    def stale_at(self) -> float:
        """When to ask after it, should it not be heard by itself: past the time of its next advertisement.

        Its challenge is not taken for much longer either.
        """
        return self.heard if self.refused or self.doubted else self.heard + STALE_AFTER * self.lifetime

    @property
    def busy(self) -> bool:
        """Whether it takes no further nodes."""
        return bool(self.flags & AdvertisementFlag.BUSY)

    @property
    def carries(self) -> bool:
        """Whether it carries the traffic of those who are registered by it."""
        return bool(self.flags & AdvertisementFlag.TRAFFIC)

    def passes_on(self, kem: Kem) -> bool:
        """Tell whether it passes requests with this KEM on."""
        needed = AdvertisementFlag.HYBRID | AdvertisementFlag.TCP
        return kem is Kem.X25519 or self.flags & needed == needed

    def granting(self, lifetime: int) -> int:
        """Return the longest lifetime up to ``lifetime`` that it passes on; 0 where there is none."""
        return max((each for each in LIFETIMES if each <= min(lifetime, self.longest)), default=0)


class News(Enum):
    """What an advertisement tells."""

    NOTHING = "nothing"
    NEW = "new"
    AGAIN = "again"
    RESTARTED = "restarted"


@define
class _Bad:
    until: float
    pause: float


class Agents:
    """See the module; ``in_use`` is the key of the agent that a registration is by."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.in_use: AgentKey | None = None
        self._chosen: AgentKey | None = None
        #: Until when the agent in use may be the first that is heard again (monotonic).
        self.stay_until = 0.0
        self._steady: dict[AgentKey, float] = {}
        self._agents: dict[AgentKey, Agent] = {}
        self._bad: dict[AgentKey, _Bad] = {}

    def __len__(self) -> int:
        return len(self._agents)

    def __iter__(self) -> Iterator[Agent]:
        return iter(self._agents.values())

    @property
    def used(self) -> Agent | None:
        """The agent in use, None where there is none or it is not heard."""
        return None if self.in_use is None else self._agents.get(self.in_use)

    def heard(self, said: Advertisement, host: str, now: Now, *, answer: bool = True) -> tuple[Agent, News]:
        """Take an advertisement that came from ``host``, maybe as an ``answer`` of who was asked there.

        Return the agent as it is known now, and what is new of it.
        """
        key = said.nai, host, said.port
        before = self._agents.get(key)
        first, news = now.monotonic, News.NEW
        if before is not None:
            first, news = before.first, _news(before, said)
            if news is News.NOTHING:
                return before, news
        agent = Agent(
            nai=said.nai,
            domain=said.domain,
            path=Path(host, said.port),
            care_of=_care_of(said, host),
            challenge=said.challenge,
            flags=said.flags,
            lifetime=said.lifetime,
            longest=said.longest,
            sequence=said.sequence,
            first=first,
            heard=now.monotonic,
            answered=answer or (before is not None and before.answered),
        )
        if before is None and len(self._agents) >= MOST_AGENTS:
            others = (each for each in self._agents.values() if each.key != self.in_use)
            self._forget(min(others, key=lambda each: each.heard).key)
        self._agents[key] = agent
        return agent, news

    def expired(self, now: Now) -> list[Agent]:
        """Take out and return those whose lifetime has passed."""
        gone = [agent for agent in self._agents.values() if agent.until <= now.monotonic]
        for agent in gone:
            self._forget(agent.key)
        return gone

    def _forget(self, key: AgentKey) -> None:
        del self._agents[key]
        self._bad.pop(key, None)
        self._let_down(key)

    def _let_down(self, key: AgentKey) -> None:
        """Take note that an agent is not there, or does not do what it says."""
        if key == self._chosen:
            self._chosen = None
        if key == self.in_use:
            self._steady[key] = min(2 * self._steady.pop(key, STEADY_FOR), STEADIEST)
            if len(self._steady) > MOST_AGENTS:
                del self._steady[next(iter(self._steady))]

    def choose(self, key: AgentKey) -> None:
        """Prefer an agent to all others from now on, until it is lost or fails."""
        self._chosen = key

    def doubt(self, key: AgentKey) -> None:
        """Have an agent come last until it is heard again."""
        if key in self._agents:
            self._agents[key] = evolve(self._agents[key], doubted=True)

    def doubt_all(self, stay_until: float) -> None:
        """Doubt all; of those that are heard again the one in use has until ``stay_until`` to be it (monotonic)."""
        self.stay_until = stay_until
        for key in self._agents:
            self.doubt(key)

    def doubts(self, key: AgentKey) -> bool:
        """Tell whether an agent may not be there any more."""
        agent = self._agents.get(key)
        return agent is None or agent.doubted

    def failed(self, key: AgentKey, now: Now) -> None:
        """Avoid an agent for a while, longer each time."""
        self._let_down(key)
        if key in self._agents:
            pause = self._bad[key].pause * 2 if key in self._bad else AVOID_FIRST
            self._bad[key] = _Bad(now.monotonic + pause, min(pause, AVOID_LONGEST))

    def refuse(self, key: AgentKey) -> None:
        """Have an agent asked after before it is used: it does not take the challenge that is known."""
        if key in self._agents:
            self._agents[key] = evolve(self._agents[key], refused=True)

    def worked(self, key: AgentKey) -> None:
        """Take note that a registration by way of an agent came to its end; it is the one in use from now on."""
        self._bad.pop(key, None)
        if key == self.in_use:
            self._steady.pop(key, None)
        if key in self._agents:
            self._agents[key] = evolve(self._agents[key], doubted=False)
        self.in_use = key

    def objection(self, agent: Agent, kem: Kem) -> str:
        """Return why an agent will not do, nothing if it will."""
        if self.plan.preference(agent.nai) is None:
            return "registration.agents does not have it"
        if not agent.passes_on(kem):
            return "it does not pass hybrid registrations on"
        if not agent.granting(max(LIFETIMES)):
            return "it passes no registration on that would last"
        if agent.busy and agent.key != self.in_use:
            return "it is busy"
        return ""

    def avoided(self, agent: Agent, now: Now) -> bool:
        """Tell whether an agent has just failed."""
        return bool(self._avoided_until(agent, now))

    def _avoided_until(self, agent: Agent, now: Now) -> float:
        bad = self._bad.get(agent.key)
        return 0 if bad is None or bad.until <= now.monotonic else bad.until

    def best(self, kem: Kem, now: Now, *, renewing: bool = False) -> Agent | None:
        """Return which agent to register by, the one in use if that will do and none is steadily preferred.

        Of those that are avoided it is the one that will be first again, and only if there are no others. Who is
        ``renewing`` leaves one that is busy for another that is steadily heard.
        """
        all_fitting = [agent for agent in self._agents.values() if not self.objection(agent, kem)]
        fitting = sorted((agent for agent in all_fitting if not self._avoided_until(agent, now)), key=self._rank)
        if not fitting:
            return min(all_fitting, key=lambda each: (self._avoided_until(each, now), self._rank(each)), default=None)
        for agent in fitting:
            if agent.key == self._chosen and not agent.doubted:
                return agent
        used = next((agent for agent in fitting if agent.key == self.in_use), None)
        if used is None:
            return fitting[0]
        if used.doubted:
            return used if fitting[0].doubted or now.monotonic < self.stay_until else fitting[0]
        for agent in fitting:
            better = self._preference(agent) < self._preference(used)
            instead = renewing and used.busy and self._preference(agent) == self._preference(used)
            if (better or instead) and agent is not used and self._is_steady(agent, now):
                return agent
        return used

    def _is_steady(self, agent: Agent, now: Now) -> bool:
        return not agent.doubted and now.monotonic - agent.first >= self._steady.get(agent.key, STEADY_FOR)

    def others(self, kem: Kem, now: Now) -> list[Agent]:
        """Return who would do in place of the agent in use, the best first."""
        fitting = [agent for agent in self if agent.key != self.in_use and not self.objection(agent, kem)]
        return sorted(fitting, key=lambda each: (self._avoided_until(each, now), self._rank(each)))

    def _preference(self, agent: Agent) -> int:
        return self.plan.preference(agent.nai) or 0

    def _rank(self, agent: Agent) -> tuple[bool, int, bool, AgentKey]:
        return agent.doubted, self._preference(agent), not agent.answered, agent.key

    def objections(self, kem: Kem) -> tuple[str, ...]:
        """Return, for each agent that will not do, a sentence that says why."""
        told = ((agent, self.objection(agent, kem)) for agent in self._agents.values())
        return tuple(f"{agent.nai} at {agent.path}: {why}" for agent, why in told if why)

    def lost_at(self) -> float | None:
        """Return when the next one is lost, unless it is heard before (monotonic)."""
        return min((agent.until for agent in self._agents.values()), default=None)


def _news(before: Agent, said: Advertisement) -> News:
    ahead = (said.sequence - before.sequence) % (2 * _HALF)
    # One that is asked for may be the one that came by itself; it has the same challenge then.
    same = ahead == 0 and said.challenge == before.challenge
    if (said.sequence < min(before.sequence, _RESTART_BELOW) or ahead == 0) and not same:
        return News.RESTARTED
    # One that is older has come late.
    return News.AGAIN if ahead < _HALF else News.NOTHING


def _care_of(said: Advertisement, host: str) -> Address:
    """Return the care-of address to use: one of the family that the agent is heard by, if it has one."""
    version = ip_address(host).version
    return next((each for each in said.care_of if each.version == version), said.care_of[0])
