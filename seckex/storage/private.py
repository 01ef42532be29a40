"""Files that nobody else may read: how they are made and what is refused.

A file or directory that is open to others is never quietly closed: by then its
content may be known, and whoever runs the daemon should hear of it.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from seckex.errors import StoreFailed

FILE_MODE: Final = 0o600
DIRECTORY_MODE: Final = 0o700


def refuse_if_open(path: Path, status: os.stat_result, owner: int | None = None) -> None:
    """Raise `StoreFailed` unless only ``owner``, this process's user unless given, can reach what ``status`` is of."""
    mode = stat.S_IMODE(status.st_mode)
    user = os.geteuid() if owner is None else owner
    if status.st_uid != user:
        raise StoreFailed(
            f"{path} belongs to user {status.st_uid}, this process runs as {user}; run as its owner or chown it"
        )
    if mode & 0o077:
        wanted = DIRECTORY_MODE if stat.S_ISDIR(status.st_mode) else FILE_MODE
        raise StoreFailed(f"{path} is open to other users (mode {mode:04o}); run: chmod {wanted:o} {path}")


def private_directory(path: Path) -> None:
    """Make the directory ``path`` with mode 0700, or see that the one that is there is private."""
    try:
        try:
            path.mkdir(mode=DIRECTORY_MODE)
        except FileExistsError:
            if not path.is_dir():
                raise StoreFailed(f"{path} is not a directory") from None
        else:
            sync_directory(path.parent)
        refuse_if_open(path, path.stat())
    except OSError as error:
        raise StoreFailed(f"{path} cannot be used as a directory: {error.strerror}") from error


def private_file(path: Path) -> None:
    """Make the empty file ``path`` with mode 0600, or see that the one that is there is private."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, FILE_MODE)
        try:
            status = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise StoreFailed(f"{path} is not a regular file")
        refuse_if_open(path, status)
        sync_directory(path.parent)
    except OSError as error:
        raise StoreFailed(f"{path} cannot be opened: {error.strerror}") from error


def sync_directory(path: Path) -> None:
    """Make the names in the directory ``path`` durable; raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
