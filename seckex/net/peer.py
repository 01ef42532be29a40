"""The side that has a peer's address: links to that peer, kept up.

`PeerLinks` is a service that has a link to its peer as long as there is an
association to build it on; `seckex.net.upkeep.Upkeep` keeps each one up.

A new association does not disturb what goes on: a second link is built under
it, takes over the dialogs of the first as soon as it is open, and the first is
closed when nothing is left on it. At most `MOST_LINKS` links stand at a time;
the oldest is closed when there would be more.

A peer at whose port nobody has listened for `REFUSED_FOR` seconds has ended,
and its dialogs with it: they are lost then, and do not wait for the peer that
comes back and knows nothing of them.
"""

from __future__ import annotations

from typing import Final

from twisted.application.service import Service
from twisted.internet import error
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall, IStreamClientEndpoint
from twisted.logger import Logger
from twisted.python.failure import Failure

from seckex.dialog.faces import Closure, LinkAssociation, LinkOwner
from seckex.dialog.link import Link
from seckex.dialog.stream import Dialog
from seckex.errors import PeerIncompatible
from seckex.net.passages.calling import Route
from seckex.net.stream import LinkTerms
from seckex.net.upkeep import Upkeep
from seckex.wire.numbers import Code

MOST_LINKS: Final = 4
MOST_WAITERS: Final = 1024
REFUSED_FOR: Final = 10.0

# Seconds until it is asked again whether a newer link has taken all dialogs over.
LOOK_AGAIN: Final = 0.25


class PeerLinks(Service):
    """Keeps a link to one peer; ``owner`` hears what its links report."""

    log = Logger()

    def __init__(self, terms: LinkTerms, endpoint: IStreamClientEndpoint, owner: LinkOwner) -> None:
        self._terms = terms
        self._endpoint = endpoint
        self._owner = owner
        self._upkeeps: list[Upkeep] = []
        self._waiters: list[Deferred[Link]] = []
        self._refused_since: float | None = None
        self._looking: IDelayedCall | None = None

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

    def use(self, association: LinkAssociation, route: Route | None = None) -> None:
        """Build a link under ``association`` and keep it up; older ones go when it has taken over.

        It goes by the ``route`` if there is one, else to the peer itself.
        """
        route = route or Route(self._endpoint, None, self._failed)
        where = route.endpoint, association, self, self._is_urgent, route.failed, route.through
        self._keep_up(Upkeep(self._terms, *where))

    def _keep_up(self, upkeep: Upkeep) -> None:
        self._upkeeps.append(upkeep)
        if len(self._upkeeps) > MOST_LINKS:
            self._stop(self._upkeeps[0], Code.UNSPECIFIED, "there are newer links")
        if self.running:
            upkeep.start()

    def rebuild(self) -> None:
        """Build the link that is in use anew, from the address that is ours now; dialogs go on over the new one.

        An association with a bound on octets has one link in all: that is lost then, and another association follows.
        """
        for upkeep in tuple(self._upkeeps[-1:]):
            if upkeep.link is None:
                upkeep.hasten()
            elif upkeep.association.octets is None:
                self._keep_up(upkeep.another())
            else:
                upkeep.drop()

    def withdraw(self, here: int) -> None:
        """Build no more links under the association with this SPI here, and close the one there is."""
        for upkeep in tuple(self._upkeeps):
            if upkeep.association.here == here:
                self._stop(upkeep, Code.UNKNOWN_ASSOCIATION, "the association has ended")

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
            for upkeep in self._upkeeps:
                upkeep.hurry()
        return waiter

    def startService(self) -> None:
        """Connect."""
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's services have no types
        for upkeep in self._upkeeps:
            upkeep.start()

    def stopService(self) -> Deferred[None]:
        """Close all links; fire when nothing is attempted any more."""
        super().stopService()  # type: ignore[no-untyped-call]  # as above
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
        stopped = DeferredList([self._stop(upkeep, Code.SHUTTING_DOWN) for upkeep in tuple(self._upkeeps)])
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.cancel()
        return stopped.addCallback(lambda _: None)

    def _is_urgent(self) -> bool:
        dialogs = self._terms.dialogs
        peers = {upkeep.association.peer for upkeep in self._upkeeps}
        return bool(self._waiters) or (dialogs is not None and any(map(dialogs.waits_for, peers)))

    def _failed(self, failure: Failure) -> None:
        now = self._terms.reactor.seconds()
        if not failure.check(error.ConnectionRefusedError):
            self._refused_since = None
        elif self._refused_since is None:
            self._refused_since = now
        elif now - self._refused_since >= REFUSED_FOR and self._terms.dialogs is not None and not self.links:
            for peer in {upkeep.association.peer for upkeep in self._upkeeps}:
                self._terms.dialogs.lose_of(peer, f"nobody has listened at the peer's port for {REFUSED_FOR:.0f} s")

    def _waited(self, result: Link | Failure, waiter: Deferred[Link]) -> Link | Failure:
        if waiter in self._waiters:
            self._waiters.remove(waiter)
        return result

    def _stop(self, upkeep: Upkeep, code: Code, text: str = "") -> Deferred[None]:
        self._upkeeps.remove(upkeep)
        return upkeep.stop(code, text)

    # What the links report.

    def link_opened(self, link: Link) -> None:
        """Use it from now on; older ones that carry nothing are closed."""
        self._refused_since = None
        self._owner.link_opened(link)
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.callback(link)
        self._stop_superfluous()

    def dialog_offered(self, link: Link, dialog: Dialog) -> None:
        """Pass it on."""
        self._owner.dialog_offered(link, dialog)

    def link_idle(self, link: Link) -> None:
        """Close it if there is a newer one."""
        self._stop_superfluous()
        self._owner.link_idle(link)

    def link_worn(self, link: Link) -> None:
        """Pass it on."""
        self._owner.link_worn(link)

    def link_closed(self, link: Link, closure: Closure) -> None:
        """Pass it on; it will be built again."""
        self._owner.link_closed(link, closure)

    def _look_again(self) -> None:
        self._looking = None
        self._stop_superfluous()

    def _stop_superfluous(self) -> None:
        """Keep up no link that is older than the one in use and carries nothing."""
        newest = self.link
        if newest is not None and newest.takes_over:
            # CLOSE could overtake RESUME, and the peer would lose what it keeps no longer than a link.
            if self._looking is None and self.running:
                self._looking = self._terms.reactor.callLater(LOOK_AGAIN, self._look_again)
            return
        for upkeep in tuple(self._upkeeps):
            if newest is None or upkeep.link is newest:
                break
            if upkeep in self._upkeeps and (upkeep.link is None or not upkeep.link.dialogs):
                self._stop(upkeep, Code.UNSPECIFIED, "a newer link carries the dialogs")
