"""What is in the chunks of an archive of a center's nodes, and what becomes of them at another one.

    chunk   Version 8 = 1 | Count 16 | Count x (NAI lp8 | Length 16 | record of the node)
    behind the last one's     Total 64 | Made 64, seconds since 1970 | NAI of the center lp8

A node that was changed while the archive was made is in it twice; the later one stands. Total counts both.

A center that takes nodes over gives each a serial of its own, beginning at the
milliseconds of its clock, so that home agents and replicas are told of all. Who is
revoked or deleted at that center, with the version of KEY 0 that the archive has or
a later one, stays so, and who has a later version there keeps that: an archive of before
a theft does not undo what was done about it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from attrs import frozen

from seckex.errors import Malformed, Unfeasible
from seckex.machine import Now
from seckex.roles.kdc.directory import Directory
from seckex.roles.kdc.principals import PRINCIPAL, PRINCIPALS, Principal, Standing, as_written_now, fits, with_serial
from seckex.sa.store import Record
from seckex.wire.buffer import Reader, Writer
from seckex.wire.frames import lp8, lp8_nai, read_lp8_nai
from seckex.wire.keying import DELETED, REVOKED

#: Nodes in a chunk.
PORTION: Final = 2000
_VERSION: Final = 1


@frozen
class Ending:
    """What stands behind the last chunk."""

    total: int
    made: int
    center: str


def encode_chunk(nodes: list[tuple[bytes, bytes]], ending: Ending | None = None) -> bytes:
    """Return a chunk of names and records; the last one has an ``ending``."""
    writer = Writer().u8(_VERSION).u16(len(nodes))
    for name, octets in nodes:
        writer.raw(lp8(name)).u16(len(octets)).raw(octets)
    if ending is not None:
        writer.u64(ending.total).u64(ending.made).raw(lp8_nai(ending.center))
    return writer.octets()


def read_chunk(chunk: bytes, *, check: bool = True) -> tuple[list[tuple[bytes, bytes]], Ending | None]:
    """Return names and records as they are written now, and the ending, if it has one; raises `Malformed`.

    Without ``check`` only what a chunk needs to be taken apart is looked at.
    """
    reader = Reader(chunk)
    version = reader.u8("Version")
    if version != _VERSION:
        raise reader.fail("Version", f"{version}, this program knows {_VERSION}", 0)
    count, at = reader.u16("Count"), reader.offset
    nodes: list[tuple[bytes, bytes]] = []
    for _ in range(count):
        # There may be a million of them: octets are taken as they are, and their lengths looked at once.
        begin = at + 1 + int.from_bytes(chunk[at : at + 1], "big")
        end = begin + 2 + int.from_bytes(chunk[begin : begin + 2], "big")
        name, octets = chunk[at + 1 : begin], as_written_now(chunk[begin + 2 : end])
        if end > len(chunk):
            raise Malformed("archive", at, "a node is cut short")
        if check:
            if not _is_name(name):
                raise Malformed("archive", at, "a node has no name")
            PRINCIPALS.checked(octets)
        nodes.append((name, octets))
        at = end
    if at == len(chunk):
        return nodes, None
    reader = Reader(chunk, at)
    ending = Ending(reader.u64("Total"), reader.u64("Made"), read_lp8_nai(reader, "center"))
    reader.end("chunk")
    return nodes, ending


def _is_name(octets: bytes) -> bool:
    try:
        return fits(octets.decode())
    except UnicodeDecodeError:
        return False


def checked(chunks: Iterator[bytes]) -> Ending:
    """Read all of an archive; return its ending. Raises `Malformed`, and what ``chunks`` raises."""
    total = 0
    ending: Ending | None = None
    for chunk in chunks:
        if ending is not None:
            raise Malformed("archive", 0, "it goes on behind its end")
        nodes, ending = read_chunk(chunk)
        total += len(nodes)
    if ending is None or ending.total != total:
        raise Malformed("archive", 0, "it does not say how many nodes it has, or has others")
    return ending


class Taking:
    """Takes nodes over, for a center that has ``here`` and no others; ``there`` is what it has in the end.

    Nothing may change ``here`` meanwhile, and the archive must have been `checked`.
    """

    def __init__(self, here: Directory, now: Now) -> None:
        self.there = Directory(here.most)
        self.taken = self.kept = self.deleted = 0
        self._here = here
        self._later: set[bytes] = set()
        self._serial = max(here.latest(None), int(now.wall * 1000))

    def records(self, chunks: Iterator[bytes]) -> Iterator[Record]:
        """Yield the records that are to be stored; raises `Unfeasible`, and what reading ``chunks`` raises."""
        for chunk in chunks:
            for name, octets in read_chunk(chunk, check=False)[0]:
                standing = self._here.named(name)
                if standing is not None and _is_final(standing, PRINCIPALS.standing(octets)):
                    # It is yielded below, with all that stay as they are.
                    self._later.add(name)
                    continue
                self.taken += self.there.named(name) is None
                yield self._takes(name, octets)
            if len(self.there) > self.there.most:
                raise Unfeasible(f"there are more nodes than kdc.principals allows, {self.there.most}")
        for name, octets in self._here.every():
            if self.there.named(name) is not None:
                continue
            standing = PRINCIPALS.standing(octets)
            if standing.flags in (DELETED, REVOKED) or name in self._later:
                self.kept += 1
                self.there.keep(name, octets)
            else:
                self.deleted += 1
                gone = Principal.read(Record(PRINCIPAL, name, octets)).without_key(deleted=True)
                yield self._takes(name, gone.record().octets)

    def _takes(self, name: bytes, octets: bytes) -> Record:
        self._serial += 1
        octets = with_serial(octets, self._serial)
        self.there.keep(name, octets)
        return Record(PRINCIPAL, name, octets)


def _is_final(here: Standing, theirs: Standing) -> bool:
    """Tell whether what became of a node here is not undone by what an archive has of it."""
    return here.kvno > theirs.kvno or (here.flags in (DELETED, REVOKED) and here.kvno == theirs.kvno)
