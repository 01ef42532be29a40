"""What can be made of messages without their keys, by class of attack: pure functions of octets."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import combinations
from typing import Final

from attrs import evolve

from seckex.wire.numbers import ANSWER_FLAG, HEADER_SIZE, ExtensionSub, Kind
from seckex.wire.payloads import KeyExchange, Proposal, SaPayload, decode_sa, encode_sa
from tests.exchange.parts import crossed, groups, parts, readdressed, regrouped, sa_of, with_sa
from tests.link import flipped

#: Two bits of each octet, not the same ones; every bit with ``SECKEX_EVERY_BIT`` set.
STRIDE: Final = 1 if os.environ.get("SECKEX_EVERY_BIT") else 5

_DATA: Final = 4
_MAC: Final = 8


def flips(octets: bytes) -> Iterator[bytes]:
    """Yield the message with one bit turned over, for every `STRIDE`-th of its bits."""
    for bit in range(0, 8 * len(octets), STRIDE):
        yield flipped(octets, bit)


def cuts(octets: bytes) -> Iterator[bytes]:
    """Yield the message at each length but its own, and with something behind it."""
    for length in range(len(octets)):
        yield octets[:length]
    for tail in (b"\0", bytes(4), b"\x7f\x14\0\0", b"\x7f", octets[-40:], octets):
        yield octets + tail


def swaps(octets: bytes) -> Iterator[bytes]:
    """Yield the message with its parts dropped, doubled, exchanged in their places, or in what they hold."""
    header, *body = parts(octets)
    for at in range(len(body)):
        yield header + b"".join((*body[:at], *body[at + 1 :]))
        yield header + b"".join((*body[:at], body[at], *body[at:]))
        yield header + b"".join((*body[:at], b"\x7f\x14\0\4" + bytes(4), *body[at:]))
    for one, other in combinations(range(len(body)), 2):
        places = list(body)
        places[one], places[other] = body[other], body[one]
        yield header + b"".join(places)
        held = list(body)
        held[one], held[other] = body[one][:_DATA] + body[other][_DATA:], body[other][:_DATA] + body[one][_DATA:]
        yield header + b"".join(held)
        # The seals of two extensions, everything else staying where it is.
        seals = list(body)
        seals[one], seals[other] = body[one][:12] + body[other][12:], body[other][:12] + body[one][12:]
        yield header + b"".join(seals)


def splices(mine: bytes, other: bytes) -> Iterator[bytes]:
    """Yield what can be put together of the same message of two sessions."""
    yield from readdressed(mine, other)
    yield from crossed(mine, other)


def downgrades(octets: bytes) -> Iterator[bytes]:
    """Yield the message with less in it, or as another kind, of another version, with less of a MAC."""
    for version in range(16):
        yield octets[:1] + bytes((version << 4 | octets[1] & 0xF,)) + octets[2:]
    for kind in (*Kind, 99, 0xFFFF):
        for flag in (0, ANSWER_FLAG):
            yield octets[:1] + bytes((octets[1] & 0xF0 | flag,)) + kind.to_bytes(2, "big") + octets[4:]
    *before, last = parts(octets)
    if last[:2] == bytes((127, ExtensionSub.AUTHENTICATOR)):
        start, mac = b"".join(before), last[_MAC:]
        yield start
        for less in (b"", mac[:16], mac[:-1], mac + b"\0", mac + mac[:16], bytes(len(mac)), mac[::-1]):
            yield start + last[:2] + (4 + len(less)).to_bytes(2, "big") + last[_DATA:_MAC] + less
    if any(part[1] == ExtensionSub.SA_PAYLOAD for part in before[1:]):
        for sa in weakened(decode_sa(sa_of(octets))):
            yield with_sa(octets, encode_sa(sa))


def weakened(sa: SaPayload) -> Iterator[SaPayload]:
    """Yield the ways to strip, reorder and alter an offer or a choice that is still one by the rules."""
    whole = groups(sa)
    for count in range(1, len(whole)):
        for kept in combinations(whole, count):
            yield regrouped(sa, kept)
    yield regrouped(sa, whole[::-1])
    for at, group in enumerate(whole):
        for protocol in range(1, 5):
            stripped = tuple(part for part in group if getattr(part, "protocol_number", 0) != protocol)
            yield regrouped(sa, (*whole[:at], stripped, *whole[at + 1 :]))
    for place, part in enumerate(sa.payloads):
        altered: list[Proposal | KeyExchange] = []
        if isinstance(part, Proposal):
            altered += [evolve(part, lifetime=part.lifetime * 2), evolve(part, transforms=part.transforms[::-1])]
            altered += [evolve(part, lifetime=part.lifetime // 2), evolve(part, spi=1)]
            altered += [evolve(part, transforms=(transform,)) for transform in part.transforms]
            altered += [evolve(part, transforms=tuple(evolve(t, attributes=()) for t in part.transforms))]
        elif isinstance(part, KeyExchange):
            altered += [evolve(part, value=bytes(len(part.value))), evolve(part, value=part.value[::-1])]
            altered += [evolve(part, transform_id=part.transform_id ^ 1)]
        for other in altered:
            yield evolve(sa, payloads=(*sa.payloads[:place], other, *sa.payloads[place + 1 :]))


def renamed(octets: bytes, spi: int) -> bytes:
    """Return the message up to its MAC, all its SPIs being another."""
    number = spi.to_bytes(4, "big")
    header, *body = parts(octets)
    changed = [header[: HEADER_SIZE - 4] + number]
    for part in body:
        if part[1] == ExtensionSub.AUTHENTICATOR:
            changed.append(part[:_DATA] + number)
        elif part[1] in (ExtensionSub.NAI, ExtensionSub.IP) and part[5] & 0x80:
            changed.append(part[:8] + number + part[12:])
        else:
            changed.append(part)
    return b"".join(changed)
