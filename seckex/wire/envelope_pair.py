"""The service pair header of envelopes: who speaks with whom, and what vouches for it.

    | Length 16 | Algorithm 8 | Reserved 8 | lp8(initiator) | its issue date 64 | its fingerprint (32) |
    | lp8(target) | its issue date 64 | its fingerprint (32) | lp8(own) | lp8(service) | Priority 8 |
    | lp16(chain) | lp8(proof), then zeros up to 72 octets behind lp8's where the proof is a signature

Length counts everything behind the first four octets. An anonymous initiator
seals the little that it says of this behind its KEK. Nothing is verified here.
See docs/messages.md, section 4.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

from attrs import frozen

from seckex.errors import ApiMisuse
from seckex.wire.buffer import Reader, Writer
from seckex.wire.frames import lp8, lp8_nai, read_lp8_nai, sized
from seckex.wire.identity import MAX_SIGNATURE, encode_chain, read_chain
from seckex.wire.numbers import MAX_SERVICE, SHA256_SIZE, VERSION
from seckex.wire.numbers import PairAlgorithm as Algorithm

MAX_PAIR: Final = 8192
LOWEST_PRIORITY: Final = 7
#: Octets of MAC or ECDSA signature with its padding, behind their length in 8 bits.
PROOF_SIZES: Final[Mapping[int, int]] = {Algorithm.ECDSA: MAX_SIGNATURE, Algorithm.MAC: SHA256_SIZE}

_PAIR: Final = struct.Struct(">HBB")
_ALGORITHMS: Final[Mapping[int, Algorithm]] = {int(each): each for each in Algorithm}


@frozen
class ServicePair:
    """Who speaks with whom: NAIs, when their certificates were issued (seconds since 1970), SHA-256 of them.

    ``own`` is the initiator's service and may be empty, ``service`` the target's. ``chain`` has the initiator's DER
    certificates, its own first; none where ``proof`` is a MAC.
    """

    algorithm: Algorithm
    initiator: str
    initiator_issued: int
    initiator_fingerprint: bytes
    target: str
    target_issued: int
    target_fingerprint: bytes
    own: str
    service: str
    priority: int
    chain: tuple[bytes, ...] = ()
    proof: bytes = b""


@frozen
class AnonymousPair:
    """What HPKE seals behind the KEK where there is no service pair header."""

    target: str
    own: str
    service: str
    priority: int


def read_pair(reader: Reader) -> tuple[ServicePair, int]:
    """Read a service pair header, and return at which offset its lp8(proof) begins; raises `Malformed`."""
    at = reader.offset
    length, number, reserved = reader.unpack(_PAIR, "service pair header")
    if reserved:
        raise reader.fail("Reserved", "reserved octets are not zero", at + 3)
    algorithm = _ALGORITHMS.get(number)
    if algorithm is None:
        raise reader.fail("Algorithm", f"{number} is not an algorithm of version {VERSION}", at + 2)
    if length > MAX_PAIR:
        raise reader.fail("Length", f"a service pair header of {length} octets, {MAX_PAIR} are allowed", at)
    inside = reader.sub(length, "service pair header")
    initiator = read_lp8_nai(inside, "initiator's NAI")
    initiator_issued = inside.u64("initiator's issue date")
    initiator_fingerprint = inside.take(SHA256_SIZE, "initiator's fingerprint")
    target = read_lp8_nai(inside, "target's NAI")
    target_issued = inside.u64("target's issue date")
    target_fingerprint = inside.take(SHA256_SIZE, "target's fingerprint")
    own, service, priority = _read_services(inside)
    chain = _read_pair_chain(inside, algorithm, initiator_issued or target_issued)
    proof_at = inside.offset
    proof = read_proof(inside, algorithm)
    inside.end("service pair header")
    pair = ServicePair(
        algorithm,
        initiator,
        initiator_issued,
        initiator_fingerprint,
        target,
        target_issued,
        target_fingerprint,
        own,
        service,
        priority,
        chain,
        proof,
    )
    return pair, proof_at


def _read_pair_chain(inside: Reader, algorithm: Algorithm, dated: int) -> tuple[bytes, ...]:
    at = inside.offset
    octets = inside.sub(inside.u16("chain"), "chain")
    if algorithm is Algorithm.MAC:
        if octets.remaining:
            raise inside.fail("chain", "certificates beside a MAC", at)
        if dated:
            raise inside.fail("issue date", "not zero beside a MAC", at)
        return ()
    chain = read_chain(octets)
    octets.end("chain")
    return chain


def read_proof(reader: Reader, algorithm: Algorithm) -> bytes:
    """Read lp8(proof) and the zeros behind it; raises `Malformed`."""
    at = reader.offset
    size, most = reader.u8("signature"), PROOF_SIZES[algorithm]
    if (algorithm is Algorithm.MAC and size != most) or not 0 < size <= most:
        raise reader.fail("signature", f"{size} octets where {most} are allowed", at)
    proof = reader.take(size, "signature")
    reader.zeros(most - size, "padding")
    return proof


def encode_pair_unsigned(pair: ServicePair) -> bytes:
    """Return a service pair header up to its lp8(proof), which need not be there yet; raises `ApiMisuse`."""
    is_mac = pair.algorithm is Algorithm.MAC
    if is_mac and (pair.chain or pair.initiator_issued or pair.target_issued):
        raise ApiMisuse("beside a MAC there are neither certificates nor their dates")
    chain = b"" if is_mac else encode_chain(pair.chain)
    writer = Writer().raw(lp8_nai(pair.initiator)).u64(pair.initiator_issued)
    writer.raw(sized(pair.initiator_fingerprint, SHA256_SIZE, "a fingerprint"))
    writer.raw(lp8_nai(pair.target)).u64(pair.target_issued)
    writer.raw(sized(pair.target_fingerprint, SHA256_SIZE, "a fingerprint"))
    writer.raw(_services(pair.own, pair.service, pair.priority)).u16(len(chain)).raw(chain)
    length = len(writer) + 1 + PROOF_SIZES[pair.algorithm]
    if length > MAX_PAIR:
        raise ApiMisuse(f"a service pair header of {length} octets, {MAX_PAIR} are allowed")
    return Writer().pack(_PAIR, length, pair.algorithm, 0).raw(writer.octets()).octets()


def encode_proof(algorithm: Algorithm, proof: bytes) -> bytes:
    """Return what comes behind `encode_pair_unsigned`: always as many octets for one algorithm; raises `ApiMisuse`."""
    most = PROOF_SIZES[algorithm]
    if not 0 < len(proof) <= most or (algorithm is Algorithm.MAC and len(proof) != most):
        raise ApiMisuse(f"a proof of {len(proof)} octets where {most} are allowed")
    return lp8(proof) + bytes(most - len(proof))


def encode_pair(pair: ServicePair) -> bytes:
    """Return the octets of a service pair header; raises `ApiMisuse`."""
    return encode_pair_unsigned(pair) + encode_proof(pair.algorithm, pair.proof)


def encode_anonymous(pair: AnonymousPair) -> bytes:
    """Return what HPKE seals behind the KEK for an anonymous initiator; raises `ApiMisuse`."""
    return lp8_nai(pair.target) + _services(pair.own, pair.service, pair.priority)


def decode_anonymous(octets: bytes) -> AnonymousPair:
    """Read what `encode_anonymous` wrote; raises `Malformed`."""
    reader = Reader(octets)
    target = read_lp8_nai(reader, "target's NAI")
    own, service, priority = _read_services(reader)
    reader.end("anonymous pair")
    return AnonymousPair(target, own, service, priority)


def _read_services(reader: Reader) -> tuple[str, str, int]:
    own = reader.sub(reader.u8("initiator's service"), "initiator's service").text("initiator's service")
    at = reader.offset
    service = reader.sub(reader.u8("target's service"), "target's service").text("target's service")
    if not service:
        raise reader.fail("target's service", "empty", at)
    at = reader.offset
    priority = reader.u8("Priority")
    if priority > LOWEST_PRIORITY:
        raise reader.fail("Priority", f"{priority}, the lowest is {LOWEST_PRIORITY}", at)
    return own, service, priority


def _services(own: str, service: str, priority: int) -> bytes:
    named = own.encode(), service.encode()
    if max(map(len, named)) > MAX_SERVICE or not service or not 0 <= priority <= LOWEST_PRIORITY:
        raise ApiMisuse(f"a service has 1 to {MAX_SERVICE} octets, a priority is 0 to {LOWEST_PRIORITY}")
    return lp8(named[0]) + lp8(named[1]) + bytes((priority,))
