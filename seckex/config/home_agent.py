"""The settings of a home agent or a mobility manager: how its nodes get keys, and whose agents may relay for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address, ip_network
from typing import Annotated, Any, Final

from attrs import frozen

from seckex.config.common import Identity, State
from seckex.config.foreign_agent import ANY_ADDRESS
from seckex.config.kdc import MODES
from seckex.config.listen import Listen
from seckex.config.policy import PolicySettings
from seckex.config.problems import Problem, nearest, repeated, shown
from seckex.config.values import Nai, OneDuration, OneOf, Seconds, Several, Whole, Words, is_address, is_realm
from seckex.sa import registration
from seckex.wire.numbers import LIFETIMES, Keying, SaSubType

KINDS: Final[Mapping[str, SaSubType]] = {"home-agent": SaSubType.MN_HA, "mobility-manager": SaSubType.MN_SMM}
KEYINGS: Final[Mapping[str, Keying]] = {"stateless": Keying.STATELESS, **MODES}
MAX_CENTERS: Final = 8
MAX_ALLOWED: Final = 1024
ANY_DOMAIN: Final = "*"
LINKS: Final = ("any", "through-agents")


def is_network(text: str) -> bool:
    """Tell whether ``text`` is a network of IPv4 or IPv6 addresses."""
    try:
        ip_network(text)
    except ValueError:
        return False
    return "/" in text


_OWN: Final = Words('an IP address such as "192.0.2.1", or ""', lambda text: not text or is_address(text))
_DOMAIN: Final = Words('a realm such as "example.net", or "*"', lambda text: text == ANY_DOMAIN or is_realm(text))
_NETWORK: Final = Words('a network such as "10.0.0.0/24", or ""', lambda text: not text or is_network(text))


@frozen(kw_only=True)
class HomeAgent:
    """A home agent; the section is what makes a daemon one."""

    kind: Annotated[str, OneOf(tuple(KINDS))] = "home-agent"
    """What it is to its nodes; a mobility manager has other keys, and takes no offers that are made to home agents."""

    keying: Annotated[str, OneOf(tuple(KEYINGS))] = "stateless"
    """Where the keys of a registration come from: drawn here, drawn by a key distribution center for each registration,
    or from a seed that a center has drawn."""

    kdcs: Annotated[tuple[Nai, ...], Several(0, MAX_CENTERS)] = ()
    """The key distribution centers that tell of nodes and issue keys, to be asked one after the other: neighbours of
    ``hops``, or ourselves with ``[kdc]``."""

    address: Annotated[str, _OWN] = ""
    """Our own address, which nodes and agents are told; ``""`` is the first of ``listen.addresses`` that is one."""

    shortest_registration: Annotated[int, OneDuration(LIFETIMES[1:])] = LIFETIMES[1]
    """A shorter registration is refused (code 276)."""

    longest_registration: Annotated[int, OneDuration(LIFETIMES[1:])] = LIFETIMES[-1]
    """The longest registration that is granted; who wants a longer one gets this."""

    bindings: Annotated[int, Whole(1, 16)] = 1
    """Agents that a node may be registered through at once; beyond, a further registration is refused (code 135)."""

    domains: Annotated[tuple[Annotated[str, _DOMAIN], ...], Several(1, MAX_ALLOWED)] = (ANY_DOMAIN,)
    """The realms whose agents may relay, beside our own; ``"*"`` is any. Others are refused (code 271)."""

    agents: Annotated[tuple[Nai, ...], Several(0, MAX_ALLOWED)] = ()
    """The agents that may; without any, all of these realms. Others are refused (code 272)."""

    home_network: Annotated[str, _NETWORK] = ""
    """What home addresses are from, and are given from to nodes that ask for none; ``""`` is whatever nodes ask for."""

    mix_secrets: Annotated[str, OneOf(("always", "never"))] = "always"
    """Whether what agent and home agent have sealed to each other goes into their key as well; without it a center that
    issues keys could read what they say; agents may refuse that."""

    pseudonyms: Annotated[str, OneOf(("fresh", "visit"))] = "fresh"
    """What agents call a node: another name in each registration (``fresh``), or the same as long as it visits them, by
    which they can account for its stay, and follow it."""

    rotation: Annotated[int, Seconds(3600, 7 * 86400)] = 7 * 86400
    """How long a static key is the youngest; it is destroyed after twice that, and who has not registered meanwhile
    needs another provisioning file."""

    links: Annotated[str, OneOf(LINKS)] = "any"
    """Which links of our nodes are taken: any, or only those that come through agents, in passages."""

    nodes: Annotated[int, Whole(1, 10_000_000)] = 65536
    """Nodes at most; if its centers tell of more, nothing further is taken from them."""

    replies: Annotated[int, Whole(64, 1_000_000)] = 16384
    """Replies kept for repetitions of their requests, 300 s each; of more the oldest is forgotten."""

    requests: Annotated[int, Whole(1, 65536)] = 4096
    """Requests whose reply waits for keys or for the store, at once; a further one is refused (code 130)."""

    def address_at(self, addresses: tuple[str, ...]) -> str:
        """Return our own address, of a home agent that listens on ``addresses``; empty where there is none."""
        return self.address or next((each for each in addresses if each not in ANY_ADDRESS), "")


def home_agent_contradictions(sections: Mapping[str, Any], neighbours: tuple[str, ...]) -> Iterator[Problem]:
    """Yield what is wrong with ``[home-agent]`` and what stands beside it; ``neighbours`` are those of hops."""
    agent: HomeAgent | None = sections.get("home_agent")
    if agent is None:
        return
    for name in ("kdcs", "domains", "agents"):
        yield from repeated(getattr(agent, name), f"home-agent.{name}[{{}}]".format)
    identity: Identity | None = sections.get("identity")
    own = () if identity is None or sections.get("kdc") is None else (identity.nai,)
    for index, nai in enumerate(agent.kdcs):
        if nai not in (*neighbours, *own):
            advice = nearest(nai, neighbours) or "add it to hops"
            if identity is not None and nai == identity.nai:
                advice = "add the section kdc"
            yield Problem(f"home-agent.kdcs[{index}]", f"must be one of hops, not {shown(nai)}; {advice}")
    if not agent.kdcs:
        yield Problem("home-agent.kdcs", "is required: nobody else tells which nodes are at home here")
    if agent.shortest_registration > agent.longest_registration:
        yield Problem("home-agent.shortest-registration", "must not be longer than home-agent.longest-registration")
    listen: Listen | None = sections.get("listen")
    if listen is not None:
        address = agent.address_at(listen.addresses)
        if not address:
            yield Problem("home-agent.address", "is required: listen.addresses has no address of its own")
        elif agent.home_network and ip_network(agent.home_network).num_addresses < 4:
            yield Problem("home-agent.home-network", "must have two addresses for nodes at least")
        elif agent.home_network and ip_network(agent.home_network).version != ip_address(address).version:
            yield Problem("home-agent.home-network", f"must be of the same family as {address}, our own address")
    policy: PolicySettings | None = sections.get("policy")
    if policy is not None and not list(policy.contradictions()) and not registration.kems(policy.as_policy()):
        why = 'must have "x25519" or "x25519-ml-kem-768" in a key-agreement: nodes could not register'
        yield Problem("policy.proposals", why)
    state: State | None = sections.get("state")
    if state is not None and state.worker:
        yield Problem("state.worker", "must be 0: a home agent is one process")
