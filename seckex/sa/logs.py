"""Append-only logs: what their entries are, and how they are followed from the first to the last.

`follow` needs nothing but the entries and, if somebody vouches for it, the
`Head`: the number and hash of the last one. Without a head it tells whether the
entries belong together, not whether any are missing at the end.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from attrs import field, frozen

from seckex.crypto.logchain import FIRST, link

#: A store has so many logs at most, and an entry so many octets.
MOST_LOGS: Final = 64
MAX_ENTRY: Final = 65_536
MAX_LOG_NAME: Final = 64


@frozen
class LogEntry:
    """One entry of a log; ``seq`` counts from 1, ``at`` in wall-clock seconds, which may go back."""

    seq: int
    at: float
    octets: bytes = field(repr=False)
    hash: bytes = field(repr=False)


@frozen
class Head:
    """Where a log ends: the ``seq`` and ``hash`` of its last entry; 0 where there is none."""

    seq: int = 0
    hash: bytes = field(default=FIRST, repr=False)


@frozen
class LogCheck:
    """What came of following a log.

    ``sound`` is the last entry up to which all are in order. ``at_fault`` is the
    number of the first that is not, and ``why`` a sentence; None and "" where all
    are. Where entries are missing at the end that is the number of the first of them.
    """

    log: str
    sound: Head
    at_fault: int | None = None
    why: str = ""

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return self.at_fault is None


def append(log: str, head: Head, at: float, octets: bytes) -> LogEntry:
    """Return the entry that comes after ``head``."""
    seq = head.seq + 1
    return LogEntry(seq, at, octets, link(log, head.hash, seq, at, octets))


def follow(log: str, entries: Iterable[LogEntry], head: Head | None = None) -> LogCheck:
    """Follow ``entries``, which begin with the first; ``head`` is where they end, by somebody who vouches for it."""
    seq, before = 0, FIRST
    passed: bytes | None = None
    for entry in entries:
        here = Head(seq, before)
        if entry.seq != seq + 1:
            return LogCheck(log, here, seq + 1, f"entry {seq + 1} is missing, {entry.seq} comes next")
        if entry.hash != link(log, before, entry.seq, entry.at, entry.octets):
            return LogCheck(log, here, entry.seq, f"entry {entry.seq} or its hash was altered")
        seq, before = entry.seq, entry.hash
        if head is not None and seq == head.seq:
            passed = before
    here = Head(seq, before)
    if head is None:
        return LogCheck(log, here)
    if seq < head.seq:
        return LogCheck(log, here, seq + 1, f"the log ends with entry {seq}, {head.seq} were written")
    if passed is not None and passed != head.hash:
        why = f"the hash of entry {head.seq} is not the one that was sealed: entries were altered, and their hashes too"
        return LogCheck(log, Head(), 1, why)
    if seq > head.seq:
        known = Head() if passed is None else Head(head.seq, head.hash)
        return LogCheck(log, known, head.seq + 1, f"{head.seq} entries were written, and there are {seq}")
    return LogCheck(log, here)
