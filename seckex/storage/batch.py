"""What a batch of units comes to, worked out before anything is written.

`settle` runs through the units in their order and keeps only the net effect, so
that one statement of each kind writes all of them: a unit in conflict is left
out whole and touches no other. Whether a unit is in conflict depends on what is
stored already; the caller either knows that, or supposes that nothing is in the
way and finds out when it writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set

from attrs import define, evolve, field

from seckex.sa.association import Association
from seckex.sa.store import (
    ConfirmAssociation,
    DeleteAssociation,
    Outcome,
    Purge,
    PutAssociation,
    PutReplay,
    ReplayRecord,
    Unit,
    contradicts,
)


@define
class Batch:
    """The net effect, to be written in this order; ``purge`` comes last, None where nothing asked for it.

    ``hides_conflicts`` is set when something was stored and deleted again, so
    that writing the rest does not tell whether it could have been stored.
    """

    outcomes: list[Outcome] = field(factory=list)
    deleted: set[int] = field(factory=set)
    replays: dict[tuple[int, int], ReplayRecord] = field(factory=dict)
    associations: dict[int, Association] = field(factory=dict)
    confirmed: set[int] = field(factory=set)
    purge: Purge | None = None
    hides_conflicts: bool = False


def settle(
    units: Sequence[Unit],
    replays: Set[tuple[int, int]] = frozenset(),
    associations: Set[int] = frozenset(),
) -> Batch:
    """Return what ``units`` come to where ``replays`` and ``associations`` are stored already, by their names."""
    batch = Batch()

    def has_replay(name: tuple[int, int]) -> bool:
        return name in batch.replays or name in replays

    def has_association(spi: int) -> bool:
        return spi in batch.associations or (spi in associations and spi not in batch.deleted)

    for unit in units:
        if contradicts(unit, has_replay, has_association):
            batch.outcomes.append(Outcome.CONFLICT)
        else:
            _take(batch, unit)
            batch.outcomes.append(Outcome.STORED)
    for unit in units:
        for operation in unit:
            if isinstance(operation, Purge):
                batch.purge = operation.joined(batch.purge)
    return batch


def _take(batch: Batch, unit: Unit) -> None:
    for operation in unit:
        match operation:
            case PutReplay(record):
                batch.replays[record.name] = record
            case PutAssociation(association):
                batch.associations[association.spi_in] = association
                # A confirmation of what was not there yet, which confirmed nothing.
                batch.confirmed.discard(association.spi_in)
            case ConfirmAssociation(spi):
                if spi in batch.associations:
                    batch.associations[spi] = evolve(batch.associations[spi], confirmed=True)
                elif spi not in batch.deleted:
                    batch.confirmed.add(spi)
            case DeleteAssociation(spi):
                if batch.associations.pop(spi, None) is not None:
                    batch.hides_conflicts = True
                batch.confirmed.discard(spi)
                batch.deleted.add(spi)


def named(units: Iterable[Unit]) -> tuple[set[tuple[int, int]], set[int]]:
    """Return the names of all replay records and associations that ``units`` want to store."""
    replays: set[tuple[int, int]] = set()
    associations: set[int] = set()
    for unit in units:
        for operation in unit:
            if isinstance(operation, PutReplay):
                replays.add(operation.record.name)
            elif isinstance(operation, PutAssociation):
                associations.add(operation.association.spi_in)
    return replays, associations
