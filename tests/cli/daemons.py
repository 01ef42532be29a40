"""Something that answers on a control socket, for the command to talk to."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase


class ScriptedDaemon:
    """Answers each connection's request with the same octets, then closes it; ``None``: says nothing."""

    def __init__(self, test: SynchronousTestCase, path: Path, answer: bytes | None) -> None:
        self.requests: list[bytes] = []
        self._answer = answer
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(os.fspath(path))
        self._listener.listen()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        test.addCleanup(self._stop)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self.requests.append(connection.recv(65536))
                if self._answer is None:
                    self._done.wait()
                else:
                    connection.sendall(self._answer)

    def _stop(self) -> None:
        self._done.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
