"""What is sealed in registrations, in the clear: octets by hand from docs/registration.md, and values."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final

from attrs import evolve
from hypothesis import assume, given
from hypothesis import strategies as st

from seckex.errors import ApiMisuse, Malformed, PeerIncompatible, Unfeasible
from seckex.wire.extensions import Detail, Layer2Extension, SaPayloadExtension
from seckex.wire.keying import HomeKey
from seckex.wire.numbers import Kem, Keying
from seckex.wire.registration import (
    AgentAnswer,
    Answer,
    IdentityBlock,
    decode_agent_answer,
    decode_answer,
    decode_block,
    encode_agent_answer,
    encode_answer,
    encode_block,
)
from seckex.wire.shares import SIZES
from tests.wire import roaming
from tests.wire.roaming import AGENT_ANSWER, BLOCK, NODE, FormCase, pattern, sa, with_octets
from tests.wire.samples import FEW, mutated


def general(sub: int, data: bytes) -> bytes:
    """Return an extension as general messages have it."""
    return bytes((127, sub)) + len(data).to_bytes(2, "big") + data


def clear(content: int, info: bytes) -> bytes:
    return bytes((content, 0, 0, 0, 0, 0, 0, 0)) + info


def filled(size: int, *parts: bytes) -> bytes:
    octets = b"".join(parts)
    return octets + bytes(size - len(octets))


BLOCK_START: Final = bytes.fromhex("00000005 00000001 00001001 00001002") + pattern(32)
BLOCK_PARTS: Final = (
    general(1, clear(0, NODE.encode())),
    general(2, clear(0, bytes((10, 0, 0, 1)))),
    general(3, clear(0, b"\2abcde")),
)
BLOCK_OCTETS: Final = filled(256, BLOCK_START, *BLOCK_PARTS)


class IdentityBlockTests(FormCase):
    def refused(self, octets: bytes, field: str, offset: int) -> None:
        self.broken(decode_block, octets, field, offset)

    def test_it_has_the_octets_of_the_document(self) -> None:
        self.assertEqual(encode_block(BLOCK).hex(), BLOCK_OCTETS.hex())
        self.assertEqual(decode_block(BLOCK_OCTETS), BLOCK)

    def test_what_may_be_left_out(self) -> None:
        for left, block in (
            (BLOCK_PARTS[:1], evolve(BLOCK, home_address=None, layer2=None)),
            (BLOCK_PARTS[:2], evolve(BLOCK, layer2=None)),
            (BLOCK_PARTS[::2], evolve(BLOCK, home_address=None)),
        ):
            octets = filled(256, BLOCK_START, *left)
            self.assertEqual(decode_block(octets), block)
            self.assertEqual(encode_block(block), octets)
        self.refused(filled(256, BLOCK_START, *BLOCK_PARTS[1:]), "NAI", 48)

    def test_the_order_is_one(self) -> None:
        first, second, third = BLOCK_PARTS
        for parts in ((second, first), (first, third, second), (first, first), (first, second, second)):
            self.assertRaises(Malformed, decode_block, filled(256, BLOCK_START, *parts))
        for other in (general(16, sa(1)), general(1, clear(1, b"a@b")), general(200, b""), general(2, b"")):
            self.refused(filled(256, BLOCK_START, first, other), "extension", 48 + len(first))

    def test_read_whole_or_not_at_all(self) -> None:
        self.read_whole_or_not_at_all(roaming.block_again, BLOCK_OCTETS)

    def test_every_bit_flipped(self) -> None:
        self.bits_flipped(roaming.block_again, BLOCK_OCTETS)

    def test_any_block_comes_back_in_256_octets(self) -> None:
        @FEW
        @given(roaming.blocks)
        def comes_back(block: IdentityBlock) -> None:
            octets = encode_block(block)
            self.assertEqual(len(octets), 256)
            self.assertEqual(decode_block(octets), block)

        comes_back()

    def test_rubbish(self) -> None:
        @FEW
        @given(
            mutated(st.just(BLOCK_OCTETS)) | st.binary(max_size=256).map(lambda inside: filled(256, inside)),
        )
        def rubbish(octets: bytes) -> None:
            self.refused_or_exact(roaming.block_again, octets)

        rubbish()

    def test_the_longest_fits(self) -> None:
        longest = evolve(
            BLOCK, node="n" * 120 + "@" + "r" * 7, home_address=IPv6Address(1), layer2=Layer2Extension(1, bytes(16))
        )
        self.assertEqual(decode_block(encode_block(longest)), longest)
        self.assertRaises(ApiMisuse, encode_block, evolve(longest, node="n" * 121 + "@" + "r" * 7))
        octets = filled(256, BLOCK_START, general(1, clear(0, b"n" * 121 + b"@" + b"r" * 7)))
        self.refused(octets, "NAI", 48)

    def test_fields(self) -> None:
        for place in (8, 12):
            self.refused(with_octets(BLOCK_OCTETS, place, bytes((0, 0, 0, 255))), "SPI", place)
        self.refused(with_octets(BLOCK_OCTETS, 255, b"\1"), "zeros", 48 + sum(map(len, BLOCK_PARTS)))
        sealed = general(3, bytes((0, 0x80, 0, 0, 0, 0, 4, 0)) + bytes(16))
        self.refused(filled(256, BLOCK_START, BLOCK_PARTS[0], sealed), "layer 2", 48 + len(BLOCK_PARTS[0]) + 4)

    def test_what_cannot_be_said(self) -> None:
        for wrong in (
            evolve(BLOCK, node="nobody"),
            evolve(BLOCK, spi_home=255),
            evolve(BLOCK, spi_agent=0),
            evolve(BLOCK, index=1 << 32),
            evolve(BLOCK, agent_digest=bytes(31)),
            evolve(BLOCK, layer2=Layer2Extension(0, b"abc")),
        ):
            self.assertRaises(ApiMisuse, encode_block, wrong)


ANSWER: Final = roaming.answer_of(Kem.X25519)
ANSWER_START: Final = (
    bytes.fromhex("0000 01 01 012c 00 00 000000006553f100 00003000") + pattern(32, 1) + pattern(32, 2) + pattern(32, 3)
)
ANSWER_PARTS: Final = (
    general(16, sa(4)),
    general(16, sa(2)),
    general(2, clear(0, bytes((10, 0, 0, 1)))),
    general(2, clear(1, IPv6Address("2001:db8::2").packed)),
    general(49, bytes.fromhex("01 01 00000000655d18c0") + pattern(32, 4)),
    general(1, clear(2, b"other@home.example")),
    general(19, bytes(4) + b"welcome"),
)
ANSWER_OCTETS: Final = filled(640, ANSWER_START, *ANSWER_PARTS)
ANSWER_FIELDS: Final = (
    "home_offer",
    "agent_offer",
    "home_address",
    "home_agent_address",
    "home_keys",
    "other_home_agent",
    "detail",
)


class AnswerTests(FormCase):
    def refused(self, octets: bytes, field: str, offset: int) -> None:
        self.broken(decode_answer, octets, field, offset)

    def test_it_has_the_octets_of_the_document(self) -> None:
        self.assertEqual(encode_answer(ANSWER, Kem.X25519).hex(), ANSWER_OCTETS.hex())
        self.assertEqual(decode_answer(ANSWER_OCTETS), ANSWER)

    def test_all_parts_may_be_left_out(self) -> None:
        def without(*names: str) -> Answer:
            left_out: dict[str, Any] = {name: () if name == "home_keys" else None for name in names}
            return evolve(ANSWER, **left_out)

        for missing in range(len(ANSWER_PARTS)):
            octets = filled(640, ANSWER_START, *ANSWER_PARTS[:missing], *ANSWER_PARTS[missing + 1 :])
            answer = without(ANSWER_FIELDS[missing])
            self.assertEqual(decode_answer(octets), answer)
            self.assertEqual(encode_answer(answer, Kem.X25519), octets)
        self.assertEqual(decode_answer(filled(640, ANSWER_START)), without(*ANSWER_FIELDS))

    def test_the_order_is_one(self) -> None:
        for at in range(len(ANSWER_PARTS) - 1):
            one, other = ANSWER_PARTS[at : at + 2]
            for parts in ((other, one), (one, one)):
                self.assertRaises(Malformed, decode_answer, filled(640, ANSWER_START, *parts))
        for other in (general(16, sa(3)), general(1, clear(0, b"a@b")), general(21, bytes(8)), general(16, b"")):
            self.refused(filled(640, ANSWER_START, other), "extension", 116)

    def test_read_whole_or_not_at_all(self) -> None:
        for kem in Kem:
            octets = encode_answer(roaming.answer_of(kem), kem)
            self.assertEqual(len(octets), SIZES[kem].answer)
            self.read_whole_or_not_at_all(roaming.answer_again, octets)

    def test_every_bit_flipped(self) -> None:
        self.bits_flipped(roaming.answer_again, ANSWER_OCTETS)

    def test_any_answer_comes_back(self) -> None:
        @FEW
        @given(roaming.answers, roaming.kems)
        def comes_back(answer: Answer, kem: Kem) -> None:
            try:
                octets = encode_answer(answer, kem)
            except Unfeasible:
                assume(False)
            self.assertEqual(len(octets), SIZES[kem].answer)
            self.assertEqual(decode_answer(octets), answer)

        comes_back()

    def test_rubbish(self) -> None:
        @FEW
        @given(mutated(st.just(ANSWER_OCTETS)).map(lambda octets: filled(640, octets[:640])))
        def rubbish(octets: bytes) -> None:
            self.refused_or_exact(roaming.answer_again, octets)

        rubbish()

    def test_fields(self) -> None:
        self.refused(with_octets(ANSWER_OCTETS, 2, b"\2"), "Flags", 2)
        self.refused(with_octets(ANSWER_OCTETS, 3, b"\3"), "Mode", 3)
        self.refused(with_octets(ANSWER_OCTETS, 16, bytes((0, 0, 0, 255))), "SPI", 16)
        self.assertEqual(decode_answer(with_octets(ANSWER_OCTETS, 16, bytes(4))).spi_of_home, 0)
        self.refused(with_octets(ANSWER_OCTETS, 639, b"\1"), "zeros", 116 + sum(map(len, ANSWER_PARTS)))
        self.assertFalse(decode_answer(with_octets(ANSWER_OCTETS, 2, b"\0")).renewed)

    def test_home_keys(self) -> None:
        def with_keys(data: bytes) -> bytes:
            return filled(640, ANSWER_START, general(49, data))

        start = 116 + 4
        self.refused(with_keys(b""), "Count", start)
        self.refused(with_keys(b"\x09"), "Count", start)
        self.refused(with_keys(b"\1\1"), "home key", start + 1)
        self.refused(with_keys(b"\1\1" + bytes(8 + 31)), "public key", start + 10)
        self.refused(with_keys(b"\1\1" + bytes(8 + 33)), "home keys", start + 42)
        self.assertRaises(PeerIncompatible, decode_answer, with_keys(b"\1\7" + bytes(8 + 32)))
        key = ANSWER.home_keys[0]
        for wrong in ((key,) * 9, (evolve(key, public=bytes(33)),), (HomeKey(Kem.X25519, 1 << 64, bytes(32)),)):
            self.assertRaises(ApiMisuse, encode_answer, evolve(ANSWER, home_keys=wrong), Kem.X25519)

    def test_a_reason_has_its_limit(self) -> None:
        short = evolve(ANSWER, other_home_agent=None)
        full = evolve(short, detail=Detail(274, 0, 0, "r" * 160))
        self.assertEqual(decode_answer(encode_answer(full, Kem.X25519)), full)
        self.assertRaises(ApiMisuse, encode_answer, evolve(short, detail=Detail(1, 0, 0, "r" * 161)), Kem.X25519)
        octets = filled(640, ANSWER_START, general(19, bytes(4) + b"r" * 161))
        self.refused(octets, "text", 116 + 4)

    def test_what_does_not_fit_is_told(self) -> None:
        large = evolve(ANSWER, home_offer=SaPayloadExtension(sa(1, bytes(600))))
        self.assertRaises(Unfeasible, encode_answer, large, Kem.X25519)
        self.assertEqual(decode_answer(encode_answer(large, Kem.X25519_ML_KEM_768)), large)

    def test_what_cannot_be_said(self) -> None:
        for wrong in (
            evolve(ANSWER, code=1 << 16),
            evolve(ANSWER, spi_of_home=255),
            evolve(ANSWER, a=bytes(31)),
            evolve(ANSWER, b=bytes(33)),
            evolve(ANSWER, agent_digest=b""),
            evolve(ANSWER, other_home_agent="nobody"),
            evolve(ANSWER, agent_offer=SaPayloadExtension(sa(1))),
        ):
            self.assertRaises(ApiMisuse, encode_answer, wrong, Kem.X25519)

    def test_keys_are_not_shown(self) -> None:
        for value in (ANSWER, AGENT_ANSWER):
            self.assertNotIn(repr(value.a), repr(value))
            self.assertNotIn(repr(value.b), repr(value))


AGENT_START: Final = (
    bytes.fromhex("0000 02 00 012c 1152 00003000 00004000") + pattern(32, 1) + pattern(32, 2) + pattern(16, 3)
)
AGENT_PARTS: Final = (
    general(16, sa(3)),
    general(16, sa(2)),
    general(2, clear(1, IPv4Address("192.0.2.2").packed)),
)
AGENT_OCTETS: Final = filled(512, AGENT_START, *AGENT_PARTS)


class AgentAnswerTests(FormCase):
    def refused(self, octets: bytes, field: str, offset: int) -> None:
        self.broken(decode_agent_answer, octets, field, offset)

    def test_it_has_the_octets_of_the_document(self) -> None:
        self.assertEqual(encode_agent_answer(AGENT_ANSWER).hex(), AGENT_OCTETS.hex())
        self.assertEqual(decode_agent_answer(AGENT_OCTETS), AGENT_ANSWER)

    def test_all_parts_may_be_left_out_and_the_order_is_one(self) -> None:
        bare = evolve(AGENT_ANSWER, home_offer=None, node_offer=None, home_agent_address=None)
        self.assertEqual(decode_agent_answer(filled(512, AGENT_START)), bare)
        self.assertEqual(encode_agent_answer(bare), filled(512, AGENT_START))
        for at in range(len(AGENT_PARTS) - 1):
            one, other = AGENT_PARTS[at : at + 2]
            for parts in ((other, one), (one, one)):
                self.assertRaises(Malformed, decode_agent_answer, filled(512, AGENT_START, *parts))

    def test_read_whole_or_not_at_all(self) -> None:
        self.read_whole_or_not_at_all(roaming.agent_answer_again, AGENT_OCTETS)

    def test_every_bit_flipped(self) -> None:
        self.bits_flipped(roaming.agent_answer_again, AGENT_OCTETS)

    def test_any_answer_comes_back(self) -> None:
        @FEW
        @given(roaming.agent_answers)
        def comes_back(answer: AgentAnswer) -> None:
            octets = encode_agent_answer(answer)
            self.assertEqual(len(octets), 512)
            self.assertEqual(decode_agent_answer(octets), answer)

        comes_back()

    def test_rubbish(self) -> None:
        @FEW
        @given(mutated(st.just(AGENT_OCTETS)).map(lambda octets: filled(512, octets[:512])))
        def rubbish(octets: bytes) -> None:
            self.refused_or_exact(roaming.agent_answer_again, octets)

        rubbish()

    def test_an_agent_is_told_yes_or_no(self) -> None:
        for code in (0, 1, 64, 127, 128, 129, 256, 274, 0xFFFF):
            octets = with_octets(AGENT_OCTETS, 0, code.to_bytes(2, "big"))
            if code in (0, 128):
                self.assertEqual(decode_agent_answer(octets).code, code)
            else:
                self.refused(octets, "Code", 0)
                self.assertRaises(ApiMisuse, encode_agent_answer, evolve(AGENT_ANSWER, code=code))

    def test_fields(self) -> None:
        self.refused(with_octets(AGENT_OCTETS, 2, b"\3"), "Mode", 2)
        self.refused(with_octets(AGENT_OCTETS, 3, b"\2"), "Flags", 3)
        self.assertEqual(decode_agent_answer(with_octets(AGENT_OCTETS, 6, bytes(2))).port, 0)
        unmixed = evolve(AGENT_ANSWER, mixed=False)
        self.assertEqual(encode_agent_answer(unmixed), with_octets(AGENT_OCTETS, 3, b"\1"))
        self.assertEqual(decode_agent_answer(encode_agent_answer(unmixed)), unmixed)
        for place in (8, 12):
            self.refused(with_octets(AGENT_OCTETS, place, bytes((0, 0, 0, 1))), "SPI", place)
        self.assertEqual(decode_agent_answer(with_octets(AGENT_OCTETS, 8, bytes(8))).spi_of_node, 0)

    def test_what_cannot_be_said(self) -> None:
        self.assertRaises(
            Unfeasible, encode_agent_answer, evolve(AGENT_ANSWER, home_offer=SaPayloadExtension(sa(3, bytes(400))))
        )
        for wrong in (
            evolve(AGENT_ANSWER, pseudonym=bytes(15)),
            evolve(AGENT_ANSWER, spi_of_node=255),
            evolve(AGENT_ANSWER, home_offer=SaPayloadExtension(sa(2))),
            evolve(AGENT_ANSWER, lifetime=-1),
        ):
            self.assertRaises(ApiMisuse, encode_agent_answer, wrong)

    def test_modes(self) -> None:
        for mode in Keying:
            self.assertEqual(decode_agent_answer(with_octets(AGENT_OCTETS, 2, bytes((mode,)))).mode, mode)
