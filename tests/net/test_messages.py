"""General messages over TCP: framing however it is cut, bounds, time-outs, and connections that are lost."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from seckex.machine import Path
from seckex.net.messages import ANSWER_WITHIN, ASKING_IDLE_FOR, FIRST_WITHIN, IDLE_FOR, MessageConnection, Messages
from seckex.node.buckets import source_of
from tests.wire.test_general import OFFER_OCTETS

LONG = b"\xff" * 8192
SHORT = b"\xff\x10" + bytes(14)


def framed(*messages: bytes) -> bytes:
    return b"".join(len(message).to_bytes(2, "big") + message for message in messages)


class Wire(StringTransport):
    """A transport that knows of what is TCP's own, and tells how it was closed."""

    def __init__(self, host: str = "192.0.2.9") -> None:
        super().__init__(peerAddress=IPv4Address("TCP", host, 40000))  # type: ignore[no-untyped-call]  # Twisted's
        self.closed = ""
        self.over: Any = None

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Nothing."""

    def loseConnection(self) -> None:
        self.closed = self.closed or "in order"
        self.over and self.over()

    def abortConnection(self) -> None:
        self.closed = self.closed or "at once"
        self.over and self.over()


class MessagesCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.got: list[tuple[bytes, Path]] = []
        self.messages = Messages(
            self.clock,
            lambda octets, path: self.got.append((octets, path)),
            lambda path, why: self.fail(f"{path}: {why}"),
            lambda host: source_of(host, 24, 48),
            most=4,
        )

    def accepted(self, host: str = "192.0.2.9") -> tuple[MessageConnection, Wire]:
        connection, wire = self.messages.accept(host), Wire(host)
        wire.over = lambda: self.clock.callLater(0, connection.connectionLost)
        connection.makeConnection(wire)
        return connection, wire


class FramingTests(MessagesCase):
    SAID = (SHORT, OFFER_OCTETS, LONG[:1300], SHORT)

    def test_messages_however_they_are_cut(self) -> None:
        octets = framed(*self.SAID)
        for at in range(len(octets) + 1):
            self.got.clear()
            connection, wire = self.accepted()
            connection.dataReceived(octets[:at])
            connection.dataReceived(octets[at:])
            self.assertEqual([message for message, _ in self.got], list(self.SAID), at)
            wire.loseConnection()
            self.clock.advance(0)

    def test_octet_by_octet(self) -> None:
        connection, _ = self.accepted()
        for octet in framed(*self.SAID):
            connection.dataReceived(bytes((octet,)))
        self.assertEqual([message for message, _ in self.got], list(self.SAID))

    def test_all_at_once_and_the_longest(self) -> None:
        connection, _ = self.accepted()
        connection.dataReceived(framed(LONG, LONG, SHORT))
        self.assertEqual([message for message, _ in self.got], [LONG, LONG, SHORT])

    def test_a_length_with_any_bit_changed_never_raises_and_bounds_what_is_kept(self) -> None:
        octets = framed(OFFER_OCTETS)
        for bit in range(16):
            self.got.clear()
            altered = bytes((octets[0] ^ 0x8000 >> bit >> 8 & 0xFF, octets[1] ^ 0x8000 >> bit & 0xFF)) + octets[2:]
            connection, wire = self.accepted()
            connection.dataReceived(altered)
            self.assertLess(len(connection._buffer), 8194)
            for message, _ in self.got:
                self.assertNotEqual(message, OFFER_OCTETS)
            wire.abortConnection()
            self.clock.advance(0)

    def test_impossible_lengths_close_the_connection_and_are_counted(self) -> None:
        for count, size in enumerate((0, 1, 15, 8193, 0x20FF), 1):
            connection, wire = self.accepted()
            connection.dataReceived(framed(SHORT) + size.to_bytes(2, "big") + LONG)
            self.assertEqual(wire.closed, "at once")
            self.clock.advance(0)
            self.assertEqual(self.messages.counts["foreign"], count)
        self.assertEqual([message for message, _ in self.got], [SHORT] * 5)
        self.assertEqual(len(self.messages), 0)

    def test_an_answer_goes_back_over_its_connection(self) -> None:
        one, wire = self.accepted()
        other, other_wire = self.accepted("198.51.100.1")
        one.dataReceived(framed(SHORT))
        other.dataReceived(framed(SHORT))
        self.messages.send(LONG, self.got[1][1])
        self.assertEqual((wire.value(), other_wire.value()), (b"", framed(LONG)))
        self.assertEqual(self.got[1][1], Path("198.51.100.1", 40000, other.number, tcp=True))
        other_wire.loseConnection()
        self.clock.advance(0)
        self.messages.send(LONG, self.got[1][1])
        self.assertEqual(other_wire.value(), framed(LONG))


class BoundTests(MessagesCase):
    def test_a_connection_that_says_nothing_whole_is_closed(self) -> None:
        connection, wire = self.accepted()
        for octet in framed(SHORT)[:9]:
            self.clock.advance(1)
            connection.dataReceived(bytes((octet,)))
        self.clock.advance(FIRST_WITHIN - 9 - 0.1)
        self.assertEqual(wire.closed, "")
        self.clock.advance(0.2)
        self.assertEqual(wire.closed, "in order")

    def test_one_that_is_not_used_any_more_is_closed(self) -> None:
        connection, wire = self.accepted()
        connection.dataReceived(framed(SHORT))
        self.clock.advance(IDLE_FOR - 1)
        connection.dataReceived(framed(SHORT))
        self.clock.advance(IDLE_FOR - 1)
        connection.dataReceived(framed(SHORT)[:5])
        self.assertEqual(wire.closed, "")
        self.clock.advance(1.1)
        self.assertEqual(wire.closed, "in order")
        self.assertLess(ASKING_IDLE_FOR, IDLE_FOR)

    def test_for_one_too_many_the_most_silent_of_the_part_of_the_net_that_has_most_gives_way(self) -> None:
        first, wire = self.accepted("192.0.2.1")
        second, second_wire = self.accepted("192.0.2.2")
        _, far_wire = self.accepted("198.51.100.1")
        _, farther_wire = self.accepted("203.0.113.1")
        first.dataReceived(framed(SHORT))
        self.accepted("198.51.100.2")
        closed = [each.closed for each in (wire, second_wire, far_wire, farther_wire)]
        self.assertEqual(closed, ["", "at once", "", ""])
        self.assertEqual((len(self.messages), self.messages.counts["dropped"]), (4, 1))
        for _ in range(20):
            self.accepted("198.51.100.3")
        self.assertEqual((wire.closed, farther_wire.closed), ("", ""))
        self.assertEqual(len(self.messages), 4)
        del second

    def test_a_peer_that_does_not_read_is_not_read_from(self) -> None:
        connection, wire = self.accepted()
        self.assertIs(wire.producer, connection)
        connection.pauseProducing()
        self.assertEqual(wire.producerState, "paused")
        connection.resumeProducing()
        self.assertEqual(wire.producerState, "producing")

    def test_one_that_is_not_read_from_is_dropped_in_the_end(self) -> None:
        connection, wire = self.accepted()
        connection.dataReceived(framed(SHORT))
        connection.pauseProducing()
        self.clock.advance(IDLE_FOR)
        self.assertEqual(wire.closed, "at once")

    def test_who_asks_drops_a_connection_that_does_not_answer(self) -> None:
        connection = MessageConnection(self.clock, lambda *_: None, lambda _: None, asking=True)
        wire = Wire()
        connection.makeConnection(wire)
        connection.send(SHORT)
        self.clock.advance(ANSWER_WITHIN - 1)
        connection.dataReceived(framed(SHORT))
        self.clock.advance(ASKING_IDLE_FOR - 1)
        self.assertEqual(wire.closed, "")
        connection.send(SHORT)
        self.clock.advance(ANSWER_WITHIN - 1)
        connection.send(SHORT)
        self.clock.advance(1)
        self.assertEqual(wire.closed, "at once")

    def test_stopping_closes_all(self) -> None:
        _, wire = self.accepted()
        self.messages.stop()
        self.assertEqual(wire.closed, "at once")
        self.messages.send(SHORT, Path("192.0.2.1", 4434, tcp=True))
