"""Where programs of other processes find the messages of a daemon: its unix socket, and loopback TCP behind a token.

The unix socket is always there. What it brings in, an HTTP server, is imported when messages begin.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import IListeningPort

from seckex.config.files import read_private
from seckex.config.messages import MessageHttp, socket_name
from seckex.config.metrics import place_of
from seckex.config.problems import ConfigInvalid, Problem
from seckex.crypto.secrets import Secret
from seckex.net.delivery.messages import MessagesAtEdge

LEAST_TOKEN: Final = 32
MOST_TOKEN: Final = 4096


def read_token(file: Path) -> Secret:
    """Return the token in a file, without white space around it; raises `ConfigInvalid`."""
    octets = read_private(file, MOST_TOKEN).strip()
    if not len(octets) >= LEAST_TOKEN or any(not 0x21 <= octet <= 0x7E for octet in octets):
        raise ConfigInvalid(file, [Problem("", f"must be of {LEAST_TOKEN} visible ASCII characters at least")])
    return Secret(octets)


class Desk:
    """See the module."""

    def __init__(self, reactor: Any, messages: MessagesAtEdge) -> None:
        from seckex.net.delivery.http.serving import MessagesServed

        self._reactor = reactor
        self._served = MessagesServed(messages, reactor)
        self._ports: list[IListeningPort] = []

    def open(self, http: MessageHttp, directory: Path, worker: int) -> None:
        """Listen; raises `ConfigInvalid`, `seckex.net.stale.SocketTaken` and Twisted's `CannotListenError`."""
        self._ports.append(self._served.listen_unix(http.socket or directory / socket_name(worker)))
        if http.listen and http.token_file is not None:
            factory = self._served.over_tcp(read_token(http.token_file))
            for place in http.listen:
                found = place_of(place)
                if found is not None:
                    self._ports.append(self._reactor.listenTCP(found[1], factory, interface=found[0]))

    def close(self) -> Deferred[Any]:
        """Listen no more, and close what is open."""
        ports, self._ports = self._ports, []
        stopping = DeferredList([maybeDeferred(port.stopListening) for port in ports], consumeErrors=True)
        self._served.close()
        return stopping
