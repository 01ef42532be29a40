"""Locks between processes: one worker of each number in a state directory, one process at a time opening a database.

The locks are `flock`'s: they go with the process that holds them, however it
ends, and the files stay, since removing them would let two processes lock two
files of one name. They do not reach over network file systems.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seckex.errors import StoreFailed
from seckex.storage.private import FILE_MODE


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)


class WorkerLock:
    """Held for life by the worker ``worker`` on the state directory ``directory``.

    Raises `StoreFailed` when another process holds it. Take it before the database is opened.
    """

    __slots__ = ("_descriptor", "path")

    def __init__(self, directory: Path, worker: int) -> None:
        path = self.path = directory / f"worker-{worker}.lock"
        try:
            self._descriptor = _open(path)
        except OSError as error:
            raise StoreFailed(f"{path} cannot be opened: {error.strerror}") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, b"%d\n" % os.getpid(), 0)
        except BlockingIOError:
            holder = os.pread(self._descriptor, 16, 0).decode(errors="replace").strip()
            os.close(self._descriptor)
            raise StoreFailed(
                f"worker {worker} is already running on {directory}{f' as process {holder}' if holder else ''}: "
                "give each worker its own number, or this daemon another state directory"
            ) from None
        except OSError as error:
            os.close(self._descriptor)
            raise StoreFailed(f"{path} cannot be locked: {error.strerror}") from error

    def release(self) -> None:
        """Let another process be this worker."""
        os.close(self._descriptor)


def others_at_work(directory: Path, worker: int) -> list[int]:
    """Return which other workers run on a state directory at this moment; raises `OSError`."""
    found: list[int] = []
    for path in directory.glob("worker-*.lock"):
        number = path.stem.removeprefix("worker-")
        if not number.isdecimal() or int(number) == worker:
            continue
        descriptor = _open(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            found.append(int(number))
        finally:
            os.close(descriptor)
    return sorted(found)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file ``path`` while the block runs, having waited for it; raises `OSError`."""
    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
