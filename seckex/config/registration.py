"""The settings of a mobile node: by way of whom, for how long and by which KEM it registers with its home agent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

from attrs import frozen

from seckex.config.common import EVERYBODY, Identity
from seckex.config.foreign_agent import GROUP, GROUPS, INTERFACE, MAX_GROUPS
from seckex.config.policy import PolicySettings
from seckex.config.problems import Problem, repeated
from seckex.config.structure import Unread
from seckex.config.values import Host, Nai, OneDuration, OneOf, Port, Several
from seckex.sa.registration import KEY_AGREEMENTS, kems
from seckex.wire.numbers import LIFETIMES, MAX_NODE_NAI, Kem

MAX_AGENTS: Final = 64
TRAFFIC: Final = ("agent", "direct")
KEMS: Final[Mapping[str, Kem]] = {algorithm.name: kem for kem, algorithm in KEY_AGREEMENTS.items()}


@frozen(kw_only=True)
class Registration:
    """How this node registers with the peer whose ``authentication`` is "registration"."""

    kem: Annotated[str, OneOf(tuple(KEMS))] = "x25519"
    """What the keys of a registration are agreed by; the policy must have it as a key agreement. With
    "x25519-ml-kem-768" requests go over TCP, and only agents serve that say that they pass such ones on."""

    lifetime: Annotated[int, OneDuration(LIFETIMES[1:])] = 1800
    """How long a registration is asked for; agent and home agent may have it shorter."""

    bindings: Annotated[str, OneOf(("one", "several"))] = "one"
    """With "several" the home agent is asked to keep what was registered by way of other agents."""

    towards: Annotated[str, OneOf(("home-agent", "mobility-manager"))] = "home-agent"
    """What the peer is: keys with a mobility manager are other keys."""

    agents: Annotated[tuple[Nai, ...], Several(0, MAX_AGENTS)] = ()
    """The foreign agents to register by, the preferred ones first; ``*@realm`` is any of a realm; without any, all."""

    solicit: Annotated[tuple[Host, ...], Several(0, MAX_AGENTS)] = ()
    """Where agents are asked for: addresses, or DNS names that are looked up whenever they are needed."""

    port: Port = 4434
    """The port there, and of the groups."""

    groups: Annotated[tuple[Annotated[str, GROUP], ...], Several(0, MAX_GROUPS)] = GROUPS
    """The multicast addresses at which agents are asked for and heard; without any, only where ``solicit`` says."""

    interface: Annotated[str, INTERFACE] = ""
    """The network interface of these; ``""`` is where the system's routes lead."""

    traffic: Annotated[str, OneOf(TRAFFIC)] = "agent"
    """How links to the home agent go: through the agent where it says that it carries traffic, or ``direct``."""


def registration_contradictions(sections: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what is wrong with ``[registration]``, and with the peer that it is about."""
    peers = [peer for peer in sections.get("peers", ()) if not isinstance(peer, Unread)]
    homes = [index for index, peer in enumerate(peers) if peer.authentication == "registration"]
    for index in homes[1:]:
        yield Problem(f"peers[{index}].authentication", 'must be another: one peer at most has "registration"')
    settings: Registration | None = sections.get("registration")
    if settings is None:
        return
    yield from repeated(settings.agents, "registration.agents[{}]".format)
    yield from repeated(settings.solicit, "registration.solicit[{}]".format)
    yield from repeated(settings.groups, "registration.groups[{}]".format)
    if not homes:
        if settings != Registration() and "peers" in sections:
            yield Problem("registration", 'is of no use: no peer has authentication = "registration"')
        return
    if peers[homes[0]].nai.startswith(EVERYBODY):
        return
    identity: Identity | None = sections.get("identity")
    if identity is not None and len(identity.nai.encode()) > MAX_NODE_NAI:
        yield Problem("identity.nai", f"must have at most {MAX_NODE_NAI} octets to be registered")
    if not settings.solicit and not settings.groups:
        yield Problem("registration.solicit", "must have somebody, or registration.groups must: no agent is heard")
    policy: PolicySettings | None = sections.get("policy")
    if policy is not None and not list(policy.contradictions()):
        possible = kems(policy.as_policy())
        if KEMS[settings.kem] not in possible:
            have = " or ".join(f'"{KEY_AGREEMENTS[kem]}"' for kem in possible) or "none that would do"
            yield Problem("registration.kem", f"must be a key-agreement of the policy, which has {have}")
