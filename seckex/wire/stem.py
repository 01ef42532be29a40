"""What stays the same however often a request is sent, read from its raw octets.

The stem of a request is everything before its cookie, its padding or its
authenticator, whichever comes first (docs/protocol.md, section 3). A request
that is sent again with a cookie, or over another transport, keeps its stem: so
cookies are made for it, replay records and hints name it by its hash.

Nothing is decoded and nothing kept here: this runs for whatever a flood brings.
It also writes the two answers that need no more than this.
"""

from __future__ import annotations

import struct
from typing import Final

from seckex.wire.numbers import (
    ANSWER_FLAG,
    EXTENSION_TYPE,
    HEADER_SIZE,
    MAX_COOKIE,
    MAX_EXTENSIONS,
    MESSAGE_TYPE,
    VERSION,
    Kind,
)
from seckex.wire.numbers import ExtensionSub as Sub

_EXTENSION: Final = struct.Struct(">BBH")
_START: Final = struct.Struct(">BBH")
# Plain numbers: those of enumerations take longer to pack than all the rest here.
_COOKIE: Final = int(Sub.COOKIE)
_REQUEST_DIGEST: Final = int(Sub.REQUEST_DIGEST)
_ASKS_FOR_COOKIE: Final = _START.pack(MESSAGE_TYPE, VERSION << 4 | ANSWER_FLAG, Kind.COOKIE)
_ASKS_FOR_TCP: Final = _START.pack(MESSAGE_TYPE, VERSION << 4 | ANSWER_FLAG, Kind.USE_TCP)
_FIRST_THAT_MAY_CHANGE: Final = frozenset(map(int, (Sub.PADDING, Sub.AUTHENTICATOR, Sub.COOKIE)))


def stem_of(request: bytes) -> tuple[int, bytes]:
    """Return the size of the request's stem and its cookie, empty where it has none.

    A request that ends without any of the three is all stem. The size is 0 where
    the octets up to there are not extensions one behind the other: such a request
    is malformed, which decoding it will tell in detail.
    """
    at, size = HEADER_SIZE, len(request)
    for _ in range(MAX_EXTENSIONS):
        if at + 4 > size:
            return (at, b"") if at == size else (0, b"")
        kind, sub, length = _EXTENSION.unpack_from(request, at)
        if kind != EXTENSION_TYPE:
            return 0, b""
        if sub in _FIRST_THAT_MAY_CHANGE:
            if sub != _COOKIE:
                return at, b""
            end = at + 4 + length
            return (at, request[at + 4 : end]) if end <= size and 0 < length <= MAX_COOKIE else (0, b"")
        at += 4 + length
    return (at, b"") if at == size else (0, b"")


def encode_cookie(request: bytes, cookie: bytes) -> bytes | None:
    """Return COOKIE, the answer to ``request`` that asks for it again with ``cookie``; None if that would be longer."""
    return _hint(_ASKS_FOR_COOKIE, request, _COOKIE, cookie)


def encode_use_tcp(request: bytes, digest: bytes) -> bytes | None:
    """Return USE_TCP, the answer to a request whose stem has ``digest``; None if it would be longer than that."""
    return _hint(_ASKS_FOR_TCP, request, _REQUEST_DIGEST, digest)


def _hint(start: bytes, request: bytes, sub: int, data: bytes) -> bytes | None:
    # The Identification and the SPI are the request's.
    answer = start + request[4:HEADER_SIZE] + _EXTENSION.pack(EXTENSION_TYPE, sub, len(data)) + data
    return answer if len(answer) <= len(request) else None
