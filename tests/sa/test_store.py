"""The store in memory, held to what every store does."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from seckex.sa.store import MemoryStore, Store
from tests.storage.contract import StoreContract
from tests.storage.contract_logs import LogContract
from tests.storage.contract_records import RecordContract


class MemoryStoreTests(LogContract, RecordContract, StoreContract, SynchronousTestCase):
    def new_store(self) -> Store:
        return MemoryStore()

    def restarted(self, store: Store) -> Store:
        store.close()
        return store
