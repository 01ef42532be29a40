"""A passage at an agent: a hop from a node, one to its home agent, and octets across (docs/passages.md, sections 4, 5).

The node is answered as soon as its OPEN has verified, and the home agent is
called meanwhile; octets pass when the node has proved who it is and the home
agent has accepted. A second hop that cannot be had, or ends, is told to the node
with a REFUSE where one can stand. The end of a direction goes through as one.

Bounds: `DIAL_WITHIN` seconds for the connection to the home agent; `HALF_FOR`
seconds for the second direction after the first has ended.
"""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress, IConnector
from twisted.internet.protocol import ClientFactory, Protocol, connectionDone
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure

from seckex.errors import ApiMisuse
from seckex.events.passages import PassageFailed
from seckex.net.passages.buffers import Buffers
from seckex.net.passages.port import Arrival, Make
from seckex.net.passages.sockets import HopSocket
from seckex.passage.faces import Admission, End, Ending
from seckex.passage.hop import HopEnd
from seckex.passage.pieces import NOTHING
from seckex.passage.relay import Across
from seckex.wire.numbers import Code
from seckex.wire.passage import NONCE_SIZE

DIAL_WITHIN: Final = 5.0
HALF_FOR: Final = 60.0

# What is read at once before the hop is open: no more than a first PROOF and a little behind it.
_FIRST: Final = 4096
_NO_OCTETS: Final = memoryview(b"")


class Leg(Protocol):
    """One of the two connections, with the hop over it."""

    transport: Connection

    def __init__(self, passage: RelayedPassage) -> None:
        self._passage = passage
        self.hop: HopEnd
        self.socket: HopSocket
        self.across: Across | None = None
        self.heard_all = False
        self.made = False
        self.gone = False

    def connectionMade(self) -> None:
        """Tell the passage."""
        self.made = True
        self._passage.connected(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell the passage."""
        self.gone = True
        self._passage.disconnected(self, reason)


class Dialing(ClientFactory):
    """Connects ``leg`` to the home agent."""

    noisy = False

    def __init__(self, leg: Leg) -> None:
        self._leg = leg

    def buildProtocol(self, _address: IAddress | None) -> Leg:
        """Return the leg."""
        return self._leg

    def clientConnectionFailed(self, _connector: IConnector, reason: Failure) -> None:
        """Tell the leg."""
        self._leg.connectionLost(reason)


class RelayedPassage:
    """See the module; ``buffers`` are shared by all of a process."""

    def __init__(self, arrival: Arrival, buffers: Buffers) -> None:
        onward = arrival.admitted.onward
        if onward is None:
            raise ApiMisuse("a passage that ends here is not relayed")
        self._arrival = arrival
        self._onward: Admission = onward
        self._terms = arrival.port.terms
        self._monotonic = self._terms.clock.monotonic
        self._buffers = buffers
        self._front, self._back = Leg(self), Leg(self)
        self._front.hop = arrival.hop
        self._connector: Any = None
        self._half_since: float | None = None
        self._joined = False
        self._over = False

    # What the port asks.

    @property
    def hop(self) -> HopEnd:
        """See `Passage`."""
        return self._front.hop

    @property
    def counted(self) -> HopEnd:
        """See `Passage`."""
        return self._back.hop

    def start(self) -> None:
        """Answer the node, and call the home agent."""
        transport = self._arrival.transport
        transport.protocol = self._front
        self._front.makeConnection(transport)
        onward = self._onward
        self._connector = self._terms.reactor.connectTCP(onward.host, onward.port, Dialing(self._back), DIAL_WITHIN)

    def tick(self, now: float) -> None:
        """See `Passage`."""
        for leg in (self._front, self._back):
            # Who is not read from may have proved what it sent.
            if leg.made and not self._over and (leg.socket.reading or not leg.hop.is_open):
                leg.hop.tick(now)
                if leg.hop.ending is not None:
                    self._ended(leg)
        if self._half_since is not None and now - self._half_since > HALF_FOR:
            self._stop(Ending(End.LOST, why="the other direction did not end"))

    def close(self, code: int, why: str) -> None:
        """See `Passage`."""
        self._stop(Ending(End.CLOSED, code, why))

    def abort(self, why: str) -> None:
        """See `Passage`."""
        self._stop(Ending(End.CLOSED, why=why))

    # What the connections tell.

    def connected(self, leg: Leg) -> None:
        """Say what comes first, and await an answer."""
        terms = self._terms
        if self._over:
            leg.transport.abortConnection()
            return
        if leg is self._back:
            leg.hop = HopEnd.calling(self._onward, terms.entropy(NONCE_SIZE), terms.clock.now())
        leg.socket = HopSocket(terms.reactor, leg.transport, self, self._buffers)
        leg.socket.most = _FIRST
        self._say(leg)
        leg.socket.read(True)

    def disconnected(self, leg: Leg, reason: Failure) -> None:
        """End the other hop too."""
        leg.gone = True
        if not self._over:
            why = "the connection was closed" if reason.check(ConnectionDone) else reason.getErrorMessage()
            if leg.made:
                leg.hop.lost(why)
                self._ended(leg)
            else:
                self._failed(why)
                self._stop(Ending(End.CLOSED, Code.CONNECT_FAILED, why))
        if self._front.gone and (self._back.gone or self._connector is None):
            self._arrival.port.gone(self)

    def came(self, at: HopSocket, octets: memoryview) -> int:
        """See `seckex.net.passages.sockets.Joint`."""
        leg = self._front if at is self._front.socket else self._back
        across, hop, now = leg.across, leg.hop, self._monotonic()
        if across is not None:
            used = across.take(octets, now)
            at.crowded = hop.crowded
        else:
            used = more = hop.take(octets, now, NOTHING)
            while more and used < len(octets) and hop.ending is None and not hop.is_open:
                more = hop.take(octets[used:], now, NOTHING)
                used += more
            if hop.is_open:
                at.read(False)
                self._say(leg)
                self._terms.reactor.callLater(0, self._opened, leg)
        if hop.ending is not None:
            # Not before what comes before the end has been sent.
            at.read(False)
            self._terms.reactor.callLater(0, self._ended, leg)
        return used

    def came_to_end(self, at: HopSocket) -> None:
        """See `seckex.net.passages.sockets.Joint`."""
        leg, other = (self._front, self._back) if at is self._front.socket else (self._back, self._front)
        if at.unused or leg.across is None:
            leg.hop.lost("the connection ended before all was said and proved")
        if not leg.hop.ended_by_peer():
            self._ended(leg)
            return
        leg.heard_all = True
        other.socket.end()
        self._half_since = self._monotonic()
        if other.heard_all:
            self._over = True
            for each in (leg, other):
                each.hop.finished()
                each.socket.finish()

    def drained(self, at: HopSocket) -> None:
        """See `seckex.net.passages.sockets.Joint`."""
        if self._joined and not self._over:
            self._go_on(self._back if at is self._front.socket else self._front)

    # The rest.

    def _say(self, leg: Leg) -> None:
        now = self._monotonic()
        while octets := b"".join(leg.hop.gather(_NO_OCTETS, now)):
            leg.socket.say(octets)
            leg.hop.sent(len(octets), now)

    def _opened(self, leg: Leg) -> None:
        """Join both hops when both are open."""
        front, back = self._front, self._back
        if leg is front:
            self._arrival.port.proved(self)
        if self._over or self._joined or not (front.hop.is_open and back.made and back.hop.is_open):
            return
        self._joined = True
        for one, other in ((front, back), (back, front)):
            one.across = Across(one.hop, other.hop)
            one.socket.onward = other.socket
            one.socket.most = None
        back.socket.say(front.across.begin(self._monotonic()) if front.across is not None else b"")
        self._arrival.port.carries(self)
        for each in (front, back):
            if each.socket.unused and not self._over:
                each.socket.use()
            self._go_on(each)

    def _go_on(self, leg: Leg) -> None:
        onward = leg.socket.onward
        if onward is not None and not onward.waiting and not leg.heard_all and leg.hop.ending is None:
            if leg.socket.crowded:
                leg.socket.use_soon()
                return
            leg.hop.arriving.resumed(self._monotonic())
            leg.socket.read(True)

    def _ended(self, leg: Leg) -> None:
        """End the passage, since this hop has ended."""
        ending = leg.hop.ending
        if self._over or ending is None:
            return
        if leg is self._front:
            self._stop(Ending(End.CLOSED, why=f"the node's hop: {ending}"))
            return
        if not self._joined:
            self._failed(str(ending))
        self._stop(Ending(End.CLOSED, _told(ending), f"the home agent's hop: {ending}"))

    def _failed(self, why: str) -> None:
        port, onward = self._arrival.port, self._onward
        port.failed()
        address = f"{onward.host} port {onward.port}"
        port.tell_rationed(lambda suppressed: PassageFailed(onward.callee, address, why, suppressed))

    def _stop(self, ending: Ending) -> None:
        """End what has not ended, with a REFUSE to the node where there can be one."""
        if self._over:
            return
        self._over = True
        front, back = self._front, self._back
        if ending.code and (not self._joined or back.hop.between_frames):
            front.hop.refuse(ending.code, ending.why)
        front.hop.stop(ending)
        if front.hop.wants_to_say and not front.gone:
            self._say(front)
            front.socket.finish()
        elif not front.gone:
            front.socket.abort()
        if back.made:
            back.hop.stop(ending)
            back.socket.abort()
        elif not back.gone and self._connector is not None:
            self._connector.disconnect()


def _told(ending: Ending) -> int:
    """Return the code for the node of how the hop to the home agent has ended."""
    if ending.end is End.TIMED_OUT:
        return Code.AGENT_TIMEOUT
    if ending.end is not End.REFUSED:
        return Code.CONNECT_FAILED
    # The home agent does not know our association with it: the node's registration is over.
    return Code.UNKNOWN_ASSOCIATION if ending.code == Code.FAILED_AUTHENTICATION else ending.code


def relaying() -> Make:
    """Return what makes passages of an agent, with buffers for all of them."""
    buffers = Buffers()
    return lambda arrival: RelayedPassage(arrival, buffers)
