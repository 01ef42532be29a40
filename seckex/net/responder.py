"""The responder daemon: answers negotiations, accepts links, connects dialogs to services; or a home agent."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from attrs import evolve
from twisted.internet.defer import Deferred

from seckex.config.common import pattern_of
from seckex.config.load import Loaded
from seckex.config.responder import ResponderPeer, ResponderSettings
from seckex.dialog.faces import LinkAssociation
from seckex.errors import PeerIncompatible
from seckex.events.home_agent import LinkNotThroughAgent
from seckex.machine import Path
from seckex.net.control import Commands
from seckex.net.foreign_agent import AgentAtEdge, possible_agent
from seckex.net.home_agent import home_agent_of, possible_home_agent, settle_home_agent, terms_of
from seckex.net.home_commands import HomeCommands
from seckex.net.kdc import center_of, possible_kdc, settle_center
from seckex.net.listening import ListeningDaemon
from seckex.net.passages.ends import ends
from seckex.net.passages.port import PassagePort
from seckex.net.passages.relayed import relaying
from seckex.net.passages.terms import PassageTerms
from seckex.net.reload import Prepared
from seckex.node.limits import Peer
from seckex.roles.faces import Role
from seckex.roles.home_agent import HomeAgent, HomeTerms
from seckex.roles.mobile_node.records import is_of_registration

#: Passages under one association: a node has one, and another while it is renewed.
OF_ONE: Final = 4


class ResponderDaemon(ListeningDaemon[ResponderSettings]):
    """See the module; a home agent may be the agent of its own network as well."""

    def __init__(self, reactor: Any, loaded: Loaded[ResponderSettings]) -> None:
        super().__init__(reactor, loaded)
        self._agent = AgentAtEdge(reactor, self, self._is_of_home)

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

    def passages(self, terms: PassageTerms) -> PassagePort | None:
        """See `ListeningDaemon.passages`: a home agent takes its nodes' from their agents, and is one to visitors."""
        agent = None if self.house is None else self.house.house.roles.get("home-agent")
        if not isinstance(agent, HomeAgent):
            return None
        home, visited, end = agent.passage, self._agent.passage, ends(self._port, super().find)
        if self.settings.foreign_agent is None:
            return PassagePort(terms, home, end=end, most=self.settings.limits.links, of_one=OF_ONE)
        most, of_one = self._bounds()
        both = lambda spi: home(spi) or visited(spi)  # noqa: E731  # it is a value
        return PassagePort(terms, both, relay=relaying(), end=end, most=most, of_one=of_one)

    def _is_of_home(self, spi: int) -> bool:
        """Tell whether an SPI is one of the home agent's."""
        agent = None if self.house is None else self.house.house.roles.get("home-agent")
        return isinstance(agent, HomeAgent) and agent.passage(spi) is not None

    def _bounds(self) -> tuple[int, int]:
        """Return how many passages there may be, those that end here and those of visitors, and of one registration."""
        agent, links = self.settings.foreign_agent, self.settings.limits.links
        if agent is None:
            return links, OF_ONE
        return links + agent.passages, max(OF_ONE, agent.passages_per_visitor)

    def find(self, spi: int) -> LinkAssociation | None:
        """See `Daemon.find`, of links that come directly: a policy may not want them of those that are registered."""
        agent, association = self.settings.home_agent, self.principal.node.associations.get(spi)
        only = agent is not None and agent.links == "through-agents"
        if only and association is not None and is_of_registration(association):
            if self.principal.may_report("link"):
                self.log.report(LinkNotThroughAgent(association.peer))
            return None
        return super().find(spi)

    def _home_terms(self) -> HomeTerms | None:
        settings = self.settings
        if settings.home_agent is None:
            return None
        # By what a passage is opened must say which role it is for.
        taken = lambda spi: (  # noqa: E731  # it is a value
            self.principal.node.associations.get(spi) is not None or self._agent.passage(spi) is not None
        )
        return terms_of(settings, settings.home_agent, self.loaded.credentials, taken)

    def commands_of_roles(self) -> Commands:
        """See `Daemon.commands_of_roles`."""
        house = self.house
        agent = None if house is None else house.house.roles.get("home-agent")
        if house is None or not isinstance(agent, HomeAgent):
            return super().commands_of_roles()
        own = HomeCommands(agent, partial(house.ask, agent), self.log).commands()
        return {**super().commands_of_roles(), **own}

    def settle_roles(self) -> None:
        """See `Daemon.settle_roles`."""
        terms = self._home_terms()
        if self.house is not None:
            settle_center(self.house.house.roles, self.settings.kdc)
            if terms is not None:
                settle_home_agent(self.house, self.house.house.roles, terms)
                self.bound_passages(*self._bounds())
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
