"""What is sent when: once it is durable, within the window, again when nobody answers, and not what has expired."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from seckex.delivery.faces import Outgoing, Spooled, Verdict
from seckex.delivery.flow import outbox, sending
from seckex.delivery.flow.receiving import ReceivingTerms
from seckex.errors import ApiMisuse, PeerMisbehaved
from seckex.wire.bodies import Credit, Dead, Ended, Processed, Received, Skip, unpack_messages
from tests.delivery.flow.parts import DIALOG_ID, Dialog, Said, kinds

KIB = bytes(1024)


def messages(said: list[Said]) -> list[str]:
    """Return what is no STATE of what was said."""
    return [each for each in kinds(said) if each != "STATE"]


class AcceptTests(SynchronousTestCase):
    def test_messages_of_a_turn_are_one_segment_and_one_envelope(self) -> None:
        dialog = Dialog()
        dialog.a.automatic = False
        for number in range(1, 41):
            self.assertEqual(dialog.a.send(KIB), number)
        dialog.a.automatic = True
        self.assertEqual(messages(dialog.settle()), ["MESSAGES 1+40"])
        self.assertEqual(len(dialog.b.effects), 40)
        self.assertEqual(dialog.a.stages, {"accepted": 40, "delivered": 40, "processed": 40})

    def test_more_than_fits_into_a_body(self) -> None:
        dialog = Dialog()
        dialog.a.send(*[KIB] * 100)
        self.assertEqual(messages(dialog.settle()), ["MESSAGES 1+47", "MESSAGES 48+47", "MESSAGES 95+6"])

    def test_one_that_is_longer_than_what_is_joined_goes_alone(self) -> None:
        dialog = Dialog()
        dialog.a.send(b"before", bytes(61_440), b"behind")
        self.assertEqual(messages(dialog.settle()), ["MESSAGES 1+1", "MESSAGES 2+1", "MESSAGES 3+1"])

    def test_nothing_is_sent_before_it_is_durable(self) -> None:
        dialog = Dialog()
        dialog.settle()
        dialog.a.automatic = False
        dialog.a.send(b"first")
        self.assertEqual(dialog.a.says(), [])
        dialog.a.begin_commit()
        dialog.a.send(b"second")
        self.assertEqual(dialog.a.says(), [])
        dialog.a.end_commit()
        self.assertEqual(messages(dialog.a.says()), ["MESSAGES 1+1"])
        self.assertEqual(dialog.a.stages["accepted"], 1)

    def test_a_commit_that_fails_is_made_again(self) -> None:
        dialog = Dialog()
        dialog.a.automatic = False
        dialog.a.send(b"first")
        dialog.a.begin_commit()
        dialog.a.fail_commit()
        dialog.a.send(b"second")
        self.assertEqual((messages(dialog.a.says()), dialog.a.stages["accepted"]), ([], 0))
        dialog.a.automatic = True
        dialog.settle()
        self.assertEqual((dialog.b.effects, dialog.a.stages["accepted"]), ([b"first", b"second"], 2))

    def test_small_segments_are_joined_on_the_way(self) -> None:
        dialog = Dialog(connected=False)
        for payload in (b"", b"tiny", KIB, b"", b"x" * 18, KIB):
            dialog.a.send(payload)
        dialog.connect()
        self.assertEqual(messages(dialog.settle()), ["MESSAGES 1+6"])
        self.assertEqual(dialog.b.effects, [b"", b"tiny", KIB, b"", b"x" * 18, KIB])

    def test_what_cannot_be_sent(self) -> None:
        end = Dialog().a
        for bad in (
            Outgoing(bytes((1 << 20) + 1)),
            Outgoing(b"", "a type"),
            Outgoing(b"", "t" * 65),
            Outgoing(b"", "\x7f"),
            Outgoing(b"", "ü"),
            Outgoing(b"", "", -1.0),
            Outgoing(Spooled("short", 100)),
            Outgoing(Spooled("endless", 1 << 40)),
            Outgoing("text"),  # type: ignore[arg-type]  # what a careless program does
        ):
            with self.assertRaises(ApiMisuse):
                end.sending.accept([Outgoing(b"good"), bad], end.now)
        self.assertEqual((end.sending.next_number, end.sending.waiting, end.sending.octets), (1, 0, 0))

    def test_what_is_shown(self) -> None:
        dialog = Dialog()
        dialog.a.send(b"x" * 100, b"y" * 100)
        shown = dialog.a.sending.shown()
        self.assertEqual((shown["next"], shown["waiting"], shown["acknowledged"]), (3, 2, 0))
        self.assertEqual(
            [(each["first"], each["count"], each["size"], each["sent"]) for each in dialog.a.sending.queue(10)],
            [(1, 2, 200, False)],
        )


class WindowTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.dialog = Dialog(ReceivingTerms(window=100_000))
        self.dialog.b.answer = lambda _: None
        self.dialog.settle()

    def test_no_more_than_the_window_goes_before_it_is_processed(self) -> None:
        a, b = self.dialog.a, self.dialog.b
        for _ in range(5):
            a.send(bytes(40_000))
        self.assertEqual(messages(self.dialog.settle()), ["MESSAGES 1+1", "MESSAGES 2+1"])
        self.assertEqual(a.stages, {"accepted": 5, "delivered": 2, "processed": 0})
        b.judge(b.given[0], Verdict.DONE)
        self.assertEqual(messages(self.dialog.settle()), ["MESSAGES 3+1"])

    def test_a_message_that_is_larger_goes_alone(self) -> None:
        a, b = self.dialog.a, self.dialog.b
        a.send(b"small", bytes(200_000), b"behind")
        self.assertEqual(messages(self.dialog.settle()), ["MESSAGES 1+1"])
        b.judge(b.given[0], Verdict.DONE)
        self.assertEqual(len(messages(self.dialog.settle())), 4)
        self.assertEqual([len(each.payload) for each in b.given if isinstance(each.payload, bytes)], [5, 200_000])
        b.judge(b.given[1], Verdict.DONE)
        self.assertEqual(messages(self.dialog.settle()), ["MESSAGES 3+1"])

    def test_a_window_that_grows_lets_more_go(self) -> None:
        a, b = self.dialog.a, self.dialog.b
        a.send(*[bytes(40_000)] * 4)
        self.assertEqual(len(messages(self.dialog.settle())), 2)
        b.receiving.terms = ReceivingTerms(window=1_000_000)
        self.assertEqual(len(messages(self.dialog.settle())), 2)

    def test_joining_stays_within_the_window(self) -> None:
        for _ in range(12):
            self.dialog.a.send(bytes(10_000))
        said = [each for each in self.dialog.settle() if each.count]
        self.assertEqual(sum(each.count for each in said), 9)


class AgainTests(SynchronousTestCase):
    def test_a_new_connection_goes_on_behind_what_is_acknowledged(self) -> None:
        dialog = Dialog()
        dialog.a.send(*[bytes(30_000)] * 4)
        for each in dialog.a.says()[:3]:
            dialog.b.hears(each)
        dialog.b.turn()
        for each in dialog.b.says():
            dialog.a.hears(each)
        dialog.connect()
        self.assertEqual(messages(dialog.settle()), ["MESSAGES 3+1", "MESSAGES 4+1"])
        self.assertEqual(len(dialog.b.effects), 4)

    def test_what_is_beyond_a_gap_and_told_does_not_go_again(self) -> None:
        dialog = Dialog()
        dialog.a.send(*[bytes(30_000)] * 4)
        said = dialog.a.says()
        for each in (said[2], said[3]):
            dialog.b.hears(each)
        dialog.b.turn()
        (state,) = dialog.b.says()
        self.assertIn(Received(((2, 3),)), state.frames)
        dialog.a.hears(state)
        self.assertEqual(messages(dialog.wait(15)), ["MESSAGES 1+1", "MESSAGES 4+1"])
        self.assertEqual(len(dialog.b.effects), 4)

    def test_after_15_s_and_then_half_as_often(self) -> None:
        dialog = Dialog()
        dialog.settle()
        dialog.a.send(b"is anybody there?")
        times = []
        for second in range(2000):
            if messages(dialog.a.says()):
                times.append(second)
            dialog.clock.passed += 1
            dialog.a.tick()
        self.assertEqual(times, [0, 15, 45, 105, 225, 465, 765, 1065, 1365, 1665, 1965])

    def test_an_answer_makes_it_patient_again(self) -> None:
        dialog = Dialog()
        dialog.settle()
        dialog.a.send(b"one")
        dialog.a.says()
        for _ in range(60):
            dialog.clock.passed += 1
            dialog.a.tick()
        self.assertEqual(messages(dialog.settle()), ["MESSAGES 1+1"])
        dialog.a.send(b"two")
        dialog.a.says()
        self.assertEqual(messages(dialog.wait(14)), [])
        self.assertEqual(messages(dialog.wait(1)), ["MESSAGES 2+1"])

    def test_not_while_the_connection_takes_nothing(self) -> None:
        dialog = Dialog()
        dialog.settle()
        dialog.a.send(b"slowly")
        dialog.a.says()
        for _ in range(100):
            dialog.clock.passed += 1
            dialog.a.sending.tick(dialog.a.now, True)
        self.assertEqual(messages(dialog.a.says()), [])
        self.assertEqual(messages(dialog.wait(15)), ["MESSAGES 1+1"])

    def test_an_operator_does_not_wait(self) -> None:
        dialog = Dialog()
        dialog.settle()
        dialog.a.send(b"now")
        dialog.a.says()
        dialog.a.sending.retry(dialog.a.now)
        self.assertEqual(messages(dialog.settle()), ["MESSAGES 1+1"])

    def test_after_a_restart_from_the_store(self) -> None:
        dialog = Dialog()
        dialog.a.send(*[bytes(30_000)] * 3)
        dialog.a.send(b"small")
        dialog.a.says()
        dialog.a.crash()
        dialog.connect()
        self.assertEqual(dialog.a.sending.waiting, 4)
        self.assertEqual(messages(dialog.settle()), ["MESSAGES 1+1", "MESSAGES 2+1", "MESSAGES 3+2"])
        self.assertEqual(dialog.a.send(b"next"), 5)
        dialog.settle()
        self.assertEqual(dialog.b.effects[3:], [b"small", b"next"])


class MemoryTests(SynchronousTestCase):
    def test_most_of_a_large_outbox_is_in_the_store_only(self) -> None:
        self.patch(outbox, "MOST_KEPT", 200_000)
        self.patch(outbox, "AHEAD", 100_000)
        dialog = Dialog(connected=False)
        payloads = [number.to_bytes(2) * 20_000 for number in range(50)]
        for payload in payloads:
            dialog.a.send(payload)
        held = dialog.a.sending._outbox.held
        self.assertEqual(dialog.a.sending.octets, sum(40_000 + 14 + 256 for _ in payloads))
        self.assertLessEqual(dialog.a.room.used, 200_000)
        self.assertLessEqual(sum(len(each.octets or b"") for each in held), 200_000)
        most = 0
        dialog.connect()
        while dialog.a.sending.waiting:
            for each in dialog.a.says(1):
                dialog.b.hears(each)
            most = max(most, sum(len(each.octets or b"") for each in held))
            dialog.b.turn()
            for each in dialog.b.says():
                dialog.a.hears(each)
            dialog.a.turn()
        self.assertEqual(dialog.b.effects, payloads)
        self.assertLessEqual(most, 200_000 + 100_000 + 50_000)
        self.assertEqual((dialog.a.room.used, dialog.b.room.used), (0, 0))

    def test_dialogs_share_the_room(self) -> None:
        dialog = Dialog(connected=False)
        dialog.a.room.most = 50_000
        for _ in range(4):
            dialog.a.send(bytes(20_000))
        self.assertEqual(dialog.a.room.used, 2 * 20_014)
        dialog.connect()
        dialog.settle()
        self.assertEqual(len(dialog.b.effects), 4)

    def test_what_cannot_be_read_is_tried_again(self) -> None:
        dialog = Dialog(connected=False)
        dialog.a.send(b"precious")
        dialog.a.crash()
        dialog.connect()
        self.assertIsNone(dialog.a.sending.next(49_152, dialog.a.now))
        (wanted,) = dialog.a.sending.wanted()
        self.assertEqual(dialog.a.sending.wanted(), [])
        dialog.a.sending.not_fetched(wanted, dialog.a.now)
        self.assertEqual(dialog.a.sending.wanted(), [])
        self.assertEqual(messages(dialog.wait(1)), ["MESSAGES 1+1"])


class LeftOutTests(SynchronousTestCase):
    def test_what_has_expired_is_not_sent(self) -> None:
        dialog = Dialog(connected=False)
        soon = dialog.clock.now.wall + 5
        dialog.a.send(b"lasting")
        dialog.a.send(b"fleeting", expires=soon)
        dialog.a.send(b"lasting too")
        dialog.wait(6)
        self.assertEqual([(each.number, each.code) for each in dialog.a.failed], [(2, 308)])
        dialog.connect()
        said = dialog.settle()
        self.assertEqual(messages(said), ["MESSAGES 1+1", "MESSAGES 3+1"])
        self.assertIn(Skip(1, 2), said[0].frames)
        self.assertEqual((dialog.b.effects, dialog.b.receiving.done), ([b"lasting", b"lasting too"], 3))
        self.assertEqual((dialog.a.sending.waiting, dialog.a.sending.shown()["skips"]), (0, []))

    def test_a_part_of_a_segment(self) -> None:
        dialog = Dialog(connected=False)
        soon = dialog.clock.now.wall + 5
        wanted = [Outgoing(b"%d" % number, "t", soon if number % 3 == 0 else 0.0) for number in range(10)]
        dialog.a.sending.accept(wanted, dialog.a.now)
        dialog.a.turn()
        dialog.clock.passed += 6
        dialog.connect()
        dialog.settle()
        self.assertEqual(dialog.b.effects, [b"1", b"2", b"4", b"5", b"7", b"8"])
        self.assertEqual(sorted(each.number for each in dialog.a.failed), [1, 4, 7, 10])
        self.assertEqual(dialog.a.stages["processed"], 10)

    def test_a_skip_is_durable_before_it_is_said(self) -> None:
        dialog = Dialog(connected=False)
        dialog.a.send(b"fleeting", expires=dialog.clock.now.wall + 5)
        dialog.clock.passed += 6
        dialog.connect()
        dialog.settle()
        dialog.a.automatic = False
        dialog.a.send(b"another", expires=dialog.clock.now.wall + 5)
        dialog.a.begin_commit()
        dialog.clock.passed += 6
        dialog.a.end_commit()
        dialog.a.sending.tick(dialog.a.now, False)
        self.assertEqual((dialog.a.says(), len(dialog.a.failed)), ([], 1))
        dialog.a.automatic = True
        dialog.a.turn()
        self.assertEqual([each.frames for each in dialog.a.says()], [(Skip(1, 2),)])
        self.assertEqual(len(dialog.a.failed), 2)

    def test_what_may_have_been_sent_goes_all_the_same(self) -> None:
        dialog = Dialog()
        soon = dialog.clock.now.wall + 5
        dialog.a.send(b"sent", expires=soon)
        dialog.a.says()
        dialog.clock.passed += 6
        dialog.connect()
        dialog.settle()
        self.assertEqual((dialog.a.failed[0].why, dialog.b.dead[0].code), ("expired before it was given", 308))
        dialog.disconnect()
        dialog.a.send(b"stored", expires=dialog.clock.now.wall + 5)
        dialog.a.crash()
        dialog.clock.passed += 6
        dialog.connect()
        dialog.settle()
        self.assertEqual([each.number for each in dialog.b.dead], [1, 2])

    def test_skips_are_remembered_over_a_restart(self) -> None:
        dialog = Dialog(connected=False)
        dialog.a.send(b"fleeting", b"x", expires=dialog.clock.now.wall + 5)
        dialog.a.send(b"lasting")
        dialog.wait(6)
        dialog.a.crash()
        dialog.connect()
        self.assertEqual(messages(dialog.settle()), ["MESSAGES 3+1"])
        self.assertEqual((dialog.b.effects, dialog.a.sending.waiting), ([b"lasting"], 0))
        self.assertEqual(dialog.a.store.load(0, 0.0).segments, ())

    def test_there_are_only_so_many_skips(self) -> None:
        self.patch(sending, "MOST_SKIPS", 2)
        dialog = Dialog(connected=False)
        for number in range(8):
            dialog.a.send(b"%d" % number, expires=dialog.clock.now.wall + 5 if number % 2 else 0.0)
        dialog.wait(6)
        self.assertEqual([each.number for each in dialog.a.failed], [2, 4])
        dialog.connect()
        dialog.settle()
        self.assertEqual(dialog.b.effects, [b"0", b"2", b"4", b"6"])
        self.assertEqual([(each.number, each.code) for each in dialog.b.dead], [(6, 308), (8, 308)])

    def test_an_operator_drops_one(self) -> None:
        dialog = Dialog(connected=False)
        dialog.a.send(b"one", b"two", b"three")
        self.assertTrue(dialog.a.sending.drop(2, 304, "dropped by the operator"))
        self.assertFalse(dialog.a.sending.drop(2, 304, "dropped by the operator"))
        self.assertFalse(dialog.a.sending.drop(4, 304, "dropped by the operator"))
        dialog.connect()
        dialog.settle()
        self.assertEqual(dialog.b.effects, [b"one", b"three"])
        self.assertEqual([(each.number, each.code) for each in dialog.a.failed], [(2, 304)])

    def test_dropped_files_are_forgotten(self) -> None:
        dialog = Dialog(connected=False)
        dialog.a.send(dialog.a.spool.put("a file", bytes(100_000)))
        dialog.a.sending.drop(1, 304, "dropped by the operator")
        dialog.connect()
        dialog.settle()
        self.assertEqual((dialog.a.spool.files, dialog.b.receiving.done), ({}, 1))


class AnsweredTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.dialog = Dialog()
        self.a = self.dialog.a
        self.a.send(b"one", b"two")

    def test_answers_that_cannot_be(self) -> None:
        sending, now = self.a.sending, self.a.now
        for number in (3, 1 << 63):
            with self.assertRaises(PeerMisbehaved):
                sending.acknowledged(number, now)
            for frame in (Processed(number), Dead(number, 304, ""), Ended(number)):
                with self.assertRaises(PeerMisbehaved):
                    sending.hear(frame, now)
        with self.assertRaises(PeerMisbehaved):
            sending.hear(Dead(0, 304, ""), now)
        with self.assertRaises(PeerMisbehaved):
            sending.hear(Ended(2), now)
        self.assertEqual(sending.waiting, 2)

    def test_a_failure_is_told_once(self) -> None:
        sending, now = self.a.sending, self.a.now
        for _ in range(2):
            sending.hear(Dead(1, 304, "no"), now)
        self.a.turn()
        sending.hear(Dead(1, 304, "no"), now)
        sending.hear(Processed(1), now)
        sending.hear(Dead(1, 304, "no"), now)
        self.a.turn()
        self.assertEqual([(each.number, each.code, each.why) for each in self.a.failed], [(1, 304, "no")])
        self.assertEqual(self.a.stages["processed"], 1)

    def test_processed_is_delivered_too(self) -> None:
        self.a.sending.hear(Processed(2), self.a.now)
        self.a.turn()
        self.assertEqual(self.a.stages, {"accepted": 2, "delivered": 2, "processed": 2})
        self.assertIsNone(self.a.store.segment(DIALOG_ID, True, 1))

    def test_a_window_of_nothing_lets_one_go(self) -> None:
        self.a.sending.hear(Credit(0), self.a.now)
        (said,) = [each for each in self.a.says() if each.count]
        self.assertEqual(len(unpack_messages(said.body, said.count)), 2)
