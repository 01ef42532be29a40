"""The socket on which an operator's commands reach a daemon.

A unix socket with mode 0600; who connects must run as the daemon's user or as
root, as the kernel says. One JSON object a line in, ``{"command": "status"}``,
and one a line out: the command's answer, or ``{"schema": "seckex.error/1",
"error": "why"}``.

Bounds: a request has at most 64 KiB, and an answer 1 MiB. A list of an answer that has more
than 1,000 elements is cut, and all lists further if the answer is still too long;
then the object that holds the list has in ``"truncated"`` how many elements there
were, by the list's key. At most 16 connections, each closed after 30 s
without a request; who does not read its answers is not read from.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import stat
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from twisted.internet import tcp, unix
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IDelayedCall, IListeningPort
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure

from seckex.errors import SeckexError

MAX_REQUEST: Final = 64 * 1024
MAX_ANSWER: Final = 2**20
MAX_ELEMENTS: Final = 1000
MAX_CONNECTIONS: Final = 16
IDLE_SECONDS: Final = 30.0
ERROR_SCHEMA: Final = "seckex.error/1"

Answer = dict[str, Any]
Commands = Mapping[str, Callable[[dict[str, Any]], Answer]]

_CREDENTIALS: Final = struct.Struct("3i")  # struct ucred of unix(7): process, user, group


class ControlUnavailable(SeckexError):
    """The socket cannot be had: another daemon has it, or something else stands in its place."""


def peer_user(connection: socket.socket) -> int:
    """Return the user id of the process that connected."""
    octets = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    user: int = _CREDENTIALS.unpack(octets)[1]
    return user


class ControlProtocol(LineReceiver):
    """One operator's connection."""

    delimiter = b"\n"
    MAX_LENGTH = MAX_REQUEST
    transport: Any

    def __init__(self, control: ControlFactory) -> None:
        self._control = control
        self._idle: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """Turn away who may not ask, or one connection too many."""
        self._idle = self._control.reactor.callLater(IDLE_SECONDS, self.abort)
        self._control.connections.add(self)
        self.transport.registerProducer(self, True)
        user = peer_user(self.transport.getHandle())
        if user not in (os.geteuid(), 0):
            self._control.log.warn("control: user {user} was turned away", user=user)
            self._refuse(f"user {user} may not ask: only the daemon's user and root may")
        elif len(self._control.connections) > MAX_CONNECTIONS:
            self._refuse(f"{MAX_CONNECTIONS} connections are open already")

    def lineReceived(self, line: bytes) -> None:
        """Answer one request."""
        if self._idle is not None and self._idle.active():
            self._idle.reset(IDLE_SECONDS)
        self.transport.write(self._control.answer(line) + self.delimiter)

    def lineLengthExceeded(self, line: bytes) -> None:  # noqa: ARG002  # the signature is Twisted's
        """Give up: where the next request begins cannot be known."""
        self._refuse(f"a request has at most {MAX_REQUEST} octets")

    def abort(self) -> None:
        """Close without waiting for a peer that may not be reading."""
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure | None = None) -> None:  # noqa: ARG002  # the signature is Twisted's
        """Make room for another."""
        if self._idle is not None and self._idle.active():
            self._idle.cancel()
        self._control.connections.discard(self)

    def _refuse(self, why: str) -> None:
        self.transport.write(_encode(_error(why)) + self.delimiter)
        self.transport.unregisterProducer()
        self.transport.loseConnection()


class ControlFactory(Factory):
    """Answers requests from ``commands``, by name; they run in the reactor's thread and must not block."""

    noisy = False
    log = Logger()

    def __init__(self, commands: Commands, reactor: Any) -> None:
        self.reactor = reactor
        self.connections: set[ControlProtocol] = set()
        self._commands = commands
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

    def answer(self, line: bytes) -> bytes:
        """Return the line that answers a request; never raises."""
        try:
            return _encode(self._answer(line))
        except SeckexError as error:
            return _encode(_error(str(error)))
        except Exception:
            self.log.failure("control: a command failed")
            return _encode(_error("the command failed; the daemon's log has more"))

    def _answer(self, line: bytes) -> Answer:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            return _error("a request is one JSON object a line")
        name = request.get("command") if isinstance(request, dict) else None
        command = self._commands.get(name) if isinstance(name, str) else None
        if command is None:
            return _error(f"the command is one of {', '.join(sorted(self._commands))}")
        return command(request)


def _error(why: str) -> Answer:
    return {"schema": ERROR_SCHEMA, "error": why}


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


class _ControlPort(unix.Port):
    """A port that can be stopped after somebody removed its socket; Twisted's own would never finish stopping."""

    def __init__(self, path: Path, factory: ControlFactory, reactor: Any) -> None:
        super().__init__(os.fsencode(path), factory, mode=0o600, reactor=reactor)
        self._path = path

    def connectionLost(self, reason: Failure) -> None:
        """Remove the socket if it is there, and stop."""
        self._path.unlink(missing_ok=True)
        tcp.Port.connectionLost(self, reason)


def listen_control(reactor: Any, path: Path, commands: Commands) -> IListeningPort:
    """Listen on the unix socket ``path``; stopping the port removes it.

    A lock on ``path`` with ``.lock`` behind it is held while the port is open, and
    goes with the process however that ends; so a socket left behind by a
    daemon that was killed is told from a live one, and replaced. Raises `ControlUnavailable`.
    """
    with _locked(path) as lock:
        _remove_stale(path)
        factory = ControlFactory(commands, reactor)
        factory.hold(lock)
        try:
            port = _ControlPort(path, factory, reactor)
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


def _remove_stale(path: Path) -> None:
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise ControlUnavailable(f"{path} is there already and is no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except OSError as error:
            raise ControlUnavailable(f"cannot tell who is on {path}: {error.strerror}") from error
    raise ControlUnavailable(f"another daemon is live on {path}")
