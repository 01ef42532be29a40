"""The responder daemon: answers negotiations, accepts links, connects dialogs to services; or a home agent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred

from seckex.config.common import pattern_of
from seckex.config.load import Loaded
from seckex.config.responder import ResponderPeer, ResponderSettings
from seckex.errors import PeerIncompatible
from seckex.machine import Path
from seckex.net.foreign_agent import AgentAtEdge, possible_agent
from seckex.net.home_agent import home_agent_of, possible_home_agent, settle_home_agent, terms_of
from seckex.net.kdc import center_of, possible_kdc, settle_center
from seckex.net.listening import ListeningDaemon
from seckex.net.reload import Prepared
from seckex.node.limits import Peer
from seckex.roles.faces import Role
from seckex.roles.home_agent import HomeTerms


class ResponderDaemon(ListeningDaemon[ResponderSettings]):
    """See the module; a home agent may be the agent of its own network as well."""

    def __init__(self, reactor: Any, loaded: Loaded[ResponderSettings]) -> None:
        super().__init__(reactor, loaded)
        self._agent = AgentAtEdge(reactor, self)

    def peers(self) -> list[Peer]:
        """See `Daemon.peers`; nodes have associations with their home agent whether or not they may use services."""
        window = self.settings.limits.clock_window
        configured = self.settings.peers
        if self.settings.home_agent is not None:
            nodes = ResponderPeer(nai=pattern_of(self.settings.identity.nai), authentication="registration")
            if all(peer.nai != nodes.nai for peer in configured):
                configured = (*configured, nodes)
        return [Peer(self.terms(peer, window)) for peer in configured]

    def offered(self) -> tuple[dict[str, str], dict[str, frozenset[str]], int]:
        """See `ListeningDaemon.offered`."""
        return (
            {name: service.connect for name, service in self.settings.services.items()},
            {peer.nai: frozenset(peer.services) for peer in self.settings.peers},
            self.settings.limits.dialogs_per_service,
        )

    # -- roles

    def roles(self) -> Mapping[str, Role]:
        """See `Daemon.roles`."""
        terms = self._home_terms()
        center = center_of(self.settings.kdc, self.settings.identity.nai)
        return center if terms is None else {**home_agent_of(terms, self.clock.now()), **self._agent.roles(), **center}

    def _home_terms(self) -> HomeTerms | None:
        settings = self.settings
        if settings.home_agent is None:
            return None
        taken = lambda spi: self.principal.node.associations.get(spi) is not None  # noqa: E731  # it is a value
        return terms_of(settings, settings.home_agent, self.loaded.credentials, taken)

    def settle_roles(self) -> None:
        """See `Daemon.settle_roles`."""
        terms = self._home_terms()
        if self.house is not None:
            settle_center(self.house.house.roles, self.settings.kdc)
            if terms is not None:
                settle_home_agent(self.house, self.house.house.roles, terms)
            self._agent.settle()

    def prepare(self, settings: ResponderSettings) -> Prepared[ResponderSettings]:
        """Keep the roles that there are: only a restart makes others."""
        kdc, restart = possible_kdc(self.settings.kdc, settings.kdc)
        agent, more = possible_home_agent(self.settings.home_agent, settings.home_agent)
        visited, yet_more = possible_agent(self.settings.foreign_agent, settings.foreign_agent)
        prepared = super().prepare(evolve(settings, kdc=kdc, home_agent=agent, foreign_agent=visited))
        return evolve(prepared, restart=(*prepared.restart, *restart, *more, *yet_more))

    # -- the agent of this network

    def ways(self, destination: str) -> tuple[str, ...]:
        """See `Daemon.ways`: those of visitors are as their registrations go."""
        agent = self.settings.foreign_agent
        if agent is None or not agent.servers:
            return super().ways(destination)
        try:
            return super().ways(destination)
        except PeerIncompatible:
            return agent.servers

    def serves_visitors(self) -> bool:
        """See `Daemon.serves_visitors`."""
        return self.settings.foreign_agent is not None

    def open(self) -> None:
        """Listen on every address, and at the groups."""
        super().open()
        self._agent.join()

    def say(self, octets: bytes, path: Path) -> None:
        """Send to a group from where the agent is, to anybody else as he asked."""
        if not self._agent.says(octets, path):
            super().say(octets, path)

    def close(self) -> list[Deferred[Any]]:
        """Close ports and links, and leave groups."""
        return [*super().close(), *self._agent.close()]
