"""The initiator daemon: has an association and a link with every peer that it forwards to."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from attrs import asdict
from twisted.internet.defer import Deferred

from seckex.config.initiator import InitiatorSettings
from seckex.config.load import Loaded
from seckex.config.problems import Problem, key_path
from seckex.dialog.faces import Cause, Closure
from seckex.dialog.link import Link
from seckex.dialog.stream import Dialog
from seckex.errors import PeerIncompatible
from seckex.events import Event, LinkClosed, NegotiationRefused
from seckex.events.whereabouts import AddressChanged
from seckex.machine import Now, Path
from seckex.net.address import PeerAddress
from seckex.net.control import Commands
from seckex.net.daemon import Daemon, now_or_never
from seckex.net.dials import Dials
from seckex.net.forwards import Forward, ForwardFailed, Forwards
from seckex.net.mobile_node import ROLE, Roaming, RoamingOperator, plan_of
from seckex.net.moves import Moves
from seckex.net.operator import Operator
from seckex.net.passages.calling import Calls
from seckex.net.peer import PeerLinks
from seckex.net.reload import Prepared
from seckex.net.whereabouts import Changes, Whereabouts
from seckex.node.limits import Limits, Peer
from seckex.roles.faces import Role
from seckex.sa.association import Association
from seckex.wire.numbers import Code


class InitiatorDaemon(Daemon[InitiatorSettings]):
    """See the module."""

    def __init__(self, reactor: Any, loaded: Loaded[InitiatorSettings]) -> None:
        super().__init__(reactor, loaded)
        self._roaming: Roaming | None = None
        self._moves: Moves | None = None
        self._calls = Calls(reactor, self.clock, os.urandom, self.log, self._refused)
        self._addresses: dict[str, PeerAddress] = {}
        self._links: dict[str, PeerLinks] = {}
        self.whereabouts = Whereabouts(reactor, self._hosts, self._elsewhere)
        self._meet()
        self._forwards = Forwards(
            reactor,
            self.settings.identity.nai,
            _forwards(self.settings),
            self._links,
            self.settings.limits.forward_connections,
            self.new_dialog_id,
            self.log,
        )
        self.dials = Dials(reactor, self.settings.identity.nai, self._links, self.new_dialog_id, self.log)

    def peers(self) -> list[Peer]:
        """See `Daemon.peers`."""
        return [Peer(self.terms(peer), Path(peer.address, peer.port)) for peer in self.settings.peers]

    def limits(self) -> Limits:
        """See `Daemon.limits`."""
        return Limits(associations=self.settings.limits.associations)

    def roles(self) -> Mapping[str, Role]:
        """See `Daemon.roles`."""
        plan = plan_of(self.settings)
        if plan is None:
            return {}
        held = self.principal.node.associations
        roaming = self._roaming = Roaming(self.reactor, plan, lambda spi: held.get(spi) is not None, self.log)
        self._moves = Moves(
            self.reactor,
            plan.home_agent,
            self.dialogs,
            self.log,
            self.clock.wall,
            lambda spi: roaming.role.admission(spi) is not None,
            roaming.followed,
            self._ping_home,
        )
        self.log.subscribe(self._told)
        return {ROLE: self._roaming.role}

    def _told(self, _at: float, event: Event) -> None:
        """Have programs wait no longer for an association with a home agent that refuses."""
        home = self.settings.home
        if isinstance(event, NegotiationRefused) and home is not None and event.peer == home.nai:
            self.dials.refused(event.peer)

    def _ping_home(self) -> None:
        if self._roaming is not None:
            for link in self._links[self._roaming.home_agent].links:
                link.ping()

    def _refused(self, spi_in: int, code: int) -> None:
        """Register anew, or move, where an agent does not carry traffic; with code 0 it is not reached."""
        if self._roaming is not None and self.running:
            self._roaming.refused(spi_in, code)

    def near(self, now: Now) -> tuple[str, Path] | None:
        """See `Daemon.near`."""
        return None if self._roaming is None else self._roaming.near(now)

    def ways(self, destination: str) -> tuple[str, ...]:
        """See `Daemon.ways`: a node has no hops, and agents only where it hears them."""
        raise PeerIncompatible(Code.NEXT_HOP_UNREACHABLE, f"no foreign agent is heard that would lead to {destination}")

    def operator(self) -> Operator:
        """See `Daemon.operator`."""
        return super().operator() if self._roaming is None else RoamingOperator(self.principal, self._roaming)

    def commands_of_roles(self) -> Commands:
        """See `Daemon.commands_of_roles`."""
        return {} if self._roaming is None else self._roaming.commands()

    def watcher(self) -> InitiatorDaemon:
        """See `Daemon.watcher`."""
        return self

    def bind(self) -> None:
        """Take the forwards' ports."""
        now_or_never(self._forwards.listen(early=True))

    def open(self) -> None:
        """Listen on unix sockets as well, which belong to who makes them, and negotiate with every peer."""
        now_or_never(self._forwards.listen(early=False))
        if self._roaming is not None and self.house is not None:
            self._roaming.open(self.house, self.settings.registration.interface)
        self._want()
        self.whereabouts.setServiceParent(self)

    def _want(self) -> None:
        """Have associations with all peers but the home agent, with which there is one when the node is registered."""
        for nai in self._links:
            if self._roaming is None or nai != self._roaming.home_agent:
                self.principal.want(nai)

    def roles_started(self) -> None:
        """Go on with the registration of before, whose links may have to go through its agent."""
        if self._roaming is not None:
            self.principal.want(self._roaming.home_agent)

    def _hosts(self) -> list[str]:
        """Return whom our address matters to."""
        near = self.near(self.clock.now())
        return [*([] if near is None else [near[1].host]), *(each.reached for each in self._addresses.values())]

    def _elsewhere(self, changes: Changes) -> None:
        """Build links anew that led to those towards whom our address has changed; register from there."""
        for host, (before, after) in changes.items():
            self.log.report(AddressChanged(host, before, after))
        near = self.near(self.clock.now())
        rebuilt = {nai for nai, each in self._addresses.items() if each.reached in changes}
        if self._roaming is not None and self._moves is not None and near is not None and near[1].host in changes:
            rebuilt.add(self._roaming.home_agent)
            if self._roaming.role.keeping.registration is not None:
                self._moves.begins()
            self._roaming.elsewhere(*changes[near[1].host])
        for nai in rebuilt:
            self._links[nai].rebuild()

    def _meet(self) -> None:
        """Have links with the peers that there are, and with no others."""
        limits = self.settings.limits
        terms = self.link_terms(limits.dialog_credit, limits.dialogs_per_peer)
        for nai in self._links.keys() - {peer.nai for peer in self.settings.peers}:
            del self._addresses[nai]
            self._links.pop(nai).disownServiceParent()
        for peer in self.settings.peers:
            if peer.nai in self._links:
                address = self._addresses[peer.nai]
                address.host, address.port = peer.address, peer.port
                self._links[peer.nai].reconfigure(terms)
            else:
                address = self._addresses[peer.nai] = PeerAddress(self.reactor, peer.address, peer.port)
                links = self._links[peer.nai] = PeerLinks(terms, address, self)
                links.setServiceParent(self)

    def prepare(self, settings: InitiatorSettings) -> Prepared[InitiatorSettings]:
        """Listen where forwards are new."""
        before, home = self.settings.home, settings.home
        if (before and before.nai) != (home and home.nai):
            # A role begins with its daemon and ends with it.
            path = key_path(key_path("peers", (home or before or settings.peers[0]).nai), "authentication")
            return Prepared(settings, problems=(Problem(path, "with whom a node registers changes at a restart only"),))
        try:
            now_or_never(self._forwards.prepare(_forwards(settings)))
        except ForwardFailed as error:
            return Prepared(settings, problems=(Problem("forwards", str(error)),))
        return Prepared(settings)

    def settle(self) -> None:
        """See `Daemon.settle`."""
        self._meet()
        self._forwards.settle(_forwards(self.settings), self.settings.limits.forward_connections)
        self._want()

    def settle_roles(self) -> None:
        """See `Daemon.settle_roles`."""
        plan = plan_of(self.settings)
        if self._roaming is not None and plan is not None:
            self._roaming.go_by(plan, self.settings.registration.interface)

    def unprepare(self) -> None:
        """See `Daemon.unprepare`."""
        self._forwards.undo()

    def close(self) -> list[Deferred[Any]]:
        """See `Daemon.close`."""
        if self._moves is not None:
            self._moves.stop()
        return [self._forwards.stop(), *([] if self._roaming is None else self._roaming.close())]

    def listening(self) -> list[str]:
        """See `Daemon.listening`."""
        return self._forwards.addresses()

    def status_extras(self) -> dict[str, Any]:
        """See `Daemon.status_extras`."""
        counts = self._forwards.counts
        pairs = zip(self._forwards.forwards, self._forwards.ports(), strict=True)
        told = [asdict(each) | {"port": port, "connections": counts[each]} for each, port in pairs]
        return {"forwards": told, "services": [], "passages": self._calls.status()}

    def counters(self) -> Mapping[str, int]:
        """See `Daemon.counters`."""
        passages = {} if self._roaming is None else self._calls.counters
        return {"forwards.refused": self._forwards.refused, **passages}

    # -- associations

    def ready(self, association: Association) -> None:
        """Build new links under it."""
        prepared = self.traffic.link_association(association, opens=True)
        if prepared is not None:
            admission = None if self._roaming is None else self._roaming.role.admission(association.spi_in)
            peer = association.peer
            route = None if admission is None else self._calls.route(admission, association.spi_in, peer)
            self._links[peer].use(prepared, route)
        self.whereabouts.learn()

    def unavailable(self, peer: str, _why: str) -> None:
        """Tell the programs that wait for it; the event was logged, and the next try comes by itself."""
        self.dials.refused(peer)

    def gone(self, association: Association, why: str) -> None:
        """Close the links under it; dialogs with a peer that was removed end, those with others wait for a link."""
        if association.peer not in self.principal.node.peers:
            self.dialogs.forbid(association.peer, why)
        self._links[association.peer].withdraw(association.spi_in)

    def forbid(self, peer: str, why: str) -> None:
        """End all dialogs with a peer."""
        self.dialogs.forbid(peer, why)

    # -- links

    def link_opened(self, link: Link) -> None:
        """Count it, and forget older associations that it makes superfluous."""
        self.traffic.opened(link)
        if self._moves is not None:
            self._moves.opened(link)
        self.whereabouts.learn()
        if self._roaming is not None and link.association is not None:
            self._roaming.served(link.association.here)
        self.retire_idle(link)

    def dialog_offered(self, _link: Link, dialog: Dialog) -> None:
        """Refuse: an initiator has no services."""
        dialog.reject(Code.UNKNOWN_SERVICE, "an initiator has no services")

    def link_idle(self, _link: Link) -> None:
        """Nothing."""

    def link_worn(self, link: Link) -> None:
        """Negotiate anew before the association may carry no more."""
        self._renew(link, hinted=False)

    def link_closed(self, link: Link, closure: Closure) -> None:
        """Keep what it has carried; negotiate anew where the responder says that it does not know the association."""
        association = self._association(link)
        self.traffic.closed(link, association)
        self.log.report(LinkClosed("" if link.association is None else link.association.peer, str(closure)))
        # With a bound on octets an association has one link in all, and dialogs wait for the next.
        spent = association is not None and association.octet_bound and closure.cause in (Cause.LOST, Cause.DEAD)
        refused = closure.cause is Cause.CLOSED_BY_PEER and closure.code == Code.UNKNOWN_ASSOCIATION
        if closure.cause is Cause.UNKNOWN_ASSOCIATION:
            self._renew(link, hinted=True)
        elif refused and association is not None and not association.octet_bound:
            # It was said under the keys of the link: nothing that it vouches for would be taken.
            self.principal.lost(association)
            if self._roaming is not None:
                self._roaming.doubted(association.spi_in, proved=True)
        elif closure.cause is Cause.WORN_OUT or refused or spent:
            self._renew(link, hinted=False)
        else:
            self.retire_idle(link)

    def _renew(self, link: Link, *, hinted: bool) -> None:
        association = self._association(link)
        if association is None:
            return
        if self._roaming is not None and association.peer == self._roaming.home_agent:
            self._roaming.doubted(association.spi_in, proved=not hinted)
        else:
            self.principal.renew(association, hinted=hinted)

    def _association(self, link: Link) -> Association | None:
        return None if link.association is None else self.principal.node.associations.get(link.association.here)


def _forwards(settings: InitiatorSettings) -> tuple[Forward, ...]:
    return tuple(Forward(each.listen, each.peer, each.service) for each in settings.forwards)
