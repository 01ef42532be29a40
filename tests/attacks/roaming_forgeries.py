"""What can be made of registration messages, advertisements and hop messages without their keys: pure functions.

A message is taken apart into its header and its extensions, whichever form
these have; what is in a registration message that a hop message carries is left whole.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import combinations
from typing import Final

from seckex.wire.numbers import (
    ANSWER_FLAG,
    CHALLENGE_EXTENSION,
    EXTENSION_TYPE,
    HEADER_SIZE,
    LIFETIMES,
    MN_HA_AUTHENTICATION,
    REGISTRATION_REPLY,
    REGISTRATION_REQUEST,
    VENDOR_EXTENSION,
    ExtensionSub,
    Kind,
)
from tests.link import flipped

#: One bit of each fifth octet or so, never the same one twice in a row; every bit with ``SECKEX_EVERY_BIT`` set.
STRIDE: Final = 1 if os.environ.get("SECKEX_EVERY_BIT") else 41

_HEADERS: Final = {REGISTRATION_REQUEST: 24, REGISTRATION_REPLY: 20}
_VENDOR_START: Final = 10
_GENERAL_START: Final = 4


def pieces(octets: bytes) -> list[bytes]:
    """Return the header and each extension."""
    at = _HEADERS.get(octets[0], HEADER_SIZE)
    found = [octets[:at]]
    while at < len(octets):
        if octets[at] in (VENDOR_EXTENSION, EXTENSION_TYPE):
            end = at + 4 + int.from_bytes(octets[at + 2 : at + 4], "big")
        else:
            end = at + 2 + octets[at + 1]
        found.append(octets[at:end])
        at = end
    return found


def sub_of(piece: bytes) -> int:
    """Return the sub-type of an extension; of the standards' own, which have none, the negative type."""
    if piece[0] == VENDOR_EXTENSION:
        return int.from_bytes(piece[8:10], "big")
    return piece[1] if piece[0] == EXTENSION_TYPE else -piece[0]


def data_of(piece: bytes) -> bytes:
    """Return what an extension holds."""
    return piece[start_of(piece) :]


def start_of(piece: bytes) -> int:
    """Return where the data of an extension begins."""
    return {VENDOR_EXTENSION: _VENDOR_START, EXTENSION_TYPE: _GENERAL_START}.get(piece[0], 2)


def with_data(octets: bytes, sub: int, data: bytes) -> bytes:
    """Return a message with other data in one of its extensions, the first of this sub-type."""
    header, *body = pieces(octets)
    at = next(number for number, piece in enumerate(body) if sub_of(piece) == sub)
    body[at] = rewritten(body[at], data)
    return header + b"".join(body)


def rewritten(piece: bytes, data: bytes) -> bytes:
    """Return an extension with other data."""
    start = start_of(piece)
    if start == 2:
        # A length of one octet says what it can.
        return piece[:1] + bytes((min(len(data), 255),)) + data
    length = len(data) + start - 4
    return piece[:2] + length.to_bytes(2, "big") + piece[4:start] + data


def flips(octets: bytes, stride: int = STRIDE) -> Iterator[bytes]:
    """Yield the message with one bit turned over, for every ``stride``-th of its bits."""
    for bit in range(0, 8 * len(octets), stride):
        yield flipped(octets, bit)


def cuts(octets: bytes) -> Iterator[bytes]:
    """Yield the message ended at and within each extension, at lengths between, and with something behind it."""
    ends, at = set(range(0, len(octets), STRIDE)), 0
    for piece in pieces(octets):
        ends |= {at, at + 1, at + start_of(piece), at + len(piece) - 1}
        at += len(piece)
    for length in sorted(ends):
        if length < len(octets):
            yield octets[:length]
    for tail in (b"\0", bytes(4), octets[-40:], pieces(octets)[-1]):
        yield octets + tail


def swaps(octets: bytes) -> Iterator[bytes]:
    """Yield the message with its parts dropped, doubled, exchanged in their places, or in what they hold."""
    header, *body = pieces(octets)
    if not body:
        yield header + header
    for at in range(len(body)):
        yield header + b"".join((*body[:at], *body[at + 1 :]))
        yield header + b"".join((*body[:at], body[at], *body[at:]))
    for one, other in combinations(range(len(body)), 2):
        places = list(body)
        places[one], places[other] = body[other], body[one]
        yield header + b"".join(places)
        held = list(body)
        held[one] = rewritten(body[one], data_of(body[other]))
        held[other] = rewritten(body[other], data_of(body[one]))
        yield header + b"".join(held)
    yield from (
        octets[:at] + octets[at + 32 : at + 64] + octets[at : at + 32] + octets[at + 64 :] for at in _sealed(octets)
    )


def _sealed(octets: bytes) -> Iterator[int]:
    """Yield where things begin that are sealed or shared, to exchange two halves of what they hold."""
    at = 0
    for piece in pieces(octets):
        if at and sub_of(piece) in _PRECIOUS and len(data_of(piece)) >= 64:
            yield at + start_of(piece)
        at += len(piece)


_PRECIOUS: Final = frozenset(
    (
        ExtensionSub.NODE_SHARES,
        ExtensionSub.IDENTITY_BLOCK,
        ExtensionSub.AGENT_SHARES,
        ExtensionSub.HOME_SHARE,
        ExtensionSub.SEALED_ANSWER,
        ExtensionSub.AGENT_SECRETS,
        ExtensionSub.KEY_MATERIAL,
        ExtensionSub.NODE_ENTRIES,
    )
)


def splices(mine: bytes, other: bytes) -> Iterator[bytes]:
    """Yield what can be put together of the same message of two sessions, extension by extension and at each cut."""
    ours, theirs = pieces(mine), pieces(other)
    for at in range(min(len(ours), len(theirs))):
        for whole, part in ((ours, theirs[at]), (theirs, ours[at])):
            yield b"".join((*whole[:at], part, *whole[at + 1 :]))
        yield b"".join((*ours[:at], *theirs[at:]))
        yield b"".join((*theirs[:at], *ours[at:]))


def downgrades(octets: bytes) -> Iterator[bytes]:
    """Yield the message as another kind, of another version or KEM, shorter or longer lived, with less of a MAC."""
    if octets[0] in _HEADERS:
        for kind in (*_HEADERS, 0, 2, 4, 255):
            yield bytes((kind,)) + octets[1:]
        for flags in (0, 0x80, 0x40, 1, 128, 65):
            yield octets[:1] + bytes((flags,)) + octets[2:]
        for lifetime in (*LIFETIMES, 1, 0xFFFF):
            yield octets[:2] + lifetime.to_bytes(2, "big") + octets[4:]
    else:
        for version in range(16):
            yield octets[:1] + bytes((version << 4 | octets[1] & 0xF,)) + octets[2:]
        for number in (*Kind, 99, 0xFFFF):
            for flag in (0, ANSWER_FLAG):
                yield octets[:1] + bytes((octets[1] & 0xF0 | flag,)) + number.to_bytes(2, "big") + octets[4:]
    header, *body = pieces(octets)
    for at, piece in enumerate(body):
        changed: list[bytes] = []
        data = data_of(piece)
        if sub_of(piece) in (ExtensionSub.REGISTRATION, ExtensionSub.ADVERTISEMENT, ExtensionSub.AGENT_SHARES):
            changed += [bytes((octet,)) + data[1:] for octet in (0, 2, 255)]
            changed += [data[:1] + bytes((octet,)) + data[2:] for octet in range(4)]
            changed += [data[:2] + bytes((octet,)) + data[3:] for octet in range(5)]
        elif sub_of(piece) in (-MN_HA_AUTHENTICATION, ExtensionSub.SIGNATURE):
            changed += [data[:4], data[:-1], data[:8], bytes(len(data)), data[:4] + bytes(len(data) - 4), data[::-1]]
        elif sub_of(piece) == -CHALLENGE_EXTENSION:
            changed += [b"", bytes(len(data)), data[:8]]
        elif sub_of(piece) == ExtensionSub.SA_PAYLOAD:
            changed += [data[:1] + bytes((sub,)) + data[2:] for sub in range(8)]
            changed += [data[: len(data) // 2], data[:4]]
        elif sub_of(piece) == ExtensionSub.CERTIFICATES:
            changed += [b"\0", data[:1] + data[1:][::-1], b"\2" + data[1:] * 2]
        for other in changed:
            yield header + b"".join((*body[:at], rewritten(piece, other), *body[at + 1 :]))
