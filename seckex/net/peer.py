"""The initiator's side: a link to one peer, kept up.

`PeerLinks` is a service that has a link to its peer as long as there is an
association to build it on. Twisted's `ClientService` connects, and connects
again with growing delays; what it connects to is a `LinkEndpoint`, whose
connections are links, not sockets, so that an attempt counts as one only when
the peer has proved its keys.

A new association does not disturb what goes on: a second link is built under
it, new dialogs go there as soon as it is open, and the old link is closed when
its last dialog is over. At most `MOST_LINKS` links stand at a time; the oldest
is closed, with its dialogs, when there would be more.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from attrs import define, field, frozen
from twisted.application.internet import ClientService, backoffPolicy
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory, IStreamClientEndpoint, ITransport
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from seckex.dialog.faces import Closure, LinkAssociation, LinkOwner
from seckex.dialog.link import Link
from seckex.dialog.stream import Dialog
from seckex.errors import ApiMisuse, PeerIncompatible
from seckex.net.stream import LinkConnection, LinkFailed, LinkTerms
from seckex.wire.numbers import Code

MOST_LINKS: Final = 4
MOST_WAITERS: Final = 1024
FIRST_DELAY: Final = 0.5
LONGEST_DELAY: Final = 30.0


@implementer(IAddress)
@frozen
class _LinkAddress:
    """Where such a connection leads to."""

    principal: str


@implementer(ITransport)
class _Handle:
    """What stands for a link as the transport of a connection that `ClientService` keeps up: nothing goes over it."""

    def __init__(self, link: Link, address: _LinkAddress) -> None:
        self._link = link
        self._address = address

    def write(self, data: bytes) -> None:  # noqa: ARG002  # refused whatever it is
        """Refuse."""
        raise ApiMisuse("octets go over the dialogs of a link")

    def writeSequence(self, data: Iterable[bytes]) -> None:  # noqa: ARG002  # as above
        """Refuse."""
        raise ApiMisuse("octets go over the dialogs of a link")

    def getPeer(self) -> _LinkAddress:
        """Return the other principal."""
        return self._address

    def getHost(self) -> _LinkAddress:
        """Return the other principal, since a link knows no other."""
        return self._address

    def loseConnection(self) -> None:
        """Close the link."""
        self._link.close(Code.SHUTTING_DOWN)


class _Presence(Protocol):
    """The protocol of such a connection: it is there, no more."""


@implementer(IStreamClientEndpoint)
class LinkEndpoint:
    """Connects by building a link under ``association`` over what ``endpoint`` connects to."""

    def __init__(
        self, terms: LinkTerms, endpoint: IStreamClientEndpoint, association: LinkAssociation, owner: LinkOwner
    ) -> None:
        self._terms = terms
        self._endpoint = endpoint
        self._association = association
        self._owner = owner

    def __repr__(self) -> str:
        return f"link to {self._association.peer}"

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Fire with a protocol when the link is open; fail with `LinkFailed`, or as the endpoint below does."""
        return _Building(self._terms, self._association, self._owner, protocolFactory).start(self._endpoint)


class _Building(Factory):
    """One attempt, and then the link that came of it."""

    noisy = False

    def __init__(
        self, terms: LinkTerms, association: LinkAssociation, owner: LinkOwner, factory: IProtocolFactory
    ) -> None:
        self._owner = owner
        self._factory = factory
        self._address = _LinkAddress(association.peer)
        self._presence: IProtocol | None = None
        self._connection = LinkConnection(terms, self, association=association)
        self._done: Deferred[IProtocol] = Deferred(self._cancel)

    def start(self, endpoint: IStreamClientEndpoint) -> Deferred[IProtocol]:
        self._connecting: Deferred[IProtocol] = endpoint.connect(self)
        self._connecting.addErrback(self._not_connected)
        return self._done

    def buildProtocol(self, addr: IAddress | None) -> LinkConnection:  # noqa: ARG002  # all lead to the one peer
        return self._connection

    def _cancel(self, _done: Deferred[IProtocol]) -> None:
        self._connecting.cancel()
        self._connection.link.close(Code.SHUTTING_DOWN)

    def _not_connected(self, failure: Failure) -> None:
        if not self._done.called:
            self._done.errback(failure)

    # What the link reports.

    def link_opened(self, link: Link) -> None:
        presence = self._factory.buildProtocol(self._address)
        self._owner.link_opened(link)
        if presence is not None and not self._done.called:
            self._presence = presence
            presence.makeConnection(_Handle(link, self._address))
            self._done.callback(presence)

    def dialog_offered(self, link: Link, dialog: Dialog) -> None:
        self._owner.dialog_offered(link, dialog)

    def link_idle(self, link: Link) -> None:
        self._owner.link_idle(link)

    def link_worn(self, link: Link) -> None:
        self._owner.link_worn(link)

    def link_closed(self, link: Link, closure: Closure) -> None:
        self._owner.link_closed(link, closure)
        presence, self._presence = self._presence, None
        if presence is not None:
            presence.connectionLost(Failure(ConnectionLost(str(closure))))
        elif not self._done.called:
            self._done.errback(Failure(LinkFailed(closure)))


@define(eq=False)
class _Upkeep:
    """One association, what keeps a link under it up, and the link while it is open."""

    association: LinkAssociation
    service: ClientService
    link: Link | None = field(default=None)


class PeerLinks(Service):
    """Keeps a link to one peer; ``owner`` hears what its links report."""

    log = Logger()

    def __init__(self, terms: LinkTerms, endpoint: IStreamClientEndpoint, owner: LinkOwner) -> None:
        self._terms = terms
        self._endpoint = endpoint
        self._owner = owner
        self._upkeeps: list[_Upkeep] = []
        self._waiters: list[Deferred[Link]] = []

    @property
    def link(self) -> Link | None:
        """The link that new dialogs should go to: the newest that is open."""
        for upkeep in reversed(self._upkeeps):
            if upkeep.link is not None:
                return upkeep.link
        return None

    @property
    def links(self) -> tuple[Link, ...]:
        """All open links, the oldest first."""
        return tuple(upkeep.link for upkeep in self._upkeeps if upkeep.link is not None)

    def reconfigure(self, terms: LinkTerms) -> None:
        """Build links under associations to come by other terms."""
        self._terms = terms

    def use(self, association: LinkAssociation) -> None:
        """Build a link under ``association`` and keep it up; older ones go when they are idle."""
        service = ClientService(
            LinkEndpoint(self._terms, self._endpoint, association, self),
            Factory.forProtocol(_Presence),
            retryPolicy=backoffPolicy(FIRST_DELAY, LONGEST_DELAY, jitter=self._jitter),
            clock=self._terms.reactor,
        )
        self._upkeeps.append(_Upkeep(association, service))
        if len(self._upkeeps) > MOST_LINKS:
            self._stop(self._upkeeps[0])
        if self.running:
            service.startService()

    def withdraw(self, spi: int) -> None:
        """Build no more links under the association with this SPI at the responder, and close the one there is."""
        for upkeep in tuple(self._upkeeps):
            if upkeep.association.spi == spi:
                self._stop(upkeep)

    def when_open(self, timeout: float) -> Deferred[Link]:
        """Fire with an open link; fail after ``timeout`` seconds, or at once if too many wait already."""
        waiter: Deferred[Link] = Deferred()
        link = self.link
        if link is not None:
            waiter.callback(link)
        elif len(self._waiters) >= MOST_WAITERS:
            waiter.errback(PeerIncompatible(Code.INSUFFICIENT_RESOURCES, "too many wait for a link already"))
        else:
            self._waiters.append(waiter)
            waiter.addTimeout(timeout, self._terms.reactor).addBoth(self._waited, waiter)
        return waiter

    def startService(self) -> None:
        """Connect."""
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's services have no types
        for upkeep in self._upkeeps:
            upkeep.service.startService()

    def stopService(self) -> Deferred[None]:
        """Close all links; fire when nothing is attempted any more."""
        super().stopService()  # type: ignore[no-untyped-call]  # as above
        stopped = DeferredList([self._stop(upkeep) for upkeep in tuple(self._upkeeps)])
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.cancel()
        return stopped.addCallback(lambda _: None)

    def _jitter(self) -> float:
        return self._terms.entropy(1)[0] / 256

    def _waited(self, result: Link | Failure, waiter: Deferred[Link]) -> Link | Failure:
        if waiter in self._waiters:
            self._waiters.remove(waiter)
        return result

    def _stop(self, upkeep: _Upkeep) -> Deferred[None]:
        self._upkeeps.remove(upkeep)
        if upkeep.link is not None:
            upkeep.link.close(Code.SHUTTING_DOWN)
        return upkeep.service.stopService()

    # What the links report.

    def link_opened(self, link: Link) -> None:
        """Use it from now on; older ones that are idle are closed."""
        for upkeep in self._upkeeps:
            if upkeep.association is link.association:
                upkeep.link = link
        self._owner.link_opened(link)
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.callback(link)
        for older in self.links[:-1]:
            if not older.dialogs:
                self.link_idle(older)

    def dialog_offered(self, link: Link, dialog: Dialog) -> None:
        """Pass it on."""
        self._owner.dialog_offered(link, dialog)

    def link_idle(self, link: Link) -> None:
        """Close it if there is a newer one."""
        for upkeep in tuple(self._upkeeps):
            if upkeep.link is link and link is not self.link:
                self._stop(upkeep)
        self._owner.link_idle(link)

    def link_worn(self, link: Link) -> None:
        """Pass it on."""
        self._owner.link_worn(link)

    def link_closed(self, link: Link, closure: Closure) -> None:
        """Pass it on; it will be built again."""
        for upkeep in self._upkeeps:
            if upkeep.link is link:
                upkeep.link = None
        self._owner.link_closed(link, closure)
