"""The settings of a foreign agent: what it tells of itself, and whose nodes it serves by which way."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from ipaddress import ip_address
from typing import Annotated, Any, Final

from attrs import frozen

from seckex.config.common import Identity
from seckex.config.listen import Listen
from seckex.config.policy import PolicySettings
from seckex.config.problems import Problem, nearest, repeated, shown
from seckex.config.values import (
    Address,
    Nai,
    OneDuration,
    OneOf,
    Seconds,
    Several,
    Whole,
    Words,
    is_address,
    is_realm,
)
from seckex.sa import registration
from seckex.wire.advertisement import (
    MAX_CARE_OF,
    SOLICITATION_SIZE,
    Advertisement,
    AdvertisementFlag,
    is_domain,
    size_of,
)
from seckex.wire.numbers import LIFETIMES

MAX_SERVERS: Final = 8
MAX_SERVED: Final = 1024
MAX_GROUPS: Final = 4
GROUPS: Final = ("239.255.67.34", "ff02::4434")
ANY_ADDRESS: Final = ("0.0.0.0", "::")  # noqa: S104  # as they are written

_DOMAIN: Final = Words('the name of a domain, at most 253 octets, or ""', lambda text: not text or is_domain(text))
_REALM: Final = Words('a realm such as "example.org"', is_realm)
_OWN: Final = Words('an IP address such as "192.0.2.1", or ""', lambda text: not text or is_address(text))
INTERFACE: Final = Words(
    'the name of a network interface, at most 15 octets, or ""',
    lambda text: text.isprintable() and len(text.encode()) <= 15 and "/" not in text,
)


def is_group(text: str) -> bool:
    """Tell whether ``text`` is a multicast address."""
    return is_address(text) and ip_address(text).is_multicast


GROUP: Final = Words('a multicast address such as "239.255.67.34"', is_group)


@frozen(kw_only=True)
class ForeignAgent:
    """A foreign agent; the section is what makes a daemon one."""

    domain: Annotated[str, _DOMAIN] = ""
    """The domain that nodes visit; ``""`` is the realm of ``identity.nai``."""

    care_of: Annotated[tuple[Address, ...], Several(0, MAX_CARE_OF)] = ()
    """The care-of addresses; without any, those of ``listen.addresses`` that are addresses of their own."""

    address: Annotated[str, _OWN] = ""
    """The agent's own address towards home agents; ``""`` is the first care-of address."""

    servers: Annotated[tuple[Nai, ...], Several(0, MAX_SERVERS)] = ()
    """AAA servers of ``hops`` that requests go to, one after the other; without any they go to home agents directly."""

    realms: Annotated[tuple[Annotated[str, _REALM], ...], Several(0, MAX_SERVED)] = ()
    """The realms whose nodes are served; without any, all. Others are refused (code 65)."""

    home_agents: Annotated[tuple[Nai, ...], Several(0, MAX_SERVED)] = ()
    """The home agents whose nodes are served; without any, all. Others are refused (code 65)."""

    longest_registration: Annotated[int, OneDuration(LIFETIMES[1:])] = LIFETIMES[-1]
    """The longest registration that is passed on; a longer one is refused (code 69)."""

    advertise_every: Annotated[int, Seconds(1, 1800)] = 10
    """The time between advertisements, which varies by a quarter; a challenge is good for three times that at least."""

    groups: Annotated[tuple[Annotated[str, GROUP], ...], Several(0, MAX_GROUPS)] = GROUPS
    """The multicast addresses that advertisements go to and solicitations are taken at."""

    interface: Annotated[str, INTERFACE] = ""
    """The network interface of these; ``""`` is the one that has the address listened on."""

    mix_secrets: Annotated[str, OneOf(("always", "as-home-agents-say"))] = "always"
    """Whether registrations are refused (code 71) by which who issues keys could read what home agents and we say."""

    requests: Annotated[int, Whole(1, 65536)] = 1024
    """Requests that await their reply at once; a further one is refused (code 66)."""

    answers: Annotated[int, Whole(1, 1_000_000)] = 16384
    """Answers kept for repetitions of their requests, 20 s each; of more the oldest is forgotten."""

    visitors: Annotated[int, Whole(1, 1_000_000)] = 16384
    """Registrations at once; from seven eighths on the agent advertises that it is busy, then refuses (code 66)."""

    passages: Annotated[int, Whole(0, 65536)] = 4096
    """Passages of visitors' traffic at once; a further one is refused (code 130). With 0 it carries none."""

    passages_per_visitor: Annotated[int, Whole(1, 64)] = 4
    """Passages of one visitor at once; a further one is refused (code 130)."""

    def domain_of(self, nai: str) -> str:
        """Return the domain, of an agent called ``nai``."""
        return self.domain or nai.partition("@")[2]

    def care_of_at(self, addresses: Collection[str]) -> tuple[str, ...]:
        """Return the care-of addresses, of an agent that listens on ``addresses``."""
        return self.care_of or tuple(each for each in addresses if each not in ANY_ADDRESS)[:MAX_CARE_OF]


def foreign_agent_contradictions(sections: Mapping[str, Any], neighbours: Collection[str]) -> Iterator[Problem]:
    """Yield what is wrong with ``[foreign-agent]`` and what stands beside it; ``neighbours`` are those of hops."""
    agent: ForeignAgent | None = sections.get("foreign_agent")
    if agent is None:
        return
    for name in ("care-of", "servers", "realms", "home-agents", "groups"):
        yield from repeated(getattr(agent, name.replace("-", "_")), f"foreign-agent.{name}[{{}}]".format)
    for index, nai in enumerate(agent.servers):
        if nai not in neighbours:
            advice = nearest(nai, neighbours) or "add it to hops"
            yield Problem(f"foreign-agent.servers[{index}]", f"must be one of hops, not {shown(nai)}; {advice}")
    policy: PolicySettings | None = sections.get("policy")
    if policy is not None and not list(policy.contradictions()) and not registration.kems(policy.as_policy()):
        why = 'must have "x25519" or "x25519-ml-kem-768" in a key-agreement: nodes could not register'
        yield Problem("policy.proposals", why)
    listen: Listen | None = sections.get("listen")
    identity: Identity | None = sections.get("identity")
    care_of = () if listen is None else agent.care_of_at(listen.addresses)
    if listen is not None and not care_of:
        yield Problem("foreign-agent.care-of", "is required: listen.addresses has no address of its own")
    elif identity is not None:
        yield from _fits(agent, identity.nai, care_of)


def _fits(agent: ForeignAgent, nai: str, care_of: tuple[str, ...]) -> Iterator[Problem]:
    """Yield if advertisements would be longer than what asks for them."""
    flags = AdvertisementFlag.REGISTRATION_REQUIRED
    addresses = tuple(map(ip_address, care_of))
    size = size_of(Advertisement(flags, 0, 0, 0, 0, bytes(16), nai, agent.domain_of(nai), addresses))
    if size > SOLICITATION_SIZE:
        why = f"makes advertisements of {size} octets with the names; {SOLICITATION_SIZE} are allowed: have fewer"
        yield Problem("foreign-agent.care-of", why)
