"""A node and a home agent on loopback addresses, with an agent of the product between them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from seckex.events import Event
from seckex.net.passages.port import PassagePort
from seckex.net.passages.relayed import relaying
from seckex.net.passages.terms import PassageTerms
from seckex.net.principal import Clock
from seckex.passage.carrying import TICK
from seckex.passage.faces import Admission, Admitted, Figures
from seckex.passage.hop import HopEnd
from seckex.passage.opening import ExpectOpen
from seckex.passage.times import Times
from seckex.wire.numbers import Code
from seckex.wire.passage import NONCE_SIZE
from tests.net.loopback import LaterReactor, reactor
from tests.passage.parts import AT_AGENT, AT_HOME, SPI2, SPI3, TO_AGENT, TO_HOME, WALL, Octets


@implementer(IHalfCloseableProtocol)
class End(Protocol):
    """One end of a passage as others may write it: by Twisted's own transport, with copies."""

    transport: Any

    def __init__(self, clock: Clock, hop: Callable[[Octets], HopEnd]) -> None:
        self._clock = clock
        self.sink = Octets(1 << 16)
        self.hop = hop(self.sink)
        self.outbox = bytearray()
        self.ended = False
        self.gone: Deferred[str] = Deferred()
        self.lost = ""

    def connectionMade(self) -> None:
        """Say OPEN, if this is a caller."""
        self.flush()

    def dataReceived(self, data: bytes) -> None:
        """Take what has come."""
        while data and self.hop.ending is None:
            came = 0
            for buffer in self.hop.into():
                part = data[came : came + len(buffer)]
                buffer[: len(part)] = part
                came += len(part)
            data = data[came:]
            self.hop.took(came, self._clock.monotonic())
        self.flush()

    def flush(self) -> None:
        """Send what may be sent."""
        now = self._clock.monotonic()
        while buffers := self.hop.gather(memoryview(bytes(self.outbox[: 1 << 20])), now):
            going = b"".join(buffers)
            self.transport.write(going)
            del self.outbox[: self.hop.sent(len(going), now)]

    def say(self, octets: bytes) -> None:
        """Send octets."""
        self.outbox += octets
        self.flush()

    def end(self) -> None:
        """End this direction."""
        self.hop.finish()
        self.flush()
        # Who has heard the end of the other direction is not told of anything any more.
        (self.transport.loseConnection if self.ended else self.transport.loseWriteConnection)()

    def tick(self) -> None:
        """Let time have passed."""
        if not self.lost:
            self.hop.tick(self._clock.monotonic())
            self.flush()

    def readConnectionLost(self) -> None:
        """Take note of the end of the other direction."""
        self.ended = self.hop.ended_by_peer()
        if not self.ended or self.hop.said_all:
            self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """Take note that all has been said."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Take note of the end."""
        self.lost = type(reason.value).__name__
        self.gone.callback(self.lost)


class HomeAgent(ServerFactory):
    """Takes the second hop."""

    noisy = False

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.heard = b""
        self.ends: list[End] = []
        self.verdict: Code | None = None
        self.known: dict[int, Admitted] = {SPI2: AT_HOME}
        self.silent = False
        self.times = Times()

    def buildProtocol(self, _address: object) -> Protocol:
        """Return the protocol of a connection."""
        if self.silent:
            return Listener(self)
        awaiting = ExpectOpen(os.urandom(NONCE_SIZE), self.known.get, lambda _: self.verdict, self.times)
        end = End(self.clock, lambda sink: HopEnd.called(awaiting, self.clock.now(), sink))
        self.ends.append(end)
        return end


class Listener(Protocol):
    """Says nothing."""

    def __init__(self, home: HomeAgent) -> None:
        self._home = home

    def dataReceived(self, data: bytes) -> None:
        """Note it."""
        self._home.heard += data


class PortFactory(ServerFactory):
    """Gives connections to a port as `seckex.net.port.SharedPort` does."""

    noisy = False

    def __init__(self, port: PassagePort) -> None:
        self._port = port

    def buildProtocol(self, address: Any) -> Protocol | None:
        """Return the protocol of a connection."""
        return self._port.buildProtocol(address)


class AgentCase(TestCase):
    """Tests with an agent whose time is the test's."""

    timeout = 120

    def setUp(self) -> None:
        self.later: Any = LaterReactor()
        seconds = self.later.clock.seconds
        # Time goes on a little with each look, as it does.
        self.looks = 0

        def wall() -> float:
            self.looks += 1
            return float(WALL + seconds() + self.looks / 1_000_000)

        self.clock = Clock(seconds, wall)
        self.events: list[Event] = []
        self.figures: list[Figures] = []
        self.may_report = True
        self.home = HomeAgent(self.clock)
        self.home_port = reactor.listenTCP(0, self.home, interface="127.0.0.1")
        self.addCleanup(self.home_port.stopListening)
        self.admitted: dict[int, Admitted] = {}
        self.admit(SPI3)

    def admit(self, spi: int, port: int = 0) -> Admission:
        """Have the agent know one more visitor, and return what that one calls with."""
        onward = evolve(TO_HOME, host="127.0.0.1", port=port or self.home_port.getHost().port)
        self.admitted[spi] = evolve(AT_AGENT, spi=spi, onward=onward)
        return evolve(TO_AGENT, spi=spi)

    def agent(self, most: int = 100, of_one: int = 4) -> PassagePort:
        """Listen as an agent; everything is closed when the test is over."""
        terms = PassageTerms(
            self.later, self.clock, os.urandom, self.events.append, lambda _: self.may_report, self.figures.append
        )
        port = PassagePort(terms, self.admitted.get, relay=relaying(), most=most, of_one=of_one)
        listening = reactor.listenTCP(0, PortFactory(port), interface="127.0.0.1", backlog=4096)
        self.where = listening.getHost()
        self.addCleanup(listening.stopListening)
        self.addCleanup(self.closed, port)
        return port

    async def closed(self, port: PassagePort) -> None:
        """Close a port, if nobody has."""
        for each in port:
            each.abort("the test is over")
        await port.close()

    async def node(self, admission: Admission = TO_AGENT) -> End:
        """Connect a node, whose OPEN is on its way then."""
        node = End(self.clock, lambda sink: HopEnd.calling(admission, os.urandom(NONCE_SIZE), self.clock.now(), sink))
        await self.connect(node)
        return node

    async def connect(self, end: Any) -> None:
        """Connect a protocol to the agent."""
        await connectProtocol(TCP4ClientEndpoint(reactor, self.where.host, self.where.port), end)
        self.addCleanup(end.transport.abortConnection)

    async def carrying(self) -> tuple[End, End]:
        """Return a node and its home agent with a passage between them."""
        before = len(self.home.ends)
        node = await self.node()
        await self.until(lambda: len(self.home.ends) > before and self.home.ends[-1].hop.is_open and node.hop.is_open)
        return node, self.home.ends[-1]

    async def until(self, holds: Callable[[], Any]) -> None:
        """Wait until something holds, for as long as a test may take."""
        while not holds():
            await deferLater(reactor, 0.001)

    async def pass_time(self, seconds: float, *ends: End) -> None:
        """Let time pass, a tick at a time."""
        for _ in range(int(seconds / TICK)):
            self.later.clock.advance(TICK)
            for end in ends:
                end.tick()
            await deferLater(reactor, 0.0)

    def told(self, kind: type[Event]) -> list[str]:
        """Return the sentences of all events of a kind."""
        return [str(event) for event in self.events if isinstance(event, kind)]
