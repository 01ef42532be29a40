"""Where metrics are served: ports that are taken early, served late, and changed while the daemon runs.

What serves them is made when the first port is, and not before.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IDelayedCall, IListeningPort

from seckex.config.metrics import Metrics
from seckex.net.log import EventLog
from seckex.net.metrics.gathering import Gathering
from seckex.net.sockets import Name, Sockets

if TYPE_CHECKING:
    from seckex.net.metrics.serving import Connections

BEAT: Final = 1.0
_BEATS_KEPT: Final = 60


class Lag:
    """How late a timer of the reactor is that is due every second: the latest of the last minute's."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._late: deque[float] = deque((0.0,), _BEATS_KEPT)
        self._next: IDelayedCall | None = None

    def start(self) -> None:
        """Begin to measure."""
        self._next = self._reactor.callLater(BEAT, self._beat, self._reactor.seconds() + BEAT)

    def stop(self) -> None:
        """Measure no more."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _beat(self, due: float) -> None:
        self._late.append(max(self._reactor.seconds() - due, 0.0))
        self.start()

    def latest(self) -> float:
        """Return it in seconds."""
        return max(self._late)


class MetricsPorts:
    """`bind` and `open` at a start; `prepare`, and `settle` or `unprepare`, at a reload; see the module."""

    def __init__(self, reactor: Any, metrics: Metrics) -> None:
        self._reactor = reactor
        self.metrics = metrics
        self.lag = Lag(reactor)
        self._bound: dict[Name, socket.socket] = {}
        self._listening: dict[Name, IListeningPort] = {}
        self._gathering: Gathering | None = None
        self._log: EventLog | None = None
        self._factory: Connections | None = None
        self._end_watching: Callable[[], None] | None = None

    def bind(self, sockets: Sockets) -> None:
        """Take every address; raises `CannotListenError`."""
        for name in _names(self.metrics):
            self._bound[name] = sockets.take(name)

    def open(self, gathering: Gathering, log: EventLog) -> None:
        """Serve what was taken, of ``gathering``."""
        self._gathering, self._log = gathering, log
        self._serve()

    def _serve(self) -> None:
        gathering = self._gathering
        bound, self._bound = self._bound, {}
        if not bound or gathering is None or self._log is None:
            return
        if self._factory is None:
            # It brings in an HTTP server, which who serves nothing does without.
            from seckex.net.metrics.serving import site

            self._factory = site(gathering)
            self._end_watching = gathering.durations.watch(self._log)
            self.lag.start()
        for name, each in bound.items():
            self._listening[name] = self._reactor.adoptStreamPort(each.fileno(), each.family, self._factory)
            # The reactor has a descriptor of its own for it.
            each.close()

    def prepare(self, metrics: Metrics, sockets: Sockets) -> None:
        """Take the addresses that are new; raises `CannotListenError`."""
        try:
            for name in _names(metrics):
                if name not in self._listening:
                    self._bound[name] = sockets.take(name)
        except CannotListenError:
            self.unprepare()
            raise

    def settle(self, metrics: Metrics) -> None:
        """Serve where ``metrics``, which were prepared, say; close connections where nothing is served any more."""
        self.metrics = metrics
        for name in self._listening.keys() - set(_names(metrics)):
            self._listening.pop(name).stopListening()
        self._serve()
        if not self._listening:
            self._end()

    def unprepare(self) -> None:
        """Let go of what was taken and is not served."""
        bound, self._bound = self._bound, {}
        for each in bound.values():
            each.close()

    def addresses(self) -> list[str]:
        """Return where it is served, in words."""
        return [f"{text} TCP, metrics" for text in self.metrics.listen]

    def close(self) -> list[Deferred[Any]]:
        """Serve no more, and close what is open."""
        self.unprepare()
        listening, self._listening = self._listening, {}
        stopping = [maybeDeferred(port.stopListening) for port in listening.values()]
        self._end()
        return stopping

    def _end(self) -> None:
        factory, self._factory = self._factory, None
        if factory is not None:
            factory.close()
        if self._end_watching is not None:
            self._end_watching()
            self._end_watching = None
        self.lag.stop()


def _names(metrics: Metrics) -> list[Name]:
    return [(socket.SOCK_STREAM, host, port) for host, port in metrics.places]
