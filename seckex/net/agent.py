"""The daemon of an agent: a foreign agent, an AAA relay, a key distribution center, as its configuration says."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred

from seckex.config.agent import AgentSettings
from seckex.config.load import Loaded
from seckex.errors import PeerIncompatible
from seckex.machine import Path
from seckex.net.foreign_agent import AgentAtEdge, possible_agent
from seckex.net.kdc import center_of, possible_kdc, settle_center
from seckex.net.listening import ListeningDaemon
from seckex.net.passages.port import PassagePort
from seckex.net.passages.relayed import relaying
from seckex.net.passages.terms import PassageTerms
from seckex.net.reload import Prepared
from seckex.node.limits import Peer
from seckex.roles.aaa.relay import AaaRelay
from seckex.roles.aaa.ways import Ways
from seckex.roles.faces import Role


class AgentDaemon(ListeningDaemon[AgentSettings]):
    """See the module."""

    def __init__(self, reactor: Any, loaded: Loaded[AgentSettings]) -> None:
        super().__init__(reactor, loaded)
        self._agent = AgentAtEdge(reactor, self, lambda _spi: False)

    def peers(self) -> list[Peer]:
        """See `Daemon.peers`."""
        return []

    # -- roles

    def roles(self) -> Mapping[str, Role]:
        """See `Daemon.roles`."""
        settings, nai = self.settings, self.settings.identity.nai
        roles: dict[str, Role] = self._agent.roles()
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

    def passages(self, terms: PassageTerms) -> PassagePort | None:
        """See `ListeningDaemon.passages`: a foreign agent relays its visitors'."""
        limits = self.settings.foreign_agent
        if limits is None:
            return None
        most, of_one = limits.passages, limits.passages_per_visitor
        return PassagePort(terms, self._agent.passage, relay=relaying(), most=most, of_one=of_one)

    def settle_roles(self) -> None:
        """See `Daemon.settle_roles`."""
        if self.house is None:
            return
        settings, roles = self.settings, self.house.house.roles
        relay = roles.get("aaa")
        self._agent.settle()
        if settings.foreign_agent is not None:
            self.bound_passages(settings.foreign_agent.passages, settings.foreign_agent.passages_per_visitor)
        if isinstance(relay, AaaRelay):
            relay.reconfigure(Ways.of(settings.aaa), settings.aaa.pending)
        settle_center(roles, settings.kdc)

    def prepare(self, settings: AgentSettings) -> Prepared[AgentSettings]:
        """Keep the roles that there are: only a restart makes others."""
        kdc, restart = possible_kdc(self.settings.kdc, settings.kdc)
        agent, more = possible_agent(self.settings.foreign_agent, settings.foreign_agent)
        settings, restart = evolve(settings, kdc=kdc, foreign_agent=agent), (*restart, *more)
        if self.settings.aaa.relays != settings.aaa.relays:
            settings = evolve(settings, aaa=self.settings.aaa)
            restart = (*restart, "aaa")
        prepared = super().prepare(settings)
        return evolve(prepared, restart=(*prepared.restart, *restart))

    # -- groups

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
