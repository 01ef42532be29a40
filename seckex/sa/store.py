"""What must last: the interface of stores, and the twin that lives in memory.

A store is read once, when a daemon starts, and from then on only written, in
batches: one `Store.commit` makes the units of all conversations that wait
durable at once. A unit is a tuple of operations that happen all or not at all.
`commit` blocks, and so runs outside of the reactor's thread.

Several workers may share one store. The replay record is what they meet at:
the first to store an Identification has accepted the request, every other unit
with it is a conflict, whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Final, Protocol, TypeAlias

from attrs import define, evolve, field, frozen

from seckex.sa.association import WORKER_BITS, Association


@frozen
class ReplayRecord:
    """A request that was answered.

    ``spi`` of KEY 0 and ``identification`` name it; ``request`` is the SHA-256 of the whole
    request and ``answer`` what was, or is about to be, sent. ``expires`` in wall-clock seconds: after it the
    request's Identification is outside of every window.
    """

    spi: int
    identification: int
    request: bytes
    answer: bytes = field(repr=False)
    expires: float


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
class Purge:
    """Forget the replay records that expired before ``before``, and associations that did."""

    before: float


Operation: TypeAlias = PutReplay | PutAssociation | ConfirmAssociation | DeleteAssociation | Purge
Unit: TypeAlias = tuple[Operation, ...]


class Outcome(Enum):
    """What became of one unit."""

    STORED = "stored"
    CONFLICT = "conflict"


@frozen
class Snapshot:
    """All that a store holds for one worker."""

    associations: tuple[Association, ...]
    replays: tuple[ReplayRecord, ...]


WORKER_MASK: Final = (1 << WORKER_BITS) - 1


class Store(Protocol):
    """What a daemon asks of its store; methods raise `seckex.errors.StoreFailed`."""

    def load(self, worker: int, now: float) -> Snapshot:
        """Return what is not expired at ``now``: associations of ``worker``, replay records of all."""
        ...

    def commit(self, units: Sequence[Unit]) -> list[Outcome]:
        """Make ``units`` durable in one transaction and return the outcome of each; if it raises, none is stored."""
        ...

    def close(self) -> None:
        """Let go of what the store holds open."""
        ...


@define
class MemoryStore:
    """The twin: the same behaviour without the durability, for tests and simulations."""

    associations: dict[int, Association] = field(factory=dict)
    replays: dict[tuple[int, int], ReplayRecord] = field(factory=dict)

    def load(self, worker: int, now: float) -> Snapshot:
        """See `Store.load`."""
        return Snapshot(
            tuple(a for a in self.associations.values() if a.spi_in & WORKER_MASK == worker and a.expires > now),
            tuple(r for r in self.replays.values() if r.expires > now),
        )

    def commit(self, units: Sequence[Unit]) -> list[Outcome]:
        """See `Store.commit`."""
        return [self._apply(unit) for unit in units]

    def _apply(self, unit: Unit) -> Outcome:
        for operation in unit:
            if isinstance(operation, PutReplay):
                if (operation.record.spi, operation.record.identification) in self.replays:
                    return Outcome.CONFLICT
            elif isinstance(operation, PutAssociation) and operation.association.spi_in in self.associations:
                return Outcome.CONFLICT
        for operation in unit:
            match operation:
                case PutReplay(record):
                    self.replays[record.spi, record.identification] = record
                case PutAssociation(association):
                    self.associations[association.spi_in] = association
                case ConfirmAssociation(spi_in):
                    if spi_in in self.associations:
                        self.associations[spi_in] = evolve(self.associations[spi_in], confirmed=True)
                case DeleteAssociation(spi_in):
                    self.associations.pop(spi_in, None)
                case Purge(before):
                    self.replays = {k: r for k, r in self.replays.items() if r.expires >= before}
                    self.associations = {k: a for k, a in self.associations.items() if a.expires >= before}
        return Outcome.STORED

    def close(self) -> None:
        """See `Store.close`."""
