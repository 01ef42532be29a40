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
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from seckex.cli.demo.processes import free_port
from seckex.config.messages import MessageHttp
from seckex.config.problems import ConfigInvalid
from seckex.net.delivery.desk import Desk, read_token
from seckex.net.delivery.http import serving
from seckex.net.stale import SocketTaken
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


class SocketCase(TestCase):
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

    def open(self, http: MessageHttp | None = None) -> Desk:
        messages: Any = self.messages
        desk = Desk(reactor, messages)
        self.addCleanup(desk.close)
        desk.open(http or MessageHttp(), self.home, 0)
        return desk

    def over_tcp(self) -> MessageHttp:
        return MessageHttp(listen=(self.address,), token_file=self.token)

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


class UnixTests(SocketCase):
    @inlineCallbacks
    def test_the_daemons_user_is_served_and_nobody_else(self) -> Any:
        self.open()
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        status, octets = yield self.ask(OverUnix(self.path), "POST", f"/v1/messages?{TO}", b"1")
        self.assertEqual((status, json.loads(octets)["stage"]), (201, "accepted"))
        self.patch(serving, "peer_user", lambda _: os.geteuid() + 1)
        yield self.assertFailure(self.ask(OverUnix(self.path), "GET", "/v1/dialogs"), ConnectionError)

    @inlineCallbacks
    def test_a_long_body_goes_through_a_socket(self) -> Any:
        self.open()
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
        desk = self.open()
        status, _ = yield self.ask(OverUnix(self.path), "GET", "/v1/dialogs")
        self.assertEqual(status, 200)
        yield desk.close()
        self.assertFalse(self.path.exists())

    def test_a_socket_that_somebody_has_does_not(self) -> None:
        with socket.socket(socket.AF_UNIX) as taken:
            taken.bind(os.fspath(self.path))
            taken.listen()
            error = self.assertRaises(SocketTaken, self.open)
            self.assertIn("another process listens", str(error))

    @inlineCallbacks
    def test_connections_are_bounded(self) -> Any:
        self.patch(serving, "MOST_CONNECTIONS", 1)
        self.open()
        first = OverUnix(self.path)
        yield deferToThread(first.connect)
        self.addCleanup(first.close)
        # It is taken before another can be.
        yield deferToThread(first.request, "GET", "/v1/dialogs")
        answer = yield deferToThread(first.getresponse)
        self.assertEqual(answer.status, 200)
        yield self.assertFailure(self.ask(OverUnix(self.path), "GET", "/v1/dialogs"), ConnectionError)


class TcpTests(SocketCase):
    def over(self, token: str = TOKEN, **headers: str) -> Deferred[tuple[int, bytes]]:
        host, _, port = self.address.partition(":")
        given = {"Authorization": f"Bearer {token}", **headers}
        return self.ask(HTTPConnection(host, int(port), timeout=20), "GET", "/v1/dialogs", None, given)

    @inlineCallbacks
    def test_who_has_the_token_is_served(self) -> Any:
        self.open(self.over_tcp())
        for asked, expected in (
            (self.over(), 200),
            (self.over("x" * 32), 401),
            (self.over(Origin="http://evil.example"), 403),
            (self.over(Host="evil.example"), 421),
        ):
            status, _ = yield asked
            self.assertEqual(status, expected)

    def test_tokens_that_will_not_do(self) -> None:
        for text in "", "x" * 31, "x" * 5000, "x" * 20 + " " + "x" * 20, "\N{LATIN SMALL LETTER U WITH DIAERESIS}" * 32:
            self.token.write_text(text)
            self.assertRaises(ConfigInvalid, read_token, self.token)
        self.token.write_text("x" * 32)
        self.assertNotIn("xxx", repr(read_token(self.token)))
