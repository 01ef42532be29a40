"""Connections of units over real sockets: whole units, order, back-pressure, the last word, calls that fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from seckex.net.delivery.connections import Connections
from seckex.net.delivery.socket import LOW
from seckex.net.principal import Clock
from seckex.wire.units import Ping, Pong, encode_unit
from tests.net.delivery.fakes import Angry, FakeHouse
from tests.net.loopback import LaterReactor

reactor: Any = installed
PEER = "home@example.org"
PING = encode_unit(Ping(b"01234567"))
PONG = encode_unit(Pong(b"01234567"))


class Raw(Protocol):
    """An end of a connection that a test holds."""

    transport: Any

    def __init__(self) -> None:
        self.got = bytearray()
        self.lost: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.got += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: ARG002  # the signature is Twisted's
        self.lost.callback(None)


class Accepting(Factory):
    def __init__(self, connections: Connections) -> None:
        self.connections = connections

    def buildProtocol(self, addr: Any) -> Any:  # noqa: ARG002  # the signature is Twisted's
        return self.connections.accept()


class ConnectionsCase(TestCase):
    timeout = 60

    def setUp(self) -> None:
        self.later = LaterReactor()
        self.broken: list[tuple[str, str]] = []
        self.house, self.connections = self.another()

    def another(self, most: int = 8) -> tuple[FakeHouse, Connections]:
        house = FakeHouse()
        connections = Connections(
            self.later, Clock(self.later.seconds), most, lambda host, why: self.broken.append((host, why))
        )
        connections.house = house
        self.addCleanup(connections.close)
        return house, connections

    def listen(self, connections: Connections) -> int:
        port = reactor.listenTCP(0, Accepting(connections), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return int(port.getHost().port)

    async def raw(self, port: int) -> Raw:
        end = Raw()
        await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port), end)
        self.addCleanup(end.transport.loseConnection)
        return end

    async def until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            await deferLater(reactor, 0.001)


class UnitTests(ConnectionsCase):
    async def test_units_are_whole_however_they_come(self) -> None:
        end = await self.raw(self.listen(self.connections))
        await self.until(lambda: bool(self.house.told("connected")))
        both = PING + PONG
        for at in range(len(both)):
            end.transport.write(both[at : at + 1])
            await deferLater(reactor, 0)
        end.transport.write(both * 500)
        await self.until(lambda: len(self.house.units) == 1002)
        self.assertEqual([octets for _, octets in self.house.units], [PING, PONG] * 501)

    async def test_what_is_said_in_one_turn_goes_in_order(self) -> None:
        end = await self.raw(self.listen(self.connections))
        await self.until(lambda: bool(self.house.told("connected")))
        [[number, peer]] = self.house.told("connected")
        self.assertIsNone(peer)
        for _ in range(2000):
            self.connections.say(number, PING)
            self.connections.say(number, PONG)
        self.assertEqual(self.connections.backlog(number), 4000 * len(PING))
        await self.until(lambda: len(end.got) == 4000 * len(PING))
        self.assertEqual(bytes(end.got), (PING + PONG) * 2000)
        self.assertEqual(self.connections.backlog(number), 0)

    async def test_what_begins_no_unit_ends_the_connection(self) -> None:
        end = await self.raw(self.listen(self.connections))
        end.transport.write(PING + b"GET / HTTP/1.1\r\n\r\n")
        await self.until(lambda: bool(self.broken))
        end.transport.loseConnection()
        await end.lost
        self.assertEqual(len(self.house.units), 1)
        self.assertEqual(self.connections.counts["broken"], 1)
        self.assertIn("Magic", self.broken[0][1])

    async def test_a_unit_that_the_house_refuses_is_the_last(self) -> None:
        def angry(_connection: int, _octets: bytes) -> None:
            raise Angry("no")

        self.house.taking = angry
        end = await self.raw(self.listen(self.connections))
        end.transport.write(PING * 3)
        await self.until(lambda: bool(self.broken))
        self.assertEqual(len(self.house.units), 1)
        self.assertEqual(self.broken, [("127.0.0.1", "no")])
        end.transport.loseConnection()
        await self.until(lambda: bool(self.house.told("lost")))

    async def test_a_fault_of_the_house_is_logged_and_ends_the_connection_alone(self) -> None:
        def faulty(_connection: int, _octets: bytes) -> None:
            raise ZeroDivisionError

        self.house.taking = faulty
        end = await self.raw(self.listen(self.connections))
        end.transport.write(PING)
        await self.until(lambda: bool(self.house.units))
        end.transport.loseConnection()
        await self.until(lambda: bool(self.house.told("lost")))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class PressureTests(ConnectionsCase):
    async def test_the_house_is_told_when_little_waits(self) -> None:
        end = await self.raw(self.listen(self.connections))
        end.transport.pauseProducing()
        await self.until(lambda: bool(self.house.told("connected")))
        [[number, _]] = self.house.told("connected")
        said = 0
        while self.connections.backlog(number) < 1 << 23:
            self.connections.say(number, PING * 4096)
            said += 4096 * len(PING)
        before = len(self.house.told("writable"))
        # The kernel takes some, and much is left.
        await deferLater(reactor, 0.02)
        self.assertGreater(self.connections.backlog(number), LOW)
        self.assertEqual(len(self.house.told("writable")), before)
        end.transport.resumeProducing()
        await self.until(lambda: len(end.got) == said)
        self.assertGreater(len(self.house.told("writable")), before)
        self.assertEqual(self.connections.backlog(number), 0)

    async def test_a_connection_that_is_filled_again_and_again(self) -> None:
        end = await self.raw(self.listen(self.connections))
        await self.until(lambda: bool(self.house.told("connected")))
        [[number, _]] = self.house.told("connected")
        left = [200]

        def more() -> None:
            while left[0] and self.connections.backlog(number) < LOW:
                left[0] -= 1
                self.connections.say(number, PING * 4096)

        self.house.room[number] = more
        more()
        await self.until(lambda: len(end.got) == 200 * 4096 * len(PING))

    async def test_what_is_paused_is_not_read(self) -> None:
        end = await self.raw(self.listen(self.connections))
        await self.until(lambda: bool(self.house.told("connected")))
        self.connections.pause(True)
        end.transport.write(PING)
        another = await self.raw(self.listen(self.connections))
        another.transport.write(PING)
        await deferLater(reactor, 0.02)
        self.assertEqual(self.house.units, [])
        self.connections.pause(False)
        await self.until(lambda: len(self.house.units) == 2)

    async def test_of_too_many_connections_the_last_is_closed(self) -> None:
        house, connections = self.another(most=3)
        port = self.listen(connections)
        for _ in range(3):
            await self.raw(port)
        await self.until(lambda: len(house.told("connected")) == 3)
        one_more = await self.raw(port)
        await one_more.lost
        self.assertEqual(connections.counts["refused"], 1)


class EndTests(ConnectionsCase):
    async def test_the_last_word_arrives(self) -> None:
        end = await self.raw(self.listen(self.connections))
        await self.until(lambda: bool(self.house.told("connected")))
        [[number, _]] = self.house.told("connected")
        self.connections.say(number, PONG * 100_000)
        self.connections.drop(number)
        self.connections.say(number, PING)
        await self.until(lambda: len(end.got) == 100_000 * len(PONG))
        end.transport.loseConnection()
        await self.until(lambda: bool(self.house.told("lost")))
        self.assertNotIn(PING, bytes(end.got))

    async def test_who_does_not_go_is_left(self) -> None:
        end = await self.raw(self.listen(self.connections))
        await self.until(lambda: bool(self.house.told("connected")))
        [[number, _]] = self.house.told("connected")
        end.transport.pauseProducing()
        self.connections.drop(number)
        await deferLater(reactor, 0.01)
        self.assertEqual(self.house.told("lost"), [])
        self.later.clock.advance(5)
        await self.until(lambda: self.house.told("lost") == [[number]])

    async def test_closing_waits_for_all(self) -> None:
        end = await self.raw(self.listen(self.connections))
        await self.until(lambda: bool(self.house.told("connected")))
        closing = self.connections.close()
        self.assertFalse(closing.called)
        end.transport.loseConnection()
        await closing
        self.assertEqual(len(self.connections), 0)


class CallTests(ConnectionsCase):
    async def test_a_call_comes_to_a_connection(self) -> None:
        there, others = self.another()
        self.connections.meet({PEER: ("127.0.0.1", self.listen(others))})
        self.connections.call(PEER)
        self.connections.call(PEER)
        self.assertEqual(self.house.said, [])
        await self.until(lambda: bool(there.told("connected")))
        [[number, peer]] = self.house.told("connected")
        self.assertEqual(peer, PEER)
        self.connections.say(number, PING)
        await self.until(lambda: bool(there.units))
        self.assertEqual(self.connections.octets, (0, len(PING)))
        self.assertEqual(others.octets, (len(PING), 0))

    async def failed(self, times: int) -> None:
        """Wait until calls have failed so often; an endpoint looks after 0.3 s whether there is another address."""
        while len(self.house.told("unreachable")) < times:
            await deferLater(reactor, 0.002)
            self.later.clock.advance(0.05)

    async def test_each_attempt_waits_longer_than_the_one_before(self) -> None:
        self.connections.meet({PEER: ("127.0.0.1", 1)})
        self.connections.call(PEER)
        await self.failed(1)
        for at, seconds in enumerate((0.375, 0.75, 1.5, 3.0), 1):
            self.later.clock.advance(seconds - 0.1)
            await deferLater(reactor, 0.01)
            self.later.clock.advance(0)
            self.assertEqual(len(self.house.told("unreachable")), at)
            await self.failed(at + 1)
        self.assertEqual(self.house.told("unreachable")[0][0], PEER)
        self.assertEqual(self.connections.counts["failed"], 5)

    async def test_who_has_no_address_is_not_reached(self) -> None:
        self.connections.call(PEER)
        self.assertEqual(self.house.said, [])
        await self.until(lambda: self.house.told("unreachable") == [[PEER, "there is no address"]])

    async def test_another_address_is_tried_at_once(self) -> None:
        there, others = self.another()
        self.connections.meet({PEER: ("127.0.0.1", 1)})
        self.connections.call(PEER)
        await self.failed(1)
        self.connections.meet({PEER: ("127.0.0.1", self.listen(others))})
        self.later.clock.advance(0)
        await self.until(lambda: bool(there.told("connected")))

    async def test_who_hangs_up_at_once_is_not_called_again_at_once(self) -> None:
        there, others = self.another()
        self.connections.meet({PEER: ("127.0.0.1", self.listen(others))})
        self.connections.call(PEER)
        await self.until(lambda: bool(there.told("connected")))
        others.drop(there.told("connected")[0][0])
        await self.until(lambda: bool(self.house.told("lost")))
        self.connections.call(PEER)
        await deferLater(reactor, 0.02)
        self.assertEqual(len(there.told("connected")), 1)
        self.later.clock.advance(0.75)
        await self.until(lambda: len(there.told("connected")) == 2)
