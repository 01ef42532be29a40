"""Messages served on sockets of this machine."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import tempfile
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred, DeferredList, inlineCallbacks
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from seckex.cli.demo.processes import free_port
from seckex.config.messages import MessageHttp
from seckex.config.problems import ConfigInvalid
from seckex.net.delivery.http import serving
from seckex.net.delivery.http.ports import HttpUnavailable, MessagePorts, token_of
from seckex.testing import MemoryMessages
from tests.net.delivery.http.scene import TO

reactor: Any = installed
TOKEN = "0123456789abcdef0123456789abcdef"


class OverUnix(HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=20)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(os.fspath(self.path))


class PortCase(TestCase):
    timeout = 60

    def setUp(self) -> None:
        # Sockets need short paths; trial's own directories have long ones.
        self.home = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.home)
        self.path = self.home / "messages.sock"
        self.messages = MemoryMessages(clock=reactor)
        self.token = self.home / "token"
        self.token.write_text(TOKEN + "\n")
        self.token.chmod(0o600)
        self.address = f"127.0.0.1:{free_port()}"

    def ports(self, http: MessageHttp | None = None) -> MessagePorts:
        ports = MessagePorts(reactor, self.messages, http or MessageHttp(), self.path)
        self.addCleanup(lambda: DeferredList(ports.close()))
        return ports

    def over_tcp(self, token: Path | None = None) -> MessageHttp:
        return MessageHttp(listen=(self.address,), token_file=token or self.token)

    def ask(self, connection: HTTPConnection, method: str, target: str, *args: Any) -> Deferred[tuple[int, bytes]]:
        """Ask in a thread; return the status and what it brought."""

        def ask() -> tuple[int, bytes]:
            try:
                connection.request(method, target, *args)
                answer = connection.getresponse()
                return answer.status, answer.read()
            finally:
                connection.close()

        return deferToThread(ask)


class UnixTests(PortCase):
    @inlineCallbacks
    def test_the_daemons_user_is_served_and_nobody_else(self) -> Any:
        self.ports().open()
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        status, octets = yield self.ask(OverUnix(self.path), "POST", f"/v1/messages?{TO}", b"1")
        self.assertEqual((status, json.loads(octets)["stage"]), (201, "accepted"))
        self.patch(serving, "peer_user", lambda _: os.geteuid() + 1)
        yield self.assertFailure(self.ask(OverUnix(self.path), "GET", "/v1/dialogs"), ConnectionError)

    @inlineCallbacks
    def test_a_long_body_goes_through_a_socket(self) -> Any:
        self.ports().open()
        octets = bytes(range(256)) * 4096 * 8
        status, _ = yield self.ask(OverUnix(self.path), "POST", f"/v1/messages?{TO}", octets)
        self.assertEqual((status, self.messages.spool.octets(self.messages.posted[0].payload)), (201, octets))
        order = self.messages.deliver("orders", octets)
        _, body = yield self.ask(OverUnix(self.path), "GET", "/v1/services/orders/messages?mode=one")
        self.assertEqual(body, octets)
        told = b'{"verdict": "done"}'
        status, _ = yield self.ask(OverUnix(self.path), "POST", f"/v1/messages/{order.name}/verdict", told)
        self.assertEqual(status, 204)

    @inlineCallbacks
    def test_a_socket_that_was_left_behind_gives_way(self) -> Any:
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(os.fspath(self.path))
        ports = self.ports()
        ports.open()
        status, _ = yield self.ask(OverUnix(self.path), "GET", "/v1/dialogs")
        self.assertEqual(status, 200)
        yield DeferredList(ports.close())
        self.assertFalse(self.path.exists())

    def test_a_socket_that_somebody_has_does_not(self) -> None:
        with socket.socket(socket.AF_UNIX) as taken:
            taken.bind(os.fspath(self.path))
            taken.listen()
            error = self.assertRaises(HttpUnavailable, self.ports().open)
            self.assertIn("another process listens", str(error))

    @inlineCallbacks
    def test_connections_are_bounded(self) -> Any:
        self.patch(serving, "MOST_CONNECTIONS", 1)
        self.ports().open()
        first = OverUnix(self.path)
        yield deferToThread(first.connect)
        self.addCleanup(first.close)
        # It is taken before another can be.
        yield deferToThread(first.request, "GET", "/v1/dialogs")
        answer = yield deferToThread(first.getresponse)
        self.assertEqual(answer.status, 200)
        yield self.assertFailure(self.ask(OverUnix(self.path), "GET", "/v1/dialogs"), ConnectionError)


class TcpTests(PortCase):
    def over(self, token: str = TOKEN, **headers: str) -> Deferred[tuple[int, bytes]]:
        host, _, port = self.address.partition(":")
        given = {"Authorization": f"Bearer {token}", **headers}
        return self.ask(HTTPConnection(host, int(port), timeout=20), "GET", "/v1/dialogs", None, given)

    @inlineCallbacks
    def test_who_has_the_token_is_served(self) -> Any:
        ports = self.ports(self.over_tcp())
        ports.open()
        self.assertEqual(ports.addresses(), [f"{self.path}, messages", f"{self.address}, messages"])
        for asked, expected in (
            (self.over(), 200),
            (self.over("x" * 32), 401),
            (self.over(Origin="http://evil.example"), 403),
            (self.over(Host="evil.example"), 421),
        ):
            status, _ = yield asked
            self.assertEqual(status, expected)

    @inlineCallbacks
    def test_settings_may_change(self) -> Any:
        ports = self.ports()
        ports.open()
        ports.change(self.over_tcp())
        status, _ = yield self.over()
        self.assertEqual(status, 200)
        other = self.home / "other"
        other.write_text("y" * 32)
        other.chmod(0o600)
        ports.change(self.over_tcp(other))
        status, _ = yield self.over()
        self.assertEqual(status, 401)
        status, _ = yield self.over("y" * 32)
        self.assertEqual(status, 200)
        ports.change(MessageHttp(socket=self.home / "other.sock"))
        self.assertEqual(ports.addresses(), [f"{self.home}/other.sock, messages"])
        yield self.assertFailure(self.over("y" * 32), ConnectionError)
        self.assertFalse(self.path.exists())

    @inlineCallbacks
    def test_settings_that_cannot_be_had_change_nothing(self) -> Any:
        ports = self.ports(self.over_tcp())
        ports.open()
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            wanted = MessageHttp(socket=self.home / "other.sock", listen=(address,), token_file=self.token)
            error = self.assertRaises(HttpUnavailable, ports.change, wanted)
        self.assertIn(address, str(error))
        self.token.chmod(0o644)
        self.assertRaises(ConfigInvalid, ports.change, self.over_tcp())
        status, _ = yield self.over()
        self.assertEqual(status, 200)
        self.assertTrue(self.path.exists())

    def test_tokens_that_will_not_do(self) -> None:
        for text in "", "x" * 31, "x" * 1025, "x" * 20 + " " + "x" * 20, "\N{LATIN SMALL LETTER U WITH DIAERESIS}" * 32:
            self.token.write_text(text)
            self.assertRaises(ConfigInvalid, token_of, self.over_tcp())
        self.token.write_text("x" * 32)
        self.assertNotIn("xxx", repr(token_of(self.over_tcp())))
