"""The processes of the demo: daemons and a web server, their logs, and their end.

Every process is started by us, belongs to a process group of its own and is
ended by its id. What a daemon logs is read as it is written, one JSON object a
line; nothing is simulated. On a slow machine things take longer, and mean the
same: all waits end long after what takes a second or two elsewhere.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from attrs import define, field

from seckex.errors import SeckexError

PATIENCE: Final = 120.0
_GRACE: Final = 60.0
_POLL: Final = 0.02
#: Below those that Linux gives to whoever wants any port, so that nobody is given one before its daemon listens.
PORTS: Final = range(10_000, 32_768)
_MOST_CLAIMS: Final = 200
_claims: Final[deque[socket.socket]] = deque()
#: Has glibc write over all memory that is let go (docs/security.md, "Secrets in memory and at rest").
OVERWRITING: Final = {
    "PYTHONMALLOC": "malloc",
    "GLIBC_TUNABLES": "glibc.malloc.perturb=165:glibc.malloc.tcache_count=0",
}


class DemoFailed(SeckexError):
    """The demo could not go on, and why."""


def free_port(*kinds: int, host: str = "127.0.0.1", hosts: Sequence[str] = (), among: range = PORTS) -> int:
    """Return a TCP port of a loopback address, or of several, that is free for all ``kinds`` of socket as well.

    No other process is told of it, whatever its address: the last 200 that this one was told of are its own while it
    runs.
    """
    for _ in range(64):
        port = among[secrets.randbelow(len(among))]
        wanted = [(each, kind) for each in hosts or (host,) for kind in (socket.SOCK_STREAM, *kinds)]
        if all(_can_bind(kind, (each, port)) for each, kind in wanted) and _claim(port):
            return port
    raise DemoFailed(f"no port of {', '.join(hosts) or host} is free")


def _can_bind(kind: int, address: tuple[str, int]) -> bool:
    with closing(socket.socket(socket.AF_INET, kind)) as bound:
        try:
            bound.bind(address)
        except OSError:
            return False
    return True


def _claim(port: int) -> bool:
    """Make a port ours by a name that the kernel lets one process have, until it ends; tell whether it was."""
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        claim.bind(f"\0seckex-port-{port}")
    except OSError:
        claim.close()
        return False
    _claims.append(claim)
    if len(_claims) > _MOST_CLAIMS:
        _claims.popleft().close()
    return True


def twistd() -> str:
    """Return the path of the ``twistd`` that belongs to this Python."""
    return _beside("twistd")


def seckex() -> str:
    """Return the path of the ``seckex`` command that belongs to this Python."""
    return _beside("seckex")


def _beside(program: str) -> str:
    beside = Path(sys.executable).parent / program
    found = str(beside) if beside.exists() else shutil.which(program)
    if not found:
        raise DemoFailed(f"there is no {program} beside this Python: install seckex with pip")
    return found


@define
class Process:
    """One process and, for a daemon, its log; memory that it lets go is overwritten where that is wanted."""

    name: str
    command: list[str]
    directory: Path
    log: Path | None = None
    overwriting: bool = False
    _child: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _read: int = field(default=0, init=False)

    @property
    def output(self) -> Path:
        """Where what it prints goes."""
        return self.directory / f"{self.name}.out"

    def start(self, passed: tuple[int, ...] = ()) -> None:
        """Start it; it inherits the descriptors ``passed``."""
        with self.output.open("wb") as output:
            self._child = subprocess.Popen(  # noqa: S603  # the command is ours
                self.command,
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=passed,
                env=os.environ | (OVERWRITING if self.overwriting else {}),
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid if self._child else 0

    @property
    def status(self) -> int:
        """Its exit status, -1 while it has none."""
        found = self._child.returncode if self._child else None
        return -1 if found is None else found

    def check(self) -> None:
        """Raise `DemoFailed` if it has ended by itself."""
        if self._child is not None and self._child.poll() is not None:
            tail = self.output.read_text(errors="replace").strip().splitlines()[-5:]
            raise DemoFailed(f"{self.name} has ended with status {self._child.returncode}: {' | '.join(tail)}")

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield what it has logged since the last call."""
        if self.log is None or not self.log.exists():
            return
        with self.log.open("rb") as log:
            log.seek(self._read)
            for line in log:
                if not line.endswith(b"\n"):
                    break
                self._read += len(line)
                yield json.loads(line)

    def kill(self) -> None:
        """End it as the kernel would, without a word to it; it can be started again."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()

    def stop(self, grace: float = _GRACE) -> bool:
        """End it; return whether it ended by being asked, within ``grace`` seconds."""
        if self._child is None:
            return True
        if self._child.poll() is None:
            os.kill(self._child.pid, signal.SIGTERM)
        try:
            self._child.wait(grace)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
            return False
        return True


@define
class Cast:
    """All processes of the demo; ``told`` hears each event with the name of who logged it, oldest first."""

    told: Callable[[str, dict[str, Any]], None]
    processes: list[Process] = field(factory=list)

    def add(self, process: Process) -> Process:
        """Start one more."""
        process.start()
        self.processes.append(process)
        return process

    def kill(self, process: Process) -> None:
        """Kill one, which may be added again."""
        self.processes.remove(process)
        process.kill()

    def wait(self, what: str, done: Callable[[], bool]) -> None:
        """Tell events until ``done`` says so; raise `DemoFailed` after `PATIENCE`, or when a process has ended."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            self.tell()
            if done():
                return
            for process in self.processes:
                process.check()
            time.sleep(_POLL)
        raise DemoFailed(f"waited {PATIENCE:.0f} s in vain for {what}")

    def tell(self) -> None:
        """Tell what was logged since the last call."""
        fresh = [(event["time"], process.name, event) for process in self.processes for event in process.events()]
        fresh.sort(key=lambda each: each[0])
        for _, name, event in fresh:
            self.told(name, event)

    def stop(self) -> list[str]:
        """End all, the last one first; return the names of those that had to be killed."""
        return [process.name for process in reversed(self.processes) if not process.stop()]
