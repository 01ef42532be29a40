"""The hops that neighbours have made to us.

Limits: `MOST_UNPROVED` connections that have not proved a name, of which the
oldest gives way to a further one; `MOST_HOPS_IN` that have, beyond which a
further one is refused; `MOST_OF_ONE` of one neighbour, of which the one that was
used least recently gives way. One over which nothing has come or gone for
`IDLE_FOR` seconds is closed: longer than the caller waits, so that it is the one to close.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import ServerFactory

from seckex.crypto.tls import HopContexts
from seckex.net.hops.connection import HopConnection, HopOwner, TlsHop

MOST_UNPROVED: Final = 256
MOST_HOPS_IN: Final = 1024
MOST_OF_ONE: Final = 8
MOST_ASKED: Final = 16384
IDLE_FOR: Final = 900.0


class Incoming:
    """All of them, and who has asked what, so that an answer goes where it was asked for."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._unproved: dict[HopConnection, None] = {}
        self._by_neighbour: dict[str, list[HopConnection]] = {}
        self._asked: dict[tuple[str, bytes], HopConnection] = {}

    def __iter__(self) -> Iterator[HopConnection]:
        return (hop for hops in tuple(self._by_neighbour.values()) for hop in tuple(hops))

    def __len__(self) -> int:
        return sum(map(len, self._by_neighbour.values()))

    @property
    def unproved(self) -> int:
        """How many have not proved a name."""
        return len(self._unproved)

    def accepted(self, hop: HopConnection) -> None:
        """Count a connection that has proved nothing yet."""
        if len(self._unproved) >= MOST_UNPROVED:
            oldest = next(iter(self._unproved))
            # It goes later than the next one may come.
            del self._unproved[oldest]
            oldest.abort("too many have not proved their names")
        self._unproved[hop] = None
        # What comes of it is told to its owner.
        hop.opened.addErrback(lambda _: None)

    def objection(self) -> str:
        """Return why there may not be one more, empty if there may."""
        return f"there are {MOST_HOPS_IN} hops already" if len(self) >= MOST_HOPS_IN else ""

    def opened(self, hop: HopConnection) -> None:
        """Count one that may be used."""
        self._unproved.pop(hop, None)
        hops = self._by_neighbour.setdefault(hop.neighbour, [])
        # Those that were closed go later than the next one may come.
        standing = [each for each in hops if each.standing]
        if len(standing) >= MOST_OF_ONE:
            min(standing, key=lambda each: each.used).close(f"{hop.neighbour} has more than {MOST_OF_ONE}")
        hops.append(hop)

    def closed(self, hop: HopConnection) -> None:
        """Forget one."""
        self._unproved.pop(hop, None)
        hops = self._by_neighbour.get(hop.neighbour, [])
        if hop in hops:
            hops.remove(hop)
            if not hops:
                del self._by_neighbour[hop.neighbour]

    def asked(self, hop: HopConnection, identification: bytes) -> None:
        """Remember over which connection a request came; the oldest is forgotten at the limit."""
        asked = self._asked
        asked[hop.neighbour, identification] = hop
        if len(asked) > MOST_ASKED:
            del asked[next(iter(asked))]

    def answer(self, neighbour: str, identification: bytes) -> HopConnection | None:
        """Return where to say an answer: where it was asked for if that stands, or over another of the neighbour's."""
        hop = self._asked.pop((neighbour, identification), None)
        return hop if hop is not None and hop.standing else self.newest(neighbour)

    def newest(self, neighbour: str) -> HopConnection | None:
        """Return the hop that a neighbour has made last, of those that stand."""
        hops = self._by_neighbour.get(neighbour, ())
        return next((hop for hop in reversed(hops) if hop.standing), None)

    def rest(self) -> None:
        """Close what nobody needs."""
        for hop in self:
            if hop.used < self._reactor.seconds() - IDLE_FOR:
                hop.close("nobody has used it")

    def abort(self, why: str) -> None:
        """Drop those that have proved nothing."""
        for hop in tuple(self._unproved):
            hop.abort(why)


class HopFactory(ServerFactory):
    """Makes our ends of connections by TLS, from what ``contexts`` returns; ``accepted`` is told of each."""

    noisy = False

    def __init__(
        self,
        reactor: Any,
        owner: HopOwner,
        contexts: Callable[[], HopContexts | None],
        accepted: Callable[[HopConnection], None],
    ) -> None:
        self._reactor = reactor
        self._owner = owner
        self._contexts = contexts
        self._accepted = accepted

    def buildProtocol(self, addr: IAddress | None) -> TlsHop | None:  # noqa: ARG002  # who it is must be proved
        """Return the protocol of a new connection, None where we have no certificates to show."""
        contexts = self._contexts()
        if contexts is None:
            return None
        hop = TlsHop(self._reactor, self._owner, contexts, calling=False)
        self._accepted(hop)
        return hop
