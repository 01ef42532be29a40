"""What the tests of the store of messages in a file have in common."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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

    @contextmanager
    def reader(self) -> Iterator[Callable[[str], list[Any]]]:
        """Yield what runs statements on one connection beside the store."""
        connection = sqlite3.connect(self.path, isolation_level=None)
        try:
            yield lambda statement: connection.execute(statement).fetchall()
        finally:
            connection.close()

    def mark_copy(self) -> None:
        """Have the database be taken for a copy."""
        self.sql(MARK_COPY)
