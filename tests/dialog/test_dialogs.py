"""Dialogs on a link: how they begin, what they carry, and all the ways in which they end."""

from __future__ import annotations

from seckex.dialog.faces import End, Ending, describe
from seckex.dialog.stream import Dialog
from seckex.errors import ApiMisuse, PeerIncompatible
from seckex.wire.dialog import Hello
from seckex.wire.numbers import Code, RecordType
from tests.dialog.parts import LinkCase, Pair, Program, new_id


class BeginningTests(LinkCase):
    def test_accepted_at_once(self) -> None:
        pair = Pair().opened()
        dialog, program, far, far_program = pair.dialog("web")
        self.assertEqual((program.said, far_program.said), (["opened"], ["opened"]))
        self.assertEqual((dialog.service, far.service), ("web", "web"))
        self.assertEqual(dialog.dialog_id, far.dialog_id)
        self.assertEqual((dialog.ours, far.ours), (True, False))

    def test_accepted_later(self) -> None:
        pair = Pair().opened()
        pair.r.answer = lambda _: None
        dialog, program, far, far_program = pair.dialog()
        self.assertEqual((program.said, far_program.said), ([], []))
        # what is written before is sent as soon as the peer has accepted
        dialog.write(b"early")
        pair.settle()
        self.assertEqual(far_program.got, b"")
        far.accept()
        pair.settle()
        self.assertEqual((program.said, far_program.said, far_program.got), (["opened"], ["opened"], b"early"))

    def test_the_responder_may_open_as_well(self) -> None:
        pair = Pair().opened()
        program = Program()
        dialog = pair.r.link.open("back", new_id(), program)
        pair.settle()
        self.assertEqual((dialog.number % 2, program.said), (0, ["opened"]))
        dialog.write(b"hello")
        pair.settle()
        self.assertEqual(pair.i.last.got, b"hello")

    def test_numbers_rise_by_two_and_are_used_once(self) -> None:
        pair = Pair().opened()
        numbers = []
        for _ in range(3):
            dialog, *_ = pair.dialog()
            numbers.append(dialog.number)
            dialog.reset()
            pair.settle()
        self.assertEqual(numbers, [1, 3, 5])

    def test_rejected(self) -> None:
        pair = Pair().opened()
        pair.r.answer = lambda dialog: dialog.reject(Code.UNKNOWN_SERVICE, "none such")
        dialog, program, far, far_program = pair.dialog()
        self.assertEqual(program.said, ["over: rejected, unknown-service (301): 'none such'"])
        self.assertEqual(far_program.said, ["over: reset, unknown-service (301): 'none such'"])
        self.assertTrue(dialog.is_over and far.is_over)
        self.assertEqual((pair.i.link.dialogs, pair.r.link.dialogs), ((), ()))

    def test_data_sent_before_an_answer_is_held(self) -> None:
        """A peer need not wait for ACCEPT; what it sends is bounded by the window and kept."""
        pair = Pair().opened()
        pair.r.answer = lambda _: None
        dialog, _, far, far_program = pair.dialog()
        carriage = pair.i.link._carriage
        assert carriage is not None
        carriage.send_data(dialog.number, 0, b"unasked")
        carriage.send(RecordType.END, dialog.number, 7, b"")
        pair.settle()
        self.assertEqual((far_program.got, far_program.said), (b"", []))
        far.accept()
        self.assertEqual((far_program.got, far_program.said), (b"unasked", ["opened", "ended"]))

    def test_given_up_before_it_is_answered(self) -> None:
        pair = Pair().opened()
        pair.r.answer = lambda _: None
        dialog, program, far, far_program = pair.dialog()
        dialog.reset(text="changed my mind")
        pair.settle()
        self.assertEqual(far_program.said, ["over: reset by peer, reset-by-program (304): 'changed my mind'"])
        self.assertEqual(program.said, ["over: reset, reset-by-program (304): 'changed my mind'"])
        # the answer comes too late, and that is nobody's fault
        far.accept()
        far.reject(Code.UNSPECIFIED)
        pair.settle()
        self.assertTrue(pair.i.link.is_open and pair.r.link.is_open)

    def test_an_acceptance_that_crosses_a_reset_is_ignored(self) -> None:
        pair = Pair().opened()
        pair.r.answer = lambda _: None
        dialog, _, far, _ = pair.dialog()
        far.accept()
        far.write(b"crossing")
        dialog.reset()
        pair.settle()
        self.assertTrue(pair.i.link.is_open and pair.r.link.is_open)

    def test_misuse(self) -> None:
        pair = Pair().opened()
        dialog, _, far, _ = pair.dialog()
        for wrong in (dialog.accept, far.accept, lambda: far.reject(Code.UNSPECIFIED), lambda: far.attach(Program())):
            self.assertRaises(ApiMisuse, wrong)
        self.assertRaises(ApiMisuse, pair.i.link.open, "", new_id(), Program())
        self.assertRaises(ApiMisuse, pair.i.link.open, "s", b"short", Program())


class LimitTests(LinkCase):
    def test_the_peer_allows_so_many(self) -> None:
        pair = Pair(limits_r=Hello(65536, 2, 65536)).opened()
        first, *_ = pair.dialog()
        pair.dialog()
        error = self.assertRaises(PeerIncompatible, pair.i.link.open, "third", new_id(), Program())
        self.assertIs(error.code, Code.TOO_MANY_DIALOGS)
        first.reset()
        pair.dialog()
        self.assertEqual(pair.i.said, ["opened"])

    def test_dialogs_that_are_not_read_count(self) -> None:
        """Over for the link, but a program has not read all of it: such dialogs are not without number."""
        pair = Pair(limits_r=Hello(65536, 2, 65536)).opened()
        for _ in range(2):
            dialog, _, far, far_program = pair.dialog()
            far.pause()
            dialog.write(b"unread")
            dialog.end()
            far.end()
            pair.settle()
            self.assertEqual(far_program.got, b"")
        error = self.assertRaises(PeerIncompatible, pair.i.link.open, "third", new_id(), Program())
        self.assertIs(error.code, Code.TOO_MANY_DIALOGS)
        far.resume()
        pair.settle()
        self.assertEqual((far_program.got, far_program.said[-1]), (b"unread", "over: finished"))
        _, program, *_ = pair.dialog()
        self.assertEqual(program.said, ["opened"])

    def test_when_the_numbers_are_used_up(self) -> None:
        pair = Pair().opened()
        assert pair.i.link._carriage is not None
        pair.i.link._carriage._next_number = (1 << 32) - 1
        dialog, program, *_ = pair.dialog()
        self.assertEqual((dialog.number, program.said), ((1 << 32) - 1, ["opened"]))
        self.assertRaises(PeerIncompatible, pair.i.link.open, "s", new_id(), Program())


class CarryingTests(LinkCase):
    def test_both_ways(self) -> None:
        pair = Pair().opened()
        dialog, program, far, far_program = pair.dialog()
        dialog.write(b"question")
        far.write(b"answer")
        pair.settle()
        self.assertEqual((program.got, far_program.got), (b"answer", b"question"))
        self.assertEqual((dialog.sent, dialog.received, far.sent, far.received), (8, 6, 6, 8))
        self.assertEqual((pair.i.link.octets_out, pair.i.link.octets_in), (8, 6))

    def test_a_write_is_one_record_if_it_fits(self) -> None:
        pair = Pair().opened()
        dialog, _, _, far_program = pair.dialog()
        dialog.write(b"x" * 65536)
        dialog.write(b"")
        pair.settle()
        self.assertEqual([len(chunk) for chunk in far_program.chunks], [65536])

    def test_a_large_write_is_cut(self) -> None:
        pair = Pair(limits_r=Hello(1 << 20, 4, 1024)).opened()
        dialog, _, _, far_program = pair.dialog()
        octets = bytes(range(256)) * 20
        dialog.write(octets)
        pair.settle()
        self.assertEqual(far_program.got, octets)
        self.assertEqual([len(chunk) for chunk in far_program.chunks], [1024] * 5)

    def test_pieces_fill_records(self) -> None:
        pair = Pair(limits_r=Hello(1 << 20, 4, 65536)).opened()
        dialog, _, _, far_program = pair.dialog()
        dialog.write_all((b"a" * 10, b"", b"b" * 20, b"L" * 20000, b"c", b"M" * 65537, b"d" * 9000, b"e" * 9000, b"f"))
        pair.settle()
        self.assertEqual(
            far_program.got,
            b"a" * 10 + b"b" * 20 + b"L" * 20000 + b"c" + b"M" * 65537 + b"d" * 9000 + b"e" * 9000 + b"f",
        )
        self.assertEqual([len(chunk) for chunk in far_program.chunks], [65536, 38033])

    def test_pieces_sent_together_leave_together(self) -> None:
        pair = Pair(limits_r=Hello(1 << 20, 4, 65536)).opened()
        dialog, *_ = pair.dialog()
        flushes = []
        flush = pair.i.flush

        def counted() -> None:
            flushes.append(1)
            flush()

        pair.i.link.flush = counted
        dialog.write_all((b"a", b"L" * 200000, b"b"))
        dialog.write_all((b"a", b"b"))
        self.assertEqual(len(flushes), 2)

    def test_pieces_that_are_no_octets_leave_the_link_as_it_was(self) -> None:
        pair = Pair().opened()
        dialog, _, _, far_program = pair.dialog()
        self.assertRaises(TypeError, dialog.write_all, (b"a", 5))
        dialog.write(b"next")
        pair.settle()
        self.assertEqual(far_program.got, b"next")

    def test_an_answer_from_within(self) -> None:
        pair = Pair().opened()
        dialog, program, far, far_program = pair.dialog()
        far_program.on_data = lambda octets: far.write(octets.upper())
        for _ in range(3):
            dialog.write(b"echo ")
        pair.settle()
        self.assertEqual(program.got, b"ECHO ECHO ECHO ")

    def test_many_at_once(self) -> None:
        pair = Pair().opened()
        dialogs = [pair.dialog() for _ in range(4)]
        for number, (dialog, _, far, _) in enumerate(dialogs):
            dialog.write(bytes([number]) * 100)
            far.write(bytes([number]) * 50)
        pair.settle(33)
        for number, (_, program, _, far_program) in enumerate(dialogs):
            self.assertEqual((far_program.got, program.got), (bytes([number]) * 100, bytes([number]) * 50))


class EndTests(LinkCase):
    def test_half_close(self) -> None:
        pair = Pair().opened()
        dialog, program, far, far_program = pair.dialog()
        dialog.write(b"all of it")
        dialog.end()
        dialog.end()
        dialog.write(b"too late")
        pair.settle()
        self.assertEqual((far_program.got, far_program.said), (b"all of it", ["opened", "ended"]))
        far.write(b"still here")
        pair.settle()
        self.assertEqual((program.got, program.said), (b"still here", ["opened", "sent end"]))
        far.end()
        pair.settle()
        self.assertEqual(program.said, ["opened", "sent end", "ended", "over: finished"])
        self.assertEqual(far_program.said, ["opened", "ended", "sent end", "over: finished"])
        self.assertEqual((pair.i.link.dialogs, pair.r.link.dialogs), ((), ()))
        self.assertEqual((pair.i.said, pair.r.said), (["opened", "idle"], ["opened", "idle"]))

    def test_both_ends_at_once(self) -> None:
        pair = Pair().opened()
        dialog, program, far, far_program = pair.dialog()
        dialog.end()
        far.end()
        pair.settle()
        self.assertEqual((program.said[-1], far_program.said[-1]), ("over: finished", "over: finished"))

    def test_an_end_before_the_answer(self) -> None:
        pair = Pair().opened()
        pair.r.answer = lambda _: None
        dialog, program, far, far_program = pair.dialog()
        dialog.write(b"request")
        dialog.end()
        far.end()
        far.accept()
        pair.settle()
        self.assertEqual(far_program.got, b"request")
        self.assertEqual((program.said[-1], far_program.said[-1]), ("over: finished", "over: finished"))

    def test_an_end_waits_for_a_paused_program(self) -> None:
        pair = Pair().opened()
        dialog, _, far, far_program = pair.dialog()
        far.pause()
        dialog.write(b"x")
        dialog.end()
        pair.settle()
        self.assertEqual((far_program.got, far_program.said), (b"", ["opened"]))
        far.resume()
        far.resume()
        self.assertEqual((far_program.got, far_program.said), (b"x", ["opened", "ended"]))

    def test_reset(self) -> None:
        pair = Pair().opened()
        dialog, program, far, far_program = pair.dialog()
        far.pause()
        dialog.write(b"never read")
        pair.settle()
        dialog.reset(Code.RESET_BY_PROGRAM, "gone")
        dialog.reset()
        pair.settle()
        far.resume()
        self.assertEqual(program.said, ["opened", "over: reset, reset-by-program (304): 'gone'"])
        self.assertEqual(far_program.said, ["opened", "over: reset by peer, reset-by-program (304): 'gone'"])
        self.assertEqual(far_program.got, b"")
        for each in (dialog, far):
            each.write(b"x")
            each.write_all((b"x",))
            each.end()
            each.pause()
            each.resume()
            each.reset()
        pair.settle()
        self.assertTrue(pair.i.link.is_open and pair.r.link.is_open)

    def test_what_crosses_a_reset_is_ignored(self) -> None:
        pair = Pair().opened()
        dialog, _, far, _ = pair.dialog()
        far.write(b"x" * 40000)
        far.end()
        dialog.reset()
        pair.settle()
        self.assertEqual((pair.i.link.closure, pair.r.link.closure), (None, None))

    def test_a_reset_overtakes_what_is_queued(self) -> None:
        pair = Pair().opened()
        dialog, _, _, far_program = pair.dialog()
        dialog.write(b"x" * 200000)
        self.assertEqual(dialog.queued, 200000 - 65536)
        dialog.reset()
        pair.settle()
        self.assertIn("over: reset by peer", far_program.said[-1])
        self.assertEqual((len(far_program.got), dialog.queued), (65536, 0))

    def test_reset_from_within(self) -> None:
        pair = Pair().opened()
        dialog, _, far, far_program = pair.dialog()
        far_program.on_data = lambda _: far.reset()
        dialog.write(b"1")
        dialog.write(b"2")
        pair.settle()
        self.assertEqual(far_program.got, b"1")
        self.assertTrue(pair.i.link.is_open and pair.r.link.is_open)

    def test_reset_from_within_what_was_held(self) -> None:
        pair = Pair().opened()
        dialog, _, far, far_program = pair.dialog()
        far.pause()
        dialog.write(b"1")
        dialog.write(b"2")
        pair.settle()
        far_program.on_data = lambda _: far.reset()
        far.resume()
        self.assertEqual(far_program.got, b"1")

    def test_a_lost_link_is_no_end_of_file(self) -> None:
        pair = Pair().opened()
        dialog, program, _, far_program = pair.dialog()
        dialog.write(b"x")
        pair.settle()
        for side in (pair.i, pair.r):
            side.link.disconnected("Connection lost.")
            self.assertEqual(side.said[-1], "closed: lost: Connection lost.")
        for each in (program, far_program):
            self.assertEqual(each.said, ["opened", "over: lost: lost: Connection lost."])

    def test_over_only_when_everything_was_taken(self) -> None:
        pair = Pair().opened()
        dialog, program, far, far_program = pair.dialog()
        far.pause()
        dialog.write(b"whole")
        dialog.end()
        far.end()
        pair.settle()
        self.assertEqual((program.said, far_program.said), (["opened", "sent end", "ended"], ["opened", "sent end"]))
        far.resume()
        pair.settle()
        self.assertEqual((far_program.got, far_program.said[-1]), (b"whole", "over: finished"))
        self.assertEqual(program.said[-1], "over: finished")


class CloseTests(LinkCase):
    def test_the_peer_is_told_why(self) -> None:
        pair = Pair().opened()
        _, program, _, far_program = pair.dialog()
        pair.r.link.close(Code.SHUTTING_DOWN, "service")
        pair.settle()
        self.assertEqual(pair.r.said[-1], "closed: closed, shutting-down (306): 'service'")
        self.assertEqual(pair.i.said[-1], "closed: closed by peer, shutting-down (306): 'service'")
        for each in (program, far_program):
            self.assertTrue(each.ending is not None and each.ending.end is End.LOST)

    def test_a_closed_link_takes_and_says_nothing(self) -> None:
        pair = Pair().opened()
        dialog, _, far, _ = pair.dialog()
        far.write(b"on its way")
        pair.i.link.close()
        pair.settle()
        said = list(pair.i.said)
        pair.i.link.close()
        pair.i.link.disconnected("late")
        pair.i.link.expire()
        pair.i.link.drained()
        pair.i.link.ping()
        pair.i.link.receive(b"anything")
        dialog.write(b"x")
        self.assertEqual((pair.i.said, bytes(pair.i.sent)), (said, b""))
        self.assertRaises(ApiMisuse, pair.i.link.open, "s", new_id(), Program())

    def test_closed_from_within(self) -> None:
        pair = Pair().opened()
        dialog, _, _, far_program = pair.dialog()
        far_program.on_data = lambda _: pair.r.link.close()
        dialog.write(b"1")
        dialog.write(b"2")
        pair.settle()
        self.assertEqual(far_program.got, b"1")
        self.assertEqual(pair.r.said[-1], "closed: closed, shutting-down (306)")

    def test_closed_while_a_dialog_is_offered(self) -> None:
        pair = Pair().opened()
        pair.r.answer = lambda _: pair.r.link.close()
        _, program, _, far_program = pair.dialog()
        self.assertIn("over: lost", program.said[0])
        self.assertIn("over: lost", far_program.said[0])

    def test_ping(self) -> None:
        pair = Pair().opened()
        pair.i.link.ping(b"anyone there?")
        pair.r.link.ping(b"x" * 99)
        pair.settle()
        self.assertTrue(pair.i.link.is_open and pair.r.link.is_open)


class TextTests(LinkCase):
    def test_what_a_peer_says_is_escaped(self) -> None:
        self.assertEqual(str(Ending(End.RESET_BY_PEER, 304, "a\nb")), "reset by peer, reset-by-program (304): 'a\\nb'")
        self.assertEqual(describe(9999, ""), ", unknown code (9999)")

    def test_a_dialog_shows_what_it_is(self) -> None:
        pair = Pair().opened()
        dialog, *_ = pair.dialog("web")
        self.assertEqual(repr(dialog), "<Dialog 1 'web' CARRYING>")
        self.assertIsInstance(dialog, Dialog)
