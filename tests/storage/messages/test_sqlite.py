"""The store of messages in a file does what every store of messages does, and is read meanwhile."""

from __future__ import annotations

from threading import Event, Thread

from seckex.delivery.store import DropSegments, MessageStore, PutDead, PutDialog, PutSegment
from seckex.storage.messages.sqlite import SqliteMessages
from tests.delivery.contract import MessagesContract
from tests.delivery.samples import NOW, dead, dialog, dialog_id, segment
from tests.storage.messages.case import MessagesCase


class SqliteMessagesTests(MessagesContract, MessagesCase):
    def setUp(self) -> None:
        MessagesCase.setUp(self)
        MessagesContract.setUp(self)

    def new_store(self) -> SqliteMessages:
        return self.open()

    def restarted(self, store: MessageStore) -> SqliteMessages:
        store.close()
        return self.open()

    def restored(self, store: MessageStore) -> SqliteMessages:
        store.close()
        self.mark_copy()
        return self.open()


class ThreadTests(MessagesCase):
    def test_it_is_read_by_other_threads_while_it_is_written(self) -> None:
        store = self.open()
        lasting = segment(1, 1, 5)
        store.commit([(PutDialog(dialog(1)), PutSegment(lasting), PutDead(dead(1, 9)))])
        done = Event()
        found: list[object] = []

        def read() -> None:
            while not done.is_set():
                found.append(store.segment(dialog_id(1), True, 3) == lasting)
                found.append(len(store.dead(None, 9)) == 1)

        threads = [Thread(target=read) for _ in range(2)]
        for thread in threads:
            thread.start()
        for number in range(6, 106):
            store.commit([(PutSegment(segment(1, number)), DropSegments(dialog_id(1), False, number))])
            if number % 10 == 0:
                store.tidy(NOW + number * 10_000)
        done.set()
        for thread in threads:
            thread.join()
        self.assertEqual(set(found), {True})
        self.assertEqual(len(store.load(0, NOW).segments), 101)
