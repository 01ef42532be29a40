"""One link under one association, kept up: built, and built again whenever it is lost.

A link that was open for a while is built again at once. Otherwise attempts
are made after growing delays, up to `LONGEST_DELAY` seconds, and up to
`URGENT_DELAY` while somebody waits: a program for a link, or a dialog for one
that carries it on. Whoever begins to wait does not wait for a delay to end
that was chosen before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IDelayedCall, IProtocol, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from seckex.dialog.faces import Closure, LinkAssociation, LinkOwner
from seckex.dialog.link import Link
from seckex.dialog.stream import Dialog
from seckex.net.passages.descriptor import Through
from seckex.net.stream import LinkConnection, LinkTerms
from seckex.wire.numbers import Code

FIRST_DELAY: Final = 0.5
URGENT_DELAY: Final = 1.0
LONGEST_DELAY: Final = 30.0

# A link that was open so long, in seconds, was not lost for a reason that an attempt at once would meet again.
STABLE: Final = 1.0


class _One(Factory):
    """Makes one connection, which exists already."""

    noisy = False

    def __init__(self, connection: LinkConnection) -> None:
        self._connection = connection

    def buildProtocol(self, addr: IAddress | None) -> LinkConnection:  # noqa: ARG002  # all lead to the one peer
        return self._connection


class Upkeep:
    """Keeps a link under ``association`` up, over what ``endpoint`` connects to.

    ``owner`` hears what the link reports, ``failed`` of an attempt that led to
    no connection; ``urgent`` tells whether somebody waits. With ``through`` the
    link is built in a passage. `link` is there while it is open.
    """

    def __init__(
        self,
        terms: LinkTerms,
        endpoint: IStreamClientEndpoint,
        association: LinkAssociation,
        owner: LinkOwner,
        urgent: Callable[[], bool],
        failed: Callable[[Failure], None],
        through: Through | None = None,
    ) -> None:
        self.association = association
        self.link: Link | None = None
        self._terms = terms
        self._endpoint = endpoint
        self._owner = owner
        self._urgent = urgent
        self._failed = failed
        self._through = through
        self._reactor = terms.reactor
        self._connection: LinkConnection | None = None
        self._connecting: Deferred[IProtocol] | None = None
        self._waiting: IDelayedCall | None = None
        self._failures = 0
        self._began = 0.0
        self._opened: float | None = None
        self._stopped = True
        self._gone: list[Deferred[None]] = []

    def another(self) -> Upkeep:
        """Return one that keeps up another link under the same association, by the same way."""
        how = self._owner, self._urgent, self._failed, self._through
        return Upkeep(self._terms, self._endpoint, self.association, *how)

    def start(self) -> None:
        """Begin."""
        if self._stopped:
            self._stopped = False
            self._attempt()

    def stop(self, code: Code, text: str = "") -> Deferred[None]:
        """Close the link, saying why, and build no more; fire when the connection is gone."""
        self._stopped = True
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        connection = self._connection
        if connection is None:
            return succeed(None)
        gone: Deferred[None] = Deferred()
        self._gone.append(gone)
        connection.link.close(code, text)
        if self._connecting is not None:
            self._connecting.cancel()
        return gone

    def hurry(self) -> None:
        """Do not wait longer than those do who are in a hurry."""
        if self._waiting is not None:
            left = max(self._began + URGENT_DELAY - self._reactor.seconds(), 0)
            if self._waiting.getTime() > self._reactor.seconds() + left:
                self._waiting.reset(left)

    def hasten(self) -> None:
        """Attempt now: what has failed before, or is on its way, was from an address that is not ours any more."""
        self._failures = 0
        if self._connecting is not None:
            self._connecting.cancel()
        if self._waiting is not None:
            self._waiting.reset(0)

    def drop(self) -> None:
        """Take the link for lost."""
        if self._connection is not None:
            self._connection.abort()

    def _attempt(self) -> None:
        self._waiting = None
        self._began = self._reactor.seconds()
        self._opened = None
        association, gone, through = self.association, self._disconnected, self._through
        connection = LinkConnection(self._terms, self, association=association, gone=gone, through=through)
        self._connection = connection
        connecting = self._connecting = self._endpoint.connect(_One(connection))
        connecting.addCallbacks(self._connected, self._not_connected)

    def _connected(self, _: IProtocol) -> None:
        self._connecting = None

    def _not_connected(self, failure: Failure) -> None:
        self._connecting = None
        if not self._stopped:
            self._failed(failure)
            self._again()
        self._disconnected(self._connection)

    def _again(self) -> None:
        if self._stopped:
            return
        now = self._reactor.seconds()
        if self._opened is not None and now - self._opened >= STABLE:
            self._failures = 0
            delay = 0.0
        else:
            delay = min(FIRST_DELAY * 2 ** min(self._failures, 8), LONGEST_DELAY)
            self._failures += 1
        if self._urgent():
            delay = min(delay, URGENT_DELAY)
        delay += delay * self._terms.entropy(1)[0] / 1024
        self._waiting = self._reactor.callLater(delay, self._attempt)

    def _disconnected(self, connection: LinkConnection | None) -> None:
        if connection is self._connection:
            self._connection = None
        if self._stopped and self._connection is None:
            gone, self._gone = self._gone, []
            for each in gone:
                each.callback(None)

    # What the link reports.

    def link_opened(self, link: Link) -> None:
        """Count it as there."""
        self.link = link
        self._opened = self._reactor.seconds()
        self._owner.link_opened(link)

    def dialog_offered(self, link: Link, dialog: Dialog) -> None:
        """Pass it on."""
        self._owner.dialog_offered(link, dialog)

    def link_idle(self, link: Link) -> None:
        """Pass it on."""
        self._owner.link_idle(link)

    def link_worn(self, link: Link) -> None:
        """Pass it on."""
        self._owner.link_worn(link)

    def link_closed(self, link: Link, closure: Closure) -> None:
        """Pass it on, and build another one; the old connection may take its time to go."""
        self.link = None
        self._owner.link_closed(link, closure)
        self._again()
