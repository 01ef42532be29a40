"""What must last: the interface of stores, and the twin that lives in memory.

A store is read once, when a daemon starts, and from then on only written, in
batches: one `Store.commit` makes the units of all conversations that wait
durable at once. A unit is a tuple of operations that happen in their order, all
or not at all; `contradicts` says when not at all. `commit` blocks, and so runs
outside of the reactor's thread, one at a time.

Several workers may share one store. The replay record is what they meet at:
the first to store an Identification has accepted the request, every other unit
with it is a conflict, whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from enum import Enum
from typing import Final, Protocol, TypeAlias

from attrs import Factory, define, evolve, field, frozen

from seckex.errors import ApiMisuse
from seckex.sa.association import WORKER_BITS, Association
from seckex.sa.logs import MAX_ENTRY, MAX_LOG_NAME, Head, LogCheck, LogEntry, append, follow

#: What the kinds of records end in that are not loaded at a start, since they may be many: `Store.page` reads them.
ASIDE: Final = ".aside"

# How many replay records are read at a start unless the caller says otherwise; about 1 KiB each in memory.
MOST_REPLAYS: Final = 262_144


@frozen
class ReplayRecord:
    """A request that was answered.

    ``spi`` of KEY 0 and ``identification`` name it; ``request`` is the SHA-256 of the whole
    request and ``answer`` what was, or is about to be, sent. ``expires`` in seconds of a
    `seckex.sa.replay.ReplayClock`: after it the request's Identification is outside of every window.
    """

    spi: int
    identification: int
    request: bytes
    answer: bytes = field(repr=False)
    expires: float

    @property
    def name(self) -> tuple[int, int]:
        """What there is one record of."""
        return self.spi, self.identification


@frozen
class PutReplay:
    """Store a replay record; a conflict if its (spi, identification) is there already."""

    record: ReplayRecord


@frozen
class PutAssociation:
    """Store an association; a conflict if its spi_in is there already."""

    association: Association


@frozen
class ConfirmAssociation:
    """Mark as confirmed; nothing if it is gone."""

    spi_in: int


@frozen
class DeleteAssociation:
    """Forget an association; nothing if it is gone."""

    spi_in: int


@frozen
class Record:
    """Something that a role of the roaming network must not forget, readable to that role only.

    ``kind`` says what it is and ``name`` which; there is one of each name. ``octets`` are secret
    and sealed at rest. ``expires`` in wall-clock seconds; a `Purge` forgets it after that.
    """

    kind: str
    name: bytes
    octets: bytes = field(repr=False)
    expires: float = math.inf

    @property
    def key(self) -> tuple[str, bytes]:
        """What there is one record of."""
        return self.kind, self.name


@frozen
class PutRecord:
    """Store a record in place of the one of its name, if any; where it is to be ``fresh`` that one is a conflict."""

    record: Record
    fresh: bool = False


@frozen
class DeleteRecord:
    """Forget a record; nothing if it is gone."""

    kind: str
    name: bytes


@frozen
class Append:
    """Write ``octets``, which are no secret, at the end of a log, as an entry made at ``at`` (wall-clock seconds).

    Entries come in the order of their units and are never altered; only those of units that are
    stored are written. ``log`` is ASCII, of `MAX_LOG_NAME` octets at most; ``octets`` at most `MAX_ENTRY`.
    """

    log: str
    octets: bytes = field(repr=False)
    at: float

    def __attrs_post_init__(self) -> None:
        if not (self.log.isascii() and 0 < len(self.log) <= MAX_LOG_NAME and len(self.octets) <= MAX_ENTRY):
            raise ApiMisuse(f"an entry of {len(self.octets)} octets for the log {self.log!r} will not do")


@frozen
class Purge:
    """Forget the associations that expired before ``before`` and the replay records that did before ``replays``.

    It is not bound to its unit: a store does it after everything else in the
    batch, conflict or not, and may spread it over the commits that follow, so
    that no other unit waits for a long one. ``forgotten`` is made durable with it: records of requests with earlier
    Identifications, in seconds, may be gone from now on.
    """

    before: float
    replays: float = Factory(lambda self: self.before, takes_self=True)
    forgotten: float = 0.0

    def joined(self, other: Purge | None) -> Purge:
        """Return what does both."""
        if other is None:
            return self
        return Purge(
            max(self.before, other.before), max(self.replays, other.replays), max(self.forgotten, other.forgotten)
        )


Operation: TypeAlias = (
    PutReplay | PutAssociation | ConfirmAssociation | DeleteAssociation | PutRecord | DeleteRecord | Append | Purge
)
Unit: TypeAlias = tuple[Operation, ...]


class Outcome(Enum):
    """What became of one unit."""

    STORED = "stored"
    CONFLICT = "conflict"


class Later:
    """Records of one kind, none of which expires, that are opened when they are wanted: there may be a million.

    ``sealed`` has what is stored by name, in the order in which it was stored; ``unseal`` opens it, or raises
    `AuthenticationFailed`. What was dropped is not there any more.
    """

    __slots__ = ("_sealed", "kind", "unseal")

    def __init__(self, kind: str, sealed: dict[bytes, bytes], unseal: Callable[[bytes, bytes], bytes]) -> None:
        self.kind = kind
        self._sealed = sealed
        self.unseal = unseal

    def __repr__(self) -> str:
        return f"<Later {self.kind}, {len(self)} at first>"

    def __len__(self) -> int:
        """How many there were at first."""
        return len(self._sealed)

    def left(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield name and octets of all that was not dropped by the time that it is their turn, still sealed."""
        return (pair for pair in self._sealed.items() if pair[1])

    def has(self, name: bytes) -> bool:
        """Tell whether there is one of this name."""
        return bool(self._sealed.get(name))

    def open(self, name: bytes) -> bytes:
        """Return the octets of the record of that name; raises `AuthenticationFailed`."""
        return self.unseal(name, self._sealed[name])

    def drop(self, name: bytes) -> None:
        """Let go of one; whoever goes through the names may do so meanwhile."""
        self._sealed[name] = b""


@frozen
class Snapshot:
    """All that a store holds for one worker, associations in the order in which they were stored.

    ``damaged`` has a sentence for each record that could not be read and is left out;
    ``forgotten`` is the highest of all `Purge.forgotten`. Of some kinds records come `Later`. ``restored`` is when
    (wall-clock seconds) a daemon began with the store after it was restored from a backup, 0 where it never was: what
    was said before may have been answered without being remembered here.
    """

    associations: tuple[Association, ...]
    replays: tuple[ReplayRecord, ...]
    damaged: tuple[str, ...] = ()
    forgotten: float = 0.0
    records: tuple[Record, ...] = ()
    later: tuple[Later, ...] = ()
    restored: float = 0.0


@frozen
class Page:
    """Some records of one kind; ``beyond`` is where to go on, None at the end; ``damaged`` as of `Snapshot`."""

    records: tuple[Record, ...]
    beyond: bytes | None
    damaged: tuple[str, ...] = ()


WORKER_MASK: Final = (1 << WORKER_BITS) - 1


class Store(Protocol):
    """What a daemon asks of its store; methods raise `seckex.errors.StoreFailed`."""

    def load(self, worker: int, now: float, most_replays: int = MOST_REPLAYS, later: Collection[str] = ()) -> Snapshot:
        """Return what is not expired at ``now``: associations of ``worker``, replay records of all.

        Of more replay records than ``most_replays`` those that expire last are
        returned. The others still make a unit that repeats them a conflict. Records of the kinds ``later`` that never
        expire come as `Later`.
        """
        ...

    def commit(self, units: Sequence[Unit]) -> list[Outcome]:
        """Make ``units`` durable in one transaction and return the outcome of each; if it raises, none is stored."""
        ...

    def page(self, kind: str, beyond: bytes | None, most: int, *, down: bool = False) -> Page:
        """Return at most ``most`` records of a kind in the order of their names, those after the name ``beyond``.

        Where ``down`` the order is the other way round. Without ``beyond`` it is from where the order begins. May be
        called from any thread, also while the store is used by another.
        """
        ...

    def entries(self, log: str, after: int, most: int) -> list[LogEntry]:
        """Return at most ``most`` entries of a log after the one with the number ``after``; 0: from the first.

        This and `verify` may be called from any thread, also while the store is used by another.
        """
        ...

    def verify(self, log: str) -> LogCheck:
        """Follow a log from the first entry to the last, and to what the store knows of its end."""
        ...

    def close(self) -> None:
        """Let go of what the store holds open."""
        ...


def _as_it_is(_name: bytes, octets: bytes) -> bytes:
    return octets


def _no_record(_key: tuple[str, bytes]) -> bool:
    return False


def contradicts(
    unit: Unit,
    has_replay: Callable[[tuple[int, int]], bool],
    has_association: Callable[[int], bool],
    has_record: Callable[[tuple[str, bytes]], bool] = _no_record,
) -> bool:
    """Return whether ``unit`` stores again what is stored, by an earlier unit or by an operation of its own."""
    replays: set[tuple[int, int]] = set()
    associations: set[int] = set()
    gone: set[int] = set()
    records: set[tuple[str, bytes]] = set()
    erased: set[tuple[str, bytes]] = set()
    for operation in unit:
        if isinstance(operation, PutReplay):
            name = operation.record.name
            if name in replays or has_replay(name):
                return True
            replays.add(name)
        elif isinstance(operation, PutAssociation):
            spi = operation.association.spi_in
            if spi in associations or (spi not in gone and has_association(spi)):
                return True
            associations.add(spi)
        elif isinstance(operation, DeleteAssociation):
            associations.discard(operation.spi_in)
            gone.add(operation.spi_in)
        elif isinstance(operation, PutRecord):
            key = operation.record.key
            if operation.fresh and (key in records or (key not in erased and has_record(key))):
                return True
            records.add(key)
        elif isinstance(operation, DeleteRecord):
            records.discard((operation.kind, operation.name))
            erased.add((operation.kind, operation.name))
    return False


@define
class MemoryStore:
    """The twin: the same behaviour without the durability, for tests and simulations."""

    associations: dict[int, Association] = field(factory=dict)
    replays: dict[tuple[int, int], ReplayRecord] = field(factory=dict)
    forgotten: float = 0.0
    records: dict[tuple[str, bytes], Record] = field(factory=dict)
    logs: dict[str, list[LogEntry]] = field(factory=dict)
    restored: float = 0.0

    def load(self, worker: int, now: float, most_replays: int = MOST_REPLAYS, later: Collection[str] = ()) -> Snapshot:
        """See `Store.load`."""
        lasting = {
            key: record for key, record in self.records.items() if key[0] in later and record.expires == math.inf
        }
        replays = sorted((r for r in self.replays.values() if r.expires > now), key=lambda r: r.expires, reverse=True)
        return Snapshot(
            tuple(a for a in self.associations.values() if a.spi_in & WORKER_MASK == worker and a.expires > now),
            tuple(replays[:most_replays]),
            forgotten=self.forgotten,
            records=tuple(
                record
                for key, record in self.records.items()
                if record.expires > now and key not in lasting and not record.kind.endswith(ASIDE)
            ),
            later=tuple(
                Later(kind, {name: r.octets for (of, name), r in lasting.items() if of == kind}, _as_it_is)
                for kind in later
            ),
            restored=self.restored,
        )

    def page(self, kind: str, beyond: bytes | None, most: int, *, down: bool = False) -> Page:
        """See `Store.page`."""
        found = sorted((one for one in self.records.values() if one.kind == kind), key=lambda one: one.name)
        if beyond is not None:
            found = [one for one in found if (one.name < beyond if down else one.name > beyond)]
        some = found[::-1][:most] if down else found[:most]
        return Page(tuple(some), some[-1].name if len(some) == most else None)

    def commit(self, units: Sequence[Unit]) -> list[Outcome]:
        """See `Store.commit`."""
        outcomes = [self._apply(unit) for unit in units]
        for unit in units:
            for operation in unit:
                if isinstance(operation, Purge):
                    self._purge(operation)
        return outcomes

    def put_all(self, records: Iterable[Record], entries: Callable[[], Sequence[Append]]) -> None:
        """Store records, each in place of the one of its name, and then ``entries``, all or none."""
        unit: list[Operation] = [PutRecord(record) for record in records]
        self._apply((*unit, *entries()))

    def _apply(self, unit: Unit) -> Outcome:
        has = self.replays.__contains__, self.associations.__contains__, self.records.__contains__
        if contradicts(unit, *has):
            return Outcome.CONFLICT
        for operation in unit:
            match operation:
                case PutReplay(record):
                    self.replays[record.name] = record
                case PutAssociation(association):
                    self.associations[association.spi_in] = association
                case ConfirmAssociation(spi_in):
                    if spi_in in self.associations:
                        self.associations[spi_in] = evolve(self.associations[spi_in], confirmed=True)
                case DeleteAssociation(spi_in):
                    self.associations.pop(spi_in, None)
                case PutRecord(record):
                    self.records[record.key] = record
                case DeleteRecord(kind, name):
                    self.records.pop((kind, name), None)
                case Append(log, octets, at):
                    self.logs.setdefault(log, []).append(append(log, self._head(log), at, octets))
        return Outcome.STORED

    def _purge(self, purge: Purge) -> None:
        self.replays = {name: record for name, record in self.replays.items() if record.expires >= purge.replays}
        self.associations = {spi: a for spi, a in self.associations.items() if a.expires >= purge.before}
        self.records = {key: record for key, record in self.records.items() if record.expires >= purge.before}
        self.forgotten = max(self.forgotten, purge.forgotten)

    def _head(self, log: str) -> Head:
        entries = self.logs.get(log)
        return Head(entries[-1].seq, entries[-1].hash) if entries else Head()

    def entries(self, log: str, after: int, most: int) -> list[LogEntry]:
        """See `Store.entries`."""
        return self.logs.get(log, [])[after : after + most]

    def verify(self, log: str) -> LogCheck:
        """See `Store.verify`."""
        return follow(log, self.logs.get(log, ()), self._head(log))

    def close(self) -> None:
        """See `Store.close`."""
