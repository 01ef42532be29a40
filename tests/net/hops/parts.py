"""Principals with hops over real sockets of loopback, each with certificates to order."""

from __future__ import annotations

from typing import Any, Final

from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

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
PATIENCE: Final = 20.0

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
        self.nai = nai
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

    def listen(self) -> Party:
        """Listen on loopback, at whichever port."""
        self.hops.ports.listen = HopsListen(addresses=("127.0.0.1",))
        # The settings know no port 0: a free one is taken and kept.
        taken = Sockets({})
        ports: Any = self.hops.ports
        ports._bound["any"] = bound = taken.take((1, "127.0.0.1", self.port))
        self.port = bound.getsockname()[1]
        self.hops.open()
        return self

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

    timeout = 30

    async def until(self, done: Any) -> None:
        """Wait until ``done``."""
        give_up = reactor.seconds() + PATIENCE
        while not done():
            if reactor.seconds() > give_up:
                self.fail("waited in vain")
            waiting: Deferred[None] = deferLater(reactor, 0.002)
            await waiting
