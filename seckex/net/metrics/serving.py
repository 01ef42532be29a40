"""Metrics, liveness and readiness over HTTP.

Imported where something listens only: it brings in ``prometheus_client`` and an HTTP server. The
snapshot is taken in the reactor's turn, and shown by ``prometheus_client``'s own
resource in a thread, in whichever form is asked for.

Bounds: `MOST_CONNECTIONS` at once over all ports, each closed after `IDLE_SECONDS` without a request.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import chain
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.twisted import MetricsResource
from twisted.internet.interfaces import IAddress
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from seckex.net.metrics import health
from seckex.net.metrics.catalogue import FAMILIES, Family, Type
from seckex.net.metrics.gathering import Distribution, Gathered, Gathering

MOST_CONNECTIONS: Final = 32
IDLE_SECONDS: Final = 30

_HOME: Final = b"seckex: /metrics, /livez, /readyz\n"


class Shown(Collector):
    """A snapshot in Prometheus' terms, and what ``others`` collect; a registry as far as it is scraped."""

    def __init__(self, gathered: Gathered, others: Iterable[Collector] = (), names: Collection[str] = ()) -> None:
        self._gathered = gathered
        self._others = tuple(others)
        self._names = names

    def restricted_registry(self, names: Collection[str]) -> Shown:
        """Return the samples of these names only, as a scraper may ask for them."""
        return Shown(self._gathered, self._others, names)

    def collect(self) -> Iterator[Metric]:
        """Yield every metric that this daemon has, in the catalogue's order."""
        for metric in chain(self._own(), *(each.collect() for each in self._others)):
            if self._names:
                metric.samples = [sample for sample in metric.samples if sample.name in self._names]
            if metric.samples or not self._names:
                yield metric

    def _own(self) -> Iterator[Metric]:
        for family in FAMILIES:
            if family in self._gathered.distributions:
                yield self._histogram(family, self._gathered.distributions[family])
            elif family in self._gathered.numbers:
                yield self._numbers(family, self._gathered.numbers[family])

    def _histogram(self, family: Family, distribution: Distribution) -> Metric:
        shown = HistogramMetricFamily(_name(family), family.what, labels=["role"])
        bounds = [*map(str, distribution.bounds), "+Inf"]
        buckets = list(zip(bounds, map(float, distribution.cumulated), strict=True))
        shown.add_metric([self._gathered.role], buckets, distribution.total)
        return shown

    def _numbers(self, family: Family, numbers: tuple[tuple[str, float], ...]) -> Metric:
        kind = CounterMetricFamily if family.type is Type.COUNTER else GaugeMetricFamily
        labels = ["role", *([family.label] if family.label else [])]
        shown = kind(_name(family), family.what, labels=labels)
        for label, number in numbers:
            shown.add_metric([self._gathered.role, *([label] if family.label else [])], number)
        return shown


def _name(family: Family) -> str:
    return family.shown.removesuffix("_total")


class _Scraped(Resource):
    isLeaf = True  # noqa: N815  # Twisted's name

    def __init__(self, gathering: Gathering) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's
        self._gathering = gathering
        # Of the process, in their own names; read in the thread.
        self._of_process = (ProcessCollector(registry=None), GCCollector(CollectorRegistry()))

    def render(self, request: Request) -> Any:
        shown = Shown(self._gathering.gather(), self._of_process)
        return MetricsResource(registry=shown).render(request)  # type: ignore[no-untyped-call]  # it has no types


class _Told(Resource):
    """Answers with what ``tell`` returns: whether all is well, and an object."""

    isLeaf = True  # noqa: N815  # Twisted's name

    def __init__(self, tell: Callable[[], tuple[bool, dict[str, Any]]]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's
        self._tell = tell

    def render_GET(self, request: Request) -> bytes:
        well, told = self._tell()
        request.setResponseCode(200 if well else 503)
        request.setHeader(b"content-type", b"application/json")
        request.setHeader(b"cache-control", b"no-store")
        return json.dumps(told).encode() + b"\n"


class _Home(Resource):
    def render_GET(self, request: Request) -> bytes:
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        return _HOME


class _Unlogged(Site):
    def log(self, request: object) -> None:
        """Say nothing: a scrape every few seconds would be most of a log, with the time of the reactor's clock."""


def site(gathering: Gathering) -> Connections:
    """Return what serves all of it."""
    source = gathering.source
    root = _Home()
    root.putChild(b"", root)
    root.putChild(b"metrics", _Scraped(gathering))
    root.putChild(b"livez", _Told(lambda: (True, health.live(source.role, gathering.lag()))))
    root.putChild(b"readyz", _Told(lambda: health.ready(source.role, source.checks())))
    served = _Unlogged(root, timeout=IDLE_SECONDS)
    served.displayTracebacks = False
    served.noisy = False
    return Connections(served)


class Connections(WrappingFactory):
    """At most `MOST_CONNECTIONS`; `close` ends those that there are."""

    noisy = False
    protocols: dict[ProtocolWrapper, int]

    def buildProtocol(self, addr: IAddress | None) -> ProtocolWrapper | None:  # type: ignore[override]  # it may decline
        """Return the protocol of a connection, None for one too many."""
        return None if len(self.protocols) >= MOST_CONNECTIONS else super().buildProtocol(addr)

    def close(self) -> None:
        """Close what is open, whatever is under way there."""
        for connection in list(self.protocols):
            connection.abortConnection()
