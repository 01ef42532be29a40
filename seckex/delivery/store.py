"""What must last of dialogs of messages: the interface of their store.

A store is read when a daemon starts and from then on written in batches, as `seckex.sa.store`'s is. What is stored of
messages is segments: consecutive messages of one direction of one dialog that became durable together, in the very
octets of a body (docs/messages.md, section 7), so that a segment can be sealed for the wire as it is. A message in
fragments is a segment of its own, whose payload lies in the spool if it is long.

Operations of a batch take effect in their order; of several that store the same thing the last stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

from attrs import field, frozen


@frozen(kw_only=True)
class StoredDialog:
    """A dialog, without its messages. Numbers are as in docs/messages.md; ``ours`` is what we send.

    ``initiator`` tells whether this end has begun it. ``next_number`` is the next of ours; ``acknowledged`` and
    ``processed`` of ours, by the peer; ``delivered`` and ``done`` of the peer's: durable here, and done with here.
    ``skips`` has what was left out of ours and may be unknown to the peer (after, to). ``last`` of ours and
    ``peer_last`` of the peer's are the numbers with END, None while it was not said; ``code`` and ``why`` that of an
    error's end. ``forget`` is when (wall-clock seconds) an ended dialog may be forgotten, 0 while it lives.
    ``anonymous``: its initiator has no name. ``restored`` is when the store was restored, until the peer
    has heard of it.
    """

    dialog_id: bytes
    initiator: bool
    peer: str
    service: str
    own: str = ""
    priority: int = 4
    label: str = ""
    created: float = 0.0
    next_number: int = 1
    acknowledged: int = 0
    processed: int = 0
    delivered: int = 0
    done: int = 0
    skips: tuple[tuple[int, int], ...] = ()
    last: int | None = None
    peer_last: int | None = None
    code: int = 0
    why: str = ""
    forget: float = 0.0
    anonymous: bool = False
    restored: float = 0.0


@frozen
class Segment:
    """Messages ``first`` to ``first + count - 1`` of one direction; ``size`` is the sum of their payloads.

    ``octets`` is the body as on the wire; of a message in fragments it is what fragment 0 begins with, and then the
    payload, unless ``spool`` names the file that has it. ``ours``: of the outbox, otherwise of the inbox.
    """

    dialog_id: bytes
    ours: bool
    first: int
    count: int
    size: int
    octets: bytes = field(repr=False)
    spool: str = ""
    stored: float = 0.0


@frozen
class SegmentIndex:
    """A segment without its octets, which are fetched when it is their turn; ``length`` is theirs."""

    dialog_id: bytes
    ours: bool
    first: int
    count: int
    size: int
    length: int
    spool: str = ""
    stored: float = 0.0


@frozen
class DeadMessage:
    """A message that was put aside: where it was, why, and what it was (``octets``: a segment of one)."""

    dialog_id: bytes
    ours: bool
    number: int
    peer: str
    service: str
    code: int
    why: str
    at: float
    attempts: int
    size: int
    octets: bytes = field(repr=False)
    spool: str = ""


@frozen
class PutDialog:
    """Store a dialog in place of the one with its id, if any."""

    dialog: StoredDialog


@frozen
class DropDialog:
    """Forget a dialog, and all segments that it has."""

    dialog_id: bytes


@frozen
class PutSegment:
    """Store a segment none of whose messages is stored."""

    segment: Segment


@frozen
class DropSegments:
    """Forget the segments of one side all of whose messages are up to ``upto``."""

    dialog_id: bytes
    ours: bool
    upto: int


@frozen
class PutDead:
    """Store a dead message; whoever does so drops its segment or moves `StoredDialog.done` past it."""

    dead: DeadMessage


@frozen
class DropDead:
    """Forget a dead message."""

    dialog_id: bytes
    ours: bool
    number: int


@frozen
class PutKey:
    """Remember up to ``until`` (wall-clock seconds) that a program's ``key`` has led to this message of ours.

    Keys of one dialog are told apart, and those of two dialogs are two; they are forgotten with their dialog.
    """

    key: str
    dialog_id: bytes
    number: int
    until: float


@frozen
class NoteClock:
    """Remember the highest wall clock of all, and forget what was to be forgotten by then.

    That is keys, and dialogs with a `StoredDialog.forget`, each with its segments; a bounded number with each commit.
    """

    now: float


@frozen
class KeptEnvelope:
    """An envelope that a relay keeps up to ``until`` (wall-clock seconds), in the order of ``number``.

    ``depositor`` has brought it for ``destination``, both NAIs; ``octets`` is as it goes on.
    """

    number: int
    destination: str
    depositor: str
    until: float
    octets: bytes = field(repr=False)


@frozen
class KeptIndex:
    """A kept envelope without its octets; ``size`` is theirs, ``digest`` the first 16 octets of their SHA-256."""

    number: int
    destination: str
    depositor: str
    until: float
    size: int
    digest: bytes


@frozen
class PutKept:
    """Keep an envelope for somebody else; no other has had its number."""

    envelope: KeptEnvelope


@frozen
class DropKept:
    """Keep these envelopes no more."""

    numbers: tuple[int, ...]


@frozen
class PutTold:
    """Remember the prekeys that a principal has told its relay, in place of those before."""

    nai: str
    prekeys: tuple[bytes, ...]


@frozen
class DropTold:
    """Forget the prekeys of a principal."""

    nai: str


MessageOperation: TypeAlias = (
    PutDialog
    | DropDialog
    | PutSegment
    | DropSegments
    | PutDead
    | DropDead
    | PutKey
    | NoteClock
    | PutKept
    | DropKept
    | PutTold
    | DropTold
)
MessageUnit: TypeAlias = tuple[MessageOperation, ...]


@frozen
class MessageSnapshot:
    """All that a store holds when a daemon starts.

    ``segments`` in the order of their dialogs, of ``ours`` before the peer's, and of their numbers; ``keys`` have (key,
    dialog id, number, until); ``dead`` is how many there are. ``clock`` is the highest that was noted. ``restored`` as
    of `seckex.sa.store.Snapshot`. ``kept`` (by their numbers) and ``told`` are what a relay has, for worker 0 alone.
    ``damaged`` has a sentence for each row that could not be read and is left out.
    """

    dialogs: tuple[StoredDialog, ...] = ()
    segments: tuple[SegmentIndex, ...] = ()
    keys: tuple[tuple[str, bytes, int, float], ...] = ()
    dead: int = 0
    clock: float = 0.0
    restored: float = 0.0
    damaged: tuple[str, ...] = ()
    kept: tuple[KeptIndex, ...] = ()
    told: tuple[PutTold, ...] = ()


class MessageStore(Protocol):
    """What a daemon asks of its store of messages; methods raise `seckex.errors.StoreFailed`."""

    def serve(self, now: float) -> None:
        """Be used by a daemon from ``now`` on: a store that is a copy has been restored then."""
        ...

    def load(self, worker: int, now: float) -> MessageSnapshot:
        """Return what there is of the dialogs whose ids have ``worker`` in their lowest bits."""
        ...

    def commit(self, units: Sequence[MessageUnit]) -> list[None]:
        """Make units durable in one transaction, in their order; if it raises, none is stored."""
        ...

    def segment(self, dialog_id: bytes, ours: bool, number: int) -> Segment | None:
        """Return the segment that has a message. This and what follows may be called from any thread."""
        ...

    def dead(self, beyond: tuple[bytes, bool, int] | None, most: int) -> Sequence[DeadMessage]:
        """Return at most ``most`` dead messages without their octets, in the order of dialog ids, ``ours`` and numbers.

        ``beyond`` is what the last of the portion before has of these, None for the first portion.
        """
        ...

    def dead_message(self, dialog_id: bytes, ours: bool, number: int) -> DeadMessage | None:
        """Return one dead message, whole."""
        ...

    def kept(self, number: int) -> bytes | None:
        """Return the octets of an envelope that a relay keeps."""
        ...

    def spools(self, worker: int) -> frozenset[str]:
        """Return the names of all files of the spool that are needed for dialogs of ``worker``, dead messages' too."""
        ...

    def tidy(self, now: float) -> None:
        """Do at a quiet moment, every few minutes, what makes unreadable what is not stored any more."""
        ...

    def close(self) -> None:
        """Let go of what the store holds open."""
        ...
