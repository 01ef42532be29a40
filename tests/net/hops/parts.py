"""Principals with hops over real sockets of loopback, each with certificates to order."""

from __future__ import annotations

from typing import Any, Final

from cryptography.x509 import CertificateRevocationList
from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from seckex.cli.demo.processes import free_port
from seckex.config.credentials import Credentials
from seckex.config.hops import Hop, HopsListen
from seckex.net.hops.hops import Hops
from seckex.net.log import EventLog
from seckex.net.principal import Clock
from seckex.net.sockets import Sockets
from seckex.wire.general import Header, encode_header
from seckex.wire.numbers import Kind
from tests.crypto.certified import NOW, Maker, trust

reactor: Any = installed
PATIENCE: Final = 60.0

AGENT: Final = "agent@visited.example"
RELAY: Final = "aaa@visited.example"
HOME: Final = "home@home.example"

ROOT: Final = Maker.root()


def request(identification: int, kind: Kind = Kind.RELAY, size: int = 0) -> bytes:
    """Return a message that asks for something."""
    return encode_header(Header(kind, False, identification, 0)) + bytes(size)


def answer(identification: int, kind: Kind = Kind.RELAYED) -> bytes:
    """Return a message that answers."""
    return encode_header(Header(kind, True, identification, 0))


class Party:
    """One principal, with what it has heard and could not say."""

    def __init__(self, case: HopsCase, nai: str, *neighbours: Hop, accept: tuple[str, ...] = (), **how: Any) -> None:
        self.nai, self.neighbours, self.accept = nai, neighbours, accept
        self.heard: list[tuple[str, bytes]] = []
        self.unreachable: list[tuple[str, bytes, str, int]] = []
        self.wall = NOW
        self.events: list[Any] = []
        log = EventLog("error", lambda: self.wall)
        log.subscribe(lambda _at, event: self.events.append(event))
        self.credentials = how.pop("credentials", None) or credentials(nai, **how)
        self.port = 0
        self.hops = Hops(
            reactor,
            nai,
            neighbours,
            HopsListen(accept=accept),
            self.credentials,
            self._heard,
            lambda *what: self.unreachable.append(what),
            log,
            Clock(reactor.seconds, lambda: self.wall),
        )
        case.addCleanup(self.hops.close)

    def _heard(self, neighbour: str, octets: bytes) -> None:
        self.heard.append((neighbour, octets))

    def listen(self, port: int = 0) -> Party:
        """Listen on loopback, at whichever port unless told otherwise."""
        # The settings know no port 0: a free one is taken first.
        self.port = port or free_port()
        self.hops.ports.listen = HopsListen(addresses=("127.0.0.1",), port=self.port)
        self.hops.ports.bind(Sockets({}))
        self.hops.open()
        return self

    def trusts(self, *lists: CertificateRevocationList) -> None:
        """Go on with revocation lists, as after a reload."""
        self.credentials = Credentials(self.credentials.identity, trust(ROOT, lists=lists))
        self.again()

    def again(self) -> None:
        """Go on by the same settings and the credentials of the moment."""
        self.hops.reconfigure(self.neighbours, HopsListen(accept=self.accept), self.credentials)

    async def stopped(self) -> None:
        """Stop, and wait until that is done."""
        await self.hops.close()

    def hop(self, **how: Any) -> Hop:
        """Return how others reach it."""
        return Hop(nai=self.nai, address="127.0.0.1", port=self.port, **how)

    def told(self, kind: type) -> list[Any]:
        """Return the events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]


def credentials(nai: str, maker: Maker = ROOT, trusted: Any = None, **how: Any) -> Credentials:
    """Return the credentials of a principal."""
    return Credentials(maker.identity(nai, **how), trusted or trust(ROOT))


class HopsCase(TestCase):
    """A test that waits for what happens on sockets."""

    timeout = 120

    async def pair(self, **how: Any) -> tuple[Party, Party]:
        """Return an agent and a relay that knows it, with a hop between them over which something was said."""
        relay = Party(self, RELAY, accept=(AGENT,)).listen()
        agent = Party(self, AGENT, relay.hop(), **how)
        await self.said(agent, relay)
        return agent, relay

    async def said(self, sender: Party, receiver: Party, number: int = 1) -> None:
        """Say something, and wait until it is heard."""
        before = len(receiver.heard)
        sender.hops.send(receiver.nai, request(number))
        await self.until(lambda: len(receiver.heard) > before)

    async def refused(self, sender: Party, neighbour: str) -> tuple[int, str]:
        """Say something that cannot be said; return the code and why."""
        before = len(sender.unreachable)
        sender.hops.send(neighbour, request(99))
        await self.until(lambda: len(sender.unreachable) > before)
        nai, octets, why, code = sender.unreachable[-1]
        self.assertEqual((nai, octets), (neighbour, request(99)))
        return code, why

    async def until(self, done: Any) -> None:
        """Wait until ``done``."""
        give_up = reactor.seconds() + PATIENCE
        while not done():
            if reactor.seconds() > give_up:
                self.fail("waited in vain")
            waiting: Deferred[None] = deferLater(reactor, 0.002)
            await waiting
