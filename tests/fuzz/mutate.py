"""Mutators that know how things are built: lengths, counts and nesting stay right, save where they are the mutation.

A format is taken apart into a tree of `Part`: fixed octets, then either octets or
more parts, with a length that is computed anew when the tree is written. What
cannot be taken apart is kept as octets, so that a mutant of a mutant is one,
too. All randomness comes from the caller, so a mutant repeats itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from random import Random
from typing import Any, Final, TypeAlias

from attrs import define

Mutator: TypeAlias = Callable[[bytes, Random, Sequence[bytes]], bytes]

INTERESTING: Final = (0, 1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 127, 128, 255, 256, 0x7FFF, 0x8000, 0xFFFF)
LONGEST: Final = 70_000

_HEADER: Final = 16
_SA, _PROPOSAL, _TRANSFORM = 1, 2, 3
_SA_EXTENSION, _PROPOSAL_EXTENSION = 16, 17


@define
class Part:
    """``head | length | fixed | content``; ``over`` is how many octets the length counts beside fixed and content.

    ``width`` is the size of the length, 0 for none; ``wrong`` replaces it.
    """

    head: bytes
    width: int
    over: int
    fixed: bytes
    content: bytes | list[Part]
    wrong: int | None = None

    def octets(self) -> bytes:
        """Write the part, and what is in it."""
        inside = self.content if isinstance(self.content, bytes) else b"".join(part.octets() for part in self.content)
        length = self.over + len(self.fixed) + len(inside) if self.wrong is None else self.wrong
        written = (length % (1 << 8 * self.width)).to_bytes(self.width, "big") if self.width else b""
        return self.head + written + self.fixed + inside

    def lists(self) -> Iterator[list[Part]]:
        """Yield every list of parts at and below this one."""
        if isinstance(self.content, list):
            yield self.content
            for part in self.content:
                yield from part.lists()


def split(octets: bytes, inner: Callable[[bytes], Part | None]) -> list[Part]:
    """Take parts off the front as long as that can be done; the rest is a part without a length."""
    found: list[Part] = []
    while octets:
        part = inner(octets)
        if part is None:
            found.append(Part(b"", 0, 0, b"", octets))
            break
        found.append(part)
        octets = octets[len(part.octets()) :]
    return found


def _tlv(octets: bytes, head: int, over: int) -> tuple[bytes, bytes] | None:
    """Return the head and the body of what begins ``octets``, where its length of 16 bits is right."""
    if len(octets) < head + 2:
        return None
    size = int.from_bytes(octets[head : head + 2], "big") - over
    body = octets[head + 2 : head + 2 + max(size, 0)]
    return (octets[:head], body) if size == len(body) else None


def _attribute(octets: bytes) -> Part | None:
    if len(octets) < 4:
        return None
    if octets[0] & 0x80:
        return Part(octets[:4], 0, 0, b"", b"")
    found = _tlv(octets, 2, 0)
    return None if found is None else Part(found[0], 2, 0, b"", found[1])


def payload(octets: bytes) -> Part | None:
    """Take a payload of a negotiation off the front of ``octets``."""
    found = _tlv(octets, 2, 4)
    if found is None:
        return None
    head, body = found
    if head[0] == _SA:
        return Part(head, 2, 4, b"", split(body, payload))
    if head[0] == _PROPOSAL and len(body) >= 12:
        return Part(head, 2, 4, body[:12], split(body[12:], payload))
    if head[0] == _TRANSFORM and len(body) >= 4:
        return Part(head, 2, 4, body[:4], split(body[4:], _attribute))
    return Part(head, 2, 4, b"", body)


def extension(octets: bytes) -> Part | None:
    """Take an extension of a general message off the front of ``octets``."""
    found = _tlv(octets, 2, 0)
    if found is None:
        return None
    head, body = found
    if head[1] in (_SA_EXTENSION, _PROPOSAL_EXTENSION):
        return Part(head, 2, 0, b"", split(body, payload))
    return Part(head, 2, 0, b"", body)


def message(octets: bytes) -> Part:
    """Take a general message apart."""
    return Part(octets[:_HEADER], 0, 0, b"", split(octets[_HEADER:], extension))


def _record(octets: bytes) -> Part | None:
    if len(octets) < 12:
        return None
    headers = 48 if octets[5] & 1 else 36
    headers += int.from_bytes(octets[6:8], "big")
    size = int.from_bytes(octets[8:12], "big")
    end = 12 + headers + size
    if len(octets) < end:
        return None
    return Part(octets[:8], 4, -headers, octets[12 : 12 + headers], octets[12 + headers : end])


def records(octets: bytes) -> Part:
    """Take a stream of records apart."""
    return Part(b"", 0, 0, b"", split(octets, _record))


def _plain_record(octets: bytes) -> Part | None:
    size = int.from_bytes(octets[16:20], "big")
    if len(octets) < 20 + size:
        return None
    return Part(octets[:16], 4, 0, b"", octets[20 : 20 + size])


def plain_records(octets: bytes) -> Part:
    """Take apart what is to be sealed: an octet, then dialog headers, each with a length in 32 bits, and bodies."""
    return Part(octets[:1], 0, 0, b"", split(octets[1:], _plain_record))


def _number(octets: bytes, random: Random) -> bytes:
    """Put a number that is interesting in the place of another."""
    width = random.choice((1, 1, 2, 2, 4, 8))
    at = random.randrange(max(len(octets) - width, 0) + 1)
    old = int.from_bytes(octets[at : at + width], "big")
    new = random.choice((*INTERESTING, old + 1, old - 1, -1, old ^ 0x80, 1 << 31, 1 << 63))
    return octets[:at] + (new % (1 << 8 * width)).to_bytes(width, "big") + octets[at + width :]


def scramble(octets: bytes, random: Random, others: Sequence[bytes] = ()) -> bytes:
    """Change octets with no regard for what they mean."""
    at = random.randrange(len(octets) + 1)
    match random.randrange(8):
        case 0 if octets:
            at = min(at, len(octets) - 1)
            return octets[:at] + bytes((octets[at] ^ 1 << random.randrange(8),)) + octets[at + 1 :]
        case 1 | 2:
            return _number(octets, random)
        case 3:
            return octets[:at] + octets[at + random.choice((1, 1, 2, 4, 8, 16, 64)) :]
        case 4:
            return octets[:at] + random.randbytes(random.choice((1, 1, 2, 4, 8, 16, 64))) + octets[at:]
        case 5:
            end = at + random.choice((1, 4, 16, 64, 1024))
            return octets[:end] + octets[at:end] * random.choice((1, 1, 2, 40)) + octets[end:]
        case 6:
            return octets[:at]
        case _:
            other = random.choice(others) if others else octets
            start = random.randrange(len(other) + 1)
            return octets[:at] + other[start : start + random.choice((4, 16, 64, 1024))] + octets[at:]


def structured(parse: Callable[[bytes], Part | None]) -> Mutator:
    """Return a mutator of what ``parse`` takes apart."""

    def mutate(octets: bytes, random: Random, others: Sequence[bytes]) -> bytes:
        result = octets
        for _ in range(random.choice((1, 1, 1, 2, 2, 3, 5))):
            whole = None if random.random() < 0.15 else parse(result)
            if whole is None:
                result = scramble(result, random, others)
            else:
                other = parse(random.choice(others)) if others else None
                _change(whole, other or whole, random)
                result = whole.octets()
        return result[:LONGEST]

    return mutate


def _change(whole: Part, other: Part, random: Random) -> None:
    """Change one thing in the tree ``whole``, perhaps by a part of ``other``."""
    places = [(parts, at) for parts in whole.lists() for at in range(len(parts))]
    if not places:
        whole.content = scramble(whole.octets(), random)
        whole.head = whole.fixed = b""
        whole.width = 0
        return
    parts, at = random.choice(places)
    part = parts[at]
    match random.randrange(10):
        case 0:
            del parts[at]
        case 1:
            parts[at:at] = [part] * random.choice((1, 1, 1, 2, 9, 33, 65))
        case 2:
            to = random.randrange(len(parts))
            parts[at], parts[to] = parts[to], parts[at]
        case 3:
            taken = [one for found in other.lists() for one in found]
            parts.insert(at, deepcopy(random.choice(taken or [part])))
        case 4:
            part.wrong = random.choice((*INTERESTING, len(part.octets()) + random.choice((-5, -4, -1, 1, 4))))
        case 5:
            part.head = _number(part.head, random)
        case 6:
            part.fixed = _number(part.fixed, random) if part.fixed else _number(part.head, random)
        case 7:
            whole.head = _number(whole.head, random) if whole.head else whole.head
        case _:
            # Fields before the parts are the same kind of thing as octets without parts.
            if isinstance(part.content, bytes):
                part.content = scramble(part.content, random)
            else:
                part.fixed = scramble(part.fixed, random) if random.random() < 0.2 else _number(part.fixed, random)


_LEAVES: Final[tuple[Any, ...]] = (
    None, True, False, 0, 1, -1, 255, 256, 2**31, 2**32 - 1, 2**32, 2**63, 2**64, -(2**63), 10**400, 0.0, -0.5, 1e308,
    float("nan"), float("inf"), "", "a", "\0", "é", "\ud800", "a" * 300, "a@b", "@", "~", "/", "..", [], {}, [[]], [{}],
    "status", {"hex": ""}, {"hex": "00"}, {"hex": "ff" * 48},
)  # fmt: skip


def tree(octets: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    """Mutate JSON by its values, now and then by its text."""
    try:
        value = json.loads(octets)
    except (ValueError, RecursionError):
        return scramble(octets, random, others)
    if random.random() < 0.15:
        return scramble(octets, random, others)
    for _ in range(random.choice((1, 1, 2, 4))):
        value = _other_value(value, random)
    return json.dumps(value).encode()


def _other_value(value: Any, random: Random) -> Any:
    if isinstance(value, dict | list) and value and random.random() < 0.9:
        place = random.choice(list(value) if isinstance(value, dict) else range(len(value)))
        if random.random() < 0.1:
            del value[place]
        elif isinstance(value, dict) and random.random() < 0.1:
            value[random.choice(("", "command", "peer", "x", "hex"))] = value[place]
        else:
            value[place] = _other_value(value[place], random)
        return value
    if isinstance(value, str) and random.random() < 0.5:
        return scramble(value.encode(errors="replace"), random).decode(errors="replace")
    if isinstance(value, int) and random.random() < 0.3:
        return value + random.choice((-1, 1, 2**32, 2**63))
    return deepcopy(random.choice(_LEAVES))


_TOKENS: Final = (
    "0", "1", "-1", "65535", "65536", "4294967296", "9" * 30, "9" * 5000, "1e308", "nan", "inf", "true", '""', '"a@b"',
    '"\\u0000"', '"x25519"', '"aes-256-gcm"', '"~"', '"~nobody/x"', '"/"', '"tcp:1"', '"tcp:a:b:c=d"', "[]", "{}",
    "[[]]", "{a=1}", "1979-05-27", "07:32:00", "[" * 40 + "]" * 40, "[" * 2000, "[peers]", "[[peers]]", "[limits]",
    "[x]", "a.b.c = 1", "'''", '"""', "#", "=", "\\",
)  # fmt: skip


def lines(octets: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    """Mutate text by its lines and the values behind its equals signs."""
    if random.random() < 0.15:
        return scramble(octets, random, others)
    found = octets.decode(errors="replace").split("\n")
    for _ in range(random.choice((1, 1, 2, 3))):
        at = random.randrange(len(found))
        match random.randrange(6):
            case 0:
                del found[at]
                found = found or [""]
            case 1:
                found.insert(random.randrange(len(found) + 1), found[at])
            case 2:
                other = random.choice(others).decode(errors="replace") if others else "\n".join(found)
                found.insert(at, random.choice(other.split("\n")))
            case 3:
                found[at] = scramble(found[at].encode(), random).decode(errors="replace")
            case _:
                name = found[at].split("=")[0].strip()
                found[at] = f"{name} = {random.choice(_TOKENS)}" if name else random.choice(_TOKENS)
    return "\n".join(found).encode()
