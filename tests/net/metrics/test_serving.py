"""Metrics, liveness and readiness over HTTP, on sockets of this machine."""

from __future__ import annotations

import gzip
import json
import socket
from http.client import HTTPConnection, HTTPResponse
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred, DeferredList, inlineCallbacks
from twisted.internet.error import CannotListenError
from twisted.internet.threads import deferToThread
from twisted.logger import ILogObserver, globalLogPublisher
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from seckex.cli.demo.processes import free_port
from seckex.config.metrics import Metrics
from seckex.net.log import EventLog
from seckex.net.metrics import serving
from seckex.net.metrics.health import Check
from seckex.net.metrics.ports import MetricsPorts
from seckex.net.sockets import Sockets
from tests.net.metrics.parts import Told

reactor: Any = installed


class ServingTests(TestCase):
    timeout = 120

    def setUp(self) -> None:
        self.told = Told(counters={"associations": 3, "dropped.replay": 2})
        self.port = free_port()
        self.log = EventLog("error", lambda: 0.0)
        self.ports = MetricsPorts(reactor, self.at(self.port))
        self.ports.bind(Sockets({}))
        self.ports.open(self.told.gathering, self.log)
        self.addCleanup(lambda: DeferredList(self.ports.close()))

    @staticmethod
    def at(*ports: int) -> Metrics:
        return Metrics(listen=tuple(f"127.0.0.1:{port}" for port in ports))

    def get(
        self, path: str, port: int = 0, method: str = "GET", **headers: str
    ) -> Deferred[tuple[HTTPResponse, bytes]]:
        """Ask for a path, in a thread; return the answer and what it brought."""

        def ask() -> tuple[HTTPResponse, bytes]:
            connection = HTTPConnection("127.0.0.1", port or self.port, timeout=60)
            try:
                connection.request(
                    method, path, headers={name.replace("_", "-"): text for name, text in headers.items()}
                )
                answer = connection.getresponse()
                return answer, answer.read()
            finally:
                connection.close()

        return deferToThread(ask)

    @inlineCallbacks
    def test_metrics_are_those_of_now(self) -> Any:
        answer, octets = yield self.get("/metrics")
        self.assertEqual((answer.status, answer.getheader("content-type", "").split(";")[0]), (200, "text/plain"))
        self.assertIn(b'seckex_associations{role="responder"} 3.0\n', octets)
        self.assertIn(b'seckex_dropped_total{reason="replay",role="responder"} 2.0\n', octets)
        self.assertIn(b"process_resident_memory_bytes", octets)
        self.told.counters["associations"] = 4
        _, octets = yield self.get("/metrics")
        self.assertIn(b'seckex_associations{role="responder"} 4.0\n', octets)

    @inlineCallbacks
    def test_the_form_is_the_one_that_is_asked_for(self) -> Any:
        answer, octets = yield self.get("/metrics", Accept="application/openmetrics-text; version=1.0.0")
        self.assertIn("application/openmetrics-text", answer.getheader("content-type", ""))
        self.assertTrue(octets.endswith(b"# EOF\n"))
        answer, octets = yield self.get("/metrics", Accept_Encoding="gzip")
        self.assertEqual(answer.getheader("content-encoding"), "gzip")
        self.assertIn(b"seckex_associations", gzip.decompress(octets))
        _, octets = yield self.get("/metrics?name[]=seckex_associations")
        samples = [line for line in octets.splitlines() if not line.startswith(b"#")]
        self.assertEqual(samples, [b'seckex_associations{role="responder"} 3.0'])

    @inlineCallbacks
    def test_who_asks_is_not_in_the_log(self) -> Any:
        said: list[Any] = []

        @implementer(ILogObserver)
        def observe(event: Any) -> None:
            said.append(event)

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        for path in "/metrics", "/readyz", "/none":
            yield self.get(path)
        self.assertEqual([each for each in said if "GET" in str(each)], [])

    @inlineCallbacks
    def test_it_lives_if_it_answers(self) -> Any:
        self.told.lag = 0.5
        answer, octets = yield self.get("/livez")
        self.assertEqual(answer.status, 200)
        told = json.loads(octets)
        self.assertEqual(told, {"schema": "seckex.live/1", "role": "responder", "live": True, "lag": 0.5})

    @inlineCallbacks
    def test_it_is_ready_if_every_check_passes(self) -> Any:
        answer, octets = yield self.get("/readyz")
        self.assertEqual((answer.status, answer.getheader("content-type")), (200, "application/json"))
        self.assertTrue(json.loads(octets)["ready"])
        self.told.checks[1] = Check("store", "it is full")
        answer, octets = yield self.get("/readyz")
        self.assertEqual(answer.status, 503)
        told = json.loads(octets)
        self.assertFalse(told["ready"])
        self.assertEqual(told["checks"][1], {"check": "store", "ready": False, "why": "it is full"})
        _, octets = yield self.get("/metrics")
        self.assertIn(b'seckex_ready{check="store",role="responder"} 0.0\n', octets)
        self.assertIn(b'seckex_ready{check="running",role="responder"} 1.0\n', octets)

    @inlineCallbacks
    def test_there_is_nothing_else(self) -> Any:
        for path, method, status in (
            ("/", "GET", 200),
            ("/else", "GET", 404),
            ("/metrics", "POST", 405),
            ("/readyz", "POST", 405),
            ("/livez", "DELETE", 501),
        ):
            answer, octets = yield self.get(path, method=method)
            self.assertEqual(answer.status, status, path)
            self.assertNotIn(b"Traceback", octets)

    @inlineCallbacks
    def test_a_fault_shows_nothing_of_the_program(self) -> Any:
        def broken() -> dict[str, int]:
            raise ValueError("node@example.org")

        object.__setattr__(self.told.gathering.source, "counted", broken)
        answer, octets = yield self.get("/metrics")
        self.assertEqual(answer.status, 500)
        self.assertNotIn(b"node@example.org", octets)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    @inlineCallbacks
    def test_connections_are_bounded_and_end_with_it(self) -> Any:
        self.patch(serving, "MOST_CONNECTIONS", 2)
        idle = []
        for _ in range(2):
            connection = socket.create_connection(("127.0.0.1", self.port), 10)
            self.addCleanup(connection.close)
            idle.append(connection)

        def refused() -> bytes:
            with socket.create_connection(("127.0.0.1", self.port), 10) as third:
                return third.recv(1)

        self.assertEqual((yield deferToThread(refused)), b"")
        yield DeferredList(self.ports.close())

        def ended(connection: socket.socket) -> bytes:
            try:
                return connection.recv(1)
            except ConnectionResetError:
                return b""

        for connection in idle:
            self.assertEqual((yield deferToThread(ended, connection)), b"")

    @inlineCallbacks
    def test_another_configuration_opens_and_closes(self) -> Any:
        other = free_port()
        both = self.at(self.port, other)
        self.ports.prepare(both, Sockets({}))
        self.ports.settle(both)
        for port in (self.port, other):
            answer, _ = yield self.get("/livez", port)
            self.assertEqual(answer.status, 200)
        self.assertEqual(self.ports.addresses(), [f"127.0.0.1:{port} TCP, metrics" for port in (self.port, other)])
        self.ports.prepare(self.at(other), Sockets({}))
        self.ports.settle(self.at(other))
        yield self.assertFailure(self.get("/livez"), ConnectionRefusedError, ConnectionResetError)
        answer, _ = yield self.get("/livez", other)
        self.assertEqual(answer.status, 200)
        self.ports.prepare(self.at(), Sockets({}))
        self.ports.settle(self.at())
        yield self.assertFailure(self.get("/livez", other), ConnectionRefusedError, ConnectionResetError)
        self.assertIsNone(self.ports._factory)
        self.ports.prepare(self.at(self.port), Sockets({}))
        self.ports.settle(self.at(self.port))
        answer, _ = yield self.get("/livez")
        self.assertEqual(answer.status, 200)

    @inlineCallbacks
    def test_a_port_that_cannot_be_had_changes_nothing(self) -> Any:
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        wanted = self.at(free_port(), taken.getsockname()[1])
        self.assertRaises(CannotListenError, self.ports.prepare, wanted, Sockets({}))
        answer, _ = yield self.get("/livez")
        self.assertEqual(answer.status, 200)

    def test_without_a_port_nothing_is_made(self) -> None:
        ports = MetricsPorts(reactor, Metrics())
        ports.bind(Sockets({}))
        ports.open(self.told.gathering, self.log)
        self.assertIsNone(ports._factory)
        self.assertEqual(ports.close(), [])
