"""What is stored is sealed; what was delivered cannot be read afterwards, not with the file and the master key."""

from __future__ import annotations

import os
from collections.abc import Callable

from attrs import evolve

from seckex.delivery.store import (
    DropDead,
    DropDialog,
    DropSegments,
    PutDead,
    PutDialog,
    PutKey,
    PutSegment,
    Segment,
)
from seckex.errors import StoreFailed
from seckex.storage.messages import sqlite
from seckex.storage.messages.sqlite import EPOCH_LIFE, SqliteMessages
from tests.delivery.samples import NOW, dead, dialog, dialog_id, segment
from tests.storage.messages.case import MessagesCase
from tests.storage.samples import entropy, master

DAY = EPOCH_LIFE


class SecrecyTests(MessagesCase):
    def setUp(self) -> None:
        super().setUp()
        self.drawn: list[bytes] = []

    def noted(self, count: int) -> bytes:
        """Draw octets, and remember them."""
        self.drawn.append(entropy(count))
        return self.drawn[-1]

    def start(self) -> SqliteMessages:
        store = SqliteMessages(self.path, master, self.noted)
        self.addCleanup(store.close)
        return store

    def content(self) -> bytes:
        """Return what stands in the database file and in the write-ahead log."""
        wal = self.path.with_name(self.path.name + "-wal")
        return self.path.read_bytes() + (wal.read_bytes() if wal.exists() else b"")

    def epochs(self) -> dict[int, bytes]:
        return dict(self.sql("SELECT id, wrapped FROM epoch"))

    def test_nothing_of_it_stands_in_the_file_in_clear(self) -> None:
        store = self.start()
        each = segment(1, 1, 9)
        letter = evolve(dead(1, 17), why="a reason of the program's")
        store.commit([(PutDialog(dialog(1, label="label")), PutSegment(each), PutDead(letter))])
        store.commit([(PutKey("order 4434 of the shop", dialog_id(1), 1, NOW + 9),)])
        content = self.content()
        self.assertIn(dialog_id(1), content)
        texts = (b"example.org", b"orders", b"shop", b"label", b"a reason of", b"order 4434")
        for octets in (*texts, each.octets[:16], each.octets[-16:], letter.octets[:16], letter.octets[-16:]):
            self.assertNotIn(octets, content)
        # Nor any key.
        for octets in self.drawn:
            if len(octets) == 32:
                self.assertNotIn(octets, content)

    def sealed(self) -> list[tuple[int, bytes]]:
        return self.sql("SELECT seq, octets FROM segment")

    def test_the_key_of_an_epoch_is_gone_when_nothing_is_left_of_it(self) -> None:
        store = self.start()
        store.tidy(NOW)
        each = segment(1, 1, 3)
        store.commit([(PutDialog(dialog(1)), PutSegment(each))])
        ((epoch, wrapped),) = self.epochs().items()
        ((_, sealed),) = self.sealed()
        # Nothing is taken away from what is needed.
        for now in (NOW, NOW + 2 * DAY):
            store.tidy(now)
            self.assertEqual(self.epochs(), {epoch: wrapped})
            self.assertEqual(store.segment(dialog_id(1), True, 1), each)
        store.commit([(DropSegments(dialog_id(1), True, 3),)])
        self.assertIn(wrapped, self.content())
        store.tidy(NOW + 2 * DAY + 60)
        self.assertEqual(self.epochs(), {})
        content = self.content()
        for octets in (wrapped, wrapped[24:], wrapped[24:40], each.octets[:16]):
            self.assertNotIn(octets, content)
        # What was sealed may stand there yet: nobody has the key.
        self.assertEqual(os.path.getsize(f"{self.path}-wal"), 0)
        store.close()
        store = self.start()
        self.sql(
            "INSERT INTO segment SELECT 1 << 32, x'00000000000000000000000000000100', 0, -9223372036854775807, "
            f"-9223372036854775805, 120, {each.stored!r}, '', x'{sealed.hex()}'"
        )
        error = self.assertRaises(StoreFailed, store.segment, dialog_id(1), True, 1)
        self.assertIn("the key of the epoch 1 is gone or damaged", str(error))

    def test_an_epoch_begins_with_each_start_each_day_and_each_master_key(self) -> None:
        store = self.start()

        def put(number: int) -> None:
            store.commit([(PutSegment(segment(1, number)),)])

        put(1)
        put(2)
        store.tidy(NOW)
        put(3)
        self.assertEqual(len(self.epochs()), 1)
        store.tidy(NOW + DAY - 1)
        put(4)
        self.assertEqual(len(self.epochs()), 1)
        store.tidy(NOW + DAY)
        put(5)
        self.assertEqual(len(self.epochs()), 2)
        store.use(master)
        put(6)
        self.assertEqual(len(self.epochs()), 3)
        store.close()
        store = self.start()
        put(7)
        self.assertEqual(len(self.epochs()), 4)
        # A clock that is set back must not make it last.
        store.tidy(NOW)
        store.tidy(NOW - 5)
        put(8)
        self.assertEqual(len(self.epochs()), 5)
        for number in range(1, 9):
            self.assertIsNotNone(store.segment(dialog_id(1), True, number))

    def test_only_what_is_left_keeps_its_epoch(self) -> None:
        store = self.start()
        for number, day in enumerate((0, 1, 2)):
            store.tidy(NOW + day * DAY)
            store.commit([(PutSegment(segment(number, 1)), PutSegment(segment(number, 2)))])
            store.tidy(NOW + day * DAY)
        self.assertEqual(list(self.epochs()), [1, 2, 3])
        store.commit([(DropSegments(dialog_id(1), True, 2), DropSegments(dialog_id(0), True, 1))])
        store.tidy(NOW + 2 * DAY)
        self.assertEqual(list(self.epochs()), [1, 3])
        self.assertIsNotNone(store.segment(dialog_id(0), True, 2))
        # The number of an epoch that is gone is never another's.
        store.commit([(DropSegments(dialog_id(n), True, 2),) for n in range(3)])
        store.tidy(NOW + 2 * DAY)
        store.commit([(PutSegment(segment(5, 1)),)])
        self.assertEqual(list(self.epochs()), [4])

    def test_what_is_dropped_before_it_was_stored_is_never_there(self) -> None:
        store = self.start()
        store.commit([(PutSegment(segment(1, 1)),), (DropSegments(dialog_id(1), True, 1),)])
        self.assertEqual((self.epochs(), self.sealed()), ({}, []))

    def test_dead_messages_keep_no_epoch_and_are_gone_when_they_are_dropped(self) -> None:
        store = self.start()
        letter = dead(1, 1)
        store.commit([(PutDead(letter), PutSegment(segment(1, 2)))])
        ((head, octets),) = self.sql("SELECT head, octets FROM dead")
        store.commit([(DropSegments(dialog_id(1), True, 2),)])
        store.tidy(NOW)
        self.assertEqual(self.epochs(), {})
        self.assertEqual(store.dead_message(dialog_id(1), False, 1), letter)
        store.commit([(DropDead(dialog_id(1), False, 1),)])
        store.tidy(NOW)
        for each in (head, octets):
            self.assertNotIn(each[24:48], self.content())

    def test_a_dialog_that_is_forgotten_is_overwritten(self) -> None:
        store = self.start()
        store.commit([(PutDialog(dialog(1)),)])
        ((octets,),) = self.sql("SELECT octets FROM dialog")
        store.commit([(DropDialog(dialog_id(1)),)])
        store.tidy(NOW)
        self.assertNotIn(octets[24:60], self.content())

    def test_what_somebody_reads_meanwhile_is_emptied_the_next_time(self) -> None:
        store = self.start()
        store.commit([(PutSegment(segment(1, 1)),)])
        ((_, wrapped),) = self.epochs().items()
        with self.reader() as read:
            read("BEGIN")
            read("SELECT * FROM epoch")
            store.commit([(DropSegments(dialog_id(1), True, 1),)])
            self.patch(sqlite, "EPOCH_LIFE", DAY)
            store.tidy(NOW)
        self.assertIn(wrapped, self.content())
        store.tidy(NOW + 60)
        self.assertNotIn(wrapped, self.content())

    def test_no_nonce_is_used_twice(self) -> None:
        stores = [self.start(), self.start()]
        for number in range(1, 20):
            store = stores[number % 2]
            store.commit([(PutDialog(dialog(number)), PutSegment(segment(1, number)), PutSegment(segment(2, number)))])
        # A commit that failed has used what it has drawn.
        failing: Callable[[], object] = lambda: stores[0].commit(  # noqa: E731  # a word for it
            [(PutSegment(segment(1, 50)), PutSegment(Segment(dialog_id(1), True, 51, 1, 1 << 63, b"")))]
        )
        self.assertRaises(OverflowError, failing)
        stores[0].commit([(PutSegment(segment(1, 50)),)])
        names = [seq for seq, _ in self.sealed()]
        self.assertEqual(len(names), 39)
        self.assertEqual(len(set(names)), 39)
        nonces = [row[0][:24] for row in self.sql("SELECT octets FROM dialog UNION ALL SELECT wrapped FROM epoch")]
        self.assertEqual(len(set(nonces)), 21)

    def test_an_epoch_has_an_end(self) -> None:
        self.patch(sqlite, "MOST_IN_EPOCH", 5)
        store = self.start()
        for first in (1, 4, 7):
            store.commit([tuple(PutSegment(segment(1, first + n)) for n in range(3))])
        self.assertEqual(len(self.epochs()), 3)
        for number in range(1, 10):
            self.assertIsNotNone(store.segment(dialog_id(1), True, number))

    def test_keys_of_many_epochs_are_read(self) -> None:
        self.patch(sqlite, "MOST_EPOCHS", 2)
        store = self.start()
        for number in range(1, 6):
            store.commit([(PutSegment(segment(1, number)),)])
            store.use(master)
        for number in (1, 2, 3, 4, 5, 3, 1):
            self.assertIsNotNone(store.segment(dialog_id(1), True, number))
        store.commit([(PutSegment(segment(1, 6)),)])


class SharedTests(MessagesCase):
    """Two processes, each with an epoch of its own."""

    def test_an_epoch_that_another_process_finds_empty_is_not_sealed_under(self) -> None:
        ours, theirs = self.open(), self.open()
        first, second = segment(1, 1), segment(1, 2)
        ours.commit([(PutSegment(first),)])
        ours.commit([(DropSegments(dialog_id(1), True, 1),)])
        theirs.commit([(PutSegment(segment(2, 1)), DropSegments(dialog_id(3), True, 1))])
        theirs.tidy(NOW)
        self.assertEqual([row[0] for row in self.sql("SELECT id FROM epoch")], [2])
        ours.commit([(PutSegment(second),)])
        self.assertEqual([row[0] for row in self.sql("SELECT id FROM epoch")], [2, 3])
        for store in (ours, theirs, self.open()):
            self.assertEqual(store.segment(dialog_id(1), True, 2), second)

    def test_they_write_in_turn(self) -> None:
        stores = [self.open(), self.open()]
        for number in range(1, 30):
            stores[number % 2].commit([(PutDialog(dialog(number % 2)), PutSegment(segment(number % 2, number)))])
        for store in stores:
            held = store.load(0, NOW)
            self.assertEqual((len(held.dialogs), len(held.segments), held.damaged), (2, 29, ()))
