"""What was changed in the file behind the store's back is found out, left out and told."""

from __future__ import annotations

from collections.abc import Sequence

from seckex.delivery.store import NoteClock, PutDead, PutDialog, PutKey, PutSegment
from seckex.errors import StoreFailed
from seckex.storage.messages.sqlite import SqliteMessages
from tests.delivery.contract import index
from tests.delivery.samples import NOW, dead, dialog, dialog_id, segment
from tests.storage.messages.case import MessagesCase

FIRST, SECOND = segment(1, 1, 3, spool="abc"), segment(1, 4, 2)
LETTER, ANOTHER = dead(1, 7, spool="x"), dead(1, 8)


class DamageTests(MessagesCase):
    def damaged(self, table: str, change: str) -> SqliteMessages:
        """Store two of everything, and change the first row of a table."""
        self.new_path()
        store = self.open()
        store.commit([(PutDialog(dialog(1)), PutSegment(FIRST), PutSegment(SECOND), PutDead(LETTER), PutDead(ANOTHER))])
        store.commit([(PutDialog(dialog(2)), PutKey("k", dialog_id(1), 1, NOW + 9), PutKey("l", dialog_id(1), 2, NOW))])
        # Tables with NOT NULL hold off our NULL; damage is not so polite.
        self.sql("PRAGMA writable_schema = ON", "UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '')")
        self.sql(f"UPDATE {table} SET {change} WHERE rowid = (SELECT min(rowid) FROM {table})")  # noqa: S608  # ours
        store.close()
        return self.open()

    def test_a_dialog_is_left_out_with_all_that_is_its(self) -> None:
        for change in (
            "octets = substr(octets, 1, length(octets) - 1) || x'00'",
            "octets = x''",
            "octets = 'text'",
            "octets = NULL",
            "octets = (SELECT octets FROM dialog WHERE rowid = 2)",
            "forget = forget + 1",
            "forget = 'later'",
        ):
            store = self.damaged("dialog", change)
            held = store.load(0, NOW)
            self.assertEqual((held.dialogs, held.segments, held.keys), ((dialog(2),), (), ()), change)
            self.assertEqual(len(held.damaged), 2, change)
            self.assertIn("the dialog 000000000000 is left out: ", held.damaged[0])
            self.assertIn("2 segments of the dialog 000000000000 are left out: the dialog is not", held.damaged[1])
            # And it is there yet, for whoever puts the row right.
            self.assertEqual(store.segment(dialog_id(1), True, 1), FIRST)

    def test_an_id_that_is_another(self) -> None:
        for change in ("id = x'00000000000000000000000000000900'", "id = x'00'", "id = 'text'", "id = NULL"):
            held = self.damaged("dialog", change).load(0, NOW)
            self.assertEqual((held.dialogs, held.segments), ((dialog(2),), ()), change)
            self.assertTrue(held.damaged, change)

    CHANGES: Sequence[str] = (
        "octets = substr(octets, 1, length(octets) - 1) || x'00'",
        "octets = (SELECT octets FROM segment WHERE first > -9223372036854775807)",
        "size = size + 1",
        "stored = stored + 1",
        "spool = 'other'",
        "first = first - 1",
        "seq = seq + 77",
        "seq = seq + (1 << 32)",
        "seq = -1",
    )
    ODD: Sequence[str] = (
        "octets = NULL",
        "octets = x'00'",
        "size = -1",
        "size = 'long'",
        "stored = NULL",
        "spool = NULL",
        "first = 'x'",
        "first = last + 1",
        "side = 2",
    )

    def test_a_segment_is_told_of_when_it_is_read(self) -> None:
        for change in (*self.CHANGES, *self.ODD):
            if change.startswith(("side", "first = '", "first = last")):
                continue
            store = self.damaged("segment", change)
            error = self.assertRaises(StoreFailed, store.segment, dialog_id(1), True, 1)
            self.assertIn(str(self.path), str(error))
            self.assertEqual(store.segment(dialog_id(1), True, 4), SECOND)

    def test_a_segment_that_cannot_be_one_is_left_out(self) -> None:
        for change in self.ODD:
            held = self.damaged("segment", change).load(0, NOW)
            self.assertEqual(held.segments, (index(SECOND),), change)
            self.assertEqual(len(held.damaged), 1, change)
            self.assertIn("a segment of the dialog 000000000000 is left out", held.damaged[0])

    def test_segments_that_have_the_same_messages(self) -> None:
        held = self.damaged("segment", "last = last + 1").load(0, NOW)
        self.assertEqual(len(held.segments), 1)
        self.assertEqual(
            held.damaged, ("a segment of the dialog 000000000000 is left out: another one has its messages",)
        )

    def test_segments_of_no_dialog(self) -> None:
        held = self.damaged("segment", "dialog = x'00000000000000000000000000000900'").load(0, NOW)
        self.assertEqual(held.segments, (index(SECOND),))
        self.assertIn("1 segments of the dialog 000000000000 are left out", held.damaged[0])

    def test_the_key_of_an_epoch(self) -> None:
        for change in ("wrapped = zeroblob(72)", "wrapped = x''", "wrapped = NULL", "wrapped = 'x'", "id = 9"):
            store = self.damaged("epoch", change)
            error = self.assertRaises(StoreFailed, store.segment, dialog_id(1), True, 1)
            self.assertIn("the key of the epoch 1 is gone or damaged", str(error))
            # All else goes on.
            store.commit([(PutSegment(segment(2, 1)),)])
            self.assertIsNotNone(store.segment(dialog_id(2), True, 1))

    def test_a_dead_message_is_listed_with_what_is_the_matter(self) -> None:
        for change in (
            "head = substr(head, 1, length(head) - 1) || x'00'",
            "head = NULL",
            "head = (SELECT head FROM dead WHERE rowid = 2)",
            "spool = 'y'",
            "spool = NULL",
        ):
            store = self.damaged("dead", change)
            first, second = store.dead(None, 9)
            self.assertEqual((first.dialog_id, first.ours, first.number), (dialog_id(1), False, 7), change)
            self.assertIn("cannot be read: ", first.why)
            self.assertEqual((second.number, second.peer), (8, ANOTHER.peer))
            self.assertRaises(StoreFailed, store.dead_message, dialog_id(1), False, 7)
            self.assertEqual(store.dead_message(dialog_id(1), False, 8), ANOTHER)
        store = self.damaged("dead", "octets = zeroblob(70)")
        self.assertEqual(store.dead(None, 1)[0].why, LETTER.why)
        self.assertRaises(StoreFailed, store.dead_message, dialog_id(1), False, 7)

    def test_a_programs_key_is_left_out(self) -> None:
        for change in ("octets = NULL", "octets = zeroblob(50)", "tag = x'00'", "tag = NULL", "until = until + 1"):
            held = self.damaged("sent", change).load(0, NOW)
            self.assertEqual(held.keys, (("l", dialog_id(1), 2, NOW),), change)
            self.assertEqual(len(held.damaged), 1, change)
            self.assertIn("a program's key of the dialog 000000000000 is left out", held.damaged[0])

    def test_times_that_are_damaged_are_taken_for_now(self) -> None:
        for damage in ("value = 'text'", "value = x'ff'", "value = 9e999"):
            self.new_path()
            store = self.open()
            store.commit([(NoteClock(NOW - 50),)])
            self.mark_copy()
            store.serve(NOW - 40)
            self.sql(f"UPDATE meta SET {damage} WHERE name IN ('clock', 'restored')")  # noqa: S608  # ours
            held = store.load(0, NOW)
            self.assertEqual((held.clock, held.restored), (NOW, NOW))

    def test_damaged_pages_are_told(self) -> None:
        store = self.open()
        store.commit([(PutDialog(dialog(n)), PutSegment(segment(n, 1))) for n in range(100)])
        store.close()
        roots = self.sql("SELECT rootpage FROM sqlite_master WHERE name IN ('dialog', 'segment')")
        pages = bytearray(self.path.read_bytes())
        for (root,) in roots:
            pages[(root - 1) * 4096 : (root - 1) * 4096 + 100] = b"\xee" * 100
        self.path.write_bytes(pages)
        store = self.open()
        for use in (
            lambda: store.load(0, NOW),
            lambda: store.commit([(PutSegment(segment(1, 2)),)]),
            lambda: store.segment(dialog_id(1), True, 1),
        ):
            error = self.assertRaises(StoreFailed, use)
            self.assertIn("the messages in it are then lost", str(error))
