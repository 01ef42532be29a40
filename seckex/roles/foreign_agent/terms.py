"""What a foreign agent is given: who it is, what it tells of itself, and whom it relays for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from attrs import Factory, field, frozen

from seckex.crypto.identity import Identity, Trust
from seckex.exchange.terms import Entropy
from seckex.node.limits import Flood
from seckex.roles.accounts import Retention
from seckex.roles.foreign_agent.choices import Choices
from seckex.sa import registration
from seckex.sa.association import WORKER_BITS
from seckex.sa.policy import Policy
from seckex.wire.frames import Address
from seckex.wire.numbers import LIFETIMES, LOWEST_SPI, Kem, SaSubType

#: On a visited link each address is a neighbour's own.
NEIGHBOURS: Final = Flood(ipv4_prefix=32, ipv6_prefix=128)


@frozen
class Limits:
    """The most entries of each table.

    ``under_way`` are requests that await their reply: at the bound further ones are refused (code 66).
    ``answers`` are kept for repetitions of their requests, as octets: the oldest gives way, and a repetition of its
    request is relayed anew. ``visitors`` are registrations that last: from seven eighths on the agent advertises
    that it is busy, and at the bound it refuses all requests but those that end a registration. ``passages`` are those
    of all visitors, 0 where the agent carries no traffic, and ``passages_per_visitor`` those of one.
    """

    under_way: int = 1024
    answers: int = 16384
    visitors: int = 16384
    passages: int = 4096
    passages_per_visitor: int = 4
    flood: Flood = NEIGHBOURS


@frozen
class AgentTerms:
    """What a foreign agent goes by.

    ``address`` is its own towards home agents, ``care_of`` what nodes may register; ``port`` where it takes requests.
    ``servers`` are the AAA servers that requests go to, one after the other, none where they go to the home agents
    themselves. ``realms`` and ``home_agents`` are whose nodes are served, all where empty. ``longest`` is the longest
    registration, ``interval`` the time between advertisements, which go to ``groups``; both in seconds. ``mix`` tells
    that KEY 2 always has the agent's own secret in it, so that who draws keys cannot read what it seals; else home
    agents say whether. ``taken`` tells which SPIs name something here already. ``retention`` is how long accounts of
    passages are kept.
    """

    identity: Identity
    trust: Trust
    policy: Policy
    entropy: Entropy = field(repr=False)
    address: Address
    care_of: tuple[Address, ...]
    domain: str
    port: int = 4434
    servers: tuple[str, ...] = ()
    realms: frozenset[str] = frozenset()
    home_agents: frozenset[str] = frozenset()
    longest: int = LIFETIMES[-1]
    interval: float = 10.0
    groups: tuple[str, ...] = ()
    worker: int = 0
    mix: bool = True
    taken: Callable[[int], bool] = field(default=lambda _spi: False, repr=False, eq=False)
    limits: Limits = Limits()
    retention: Retention = Factory(Retention)
    kems: tuple[Kem, ...] = field(init=False)
    offers: dict[Kem, dict[SaSubType, bytes]] = field(init=False, repr=False)
    choices: Choices = field(init=False, repr=False, eq=False)

    @kems.default
    def _of_policy(self) -> tuple[Kem, ...]:
        return registration.kems(self.policy)

    @offers.default
    def _once_for_all(self) -> dict[Kem, dict[SaSubType, bytes]]:
        subs = (SaSubType.HA_FA, SaSubType.MN_FA)
        return {kem: {sub: registration.encode_offer(self.policy, kem, sub) for sub in subs} for kem in self.kems}

    @choices.default
    def _by_policy(self) -> Choices:
        return Choices(self.policy)

    @property
    def nai(self) -> str:
        """Our own name."""
        return self.identity.nai

    def serves(self, home_agent: str) -> bool:
        """Tell whether requests to this home agent are relayed."""
        if self.home_agents and home_agent not in self.home_agents:
            return False
        return not self.realms or realm_of(home_agent) in self.realms

    def next_hops(self, home_agent: str) -> tuple[str, ...]:
        """Return whom to say a request to, one after the other."""
        if home_agent == self.nai:
            # It is in this process: a node of ours is at home.
            return (home_agent,)
        return self.servers or (home_agent,)

    def new_spi(self, taken: Callable[[int], bool]) -> int:
        """Return a random SPI of this worker, above those of bundles, that names nothing here."""
        while True:
            drawn = int.from_bytes(self.entropy(4), "big")
            spi = drawn >> WORKER_BITS << WORKER_BITS | self.worker
            if spi >= LOWEST_SPI and not self.taken(spi) and not taken(spi):
                return spi


def realm_of(nai: str) -> str:
    """Return what stands behind the ``@`` of a NAI."""
    return nai.partition("@")[2]
