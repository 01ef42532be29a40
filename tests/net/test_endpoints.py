"""Endpoints: protocols over dialogs between two principals in this process, over real sockets."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, ClassVar

from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import wrapClientTLS
from twisted.internet.error import ConnectingCancelledError, ConnectionLost, NoProtocol
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol, connectionDone
from twisted.internet.ssl import CertificateOptions, PrivateCertificate
from twisted.internet.task import deferLater
from twisted.protocols.amp import AMP, Argument, Command, Integer
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer

from benchmarks.certificates import make_certificate
from seckex.cli.demo.files import write_key
from seckex.cli.demo.processes import free_port
from seckex.config.problems import ConfigInvalid
from seckex.net import inprocess
from seckex.net.dials import DialogFailed
from seckex.net.endpoints import BadEndpoint, DialogEndpoint, ServiceEndpoint, UnknownPeer, parse_client, parse_server
from seckex.net.forwards import NotServable
from seckex.net.inprocess import PrincipalFailed, stop_principals
from seckex.net.transport import DialogAddress

reactor: Any = installed

HOME, NODE = "home@example.org", "node@example.net"

RESPONDER = """\
role = "responder"
[identity]
nai = "home@example.org"
[listen]
addresses = ["127.0.0.1"]
port = {port}
[state]
directory = "home"
[[peers]]
nai = "node@example.net"
key0 = "key0.toml"
services = ["echo", "idle", "elsewhere"]
[services]
echo = {{ connect = "endpoint" }}
idle = {{ connect = "endpoint" }}
private = {{ connect = "endpoint" }}
elsewhere = {{ connect = "tcp:127.0.0.1:1" }}
"""

INITIATOR = """\
role = "initiator"
[identity]
nai = "node@example.net"
[state]
directory = "node"
[[peers]]
nai = "home@example.org"
key0 = "key0.toml"
address = "127.0.0.1"
port = {port}
"""


class Noting(Protocol):
    """Notes what happens to it."""

    transport: Any

    def __init__(self) -> None:
        self.said: list[str] = []
        self.got = b""
        self.wanted = 0
        self.made: Deferred[None] = Deferred()
        self.enough: Deferred[bytes] = Deferred()
        self.lost: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        self.said.append("made")

    def dataReceived(self, data: bytes) -> None:
        self.got += data
        self._check()

    def have(self, count: int) -> Deferred[bytes]:
        """Fire when so many octets are there."""
        self.wanted = count
        self._check()
        return self.enough

    def _check(self) -> None:
        if self.wanted and len(self.got) >= self.wanted:
            self.wanted = 0
            self.enough.callback(self.got)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.said.append(f"lost: {type(reason.value).__name__}")
        self.reason = reason
        self.lost.callback(None)


@implementer(IHalfCloseableProtocol)
class HalfCloseable(Noting):
    """The same, and can do with half a connection."""

    def readConnectionLost(self) -> None:
        self.said.append("read lost")
        self.transport.write(b"that was " + self.got)
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        self.said.append("write lost")


class Making(Factory):
    """Makes protocols of one kind, and keeps them."""

    noisy = False

    def __init__(self, make: Any = Noting) -> None:
        self._make = make
        self.made: list[Any] = []
        self.addresses: list[Any] = []
        self.said: list[str] = []

    def startFactory(self) -> None:
        self.said.append("start")

    def stopFactory(self) -> None:
        self.said.append("stop")

    def buildProtocol(self, addr: Any) -> Any:
        self.addresses.append(addr)
        protocol = self._make()
        self.made.append(protocol)
        return protocol


class Double(Command):
    arguments: ClassVar[list[tuple[bytes, Argument]]] = [(b"number", Integer())]
    response: ClassVar[list[tuple[bytes, Argument]]] = [(b"number", Integer())]


class Doubling(AMP):
    @Double.responder
    def double(self, number: int) -> dict[str, int]:
        return {"number": 2 * number}


class EndpointCase(TestCase):
    """Two configurations in a folder of the test's own; all principals are stopped when it is over."""

    timeout = 120

    def setUp(self) -> None:
        # Sockets have short paths: trial's own folders are too deep.
        self.folder = Path(tempfile.mkdtemp(prefix="seckex-test-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.addCleanup(stop_principals, reactor)
        write_key(self.folder / "key0.toml", NODE)
        self.port = free_port()
        self.home, self.node = self.folder / "home.toml", self.folder / "node.toml"
        self.home.write_text(RESPONDER.format(port=self.port))
        self.node.write_text(INITIATOR.format(port=self.port))

    def client(self, service: str = "echo", timeout: float = 60) -> DialogEndpoint:
        return DialogEndpoint(reactor, HOME, service, self.node, timeout)

    def server(self, service: str = "echo") -> Any:
        return ServiceEndpoint(reactor, service, self.home)

    async def joined(self, near: type[Noting] = Noting, far: type[Noting] = Noting) -> tuple[Any, Any]:
        """Return two connected protocols."""
        self.near_factory, self.far_factory = Making(near), Making(far)
        self.listening = await self.server().listen(self.far_factory)
        connected = await self.client().connect(self.near_factory)
        await self.until(lambda: self.far_factory.made)
        self.assertIs(connected, self.near_factory.made[0])
        return connected, self.far_factory.made[0]

    async def until(self, holds: Any) -> None:
        while not holds():
            await deferLater(reactor, 0.001)

    async def failed(self, attempt: Deferred[Any]) -> Any:
        """Return what an attempt fails with."""
        return await self.assertFailure(attempt, Exception)


class CarryingTests(EndpointCase):
    async def test_octets_both_ways(self) -> None:
        near, far = await self.joined()
        sent, answered = os.urandom(3_000_000), os.urandom(2_000_000)
        near.transport.write(sent)
        far.transport.write(answered)
        self.assertEqual(await far.have(len(sent)), sent)
        self.assertEqual(await near.have(len(answered)), answered)

    async def test_the_addresses_are_principals(self) -> None:
        near, far = await self.joined()
        self.assertEqual(near.transport.getPeer(), DialogAddress(HOME, "echo"))
        self.assertEqual(far.transport.getPeer(), DialogAddress(NODE, "echo"))
        self.assertEqual(near.transport.getHost(), DialogAddress(NODE, "echo"))
        self.assertEqual((near.transport.getPeer().principal, str(far.transport.getPeer())), (HOME, f"echo at {NODE}"))
        self.assertEqual(self.listening.getHost(), DialogAddress(HOME, "echo"))
        self.assertEqual(self.near_factory.addresses, [DialogAddress(HOME, "echo")])
        self.assertEqual(self.far_factory.addresses, [DialogAddress(NODE, "echo")])

    async def test_a_clean_end(self) -> None:
        near, far = await self.joined()
        near.transport.write(b"all")
        near.transport.loseConnection()
        await far.lost
        await near.lost
        self.assertEqual((far.got, near.said, far.said), (b"all", *[["made", "lost: ConnectionDone"]] * 2))

    async def test_half_close(self) -> None:
        near, far = await self.joined(HalfCloseable, HalfCloseable)
        near.transport.write(b"a question")
        near.transport.loseWriteConnection()
        await near.lost
        await far.lost
        self.assertEqual(near.got, b"that was a question")
        self.assertEqual(far.said, ["made", "read lost", "lost: ConnectionDone"])
        self.assertEqual(near.said, ["made", "write lost", "read lost", "lost: ConnectionDone"])

    async def test_an_abort_is_no_clean_end(self) -> None:
        near, far = await self.joined()
        near.transport.abortConnection()
        await far.lost
        self.assertTrue(far.reason.check(ConnectionLost))
        await near.lost
        self.assertEqual(near.said, ["made", "lost: ConnectionAborted"])

    async def test_amp(self) -> None:
        await self.server().listen(Making(Doubling))
        calling: Any = await self.client().connect(Making(AMP))
        self.assertEqual(await calling.callRemote(Double, number=21), {"number": 42})
        calling.transport.loseConnection()

    async def test_tls_on_top(self) -> None:
        pem = self.folder / "home.pem"
        make_certificate(pem, "home")
        own = PrivateCertificate.loadPEM(pem.read_bytes())
        far, near = Making(), Making()
        await self.server().listen(TLSMemoryBIOFactory(own.options(), False, far))
        connected: Any = await wrapClientTLS(CertificateOptions(), self.client()).connect(near)
        sent = os.urandom(300_000)
        connected.transport.write(sent)
        connected.transport.loseConnection()
        await connected.lost
        await far.made[0].lost
        self.assertEqual(far.made[0].got, sent)

    async def test_a_slow_reader_pauses_the_writer(self) -> None:
        near, far = await self.joined()
        far.transport.pauseProducing()
        paused: Deferred[None] = Deferred()

        class Producing:
            def resumeProducing(self) -> None:
                near.transport.write(bytes(100_000))

            def pauseProducing(self) -> None:
                if not paused.called:
                    paused.callback(None)

            def stopProducing(self) -> None:
                pass

        near.transport.registerProducer(Producing(), True)
        near.transport.write(bytes(4_000_000))
        await paused
        self.assertEqual(far.got, b"")
        near.transport.unregisterProducer()
        far.transport.resumeProducing()
        await far.have(4_000_000)


class RefusalTests(EndpointCase):
    async def refusal(self, service: str) -> DialogFailed:
        """Connect to a service, and return why that fails."""
        await self.server().listen(Making())
        error = await self.failed(self.client(service).connect(making := Making()))
        self.assertIsInstance(error, DialogFailed)
        self.assertEqual((making.made, making.said), ([], ["start", "stop"]))
        assert isinstance(error, DialogFailed)
        return error

    async def test_a_service_that_does_not_exist(self) -> None:
        error = await self.refusal("nowhere")
        self.assertEqual((error.refusal.by, error.refusal.label), (HOME, "unknown-service"))
        self.assertIn(f"no dialog with {HOME} for service 'nowhere': {HOME} refuses with 301", str(error))

    async def test_a_service_for_others(self) -> None:
        error = await self.refusal("private")
        self.assertEqual((error.refusal.by, error.refusal.label), (HOME, "prohibited"))

    async def test_a_service_that_no_program_has(self) -> None:
        error = await self.refusal("idle")
        self.assertEqual((error.refusal.by, error.refusal.label), (HOME, "connect-failed"))
        self.assertIn("no program", str(error))

    async def test_a_program_that_makes_no_protocol(self) -> None:
        def fails() -> None:
            raise RuntimeError("cannot")

        for make in (lambda: None, fails):
            listening = await self.server().listen(Making(make))
            error = await self.failed(self.client().connect(Making()))
            self.assertEqual((error.refusal.by, error.refusal.label), (HOME, "connect-failed"))
            await listening.stopListening()
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    async def test_a_client_that_makes_no_protocol(self) -> None:
        far = Making()
        await self.server().listen(far)
        self.assertIsInstance(await self.failed(self.client().connect(Making(lambda: None))), NoProtocol)
        await self.until(lambda: far.made)
        await far.made[0].lost

    async def test_a_negotiation_that_is_refused_ends_the_wait(self) -> None:
        self.home.write_text(self.home.read_text() + '[[policy.proposals]]\nencryption = ["aes-128-gcm"]\n')
        self.node.write_text(self.node.read_text() + '[[policy.proposals]]\nencryption = ["aes-256-gcm"]\n')
        await self.server().listen(Making())
        error = await self.failed(self.client(timeout=3600).connect(Making()))
        self.assertEqual(error.refusal.by, NODE)
        self.assertIn("aes-128-gcm", str(error))

    async def test_nobody_answers(self) -> None:
        error = await self.failed(self.client(timeout=0.1).connect(Making()))
        self.assertEqual((error.refusal.by, error.refusal.label), (NODE, "unknown-association"))
        self.assertIn("no link in time", str(error))

    async def test_the_principal_stops_meanwhile(self) -> None:
        attempt = self.client().connect(Making())
        await stop_principals(reactor)
        error = await self.failed(attempt)
        self.assertEqual(error.refusal.label, "shutting-down")

    async def test_giving_up(self) -> None:
        making = Making()
        attempt = self.client().connect(making)
        attempt.cancel()
        self.assertIsInstance(await self.failed(attempt), ConnectingCancelledError)
        self.assertEqual(making.said, ["start", "stop"])

    async def test_a_peer_that_the_file_does_not_have(self) -> None:
        error = await self.failed(DialogEndpoint(reactor, "other@example.org", "echo", self.node).connect(Making()))
        self.assertIsInstance(error, UnknownPeer)
        self.assertIn(HOME, str(error))

    async def test_files_that_are_wrong(self) -> None:
        self.assertIsInstance(
            await self.failed(DialogEndpoint(reactor, HOME, "x", self.home).connect(Making())), ConfigInvalid
        )
        self.assertIsInstance(
            await self.failed(ServiceEndpoint(reactor, "x", self.node).listen(Making())), ConfigInvalid
        )

    async def test_services_that_cannot_be_had(self) -> None:
        for service, why in (("nowhere", "does not name it"), ("elsewhere", "elsewhere")):
            error = await self.failed(self.server(service).listen(Making()))
            self.assertIsInstance(error, NotServable)
            self.assertIn(why, str(error))
        await self.server().listen(Making())
        error = await self.failed(self.server().listen(Making()))
        self.assertIn("served already", str(error))


class SharingTests(EndpointCase):
    async def test_one_principal_for_all_that_name_its_file(self) -> None:
        first, second = Making(), Making()
        one = await self.server("echo").listen(first)
        other = await self.server("idle").listen(second)
        near: Any = await self.client("echo").connect(Making())
        too: Any = await self.client("idle").connect(Making())
        for each in (near, too):
            each.transport.loseConnection()
            await each.lost
        self.assertEqual((len(first.made), len(second.made)), (1, 1))
        await one.stopListening()
        await self.failed(self.client("echo").connect(Making()))
        await self.client("idle").connect(Making())
        await other.stopListening()

    async def test_a_responder_stops_with_its_last_user(self) -> None:
        near, far = await self.joined()
        await self.listening.stopListening()
        self.assertEqual(self.far_factory.said, ["start", "stop"])
        # what is connected goes on
        near.transport.write(b"still")
        await far.have(5)
        near.transport.loseConnection()
        await far.lost
        # its dialog is over when the peer has taken the end
        while (self.folder / "home" / "control.sock").exists():
            await deferLater(reactor, 0.001)
        listening = await self.server().listen(Making())
        await listening.stopListening()
        taken = reactor.listenTCP(self.port, Factory(), interface="127.0.0.1")
        await taken.stopListening()

    async def test_an_initiator_stops_some_time_after_its_last_user(self) -> None:
        near, _ = await self.joined()
        near.transport.loseConnection()
        await near.lost
        control = self.folder / "node" / "control.sock"
        self.assertTrue(control.exists())
        again: Any = await self.client().connect(Making())
        self.patch(inprocess, "LINGER", 0.0)
        again.transport.loseConnection()
        await again.lost
        await stop_principals(reactor)
        self.assertFalse(control.exists())

    async def test_one_that_is_stopping_is_waited_for(self) -> None:
        listening = await self.server().listen(Making())
        stopped = listening.stopListening()
        again = self.server().listen(Making())
        await stopped
        await (await again).stopListening()

    async def test_a_principal_that_cannot_start_leaves_nothing_behind(self) -> None:
        other = reactor.listenUDP(self.port, DatagramProtocol(), "127.0.0.1")
        error = await self.failed(self.server().listen(Making()))
        self.assertIsInstance(error, PrincipalFailed)
        self.assertIn(str(self.port), str(error))
        await other.stopListening()
        await (await self.server().listen(Making())).stopListening()

    async def test_the_lock_names_a_daemon_that_runs(self) -> None:
        await self.server().listen(Making())
        copy = self.folder / "copy.toml"
        copy.write_text(self.home.read_text().replace(str(self.port), str(free_port())))
        error = await self.failed(ServiceEndpoint(reactor, "echo", copy).listen(Making()))
        self.assertIsInstance(error, PrincipalFailed)
        self.assertIn(str(os.getpid()), str(error))


class StringTests(SynchronousTestCase):
    def test_clients(self) -> None:
        expected = DialogEndpoint(None, HOME, "echo", Path("/etc/node.toml"))
        self.assertEqual(parse_client(None, HOME, service="echo", config="/etc/node.toml"), expected)
        self.assertEqual(parse_client(None, peer=HOME, service="echo", config="/etc/node.toml"), expected)
        self.assertEqual(parse_client(None, HOME, service="echo", config="c", timeout="2.5").timeout, 2.5)

    def test_servers(self) -> None:
        expected = ServiceEndpoint(None, "echo", Path("/etc/home.toml"))
        self.assertEqual(parse_server(None, service="echo", config="/etc/home.toml"), expected)

    def test_what_is_wrong(self) -> None:
        for why, places, named in (
            ("peer is missing", (), {"service": "echo", "config": "c"}),
            ("service is missing", (HOME,), {"config": "c"}),
            ("config is missing", (HOME,), {"service": "echo", "config": ""}),
            ("'more' is one argument too many", (HOME, "more"), {"service": "echo", "config": "c"}),
            ("no argument 'colour'", (HOME,), {"service": "echo", "config": "c", "colour": "red"}),
            ("peer must be", ("home",), {"service": "echo", "config": "c"}),
            ("service must be", (HOME,), {"service": "a\nb", "config": "c"}),
            ("timeout must be", (HOME,), {"service": "echo", "config": "c", "timeout": "soon"}),
            ("timeout must be", (HOME,), {"service": "echo", "config": "c", "timeout": "-1"}),
            ("timeout must be", (HOME,), {"service": "echo", "config": "c", "timeout": "nan"}),
        ):
            error = self.assertRaises(BadEndpoint, parse_client, None, *places, **named)
            self.assertIn(why, str(error))
        error = self.assertRaises(BadEndpoint, parse_server, None, HOME, service="echo", config="c")
        self.assertIn("the form is seckex:service=NAME:config=FILE", str(error))
