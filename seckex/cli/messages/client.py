"""Asks a daemon about messages: HTTP over its unix socket, one connection a request, no reactor."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import click
from attrs import frozen

from seckex.cli.output import Fault, NoDaemon

TIMEOUT: Final = 10.0
#: What an answer that is read whole may have.
MAX_ANSWER: Final = 2**24
BLOCK: Final = 65536
#: Refusals of what was said on the command line.
_UNFIT: Final = ("unfit", "unknown-parameter")


class Declined(Fault):
    """The daemon's answer is a problem document."""

    def __init__(self, status: int, told: Mapping[str, Any]) -> None:
        super().__init__(str(told.get("reason", f"the daemon answers with {status}")))
        self.status = status
        self.code = str(told.get("code", ""))
        self.told = told


@frozen
class Reply:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def told(self) -> dict[str, Any]:
        """What it says in JSON; raises `Fault` for anything else."""
        try:
            told = json.loads(self.body)
        except (ValueError, RecursionError):
            told = None
        if not isinstance(told, dict):
            raise Fault("what answers is no seckex daemon")
        return told


class _Connection(HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path, timeout: float | None) -> None:
        super().__init__("localhost", timeout=timeout, blocksize=BLOCK)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(os.fspath(self._path))


@frozen
class Client:
    """The daemon behind one socket; its methods raise `NoDaemon`, `Declined` and `click.UsageError`."""

    path: Path

    def ask(
        self,
        method: str,
        target: str,
        said: Mapping[str, Any] | None = None,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = TIMEOUT,
    ) -> Reply:
        """Return the whole answer; a ``body`` in pieces goes out as they come. ``timeout`` is for each step."""
        with self._asked(method, target, said, body, headers, timeout) as response:
            octets = response.read(MAX_ANSWER + 1)
            if len(octets) > MAX_ANSWER:
                raise Fault(f"the daemon's answer has more than {MAX_ANSWER} octets")
            return Reply(response.status, dict(response.headers.items()), octets)

    @contextmanager
    def stream(
        self, target: str, said: Mapping[str, Any] | None = None, timeout: float | None = None
    ) -> Iterator[HTTPResponse]:
        """Yield an answer that is read as it comes."""
        with self._asked("GET", target, said, None, None, timeout) as response:
            yield response

    @contextmanager
    def _asked(
        self,
        method: str,
        target: str,
        said: Mapping[str, Any] | None,
        body: bytes | Iterable[bytes] | None,
        headers: Mapping[str, str] | None,
        timeout: float | None,
    ) -> Iterator[HTTPResponse]:
        query = urlencode({name: value for name, value in (said or {}).items() if value is not None})
        connection = _Connection(self.path, timeout)
        try:
            connection.connect()
            # Who is refused early finds the connection closed, with the reason still to be read.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.request(
                    method,
                    target + (f"?{query}" if query else ""),
                    body=body,
                    headers=dict(headers or {}),
                    encode_chunked=not isinstance(body, bytes) and body is not None,
                )
            response = connection.getresponse()
            if response.status >= 400:
                raise _declined(response)
            yield response
        except TimeoutError as error:
            raise NoDaemon(f"no daemon answers on {self.path}: silent for {timeout:g} s") from error
        except (OSError, HTTPException) as error:
            why = getattr(error, "strerror", None) or str(error) or "it closed the connection"
            raise NoDaemon(f"no daemon answers on {self.path}: {why}") from error
        finally:
            connection.close()


def _declined(response: HTTPResponse) -> click.ClickException:
    try:
        told = json.loads(response.read(BLOCK))
    except (ValueError, RecursionError):
        told = {}
    declined = Declined(response.status, told if isinstance(told, dict) else {})
    return click.UsageError(declined.message) if declined.code in _UNFIT else declined


def part(name: str) -> str:
    """Return a name as a part of a path."""
    return quote(name, safe="")
