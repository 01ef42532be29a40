"""The file of the master key: two lines, a header with the version and 64 hexadecimal digits.

It is made when a daemon first starts, before there is a database, and never
again: a database without its key is not a reason to draw another. Several
workers may start at once; a new key appears under its name whole or not at all,
and only one of them wins. Nothing of the content is ever part of an error.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from seckex.crypto.atrest import MASTER_KEY_SIZE, MasterKey
from seckex.crypto.secrets import Secret
from seckex.errors import StoreFailed
from seckex.storage.private import FILE_MODE, refuse_if_open, sync_directory

HEADER: Final = b"seckex master key 1"
_FORMAT: Final = re.compile(re.escape(HEADER) + rb"\n([0-9a-f]{%d})\n" % (2 * MASTER_KEY_SIZE))
_SIZE: Final = len(HEADER) + 2 * MASTER_KEY_SIZE + 2


def load_master_key(path: Path, database: Path, entropy: Callable[[int], bytes], owner: int | None = None) -> MasterKey:
    """Return the master key in the file ``path``, which is made if neither it nor ``database`` exists.

    ``entropy(n)`` returns n random octets; ``owner`` is the user that the file belongs to, this
    process's unless given. Raises `StoreFailed`, which says what to do.
    """
    # Asked first: another worker that starts now makes the key before the database.
    fresh = not os.path.lexists(database)
    try:
        try:
            return _read(path, owner)
        except FileNotFoundError:
            if not fresh:
                raise StoreFailed(
                    f"the master key {path} is missing, and {database} cannot be read without it: restore the key, "
                    "or move the database away to begin anew"
                ) from None
        _create(path, entropy)
        return _read(path, owner)
    except OSError as error:
        raise StoreFailed(f"the master key {path} cannot be used: {error.strerror}") from error


def _read(path: Path, owner: int | None) -> MasterKey:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise StoreFailed(f"the master key {path} is not a regular file")
        # Root may keep it from the daemon's user, as a file that is read before privileges are dropped.
        refuse_if_open(path, status, 0 if status.st_uid == 0 else owner)
        content = os.read(descriptor, _SIZE + 1)
    finally:
        os.close(descriptor)
    found = _FORMAT.fullmatch(content)
    if found is None:
        raise StoreFailed(
            f"{path} is not a master key of version 1 ({_SIZE} octets: a line '{HEADER.decode()}' and a line of "
            f"{2 * MASTER_KEY_SIZE} lower-case hexadecimal digits): restore it from a backup"
        )
    return MasterKey(Secret(bytes.fromhex(found[1].decode())))


def _create(path: Path, entropy: Callable[[int], bytes]) -> None:
    draft = path.with_name(f".{path.name}.{entropy(8).hex()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(HEADER + b"\n" + entropy(MASTER_KEY_SIZE).hex().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        # Unlike a rename a link does not replace the key of a worker that was faster.
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        os.unlink(draft)
    sync_directory(path.parent)
