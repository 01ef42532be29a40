"""What the tests of the store of messages in a file have in common."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from seckex.storage.messages.sqlite import SqliteMessages
from seckex.storage.schema import MARK_COPY
from tests.storage.case import Places
from tests.storage.samples import entropy, master


class MessagesCase(Places):
    """Has a place for its database, which is closed in the end."""

    name = "messages.db"

    def open(self, factory: type[sqlite3.Connection] = sqlite3.Connection, path: Path | None = None) -> SqliteMessages:
        store = SqliteMessages(path or self.path, master, entropy, factory)
        self.addCleanup(store.close)
        return store

    def mark_copy(self) -> None:
        """Have the database be taken for a copy."""
        self.sql(MARK_COPY)
