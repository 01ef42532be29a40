"""The foreign agents that are heard, and which of them to register by.

Advertisements are hints: nobody proves them, and what is claimed in them is
proved by registering (docs/registration.md, section 10). So the table is bounded,
an agent is one name at one address, and who does not keep what it claims is avoided
for a while.

The choice is the same whenever the same agents are heard: the order of the
configuration, then the name, then the address. An agent in use stays in use as
long as it is heard and works; for one that is preferred to it, it is given up
only when that has been heard for `STEADY_FOR`, so that two at the edge of hearing
are not changed for each other all the time.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from ipaddress import ip_address
from typing import Final, TypeAlias

from attrs import define, field, frozen

from seckex.machine import Now, Path
from seckex.roles.mobile_node.plan import Address, Plan
from seckex.wire.advertisement import Advertisement, AdvertisementFlag
from seckex.wire.numbers import LIFETIMES, Kem

#: At the bound the one that was heard least recently gives way, but for the one in use.
MOST_AGENTS: Final = 64
STEADY_FOR: Final = 20.0
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
    how long the advertisement serves, ``longest`` how long a registration may. ``challenge`` goes into the next one.
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
        """When to ask after it, should it not be heard by itself; its challenge is not taken for much longer either."""
        return self.heard + self.lifetime / 3

    @property
    def busy(self) -> bool:
        """Whether it takes no further nodes."""
        return bool(self.flags & AdvertisementFlag.BUSY)

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
        self._agents: dict[AgentKey, Agent] = {}
        self._bad: dict[AgentKey, _Bad] = {}

    def __len__(self) -> int:
        return len(self._agents)

    def __iter__(self) -> Iterator[Agent]:
        return iter(self._agents.values())

    def get(self, key: AgentKey) -> Agent | None:
        """Return the agent of this name and address."""
        return self._agents.get(key)

    def heard(self, said: Advertisement, host: str, now: Now) -> tuple[Agent, News]:
        """Take an advertisement that came from ``host``; return the agent as it is known now, and what is new of it."""
        key = said.nai, host, said.port
        before = self._agents.get(key)
        first, news = now.monotonic, News.NEW
        if before is not None:
            first, news = before.first, _news(before.sequence, said.sequence)
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

    def failed(self, key: AgentKey, now: Now) -> None:
        """Avoid an agent for a while, longer each time."""
        if key in self._agents:
            pause = self._bad[key].pause * 2 if key in self._bad else AVOID_FIRST
            self._bad[key] = _Bad(now.monotonic + pause, min(pause, AVOID_LONGEST))

    def worked(self, key: AgentKey) -> None:
        """Take note that a registration by way of an agent came to its end."""
        self._bad.pop(key, None)

    def objection(self, agent: Agent, kem: Kem, now: Now) -> str:
        """Return why an agent will not do now, nothing if it will."""
        if self.plan.preference(agent.nai) is None:
            return "registration.agents does not have it"
        if kem is Kem.X25519_ML_KEM_768:
            missing = AdvertisementFlag.HYBRID | AdvertisementFlag.TCP
            if agent.flags & missing != missing:
                return "it does not pass hybrid registrations on"
        if not agent.granting(max(LIFETIMES)):
            return "it passes no registration on that would last"
        if agent.busy and agent.key != self.in_use:
            return "it is busy"
        bad = self._bad.get(agent.key)
        if bad is not None and now.monotonic < bad.until:
            return "it has just failed"
        return ""

    def best(self, kem: Kem, now: Now) -> Agent | None:
        """Return which agent to register by, the one in use if that will do and none is steadily preferred."""
        fitting = sorted(
            (agent for agent in self._agents.values() if not self.objection(agent, kem, now)), key=self._rank
        )
        used = next((agent for agent in fitting if agent.key == self.in_use), None)
        if used is None:
            return fitting[0] if fitting else None
        for agent in fitting:
            better = self._preference(agent) < self._preference(used)
            if better and now.monotonic - agent.first >= STEADY_FOR:
                return agent
        return used

    def _preference(self, agent: Agent) -> int:
        return self.plan.preference(agent.nai) or 0

    def _rank(self, agent: Agent) -> tuple[int, AgentKey]:
        return self._preference(agent), agent.key

    def objections(self, kem: Kem, now: Now) -> tuple[str, ...]:
        """Return, for each agent that will not do, a sentence that says why."""
        told = ((agent, self.objection(agent, kem, now)) for agent in self._agents.values())
        return tuple(f"{agent.nai} at {agent.path}: {why}" for agent, why in told if why)

    def changes_at(self, now: Now) -> float | None:
        """Return when an agent is lost, is avoided no more or has become steady (monotonic)."""
        steady = (agent.first + STEADY_FOR for agent in self._agents.values())
        times = [*(agent.until for agent in self._agents.values()), *(bad.until for bad in self._bad.values())]
        return min((*times, *(at for at in steady if at > now.monotonic)), default=None)


def _news(before: int, sequence: int) -> News:
    if sequence < before and sequence < _RESTART_BELOW:
        return News.RESTARTED
    # The one that is asked for may be the one that came by itself; the one before may come late.
    return News.AGAIN if (sequence - before) % (2 * _HALF) < _HALF else News.NOTHING


def _care_of(said: Advertisement, host: str) -> Address:
    """Return the care-of address to use: one of the family that the agent is heard by, if it has one."""
    version = ip_address(host).version
    return next((each for each in said.care_of if each.version == version), said.care_of[0])
