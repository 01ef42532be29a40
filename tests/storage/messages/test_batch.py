"""What a batch comes to is what its units do one after the other: both stores do the same."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.delivery.memory import MemoryMessages
from seckex.delivery.store import (
    DropDead,
    DropDialog,
    DropSegments,
    MessageOperation,
    MessageStore,
    NoteClock,
    PutDead,
    PutDialog,
    PutKey,
    PutSegment,
)
from seckex.storage.messages.sqlite import SqliteMessages
from tests.delivery.samples import NOW, dead, dialog, dialog_id, segment
from tests.storage.samples import entropy, master

SIDES = [(n, ours) for n in (1, 2) for ours in (True, False)]
operations: st.SearchStrategy[MessageOperation] = st.one_of(
    st.sampled_from([PutDialog(dialog(n, why=why, forget=at)) for n in (1, 2) for why in "ab" for at in (0.0, NOW)]),
    st.sampled_from([DropDialog(dialog_id(n)) for n in (1, 2)]),
    # One message each, so that no two have the same in part.
    st.sampled_from([PutSegment(segment(n, number, ours=ours)) for n, ours in SIDES for number in range(1, 5)]),
    st.sampled_from([DropSegments(dialog_id(n), ours, upto) for n, ours in SIDES for upto in range(5)]),
    st.sampled_from([PutDead(dead(n, number, ours=ours)) for n, ours in SIDES for number in (1, 2)]),
    st.sampled_from([DropDead(dialog_id(n), ours, number) for n, ours in SIDES for number in (1, 2)]),
    st.sampled_from([PutKey(key, dialog_id(n), n, NOW + 5 + n) for n in (1, 2) for key in ("k", "l")]),
    st.sampled_from([NoteClock(NOW + after) for after in (-1, 0, 7)]),
)


def everything(store: MessageStore) -> tuple[object, ...]:
    held = store.load(0, NOW)
    return (
        sorted(held.dialogs, key=lambda each: each.dialog_id),
        [store.segment(each.dialog_id, each.ours, each.first) for each in held.segments],
        held.segments,
        sorted(held.keys),
        [store.dead_message(each.dialog_id, each.ours, each.number) for each in store.dead(None, 99)],
        held.dead,
        held.clock,
    )


class TwinTests(SynchronousTestCase):
    @given(st.lists(st.lists(st.lists(operations, max_size=4).map(tuple), max_size=5), max_size=4))
    @settings(max_examples=60, deadline=None)
    def test_both_stores_do_the_same(self, batches: list[list[tuple[MessageOperation, ...]]]) -> None:
        top = tempfile.mkdtemp(prefix="seckex-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
        store = SqliteMessages(Path(top) / "state" / "messages.db", master, entropy)
        twin = MemoryMessages()
        try:
            for batch in batches:
                self.assertEqual(store.commit(batch), twin.commit(batch))
                self.assertEqual(everything(store), everything(twin))
                store.tidy(NOW)
        finally:
            store.close()
            shutil.rmtree(top)
