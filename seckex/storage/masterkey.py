"""The file of the master key: two lines, a header with the version and 64 hexadecimal digits.

    seckex master key 1             seckex master key 2
    <64 digits>                     <64 digits of the key that seals>
                                    <64 digits of the one that it takes the place of>

It is made when a daemon first starts, before there is a database, and never
again: a database without its key is not a reason to draw another. Several
workers may start at once; a new key appears under its name whole or not at all,
and only one of them wins. Nothing of the content is ever part of an error.

Version 2 stands while the master key is exchanged: `put_new_key` writes it, and
`drop_former_key` version 1 again, each time as another file that takes the place
of the one before, whole and durable. Both are for a process that is alone.
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
BOTH: Final = b"seckex master key 2"
_DIGITS: Final = 2 * MASTER_KEY_SIZE
_FORMAT: Final = re.compile(re.escape(HEADER) + rb"\n([0-9a-f]{%d})\n" % _DIGITS)
_FORMAT_OF_BOTH: Final = re.compile(re.escape(BOTH) + rb"\n([0-9a-f]{%d})\n([0-9a-f]{%d})\n" % (_DIGITS, _DIGITS))
_SIZE: Final = len(HEADER) + _DIGITS + 2
_MOST: Final = _SIZE + _DIGITS + 1


def load_master_key(path: Path, database: Path, entropy: Callable[[int], bytes], owner: int | None = None) -> MasterKey:
    """Return the master key in the file ``path``, which is made if neither it nor ``database`` exists.

    ``entropy(n)`` returns n random octets; ``owner`` is the user that the file belongs to, this
    process's unless given. Raises `StoreFailed`, which says what to do.
    """
    # Asked first: another worker that starts now makes the key before the database.
    fresh = not os.path.lexists(database)
    try:
        try:
            return _master(_read(path, owner))
        except FileNotFoundError:
            if not fresh:
                raise StoreFailed(
                    f"the master key {path} is missing, and {database} cannot be read without it: restore the key, "
                    "or move the database away to begin anew"
                ) from None
        _create(path, entropy)
        return _master(_read(path, owner))
    except OSError as error:
        raise StoreFailed(f"the master key {path} cannot be used: {error.strerror}") from error


def put_new_key(path: Path, held: MasterKey, entropy: Callable[[int], bytes]) -> MasterKey:
    """Put a new master key into the file ``path``, beside ``held``, which must be there; return both.

    Nothing is put where both are there already. Raises `StoreFailed`, with the file as it was.
    """
    path = path.resolve()
    try:
        keys = _read(path, None)
        if not any(MasterKey(key).is_same(held) for key in keys):
            raise _another(path)
        if len(keys) == 1:
            keys = (Secret(entropy(MASTER_KEY_SIZE)), *keys)
            _replace(path, keys)
    except OSError as error:
        raise _unreplaced(path, error) from error
    return _master(keys)


def drop_former_key(path: Path, held: MasterKey) -> MasterKey:
    """Leave of the two keys in the file ``path`` the new one, which must be ``held``; return it alone.

    Raises `StoreFailed`.
    """
    path = path.resolve()
    try:
        keys = _read(path, None)
        if not _master(keys[:1]).is_same(held):
            raise _another(path)
        if len(keys) > 1:
            _replace(path, keys[:1])
    except OSError as error:
        raise _unreplaced(path, error) from error
    return _master(keys[:1])


def read_key_file(path: Path) -> tuple[bytes, tuple[str, ...]]:
    """Return what is in the file ``path``, and the names of its keys, that which seals first; raises `StoreFailed`."""
    try:
        keys = _read(path, None)
    except OSError as error:
        raise StoreFailed(f"the master key {path} cannot be read: {error.strerror}") from error
    return _content(keys), tuple(MasterKey(key).name for key in keys)


def _another(path: Path) -> StoreFailed:
    return StoreFailed(f"the master key {path} is another one than the daemon has: restore the one of before")


def _unreplaced(path: Path, error: OSError) -> StoreFailed:
    return StoreFailed(
        f"the master key {path} cannot be replaced: {error.strerror}; the user that the daemon runs as must be able to "
        "read it and to write to its directory"
    )


def _master(keys: tuple[Secret, ...]) -> MasterKey:
    former = MasterKey(keys[1]) if len(keys) > 1 else None
    return MasterKey(keys[0], former)


def _read(path: Path, owner: int | None) -> tuple[Secret, ...]:
    """Return the key that seals and, if it is there, the one before."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise StoreFailed(f"the master key {path} is not a regular file")
        # Root may keep it from the daemon's user, as a file that is read before privileges are dropped.
        refuse_if_open(path, status, 0 if status.st_uid == 0 else owner)
        content = os.read(descriptor, _MOST + 1)
    finally:
        os.close(descriptor)
    found = _FORMAT.fullmatch(content) or _FORMAT_OF_BOTH.fullmatch(content)
    if found is None:
        raise StoreFailed(
            f"{path} is not a master key of version 1 ({_SIZE} octets: a line '{HEADER.decode()}' and a line of "
            f"{_DIGITS} lower-case hexadecimal digits) or 2 ('{BOTH.decode()}', two keys): restore it from a backup"
        )
    return tuple(Secret(bytes.fromhex(digits.decode())) for digits in found.groups())


def _content(keys: tuple[Secret, ...]) -> bytes:
    header = HEADER if len(keys) == 1 else BOTH
    return b"".join(line + b"\n" for line in (header, *(key.octets.hex().encode() for key in keys)))


def _replace(path: Path, keys: tuple[Secret, ...]) -> None:
    # Under one name, so that what a process left that was killed here is found and removed.
    draft = path.with_name(f".{path.name}.draft")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(draft)
    try:
        _write(draft, _content(keys))
        os.replace(draft, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(draft)
        raise
    sync_directory(path.parent)


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _create(path: Path, entropy: Callable[[int], bytes]) -> None:
    draft = path.with_name(f".{path.name}.{entropy(8).hex()}")
    try:
        _write(draft, _content((Secret(entropy(MASTER_KEY_SIZE)),)))
        # Unlike a rename a link does not replace the key of a worker that was faster.
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft)
    sync_directory(path.parent)
