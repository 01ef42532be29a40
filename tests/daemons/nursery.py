"""Has imported all that daemons and the command need, and is forked for each of them: see `tests.daemons.forked`.

Run as a program, with a socket as its standard input. Each message on it is one process to begin: JSON, with the
descriptors of its standard output, its standard error and a socket of its own. That is told the process's id and, when
it has ended, its exit status as `subprocess` has it, each in four octets; it keeps the id until the other end says its
last, and is closed then. At the end of the first socket all processes are killed.

What the environment tells Python before it imports anything comes too late here, and so does what a program finds
about its beginning in /proc: who tests these needs a real beginning.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NoReturn

PRELOADED: Final = (
    *("twisted.scripts.twistd", "twisted.scripts._twistd_unix", "twisted.internet.epollreactor"),
    *(f"seckex.tap_{role}" for role in ("agent", "initiator", "kdc", "responder")),
    *(f"seckex.net.{role}" for role in ("agent", "initiator", "kdc", "responder")),
    "seckex.cli.main",
)
#: Made by whoever imports it, and not to be shared.
_NEVER: Final = "twisted.internet.reactor"
_PROGRAMS: Final = {"twistd": ("twisted.scripts.twistd", "run"), "seckex": ("seckex.cli.main", "main")}
_MOST: Final = 1 << 18
_CLONE_NEWNET: Final = 0x40000000
NUMBER: Final = struct.Struct("!i")


def main() -> None:
    """Serve until nobody is there to ask."""
    for module in PRELOADED:
        importlib.import_module(module)
    if _NEVER in sys.modules:
        raise RuntimeError(f"{_NEVER} has been imported")
    gc.collect()
    gc.freeze()
    asked = socket.socket(fileno=os.dup(0))
    ended, end = os.pipe()
    os.set_blocking(ended, False)
    os.set_blocking(end, False)
    signal.set_wakeup_fd(end)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    children: dict[int, socket.socket] = {}
    zombies: dict[socket.socket, int] = {}
    while True:
        sources: list[socket.socket | int] = [asked, ended, *zombies]
        ready = select.select(sources, [], [])[0]
        for teller in [each for each in zombies if each in ready]:
            os.waitpid(zombies.pop(teller), 0)
            teller.close()
        if ended in ready:
            os.read(ended, 4096)
            zombies |= _tell_of_ends(children)
        if asked in ready:
            message, descriptors, _, _ = socket.recv_fds(asked, _MOST, 3)
            if not message:
                break
            *streams, told = descriptors
            pid = os.fork()
            if not pid:
                _become(json.loads(message), streams)
            children[pid] = socket.socket(fileno=told)
            children[pid].sendall(NUMBER.pack(pid))
            for each in streams:
                os.close(each)
    for pid in children:
        os.kill(pid, signal.SIGKILL)


def _tell_of_ends(children: dict[int, socket.socket]) -> dict[socket.socket, int]:
    """Tell of all that have ended; return what will say when nobody needs their ids any more."""
    ended: dict[socket.socket, int] = {}
    for pid, teller in list(children.items()):
        found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if found is not None:
            status = found.si_status if found.si_code == os.CLD_EXITED else -found.si_status
            with suppress(BrokenPipeError):
                teller.sendall(NUMBER.pack(status))
            ended[children.pop(pid)] = pid
    return ended


def _become(wanted: Mapping[str, Any], streams: Sequence[int]) -> NoReturn:
    """Be the program that is wanted, to its end."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        # Who runs the tests may have it ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.setsid()
        os.chdir(wanted["directory"])
        null = os.open(os.devnull, os.O_RDWR)
        for number, descriptor in enumerate((null, *streams)):
            os.dup2(descriptor, number)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        if wanted["namespace"]:
            _enter(wanted["namespace"])
        os.environ.clear()
        os.environ.update(wanted["environment"])
        sys.argv = wanted["command"]
        module, function = _PROGRAMS[Path(sys.argv[0]).name]
        getattr(importlib.import_module(module), function)()
        status = 0
    except SystemExit as leaving:
        if isinstance(leaving.code, str):
            print(leaving.code, file=sys.stderr)
        status = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(status)


def _enter(namespace: str) -> None:
    """Go into a network namespace."""
    file = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(file, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), f"no way into {namespace}")
    os.close(file)


if __name__ == "__main__":
    main()
