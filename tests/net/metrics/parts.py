"""A daemon that tells what the test says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seckex.net.metrics import catalogue
from seckex.net.metrics.gathering import Durations, Gathering, Source
from seckex.net.metrics.health import Check
from seckex.net.principal import Clock
from seckex.net.usage import Traffic
from seckex.node.associations import AssociationTable
from seckex.node.histogram import Histogram


class Told:
    """What a daemon counts, measures and checks; and a clock that the test turns."""

    def __init__(self, role: str = "responder", counters: Mapping[str, int] | None = None) -> None:
        self.counters: dict[str, int] = dict(counters or {})
        self.checks = [Check("running"), Check("store")]
        self.measured: dict[catalogue.Family, Histogram] = {catalogue.COMMITS: Histogram()}
        self.monotonic = 100.0
        self.lag = 0.0
        table: Any = AssociationTable
        self.traffic = Traffic(table.__new__(table))
        self.durations = Durations(Clock(lambda: self.monotonic, lambda: 0.0))
        source = Source(role, 1234.5, lambda: self.counters, lambda: self.checks, lambda: self.measured)
        self.gathering = Gathering(source, self.traffic, self.durations, lambda: self.lag)
