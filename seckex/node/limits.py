"""How much a node keeps, and whom it knows."""

from __future__ import annotations

from attrs import frozen

from seckex.crypto.authority import Registration
from seckex.crypto.certified import Certificates
from seckex.exchange.terms import Terms
from seckex.machine import Path


@frozen
class Flood:
    """How a node stands up to floods of OFFERs; see `seckex.node.gate`.

    ``cookies`` is "auto", "always" or "never"; ``threshold`` in unproved OFFERs
    a second; ``source_rate`` and ``source_burst`` are those of each source's
    buckets, a source being a prefix of so many bits; of ``sources`` so many are kept.
    """

    cookies: str = "auto"
    threshold: int = 200
    source_rate: float = 50
    source_burst: int = 200
    ipv4_prefix: int = 24
    ipv6_prefix: int = 48
    sources: int = 4096


@frozen
class Limits:
    """The most entries of each table; `seckex.node.answering` tells what happens at them."""

    half_open: int = 4096
    unconfirmed: int = 65536
    replay_records: int = 262144
    associations: int = 65536
    flood: Flood = Flood()


@frozen
class Peer:
    """A principal that this one knows; ``path`` is where it answers, None where it only asks."""

    terms: Terms
    path: Path | None = None

    @property
    def certified(self) -> bool:
        """Whether it proves its name by a certificate."""
        return isinstance(self.terms.authority, Certificates)

    @property
    def registered(self) -> bool:
        """Whether associations with it come of registering, and of no exchange."""
        return isinstance(self.terms.authority, Registration)
