"""What a process holds: the octets of its memory, as the kernel shows them to its parent.

Every mapping that can be read and written is read, in pieces, and looked through for
what is sought; what cannot be written are the program's own files. What a process had
and let go of is found as well where nothing else has been written over it.

Limits: Linux; the process must be a child, and of the same user. What is in
other forms than those given is not found.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from seckex.errors import SeckexError

PIECE: Final = 1 << 22
_MAPPING: Final = re.compile(r"([0-9a-f]+)-([0-9a-f]+) rw")

#: What is sought: for each name the octets that it may look like, less than a piece.
Sought = Mapping[str, Collection[bytes]]


class MemoryUnreadable(SeckexError):
    """The kernel does not show the memory of this process."""


def held_in_memory(pid: int, sought: Sought) -> set[str]:
    """Return the names of those of ``sought`` that are in the memory of a process; raises `MemoryUnreadable`."""
    found: set[str] = set()
    seen = 0
    try:
        descriptor = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise MemoryUnreadable(f"the memory of process {pid} cannot be read: {error.strerror}") from error
    try:
        overlap = max((len(form) for forms in sought.values() for form in forms), default=1) - 1
        for start, end in _mappings(pid):
            for octets in _pieces(descriptor, start, end, overlap):
                seen += len(octets)
                found |= held_in(octets, {name: forms for name, forms in sought.items() if name not in found})
    finally:
        os.close(descriptor)
    if not seen:
        raise MemoryUnreadable(f"the memory of process {pid} cannot be read")
    return found


def held_in(octets: bytes, sought: Sought) -> set[str]:
    """Return the names of those of ``sought`` that are in ``octets``."""
    return {name for name, forms in sought.items() if any(form in octets for form in forms)}


def _mappings(pid: int) -> Iterator[tuple[int, int]]:
    """Yield where each mapping that can be read and written begins and ends."""
    try:
        with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as maps:
            lines = maps.readlines()
    except OSError as error:
        raise MemoryUnreadable(f"the memory of process {pid} cannot be read: {error.strerror}") from error
    for line in lines:
        mapping = _MAPPING.match(line)
        if mapping is not None:
            yield int(mapping[1], 16), int(mapping[2], 16)


def _pieces(descriptor: int, start: int, end: int, overlap: int) -> Iterator[bytes]:
    """Yield a mapping in pieces, each with the end of the one before it; what has gone meanwhile is left out."""
    kept = b""
    for at in range(start, end, PIECE):
        try:
            octets = os.pread(descriptor, min(PIECE, end - at), at)
        except (OSError, OverflowError):
            # Gone, or of a kind that is not shown, such as the kernel's own pages.
            return
        yield kept + octets
        kept = octets[-overlap:] if overlap else b""
