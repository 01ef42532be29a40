"""Targets that read messages of registrations, of advertisements and of hops, and what is sealed in them.

There is one way to write each: what can be read is the same octets when it is
written. Sizes are fixed, so mutants are brought to them again, mostly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Final

from seckex.wire.mobileip import REPLY_HEADER_SIZE, REQUEST_HEADER_SIZE, SIZES
from seckex.wire.mobileip.reply import AGENT_ANSWER_SIZE
from seckex.wire.numbers import REGISTRATION_REPLY, VENDOR_EXTENSION, ExtensionSub
from seckex.wire.registration import BLOCK_SIZE
from tests.fuzz.decoders import WIRE_FAULTS
from tests.fuzz.mutate import Mutator, Part, extension, message, payload, scramble, split, structured
from tests.fuzz.target import Function, Target
from tests.wire.roaming import Form, forms

_REQUESTS: Final = tuple(sizes.request for sizes in SIZES.values())
_ANSWERS: Final = tuple(sizes.answer for sizes in SIZES.values())
_SHORT: Final = 200
_SUB: Final = 4  # of the vendor, before the sub-type


def _vendor(octets: bytes) -> Part | None:
    """Take an extension of a registration message off the front of ``octets``."""
    if len(octets) < 2:
        return None
    if octets[0] != VENDOR_EXTENSION:
        end = 2 + octets[1]
        return Part(octets[:1], 1, 0, b"", octets[2:end]) if len(octets) >= end else None
    end = 4 + int.from_bytes(octets[2:4], "big")
    if not 10 <= end <= len(octets):
        return None
    inside: bytes | list[Part] = octets[10:end]
    if octets[8:10] == bytes((0, ExtensionSub.SA_PAYLOAD)):
        inside = split(octets[10:end], payload)
    return Part(octets[:2], 2, 0, octets[4:10], inside)


def registration(octets: bytes) -> Part:
    """Take a registration message apart."""
    header = REPLY_HEADER_SIZE if octets[:1] == bytes((REGISTRATION_REPLY,)) else REQUEST_HEADER_SIZE
    return Part(octets[:header], 0, 0, b"", split(octets[header:], _vendor))


def _repadded(octets: bytes, more: Callable[[bytes], int]) -> bytes:
    """Return a request whose padding brings it to a size that there is, if it has one; ``more`` of it may follow."""
    whole = registration(octets)
    parts = whole.content if isinstance(whole.content, list) else []
    for part in parts:
        if part.fixed[_SUB:] == bytes((0, ExtensionSub.PADDING)) and isinstance(part.content, bytes):
            size = len(octets) - more(octets)
            wanted = min(_REQUESTS, key=lambda one: abs(one - size)) - size
            part.content = bytes(max(0, len(part.content) + wanted))
    return whole.octets()


def _behind(octets: bytes) -> int:
    """Return how many octets an agent has added: all behind the extension with the MAC."""
    at = octets.rfind(bytes.fromhex("2014"))
    return 0 if at < 0 else max(0, len(octets) - at - 22)


def _requests(octets: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    mutant = structured(registration)(octets, random, others)
    return _repadded(mutant, _behind) if random.random() < 0.8 else mutant


def _sized(*sizes: int, start: int) -> Mutator:
    """Return a mutator of extensions behind ``start`` octets, filled with zeros to one of ``sizes``."""

    def parse(octets: bytes) -> Part:
        return Part(octets[:start], 0, 0, b"", split(octets[start:].rstrip(b"\0"), extension))

    def mutate(octets: bytes, random: Random, others: Sequence[bytes]) -> bytes:
        mutant = structured(parse)(octets, random, others)
        if random.random() < 0.1:
            return mutant
        size = random.choice(sizes)
        return mutant[:size] + bytes(max(0, size - len(mutant)))

    return mutate


_MUTATORS: Final[dict[str, Mutator]] = {
    "node-request": _requests,
    "agent-request": _requests,
    "home-reply": structured(registration),
    "node-reply": structured(registration),
    "identity-block": _sized(BLOCK_SIZE, start=48),
    "answer": _sized(*_ANSWERS, start=116),
    "agent-answer": _sized(AGENT_ANSWER_SIZE, start=96),
    "advertisement": structured(message),
    "solicitation": scramble,
    "hop": structured(message),
    "revocation": structured(message),
}


def _exact(form: Form) -> Callable[[bytes], None]:
    def run(octets: bytes) -> None:
        written = form.again(octets)
        if written != octets:
            raise AssertionError(f"{octets.hex()} becomes {written.hex()}")

    return run


def _samples(form: Form) -> Callable[[], Iterator[tuple[str, bytes]]]:
    return lambda: iter(form.samples)


def targets() -> list[Target]:
    """Return the targets of this module."""
    return [
        Function(form.name, _exact(form), _MUTATORS[form.name], _samples(form), *WIRE_FAULTS, short=_SHORT)
        for form in forms()
    ]
