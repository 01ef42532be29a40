"""Files of secrets, and files that must not be anybody else's to write.

A file of secrets must belong to us or to root and be closed to everybody else.
A certificate or a revocation list is no secret, but whoever can write it can
have others trusted: it must belong to us or to root, and only they may write it.
"""

from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path

from attrs import Factory, frozen

from seckex.config.problems import ConfigInvalid, Problem


@frozen
class Owner:
    """The user and the group that a daemon runs as, by their numbers; those of this process unless given."""

    uid: int = Factory(lambda: os.geteuid())
    gid: int = Factory(lambda: os.getegid())


def read_public(file: Path, most: int, owner: Owner | None = None) -> bytes:
    """Return what a file holds that others may read but not write, ``most`` octets at most; raises `ConfigInvalid`."""
    return _read(file, most, 0o644, "a file that is trusted", owner)


def read_private(file: Path, most: int, owner: Owner | None = None) -> bytes:
    """Return what a file of secrets holds, ``most`` octets at most.

    Raises `ConfigInvalid` if it is missing, no regular file, too long, not
    ``owner``'s (this process's user unless given) or root's, or if its mode is broader than 0600.
    """
    return _read(file, most, 0o600, "a secret", owner)


def _read(file: Path, most: int, allowed: int, what: str, owner: Owner | None) -> bytes:
    try:
        # Without O_NONBLOCK a pipe of that name would keep us waiting.
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            objection = _objection(file, os.fstat(descriptor), allowed, what, owner or Owner())
            octets = b"" if objection else os.read(descriptor, most + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise ConfigInvalid(file, [Problem("", f"cannot be read: {error.strerror}")]) from error
    if len(octets) > most:
        objection = f"is longer than {most} octets"
    if objection:
        raise ConfigInvalid(file, [Problem("", objection)])
    return octets


def _objection(file: Path, found: os.stat_result, allowed: int, what: str, owner: Owner) -> str:
    mode = stat.S_IMODE(found.st_mode)
    if not stat.S_ISREG(found.st_mode):
        return "is not a regular file"
    if found.st_uid not in (owner.uid, 0):
        return f"belongs to user {found.st_uid}, neither to user {owner.uid} who runs this nor to root"
    # Whether it may be executed is of no concern where others may read.
    if mode & (~allowed if allowed == 0o600 else 0o022):
        return f"has mode {mode:04o}, too open for {what}: run chmod {allowed:04o} {shlex.quote(str(file))}"
    return ""


def create_private(file: Path, octets: bytes) -> None:
    """Make a file of secrets with mode 0600, durably; FileExistsError if there is one, OSError if it cannot be made."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as stream:
            stream.write(octets)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError:
        file.unlink()
        raise
    directory = os.open(file.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
