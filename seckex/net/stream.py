"""Links over TCP: one connection, and the port that accepts them.

`LinkConnection` is the Twisted protocol of one TCP connection; it draws the
salt, gives the link its socket and its timer, and passes on what the link
reports. `LinkPort` is the responder's factory. It decides nothing about peers:
the node finds associations and takes dialogs.

Bounds: a connection that has not proved its keys `HELLO_TIMEOUT` seconds after
it was made is closed. Of those a port keeps ``most_unproved``; when one more
comes, the oldest of them is dropped, since an honest peer needs one round trip
only. A peer that is silent for too long is asked, and then counts as dead
(`seckex.dialog.faces.DeadPeer`). Of all connections it keeps ``most_connections``; for one more the oldest
unproved one is dropped, and where all are proved it is closed at once. What
does not begin with a record is closed and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Final

from attrs import Factory, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.internet.tcp import Connection
from twisted.logger import Logger
from twisted.python.failure import Failure

from seckex.dialog.faces import Cause, Closure, DeadPeer, LinkAssociation, LinkOwner
from seckex.dialog.link import Link
from seckex.dialog.stream import Dialog
from seckex.dialog.table import DialogTables
from seckex.net.descriptor import LinkDescriptor, StreamReactor
from seckex.net.passages.descriptor import PassageDescriptor, Through
from seckex.wire.dialog import SALT_SIZE, Hello
from seckex.wire.numbers import Code

HELLO_TIMEOUT: Final = 10.0


@frozen
class LinkTerms:
    """What all links of a daemon have in common.

    ``limits`` is what a peer may do, ``clock`` gives nanoseconds since 1970,
    ``entropy`` that many random octets. ``dialogs`` has those that outlive
    their links; without it they end with them. ``key_log`` is given a line for each link, as `Link` says.
    """

    reactor: StreamReactor
    limits: Hello
    clock: Callable[[], int]
    entropy: Callable[[int], bytes]
    dialogs: DialogTables | None = None
    dead_peer: DeadPeer = Factory(DeadPeer)
    key_log: Callable[[str], object] | None = None


def _not_yet() -> None:
    """Flush nothing: the link has no socket yet."""


class LinkConnection(Protocol):
    """One TCP connection and the link over it.

    ``owner`` hears what the link reports, ``gone`` is called when the connection
    is gone. With an ``association`` this is the initiator's end, with ``find``
    the responder's. With ``through`` it runs in a passage.
    """

    transport: Connection

    def __init__(
        self,
        terms: LinkTerms,
        owner: LinkOwner,
        *,
        association: LinkAssociation | None = None,
        find: Callable[[int], LinkAssociation | None] | None = None,
        gone: Callable[[LinkConnection], None] | None = None,
        through: Through | None = None,
    ) -> None:
        self.link = Link(
            owner=self,
            limits=terms.limits,
            salt=terms.entropy(SALT_SIZE),
            clock=terms.clock,
            flush=_not_yet,
            soon=partial(terms.reactor.callLater, 0),
            association=association,
            find=find,
            dialogs=terms.dialogs,
            key_log=terms.key_log,
        )
        self._reactor = terms.reactor
        self._dead_peer = terms.dead_peer
        self._owner = owner
        self._gone = gone
        self._through = through
        self._descriptor: LinkDescriptor | PassageDescriptor | None = None
        self._timer: IDelayedCall | None = None
        self._was_open = False

    def connectionMade(self) -> None:
        """Give the link the socket."""
        self.transport.setTcpNoDelay(True)
        self.transport.setTcpKeepAlive(True)
        self._timer = self._reactor.callLater(HELLO_TIMEOUT, self.link.expire)
        descriptor: LinkDescriptor | PassageDescriptor
        if self._through is None:
            descriptor = LinkDescriptor(self._reactor, self.transport, self.link)
        else:
            descriptor = PassageDescriptor(self._reactor, self.transport, self.link, self._through)
        self._descriptor = descriptor
        self.link.flush = descriptor.flush
        descriptor.start()
        if len(self.link.outbox):
            descriptor.flush()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell the link."""
        self.link.disconnected(reason.getErrorMessage())
        if self._gone is not None:
            self._gone(self)

    def refuse(self, code: int, why: str) -> None:
        """End the passage that this runs in, if it does, and tell the other end."""
        if isinstance(self._descriptor, PassageDescriptor):
            self._descriptor.refuse(code, why)

    def abort(self) -> None:
        """Drop the connection."""
        if self._descriptor is not None:
            self._descriptor.abort()

    def _stop_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def _watch(self) -> None:
        if self.link.is_open:
            self._timer = self._reactor.callLater(1.0, self._tick)

    def _tick(self) -> None:
        self.link.tick(self._dead_peer)
        self._watch()

    # What the link reports.

    def link_opened(self, link: Link) -> None:
        """Stop the clock, and watch for a dead peer from now on."""
        self._stop_timer()
        self._was_open = True
        self._owner.link_opened(link)
        self._watch()

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
        """Disconnect when all is said."""
        self._stop_timer()
        if self._descriptor is not None:
            self._descriptor.finish(politely=self._was_open)
        self._owner.link_closed(link, closure)


class LinkPort(ServerFactory):
    """The responder's end of the port: makes a `LinkConnection` for each TCP connection.

    ``counts`` has how many connections ended for each `Cause`, and how many
    were refused.
    """

    log = Logger()
    noisy = False

    def __init__(
        self,
        terms: LinkTerms,
        owner: LinkOwner,
        find: Callable[[int], LinkAssociation | None],
        most_connections: int = 4096,
        most_unproved: int = 256,
    ) -> None:
        self._terms = terms
        self._owner = owner
        self._find = find
        self._most_connections = most_connections
        self._most_unproved = most_unproved
        self._unproved: dict[Link, LinkConnection] = {}
        self._proved: dict[Link, LinkConnection] = {}
        self._waiting: list[Deferred[None]] = []
        self.counts: Counter[Cause] = Counter()
        self.refused = 0
        self.dropped = 0

    def reconfigure(self, terms: LinkTerms, most_connections: int) -> None:
        """Accept connections by other terms and up to another bound from now on."""
        self._terms = terms
        self._most_connections = most_connections

    @property
    def links(self) -> tuple[Link, ...]:
        """The links whose peers have proved their keys."""
        return tuple(self._proved)

    def buildProtocol(self, addr: IAddress | None) -> LinkConnection | None:  # noqa: ARG002  # the signature is Twisted's
        """Accept a connection, unless there are too many."""
        return self.accept(self._find)

    def accept(
        self, find: Callable[[int], LinkAssociation | None], through: Through | None = None
    ) -> LinkConnection | None:
        """Accept a connection whose association ``find`` finds, and which may run in a passage; None at the bound."""
        full = len(self._unproved) + len(self._proved) >= self._most_connections
        if full and not self._unproved:
            self.refused += 1
            return None
        if full or len(self._unproved) >= self._most_unproved:
            self.dropped += 1
            link, connection = next(iter(self._unproved.items()))
            del self._unproved[link]
            connection.abort()
        connection = LinkConnection(self._terms, self, find=find, gone=self._disconnected, through=through)
        self._unproved[connection.link] = connection
        return connection

    def close(self) -> Deferred[None]:
        """Close all links, and fire when their connections are gone."""
        for connection in (*self._unproved.values(), *self._proved.values()):
            connection.link.close(Code.SHUTTING_DOWN)
        done: Deferred[None] = Deferred()
        self._waiting.append(done)
        self._check_empty()
        return done

    def _disconnected(self, connection: LinkConnection) -> None:
        self._unproved.pop(connection.link, None)
        self._proved.pop(connection.link, None)
        self._check_empty()

    def _check_empty(self) -> None:
        if not self._unproved and not self._proved:
            waiting, self._waiting = self._waiting, []
            for done in waiting:
                done.callback(None)

    # What the links report.

    def link_opened(self, link: Link) -> None:
        """Count it among those that have proved their keys."""
        connection = self._unproved.pop(link, None)
        if connection is not None:
            self._proved[link] = connection
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
        """Count it, and pass it on."""
        self.counts[closure.cause] += 1
        self._owner.link_closed(link, closure)
