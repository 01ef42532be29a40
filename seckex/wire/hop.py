"""What agents, AAA servers, home agents and key distribution centers say over hops: docs/registration.md, section 11.

A general message for each thing that is said, of at most 16,384 octets. Whoever
says it has proved his name already, so faults here are a neighbour's. Modules
that speak of relaying otherwise too use this one by its name: ``hop.Relay``.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import ClassVar, Final, TypeAlias

from attrs import field, frozen

from seckex.errors import ApiMisuse, Malformed
from seckex.wire.buffer import Reader, Writer
from seckex.wire.extensions import Detail, encode_extension
from seckex.wire.frames import general, lp8_nai, next_general, read_detail, read_lp8_nai
from seckex.wire.general import Header, decode_header, encode_header
from seckex.wire.keying import (
    HomeKey,
    KeyMaterial,
    KeyRequest,
    NodeEntries,
    NodeQuery,
    home_keys_data,
    key_material_data,
    key_request_data,
    node_entries_data,
    node_query_data,
    read_home_keys,
    read_key_material,
    read_key_request,
    read_node_entries,
    read_node_query,
)
from seckex.wire.numbers import HEADER_SIZE, MAX_HOP_MESSAGE, MOST_HOPS, Kind, Security
from seckex.wire.numbers import ExtensionSub as Sub

# The agent, those that relay, and the one that refuses to go on.
MAX_ROUTE: Final = MOST_HOPS + 2

_HOP: Final = struct.Struct(">BI")
_SECURITIES: Final = frozenset(map(int, Security))


@frozen
class Route:
    """Where a message goes: ``hops`` left, the NAI of the home agent, and who has relayed it, the agent first."""

    hops: int
    home_agent: str
    relayed: tuple[str, ...]


@frozen
class TracedHop:
    """A principal on the way, how the hop that it asked over is secured, and the time that this took."""

    nai: str
    security: Security
    microseconds: int


@frozen
class Relay:
    """An agent's request on its way to a home agent."""

    kind: ClassVar[Kind] = Kind.RELAY
    identification: int
    route: Route
    message: bytes = field(repr=False)


@frozen
class Relayed:
    """A home agent's reply on its way back."""

    kind: ClassVar[Kind] = Kind.RELAYED
    identification: int
    message: bytes = field(repr=False)


@frozen
class NotRelayed:
    """Why there is no reply; the last NAI of the route is who refuses."""

    kind: ClassVar[Kind] = Kind.NOT_RELAYED
    identification: int
    detail: Detail
    route: Route


@frozen
class Keys:
    """A home agent asks for the keys of a registration."""

    kind: ClassVar[Kind] = Kind.KEYS
    identification: int
    request: KeyRequest


@frozen
class Issued:
    """Keys."""

    kind: ClassVar[Kind] = Kind.ISSUED
    identification: int
    material: KeyMaterial


@frozen
class NotIssued:
    """Why there are no keys."""

    kind: ClassVar[Kind] = Kind.NOT_ISSUED
    identification: int
    detail: Detail


@frozen
class Nodes:
    """A home agent asks which nodes it has, and says which static keys it has."""

    kind: ClassVar[Kind] = Kind.NODES
    identification: int
    query: NodeQuery
    home_keys: tuple[HomeKey, ...]


@frozen
class Entries:
    """Nodes of a home agent."""

    kind: ClassVar[Kind] = Kind.ENTRIES
    identification: int
    entries: NodeEntries


@frozen
class Changed:
    """There are changes to ask for."""

    kind: ClassVar[Kind] = Kind.CHANGED
    identification: int


@frozen
class Trace:
    """Ask for the way to a home agent."""

    kind: ClassVar[Kind] = Kind.TRACE
    identification: int
    route: Route
    hops: tuple[TracedHop, ...]


@frozen
class Traced:
    """The way, or as much of it as the answer has come back."""

    kind: ClassVar[Kind] = Kind.TRACED
    identification: int
    hops: tuple[TracedHop, ...]


HopMessage: TypeAlias = (
    Relay | Relayed | NotRelayed | Keys | Issued | NotIssued | Nodes | Entries | Changed | Trace | Traced
)


def decode_hop(octets: bytes) -> HopMessage:
    """Return what was said over a hop.

    Raises `Malformed`; `UnsupportedVersion`; `PeerIncompatible` for an extension or a KEM that version 1 does not have.
    """
    if not HEADER_SIZE <= len(octets) <= MAX_HOP_MESSAGE:
        raise Malformed("message", 0, f"{len(octets)} octets where {HEADER_SIZE} to {MAX_HOP_MESSAGE} are allowed")
    header = decode_header(octets[:HEADER_SIZE])
    read = _READ.get(header.kind)
    if read is None:
        raise Malformed("Kind", 2, f"{header.kind.name} is not said over hops")
    if header.spi:
        raise Malformed("SPI", 12, "not zero")
    reader = Reader(octets, HEADER_SIZE)
    message = read(header.identification, reader)
    reader.end("message")
    return message


def encode_hop(message: HopMessage) -> bytes:
    """Return the octets of a message; raises `ApiMisuse` for what `decode_hop` would refuse."""
    answer = message.kind not in _REQUESTS
    octets = encode_header(Header(message.kind, answer, message.identification, 0)) + b"".join(_parts(message))
    if len(octets) > MAX_HOP_MESSAGE:
        raise ApiMisuse(f"a message of {len(octets)} octets, {MAX_HOP_MESSAGE} are allowed")
    return octets


def encode_issued(identification: int, material: bytes) -> bytes:
    """Return the octets of an `Issued` from the data of its key material, which are kept as they were drawn."""
    header = encode_header(Header(Kind.ISSUED, True, identification, 0))
    return header + general(Sub.KEY_MATERIAL, material)


_REQUESTS: Final = frozenset((Kind.RELAY, Kind.KEYS, Kind.NODES, Kind.CHANGED, Kind.TRACE))


def _parts(message: HopMessage) -> tuple[bytes, ...]:
    match message:
        case Relay():
            return encode_route(message.route), general(Sub.REGISTRATION_MESSAGE, message.message)
        case Relayed():
            return (general(Sub.REGISTRATION_MESSAGE, message.message),)
        case NotRelayed():
            return encode_extension(message.detail), encode_route(message.route)
        case Keys():
            return (general(Sub.KEY_REQUEST, key_request_data(message.request)),)
        case Issued():
            return (general(Sub.KEY_MATERIAL, key_material_data(message.material)),)
        case NotIssued():
            return (encode_extension(message.detail),)
        case Nodes():
            query = general(Sub.NODE_REQUEST, node_query_data(message.query))
            return query, general(Sub.HOME_KEYS, home_keys_data(message.home_keys))
        case Entries():
            return (general(Sub.NODE_ENTRIES, node_entries_data(message.entries)),)
        case Trace():
            return encode_route(message.route), _trace(message.hops)
        case Traced():
            return (_trace(message.hops),)
        case Changed():
            return ()


def _message_of(reader: Reader) -> bytes:
    return next_general(reader, Sub.REGISTRATION_MESSAGE).rest()


def _detail_of(reader: Reader) -> Detail:
    return read_detail(next_general(reader, Sub.DETAIL))


_READ: Final[Mapping[Kind, Callable[[int, Reader], HopMessage]]] = {
    Kind.RELAY: lambda number, reader: Relay(number, _read_route(reader), _message_of(reader)),
    Kind.RELAYED: lambda number, reader: Relayed(number, _message_of(reader)),
    Kind.NOT_RELAYED: lambda number, reader: NotRelayed(number, _detail_of(reader), _read_route(reader)),
    Kind.KEYS: lambda number, reader: Keys(number, read_key_request(next_general(reader, Sub.KEY_REQUEST))),
    Kind.ISSUED: lambda number, reader: Issued(number, read_key_material(next_general(reader, Sub.KEY_MATERIAL))),
    Kind.NOT_ISSUED: lambda number, reader: NotIssued(number, _detail_of(reader)),
    Kind.NODES: lambda number, reader: Nodes(
        number,
        read_node_query(next_general(reader, Sub.NODE_REQUEST)),
        read_home_keys(next_general(reader, Sub.HOME_KEYS)),
    ),
    Kind.ENTRIES: lambda number, reader: Entries(number, read_node_entries(next_general(reader, Sub.NODE_ENTRIES))),
    Kind.CHANGED: lambda number, _reader: Changed(number),
    Kind.TRACE: lambda number, reader: Trace(number, _read_route(reader), _read_trace(reader)),
    Kind.TRACED: lambda number, reader: Traced(number, _read_trace(reader)),
}


def _read_route(reader: Reader) -> Route:
    data = next_general(reader, Sub.ROUTE)
    start = data.offset
    hops = data.u8("Hops")
    if hops > MOST_HOPS:
        raise data.fail("Hops", f"{hops}, {MOST_HOPS} are allowed", start)
    home_agent = read_lp8_nai(data, "Home agent")
    relayed = tuple(read_lp8_nai(data, "NAI") for _ in range(_read_count(data)))
    data.end("route")
    return Route(hops, home_agent, relayed)


def encode_route(route: Route) -> bytes:
    """Return the extension of a route; raises `ApiMisuse`."""
    if not 0 <= route.hops <= MOST_HOPS or len(route.relayed) > MAX_ROUTE:
        raise ApiMisuse(f"a route has at most {MOST_HOPS} hops left and {MAX_ROUTE} names")
    writer = Writer().u8(route.hops).raw(lp8_nai(route.home_agent)).u8(len(route.relayed))
    for nai in route.relayed:
        writer.raw(lp8_nai(nai))
    return general(Sub.ROUTE, writer.octets())


def _read_count(data: Reader) -> int:
    start = data.offset
    count = data.u8("Count")
    if count > MAX_ROUTE:
        raise data.fail("Count", f"{count} names, {MAX_ROUTE} are allowed", start)
    return count


def _read_trace(reader: Reader) -> tuple[TracedHop, ...]:
    data = next_general(reader, Sub.TRACE)
    hops = tuple(_read_traced_hop(data) for _ in range(_read_count(data)))
    data.end("trace")
    return hops


def _read_traced_hop(data: Reader) -> TracedHop:
    nai = read_lp8_nai(data, "NAI")
    start = data.offset
    security, microseconds = data.unpack(_HOP, "hop")
    if security not in _SECURITIES:
        raise data.fail("Security", f"{security} does not exist", start)
    return TracedHop(nai, Security(security), microseconds)


def _trace(hops: tuple[TracedHop, ...]) -> bytes:
    if len(hops) > MAX_ROUTE:
        raise ApiMisuse(f"a trace has at most {MAX_ROUTE} hops")
    writer = Writer().u8(len(hops))
    for hop in hops:
        writer.raw(lp8_nai(hop.nai)).pack(_HOP, hop.security, hop.microseconds)
    return general(Sub.TRACE, writer.octets())
