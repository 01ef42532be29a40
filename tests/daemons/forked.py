"""Processes that are forked from one that has imported everything: a daemon begins in a tenth of the time.

They are what `seckex` and ``twistd`` run, in processes of their own, from the
installed package. One process of `tests.daemons.nursery` serves all tests of one
process, and ends with it. How programs begin in truth is shown by the demos and
by `tests.daemons.test_service`.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import cast

from attrs import define

from seckex.cli.demo.processes import Process
from tests.daemons import nursery


class Forked:
    """One of them, as far as `subprocess.Popen` is like it."""

    def __init__(self, told: socket.socket) -> None:
        self._told = told
        self.returncode: int | None = None
        self.pid = self._number()

    def poll(self) -> int | None:
        """Return its exit status, None while it runs."""
        return self._outcome(0)

    def wait(self, timeout: float | None = None) -> int:
        """Return its exit status; raises `subprocess.TimeoutExpired`."""
        status = self._outcome(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return status

    def kill(self) -> None:
        """End it as the kernel would."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def _outcome(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._told], [], [], timeout)[0]:
            self.returncode = self._number()
            # Its id is another's from now on.
            self._told.shutdown(socket.SHUT_WR)
            self._told.recv(1)
            self._told.close()
        return self.returncode

    def _number(self) -> int:
        octets = self._told.recv(nursery.NUMBER.size)
        if not octets:
            raise RuntimeError("the process that all others are forked from is gone")
        (number,) = nursery.NUMBER.unpack(octets)
        return int(number)


@cache
def _nursery() -> socket.socket:
    """Start what serves this process; it ends when this does."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    # Without a folder of its own on the path: what is installed is what runs.
    subprocess.Popen([sys.executable, "-P", nursery.__file__], stdin=theirs.fileno(), cwd="/")
    theirs.close()
    return ours


def fork(command: list[str], directory: Path, stdout: int, stderr: int, namespace: str = "") -> Forked:
    """Begin a process; its program is ``twistd`` or ``seckex``, wherever that is said to be.

    It writes to the two descriptors; a network namespace is given by its name.
    """
    wanted = {
        "command": command,
        "directory": str(directory),
        "environment": dict(os.environ),
        "namespace": namespace,
    }
    told, teller = socket.socketpair()
    with teller:
        socket.send_fds(_nursery(), [json.dumps(wanted).encode()], [stdout, stderr, teller.fileno()])
    return Forked(told)


def run(command: list[str], directory: Path, timeout: float) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, and return what it has printed; raises `subprocess.TimeoutExpired`."""
    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        process = fork(command, directory, stdout.fileno(), stderr.fileno())
        try:
            process.wait(timeout)
        finally:
            process.kill()
        for file in (stdout, stderr):
            file.seek(0)
        return subprocess.CompletedProcess(command, process.wait(), stdout.read(), stderr.read())


@define
class ForkedProcess(Process):
    """A process of a test, in a network namespace where one is named."""

    namespace: str = ""

    def start(self, passed: tuple[int, ...] = ()) -> None:
        """Start it; it inherits nothing."""
        if passed:
            raise ValueError("descriptors are inherited by processes with a beginning of their own")
        with self.output.open("wb") as output:
            begun = fork(self.command, self.directory, output.fileno(), output.fileno(), self.namespace)
        # A `Process` uses no more of it than that.
        self._child = cast("subprocess.Popen[bytes]", begun)
