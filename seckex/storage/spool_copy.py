"""The files of the spool that a copy of the database of messages refers to, as they are at the moment of the copy.

They are opened at that moment: what is dropped afterwards is still read, and its
key is in the header, which is read at once. Of very many files the rest is
opened when it is its turn; `Vanished` is raised for one that was dropped by then.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from attrs import frozen

from seckex.sa.store import WORKER_MASK
from seckex.storage.private import DIRECTORY_MODE, FILE_MODE, sync_directory
from seckex.storage.spool import HEADER, spool_directory

#: Files that are held open.
MOST_OPEN: Final = 256
_AT_ONCE: Final = 1 << 20
_NAMES: Final = (
    "SELECT dialog, spool FROM segment WHERE spool <> '' UNION SELECT dialog, spool FROM dead WHERE spool <> ''"
)


class Vanished(Exception):
    """A file is not there."""


@frozen
class SpoolFile:
    """A file of a spool: its place within a state directory, its header, and the rest if it is held open."""

    place: Path
    header: bytes
    descriptor: int | None


def needed_files(connection: sqlite3.Connection) -> list[Path]:
    """Return where the files stand that a database of messages refers to, within a state directory."""
    found = connection.execute(_NAMES).fetchall()
    return sorted(
        spool_directory(Path(), dialog_id[-1] & WORKER_MASK) / name
        for dialog_id, name in found
        if isinstance(dialog_id, bytes) and dialog_id and isinstance(name, str) and Path(name).name == name
    )


def hold_files(connection: sqlite3.Connection, state: Path, held: ExitStack) -> tuple[list[SpoolFile], list[Path]]:
    """Return the files that are needed, open until ``held`` is closed, and which are missing; raises `OSError`."""
    files: list[SpoolFile] = []
    missing: list[Path] = []
    for place in needed_files(connection):
        try:
            descriptor = os.open(state / place, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            missing.append(place)
            continue
        header = os.pread(descriptor, HEADER, 0)
        if len(files) < MOST_OPEN:
            held.callback(os.close, descriptor)
            files.append(SpoolFile(place, header, descriptor))
        else:
            os.close(descriptor)
            files.append(SpoolFile(place, header, None))
    return files, missing


def copy_files(files: list[SpoolFile], state: Path, target: Path, copied: Callable[[int], object]) -> int:
    """Copy files into the state directory ``target``, durably; return their octets; raises `OSError` and `Vanished`.

    ``copied`` is told how many are copied.
    """
    octets = 0
    directories: set[Path] = set()
    for done, file in enumerate(files, 1):
        path = target / file.place
        for directory in (path.parent.parent, path.parent):
            directory.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
            directories.add(directory)
        octets += _copied(file, state, path)
        copied(done)
    for directory in directories:
        sync_directory(directory)
    return octets


def _copied(file: SpoolFile, state: Path, path: Path) -> int:
    with ExitStack() as opened:
        descriptor = file.descriptor
        if descriptor is None:
            try:
                descriptor = os.open(state / file.place, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            except FileNotFoundError:
                raise Vanished from None
            opened.callback(os.close, descriptor)
            if os.pread(descriptor, HEADER, 0) != file.header:
                # Another file by now, or one that is being dropped.
                raise Vanished
        made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        target = opened.enter_context(os.fdopen(made, "wb"))
        target.write(file.header)
        at = len(file.header)
        while portion := os.pread(descriptor, _AT_ONCE, at):
            target.write(portion)
            at += len(portion)
        target.flush()
        os.fsync(target.fileno())
    return at
