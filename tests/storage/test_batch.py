"""What a batch comes to is what its units do one after the other."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.sa.store import (
    ConfirmAssociation,
    DeleteAssociation,
    DeleteRecord,
    MemoryStore,
    Operation,
    PutAssociation,
    PutRecord,
    PutReplay,
    Unit,
)
from seckex.storage.batch import settle
from tests.storage.samples import association, record, replay

SPIS = (64, 128, 192)
NAMES = (b"a", b"b")

operations: st.SearchStrategy[Operation] = st.one_of(
    st.sampled_from([PutReplay(replay(n)) for n in (1, 2, 3)]),
    st.sampled_from([PutAssociation(association(spi)) for spi in SPIS for _ in range(2)]),
    st.sampled_from([ConfirmAssociation(spi) for spi in SPIS]),
    st.sampled_from([DeleteAssociation(spi) for spi in SPIS]),
    st.sampled_from([PutRecord(record("kdc.x", name), fresh) for name in NAMES for fresh in (False, True)]),
    st.sampled_from([DeleteRecord("kdc.x", name) for name in NAMES]),
)
units: st.SearchStrategy[list[Unit]] = st.lists(st.lists(operations, max_size=4).map(tuple), max_size=8)


class SettleTests(SynchronousTestCase):
    @settings(max_examples=200, deadline=None)
    @given(units, units)
    def test_the_net_effect_is_that_of_the_units_in_their_order(self, before: list[Unit], batch: list[Unit]) -> None:
        one_by_one = MemoryStore()
        one_by_one.commit(before)
        at_once = MemoryStore(dict(one_by_one.associations), dict(one_by_one.replays), records=dict(one_by_one.records))

        outcomes = one_by_one.commit(batch)

        settled = settle(batch, at_once.replays.keys(), at_once.associations.keys(), at_once.records.keys())
        self.assertEqual(settled.outcomes, outcomes)
        for spi in settled.deleted:
            at_once.associations.pop(spi, None)
        for key in settled.erased:
            at_once.records.pop(key, None)
        written: list[Operation] = [
            *map(PutReplay, settled.replays.values()),
            *map(PutAssociation, settled.associations.values()),
            *map(ConfirmAssociation, settled.confirmed),
            *settled.records.values(),
        ]
        self.assertTrue(all(outcome.name == "STORED" for outcome in at_once.commit([(o,) for o in written])))
        self.assertEqual(at_once, one_by_one)
