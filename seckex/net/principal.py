"""A node at the edge: gives it datagrams, outcomes and ticks, and runs its actions.

Nothing is decided here. Actions are run in their order; one timer is armed for
the node's next deadline; a failure while running one action is logged and the
others go on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure

from seckex.errors import SeckexError, StoreFailed
from seckex.machine import Now, Path, Report, Send
from seckex.net.datagram import Datagrams
from seckex.net.log import EventLog
from seckex.net.messages import Messages
from seckex.node.actions import Commit, Gone, NodeAction, Ready, Unavailable, Work
from seckex.node.limits import Limits, Peer
from seckex.node.node import Node
from seckex.roles.house import is_roaming
from seckex.sa.association import Association
from seckex.sa.store import Outcome, Unit

_SOON = 0.001


class Committing(Protocol):
    """What makes units durable; see `seckex.net.commit`."""

    def submit(self, unit: Unit, done: Callable[[Outcome | StoreFailed], None]) -> None:
        """Make ``unit`` durable and call ``done``, later, from the reactor; raises `StoreFailed` at its limit."""
        ...


class Watcher(Protocol):
    """Who builds links on associations."""

    def ready(self, association: Association) -> None:
        """Use this association for new links."""
        ...

    def unavailable(self, peer: str, why: str) -> None:
        """There is none with this peer; the next try comes by itself."""
        ...

    def gone(self, association: Association, why: str) -> None:
        """Close the links under this association."""
        ...

    def forbid(self, peer: str, why: str) -> None:
        """End all dialogs with this peer."""
        ...


class Roles(Protocol):
    """Who takes what is said to the roles of a roaming network; see `seckex.net.house`."""

    def received(self, octets: bytes, path: Path) -> None:
        """Take a message from whoever can reach us."""
        ...

    def failed(self, path: Path, why: str) -> None:
        """Take note that something could not be sent."""
        ...

    def gone(self, spi_in: int, *, by_peer: bool) -> None:
        """Take note that an association has ended, ``by_peer`` where that has asked for it."""
        ...


class Clock:
    """The two clocks of `seckex.machine.Now`."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time) -> None:
        self.monotonic = monotonic
        self.wall = wall

    def now(self) -> Now:
        """Read both."""
        return Now(self.monotonic(), self.wall())


class Principal:
    """Drives ``node``; ``watcher`` is set by whoever builds links, before anything is started."""

    watcher: Watcher
    roles: Roles | None = None

    def __init__(self, reactor: Any, node: Node, commits: Committing, log: EventLog, clock: Clock) -> None:
        self._reactor = reactor
        self.node = node
        self._commits = commits
        self._log = log
        self.clock = clock
        self.datagrams = Datagrams(reactor, self._judge, self._admitted, self._trouble)
        self.messages = Messages(reactor, self._admitted, self._trouble, node.source_of)
        self._timer: IDelayedCall | None = None
        self._timer_at = 0.0
        self._stopped = False

    def _judge(self, octets: bytes, host: str, port: int) -> bytes | None:
        """Show a datagram to the gate; see `Node.judge`."""
        now = self.clock.now()
        answer = self.node.judge(octets, host, port, now)
        if self.node.has_news:
            self.run(self.node.news(), now)
        return answer

    def _admitted(self, octets: bytes, path: Path) -> None:
        """Take a datagram that the gate lets go on, or a message that came over TCP."""
        if self.roles is not None and is_roaming(octets):
            self.roles.received(octets, path)
            return
        now = self.clock.now()
        self.datagrams.heard(path.host)
        self.run(self.node.admitted(octets, path, now), now)

    def _trouble(self, path: Path, why: str) -> None:
        """Take note that a request could not be sent."""
        now = self.clock.now()
        if self.roles is not None:
            self.roles.failed(path, why)
        self.run(self.node.unreachable(path.host, path.port, why, now), now)

    def send(self, octets: bytes, path: Path) -> None:
        """Send one message as its path says."""
        (self.messages if path.tcp else self.datagrams).send(octets, path)

    def run(self, actions: list[NodeAction], now: Now) -> None:
        """Run actions in their order and arm the timer for what is next."""
        for action in actions:
            try:
                if isinstance(action, Send):
                    self.send(action.octets, action.path)
                elif isinstance(action, Commit):
                    self._commit(action.token, action.unit)
                elif isinstance(action, Work):
                    self._work(action)
                elif isinstance(action, Report):
                    self._log.report(action.event)
                elif isinstance(action, Ready):
                    self.watcher.ready(action.association)
                elif isinstance(action, Unavailable):
                    self.watcher.unavailable(action.peer, action.why)
                else:
                    self._gone(action)
            except Exception:
                self._log.failure(f"a {type(action).__name__} failed")
        if self._timer is None or self.node.take_sooner():
            self._arm(now)

    def _gone(self, gone: Gone) -> None:
        self.watcher.gone(gone.association, gone.why)
        if self.roles is not None:
            self.roles.gone(gone.association.spi_in, by_peer=gone.by_peer)

    def _commit(self, token: int, unit: Unit) -> None:
        def done(outcome: Outcome | StoreFailed) -> None:
            if self._stopped:
                return
            now = self.clock.now()
            said = outcome if isinstance(outcome, Outcome) else str(outcome)
            self.run(self.node.committed(token, said, now), now)

        try:
            self._commits.submit(unit, done)
        except StoreFailed as error:
            # Actions are still being run: the outcome comes as late as that of any other unit.
            self._reactor.callLater(0, done, error)

    def _work(self, action: Work) -> None:
        def done(result: object) -> None:
            if self._stopped:
                return
            if isinstance(result, Failure):
                if not isinstance(result.value, SeckexError):
                    self._log.failure("work aside failed", result)
                    result = StoreFailed("this daemon failed; its log has more")
                else:
                    result = result.value
            now = self.clock.now()
            self.run(self.node.worked(action.token, result, now), now)

        deferToThreadPool(self._reactor, self._reactor.getThreadPool(), action.call).addBoth(done)

    def _arm(self, now: Now) -> None:
        deadline = self.node.next_deadline(now)
        if deadline is None or self._stopped:
            return
        if self._timer is not None:
            if self._timer_at <= deadline + _SOON:
                return
            self._timer.cancel()
        self._timer_at = deadline
        self._timer = self._reactor.callLater(max(deadline - now.monotonic, 0), self._tick)

    def _tick(self) -> None:
        self._timer = None
        now = self.clock.now()
        self.run(self.node.tick(now), now)

    def want(self, peer: str) -> None:
        """Have an association with ``peer`` from now on."""
        now = self.clock.now()
        self.run(self.node.want(peer, now), now)

    def reconfigure(self, peers: Iterable[Peer], limits: Limits) -> None:
        """Go on with other peers and limits."""
        now = self.clock.now()
        self.run(self.node.reconfigure(peers, limits, now), now)

    def rekey(self, peer: str) -> None:
        """Renew the association with ``peer`` now; raises `Unfeasible`."""
        now = self.clock.now()
        self.run(self.node.rekey(peer, now), now)

    def down(self, peer: str) -> None:
        """End all associations with ``peer`` and tell it; raises `Unfeasible`."""
        now = self.clock.now()
        self.run(self.node.down(peer, now), now)

    def renew(self, association: Association, *, hinted: bool) -> None:
        """Have another association in place of this one; ``hinted`` where the reason is not authenticated."""
        now = self.clock.now()
        self.node.renew(association, now, hinted=hinted)
        self._arm(now)

    def lost(self, association: Association) -> None:
        """Forget an association that the peer says is gone; have another if one is wanted."""
        now = self.clock.now()
        self.run(self.node.lost(association, now), now)

    def adopt(self, association: Association, replaces: tuple[int, ...]) -> None:
        """Use an association that a role has made durable."""
        now = self.clock.now()
        self.run(self.node.adopt(association, replaces, now), now)

    def release(self, spi_in: int, why: str) -> None:
        """Use an association no more that a role has ended."""
        now = self.clock.now()
        self.run(self.node.release(spi_in, why), now)

    def forbid(self, peer: str, why: str) -> None:
        """End all dialogs with a peer that a role has ended."""
        self.watcher.forbid(peer, why)

    def retire(self, association: Association) -> None:
        """Forget an association that another one has replaced."""
        self.run(self.node.retire(association), self.clock.now())

    def proved(self, spi_in: int) -> None:
        """Take note that a link's first record has verified under the association that ``spi_in`` names."""
        now = self.clock.now()
        self.run(self.node.proved(spi_in, now), now)

    def may_report(self, cause: str) -> bool:
        """Count what a stranger did; return whether the ration allows to write of it."""
        return self.node.ration(cause, self.clock.now())

    def stop(self) -> list[Any]:
        """Arm no more timers, run no more outcomes, close the sockets; return Deferreds of that."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.messages.stop()
        return self.datagrams.stop()
