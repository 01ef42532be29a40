"""What happens, told as it happens to whoever watches: lines without end on a control connection.

A watcher that reads slowly must neither hold up the daemon nor fill its
memory. So what it has not taken waits in a queue of at most `MOST_WAITING`
octets; beyond it lines are dropped and counted, and when there is room again
the count stands in the stream where the lines are missing.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from typing import Any, Final

MOST_WAITING: Final = 2**18
DROPPED_SCHEMA: Final = "seckex.dropped/1"


class Watcher:
    """One stream; ``write`` is called with each line as soon as the watcher takes it."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._waiting: deque[bytes] = deque()
        self._octets = 0
        self._dropped = 0
        self._paused = False

    def tell(self, answer: dict[str, Any]) -> None:
        """Send a line, or keep it for later, or drop it."""
        line = _line(answer)
        if self._octets + len(line) > MOST_WAITING:
            self._dropped += 1
            return
        self._own_up()
        self._keep(line)
        self._flush()

    def pause(self) -> None:
        """Send nothing for the time being."""
        self._paused = True

    def resume(self) -> None:
        """Send what waits."""
        self._paused = False
        self._flush()
        if not self._waiting:
            self._own_up()
            self._flush()

    def _own_up(self) -> None:
        """Say how many lines are missing here."""
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            self._keep(_line({"schema": DROPPED_SCHEMA, "dropped": dropped}))

    def _keep(self, line: bytes) -> None:
        self._waiting.append(line)
        self._octets += len(line)

    def _flush(self) -> None:
        while self._waiting and not self._paused:
            line = self._waiting.popleft()
            self._octets -= len(line)
            self._write(line)


def _line(answer: dict[str, Any]) -> bytes:
    return json.dumps(answer, separators=(",", ":"), default=str).encode()
