"""The nodes that a center knows, in memory and as records.

A `Principal` has KEY 0; a `Copy` is what a replica was told of one by another
center: what came of KEY 0, and never KEY 0 itself. Both give the entry that a
home agent is told.

Records are read whole or refused with `Malformed`. A record's name is the NAI.

    principal   Version 8 = 1 | Flags 8 (1 enabled) | Kvno 32 | Serial 64 | Created 64 | KEY 0 (32) | home agent lp8
                | home address lp8 (0, 4 or 16 octets) | Content-Type 8 | layer 2 address lp8 (0: none)
    copy        Version 8 = 1 | Flags 8 (1 enabled, 2 deleted) | Kvno 32 | Serial 64 | home agent lp8
                | root_0 (32) | ck_0 (32)
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, TypeAlias

from attrs import field, frozen

from seckex.crypto.registration import provisioned
from seckex.crypto.secrets import KEY0_SIZE, Secret
from seckex.errors import Malformed
from seckex.sa.store import Record
from seckex.wire.buffer import Reader, Writer
from seckex.wire.extensions import is_nai
from seckex.wire.frames import lp8, lp8_nai, read_lp8_nai
from seckex.wire.info import Layer2Extension, NaiExtension, decode_info, encode_info
from seckex.wire.keying import DELETED, ENABLED, KEY_SIZE, NodeEntry
from seckex.wire.numbers import MAX_NODE_NAI, ExtensionSub, NaiContent

PRINCIPAL: Final = "kdc.principal"
COPY: Final = "kdc.copy"

_VERSION: Final = 1
_START: Final = struct.Struct(">BBIQ")
_FLAGS: Final = (0, ENABLED, DELETED)

IpAddress: TypeAlias = IPv4Address | IPv6Address


@frozen
class Principal:
    """A node of which this center has KEY 0; ``created`` in seconds since 1970."""

    nai: str
    home_agent: str
    kvno: int
    key0: Secret = field(repr=False)
    serial: int
    created: int
    enabled: bool = True
    home_address: IpAddress | None = None
    layer2: Layer2Extension | None = None

    @property
    def deleted(self) -> bool:
        """Whether it is told of only so that others forget it."""
        return False

    def entry(self, home_agent: str = "") -> NodeEntry:
        """Return what a home agent is told, or another center with the name of the ``home_agent``."""
        root, chain = provisioned(self.key0, (self.nai, self.home_agent), self.kvno)
        return NodeEntry(self.serial, self.enabled, False, self.kvno, self.nai, root.octets, chain.octets, home_agent)

    def record(self) -> Record:
        """Return the record that keeps it."""
        writer = Writer().pack(_START, _VERSION, ENABLED if self.enabled else 0, self.kvno, self.serial)
        writer.u64(self.created).raw(self.key0.octets).raw(lp8_nai(self.home_agent))
        writer.raw(lp8(b"" if self.home_address is None else self.home_address.packed))
        if self.layer2 is None:
            writer.u8(0).raw(lp8(b""))
        else:
            writer.u8(self.layer2.content).raw(lp8(encode_info(self.layer2)))
        return Record(PRINCIPAL, self.nai.encode(), writer.octets())

    @classmethod
    def read(cls, record: Record) -> Principal:
        """Return what `record` made ``record`` of; raises `Malformed`."""
        reader = Reader(record.octets)
        flags, kvno, serial = _read_start(reader, (0, ENABLED))
        created, key0 = reader.u64("Created"), Secret(reader.take(KEY0_SIZE, "KEY 0"))
        home_agent = read_lp8_nai(reader, "home agent")
        address = reader.take(reader.u8("home address"), "home address")
        if len(address) not in (0, 4, 16):
            raise reader.fail("home address", f"{len(address)} octets")
        content, layer2 = reader.u8("Content-Type"), reader.take(reader.u8("layer 2 address"), "layer 2 address")
        reader.end("principal")
        found = decode_info(ExtensionSub.LAYER2, content, layer2) if layer2 else None
        return cls(
            nai=_read_name(record),
            home_agent=home_agent,
            kvno=kvno,
            key0=key0,
            serial=serial,
            created=created,
            enabled=flags == ENABLED,
            home_address=ip_address(address) if address else None,
            layer2=found if isinstance(found, Layer2Extension) else None,
        )


@frozen
class Copy:
    """A node of another center, which has its KEY 0."""

    nai: str
    home_agent: str
    kvno: int
    serial: int
    enabled: bool
    deleted: bool
    root: bytes = field(repr=False)
    chain: bytes = field(repr=False)

    def entry(self, home_agent: str = "") -> NodeEntry:
        """Return what a home agent is told, or another center with the name of the ``home_agent``."""
        return NodeEntry(
            self.serial, self.enabled, self.deleted, self.kvno, self.nai, self.root, self.chain, home_agent
        )

    @classmethod
    def of(cls, entry: NodeEntry) -> Copy:
        """Return the copy of an entry that names a home agent."""
        return cls(
            entry.node,
            entry.home_agent,
            entry.kvno,
            entry.serial,
            entry.enabled,
            entry.deleted,
            entry.root,
            entry.chain,
        )

    def record(self) -> Record:
        """Return the record that keeps it."""
        flags = ENABLED if self.enabled else DELETED if self.deleted else 0
        writer = Writer().pack(_START, _VERSION, flags, self.kvno, self.serial)
        writer.raw(lp8_nai(self.home_agent)).raw(self.root).raw(self.chain)
        return Record(COPY, self.nai.encode(), writer.octets())

    @classmethod
    def read(cls, record: Record) -> Copy:
        """Return what `record` made ``record`` of; raises `Malformed`."""
        reader = Reader(record.octets)
        flags, kvno, serial = _read_start(reader, _FLAGS)
        home_agent = read_lp8_nai(reader, "home agent")
        root, chain = reader.take(KEY_SIZE, "root_0"), reader.take(KEY_SIZE, "ck_0")
        reader.end("copy")
        return cls(_read_name(record), home_agent, kvno, serial, flags == ENABLED, flags == DELETED, root, chain)


Known: TypeAlias = Principal | Copy


def fits(nai: str) -> bool:
    """Tell whether a node may have this name."""
    return is_nai(nai) and len(nai.encode()) <= MAX_NODE_NAI


def _read_start(reader: Reader, allowed: tuple[int, ...]) -> tuple[int, int, int]:
    version, flags, kvno, serial = reader.unpack(_START, "record")
    if version != _VERSION:
        raise reader.fail("Version", f"{version}, this program knows {_VERSION}", 0)
    if flags not in allowed:
        raise reader.fail("Flags", f"0x{flags:02x}", 1)
    return flags, kvno, serial


def _read_name(record: Record) -> str:
    found = decode_info(ExtensionSub.NAI, NaiContent.MOBILE_NODE, record.name)
    if not isinstance(found, NaiExtension) or len(record.name) > MAX_NODE_NAI:
        raise Malformed("name", 0, f"a node's NAI has at most {MAX_NODE_NAI} octets")
    return found.nai


class _Changes:
    """Names in the order of the serials of their last changes; what was overtaken is left out when it is read."""

    __slots__ = ("_names", "_serials", "live")

    def __init__(self) -> None:
        self._serials: list[int] = []
        self._names: list[str] = []
        self.live = 0

    @property
    def latest(self) -> int:
        """The serial of the last change, 0 where there was none."""
        return self._serials[-1] if self._serials else 0

    def note(self, serial: int, nai: str, known: dict[str, Known]) -> None:
        """Take note of a change; those that others have overtaken are let go from time to time."""
        if serial > self.latest:
            self._serials.append(serial)
            self._names.append(nai)
        else:
            at = bisect_right(self._serials, serial)
            self._serials.insert(at, serial)
            self._names.insert(at, nai)
        if len(self._serials) > 2 * self.live + 64:
            kept = [(s, n) for s, n in zip(self._serials, self._names, strict=True) if known[n].serial == s]
            self._serials, self._names = [s for s, _ in kept], [n for _, n in kept]

    def after(self, serial: int) -> Iterator[tuple[int, str]]:
        """Yield serials and names of the changes after ``serial``."""
        for at in range(bisect_right(self._serials, serial), len(self._serials)):
            yield self._serials[at], self._names[at]


class Directory:
    """All nodes by name, and in the order of their changes, all and those of each home agent.

    At most ``most`` of them: a further one is refused by whoever asks `is_full`.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._known: dict[str, Known] = {}
        self._all = _Changes()
        self._of: dict[str, _Changes] = {}

    def __len__(self) -> int:
        return len(self._known)

    @property
    def is_full(self) -> bool:
        """Whether there is no room for another name."""
        return len(self._known) >= self.most

    @property
    def home_agents(self) -> int:
        """How many home agents there are."""
        return len(self._of)

    def has_home_agent(self, nai: str) -> bool:
        """Tell whether any node was ever at home there."""
        return nai in self._of

    def find(self, nai: str) -> Known | None:
        """Return the node of this name."""
        return self._known.get(nai)

    def put(self, known: Known) -> None:
        """Take a node, in place of what was known of it; its serial is above those of before."""
        before = self._known.get(known.nai)
        self._known[known.nai] = known
        of = self._of.setdefault(known.home_agent, _Changes())
        if before is None:
            self._all.live += 1
        if before is None or before.home_agent != known.home_agent:
            of.live += 1
            if before is not None:
                self._of[before.home_agent].live -= 1
        self._all.note(known.serial, known.nai, self._known)
        of.note(known.serial, known.nai, self._known)

    def latest(self, home_agent: str | None) -> int:
        """Return the serial of the last change of a home agent's nodes; None: of all."""
        changes = self._all if home_agent is None else self._of.get(home_agent)
        return 0 if changes is None else changes.latest

    def after(self, serial: int, home_agent: str | None) -> Iterator[Known]:
        """Yield the nodes of a home agent, None: all, that have changed after ``serial``, in that order."""
        changes = self._all if home_agent is None else self._of.get(home_agent)
        if changes is None:
            return
        for at, nai in changes.after(serial):
            known = self._known[nai]
            if known.serial == at:
                yield known
