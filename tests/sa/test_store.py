"""The store in memory, held to what every store does."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from seckex.sa.store import MemoryStore, Store
from tests.storage.contract import StoreContract


class MemoryStoreTests(StoreContract, SynchronousTestCase):
    def new_store(self) -> Store:
        return MemoryStore()

    def restarted(self, store: Store) -> Store:
        store.close()
        return store
