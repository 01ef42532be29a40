"""A pipe between a local connection and a dialog: what either does, the other hears, once."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from seckex.dialog.faces import End, Ending
from seckex.net.pipe import Pipe
from seckex.wire.numbers import Code
from tests.dialog.parts import Pair, Program


class Local(StringTransport):
    """The transport of a local connection: notes what becomes of it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's
        self.said: list[str] = []

    def abortConnection(self) -> None:
        self.said.append("abort")

    def loseWriteConnection(self) -> None:
        self.said.append("end")

    def loseConnection(self) -> None:
        self.said.append("close")


class PipeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.pair = Pair().opened()
        self.heard: list[str] = []
        self.pipe = self.made()
        self.local: Any = Local()
        self.pipe.makeConnection(self.local)

    def made(self) -> Pipe:
        return Pipe(
            lambda _: self.heard.append("connected"),
            lambda _: self.heard.append("opened"),
            lambda _, ending: self.heard.append(f"over: {ending}"),
        )

    def dialog(self) -> Program:
        """Open the dialog behind the local connection; return the program at its other end."""
        self.pipe.dialog = self.pair.i.link.open("echo", b"P" * 16, self.pipe)
        self.pair.settle()
        return self.pair.r.last

    def test_nothing_is_read_before_the_dialog_carries(self) -> None:
        self.assertEqual((self.heard, self.local.producerState), (["connected"], "paused"))
        self.dialog()
        self.assertEqual((self.heard, self.local.producerState), (["connected", "opened"], "producing"))

    def test_octets_both_ways(self) -> None:
        far = self.dialog()
        self.pipe.dataReceived(b"up")
        self.pair.r.offers[-1][0].write(b"down")
        self.pair.settle()
        self.assertEqual((far.got, self.local.value()), (b"up", b"down"))

    def test_half_close_both_ways(self) -> None:
        far = self.dialog()
        self.pipe.readConnectionLost()
        self.pair.settle()
        self.assertIn("ended", far.said)
        self.pair.r.offers[-1][0].end()
        self.pair.settle()
        self.assertEqual((self.local.said, self.heard[-1]), (["end", "close"], "over: finished"))
        self.pipe.writeConnectionLost()
        self.pipe.connectionLost()
        self.assertEqual(self.heard.count("over: finished"), 1)

    def test_a_local_program_that_goes_away_resets_the_dialog(self) -> None:
        far = self.dialog()
        self.pipe.connectionLost(Failure(ConnectionLost("it crashed")))
        self.pair.settle()
        self.assertIn("over: reset by peer, reset-by-program (304)", far.said[-1])
        self.assertEqual(sum(said.startswith("over") for said in self.heard), 1)
        # what comes afterwards goes nowhere
        self.pipe.data(b"late")
        self.pipe.ended()
        self.pipe.pause()
        self.pipe.resume()
        self.assertEqual((self.local.value(), self.local.said), (b"", []))

    def test_a_dialog_that_is_reset_or_lost_aborts_the_local_connection(self) -> None:
        self.dialog()
        self.pair.r.offers[-1][0].reset(Code.RESET_BY_PROGRAM, "enough")
        self.pair.settle()
        self.assertEqual(self.local.said, ["abort"])
        self.assertEqual(self.heard[-1], "over: reset by peer, reset-by-program (304): 'enough'")

    def test_neither_side_is_read_faster_than_the_other_takes_it(self) -> None:
        self.dialog()
        far = self.pair.r.offers[-1][0]
        self.pipe.pauseProducing()
        far.write(b"x" * 200_000)
        self.pair.settle()
        self.assertEqual((self.local.value(), far.sent), (b"", 65536))
        self.pipe.resumeProducing()
        self.pair.settle()
        self.assertEqual(len(self.local.value()), 200_000)
        far.pause()
        while self.local.producerState == "producing":
            self.pipe.dataReceived(b"y" * 65536)
        far.resume()
        self.pair.settle()
        self.assertEqual(self.local.producerState, "producing")

    def test_without_a_dialog(self) -> None:
        self.pipe.dataReceived(b"nobody listens")
        self.pipe.readConnectionLost()
        self.pipe.pauseProducing()
        self.pipe.resumeProducing()
        self.pipe.stopProducing()
        self.pipe.drop()
        self.assertEqual(self.local.said, ["abort"])
        self.pipe.connectionLost()
        self.assertEqual(self.heard, ["connected", "over: None"])
        self.pipe.drop()
        self.assertEqual(self.local.said, ["abort"])

    def test_a_dialog_that_is_over_before_its_service_is_there(self) -> None:
        """The attempt to connect is given up; were it too late for that, the connection is aborted."""
        pipe, local = self.made(), Local()
        given_up: list[bool] = []
        pipe.give_up = lambda: given_up.append(True)
        pipe.over(Ending(End.RESET_BY_PEER, Code.RESET_BY_PROGRAM))
        self.assertEqual(given_up, [True])
        transport: Any = local
        pipe.makeConnection(transport)
        self.assertEqual((local.said, self.heard.count("connected")), (["abort"], 1))
