"""The nodes that a center knows, as values and as records.

A `Principal` has KEY 0; a `Copy` is what a replica was told of one by another
center: what came of KEY 0, and never KEY 0 itself. Both give the entry that a
home agent is told. Of who was deleted or revoked there is no key, only the name and what became of it.

Records are read whole or refused with `Malformed`. A record's name is the NAI. Version 1, which is
read too, has no Until.

    principal   Version 8 = 2 | Flags 8 (1 enabled, 2 deleted, 4 revoked) | Kvno 32 | Serial 64 | Until 64 | Created 64
                | KEY 0 (32, zeros where 2 or 4) | home agent lp8 | home address lp8 (0, 4 or 16 octets)
                | Content-Type 8 | layer 2 address lp8 (0: none)
    copy        Version 8 = 2 | Flags 8 (likewise) | Kvno 32 | Serial 64 | Until 64 | home agent lp8
                | root_0 (32) | ck_0 (32)
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, NamedTuple, TypeAlias

from attrs import evolve, field, frozen

from seckex.crypto.registration import provisioned
from seckex.crypto.secrets import KEY0_SIZE, Secret
from seckex.errors import Malformed
from seckex.sa.store import Record
from seckex.wire.buffer import Reader, Writer
from seckex.wire.extensions import is_nai
from seckex.wire.frames import lp8, lp8_nai, read_lp8_nai
from seckex.wire.info import Layer2Extension, NaiExtension, decode_info, encode_info
from seckex.wire.keying import DELETED, ENABLED, KEY_SIZE, REVOKED, NodeEntry
from seckex.wire.numbers import MAX_NODE_NAI, ExtensionSub, NaiContent

PRINCIPAL: Final = "kdc.principal"
COPY: Final = "kdc.copy"

_VERSION: Final = 2
#: What the records of now begin with.
CURRENT: Final = bytes((_VERSION,))
_START: Final = struct.Struct(">BBIQQ")
_FLAGS: Final = (0, ENABLED, DELETED, REVOKED)
_NO_KEY: Final = bytes(KEY_SIZE)
# Up to where version 1 is the same as version 2, without its first octet.
_OLD_START: Final = slice(1, 14)

IpAddress: TypeAlias = IPv4Address | IPv6Address


@frozen
class Principal:
    """A node of which this center has KEY 0, unless it was deleted or revoked.

    ``created`` in seconds since 1970; ``until`` likewise is when the version of KEY 0 before this one ends, 0 where it
    does as soon as the node uses this one.
    """

    nai: str
    home_agent: str
    kvno: int
    key0: Secret | None = field(repr=False)
    serial: int
    created: int
    enabled: bool = True
    home_address: IpAddress | None = None
    layer2: Layer2Extension | None = None
    deleted: bool = False
    revoked: bool = False
    until: int = 0

    def without_key(self, *, deleted: bool = False, revoked: bool = False) -> Principal:
        """Return what stays of it when its KEY 0 is destroyed."""
        return evolve(self, key0=None, enabled=False, deleted=deleted, revoked=revoked, until=0)

    def entry(self, home_agent: str = "") -> NodeEntry:
        """Return what a home agent is told, or another center with the name of the ``home_agent``."""
        root = chain = _NO_KEY
        if self.key0 is not None:
            keys = provisioned(self.key0, (self.nai, self.home_agent), self.kvno)
            root, chain = keys[0].octets, keys[1].octets
        return NodeEntry(
            self.serial,
            self.enabled,
            self.deleted,
            self.kvno,
            self.nai,
            root,
            chain,
            home_agent,
            self.revoked,
            self.until,
        )

    def record(self) -> Record:
        """Return the record that keeps it."""
        writer = Writer().pack(_START, _VERSION, flags_of(self), self.kvno, self.serial, self.until)
        writer.u64(self.created).raw(bytes(KEY0_SIZE) if self.key0 is None else self.key0.octets)
        writer.raw(lp8_nai(self.home_agent))
        writer.raw(lp8(b"" if self.home_address is None else self.home_address.packed))
        if self.layer2 is None:
            writer.u8(0).raw(lp8(b""))
        else:
            writer.u8(self.layer2.content).raw(lp8(encode_info(self.layer2)))
        return Record(PRINCIPAL, self.nai.encode(), writer.octets())

    @classmethod
    def read(cls, record: Record) -> Principal:
        """Return what `record` made ``record`` of; raises `Malformed`."""
        reader = Reader(as_written_now(record.octets))
        flags, kvno, serial, until = _read_start(reader)
        created, key0 = reader.u64("Created"), reader.take(KEY0_SIZE, "KEY 0")
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
            key0=None if flags in (DELETED, REVOKED) else Secret(key0),
            serial=serial,
            created=created,
            enabled=flags == ENABLED,
            home_address=ip_address(address) if address else None,
            layer2=found if isinstance(found, Layer2Extension) else None,
            deleted=flags == DELETED,
            revoked=flags == REVOKED,
            until=until,
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
    revoked: bool = False
    until: int = 0

    def entry(self, home_agent: str = "") -> NodeEntry:
        """Return what a home agent is told, or another center with the name of the ``home_agent``."""
        return NodeEntry(
            self.serial,
            self.enabled,
            self.deleted,
            self.kvno,
            self.nai,
            self.root,
            self.chain,
            home_agent,
            self.revoked,
            self.until,
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
            entry.revoked,
            entry.until,
        )

    def record(self) -> Record:
        """Return the record that keeps it."""
        writer = Writer().pack(_START, _VERSION, flags_of(self), self.kvno, self.serial, self.until)
        writer.raw(lp8_nai(self.home_agent)).raw(self.root).raw(self.chain)
        return Record(COPY, self.nai.encode(), writer.octets())

    @classmethod
    def read(cls, record: Record) -> Copy:
        """Return what `record` made ``record`` of; raises `Malformed`."""
        reader = Reader(as_written_now(record.octets))
        flags, kvno, serial, until = _read_start(reader)
        home_agent = read_lp8_nai(reader, "home agent")
        root, chain = reader.take(KEY_SIZE, "root_0"), reader.take(KEY_SIZE, "ck_0")
        reader.end("copy")
        enabled, deleted, revoked = flags == ENABLED, flags == DELETED, flags == REVOKED
        return cls(_read_name(record), home_agent, kvno, serial, enabled, deleted, root, chain, revoked, until)


Known: TypeAlias = Principal | Copy


class Standing(NamedTuple):
    """What is judged of a node whenever keys are asked for; ``home_agent`` as it is in the record."""

    flags: int
    kvno: int
    serial: int
    until: int
    home_agent: bytes

    def takes(self, kvno: int, wall: float) -> bool:
        """Tell whether registrations under that version of KEY 0 are taken."""
        return kvno == self.kvno or (kvno == self.kvno - 1 and wall < self.until)


@frozen
class Form:
    """How a node is kept: as a `Principal` or as a `Copy`, which differ in where the home agent stands."""

    kind: str
    home_agent_at: int

    def read(self, name: bytes, octets: bytes) -> Known:
        """Return the node of a record; raises `Malformed`."""
        record = Record(self.kind, name, octets)
        return Principal.read(record) if self.kind == PRINCIPAL else Copy.read(record)

    def standing(self, octets: bytes) -> Standing:
        """Return what is judged of a node, by the octets of its record as they are written now."""
        _, flags, kvno, serial, until = _START.unpack_from(octets)
        at = self.home_agent_at
        return Standing(flags, kvno, serial, until, octets[at + 1 : at + 1 + octets[at]])

    def checked(self, octets: bytes) -> tuple[int, int, int, int, bytes]:
        """Return what a `Standing` has; raises `Malformed` where octets cannot be those of a record.

        It takes much less time than `read`: a center looks at a million when it starts.
        """
        try:
            version, flags, kvno, serial, until = _START.unpack_from(octets)
            at = self.home_agent_at
            end = at + 1 + octets[at]
            home_agent = octets[at + 1 : end]
            if self.kind == PRINCIPAL:
                end += 2 + octets[end]
                end += 1 + octets[end]
            else:
                end += 2 * KEY_SIZE
        except (IndexError, struct.error):
            version = flags = end = 0
        if version != _VERSION or flags not in _FLAGS or end != len(octets):
            raise Malformed("record", 0, f"it is no record of the kind {self.kind}")
        return flags, kvno, serial, until, home_agent


PRINCIPALS: Final = Form(PRINCIPAL, _START.size + 8 + KEY0_SIZE)
COPIES: Final = Form(COPY, _START.size)


def as_written_now(octets: bytes) -> bytes:
    """Return the octets of a record as this version would have written them."""
    return octets if octets[:1] != b"\1" else b"\2" + octets[_OLD_START] + bytes(8) + octets[_OLD_START.stop :]


def with_serial(octets: bytes, serial: int) -> bytes:
    """Return a record, as it is written now, with another serial."""
    version, flags, kvno, _, until = _START.unpack_from(octets)
    return _START.pack(version, flags, kvno, serial, until) + octets[_START.size :]


def flags_of(known: Known) -> int:
    """Return the flags that tell what became of a node."""
    return ENABLED if known.enabled else DELETED if known.deleted else REVOKED if known.revoked else 0


def fits(nai: str) -> bool:
    """Tell whether a node may have this name."""
    return is_nai(nai) and len(nai.encode()) <= MAX_NODE_NAI


def _read_start(reader: Reader) -> tuple[int, int, int, int]:
    version, flags, kvno, serial, until = reader.unpack(_START, "record")
    if version != _VERSION:
        raise reader.fail("Version", f"{version}, this program knows {_VERSION}", 0)
    if flags not in _FLAGS:
        raise reader.fail("Flags", f"0x{flags:02x}", 1)
    return flags, kvno, serial, until


def _read_name(record: Record) -> str:
    found = decode_info(ExtensionSub.NAI, NaiContent.MOBILE_NODE, record.name)
    if not isinstance(found, NaiExtension) or len(record.name) > MAX_NODE_NAI:
        raise Malformed("name", 0, f"a node's NAI has at most {MAX_NODE_NAI} octets")
    return found.nai
