"""A daemon that others ask: its ports, the links that come to them, and how both change while it runs."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from errno import EADDRINUSE
from typing import Any, Final, TypeVar

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort

from seckex.config.listen import Listen, ListeningSettings
from seckex.config.load import Loaded
from seckex.config.problems import Problem
from seckex.dialog.faces import Closure
from seckex.dialog.link import Link
from seckex.dialog.stream import Dialog
from seckex.events import LinkClosed
from seckex.net.daemon import Daemon, one_line
from seckex.net.forwards import Services
from seckex.net.hops.associated import SERVICE
from seckex.net.passages.port import PassagePort
from seckex.net.passages.showing import shown_passages
from seckex.net.passages.terms import PassageTerms
from seckex.net.port import SharedPort
from seckex.net.reload import Prepared
from seckex.net.sockets import Name
from seckex.net.stream import LinkPort
from seckex.node.limits import Flood, Limits
from seckex.passage.faces import Figures
from seckex.roles.faces import Accounting
from seckex.sa.association import Association
from seckex.wire.numbers import Code, Security

L = TypeVar("L", bound=ListeningSettings)

HOME: Final = "home-agent"
VISITED: Final = "foreign-agent"


class ListeningDaemon(Daemon[L]):
    """See the module."""

    def __init__(self, reactor: Any, loaded: Loaded[L]) -> None:
        super().__init__(reactor, loaded)
        limits = self.settings.limits
        terms = self.link_terms(limits.dialog_credit, limits.dialogs_per_peer)
        self._port = LinkPort(terms, self, self.find, limits.links)
        self._bound: dict[Name, socket.socket] = {}
        self._listening: dict[Name, IListeningPort] = {}
        self._shared: SharedPort | None = None
        self._passages: PassagePort | None = None
        self.served = Services(
            reactor,
            self.settings.identity.nai,
            *self.offered(),
            self.log,
        )

    # -- what each role adds

    def offered(self) -> tuple[dict[str, str], dict[str, frozenset[str]], int]:
        """Return where services are, who may use which, and how many dialogs with one there may be: none at all."""
        return {}, {}, 1

    def passages(self, terms: PassageTerms) -> PassagePort | None:
        """Return who takes passages here, None where there are none."""
        del terms
        return None

    # -- ports

    def limits(self) -> Limits:
        """See `Daemon.limits`."""
        limits = self.settings.limits
        flood = Flood(
            limits.cookies,
            limits.cookie_threshold,
            limits.source_rate,
            limits.source_burst,
            limits.source_ipv4_prefix,
            limits.source_ipv6_prefix,
            limits.sources,
        )
        return Limits(limits.half_open, limits.associations, limits.replay_records, limits.associations, flood)

    def watcher(self) -> ListeningDaemon[L]:
        """See `Daemon.watcher`."""
        return self

    def bind(self) -> None:
        """Take every address, UDP and TCP."""
        for name in _names(self.settings.listen):
            self._bound[name] = self.sockets.take(name)

    def open(self) -> None:
        """Listen on every address."""
        self.principal.messages.most = self.settings.limits.messages_over_tcp
        if self._shared is None:
            self._shared = SharedPort(self.reactor, self._port, self.principal.messages)
            self._shared.passages = self._passages = self.passages(self._passage_terms())
            if self.house is not None:
                self.house.passages = self._passages
            if self.messages is not None:
                self._shared.units = self.messages.connections
        bound, self._bound = self._bound, {}
        for name, each in bound.items():
            self._listening[name] = self._listen(name, each, self._shared)

    def bound_passages(self, most: int, of_one: int) -> None:
        """Have other bounds of passages."""
        if self._passages is not None:
            self._passages.reconfigure(most, of_one)

    def _passage_terms(self) -> PassageTerms:
        principal, log = self.principal, self.log
        return PassageTerms(self.reactor, self.clock, os.urandom, log.report, principal.may_report, self._accounted)

    def _accounted(self, figures: Figures) -> None:
        """Give figures to the role that keeps them: a home agent knows its nodes' names, an agent none."""
        role = None if self.house is None else self.house.house.roles.get(HOME if figures.who.node else VISITED)
        if self.house is not None and isinstance(role, Accounting):
            keeping = role
            self.house.ask(role, lambda now: keeping.accounted(figures, now))

    def _listen(self, name: Name, bound: socket.socket, shared: SharedPort) -> IListeningPort:
        if name[0] == socket.SOCK_DGRAM:
            return self.principal.datagrams.adopt(bound)
        listening: IListeningPort = self.reactor.adoptStreamPort(bound.fileno(), bound.family, shared)
        # The reactor has a descriptor of its own for it.
        bound.close()
        return listening

    def prepare(self, settings: L) -> Prepared[L]:
        """Take the addresses that are new."""
        try:
            for name in _names(settings.listen):
                if name not in self._listening:
                    self._bound[name] = self.sockets.take(name)
        except CannotListenError as error:
            ours = any(port == error.port for _, _, port in self._listening)
            # An address that holds another one of the same port can be had when that one is closed, not before.
            if isinstance(error.socketError, PermissionError) or (ours and error.socketError.errno == EADDRINUSE):
                self.unprepare()
                return Prepared(evolve(settings, listen=self.settings.listen), restart=("listen",))
            return Prepared(settings, problems=(Problem("listen", one_line(error)),))
        return Prepared(settings)

    def settle(self) -> None:
        """See `Daemon.settle`."""
        for name in self._listening.keys() - set(_names(self.settings.listen)):
            port = self._listening.pop(name)
            if name[0] == socket.SOCK_DGRAM:
                self.principal.datagrams.drop(port)
            else:
                port.stopListening()
        self.open()
        limits = self.settings.limits
        self._port.reconfigure(self.link_terms(limits.dialog_credit, limits.dialogs_per_peer), limits.links)
        self.served.reconfigure(*self.offered())

    def unprepare(self) -> None:
        """See `Daemon.unprepare`."""
        bound, self._bound = self._bound, {}
        for each in bound.values():
            each.close()

    def close(self) -> list[Deferred[Any]]:
        """Close ports and links."""
        self.unprepare()
        self.served.stop()
        closing = [port.stopListening() for name, port in self._listening.items() if name[0] == socket.SOCK_STREAM]
        if self._shared is not None:
            self._shared.close()
        passages = [] if self._passages is None else [self._passages.close()]
        return [*(each for each in closing if each is not None), *passages, self._port.close()]

    def listening(self) -> list[str]:
        """See `Daemon.listening`."""
        listen = self.settings.listen
        shown = (f"[{address}]" if ":" in address else address for address in listen.addresses)
        return [f"{address}:{listen.port} UDP and TCP" for address in shown]

    def status_extras(self) -> dict[str, Any]:
        """See `Daemon.status_extras`."""
        connect, _, _ = self.offered()
        told = [
            {"name": name, "connect": where, "dialogs": self.served.counts[name]} for name, where in connect.items()
        ]
        passages = [] if self._passages is None else shown_passages(self._passages)
        return {"forwards": [], "services": told, "passages": {"open": passages, "failure": None}}

    def counters(self) -> Mapping[str, int]:
        """See `Daemon.counters`."""
        ended = {f"links.{cause.name.lower().replace('_', '-')}": n for cause, n in self._port.counts.items()}
        messages = self.principal.messages
        passages = {} if self._passages is None else self._passages.counters
        return (
            ended
            | passages
            | {
                "links.refused": self._port.refused,
                "links.dropped": self._port.dropped,
                "tcp.messages": len(messages),
                "tcp.messages-dropped": messages.counts["dropped"],
                "tcp.messages-foreign": messages.counts["foreign"],
                "tcp.silent-dropped": 0 if self._shared is None else self._shared.dropped,
            }
        )

    # -- associations

    def ready(self, _association: Association) -> None:
        """Nothing: the initiator builds links."""

    def unavailable(self, _peer: str, _why: str) -> None:
        """Nothing."""

    def gone(self, association: Association, why: str) -> None:
        """Close the links under it; dialogs with a peer that was removed end, those with others wait for a link."""
        if association.peer not in self.principal.node.peers:
            self.dialogs.forbid(association.peer, why)
        for link in self.traffic.links(association):
            link.close(Code.UNKNOWN_ASSOCIATION, why)

    def forbid(self, peer: str, why: str) -> None:
        """End all dialogs with a peer."""
        self.dialogs.forbid(peer, why)

    # -- links

    def link_opened(self, link: Link) -> None:
        """Take the association as confirmed: the first record proves its keys."""
        self.traffic.opened(link)
        if link.association is not None:
            self.principal.proved(link.association.here)
            self.retire_idle(link)

    def dialog_offered(self, link: Link, dialog: Dialog) -> None:
        """Connect it to its service; a hop is one of our own."""
        if dialog.service != SERVICE or self.associated is None or self.hops is None:
            self.served.offered(link, dialog)
            return
        peer = "" if link.association is None else link.association.peer
        self.associated.offered(dialog, peer, self.hops.stranger(peer, Security.ASSOCIATION))

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


def _names(listen: Listen) -> list[Name]:
    kinds = (socket.SOCK_DGRAM, socket.SOCK_STREAM)
    return [(kind, address, listen.port) for address in listen.addresses for kind in kinds]
