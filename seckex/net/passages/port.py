"""Who calls for a passage: from the first octet to ACCEPT, how many there may be, and what becomes of them.

`PassagePort` reads OPEN from a connection and nothing beyond it, lets
`seckex.passage` judge it, and gives what was accepted to whoever goes on with
it: an agent's relay where there is a second hop, the links of a home agent
where there is none. A passage keeps its port informed: `opened` when the caller
has proved who it is, and `joined` when it carries, `gone` when its connections are gone.

Bounds: of callers whose OPEN has not come, or was refused and who have not gone
yet, there are `MOST_SILENT`, each for `OPEN_WITHIN` seconds, and `LINGER` after a
refusal; for one more the oldest is dropped. Passages are
``most`` in all and ``of_one`` under one association; for one more the oldest that
has not been proved is dropped, and where there is none it is refused (code 130). So is
one that is opened too soon under one association: `OPEN_RATE` a second, after a burst of
`OPEN_BURST`. Each has an agent call, and leaves an account and lines in logs, so that one
visitor could have those of all others give way.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall, IReadDescriptor
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure
from zope.interface import implementer

from seckex.events.passages import PassageClosed, PassageOpened, PassageRefused
from seckex.net.descriptor import LINGER
from seckex.net.passages.accounts import Account
from seckex.net.passages.terms import Passage, PassageTerms
from seckex.node.buckets import Buckets
from seckex.passage.carrying import TICK
from seckex.passage.faces import OPEN_WITHIN, Admitted, End, Ending, Party
from seckex.passage.hop import HopEnd
from seckex.passage.opening import ExpectOpen
from seckex.passage.pieces import NOTHING
from seckex.passage.times import Times
from seckex.wire.numbers import Code
from seckex.wire.passage import NONCE_SIZE, OPEN_SIZE

MOST_SILENT: Final = 256
OPEN_RATE: Final = 2.0
OPEN_BURST: Final = 32
_MOST_RATED: Final = 65536

#: Makes a passage of a hop that was accepted; ``arrival`` has the connection.
Make = Callable[["Arrival"], Passage]


@frozen
class Arrival:
    """A hop that was accepted, at its caller's connection, which is not read from; ACCEPT is to be said.

    Whoever takes it makes its own protocol that of the transport.
    """

    hop: HopEnd
    admitted: Admitted
    transport: Connection
    port: PassagePort

    @property
    def address(self) -> str:
        """Where the caller is."""
        return str(self.transport.getPeer().host)


@implementer(IReadDescriptor)
class Caller(Protocol):
    """A connection over which OPEN is to come."""

    transport: Connection

    def __init__(self, port: PassagePort, terms: PassageTerms, hop: HopEnd) -> None:
        self._port = port
        self._terms = terms
        self._octets = bytearray()
        self._timer: IDelayedCall | None = None
        self._reading = False
        self._number = -1
        self._socket: socket.socket
        self.hop = hop

    def connectionMade(self) -> None:
        """Read in place of the transport, which would take more than OPEN."""
        self.transport.pauseProducing()
        self._socket = self.transport.getHandle()
        # As long as this is registered the number stays the same, even where the socket is closed meanwhile.
        self._number = self._socket.fileno()
        self._timer = self._terms.reactor.callLater(OPEN_WITHIN, self.abort)
        self._reading = True
        self._terms.reactor.addReader(self)

    def fileno(self) -> int:
        """Return the number of the socket."""
        return self._number

    def logPrefix(self) -> str:
        """Return what log lines begin with."""
        return "passage"

    def doRead(self) -> Exception | None:  # type: ignore[override]  # the interface says Failure, the reactor takes these
        """Read OPEN, as far as it has come."""
        try:
            octets = self._socket.recv(OPEN_SIZE - len(self._octets))
        except BlockingIOError:
            return None
        except OSError:
            return CONNECTION_LOST
        if not octets:
            return CONNECTION_DONE
        self._octets += octets
        if len(self._octets) == OPEN_SIZE:
            self._leave()
            self._port.called(self, memoryview(bytes(self._octets)))
        return None

    def refuse(self) -> None:
        """Say why, if anything is to be said, and disconnect.

        What the caller has sent already is thrown away, so that it hears the REFUSE and not a reset.
        """
        refusal = self.hop.gather(memoryview(b""), 0.0)
        if not refusal:
            self.abort()
            return
        self._timer = self._terms.reactor.callLater(LINGER, self.abort)
        self.transport.resumeProducing()
        self.transport.writeSequence([bytes(each) for each in refusal])
        self.transport.loseWriteConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Take note of the end, be it the reactor or the transport that tells of it."""
        reading = self._reading
        self._leave()
        self._port.forget(self)
        if reading:
            self.transport.connectionLost(reason)

    def abort(self) -> None:
        """Disconnect now."""
        self._leave()
        self.transport.abortConnection()

    def _leave(self) -> None:
        if self._reading:
            self._reading = False
            self._terms.reactor.removeReader(self)
        if self._timer is not None and self._timer.active():
            self._timer.cancel()


class PassagePort:
    """See the module.

    ``admitted`` finds what an SPI of ours stands for; ``relay`` and ``end`` make passages with and without a second
    hop, None where there are none such here.
    """

    def __init__(
        self,
        terms: PassageTerms,
        admitted: Callable[[int], Admitted | None],
        *,
        relay: Make | None = None,
        end: Make | None = None,
        most: int = 4096,
        of_one: int = 4,
    ) -> None:
        self.terms = terms
        self._admitted = admitted
        self._relay = relay
        self._end = end
        self._most = most
        self._of_one = of_one
        self._times = Times()
        self._rates = Buckets(OPEN_RATE, OPEN_BURST, _MOST_RATED)
        self._silent: dict[Caller, None] = {}
        self._by_spi: dict[int, dict[Passage, Arrival]] = {}
        self._unproved: dict[Passage, int] = {}
        self._accounts: dict[Passage, Account] = {}
        self._count = 0
        self._ticking: IDelayedCall | None = None
        self._suppressed = 0
        self._stopping: Deferred[None] | None = None
        self._counts: Counter[str] = Counter()

    def reconfigure(self, most: int, of_one: int) -> None:
        """Have other bounds from now on; what stands may stay."""
        self._most = most
        self._of_one = of_one

    def __iter__(self) -> Iterator[Passage]:
        return (each for passages in tuple(self._by_spi.values()) for each in tuple(passages))

    def carrying(self) -> Iterator[tuple[Passage, str, Party, float]]:
        """Yield those that carry: where from, whose, and since when (wall clock)."""
        for passage, account in tuple(self._accounts.items()):
            arrival = self._arrival(passage)
            if arrival is not None:
                yield passage, arrival.address, arrival.admitted.who, account.began

    @property
    def counters(self) -> dict[str, int]:
        """Every counter, by name."""
        named = ("opened", "closed", "refused", "dropped", "unproved", "failed")
        counted = {f"passages.{name}": self._counts[name] for name in named}
        return counted | {"passages.standing": self._count - len(self._unproved)}

    # -- who calls

    def buildProtocol(self, _address: IAddress | None) -> Caller | None:
        """Return the protocol of a connection that begins as OPEN does; None where nobody is let in any more."""
        if self._stopping is not None:
            return None
        if len(self._silent) >= MOST_SILENT:
            self._counts["dropped"] += 1
            oldest = next(iter(self._silent))
            self.forget(oldest)
            oldest.abort()
        terms = self.terms
        awaiting = ExpectOpen(terms.entropy(NONCE_SIZE), self._admitted, self._verdict, self._times)
        caller = Caller(self, terms, HopEnd.called(awaiting, terms.clock.now()))
        self._silent[caller] = None
        return caller

    def forget(self, caller: Caller) -> None:
        """Take note that a caller is silent no more, or gone."""
        self._silent.pop(caller, None)

    def called(self, caller: Caller, octets: memoryview) -> None:
        """Take an OPEN."""
        hop = caller.hop
        hop.take(octets, self.terms.clock.monotonic(), NOTHING)
        admitted, ending = hop.admitted, hop.ending
        if ending is not None or admitted is None:
            self._turned_away(caller.transport, ending or Ending(End.FOREIGN))
            caller.refuse()
            return
        self.forget(caller)
        arrival = Arrival(hop, admitted, caller.transport, self)
        make = self._maker(admitted)
        if make is not None:
            passage = make(arrival)
            self._by_spi.setdefault(admitted.spi, {})[passage] = arrival
            self._unproved[passage] = admitted.spi
            self._count += 1
            passage.start()
            self._tick_on()

    def _maker(self, admitted: Admitted) -> Make | None:
        return self._end if admitted.onward is None else self._relay

    def _verdict(self, admitted: Admitted) -> Code | None:
        """Return why there may not be one more, and make room where that can be had."""
        if self._maker(admitted) is None or not self._most:
            return Code.PROHIBITED
        if not self._rates.take((admitted.hop, admitted.spi), self.terms.clock.monotonic()):
            return Code.INSUFFICIENT_RESOURCES
        siblings = self._by_spi.get(admitted.spi, {})
        if len(siblings) >= self._of_one:
            if not self._drop([passage for passage in siblings if passage in self._unproved]):
                return Code.INSUFFICIENT_RESOURCES
        elif self._count >= self._most and not self._drop(self._unproved):
            return Code.INSUFFICIENT_RESOURCES
        return None

    def _drop(self, unproved: list[Passage] | dict[Passage, int]) -> bool:
        """Drop the oldest of those that have not been proved, if there are any."""
        oldest = next(iter(unproved), None)
        if oldest is None:
            return False
        self._counts["dropped"] += 1
        self._remove(oldest)
        oldest.abort("another caller takes its place")
        return True

    def _turned_away(self, transport: Connection, ending: Ending) -> None:
        self._counts["refused"] += 1
        self.tell_rationed(
            lambda suppressed: PassageRefused(transport.getPeer().host, ending.code, ending.why, suppressed)
        )

    def tell_rationed(self, event: Callable[[int], Any]) -> None:
        """Report what anybody can cause; ``event`` is given how many were not reported before."""
        if self.terms.may_report("passage"):
            suppressed, self._suppressed = self._suppressed, 0
            self.terms.report(event(suppressed))
        else:
            self._suppressed += 1

    # -- what passages tell

    def proved(self, passage: Passage) -> None:
        """Take note that the caller has proved who it is."""
        self._unproved.pop(passage, None)

    def failed(self) -> None:
        """Count a second hop that could not be had."""
        self._counts["failed"] += 1

    def carries(self, passage: Passage) -> None:
        """Take note that a passage carries from now on, over both hops."""
        arrival = self._arrival(passage)
        if arrival is not None:
            self._counts["opened"] += 1
            who, now = arrival.admitted.who, self.terms.clock.now()
            self._accounts[passage] = Account(passage.counted, who, self.terms.accounted, now)
            self.terms.report(PassageOpened(arrival.address, who.domain, who.pseudonym.hex(), who.node))

    def gone(self, passage: Passage) -> None:
        """Take note that the connections of a passage are gone."""
        self._remove(passage)

    def _arrival(self, passage: Passage) -> Arrival | None:
        admitted = passage.hop.admitted
        return None if admitted is None else self._by_spi.get(admitted.spi, {}).get(passage)

    def _remove(self, passage: Passage) -> None:
        arrival = self._arrival(passage)
        if arrival is None:
            return
        spi = arrival.admitted.spi
        del self._by_spi[spi][passage]
        if not self._by_spi[spi]:
            del self._by_spi[spi]
        self._count -= 1
        if self._unproved.pop(passage, None) is not None:
            self._counts["unproved"] += 1
        self._end_account(passage, arrival)
        if self._stopping is not None and not self._count and not self._stopping.called:
            self._stopping.callback(None)

    def _end_account(self, passage: Passage, arrival: Arrival | None = None) -> None:
        account, arrival = self._accounts.pop(passage, None), arrival or self._arrival(passage)
        if account is None or arrival is None:
            return
        self._counts["closed"] += 1
        account.end(self.terms.clock.now())
        who, hop = arrival.admitted.who, passage.counted
        figures = hop.figures(who, 0.0, 0.0)
        why = str(passage.hop.ending or hop.ending or "")
        address, pseudonym = arrival.address, who.pseudonym.hex()
        octets = figures.outward.carried, figures.inward.carried
        self.terms.report(PassageClosed(address, who.domain, pseudonym, who.node, why, *octets))

    # -- time and end

    def close_all(self, spi: int, code: int, why: str) -> None:
        """Close the passages that were opened by this SPI of ours: what admitted them has ended."""
        self._times.forget(spi)
        for passage in tuple(self._by_spi.get(spi, ())):
            passage.close(code, why)

    def close(self) -> Deferred[None]:
        """Let nobody in any more and close all passages; fire when their connections are gone."""
        done = self._stopping = Deferred()
        for caller in tuple(self._silent):
            caller.abort()
        for passage in self:
            passage.close(Code.SHUTTING_DOWN, "this daemon is stopping")
            # Who keeps accounts stops as well, and does not wait for connections.
            self._end_account(passage)
        if self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None
        if not self._count and not done.called:
            done.callback(None)
        return done

    def _tick_on(self) -> None:
        if self._ticking is None and self._stopping is None:
            self._ticking = self.terms.reactor.callLater(TICK, self._tick)

    def _tick(self) -> None:
        self._ticking = None
        now = self.terms.clock.now()
        for passage in self:
            passage.tick(now.monotonic)
        for account in tuple(self._accounts.values()):
            account.tick(now)
        self._rates.expire(now.monotonic)
        if self._count:
            self._tick_on()
