"""Links over real sockets: what opens them, what they carry, who is turned away, and how they close."""

from __future__ import annotations

import hashlib
import os
import socket
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from seckex.dialog.faces import Cause
from seckex.net.stream import HELLO_TIMEOUT, LinkConnection
from seckex.wire.numbers import Code
from tests.dialog.parts import association
from tests.net.loopback import LoopbackCase, reactor

MEBIOCTET = 1 << 20


class Stranger(Protocol):
    """Says something to the port, and notes what it hears."""

    transport: Any

    def __init__(self, words: bytes = b"") -> None:
        self._words = words
        self.heard = b""
        self.gone: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        self.transport.write(self._words)

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.reason = reason
        self.gone.callback(None)


class StreamCase(LoopbackCase):
    async def stranger(self, words: bytes = b"") -> Stranger:
        """Connect a stranger."""
        stranger: Stranger = await connectProtocol(
            HostnameEndpoint(reactor, self.where.host, self.where.port), Stranger(words)
        )
        self.addCleanup(stranger.transport.abortConnection)
        return stranger


class CarryingTests(StreamCase):
    async def test_over_ipv4(self) -> None:
        await self.carry("127.0.0.1")

    async def test_over_ipv6(self) -> None:
        await self.carry("::1")

    async def carry(self, interface: str) -> None:
        """Carry a few mebioctets both ways at once, over two dialogs."""
        self.listen(interface)
        links = self.links()
        links.use(association())
        link = await links.when_open(20)
        self.assertEqual(len(self.initiator.opened), 1)
        sent: list[tuple[bytes, bytes]] = []
        dialogs = []
        for _ in range(2):
            dialog, program, far, far_program = await self.dialog(link)
            up, down = os.urandom(3 * MEBIOCTET + 7), os.urandom(2 * MEBIOCTET + 1)
            for at in range(0, len(up), 100_000):
                dialog.write(up[at : at + 100_000])
            far.write(down)
            dialog.end()
            far.end()
            sent.append((up, down))
            dialogs.append((program, far_program))
        await self.until(lambda: all(each.ending is not None for pair in dialogs for each in pair))
        for (up, down), (program, far_program) in zip(sent, dialogs, strict=True):
            self.assertEqual(hashlib.sha256(far_program.got).digest(), hashlib.sha256(up).digest())
            self.assertEqual(hashlib.sha256(program.got).digest(), hashlib.sha256(down).digest())
            self.assertEqual((program.said[-1], far_program.said[-1]), ("over: finished", "over: finished"))

    async def test_small_messages_do_not_wait_for_more(self) -> None:
        port, _, link = await self.linked()
        for connection in port._proved.values():
            self.assertTrue(connection.transport.getTcpNoDelay() and connection.transport.getTcpKeepAlive())
        dialog, program, far, far_program = await self.dialog(link)
        far_program.on_data = lambda octets: far.write(octets.upper())
        for word in (b"one", b"two"):
            dialog.write(word)
            await self.until(lambda: program.got.endswith(word.upper()))  # noqa: B023  # awaited before it changes

    async def test_a_slow_program_stalls_no_other(self) -> None:
        _, _, link = await self.linked()
        slow, _, far_slow, slow_program = await self.dialog(link)
        quick, _, _, quick_program = await self.dialog(link)
        far_slow.pause()
        octets = os.urandom(4 * MEBIOCTET)
        slow.write(octets)
        quick.write(octets)
        await self.until(lambda: len(quick_program.got) == len(octets))
        self.assertEqual((slow_program.got, slow.sent), (b"", MEBIOCTET))
        far_slow.resume()
        await self.until(lambda: len(slow_program.got) == len(octets))
        self.assertEqual(slow_program.got, octets)


class StrangerTests(StreamCase):
    async def test_other_protocols_are_closed_and_counted(self) -> None:
        port = self.listen()
        for count, words in enumerate(
            (b"GET / HTTP/1.0\r\n\r\n", b"SSH-2.0-x\r\n", b"\x00\x10" + bytes(16), b"S\x00"), 1
        ):
            stranger = await self.stranger(words)
            await stranger.gone
            self.assertEqual(stranger.heard, b"")
            self.assertEqual(port.counts[Cause.FOREIGN], count)
        self.assertEqual(port.links, ())

    async def test_one_that_says_nothing_is_closed_in_time(self) -> None:
        port = self.listen()
        silent, begun = await self.stranger(), await self.stranger(b"SK")
        await self.until(lambda: len(port._unproved) == 2)
        await self.pass_time(HELLO_TIMEOUT - 0.1)
        self.assertEqual(port.counts, {})
        await self.pass_time(0.1)
        await silent.gone
        await begun.gone
        self.assertEqual(port.counts, {Cause.TIMED_OUT: 2})

    async def test_one_too_many_drops_the_oldest(self) -> None:
        port = self.listen(most_unproved=2)
        strangers = []
        for count in (1, 2, 2, 2):
            strangers.append(await self.stranger(b"SK"))
            await self.until(lambda: len(port._unproved) == count)  # noqa: B023  # awaited before it changes
        await strangers[0].gone
        await strangers[1].gone
        self.assertEqual((port.dropped, len(port._unproved)), (2, 2))
        self.assertFalse(strangers[2].gone.called)
        # one who has the keys gets in all the same
        links = self.links()
        links.use(association())
        await links.when_open(20)
        await self.until(lambda: len(port.links) == 1)

    async def test_too_many_that_have_proved_their_keys(self) -> None:
        port, _, link = await self.linked(most_connections=1)
        stranger = await self.stranger()
        await stranger.gone
        self.assertEqual((port.refused, port.dropped), (1, 0))
        self.assertTrue(link.is_open)

    async def test_an_unknown_association(self) -> None:
        port = self.listen()
        self.known.clear()
        links = self.links()
        links.use(association())
        await self.until(lambda: len(self.initiator.closed) == 1)
        self.assertEqual(self.initiator.closures, ["unknown association, unknown-association (300)"])
        self.assertEqual(port.counts, {Cause.UNKNOWN_ASSOCIATION: 1})
        self.assertEqual(self.responder.opened, [])

    async def test_rubbish_after_the_hello(self) -> None:
        """An open link ends with the reason, and what it carried is lost."""
        _, _, link = await self.linked()
        _, program, _, far_program = await self.dialog(link)
        link.outbox.append(b"SK rubbish".ljust(64))
        link.flush()
        await self.until(lambda: bool(self.responder.closed and self.initiator.closed))
        self.assertIn("violated, protocol-error (305)", self.responder.closures[0])
        self.assertIn("closed by peer, protocol-error (305)", self.initiator.closures[0])
        for each in (program, far_program):
            self.assertIn("over: lost", each.said[-1])


class ClosingTests(StreamCase):
    async def test_the_reason_arrives_though_much_is_on_its_way(self) -> None:
        """Were the connection closed at once, what comes would reset it, and CLOSE would be lost."""
        _, _, link = await self.linked()
        dialog, _, far, _ = await self.dialog(link)
        dialog.write(os.urandom(2 * MEBIOCTET))
        far.write(os.urandom(2 * MEBIOCTET))
        self.responder.opened[0].close(Code.SHUTTING_DOWN, "service")
        await self.until(lambda: bool(self.initiator.closed))
        self.assertEqual(self.initiator.closures, ["closed by peer, shutting-down (306): 'service'"])

    async def test_the_port_closes_when_all_are_gone(self) -> None:
        port, links, _ = await self.linked()
        stranger = await self.stranger(b"SK")
        await self.until(lambda: len(port._unproved) == 1)
        await port.close()
        await stranger.gone
        self.assertEqual((port.links, len(port._unproved)), ((), 0))
        self.assertEqual(self.responder.closures.count("closed, shutting-down (306)"), 2)
        await links.stopService()

    async def test_an_aborted_connection_is_lost(self) -> None:
        port, links, link = await self.linked()
        _, program, *_ = await self.dialog(link)
        connection: LinkConnection = next(iter(port._proved.values()))
        connection.transport.getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        connection.abort()
        await self.until(lambda: bool(self.initiator.closed and self.responder.closed))
        self.assertIn("lost", self.initiator.closures[0])
        self.assertIn("lost", self.responder.closures[0])
        self.assertIn("over: lost", program.said[-1])
        self.assertEqual(links.link, None)

    async def test_an_end_of_file_is_no_end_of_a_dialog(self) -> None:
        _, _, link = await self.linked()
        _, program, _, far_program = await self.dialog(link)
        connection = link._owner
        assert isinstance(connection, LinkConnection)
        connection.transport.getHandle().shutdown(socket.SHUT_WR)
        await self.until(lambda: bool(self.initiator.closed and self.responder.closed))
        for each in (program, far_program):
            self.assertIn("over: lost", each.said[-1])
            self.assertNotIn("ended", each.said)
