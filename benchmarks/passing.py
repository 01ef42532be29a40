"""One of the three processes between which messages pass: a node, its agent, its home agent.

``python -m benchmarks.passing node|agent|home plain|tuned|passage COUNT AGENT-PORT HOME-PORT``

The same two Twisted protocols as in `benchmarks.carrier` send and take messages
of 64 KiB at the node and at home, and the latter prints how fast they came. Between
them ``plain`` is Twisted's own relay (`twisted.protocols.portforward`) and nothing
but TCP, and ``tuned`` the same with the larger reads of the others; ``passage`` is
what the daemons have: one link under KEY 1 from end to end, hops admitted under
KEY 3 and KEY 2, and proofs over what they carry.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from typing import Any, Final

from twisted.internet import reactor as installed
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.protocols.portforward import ProxyClient, ProxyClientFactory, ProxyFactory, ProxyServer

from benchmarks.carrier import Making, Owner, association, connect, serve, terms, transport_of, tune
from seckex.crypto.schedule import AgreedKeys
from seckex.crypto.secrets import Secret
from seckex.dialog.link import Link
from seckex.net.log import EventLog
from seckex.net.passages.calling import Calls
from seckex.net.passages.ends import ends
from seckex.net.passages.port import PassagePort
from seckex.net.passages.relayed import relaying
from seckex.net.passages.terms import PassageTerms
from seckex.net.peer import PeerLinks
from seckex.net.principal import Clock
from seckex.net.stream import LinkPort
from seckex.passage.faces import Admission, Admitted, Party
from seckex.wire.numbers import PRF_HMAC_SHA2_256, Hop

_LATER: Final = 86400.0
_SPI_2, _SPI_3 = 0x2222, 0x3333
_KEY_2: Final = AgreedKeys(PRF_HMAC_SHA2_256, Secret(b"2" * 32), b"benchmark")
_KEY_3: Final = AgreedKeys(PRF_HMAC_SHA2_256, Secret(b"3" * 32), b"benchmark")
_WHO: Final = Party("example.org", bytes(16))
# As in `benchmarks.carrier`: malloc that keeps what it has.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3

reactor: Any = installed


class TunedClient(ProxyClient):
    """The side of the relay that calls."""

    def connectionMade(self) -> None:
        """Have the same advantages."""
        tune(self.transport)
        super().connectionMade()


class TunedClientFactory(ProxyClientFactory):
    """Makes these."""

    protocol = TunedClient


class TunedServer(ProxyServer):
    """The side that is called."""

    clientProtocolFactory = TunedClientFactory  # noqa: N815  # Twisted's name

    def connectionMade(self) -> None:
        """Have the same advantages."""
        tune(self.transport)
        super().connectionMade()


class Calling(ServerFactory):
    """Has a port of passages take connections, as the daemons' shared port does."""

    noisy = False

    def __init__(self, port: PassagePort) -> None:
        self._port = port

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        """Let the port make it."""
        return self._port.buildProtocol(addr)


def to_home(port: int) -> Admission:
    """Return what the agent calls with."""
    return Admission(Hop.FA_HA, "home@example.org", "127.0.0.1", port, _SPI_2, time.time() + _LATER, _KEY_2)


def to_agent(port: int) -> Admission:
    """Return what the node calls with."""
    return Admission(Hop.MN_FA, "agent@example.net", "127.0.0.1", port, _SPI_3, time.time() + _LATER, _KEY_3)


def passages() -> PassageTerms:
    """Return the terms of passages, of which nobody is told anything."""
    return PassageTerms(reactor, Clock(), os.urandom, lambda _: None, lambda _: False, lambda _: None)


def home(factory: Making, port: int) -> None:
    """Take links under KEY 1, in passages under KEY 2."""
    links = LinkPort(terms(), Owner(factory), lambda _: association())
    found = association()
    admitted = Admitted(Hop.FA_HA, _SPI_2, time.time() + _LATER, _WHO, _KEY_2, link=found.spi)
    taking = PassagePort(passages(), {_SPI_2: admitted}.get, end=ends(links, lambda _: found))
    reactor.listenTCP(port, Calling(taking), interface="127.0.0.1")


def agent(port: int, home_port: int) -> None:
    """Relay passages of KEY 3 to the home agent."""
    admitted = Admitted(Hop.MN_FA, _SPI_3, time.time() + _LATER, _WHO, _KEY_3, onward=to_home(home_port))
    taking = PassagePort(passages(), {_SPI_3: admitted}.get, relay=relaying())
    reactor.listenTCP(port, Calling(taking), interface="127.0.0.1")


def node(factory: Making, port: int) -> None:
    """Build a link in a passage, and open a dialog."""
    owner, clock = Owner(factory), Clock()
    calls = Calls(reactor, clock, os.urandom, EventLog("error", clock.wall), lambda *_: None)
    found = association()
    route = calls.route(to_agent(port), found.here, found.peer)
    links = PeerLinks(terms(), route.endpoint, owner)
    links.use(found, route)
    links.startService()

    def opened(link: Link) -> None:
        transport = transport_of(factory)
        transport.dialog = link.open("benchmark", os.urandom(16), transport)

    links.when_open(10).addCallback(opened)


def main() -> None:
    """Run as the command line says."""
    role, how = sys.argv[1:3]
    count, port, home_port = map(int, sys.argv[3:6])
    libc = ctypes.CDLL(None)
    libc.mallopt(_TRIM_THRESHOLD, 64 << 20)
    libc.mallopt(_MMAP_THRESHOLD, 32 << 20)
    factory = Making("server" if role == "home" else "client", "messages", count)
    match role, how:
        case "home", "plain" | "tuned":
            serve("tcp", factory, home_port)
        case "agent", "plain" | "tuned":
            relay = ProxyFactory("127.0.0.1", home_port)
            relay.protocol = ProxyServer if how == "plain" else TunedServer
            reactor.listenTCP(port, relay, interface="127.0.0.1")
        case "node", "plain" | "tuned":
            connect("tcp", factory, port)
        case "home", _:
            home(factory, home_port)
        case "agent", _:
            agent(port, home_port)
        case _:
            node(factory, port)
    reactor.callWhenRunning(print, "ready", flush=True)
    reactor.run()


if __name__ == "__main__":
    main()
