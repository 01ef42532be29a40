"""Messages that come in fragments: pieces that go to the spool or are kept in memory, until one is whole.

A message begins with its fragment 0, which tells the size; others are dropped
until it came. A payload of up to `SPOOLED_ABOVE` octets is put together in
memory, a longer one in a file of the spool; it is whole when that file is
durable. What is there of a message is not remembered over a restart: the peer
asks, and sends it from its beginning.

Bounds: at most `MOST_ASSEMBLED` messages at a time, and `MOST_UNWRITTEN` octets
that the spool has not taken; fragments beyond these are dropped, and come again.
"""

from __future__ import annotations

from typing import Final

from seckex.delivery.faces import FRAGMENT, SPOOLED_ABOVE
from seckex.delivery.flow.pieces import DropSpool, SpoolWork, SyncSpool, WritePiece
from seckex.delivery.flow.segments import fragments_of, violation
from seckex.errors import Malformed
from seckex.wire.bodies import Fragments, Frame, padded, unpack_start

MOST_ASSEMBLED: Final = 8
MOST_UNWRITTEN: Final = 8 << 20

#: docs/messages.md, section 9: FRAGMENTS is said after so many at the latest.
TOLD_EVERY: Final = 16

_MISSING, _WRITING, _THERE = range(3)


class Assembly:
    """A message of which not all fragments are there; ``head`` is what fragment 0 begins with.

    ``spool`` is empty where the pieces are kept in memory. ``first_missing`` counts the fragments that are there
    from the beginning on.
    """

    __slots__ = (
        "_pieces",
        "_states",
        "_there",
        "first_missing",
        "fragments",
        "head",
        "number",
        "size",
        "spool",
        "told",
    )

    def __init__(self, number: int, size: int, head: bytes, spool: str) -> None:
        self.number = number
        self.size = size
        self.head = head
        self.spool = "" if size <= SPOOLED_ABOVE else spool
        self.fragments = fragments_of(size)
        self._pieces: list[bytes] = [b""] * (0 if self.spool else self.fragments)
        self._states = bytearray(self.fragments)
        self._there = self.first_missing = self.told = 0

    @property
    def weight(self) -> int:
        """What it counts for in windows."""
        return len(self.head) + self.size

    @property
    def is_whole(self) -> bool:
        """Whether all fragments are there."""
        return self._there == self.fragments

    def has(self, fragment: int) -> bool:
        """Tell whether a fragment is there, or will be."""
        return self._states[fragment] != _MISSING

    def payload_in(self, fragment: int, body: bytes) -> bytes:
        """Return the part of the payload that a fragment's body has; raises `PeerMisbehaved`."""
        begin = 0 if fragment else len(self.head)
        end = begin + (self.size - fragment * FRAGMENT if fragment == self.fragments - 1 else FRAGMENT)
        if body != padded(body[:end]) or len(body) < end:
            raise violation(f"fragment {fragment} of message {self.number} has {len(body)} octets")
        return body[begin:end]

    def keep(self, fragment: int, octets: bytes) -> None:
        """Keep a piece in memory."""
        self._pieces[fragment] = octets
        self.there(fragment)

    def writing(self, fragment: int) -> None:
        """Note that a piece is on its way to the spool."""
        self._states[fragment] = _WRITING

    def lost(self, fragment: int) -> None:
        """Note that the spool has not taken a piece."""
        self._states[fragment] = _MISSING

    def there(self, fragment: int) -> None:
        """Note that a piece is there."""
        self._states[fragment] = _THERE
        self._there += 1
        while self.first_missing < self.fragments and self._states[self.first_missing] == _THERE:
            self.first_missing += 1

    def octets(self) -> bytes:
        """Return the octets of the segment of a message that is whole."""
        return b"".join([self.head, *self._pieces])


class Assembling:
    """The messages of one direction that come in fragments. ``name`` is what their files' names begin with."""

    __slots__ = ("_assemblies", "_name", "_unwritten", "work")

    def __init__(self, name: str) -> None:
        self._name = name
        self._assemblies: dict[int, Assembly] = {}
        self._unwritten = 0
        self.work: list[SpoolWork] = []

    def __contains__(self, number: int) -> bool:
        return number in self._assemblies

    def begin(self, number: int, fragments: int, body: bytes) -> Assembly:
        """Return a message of which fragment 0 is ``body``, not yet begun; raises `Malformed`."""
        size, _, _, end = unpack_start(body)
        if fragments_of(size) != fragments:
            raise Malformed("Fragments", 0, f"{size} octets are not in {fragments} fragments")
        return Assembly(number, size, body[:end], f"{self._name}{number}")

    def add(self, assembly: Assembly, is_next: bool) -> bool:
        """Begin a message; return whether there was room, as there always is for the one whose turn it is."""
        if len(self._assemblies) >= MOST_ASSEMBLED and not is_next:
            return False
        self._assemblies[assembly.number] = assembly
        return True

    def take(self, number: int, fragment: int, fragments: int, body: bytes) -> Assembly | None:
        """Take a fragment of a message that was begun; return the message when it is whole. Raises `PeerMisbehaved`."""
        assembly = self._assemblies[number]
        if fragments != assembly.fragments or fragment >= fragments:
            raise violation(f"fragment {fragment} of {fragments}, and message {number} has {assembly.fragments}")
        octets = assembly.payload_in(fragment, body)
        if assembly.has(fragment):
            return None
        if not assembly.spool:
            assembly.keep(fragment, octets)
            if assembly.is_whole:
                return self._assemblies.pop(number)
        elif self._unwritten + len(octets) <= MOST_UNWRITTEN:
            assembly.writing(fragment)
            self._unwritten += len(octets)
            self.work.append(WritePiece(number, assembly.spool, fragment, octets))
        return None

    def done(self, work: SpoolWork, ok: bool) -> Assembly | None:
        """Take the answer to something of ``work``; return the message when it is whole and durable.

        Whoever hears that a file was not synchronised gives the message up: what is in the file is not known any more.
        """
        if isinstance(work, WritePiece):
            self._unwritten -= len(work.octets)
        assembly = None if isinstance(work, DropSpool) else self._assemblies.get(work.number)
        if assembly is None:
            return None
        if isinstance(work, SyncSpool):
            return self._assemblies.pop(work.number) if ok else None
        if isinstance(work, WritePiece):
            if ok:
                assembly.there(work.fragment)
                if assembly.is_whole:
                    self.work.append(SyncSpool(work.number, assembly.spool))
            else:
                assembly.lost(work.fragment)
        return None

    def give_up(self, first: int, last: int) -> int:
        """Forget messages that will never be whole; return what they counted for."""
        weight = 0
        for number in [number for number in self._assemblies if first <= number <= last]:
            assembly = self._assemblies.pop(number)
            weight += assembly.weight
            if assembly.spool:
                self.work.append(DropSpool(assembly.spool))
        return weight

    @property
    def owes(self) -> bool:
        """Whether many fragments are there that were not told."""
        return any(each.first_missing >= each.told + TOLD_EVERY for each in self._assemblies.values())

    def frames(self, everything: bool) -> list[Frame]:
        """Return FRAGMENTS that are news; of all messages with ``everything``."""
        frames: list[Frame] = []
        for each in self._assemblies.values():
            if each.first_missing > (0 if everything else each.told):
                each.told = each.first_missing
                frames.append(Fragments(each.number, each.first_missing))
        return frames
