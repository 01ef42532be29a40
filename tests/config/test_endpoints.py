"""Endpoint strings: what is accepted is what Twisted opens, and says what it means."""

from __future__ import annotations

from typing import Any, get_args

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from seckex.config.endpoints import ClientEndpoint, EndpointString, ServerEndpoint
from seckex.config.problems import Unfit

CLIENT: EndpointString = get_args(ClientEndpoint)[1]
SERVER: EndpointString = get_args(ServerEndpoint)[1]


class AcceptedTests(SynchronousTestCase):
    def test_twisted_opens_what_is_accepted(self) -> None:
        for text in (
            "tcp:127.0.0.1:8000",
            r"tcp:\:\:1:8000",
            "tcp:host=127.0.0.1:port=8000",
            "unix:path=/run/web.sock",
            "tcp:example.org:80:timeout=5:bindAddress=127.0.0.1",
            "unix:/run/web.sock",
        ):
            self.assertEqual(CLIENT.read(text), text)
            clientFromString(MemoryReactorClock(), text)
        for text in (
            "tcp:8080:interface=127.0.0.1",
            "tcp:0:interface=0.0.0.0:backlog=10",
            r"tcp6:8080:interface=\:\:1",
            "tcp:interface=127.0.0.1:port=8080",
            "unix:mode=600:address=/run/f.sock",
            "unix:/run/f.sock:mode=600",
        ):
            self.assertEqual(SERVER.read(text), text)
            serverFromString(MemoryReactorClock(), text)


class InProcessTests(SynchronousTestCase):
    def test_a_service_of_the_daemons_own_process(self) -> None:
        self.assertEqual(CLIENT.read("endpoint"), "endpoint")

    def test_nothing_else_is(self) -> None:
        for reader, text in ((SERVER, "endpoint"), (CLIENT, "endpoint:"), (CLIENT, "endpoint:x"), (CLIENT, "Endpoint")):
            self.assertRaises(Unfit, reader.read, text)


class RefusedTests(SynchronousTestCase):
    def check(self, reader: EndpointString, cases: dict[str, str]) -> None:
        for text, why in cases.items():
            with self.assertRaises(Unfit) as caught:
                reader.read(text)
            self.assertIn(why, caught.exception.hint, text)

    def test_services(self) -> None:
        self.check(
            CLIENT,
            {
                "": "begin with one of tcp:, unix:",
                "ssh:host:22": "begin with one of",
                "tls:host:443": "begin with one of",
                "haproxy:tcp:1": "begin with one of",
                "tcp:127.0.0.1": "takes host and port",
                "tcp:::1:80": "written \\:",
                "tcp:host=127.0.0.1": "takes host and port",
                "tcp:80:host=127.0.0.1": "takes host and port",
                "tcp:127.0.0.1:80:port=80": 'tcp takes no "port"',
                "tcp:host=127.0.0.1:port=0": "not a port from 1",
                "unix:address=/run/f.sock": "takes path",
                "tcp:127.0.0.1:0": "not a port from 1 to 65535",
                "tcp:127.0.0.1:http": "not a port",
                "tcp:127.0.0.1:\u0661": "not a port",
                "tcp:127.0.0.256:80": "neither a host's name nor an address",
                "tcp:host:80:timout=3": 'did you mean "timeout"?',
                "tcp:host:80:timeout=x": "not a number",
                "tcp:host:80:bindAddress=here": "is not an address",
                "unix:web.sock": "absolute path",
                "unix:/" + "x" * 107: "absolute path of at most 107 octets",
                "tcp:host:80\\": "ends in a backslash",
            },
        )

    def test_forwards(self) -> None:
        self.check(
            SERVER,
            {
                "tcp:8080": "must say interface=",
                "tcp:8080:interface=": "must say interface=",
                r"tcp:8080:interface=\:\:1": "tcp does not listen on ::1",
                "tcp6:8080:interface=127.0.0.1": "tcp6 does not listen on 127.0.0.1",
                "tcp:70000:interface=127.0.0.1": "not a port from 0 to 65535",
                "unix:/run/f.sock": "must say mode=",
                "unix:/run/f.sock:mode=999": "not octal",
                "systemd:domain=INET:index=0": "begin with one of tcp:, tcp6:, unix:",
            },
        )

    @given(st.text(alphabet=r"tcp6unixls:=\/01.@ é", max_size=40))
    @settings(max_examples=200, deadline=None)
    def test_any_text_is_accepted_by_both_or_refused(self, text: str) -> None:
        both: tuple[tuple[EndpointString, Any], ...] = ((CLIENT, clientFromString), (SERVER, serverFromString))
        for reader, parse in both:
            try:
                reader.read(text)
            except Unfit:
                continue
            parse(MemoryReactorClock(), text)
