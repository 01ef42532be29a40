"""How a dialog ends: cleanly, with an error, and what is said of it later."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from seckex.delivery.faces import Outgoing, Verdict
from seckex.errors import ApiMisuse, PeerMisbehaved
from seckex.wire.bodies import End, Ended, Skip
from tests.delivery.flow.parts import Dialog


class EndTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.dialog = Dialog()
        self.a, self.b = self.dialog.a, self.dialog.b
        self.dialog.settle()

    def over(self) -> list[bool]:
        """Return which sides are over: sending and receiving of both ends."""
        return [each.is_over for end in (self.a, self.b) for each in (end.sending, end.receiving)]

    def test_cleanly(self) -> None:
        self.a.send(b"one", b"two")
        self.a.sending.end()
        self.dialog.settle()
        self.assertEqual((self.b.effects, self.over()), ([b"one", b"two"], [True, False, False, True]))
        self.b.send(b"answer")
        self.b.sending.end()
        self.dialog.settle()
        self.assertEqual((self.a.effects, self.over()), ([b"answer"], [True] * 4))
        row = self.a.store.load(0, 0.0).dialogs[0]
        self.assertEqual((row.last, row.peer_last, row.code), (2, 1, 0))

    def test_without_any_message(self) -> None:
        self.a.sending.end()
        self.b.sending.end()
        self.dialog.settle()
        self.assertEqual(self.over(), [True] * 4)

    def test_nothing_more_is_accepted(self) -> None:
        self.a.sending.end()
        with self.assertRaises(ApiMisuse):
            self.a.sending.accept([Outgoing(b"late")], self.a.now)

    def test_end_is_said_when_it_is_durable(self) -> None:
        self.a.automatic = False
        self.a.sending.end()
        self.assertEqual(self.a.says(), [])
        self.a.begin_commit()
        self.a.end_commit()
        self.assertEqual([each.frames for each in self.a.says()], [(End(0),)])

    def test_ended_is_said_when_all_is_processed(self) -> None:
        self.b.answer = lambda _: None
        self.a.send(b"one")
        self.a.sending.end()
        self.dialog.settle()
        self.assertEqual(self.over(), [False] * 4)
        self.b.judge(self.b.given[0], Verdict.DONE)
        self.dialog.settle()
        self.assertEqual(self.over(), [True, False, False, True])

    def test_end_goes_again_until_it_is_answered(self) -> None:
        self.a.sending.end()
        self.a.turn()
        self.a.says()
        self.dialog.connect()
        self.a.says()
        self.dialog.wait(15)
        self.assertEqual(self.over(), [True, False, False, True])

    def test_restarts_change_nothing(self) -> None:
        self.a.send(b"one")
        self.a.sending.end()
        self.a.turn()
        self.a.crash()
        with self.assertRaises(ApiMisuse):
            self.a.sending.accept([Outgoing(b"late")], self.a.now)
        self.dialog.connect()
        for each in self.a.says():
            self.b.hears(each)
        self.b.turn()
        self.b.crash()
        self.dialog.connect()
        self.dialog.settle()
        self.assertEqual((self.b.effects, self.over()), ([b"one"], [True, False, False, True]))

    def test_who_did_not_hear_it_is_told_again(self) -> None:
        self.a.sending.end()
        self.dialog.settle()
        self.a.crash()
        self.assertFalse(self.a.sending.is_over)
        self.dialog.connect()
        self.dialog.settle()
        self.assertTrue(self.a.sending.is_over)

    def test_with_an_error(self) -> None:
        self.b.answer = lambda message: Verdict.DONE if message.number == 1 else None
        self.a.send(b"one", b"two")
        self.dialog.settle()
        self.dialog.disconnect()
        self.a.send(b"three")
        self.a.send(self.a.spool.put("a file", bytes(100_000)))
        self.a.automatic = False
        self.a.send(b"five")
        self.a.automatic = True
        self.a.sending.end(304, "given up")
        self.a.turn()
        self.assertEqual([each.number for each in self.a.failed], [3, 4, 5])
        self.assertEqual({each.code for each in self.a.failed}, {304})
        self.assertEqual((self.a.store.load(0, 0.0).segments, self.a.spool.files), ((), {}))
        self.dialog.connect()
        self.dialog.settle()
        self.assertEqual((self.b.receiving.code, self.b.receiving.why), (304, "given up"))
        self.assertFalse(self.b.receiving.is_over)
        self.b.judge(self.b.given[-1], Verdict.DONE)
        self.dialog.settle()
        self.assertEqual(self.over(), [True, False, False, True])
        self.assertEqual(self.b.effects, [b"one", b"two"])
        row = self.b.store.load(0, 0.0).dialogs[0]
        self.assertEqual((row.code, row.why, row.peer_last), (304, "given up", 5))

    def test_what_breaks_the_rules(self) -> None:
        self.a.send(b"one", b"two")
        self.a.sending.end()
        self.dialog.settle()
        receiving, now = self.b.receiving, self.b.now
        for frame in (End(1), End(3), Skip(2, 3)):
            with self.assertRaises(PeerMisbehaved):
                receiving.hear(frame, now)
        with self.assertRaises(PeerMisbehaved):
            receiving.take_messages(3, 1, bytes(32), now)
        with self.assertRaises(PeerMisbehaved):
            receiving.take_fragment(3, 0, 2, bytes(32), now)
        with self.assertRaises(PeerMisbehaved):
            self.a.sending.hear(Ended(1), now)

    def test_an_end_before_what_has_come(self) -> None:
        self.a.send(b"one", b"two")
        self.dialog.settle()
        with self.assertRaises(PeerMisbehaved):
            self.b.receiving.hear(End(1), self.b.now)
