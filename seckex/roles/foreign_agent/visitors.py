"""Nodes that are registered by way of the agent: what it has with each, and what of it lasts.

A visitor is a pseudonym that its home agent chose, and nothing else tells who it
is: as a rule each registration has another, so that one node may be several visitors
here (docs/registration.md, section 6). Under it the agent keeps KEY 2, which it has
with the home agent for this node, and KEY 3, which it has with the node, for as long as
the registration lasts. A further one under the same pseudonym takes its place.
"""

from __future__ import annotations

import heapq
import math
import struct
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from typing import Final

from attrs import field, frozen

from seckex.crypto.schedule import AgreedKeys
from seckex.errors import ApiMisuse, Malformed
from seckex.passage.faces import Admission, Admitted, Party
from seckex.sa.store import PutRecord, Record
from seckex.wire.buffer import Reader, Writer
from seckex.wire.frames import Address
from seckex.wire.numbers import Hop, Kem, Keying
from seckex.wire.registration import PSEUDONYM_SIZE

KIND: Final = "fa.visitor"

# Those of version 1 do not say where the home agent is: their nodes register anew.
_VERSION: Final = 2
_ADDRESSES: Final = (4, 16)
_START: Final = struct.Struct(">BBBxIIIIQQ")


@frozen
class Visitor:
    """See the module.

    ``spi_home`` and ``spi_node`` are the agent's SPIs of KEY 2 and KEY 3, ``spi_of_home`` and ``spi_of_node`` the
    others'. ``home_address`` and ``home_port`` are where the home agent takes passages. ``home_choice`` and
    ``node_choice`` are the SA payloads that were chosen for them. ``since`` and ``until`` are wall-clock seconds.
    """

    home_agent: str
    home_address: Address
    home_port: int
    pseudonym: bytes
    kem: Kem
    mode: Keying
    spi_home: int
    spi_of_home: int
    spi_node: int
    spi_of_node: int
    since: int
    until: int
    home_choice: bytes
    node_choice: bytes
    key2: AgreedKeys = field(repr=False)
    key3: AgreedKeys = field(repr=False)

    @property
    def admitted(self) -> Admitted:
        """What its traffic comes under, and goes on to the home agent with."""
        host, spi, until = str(self.home_address), self.spi_of_home, float(self.until)
        onward = Admission(Hop.FA_HA, self.home_agent, host, self.home_port, spi, until, self.key2)
        who = Party(self.home_agent.partition("@")[2], self.pseudonym)
        return Admitted(Hop.MN_FA, self.spi_node, until, who, self.key3, onward)

    @property
    def name(self) -> bytes:
        """What there is one record of."""
        return name_of(self.home_agent, self.pseudonym)

    @property
    def put(self) -> PutRecord:
        """What makes it durable."""
        return PutRecord(Record(KIND, self.name, encode(self), float(self.until)))


def name_of(home_agent: str, pseudonym: bytes) -> bytes:
    """Return what names a visitor: home agents do not know of each other's pseudonyms."""
    return pseudonym + home_agent.encode()


def encode(visitor: Visitor) -> bytes:
    """Return the octets of a record."""
    spis = (visitor.spi_home, visitor.spi_of_home, visitor.spi_node, visitor.spi_of_node)
    writer = Writer().pack(_START, _VERSION, visitor.kem, visitor.mode, *spis, visitor.since, visitor.until)
    writer.raw(visitor.pseudonym).u16(visitor.home_port).prefixed(visitor.home_address.packed)
    texts = (visitor.home_agent.encode(), visitor.home_choice, visitor.node_choice)
    for part in (*texts, visitor.key2.octets(), visitor.key3.octets()):
        writer.prefixed(part)
    return writer.octets()


def decode(octets: bytes) -> Visitor:
    """Read a record; raises `Malformed`."""
    reader = Reader(octets)
    version, kem, mode, *numbers = reader.unpack(_START, "visitor")
    if version != _VERSION:
        raise reader.fail("version", f"{version} of a record", 0)
    spi_home, spi_of_home, spi_node, spi_of_node, since, until = numbers
    pseudonym = reader.take(PSEUDONYM_SIZE, "pseudonym")
    home_port = reader.u16("port")
    at, address = reader.offset, reader.take(reader.u32("size"), "address")
    if len(address) not in _ADDRESSES or not home_port:
        raise reader.fail("address", "not where a home agent is", at)
    home_agent, home_choice, node_choice, key2, key3 = (reader.take(reader.u32("size"), "part") for _ in range(5))
    reader.end("visitor")
    try:
        keys = AgreedKeys.from_octets(key2), AgreedKeys.from_octets(key3)
        methods = Kem(kem), Keying(mode)
        name = home_agent.decode()
    except (ApiMisuse, ValueError) as error:
        raise reader.fail("visitor", str(error), 0) from None
    spis = (spi_home, spi_of_home, spi_node, spi_of_node)
    return Visitor(
        name, ip_address(address), home_port, pseudonym, *methods, *spis, since, until, home_choice, node_choice, *keys
    )


class Visitors:
    """All of them, by name, and the SPIs that they use; whoever puts one in keeps to the bound."""

    def __init__(self) -> None:
        self._visitors: dict[bytes, Visitor] = {}
        self._by_spi: dict[int, Visitor] = {}
        self._ends: list[tuple[int, bytes]] = []

    def __len__(self) -> int:
        return len(self._visitors)

    def __iter__(self) -> Iterator[Visitor]:
        return iter(self._visitors.values())

    def get(self, name: bytes) -> Visitor | None:
        """Return the one of a name."""
        return self._visitors.get(name)

    def has_spi(self, spi: int) -> bool:
        """Tell whether an SPI names something here."""
        return spi in self._by_spi

    def of_home(self, spi: int) -> Visitor | None:
        """Return the one whose KEY 2 has this SPI here."""
        visitor = self._by_spi.get(spi)
        return None if visitor is None or visitor.spi_home != spi else visitor

    def passage(self, spi: int) -> Admitted | None:
        """Return what traffic under this SPI of KEY 3 comes under."""
        visitor = self._by_spi.get(spi)
        return None if visitor is None or visitor.spi_node != spi else visitor.admitted

    def take_over(self, records: Iterable[Record]) -> list[str]:
        """Put in what was stored; return what could not be read."""
        strange: list[str] = []
        for record in records:
            if record.kind == KIND:
                try:
                    self.put(decode(record.octets))
                except Malformed as error:
                    strange.append(str(error))
        return strange

    def put(self, visitor: Visitor) -> Visitor | None:
        """Put one in; return the one whose place it takes."""
        before = self.pop(visitor.name)
        self._visitors[visitor.name] = visitor
        self._by_spi[visitor.spi_home] = self._by_spi[visitor.spi_node] = visitor
        heapq.heappush(self._ends, (visitor.until, visitor.name))
        # What was replaced leaves its end behind; these must not become more than what lives.
        if len(self._ends) > 2 * len(self._visitors) + 64:
            self._ends = [(each.until, each.name) for each in self._visitors.values()]
            heapq.heapify(self._ends)
        return before

    def pop(self, name: bytes) -> Visitor | None:
        """Take one out."""
        visitor = self._visitors.pop(name, None)
        if visitor is not None:
            self._by_spi.pop(visitor.spi_home, None)
            self._by_spi.pop(visitor.spi_node, None)
        return visitor

    def expired(self, now: float) -> Iterator[Visitor]:
        """Take out and yield those whose registration has ended at ``now`` (wall-clock)."""
        while self._ends and self._ends[0][0] <= now:
            until, name = heapq.heappop(self._ends)
            visitor = self._visitors.get(name)
            if visitor is not None and visitor.until == until:
                self.pop(name)
                yield visitor

    @property
    def deadline(self) -> float:
        """When the next registration ends (wall-clock)."""
        return self._ends[0][0] if self._ends else math.inf
