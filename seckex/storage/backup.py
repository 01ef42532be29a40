"""A copy of a store that is in use, as it is at one moment, to begin with elsewhere or later.

The copy is a directory that can serve as a state directory as it is: mode 0700, the
databases, the files of the spool that they refer to, ``backup.json``, which says what
it is, and, where that is asked for, the master key. It is made under another name and
gets its own when it is whole and durable.

Writers go on meanwhile: SQLite shows the reader one moment, and keeps what is
written since in the write-ahead log, which grows by it. Pages are copied a few at a
time. Both databases are of one moment, as far as two can be; each stands on its own.

The copies are marked. The first daemon that begins with one notes the time, for good
(`SqliteStore.serve`, `MessageStore.serve`): what was said before that may have been
answered by the original, and is not to be taken for new. A copy that was made by other
means has no mark.

A file of the spool that is missing is left out and counted: whoever needs it is told
that it cannot be read.

With the master key it is seen to that the key opens the copy: where the key was
being exchanged meanwhile both are there, or it is copied once more.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any, Final, TypeAlias

from seckex.errors import StoreFailed
from seckex.storage.failures import store_failed
from seckex.storage.masterkey import read_key_file
from seckex.storage.messages import schema as messages_schema
from seckex.storage.messages.schema import MESSAGES
from seckex.storage.private import DIRECTORY_MODE, FILE_MODE, sync_directory
from seckex.storage.schema import APPLICATION_ID, MARK_COPY, MIGRATIONS, look_into
from seckex.storage.spool import SPOOL
from seckex.storage.spool_copy import Vanished, copy_files, hold_files

SCHEMA: Final = "seckex.backup/1"
MANIFEST: Final = "backup.json"
#: Pages of 4 KiB that are copied at once.
PORTION: Final = 1024
_TRIES: Final = 3

#: Told how many pages are left, and how many there are.
Tell: TypeAlias = Callable[[int, int], object]


def back_up(
    database: Path,
    key_file: Path,
    target: Path,
    wall: float,
    *,
    with_key: bool = False,
    tell: Tell = lambda _left, _all: None,
) -> dict[str, Any]:
    """Make the backup ``target``, a directory that must not exist, of ``database``; return what ``backup.json`` says.

    ``key_file`` is that of the master key, ``wall`` the time. Raises `StoreFailed`, having left nothing behind.
    """
    if os.path.lexists(target):
        raise StoreFailed(f"{target} exists and is left as it is: name another directory")
    draft = target.with_name(f".{target.name}.draft")
    try:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=DIRECTORY_MODE)
        try:
            said = _made(database, key_file, draft, wall, with_key, tell)
            sync_directory(draft)
            os.rename(draft, target)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        sync_directory(target.parent)
    except sqlite3.Error as error:
        raise store_failed(database, error) from error
    except OSError as error:
        raise StoreFailed(f"the backup {target} cannot be made: {error.strerror}") from error
    return said


def _made(database: Path, key_file: Path, directory: Path, wall: float, with_key: bool, tell: Tell) -> dict[str, Any]:
    for left in reversed(range(_TRIES)):
        before = read_key_file(key_file)
        try:
            of_messages = _copies(database, directory, tell, missing_is_final=not left)
        except Vanished:
            continue
        content, names = read_key_file(key_file)
        if before[0] == content:
            break
    else:
        raise StoreFailed("the master key was exchanged, or large messages went, again and again meanwhile: try later")
    said = {
        "schema": SCHEMA,
        "made": wall,
        "database": database.name,
        "database_schema": len(MIGRATIONS),
        "octets": (directory / database.name).stat().st_size,
        "master_keys": list(names),
        "has_key": with_key,
        "messages": of_messages,
    }
    if with_key:
        _write(directory / "master.key", content)
    _write(directory / MANIFEST, json.dumps(said, indent=2).encode() + b"\n")
    return said


def _copies(database: Path, directory: Path, tell: Tell, *, missing_is_final: bool) -> dict[str, Any] | None:
    """Copy everything; return what is said of messages, None where there are none; raises `Vanished`."""
    state = database.parent
    messages = state / MESSAGES
    shutil.rmtree(directory / SPOOL, ignore_errors=True)
    with ExitStack() as held:
        source = _moment(database, APPLICATION_ID, held)
        if not messages.exists() or not messages.stat().st_size:
            _copy(database, source, directory / database.name, tell)
            return None
        of_messages = _moment(messages, messages_schema.APPLICATION_ID, held)
        files, missing = hold_files(of_messages, state, held)
        if missing and not missing_is_final:
            # Most likely dropped since that moment: a later one does not need them.
            raise Vanished
        _copy(database, source, directory / database.name, tell)
        _copy(messages, of_messages, directory / MESSAGES, tell)
        whole = len(files)
        octets = copy_files(files, state, directory, lambda done: tell(whole - done, whole))
    return {
        "database": MESSAGES,
        "database_schema": len(messages_schema.MIGRATIONS),
        "octets": (directory / MESSAGES).stat().st_size,
        "files": whole,
        "file_octets": octets,
        "missing": len(missing),
    }


def _moment(database: Path, application_id: int, held: ExitStack) -> sqlite3.Connection:
    """Return a connection that sees a database as it is now, until ``held`` is closed."""
    source = held.enter_context(closing(look_into(database, sqlite3.Connection)))
    if source.execute("PRAGMA application_id").fetchone()[0] != application_id:
        raise StoreFailed(f"{database} is the database of another program")
    # One moment for all portions: without it each write of others would have it begin again.
    source.execute("BEGIN")
    source.execute("SELECT count(*) FROM meta").fetchone()
    return source


def _copy(database: Path, source: sqlite3.Connection, copy: Path, tell: Tell) -> None:
    with suppress(FileNotFoundError):
        copy.unlink()
    _write(copy, b"")
    with closing(sqlite3.connect(copy, isolation_level=None)) as made:
        source.backup(made, pages=PORTION, progress=lambda _status, left, pages: tell(left, pages))
        made.execute("PRAGMA synchronous = FULL")
        made.execute(MARK_COPY)
        made.execute("PRAGMA journal_mode = DELETE")
        faults = made.execute("PRAGMA quick_check(1)").fetchall()
    if faults != [("ok",)]:
        raise StoreFailed(f"{database} is damaged, and so would be its backup: {faults[0][0]}")
    descriptor = os.open(copy, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
