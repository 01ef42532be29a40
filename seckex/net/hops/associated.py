"""Hops that are dialogs under associations: made to neighbours of the configuration, and taken from them.

The association comes of an exchange as with any peer, and lives in the same
node: what it is renewed, resumed and forgotten by is not told here. The side that makes the
hop keeps a link to the neighbour from the first need on; the hop is one dialog over
it, for the service `SERVICE`. Which name the neighbour has is what the association says.

Where both sides have begun an association with each other, each makes its own hops
under its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from seckex.config.hops import Hop
from seckex.dialog.faces import Cause, Closure
from seckex.dialog.link import Link
from seckex.dialog.stream import Dialog
from seckex.events import DialogOpened, DialogRefused, LinkClosed, NegotiationRefused
from seckex.net.address import PeerAddress
from seckex.net.carried import Carried
from seckex.net.dials import DialogFailed, Dials, closed
from seckex.net.hops.connection import HopConnection, HopOwner, NotSecure
from seckex.net.log import EventLog
from seckex.net.peer import PeerLinks
from seckex.net.principal import Principal, Watcher
from seckex.net.stream import LinkTerms
from seckex.net.transport import DialogAddress, accept
from seckex.net.usage import Traffic
from seckex.sa.association import Association
from seckex.wire.numbers import Code, Role, Security

SERVICE: Final = "seckex-hop"
LINK_WITHIN: Final = 5.0


def associated(hops: Iterable[Hop]) -> dict[str, Hop]:
    """Return those that associations secure, by their names."""
    return {hop.nai: hop for hop in hops if hop.security == "association"}


class DialogHop(HopConnection):
    """One over a dialog, whose association has proved the neighbour's name already."""

    security = Security.ASSOCIATION

    def connectionMade(self) -> None:
        """Take the name that the association has."""
        super().connectionMade()
        self.address = f"dialog {self.transport.dialog.dialog_id.hex()}"
        self.proved(self.transport.getPeer().principal)


class _One(Factory):
    """Makes one connection, which exists already."""

    noisy = False

    def __init__(self, hop: DialogHop) -> None:
        self._hop = hop

    def buildProtocol(self, addr: Any) -> DialogHop:  # noqa: ARG002  # all lead to the one neighbour
        return self._hop


class AssociatedHops(MultiService):
    """The links of a daemon to neighbours of hops, and the dialogs over them.

    ``terms`` returns what links have in common, ``new_id`` draws the id of a
    dialog, ``retire_idle`` forgets associations that a newer link makes superfluous.
    """

    def __init__(
        self,
        reactor: Any,
        local: str,
        terms: Callable[[], LinkTerms],
        new_id: Callable[[], bytes],
        retire_idle: Callable[[Link], None],
        log: EventLog,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's
        self._reactor = reactor
        self._local = local
        self._terms = terms
        self._new_id = new_id
        self._retire_idle = retire_idle
        self._log = log
        self._addresses: dict[str, PeerAddress] = {}
        self._links: dict[str, PeerLinks] = {}
        self._dials = Dials(reactor, local, self._links, new_id, log)
        #: Set before anything is made.
        self.owner: HopOwner
        self.principal: Principal
        self.traffic: Traffic

    def meet(self, hops: Iterable[Hop]) -> None:
        """Have links with those of ``hops`` that associations secure, once they are needed, and with no others."""
        neighbours = associated(hops)
        for nai in self._links.keys() - neighbours.keys():
            del self._addresses[nai]
            self._links.pop(nai).disownServiceParent()
        for nai, hop in neighbours.items():
            if nai in self._links:
                address = self._addresses[nai]
                address.host, address.port = hop.address, hop.port
                self._links[nai].reconfigure(self._terms())
            else:
                address = self._addresses[nai] = PeerAddress(self._reactor, hop.address, hop.port)
                links = self._links[nai] = PeerLinks(self._terms(), address, self)
                links.setServiceParent(self)

    # -- making

    def dial(self, neighbour: Hop) -> Deferred[HopConnection]:
        """Make a hop; fails with `NotSecure`, or with why nothing leads there."""
        hop = DialogHop(self._reactor, self.owner, calling=True)
        hop.expected = neighbour.nai
        self.principal.want(neighbour.nai)
        dialing = self._dials.dial(neighbour.nai, SERVICE, _One(hop), LINK_WITHIN, _nothing)

        def failed(failure: Failure) -> Failure:
            error = failure.value
            if not isinstance(error, DialogFailed):
                return failure
            refused = isinstance(self._dials.trouble(neighbour.nai), NegotiationRefused)
            if refused or error.refusal.by == neighbour.nai:
                return Failure(NotSecure(error.refusal.reason))
            return Failure(OSError(error.refusal.reason))

        done: Deferred[Any] = dialing
        return done.addCallbacks(lambda _: hop.opened, failed)

    # -- taking

    def offered(self, dialog: Dialog, peer: str, objection: str) -> None:
        """Take a dialog for a hop, unless there is an objection to that."""
        if objection:
            self._log.report(DialogRefused(peer, SERVICE, self._local, Code.PROHIBITED, objection))
            dialog.reject(Code.PROHIBITED, objection)
            return
        hop = DialogHop(self._reactor, self.owner, calling=False)
        # What comes of it is told to its owner.
        hop.opened.addErrback(lambda _: None)

        def connected(result: IProtocol | Failure) -> None:
            if isinstance(result, Failure):
                self._log.failure("a hop under an association has failed", result)
            else:
                self._log.report(DialogOpened(peer, SERVICE, dialog.dialog_id.hex()))

        def gone(reason: Failure) -> None:
            self._log.report(closed(DialogAddress(peer, SERVICE), carried.transport, reason))

        carried = Carried(lambda: hop, connected, gone)
        accept(self._reactor, dialog, carried, self._local, peer)

    # -- associations

    def ready(self, association: Association) -> bool:
        """Build links under it if it is one that we have begun with a neighbour; tell whether it is."""
        if association.role is not Role.INITIATOR or association.peer not in self._links:
            return False
        prepared = self.traffic.link_association(association, opens=True)
        if prepared is not None:
            self._links[association.peer].use(prepared)
        return True

    def unavailable(self, peer: str) -> None:
        """Tell those who wait for it."""
        self._dials.refused(peer)

    def gone(self, association: Association) -> None:
        """Close the links under it that we have built."""
        links = self._links.get(association.peer)
        if links is not None:
            links.withdraw(association.spi_in)

    # -- links

    def link_opened(self, link: Link) -> None:
        """Count it, and forget older associations that it makes superfluous."""
        self.traffic.opened(link)
        self._retire_idle(link)

    def dialog_offered(self, _link: Link, dialog: Dialog) -> None:
        """Refuse: who wants something of us makes a link of its own."""
        dialog.reject(Code.UNKNOWN_SERVICE, "services are to be had over links to us")

    def link_idle(self, _link: Link) -> None:
        """Nothing."""

    def link_worn(self, link: Link) -> None:
        """Negotiate anew before the association may carry no more."""
        self._renew(link, hinted=False)

    def link_closed(self, link: Link, closure: Closure) -> None:
        """Keep what it has carried; negotiate anew where the neighbour says that it does not know the association."""
        association = self._association(link)
        self.traffic.closed(link, association)
        self._log.report(LinkClosed("" if link.association is None else link.association.peer, str(closure)))
        # With a bound on octets an association has one link in all, and dialogs wait for the next.
        spent = association is not None and association.octet_bound and closure.cause in (Cause.LOST, Cause.DEAD)
        refused = closure.cause is Cause.CLOSED_BY_PEER and closure.code == Code.UNKNOWN_ASSOCIATION
        if closure.cause is Cause.UNKNOWN_ASSOCIATION:
            self._renew(link, hinted=True)
        elif refused and association is not None and not association.octet_bound:
            # It was said under the keys of the link: nothing that it vouches for would be taken.
            self.principal.lost(association)
        elif closure.cause is Cause.WORN_OUT or refused or spent:
            self._renew(link, hinted=False)
        else:
            self._retire_idle(link)

    def _renew(self, link: Link, *, hinted: bool) -> None:
        association = self._association(link)
        if association is not None:
            self.principal.renew(association, hinted=hinted)

    def _association(self, link: Link) -> Association | None:
        return None if link.association is None else self.principal.node.associations.get(link.association.here)


def _nothing() -> None:
    """Nobody waits for the end of a dial: its protocol is told."""


class HopWatcher:
    """Watches a daemon's associations: those of hops for ``associated``, and all others for ``others``."""

    def __init__(self, associated: AssociatedHops, others: Watcher) -> None:
        self._associated = associated
        self._others = others

    def ready(self, association: Association) -> None:
        """See `Watcher.ready`."""
        if not self._associated.ready(association):
            self._others.ready(association)

    def unavailable(self, peer: str, why: str) -> None:
        """See `Watcher.unavailable`."""
        self._associated.unavailable(peer)
        self._others.unavailable(peer, why)

    def gone(self, association: Association, why: str) -> None:
        """See `Watcher.gone`."""
        self._associated.gone(association)
        self._others.gone(association, why)

    def forbid(self, peer: str, why: str) -> None:
        """See `Watcher.forbid`."""
        self._others.forbid(peer, why)
