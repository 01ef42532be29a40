"""The security association database: every live association, by SPI and by peer.

Indexed by the SPI that names it in what comes to us; its keys and lifetimes
are in the store as well, how much it has carried is not. At the limit new
associations are refused; none that lives is ever dropped for another.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Final

from attrs import define

from seckex.sa.association import Association

# So many entries of removed associations may wait for their expiry beside one for each that lives.
_SPARE: Final = 64


@define
class Usage:
    """What an association has carried since the daemon started, in octets of plaintext."""

    octets_in: int = 0
    octets_out: int = 0


class AssociationTable:
    """At most ``limit`` associations."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._by_spi: dict[int, Association] = {}
        self._by_peer: dict[str, dict[int, None]] = {}
        self._usage: dict[int, Usage] = {}
        self._until: dict[int, float] = {}
        self._expiry: list[tuple[float, int]] = []

    def __len__(self) -> int:
        return len(self._by_spi)

    def __iter__(self) -> Iterator[Association]:
        return iter(self._by_spi.values())

    def add(self, association: Association) -> None:
        """Keep ``association``, or its newer version under the same SPI."""
        spi = association.spi_in
        if spi not in self._by_spi:
            heapq.heappush(self._expiry, (association.expires, spi))
            self._by_peer.setdefault(association.peer, {})[spi] = None
        self._by_spi[spi] = association

    def get(self, spi_in: int) -> Association | None:
        """Return the association that ``spi_in`` names."""
        return self._by_spi.get(spi_in)

    def usage(self, spi_in: int) -> Usage:
        """Return the counters of a live association; they are made when first asked for."""
        return self._usage.setdefault(spi_in, Usage())

    def held(self, peer: str) -> tuple[Association, ...]:
        """Return the associations with ``peer`` in the order in which they came, whatever the clock said then."""
        return tuple(self._by_spi[spi] for spi in self._by_peer.get(peer, ()))

    def newest(self, peer: str) -> Association | None:
        """Return the youngest association with ``peer``."""
        spis = self._by_peer.get(peer)
        return self._by_spi[next(reversed(spis))] if spis else None

    def remove(self, spi_in: int) -> Association | None:
        """Forget one."""
        association = self._by_spi.pop(spi_in, None)
        if association is not None:
            self._usage.pop(spi_in, None)
            self._until.pop(spi_in, None)
            spis = self._by_peer[association.peer]
            del spis[spi_in]
            if not spis:
                del self._by_peer[association.peer]
            if len(self._expiry) > 2 * len(self._by_spi) + _SPARE:
                self._expiry = [(one.expires, spi) for spi, one in self._by_spi.items()]
                heapq.heapify(self._expiry)
        return association

    def expired(self, now: float) -> Iterator[Association]:
        """Take out and yield what has expired at ``now`` (wall-clock seconds)."""
        while self._expiry and self._expiry[0][0] <= now:
            spi = heapq.heappop(self._expiry)[1]
            association = self._by_spi.get(spi)
            # The entry may be of another one that was removed and had the same SPI.
            if association is not None and association.expires <= now:
                self.remove(spi)
                yield association

    def outlived(self, now: float) -> Iterator[Association]:
        """Take out and yield what has been here for its lifetime at ``now`` (monotonic), as counted from the last look.

        A wall clock that was set back after they were made would have them live on.
        """
        for spi, association in tuple(self._by_spi.items()):
            if self._until.setdefault(spi, now + association.agreement.lifetime) <= now:
                self.remove(spi)
                yield association

    def next_expiry(self) -> float | None:
        """Return the wall-clock time at which `expired` may have something to yield."""
        return self._expiry[0][0] if self._expiry else None
