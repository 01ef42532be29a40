"""Listening sockets: those that a supervisor has opened already, and those opened here.

A supervisor such as systemd may open sockets before it starts a daemon, keep
them while it restarts, and pass them as the descriptors from 3 on
(sd_listen_fds(3)). Each is told by its kind and the address that it is bound
to; what is asked for and was not passed is opened, so that one configuration
serves with and without a supervisor.

Sockets are opened apart from being read: ports below 1024 are bound while the
process may, and used when all else is ready.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Final, TypeAlias

from twisted.internet.error import CannotListenError

FIRST_PASSED: Final = 3
MOST_PASSED: Final = 256
# Room in the kernel for a burst of links.
BACKLOG: Final = 1024

Name: TypeAlias = tuple[int, str, int]
"""SOCK_STREAM or SOCK_DGRAM, address and port."""

_KINDS: Final[Mapping[int, str]] = {socket.SOCK_STREAM: "TCP", socket.SOCK_DGRAM: "UDP"}


def shown(name: Name) -> str:
    """Return a socket's name for people."""
    kind, host, port = name
    return f"{_KINDS[kind]} {f'[{host}]' if ':' in host else host}:{port}"


class Sockets:
    """Those that were passed and are not in use yet; `take` hands out one, or opens it."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._passed: dict[Name, socket.socket] = {}
        self.strange: list[str] = []
        variables = _started_with() if environ is None else environ
        for descriptor in _descriptors(variables):
            self._inherit(descriptor)

    def _inherit(self, descriptor: int) -> None:
        try:
            os.set_inheritable(descriptor, False)
            inherited = socket.socket(fileno=descriptor)
        except OSError as error:
            self.strange.append(f"descriptor {descriptor} is no socket ({error.strerror})")
            return
        listening = inherited.type == socket.SOCK_DGRAM or inherited.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        if inherited.family not in (socket.AF_INET, socket.AF_INET6) or inherited.type not in _KINDS or not listening:
            self.strange.append(f"descriptor {descriptor} is no UDP socket and no TCP socket that listens")
            inherited.close()
            return
        inherited.setblocking(False)
        host, port = inherited.getsockname()[:2]
        self._passed[inherited.type, str(ip_address(host)), port] = inherited

    def take(self, name: Name) -> socket.socket:
        """Return the socket of that name, which is bound and, for TCP, listens; raises `CannotListenError`."""
        kind, host, port = name
        passed = self._passed.pop((kind, str(ip_address(host)), port), None)
        return passed or _opened(kind, host, port)

    def left(self) -> list[str]:
        """Close what was passed and is not wanted, and return what it was."""
        left, self._passed = self._passed, {}
        for unused in left.values():
            unused.close()
        return [shown(name) for name in left]


def _opened(kind: int, host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, kind)
    try:
        opened.setblocking(False)
        address = socket.getaddrinfo(host, port, family, kind, 0, socket.AI_NUMERICHOST | socket.AI_NUMERICSERV)[0][4]
        if kind == socket.SOCK_STREAM:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
        if kind == socket.SOCK_STREAM:
            opened.listen(BACKLOG)
    except OSError as error:
        opened.close()
        raise CannotListenError(host, port, error) from error
    return opened


def _descriptors(environ: Mapping[str, str]) -> range:
    """Return the descriptors that were passed to this process."""
    try:
        count = int(environ.get("LISTEN_FDS", "0"))
        ours = int(environ.get("LISTEN_PID", "0")) == os.getpid()
    except ValueError:
        return range(0)
    return range(FIRST_PASSED, FIRST_PASSED + min(count, MOST_PASSED)) if ours else range(0)


def _started_with() -> Mapping[str, str]:
    """Return the environment, also variables that an import of Twisted's endpoints has removed from it meanwhile."""
    if "LISTEN_FDS" in os.environ:
        return os.environ
    variables: dict[str, str] = {}
    with suppress(OSError):
        for each in Path("/proc/self/environ").read_bytes().split(b"\0"):
            name, _, value = each.decode(errors="replace").partition("=")
            variables[name] = value
    return variables
