"""Segments: messages packed as they are stored and sent, and read again.

    whole messages    the body of a MESSAGES (docs/messages.md, section 7); joined up to `WHOLE_UPTO` octets
    in fragments      what fragment 0 begins with, then the payload unless it lies in the spool

A payload above `FRAGMENT` octets goes in fragments, alone in its segment, so
``size`` tells which of the two a segment is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf
from typing import Final, TypeAlias

from attrs import field, frozen

from seckex.delivery.faces import FRAGMENT, LARGEST_MESSAGE, SPOOLED_ABOVE, WHOLE_UPTO, Outgoing, Payload, Spooled
from seckex.errors import ApiMisuse, Malformed, PeerMisbehaved
from seckex.wire.bodies import MESSAGE_OVERHEAD, pack_messages, pack_start, unpack_messages, unpack_start
from seckex.wire.numbers import MAX_TYPE, MIN_BODY, MOST_JOINED, Code

#: Type, when it expires (microseconds since 1970, 0 for never), payload.
Message: TypeAlias = tuple[str, int, Payload]

#: What a segment counts for beside its octets, as a row of a table and an entry in memory.
ROW: Final = 256


@frozen
class Packed:
    """Messages that make a segment; ``earliest`` and ``latest`` of their expiries in seconds, infinite for never."""

    first: int
    count: int
    size: int
    octets: bytes = field(repr=False)
    spool: str
    earliest: float
    latest: float


def fragments_of(size: int) -> int:
    """Return in how many fragments a payload goes, 0 where it goes whole."""
    return -(-size // FRAGMENT) if size > FRAGMENT else 0


def weight_of(length: int, size: int, spool: str) -> int:
    """Return what a segment counts for in windows: the octets of its bodies."""
    return length + size if spool else length


def message_of(outgoing: Outgoing) -> Message:
    """Return what is packed of a message; raises `ApiMisuse`."""
    payload, name, expires = outgoing.payload, outgoing.type, outgoing.expires
    if type(payload) is bytes:
        if len(payload) > SPOOLED_ABOVE:
            raise ApiMisuse(f"a payload of {len(payload)} octets has to be in the spool")
    elif not isinstance(payload, Spooled):
        raise ApiMisuse("a payload is bytes, or lies in the spool")
    elif not FRAGMENT < payload.size <= LARGEST_MESSAGE:
        raise ApiMisuse(f"a payload of {payload.size} octets cannot be in the spool")
    if name and (len(name) > MAX_TYPE or not (name.isascii() and name.isprintable()) or " " in name):
        raise ApiMisuse(f"the type of a message is up to {MAX_TYPE} octets of visible ASCII")
    if expires and not 0 < expires < 1 << 43:
        raise ApiMisuse("a message expires in seconds since 1970")
    return name, int(expires * 1_000_000), payload


def message_size(payload: Payload) -> int:
    """Return the octets of a payload."""
    return len(payload) if isinstance(payload, bytes) else payload.size


def packed(first: int, messages: Sequence[Message]) -> Iterator[Packed]:
    """Join messages with consecutive numbers from ``first`` into as few segments as may be."""
    joined: list[tuple[str, int, bytes]] = []
    length = 0
    for number, (name, expires, payload) in enumerate(messages, first):
        if not isinstance(payload, bytes) or len(payload) > FRAGMENT:
            if joined:
                yield _whole(number - len(joined), joined)
                joined, length = [], 0
            yield _long(number, name, expires, payload)
            continue
        octets = MESSAGE_OVERHEAD + len(name) + len(payload)
        if joined and (length + octets > WHOLE_UPTO or len(joined) == MOST_JOINED):
            yield _whole(number - len(joined), joined)
            joined, length = [], 0
        joined.append((name, expires, payload))
        length += octets
    if joined:
        yield _whole(first + len(messages) - len(joined), joined)


def _whole(first: int, messages: list[tuple[str, int, bytes]]) -> Packed:
    octets = pack_messages(messages)
    size = sum([len(payload) for _, _, payload in messages])
    expiries = {expires for _, expires, _ in messages}
    earliest, latest = _seconds(min(filter(None, expiries), default=0)), _seconds(max(expiries))
    return Packed(first, len(messages), size, octets, "", earliest, inf if 0 in expiries else latest)


def _long(number: int, name: str, expires: int, payload: Payload) -> Packed:
    size = message_size(payload)
    octets = pack_start(size, expires, name)
    spool = ""
    if isinstance(payload, bytes):
        octets += payload
    else:
        spool = payload.name
    return Packed(number, 1, size, octets, spool, _seconds(expires), _seconds(expires))


def _seconds(expires: int) -> float:
    return expires / 1_000_000 if expires else inf


def read_segment(octets: bytes, count: int, size: int, spool: str) -> list[Message]:
    """Return the messages of a segment as it is stored; raises `Malformed`."""
    if size <= FRAGMENT and not spool:
        return [*unpack_messages(octets, count)]
    _, expires, name, head = unpack_start(octets)
    if not spool and len(octets) != head + size:
        raise Malformed("payload", head, f"{len(octets) - head} octets of {size} are there")
    return [(name, expires, Spooled(spool, size) if spool else octets[head:])]


def without_padding(body: bytes, count: int) -> bytes:
    """Return the body of a MESSAGES so that others can go behind it."""
    if len(body) > MIN_BODY:
        return body
    end = sum(MESSAGE_OVERHEAD + len(name) + len(payload) for name, _, payload in unpack_messages(body, count))
    return body[:end]


def violation(text: str) -> PeerMisbehaved:
    """Return the error of a peer that breaks a rule of docs/messages.md, section 9."""
    return PeerMisbehaved(Code.PROTOCOL_ERROR, text)
