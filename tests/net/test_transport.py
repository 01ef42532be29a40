"""A dialog as a Twisted transport: what a protocol sees of it."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IConsumer, IHalfCloseableProtocol, IPushProducer, ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.protocols.amp import AMP, Command, Unicode
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from seckex.dialog.faces import Ending
from seckex.dialog.link import Link
from seckex.dialog.outbound import MOST_QUEUED
from seckex.dialog.stream import Dialog
from seckex.net.carried import Carried
from seckex.net.transport import ORPHANED, DialogAddress, accept, connect
from seckex.wire.dialog import Hello
from seckex.wire.numbers import Code
from tests.dialog.parts import DIALOG_ID, Pair

NODE, HOME = "node@example.net", "home@example.net"


class Noting(Protocol):
    """Notes what happens to it."""

    transport: Any

    def __init__(self) -> None:
        self.said: list[str] = []
        self.got = b""

    def connectionMade(self) -> None:
        self.said.append("made")

    def dataReceived(self, data: bytes) -> None:
        self.got += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.said.append(f"lost: {type(reason.value).__name__}")
        self.reason = reason


@implementer(IHalfCloseableProtocol)
class HalfCloseable(Noting):
    """The same, and can do with half a connection."""

    def readConnectionLost(self) -> None:
        self.said.append("read lost")

    def writeConnectionLost(self) -> None:
        self.said.append("write lost")


@implementer(IPushProducer)
class Producing:
    """A producer of numbered pieces."""

    def __init__(self, protocol: Noting, pieces: int, size: int = 50000) -> None:
        self.said: list[str] = []
        self.left = pieces
        self._protocol = protocol
        self._size = size
        self._paused = False

    def start(self, streaming: bool) -> None:
        self._streaming = streaming
        self._protocol.transport.registerProducer(self, streaming)
        if streaming:
            self.resumeProducing()

    def pauseProducing(self) -> None:
        self.said.append("pause")
        self._paused = True

    def resumeProducing(self) -> None:
        self.said.append("resume")
        self._paused = False
        while self.left and not self._paused:
            self.left -= 1
            self._protocol.transport.write(bytes([self.left]) * self._size)
            if not self.left:
                self._protocol.transport.unregisterProducer()
            if not self._streaming:
                break

    def stopProducing(self) -> None:
        self.said.append("stop")


class TransportCase(SynchronousTestCase):
    """Two protocols over one dialog, and a clock."""

    def join(self, near: Protocol, far: Protocol) -> None:
        self.clock = Clock()
        self.refusals: list[Ending] = []
        limits = Hello(1 << 20, 4, 65536)
        self.near, self.far = near, far
        self.pair = Pair(limits_i=limits, limits_r=limits, soon=lambda call: self.clock.callLater(0, call)).opened()

        def offered(_link: Link, dialog: Dialog) -> None:
            accept(self.clock, dialog, far, HOME, NODE)

        self.pair.r.dialog_offered = offered  # type: ignore[method-assign]  # a protocol in place of a program
        self.transport = connect(self.clock, self.pair.i.link, "echo", DIALOG_ID, near, NODE, self.refusals.append)
        self.settle()

    def settle(self) -> None:
        """Move everything, and let what was put off till later happen."""
        while True:
            self.clock.advance(0)
            moved = self.pair.move(self.pair.i) + self.pair.move(self.pair.r)
            if not moved and not any(call.getTime() <= self.clock.seconds() for call in self.clock.getDelayedCalls()):
                break


class ConnectionTests(TransportCase):
    def test_it_is_what_it_says(self) -> None:
        self.join(Noting(), Noting())
        for interface in (ITCPTransport, IConsumer, IPushProducer):
            verifyObject(interface, self.transport)
        self.assertTrue(self.transport.getTcpNoDelay() and self.transport.getTcpKeepAlive())
        self.transport.setTcpNoDelay(False)
        self.transport.setTcpKeepAlive(False)

    def test_addresses(self) -> None:
        self.join(near := Noting(), Noting())
        self.assertEqual(near.transport.getHost(), DialogAddress(NODE, "echo"))
        self.assertEqual(near.transport.getPeer(), DialogAddress("peer@example.net", "echo"))
        self.assertEqual(str(DialogAddress(HOME, "web")), "web at home@example.net")

    def test_octets_both_ways(self) -> None:
        self.join(near := Noting(), far := Noting())
        near.transport.write(b"one ")
        near.transport.writeSequence([b"two ", b"three"])
        far.transport.write(b"answer")
        self.settle()
        self.assertEqual((far.got, near.got), (b"one two three", b"answer"))
        self.assertEqual((near.said, far.said), (["made"], ["made"]))

    def test_only_octets(self) -> None:
        self.join(near := Noting(), far := Noting())
        for write, wrong in ((near.transport.write, "text"), (near.transport.writeSequence, [b"x", "text"])):
            self.assertRaises(TypeError, write, wrong)
        near.transport.write(b"octets")
        self.settle()
        self.assertEqual(far.got, b"octets")

    def test_any_protocol_runs_unchanged(self) -> None:
        class Shout(Command):
            arguments = [(b"text", Unicode())]  # noqa: RUF012  # as AMP wants it
            response = [(b"text", Unicode())]  # noqa: RUF012  # the same

        class Shouting(AMP):
            @Shout.responder
            def shout(self, text: str) -> dict[str, str]:
                return {"text": text.upper()}

        self.join(near := AMP(), Shouting())
        answers: list[dict[str, str]] = []
        for word in ("hear", "me"):
            near.callRemote(Shout, text=word).addCallback(answers.append)
        self.settle()
        self.assertEqual(answers, [{"text": "HEAR"}, {"text": "ME"}])

    def test_refused(self) -> None:
        near = Noting()
        pair = Pair().opened()
        pair.r.answer = lambda dialog: dialog.reject(Code.PROHIBITED, "not you")
        refusals: list[Ending] = []
        connect(Clock(), pair.i.link, "secret", DIALOG_ID, near, NODE, refusals.append)
        pair.settle()
        self.assertEqual([str(each) for each in refusals], ["rejected, prohibited (129): 'not you'"])
        self.assertEqual(near.said, [])


class EndTests(TransportCase):
    def test_lose_connection(self) -> None:
        self.join(near := Noting(), far := Noting())
        near.transport.write(b"x" * 300000)
        near.transport.loseConnection()
        near.transport.loseConnection()
        near.transport.write(b"too late")
        self.assertEqual(near.said, ["made"])
        self.settle()
        self.assertEqual((near.said, far.said), (["made", "lost: ConnectionDone"], ["made", "lost: ConnectionDone"]))
        self.assertEqual(len(far.got), 300000)
        self.assertEqual(self.pair.i.link.dialogs, ())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop_producing_is_lose_connection(self) -> None:
        self.join(near := Noting(), far := Noting())
        near.transport.stopProducing()
        self.settle()
        self.assertEqual(far.said, ["made", "lost: ConnectionDone"])

    def test_half_close(self) -> None:
        self.join(near := HalfCloseable(), far := HalfCloseable())
        near.transport.write(b"request")
        near.transport.loseWriteConnection()
        self.settle()
        self.assertEqual((near.said, far.said), (["made", "write lost"], ["made", "read lost"]))
        far.transport.write(b"response")
        self.settle()
        self.assertEqual(near.got, b"response")
        far.transport.loseWriteConnection()
        self.settle()
        self.assertEqual(near.said, ["made", "write lost", "read lost", "lost: ConnectionDone"])
        self.assertEqual(far.said, ["made", "read lost", "write lost", "lost: ConnectionDone"])

    def test_half_close_then_close(self) -> None:
        self.join(near := HalfCloseable(), HalfCloseable())
        near.transport.loseWriteConnection()
        self.settle()
        near.transport.loseConnection()
        self.settle()
        self.assertEqual(near.said, ["made", "write lost", "lost: ConnectionDone"])

    def test_what_comes_after_lose_connection_is_thrown_away(self) -> None:
        self.join(near := Noting(), far := HalfCloseable())
        near.transport.loseConnection()
        self.settle()
        far.transport.write(b"x" * (3 << 20))
        self.settle()
        self.assertEqual((near.got, far.said), (b"", ["made", "read lost"]))
        far.transport.loseConnection()
        self.settle()
        self.assertEqual(far.said, ["made", "read lost", "lost: ConnectionDone"])
        self.assertEqual(self.pair.r.link.dialogs, ())

    def test_a_peer_that_never_ends_is_reset(self) -> None:
        self.join(near := Noting(), far := HalfCloseable())
        near.transport.loseConnection()
        self.settle()
        self.clock.advance(ORPHANED - 1)
        self.settle()
        self.assertEqual(far.said, ["made", "read lost"])
        for seconds in (1.0, ORPHANED):
            self.clock.advance(seconds)
            self.settle()
        self.assertEqual(far.said, ["made", "read lost", "lost: ConnectionLost"])
        self.assertEqual(near.said, ["made", "lost: ConnectionDone"])

    def test_a_peer_that_takes_its_time_to_take_everything_is_not_reset(self) -> None:
        """The time is for a peer that has taken everything: one that reads slowly, or has no link, gets all of it."""
        self.join(near := Noting(), far := Noting())
        far.transport.pauseProducing()
        near.transport.write(b"x" * 1000)
        near.transport.loseConnection()
        self.settle()
        for _ in range(5):
            self.clock.advance(ORPHANED)
            self.settle()
        far.transport.resumeProducing()
        self.settle()
        self.assertEqual((far.got, far.said), (b"x" * 1000, ["made", "lost: ConnectionDone"]))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_connection_is_gone_when_the_peer_has_everything(self) -> None:
        """Its program hears of the end at once, and whoever counts dialogs or stops links only then."""
        gone: list[Failure] = []
        program = Noting()
        self.join(near := Carried(lambda: program, lambda _: None, gone.append), far := Noting())
        far.transport.pauseProducing()
        near.transport.write(b"x" * 1000)
        near.transport.loseConnection()
        self.settle()
        self.assertEqual((program.said, gone), (["made", "lost: ConnectionDone"], []))
        far.transport.resumeProducing()
        self.settle()
        self.assertEqual((far.got, len(gone)), (b"x" * 1000, 1))

    def test_lose_connection_while_paused(self) -> None:
        """A pause must not keep the peer's end from being seen."""
        self.join(near := Noting(), far := Noting())
        near.transport.pauseProducing()
        far.transport.write(b"unread")
        self.settle()
        near.transport.loseConnection()
        self.settle()
        self.assertEqual((near.said, far.said), (["made", "lost: ConnectionDone"], ["made", "lost: ConnectionDone"]))
        self.assertEqual(near.got, b"")

    def test_abort(self) -> None:
        self.join(near := Noting(), far := Noting())
        near.transport.write(b"x" * (3 << 20))
        near.transport.abortConnection()
        self.assertEqual(near.said, ["made"])
        self.settle()
        self.assertEqual((near.said, far.said), (["made", "lost: ConnectionAborted"], ["made", "lost: ConnectionLost"]))
        self.assertIn("reset-by-program (304)", far.reason.getErrorMessage())
        near.transport.abortConnection()
        near.transport.loseConnection()
        near.transport.loseWriteConnection()
        near.transport.resumeProducing()
        self.settle()
        self.assertEqual(len(near.said), 2)
        self.assertTrue(near.reason.check(ConnectionAborted) and far.reason.check(ConnectionLost))

    def test_a_lost_link_is_no_clean_close(self) -> None:
        self.join(near := Noting(), far := HalfCloseable())
        for side in (self.pair.i, self.pair.r):
            side.link.disconnected("Connection lost.")
        for each in (near, far):
            self.assertEqual(each.said, ["made", "lost: ConnectionLost"])
        self.assertFalse(near.reason.check(ConnectionDone))

    def test_an_exception_in_a_protocol_resets_its_dialog_alone(self) -> None:
        class Failing(Noting):
            def dataReceived(self, data: bytes) -> None:
                raise RuntimeError(f"cannot do with {data!r}")

        self.join(near := Noting(), far := Failing())
        near.transport.write(b"this")
        self.settle()
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual((near.said, far.said), (["made", "lost: ConnectionLost"], ["made", "lost: ConnectionAborted"]))
        self.assertTrue(self.pair.i.link.is_open and self.pair.r.link.is_open)

    def test_an_exception_at_the_beginning_and_the_end(self) -> None:
        class Failing(Noting):
            def connectionMade(self) -> None:
                raise RuntimeError("at the beginning")

            def connectionLost(self, reason: Failure = connectionDone) -> None:
                raise RuntimeError("at the end") from reason.value

        self.join(near := Noting(), Failing())
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 2)
        self.assertEqual(near.said, ["made", "lost: ConnectionLost"])


class ProducerTests(TransportCase):
    def test_a_streaming_producer_is_paused_and_resumed(self) -> None:
        self.join(near := Noting(), far := Noting())
        producing = Producing(near, 100)
        producing.start(streaming=True)
        self.assertEqual(producing.said, ["resume", "pause"])
        self.settle()
        self.assertGreater(len(producing.said), 4)
        self.assertEqual(far.got, b"".join(bytes([number]) * 50000 for number in reversed(range(100))))

    def test_a_streaming_producer_waits_for_the_peers_program(self) -> None:
        self.join(near := Noting(), far := Noting())
        far.transport.pauseProducing()
        producing = Producing(near, 100)
        producing.start(streaming=True)
        self.settle()
        self.assertLess(100 - producing.left, ((1 << 20) + 2 * MOST_QUEUED) // 50000)
        self.assertEqual((far.got, producing.said[-1]), (b"", "pause"))
        far.transport.resumeProducing()
        self.assertEqual(far.got, b"")
        self.settle()
        self.assertEqual((len(far.got), producing.left), (100 * 50000, 0))

    def test_one_that_is_registered_while_it_must_wait(self) -> None:
        self.join(near := Noting(), far := Noting())
        far.transport.pauseProducing()
        near.transport.write(b"x" * (2 << 20))
        producing = Producing(near, 1)
        near.transport.registerProducer(producing, True)
        self.assertEqual(producing.said, ["pause"])

    def test_a_pulled_producer_is_asked_as_long_as_there_is_room(self) -> None:
        self.join(near := Noting(), far := Noting())
        far.transport.pauseProducing()
        producing = Producing(near, 100)
        producing.start(streaming=False)
        self.assertEqual(producing.said, ["resume"])
        self.settle()
        self.assertGreater(producing.left, 70)
        far.transport.resumeProducing()
        self.settle()
        self.assertEqual((producing.left, producing.said), (0, ["resume"] * 100))
        self.assertEqual(len(far.got), 100 * 50000)

    def test_the_connection_closes_when_the_producer_is_done(self) -> None:
        self.join(near := Noting(), far := Noting())
        producing = Producing(near, 100)
        producing.start(streaming=True)
        near.transport.loseConnection()
        self.settle()
        self.assertEqual((producing.left, len(far.got)), (0, 100 * 50000))
        self.assertEqual((near.said, far.said), (["made", "lost: ConnectionDone"], ["made", "lost: ConnectionDone"]))

    def test_a_producer_is_stopped_with_the_connection(self) -> None:
        self.join(near := Noting(), far := Noting())
        producing = Producing(near, 100)
        near.transport.registerProducer(producing, True)
        far.transport.abortConnection()
        self.settle()
        self.assertEqual(producing.said, ["stop"])
        late = Producing(near, 1)
        near.transport.registerProducer(late, True)
        self.assertEqual(late.said, ["stop"])

    def test_one_at_a_time(self) -> None:
        self.join(near := Noting(), Noting())
        near.transport.registerProducer(Producing(near, 1), True)
        self.assertRaises(RuntimeError, near.transport.registerProducer, Producing(near, 1), True)

    def test_paused_and_resumed_and_paused_again(self) -> None:
        self.join(near := Noting(), far := Noting())
        near.transport.pauseProducing()
        far.transport.write(b"wait")
        self.settle()
        near.transport.resumeProducing()
        near.transport.resumeProducing()
        near.transport.pauseProducing()
        self.settle()
        self.assertEqual(near.got, b"")
        near.transport.resumeProducing()
        self.settle()
        self.assertEqual(near.got, b"wait")
