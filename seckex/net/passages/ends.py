"""A home agent's end of passages: a link in each, under the KEY 1 that came of the same registration, and no other."""

from __future__ import annotations

from collections.abc import Callable

from seckex.dialog.faces import LinkAssociation
from seckex.dialog.link import Link
from seckex.net.passages.descriptor import Through
from seckex.net.passages.port import Arrival
from seckex.net.stream import LinkConnection, LinkPort
from seckex.passage.hop import HopEnd


class LinkPassage:
    """See `seckex.net.passages.terms.Passage`."""

    def __init__(self, arrival: Arrival, links: LinkPort, find: Callable[[int], LinkAssociation | None]) -> None:
        self.hop = self.counted = arrival.hop
        self._arrival = arrival
        self._links = links
        self._find = find
        self._connection: LinkConnection | None = None

    def start(self) -> None:
        """Make the connection a link's."""
        arrival = self._arrival
        through = Through(self._begin, self._opened, self._ended)
        transport, connection = arrival.transport, self._links.accept(self._admitted, through)
        if connection is None:
            self.hop.lost("there are too many links")
            transport.abortConnection()
            arrival.port.gone(self)
            return
        self._connection = connection
        transport.protocol = connection
        connection.makeConnection(transport)

    def _begin(self, link: Link) -> HopEnd:
        self.hop.attach(link)
        return self.hop

    def _admitted(self, spi: int) -> LinkAssociation | None:
        return self._find(spi) if spi == self._arrival.admitted.link else None

    def _opened(self, _hop: HopEnd) -> None:
        self._arrival.port.proved(self)
        self._arrival.port.carries(self)

    def _ended(self, _hop: HopEnd) -> None:
        self._arrival.port.gone(self)

    def tick(self, now: float) -> None:
        """Nothing: the connection has a timer while something is due."""

    def close(self, code: int, why: str) -> None:
        """End it, and tell the agent so."""
        if self._connection is not None:
            self._connection.refuse(code, why)

    def abort(self, why: str) -> None:
        """End it at once."""
        self.hop.lost(why)
        if self._connection is not None:
            self._connection.abort()


def ends(links: LinkPort, find: Callable[[int], LinkAssociation | None]) -> Callable[[Arrival], LinkPassage]:
    """Return what makes a passage's end of a connection at a home agent."""
    return lambda arrival: LinkPassage(arrival, links, find)
