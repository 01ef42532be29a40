"""A responder that holds associations: ``python -m benchmarks.holder KEY0 COUNT keep|let-go < OFFERS``.

Reads offers, each behind its length in 32 bits, has its node answer them and
takes each association as confirmed, as a link's first record does. With
"let-go" time passes beyond every replay window now and then, so that what is
remembered of requests goes and associations stay. Prints KiB of resident memory for each
association, those before the first taken off.
"""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from typing import Final

from benchmarks.offers import terms_of
from seckex.config.load import read_key0
from seckex.exchange.terms import Terms
from seckex.machine import Now
from seckex.machine import Path as Address
from seckex.node.actions import Commit, NodeAction
from seckex.node.limits import Flood, Limits, Peer
from seckex.node.node import Node
from seckex.sa.store import Outcome, Snapshot

WALL: Final = 1_790_000_000.0
BATCH: Final = 1000
_WINDOW: Final = 700.0
WARM: Final = 1000
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def wall(number: int, let_go: bool) -> float:
    """Return the time at which offer ``number`` is made and answered."""
    return WALL + (number // BATCH) * (_WINDOW if let_go else 0.001)


def resident() -> int:
    """Return the resident memory of this process in octets."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE


class Holder:
    """The responder's node, with a store that keeps nothing and says yes."""

    def __init__(self, terms: Terms, most: int) -> None:
        limits = Limits(most, most, most, most, Flood(cookies="never", source_rate=1e9, source_burst=10**9))
        self.node = Node(terms.local, [Peer(terms)], os.urandom, limits)
        self._here = Address("192.0.2.1", 4434)
        self._run(self.node.start(Snapshot((), ()), Now(0, WALL)), Now(0, WALL))

    def _run(self, actions: list[NodeAction], now: Now) -> None:
        for action in actions:
            if isinstance(action, Commit):
                self._run(self.node.committed(action.token, Outcome.STORED, now), now)

    def take(self, offer: bytes, at: float) -> None:
        """Answer an offer, and take what comes of it as confirmed."""
        now = Now(at - WALL, at)
        self._run(self.node.receive(offer, self._here, now), now)
        association = self.node.associations.newest(self._peer)
        if association is None:
            raise SystemExit("an offer has led to no association")
        self._run(self.node.proved(association.spi_in, now), now)

    def pass_time(self, at: float) -> None:
        """Have the node do what is due."""
        now = Now(at - WALL, at)
        self._run(self.node.tick(now), now)

    @property
    def _peer(self) -> str:
        return next(iter(self.node.peers))


def main() -> None:
    """Run as the command line says."""
    key, count, let_go = read_key0(Path(sys.argv[1])), int(sys.argv[2]), sys.argv[3] == "let-go"
    holder = Holder(terms_of(key, responder=True), 2 * (count + WARM))
    before = 0
    for number in range(count + WARM):
        if number == WARM:
            before = resident()
        size = int.from_bytes(sys.stdin.buffer.read(4), "big")
        at = wall(number, let_go)
        if number % BATCH == 0:
            holder.pass_time(at)
        holder.take(sys.stdin.buffer.read(size), at)
    if let_go:
        holder.pass_time(at + _WINDOW)
    held = len(holder.node.associations)
    if held != count + WARM:
        raise SystemExit(f"{held} associations are held, not {count + WARM}")
    print((resident() - before) / count / 1024, flush=True)


if __name__ == "__main__":
    main()
