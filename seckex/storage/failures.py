"""What errors of SQLite and of the file system mean to whoever runs the daemon.

The texts tell what is the matter and what to do about it. Nothing of what was
to be stored is in them: SQLite's messages name tables and columns only.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from seckex.errors import StoreFailed

#: What becomes of it if the database of associations is moved away.
NEGOTIATED_ANEW: Final = "peers then negotiate anew"

# Result codes: https://www.sqlite.org/rescode.html; the low octet is the primary code.
_TEXTS: Final[Mapping[int, str]] = {
    sqlite3.SQLITE_FULL: "the disk that holds {path} is full, or a quota is used up: make room, nothing else is needed",
    sqlite3.SQLITE_BUSY: "{path} stays locked by another process: see which one has it open (fuser {path})",
    sqlite3.SQLITE_LOCKED: "{path} stays locked by another process: see which one has it open (fuser {path})",
    sqlite3.SQLITE_READONLY: "{path} cannot be written: see that its file system is mounted for writing and that this "
    "user owns the file and its -wal and -shm files",
    sqlite3.SQLITE_PERM: "{path} may not be accessed: see who owns it and its directory",
    sqlite3.SQLITE_CANTOPEN: "{path} cannot be opened: see that its directory exists and belongs to this user",
    sqlite3.SQLITE_CORRUPT: "{path} is damaged: restore it from a backup, or move it away together with its -wal and "
    "-shm files and start again; {loss}",
    sqlite3.SQLITE_NOTADB: "{path} is not a database, or is damaged: restore it from a backup, or move it away "
    "together with its -wal and -shm files and start again; {loss}",
    sqlite3.SQLITE_IOERR: "the disk that holds {path} does not read or write: see the kernel's log",
}

_CODES: Final[Mapping[int, int]] = {
    errno.ENOSPC: sqlite3.SQLITE_FULL,
    errno.EDQUOT: sqlite3.SQLITE_FULL,
    errno.EFBIG: sqlite3.SQLITE_FULL,
    errno.EIO: sqlite3.SQLITE_IOERR,
    errno.EACCES: sqlite3.SQLITE_PERM,
    errno.EPERM: sqlite3.SQLITE_PERM,
}


def damaged(path: Path, loss: str = NEGOTIATED_ANEW) -> StoreFailed:
    """Return what to raise for a database ``path`` that holds what nobody has written."""
    return StoreFailed(_TEXTS[sqlite3.SQLITE_CORRUPT].format(path=path, loss=loss))


def store_failed(path: Path, error: sqlite3.Error, loss: str = NEGOTIATED_ANEW) -> StoreFailed:
    """Return what to raise for ``error`` from the database ``path``; ``loss`` is what starting without it means."""
    code = getattr(error, "sqlite_errorcode", None)
    name = getattr(error, "sqlite_errorname", None)
    text = _TEXTS.get(code & 0xFF) if isinstance(code, int) else None
    if code is None:
        # Raised by Python's module, whose messages may quote what is stored.
        return StoreFailed(f"{path}: {type(error).__name__}")
    if text is None:
        return StoreFailed(f"{path}: {error} ({name})")
    return StoreFailed(f"{text.format(path=path, loss=loss)} ({name}: {error})")


def file_failed(path: Path, error: OSError) -> StoreFailed:
    """Return what to raise for ``error`` from the file ``path``."""
    code = _CODES.get(error.errno or 0)
    if code is not None:
        return StoreFailed(f"{_TEXTS[code].format(path=path)} ({error.strerror})")
    return StoreFailed(f"{path} cannot be used: {error.strerror}")
