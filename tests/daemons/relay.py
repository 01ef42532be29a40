"""Somebody between two daemons, in threads of the test: passes octets on, cuts connections, or swallows them.

It listens on an address of its own with the responder's port, for TCP and for
UDP, and is what the initiator takes for the responder.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterable
from enum import Enum, auto
from typing import Final

ADDRESS: Final = "127.0.0.2"
_PIECE: Final = 65536
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class Then(Enum):
    """What becomes of a connection over which so many octets have gone."""

    CUT = auto()
    """Both sides see it reset."""
    SWALLOW = auto()
    """It stays, and nothing goes through any more: a NAT has forgotten it."""


class Relay:
    """Passes TCP and UDP on to ``target``; connection n ends when ``budgets[n]`` octets have gone through it."""

    def __init__(self, target: tuple[str, int], budgets: Iterable[int] = (), then: Then = Then.CUT) -> None:
        self._target = target
        self._budgets = list(budgets)
        self._then = then
        self.ended = 0
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._tcp = socket.create_server((ADDRESS, target[1]))
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind((ADDRESS, target[1]))
        self._up = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._up.connect(target)
        self._client: tuple[str, int] | None = None
        for work in (self._accept, self._datagrams_up, self._datagrams_down):
            threading.Thread(target=work, daemon=True).start()

    def close(self) -> None:
        """Stop, and drop all connections."""
        for each in (self._udp, self._up, self._tcp, *self._sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._tcp.accept()
                budget = self._budgets.pop(0) if self._budgets else None
                try:
                    far = socket.create_connection(self._target)
                except OSError:
                    near.close()
                    continue
                self._sockets += (near, far)
                _Passing(self, near, far, budget, self._then)

    def count_ended(self) -> None:
        """Count a connection whose budget is used up."""
        with self._lock:
            self.ended += 1

    def _datagrams_up(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                octets, self._client = self._udp.recvfrom(_PIECE)
                with contextlib.suppress(ConnectionRefusedError):
                    self._up.send(octets)

    def _datagrams_down(self) -> None:
        while self._up.fileno() >= 0:
            try:
                octets = self._up.recv(_PIECE)
                if self._client is not None:
                    self._udp.sendto(octets, self._client)
            except ConnectionRefusedError:
                continue
            except OSError:
                return


class _Passing:
    """One connection through the relay."""

    def __init__(self, relay: Relay, near: socket.socket, far: socket.socket, budget: int | None, then: Then) -> None:
        self._relay = relay
        self._left = budget
        self._then = then
        self._ends = (near, far)
        self._lock = threading.Lock()
        self._over = False
        for source, sink in ((near, far), (far, near)):
            threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while octets := source.recv(_PIECE):
                octets = self._allowed(octets)
                if octets:
                    sink.sendall(octets)
                if self._over:
                    self._finish()
        if not self._over:
            with contextlib.suppress(OSError):
                sink.shutdown(socket.SHUT_WR)

    def _allowed(self, octets: bytes) -> bytes:
        with self._lock:
            if self._left is None:
                return octets
            octets = octets[: self._left]
            self._left -= len(octets)
            if not self._left and not self._over:
                self._over = True
                self._relay.count_ended()
            return octets

    def _finish(self) -> None:
        if self._then is Then.SWALLOW:
            return
        for each in self._ends:
            with contextlib.suppress(OSError):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                each.shutdown(socket.SHUT_RD)
            each.close()
