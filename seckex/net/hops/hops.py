"""All secure hops of a daemon: `Hops.send` says a message to a neighbour, `heard` is told what neighbours say.

Who is a neighbour the configuration says; that it is this one TLS or an
association proves. An answer goes back where it was asked for, a request over the hop that we
make, or over one that the neighbour has made to us where none is configured. If
neither can be had `unreachable` is told, later than the call, and nothing leaves in the clear.

New certificates and revocation lists count for every connection that is made
after them; connections that stand are looked at anew then, and every `LOOK_EVERY`
seconds, and dropped where nobody who is trusted vouches for the neighbour any more.

Limits: see `seckex.net.hops.outgoing` and `seckex.net.hops.incoming`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
    IProtocolFactory,
)
from twisted.internet.protocol import Factory
from twisted.internet.task import LoopingCall
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from zope.interface import implementer

from seckex.config.common import pattern_of
from seckex.config.credentials import Credentials
from seckex.config.hops import Hop, HopsListen
from seckex.crypto.tls import HopContexts
from seckex.events.hops import HopClosed, HopFailed, HopOpened, HopRefused
from seckex.net.hops.connection import HopConnection, NotSecure, TlsHop
from seckex.net.hops.incoming import HopFactory, Incoming
from seckex.net.hops.listening import HopPorts
from seckex.net.hops.outgoing import Outgoing
from seckex.net.log import EventLog
from seckex.net.principal import Clock
from seckex.node.drops import Drops
from seckex.wire.numbers import ANSWER_FLAG, Code, Security

CONNECT_WITHIN: Final = 3
LOOK_EVERY: Final = 30.0

_IDENTIFICATION: Final = slice(4, 12)
SECURITY: Final = {"tls": Security.TLS, "association": Security.ASSOCIATION}

Heard = Callable[[str, bytes], None]
Unreachable = Callable[[str, bytes, str, int], None]
# Makes a connection to a neighbour under an association with it.
Dial = Callable[[Hop], Deferred[HopConnection]]


@implementer(IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator)
class _Ends:
    """Makes the ends of connections, each from the contexts that its `TlsHop` was made with."""

    def clientConnectionForTLS(self, tlsProtocol: Any) -> Any:
        """Return the end that begins."""
        return tlsProtocol.wrappedProtocol.contexts.end(calling=True)

    def serverConnectionForTLS(self, tlsProtocol: Any) -> Any:
        """Return the end that answers."""
        return tlsProtocol.wrappedProtocol.contexts.end(calling=False)


_ENDS: Final = _Ends()


def tls(reactor: Any, factory: IProtocolFactory, *, calling: bool) -> TLSMemoryBIOFactory:
    """Return a factory of connections over TLS for the `TlsHop`s of ``factory``."""
    made = TLSMemoryBIOFactory(_ENDS, calling, factory, clock=reactor)
    # Small writes are put together here, by what belongs together, and need not wait for more.
    made.protocol = TLSMemoryBIOProtocol
    return made


class Hops:
    """See the module.

    ``heard(neighbour, octets)`` and ``unreachable(neighbour, octets, why, code)``
    are called from the reactor; ``dial`` makes connections under associations, where there are any.
    """

    def __init__(
        self,
        reactor: Any,
        local: str,
        neighbours: tuple[Hop, ...],
        listen: HopsListen,
        credentials: Credentials | None,
        heard: Heard,
        unreachable: Unreachable,
        log: EventLog,
        clock: Clock,
        dial: Dial | None = None,
    ) -> None:
        self._reactor = reactor
        self.local = local
        self._heard = heard
        self._unreachable = unreachable
        self._log = log
        self._clock = clock
        self._dial = dial
        self._neighbours = {hop.nai: hop for hop in neighbours}
        self._accept = frozenset(listen.accept)
        self._credentials = credentials
        self._contexts: HopContexts | None = None
        self._outgoing: dict[str, Outgoing] = {}
        self._incoming = Incoming(reactor)
        self._drops = Drops()
        self._suppressed = 0
        self._counts: Counter[str] = Counter()
        self._stopped = False
        # Connections over which something was said that is not written yet.
        self._said: list[HopConnection] = []
        self._reading = False
        self._calling: set[HopConnection] = set()
        factory = HopFactory(reactor, self, self._current, self._incoming.accepted)
        self.ports = HopPorts(reactor, tls(reactor, factory, calling=False), listen)
        self._looking = LoopingCall(self._look)
        self._looking.clock = reactor

    # -- what goes and comes

    def send(self, neighbour: str, octets: bytes) -> None:
        """Say a general message to a neighbour; if that cannot be, `unreachable` is told, unless it is an answer.

        After `close` nothing is said to anybody.
        """
        if self._stopped:
            return
        if octets[1] & ANSWER_FLAG:
            hop = self._incoming.answer(neighbour, octets[_IDENTIFICATION])
            if hop is not None:
                hop.send(octets)
            elif neighbour in self._outgoing and (made := self._outgoing[neighbour].hop) is not None and made.standing:
                made.send(octets)
            else:
                self._counts["answers-lost"] += 1
            return
        outgoing = self._outgoing.get(neighbour)
        if outgoing is None:
            hop = None if neighbour in self._neighbours else self._incoming.newest(neighbour)
            if hop is not None and not hop.full:
                hop.send(octets)
                return
            outgoing = self._begin(neighbour)
        if outgoing is not None:
            outgoing.send(octets)
        elif neighbour in self._neighbours:
            self._cannot(neighbour, octets, "nothing is configured that would secure it", Code.NO_SECURE_HOP)
        else:
            why = f"{neighbour} is not among hops, and has made no hop to us"
            self._cannot(neighbour, octets, why, Code.NEXT_HOP_UNREACHABLE)

    def security(self, neighbour: str) -> Security:
        """Return what a hop to a neighbour is or would be secured by."""
        configured = self._neighbours.get(neighbour)
        if configured is not None:
            return SECURITY[configured.security]
        hop = self._incoming.newest(neighbour)
        return Security.NONE if hop is None else hop.security

    def _cannot(self, neighbour: str, octets: bytes, why: str, code: int) -> None:
        self._counts["unreachable"] += 1
        if not octets[1] & ANSWER_FLAG and not self._stopped:
            self._reactor.callLater(0, self._unreachable, neighbour, octets, why, code)

    def _begin(self, neighbour: str) -> Outgoing | None:
        configured = self._neighbours.get(neighbour)
        if configured is None:
            return None
        if configured.security == "tls" and self._credentials is None:
            return None
        if configured.security == "association" and self._dial is None:
            return None

        def unreachable(octets: bytes, why: str, code: int) -> None:
            self._cannot(neighbour, octets, why, code)

        def failed(why: str, code: int) -> None:
            self._counts["failed"] += 1
            self._log.report(HopFailed(neighbour, code, why))

        outgoing = Outgoing(self._reactor, lambda: self._connect(neighbour), unreachable, failed)
        self._outgoing[neighbour] = outgoing
        return outgoing

    def _connect(self, neighbour: str) -> Deferred[HopConnection]:
        configured = self._neighbours[neighbour]
        if configured.security == "association":
            if self._dial is None:
                raise NotSecure("no association can be had here")
            return self._dial(configured)
        contexts = self._current()
        if contexts is None:
            raise NotSecure("identity has no certificate, private-key and trust")
        hop = TlsHop(self._reactor, self, contexts, calling=True)
        hop.expected = neighbour
        self._calling.add(hop)
        factory = tls(self._reactor, Factory.forProtocol(lambda: hop), calling=True)
        endpoint = HostnameEndpoint(self._reactor, configured.address, configured.port, CONNECT_WITHIN)
        connecting: Deferred[Any] = endpoint.connect(factory)

        def failed(failure: Any) -> Any:
            self._calling.discard(hop)
            return failure

        return connecting.addCallbacks(lambda _: hop.opened, failed)

    def _current(self) -> HopContexts | None:
        """Return what ends are made from by the certificates of the moment, None without any."""
        if self._contexts is None and self._credentials is not None:
            credentials = self._credentials
            self._contexts = HopContexts(credentials.identity, credentials.trust, self._clock.wall)
        return self._contexts

    # -- what connections tell

    def objection(self, hop: HopConnection) -> str:
        """See `HopOwner.objection`."""
        nai = hop.neighbour
        if self._stopped:
            return "this daemon is stopping"
        if hop.calling:
            return "" if nai == hop.expected else f"it is {nai}, not {hop.expected}"
        return self.stranger(nai, hop.security) or self._incoming.objection()

    def stranger(self, nai: str, security: Security) -> str:
        """Return why somebody who comes by what is secured like that is none of our neighbours; empty if he is one."""
        if nai == self.local:
            return f"it has our own name, {nai}"
        configured = self._neighbours.get(nai)
        if configured is not None and SECURITY[configured.security] is security:
            return ""
        if security is Security.TLS and (nai in self._accept or pattern_of(nai) in self._accept):
            return ""
        where = "neither among hops nor in hops-listen.accept" if security is Security.TLS else "not among hops"
        return f"{nai} is {where}"

    def hop_opened(self, hop: HopConnection) -> None:
        """See `HopOwner.hop_opened`."""
        self._counts["opened"] += 1
        if not hop.calling:
            self._incoming.opened(hop)
        self._log.report(HopOpened(hop.neighbour, hop.address, hop.security.name.lower(), not hop.calling))

    def hop_heard(self, hop: HopConnection, octets: bytes) -> None:
        """See `HopOwner.hop_heard`."""
        if not octets[1] & ANSWER_FLAG and not hop.calling:
            self._incoming.asked(hop, octets[_IDENTIFICATION])
        self._heard(hop.neighbour, octets)

    def hop_reading(self) -> None:
        """See `HopOwner.hop_reading`."""
        self._reading = True

    def hop_read(self) -> None:
        """See `HopOwner.hop_read`."""
        self._reading = False
        if self._said:
            self._flush()

    def hop_said(self, hop: HopConnection) -> None:
        """See `HopOwner.hop_said`."""
        if not self._said and not self._reading:
            self._reactor.callLater(0, self._flush)
        self._said.append(hop)

    def _flush(self) -> None:
        said, self._said = self._said, []
        for hop in said:
            hop.flush()

    def hop_resumed(self, hop: HopConnection) -> None:
        """See `HopOwner.hop_resumed`."""
        outgoing = self._outgoing.get(hop.neighbour) if hop.calling else None
        if outgoing is not None and outgoing.hop is hop:
            outgoing.resumed()

    def hop_closed(self, hop: HopConnection, why: str) -> None:
        """See `HopOwner.hop_closed`."""
        self._calling.discard(hop)
        self._incoming.closed(hop)
        if hop.stood:
            self._counts["closed"] += 1
            self._log.report(HopClosed(hop.neighbour, hop.address, not hop.calling, why))
            if hop.calling and hop.neighbour in self._outgoing:
                self._outgoing[hop.neighbour].closed(hop, why)
        elif not hop.calling:
            self._counts["refused"] += 1
            if self._drops.ration("hop", self._clock.now()):
                suppressed, self._suppressed = self._suppressed, 0
                self._log.report(HopRefused(hop.address, why, suppressed))
            else:
                self._suppressed += 1

    # -- life

    def open(self) -> None:
        """Let neighbours come."""
        self.ports.open()
        if not self._looking.running:
            self._looking.start(LOOK_EVERY, now=False)

    def reconfigure(self, neighbours: tuple[Hop, ...], listen: HopsListen, credentials: Credentials | None) -> None:
        """Go on by other settings and certificates; the ports are `HopPorts.settle`'s."""
        before, self._neighbours = self._neighbours, {hop.nai: hop for hop in neighbours}
        self._accept = frozenset(listen.accept)
        if credentials is not self._credentials:
            self._credentials, self._contexts = credentials, None
        for nai in [nai for nai in self._outgoing if before.get(nai) != self._neighbours.get(nai)]:
            self._outgoing.pop(nai).stop()
        for hop in self._incoming:
            if self.stranger(hop.neighbour, hop.security):
                hop.refuse(f"{hop.neighbour} is no neighbour any more")
        self._look()

    def _look(self) -> None:
        """Drop connections that nobody vouches for, and close those that nobody needs."""
        contexts = self._current()
        made = [outgoing.hop for outgoing in self._outgoing.values() if outgoing.hop is not None]
        for hop in (*made, *self._incoming):
            if isinstance(hop, TlsHop):
                hop.check(contexts)
        self._incoming.rest()
        for outgoing in self._outgoing.values():
            outgoing.rest()

    def close(self) -> Deferred[Any]:
        """Let nobody come any more, close all, and fire when all is closed."""
        self._stopped = True
        if self._looking.running:
            self._looking.stop()
        closing: list[Deferred[Any]] = self.ports.close()
        closing += [outgoing.stop() for outgoing in self._outgoing.values()]
        why = "this daemon is stopping"
        self._incoming.abort(why)
        for hop in (*self._incoming, *self._calling):
            gone: Deferred[Any] = Deferred()
            hop.gone.append(gone)
            closing.append(gone)
            hop.close(why)
        return DeferredList(closing, consumeErrors=True)

    # -- what is shown

    @property
    def counters(self) -> dict[str, int]:
        """What has happened, and how many there are, by name."""
        names = ("opened", "closed", "failed", "refused", "unreachable", "answers-lost")
        told = {f"hops.{name}": self._counts[name] for name in names}
        made = sum(outgoing.hop is not None for outgoing in self._outgoing.values())
        return told | {"hops.made": made, "hops.accepted": len(self._incoming)}

    def status(self) -> list[dict[str, Any]]:
        """Return every neighbour that is configured or has come, ready for JSON."""
        came = Counter(hop.neighbour for hop in self._incoming)
        told = []
        for nai in dict.fromkeys((*self._neighbours, *came)):
            outgoing = self._outgoing.get(nai)
            trouble = None if outgoing is None else outgoing.trouble
            told.append(
                {
                    "nai": nai,
                    "security": self.security(nai).name.lower(),
                    "state": "idle" if outgoing is None else outgoing.state,
                    "accepted": came[nai],
                    "why": "" if trouble is None else trouble[0],
                }
            )
        return told
