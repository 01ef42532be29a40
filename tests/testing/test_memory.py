"""A program that takes orders and answers them, and what its tests can do to it."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from seckex.delivery.faces import SPOOLED_ABOVE, Spooled, Stage, Verdict
from seckex.errors import ApiMisuse, StoreFailed
from seckex.net.delivery.api import Decision, Message, MessageFailed, Messages, Said
from seckex.testing import Delivered, MemoryMessages, State


class MemoryCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.messages = MemoryMessages()
        self.taken: list[Message] = []

    def take(self, message: Message) -> Verdict:
        self.taken.append(message)
        return Verdict.DONE

    def payloads(self) -> list[object]:
        return [message.payload for message in self.taken]


class ReceivingTests(MemoryCase):
    def test_it_is_what_programs_know(self) -> None:
        messages: Messages = self.messages
        messages.receive("orders", self.take)

    def test_a_message_is_given_and_done_when_the_verdict_is_durable(self) -> None:
        self.messages.receive("orders", self.take)
        order = self.messages.deliver("orders", b"1 pump", peer="shop@example.net", type="order")
        [message] = self.taken
        self.assertEqual((message.peer, message.service, message.type), ("shop@example.net", "orders", "order"))
        self.assertEqual((message.name, message.payload, message.attempt), ("000000000001.o1", b"1 pump", 1))
        self.assertEqual((order.state, order.verdicts), (State.GIVEN, [Verdict.DONE]))
        self.messages.advance()
        self.assertEqual(order.state, State.DONE)

    def test_what_came_before_the_program_waits_for_it(self) -> None:
        orders = [self.messages.deliver("orders", b"%d" % number) for number in range(3)]
        self.messages.receive("orders", self.take)
        for _ in orders:
            self.messages.advance()
        self.assertEqual(self.payloads(), [b"0", b"1", b"2"])
        self.assertEqual({order.state for order in orders}, {State.DONE})

    def test_no_more_are_given_than_are_taken_at_once(self) -> None:
        said: list[Deferred[Said]] = []

        def later(message: Message) -> Deferred[Said]:
            self.taken.append(message)
            said.append(Deferred())
            return said[-1]

        self.messages.receive("orders", later, at_once=2)
        for number in range(3):
            self.messages.deliver("orders", b"%d" % number)
        self.assertEqual(self.payloads(), [b"0", b"1"])
        said[1].callback(Verdict.DONE)
        self.messages.advance()
        self.assertEqual(self.payloads(), [b"0", b"1", b"2"])

    def test_a_coroutine_may_take_its_time(self) -> None:
        until: Deferred[None] = Deferred()

        async def take(message: Message) -> Verdict:
            await until
            return self.take(message)

        handler: Any = take
        self.messages.receive("orders", handler)
        order = self.messages.deliver("orders", b"1")
        self.assertEqual(order.verdicts, [])
        until.callback(None)
        self.assertEqual(order.verdicts, [Verdict.DONE])

    def test_one_program_for_each_service(self) -> None:
        first = self.messages.receive("orders", self.take)
        self.assertEqual(self.messages.receiving, {"orders"})
        self.assertRaises(MessageFailed, self.messages.receive, "orders", self.take)
        self.successResultOf(first.stop())
        self.assertEqual(self.messages.receiving, set())
        self.messages.deliver("orders", b"1")
        self.assertEqual(self.taken, [])
        self.messages.receive("orders", self.take)
        self.assertEqual(self.payloads(), [b"1"])

    def test_stopping_waits_for_what_is_with_the_program(self) -> None:
        said: Deferred[Said] = Deferred()
        receiving = self.messages.receive("orders", lambda _: said)
        order = self.messages.deliver("orders", b"1")
        stopped = receiving.stop()
        self.assertNoResult(stopped)
        said.callback(Verdict.DONE)
        self.messages.advance()
        self.successResultOf(stopped)
        self.assertEqual(order.state, State.DONE)

    def test_services_that_there_are_not(self) -> None:
        messages = MemoryMessages(services=["orders"])
        self.assertIn("301", str(self.assertRaises(MessageFailed, messages.receive, "bills", self.take)))


class VerdictTests(MemoryCase):
    def retried(self, said: object) -> Delivered:
        handler: Any = lambda _: said  # noqa: E731  # whatever a program may return
        self.messages.receive("orders", handler)
        order = self.messages.deliver("orders", b"1")
        self.messages.advance()
        self.assertEqual((order.state, order.attempt), (State.WAITING, 1))
        return order

    def test_what_is_to_be_retried_is_given_again_later(self) -> None:
        order = self.retried(Verdict.RETRY)
        self.messages.advance(9.9)
        self.assertEqual(order.attempt, 1)
        self.messages.advance(0.1)
        self.assertEqual(order.attempt, 2)

    def test_the_program_may_say_when(self) -> None:
        order = self.retried(Decision(Verdict.RETRY, "the bank is closed", after=3600))
        self.messages.advance(3599)
        self.assertEqual(order.attempt, 1)
        self.messages.advance(1)
        self.assertEqual(order.attempt, 2)

    def test_what_is_retried_stops_its_own_dialog_only(self) -> None:
        verdicts: dict[object, Verdict] = {b"1": Verdict.RETRY}
        self.messages.receive("orders", lambda message: verdicts.get(message.payload, self.take(message)))
        self.messages.deliver("orders", b"1")
        self.messages.advance()
        self.messages.deliver("orders", b"2")
        self.messages.deliver("orders", b"3", peer="other@example.net")
        self.assertEqual(self.payloads(), [b"1", b"3"])
        verdicts.clear()
        for _ in range(3):
            self.messages.advance(10)
        self.assertEqual(self.payloads(), [b"1", b"3", b"1", b"2"])

    def test_what_is_never_done_is_put_aside(self) -> None:
        order = self.retried(Decision(Verdict.RETRY, "no"))
        for _ in range(7):
            self.messages.advance(10)
            self.messages.advance()
        self.assertEqual((order.state, order.attempt), (State.DEAD, 8))
        self.assertEqual(order.why, "given 8 times and never done: no")

    def test_a_dead_letter(self) -> None:
        self.messages.receive("orders", lambda _: Decision(Verdict.DEAD, "no such pump"))
        order = self.messages.deliver("orders", b"1")
        self.messages.advance()
        self.assertEqual((order.state, order.why), (State.DEAD, "no such pump"))
        [dead] = self.successResultOf(self.messages.shown_dead())
        self.assertEqual(dead["name"], order.name)
        self.successResultOf(self.messages.retry(order.dialog_id, ours=False, number=order.number))
        self.assertEqual(order.attempt, 1)
        self.messages.advance()
        self.successResultOf(self.messages.drop(order.dialog_id, ours=False, number=order.number))
        self.assertEqual(order.state, State.DROPPED)

    def test_a_program_that_fails_is_given_it_again(self) -> None:
        def broken(message: Message) -> Verdict:
            self.taken.append(message)
            raise ValueError("it has no bolts")

        self.messages.receive("orders", broken)
        order = self.messages.deliver("orders", b"1")
        self.messages.advance()
        self.messages.advance(10)
        self.assertEqual(order.verdicts, [Verdict.RETRY] * 2)
        self.assertEqual([str(failure.value) for failure in order.failures], ["it has no bolts"] * 2)

    def test_a_program_that_says_something_else(self) -> None:
        order = self.retried("fine")
        self.assertIn("'fine', which is no verdict", order.why)

    def test_a_coroutine_that_fails(self) -> None:
        async def broken(_message: Message) -> Verdict:
            raise ValueError("later")

        def start(message: Message) -> Coroutine[Deferred[Any], Any, Verdict]:
            return broken(message)

        self.messages.receive("orders", start)
        order = self.messages.deliver("orders", b"1")
        self.assertEqual([str(failure.value) for failure in order.failures], ["later"])

    def test_what_is_too_old_is_not_given(self) -> None:
        order = self.messages.deliver("orders", b"1", ttl=5)
        self.messages.advance(5)
        self.messages.receive("orders", self.take)
        self.assertEqual((self.taken, order.state, order.code), ([], State.DEAD, 69))


class CrashTests(MemoryCase):
    def test_a_verdict_that_was_not_durable_is_forgotten(self) -> None:
        self.messages.receive("orders", self.take)
        order = self.messages.deliver("orders", b"1")
        self.messages.crash()
        self.messages.advance()
        self.assertEqual((order.state, len(self.taken)), (State.WAITING, 1))
        self.messages.receive("orders", self.take)
        self.messages.advance()
        self.assertEqual((order.state, order.attempt), (State.DONE, 2))

    def test_a_durable_verdict_is_not(self) -> None:
        self.messages.receive("orders", self.take)
        self.messages.deliver("orders", b"1")
        self.messages.advance()
        self.messages.crash()
        self.messages.receive("orders", self.take)
        self.assertEqual(len(self.taken), 1)

    def test_a_program_from_before_is_not_heard(self) -> None:
        said: Deferred[Said] = Deferred()
        self.messages.receive("orders", lambda _: said)
        order = self.messages.deliver("orders", b"1")
        self.messages.crash()
        said.callback(Verdict.DEAD)
        self.messages.advance()
        self.assertEqual((order.state, order.verdicts), (State.WAITING, []))

    def test_what_was_sent_and_not_accepted_is_gone(self) -> None:
        dialog = self.messages.dialog("shop@example.net", "bills")
        dialog.send(b"1")
        self.messages.advance()
        dialog.send(b"2")
        self.messages.crash()
        self.assertEqual([posted.payload for posted in self.messages.posted], [b"1"])
        self.assertEqual(dialog.send(b"3").number, 2)


class SendingTests(MemoryCase):
    def setUp(self) -> None:
        super().setUp()
        self.dialog = self.messages.dialog("shop@example.net", "bills", own="orders")

    def test_the_test_says_how_far_it_comes(self) -> None:
        sent = self.dialog.send(b"1", type="bill")
        accepted, delivered, processed = sent.accepted, sent.delivered, sent.processed
        self.assertNoResult(accepted)
        self.messages.advance()
        self.successResultOf(accepted)
        self.assertNoResult(delivered)
        [posted] = self.messages.posted
        self.assertEqual((posted.name, posted.payload, posted.type), (sent.name, b"1", "bill"))
        posted.reach(Stage.PROCESSED)
        self.successResultOf(delivered)
        self.successResultOf(processed)
        self.successResultOf(sent.processed)

    def test_what_the_peer_will_not_have(self) -> None:
        sent = self.dialog.send(b"1")
        self.messages.advance()
        self.messages.posted[0].refuse(129, "no bills, please")
        self.assertEqual(self.failureResultOf(sent.delivered, MessageFailed).value.why, "no bills, please")
        self.successResultOf(sent.accepted)

    def test_the_same_attributes_are_the_same_dialog_until_it_ends(self) -> None:
        self.assertIs(self.messages.dialog("shop@example.net", "bills", own="orders"), self.dialog)
        self.assertIsNot(self.messages.dialog("shop@example.net", "bills", own="orders", priority=0), self.dialog)
        self.dialog.end()
        self.assertIsNot(self.messages.dialog("shop@example.net", "bills", own="orders"), self.dialog)
        self.failureResultOf(self.dialog.send(b"1").accepted, MessageFailed)
        self.assertRaises(MessageFailed, self.dialog.end)

    def test_a_key_is_one_message(self) -> None:
        first = self.dialog.send(b"1", key="a")
        self.assertEqual(self.dialog.send(b"1", key="a").name, first.name)
        self.assertEqual(len(self.messages.posted), 1)

    def test_an_outbox_that_is_full(self) -> None:
        messages = MemoryMessages(room=1)
        dialog = messages.dialog("shop@example.net", "bills")
        self.successResultOf(dialog.ready())
        dialog.send(b"1")
        messages.advance()
        ready = dialog.ready()
        self.assertNoResult(ready)
        self.assertEqual(self.failureResultOf(dialog.send(b"2").accepted, MessageFailed).value.code, 130)
        messages.posted[0].reach(Stage.PROCESSED)
        self.successResultOf(ready)
        self.assertEqual(dialog.send(b"2").number, 2)

    def test_what_is_too_old_is_not_sent(self) -> None:
        sent = self.dialog.send(b"1", ttl=60)
        delivered = sent.delivered
        self.messages.advance(60)
        self.assertEqual(self.failureResultOf(delivered, MessageFailed).value.code, 69)

    def test_a_program_answers_and_is_answered(self) -> None:
        self.messages.receive("orders", self.take)
        answer = self.messages.deliver("orders", b"paid", dialog=self.dialog)
        self.assertEqual((answer.name, answer.peer), ("000000000001.b1", "shop@example.net"))
        self.messages.deliver("orders", b"1 pump")
        self.messages.advance()
        self.taken[-1].dialog.send(b"thank you")
        self.assertEqual(self.messages.posted[0].name, "000000000002.b1")


class LongPayloadTests(MemoryCase):
    def test_what_is_long_is_spooled(self) -> None:
        upload = self.messages.upload()
        for _ in range(17):
            self.successResultOf(upload.write(bytes(2**16)))
        payload = self.successResultOf(upload.finish())
        self.assertEqual(payload, Spooled("00000001", 17 * 2**16))
        self.messages.dialog("shop@example.net", "bills").send(payload)
        self.assertEqual(self.messages.spool.octets(self.messages.posted[0].payload), bytes(17 * 2**16))

    def test_what_is_short_is_not(self) -> None:
        upload = self.messages.upload()
        self.successResultOf(upload.write(b"12"))
        self.assertEqual(self.successResultOf(upload.finish()), b"12")
        self.failureResultOf(upload.write(b"3"), StoreFailed)

    def test_a_long_message_is_read_in_pieces(self) -> None:
        self.messages.receive("orders", self.take)
        octets = b"\1" * SPOOLED_ABOVE + b"\2"
        self.messages.deliver("orders", octets)
        payload: Any = self.taken[0].payload
        read = [self.successResultOf(self.messages.piece(payload, index)) for index in range(18)]
        self.assertEqual(b"".join(read), octets)

    def test_a_full_disk(self) -> None:
        self.messages.spool.trouble = StoreFailed("no space left on device")
        self.failureResultOf(self.messages.upload().write(b"1"), StoreFailed)


class OperatorTests(MemoryCase):
    def test_what_waits_is_shown(self) -> None:
        dialog = self.messages.dialog("shop@example.net", "bills")
        sent = dialog.send(b"12")
        order = self.messages.deliver("orders", b"1")
        self.assertEqual([each["name"] for each in self.messages.shown_queue(True)], [sent.name])
        self.assertEqual([each["name"] for each in self.messages.shown_queue(False)], [order.name])
        self.assertEqual(self.messages.shown_queue(False, dialog.id), [])
        self.assertEqual([each["peer"] for each in self.messages.shown_dialogs()], ["shop@example.net", order.peer])
        for name in sent.name, order.name:
            told = self.messages.why(name) or {}
            self.assertEqual(told["name"], name)
        self.assertIsNone(self.messages.why("000000000009.o1"))

    def test_what_the_operator_drops_fails(self) -> None:
        sent = self.messages.dialog("shop@example.net", "bills").send(b"12")
        delivered = sent.delivered
        self.successResultOf(self.messages.drop(sent.dialog.id, ours=True, number=sent.number))
        self.failureResultOf(delivered, MessageFailed)
        self.failureResultOf(self.messages.drop(sent.dialog.id, ours=True, number=7), MessageFailed)
        self.failureResultOf(self.messages.drop(sent.dialog.id, ours=False, number=7), MessageFailed)

    def test_a_clock_of_the_reactors_is_not_advanced(self) -> None:
        from twisted.internet import reactor

        clock: Any = reactor
        self.assertRaises(ApiMisuse, MemoryMessages(clock=clock).advance)
