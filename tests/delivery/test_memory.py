"""The store in memory does what every store does, and forgets in a crash what was not durable."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from seckex.delivery.memory import MemoryMessages
from seckex.delivery.store import MessageStore, NoteClock, PutDialog
from seckex.errors import StoreFailed
from tests.delivery.contract import MessagesContract
from tests.delivery.samples import NOW, dialog


class MemoryMessagesTests(MessagesContract, SynchronousTestCase):
    def new_store(self) -> MemoryMessages:
        return MemoryMessages()

    def restarted(self, store: MessageStore) -> MessageStore:
        assert isinstance(store, MemoryMessages)
        store.close()
        store.crash()
        return store

    def restored(self, store: MessageStore) -> MessageStore:
        assert isinstance(store, MemoryMessages)
        return store.copy()


class CrashTests(SynchronousTestCase):
    def test_what_was_not_synchronised_is_forgotten(self) -> None:
        store = MemoryMessages(at_once=False)
        store.commit([(PutDialog(dialog(1)),)])
        store.sync()
        store.commit([(PutDialog(dialog(2)), PutDialog(dialog(1, why="x")), NoteClock(NOW))])
        self.assertEqual(len(store.load(0, NOW).dialogs), 2)
        store.crash()
        held = store.load(0, NOW)
        self.assertEqual((held.dialogs, held.clock), ((dialog(1),), 0.0))

    def test_a_commit_that_fails_stores_nothing(self) -> None:
        store = MemoryMessages(failing=StoreFailed("the disk is full"))
        self.assertRaises(StoreFailed, store.commit, [(PutDialog(dialog(1)),)])
        store.failing = None
        self.assertEqual(store.load(0, NOW).dialogs, ())

    def test_a_copy_goes_its_own_way(self) -> None:
        store = MemoryMessages()
        store.commit([(PutDialog(dialog(1)),)])
        copy = store.copy()
        store.commit([(PutDialog(dialog(2)),)])
        copy.commit([(PutDialog(dialog(3)),)])
        self.assertEqual(copy.load(0, NOW).dialogs, (dialog(1), dialog(3)))
        self.assertEqual(store.load(0, NOW).dialogs, (dialog(1), dialog(2)))
