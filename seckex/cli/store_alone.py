"""The store of a daemon that does not run, for as long as its worker's lock is held."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seckex.cli.output import Fault, NoDaemon
from seckex.config.common import Settings
from seckex.config.load import prepare_state, read_settings
from seckex.errors import StoreFailed
from seckex.net.daemon import DATABASE
from seckex.storage.lock import WorkerLock
from seckex.storage.masterkey import load_master_key
from seckex.storage.sqlite import SqliteStore


@contextmanager
def store_alone(config_path: Path) -> Iterator[tuple[Settings, SqliteStore]]:
    """Yield the settings of a daemon and its store."""
    settings = read_settings(config_path)
    state = settings.state
    database = state.directory / DATABASE
    if not database.exists():
        raise Fault(f"{database} is not there: no daemon has run with this configuration yet")
    prepare_state(config_path, state)
    try:
        lock = WorkerLock(state.directory, state.worker)
    except StoreFailed as error:
        raise NoDaemon(f"no daemon answers on {state.control}, though one runs: {error}") from error
    try:
        store = SqliteStore(database, load_master_key(state.master_key, database, os.urandom), os.urandom)
        try:
            yield settings, store
        finally:
            store.close()
    finally:
        lock.release()
