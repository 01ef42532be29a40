"""What every store does, as tests to be mixed into the tests of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from seckex.sa.association import Association
from seckex.sa.store import (
    ConfirmAssociation,
    DeleteAssociation,
    Outcome,
    Purge,
    PutAssociation,
    PutReplay,
    ReplayRecord,
    Store,
    Unit,
)
from seckex.wire.numbers import PRF_HMAC_SHA2_384, Role
from tests.storage.samples import LIFETIME, NOW, WINDOWS, accepted, association, keys, replay

STORED, CONFLICT = Outcome.STORED, Outcome.CONFLICT
LONG_AGO = 0.0

if TYPE_CHECKING:
    from twisted.trial.unittest import SynchronousTestCase as Base
else:
    # Trial runs every test case there is; the contract is none by itself.
    Base = object


class StoreContract(Base):
    """A test case that this is mixed into says how a store is made and what a restart is."""

    def new_store(self) -> Store:
        """Return an empty store."""
        raise NotImplementedError

    def restarted(self, store: Store) -> Store:
        """Return what a daemon finds that starts after one with ``store`` was stopped."""
        raise NotImplementedError

    def setUp(self) -> None:
        self.store = self.new_store()

    def held(self, now: float = LONG_AGO) -> tuple[list[Association], list[ReplayRecord]]:
        """Restart, and return all that is stored for worker 0."""
        self.store = self.restarted(self.store)
        snapshot = self.store.load(0, now)
        self.assertEqual(snapshot.damaged, ())
        return (
            sorted(snapshot.associations, key=lambda a: a.spi_in),
            sorted(snapshot.replays, key=lambda r: r.identification),
        )

    # -- what comes back

    def test_a_new_store_is_empty(self) -> None:
        self.assertEqual(self.held(), ([], []))

    def test_what_was_stored_is_there_after_a_restart(self) -> None:
        association_, record = association(64), replay(1)
        self.assertEqual(self.store.commit([(PutReplay(record), PutAssociation(association_))]), [STORED])
        self.assertEqual(self.held(), ([association_], [record]))

    def test_every_field_comes_back_as_it_was(self) -> None:
        initiator = association(0x40, role=Role.INITIATOR, created=NOW + 0.123456789, confirmed=True)
        other_prf = evolve(association(0xFFFFFFC0, peer="x" * 240 + "@example.org"), keys=keys(PRF_HMAC_SHA2_384))
        records = [replay(0), replay((1 << 64) - 1, 0xFFFFFFFF, answer=bytes(8192), expires=NOW + 1 / 3)]
        self.store.commit([(PutAssociation(initiator),), (PutAssociation(other_prf),), tuple(map(PutReplay, records))])
        self.assertEqual(self.held(), ([initiator, other_prf], records))

    def test_a_commit_of_nothing(self) -> None:
        self.assertEqual(self.store.commit([]), [])
        self.assertEqual(self.store.commit([()]), [STORED])

    def test_associations_go_to_the_worker_whose_number_is_in_their_spi(self) -> None:
        of_0, of_5 = association(0x1000 << 6), association(0x1000 << 6 | 5)
        record = replay(1)
        self.store.commit([(PutAssociation(of_0), PutAssociation(of_5), PutReplay(record))])
        self.assertEqual(self.store.load(0, NOW).associations, (of_0,))
        self.assertEqual(self.store.load(5, NOW).associations, (of_5,))
        self.assertEqual(self.store.load(6, NOW).associations, ())
        self.assertEqual(self.store.load(6, NOW).replays, (record,))

    def test_what_has_expired_is_not_loaded(self) -> None:
        self.store.commit([accepted(1)])
        associations, replays = self.held(NOW + WINDOWS - 0.001)
        self.assertEqual((len(associations), len(replays)), (1, 1))
        associations, replays = self.held(NOW + WINDOWS)
        self.assertEqual((len(associations), len(replays)), (1, 0))
        self.assertEqual(self.held(NOW + LIFETIME), ([], []))

    def test_of_too_many_replay_records_the_last_to_expire_are_loaded(self) -> None:
        records = [replay(n, expires=NOW + n) for n in (3, 1, 4, 2)]
        self.store.commit([(PutReplay(record),) for record in records])
        loaded = self.store.load(0, NOW, most_replays=2).replays
        self.assertEqual({record.identification for record in loaded}, {3, 4})
        # The others are not forgotten: a replay of theirs is still one.
        self.assertEqual(self.store.commit([(PutReplay(replay(1)),)]), [CONFLICT])

    # -- conflicts

    def test_a_replay_is_a_conflict_whole_and_harms_no_other_unit(self) -> None:
        first = accepted(1)
        self.store.commit([first])
        replayed = (PutReplay(replay(1)), PutAssociation(association(0x800)))
        self.assertEqual(
            self.store.commit([accepted(2), replayed, accepted(3), replayed]), [STORED, CONFLICT, STORED, CONFLICT]
        )
        associations, replays = self.held()
        self.assertEqual([a.spi_in for a in associations], [1 << 6, 2 << 6, 3 << 6])
        self.assertEqual([r.identification for r in replays], [1, 2, 3])
        self.assertEqual(PutReplay(replays[0]), first[0])

    def test_the_outcomes_stand_in_the_order_of_the_units(self) -> None:
        self.store.commit([accepted(n) for n in range(0, 100, 3)])
        outcomes = self.store.commit([accepted(n) for n in range(100)])
        self.assertEqual(outcomes, [STORED if n % 3 else CONFLICT for n in range(100)])

    def test_the_first_of_two_in_one_batch_is_stored(self) -> None:
        once, again = replay(1), replay(1)
        self.assertEqual(self.store.commit([(PutReplay(once),), (PutReplay(again),)]), [STORED, CONFLICT])
        self.assertEqual(self.held(), ([], [once]))

    def test_a_unit_may_contradict_itself(self) -> None:
        self.assertEqual(self.store.commit([(PutReplay(replay(1)), PutReplay(replay(1)))]), [CONFLICT])
        self.assertEqual(
            self.store.commit([(PutAssociation(association(64)), PutAssociation(association(64)))]), [CONFLICT]
        )
        self.assertEqual(self.held(), ([], []))

    def test_one_identification_under_two_keys_is_no_conflict(self) -> None:
        self.assertEqual(self.store.commit([(PutReplay(replay(1, 300)),), (PutReplay(replay(1, 301)),)]), [STORED] * 2)

    def test_an_spi_that_is_taken_is_a_conflict(self) -> None:
        kept = association(64)
        self.store.commit([(PutAssociation(kept),)])
        unit = (PutReplay(replay(1)), PutAssociation(association(64, peer="b@example.org")))
        self.assertEqual(self.store.commit([unit]), [CONFLICT])
        self.assertEqual(self.held(), ([kept], []))

    def test_a_conflict_is_one_although_what_it_is_about_is_deleted_again(self) -> None:
        kept = association(64)
        put, delete = PutAssociation(association(64)), DeleteAssociation(64)
        self.store.commit([(PutAssociation(kept),)])
        self.assertEqual(self.store.commit([(put, delete, PutReplay(replay(1)))]), [CONFLICT])
        self.assertEqual(self.held(), ([kept], []))
        self.assertEqual(self.store.commit([(put,), (delete,), (put,)]), [CONFLICT, STORED, STORED])

    def test_nothing_of_a_unit_in_conflict_happens(self) -> None:
        a, b = association(64), association(128)
        self.store.commit([(PutReplay(replay(1)), PutAssociation(a), PutAssociation(b))])
        unit = (DeleteAssociation(64), ConfirmAssociation(128), PutReplay(replay(1)))
        self.assertEqual(self.store.commit([unit]), [CONFLICT])
        self.assertEqual(self.held()[0], [a, b])
        # ... and so what it would have deleted is in the way of the next unit.
        self.assertEqual(self.store.commit([unit, (PutAssociation(association(64)),)]), [CONFLICT, CONFLICT])

    # -- the order of operations

    def test_an_association_is_confirmed_and_deleted(self) -> None:
        a, b = association(64), association(128)
        self.store.commit([(PutAssociation(a), PutAssociation(b))])
        self.store.commit([(ConfirmAssociation(64),), (DeleteAssociation(128),)])
        self.assertEqual(self.held(), ([evolve(a, confirmed=True)], []))

    def test_what_is_gone_is_neither_confirmed_nor_deleted(self) -> None:
        self.assertEqual(self.store.commit([(ConfirmAssociation(64), DeleteAssociation(64))]), [STORED])
        self.assertEqual(self.held(), ([], []))

    def test_operations_of_one_batch_happen_in_their_order(self) -> None:
        old, new = association(64), association(64)
        put, again, confirm, delete = (
            PutAssociation(old),
            PutAssociation(new),
            ConfirmAssociation(64),
            DeleteAssociation(64),
        )
        yes = evolve(new, confirmed=True)
        cases: list[tuple[list[Unit], list[Outcome], list[Association]]] = [
            ([(put, confirm)], [STORED], [evolve(old, confirmed=True)]),
            ([(put,), (confirm,), (delete,)], [STORED] * 3, []),
            ([(put,), (delete,), (again,)], [STORED] * 3, [new]),
            ([(put,), (delete, again, confirm)], [STORED] * 2, [yes]),
            ([(confirm,), (put,)], [STORED] * 2, [old]),
            ([(delete,), (put,), (again,)], [STORED, STORED, CONFLICT], [old]),
            ([(put,), (delete,), (confirm,)], [STORED] * 3, []),
            ([(put, delete, again, delete)], [STORED], []),
        ]
        for units, outcomes, left in cases:
            self.assertEqual(self.store.commit(units), outcomes)
            self.assertEqual(self.held()[0], left, units)
            self.store.commit([(delete,)])

    def test_an_association_is_replaced_over_several_commits(self) -> None:
        new = association(64)
        self.store.commit([(PutAssociation(association(64, confirmed=True)),)])
        self.assertEqual(self.store.commit([(DeleteAssociation(64), PutAssociation(new))]), [STORED])
        self.assertEqual(self.held(), ([new], []))
        self.assertEqual(self.store.commit([(ConfirmAssociation(64),), (DeleteAssociation(64),)]), [STORED, STORED])
        self.assertEqual(self.held(), ([], []))

    # -- forgetting

    def test_a_purge_forgets_what_has_expired_and_nothing_else(self) -> None:
        self.store.commit(
            [accepted(1), (PutReplay(replay(2, expires=NOW + 10)), PutReplay(replay(3, expires=NOW + 11)))]
        )
        self.store.commit([(Purge(NOW + 11),)])
        self.assertEqual([r.identification for r in self.held()[1]], [1, 3])
        self.store.commit([(Purge(NOW + LIFETIME),)])
        self.assertEqual([a.spi_in for a in self.held()[0]], [64])
        self.store.commit([(Purge(NOW + LIFETIME + 1),)])
        self.assertEqual(self.held(), ([], []))
        self.assertEqual(self.store.commit([accepted(1)]), [STORED])

    def test_associations_and_replay_records_are_purged_by_clocks_of_their_own(self) -> None:
        self.store.commit([accepted(1)])
        self.store.commit([(Purge(NOW + LIFETIME + 1, replays=NOW),)])
        self.assertEqual([len(each) for each in self.held()], [0, 1])
        self.store.commit([accepted(2)])
        self.store.commit([(Purge(NOW, replays=NOW + LIFETIME + 1),)])
        self.assertEqual([len(each) for each in self.held()], [1, 0])

    def test_up_to_where_records_may_be_gone_is_kept_and_never_falls(self) -> None:
        self.assertEqual(self.store.load(0, NOW).forgotten, 0.0)
        for forgotten, expected in ((NOW - 5, NOW - 5), (NOW - 7, NOW - 5), (NOW, NOW)):
            self.store.commit([(Purge(NOW, NOW, forgotten),)])
            self.assertEqual(self.store.load(0, NOW).forgotten, expected)
        self.store.commit([(Purge(NOW, NOW, NOW + 2),), (Purge(NOW, NOW, NOW + 1),)])
        self.assertEqual(self.store.load(0, NOW).forgotten, NOW + 2)

    def test_a_purge_comes_after_the_rest_of_its_batch(self) -> None:
        self.store.commit([accepted(1)])
        self.assertEqual(self.store.commit([(Purge(NOW + LIFETIME + 1), *accepted(1)), accepted(1)]), [CONFLICT] * 2)
        self.assertEqual(self.held(), ([], []))
