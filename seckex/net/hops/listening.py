"""The ports on which neighbours find us for hops by TLS: taken early, read late, changed while the daemon runs."""

from __future__ import annotations

import socket
from errno import EADDRINUSE
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory

from seckex.config.hops import HopsListen
from seckex.net.sockets import Name, Sockets


class HopPorts:
    """The ports of ``factory``: `bind` and `open` at a start; `prepare`, and `settle` or `unprepare`, at a reload."""

    def __init__(self, reactor: Any, factory: IProtocolFactory, listen: HopsListen) -> None:
        self._reactor = reactor
        self._factory = factory
        self.listen = listen
        self._bound: dict[Name, socket.socket] = {}
        self._listening: dict[Name, IListeningPort] = {}

    def bind(self, sockets: Sockets) -> None:
        """Take every address; raises `CannotListenError`."""
        for name in _names(self.listen):
            self._bound[name] = sockets.take(name)

    def open(self) -> None:
        """Read from what was taken."""
        bound, self._bound = self._bound, {}
        for name, each in bound.items():
            self._listening[name] = self._reactor.adoptStreamPort(each.fileno(), each.family, self._factory)
            # The reactor has a descriptor of its own for it.
            each.close()

    def prepare(self, listen: HopsListen, sockets: Sockets) -> bool:
        """Take the addresses that are new; False if only a restart can. Raises `CannotListenError` if nothing can."""
        try:
            for name in _names(listen):
                if name not in self._listening:
                    self._bound[name] = sockets.take(name)
        except CannotListenError as error:
            self.unprepare()
            ours = any(port == error.port for _, _, port in self._listening)
            # An address that holds another one of the same port can be had when that one is closed, not before.
            if isinstance(error.socketError, PermissionError) or (ours and error.socketError.errno == EADDRINUSE):
                return False
            raise
        return True

    def settle(self, listen: HopsListen) -> None:
        """Listen as ``listen``, which was prepared, says."""
        self.listen = listen
        for name in self._listening.keys() - set(_names(listen)):
            self._listening.pop(name).stopListening()
        self.open()

    def unprepare(self) -> None:
        """Let go of what was taken and is not read from."""
        bound, self._bound = self._bound, {}
        for each in bound.values():
            each.close()

    def addresses(self) -> list[str]:
        """Return where neighbours can come, in words."""
        shown = (f"[{address}]" if ":" in address else address for address in self.listen.addresses)
        return [f"{address}:{self.listen.port} TCP, hops" for address in shown]

    def close(self) -> list[Deferred[Any]]:
        """Listen no more."""
        self.unprepare()
        listening, self._listening = self._listening, {}
        return [maybeDeferred(port.stopListening) for port in listening.values()]


def _names(listen: HopsListen) -> list[Name]:
    return [(socket.SOCK_STREAM, address, listen.port) for address in listen.addresses]
