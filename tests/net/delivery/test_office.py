"""Programs at the office: what they send, what they are given, what they are told, and what they get wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock as TestClock
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from seckex.delivery.faces import DialogName, Direction, Incoming, Outgoing, Spooled, Stage, Verdict
from seckex.errors import StoreFailed
from seckex.net.delivery.api import MOST_FAILED, Decision, Message, MessageFailed
from seckex.net.delivery.office import MOST_A_TURN, ProgramOffice
from seckex.net.principal import Clock
from seckex.wire.numbers import Code
from tests.net.delivery.fakes import DIALOG, FakeHouse, full

PEER = "peer@example.net"
NAME = DIALOG.hex()[:12]


class OfficeCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = TestClock()
        self.house = FakeHouse()
        self.pieces: dict[tuple[str, int], bytes] = {}
        self.office = ProgramOffice(
            self.clock, Clock(self.clock.seconds, lambda: 1000.0), {"orders": 10.0}.get, self.read, most_dialogs=4
        )
        self.office.house = self.house

    def read(self, name: str, index: int, done: Callable[[bytes | StoreFailed], None]) -> None:
        done(self.pieces.get((name, index), StoreFailed("it is gone")))

    def turn(self) -> None:
        """Let a turn of the reactor pass."""
        self.clock.advance(0)

    def incoming(self, number: int = 1, payload: Any = b"hello", attempt: int = 1) -> Incoming:
        return Incoming(DIALOG, Direction.OUT, number, PEER, "orders", "t", 0.0, attempt, payload)

    def verdicts(self) -> list[list[Any]]:
        return self.house.told("verdict")


class SendingTests(OfficeCase):
    def test_a_message_is_sent_and_told_of(self) -> None:
        dialog = self.office.dialog(PEER, "orders", own="replies", label="a")
        self.assertEqual(self.house.told("dialog"), [[DialogName(PEER, "orders", "replies", 4, "a")]])
        sent = dialog.send(b"hello", type="t", ttl=5, key="k")
        self.assertEqual(self.house.told("send"), [[DIALOG, (Outgoing(b"hello", "t", 1005.0),), "k"]])
        self.assertEqual((sent.name, sent.number), (f"{NAME}.o1", 1))
        for stage, told in (
            (Stage.ACCEPTED, sent.accepted),
            (Stage.DELIVERED, sent.delivered),
            (Stage.PROCESSED, sent.processed),
        ):
            self.assertNoResult(told)
            self.office.progress(DIALOG, stage, 1)
            # Never from within what the house does.
            self.assertNoResult(told)
            self.turn()
            self.assertIsNone(self.successResultOf(told))

    def test_a_later_stage_is_the_earlier_ones_as_well_and_one_number_those_before_it(self) -> None:
        first, second = self.office.dialog(PEER, "orders").send_all([b"1", b"2"])
        asked = [second.accepted, first.delivered, first.accepted]
        self.office.progress(DIALOG, Stage.PROCESSED, 2)
        self.turn()
        for told in asked:
            self.successResultOf(told)
        self.successResultOf(second.processed)

    def test_what_has_failed_fails_at_stages_that_it_had_not_reached(self) -> None:
        dialog = self.office.dialog(PEER, "orders")
        first, second = dialog.send_all([b"1", b"2"])
        self.office.progress(DIALOG, Stage.DELIVERED, 1)
        waiting = first.processed
        self.office.failed(DIALOG, 1, Code.RESET_BY_PROGRAM, "nobody wants it")
        self.office.progress(DIALOG, Stage.PROCESSED, 2)
        self.turn()
        self.assertEqual(self.failureResultOf(waiting, MessageFailed).value.why, "nobody wants it")
        self.successResultOf(first.delivered)
        self.successResultOf(second.processed)
        again = dialog.send(b"3")
        self.office.failed(DIALOG, again.number, 69, "it has expired")
        self.assertEqual(self.failureResultOf(again.accepted, MessageFailed).value.code, 69)

    def test_failures_are_remembered_for_who_asks_late_up_to_a_bound(self) -> None:
        dialog = self.office.dialog(PEER, "orders")
        sent = dialog.send_all([b""] * (MOST_FAILED + 1))
        self.office.progress(DIALOG, Stage.PROCESSED, len(sent))
        for each in sent:
            self.office.failed(DIALOG, each.number, 304, "no")
        self.failureResultOf(sent[1].processed, MessageFailed)
        self.successResultOf(sent[0].processed)

    def test_a_full_outbox(self) -> None:
        dialog = self.office.dialog(PEER, "orders")
        self.successResultOf(dialog.ready())
        self.house.refuses = full()
        sent = dialog.send(b"much")
        self.assertEqual((sent.name, sent.number), ("", 0))
        self.assertEqual(self.failureResultOf(sent.accepted, MessageFailed).value.code, 130)
        ready = dialog.ready()
        self.office.progress(DIALOG, Stage.ACCEPTED, 1)
        self.turn()
        self.assertNoResult(ready)
        self.office.progress(DIALOG, Stage.PROCESSED, 1)
        self.turn()
        self.successResultOf(ready)

    def test_what_cannot_be_begun_or_ended(self) -> None:
        dialog = self.office.dialog(PEER, "orders")
        dialog.end(304, "enough")
        self.assertEqual(self.house.told("end"), [[DIALOG, 304, "enough"]])
        self.house.refuses = full()
        for call in (lambda: self.office.dialog(PEER, "orders"), dialog.end):
            self.assertEqual(self.assertRaises(MessageFailed, call).code, 130)

    def test_after_the_end_nothing_is_taken(self) -> None:
        dialog = self.office.dialog(PEER, "orders")
        self.office.stop()
        self.assertEqual(self.failureResultOf(dialog.send(b"late").accepted, MessageFailed).value.code, 306)
        self.assertRaises(MessageFailed, self.office.dialog, PEER, "orders")


class ReceivingTests(OfficeCase):
    def receive(self, *answers: Any) -> list[Message]:
        got: list[Message] = []
        left = list(answers)

        def handler(message: Message) -> Any:
            got.append(message)
            answer = left.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        self.receiving = self.office.receive("orders", handler, at_once=3)
        return got

    def test_messages_are_given_in_turns_of_their_own_and_answered(self) -> None:
        got = self.receive(Verdict.DONE)
        self.assertEqual(self.house.told("attach"), [["orders", 3]])
        self.office.give(self.incoming())
        self.assertEqual(got, [])
        self.turn()
        [message] = got
        self.assertEqual((message.name, message.peer, message.payload), (f"{NAME}.o1", PEER, b"hello"))
        self.assertEqual(self.verdicts(), [[DIALOG, 1, Verdict.DONE, "", 0.0]])
        answer = message.dialog.send(b"thanks")
        self.assertEqual(answer.name, f"{NAME}.b1")

    def test_verdicts_of_all_kinds(self) -> None:
        async def later() -> Verdict:
            return Verdict.DONE

        waiting: Deferred[Any] = Deferred()
        self.receive(
            Decision(Verdict.DEAD, "no"), Decision(Verdict.RETRY, "busy", 3.0), later(), waiting, Verdict.RETRY
        )
        for number in range(1, 6):
            self.office.give(self.incoming(number))
        self.turn()
        self.assertEqual(
            [said[1:] for said in self.verdicts()],
            [
                [1, Verdict.DEAD, "no", 0.0],
                [2, Verdict.RETRY, "busy", 3.0],
                [3, Verdict.DONE, "", 0.0],
                [5, Verdict.RETRY, "", 10.0],
            ],
        )
        waiting.callback(Verdict.DONE)
        self.assertEqual(self.verdicts()[-1][1:3], [4, Verdict.DONE])

    def test_what_a_program_gets_wrong_is_a_retry_and_logged_without_the_message(self) -> None:
        lines: list[str] = []

        @implementer(ILogObserver)
        def observe(event: LogEvent) -> None:
            lines.append(formatEvent(event))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        failing: Deferred[Any] = Deferred()
        self.receive(ValueError("hello"), None, failing)
        for number in range(1, 4):
            self.office.give(self.incoming(number))
        self.turn()
        failing.errback(KeyError("hello"))
        self.assertEqual([said[2] for said in self.verdicts()], [Verdict.RETRY] * 3)
        text = "\n".join(lines)
        for part in (f"{NAME}.o1: ValueError", "NoneType, no verdict", f"{NAME}.o3: KeyError", "test_office.py"):
            self.assertIn(part, text)
        self.assertNotIn("hello", text)

    def test_many_messages_take_several_turns(self) -> None:
        got = self.receive(*[Verdict.DONE] * (MOST_A_TURN + 1))
        for number in range(1, MOST_A_TURN + 2):
            self.office.give(self.incoming(number))
        [turn] = self.clock.calls
        turn.cancel()
        self.office._take_turn()
        self.assertEqual(len(got), MOST_A_TURN)
        self.turn()
        self.assertEqual(len(got), MOST_A_TURN + 1)

    def test_stopping_waits_for_what_is_with_the_program(self) -> None:
        waiting: Deferred[Any] = Deferred()
        got = self.receive(waiting)
        self.office.give(self.incoming(1))
        self.turn()
        self.office.give(self.incoming(2))
        stopped = self.receiving.stop()
        self.turn()
        self.assertNoResult(stopped)
        self.assertEqual((len(got), self.house.told("detach")), (1, []))
        self.assertRaises(MessageFailed, self.office.receive, "orders", lambda _: Verdict.DONE)
        waiting.callback(Verdict.DONE)
        self.successResultOf(stopped)
        self.assertEqual(self.house.told("detach"), [["orders"]])
        self.successResultOf(self.receiving.stop())
        self.assertEqual(self.house.told("detach"), [["orders"]])

    def test_who_may_not_receive(self) -> None:
        self.assertEqual(self.assertRaises(MessageFailed, self.office.receive, "other", print).code, 301)
        self.house.refuses = full()
        self.assertRaises(MessageFailed, self.office.receive, "orders", print)
        self.house.refuses = None
        self.receive()
        self.assertEqual(self.assertRaises(MessageFailed, self.office.receive, "orders", print).code, 129)

    def test_long_payloads_are_read_piece_by_piece(self) -> None:
        got = self.receive(Verdict.DONE)
        self.pieces = {("file", 0): b"one", ("file", 1): b"two"}
        self.office.give(self.incoming(payload=Spooled("file", 61_441)))
        self.turn()
        [message] = got
        read: list[bytes] = []
        slow: Deferred[None] = Deferred()

        def write(octets: bytes) -> Deferred[None]:
            read.append(octets)
            return slow if len(read) == 1 else succeed(None)

        done = message.read(write)
        self.assertEqual((read, message.pieces, message.size), ([b"one"], 2, 61_441))
        slow.callback(None)
        self.successResultOf(done)
        self.assertEqual(read, [b"one", b"two"])
        del self.pieces["file", 1]
        self.failureResultOf(message.read(lambda _: None), StoreFailed)

    def test_nothing_is_told_after_the_end(self) -> None:
        waiting: Deferred[Any] = Deferred()
        got = self.receive(waiting)
        self.office.give(self.incoming(1))
        self.turn()
        self.office.give(self.incoming(2))
        self.office.stop()
        self.turn()
        waiting.callback(Verdict.DONE)
        self.assertEqual((len(got), self.verdicts()), (1, []))
