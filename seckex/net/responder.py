"""The responder daemon: answers negotiations, accepts links, connects dialogs to services."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve

from seckex.config.responder import ResponderSettings
from seckex.net.kdc import center_of, possible_kdc, settle_center
from seckex.net.listening import ListeningDaemon
from seckex.net.reload import Prepared
from seckex.node.limits import Peer
from seckex.roles.faces import Role


class ResponderDaemon(ListeningDaemon[ResponderSettings]):
    """See the module."""

    def peers(self) -> list[Peer]:
        """See `Daemon.peers`."""
        window = self.settings.limits.clock_window
        return [Peer(self.terms(peer, window)) for peer in self.settings.peers]

    def offered(self) -> tuple[dict[str, str], dict[str, frozenset[str]], int]:
        """See `ListeningDaemon.offered`."""
        return (
            {name: service.connect for name, service in self.settings.services.items()},
            {peer.nai: frozenset(peer.services) for peer in self.settings.peers},
            self.settings.limits.dialogs_per_service,
        )

    def roles(self) -> Mapping[str, Role]:
        """See `Daemon.roles`."""
        return center_of(self.settings.kdc, self.settings.identity.nai)

    def settle_roles(self) -> None:
        """See `Daemon.settle_roles`."""
        if self.house is not None:
            settle_center(self.house.house.roles, self.settings.kdc)

    def prepare(self, settings: ResponderSettings) -> Prepared[ResponderSettings]:
        """See `Daemon.prepare`."""
        kdc, restart = possible_kdc(self.settings.kdc, settings.kdc)
        prepared = super().prepare(evolve(settings, kdc=kdc))
        return evolve(prepared, restart=(*prepared.restart, *restart))
