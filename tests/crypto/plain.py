"""HKDF and the notation of the documents, with the standard library alone: what the product is compared with."""

from __future__ import annotations

import hmac


def extract(name: str, salt: bytes, secret: bytes) -> bytes:
    """RFC 5869, section 2.2."""
    return hmac.digest(salt, secret, name)


def expand(name: str, prk: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869, section 2.3."""
    okm, block, count = b"", b"", 1
    while len(okm) < length:
        block = hmac.digest(prk, block + info + bytes([count]), name)
        okm += block
        count += 1
    return okm[:length]


def u32(value: int) -> bytes:
    """32 bits, big-endian."""
    return value.to_bytes(4, "big")


def prefixed(octets: bytes) -> bytes:
    """Return lp() of the document."""
    return u32(len(octets)) + octets
