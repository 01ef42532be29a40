"""The responder daemon: answers negotiations, accepts links, connects dialogs to services; or a home agent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import evolve

from seckex.config.common import pattern_of
from seckex.config.responder import ResponderPeer, ResponderSettings
from seckex.dialog.faces import LinkAssociation
from seckex.events.home_agent import LinkNotThroughAgent
from seckex.net.home_agent import home_agent_of, possible_home_agent, settle_home_agent, terms_of
from seckex.net.kdc import center_of, possible_kdc, settle_center
from seckex.net.listening import ListeningDaemon
from seckex.net.passages.ends import ends
from seckex.net.passages.port import PassagePort
from seckex.net.passages.terms import PassageTerms
from seckex.net.reload import Prepared
from seckex.node.limits import Peer
from seckex.roles.faces import Role
from seckex.roles.home_agent import HomeAgent, HomeTerms
from seckex.roles.mobile_node.records import is_of_registration

#: Passages under one association: a node has one, and another while it is renewed.
OF_ONE: Final = 4


class ResponderDaemon(ListeningDaemon[ResponderSettings]):
    """See the module."""

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
        return center if terms is None else {**home_agent_of(terms, self.clock.now()), **center}

    def passages(self, terms: PassageTerms) -> PassagePort | None:
        """See `ListeningDaemon.passages`: a home agent takes its nodes' from their agents."""
        agent = None if self.house is None else self.house.house.roles.get("home-agent")
        if not isinstance(agent, HomeAgent):
            return None
        return PassagePort(
            terms, agent.passage, end=ends(self._port, super().find), most=self.settings.limits.links, of_one=OF_ONE
        )

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
        taken = lambda spi: self.principal.node.associations.get(spi) is not None  # noqa: E731  # it is a value
        return terms_of(settings, settings.home_agent, self.loaded.credentials, taken)

    def settle_roles(self) -> None:
        """See `Daemon.settle_roles`."""
        terms = self._home_terms()
        if self.house is not None:
            settle_center(self.house.house.roles, self.settings.kdc)
            if terms is not None:
                settle_home_agent(self.house, self.house.house.roles, terms)
                self.bound_passages(self.settings.limits.links, OF_ONE)

    def prepare(self, settings: ResponderSettings) -> Prepared[ResponderSettings]:
        """Keep the roles that there are: only a restart makes others."""
        kdc, restart = possible_kdc(self.settings.kdc, settings.kdc)
        agent, more = possible_home_agent(self.settings.home_agent, settings.home_agent)
        prepared = super().prepare(evolve(settings, kdc=kdc, home_agent=agent))
        return evolve(prepared, restart=(*prepared.restart, *restart, *more))
