"""Dialogs that outlive their links: cuts at any octet, takeovers, lost answers, and what a peer may not claim."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from seckex.dialog.faces import Cause, End
from seckex.dialog.stream import Dialog
from seckex.dialog.table import ANSWER_WITHIN, MOST_TOMBSTONES
from seckex.wire.dialog import Hello, Opening, encode_opening
from seckex.wire.numbers import Code, RecordType
from seckex.wire.resumption import Standing, encode_resume, encode_resumed
from tests.dialog.parts import LinkCase, Pair, Peers, Program, association, kinds, new_id, split
from tests.dialog.test_violations import carriage

T = RecordType
WINDOW = 65536


class GoingOnTests(LinkCase):
    def setUp(self) -> None:
        self.peers = Peers()
        self.first = self.peers.link()

    def test_after_a_cut_the_stream_goes_on_where_it_was(self) -> None:
        dialog, program, far, far_program = self.first.dialog()
        far.write(b"first ")
        self.first.settle()
        far.write(b"lost on the way, ")
        self.first.cut()
        far.write(b"written meanwhile")
        dialog.write(b"so was this")
        self.assertEqual((program.said, far_program.said), (["opened"], ["opened"]))
        self.peers.link()
        self.assertEqual(program.got, b"first lost on the way, written meanwhile")
        self.assertEqual(far_program.got, b"so was this")
        far.end()
        dialog.end()
        self.peers.settle()
        self.assertEqual((program.said[-1], far_program.said[-1]), ("over: finished", "over: finished"))

    def test_what_the_opener_says(self) -> None:
        dialog, *_ = self.first.dialog()
        self.first.cut()
        pair = self.peers.link(settle=False)
        pair.move(pair.i)
        pair.move(pair.r)
        self.assertEqual(kinds(bytes(pair.i.sent)), ["PING", "RESUME"])
        pair.move(pair.i)
        self.assertEqual(kinds(bytes(pair.r.sent)), ["PONG", "RESUMED"])
        self.assertEqual(dialog.number, 1)

    def test_the_responders_dialogs_too(self) -> None:
        program = Program()
        dialog = self.first.r.link.open("back", new_id(), program)
        self.first.settle()
        dialog.write(b"lost")
        self.first.cut()
        self.peers.link()
        self.assertEqual(self.first.i.last.got, b"lost")
        self.peers.settle()
        self.assertEqual(program.said, ["opened"])

    def test_make_before_break(self) -> None:
        """A link under another association takes over while the old one stands and is full."""
        dialog, program, far, _ = self.first.dialog()
        far.write(b"x" * (3 * WINDOW))
        self.first.move(self.first.r, 30000)
        new = self.peers.link(ours=association(secret=b"another", spi=0x9999))
        self.assertEqual(program.said, ["opened"])
        self.peers.settle()
        self.assertEqual((program.got, far.queued, far.kept), (b"x" * (3 * WINDOW), 0, 0))
        self.assertEqual((self.first.i.link.dialogs, self.first.r.link.dialogs), ((), ()))
        self.assertEqual((new.i.link.dialogs, new.r.link.dialogs), ((dialog,), (far,)))
        self.assertEqual((self.first.i.said, self.first.r.said), (["opened", "idle"], ["opened", "idle"]))
        self.first.i.link.close(Code.UNSPECIFIED)
        self.peers.settle()
        dialog.write(b"and on")
        self.peers.settle()
        self.assertEqual(self.peers.offers[0][1].got, b"and on")

    def test_what_comes_late_on_the_old_link_is_ignored(self) -> None:
        dialog, program, far, _ = self.first.dialog()
        far.write(b"once")
        far.end()
        new = self.peers.link()
        self.assertEqual((program.got, program.said), (b"once", ["opened", "ended"]))
        self.first.settle()
        dialog.reset()
        self.first.settle()
        new.settle()
        self.assertEqual(program.got, b"once")
        for pair in self.peers.pairs:
            self.assertEqual((pair.i.closure, pair.r.closure), (None, None))

    def test_held_octets_are_not_sent_twice(self) -> None:
        dialog, program, far, _ = self.first.dialog()
        dialog.pause()
        far.write(b"a" * 1000)
        self.first.settle()
        self.assertEqual(far.kept, 1000)
        self.first.cut()
        dialog.resume()
        self.assertEqual(program.got, b"a" * 1000)
        pair = self.peers.link()
        far.write(b"b")
        self.peers.settle()
        self.assertEqual((program.got, pair.r.link.octets_out, pair.i.link.octets_in), (b"a" * 1000 + b"b", 1, 1))

    def test_credit_that_was_not_told_is_told(self) -> None:
        """The window is used up when the link is cut, and read while a new one is asked."""
        dialog, program, far, _ = self.first.dialog()
        dialog.pause()
        far.write(b"x" * (2 * WINDOW))
        self.first.settle()
        self.first.cut()
        pair = self.peers.link(settle=False)
        pair.move(pair.i)
        pair.move(pair.r)
        dialog.resume()  # RESUME has told the old limit already
        pair.settle()
        self.assertEqual(program.got, b"x" * (2 * WINDOW))

    def test_credit_for_less_than_was_resumed_from(self) -> None:
        """What the peer holds need not be sent again, and is consumed only later, piece by piece."""
        dialog, program, far, _ = self.first.dialog()
        dialog.pause()
        for _ in range(4):
            far.write(b"x" * (WINDOW // 4))
        self.first.settle()
        self.first.cut()
        pair = self.peers.link()
        dialog.resume()
        far.write(b"and more")
        self.peers.settle()
        self.assertEqual((program.got, pair.i.closure), (b"x" * WINDOW + b"and more", None))

    def test_a_paused_program_is_resumed(self) -> None:
        _, program, far, far_program = self.first.dialog()
        self.first.cut()
        far.write(b"x" * (5 * WINDOW))
        self.assertEqual(far_program.said, ["opened", "pause"])
        self.peers.link()
        self.assertEqual((far_program.said, len(program.got)), (["opened", "pause", "resume"], 5 * WINDOW))

    def test_several_links_one_after_another_before_any_answer(self) -> None:
        """The newest counts, whatever arrives in whatever order."""
        dialog, program, far, _ = self.first.dialog()
        far.write(b"before")
        second, third = self.peers.link(), self.peers.link(settle=False)
        third.move(third.i)
        third.move(third.r)
        fourth = self.peers.link()
        far.write(b" after")
        third.settle()
        for pair in (second, fourth, third):
            pair.settle()
        self.assertEqual(program.got, b"before after")
        self.assertEqual(fourth.i.link.dialogs, (dialog,))

    def test_whoever_opened_the_dialog_wins_when_both_ask(self) -> None:
        """Two links the other way round, each opened by another side, ask at once."""
        dialog, program, far, far_program = self.first.dialog()
        self.first.cut()
        there = Pair(dialogs_i=self.peers.dialogs_i, dialogs_r=self.peers.dialogs_r)
        back = Pair(dialogs_i=self.peers.dialogs_r, dialogs_r=self.peers.dialogs_i)
        for pair in (there, back):
            pair.move(pair.i)
            pair.move(pair.r)
        there.settle()
        back.settle()
        there.settle()
        dialog.write(b"up")
        far.write(b"down")
        there.settle()
        back.settle()
        self.assertEqual((program.got, far_program.got), (b"down", b"up"))
        for pair in (there, back):
            self.assertEqual((pair.i.closure, pair.r.closure), (None, None))

    def test_whoever_opened_the_dialog_wins_with_an_open_too(self) -> None:
        """The side that opened the link resumes what it has accepted while the other asks again, unanswered so far."""
        program = Program()
        dialog = self.first.r.link.open("back", new_id(), program)
        self.first.move(self.first.r)
        self.first.cut()
        pair = self.peers.link()
        self.assertEqual((program.said, self.peers.offers[-1][1].said), (["opened"], ["opened"]))
        dialog.write(b"there")
        self.peers.offers[-1][0].write(b"back")
        self.peers.settle()
        self.assertEqual((program.got, self.peers.offers[-1][1].got), (b"back", b"there"))
        self.assertEqual((len(self.peers.offers), pair.i.closure, pair.r.closure), (1, None, None))

    def test_a_resume_crosses_the_open_that_comes_again(self) -> None:
        """A second passes at the side that has accepted after the link has opened and before OPEN is there."""
        program = Program()
        self.first.i.link.open("there", new_id(), program)
        self.first.move(self.first.i)
        self.first.cut()
        pair = self.peers.link(settle=False)
        pair.move(pair.i)
        pair.move(pair.r)
        pair.move(pair.i, len(next(split(bytes(pair.i.sent)))))
        self.peers.dialogs_r.tick()
        self.peers.settle()
        self.assertEqual((program.said, len(self.peers.offers)), (["opened"], 1))

    def test_a_detached_dialog_boards_a_link_that_stands(self) -> None:
        """Its link is lost while another one is open: the next second takes it there."""
        dialog, program, far, _ = self.first.dialog()
        self.first.cut()
        pair = self.peers.link(settle=False)
        pair.move(pair.i)
        pair.move(pair.r)
        other = self.peers.link()
        other.cut()
        pair.settle()
        self.peers.tick()
        pair.settle()
        far.write(b"here")
        pair.settle()
        self.assertEqual(program.got, b"here")
        self.assertEqual(dialog.dialog_id, far.dialog_id)


class BeginningAgainTests(LinkCase):
    def setUp(self) -> None:
        self.peers = Peers()
        self.first = self.peers.link()
        self.program = Program()

    def test_an_open_that_was_lost(self) -> None:
        dialog = self.first.i.link.open("web", new_id(), self.program)
        dialog.write(b"early")
        self.first.cut()
        self.assertEqual(self.peers.offers, [])
        self.peers.link()
        self.assertEqual((self.program.said, self.peers.offers[0][1].got), (["opened"], b"early"))

    def test_an_answer_that_was_lost(self) -> None:
        dialog = self.first.i.link.open("web", new_id(), self.program)
        dialog.write(b"early")
        self.first.move(self.first.i)
        far, far_program = self.peers.offers[0]
        far.write(b"greeting")
        self.first.cut()
        self.peers.link()
        self.assertEqual((self.program.said, self.program.got), (["opened"], b"greeting"))
        self.assertEqual((far_program.got, len(self.peers.offers)), (b"early", 1))

    def test_a_refusal_that_was_lost(self) -> None:
        self.first.r.answer = lambda dialog: dialog.reject(Code.PROHIBITED, "not you")
        self.first.i.link.open("web", new_id(), self.program)
        self.first.move(self.first.i)
        self.first.cut()
        self.peers.link()
        self.assertEqual(self.program.said, ["over: rejected, prohibited (129): 'not you'"])

    def test_accepted_while_no_link_stands(self) -> None:
        self.first.r.answer = lambda _: None
        self.first.i.link.open("web", new_id(), self.program)
        self.first.settle()
        self.first.cut()
        far, _ = self.peers.offers[0]
        far.accept()
        far.write(b"hello")
        self.peers.link()
        self.assertEqual((self.program.said, self.program.got), (["opened"], b"hello"))

    def test_accepted_after_it_was_offered_again(self) -> None:
        self.first.r.answer = lambda _: None
        self.first.i.link.open("web", new_id(), self.program)
        self.first.settle()
        far, far_program = self.peers.offers[0]
        carriage(self.first.i).send_data(1, 0, b"a peer may send early")
        self.first.settle()
        self.first.cut()
        pair = self.peers.link()
        self.assertEqual((self.program.said, len(self.peers.offers)), ([], 1))
        far.accept()
        pair.settle()
        self.assertEqual((self.program.said, far_program.got), (["opened"], b""))

    def test_an_open_that_comes_late_over_the_old_link(self) -> None:
        self.first.i.link.open("web", new_id(), self.program)
        self.peers.link()
        self.first.settle()
        self.peers.settle()
        self.assertEqual((self.program.said, len(self.peers.offers)), (["opened"], 1))

    def test_the_acceptor_of_the_link_opens_again_too(self) -> None:
        self.first.r.link.open("back", new_id(), self.program)
        self.first.cut()
        self.peers.link()
        self.assertEqual(self.program.said, ["opened"])

    def test_an_open_without_an_answer(self) -> None:
        self.first.r.answer = lambda _: None
        self.first.i.link.open("web", new_id(), self.program)
        self.first.settle()
        self.peers.tick(ANSWER_WITHIN)
        self.assertEqual(self.program.said, [])
        self.peers.tick()
        self.assertEqual(self.program.said, ["over: lost, unspecified (128): 'the peer has not answered for 60 s'"])
        self.first.settle()
        self.assertEqual(self.peers.offers[0][1].ending and self.peers.offers[0][1].ending.end, End.RESET_BY_PEER)


class EndingTests(LinkCase):
    def setUp(self) -> None:
        self.peers = Peers()
        self.first = self.peers.link()
        self.near, self.program, self.far, self.far_program = self.first.dialog()

    def ended(self) -> None:
        self.near.end()
        self.far.end()

    def test_a_lost_end_is_said_again_and_delivered_once(self) -> None:
        self.near.end()
        self.first.cut()
        self.peers.link()
        self.assertEqual(self.far_program.said, ["opened", "ended"])
        self.assertEqual(self.program.said, ["opened", "sent end"])

    def test_finished_before_resume_is_answered(self) -> None:
        """The last of it is delivered while the peer is asked to go on: it hears of an end and not of an abort."""
        self.near.pause()
        self.far.write(b"held")
        self.ended()
        self.first.settle()
        self.first.cut()
        pair = self.peers.link(settle=False)
        pair.move(pair.i)
        pair.move(pair.r)
        self.near.resume()
        pair.settle()
        self.assertEqual((self.program.got, self.program.said[-1]), (b"held", "over: finished"))
        self.assertEqual(self.far_program.said[-1], "over: finished")
        self.assertEqual((pair.i.closure, pair.r.closure, pair.r.link.dialogs), (None, None, ()))

    def test_a_dialog_that_ends_with_another_is_not_kept(self) -> None:
        """A program that loses one of its dialogs resets the other one, which had the same link."""
        peers = Peers(most_detached=1)
        first = peers.link()
        kept, _, *_ = first.dialog()
        _, program, *_ = first.dialog()
        last, *_ = first.dialog()
        gone, _, *_ = first.dialog()
        program.over = lambda ending: gone.reset()  # type: ignore[method-assign]  # noqa: ARG005  # what programs may do
        first.i.link.disconnected("Connection lost.")
        self.assertEqual((kept.is_over, last.is_over, gone.is_over), (True, False, True))
        self.assertEqual(peers.dialogs_i.detached, 1)

    def test_a_lost_acknowledgement_of_an_end(self) -> None:
        self.near.end()
        self.first.move(self.first.i)
        self.assertEqual(kinds(bytes(self.first.r.sent)), ["DONE"])
        self.first.cut()
        self.peers.link()
        self.assertEqual(self.far_program.said, ["opened", "ended"])
        self.far.end()
        self.peers.settle()
        self.assertEqual((self.program.said[-1], self.far_program.said[-1]), ("over: finished", "over: finished"))

    def test_a_lost_last_done_does_not_lose_a_finished_dialog(self) -> None:
        self.far.write(b"all of it")
        self.ended()
        self.first.move(self.first.i)  # END
        self.first.move(self.first.r)  # DATA, END, DONE
        self.assertEqual(self.program.said[-1], "over: finished")
        self.first.cut()
        self.assertEqual(self.far_program.said, ["opened", "sent end", "ended"])
        self.peers.link()
        self.peers.tick()
        self.peers.settle()
        self.assertEqual(self.far_program.said[-1], "over: finished")

    def test_a_lost_reset_is_told_again(self) -> None:
        self.near.reset(Code.RESET_BY_PROGRAM, "changed my mind")
        self.first.cut()
        self.assertEqual(self.far_program.said, ["opened"])
        self.peers.link()
        self.peers.tick()
        self.peers.settle()
        self.assertEqual(self.far_program.said[-1], "over: reset by peer, reset-by-program (304): 'changed my mind'")

    def test_reset_while_the_answer_is_on_its_way(self) -> None:
        self.first.cut()
        pair = self.peers.link(settle=False)
        pair.move(pair.i)
        pair.move(pair.r)
        self.near.reset(text="too slow")
        pair.settle()
        self.assertEqual(self.far_program.said[-1], "over: reset by peer, reset-by-program (304): 'too slow'")
        self.assertEqual((pair.i.closure, pair.r.closure, pair.r.link.dialogs), (None, None, ()))

    def test_lost_after_so_long(self) -> None:
        self.first.cut()
        self.peers.tick(599)
        self.assertEqual(self.program.said, ["opened"])
        self.peers.tick()
        why = "over: lost: no link for 600 s; lost: Connection lost."
        self.assertEqual((self.program.said[-1], self.far_program.said[-1]), (why, why))
        self.assertEqual((self.peers.dialogs_i.detached, self.peers.dialogs_i.lost), (0, 1))

    def test_a_peer_that_has_lost_its_state(self) -> None:
        self.first.cut()
        restarted = Peers()
        pair = Pair(dialogs_i=self.peers.dialogs_i, dialogs_r=restarted.dialogs_r).opened()
        self.assertEqual(self.program.said[-1], "over: lost, unknown-dialog (307)")
        self.assertEqual((pair.i.closure, pair.i.link.dialogs), (None, ()))

    def test_a_daemon_that_ends_takes_its_dialogs_with_it(self) -> None:
        self.first.r.link.close(Code.SHUTTING_DOWN)
        self.first.settle()
        for program in (self.program, self.far_program):
            self.assertIn("shutting-down (306)", program.said[-1])

    def test_a_daemon_that_ends_loses_what_waits(self) -> None:
        other = self.peers.link()
        self.first.cut()
        more, program, *_ = other.dialog()
        more.leave()
        self.peers.dialogs_i.detach(more, "a test")
        other.r.link.close(Code.SHUTTING_DOWN)
        other.settle()
        self.assertIn("over: lost", program.said[-1])
        self.peers.dialogs_r.lose_all("the daemon ends")
        self.assertEqual(self.peers.dialogs_r.detached, 0)

    def test_somebody_between_costs_a_link_and_no_dialog(self) -> None:
        self.far.write(b"x" * 1000)
        self.first.r.sent[500] ^= 1
        self.first.settle()
        self.assertIs(self.first.i.closure and self.first.i.closure.cause, Cause.VIOLATED)
        self.assertIs(self.first.r.closure and self.first.r.closure.cause, Cause.CLOSED_BY_PEER)
        self.peers.link()
        self.assertEqual(self.program.got, b"x" * 1000)

    def test_a_peer_that_breaks_a_rule_loses_them(self) -> None:
        carriage(self.first.r).send(T.PONG, 0, 0, b"")
        self.first.settle()
        self.assertIn("over: lost", self.program.said[-1])
        self.peers.link()
        self.peers.tick()
        self.peers.settle()
        self.assertTrue(self.far_program.ending is not None and self.far.is_over)


class BoundTests(LinkCase):
    def test_of_too_many_the_one_detached_longest_is_lost(self) -> None:
        peers = Peers(most_detached=2)
        first = peers.link()
        programs = [first.dialog()[1] for _ in range(3)]
        first.cut()
        self.assertEqual(
            [program.said[-1] for program in programs],
            ["over: lost: too many dialogs wait for a link; lost: Connection lost.", "opened", "opened"],
        )
        self.assertEqual(peers.dialogs_i.detached, 2)

    def test_what_is_kept_is_never_more_than_the_window(self) -> None:
        peers = Peers()
        first = peers.link()
        _, _, far, _ = first.dialog()
        far.write(b"x" * 300_000)
        self.assertEqual(far.kept, WINDOW)
        while far.queued:
            first.settle(5000)
            self.assertLessEqual(far.kept, WINDOW)

    def test_a_peers_huge_window_is_not_used(self) -> None:
        peers = Peers(Hello((1 << 32) - 1, 4, 65536))
        first = peers.link()
        dialog, _, far, far_program = first.dialog()
        far.pause()
        dialog.write(b"x" * (10 << 20))
        first.settle()
        self.assertEqual(dialog.kept, 4 << 20)
        far.resume()
        first.settle()
        self.assertEqual(len(far_program.got), 10 << 20)

    def test_small_pieces_are_joined(self) -> None:
        peers = Peers(Hello(1 << 20, 4, 65536))
        first = peers.link()
        dialog, _, far, far_program = first.dialog()
        far.pause()
        for number in range(5000):
            dialog.write(bytes([number % 251, 7]))
            first.move(first.i)
        self.assertLess(len(dialog._kept), 2048)
        first.cut()
        far.resume()
        got = far_program.got
        peers.link()
        self.assertEqual(far_program.got, got)
        self.assertEqual(dialog.kept, 0)

    def test_each_ask_may_be_unanswered_for_so_long(self) -> None:
        """One link after another opens and is dead: that costs as long as the dialog is kept, and not 60 s."""
        peers = Peers()
        first = peers.link()
        dialog, *_ = first.dialog()
        for _ in range(3):
            peers.pairs[-1].cut()
            pair = peers.link(settle=False)
            pair.move(pair.i)
            pair.move(pair.r)
            for _ in range(ANSWER_WITHIN - 1):
                peers.dialogs_i.tick()
        self.assertFalse(dialog.is_over)
        peers.tick(2)
        self.assertTrue(dialog.is_over)

    def test_asks_that_are_never_answered_are_bounded(self) -> None:
        """A peer accepts dialogs on one link, and answers nothing on another."""
        peers = Peers(Hello(WINDOW, MOST_TOMBSTONES + 3, 65536), most_detached=2 * MOST_TOMBSTONES)
        first = peers.link()
        dialogs = [first.dialog()[0] for _ in range(MOST_TOMBSTONES + 3)]
        pair = peers.link(settle=False)
        pair.move(pair.i)
        pair.move(pair.r)
        for dialog in dialogs:
            dialog.reset()
        self.assertEqual(len(carriage(pair.i).abandoned), MOST_TOMBSTONES)

    def test_tombstones_are_bounded_in_number_and_time(self) -> None:
        peers = Peers(within=5)
        first = peers.link()
        for _ in range(MOST_TOMBSTONES + 3):
            dialog, *_ = first.dialog()
            dialog.reset()
            first.settle()
        table = peers.dialogs_i.of("peer@example.net")
        self.assertEqual(len(table._tombstones), MOST_TOMBSTONES)
        first.cut()
        peers.tick(6)
        self.assertEqual((peers.dialogs_i.peers, peers.dialogs_r.peers), (frozenset(), frozenset()))


class AttackTests(LinkCase):
    """What an authenticated peer, or somebody with an old link, may not achieve."""

    def setUp(self) -> None:
        self.peers = Peers()
        self.first = self.peers.link()
        self.near, self.program, self.far, self.far_program = self.first.dialog()
        self.far.write(b"y" * 1000)
        self.first.settle()

    def ask(self, pair: Pair, standing: Standing, number: int = 101, attempt: int = 1) -> list[str]:
        """Say RESUME as the initiator, and return what the responder answers."""
        pair.settle()
        body = encode_resume(self.far.dialog_id, standing)
        carriage(pair.i).send(T.RESUME, number, attempt, body)
        pair.move(pair.i)
        return kinds(bytes(pair.r.sent))

    def test_another_principal_cannot_resume(self) -> None:
        """The table is that of the peer whose keys the link has: for another one the dialog does not exist."""
        from attrs import evolve

        stranger = evolve(association(secret=b"stranger", spi=0x7777), peer="stranger@example.net")
        pair = Pair(ours=stranger, dialogs_r=self.peers.dialogs_r).opened()
        self.assertEqual(self.ask(pair, Standing(1000, WINDOW)), ["REJECT"])
        self.near.write(b"still mine")
        self.first.settle()
        self.assertEqual(self.far_program.got, b"still mine")

    def test_an_offset_beyond_what_was_sent(self) -> None:
        self.assertEqual(self.ask(self.first, Standing(1001, WINDOW)), ["RESET"])
        self.assertIn("protocol-error (305): 'RESUME at 1001", self.far_program.said[-1])
        self.assertIsNone(self.first.r.closure)

    def test_an_offset_before_what_was_consumed(self) -> None:
        self.far.write(b"z" * WINDOW)
        self.first.settle()
        self.assertEqual(self.ask(self.first, Standing(0, 4 * WINDOW)), ["RESET"])
        self.assertIn("RESUME at 0", self.far_program.said[-1])

    def test_a_limit_that_is_taken_back(self) -> None:
        self.assertEqual(self.ask(self.first, Standing(1000, WINDOW - 1)), ["RESET"])
        self.assertIn("protocol-error (305)", self.far_program.said[-1])

    def test_an_attempt_that_was_made_already(self) -> None:
        second = self.peers.link()
        self.assertEqual(self.ask(second, Standing(1000, WINDOW), attempt=1), [])
        self.assertEqual(self.ask(second, Standing(1000, WINDOW), number=103, attempt=0), [])
        self.near.write(b"untouched")
        self.peers.settle()
        self.assertEqual(self.far_program.got, b"untouched")

    def test_an_attempt_that_no_side_can_follow(self) -> None:
        self.ask(self.first, Standing(1000, WINDOW), attempt=1 << 32)
        self.assertViolated(self.first.r, "attempt 4294967296")

    def test_replayed_octets_of_an_old_link(self) -> None:
        self.first.cut()
        second = self.peers.link(settle=False)
        second.move(second.i)
        second.move(second.r)
        octets = bytes(second.i.sent)
        second.settle()
        second.r.link.receive(octets)
        self.assertIs(second.r.closure and second.r.closure.cause, Cause.VIOLATED)
        self.peers.link()
        self.near.write(b"goes on")
        self.peers.settle()
        self.assertEqual(self.far_program.got, b"goes on")

    def test_a_finished_dialog_is_not_begun_anew(self) -> None:
        self.near.end()
        self.far.end()
        self.first.settle()
        self.assertEqual(self.ask(self.first, Standing(0, WINDOW)), ["DONE"])
        carriage(self.first.i).send(T.OPEN, 103, 0, encode_opening(Opening(self.far.dialog_id, "echo")))
        self.first.move(self.first.i)
        self.assertEqual(kinds(bytes(self.first.r.sent)), ["DONE", "REJECT"])
        self.assertEqual(len(self.peers.offers), 1)

    def test_data_before_the_answer(self) -> None:
        for kind, body in ((T.DATA, b"x"), (T.END, b""), (T.ACCEPT, b""), (T.CREDIT, bytes(8))):
            peers = Peers()
            pair = peers.link()
            pair.dialog()
            pair.cut()
            pair = peers.link(settle=False)
            pair.move(pair.i)
            pair.move(pair.r)
            pair.move(pair.i)
            pair.r.sent.clear()
            carriage(pair.r)._sealer.counter = 0
            carriage(pair.r).send(kind, 1, 0, body)
            pair.move(pair.r)
            self.assertViolated(pair.i, f"{kind.name} in answer to RESUME")

    def test_answers_that_cannot_be(self) -> None:
        for standing in (Standing(1, WINDOW), Standing(0, WINDOW - 1)):
            peers = Peers()
            pair = peers.link()
            _, program, *_ = pair.dialog()
            pair.cut()
            pair = peers.link(settle=False)
            pair.move(pair.i)
            pair.move(pair.r)
            pair.move(pair.i)
            pair.r.sent.clear()
            carriage(pair.r)._sealer.counter = 0
            carriage(pair.r).send(T.RESUMED, 1, 1, encode_resumed(standing))
            pair.move(pair.r)
            self.assertIn("protocol-error (305): 'RESUMED at", program.said[-1])
            self.assertIsNone(pair.i.closure)

    def test_an_answer_nobody_asked_for(self) -> None:
        carriage(self.first.r).send(T.RESUMED, self.near.number, 0, encode_resumed(Standing(0, WINDOW)))
        self.first.settle()
        self.assertViolated(self.first.i, "RESUMED where none can be")

    def test_a_dialog_that_was_never_accepted(self) -> None:
        self.first.r.answer = lambda _: None
        offered_to = self.first.i.link.open("web", new_id(), Program())
        self.first.settle()
        body = encode_resume(offered_to.dialog_id, Standing(0, WINDOW))
        carriage(self.first.i).send(T.RESUME, 101, 1, body)
        self.first.settle()
        self.assertViolated(self.first.r, "RESUME of a dialog that was not accepted")

    def test_an_end_of_another_length(self) -> None:
        self.near.write(b"12345")
        self.near.end()
        self.first.settle()
        second = self.peers.link()
        carriage(second.i).send_data(self.near.number, 5, b"more")
        second.settle()
        self.assertViolated(second.r, "DATA after END")
        self.assertEqual(self.far_program.said[:2], ["opened", "ended"])

    def test_an_open_of_the_other_sides_dialog(self) -> None:
        carriage(self.first.r).send(T.OPEN, 2, 1, encode_opening(Opening(self.near.dialog_id, "echo")))
        self.first.settle()
        self.assertViolated(self.first.i, "the other side has opened")


class AnyCutTests(LinkCase):
    """Whatever is written, and wherever it is cut, however often: everything arrives once, and END once."""

    @settings(max_examples=150, deadline=None)
    @given(
        st.integers(1, 3000),
        st.booleans(),
        st.lists(
            st.tuples(
                st.sampled_from(
                    ["write", "back", "i", "r", "i", "r", "cut", "half", "link", "pause", "resume", "end", "tick"]
                ),
                st.integers(0, 1),
                st.integers(1, 4000),
            ),
            max_size=60,
        ),
    )
    def test_nothing_lost_nothing_twice(self, window: int, late: bool, steps: list[tuple[str, int, int]]) -> None:
        peers = Peers(Hello(window, 4, 1024))
        pair = peers.link()
        programs: list[Program] = [Program(), Program()]
        near: list[Dialog] = [pair.i.link.open(str(which), new_id(), programs[which]) for which in range(2)]
        if not late:
            pair.settle()
        written, answered = [b"", b""], [b"", b""]
        for number, (what, which, size) in enumerate(steps):
            octets = bytes([number]) * size
            far = next((dialog for dialog, _ in peers.offers if dialog.service == str(which)), None)
            link = peers.pairs[-1 - which * (len(peers.pairs) > 1)]
            match what:
                case "write" if not near[which].end_queued:
                    near[which].write(octets)
                    written[which] += octets
                case "back" if far is not None and not far.end_queued:
                    far.write(octets)
                    answered[which] += octets
                case "pause" if far is not None:
                    far.pause()
                case "resume" if far is not None:
                    far.resume()
                case "end":
                    if size % 2:
                        near[which].end()
                    elif far is not None:
                        far.end()
                case "i":
                    link.move(link.i, size)
                case "r":
                    link.move(link.r, size)
                case "cut":
                    link.cut()
                case "half":
                    # one side hears of it at once, the other goes on into the void
                    side = link.i if size % 2 else link.r
                    side.sent.clear()
                    side.link.disconnected("Connection lost.")
                case "link":
                    peers.link(settle=bool(size % 2))
                case "tick":
                    peers.tick()
        for link in peers.pairs:
            link.cut()
        peers.link()
        peers.tick()
        peers.settle()
        for dialog in near:
            dialog.end()
        for dialog, _ in peers.offers:
            dialog.resume()
            dialog.end()
        peers.settle()
        peers.tick()
        peers.settle()
        self.assertEqual(len(peers.offers), 2)
        for dialog, program in peers.offers:
            which = int(dialog.service)
            self.assertEqual(program.got, written[which])
            self.assertEqual(programs[which].got, answered[which])
            for each in (program, programs[which]):
                self.assertEqual((each.said.count("ended"), each.said.count("sent end")), (1, 1))
                self.assertEqual(each.said[-1], "over: finished")
        self.assertEqual((peers.dialogs_i.detached, peers.dialogs_r.detached), (0, 0))
