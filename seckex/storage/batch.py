"""What a batch of units comes to, worked out before anything is written.

`settle` runs through the units in their order and keeps only the net effect, so
that one statement of each kind writes all of them: a unit in conflict is left
out whole and touches no other. Whether a unit is in conflict depends on what is
stored already; the caller either knows that, or supposes that nothing is in the
way and finds out when it writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from typing import TypeAlias

from attrs import define, evolve, field

from seckex.sa.association import Association
from seckex.sa.store import (
    Append,
    ConfirmAssociation,
    DeleteAssociation,
    DeleteRecord,
    Outcome,
    Purge,
    PutAssociation,
    PutRecord,
    PutReplay,
    ReplayRecord,
    Unit,
    contradicts,
)

RecordKey: TypeAlias = tuple[str, bytes]


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
    records: dict[RecordKey, PutRecord] = field(factory=dict)
    erased: set[RecordKey] = field(factory=set)
    appended: list[Append] = field(factory=list)


def settle(
    units: Sequence[Unit],
    replays: Set[tuple[int, int]] = frozenset(),
    associations: Set[int] = frozenset(),
    records: Set[RecordKey] = frozenset(),
) -> Batch:
    """Return what ``units`` come to where ``replays``, ``associations`` and ``records`` are stored already, by name."""
    batch = Batch()

    def has_replay(name: tuple[int, int]) -> bool:
        return name in batch.replays or name in replays

    def has_association(spi: int) -> bool:
        return spi in batch.associations or (spi in associations and spi not in batch.deleted)

    def has_record(key: RecordKey) -> bool:
        return key in batch.records or (key in records and key not in batch.erased)

    for unit in units:
        if contradicts(unit, has_replay, has_association, has_record):
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
            case PutRecord(record, fresh):
                earlier = batch.records.get(record.key)
                # What the first one found, or did not find, is found out by writing the last.
                batch.records[record.key] = PutRecord(record, fresh or (earlier is not None and earlier.fresh))
            case DeleteRecord(kind, name):
                gone = batch.records.pop((kind, name), None)
                batch.hides_conflicts |= gone is not None and gone.fresh
                batch.erased.add((kind, name))
            case Append():
                batch.appended.append(operation)


def named(units: Iterable[Unit]) -> tuple[set[tuple[int, int]], set[int], set[RecordKey]]:
    """Return the names of all replay records, associations and fresh records that ``units`` want to store."""
    replays: set[tuple[int, int]] = set()
    associations: set[int] = set()
    records: set[RecordKey] = set()
    for unit in units:
        for operation in unit:
            if isinstance(operation, PutReplay):
                replays.add(operation.record.name)
            elif isinstance(operation, PutAssociation):
                associations.add(operation.association.spi_in)
            elif isinstance(operation, PutRecord) and operation.fresh:
                records.add(operation.record.key)
    return replays, associations, records
