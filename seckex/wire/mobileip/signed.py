"""What a message between agents ends with: certificates, and a signature over all before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from seckex.errors import ApiMisuse
from seckex.wire.buffer import Reader
from seckex.wire.frames import next_vendor, vendor
from seckex.wire.identity import MAX_SIGNATURE, encode_chain, read_chain
from seckex.wire.numbers import ExtensionSub as Sub

# Two integers of P-256 in DER are never shorter.
MIN_SIGNATURE: Final = 8


def read_signed(reader: Reader) -> tuple[tuple[bytes, ...], bytes, int]:
    """Read the rest of a message: certificates, signature, and how many octets that is over; raises `Malformed`."""
    data = next_vendor(reader, Sub.CERTIFICATES)
    certificates = read_chain(data)
    data.end("certificates")
    signed = reader.offset
    data = next_vendor(reader, Sub.SIGNATURE)
    if not MIN_SIGNATURE <= data.remaining <= MAX_SIGNATURE:
        raise data.fail("signature", f"{data.remaining} octets")
    signature = data.rest()
    reader.end("signature")
    return certificates, signature, signed


def signed_by(start: bytes, certificates: Sequence[bytes], sign: Callable[[bytes], bytes]) -> bytes:
    """Return a message that begins with ``start``; ``sign`` is given what the signature covers."""
    covered = start + vendor(Sub.CERTIFICATES, encode_chain(certificates))
    signature = sign(covered)
    if not MIN_SIGNATURE <= len(signature) <= MAX_SIGNATURE:
        raise ApiMisuse(f"a signature of {len(signature)} octets")
    return covered + vendor(Sub.SIGNATURE, signature)
