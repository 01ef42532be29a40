"""What a home agent and a key distribution center say to each other: docs/registration.md, section 12.

Keys pass in the clear here, for a hop is secured as a whole; no value shows one
in its repr.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Final

from attrs import field, frozen

from seckex.errors import ApiMisuse
from seckex.wire.buffer import Reader, Writer
from seckex.wire.extensions import is_nai
from seckex.wire.frames import lp8_nai, read_lp8_nai, sized
from seckex.wire.numbers import MAX_NODE_NAI, Kem, Keying
from seckex.wire.shares import SIZES, known_kem

DIGEST_SIZE: Final = 32
KEY_SIZE: Final = 32

#: So many always fit into a message where none names a home agent.
MAX_ENTRIES: Final = 64
MAX_HOME_KEYS: Final = 8

ENABLED: Final = 0x1
DELETED: Final = 0x2
REVOKED: Final = 0x4

_REQUEST: Final = struct.Struct(">BBHI")
_MATERIAL: Final = struct.Struct(">BB")
_QUERY: Final = struct.Struct(">QH")
_ENTRIES: Final = struct.Struct(">QBH")
_ENTRY: Final = struct.Struct(">QBIQ")
_HOME_KEY: Final = struct.Struct(">BQ")
_ENTRY_FLAGS: Final = (0, ENABLED, DELETED, REVOKED)
_NO_KEY: Final = bytes(KEY_SIZE)

#: a1, k2 and k3, or the seed; stateless keying asks nobody.
KEYS_OF: Final[Mapping[int, int]] = {Keying.STATEFUL: 3, Keying.SEMI_STATEFUL: 1}


@frozen
class KeyRequest:
    """For which registration keys are wanted; ``digest`` is the SHA-256 of req, ``lifetime`` is in seconds."""

    mode: Keying
    lifetime: int
    kvno: int
    digest: bytes
    node: str
    agent: str


@frozen
class KeyMaterial:
    """a1, k2 and k3 (stateful), or a seed (semi-stateful), of 32 octets each."""

    mode: Keying
    keys: tuple[bytes, ...] = field(repr=False)


@frozen
class NodeQuery:
    """Ask for at most ``most`` nodes that have changed after the serial ``since``, for ``node`` alone if not empty."""

    since: int
    most: int
    node: str = ""


@frozen
class NodeEntry:
    """What a home agent may know of a node of its own; the roots are zeros in an entry that was deleted or revoked.

    ``home_agent`` is where the node is at home, empty where that is who asks: another center is told. ``until`` is when
    the version of KEY 0 before this one ends (seconds since 1970), 0 where it does with a registration under this one.
    """

    serial: int
    enabled: bool
    deleted: bool
    kvno: int
    node: str
    root: bytes = field(repr=False)
    chain: bytes = field(repr=False)
    home_agent: str = ""
    revoked: bool = False
    until: int = 0


@frozen
class NodeEntries:
    """Entries in the order of their serials, up to ``serial``; ``more`` says that there are further ones."""

    serial: int
    more: bool
    entries: tuple[NodeEntry, ...]


@frozen
class HomeKey:
    """A static KEM key of a home agent, used ``until`` then (seconds since 1970)."""

    kem: Kem
    until: int
    public: bytes


def read_key_request(data: Reader) -> KeyRequest:
    """Read the data of a key request, whole; raises `Malformed`."""
    start = data.offset
    mode, reserved, lifetime, kvno = data.unpack(_REQUEST, "key request")
    if mode not in KEYS_OF:
        raise data.fail("Mode", f"{mode} asks for no keys", start)
    if reserved:
        raise data.fail("Reserved", "reserved octets are not zero", start + 1)
    digest = data.take(DIGEST_SIZE, "Digest")
    request = KeyRequest(Keying(mode), lifetime, kvno, digest, _read_node(data), read_lp8_nai(data, "agent"))
    data.end("key request")
    return request


def key_request_data(request: KeyRequest) -> bytes:
    """Return the data of a key request; raises `ApiMisuse`."""
    if request.mode not in KEYS_OF:
        raise ApiMisuse(f"{request.mode.name} asks for no keys")
    writer = Writer().pack(_REQUEST, request.mode, 0, request.lifetime, request.kvno)
    writer.raw(sized(request.digest, DIGEST_SIZE, "a digest"))
    return writer.raw(_node(request.node)).raw(lp8_nai(request.agent)).octets()


def read_key_material(data: Reader) -> KeyMaterial:
    """Read the data of key material, whole; raises `Malformed`."""
    start = data.offset
    mode, count = data.unpack(_MATERIAL, "key material")
    if KEYS_OF.get(mode) != count:
        raise data.fail("Count", f"{count} keys of mode {mode}", start)
    keys = tuple(data.take(KEY_SIZE, "key") for _ in range(count))
    data.end("key material")
    return KeyMaterial(Keying(mode), keys)


def key_material_data(material: KeyMaterial) -> bytes:
    """Return the data of key material; raises `ApiMisuse`."""
    if KEYS_OF.get(material.mode) != len(material.keys):
        raise ApiMisuse(f"{len(material.keys)} keys of mode {material.mode.name}")
    start = _MATERIAL.pack(material.mode, len(material.keys))
    return start + b"".join(sized(key, KEY_SIZE, "a key") for key in material.keys)


def read_node_query(data: Reader) -> NodeQuery:
    """Read the data of a node request, whole; raises `Malformed`."""
    start = data.offset
    since, most = data.unpack(_QUERY, "node request")
    if not 1 <= most <= MAX_ENTRIES:
        raise data.fail("Most", f"{most} entries, 1 to {MAX_ENTRIES} are allowed", start + 8)
    node = ""
    if data.remaining == 1:
        data.zeros(1, "node")
    else:
        node = _read_node(data)
    data.end("node request")
    return NodeQuery(since, most, node)


def node_query_data(query: NodeQuery) -> bytes:
    """Return the data of a node request; raises `ApiMisuse`."""
    if not 1 <= query.most <= MAX_ENTRIES:
        raise ApiMisuse(f"{query.most} entries, 1 to {MAX_ENTRIES} are allowed")
    return Writer().pack(_QUERY, query.since, query.most).raw(_node(query.node) if query.node else b"\0").octets()


def read_node_entries(data: Reader) -> NodeEntries:
    """Read the data of node entries, whole; raises `Malformed`."""
    start = data.offset
    serial, more, count = data.unpack(_ENTRIES, "node entries")
    if more > 1:
        raise data.fail("More", f"{more}, neither 0 nor 1", start + 8)
    if count > MAX_ENTRIES:
        raise data.fail("Count", f"{count} entries, {MAX_ENTRIES} are allowed", start + 9)
    entries = tuple(_read_entry(data) for _ in range(count))
    data.end("node entries")
    return NodeEntries(serial, bool(more), entries)


def _read_entry(data: Reader) -> NodeEntry:
    start = data.offset
    serial, flags, kvno, until = data.unpack(_ENTRY, "entry")
    if flags not in _ENTRY_FLAGS:
        raise data.fail("Flags", f"0x{flags:02x}", start + 8)
    node = _read_node(data)
    at = data.offset
    root, chain = data.take(KEY_SIZE, "root_0"), data.take(KEY_SIZE, "ck_0")
    if flags == REVOKED and (root, chain) != (_NO_KEY, _NO_KEY):
        raise data.fail("root_0", "keys of who was revoked", at)
    home_agent = _read_home_agent(data)
    enabled, deleted, revoked = flags == ENABLED, flags == DELETED, flags == REVOKED
    return NodeEntry(serial, enabled, deleted, kvno, node, root, chain, home_agent, revoked, until)


def _read_home_agent(data: Reader) -> str:
    start = data.offset
    size = data.u8("home agent")
    nai = data.sub(size, "home agent").text("home agent")
    if size and not is_nai(nai):
        raise data.fail("home agent", "not a NAI of at most 253 octets", start)
    return nai


def node_entries_data(entries: NodeEntries) -> bytes:
    """Return the data of node entries; raises `ApiMisuse`."""
    if len(entries.entries) > MAX_ENTRIES:
        raise ApiMisuse(f"{len(entries.entries)} entries, {MAX_ENTRIES} are allowed")
    writer = Writer().pack(_ENTRIES, entries.serial, entries.more, len(entries.entries))
    for entry in entries.entries:
        if entry.enabled + entry.deleted + entry.revoked > 1:
            raise ApiMisuse("a node that was deleted or revoked is nothing else")
        if entry.revoked and (entry.root, entry.chain) != (_NO_KEY, _NO_KEY):
            raise ApiMisuse("nothing is told of the keys of who was revoked")
        flags = ENABLED if entry.enabled else DELETED if entry.deleted else REVOKED if entry.revoked else 0
        writer.pack(_ENTRY, entry.serial, flags, entry.kvno, entry.until).raw(_node(entry.node))
        writer.raw(sized(entry.root, KEY_SIZE, "root_0")).raw(sized(entry.chain, KEY_SIZE, "ck_0"))
        writer.raw(lp8_nai(entry.home_agent) if entry.home_agent else b"\0")
    return writer.octets()


def read_home_keys(data: Reader) -> tuple[HomeKey, ...]:
    """Read the data of home keys, whole; raises `Malformed`, and `PeerIncompatible` for a KEM that there is not."""
    start = data.offset
    count = data.u8("Count")
    if count > MAX_HOME_KEYS:
        raise data.fail("Count", f"{count} keys, {MAX_HOME_KEYS} are allowed", start)
    keys = tuple(_read_home_key(data) for _ in range(count))
    data.end("home keys")
    return keys


def _read_home_key(data: Reader) -> HomeKey:
    number, until = data.unpack(_HOME_KEY, "home key")
    kem = known_kem(number)
    return HomeKey(kem, until, data.take(SIZES[kem].public, "public key"))


def home_keys_data(keys: Sequence[HomeKey]) -> bytes:
    """Return the data of home keys; raises `ApiMisuse`."""
    if len(keys) > MAX_HOME_KEYS:
        raise ApiMisuse(f"{len(keys)} keys, {MAX_HOME_KEYS} are allowed")
    writer = Writer().u8(len(keys))
    for key in keys:
        writer.pack(_HOME_KEY, key.kem, key.until).raw(sized(key.public, SIZES[key.kem].public, "a public key"))
    return writer.octets()


def _read_node(data: Reader) -> str:
    start = data.offset
    nai = read_lp8_nai(data, "node")
    if data.offset - start - 1 > MAX_NODE_NAI:
        raise data.fail("node", f"a NAI of more than {MAX_NODE_NAI} octets", start)
    return nai


def _node(nai: str) -> bytes:
    octets = lp8_nai(nai)
    if len(octets) - 1 > MAX_NODE_NAI:
        raise ApiMisuse(f"a node's NAI has at most {MAX_NODE_NAI} octets")
    return octets
