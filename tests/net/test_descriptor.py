"""The socket of a link: what the kernel takes, what it does not take yet, and how a connection ends."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from seckex.net.descriptor import LINGER, LinkDescriptor
from tests.dialog.parts import Pair


class Reactor(Clock):
    """Notes which descriptors it would watch."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: set[object] = set()
        self.writers: set[object] = set()

    def addReader(self, reader: object) -> None:
        self.readers.add(reader)

    def removeReader(self, reader: object) -> None:
        self.readers.discard(reader)

    def addWriter(self, writer: object) -> None:
        self.writers.add(writer)

    def removeWriter(self, writer: object) -> None:
        self.writers.discard(writer)


class Transport:
    """The owner of the socket."""

    def __init__(self, handle: socket.socket) -> None:
        self._handle = handle
        self.said: list[str] = []

    def getHandle(self) -> socket.socket:
        return self._handle

    def pauseProducing(self) -> None:
        self.said.append("paused")

    def abortConnection(self) -> None:
        self.said.append("aborted")

    def loseConnection(self) -> None:
        self.said.append("closed")

    def connectionLost(self, _reason: Failure) -> None:
        self.said.append("lost")


class DescriptorTests(SynchronousTestCase):
    def setUp(self) -> None:
        ours, self.far = socket.socketpair()
        for each in (ours, self.far):
            each.setblocking(False)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            self.addCleanup(each.close)
        self.pair = Pair().opened()
        self.link = self.pair.i.link
        reactor: Any = Reactor()
        transport: Any = Transport(ours)
        self.reactor, self.transport = reactor, transport
        self.descriptor = LinkDescriptor(reactor, transport, self.link)
        self.link.flush = self.descriptor.flush
        self.descriptor.start()

    def heard(self) -> bytes:
        """Return what has arrived at the other end."""
        got = b""
        try:
            while octets := self.far.recv(65536):
                got += octets
        except BlockingIOError:
            pass
        return got

    def fill(self) -> int:
        """Fill the kernel's buffer, so that something stays in the outbox; return how much was sealed."""
        before = len(self.link.outbox)
        sealed = before
        while self.descriptor not in self.reactor.writers:
            self.link.ping(b"x" * 64)
            sealed += 128
        return sealed

    def test_it_reads_and_the_transport_does_not(self) -> None:
        self.assertEqual((self.transport.said, self.descriptor in self.reactor.readers), (["paused"], True))
        self.assertEqual(self.descriptor.fileno(), self.transport.getHandle().fileno())
        self.assertEqual(self.descriptor.logPrefix(), "link")

    def test_what_comes_goes_to_the_link(self) -> None:
        self.pair.r.link.ping(b"hello")
        self.far.send(bytes(self.pair.r.sent))
        self.assertIsNone(self.descriptor.doRead())
        self.assertEqual(len(self.heard()), 64 + 5)
        self.assertIsNone(self.descriptor.doRead())

    def test_what_the_kernel_does_not_take_is_sent_later(self) -> None:
        sealed = self.fill()
        got = b""
        while self.descriptor in self.reactor.writers:
            got += self.heard()
            self.assertIsNone(self.descriptor.doWrite())
        got += self.heard()
        self.assertEqual((len(got), len(self.link.outbox)), (sealed, 0))

    def test_a_peer_that_closes(self) -> None:
        self.far.close()
        self.assertIsInstance(self.descriptor.doRead(), Exception)
        self.descriptor.connectionLost(Failure(ConnectionError()))
        self.descriptor.connectionLost(Failure(ConnectionError()))
        self.assertEqual((self.transport.said, self.descriptor.fileno()), (["paused", "lost"], -1))

    def test_a_write_error_ends_it_at_once(self) -> None:
        """Nobody waits for silence to be noticed where the kernel knows already."""
        self.far.close()
        self.link.ping()
        self.assertEqual((self.transport.said[-1], self.reactor.readers), ("aborted", set()))
        self.link.ping()
        self.descriptor.abort()
        self.assertEqual(self.transport.said.count("aborted"), 1)

    def test_finished_politely_it_waits_for_the_other_end(self) -> None:
        self.descriptor.finish(politely=True)
        self.descriptor.finish(politely=True)
        self.assertEqual(self.far.recv(1), b"")
        self.far.send(b"still talking")
        self.assertIsNone(self.descriptor.doRead())
        self.assertIsNone(self.descriptor.doRead())
        self.far.close()
        self.assertIsInstance(self.descriptor.doRead(), Exception)

    def test_but_not_for_ever(self) -> None:
        self.fill()
        self.descriptor.finish(politely=True)
        self.reactor.advance(LINGER - 0.1)
        self.assertEqual(self.transport.said, ["paused"])
        self.reactor.advance(0.1)
        self.assertEqual(self.transport.said, ["paused", "aborted"])

    def test_finished_without_ceremony(self) -> None:
        self.descriptor.finish(politely=False)
        self.assertEqual(self.transport.said, ["paused", "closed"])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_the_last_words_leave_first(self) -> None:
        sealed = self.fill()
        self.descriptor.finish(politely=True)
        got = b""
        while self.descriptor in self.reactor.writers:
            got += self.heard()
            self.descriptor.doWrite()
        got += self.heard()
        self.assertEqual(len(got), sealed)
        self.assertEqual(self.far.recv(1), b"")

    def test_a_peer_that_asks_much_and_reads_nothing_is_not_read_from(self) -> None:
        while self.descriptor in self.reactor.readers:
            self.pair.r.link.ping(b"x" * 64)
            self.far.send(bytes(self.pair.r.sent))
            self.pair.r.sent.clear()
            self.descriptor.doRead()
        self.assertTrue(self.link.congested)
        while self.descriptor in self.reactor.writers:
            self.heard()
            self.descriptor.doWrite()
        self.assertIn(self.descriptor, self.reactor.readers)
