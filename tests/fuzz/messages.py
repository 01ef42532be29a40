"""Targets that read what durable dialogs say: envelopes, other units, bodies, prekeys, the three phases.

There is one way to write each, so what can be read is the same octets when it is
written; frames of a STATE are the exception, as those that are not known are
passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Final

from seckex.wire import bodies, pairing
from seckex.wire.envelope import envelope_size
from seckex.wire.numbers import MOST_JOINED
from seckex.wire.units import unit_size
from tests.fuzz.decoders import WIRE_FAULTS
from tests.fuzz.mutate import Mutator, Part, scramble, split, structured
from tests.fuzz.target import Function, Target
from tests.wire.messages import CODECS, FRAMES, UNITS, Codec
from tests.wire.messages import ENVELOPES as ENVELOPE_VALUES
from tests.wire.test_pairing import CARD, MESSAGES, WITH_PREKEY

_SHORT = 200


def _behind(head: int, width: int, over: int) -> Callable[[bytes], Part | None]:
    """Return what takes ``head`` octets, a length of ``width`` and what it counts beyond ``over`` off the front."""

    def take(octets: bytes) -> Part | None:
        at = head + width
        size = int.from_bytes(octets[head:at], "big") - over
        if len(octets) < at or size < 0 or len(octets) < at + size:
            return None
        return Part(octets[:head], width, over, b"", octets[at : at + size])

    return take


def _start_of_header(octets: bytes) -> Part | None:
    """Take a header off: its length counts what is behind its first four octets."""
    size = 4 + int.from_bytes(octets[:2], "big")
    return Part(b"", 2, -2, octets[2:4], octets[4:size]) if 4 <= size <= len(octets) else None


def _envelope(octets: bytes) -> Part | None:
    """Take an envelope apart; both of its lengths are kept right unless they are the mutation."""
    if len(octets) < 12:
        return None
    preamble = 60 if octets[5] & 1 else 48
    headers_end = preamble + int.from_bytes(octets[6:8], "big")
    headers, parts = octets[preamble:headers_end], []
    for flag in (0x40, 0, 0x02, 0x04, 0x08):
        if flag and not octets[5] & flag:
            continue
        found = Part(b"", 0, 0, b"", headers[:40]) if not flag else _start_of_header(headers)
        if found is None:
            break
        parts.append(found)
        headers = headers[len(found.octets()) :]
    parts.append(Part(b"", 0, 0, b"", headers))
    return Part(octets[:preamble], 0, 0, b"", [*parts, Part(b"", 0, 0, b"", octets[headers_end:])])


def _envelopes(octets: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    mutant = structured(_envelope)(octets, random, others)
    whole = _envelope(octets)
    if whole is None or random.random() < 0.3:
        return mutant
    # The headers have changed their sizes, mostly; the body is as long as it was.
    preamble = 60 if mutant[5:6] and mutant[5] & 1 else 48
    body = int.from_bytes(mutant[8:12], "big")
    length = len(mutant) - preamble - body
    return mutant[:6] + length.to_bytes(2, "big") + mutant[8:] if 0 <= length < 1 << 16 else mutant


def _unit(octets: bytes) -> Part | None:
    found = _behind(4, 4, 0)(octets)
    return found if found is not None and found.octets() == octets else None


def _frames(octets: bytes) -> Part:
    return Part(b"", 0, 0, b"", split(octets, _behind(1, 2, 0)))


def _exact(codec: Codec) -> Callable[[bytes], None]:
    def run(octets: bytes) -> None:
        written = codec.encode(codec.decode(octets))
        if written != octets:
            raise AssertionError(f"{octets.hex()} becomes {written.hex()}")

    return run


def _samples(codec: Codec) -> Callable[[], Iterator[tuple[str, bytes]]]:
    return lambda: codec.samples


def _stream(octets: bytes) -> None:
    """Take units off a stream by their sizes: what is read has the size that was told when it began."""
    codecs = {codec.name: codec for codec in CODECS}
    while octets:
        told = {unit_size(octets[:size]) for size in range(8, 13) if size <= len(octets)} - {None}
        size = unit_size(octets)
        if size is None:
            return
        if told != {size} or not 8 <= size <= 48 + 12 + 12_288 + 65_536:
            raise AssertionError(f"a unit of {told} octets")
        one, octets = octets[:size], octets[size:]
        if len(one) < size:
            return
        envelope = one[:2] == b"SK"
        if envelope and envelope_size(one) != size:
            raise AssertionError("envelope_size and unit_size disagree")
        _exact(codecs["envelope" if envelope else "unit"])(one)


def _streams() -> Iterator[tuple[str, bytes]]:
    codecs = {codec.name: codec for codec in CODECS}
    yield "units", b"".join(map(codecs["unit"].encode, UNITS.values()))
    envelopes = b"".join(map(codecs["envelope"].encode, ENVELOPE_VALUES.values()))
    yield "both", codecs["unit"].encode(UNITS["hello"]) + envelopes


def _joined(octets: bytes) -> None:
    """Read 16 bits as a count and the rest as messages."""
    count, body = int.from_bytes(octets[:2], "big") % (MOST_JOINED + 1), octets[2:]
    messages = bodies.unpack_messages(body, count)
    if messages and len(body) <= 1 << 16 and bodies.pack_messages(messages) != bodies.padded(body):
        raise AssertionError("messages change")


def _bodies() -> Iterator[tuple[str, bytes]]:
    yield "one", b"\0\1" + bodies.pack_messages([("", 0, b"x")])
    yield "three", b"\0\3" + bodies.pack_messages([("order", 0, b"x" * 40), ("", 7, b""), ("a", 1, b"y")])


def _state(octets: bytes) -> None:
    frames = bodies.decode_frames(octets)
    if bodies.decode_frames(bodies.encode_frames(frames)) != frames:
        raise AssertionError(f"{frames} change")


_CARDS: Final = Codec("card", pairing.decode_card, pairing.encode_card, {"plain": CARD, "with-prekey": WITH_PREKEY})
_PAIRING: Final = Codec(
    "pairing",
    pairing.decode_pairing,
    lambda message: pairing.encode_pairing(message)[pairing.LENGTH_SIZE :],
    {type(message).__name__.lower(): message for message in MESSAGES},
)


def _states() -> Iterator[tuple[str, bytes]]:
    yield "all", bodies.encode_frames(FRAMES)
    yield "ask", bodies.encode_frames((bodies.Ask(),))


_MUTATORS: dict[str, Mutator] = {"envelope": _envelopes, "unit": structured(_unit)}


def targets() -> list[Target]:
    """Return the targets of this module."""
    exact = [
        Function(
            codec.name, _exact(codec), _MUTATORS.get(codec.name, scramble), _samples(codec), *WIRE_FAULTS, short=_SHORT
        )
        for codec in (*CODECS, _CARDS, _PAIRING)
    ]
    return [
        *exact,
        Function("units", _stream, scramble, _streams, *WIRE_FAULTS, short=_SHORT),
        Function("joined", _joined, scramble, _bodies, *WIRE_FAULTS, short=_SHORT),
        Function("state", _state, structured(_frames), _states, *WIRE_FAULTS, short=_SHORT),
    ]
