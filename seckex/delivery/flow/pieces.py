"""What the two sides of a flow hand to the house, and what they ask of it."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from attrs import Factory, define, field, frozen

from seckex.delivery.store import DeadMessage, MessageOperation
from seckex.wire.numbers import MessageKind


@frozen
class Piece:
    """What one envelope is to carry: the fields of its dialog header, and the body."""

    kind: MessageKind
    count: int
    fragment: int
    fragments: int
    sequence: int
    body: bytes = field(repr=False)


class WantedSegment(NamedTuple):
    """The octets of the stored segment that begins with ``first`` are needed."""

    first: int


class WantedPiece(NamedTuple):
    """One fragment of the payload of message ``number`` is needed, from a file of the spool."""

    number: int
    spool: str
    fragment: int


Wanted: TypeAlias = WantedSegment | WantedPiece


class WritePiece(NamedTuple):
    """One fragment of the payload of message ``number`` is to be written to a file of the spool."""

    number: int
    spool: str
    fragment: int
    octets: bytes


class SyncSpool(NamedTuple):
    """The file with the payload of message ``number`` is complete, and is to be made durable."""

    number: int
    spool: str


class DropSpool(NamedTuple):
    """A file of the spool that was begun will not be finished."""

    spool: str


SpoolWork: TypeAlias = WritePiece | SyncSpool | DropSpool


class Failure(NamedTuple):
    """A message of ours that failed for good."""

    number: int
    code: int
    why: str


class Gap(NamedTuple):
    """Messages ``first`` to ``last`` were lost by the restore of a backup: of the peer's where they are ``ours``."""

    ours: bool
    first: int
    last: int


@define
class SendingChanges:
    """What is to be made durable of a sending side, and what is to be told after it is.

    ``numbers``: the stored dialog changes as well. ``accepted``, ``delivered``, ``processed``: all of ours up to this
    number have reached the stage; 0 where nothing is new. ``spools``: files that nobody needs any more. ``skips``,
    ``last`` and ``ended`` are for the side itself.
    """

    operations: list[MessageOperation] = Factory(list)
    numbers: bool = False
    accepted: int = 0
    delivered: int = 0
    processed: int = 0
    failed: list[Failure] = Factory(list)
    gaps: list[Gap] = Factory(list)
    spools: list[str] = Factory(list)
    skips: tuple[tuple[int, int], ...] = ()
    last: int | None = None
    ended: bool = False


@define
class ReceivingChanges:
    """What is to be made durable of a receiving side, and what is to be told after it is.

    ``delivered`` and ``done`` are the numbers that the stored dialog has then. ``dead``: messages that were put aside,
    for the operator. ``spools``: files that nobody needs any more. ``last`` is for the side itself.
    """

    operations: list[MessageOperation] = Factory(list)
    numbers: bool = False
    delivered: int = 0
    done: int = 0
    dead: list[DeadMessage] = Factory(list)
    gaps: list[Gap] = Factory(list)
    spools: list[str] = Factory(list)
    last: int | None = None
