"""The key log: a file to which each link's keys are written, for whoever takes captured traffic apart.

Only a configuration that names a file has one (`debug.key-log`). The file is
made with mode 0600; one that others can read is refused, and so is what is no
regular file. A line is written in one piece, so that several daemons may share a file.
What cannot be written is told of once and then given up: links go on.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from seckex.config.files import Owner
from seckex.config.load import give
from seckex.errors import StoreFailed
from seckex.storage.private import FILE_MODE, refuse_if_open

WARNING: Final = (
    "the keys of all links are written to {file} (debug.key-log): whoever reads it can read, and forge, all traffic"
)


class KeyLog:
    """The file at ``path``, open for appending; raises `StoreFailed` where it cannot be had, or must not be used.

    ``complain`` is told why a line could not be written.
    """

    def __init__(self, path: Path, owner: Owner, complain: Callable[[str], None]) -> None:
        fresh = not path.exists()
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            self._descriptor = os.open(path, flags, FILE_MODE)
        except OSError as error:
            raise StoreFailed(f"the key log {path} (debug.key-log) cannot be opened: {error.strerror}") from error
        self.path = path
        self._complain = complain
        try:
            if fresh:
                give(path, owner)
            status = os.fstat(self._descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise StoreFailed(f"{path} is not a regular file")
            refuse_if_open(path, status, owner.uid)
        except BaseException:
            self.close()
            raise

    def write(self, line: str) -> None:
        """Append ``line`` and a newline."""
        if self._descriptor < 0:
            return
        try:
            os.write(self._descriptor, f"{line}\n".encode())
        except OSError as error:
            self.close()
            self._complain(f"the key log {self.path} cannot be written: {error.strerror}")

    def close(self) -> None:
        """Write no more."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
