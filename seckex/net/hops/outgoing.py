"""The hop to one neighbour: made when it is first needed, and kept up while it is in use.

Strategy: Twisted's `ClientService` connects, and connects again after growing
delays. What is to be said while the first attempt goes on, or while the
neighbour does not read, waits; once an attempt has failed everything is told at
once that it cannot be said, until another attempt has led somewhere: whoever
wants to say it may know another way.

Limits: `MOST_WAITING` octets wait, for more there is no way; a hop over which
nothing has gone for `IDLE_FOR` seconds is closed, and made again when it is needed.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from twisted.application.internet import ClientService, backoffPolicy
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from seckex.net.hops.connection import HopConnection, NotSecure
from seckex.wire.numbers import Code

IDLE_FOR: Final = 300.0
MOST_WAITING: Final = 2**22
FIRST_DELAY: Final = 0.2
LONGEST_DELAY: Final = 3.0

Connect = Callable[[], Deferred[HopConnection]]


class _Standing(Protocol):
    """What `ClientService` keeps: a connection that may be used, and nothing of what goes over it."""


class _StandingFactory(Factory):
    noisy = False
    protocol = _Standing


@implementer(IStreamClientEndpoint)
class _Settled:
    """An endpoint whose connections are those that both ends are satisfied with."""

    def __init__(self, connect: Connect, up: Callable[[HopConnection], None], down: Callable[[Failure], None]) -> None:
        self._connect = connect
        self._up = up
        self._down = down

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Fire when the connection may be used."""

        def opened(hop: HopConnection) -> IProtocol:
            address: IAddress = hop.transport.getPeer()
            standing = protocolFactory.buildProtocol(address)
            if standing is None:
                raise NotSecure("nobody takes it")
            standing.makeConnection(hop.transport)
            hop.lost = standing.connectionLost
            self._up(hop)
            return standing

        def failed(failure: Failure) -> Failure:
            self._down(failure)
            return failure

        connecting: Deferred[Any] = maybeDeferred(self._connect)
        return connecting.addCallbacks(opened, failed)


class Outgoing:
    """See the module. ``connect`` makes one connection; ``unreachable`` is told what could not be said, why and a code.

    ``failed`` hears of each attempt that led nowhere after one that did or was the first.
    """

    def __init__(
        self,
        reactor: Any,
        connect: Connect,
        unreachable: Callable[[bytes, str, int], None],
        failed: Callable[[str, int], None],
    ) -> None:
        self._reactor = reactor
        self._unreachable = unreachable
        self._failed = failed
        self._waiting: deque[bytes] = deque()
        self._waiting_octets = 0
        self._wanted = reactor.seconds()
        self.hop: HopConnection | None = None
        self.trouble: tuple[str, int] | None = None
        policy = backoffPolicy(FIRST_DELAY, LONGEST_DELAY, jitter=lambda: os.urandom(1)[0] / 1024)
        endpoint = _Settled(connect, self._up, self._down)
        self._service = ClientService(endpoint, _StandingFactory(), policy, reactor)

    @property
    def state(self) -> str:
        """What is shown of it: up, connecting, down or idle."""
        if self.hop is not None:
            return "up"
        if not self._service.running:
            return "idle"
        return "connecting" if self.trouble is None else "down"

    def send(self, octets: bytes) -> None:
        """Say a message as soon as it can be said."""
        hop = self.hop
        if hop is not None and hop.standing and not hop.full and not self._waiting:
            hop.send(octets)
            return
        self._wanted = self._reactor.seconds()
        if self.trouble is not None:
            self._unreachable(octets, *self.trouble)
        elif self._waiting_octets + len(octets) > MOST_WAITING:
            self._unreachable(octets, "too much waits to be said there already", Code.NEXT_HOP_UNREACHABLE)
        else:
            self._waiting.append(octets)
            self._waiting_octets += len(octets)
            if not self._service.running:
                self._service.startService()

    def resumed(self) -> None:
        """Say what waits, as far as there is room."""
        while self._waiting and self.hop is not None and self.hop.standing and not self.hop.full:
            octets = self._waiting.popleft()
            self._waiting_octets -= len(octets)
            self.hop.send(octets)

    def _up(self, hop: HopConnection) -> None:
        self.hop = hop
        self.trouble = None
        self.resumed()

    def _down(self, failure: Failure) -> None:
        if not self._service.running:
            return
        why = " ".join(failure.getErrorMessage().split()).rstrip(".")
        code = Code.NO_SECURE_HOP if failure.check(NotSecure) else Code.NEXT_HOP_UNREACHABLE
        known, self.trouble = self.trouble, (why, code)
        if known != self.trouble:
            self._failed(why, code)
        self._give_up(why, code)

    def _give_up(self, why: str, code: int) -> None:
        waiting, self._waiting = self._waiting, deque()
        self._waiting_octets = 0
        for octets in waiting:
            self._unreachable(octets, why, code)

    def closed(self, hop: HopConnection, why: str) -> None:
        """Take note that a connection that stood is gone; what waited for room was entrusted to nobody."""
        if hop is self.hop:
            self.hop = None
            self._give_up(why, Code.NEXT_HOP_UNREACHABLE)

    def rest(self) -> None:
        """Close what nobody needs."""
        idle = self._reactor.seconds() - IDLE_FOR
        if self._service.running and not self._waiting:
            hop = self.hop
            if (hop.used if hop is not None else self._wanted) < idle:
                self.stop()

    def stop(self) -> Deferred[Any]:
        """Close the connection and make no other, until something is to be said again."""
        stopped: Deferred[Any] = maybeDeferred(self._service.stopService)
        self.trouble = None
        self._give_up("this daemon closes its hop", Code.NEXT_HOP_UNREACHABLE)
        hop, self.hop = self.hop, None
        if hop is not None:
            hop.close("it is not needed any more")
        return stopped
