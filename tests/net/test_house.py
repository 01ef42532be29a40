"""Roles at the edge: ports of their own, what fails, and that nothing begins after the end."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.defer import gatherResults
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from seckex.errors import Unfeasible
from seckex.machine import Now, Path, Send
from seckex.net.house import HouseAtEdge
from seckex.net.log import EventLog
from seckex.net.principal import Clock
from seckex.roles.faces import ClosePort, RoleAction
from seckex.roles.house import House
from seckex.wire.numbers import Kind
from tests.roles.test_house import PATH, Scripted, message

reactor: Any = installed
NOBODY: Any = None


class Failing(Scripted):
    """One whose first tick fails."""

    def tick(self, now: Now) -> list[RoleAction]:
        again = ("tick",) in self.told
        super().tick(now)
        if not again:
            raise ZeroDivisionError("by the test")
        self.deadline = None
        return []


class EdgeCase(TestCase):
    timeout = 120
    made = Scripted

    def setUp(self) -> None:
        self.sent: list[tuple[bytes, Path]] = []
        self.role = self.made(frozenset((Kind.SOLICITATION, Kind.ADVERTISEMENT, Kind.RELAY)))
        house = House("node@example.org", {"scripted": self.role})
        log = EventLog("error", lambda: 0.0)
        self.edge = HouseAtEdge(
            reactor, house, lambda *what: self.sent.append(what), NOBODY, NOBODY, log, Clock(reactor.seconds)
        )
        self.addCleanup(lambda: gatherResults(self.edge.stop()))

    async def until(self, holds: Any) -> None:
        while not holds():
            await deferLater(reactor, 0.002)

    def own(self, listener: socket.socket, *, tcp: bool = False, via: int = -1) -> Path:
        """Return a path from a port of our own to a socket."""
        host, port = listener.getsockname()
        return Path(host, port, via, tcp=tcp)

    def ask(self, *actions: Any) -> None:
        self.edge.ask(self.role, lambda _now: list(actions))

    def listener(self, kind: socket.SocketKind) -> socket.socket:
        opened = socket.socket(socket.AF_INET, kind)
        self.addCleanup(opened.close)
        opened.bind(("127.0.0.1", 0))
        opened.setblocking(False)
        return opened


class PortTests(EdgeCase):
    async def test_each_path_of_its_own_has_a_port_until_it_is_closed(self) -> None:
        there = self.listener(socket.SOCK_DGRAM)
        path = self.own(there)
        self.ask(Send(b"one", path))
        self.ask(Send(b"two", path._replace(via=-2)))
        await self.until(lambda: len(self.edge._ports) == 2)
        _, first = there.recvfrom(100)
        _, second = there.recvfrom(100)
        self.assertNotEqual(first, second)
        there.sendto(message(Kind.ADVERTISEMENT, answer=True), first)
        await self.until(lambda: self.role.told)
        self.assertEqual(self.role.told[0][2], path)
        self.ask(ClosePort(-1), ClosePort(-2))
        self.assertEqual(self.edge._ports, {})

    async def test_a_connection_that_is_being_made_ends_with_its_port(self) -> None:
        # Nobody accepts, and the queue is full: connections hang.
        there = self.listener(socket.SOCK_STREAM)
        there.listen(0)
        filling = [socket.socket() for _ in range(4)]
        for each in filling:
            self.addCleanup(each.close)
            each.setblocking(False)
            each.connect_ex(there.getsockname())
        self.ask(Send(message(Kind.SOLICITATION), self.own(there, tcp=True)))
        await deferLater(reactor, 0)
        # Trial complains of the connector and its time-out if they are left.
        self.ask(ClosePort(-1))


class FaultTests(EdgeCase):
    made = Failing

    async def test_what_a_role_raises_is_logged_and_its_next_tick_comes(self) -> None:
        self.role.deadline = reactor.seconds()
        self.edge.received(message(Kind.SOLICITATION), PATH)
        await self.until(lambda: self.role.told.count(("tick",)) == 2)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class EndTests(EdgeCase):
    def test_nothing_begins_after_the_end(self) -> None:
        there = self.listener(socket.SOCK_DGRAM)
        self.role.answers = lambda _: [Send(b"late", self.own(there))]
        self.edge.stop()
        self.edge.received(message(Kind.SOLICITATION), PATH)
        self.edge.heard("x@example.org", message(Kind.RELAY))
        self.assertRaises(Unfeasible, self.ask, Send(b"late", self.own(there)))
        self.assertEqual((self.role.told, self.edge._ports, self.sent), ([], {}, []))
