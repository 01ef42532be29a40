"""Asks a daemon over its control socket: one request, one answer, no reactor."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from seckex.errors import SeckexError

TIMEOUT: Final = 5.0
# Daemons send at most 2^20 octets; a later one may send more.
MAX_ANSWER: Final = 2**24
_ERROR_SCHEMA: Final = "seckex.error/1"


class Unreachable(SeckexError):
    """No daemon answers on the socket; ``absent`` tells that nothing is there that could."""

    def __init__(self, path: Path, why: str, absent: bool = False) -> None:
        super().__init__(f"no daemon answers on {path}: {why}")
        self.path = path
        self.why = why
        self.absent = absent


class Refused(SeckexError):
    """The daemon answered that it will not, or with what this command does not understand.

    ``why`` are the daemon's words without ours, ``word`` is its reason for programs.
    """

    def __init__(self, text: str, why: str = "", word: str = "") -> None:
        super().__init__(text)
        self.why = why
        self.word = word


def ask(path: Path, request: dict[str, Any], schema: str, timeout: float = TIMEOUT) -> dict[str, Any]:
    """Return the answer to ``request``, which must have ``schema``; raise `Unreachable` or `Refused`.

    ``timeout`` in seconds is for the whole conversation.
    """
    with _talking(path, timeout):
        line = _converse(path, _encoded(request), time.monotonic() + timeout)
    return _read(path, line, schema)


def follow(path: Path, request: dict[str, Any], schema: str) -> Iterator[dict[str, Any]]:
    """Yield the answer to ``request``, which must have ``schema``, and then each line that follows, without end.

    Raises `Unreachable`, also when the daemon ends the stream, and `Refused`.
    """
    with _talking(path, TIMEOUT), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(TIMEOUT)
        connection.connect(os.fspath(path))
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(_encoded(request))
        received = bytearray()
        first = True
        while True:
            line, found, rest = received.partition(b"\n")
            if found:
                received = rest
                yield _read(path, bytes(line), schema if first else "")
                first = False
                connection.settimeout(None)
                continue
            received += _received(connection, received)


@contextmanager
def _talking(path: Path, timeout: float) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise Unreachable(path, f"silent for {timeout:g} s") from error
    except OSError as error:
        absent = isinstance(error, FileNotFoundError | ConnectionRefusedError)
        raise Unreachable(path, error.strerror or str(error), absent) from error


def _encoded(request: dict[str, Any]) -> bytes:
    return json.dumps(request).encode() + b"\n"


def _read(path: Path, line: bytes, schema: str) -> dict[str, Any]:
    """Return the object that a line holds; without ``schema`` it may be any but an error."""
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Refused(f"what answers on {path} is no seckex daemon") from error
    found = answer.get("schema") if isinstance(answer, dict) else None
    if found == _ERROR_SCHEMA:
        why, word = str(answer.get("error")), str(answer.get("word", ""))
        raise Refused(f"the daemon on {path} refuses: {why}", why, word)
    if not isinstance(answer, dict) or found != (schema or found):
        raise Refused(f"the daemon on {path} answers with {found}, and this command knows {schema}")
    return answer


def _converse(path: Path, request: bytes, deadline: float) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_left(deadline))
        connection.connect(os.fspath(path))
        # Who is refused may find the connection closed already, with the reason still to be read.
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(request)
        received = bytearray()
        while b"\n" not in received:
            connection.settimeout(_left(deadline))
            received += _received(connection, received)
    return bytes(received.partition(b"\n")[0])


def _received(connection: socket.socket, before: bytearray) -> bytes:
    """Return what came next; an `OSError` where nothing will, or where it would be too much."""
    octets = connection.recv(65536)
    if not octets:
        raise OSError("it closed the connection without an answer")
    if len(before) + len(octets) > MAX_ANSWER:
        raise OSError(f"its answer has more than {MAX_ANSWER} octets")
    return octets


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
