"""What the tests of the store in a file have in common."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from seckex.errors import StoreFailed
from seckex.sa.store import MemoryStore, Snapshot, Unit
from seckex.storage.sqlite import SqliteStore
from tests.storage.samples import entropy, master


class Places(SynchronousTestCase):
    """Has a place for a database."""

    name = "seckex.db"

    def setUp(self) -> None:
        self.new_path()

    def new_path(self) -> None:
        """Use another file from now on, in memory where there is such a place, since the tests synchronise often."""
        memory = "/dev/shm"
        top = tempfile.mkdtemp(prefix="seckex-", dir=memory if os.access(memory, os.W_OK) else None)
        self.addCleanup(shutil.rmtree, top)
        self.path = Path(top) / "state" / self.name

    def sql(self, *statements: str) -> list[Any]:
        """Run statements beside the store, and return what they yield."""
        connection = sqlite3.connect(self.path, isolation_level=None)
        try:
            return [row for statement in statements for row in connection.execute(statement)]
        finally:
            connection.close()


class SqliteCase(Places):
    """Has a place for its database, which is closed in the end."""

    def open(self, factory: type[sqlite3.Connection] = sqlite3.Connection) -> SqliteStore:
        store = SqliteStore(self.path, master, entropy, factory)
        self.addCleanup(store.close)
        return store

    def refused(self, *words: str) -> None:
        error = self.assertRaises(StoreFailed, self.open)
        for word in (str(self.path), *words):
            self.assertIn(word, str(error))


def twin(*batches: Sequence[Unit]) -> tuple[object, ...]:
    """Return what the store in memory holds after ``batches``."""
    memory = MemoryStore()
    for batch in batches:
        memory.commit(batch)
    return sorted_(memory.load(0, 0.0))


def sorted_(snapshot: Snapshot) -> tuple[object, ...]:
    return (
        sorted(snapshot.associations, key=lambda a: a.spi_in),
        sorted(snapshot.replays, key=lambda r: r.identification),
        sorted(snapshot.records, key=lambda r: r.key),
        snapshot.damaged,
    )
