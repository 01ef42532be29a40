"""``seckex pair listen`` and ``with``: pairing over a TCP connection, while two people look on.

One connection at a time. Whoever connects has `ANSWER_WITHIN` seconds until the
code is there, and cannot get further than a code that nobody confirms; people
have `DECIDE_WITHIN` seconds. A listener goes on listening when a caller's fault
has ended a connection before there was a code.
"""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import click

from seckex.cli.output import Fault, json_option, plain
from seckex.cli.pair.group import (
    address_option,
    config_option,
    describe,
    keep,
    known,
    ourselves,
    own_card,
    pair,
)
from seckex.config.load import AnySettings
from seckex.crypto.identity import Identity
from seckex.crypto.pairing import Acquaintance
from seckex.errors import BadCertificate, Malformed, SeckexError
from seckex.exchange.pairing import Pairing
from seckex.wire.pairing import LENGTH_SIZE, MAX_PAIRING, NONCE_SIZE

PORT: Final = 4436
ANSWER_WITHIN: Final = 30.0
DECIDE_WITHIN: Final = 600.0


class _Place(click.ParamType[tuple[str, int]]):
    name = "HOST:PORT"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        host, colon, port = value.rpartition(":") if value.count(":") == 1 or "]" in value else (value, "", "")
        number = int(port) if colon and port.isdecimal() and len(port) < 6 else PORT if not colon else -1
        if not 0 <= number <= 0xFFFF or not host.strip("[]"):
            self.fail(f"{value} is not HOST or HOST:PORT", param, ctx)
        return host.strip("[]"), number


@pair.command("listen")
@config_option
@click.option("--at", type=_Place(), default=f"0.0.0.0:{PORT}", show_default=True, help="Where to wait.")
@address_option
@json_option
def listen(config_path: Path, at: tuple[str, int], address: str, as_json: bool) -> None:
    """Wait for the other machine to call (seckex pair with), show a code, and trust it when both people agree."""
    settings, identity = ourselves(config_path)
    try:
        waiting = socket.create_server(at, family=socket.AF_INET6 if ":" in at[0] else socket.AF_INET, backlog=1)
    except OSError as error:
        raise Fault(f"cannot listen at {at[0]} port {at[1]}: {error.strerror}") from error
    with waiting:
        host, port = waiting.getsockname()[:2]
        click.echo(f"waiting at {host} port {port}; on the other machine: seckex pair with HOST:{port}", err=True)
        while True:
            connection, caller = waiting.accept()
            with connection:
                pairing = _pairing(settings, identity, address, calls=False)
                try:
                    peer = converse(connection, pairing, partial(_compare, settings, as_json))
                except SeckexError as error:
                    if pairing.code:
                        raise Fault(f"not paired: {error}") from error
                    click.echo(plain(f"{caller[0]}: {error}; still waiting"), err=True)
                    continue
            keep(config_path, settings, peer, as_json=as_json)
            return


@pair.command("with")
@click.argument("place", type=_Place(), metavar="HOST[:PORT]")
@config_option
@address_option
@json_option
def with_(place: tuple[str, int], config_path: Path, address: str, as_json: bool) -> None:
    """Call the machine that waits at HOST (seckex pair listen), show a code, and trust it when both people agree."""
    settings, identity = ourselves(config_path)
    pairing = _pairing(settings, identity, address, calls=True)
    try:
        connection = socket.create_connection(place, ANSWER_WITHIN)
    except OSError as error:
        raise Fault(f"{place[0]} port {place[1]} cannot be reached: {error.strerror or error}") from error
    with connection:
        try:
            peer = converse(connection, pairing, partial(_compare, settings, as_json))
        except SeckexError as error:
            raise Fault(f"not paired: {error}") from error
    keep(config_path, settings, peer, as_json=as_json)


def _pairing(settings: AnySettings, identity: Identity, address: str, *, calls: bool) -> Pairing:
    return Pairing(identity, own_card(settings, identity, address), secrets.token_bytes(NONCE_SIZE), calls=calls)


def _compare(settings: AnySettings, err: bool, code: str, peer: Acquaintance) -> bool:
    describe(peer, code, known(settings, peer.nai), err=err)
    return click.confirm("Does the other side show the same code?", err=err)


def converse(connection: socket.socket, pairing: Pairing, compare: Callable[[str, Acquaintance], bool]) -> Acquaintance:
    """Pair over a connection; ``compare`` has a person compare codes. Raises `SeckexError` if nothing came of it."""
    deadline = time.monotonic() + ANSWER_WITHIN
    try:
        connection.sendall(pairing.begin())
        while True:
            connection.sendall(pairing.receive(_message(connection, deadline), time.time()))
            if pairing.peer is not None and not pairing.decided:
                equal = compare(pairing.code, pairing.peer)
                connection.settimeout(ANSWER_WITHIN)
                connection.sendall(pairing.decide(equal=equal))
                if not equal:
                    raise Unequal
                deadline = time.monotonic() + DECIDE_WITHIN
            if pairing.paired and pairing.peer is not None:
                return pairing.peer
    except TimeoutError:
        raise Broken("the other side does not answer") from None
    except OSError as error:
        raise Broken(f"the connection broke: {error.strerror}") from error
    except BadCertificate as error:
        raise Broken(error.why) from error


class Broken(SeckexError):
    """The connection has not done what it is for."""


class Unequal(SeckexError):
    """Our person has said that the codes differ."""

    def __init__(self) -> None:
        super().__init__("the codes were not found equal; if they differ, somebody is between the two machines")


def _message(connection: socket.socket, deadline: float) -> bytes:
    size = int.from_bytes(_octets(connection, LENGTH_SIZE, deadline), "big")
    if not 0 < size <= MAX_PAIRING:
        raise Malformed("Length", 0, f"{size} octets where 1 to {MAX_PAIRING} are allowed")
    return _octets(connection, size, deadline)


def _octets(connection: socket.socket, count: int, deadline: float) -> bytes:
    found = b""
    while len(found) < count:
        connection.settimeout(max(deadline - time.monotonic(), 0.001))
        more = connection.recv(count - len(found))
        if not more:
            raise Broken("the other side has gone")
        found += more
    return found
