"""The socket on which an operator's commands reach a daemon.

A unix socket with mode 0600; who connects must run as the daemon's user or as
root, as the kernel says. One JSON object a line in, ``{"command": "status"}``,
and one a line out: the command's answer, or ``{"schema": "seckex.error/1",
"error": "why", "word": "a-word-for-it"}``. An answer may take its time: until it
is there no further request of the connection is looked at. A stream is a
request that is answered by lines without end; see `seckex.net.watching`.

Bounds: a request has at most 64 KiB, and an answer 1 MiB. A list of an answer that has more
than 1,000 elements is cut, and all lists further if the answer is still too long;
then the object that holds the list has in ``"truncated"`` how many elements there
were, by the list's key. At most 16 connections, 8 of them streams, each closed after 30 s
without a request unless it waits for an answer or is a stream; who does not
read its answers is not read from.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

from twisted.internet import tcp, unix
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IDelayedCall, IListeningPort
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure

from seckex.errors import SeckexError
from seckex.net.stale import SocketTaken, remove_stale
from seckex.net.watching import Watcher

MAX_REQUEST: Final = 64 * 1024
MAX_ANSWER: Final = 2**20
MAX_ELEMENTS: Final = 1000
MAX_CONNECTIONS: Final = 16
MAX_STREAMS: Final = 8
IDLE_SECONDS: Final = 30.0
ERROR_SCHEMA: Final = "seckex.error/1"

Answer: TypeAlias = dict[str, Any]
Request: TypeAlias = dict[str, Any]


class Asked(dict[str, Any]):
    """A request that came over the socket, and which user asked."""

    def __init__(self, request: Request, user: int) -> None:
        super().__init__(request)
        self.user = user


Commands: TypeAlias = Mapping[str, Callable[[Request], Answer | Deferred[Answer]]]
# A stream is given what it tells and returns what ends it.
Streams: TypeAlias = Mapping[str, Callable[[Request, Watcher], Callable[[], None]]]

_CREDENTIALS: Final = struct.Struct("3i")  # struct ucred of unix(7): process, user, group


class ControlUnavailable(SeckexError):
    """The socket cannot be had: another daemon has it, or something else stands in its place."""


def peer_user(connection: socket.socket) -> int:
    """Return the user id of the process that connected."""
    octets = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    user: int = _CREDENTIALS.unpack(octets)[1]
    return user


class Declined(SeckexError):
    """A request that is understood and not granted; ``word`` tells programs why."""

    def __init__(self, why: str, word: str) -> None:
        super().__init__(why)
        self.word = word


class ControlProtocol(LineReceiver):
    """One operator's connection."""

    delimiter = b"\n"
    MAX_LENGTH = MAX_REQUEST
    transport: Any

    def __init__(self, control: ControlFactory) -> None:
        self._control = control
        self._idle: IDelayedCall | None = None
        self._user = -1
        self._pending: Deferred[bytes] | None = None
        self._early = b""
        self._blocked = False
        self._watcher: Watcher | None = None
        self._end_stream: Callable[[], None] | None = None

    @property
    def streams(self) -> bool:
        """Whether it has become a stream."""
        return self._watcher is not None

    def connectionMade(self) -> None:
        """Turn away who may not ask, or one connection too many."""
        self._idle = self._control.reactor.callLater(IDLE_SECONDS, self.abort)
        self._control.connections.add(self)
        self.transport.registerProducer(self, True)
        user = self._user = peer_user(self.transport.getHandle())
        if user not in (os.geteuid(), 0):
            self._control.log.warn("control: user {user} was turned away", user=user)
            self._refuse(f"user {user} may not ask: only the daemon's user and root may")
        elif len(self._control.connections) > MAX_CONNECTIONS:
            self._refuse(f"{MAX_CONNECTIONS} connections are open already")

    def lineReceived(self, line: bytes) -> None:
        """Answer one request, or begin a stream."""
        if self._watcher is not None:
            self._refuse("a stream takes no further requests")
            return
        self._restart_idle()
        request = read_request(line)
        stream = self._control.stream_of(request)
        if stream is not None:
            self._stream(stream, request or {})
            return
        answer = self._control.answer(None if request is None else Asked(request, self._user))
        if isinstance(answer, bytes):
            self.transport.write(answer + self.delimiter)
            return
        self._pending = answer
        answer.addCallback(self._answered)
        if self._pending is not None:
            self._stop_idle()
            self.paused = True

    def dataReceived(self, data: bytes) -> None:
        """Take octets; while an answer is awaited they wait, and are read so that a going away is noticed."""
        if self._pending is None:
            super().dataReceived(data)  # type: ignore[no-untyped-call]  # Twisted's
            return
        self._early += data
        if len(self._early) > MAX_REQUEST:
            self.abort()

    def _answered(self, octets: bytes) -> None:
        self._pending = None
        if self in self._control.connections:
            self.transport.write(octets + self.delimiter)
            self._restart_idle()
            self._go_on()

    def _stream(self, stream: Callable[[Request, Watcher], Callable[[], None]], request: Request) -> None:
        if sum(connection.streams for connection in self._control.connections) >= MAX_STREAMS:
            self._refuse(f"{MAX_STREAMS} streams are open already")
            return
        self._stop_idle()
        self._watcher = Watcher(lambda line: self.transport.write(line + self.delimiter))
        self._end_stream = stream(request, self._watcher)

    def lineLengthExceeded(self, line: bytes) -> None:  # noqa: ARG002  # the signature is Twisted's
        """Give up: where the next request begins cannot be known."""
        self._refuse(f"a request has at most {MAX_REQUEST} octets")

    def pauseProducing(self) -> None:
        """Take note that the operator does not read what it is told."""
        self._blocked = True
        if self._watcher is not None:
            # It is read from all the same: how else would its going away be noticed.
            self._watcher.pause()
        else:
            super().pauseProducing()  # type: ignore[no-untyped-call]  # Twisted's

    def resumeProducing(self) -> None:
        """Take note that it reads again."""
        self._blocked = False
        if self._watcher is not None:
            self._watcher.resume()
        else:
            self._go_on()

    def _go_on(self) -> None:
        if not self._blocked and self._pending is None and self.paused:
            early, self._early = self._early, b""
            super().resumeProducing()  # type: ignore[no-untyped-call]  # Twisted's
            self.dataReceived(early)

    def abort(self) -> None:
        """Close without waiting for a peer that may not be reading."""
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure | None = None) -> None:  # noqa: ARG002  # the signature is Twisted's
        """Make room for another."""
        self._stop_idle()
        self._control.connections.discard(self)
        self._end_watching()
        if self._pending is not None:
            self._pending.cancel()

    def _end_watching(self) -> None:
        if self._end_stream is not None:
            self._end_stream()
            self._end_stream = None

    def _restart_idle(self) -> None:
        self._stop_idle()
        self._idle = self._control.reactor.callLater(IDLE_SECONDS, self.abort)

    def _stop_idle(self) -> None:
        if self._idle is not None and self._idle.active():
            self._idle.cancel()

    def _refuse(self, why: str) -> None:
        self._end_watching()
        self.transport.write(_encode(_error(why)) + self.delimiter)
        self.transport.unregisterProducer()
        self.transport.loseConnection()


class ControlFactory(Factory):
    """Answers requests from ``commands``, by name; they run in the reactor's thread and must not block.

    A command that has to wait returns a Deferred; whoever waits for it may go away, and then it is cancelled.
    """

    noisy = False
    log = Logger()

    def __init__(self, commands: Commands, reactor: Any, streams: Streams | None = None) -> None:
        self.reactor = reactor
        self.connections: set[ControlProtocol] = set()
        self._commands = commands
        self._streams = streams or {}
        self._lock: int | None = None

    def buildProtocol(self, addr: IAddress | None) -> ControlProtocol:  # noqa: ARG002  # the signature is Twisted's
        """Return the protocol of a new connection."""
        return ControlProtocol(self)

    def hold(self, lock: int) -> None:
        """Keep the descriptor ``lock`` until the port has stopped."""
        self._lock = lock

    def stopFactory(self) -> None:
        """Close what is open; the port has removed the socket by now."""
        for connection in list(self.connections):
            connection.abort()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def stream_of(self, request: Request | None) -> Callable[[Request, Watcher], Callable[[], None]] | None:
        """Return the stream that a request asks for."""
        name = None if request is None else request.get("command")
        return self._streams.get(name) if isinstance(name, str) else None

    def answer(self, request: Request | None) -> bytes | Deferred[bytes]:
        """Return the line that answers a request, at once or later; neither raises nor fails."""
        try:
            answer = self._answer(request)
            return _encode(answer) if isinstance(answer, dict) else answer.addCallback(_encode).addErrback(self._failed)
        except Exception:
            return self._failed(Failure())

    def _failed(self, failure: Failure) -> bytes:
        if failure.check(SeckexError):
            return _encode(_error(str(failure.value), getattr(failure.value, "word", "")))
        if failure.check(CancelledError):
            return _encode(_error("nobody waited for the answer"))
        self.log.failure("control: a command failed", failure)
        return _encode(_error("the command failed; the daemon's log has more"))

    def _answer(self, request: Request | None) -> Answer | Deferred[Answer]:
        if request is None:
            return _error("a request is one JSON object a line")
        name = request.get("command")
        command = self._commands.get(name) if isinstance(name, str) else None
        if command is None:
            known = sorted((*self._commands, *self._streams))
            return _error(f"the command is one of {', '.join(known)}", "unknown-command")
        return command(request)


def read_request(line: bytes) -> Request | None:
    """Return the object that a line holds, None for anything else."""
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return request if isinstance(request, dict) else None


def _error(why: str, word: str = "") -> Answer:
    return {"schema": ERROR_SCHEMA, "error": why} | ({"word": word} if word else {})


def _encode(answer: Answer) -> bytes:
    """Return ``answer`` as a line without its end, with its lists cut until it has at most ``MAX_ANSWER`` octets."""
    most = MAX_ELEMENTS
    while True:
        octets = json.dumps(_cut(answer, most), separators=(",", ":")).encode()
        if len(octets) <= MAX_ANSWER:
            return octets
        if most == 0:
            return _encode(_error(f"the answer has more than {MAX_ANSWER} octets"))
        most //= 2


def _cut(value: Any, most: int) -> Any:
    if isinstance(value, list):
        return [_cut(element, most) for element in value[:most]]
    if not isinstance(value, dict):
        return value
    kept = {key: _cut(element, most) for key, element in value.items()}
    truncated = {key: len(each) for key, each in value.items() if isinstance(each, list) and len(each) > most}
    return kept | {"truncated": truncated} if truncated else kept


class PrivatePort(unix.Port):
    """A socket with mode 0600, which can be stopped after somebody removed it; Twisted's own would never finish."""

    def __init__(self, path: Path, factory: Any, reactor: Any) -> None:
        super().__init__(os.fsencode(path), factory, mode=0o600, reactor=reactor)
        self._path = path

    def connectionLost(self, reason: Failure) -> None:
        """Remove the socket if it is there, and stop."""
        self._path.unlink(missing_ok=True)
        tcp.Port.connectionLost(self, reason)


def listen_control(reactor: Any, path: Path, commands: Commands, streams: Streams | None = None) -> IListeningPort:
    """Listen on the unix socket ``path``; stopping the port removes it.

    A lock on ``path`` with ``.lock`` behind it is held while the port is open, and
    goes with the process however that ends; so a socket left behind by a
    daemon that was killed is told from a live one, and replaced. Raises `ControlUnavailable`.
    """
    with _locked(path) as lock:
        try:
            remove_stale(path)
        except SocketTaken as error:
            raise ControlUnavailable(f"another daemon is live on {path}" if error.live else str(error)) from error
        factory = ControlFactory(commands, reactor, streams)
        factory.hold(lock)
        try:
            port = PrivatePort(path, factory, reactor)
            # The port gives the socket its mode before it listens, and before it listens nobody can connect.
            port.startListening()
        except CannotListenError as error:
            raise ControlUnavailable(f"cannot listen on {path}: {error.socketError}") from error
    return port


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """Take the lock; it is let go if the body raises, and otherwise the body's to keep."""
    try:
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise ControlUnavailable(f"cannot make {path}.lock: {error.strerror}") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ControlUnavailable(f"another daemon is live on {path}") from error
        yield lock
    except BaseException:
        os.close(lock)
        raise
