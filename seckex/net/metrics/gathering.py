"""What is scraped, as it is at one moment: taken in the reactor's turn, shown in a thread.

A snapshot is numbers and nothing that changes, so that whoever shows it needs no lock. It costs the
reactor well under a millisecond, whatever the tables hold: their sizes are known, nothing is
walked but the links that are open.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from attrs import define, field, frozen

from seckex import __version__
from seckex.events import Event, NegotiationFailed, NegotiationRefused
from seckex.events.mobile_node import Moved, Registered, RegistrationSent
from seckex.net.log import EventLog
from seckex.net.metrics import catalogue
from seckex.net.metrics.catalogue import Family, place_of
from seckex.net.metrics.health import Check
from seckex.net.principal import Clock
from seckex.net.usage import Traffic
from seckex.node.histogram import SLOW, Histogram

# Of so many registrations that are under way it is known when they began; a node has one home agent.
_MOST_BEGUN: Final = 16


@frozen
class Distribution:
    """A histogram at one moment."""

    bounds: tuple[float, ...]
    cumulated: tuple[int, ...]
    total: float

    @classmethod
    def of(cls, histogram: Histogram) -> Distribution:
        """Return it as it is now."""
        return cls(histogram.bounds, histogram.cumulated(), histogram.total)


@frozen
class Gathered:
    """Numbers by family and label, and histograms."""

    role: str
    numbers: Mapping[Family, tuple[tuple[str, float], ...]]
    distributions: Mapping[Family, Distribution]


@frozen
class Source:
    """What a daemon tells: its role, when it ``started`` (wall clock), its counters, whether it is ready, durations."""

    role: str
    started: float
    counted: Callable[[], Mapping[str, int]]
    checks: Callable[[], list[Check]]
    histograms: Callable[[], Mapping[Family, Histogram]]


@define
class Durations:
    """How long registering took, and how long dialogs stood still at moves: learnt of a mobile node's events."""

    clock: Clock
    registration: Histogram = field(factory=lambda: Histogram(SLOW), init=False)
    pause: Histogram = field(factory=lambda: Histogram(SLOW), init=False)
    _begun: dict[str, float] = field(factory=dict, init=False)

    def watch(self, log: EventLog) -> Callable[[], None]:
        """Hear events from now on; return what ends that."""
        return log.subscribe(self._heard)

    def _heard(self, _at: float, event: Event) -> None:
        match event:
            case RegistrationSent(lifetime=lifetime) if lifetime:
                if len(self._begun) < _MOST_BEGUN:
                    self._begun.setdefault(event.peer, self.clock.monotonic())
            case Registered():
                begun = self._begun.pop(event.peer, None)
                if begun is not None:
                    self.registration.observe(self.clock.monotonic() - begun)
            case NegotiationFailed() | NegotiationRefused():
                self._begun.pop(event.peer, None)
            case Moved():
                self.pause.observe(event.pause)


@define
class Gathering:
    """Takes snapshots of a daemon."""

    source: Source
    traffic: Traffic
    durations: Durations
    lag: Callable[[], float]

    def gather(self) -> Gathered:
        """Return everything as it is now."""
        source, traffic = self.source, self.traffic
        numbers: dict[Family, list[tuple[str, float]]] = {}
        for name, count in source.counted().items():
            family, label = place_of(name)
            numbers.setdefault(family, []).append((label, float(count)))
        octets_in, octets_out = traffic.in_all()
        numbers |= {
            catalogue.INFO: [(__version__, 1.0)],
            catalogue.STARTED: [("", source.started)],
            catalogue.LAG: [("", self.lag())],
            catalogue.READY: [(check.name, float(not check.why)) for check in source.checks()],
            catalogue.LINKS: [("", float(traffic.open_links))],
            catalogue.DIALOGS: [("", float(traffic.open_dialogs))],
            catalogue.OCTETS: [("in", float(octets_in)), ("out", float(octets_out))],
        }
        measured = dict(source.histograms())
        if source.role == "initiator":
            measured |= {catalogue.REGISTRATION: self.durations.registration, catalogue.PAUSE: self.durations.pause}
        return Gathered(
            source.role,
            {family: tuple(labelled) for family, labelled in numbers.items()},
            {family: Distribution.of(histogram) for family, histogram in measured.items()},
        )
