"""Forwards and services over real links: what goes through, who is turned away and why, and what is left behind."""

from __future__ import annotations

import itertools
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, TCP4ServerEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from seckex.dialog.link import Link
from seckex.dialog.stream import Dialog
from seckex.events import Event
from seckex.net.forwards import LINK_WITHIN, Forward, ForwardFailed, Forwards, Services
from seckex.net.log import EventLog
from seckex.net.peer import PeerLinks
from tests.dialog.parts import association
from tests.net.loopback import LoopbackCase, Owning, reactor

PEER = "peer@example.net"


class Serving(Owning):
    """The responder's owner of links: dialogs go to its services."""

    services: Services

    def dialog_offered(self, link: Link, dialog: Dialog) -> None:
        self.services.offered(link, dialog)


class Talk(Protocol):
    """One end of a local connection."""

    transport: Any

    def __init__(self) -> None:
        self.heard = b""
        self.gone: Deferred[str] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.gone.callback(reason.getErrorMessage())


class ForwardCase(LoopbackCase):
    def setUp(self) -> None:
        super().setUp()
        self.responder: Serving = Serving()
        self.events: list[Event] = []
        self.log = EventLog("error", lambda: 0.0)
        self.log.subscribe(lambda _, event: self.events.append(event))
        self.served: list[Talk] = []
        self.ids = itertools.count(1)
        self.listen()

    async def forwarding(
        self, service: str = "echo", *, most: int = 8, per_service: int = 8, linked: bool = True
    ) -> int:
        """Forward to ``service`` of a responder with one, and with one that refuses; return the local port."""
        factory: Any = Factory.forProtocol(Talk)

        def build(_: object) -> Talk:
            self.served.append(Talk())
            return self.served[-1]

        factory.buildProtocol = build
        target = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(factory)
        self.addCleanup(target.stopListening)
        self.responder.services = Services(
            self.later,
            "home@example.org",
            {"echo": f"tcp:host=127.0.0.1:port={target.getHost().port}", "dead": "tcp:host=127.0.0.1:port=1"},
            {PEER: ("echo", "dead")},
            per_service,
            self.log,
        )
        self.peer: PeerLinks = self.links()
        self.forwards = Forwards(
            self.later,
            "node@example.net",
            (Forward("tcp:0:interface=127.0.0.1", PEER, service),),
            {PEER: self.peer},
            most,
            lambda: next(self.ids).to_bytes(16, "big"),
            self.log,
        )
        await self.forwards.listen(early=True)
        self.addCleanup(self.responder.services.stop)
        self.addCleanup(self.forwards.stop)
        if linked:
            self.peer.use(association())
            await self.peer.when_open(20)
        (port,) = self.forwards.ports()
        assert port is not None
        return port

    async def program(self, port: int) -> Talk:
        """Connect a local program."""
        talk: Talk = await connectProtocol(HostnameEndpoint(reactor, "127.0.0.1", port), Talk())
        self.addCleanup(talk.transport.abortConnection)
        return talk

    def said(self) -> list[str]:
        return [type(event).__name__ for event in self.events]


class ForwardTests(ForwardCase):
    async def test_there_and_back(self) -> None:
        port = await self.forwarding()
        local = await self.program(port)
        local.transport.write(b"question")
        await self.until(lambda: bool(self.served) and self.served[0].heard == b"question")
        self.served[0].transport.write(b"answer")
        await self.until(lambda: local.heard == b"answer")
        self.assertEqual(list(self.forwards.counts.values()), [1])
        self.served[0].transport.loseConnection()
        await local.gone
        await self.until(lambda: not any(self.forwards.counts.values()))
        self.assertEqual(self.said()[:2], ["DialogOpened", "DialogOpened"])

    async def test_an_abort_goes_through(self) -> None:
        local = await self.program(await self.forwarding())
        await self.until(lambda: bool(self.served))
        self.served[0].transport.abortConnection()
        self.assertIn("non-clean", await local.gone)
        await self.until(lambda: self.said().count("DialogClosed") == 2)

    async def test_one_too_many(self) -> None:
        port = await self.forwarding(most=1)
        await self.program(port)
        await self.until(lambda: bool(self.served))
        await (await self.program(port)).gone
        self.assertEqual(self.forwards.refused, 1)
        self.assertIn("1 connections over forwards already", str(self.events[-1]))

    async def test_one_too_many_for_the_service(self) -> None:
        port = await self.forwarding(per_service=1)
        await self.program(port)
        await self.until(lambda: bool(self.served))
        await (await self.program(port)).gone
        self.assertTrue(any("1 dialogs with this service already" in str(event) for event in self.events))

    async def test_a_service_that_refuses(self) -> None:
        await (await self.program(await self.forwarding("dead"))).gone
        self.assertTrue(any("its target cannot be reached" in str(event) for event in self.events))
        self.assertFalse(self.responder.services.counts["dead"])

    async def test_no_link_in_time(self) -> None:
        local = await self.program(await self.forwarding(linked=False))
        await self.until(lambda: any(self.forwards.counts.values()))
        await self.until(lambda: bool(self.peer._waiters))
        await self.pass_time(LINK_WITHIN)
        await local.gone
        self.assertIn("no link within 20 s", str(self.events[-1]))

    async def test_the_program_is_gone_before_there_is_a_link(self) -> None:
        """Nothing is read from it before its dialog carries: only then is it missed, and nothing is left."""
        local = await self.program(await self.forwarding(linked=False))
        await self.until(lambda: bool(self.peer._waiters))
        local.transport.abortConnection()
        await local.gone
        self.peer.use(association())
        await self.until(lambda: bool(self.served))
        await self.served[0].gone
        await self.until(lambda: not any(self.forwards.counts.values()))
        self.assertFalse(self.responder.services.counts["echo"])

    async def test_a_place_that_is_taken(self) -> None:
        port = await self.forwarding()
        self.forwards.forwards = (Forward(f"tcp:{port}:interface=127.0.0.1", PEER, "echo"),)
        await self.assertFailure(self.forwards.listen(early=True), ForwardFailed)

    async def test_stopped_it_leaves_nothing(self) -> None:
        port = await self.forwarding()
        local = await self.program(port)
        await self.until(lambda: bool(self.served))
        await self.forwards.stop()
        await local.gone
        await self.served[0].gone
