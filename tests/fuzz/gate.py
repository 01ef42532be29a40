"""Targets before any decoder: the gate, which looks at raw datagrams, and the framing of messages over TCP."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from twisted.internet.task import Clock

from seckex.errors import SeckexError
from seckex.machine import Now, Path
from seckex.net.messages import MessageConnection, Messages
from seckex.node.drops import Drops
from seckex.node.gate import Gate
from seckex.node.limits import Flood
from seckex.wire.general import decode_message
from seckex.wire.numbers import HEADER_SIZE, MAX_MESSAGE, Kind
from seckex.wire.stem import stem_of
from tests.conversation import AES, ConversationCase
from tests.fuzz.mutate import message, scramble, structured
from tests.fuzz.target import Function, Target
from tests.net.test_messages import Wire
from tests.node.test_gate import ALWAYS

_NOW: Final = Now(100.0, 1_790_000_000.0)
_GATE: Final = Gate(Flood(cookies="always"), os.urandom, lambda: False, Drops())


def _asked() -> Iterator[tuple[str, bytes]]:
    case = ConversationCase()
    case.setUp()
    node, home = case.pair(AES, AES, ALWAYS)
    node.want(home)
    case.network.run(1)
    for number, datagram in enumerate(case.network.sent):
        yield f"{number}-{datagram.label.lower().replace(' ', '-')}", datagram.octets


def _judge(octets: bytes) -> None:
    answer = _GATE.judge(octets, "192.0.2.1", 4434, _NOW)
    size, cookie = stem_of(octets)
    if not (size == 0 or HEADER_SIZE <= size <= len(octets)) or len(cookie) > 64:
        raise AssertionError(f"a stem of {size} octets of {len(octets)}, a cookie of {len(cookie)}")
    if answer and (len(answer) > len(octets) or decode_message(answer).header.kind is not Kind.COOKIE):
        raise AssertionError(f"{octets.hex()} is answered with {answer.hex()}")
    try:
        decode_message(octets)
    except SeckexError:
        return
    if not size:
        raise AssertionError("a message without a stem")


def _framed() -> Iterator[tuple[str, bytes]]:
    said = b""
    for name, octets in _asked():
        framed = len(octets).to_bytes(2, "big") + octets
        said += framed
        yield name, framed
    yield "all", said


def _frames(octets: bytes) -> None:
    """Read octets whole and in pieces: what comes out is the same, and no more is kept than one message."""
    clock = Clock()

    def read(pieces: list[bytes]) -> list[bytes]:
        got: list[bytes] = []

        def take(taken: bytes, path: Path) -> None:
            got.append(taken)
            # What answers does so while it reads.
            messages.send(taken, path)

        messages = Messages(clock, take, lambda _path, _why: None, lambda host: host)
        connection: MessageConnection = messages.accept("192.0.2.1")
        connection.makeConnection(Wire())
        for piece in pieces:
            if connection.foreign:
                break
            connection.dataReceived(piece)
            if not connection.foreign and len(connection._buffer) > MAX_MESSAGE + 1:
                raise AssertionError(f"{len(connection._buffer)} octets are kept")
        connection.connectionLost()
        return got

    whole = read([octets])
    if whole != read([octets[at : at + 7] for at in range(0, len(octets), 7)]):
        raise AssertionError("messages depend on how they are cut")
    if clock.getDelayedCalls():
        raise AssertionError("a timer is left")


def targets() -> list[Target]:
    """Return the targets of this module."""
    return [
        Function("gate", _judge, structured(message), _asked),
        Function("framing", _frames, scramble, _framed, short=300),
    ]
