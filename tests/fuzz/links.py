"""Targets that are links: at each stage of their opening, and open with dialogs.

What comes before the seal is a stream of records, mutated and cut anywhere.
What is behind it are dialog headers and bodies, mutated and sealed as a peer
gone mad would. Whatever comes, a link raises nothing, closes at most once,
delivers no octet that was not sent and no end of a stream that did not end.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from random import Random
from typing import Final

from seckex.dialog.plain import open_record
from seckex.dialog.record import SMALLEST_BUFFER
from seckex.wire.dialog import decode_record
from seckex.wire.numbers import MAX_BODY, Role
from tests.attacks.wires import DOWN, LIMITS, SCRIPT, UP, Wire
from tests.dialog.parts import SALT_I, SALT_R, Side, association
from tests.fuzz.mutate import plain_records, records, structured
from tests.fuzz.target import Target

#: Where the stream is taken over: which record would be next.
STAGES: Final = ("HELLO i", "HELLO r", "PING i", "PONG r", "OPEN i", "ACCEPT r", "DATA i", "DATA r", "END i", "END r")

_PLAIN: Final = struct.Struct(">IIQI")


class Stream(Target):
    """Octets in place of what would be next on the wire."""

    mutate = staticmethod(structured(records))

    def __init__(self, stage: str) -> None:
        self.name = "link_" + stage.lower().replace(" ", "_")
        self._stage = stage

    def made(self) -> Iterator[tuple[str, bytes]]:
        """Yield what would come, and all that came before it."""
        wire = Wire()
        passing = wire.until(self._stage)
        yield "next", passing.octets
        yield "next_twice", passing.octets * 2
        earlier = b"".join(one.octets for one in wire.passed if one.sender is passing.sender)
        yield "earlier_and_next", earlier + passing.octets

    def run(self, octets: bytes) -> None:
        """Let ``octets`` arrive in pieces that they determine themselves."""
        wire = Wire()
        passing = wire.until(self._stage)
        side = wire.other(passing)
        random = Random(len(octets) ^ int.from_bytes(octets[-8:], "big"))  # noqa: S311  # has to repeat itself
        at = 0
        while at < len(octets):
            size = random.choice((1, 3, 12, 47, 64, 500, 70_000))
            side.link.receive(octets[at : at + size])
            at += size
        _check(wire, side)
        for program in (*wire.programs, *(program for _, program in wire.pair.r.offers)):
            if not (DOWN.startswith(program.got) or (UP * 2).startswith(program.got)):
                raise AssertionError("octets that nobody sent")


class Records(Target):
    """Records of a peer that has the keys: the first octet tells how much of the script has happened before."""

    mutate = staticmethod(structured(plain_records))

    def __init__(self, role: Role) -> None:
        self.name = f"records_{role.name.lower()}"
        self._role = role

    def made(self) -> Iterator[tuple[str, bytes]]:
        """Yield what the peer says from each step of the script on."""
        for steps in range(len(SCRIPT)):
            yield f"from_step_{steps:02}", bytes((steps,)) + said_in_the_clear(self._role, steps)

    def run(self, octets: bytes) -> None:
        """Seal the records and let them arrive."""
        wire = Wire()
        wire.follow(octets[0] % len(SCRIPT) if octets else 0)
        speaker = wire.side(self._role)
        hearer = wire.pair.opposite(speaker)
        carriage = speaker.link._carriage
        if carriage is None:
            raise AssertionError("the link did not open")
        for number, kind_word, sequence, body in plainly(octets[1:]):
            carriage._sealer.seal(number, kind_word, sequence, body)
        outbox = speaker.link.outbox
        sealed = bytes(outbox.pending())
        outbox.sent(len(sealed))
        hearer.link.receive(sealed)
        _check(wire, hearer)
        sizes = hearer.link.dialogs
        if len(sizes) > 2 * LIMITS.most_dialogs:
            raise AssertionError(f"{len(sizes)} dialogs")


def plainly(octets: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield dialog, type with its reserved octets, sequence and body of each record in ``octets``."""
    while len(octets) >= _PLAIN.size:
        number, kind_word, sequence, size = _PLAIN.unpack_from(octets)
        yield number, kind_word, sequence, octets[_PLAIN.size : _PLAIN.size + min(size, MAX_BODY)]
        octets = octets[_PLAIN.size + size :]


def said_in_the_clear(role: Role, steps: int) -> bytes:
    """Return what ``role`` says after ``steps`` of the script, as `plainly` reads it."""
    wire = Wire()
    wire.follow(steps)
    before = len(wire.passed)
    wire.finish()
    keys = association().schedule.body(SALT_I, SALT_R)
    key = keys.initiator if role is Role.INITIATOR else keys.responder
    found = b""
    for passing in wire.passed[before:]:
        if passing.sender is role:
            record = decode_record(passing.octets)
            body = open_record(record, key)
            found += _PLAIN.pack(record.dialog, record.kind << 24, record.sequence, len(body)) + body
    return found


def _check(wire: Wire, side: Side) -> None:
    closings = [said for said in side.said if said.startswith("closed")]
    if len(closings) > 1:
        raise AssertionError("closed twice")
    for program in (*wire.programs, *(program for _, program in wire.pair.r.offers)):
        if sum(said.startswith("over") for said in program.said) > 1:
            raise AssertionError("a dialog was over twice")
    if not side.link.is_open and len(side.link.inbox.buffer) > SMALLEST_BUFFER and "opened" not in side.said:
        raise AssertionError("much is kept for a peer that has proved nothing")


def targets() -> list[Target]:
    """Return the targets of this module."""
    return [*map(Stream, STAGES), *map(Records, Role)]
