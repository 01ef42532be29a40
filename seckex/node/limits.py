"""How much a node keeps, and whom it knows."""

from __future__ import annotations

from attrs import frozen

from seckex.exchange.terms import Terms
from seckex.machine import Path


@frozen
class Limits:
    """The most entries of each table; `seckex.node.answering` tells what happens at them."""

    half_open: int = 4096
    unconfirmed: int = 65536
    replay_records: int = 262144
    associations: int = 65536


@frozen
class Peer:
    """A principal that this one knows; ``path`` is where it answers, None where it only asks."""

    terms: Terms
    path: Path | None = None
