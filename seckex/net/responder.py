"""The responder daemon: answers negotiations, accepts links, connects dialogs to services."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort

from seckex.config.load import Loaded
from seckex.config.responder import ResponderSettings
from seckex.dialog.faces import Closure
from seckex.dialog.link import Link
from seckex.dialog.stream import Dialog
from seckex.events import LinkClosed
from seckex.net.daemon import Daemon
from seckex.net.forwards import Services
from seckex.net.stream import LinkPort
from seckex.node.limits import Limits, Peer
from seckex.sa.association import Association
from seckex.wire.numbers import Code

# Room in the kernel for a burst of links.
BACKLOG: Final = 1024


class ResponderDaemon(Daemon[ResponderSettings]):
    """See the module."""

    def __init__(self, reactor: Any, loaded: Loaded[ResponderSettings]) -> None:
        super().__init__(reactor, loaded)
        limits = self.settings.limits
        terms = self.link_terms(limits.dialog_credit, limits.dialogs_per_peer)
        self._port = LinkPort(terms, self, self.find, limits.links)
        self._listening: list[IListeningPort] = []
        self.served = Services(
            reactor,
            self.settings.identity.nai,
            {name: service.connect for name, service in self.settings.services.items()},
            {peer.nai: frozenset(peer.services) for peer in self.settings.peers},
            limits.dialogs_per_service,
            self.log,
        )

    def peers(self) -> list[Peer]:
        """See `Daemon.peers`."""
        window = self.settings.limits.clock_window
        return [Peer(self.terms(peer.nai, window)) for peer in self.settings.peers]

    def limits(self) -> Limits:
        """See `Daemon.limits`."""
        limits = self.settings.limits
        return Limits(limits.half_open, limits.associations, limits.replay_records, limits.associations)

    def watcher(self) -> ResponderDaemon:
        """See `Daemon.watcher`."""
        return self

    def open(self) -> None:
        """Listen on every address, UDP and TCP."""
        listen = self.settings.listen
        for address in listen.addresses:
            self.principal.datagrams.bind(address, listen.port)
            self._listening.append(self.reactor.listenTCP(listen.port, self._port, BACKLOG, address))

    def close(self) -> list[Deferred[Any]]:
        """Close ports and links."""
        self.served.stop()
        closing = [port.stopListening() for port in self._listening]
        return [*(each for each in closing if each is not None), self._port.close()]

    def listening(self) -> list[str]:
        """See `Daemon.listening`."""
        listen = self.settings.listen
        shown = (f"[{address}]" if ":" in address else address for address in listen.addresses)
        return [f"{address}:{listen.port} UDP and TCP" for address in shown]

    def status_extras(self) -> dict[str, Any]:
        """See `Daemon.status_extras`."""
        services = self.settings.services.items()
        told = [
            {"name": name, "connect": service.connect, "dialogs": self.served.counts[name]}
            for name, service in services
        ]
        return {"forwards": [], "services": told}

    def counters(self) -> Mapping[str, int]:
        """See `Daemon.counters`."""
        ended = {f"links.{cause.name.lower().replace('_', '-')}": n for cause, n in self._port.counts.items()}
        return ended | {"links.refused": self._port.refused, "links.dropped": self._port.dropped}

    # -- associations

    def ready(self, _association: Association) -> None:
        """Nothing: the initiator builds links."""

    def unavailable(self, _peer: str, _why: str) -> None:
        """Nothing."""

    def gone(self, association: Association, why: str) -> None:
        """Close the links under it."""
        for link in self.traffic.links(association):
            link.close(Code.UNKNOWN_ASSOCIATION, why)

    # -- links

    def link_opened(self, link: Link) -> None:
        """Take the association as confirmed: the first record proves its keys."""
        self.traffic.opened(link)
        if link.association is not None:
            self.principal.proved(link.association.here)
            self.retire_idle(link)

    def dialog_offered(self, link: Link, dialog: Dialog) -> None:
        """Connect it to its service."""
        self.served.offered(link, dialog)

    def link_idle(self, _link: Link) -> None:
        """Nothing: the initiator closes links."""

    def link_worn(self, _link: Link) -> None:
        """Nothing: the initiator renews associations."""

    def link_closed(self, link: Link, closure: Closure) -> None:
        """Keep what it has carried."""
        carried = link.association
        if carried is not None:
            self.log.report(LinkClosed(carried.peer, str(closure)))
            self.traffic.closed(link, self.principal.node.associations.get(carried.here))
            self.retire_idle(link)
        elif self.principal.may_report("link"):
            self.log.report(LinkClosed("", str(closure)))
