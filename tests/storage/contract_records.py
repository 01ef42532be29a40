"""What every store does with the records of roles, as tests to be mixed into the tests of each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import evolve

from seckex.sa.store import ASIDE, DeleteRecord, Outcome, Purge, PutAssociation, PutRecord, PutReplay, Record, Unit
from tests.storage.contract import CONFLICT, LONG_AGO, STORED
from tests.storage.samples import NOW, association, record, replay

if TYPE_CHECKING:
    from tests.storage.contract import StoreContract as Base
else:
    # Mixed in beside the contract.
    Base = object

KIND = "kdc.principal"


class RecordContract(Base):
    """See the module."""

    def records(self, now: float = LONG_AGO) -> list[Record]:
        """Restart, and return all records, in the order of their names."""
        self.store = self.restarted(self.store)
        snapshot = self.store.load(0, now)
        self.assertEqual(snapshot.damaged, ())
        return sorted(snapshot.records, key=lambda one: one.key)

    def commit(self, *units: Unit) -> Sequence[Outcome]:
        return self.store.commit(units)

    def test_a_record_is_there_after_a_restart_as_it_was(self) -> None:
        stored = [
            record("a.b", b""),
            Record("a.b", bytes(range(256)), bytes(70_000), NOW + 1 / 3),
            Record("a.c", b"", b"", math.inf),
            Record("\u00e4", "n\u00e4d@example.org".encode(), b"\0"),
        ]
        self.assertEqual(self.commit(*((PutRecord(each),) for each in stored)), [STORED] * 4)
        self.assertEqual(self.records(), sorted(stored, key=lambda one: one.key))

    def test_some_are_opened_later(self) -> None:
        ones = [Record("many", f"n{n}".encode(), bytes([n]) * 90) for n in range(5)]
        ends, other = Record("many", b"ends", b"x", NOW + 9), record(KIND, b"n")
        self.commit(*((PutRecord(each),) for each in (*ones, ends, other)))
        self.commit((PutRecord(evolve(ones[0], octets=b"again")),))
        self.store = self.restarted(self.store)
        found = self.store.load(0, NOW, later=("many", "none"))
        self.assertEqual(sorted(found.records, key=lambda one: one.key), sorted((ends, other), key=lambda one: one.key))
        [later] = [one for one in found.later if len(one)]
        self.assertEqual((later.kind, len(later)), ("many", 5))
        self.assertEqual([name for name, _ in later.left()], [one.name for one in ones])
        self.assertEqual((later.open(b"n0"), later.open(b"n3")), (b"again", bytes([3]) * 90))
        self.assertEqual((later.has(b"n4"), later.has(b"n5")), (True, False))
        for name, sealed in later.left():
            later.drop(b"n2")
            if name != b"n0":
                self.assertEqual(later.unseal(name, sealed), bytes([name[1] - 48]) * 90)
            self.assertNotEqual(name, b"n2")
        self.assertFalse(later.has(b"n2"))
        self.assertEqual(
            self.store.load(0, NOW + 10, later=("many",)).records, self.store.load(0, NOW + 10).records[5:]
        )

    def test_every_worker_reads_them(self) -> None:
        one = record(KIND, b"n")
        self.commit((PutRecord(one),))
        self.assertEqual(self.store.load(5, NOW).records, (one,))

    def test_one_is_stored_in_place_of_that_of_its_name(self) -> None:
        first, second, other = record(KIND, b"n"), record(KIND, b"n", NOW + 9), record("other", b"n")
        self.commit((PutRecord(first), PutRecord(other)))
        self.assertEqual(self.commit((PutRecord(second),)), [STORED])
        self.assertEqual(self.records(), [second, other])

    def test_one_that_is_to_be_fresh_is_a_conflict_where_there_is_one(self) -> None:
        kept, other = record(KIND, b"n"), record(KIND, b"o")
        fresh: Unit = (PutRecord(record(KIND, b"n"), fresh=True), PutReplay(replay(1)))
        self.commit((PutRecord(kept, fresh=True),))
        self.assertEqual(self.commit(fresh, (PutRecord(other, fresh=True),), fresh), [CONFLICT, STORED, CONFLICT])
        self.assertEqual(self.records(), [kept, other])
        self.assertEqual(self.held(), ([], []))

    def test_a_name_is_taken_within_its_kind_only(self) -> None:
        self.commit((PutRecord(record("a", b"n")),))
        self.assertEqual(self.commit((PutRecord(record("b", b"n"), fresh=True),)), [STORED])

    def test_a_unit_is_stored_whole(self) -> None:
        one, two = record(KIND, b"1"), record(KIND, b"2")
        self.assertEqual(
            self.commit((PutRecord(one), PutAssociation(association(64)), PutRecord(two), PutReplay(replay(1)))),
            [STORED],
        )
        self.assertEqual(self.records(), [one, two])
        third: Unit = (PutRecord(record(KIND, b"3")), PutReplay(replay(1)), DeleteRecord(KIND, b"1"))
        self.assertEqual(self.commit(third), [CONFLICT])
        self.assertEqual(self.records(), [one, two])

    def test_of_one_batch_the_last_stands(self) -> None:
        one, two = record(KIND, b"n"), record(KIND, b"n")
        put, again, fresh, delete = PutRecord(one), PutRecord(two), PutRecord(two, fresh=True), DeleteRecord(KIND, b"n")
        cases: list[tuple[list[Unit], list[Outcome], list[Record]]] = [
            ([(put,), (again,)], [STORED] * 2, [two]),
            ([(put, again)], [STORED], [two]),
            ([(put,), (fresh,)], [STORED, CONFLICT], [one]),
            ([(put, fresh)], [CONFLICT], []),
            ([(fresh,), (put,)], [STORED] * 2, [one]),
            ([(fresh,), (delete,)], [STORED] * 2, []),
            ([(put,), (delete, fresh)], [STORED] * 2, [two]),
            ([(fresh,), (delete,), (put,)], [STORED] * 3, [one]),
            ([(fresh, delete, fresh)], [STORED], [two]),
            ([(delete,), (fresh,)], [STORED] * 2, [two]),
        ]
        for units, outcomes, left in cases:
            self.assertEqual(self.commit(*units), outcomes, units)
            self.assertEqual(self.records(), left, units)
            self.commit((delete,))

    def test_what_is_fresh_only_because_it_was_deleted_before(self) -> None:
        one, two = record(KIND, b"n"), record(KIND, b"n")
        fresh, delete = PutRecord(two, fresh=True), DeleteRecord(KIND, b"n")
        self.commit((PutRecord(one),))
        self.assertEqual(self.commit((fresh, delete)), [CONFLICT])
        self.assertEqual(self.records(), [one])
        self.assertEqual(self.commit((fresh,), (delete,), (fresh,)), [CONFLICT, STORED, STORED])
        self.assertEqual(self.records(), [two])
        self.assertEqual(self.commit((delete, fresh)), [STORED])

    def test_what_is_gone_may_be_deleted(self) -> None:
        self.assertEqual(self.commit((DeleteRecord(KIND, b"n"),)), [STORED])

    def test_a_large_batch(self) -> None:
        kept = [record(KIND, b"%d" % n) for n in range(0, 700, 7)]
        self.commit(*((PutRecord(each),) for each in kept))
        puts = [PutRecord(record(KIND, b"%d" % n), fresh=bool(n % 2)) for n in range(700)]
        outcomes = self.commit(*((put,) for put in puts))
        expected = [CONFLICT if n % 7 == 0 and n % 2 else STORED for n in range(700)]
        self.assertEqual(outcomes, expected)
        stood = {each.key: each for each in kept}
        for put, outcome in zip(puts, outcomes, strict=True):
            if outcome is STORED:
                stood[put.record.key] = put.record
        self.assertEqual(self.records(), [stood[key] for key in sorted(stood)])

    def test_what_has_expired_is_not_loaded_and_purged_in_time(self) -> None:
        mortal, immortal = record(KIND, b"m", NOW + 5), record(KIND, b"i")
        self.commit((PutRecord(mortal), PutRecord(immortal)))
        self.assertEqual(self.records(NOW + 4), [immortal, mortal])
        self.assertEqual(self.records(NOW + 5), [immortal])
        # Until it is purged it is there.
        self.assertEqual(self.commit((PutRecord(mortal, fresh=True),)), [CONFLICT])
        self.commit((Purge(NOW + 5),))
        self.assertEqual(len(self.records()), 2)
        self.commit((Purge(NOW + 5.001),))
        self.assertEqual(self.records(), [immortal])
        self.assertEqual(self.commit((PutRecord(mortal, fresh=True),)), [STORED])

    def test_one_may_live_longer(self) -> None:
        self.commit((PutRecord(record(KIND, b"n", NOW)),))
        longer = record(KIND, b"n", NOW + 9)
        self.commit((PutRecord(longer),), (Purge(NOW + 5),))
        self.assertEqual(self.records(), [longer])

    def test_what_is_kept_aside_is_read_page_by_page_and_not_loaded(self) -> None:
        kind = f"a.b{ASIDE}"
        stored = [record(kind, name) for name in (b"", b"1", b"10", b"2", b"3")]
        others = [record("a.b", b"1"), record(f"a.c{ASIDE}", b"1")]
        self.commit(*((PutRecord(each),) for each in (*reversed(stored), *others)))
        self.assertEqual(self.records(), others[:1])
        for down, order in ((False, stored), (True, stored[::-1])):
            read: list[Record] = []
            beyond, sizes = None, []
            while True:
                page = self.store.page(kind, beyond, 2, down=down)
                self.assertEqual(page.damaged, ())
                read += page.records
                sizes.append(len(page.records))
                if page.beyond is None:
                    break
                beyond = page.beyond
            self.assertEqual((read, sizes), (order, [2, 2, 1]))
        self.assertEqual(self.store.page("nobody's", None, 9).records, ())
        self.commit((DeleteRecord(kind, b"10"),), (PutRecord(others[0]),))
        self.assertEqual([one.name for one in self.store.page(kind, b"1", 9).records], [b"2", b"3"])
