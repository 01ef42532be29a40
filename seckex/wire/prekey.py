"""Prekeys: what a principal signs so that others can seal key exchange keys to it.

    | KEM 8 | Reserved 8 | Not before 64 | Expiry 64 | lp8(NAI) | Prekey id (16) | lp16(public key) | lp16(chain) |
    | lp8(signature)

It tells its own end: several can stand one behind the other. That the id is the
hash of the public key, and the signature that of the chain's principal, is
found out where keys are used. See docs/messages.md, section 6.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

from attrs import field, frozen

from seckex.errors import ApiMisuse
from seckex.wire.buffer import Reader, Writer
from seckex.wire.envelope_headers import PREKEY_ID_SIZE
from seckex.wire.frames import lp8, lp8_nai, read_lp8_nai, sized
from seckex.wire.identity import MAX_SIGNATURE, encode_chain, read_chain
from seckex.wire.numbers import VERSION, Kem
from seckex.wire.shares import SIZES

_START: Final = struct.Struct(">BBQQ")
_KEMS: Final[Mapping[int, Kem]] = {int(kem): kem for kem in Kem}


@frozen
class Prekey:
    """A prekey as it is told; dates in seconds since 1970, ``chain`` DER certificates, the principal's first.

    ``unsigned`` comes of reading: all before lp8(signature), as on the wire.
    """

    kem: Kem
    not_before: int
    expiry: int
    nai: str
    prekey_id: bytes
    public: bytes
    chain: tuple[bytes, ...]
    signature: bytes = b""
    unsigned: bytes = field(default=b"", eq=False, repr=False)


def encode_unsigned(prekey: Prekey) -> bytes:
    """Return a prekey up to its lp8(signature), which need not be there yet; raises `ApiMisuse`."""
    if prekey.not_before >= prekey.expiry:
        raise ApiMisuse("a prekey ends after it begins")
    chain = encode_chain(prekey.chain)
    writer = Writer().pack(_START, prekey.kem, 0, prekey.not_before, prekey.expiry).raw(lp8_nai(prekey.nai))
    writer.raw(sized(prekey.prekey_id, PREKEY_ID_SIZE, "a prekey id"))
    public = sized(prekey.public, SIZES[prekey.kem].public, "a public key")
    return writer.u16(len(public)).raw(public).u16(len(chain)).raw(chain).octets()


def encode_prekey(prekey: Prekey) -> bytes:
    """Return the octets of a prekey; raises `ApiMisuse`."""
    if not 0 < len(prekey.signature) <= MAX_SIGNATURE:
        raise ApiMisuse(f"a signature has 1 to {MAX_SIGNATURE} octets")
    return encode_unsigned(prekey) + lp8(prekey.signature)


def decode_prekey(octets: bytes) -> Prekey:
    """Read exactly one prekey; raises `Malformed`."""
    reader = Reader(octets)
    found = read_prekey(reader)
    reader.end("prekey")
    return found


def read_prekey(reader: Reader) -> Prekey:
    """Read a prekey off the front of ``reader``; raises `Malformed`."""
    at = reader.offset
    number, reserved, not_before, expiry = reader.unpack(_START, "prekey")
    kem = _KEMS.get(number)
    if kem is None:
        raise reader.fail("KEM", f"{number} is not a KEM of version {VERSION}", at)
    if reserved:
        raise reader.fail("Reserved", "reserved octets are not zero", at + 1)
    if not_before >= expiry:
        raise reader.fail("Expiry", "not after it begins", at + 10)
    nai = read_lp8_nai(reader, "NAI")
    prekey_id = reader.take(PREKEY_ID_SIZE, "Prekey id")
    key_at = reader.offset
    public = reader.take(reader.u16("public key"), "public key")
    if len(public) != SIZES[kem].public:
        raise reader.fail("public key", f"{len(public)} octets where there are {SIZES[kem].public}", key_at)
    certificates = reader.sub(reader.u16("chain"), "chain")
    chain = read_chain(certificates)
    certificates.end("chain")
    unsigned = reader.since(at)
    signature_at = reader.offset
    size = reader.u8("signature")
    if not 0 < size <= MAX_SIGNATURE:
        raise reader.fail("signature", f"{size} octets where 1 to {MAX_SIGNATURE} are allowed", signature_at)
    signature = reader.take(size, "signature")
    return Prekey(kem, not_before, expiry, nai, prekey_id, public, chain, signature, unsigned)
