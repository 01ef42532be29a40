"""Who waits for whom: credit, a blocked transport, fairness, pauses, and what all that may cost."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st

from seckex.dialog.link import MOST_WAITING
from seckex.dialog.outbound import MOST_QUEUED, SMALL
from seckex.dialog.stream import Dialog
from seckex.wire.dialog import Hello
from tests.dialog.parts import LinkCase, Pair, Program, kinds, new_id

WINDOW = 65536
RECORD = 65536 + 64


class CreditTests(LinkCase):
    def test_no_more_than_the_window(self) -> None:
        pair = Pair().opened()
        dialog, _, far, far_program = pair.dialog()
        far.pause()
        dialog.write(b"x" * (3 * WINDOW))
        pair.settle()
        self.assertEqual((dialog.sent, dialog.queued, far_program.got), (WINDOW, 2 * WINDOW, b""))
        far.resume()
        pair.settle()
        self.assertEqual(far_program.got, b"x" * (3 * WINDOW))

    def test_credit_is_given_at_half_a_window(self) -> None:
        pair = Pair().opened()
        dialog, *_ = pair.dialog()
        dialog.write(b"x" * (WINDOW // 2 - 1))
        pair.move(pair.i)
        self.assertEqual(kinds(bytes(pair.r.sent)), [])
        dialog.write(b"x")
        pair.move(pair.i)
        self.assertEqual(kinds(bytes(pair.r.sent)), ["CREDIT"])
        pair.settle()
        dialog.write(b"x" * WINDOW)
        self.assertEqual((dialog.sent, dialog.queued), (WINDOW // 2 + WINDOW, 0))

    def test_a_window_of_one_octet(self) -> None:
        pair = Pair(limits_r=Hello(1, 1, 65536)).opened()
        dialog, _, _, far_program = pair.dialog()
        dialog.write(b"slowly but surely")
        dialog.end()
        pair.settle()
        self.assertEqual((far_program.got, far_program.said), (b"slowly but surely", ["opened", "ended"]))

    def test_a_peer_that_gives_no_credit_at_first(self) -> None:
        pair = Pair().opened()
        dialog, *_ = pair.dialog()
        dialog._limit_out = dialog._limit_peer = 0
        dialog.write(b"wait")
        self.assertEqual(dialog.queued, 4)
        dialog.take_credit(0, 2)
        self.assertEqual((dialog.queued, dialog.sent), (2, 2))
        dialog.take_credit(0, 2)
        dialog.take_credit(2, 100)
        self.assertEqual((dialog.queued, dialog.sent), (0, 4))

    def test_no_credit_for_what_will_not_come(self) -> None:
        pair = Pair().opened()
        dialog, _, far, far_program = pair.dialog()
        far.pause()
        dialog.write(b"x" * WINDOW)
        dialog.end()
        pair.settle()
        far.resume()
        self.assertEqual((len(far_program.got), kinds(bytes(pair.r.sent))), (WINDOW, ["DONE"]))

    def test_a_slow_reader_does_not_stall_others(self) -> None:
        pair = Pair().opened()
        slow, _, far_slow, slow_program = pair.dialog("slow")
        quick, _, _, quick_program = pair.dialog("quick")
        far_slow.pause()
        slow.write(b"s" * (4 * WINDOW))
        quick.write(b"q" * (4 * WINDOW))
        pair.settle()
        self.assertEqual((len(slow_program.got), len(quick_program.got)), (0, 4 * WINDOW))
        far_slow.resume()
        pair.settle()
        self.assertEqual(len(slow_program.got), 4 * WINDOW)

    def test_paused_from_within(self) -> None:
        pair = Pair().opened()
        dialog, _, far, far_program = pair.dialog()
        far_program.on_data = lambda _: far.pause()
        for piece in (b"1", b"2", b"3"):
            dialog.write(piece)
        pair.settle()
        self.assertEqual(far_program.got, b"1")
        far.resume()
        self.assertEqual(far_program.got, b"12")
        far.resume()
        self.assertEqual(far_program.got, b"123")


class ProducerTests(LinkCase):
    def test_paused_when_four_records_wait_and_resumed_before_the_last_is_sent(self) -> None:
        pair = Pair(limits_r=Hello(1 << 22, 4, 65536)).opened()
        dialog, program, *_ = pair.dialog()
        pair.i.takes = 0
        dialog.write(b"x" * 100)
        dialog.write(b"x" * (MOST_QUEUED - 1))
        self.assertEqual(program.said, ["opened"])
        dialog.write(b"x")
        dialog.write(b"x")
        self.assertEqual(program.said, ["opened", "pause"])
        left = []
        program.on_resume = lambda: left.append(dialog.queued)
        pair.i.unblock()
        pair.settle()
        self.assertEqual((program.said, left, dialog.queued), (["opened", "pause", "resume"], [1], 0))

    def test_paused_for_want_of_credit(self) -> None:
        pair = Pair().opened()
        dialog, program, far, _ = pair.dialog()
        far.pause()
        dialog.write(b"x" * WINDOW)
        dialog.write(b"x" * (MOST_QUEUED + 1))
        pair.settle()
        self.assertEqual(program.said, ["opened", "pause"])
        far.resume()
        pair.settle()
        self.assertEqual(program.said, ["opened", "pause", "resume"])

    def test_one_that_writes_when_resumed(self) -> None:
        pair = Pair(limits_r=Hello(1 << 22, 4, 65536)).opened()
        dialog, program, _, far_program = pair.dialog()
        left = 40

        def produce() -> None:
            nonlocal left
            while left and program.said[-1] != "pause":
                left -= 1
                dialog.write(bytes([left]) * 30000)

        program.on_resume = produce
        pair.i.takes = 100000
        produce()
        while left:
            pair.i.unblock(100000)
        pair.i.unblock()
        pair.settle()
        self.assertEqual(far_program.got, b"".join(bytes([number]) * 30000 for number in reversed(range(40))))

    def test_one_that_ends_when_resumed(self) -> None:
        pair = Pair().opened()
        dialog, program, _, far_program = pair.dialog()
        program.on_resume = dialog.end
        dialog.write(b"x" * (WINDOW + MOST_QUEUED + 1))
        self.assertEqual(program.said, ["opened", "pause"])
        pair.settle()
        self.assertEqual(far_program.said, ["opened", "ended"])


class BlockedTests(LinkCase):
    def test_nothing_is_lost_however_little_the_transport_takes(self) -> None:
        pair = Pair().opened()
        dialog, _, far, far_program = pair.dialog()
        octets = bytes(range(256)) * 40
        pair.i.takes = 0
        for at in range(0, len(octets), 1000):
            dialog.write(octets[at : at + 1000])
        dialog.end()
        while pair.i.link.outbox or dialog.queued:
            pair.i.unblock(17)
        pair.settle()
        self.assertEqual((far_program.got, far_program.said), (octets, ["opened", "ended"]))
        self.assertEqual(far.received, len(octets))

    def test_what_waits_is_joined_into_larger_records(self) -> None:
        pair = Pair().opened()
        dialog, _, _, far_program = pair.dialog()
        pair.i.takes = 0
        for _ in range(100):
            dialog.write(b"tiny")
        pair.i.unblock()
        pair.settle()
        self.assertEqual([len(chunk) for chunk in far_program.chunks], [4, 396])

    def test_a_piece_larger_than_a_record_among_small_ones(self) -> None:
        pair = Pair(limits_r=Hello(1 << 20, 4, 65536)).opened()
        dialog, _, _, far_program = pair.dialog()
        pair.i.takes = 0
        pieces = [b"a", b"b" * 20, b"c" * 20, b"d" * 70000, b"e" * 20, b"f" * 16000, b"g" * 16000, b"h" * 50000]
        pieces += [b"i" * 10000] * 7
        for piece in pieces:
            dialog.write(piece)
        pair.i.unblock()
        pair.settle()
        self.assertEqual(far_program.got, b"".join(pieces))
        self.assertEqual(
            [len(chunk) for chunk in far_program.chunks],
            [1, 65536, 65536, 65536, 25452],
        )

    def test_dialogs_take_turns(self) -> None:
        """Three have much to send: each sends one record in turn."""
        pair = Pair(limits_r=Hello(1 << 20, 4, 65536)).opened()
        dialogs = [pair.dialog(service)[0] for service in "abc"]
        order: list[str] = []
        for (dialog, program), service in zip(pair.r.offers, "abc", strict=True):
            self.assertEqual(dialog.service, service)
            program.on_data = lambda octets: order.append(chr(octets[0]))
        pair.i.takes = 0
        dialogs[0].write(b"a")  # fills what there is of a transport
        for dialog, octet in zip(dialogs, (b"a", b"b", b"c"), strict=True):
            dialog.write(octet * (3 * 65536))
        while pair.i.link.outbox:
            pair.i.unblock(RECORD)
        pair.settle()
        self.assertEqual("".join(order), "a" + "abc" * 3)

    def test_a_late_comer_waits_one_turn_only(self) -> None:
        pair = Pair(limits_r=Hello(1 << 24, 4, 65536)).opened()
        bulk, bulk_program, *_ = pair.dialog("bulk")
        other, *_ = pair.dialog("other")
        order: list[str] = []
        for dialog, program in pair.r.offers:
            program.on_data = partial(lambda service, _: order.append(service), dialog.service)

        def produce() -> None:
            while bulk.sent < 20 * 65536 and bulk_program.said[-1] != "pause":
                bulk.write(b"x" * 65536)

        bulk_program.on_resume = produce
        pair.i.takes = 0
        produce()
        for _ in range(3):
            pair.i.unblock(RECORD)
        pair.settle()
        sealed = len(order) + -(-len(pair.i.link.outbox) // RECORD)
        other.write(b"me too")
        for _ in range(6):
            pair.i.unblock(RECORD)
        pair.settle()
        self.assertLessEqual(order.index("other"), sealed + 1)
        self.assertLess(bulk.sent, 20 * 65536)

    def test_records_that_are_not_data_do_not_wait(self) -> None:
        pair = Pair().opened()
        dialog, *_ = pair.dialog()
        pair.i.takes = 10
        dialog.write(b"x" * 1000)
        waiting = len(pair.i.link.outbox)
        pair.i.link.open("more", new_id(), Program())
        dialog.write(b"queued")
        self.assertGreater(len(pair.i.link.outbox), waiting)
        self.assertEqual(dialog.queued, 6)
        pair.i.unblock()
        pair.settle()
        self.assertEqual(pair.r.offers[0][1].got, b"x" * 1000 + b"queued")

    def test_a_peer_that_asks_much_and_reads_nothing_is_not_read_from(self) -> None:
        pair = Pair().opened()
        pair.r.takes = 0
        while not pair.r.link.congested:
            for _ in range(64):
                pair.i.link.ping(b"x" * 64)
            pair.move(pair.i)
        self.assertLess(len(pair.r.link.outbox), 2 * MOST_WAITING)
        pair.r.unblock()
        self.assertFalse(pair.r.link.congested)
        pair.settle()
        self.assertTrue(pair.i.link.is_open and pair.r.link.is_open)

    def test_data_alone_never_keeps_a_link_from_reading(self) -> None:
        """Otherwise two that both have much to send could wait for each other."""
        pair = Pair(limits_r=Hello(1 << 24, 4, 65536)).opened()
        dialogs = [pair.dialog()[0] for _ in range(4)]
        pair.i.takes = 0
        for dialog in dialogs:
            dialog.write(b"x" * (1 << 20))
            for _ in range(100):
                dialog.write(b"x" * 10000)
        most = 0
        while len(pair.i.link.outbox):
            most = max(most, len(pair.i.link.outbox))
            self.assertFalse(pair.i.link.congested)
            pair.i.unblock(100000)
        self.assertGreater(most, 4 * 65536)

    def test_a_link_closed_while_it_is_blocked(self) -> None:
        pair = Pair().opened()
        dialog, program, _, far_program = pair.dialog()
        pair.i.takes = 0
        dialog.write(b"x" * 1000)
        dialog.write(b"never sent")
        pair.i.link.close()
        self.assertIn("over: lost", program.said[-1])
        pair.i.unblock()
        pair.settle()
        self.assertEqual(far_program.got, b"x" * 1000)
        self.assertIn("over: lost", far_program.said[-1])


class AnyScheduleTests(LinkCase):
    """Whatever is written, paused and moved in whatever order: what arrives is what was sent."""

    @settings(max_examples=60, deadline=None)
    @given(
        st.integers(1, 3000),
        st.integers(1024, 2000),
        st.lists(
            st.tuples(
                st.sampled_from(["write", "back", "all", "pause", "resume", "i", "r", "block", "unblock"]),
                st.integers(0, 1),
                st.integers(1, 5000),
            ),
            max_size=40,
        ),
    )
    def test_streams_stay_whole(self, window: int, largest: int, steps: list[tuple[str, int, int]]) -> None:
        limits = Hello(window, 4, largest)
        pair = Pair(limits_i=limits, limits_r=limits).opened()
        ends = [pair.dialog() for _ in range(2)]
        written = [b"", b""]
        answered = [b"", b""]
        for number, (what, which, size) in enumerate(steps):
            near, _, far, _ = ends[which]
            octets = bytes([number]) * size
            match what:
                case "write":
                    near.write(octets)
                    written[which] += octets
                case "all":
                    near.write_all((octets, b"-", octets))
                    written[which] += octets + b"-" + octets
                case "back":
                    far.write(octets)
                    answered[which] += octets
                case "pause":
                    far.pause()
                case "resume":
                    far.resume()
                case "i":
                    pair.move(pair.i, size)
                case "r":
                    pair.move(pair.r, size)
                case "block":
                    pair.i.takes = size
                case "unblock":
                    pair.i.unblock(size)
        pair.i.unblock()
        for near, _, far, _ in ends:
            far.resume()
            near.end()
            far.end()
        pair.settle()
        for which, (near, program, far, far_program) in enumerate(ends):
            self.assertEqual(far_program.got, written[which])
            self.assertEqual(program.got, answered[which])
            self.assertEqual((program.said[-1], far_program.said[-1]), ("over: finished", "over: finished"))
            self.assertEqual((near.sent, far.received), (len(written[which]), len(written[which])))
        self.assertIsInstance(ends[0][0], Dialog)


class TurnTests(LinkCase):
    """Much that is written in one turn of the event loop fills records; little leaves at once."""

    def setUp(self) -> None:
        self.later: list[Callable[[], None]] = []
        self.pair = Pair(limits_r=Hello(1 << 22, 4, 65536), soon=self.later.append).opened()
        self.dialog, self.program, _, self.far_program = self.pair.dialog()

    def end_turn(self) -> None:
        later, self.later[:] = self.later[:], []
        for call in later:
            call()

    def test_little_leaves_at_once(self) -> None:
        self.dialog.write(b"x" * (SMALL - 1))
        self.assertEqual((kinds(bytes(self.pair.i.sent)), self.later), (["DATA"], []))

    def test_much_waits_for_the_end_of_the_turn(self) -> None:
        self.dialog.write(b"x" * SMALL)
        self.dialog.write(b"behind")
        self.assertEqual((bytes(self.pair.i.sent), len(self.later)), (b"", 1))
        self.end_turn()
        self.assertEqual(kinds(bytes(self.pair.i.sent)), ["DATA"])

    def test_very_much_does_not_wait(self) -> None:
        """Full records leave, what does not fill one stays for the end of the turn."""
        for _ in range(5):
            self.dialog.write_all((b"head", b"x" * 65536))
        self.assertEqual((kinds(bytes(self.pair.i.sent)), self.dialog.queued), (["DATA"] * 4, 4 * 4 + 65540))
        self.assertEqual((len(self.later), self.program.said), (1, ["opened"]))
        self.end_turn()
        self.assertEqual((kinds(bytes(self.pair.i.sent)), self.dialog.queued), (["DATA"] * 6, 0))
        self.pair.settle()
        self.assertEqual(self.far_program.got, (b"head" + b"x" * 65536) * 5)

    def test_an_answer_to_what_came_needs_no_turn(self) -> None:
        dialog, program = self.pair.r.offers[0]
        program.on_data = lambda _: dialog.write(b"y" * SMALL)
        self.dialog.write(b"question")
        self.pair.settle()
        self.assertEqual(len(self.program.got), SMALL)

    def test_an_end_in_the_same_turn(self) -> None:
        self.dialog.write(b"x" * SMALL)
        self.dialog.end()
        self.end_turn()
        self.pair.settle()
        self.assertEqual((len(self.far_program.got), self.far_program.said), (SMALL, ["opened", "ended"]))

    def test_a_reset_in_the_same_turn(self) -> None:
        self.dialog.write(b"x" * SMALL)
        self.dialog.reset()
        self.end_turn()
        self.pair.settle()
        self.assertEqual(self.far_program.got, b"")

    def test_a_link_closed_in_the_same_turn(self) -> None:
        self.dialog.write(b"x" * SMALL)
        self.pair.i.link.close()
        self.end_turn()
        self.assertEqual(kinds(bytes(self.pair.i.sent)), ["CLOSE"])

    def test_several_dialogs_take_turns_in_it(self) -> None:
        other, *_ = self.pair.dialog("other")
        order: list[int] = []
        for _, program in self.pair.r.offers:
            program.on_data = lambda octets: order.append(octets[0])
        other.write(b"o" * 65536)
        other.write(b"o" * 10)
        self.dialog.write(b"x" * (4 * 65536))
        self.assertEqual(kinds(bytes(self.pair.i.sent)), ["DATA"] * 5)
        self.end_turn()
        self.pair.settle()
        self.assertEqual(bytes(order), b"oxxxxo")
