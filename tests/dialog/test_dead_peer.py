"""A peer from which nothing comes: asked after a while, dead after another; and who is not dead."""

from __future__ import annotations

from seckex.dialog.faces import Cause, DeadPeer
from tests.dialog.parts import LinkCase, Pair, Peers, Side, kinds

WATCH = DeadPeer(idle=3, timeout=2)


class DeadPeerTests(LinkCase):
    def setUp(self) -> None:
        self.pair = Pair().opened()

    def tick(self, side: Side, seconds: int = 1) -> None:
        for _ in range(seconds):
            side.link.tick(WATCH)

    def test_asked_when_silent_and_alive_when_it_answers(self) -> None:
        self.tick(self.pair.i, 3)
        self.assertEqual(bytes(self.pair.i.sent), b"")
        self.tick(self.pair.i)
        self.assertEqual(kinds(bytes(self.pair.i.sent)), ["PING"])
        self.pair.settle()
        self.tick(self.pair.i, 3)
        self.assertEqual(bytes(self.pair.i.sent), b"")
        self.assertIsNone(self.pair.i.closure)

    def test_dead_when_nothing_comes_though_it_was_asked(self) -> None:
        self.tick(self.pair.i, 5)
        self.assertIsNone(self.pair.i.closure)
        self.tick(self.pair.i)
        self.assertEqual(str(self.pair.i.closure), "dead: nothing has come for 5 s")
        self.tick(self.pair.i)
        self.assertEqual(self.pair.i.said.count("closed: dead: nothing has come for 5 s"), 1)

    def test_dead_while_the_kernel_holds_what_was_sent(self) -> None:
        """That the transport takes octets, or takes no more, says nothing of the peer."""
        dialog, *_ = self.pair.dialog()
        self.tick(self.pair.i)
        for _ in range(6):
            dialog.write(b"x" * 100)
            self.tick(self.pair.i)
        self.assertIs(self.pair.i.closure and self.pair.i.closure.cause, Cause.DEAD)

    def test_one_that_sends_a_large_record_slowly_is_alive(self) -> None:
        _, _, far, _ = self.pair.dialog()
        far.write(b"x" * 1000)
        for _ in range(20):
            self.pair.move(self.pair.r, 10)
            self.tick(self.pair.i)
        self.assertIsNone(self.pair.i.closure)

    def test_one_that_takes_slowly_what_waits_for_it_is_alive(self) -> None:
        """The question waits behind what was sent before, and so little has been taken that no credit is due."""
        dialog, *_ = self.pair.dialog()
        for _ in range(20):
            dialog.write(b"x" * 1000)
        for _ in range(20):
            self.pair.move(self.pair.i, 500)
            self.pair.move(self.pair.r)
            self.tick(self.pair.i)
            self.tick(self.pair.r)
        self.assertIsNone(self.pair.i.closure)

    def test_whoever_has_nothing_to_say_does_not_go_on_asking(self) -> None:
        """What came is answered once; a link without traffic is not asked more often for it."""
        quiet, used = Pair().opened(), self.pair
        dialog, *_ = used.dialog()
        dialog.write(b"x")
        pings = {quiet: 0, used: 0}
        for pair in 100 * [quiet, used]:
            for side in (pair.i, pair.r):
                pings[pair] += kinds(bytes(side.sent)).count("PING")
            pair.settle()
            self.tick(pair.i)
            self.tick(pair.r)
        self.assertLessEqual(pings[used], pings[quiet] + 1)

    def test_a_link_that_is_not_open_is_not_asked(self) -> None:
        pair = Pair()
        self.tick(pair.i, 20)
        self.tick(pair.r, 20)
        self.assertEqual((pair.i.closure, pair.r.closure), (None, None))

    def test_its_dialogs_go_on_over_the_next_link(self) -> None:
        peers = Peers()
        first = peers.link()
        _, program, far, _ = first.dialog()
        far.write(b"swallowed")
        first.r.sent.clear()
        self.tick(first.i, 6)
        self.assertIs(first.i.closure and first.i.closure.cause, Cause.DEAD)
        peers.link()
        self.assertEqual(program.got, b"swallowed")
