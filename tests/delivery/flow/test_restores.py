"""Stores that were restored from a backup, at either end: nothing is given twice, and what is lost is reported."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from seckex.delivery.flow.accepted import RESTORED_SHIFT
from seckex.delivery.flow.memory import Room
from seckex.delivery.flow.pieces import Gap
from seckex.delivery.flow.sending import Sending
from seckex.delivery.store import StoredDialog
from seckex.wire.bodies import Restored, Skip, Where, encode_frames
from seckex.wire.numbers import MessageKind
from tests.delivery.flow.parts import DIALOG_ID, ROOM, WALL, Dialog, End, Said, kinds


def restore(end: End, backup: object) -> float:
    """Have an end go on with a backup of its store; return when that was."""
    end.store = backup  # type: ignore[assignment]  # a copy of its own
    at = end.now.wall
    end.store.serve(at)
    end.crash(at)
    return at


class SenderTests(SynchronousTestCase):
    def test_numbers_go_on_from_the_time_of_the_restore(self) -> None:
        dialog = Dialog()
        dialog.a.send(b"one", b"two")
        dialog.settle()
        backup = dialog.a.store.copy()
        dialog.a.send(b"three", b"four")
        dialog.settle()
        base = int(restore(dialog.a, backup)) << RESTORED_SHIFT
        self.assertEqual(dialog.a.send(b"anew"), base)
        dialog.connect()
        said = dialog.settle()
        self.assertIn(Skip(2, base - 1), said[0].frames)
        self.assertEqual(dialog.b.effects, [b"one", b"two", b"three", b"four", b"anew"])
        self.assertEqual((dialog.b.receiving.done, dialog.a.stages["processed"]), (base, base))
        self.assertEqual((dialog.a.gaps, dialog.b.gaps), ([], []))
        dialog.a.crash()
        self.assertEqual(dialog.a.send(b"and on"), base + 1)
        dialog.connect()
        dialog.settle()
        self.assertEqual(dialog.b.effects[-1], b"and on")

    def test_dialogs_that_began_later_count_from_1(self) -> None:
        row = StoredDialog(dialog_id=DIALOG_ID, initiator=True, peer="peer@example.net", service="orders", created=WALL)
        self.assertEqual(Sending(row, (), Room(ROOM), WALL - 5).next_number, 1)
        self.assertEqual(Sending(row, (), Room(ROOM), WALL + 5).next_number, int(WALL + 5) << RESTORED_SHIFT)

    def test_what_the_backup_has_and_the_peer_too_goes_again_and_is_dropped(self) -> None:
        dialog = Dialog()
        dialog.a.send(b"one")
        backup = dialog.a.store.copy()
        dialog.a.send(b"two")
        dialog.settle()
        restore(dialog.a, backup)
        dialog.a.send(b"anew")
        dialog.connect()
        dialog.settle()
        self.assertEqual((dialog.b.effects, dialog.a.sending.waiting), ([b"one", b"two", b"anew"], 0))

    def test_what_arrived_beyond_a_gap_is_given(self) -> None:
        dialog = Dialog()
        dialog.a.send(b"one")
        dialog.settle()
        backup = dialog.a.store.copy()
        dialog.a.send(bytes(49_152))
        dialog.a.send(b"three")
        dialog.b.hears(dialog.a.says()[-1])
        restore(dialog.a, backup)
        dialog.a.send(b"anew")
        dialog.connect()
        dialog.settle()
        self.assertEqual(dialog.b.effects, [b"one", b"three", b"anew"])


class ReceiverTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.dialog = Dialog()
        self.a, self.b = self.dialog.a, self.dialog.b
        self.a.send(b"one", b"two")
        self.dialog.settle()
        self.backup = self.b.store.copy()
        self.a.send(b"three", b"four")
        self.dialog.settle()

    def says_restored(self) -> Said:
        """Return what ``b`` says first, with RESTORED."""
        body = encode_frames([Restored(int(self.b.now.wall)), *self.b.receiving.frames(self.b.now)])
        return Said(MessageKind.STATE, 0, 0, 0, 0, self.b.receiving.acknowledge(), body)

    def test_what_was_acknowledged_is_skipped_and_reported(self) -> None:
        restore(self.b, self.backup)
        self.dialog.connect()
        self.a.hears(self.says_restored())
        self.a.send(b"five")
        said = self.dialog.settle()
        self.assertIn(Skip(2, 4), [frame for each in said if not each.count for frame in each.frames])
        self.assertEqual(self.a.gaps, [Gap(True, 3, 4)])
        self.assertEqual(self.b.effects, [b"one", b"two", b"three", b"four", b"five"])
        self.assertEqual((self.b.receiving.done, self.a.sending.waiting), (5, 0))
        self.assertEqual(self.a.sending.shown()["skips"], [])

    def test_without_being_told(self) -> None:
        restore(self.b, self.backup)
        self.dialog.connect()
        self.a.send(b"five")
        said = self.dialog.settle()
        self.assertIn(Where(4), [frame for each in said if not each.count for frame in each.frames])
        self.assertEqual((self.b.gaps, self.a.gaps, self.b.receiving.delivered), ([Gap(False, 3, 4)], [], 2))
        self.dialog.wait(31)
        self.assertEqual((self.a.gaps, self.b.gaps), ([Gap(True, 3, 4)], [Gap(False, 3, 4)]))
        self.assertEqual((self.b.effects[-1], self.b.receiving.done), (b"five", 5))

    def test_an_old_acknowledgement_is_not_believed(self) -> None:
        old = Said(MessageKind.STATE, 0, 0, 0, 0, 2, encode_frames([]))
        self.a.hears(old)
        self.dialog.settle()
        for _ in range(30):
            self.dialog.wait(1)
            self.a.hears(old)
            self.a.hears(Said(MessageKind.STATE, 0, 0, 0, 0, 4, encode_frames([])))
        self.assertEqual((self.a.gaps, self.a.sending.shown()["acknowledged"]), ([], 4))

    def test_what_it_had_beyond_a_gap_goes_again(self) -> None:
        for _ in range(3):
            self.a.send(bytes(40_000))
        said = self.a.says()
        self.b.hears(said[1])
        self.b.turn()
        for each in self.b.says():
            self.a.hears(each)
        restore(self.b, self.backup)
        self.dialog.connect()
        self.a.hears(self.says_restored())
        self.assertEqual(
            kinds([each for each in self.dialog.settle() if each.count]), [f"MESSAGES {n}+1" for n in (5, 6, 7)]
        )
        self.assertEqual(self.b.receiving.done, 7)
