"""The home agent of a responder, at the edge: what it goes by, and what is asked of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from ipaddress import ip_address, ip_network

from attrs import evolve

from seckex.config.credentials import Credentials
from seckex.config.home_agent import KEYINGS, KINDS
from seckex.config.home_agent import HomeAgent as HomeAgentSettings
from seckex.config.responder import ResponderSettings
from seckex.errors import ApiMisuse
from seckex.machine import Now
from seckex.net.accounting import retention_of
from seckex.net.house import HouseAtEdge
from seckex.roles.faces import Role
from seckex.roles.home_agent import HomeAgent, HomeTerms, Limits

ROLE = "home-agent"


def terms_of(
    settings: ResponderSettings, agent: HomeAgentSettings, credentials: Credentials | None, taken: Callable[[int], bool]
) -> HomeTerms:
    """Return what a home agent goes by."""
    if credentials is None:
        raise ApiMisuse("a home agent without a certificate")
    return HomeTerms(
        identity=credentials.identity,
        trust=credentials.trust,
        policy=settings.policy.as_policy(),
        entropy=os.urandom,
        address=ip_address(agent.address_at(settings.listen.addresses)),
        port=settings.listen.port,
        sub_type=KINDS[agent.kind],
        keying=KEYINGS[agent.keying],
        centers=agent.kdcs,
        shortest=agent.shortest_registration,
        longest=agent.longest_registration,
        bindings=agent.bindings,
        domains=frozenset(agent.domains),
        agents=frozenset(agent.agents),
        mix=agent.mix_secrets == "always",
        same_pseudonym=agent.pseudonyms == "visit",
        network=ip_network(agent.home_network) if agent.home_network else None,
        clock_window=settings.limits.clock_window,
        rotation=agent.rotation,
        worker=settings.state.worker,
        taken=taken,
        limits=Limits(agent.nodes, agent.replies, agent.requests),
        retention=retention_of(settings.accounting),
    )


def home_agent_of(terms: HomeTerms, now: Now) -> dict[str, Role]:
    """Return the home agent, as a daemon's `Daemon.roles` has it."""
    return {ROLE: HomeAgent(terms, now)}


def possible_home_agent(
    before: HomeAgentSettings | None, after: HomeAgentSettings | None
) -> tuple[HomeAgentSettings | None, tuple[str, ...]]:
    """Return what a daemon that runs can go on by, and the settings that only a restart changes."""
    if before is None or after is None:
        return before, () if before is after else ("home-agent",)
    if before.kind != after.kind:
        return evolve(after, kind=before.kind), ("home-agent.kind",)
    return after, ()


def settle_home_agent(house: HouseAtEdge, roles: Mapping[str, Role], terms: HomeTerms) -> None:
    """Have the home agent among ``roles`` go on by ``terms``."""
    agent = roles.get(ROLE)
    if isinstance(agent, HomeAgent):
        house.ask(agent, lambda now: agent.reconfigure(terms, now))
