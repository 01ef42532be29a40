"""The key exchange of a group that its sender defines: P, G and a value, each behind its length.

What stands behind the four octets of the payload's header is read and written
here. The lengths are held to their bound before anything is taken, so nobody computes with
numbers that are larger; whether the numbers make a group is the business of
`seckex.crypto.groups`.
"""

from __future__ import annotations

import struct
from typing import Final

from attrs import frozen

from seckex.errors import ApiMisuse
from seckex.wire.buffer import Reader, Writer
from seckex.wire.numbers import MAX_GROUP_NUMBER

_START: Final = struct.Struct(">HH")
_LENGTH: Final = struct.Struct(">H")


@frozen
class UserKeyExchange:
    """A public value in a group that its sender defines: Fig. 21 to 23.

    ``prime`` and ``generator`` are written without zeros in front, ``value``
    in as many octets as ``prime``; 1 to 1024 octets each.

    |   Type = 4    |    Sub = 5    |            Length             |
    |         Transform-ID          |           Reserved            |
    |             Plen              |  P ...
    |             Glen              |  G ...
    |            CVlen              |  CV ...
    """

    transform_id: int
    prime: bytes
    generator: bytes
    value: bytes


def read_user_key_exchange(body: Reader) -> UserKeyExchange:
    """Read the whole of a payload's body; raises `Malformed`."""
    start = body.offset
    transform_id, reserved = body.unpack(_START, "key exchange")
    if reserved:
        raise body.fail("Reserved", "reserved octets are not zero", start + 2)
    numbers = []
    for name in ("P", "G", "CV"):
        at = body.offset
        length = body.u16(f"{name}len")
        if not 1 <= length <= MAX_GROUP_NUMBER:
            raise body.fail(f"{name}len", f"{length} where 1 to {MAX_GROUP_NUMBER} are allowed", at)
        numbers.append(body.take(length, name))
    body.end("Length")
    prime, generator, value = numbers
    for name, number in (("P", prime), ("G", generator)):
        if not number[0]:
            raise body.fail(name, "zeros in front of a number", start)
    if len(value) != len(prime):
        raise body.fail("CVlen", f"{len(value)} where Plen is {len(prime)}", start)
    return UserKeyExchange(transform_id, prime, generator, value)


def encode_user_key_exchange(part: UserKeyExchange) -> bytes:
    """Return the body of a payload; raises `ApiMisuse` for what would not be read."""
    writer = Writer().pack(_START, part.transform_id, 0)
    for number in (part.prime, part.generator, part.value):
        if not 1 <= len(number) <= MAX_GROUP_NUMBER:
            raise ApiMisuse(f"{len(number)} octets of a number, 1 to {MAX_GROUP_NUMBER} are allowed")
        writer.pack(_LENGTH, len(number)).raw(number)
    if len(part.value) != len(part.prime) or not part.prime[0] or not part.generator[0]:
        raise ApiMisuse("P and G have no zeros in front, and the value is as long as P")
    return writer.octets()


def value_of_user(octets: bytes, at: int, end: int) -> int:
    """Return where the value stands in a payload that ends at ``end``, P's length beginning ``at``; never raises."""
    for _ in range(2):
        if at + _LENGTH.size > min(end, len(octets)):
            return end
        at += _LENGTH.size + int.from_bytes(octets[at : at + _LENGTH.size], "big")
    return min(at + _LENGTH.size, end)
