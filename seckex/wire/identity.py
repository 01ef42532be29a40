"""What a sealed identity holds: certificates, the principal's own first, and a signature.

    +---------------+-------------------------------+
    |     Count     |   Length of a certificate     |   the certificate in DER, Count times from the length on
    +---------------+-------------------------------+
    |    Length     |   the signature, then zeros up to a multiple of 256 octets in all
    +---------------+

The zeros let sizes tell less of who it is (docs/protocol.md, section 6). They
count from the longest signature, since a size is fixed before there is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from attrs import field, frozen

from seckex.errors import ApiMisuse
from seckex.wire.buffer import Reader, Writer
from seckex.wire.numbers import MAX_CERTIFICATES, MAX_CHAIN

MAX_SIGNATURE: Final = 72  # DER of two integers of P-256
STEP: Final = 256


@frozen
class SignedIdentity:
    """Certificates and a signature, neither of which has been looked at."""

    chain: tuple[bytes, ...]
    signature: bytes = field(repr=False)


def encode_chain(chain: Sequence[bytes]) -> bytes:
    """Return the octets of 1 to 4 certificates; raises `ApiMisuse`."""
    if not 0 < len(chain) <= MAX_CERTIFICATES or sum(map(len, chain)) > MAX_CHAIN:
        raise ApiMisuse(f"a chain has 1 to {MAX_CERTIFICATES} certificates of at most {MAX_CHAIN} octets")
    writer = Writer().u8(len(chain))
    for certificate in chain:
        writer.u16(len(certificate)).raw(certificate)
    return writer.octets()


def identity_size(chain: bytes) -> int:
    """Return the size of an identity in the clear with the octets ``chain``, whatever the signature."""
    return -(-(len(chain) + 1 + MAX_SIGNATURE) // STEP) * STEP


def encode_identity(chain: bytes, signature: bytes) -> bytes:
    """Return the octets of an identity in the clear; raises `ApiMisuse`."""
    if len(signature) > MAX_SIGNATURE:
        raise ApiMisuse(f"a signature has at most {MAX_SIGNATURE} octets")
    said = chain + Writer().u8(len(signature)).raw(signature).octets()
    return said + bytes(identity_size(chain) - len(said))


def decode_chain(octets: bytes) -> tuple[bytes, ...]:
    """Return the certificates that `encode_chain` wrote; raises `Malformed`."""
    reader = Reader(octets)
    chain = read_chain(reader)
    reader.end("chain")
    return chain


def decode_identity(octets: bytes) -> SignedIdentity:
    """Return the identity in ``octets``, as unsealed; raises `Malformed`, with offsets from their start."""
    reader = Reader(octets)
    chain = read_chain(reader)
    start = reader.offset
    size = reader.u8("Length")
    if size > MAX_SIGNATURE:
        raise reader.fail("Length", f"a signature of {size} octets, {MAX_SIGNATURE} are allowed", start)
    signature = reader.take(size, "signature")
    if len(octets) != identity_size(octets[:start]):
        raise reader.fail("padding", "not to the next multiple of 256")
    reader.zeros(reader.remaining, "padding")
    return SignedIdentity(chain, signature)


def read_chain(reader: Reader) -> tuple[bytes, ...]:
    """Read the certificates that `encode_chain` wrote; raises `Malformed`."""
    start = reader.offset
    count = reader.u8("Count")
    if not 0 < count <= MAX_CERTIFICATES:
        raise reader.fail("Count", f"{count} certificates, 1 to {MAX_CERTIFICATES} are allowed", start)
    chain = tuple(reader.take(reader.u16("Length"), "certificate") for _ in range(count))
    if sum(map(len, chain)) > MAX_CHAIN:
        raise reader.fail("certificate", f"more than {MAX_CHAIN} octets of certificates", start)
    return chain
