"""What can be seen on this machine without asking anybody: files, disk, database, clock."""

from __future__ import annotations

import os
import shlex
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from seckex.cli.doctor.finding import Finding, bad, doubtful, good
from seckex.config.common import Debug, State
from seckex.storage.inspect import inspect_database, inspect_messages
from seckex.storage.messages.schema import MESSAGES

DATABASE: Final = "seckex.db"
LITTLE: Final = 256 * 2**20
TOO_LITTLE: Final = 16 * 2**20
# No clock was right before this program was there.
EARLIEST: Final = 1_735_689_600.0
_SLACK: Final = 5.0


def files(state: State) -> Iterator[Finding]:
    """Look at the state directory and what is in it; key files are looked at with the configuration."""
    directory = state.directory
    try:
        found = directory.stat()
        names = sorted(directory.iterdir())
    except FileNotFoundError:
        yield doubtful("files", f"{directory} is not there", "nothing, if the daemon was never started: it makes it")
        return
    except OSError as error:
        advice = "run this as the user that the daemon runs as"
        yield bad("files", f"{directory} cannot be looked at: {error.strerror}", advice)
        return
    if found.st_uid != os.geteuid():
        yield doubtful("files", f"{directory} belongs to user {found.st_uid}", "run this as the daemon's user")
    open_to_others = [path for path in (directory, *names) if _open_to_others(path)]
    for path in open_to_others:
        mode = "0700" if path == directory else "0600"
        yield bad("files", f"{path} is open to other users", f"chmod {mode} {shlex.quote(str(path))}")
    if not state.master_key.exists() and (directory / DATABASE).exists():
        yield bad(
            "files",
            f"{state.master_key} is missing, and the database cannot be read without it",
            "restore it, or move the database and its -wal and -shm files away: peers then negotiate anew",
        )
    elif not open_to_others:
        yield good("files", f"{directory} and the {len(names)} files in it are closed to others")


def key_log(debug: Debug) -> Iterator[Finding]:
    """Look for a key log, which nobody should have who does not look at captured traffic right now."""
    path = debug.key_log
    if path is not None:
        advice = "take debug.key-log out of the configuration, restart the daemon and remove the file when you are done"
        yield doubtful("key log", f"the keys of all links are written to {path}", advice)
        if _open_to_others(path):
            yield bad("key log", f"{path} is open to other users", f"chmod 0600 {shlex.quote(str(path))}")


def _open_to_others(path: Path) -> bool:
    try:
        found = path.lstat()
    except OSError:
        return False
    return not stat.S_ISLNK(found.st_mode) and bool(found.st_mode & 0o077)


def disk(state: State) -> Iterator[Finding]:
    """Look at the room that is left where the state is."""
    place = next((path for path in (state.directory, *state.directory.parents) if path.exists()), Path("/"))
    found = os.statvfs(place)
    free = found.f_bavail * found.f_frsize
    mebioctets = f"{free // 2**20} MiB are free at {place}"
    if free < TOO_LITTLE or (found.f_files and not found.f_favail):
        what = mebioctets if free < TOO_LITTLE else f"no more files can be made at {place}"
        yield bad("disk", what, "make room: without it nothing can be agreed (code 130 to peers)")
    elif free < LITTLE:
        yield doubtful("disk", mebioctets, "make room before it is used up")
    else:
        yield good("disk", mebioctets)


def database(state: State) -> Iterator[Finding]:
    """Look at the database, without changing it."""
    path = state.directory / DATABASE
    try:
        faults = inspect_database(path)
    except FileNotFoundError:
        yield good("database", "there is none yet: the daemon makes it")
        return
    except OSError as error:
        yield bad("database", f"{path} cannot be read: {error.strerror}", "run this as the daemon's user")
        return
    advice = "stop the daemon and move the database and its -wal and -shm files away: peers then negotiate anew"
    yield from (bad("database", fault, advice) for fault in faults)
    if not faults:
        yield good("database", f"{path} is sound")
    yield from _messages(state.directory / MESSAGES)


def _messages(path: Path) -> Iterator[Finding]:
    try:
        faults = inspect_messages(path)
    except FileNotFoundError:
        return
    except OSError as error:
        yield bad("database", f"{path} cannot be read: {error.strerror}", "run this as the daemon's user")
        return
    advice = "restore it from a backup, or see what the messages were with: seckex outbox, seckex inbox"
    yield from (bad("database", fault, advice) for fault in faults)
    if not faults:
        yield good("database", f"{path} is sound")


def clock(state: State) -> Iterator[Finding]:
    """Look at whether the clock can be right: after this program was made, and after the files that it wrote."""
    now = time.time()
    advice = "set the clock and have it kept (NTP): peers take requests within their clock-window only"
    if now < EARLIEST:
        yield bad("clock", f"it is {_date(now)} by this clock", advice)
        return
    try:
        newest = max((path.lstat().st_mtime for path in state.directory.iterdir()), default=0.0)
    except OSError:
        newest = 0.0
    if newest > now + _SLACK:
        what = f"it is {_date(now)} by this clock, and files of the daemon are of {_date(newest)}"
        yield doubtful("clock", what, advice)
    else:
        yield good("clock", f"it is {_date(now)}")


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
