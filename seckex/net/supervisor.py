"""What a supervisor is told: ready, reloading, stopping, alive (sd_notify(3)).

A few lines over the datagram socket that ``NOTIFY_SOCKET`` names, without a
library. Who is not supervised tells nobody, and nothing here ever fails: a
supervisor that cannot be told finds out by its own time-outs.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from twisted.internet.task import LoopingCall

_MICRO: Final = 1_000_000


class Supervisor:
    """Told over ``NOTIFY_SOCKET``, if the environment has one."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        variables = os.environ if environ is None else environ
        address = variables.get("NOTIFY_SOCKET", "")
        # A name that begins with @ is one of Linux's abstract ones.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._every = _interval(variables)
        self._beating: LoopingCall | None = None

    def watch(self, reactor: Any) -> None:
        """From now on tell that the reactor turns, twice in each interval that was asked for."""
        if self._address and self._every:
            self._beating = LoopingCall(self._tell, "WATCHDOG=1")
            self._beating.clock = reactor
            self._beating.start(self._every / 2)

    def ready(self, status: str) -> None:
        """Tell that the daemon serves, or serves again after a reload; ``status`` is a line for people."""
        self._tell("READY=1", f"STATUS={' '.join(status.split())}")

    def reloading(self) -> None:
        """Tell that a reload has begun."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Tell that the daemon stops."""
        if self._beating is not None:
            self._beating.stop()
            self._beating = None
        self._tell("STOPPING=1")

    def _tell(self, *lines: str) -> None:
        if self._address:
            with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as told:
                told.setblocking(False)
                told.sendto("\n".join(lines).encode(), self._address)


def _interval(environ: Mapping[str, str]) -> float:
    """Return how often the supervisor wants a sign of life, in seconds; 0 where it does not."""
    try:
        pid = int(environ.get("WATCHDOG_PID") or os.getpid())
        return int(environ.get("WATCHDOG_USEC") or 0) / _MICRO if pid == os.getpid() else 0.0
    except ValueError:
        return 0.0
