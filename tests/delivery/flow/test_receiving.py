"""What becomes of what comes: durable, then acknowledged and given, in order, once; tried again, or put aside."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from seckex.delivery.faces import Direction, Incoming, Verdict
from seckex.delivery.flow.receiving import ReceivingTerms
from seckex.errors import PeerMisbehaved
from seckex.wire.bodies import Ask, Credit, Dead, Fragments, Processed, Received, Skip, pack_messages, pack_start
from seckex.wire.numbers import Code
from tests.delivery.flow.parts import DIALOG_ID, Dialog, End


def body(*payloads: bytes) -> bytes:
    """Return the body of a MESSAGES."""
    return pack_messages([("t", 0, each) for each in payloads])


class ReceivingCase(SynchronousTestCase):
    terms = ReceivingTerms(largest=10_000, attempts=3, window=100_000)

    def setUp(self) -> None:
        self.dialog = Dialog(self.terms)
        self.dialog.settle()
        self.end: End = self.dialog.b
        self.receiving = self.end.receiving

    def come(self, first: int, *payloads: bytes) -> None:
        """Have the peer send messages in one body."""
        self.receiving.take_messages(first, len(payloads), body(*payloads), self.end.now)
        self.end.turn()

    def wait(self, seconds: int) -> None:
        """Let time pass here."""
        for _ in range(seconds):
            self.dialog.clock.passed += 1
            self.end.tick()

    def numbers(self) -> list[tuple[int, int]]:
        """Return numbers and attempts of what was given."""
        return [(each.number, each.attempt) for each in self.end.given]


class OrderTests(ReceivingCase):
    def test_given_and_acknowledged_when_durable(self) -> None:
        self.end.automatic = False
        self.come(1, b"one", b"two")
        self.assertEqual(
            (self.receiving.acknowledge(), self.receiving.can_give, self.receiving.owes), (0, False, False)
        )
        self.end.begin_commit()
        self.assertEqual((self.receiving.acknowledge(), self.receiving.can_give), (0, False))
        self.end.end_commit()
        self.assertTrue(self.receiving.owes)
        self.assertEqual((self.receiving.acknowledge(), self.receiving.can_give), (2, True))
        self.assertEqual(self.end.store.load(0, 0.0).dialogs[0].delivered, 2)
        self.end.automatic = True
        self.end.turn()
        self.assertEqual(
            self.end.given[0],
            Incoming(DIALOG_ID, Direction.OUT, 1, "peer@example.net", "orders", "t", 0.0, 1, b"one"),
        )
        self.assertEqual(self.end.effects, [b"one", b"two"])
        self.assertEqual(self.end.store.load(0, 0.0).segments, ())

    def test_a_commit_that_fails_acknowledges_nothing(self) -> None:
        self.end.automatic = False
        self.come(1, b"one")
        self.end.begin_commit()
        self.come(2, b"two")
        self.end.fail_commit()
        self.assertEqual((self.receiving.delivered, self.receiving.can_give), (0, False))
        self.end.automatic = True
        self.end.turn()
        self.assertEqual((self.receiving.delivered, self.end.effects), (2, [b"one", b"two"]))

    def test_what_is_beyond_a_gap_waits(self) -> None:
        self.come(4, b"four", b"five")
        self.come(7, b"seven")
        self.assertEqual((self.end.effects, self.receiving.delivered), ([], 0))
        self.assertIn(Received(((4, 5), (7, 7))), self.receiving.frames(self.end.now))
        self.come(1, b"one", b"two")
        self.come(3, b"three")
        self.assertEqual(self.end.effects, [b"one", b"two", b"three", b"four", b"five"])
        self.come(6, b"six")
        self.assertEqual((self.end.effects[-2:], self.receiving.delivered), ([b"six", b"seven"], 7))
        self.assertEqual(self.receiving.shown()["beyond"], [])

    def test_what_came_before_is_acknowledged_and_dropped(self) -> None:
        self.come(1, b"one", b"two")
        self.receiving.frames(self.end.now)
        self.assertEqual((self.receiving.acknowledge(), self.receiving.owes), (2, False))
        self.come(1, b"one", b"two")
        self.assertTrue(self.receiving.owes)
        self.come(2, b"two", b"three")
        self.come(1, b"one", b"two", b"three", b"four")
        self.assertEqual(self.end.effects, [b"one", b"two", b"three", b"four"])

    def test_around_what_is_there(self) -> None:
        self.come(3, b"three")
        self.come(5, b"five")
        self.come(1, *[b"%d" % number for number in range(1, 8)])
        self.assertEqual(self.end.effects, [b"1", b"2", b"three", b"4", b"five", b"6", b"7"])

    def test_after_a_restart_from_the_store(self) -> None:
        self.end.answer = lambda message: Verdict.DONE if message.number == 1 else None
        self.come(1, b"one", b"two", b"three")
        self.come(5, b"five")
        self.end.crash()
        self.receiving = self.end.receiving
        self.assertEqual((self.receiving.delivered, self.receiving.done), (3, 1))
        self.end.answer = lambda _: Verdict.DONE
        self.end.turn()
        self.come(4, b"four")
        self.assertEqual(self.end.effects, [b"one", b"two", b"three", b"four", b"five"])
        self.assertEqual((self.receiving.octets, self.end.store.load(0, 0.0).segments), (0, ()))

    def test_a_skip_closes_a_gap(self) -> None:
        self.come(3, b"three")
        self.receiving.hear(Skip(0, 2), self.end.now)
        self.end.turn()
        self.assertEqual((self.end.effects, self.receiving.delivered), ([b"three"], 3))
        self.receiving.acknowledge()
        self.receiving.hear(Skip(0, 2), self.end.now)
        self.assertTrue(self.receiving.owes)
        self.receiving.hear(Skip(5, 1 << 60), self.end.now)
        self.end.turn()
        self.assertEqual((self.receiving.delivered, self.receiving.done), (3, 3))
        self.come(4, b"four", b"five", b"too late")
        self.assertEqual((self.receiving.done, self.end.effects[1:]), (1 << 60, [b"four", b"five"]))

    def test_several_at_once_are_given_in_order(self) -> None:
        self.end.at_once, self.end.answer = 3, lambda _: None
        self.come(1, *[b"%d" % number for number in range(1, 6)])
        self.assertEqual(self.numbers(), [(1, 1), (2, 1), (3, 1)])
        self.end.judge(self.end.given[1], Verdict.DONE)
        self.end.turn()
        self.assertEqual((self.numbers()[3:], self.receiving.done), ([(4, 1)], 0))
        self.end.judge(self.end.given[0], Verdict.DONE)
        self.end.turn()
        self.assertEqual((self.numbers()[4:], self.receiving.done), ([(5, 1)], 2))


class BoundsTests(ReceivingCase):
    def test_twice_the_window_and_no_more(self) -> None:
        self.end.answer = lambda _: None
        for number in range(1, 31):
            self.come(number, bytes(9_000))
        self.assertEqual((self.receiving.delivered, self.receiving.refused), (22, 8))
        self.assertLessEqual(self.receiving.octets, 200_000)
        self.end.answer = lambda _: Verdict.DONE
        self.end.judge(self.end.given[0], Verdict.DONE)
        self.end.turn()
        self.come(23, bytes(9_000))
        self.assertEqual((self.receiving.done, self.receiving.octets), (23, 0))

    def test_the_next_one_always_finds_room(self) -> None:
        for number in range(2, 40):
            self.come(number, bytes(9_000))
        self.assertEqual(self.receiving.refused, 16)
        self.come(1, bytes(9_000))
        self.assertEqual(self.receiving.done, 23)

    def test_so_many_gaps(self) -> None:
        for number in range(2, 200, 2):
            self.come(number, b"even")
        self.assertEqual((self.receiving.refused, len(self.receiving.shown()["beyond"])), (67, 32))
        for number in range(1, 66, 2):
            self.come(number, b"odd")
        self.assertEqual(self.receiving.delivered, 65)

    def test_little_is_in_memory_without_room(self) -> None:
        self.end.room.most = 20_000
        self.end.answer = lambda _: None
        for number in range(1, 10):
            self.come(number, bytes(9_000))
        self.assertEqual(self.end.room.used, 2 * 9_014)
        self.end.answer = lambda _: Verdict.DONE
        self.end.judge(self.end.given[0], Verdict.DONE)
        for _ in range(10):
            self.end.turn()
        self.assertEqual((self.receiving.done, self.end.room.used), (9, 0))

    def test_what_cannot_be_read_is_tried_again(self) -> None:
        self.end.answer = lambda _: None
        self.come(1, b"one")
        self.end.crash()
        receiving = self.end.receiving
        self.assertEqual((receiving.can_give, receiving.give(1, self.end.now)), (True, []))
        (wanted,) = receiving.wanted()
        receiving.not_fetched(wanted, self.end.now)
        self.assertEqual(receiving.wanted(), [])
        receiving.tick(self.end.now)
        self.assertEqual(receiving.wanted(), [wanted])

    def test_what_breaks_the_rules(self) -> None:
        for first, count in ((0, 1), ((1 << 64) - 1, 2), (1, 0), (1, 4097)):
            with self.assertRaises(PeerMisbehaved):
                self.receiving.take_messages(first, count, body(b"x"), self.end.now)
        self.assertFalse(self.receiving.has_changes)


class VerdictTests(ReceivingCase):
    def test_one_that_is_tried_again_stops_the_others(self) -> None:
        self.end.answer = lambda message: Verdict.RETRY if message.attempt == 1 else Verdict.DONE
        self.come(1, b"one", b"two")
        self.assertEqual(self.numbers(), [(1, 1)])
        self.wait(1)
        self.assertEqual(self.numbers(), [(1, 1), (1, 2), (2, 1)])
        self.wait(1)
        self.assertEqual(self.end.effects, [b"one", b"two"])

    def test_as_long_as_the_program_says(self) -> None:
        self.end.answer = lambda _: None
        self.come(1, b"one")
        self.end.judge(self.end.given[0], Verdict.RETRY, after=10.0)
        self.wait(9)
        self.assertEqual(self.numbers(), [(1, 1)])
        self.wait(1)
        self.assertEqual(self.numbers(), [(1, 1), (1, 2)])

    def test_an_operator_does_not_wait(self) -> None:
        self.end.answer = lambda _: None
        self.come(1, b"one")
        self.end.judge(self.end.given[0], Verdict.RETRY, after=10.0)
        self.receiving.retry(self.end.now)
        self.end.turn()
        self.assertEqual(self.numbers(), [(1, 1), (1, 2)])

    def test_tried_too_often(self) -> None:
        self.end.answer = lambda message: Verdict.RETRY if message.number == 1 else Verdict.DONE
        self.come(1, b"poison", b"food")
        self.wait(4)
        self.assertEqual(self.numbers(), [(1, 1), (1, 2), (1, 3), (2, 1)])
        (dead,) = self.end.dead
        self.assertEqual((dead.number, dead.code, dead.attempts), (1, Code.RESET_BY_PROGRAM, 3))
        self.assertEqual((dead.octets, dead.size), (body(b"poison"), 6))
        self.assertEqual(self.end.store.dead_message(DIALOG_ID, False, 1), dead)
        self.assertEqual(self.end.effects, [b"food"])

    def test_a_program_wants_one_put_aside(self) -> None:
        self.end.answer = lambda message: Verdict.DEAD if message.payload == b"bad" else Verdict.DONE
        self.come(1, b"good", b"bad", b"good")
        self.assertEqual([(each.number, each.why) for each in self.end.dead], [(2, "as the test says")])
        self.assertEqual((self.end.effects, self.receiving.done), ([b"good", b"good"], 3))

    def test_what_is_not_for_the_program(self) -> None:
        now = self.end.now
        expired = int((now.wall - 1) * 1_000_000)
        octets = pack_messages([("t", expired, b"old"), ("t", 0, bytes(10_001)), ("t", 0, b"good")])
        self.receiving.take_messages(1, 3, octets, now)
        self.receiving.take_messages(4, 2, b"\xff" * 40, now)
        self.end.turn()
        self.assertEqual([(each.number, each.code) for each in self.end.dead], [(1, 308), (2, 130), (4, 134), (5, 134)])
        self.assertEqual((self.end.effects, self.receiving.done), ([b"good"], 5))
        self.assertEqual([each.octets for each in self.end.dead[2:]], [b"\xff" * 40, b""])

    def test_a_body_that_cannot_be_read_and_is_there_in_part(self) -> None:
        self.come(2, b"two")
        self.receiving.take_messages(1, 3, b"\xff" * 40, self.end.now)
        self.end.turn()
        self.assertEqual([(each.number, each.code) for each in self.end.dead], [(1, 134), (3, 134)])
        self.assertEqual(self.end.effects, [b"two"])

    def test_a_verdict_on_what_the_program_does_not_have(self) -> None:
        self.end.answer = lambda _: None
        self.come(1, b"one", b"two")
        self.assertFalse(self.receiving.verdict(2, Verdict.DONE, "", self.end.now))
        self.assertTrue(self.receiving.verdict(1, Verdict.DONE, "", self.end.now))
        self.assertFalse(self.receiving.verdict(1, Verdict.DONE, "", self.end.now))

    def test_a_program_that_goes_away(self) -> None:
        self.end.at_once, self.end.answer = 2, lambda _: None
        self.come(1, b"one", b"two", b"three")
        self.receiving.take_back(self.end.now, counted=False)
        self.end.turn()
        self.assertEqual(self.numbers()[2:], [(1, 1), (2, 1)])
        self.receiving.take_back(self.end.now)
        self.wait(1)
        self.assertEqual(self.numbers()[4:], [(1, 2), (2, 2)])

    def test_programs_that_one_message_kills(self) -> None:
        self.end.answer = lambda message: Verdict.DONE if message.number == 2 else None
        self.come(1, b"poison", b"food")
        for _ in range(3):
            self.receiving.take_back(self.end.now)
            self.wait(3)
        self.assertEqual((len(self.end.given), [each.number for each in self.end.dead]), (4, [1]))
        self.assertEqual(self.end.effects, [b"food"])

    def test_an_operator_puts_one_aside(self) -> None:
        self.end.answer = lambda _: None
        self.come(1, b"one", b"two", b"three")
        drop, now = self.receiving.drop, self.end.now
        self.assertEqual([drop(1, "away", now), drop(4, "away", now), drop(2, "away", now)], [False, False, True])
        self.assertFalse(drop(2, "away", now))
        self.end.judge(self.end.given[0], Verdict.DONE)
        self.end.turn()
        self.assertEqual((self.numbers(), [each.number for each in self.end.dead]), ([(1, 1), (3, 1)], [2]))

    def test_a_dead_message_is_revived(self) -> None:
        self.end.answer = lambda message: Verdict.DEAD if message.number == 1 else None
        self.come(1, b"one", b"two")
        (dead,) = self.end.dead
        self.assertTrue(self.receiving.revive(dead, self.end.now))
        self.end.answer = lambda _: None
        self.end.turn()
        self.assertEqual(self.numbers(), [(1, 1), (2, 1), (1, 2)])
        self.receiving.take_back(self.end.now, counted=False)
        self.end.answer = lambda _: Verdict.DONE
        self.end.turn()
        self.assertIsNone(self.end.store.dead_message(DIALOG_ID, False, 1))
        self.assertEqual(sorted(self.end.effects), [b"one", b"two"])

    def test_what_is_revived_may_die_again(self) -> None:
        self.end.answer = lambda _: Verdict.DEAD
        now = self.end.now
        self.come(1, b"one")
        self.receiving.take_fragment(2, 0, 2, pack_start(1 << 16, 0, "t") + bytes(61_440), now)
        self.end.turn()
        one, long = self.end.dead
        self.assertFalse(self.receiving.revive(long, now))
        self.assertTrue(self.receiving.revive(one, now))
        self.end.turn()
        self.assertEqual((len(self.end.given), self.receiving.has_changes), (2, False))
        self.assertEqual(self.end.store.dead_message(DIALOG_ID, False, 1), one)


class SaidTests(ReceivingCase):
    def test_everything_on_a_new_connection(self) -> None:
        self.end.answer = lambda message: Verdict.DEAD if message.number == 2 else Verdict.DONE
        self.come(1, b"one", b"two")
        self.come(4, b"four")
        news = [
            Received(((4, 4),)),
            Dead(2, 304, "as the test says"),
            Processed(2),
        ]
        self.assertEqual(self.receiving.frames(self.end.now), news)
        self.assertFalse(any(isinstance(each, Dead | Processed) for each in self.receiving.frames(self.end.now)))
        self.receiving.connected()
        self.assertTrue(self.receiving.owes)
        self.assertEqual(self.receiving.frames(self.end.now), [Credit(100_000), *news])
        self.assertTrue(self.receiving.hear(Ask(), self.end.now))
        self.assertEqual(self.receiving.frames(self.end.now), [Credit(100_000), *news])

    def test_a_failure_is_told_before_it_counts_as_processed(self) -> None:
        a = self.dialog.a
        self.end.answer = lambda _: Verdict.DEAD
        a.send(b"one", b"two")
        self.dialog.settle()
        self.assertEqual([(each.number, each.code) for each in a.failed], [(1, 304), (2, 304)])
        self.assertEqual(a.stages["processed"], 2)

    def test_a_window_that_changes_is_told(self) -> None:
        self.receiving.terms = ReceivingTerms(window=5)
        self.assertTrue(self.receiving.owes)
        self.assertIn(Credit(5), self.receiving.frames(self.end.now))

    def test_a_frame_of_the_other_side(self) -> None:
        self.assertFalse(self.receiving.hear(Fragments(1, 1), self.end.now))
        self.assertFalse(self.end.sending.hear(Skip(0, 1), self.end.now))

    def test_what_is_shown(self) -> None:
        self.end.answer = lambda _: None
        self.come(1, b"one", b"two")
        self.assertEqual((self.receiving.shown()["delivered"], self.receiving.shown()["done"]), (2, 0))
        (queued,) = self.receiving.queue(10)
        self.assertEqual((queued["first"], queued["count"], queued["given"], queued["again"]), (1, 2, [1], {}))
        self.end.judge(self.end.given[0], Verdict.RETRY)
        self.assertEqual(self.receiving.queue(10)[0]["again"], {"1": 1})
