"""Roles at the edge: gives them messages, outcomes and ticks, and runs their actions in order.

Nothing is decided here. What roles send to strangers leaves through the
daemon's sockets, or through a port of its own where a path asks for one, so
that what leaves from there has nothing in common with what left before; what
they say to neighbours goes over secure hops and nowhere else.

Limits: ports of their own are at most `MOST_PORTS`; the oldest is closed for one more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure

from seckex.errors import SeckexError, StoreFailed, Unfeasible
from seckex.machine import Now, Path, Report, Send
from seckex.net.datagram import Datagrams
from seckex.net.log import EventLog
from seckex.net.messages import Messages
from seckex.net.multicast import Place
from seckex.net.principal import Clock, Committing
from seckex.node.actions import Commit, Work
from seckex.roles.faces import Accounting, Adopt, ClosePassages, ClosePort, Relay, Release, Role, RoleAction
from seckex.roles.house import House
from seckex.sa.association import Association
from seckex.sa.store import Outcome, Snapshot
from seckex.wire.numbers import Code

MOST_PORTS: Final = 64

T = TypeVar("T")

_SOON: Final = 0.001


class Hops(Protocol):
    """Who has secure hops to neighbours."""

    def send(self, neighbour: str, octets: bytes) -> None:
        """Say a general message to a neighbour; what cannot be said comes back as `HouseAtEdge.unreachable`."""
        ...


class Bindings(Protocol):
    """Who keeps associations for links and dialogs."""

    def adopt(self, association: Association, replaces: tuple[int, ...]) -> None:
        """Use an association that a role has made durable."""
        ...

    def release(self, spi_in: int, why: str) -> None:
        """Use it no more."""
        ...

    def forbid(self, peer: str, why: str) -> None:
        """End all dialogs with a peer."""
        ...


class Passages(Protocol):
    """Who carries traffic, or takes it."""

    def close_all(self, spi: int, code: int, why: str) -> None:
        """Close the passages that were opened by this SPI of ours."""
        ...


class OwnPort:
    """A UDP port and TCP connections that nothing else uses."""

    def __init__(
        self,
        reactor: Any,
        via: int,
        received: Callable[[bytes, Path], None],
        trouble: Callable[[Path, str], None],
        place: Place | None,
    ) -> None:
        def got(octets: bytes, path: Path) -> None:
            self._datagrams.heard(path.host)
            received(octets, path._replace(via=via))

        def failed(path: Path, why: str) -> None:
            trouble(path._replace(via=via), why)

        self._datagrams = Datagrams(reactor, lambda *_: None, got, failed, place)
        self._messages = Messages(reactor, got, failed, lambda host: host)

    def send(self, octets: bytes, path: Path) -> None:
        """Send as the path says."""
        path = path._replace(via=None)
        (self._messages if path.tcp else self._datagrams).send(octets, path)

    def close(self) -> list[Any]:
        """Close it; return Deferreds of that."""
        self._messages.stop()
        return self._datagrams.stop()


class HouseAtEdge:
    """Drives ``house``; ``hops`` and ``passages`` are set by whoever makes them, before anything is started.

    ``place`` is where what ports of their own say to groups leaves; None is where the system's routes lead.
    """

    hops: Hops | None = None
    passages: Passages | None = None
    place: Place | None = None

    def __init__(
        self,
        reactor: Any,
        house: House,
        send: Callable[[bytes, Path], None],
        commits: Committing,
        bindings: Bindings,
        log: EventLog,
        clock: Clock,
    ) -> None:
        self._reactor = reactor
        self.house = house
        self._send = send
        self._commits = commits
        self._bindings = bindings
        self._log = log
        self._clock = clock
        self._ports: dict[int, OwnPort] = {}
        self._timer: IDelayedCall | None = None
        self._timer_at = 0.0
        self._stopped = False
        house.fault = self._fault

    def _fault(self, role: str, error: Exception) -> None:
        self._log.failure(f"the role {role} failed", Failure(error))

    def start(self, snapshot: Snapshot) -> None:
        """Take over what the store holds."""
        now = self._clock.now()
        self.run(self.house.start(snapshot, now), now)

    def received(self, octets: bytes, path: Path) -> None:
        """Take a message from whoever can reach us."""
        if not self._stopped:
            now = self._clock.now()
            self.run(self.house.received(octets, path, now), now)

    def heard(self, neighbour: str, octets: bytes) -> None:
        """Take a message that came over a secure hop."""
        if not self._stopped:
            now = self._clock.now()
            self.run(self.house.heard(neighbour, octets, now), now)

    def unreachable(self, neighbour: str, octets: bytes, why: str, code: int) -> None:
        """Take note that a message could not be said over a hop."""
        if not self._stopped:
            now = self._clock.now()
            self.run(self.house.unreachable(neighbour, octets, why, code, now), now)

    def failed(self, path: Path, why: str) -> None:
        """Take note that something could not be sent; roles hear of it when the actions under way are done."""
        if not self._stopped:
            self._reactor.callLater(0, self._failed, path, why)

    def _failed(self, path: Path, why: str) -> None:
        if not self._stopped:
            now = self._clock.now()
            self.run(self.house.failed(path, why, now), now)

    def gone(self, spi_in: int, *, by_peer: bool) -> None:
        """Take note that an association has ended; roles hear of it when the actions under way are done."""
        if not self._stopped:
            self._reactor.callLater(0, self._gone, spi_in, by_peer)

    def _gone(self, spi_in: int, by_peer: bool) -> None:
        if not self._stopped:
            now = self._clock.now()
            self.run(self.house.gone(spi_in, now, by_peer=by_peer), now)

    def ask(self, role: Role, what: Callable[[Now], list[RoleAction]]) -> None:
        """Run what a role wants that an operator has asked for something.

        Raises what ``what`` raises, and `Unfeasible` after `stop`.
        """
        if self._stopped:
            raise Unfeasible("this daemon is stopping")
        now = self._clock.now()
        asked = what(now)
        self.run(self.house.ask(role, lambda: asked, now), now)

    def aside(self, call: Callable[[], T]) -> Deferred[T]:
        """Have something done in a thread."""
        found: Deferred[T] = deferToThreadPool(self._reactor, self._reactor.getThreadPool(), call)
        return found

    def run(self, actions: list[RoleAction], now: Now) -> None:
        """Run actions in their order and arm the timer for what is next."""
        for action in actions:
            try:
                self._do(action)
            except Exception:
                self._log.failure(f"a {type(action).__name__} failed")
        self._arm(now)

    def _do(self, action: RoleAction) -> None:
        # What relays do thousands of times a second comes first.
        if isinstance(action, Relay):
            self._relay(action.neighbour, action.octets)
            return
        match action:
            case Send(octets, path):
                self._send_to(octets, path)
            case Commit(token, unit):
                self._commit(token, unit)
            case Report(event):
                self._log.report(event)
            case Work():
                self._work(action)
            case Adopt(association, replaces):
                self._bindings.adopt(association, replaces)
            case Release(spi_in, why, peer):
                if peer:
                    self._bindings.forbid(peer, why)
                self._bindings.release(spi_in, why)
            case ClosePassages(spi, code, why):
                if self.passages is not None:
                    self.passages.close_all(spi, code, why)
            case ClosePort(via):
                port = self._ports.pop(via, None)
                if port is not None:
                    port.close()

    def _send_to(self, octets: bytes, path: Path) -> None:
        if path.via is None or path.via >= 0:
            self._send(octets, path)
            return
        port = self._ports.get(path.via)
        if port is None:
            if len(self._ports) >= MOST_PORTS:
                self._ports.pop(next(iter(self._ports))).close()
            port = self._ports[path.via] = OwnPort(self._reactor, path.via, self.received, self.failed, self.place)
        port.send(octets, path)

    def _relay(self, neighbour: str, octets: bytes) -> None:
        if self.hops is None:
            why = f"no hop to {neighbour} is configured"
            # Actions are still being run: the outcome comes as late as that of any other.
            self._reactor.callLater(0, self.unreachable, neighbour, octets, why, int(Code.NO_SECURE_HOP))
        else:
            self.hops.send(neighbour, octets)

    def _commit(self, token: int, unit: Any) -> None:
        def done(outcome: Outcome | StoreFailed) -> None:
            if self._stopped:
                return
            now = self._clock.now()
            said = outcome if isinstance(outcome, Outcome) else str(outcome)
            self.run(self.house.committed(token, said, now), now)

        try:
            self._commits.submit(unit, done)
        except StoreFailed as error:
            self._reactor.callLater(0, done, error)

    def _work(self, action: Work) -> None:
        def done(result: object) -> None:
            if self._stopped:
                return
            if isinstance(result, Failure):
                if isinstance(result.value, SeckexError):
                    result = result.value
                else:
                    self._log.failure("work aside failed", result)
                    result = StoreFailed("this daemon failed; its log has more")
            now = self._clock.now()
            self.run(self.house.worked(action.token, result, now), now)

        deferToThreadPool(self._reactor, self._reactor.getThreadPool(), action.call).addBoth(done)

    def _arm(self, now: Now) -> None:
        deadline = self.house.next_deadline(now)
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
        now = self._clock.now()
        self.run(self.house.tick(now), now)

    def stop(self) -> list[Any]:
        """Arm no more timers, run no more outcomes, close ports; return Deferreds of that."""
        now = self._clock.now()
        for role in () if self._stopped else self.house.roles.values():
            if isinstance(role, Accounting):
                # Whoever keeps the store writes what waits before it is closed.
                self.run(self.house.ask(role, role.closing, now), now)
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        closing = [done for port in self._ports.values() for done in port.close()]
        self._ports.clear()
        return closing
