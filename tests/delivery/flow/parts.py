"""What the tests of this room share: two ends of a dialog, each with a store, a spool and a program.

Nothing is sealed: what one end says is a `Said`, which a test hands to the other end, loses, repeats or delays.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from attrs import define, field, frozen

from seckex.delivery.faces import FRAGMENT, Incoming, Outgoing, Spooled, Verdict
from seckex.delivery.flow.memory import Room
from seckex.delivery.flow.pieces import (
    DropSpool,
    Failure,
    Gap,
    ReceivingChanges,
    SendingChanges,
    SyncSpool,
    WantedPiece,
    WritePiece,
)
from seckex.delivery.flow.receiving import Receiving, ReceivingTerms
from seckex.delivery.flow.sending import Sending
from seckex.delivery.memory import MemoryMessages
from seckex.delivery.store import DeadMessage, MessageOperation, PutDialog, StoredDialog
from seckex.machine import Now
from seckex.wire.bodies import Frame, decode_frames, encode_frames
from seckex.wire.numbers import MessageKind

DIALOG_ID: Final = b"D" * 15 + b"\0"
WALL: Final = 1_800_000_000.0
ROOM: Final = 1 << 26


@frozen
class Said:
    """An envelope without what seals it."""

    kind: MessageKind
    count: int
    fragment: int
    fragments: int
    sequence: int
    acknowledged: int
    body: bytes = field(repr=False)

    @property
    def frames(self) -> tuple[Frame, ...]:
        """What a STATE says."""
        return decode_frames(self.body)


@define(eq=False)
class Clock:
    """The clocks of both ends."""

    passed: float = 0.0

    @property
    def now(self) -> Now:
        return Now(1000 + self.passed, WALL + self.passed)


class Spool:
    """Files in memory."""

    def __init__(self) -> None:
        self.files: dict[str, dict[int, bytes]] = {}
        self.durable: set[str] = set()

    def put(self, name: str, payload: bytes) -> Spooled:
        """Have a finished file with a payload."""
        parts = range(0, len(payload), FRAGMENT)
        self.files[name] = {at // FRAGMENT: payload[at : at + FRAGMENT] for at in parts}
        self.durable.add(name)
        return Spooled(name, len(payload))

    def payload(self, spooled: Spooled) -> bytes:
        """Return what a file has."""
        pieces = self.files[spooled.name]
        return b"".join(pieces[at] for at in range(len(pieces)))

    def drop(self, name: str) -> None:
        """Forget a file."""
        self.files.pop(name, None)
        self.durable.discard(name)

    def crash(self, needed: frozenset[str]) -> None:
        """Forget what was not finished, and what nobody needs."""
        self.files = {name: pieces for name, pieces in self.files.items() if name in self.durable & needed}


class End:
    """One end of the dialog, which does what a house would.

    ``effects`` has the payloads whose verdict is durable, ``given`` all that the program was given, ``durable`` the
    payloads that were sent and are durable, by their numbers; ``answer`` says what the program answers.
    """

    def __init__(self, clock: Clock, initiator: bool, terms: ReceivingTerms | None = None) -> None:
        self.clock = clock
        self.store = MemoryMessages()
        self.spool = Spool()
        self.terms = terms or ReceivingTerms()
        self.row = StoredDialog(dialog_id=DIALOG_ID, initiator=initiator, peer="peer@example.net", service="orders")
        self.room = Room(ROOM)
        self.given: list[Incoming] = []
        self.effects: list[bytes] = []
        self.failed: list[Failure] = []
        self.gaps: list[Gap] = []
        self.dead: list[DeadMessage] = []
        self.durable: dict[int, bytes] = {}
        self.stages = {"accepted": 0, "delivered": 0, "processed": 0}
        self.answer: Callable[[Incoming], Verdict | None] = lambda _: Verdict.DONE
        self.at_once = 1
        self.automatic = True
        self.begin()

    def begin(self, restored: float = 0.0) -> None:
        """Begin with what is stored."""
        snapshot = self.store.load(0, self.clock.now.wall)
        if snapshot.dialogs:
            (self.row,) = snapshot.dialogs
        ours = [each for each in snapshot.segments if each.ours]
        theirs = [each for each in snapshot.segments if not each.ours]
        self.sending = Sending(self.row, ours, self.room, restored)
        self.receiving = Receiving(self.row, "orders", theirs, self.room, self.terms)
        self.connected = False
        self.committing: tuple[SendingChanges | None, ReceivingChanges | None, StoredDialog] | None = None
        self.payloads: dict[int, bytes] = {}
        self.waiting: dict[int, bytes] = {}
        self.sent: dict[int, bytes] = {}

    def crash(self, restored: float = 0.0) -> None:
        """Lose the process: go on with what is durable."""
        self.store.crash()
        self.spool.crash(self.store.spools(0))
        self.room = Room(ROOM)
        self.begin(restored)

    @property
    def now(self) -> Now:
        return self.clock.now

    def send(self, *payloads: bytes | Spooled, expires: float = 0.0) -> int:
        """Send messages, and commit unless that is not done by itself."""
        first = self.sending.accept([Outgoing(each, "t", expires) for each in payloads], self.now)
        for number, each in enumerate(payloads, first):
            self.waiting[number] = each if isinstance(each, bytes) else self.spool.payload(each)
        self.turn()
        return first

    # Commits.

    def begin_commit(self) -> bool:
        """Begin a commit if there is something; return whether one is under way."""
        if self.committing is None:
            ours, theirs = self.sending.changes(), self.receiving.changes(self.now)
            self.sent |= self.waiting
            self.waiting = {}
            if ours is None and theirs is None:
                return False
            row = self.receiving.written_into(self.sending.written_into(self.row))
            self.committing = ours, theirs, row
        return True

    def end_commit(self) -> None:
        """Make durable what is under way, and tell what is to be told."""
        if self.committing is None:
            return
        ours, theirs, row = self.committing
        self.committing = None
        self.durable |= self.sent
        self.sent = {}
        operations: list[MessageOperation] = []
        for changes in (ours, theirs):
            if changes is not None:
                operations += changes.operations
        self.store.commit([(*operations, PutDialog(row))])
        self.row = row
        if ours is not None:
            self.sending.committed(ours)
            self.failed += ours.failed
            self.gaps += ours.gaps
            for stage in self.stages:
                self.stages[stage] = max(self.stages[stage], getattr(ours, stage))
            self.drop_files(ours.spools)
        if theirs is not None:
            self.receiving.committed(theirs)
            self.dead += theirs.dead
            self.gaps += theirs.gaps
            for number in sorted(number for number in self.payloads if number <= theirs.done):
                self.effects.append(self.payloads.pop(number))
            self.drop_files(theirs.spools)

    def drop_files(self, names: Sequence[str]) -> None:
        """Forget files of the spool."""
        for name in names:
            self.spool.drop(name)

    def fail_commit(self) -> None:
        """Have the commit that is under way fail."""
        if self.committing is not None:
            ours, theirs, _ = self.committing
            self.committing = None
            if ours is not None:
                self.sending.not_committed(ours)
            if theirs is not None:
                self.receiving.not_committed(theirs)

    # The program, the spool and what is read.

    def give(self) -> None:
        """Give the program what it may have, and take its verdicts."""
        for message in self.receiving.give(self.at_once, self.now):
            self.given.append(message)
            verdict = self.answer(message)
            if verdict is not None:
                self.judge(message, verdict)
        self.read()

    def judge(self, message: Incoming, verdict: Verdict, after: float = 0.0) -> None:
        """Say what becomes of a message."""
        if verdict is Verdict.DONE:
            payload = message.payload
            octets = payload if isinstance(payload, bytes) else self.spool.payload(payload)
            self.payloads[message.number] = octets
        self.receiving.verdict(message.number, verdict, "as the test says", self.now, after)

    def read(self) -> None:
        """Read what is wanted."""
        for side in (self.sending, self.receiving):
            ours = side is self.sending
            for wanted in side.wanted():
                if isinstance(wanted, WantedPiece):
                    side.fetched(wanted, self.spool.files[wanted.spool][wanted.fragment])
                else:
                    segment = self.store.segment(DIALOG_ID, ours, wanted.first)
                    assert segment is not None
                    side.fetched(wanted, segment.octets)

    def write(self) -> None:
        """Do what is to be done with the spool."""
        while work := self.receiving.spool_work():
            for each in work:
                match each:
                    case WritePiece(_, name, fragment, octets):
                        self.spool.files.setdefault(name, {})[fragment] = octets
                    case SyncSpool(_, name):
                        self.spool.durable.add(name)
                    case DropSpool(name):
                        self.spool.drop(name)
                if not isinstance(each, DropSpool):
                    self.receiving.written(each, True)

    def turn(self) -> None:
        """Do everything that can be done without the other end."""
        if not self.automatic:
            return
        for _ in range(1000):
            self.write()
            while self.begin_commit():
                self.end_commit()
            if not self.receiving.can_give:
                return
            before = len(self.given)
            self.give()
            if len(self.given) == before and not self.sending.has_changes and not self.receiving.has_changes:
                return

    # The other end.

    def connect(self) -> None:
        """Begin with a new connection."""
        self.connected = True
        self.sending.connected(self.now)
        self.receiving.connected()

    def disconnect(self) -> None:
        """Lose the connection."""
        self.connected = False
        self.sending.disconnected()

    def says(self, most: int = 1 << 30) -> list[Said]:
        """Return what this end says now."""
        said: list[Said] = []
        while self.connected and len(said) < most:
            if self.receiving.owes or self.sending.has_frames:
                frames = self.sending.frames(self.now) + self.receiving.frames(self.now)
                body = encode_frames(frames)
                said.append(Said(MessageKind.STATE, 0, 0, 0, 0, self.receiving.acknowledge(), body))
                continue
            piece = self.sending.next(49_152, self.now) if self.sending.is_ready else None
            if piece is None:
                self.read()
                if not self.sending.is_ready:
                    break
                continue
            said.append(
                Said(
                    piece.kind,
                    piece.count,
                    piece.fragment,
                    piece.fragments,
                    piece.sequence,
                    self.receiving.acknowledge(),
                    piece.body,
                )
            )
        return said

    def hears(self, said: Said) -> None:
        """Take what the other end said."""
        sending, receiving, now = self.sending, self.receiving, self.now
        sending.acknowledged(said.acknowledged, now)
        if said.kind is MessageKind.MESSAGES:
            receiving.take_messages(said.sequence, said.count, said.body, now)
        elif said.kind is MessageKind.FRAGMENT:
            receiving.take_fragment(said.sequence, said.fragment, said.fragments, said.body, now)
        else:
            for frame in said.frames:
                assert sending.hear(frame, now) or receiving.hear(frame, now), frame
            sending.heard_state(now)

    def tick(self) -> None:
        """Let a second's work be done."""
        self.sending.tick(self.now, not self.connected)
        self.receiving.tick(self.now)
        self.turn()


class Dialog:
    """Both ends: ``a`` has begun the dialog, with ``b``."""

    def __init__(self, terms: ReceivingTerms | None = None, connected: bool = True) -> None:
        self.clock = Clock()
        self.a = End(self.clock, True)
        self.b = End(self.clock, False, terms)
        self.said: list[Said] = []
        if connected:
            self.connect()

    def connect(self) -> None:
        """Join both ends by a new connection, on which nothing was said."""
        for end in (self.a, self.b):
            end.disconnect()
            end.connect()

    def disconnect(self) -> None:
        """Cut the connection."""
        for end in (self.a, self.b):
            end.disconnect()

    def settle(self) -> list[Said]:
        """Have both say and hear all there is, and return what ``a`` has said."""
        said: list[Said] = []
        for _ in range(10_000):
            self.a.turn()
            self.b.turn()
            from_a, from_b = deque(self.a.says(8)), deque(self.b.says(8))
            if not from_a and not from_b:
                return said
            said += from_a
            for each in from_a:
                self.b.hears(each)
            for each in from_b:
                self.a.hears(each)
        raise AssertionError("the ends never stop talking")

    def wait(self, seconds: float) -> list[Said]:
        """Let time pass, with ticks; return what ``a`` has said."""
        said: list[Said] = []
        for _ in range(int(seconds)):
            self.clock.passed += 1
            self.a.tick()
            self.b.tick()
            said += self.settle()
        return said


def kinds(said: Sequence[Said]) -> list[str]:
    """Return what envelopes are, for comparing."""
    return [
        "STATE" if each.kind is MessageKind.STATE else f"{each.kind.name} {each.sequence}+{each.count or each.fragment}"
        for each in said
    ]
