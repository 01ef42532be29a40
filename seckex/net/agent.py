"""The daemon of an agent: a foreign agent, an AAA relay, a key distribution center, as its configuration says.

A foreign agent is heard on its links by way of groups: what it advertises leaves
from each address that it listens on, and who asks there is answered from the same.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, Final

from attrs import evolve
from twisted.internet.defer import Deferred

from seckex.config.agent import AgentSettings
from seckex.config.foreign_agent import ForeignAgent as ForeignAgentSettings
from seckex.config.load import Loaded
from seckex.errors import ApiMisuse, PeerIncompatible
from seckex.machine import Path
from seckex.net.accounting import retention_of
from seckex.net.kdc import center_of, possible_kdc, settle_center
from seckex.net.listening import ListeningDaemon
from seckex.net.multicast import Multicast, Place, family_of, is_group
from seckex.net.reload import Prepared
from seckex.node.limits import Peer
from seckex.roles.aaa.relay import AaaRelay
from seckex.roles.aaa.ways import Ways
from seckex.roles.faces import Role
from seckex.roles.foreign_agent import AgentTerms, ForeignAgent, Limits
from seckex.wire.general import Header, encode_header
from seckex.wire.numbers import Kind

_SOLICITATION: Final = encode_header(Header(Kind.SOLICITATION, False, 0, 0))[:4]


class AgentDaemon(ListeningDaemon[AgentSettings]):
    """See the module."""

    def __init__(self, reactor: Any, loaded: Loaded[AgentSettings]) -> None:
        super().__init__(reactor, loaded)
        self._multicast = Multicast(reactor, self._heard_in_group, self._deaf)
        self._joined: tuple[Any, ...] = ()

    def peers(self) -> list[Peer]:
        """See `Daemon.peers`."""
        return []

    # -- roles

    def roles(self) -> Mapping[str, Role]:
        """See `Daemon.roles`."""
        settings, nai = self.settings, self.settings.identity.nai
        roles: dict[str, Role] = {}
        if settings.foreign_agent is not None:
            roles["foreign-agent"] = ForeignAgent(self._agent_terms(settings.foreign_agent))
        if settings.aaa.relays:
            roles["aaa"] = AaaRelay(nai, Ways.of(settings.aaa), settings.aaa.pending, os.urandom)
        return roles | center_of(settings.kdc, nai)

    def ways(self, destination: str) -> tuple[str, ...]:
        """See `Daemon.ways`: as registrations go, and otherwise to whoever there is a hop to."""
        agent, aaa = self.settings.foreign_agent, self.settings.aaa
        if agent is not None and agent.servers and destination not in agent.servers:
            return agent.servers
        if aaa.relays:
            try:
                return Ways.of(aaa).to(destination)
            except PeerIncompatible as refusal:
                try:
                    return super().ways(destination)
                except PeerIncompatible:
                    raise refusal from None
        return super().ways(destination)

    def serves_visitors(self) -> bool:
        """See `Daemon.serves_visitors`."""
        return self.settings.foreign_agent is not None

    def settle_roles(self) -> None:
        """See `Daemon.settle_roles`."""
        if self.house is None:
            return
        settings, roles = self.settings, self.house.house.roles
        agent, relay = roles.get("foreign-agent"), roles.get("aaa")
        if isinstance(agent, ForeignAgent) and settings.foreign_agent is not None:
            terms = self._agent_terms(settings.foreign_agent)
            self.house.ask(agent, lambda now: agent.reconfigure(terms, now))
        if isinstance(relay, AaaRelay):
            relay.reconfigure(Ways.of(settings.aaa), settings.aaa.pending)
        settle_center(roles, settings.kdc)

    def _agent_terms(self, agent: ForeignAgentSettings) -> AgentTerms:
        settings, credentials = self.settings, self.loaded.credentials
        if credentials is None:
            raise ApiMisuse("a foreign agent without a certificate")
        care_of = tuple(map(ip_address, agent.care_of_at(settings.listen.addresses)))
        flood = self.limits().flood
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
            taken=lambda spi: self.principal.node.associations.get(spi) is not None,
            limits=Limits(
                agent.requests, agent.answers, agent.visitors, agent.passages, agent.passages_per_visitor, flood
            ),
            retention=retention_of(settings.accounting),
        )

    def _groups(self, agent: ForeignAgentSettings) -> tuple[str, ...]:
        """Return the groups of the families that are listened on."""
        families = set(map(family_of, self.settings.listen.addresses))
        return tuple(group for group in agent.groups if family_of(group) in families)

    def prepare(self, settings: AgentSettings) -> Prepared[AgentSettings]:
        """Keep the roles that there are: only a restart makes others."""
        kdc, restart = possible_kdc(self.settings.kdc, settings.kdc)
        settings = evolve(settings, kdc=kdc)
        if (self.settings.foreign_agent is None) != (settings.foreign_agent is None):
            settings = evolve(settings, foreign_agent=self.settings.foreign_agent)
            restart = (*restart, "foreign-agent")
        if self.settings.aaa.relays != settings.aaa.relays:
            settings = evolve(settings, aaa=self.settings.aaa)
            restart = (*restart, "aaa")
        prepared = super().prepare(settings)
        return evolve(prepared, restart=(*prepared.restart, *restart))

    # -- groups

    def open(self) -> None:
        """Listen on every address, and at the groups."""
        super().open()
        self._join()

    def _join(self) -> None:
        """Be in the groups of the configuration, on the links of the addresses, and in no others.

        A reload tries again where one could not be had: the interface may be there by now.
        """
        agent, listen = self.settings.foreign_agent, self.settings.listen
        if agent is None:
            return
        groups = self._groups(agent)
        wanted = (groups, agent.interface, listen)
        if wanted == self._joined and not self._multicast.lacking:
            return
        self._multicast.leave()
        self._joined = wanted
        for group in groups:
            family = family_of(group)
            places = [Place(each, agent.interface) for each in listen.addresses if family_of(each) == family]
            for place in places:
                self._multicast.speak(group, place)
                self._multicast.join(group, listen.port, place)

    def say(self, octets: bytes, path: Path) -> None:
        """Send to a group from where the agent is, to anybody else as he asked."""
        if is_group(path.host):
            self._multicast.say(octets, path.host, path.port)
        else:
            super().say(octets, path)

    def _heard_in_group(self, octets: bytes, host: str, port: int, place: Place) -> None:
        # Advertisements, ours and those of others, are heard there as well.
        if self.house is not None and octets[:4] == _SOLICITATION:
            self.house.received(octets, Path(host, port, self.principal.datagrams.number_of(place.address)))

    def _deaf(self, group: str, why: str) -> None:
        self.log.say("warn", "the group {group}: {why}", group=group, why=why)

    def close(self) -> list[Deferred[Any]]:
        """Close ports and links, and leave groups."""
        return [*super().close(), *(each for each in self._multicast.leave() if each is not None)]
