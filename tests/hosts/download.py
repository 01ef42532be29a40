"""A download that runs as long as the test wants: a server and a client on unix sockets, in threads of the test."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import threading
import time
from pathlib import Path
from typing import Final

PIECE: Final = 16384
#: Seconds between pieces: some 3 MiB/s, which leaves the processors to the daemons.
PAUSE: Final = 0.005
_WITHIN: Final = 120.0


class Server:
    """Says pieces, no two alike, to everybody who connects, until `finish`."""

    def __init__(self, path: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self.finishing = threading.Event()
        self.said: list[str] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        self.finishing.set()
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._say, args=(connection,), daemon=True).start()

    def _say(self, connection: socket.socket) -> None:
        digest, number = hashlib.sha256(), 0
        with connection, contextlib.suppress(OSError):
            while not self.finishing.wait(PAUSE):
                number += 1
                piece = number.to_bytes(8, "big") * (PIECE // 8)
                connection.sendall(piece)
                digest.update(piece)
            self.said.append(digest.hexdigest())


class Download:
    """A client; ``received`` counts octets as they come, ``broken`` says why they stopped before the end."""

    def __init__(self, path: Path) -> None:
        self.received = 0
        self.digest = hashlib.sha256()
        self.broken = ""
        self.longest_pause = 0.0
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        last = time.monotonic()
        try:
            while octets := self._socket.recv(1 << 16):
                now = time.monotonic()
                self.longest_pause, last = max(self.longest_pause, now - last), now
                self.received += len(octets)
                self.digest.update(octets)
        except OSError as error:
            self.broken = str(error)
        self._socket.close()

    @property
    def over(self) -> bool:
        """Whether nothing comes any more."""
        return not self._thread.is_alive()

    def finished(self) -> str:
        """Wait for the end, and return the SHA-256 of all that came."""
        self._thread.join(_WITHIN)
        return self.digest.hexdigest()
