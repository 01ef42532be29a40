"""The store of messages in a file does what every store of messages does."""

from __future__ import annotations

from seckex.delivery.store import MessageStore
from seckex.storage.messages.sqlite import SqliteMessages
from tests.delivery.contract import MessagesContract
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
