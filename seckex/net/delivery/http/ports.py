"""Where a daemon serves messages over HTTP: its sockets, opened at a start and changed while it runs.

Who makes it imports it where there is ``[messages]`` only: it brings in an HTTP server.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort

from seckex.config.files import Owner, read_private
from seckex.config.messages import MessageHttp
from seckex.config.metrics import place_of
from seckex.config.problems import ConfigInvalid, Problem
from seckex.crypto.secrets import Secret
from seckex.errors import SeckexError
from seckex.net.delivery.http.looking import Readable
from seckex.net.delivery.http.serving import MessagesServed
from seckex.net.stale import SocketTaken

LEAST_TOKEN: Final = 32
MOST_TOKEN: Final = 1024


class HttpUnavailable(SeckexError):
    """A socket cannot be had."""


class MessagePorts:
    """`open` at a start, `change` at a reload, `close` at the end.

    ``default`` is the unix socket where the settings name none.
    """

    def __init__(self, reactor: Any, messages: Readable, http: MessageHttp, default: Path) -> None:
        self._reactor = reactor
        self._default = default
        self._http = http
        self._listening: dict[str, IListeningPort] = {}
        self.served = MessagesServed(messages, reactor)

    def open(self) -> None:
        """Serve; raises `HttpUnavailable` and `ConfigInvalid`, and then nothing is served."""
        token = token_of(self._http)
        self._listening = self._opened(self._http)
        self.served.gate.token = token

    def change(self, http: MessageHttp) -> None:
        """Serve where other settings say; raises as `open` does, and then all stays as it was.

        Another token is asked for from the next request on; what is served by then goes on.
        """
        token = token_of(http)
        opened = self._opened(http)
        for name in self._listening.keys() - opened.keys():
            self._listening[name].stopListening()
        self._http, self._listening = http, opened
        self.served.gate.token = token

    def addresses(self) -> list[str]:
        """Return where it is served, in words."""
        return [f"{name}, messages" for name in self._listening]

    def close(self) -> list[Deferred[Any]]:
        """Serve no more: what programs have is given back."""
        listening, self._listening = self._listening, {}
        stopping = [maybeDeferred(port.stopListening) for port in listening.values()]
        self.served.close()
        return stopping

    def _opened(self, http: MessageHttp) -> dict[str, IListeningPort]:
        """Return the ports of ``http``, by their names; those that there are stay."""
        opened: dict[str, IListeningPort] = {}
        name = str(http.socket or self._default)
        try:
            opened[name] = self._listening.get(name) or self.served.listen_unix(Path(name))
            for name in http.listen:
                opened[name] = self._listening.get(name) or self._over_tcp(name)
        except (SocketTaken, CannotListenError) as error:
            for each in opened.keys() - self._listening.keys():
                opened[each].stopListening()
            why = str(error.socketError) if isinstance(error, CannotListenError) else str(error)
            raise HttpUnavailable(f"messages cannot be served on {name}: {why}") from error
        return opened

    def _over_tcp(self, name: str) -> IListeningPort:
        host, port = place_of(name) or ("", 0)
        listening: IListeningPort = self._reactor.listenTCP(port, self.served.over_tcp(), interface=host)
        return listening


def token_of(http: MessageHttp, owner: Owner | None = None) -> Secret | None:
    """Return the token, None where there is none; raises `ConfigInvalid`."""
    if http.token_file is None:
        return None
    token = read_private(http.token_file, MOST_TOKEN, owner).strip()
    if len(token) < LEAST_TOKEN or not token.isascii() or not token.decode().isprintable() or b" " in token:
        said = f"must have {LEAST_TOKEN} to {MOST_TOKEN} visible ASCII characters"
        raise ConfigInvalid(http.token_file, [Problem("", said)])
    return Secret(token)
