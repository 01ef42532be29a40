"""A foreign agent at the edge: what it goes by, and the groups by way of which it is heard on its links.

What it advertises leaves from each address that its daemon listens on, and who asks
there is answered from the same. It is the same in a daemon of its own and beside a home agent.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, Final

from twisted.internet.defer import Deferred

from seckex.config.foreign_agent import ForeignAgent as ForeignAgentSettings
from seckex.errors import ApiMisuse
from seckex.machine import Path
from seckex.net.accounting import retention_of
from seckex.net.listening import ListeningDaemon
from seckex.net.multicast import Multicast, Place, family_of, is_group
from seckex.passage.faces import Admitted
from seckex.roles.faces import Role
from seckex.roles.foreign_agent import AgentTerms, ForeignAgent, Limits
from seckex.wire.general import Header, encode_header
from seckex.wire.numbers import Kind

ROLE: Final = "foreign-agent"

_SOLICITATION: Final = encode_header(Header(Kind.SOLICITATION, False, 0, 0))[:4]


class AgentAtEdge:
    """The foreign agent of ``daemon``, whose settings may have one; ``taken`` tells which SPIs others here have."""

    def __init__(self, reactor: Any, daemon: ListeningDaemon[Any], taken: Callable[[int], bool]) -> None:
        self._daemon = daemon
        self._taken = taken
        self._multicast = Multicast(reactor, self._heard, self._deaf)
        self._joined: tuple[Any, ...] = ()

    @property
    def _settings(self) -> ForeignAgentSettings | None:
        found: ForeignAgentSettings | None = self._daemon.settings.foreign_agent
        return found

    def roles(self) -> dict[str, Role]:
        """Return it, as `Daemon.roles` has it, if there is one."""
        return {} if self._settings is None else {ROLE: ForeignAgent(self._terms(self._settings))}

    def passage(self, spi: int) -> Admitted | None:
        """Return what an OPEN by this SPI of ours would be of, of a visitor."""
        house = self._daemon.house
        agent = None if house is None else house.house.roles.get(ROLE)
        return agent.passage(spi) if isinstance(agent, ForeignAgent) else None

    def settle(self) -> None:
        """Have it go on by settings that are new."""
        house, settings = self._daemon.house, self._settings
        agent = None if house is None else house.house.roles.get(ROLE)
        if house is not None and settings is not None and isinstance(agent, ForeignAgent):
            terms = self._terms(settings)
            house.ask(agent, lambda now: agent.reconfigure(terms, now))

    def _terms(self, agent: ForeignAgentSettings) -> AgentTerms:
        daemon = self._daemon
        settings, credentials = daemon.settings, daemon.loaded.credentials
        if credentials is None:
            raise ApiMisuse("a foreign agent without a certificate")
        care_of = tuple(map(ip_address, agent.care_of_at(settings.listen.addresses)))
        flood = daemon.limits().flood
        return AgentTerms(
            identity=credentials.identity,
            trust=credentials.trust,
            policy=settings.policy.as_policy(),
            entropy=os.urandom,
            address=ip_address(agent.address) if agent.address else care_of[0],
            care_of=care_of,
            domain=agent.domain_of(settings.identity.nai),
            port=settings.listen.port,
            servers=agent.servers,
            realms=frozenset(agent.realms),
            home_agents=frozenset(agent.home_agents),
            longest=agent.longest_registration,
            interval=agent.advertise_every,
            groups=self._groups(agent),
            worker=settings.state.worker,
            mix=agent.mix_secrets == "always",
            taken=lambda spi: daemon.principal.node.associations.get(spi) is not None or self._taken(spi),
            limits=Limits(
                agent.requests, agent.answers, agent.visitors, agent.passages, agent.passages_per_visitor, flood
            ),
            retention=retention_of(settings.accounting),
        )

    # -- groups

    def _groups(self, agent: ForeignAgentSettings) -> tuple[str, ...]:
        """Return the groups of the families that are listened on."""
        families = set(map(family_of, self._daemon.settings.listen.addresses))
        return tuple(group for group in agent.groups if family_of(group) in families)

    def join(self) -> None:
        """Be in the groups of the configuration, on the links of the addresses, and in no others.

        A reload tries again where one could not be had: the interface may be there by now.
        """
        agent, listen = self._settings, self._daemon.settings.listen
        if agent is None:
            return
        groups = self._groups(agent)
        wanted = (groups, agent.interface, agent.care_of, listen)
        if wanted == self._joined and not self._multicast.lacking:
            return
        self._multicast.leave()
        self._joined = wanted
        # Where it listens beside that, towards home agents, nodes need not reach it.
        towards_nodes = [each for each in listen.addresses if each in agent.care_of] or listen.addresses
        for group in groups:
            family = family_of(group)
            places = [Place(each, agent.interface) for each in towards_nodes if family_of(each) == family]
            for place in places:
                self._multicast.speak(group, place)
                self._multicast.join(group, listen.port, place)

    def says(self, octets: bytes, path: Path) -> bool:
        """Send what is for a group from where the agent is; tell whether it was."""
        if not is_group(path.host):
            return False
        self._multicast.say(octets, path.host, path.port)
        return True

    def _heard(self, octets: bytes, host: str, port: int, place: Place) -> None:
        # Advertisements, ours and those of others, are heard there as well.
        daemon = self._daemon
        if daemon.house is not None and octets[:4] == _SOLICITATION:
            daemon.house.received(octets, Path(host, port, daemon.principal.datagrams.number_of(place.address)))

    def _deaf(self, group: str, why: str) -> None:
        self._daemon.log.say("warn", "the group {group}: {why}", group=group, why=why)

    def close(self) -> list[Deferred[Any]]:
        """Leave the groups; return Deferreds of that."""
        return [each for each in self._multicast.leave() if each is not None]


def possible_agent(
    before: ForeignAgentSettings | None, after: ForeignAgentSettings | None
) -> tuple[ForeignAgentSettings | None, tuple[str, ...]]:
    """Return what a daemon that runs can go on by, and the settings that only a restart changes."""
    if (before is None) != (after is None):
        return before, (ROLE,)
    return after, ()
