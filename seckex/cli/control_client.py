"""Asks a daemon over its control socket: one request, one answer, no reactor."""

from __future__ import annotations

import json
import os
import socket
import time
from contextlib import suppress
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
    """The daemon answered that it will not, or with what this command does not understand."""


def ask(path: Path, request: dict[str, Any], schema: str, timeout: float = TIMEOUT) -> dict[str, Any]:
    """Return the answer to ``request``, which must have ``schema``; raise `Unreachable` or `Refused`.

    ``timeout`` in seconds is for the whole conversation.
    """
    try:
        line = _converse(path, json.dumps(request).encode() + b"\n", time.monotonic() + timeout)
    except TimeoutError as error:
        raise Unreachable(path, f"silent for {timeout:g} s") from error
    except OSError as error:
        absent = isinstance(error, FileNotFoundError | ConnectionRefusedError)
        raise Unreachable(path, error.strerror or str(error), absent) from error
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Refused(f"what answers on {path} is no seckex daemon") from error
    found = answer.get("schema") if isinstance(answer, dict) else None
    if found == _ERROR_SCHEMA:
        raise Refused(f"the daemon on {path} refuses: {answer.get('error')}")
    if found != schema:
        raise Refused(f"the daemon on {path} answers with {found}, and this command knows {schema}")
    answered: dict[str, Any] = answer
    return answered


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
            octets = connection.recv(65536)
            if not octets:
                raise OSError("it closed the connection without an answer")
            received += octets
            if len(received) > MAX_ANSWER:
                raise OSError(f"its answer has more than {MAX_ANSWER} octets")
    return bytes(received.partition(b"\n")[0])


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
