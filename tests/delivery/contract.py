"""What every store of messages does, as tests to be mixed into the tests of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from seckex.delivery.store import (
    DeadMessage,
    DropDead,
    DropDialog,
    DropKept,
    DropSegments,
    DropTold,
    KeptEnvelope,
    MessageSnapshot,
    MessageStore,
    NoteClock,
    PutDead,
    PutDialog,
    PutKept,
    PutKey,
    PutSegment,
    PutTold,
    Segment,
    SegmentIndex,
)
from tests.delivery.samples import NOW, dead, dialog, dialog_id, segment

if TYPE_CHECKING:
    from twisted.trial.unittest import SynchronousTestCase as Base
else:
    # Trial runs every test case there is; the contract is none by itself.
    Base = object

LARGEST = (1 << 64) - 1


def index(of: Segment) -> SegmentIndex:
    """Return what is loaded of a segment."""
    return SegmentIndex(of.dialog_id, of.ours, of.first, of.count, of.size, len(of.octets), of.spool, of.stored)


class MessagesContract(Base):
    """A test case that this is mixed into says how a store is made and what a restart is."""

    def new_store(self) -> MessageStore:
        """Return an empty store."""
        raise NotImplementedError

    def restarted(self, store: MessageStore) -> MessageStore:
        """Return what a daemon finds that starts after one with ``store`` was stopped."""
        raise NotImplementedError

    def restored(self, store: MessageStore) -> MessageStore:
        """Return what is made of a backup of ``store``."""
        raise NotImplementedError

    def setUp(self) -> None:
        self.store = self.new_store()

    def held(self, worker: int = 0, now: float = NOW) -> MessageSnapshot:
        """Restart, and return all that is stored for a worker."""
        self.store = self.restarted(self.store)
        snapshot = self.store.load(worker, now)
        self.assertEqual(snapshot.damaged, ())
        return snapshot

    # -- dialogs

    def test_a_new_store_is_empty(self) -> None:
        self.assertEqual(self.held(), MessageSnapshot())

    def test_every_field_of_a_dialog_comes_back_as_it_was(self) -> None:
        plain = dialog(1)
        full = dialog(
            2,
            initiator=False,
            peer="x" * 240 + "@example.org",
            service="s" * 64,
            own="",
            priority=7,
            label="läbel",
            created=NOW + 0.123456789,
            next_number=LARGEST,
            acknowledged=LARGEST - 1,
            processed=5,
            delivered=1 << 63,
            done=(1 << 63) - 1,
            skips=((1, 5), (7, LARGEST)),
            last=0,
            peer_last=LARGEST,
            code=134,
            why="größer als erlaubt",
            forget=NOW + 600.5,
            anonymous=True,
            restored=NOW - 1,
        )
        self.assertEqual(self.store.commit([(PutDialog(plain), PutDialog(full))]), [None])
        self.assertEqual(self.held().dialogs, (plain, full))

    def test_the_last_state_of_a_dialog_stands(self) -> None:
        self.store.commit([(PutDialog(dialog(1)),), (PutDialog(dialog(1, next_number=5, why="longer")),)])
        self.assertEqual(self.held().dialogs, (dialog(1, next_number=5, why="longer"),))
        self.store.commit([(PutDialog(dialog(1, next_number=9)),)])
        self.assertEqual(self.held().dialogs, (dialog(1, next_number=9),))

    def test_dialogs_go_to_the_worker_in_their_id_with_all_that_is_theirs(self) -> None:
        for worker in (0, 5):
            self.store.commit([(PutDialog(dialog(1, worker)), PutSegment(segment(1, 1, worker=worker)))])
            key = PutKey("k", dialog_id(1, worker), 1, NOW + 5)
            self.store.commit([(PutDead(dead(1, 7, worker=worker)), key)])
        for worker in (0, 5):
            held = self.held(worker)
            self.assertEqual(held.dialogs, (dialog(1, worker),))
            self.assertEqual([each.dialog_id for each in held.segments], [dialog_id(1, worker)])
            self.assertEqual(held.keys, (("k", dialog_id(1, worker), 1, NOW + 5),))
            self.assertEqual(held.dead, 1)
        self.assertEqual(self.held(63), MessageSnapshot())

    def test_a_dialog_that_is_dropped_takes_its_segments_along(self) -> None:
        self.store.commit([(PutDialog(dialog(n)), PutSegment(segment(n, 1))) for n in (1, 2)])
        self.store.commit([(PutKey("k", dialog_id(1), 1, NOW + 5), PutDead(dead(1, 3)))])
        self.store.commit([(DropDialog(dialog_id(1)),)])
        held = self.held()
        self.assertEqual(held.dialogs, (dialog(2),))
        self.assertEqual([each.dialog_id for each in held.segments], [dialog_id(2)])
        self.assertEqual((held.keys, held.dead), ((), 1))
        self.assertIsNone(self.store.segment(dialog_id(1), True, 1))

    # -- what a relay keeps

    def test_what_is_kept_for_others_stays_until_it_is_dropped(self) -> None:
        made = [
            KeptEnvelope(number, "b@example.org", "a@example.org", NOW + number, b"%d" % number) for number in (2, 1)
        ]
        self.store.commit([tuple(PutKept(each) for each in made), (PutTold("b@example.org", (b"one", b"other")),)])
        held = self.held()
        self.assertEqual(
            [(each.number, each.until, each.size) for each in held.kept], [(1, NOW + 1, 1), (2, NOW + 2, 1)]
        )
        self.assertEqual(held.told, (PutTold("b@example.org", (b"one", b"other")),))
        self.assertEqual((self.store.kept(2), self.store.kept(3)), (b"2", None))
        self.assertEqual(self.held(5), MessageSnapshot())
        self.store.commit([(DropKept((1, 2)), DropTold("b@example.org"))])
        self.assertEqual(self.held(), MessageSnapshot())

    # -- segments

    def test_segments_come_back_in_their_order_and_are_found_by_every_number(self) -> None:
        made = [
            segment(1, 1, 3),
            segment(1, 4),
            segment(1, 9, 2),
            segment(1, LARGEST - 9, 10),
            segment(1, 1, ours=False),
            segment(1, 2, 60, ours=False, spool="abc"),
            segment(2, 1),
        ]
        self.store.commit([(PutDialog(dialog(2)), PutDialog(dialog(1)))])
        self.store.commit([(PutSegment(made[2]),), (PutSegment(made[0]), PutSegment(made[6]))])
        self.store.commit([(PutSegment(made[3]), PutSegment(made[5]), PutSegment(made[1]), PutSegment(made[4]))])
        self.assertEqual(self.held().segments, tuple(map(index, made)))
        for each in made:
            for number in (each.first, each.first + each.count - 1):
                self.assertEqual(self.store.segment(each.dialog_id, each.ours, number), each)
        for missing in (5, 8, 11, LARGEST - 10):
            self.assertIsNone(self.store.segment(dialog_id(1), True, missing))
        self.assertIsNone(self.store.segment(dialog_id(3), True, 1))

    def test_segments_are_dropped_when_all_their_messages_are(self) -> None:
        kept = [segment(1, 7, 3), segment(1, 1, ours=False), segment(2, 1)]
        self.store.commit([(PutDialog(dialog(n)),) for n in (1, 2)])
        self.store.commit([(PutSegment(segment(1, 1, 3)), PutSegment(segment(1, 4, 3)), *map(PutSegment, kept))])
        self.store.commit([(DropSegments(dialog_id(1), True, 8),)])
        self.assertEqual(self.held().segments, tuple(map(index, kept)))
        self.assertIsNone(self.store.segment(dialog_id(1), True, 6))
        self.assertEqual(self.store.segment(dialog_id(1), True, 8), kept[0])
        self.store.commit([(DropSegments(dialog_id(1), True, 9), DropSegments(dialog_id(3), True, 9))])
        self.assertEqual(self.held().segments, tuple(map(index, kept[1:])))

    def test_operations_of_one_batch_happen_in_their_order(self) -> None:
        first, second, again = segment(1, 1), segment(1, 2), segment(1, 1)
        self.store.commit(
            [
                (PutDialog(dialog(1)), PutSegment(first)),
                (PutSegment(second), DropSegments(dialog_id(1), True, 1)),
            ]
        )
        self.assertEqual(self.held().segments, (index(second),))
        self.store.commit(
            [(DropDialog(dialog_id(1)), PutDialog(dialog(1, why="anew"))), (PutSegment(again), PutKey("k", *KEY))]
        )
        held = self.held()
        self.assertEqual((held.dialogs, held.segments), ((dialog(1, why="anew"),), (index(again),)))
        self.assertEqual(self.store.segment(dialog_id(1), True, 1), again)
        self.store.commit([(PutSegment(second), PutKey("l", *KEY), PutDialog(dialog(2)), DropDialog(dialog_id(1)))])
        self.assertEqual(self.held(), MessageSnapshot(dialogs=(dialog(2),)))

    def test_a_commit_of_nothing(self) -> None:
        self.assertEqual(self.store.commit([]), [])
        self.assertEqual(self.store.commit([(), ()]), [None, None])

    # -- dead messages

    def test_dead_messages_are_listed_in_portions_and_read_one_by_one(self) -> None:
        made = [
            dead(1, 5, ours=True),
            dead(1, LARGEST, ours=True, spool="abc"),
            dead(1, 2),
            dead(1, 5),
            dead(2, 1),
        ]
        self.store.commit([(PutDead(each),) for each in reversed(made)])
        self.assertEqual(self.held().dead, 5)
        listed: list[DeadMessage] = []
        beyond: tuple[bytes, bool, int] | None = None
        while portion := self.store.dead(beyond, 2):
            self.assertLessEqual(len(portion), 2)
            listed += portion
            beyond = portion[-1].dialog_id, portion[-1].ours, portion[-1].number
        self.assertEqual(listed, [evolve(each, octets=b"") for each in made])
        for each in made:
            self.assertEqual(self.store.dead_message(each.dialog_id, each.ours, each.number), each)
        self.assertIsNone(self.store.dead_message(dialog_id(1), False, LARGEST))

    def test_dead_messages_are_dropped_and_put_again(self) -> None:
        first, second = dead(1, 1), dead(1, 2)
        self.store.commit([(PutDead(first), PutDead(second))])
        changed = evolve(second, attempts=9, octets=b"")
        self.store.commit([(DropDead(dialog_id(1), False, 1), PutDead(changed), DropDead(dialog_id(1), True, 2))])
        self.assertEqual((self.held().dead, list(self.store.dead(None, 9))), (1, [changed]))
        self.store.commit([(PutDead(first), DropDead(dialog_id(1), False, 1)), (DropDead(dialog_id(1), False, 2),)])
        self.assertEqual((self.held().dead, list(self.store.dead(None, 9))), (0, []))

    # -- keys, the clock and what is forgotten by it

    def test_keys_are_remembered_until_their_time(self) -> None:
        self.store.commit([(PutDialog(dialog(1)), PutDialog(dialog(2)))])
        self.store.commit([(PutKey("kéy", dialog_id(1), 1, NOW + 5), PutKey("", dialog_id(1), LARGEST, NOW + 9))])
        self.store.commit([(PutKey("kéy", dialog_id(2), 1, NOW + 9), PutKey("kéy", dialog_id(1), 2, NOW + 6))])
        keys = {
            ("kéy", dialog_id(1), 2, NOW + 6),
            ("", dialog_id(1), LARGEST, NOW + 9),
            ("kéy", dialog_id(2), 1, NOW + 9),
        }
        self.assertEqual(set(self.held().keys), keys)
        self.store.commit([(NoteClock(NOW + 6),)])
        self.assertEqual(set(self.held().keys), {each for each in keys if each[3] > NOW + 6})

    def test_the_clock_never_falls(self) -> None:
        for now, highest in ((NOW, NOW), (NOW - 10, NOW), (NOW + 0.5, NOW + 0.5), (0.0, NOW + 0.5)):
            self.store.commit([(NoteClock(now),)])
            self.assertEqual(self.held().clock, highest)
        self.store.commit([(NoteClock(NOW + 9),), (NoteClock(NOW + 8),)])
        self.assertEqual(self.held().clock, NOW + 9)

    def test_ended_dialogs_are_forgotten_by_the_clock(self) -> None:
        lives, later, now = dialog(1), dialog(2, forget=NOW + 1), dialog(3, forget=NOW)
        self.store.commit([(PutDialog(each),) for each in (lives, later, now)] + [(PutSegment(segment(3, 1)),)])
        self.assertEqual(len(self.held(now=NOW + 1000).dialogs), 3)
        self.store.commit([(NoteClock(NOW),)])
        held = self.held()
        self.assertEqual((held.dialogs, held.segments), ((lives, later), ()))
        # It counts what is the highest, and what a dialog has last.
        self.store.commit([(PutDialog(evolve(later, forget=NOW + 2)), PutDialog(now), NoteClock(NOW - 100))])
        self.assertEqual(self.held().dialogs, (lives, evolve(later, forget=NOW + 2)))

    # -- the spool, and copies

    def test_the_files_that_are_needed(self) -> None:
        self.store.commit(
            [
                (PutSegment(segment(1, 1)), PutSegment(segment(1, 2, spool="a")), PutDead(dead(1, 9, spool="b"))),
                (PutSegment(segment(1, 3, spool="c")), PutSegment(segment(1, 2, spool="d", worker=2))),
                (PutDialog(dialog(1)), DropSegments(dialog_id(1), True, 3), PutSegment(segment(1, 4, spool="e"))),
            ]
        )
        self.assertEqual((self.store.spools(0), self.store.spools(2)), ({"b", "e"}, {"d"}))

    def test_when_a_copy_was_first_served_is_noted_for_good(self) -> None:
        self.store.serve(NOW)
        self.store.commit([(PutDialog(dialog(1)),)])
        self.assertEqual(self.held().restored, 0.0)
        self.store = self.restored(self.store)
        self.assertEqual(self.held().restored, 0.0)
        for now in (NOW + 100, NOW + 200):
            self.store.serve(now)
            held = self.held()
            self.assertEqual((held.restored, held.dialogs), (NOW + 100, (dialog(1),)))
        self.store = self.restored(self.store)
        self.store.serve(NOW + 300)
        self.assertEqual(self.held().restored, NOW + 300)

    def test_tidying_changes_nothing(self) -> None:
        kept = segment(1, 2)
        self.store.commit([(PutDialog(dialog(1)), PutSegment(segment(1, 1)), PutSegment(kept), PutDead(dead(1, 7)))])
        self.store.commit([(DropSegments(dialog_id(1), True, 1),)])
        before = self.held()
        for now in (NOW, NOW + 86_400, NOW + 86_500):
            self.store.tidy(now)
            self.assertEqual(self.store.segment(dialog_id(1), True, 2), kept)
        self.assertEqual(self.held(), before)


KEY = (dialog_id(1), 1, NOW + 5)
