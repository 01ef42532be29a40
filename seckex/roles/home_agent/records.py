"""What a home agent must not forget: nodes, replies, static keys, what agents are to be told, how far it knows nodes.

Records are sealed at rest. Version and lengths are checked when they are read,
since a record may be from another version of the program.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final, TypeVar

from attrs import frozen

from seckex.crypto.kem import KemKey, kem
from seckex.crypto.registration import Root
from seckex.crypto.revoking import KEY_SIZE, RevocationKey
from seckex.crypto.schedule import AgreedKeys
from seckex.crypto.secrets import Secret
from seckex.crypto.spichain import Chain, Window
from seckex.errors import ApiMisuse, Malformed, StoreFailed
from seckex.roles.home_agent.bindings import Binding
from seckex.roles.home_agent.ended import Ended
from seckex.roles.home_agent.nodes import Credentials, KnownNode
from seckex.sa.store import Record
from seckex.wire.buffer import Reader, Writer
from seckex.wire.frames import Address
from seckex.wire.info import Layer2Extension
from seckex.wire.keying import HomeKey
from seckex.wire.numbers import Kem, Reason

NODE: Final = "ha.node"
REPLY: Final = "ha.reply"
STATIC_KEY: Final = "ha.static-key"
SERIAL: Final = "ha.serial"
REVOCATION: Final = "ha.revocation"

_VERSION: Final = 1
# Bindings of version 1 do not say enough for their agents to be told of their end: their nodes register anew.
_NODE_VERSION: Final = 2
_HEAD: Final = struct.Struct(">BQBI")
_CREDENTIALS: Final = struct.Struct(">I8s32s68s32s")
_BINDING: Final = struct.Struct(">Hd16sIII")
_BINDING_BEFORE: Final = struct.Struct(">Hd16sII")
_MOMENT: Final = struct.Struct(">d")
_STATIC: Final = struct.Struct(">BBQQ")
_ENDED: Final = struct.Struct(">BBHIIddd")
_DIGEST: Final = 32
_ENABLED, _FORMER, _REVOKED = 0x1, 0x2, 0x4
_NONE: Final = bytes(32)

T = TypeVar("T")


def _read(record: Record, read: Callable[[Reader], T]) -> T:
    reader = Reader(record.octets)
    try:
        found = read(reader)
        reader.end("record")
    except (Malformed, ApiMisuse, ValueError) as error:
        raise StoreFailed(str(error)) from None
    return found


# -- nodes


def node_record(node: KnownNode) -> Record:
    """Return what is stored of a node."""
    flags = (_ENABLED if node.enabled else 0) | (0 if node.former is None else _FORMER)
    flags |= _REVOKED if node.current is None else 0
    writer = Writer().pack(_HEAD, _NODE_VERSION, node.serial, flags, node.association)
    for each in node.credentials:
        healed = _NONE if each.healed is None else each.healed.secret.octets
        root, chain = each.root.secret.octets, each.window.chain.octets()
        writer.raw(_CREDENTIALS.pack(each.kvno, each.check, root, chain, healed))
    writer.raw(_MOMENT.pack(node.grace))
    _address(writer, node.home_address)
    writer.u8(len(node.bindings))
    for binding in node.bindings:
        writer.prefixed(binding.agent.encode())
        _address(writer, binding.care_of)
        _address(writer, binding.address)
        writer.u16(binding.port)
        spis = binding.spi_in, binding.spi_out, binding.spi_of_node
        writer.raw(_BINDING.pack(binding.lifetime, binding.until, binding.pseudonym, *spis))
        writer.prefixed(binding.choice).prefixed(binding.keys.octets())
        writer.u32(binding.link)
        layer2 = binding.layer2
        writer.prefixed(b"" if layer2 is None else bytes((layer2.content,)) + layer2.address)
    return Record(NODE, node.nai.encode(), writer.octets())


def read_node(record: Record, home_agent: str) -> KnownNode:
    """Read what `node_record` wrote; raises `StoreFailed`."""
    nai = record.name.decode()
    names = nai, home_agent

    def read(reader: Reader) -> KnownNode:
        version, serial, flags, association = reader.unpack(_HEAD, "node")
        if version != _VERSION:
            _check_version(reader, version, _NODE_VERSION)
        current = None if flags & _REVOKED else _credentials(reader, names)
        former = _credentials(reader, names) if flags & _FORMER else None
        (grace,) = (0.0,) if version == _VERSION else reader.unpack(_MOMENT, "grace")
        address, count = _read_address(reader), reader.u8("bindings")
        bindings: tuple[Binding, ...] = ()
        if version == _VERSION:
            for _ in range(count):
                _skip_binding(reader)
        else:
            bindings = tuple(_read_binding(reader) for _ in range(count))
        enabled = bool(flags & _ENABLED)
        return KnownNode(nai, serial, enabled, current, former, bindings, association, address, grace)

    return _read(record, read)


def _check_version(reader: Reader, version: int, known: int = _VERSION) -> None:
    if version != known:
        raise reader.fail("version", f"{version}, known is {known}")


def _credentials(reader: Reader, names: tuple[str, str]) -> Credentials:
    kvno, check, root, chain, healed = reader.unpack(_CREDENTIALS, "credentials")
    following = None if healed == _NONE else Root(Secret(healed), names, kvno)
    return Credentials(kvno, check, Root(Secret(root), names, kvno), following, Window.of(Chain.from_octets(chain)))


def _skip_binding(reader: Reader) -> None:
    _lp(reader)
    _read_address(reader)
    _read_address(reader)
    reader.unpack(_BINDING_BEFORE, "binding")
    for _ in range(3):
        _lp(reader)


def _read_binding(reader: Reader) -> Binding:
    agent, care_of, address = _lp(reader).decode(), _read_address(reader), _read_address(reader)
    if care_of is None or address is None:
        raise reader.fail("binding", "without addresses")
    port = reader.u16("port")
    lifetime, until, pseudonym, spi_in, spi_out, spi_of_node = reader.unpack(_BINDING, "binding")
    choice, keys, link, octets = _lp(reader), AgreedKeys.from_octets(_lp(reader)), reader.u32("SPI"), _lp(reader)
    layer2 = Layer2Extension(octets[0], octets[1:]) if octets else None
    times, spis = (lifetime, until), (spi_in, spi_out, spi_of_node)
    return Binding(agent, care_of, address, port, *times, pseudonym, *spis, choice, keys, link, layer2)


def _lp(reader: Reader) -> bytes:
    return reader.take(reader.u32("length"), "text")


def _address(writer: Writer, address: Address | None) -> None:
    octets = b"" if address is None else address.packed
    writer.u8(len(octets)).raw(octets)


def _read_address(reader: Reader) -> Address | None:
    octets = reader.take(reader.u8("address"), "address")
    return ip_address(octets) if octets else None


# -- what agents are to be told


def ended_record(ended: Ended) -> Record:
    """Return what is stored of a registration that has ended; the store forgets it with the lifetime of that."""
    numbers = ended.reason or 0, ended.port, ended.spi_out, ended.spi_of_node, ended.since, ended.until, ended.due
    writer = Writer().raw(_ENDED.pack(_VERSION, *numbers)).raw(ended.key.secret.octets)
    _address(writer, ended.address)
    for part in (ended.node.encode(), ended.agent.encode(), ended.revocation):
        writer.prefixed(part)
    return Record(REVOCATION, ended.name, writer.octets(), ended.until)


def read_ended(record: Record) -> Ended:
    """Read what `ended_record` wrote; raises `StoreFailed`."""

    def read(reader: Reader) -> Ended:
        version, reason, port, spi_out, spi_of_node, since, until, due = reader.unpack(_ENDED, "revocation")
        _check_version(reader, version)
        key, address = RevocationKey(Secret(reader.take(KEY_SIZE, "key"))), _read_address(reader)
        if address is None:
            raise reader.fail("revocation", "without an address")
        node, agent, revocation = _lp(reader).decode(), _lp(reader).decode(), _lp(reader)
        spis = int.from_bytes(record.name[:4], "big"), spi_out, spi_of_node
        why = Reason(reason) if reason else None
        return Ended(node, agent, address, port, *spis, since, until, key, why, due, revocation)

    return _read(record, read)


# -- replies


@frozen
class KeptReply:
    """What was replied, and to which request of a node's: ``req``, its SHA-256."""

    req: bytes
    octets: bytes


def reply_record(digest: bytes, reply: KeptReply, until: float) -> Record:
    """Return what is stored of a reply to the agent's message of that SHA-256."""
    return Record(REPLY, digest, reply.req + reply.octets, until)


def read_reply(record: Record) -> KeptReply:
    """Read what `reply_record` wrote; raises `StoreFailed`."""

    def read(reader: Reader) -> KeptReply:
        return KeptReply(reader.take(_DIGEST, "digest"), reader.rest())

    return _read(record, read)


# -- static keys


@frozen
class StaticKey:
    """A static KEM key: in use from ``since`` and ``until`` then (wall-clock seconds)."""

    number: Kem
    since: int
    until: int
    seed: Secret
    key: KemKey

    @classmethod
    def of(cls, number: Kem, since: int, until: int, seed: bytes) -> StaticKey:
        """Return the key that ``seed`` makes."""
        return cls(number, since, until, Secret(seed), kem(number).keypair(seed))

    @property
    def name(self) -> bytes:
        """The name of its record."""
        return bytes((self.number,)) + self.since.to_bytes(8, "big")

    @property
    def told(self) -> HomeKey:
        """What nodes and centers are told."""
        return HomeKey(self.number, self.until, self.key.public)

    def record(self) -> Record:
        """Return what is stored."""
        start = _STATIC.pack(_VERSION, self.number, self.since, self.until)
        return Record(STATIC_KEY, self.name, start + self.seed.octets)

    @classmethod
    def read(cls, record: Record) -> StaticKey:
        """Read what `record` wrote; raises `StoreFailed`."""

        def read(reader: Reader) -> StaticKey:
            version, number, since, until = reader.unpack(_STATIC, "static key")
            _check_version(reader, version)
            return cls.of(Kem(number), since, until, reader.rest())

        return _read(record, read)


# -- how far the nodes of the centers are known


def serial_record(serial: int) -> Record:
    """Return what is stored."""
    return Record(SERIAL, b"", Writer().u8(_VERSION).u64(serial).octets())


def read_serial(record: Record) -> int:
    """Read what `serial_record` wrote; raises `StoreFailed`."""

    def read(reader: Reader) -> int:
        _check_version(reader, reader.u8("version"))
        return reader.u64("serial")

    return _read(record, read)
