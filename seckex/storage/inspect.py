"""Looking at a database without touching it, for `seckex doctor`.

The file is opened for reading only, and where no process has it open as a file
that does not change, so that not even its side files are made.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from seckex.storage.failures import store_failed
from seckex.storage.messages import schema as messages_schema
from seckex.storage.schema import APPLICATION_ID, MIGRATIONS
from seckex.storage.spool_copy import needed_files

LIBRARY: Final = sqlite3.sqlite_version
MOST_FAULTS: Final = 8
_BUSY_SECONDS: Final = 2.0


def inspect_database(path: Path) -> list[str]:
    """Return what is wrong with the database ``path``, nothing for one that is sound; raises `FileNotFoundError`."""
    return _looked_into(path, lambda connection: _inspect(path, connection, APPLICATION_ID, len(MIGRATIONS)))


def inspect_messages(path: Path) -> list[str]:
    """Return what is wrong with the database of messages ``path`` and its spool; raises `FileNotFoundError`."""
    newest = len(messages_schema.MIGRATIONS)

    def inspect(connection: sqlite3.Connection) -> list[str]:
        faults = _inspect(path, connection, messages_schema.APPLICATION_ID, newest)
        return faults or _missing(path.parent, connection)

    return _looked_into(path, inspect)


def _missing(state: Path, connection: sqlite3.Connection) -> list[str]:
    """Return which files are missing; one that was dropped meanwhile is not."""
    absent = [place for place in needed_files(connection) if not (state / place).exists()]
    still = set(needed_files(connection)) if absent else set()
    found = [f"{state / place}, which has the payload of a message, is missing" for place in absent if place in still]
    return found[:MOST_FAULTS]


def _looked_into(path: Path, inspect: Callable[[sqlite3.Connection], list[str]]) -> list[str]:
    path.stat()
    log = path.with_name(path.name + "-wal")
    frozen = "" if log.exists() and log.stat().st_size else "&immutable=1"
    try:
        uri = f"{path.absolute().as_uri()}?mode=ro{frozen}"
        with closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS)) as connection:
            return inspect(connection)
    except sqlite3.Error as error:
        return [str(store_failed(path, error))]


def _inspect(path: Path, connection: sqlite3.Connection, application_id: int, newest: int) -> list[str]:
    def number(query: str) -> int:
        return int(connection.execute(query).fetchone()[0])

    if number("PRAGMA application_id") != application_id:
        return [f"{path} is the database of another program"]
    version = number("PRAGMA user_version")
    if version > newest:
        return [f"{path} was written by a newer version of seckex (schema {version}, this one knows {newest})"]
    rows = connection.execute(f"PRAGMA quick_check({MOST_FAULTS})").fetchall()
    return [f"{path}: {row[0]}" for row in rows if row[0] != "ok"]


def copy_database(path: Path, copy: Path) -> None:
    """Copy a database as it is at one moment into the file ``copy``, while others may be writing to it."""
    with (
        closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)
