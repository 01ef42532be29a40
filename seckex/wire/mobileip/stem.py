"""What stays the same of a registration request however often it is sent, read from its raw octets.

That is req, of one size, since requests over UDP have the KEM X25519. Like
`seckex.wire.stem`, whose counterpart this is, it runs for whatever a flood
brings: nothing is decoded, nothing kept. A COOKIE has the request's
Identification and the SPI 0 (docs/registration.md, section 4).
"""

from __future__ import annotations

import struct
from typing import Final

from seckex.wire.extensions import Cookie
from seckex.wire.general import Header, encode_message
from seckex.wire.numbers import ENTERPRISE, MAX_COOKIE, VENDOR_EXTENSION, ExtensionSub, Kem, Kind
from seckex.wire.shares import SIZES

_STEM: Final = SIZES[Kem.X25519].request
_VENDOR: Final = struct.Struct(">HHIH")
_FIRST: Final = VENDOR_EXTENSION << 8
_COUNTED: Final = 6
_COOKIE: Final = int(ExtensionSub.COOKIE)
_IDENTIFICATION: Final = slice(16, 24)


def request_stem(request: bytes) -> tuple[int, bytes]:
    """Return the size of the request's stem, 0 for what cannot be one, and its cookie, empty where it has none."""
    size = len(request)
    if size == _STEM:
        return _STEM, b""
    start = _STEM + _VENDOR.size
    if not start < size <= start + MAX_COOKIE:
        return 0, b""
    said = (_FIRST, _COUNTED + size - start, ENTERPRISE, _COOKIE)
    return (_STEM, request[start:]) if _VENDOR.unpack_from(request, _STEM) == said else (0, b"")


def encode_request_cookie(request: bytes, cookie: bytes) -> bytes | None:
    """Return COOKIE, the answer to ``request`` that asks for it again with ``cookie``; None if that would be longer."""
    header = Header(Kind.COOKIE, True, int.from_bytes(request[_IDENTIFICATION], "big"), 0)
    answer = encode_message(header, (Cookie(cookie),))
    return answer if len(answer) <= len(request) else None
