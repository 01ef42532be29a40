"""Links that stop where one record is about to arrive: what attackers and fuzzers work on.

A `Wire` joins two links and moves their records one at a time, while a script
has them say every type of record there is. It stops before a record that is
asked for, so that whoever plays the attacker says what arrives in its place.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import cache
from typing import Final

from attrs import frozen

from seckex.dialog.faces import LinkAssociation
from seckex.dialog.stream import Dialog
from seckex.dialog.table import DialogTables
from seckex.wire.dialog import Hello, decode_record, record_size
from seckex.wire.numbers import Code, RecordType, Role
from tests.dialog.parts import SALT_I, SALT_R, Pair, Program, Side, association

LIMITS: Final = Hello(credit=100, most_dialogs=4, largest_body=1024)
DOWN, UP = b"down" * 20, b"up" * 15


@frozen
class Passing:
    """A record on its way."""

    sender: Role
    kind: RecordType
    octets: bytes

    def __str__(self) -> str:
        return f"{self.kind.name} {self.sender.name[0].lower()}"


class Wire:
    """Two links, the script that they follow, and what has passed."""

    def __init__(
        self,
        *,
        ours: LinkAssociation | None = None,
        theirs: LinkAssociation | None = None,
        salts: tuple[bytes, bytes] = (SALT_I, SALT_R),
        closes: Role = Role.INITIATOR,
    ) -> None:
        self.closes = closes
        dialogs_i, dialogs_r = DialogTables(8, 600), DialogTables(8, 600)
        # A dialog of an earlier link goes on over this one.
        earlier = Pair(salt_i=b"e" * 16, salt_r=b"E" * 16, dialogs_i=dialogs_i, dialogs_r=dialogs_r).opened()
        program = Program()
        dialog = earlier.i.link.open("earlier", bytes(16), program)
        earlier.settle()
        earlier.cut()
        self.pair = Pair(
            limits_i=LIMITS,
            limits_r=LIMITS,
            ours=ours or association(),
            theirs=theirs,
            salt_i=salts[0],
            salt_r=salts[1],
            dialogs_i=dialogs_i,
            dialogs_r=dialogs_r,
        )
        self.passed: list[Passing] = []
        self.pair.r.offers = earlier.r.offers
        self.dialogs: list[Dialog] = [dialog]
        self.programs: list[Program] = [program]
        self.openers: list[Side] = [self.pair.i]
        self._steps = deque(SCRIPT)

    def side(self, role: Role) -> Side:
        """Return the side of ``role``."""
        return self.pair.i if role is Role.INITIATOR else self.pair.r

    def other(self, passing: Passing) -> Side:
        """Return where a record goes."""
        return self.pair.opposite(self.side(passing.sender))

    def open(self, service: str, side: Side | None = None) -> Dialog:
        """Open a dialog, from the initiator unless another side is to."""
        program, side = Program(), side or self.pair.i
        self.dialogs.append(side.link.open(service, self.new_id(), program))
        self.programs.append(program)
        self.openers.append(side)
        return self.dialogs[-1]

    def new_id(self) -> bytes:
        """Return the id of the next dialog: the same on every wire."""
        return bytes((len(self.dialogs) + 1,)) * 16

    def next(self) -> Passing | None:
        """Take the next record off the wire; None when the script is over."""
        while True:
            for role in Role:
                sent = self.side(role).sent
                if sent:
                    size = record_size(bytes(sent[:12])) or len(sent)
                    octets = bytes(sent[:size])
                    del sent[:size]
                    return Passing(role, decode_record(octets).kind, octets)
            if not self._steps or self.pair.i.closure or self.pair.r.closure:
                return None
            self._steps.popleft()(self)

    def deliver(self, passing: Passing) -> None:
        """Have a record arrive where it should."""
        self.passed.append(passing)
        self.other(passing).link.receive(passing.octets)

    def until(self, wanted: str) -> Passing:
        """Go on until the record that is called ``wanted`` would be the next to arrive."""
        while (passing := self.next()) is not None:
            if str(passing) == wanted:
                return passing
            self.deliver(passing)
        raise LookupError(f"no {wanted} in the script")

    def follow(self, steps: int) -> None:
        """Go on until so many more steps of the script have been taken and nothing is on its way."""
        later = deque[Callable[[Wire], None]]()
        while len(self._steps) > steps:
            later.appendleft(self._steps.pop())
        self.finish()
        self._steps = later

    def finish(self) -> None:
        """Go on to the end of the script."""
        while (passing := self.next()) is not None:
            self.deliver(passing)


def _answered(wire: Wire) -> None:
    dialog = wire.open("echo")
    dialog.write(UP)


def _said_much(wire: Wire) -> None:
    far, _ = wire.pair.r.offers[1]
    far.write(DOWN)
    wire.dialogs[1].write(UP)


def _ended(wire: Wire) -> None:
    wire.dialogs[1].end()
    wire.pair.r.offers[1][0].end()


def _rejected(wire: Wire) -> None:
    wire.pair.r.answer = lambda dialog: dialog.reject(Code.UNKNOWN_SERVICE, "no such service")
    wire.open("nothing")


def _reset(wire: Wire) -> None:
    wire.pair.r.answer = Dialog.accept
    wire.open("echo").write(b"x")


def _reset_by_initiator(wire: Wire) -> None:
    wire.dialogs[-1].reset()


def _reset_by_responder(wire: Wire) -> None:
    wire.pair.r.offers[-1][0].reset()


def _pinged(wire: Wire) -> None:
    wire.pair.r.link.ping(b"there?")


def _from_the_other_side(wire: Wire) -> None:
    wire.pair.i.answer = Dialog.accept
    wire.open("back", wire.pair.r)


def _rejected_by_initiator(wire: Wire) -> None:
    wire.pair.i.answer = lambda dialog: dialog.reject(Code.UNKNOWN_SERVICE, "no such service")
    wire.open("nothing", wire.pair.r)


def _closed(wire: Wire) -> None:
    wire.side(wire.closes).link.close(text="enough")


SCRIPT: Final[Sequence[Callable[[Wire], None]]] = (
    _answered,
    _said_much,
    _pinged,
    _ended,
    _rejected,
    _reset,
    _reset_by_initiator,
    _reset,
    _reset_by_responder,
    _from_the_other_side,
    _rejected_by_initiator,
    _closed,
)


@cache
def conversation(closes: Role = Role.INITIATOR) -> tuple[Passing, ...]:
    """Return all that is said on a wire that nobody touches."""
    wire = Wire(closes=closes)
    wire.finish()
    return tuple(wire.passed)
