"""Units that are no envelopes, prekeys and the three phases, as octets of docs/messages.md and as values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.errors import ApiMisuse, Malformed, UnsupportedVersion
from seckex.wire.envelope import encode_envelope
from seckex.wire.identity import encode_chain
from seckex.wire.numbers import MAX_UNIT, NoticeWhat, UnitKind
from seckex.wire.phases import (
    decode_introduction,
    decode_phase1,
    decode_phase2,
    decode_reply,
    encode_introduction,
    encode_phase1,
    encode_phase2,
    encode_phase3,
    encode_reply,
    encode_signature,
    phase1_head,
    phase2_head,
    phase2_shares,
)
from seckex.wire.prekey import Prekey, decode_prekey, encode_prekey, encode_unsigned
from seckex.wire.units import (
    BODY_SIZES,
    Gone,
    Hello,
    Notice,
    Phase,
    Ping,
    Prekeys,
    Prove,
    decode_unit,
    encode_unit,
    is_envelope,
    notice_unproven,
    unit_size,
)
from tests.wire.messages import (
    CODECS,
    FIRST,
    HYBRID_PREKEY,
    ID,
    INTRODUCTION,
    PREKEY,
    REPLY,
    SECOND,
    SHORT_ENVELOPE,
    SIGNATURE,
    THIRD,
    UNITS,
    A,
    B,
    exactly,
    prekeys,
)
from tests.wire.samples import FEW, faults_of, mutated, nais, u16

HELLO_OCTETS = bytes.fromhex("4d53 01 01 00000032") + b"N" * 16 + b"\x10" + B.encode() + b"\x10" + A.encode()
NOTICE_OCTETS = bytes.fromhex("4d53 01 03 00000035 02 00 0081") + ID + b"D" * 16 + b"\x10" + b"M" * 16


class KnownOctetsTests(SynchronousTestCase):
    def test_units_have_the_octets_of_the_document(self) -> None:
        for name, octets in (
            ("hello", HELLO_OCTETS),
            ("refused", NOTICE_OCTETS),
            ("prekeys_none", bytes.fromhex("4d53 01 02 00000000")),
            ("phase1", bytes.fromhex("4d53 01 04 00000012") + b"P" * 16 + b"m1"),
            ("phase3", bytes.fromhex("4d53 01 06 00000002") + b"m3"),
            ("ping", bytes.fromhex("4d53 01 07 00000008") + b"8 octets"),
            ("gone", bytes.fromhex("4d53 01 09 00000015 012d") + b"nobody of this name"),
        ):
            self.assertEqual(encode_unit(UNITS[name]), octets)
            self.assertEqual(decode_unit(octets), UNITS[name])

    def test_a_notice_has_what_its_proof_is_over(self) -> None:
        read = decode_unit(NOTICE_OCTETS)
        if not isinstance(read, Notice):
            self.fail("not a notice")
        self.assertEqual(read.unproven, NOTICE_OCTETS[8:-17])
        self.assertEqual(notice_unproven(Notice(NoticeWhat.REFUSED, 129, ID, b"D" * 16)), read.unproven)

    def test_no_notice_is_longer_than_the_shortest_envelope(self) -> None:
        self.assertLessEqual(8 + BODY_SIZES[UnitKind.NOTICE][1], len(encode_envelope(SHORT_ENVELOPE)))

    def test_a_prekey(self) -> None:
        octets = (
            bytes.fromhex("01 00 000000006ab13b80 000000006aba6340 10")
            + B.encode()
            + b"p" * 16
            + b"\0\x20"
            + b"x" * 32
            + b"\0\x0e\x01\0\x0bcertificate"
        )
        self.assertEqual(encode_unsigned(PREKEY), octets)
        self.assertEqual(encode_prekey(PREKEY), octets + b"\x08" + SIGNATURE)
        self.assertEqual(decode_prekey(octets + b"\x08" + SIGNATURE).unsigned, octets)

    def test_the_three_phases(self) -> None:
        head = bytes.fromhex("01 01 0000") + b"n" * 32 + b"X" * 32 + b"p" * 16
        moving = b"\0\0\0\x30" + ID + b"k" * 16 + bytes(7) + b"\x07" + bytes(7) + b"\x03"
        self.assertEqual(phase1_head(FIRST), head + moving)
        self.assertEqual(encode_phase1(FIRST), head + moving + b"\0\0\0\x63" + b"sealed by A" * 9)
        self.assertEqual(encode_phase1(evolve(FIRST, moving=None))[:104], head + b"\0\0\0\x10" + ID)
        shares = b"n" * 32 + b"Y" * 32
        self.assertEqual(phase2_shares(SECOND), shares)
        self.assertEqual(phase2_head(SECOND), bytes.fromhex("01000000") + shares)
        self.assertEqual(encode_phase2(SECOND), phase2_head(SECOND) + b"\0\0\0\x63" + b"sealed by B" * 9)
        self.assertEqual(encode_phase3(THIRD), b"\0\0\0\x50" + b"sealed signature" * 5)

    def test_what_is_sealed_in_them(self) -> None:
        said = b"\x01\0\x0bcertificate" + encode_prekey(PREKEY) + b"K" * 32
        self.assertEqual(encode_introduction(INTRODUCTION), said)
        chain = encode_chain(REPLY.chain)
        self.assertEqual(
            encode_reply(REPLY), b"\0\0\0\x16" + chain + b"\0\0\0\x50" + b"s" * 80 + b"\0\0\0\x08" + SIGNATURE
        )
        self.assertEqual(encode_signature(SIGNATURE), b"\0\0\0\x08" + SIGNATURE)

    def test_a_key_is_not_shown(self) -> None:
        self.assertNotIn("KKKK", repr(INTRODUCTION))


class SizeTests(SynchronousTestCase):
    def test_the_size_of_a_unit_is_known_from_its_first_octets(self) -> None:
        for unit in UNITS.values():
            octets = encode_unit(unit)
            for size in range(len(octets) + 1):
                self.assertEqual(unit_size(octets[:size]), len(octets) if size >= 8 else None)
            self.assertFalse(is_envelope(octets))

    def test_that_of_an_envelope_from_the_twelfth_on(self) -> None:
        octets = encode_envelope(SHORT_ENVELOPE)
        for size in range(len(octets) + 1):
            self.assertEqual(unit_size(memoryview(octets)[:size]), len(octets) if size >= 12 else None)
        self.assertTrue(is_envelope(octets))

    def test_what_begins_nothing_is_refused_from_the_second_octet_on(self) -> None:
        for octets in (b"MT", b"SL", b"\0\0", b"GET / HTTP/1.1\r\n"):
            self.assertRaises(Malformed, unit_size, octets)
        self.assertRaises(UnsupportedVersion, unit_size, b"MS\x02\x01\0\0\0\0")

    def test_lengths_that_no_unit_has_are_refused_before_it_has_come(self) -> None:
        for kind, (least, most) in BODY_SIZES.items():
            for length in (least, most):
                self.assertEqual(unit_size(b"MS\x01" + bytes((kind,)) + length.to_bytes(4, "big")), 8 + length)
            for length in {least - 1, most + 1, MAX_UNIT + 1, 0xFFFFFFFF} - {-1}:
                octets = b"MS\x01" + bytes((kind,)) + length.to_bytes(4, "big")
                self.assertEqual(self.assertRaises(Malformed, unit_size, octets).field, "Length")
        for kind in (0, 10, 255):
            self.assertRaises(Malformed, unit_size, b"MS\x01" + bytes((kind,)) + bytes(4))


class RoundTripTests(SynchronousTestCase):
    def test_every_sample(self) -> None:
        for codec in CODECS:
            for name, value in codec.values.items():
                octets = codec.encode(value)
                self.assertEqual(codec.decode(octets), value, f"{codec.name} {name}")

    @FEW
    @given(
        st.one_of(
            st.builds(Hello, exactly(16), st.just("") | nais, st.just("") | nais),
            st.builds(Prekeys, st.lists(st.binary(max_size=60), max_size=4).map(tuple)),
            st.builds(Gone, u16, st.text(max_size=80)),
            st.builds(Ping, exactly(8)),
            st.builds(Phase, st.just(UnitKind.PHASE1), st.binary(min_size=1, max_size=60), exactly(16)),
            st.builds(
                Notice, st.just(NoticeWhat.REFUSED), st.integers(1, 0xFFFF), exactly(16), exactly(16), exactly(16)
            ),
        )
    )
    def test_any_unit(self, unit: Any) -> None:
        self.assertEqual(decode_unit(encode_unit(unit)), unit)

    @FEW
    @given(prekeys)
    def test_any_prekey(self, prekey: Prekey) -> None:
        octets = encode_prekey(prekey)
        self.assertEqual(decode_prekey(octets), prekey)
        self.assertTrue(octets.startswith(decode_prekey(octets).unsigned))


class WholeCutTrailingTests(SynchronousTestCase):
    """What is cut, or has something behind it, is not read; whatever is altered is read or refused."""

    def test_cut_anywhere(self) -> None:
        for codec in CODECS:
            if codec.name == "fragment-start":
                continue
            for name, octets in codec.samples:
                for size in range(len(octets)):
                    with self.assertRaises(Malformed, msg=f"{codec.name} {name} {size}"):
                        codec.decode(octets[:size])
                with self.assertRaises(Malformed, msg=f"{codec.name} {name}"):
                    codec.decode(octets + b"\0")

    def test_every_octet_by_every_number_that_a_length_may_be(self) -> None:
        for codec in CODECS:
            for _, octets in codec.samples:
                if len(octets) > 400:
                    continue
                for at in range(len(octets)):
                    for value in (0, 1, octets[at] ^ 1, 0x7F, 0xFF):
                        self.again(codec.decode, codec.encode, octets[:at] + bytes((value,)) + octets[at + 1 :])

    def again(self, decode: Callable[[bytes], Any], encode: Callable[[Any], bytes], octets: bytes) -> None:
        read = faults_of(decode, octets)
        if read is not None:
            self.assertEqual(encode(read), octets)

    @FEW
    @given(
        st.sampled_from(CODECS).flatmap(
            lambda codec: st.tuples(st.just(codec), mutated(st.sampled_from([octets for _, octets in codec.samples])))
        )
    )
    def test_what_is_altered(self, drawn: Any) -> None:
        codec, octets = drawn
        self.again(codec.decode, codec.encode, octets)
        faults_of(unit_size, octets)


class RefusalTests(SynchronousTestCase):
    def assertMalformed(self, decode: Callable[[bytes], Any], octets: bytes, field: str) -> None:
        self.assertEqual(self.assertRaises(Malformed, decode, octets).field, field)

    def altered(self, octets: bytes, at: int, value: str) -> bytes:
        new = bytes.fromhex(value)
        return octets[:at] + new + octets[at + len(new) :]

    def test_units(self) -> None:
        refused = NOTICE_OCTETS
        for octets, field in (
            (self.altered(HELLO_OCTETS, 0, "534b"), "Magic"),
            (self.altered(HELLO_OCTETS, 4, "00000031"), "Length"),
            (self.altered(HELLO_OCTETS, 24, "ff"), "NAI that is meant"),
            (self.altered(HELLO_OCTETS, 41, "11"), "NAI of the sender"),
            (self.altered(HELLO_OCTETS, 41, "00"), "HELLO"),
            (self.altered(refused, 8, "05"), "What"),
            (self.altered(refused, 9, "01"), "Reserved"),
            (self.altered(refused, 8, "01"), "Code"),
            (self.altered(refused, 10, "0000"), "Code"),
            (self.altered(refused, 8, "04 00 0000"), "proof"),
            (bytes.fromhex("4d53 01 09 00000003 012d ff"), "text"),
            (bytes.fromhex("4d53 01 02 0000000a") + bytes(10), "PREKEYS"),
            (bytes.fromhex("4d53 01 02 00000001 00"), "Length"),
        ):
            self.assertMalformed(decode_unit, octets, field)

    def test_prekeys(self) -> None:
        octets = encode_prekey(PREKEY)
        for at, value, field in (
            (0, "03", "KEM"),
            (0, "02", "public key"),
            (1, "01", "Reserved"),
            (10, "000000006ab13b80", "Expiry"),
            (19, "20", "NAI"),
            (51, "0021", "public key"),
            (88, "000d", "certificate"),
            (85, "000f", "chain"),
            (87, "00", "Count"),
            (len(octets) - 9, "00", "signature"),
            (len(octets) - 9, "49", "signature"),
        ):
            self.assertMalformed(decode_prekey, self.altered(octets, at, value), field)

    def test_phases(self) -> None:
        first, second = encode_phase1(FIRST), encode_phase2(SECOND)
        self.assertRaises(UnsupportedVersion, decode_phase1, self.altered(first, 0, "02"))
        for at, value, field in (
            (1, "04", "Suite"),
            (2, "0001", "Reserved"),
            (84, "0000002f", "dialog"),
            (136, "00000010", "sealed_A"),
            (136, "00004000", "sealed_A"),
        ):
            self.assertMalformed(decode_phase1, self.altered(first, at, value), field)
        for at, value, field in ((0, "00", "Suite"), (3, "01", "Reserved"), (68, "00000010", "sealed part")):
            self.assertMalformed(decode_phase2, self.altered(second, at, value), field)
        reply = encode_reply(REPLY)
        self.assertMalformed(decode_reply, self.altered(reply, 0, "00001900"), "chain")
        self.assertMalformed(decode_reply, self.altered(reply, 110, "00000049"), "Sig_B")
        introduced = encode_introduction(INTRODUCTION)
        self.assertMalformed(decode_introduction, introduced[:-1], "kA")


class MisuseTests(SynchronousTestCase):
    """What would not be read by a peer is not written."""

    def test_units(self) -> None:
        for unit in (
            Hello(b"short", B),
            Hello(b"N" * 16, "nobody"),
            Prekeys((b"",) * 5),
            Prekeys((bytes(MAX_UNIT),)),
            Notice(NoticeWhat.MISSING, 129, proof=SIGNATURE),
            Notice(NoticeWhat.REFUSED, 0, proof=SIGNATURE),
            Notice(NoticeWhat.REFUSED, 1 << 16, proof=SIGNATURE),
            Notice(NoticeWhat.MISSING),
            Notice(NoticeWhat.KEPT, proof=SIGNATURE),
            Notice(NoticeWhat.UNKEPT, 130, proof=SIGNATURE),
            Notice(NoticeWhat.UNKEPT),
            Prove((), SIGNATURE),
            Prove((b"certificate",), b""),
            Prove((b"certificate",), bytes(73)),
            Notice(NoticeWhat.KEPT, dialog_id=b"short"),
            Phase(UnitKind.PHASE1, b"m1"),
            Phase(UnitKind.PHASE2, b"m2", b"P" * 16),
            Phase(UnitKind.HELLO, b"m2"),
            Ping(b"short"),
            Gone(1 << 16),
        ):
            self.assertRaises(ApiMisuse, encode_unit, unit)

    def test_prekeys_and_phases(self) -> None:
        for prekey in (
            evolve(PREKEY, signature=b""),
            evolve(PREKEY, signature=bytes(73)),
            evolve(PREKEY, expiry=PREKEY.not_before),
            evolve(PREKEY, public=b"x" * 31),
            evolve(HYBRID_PREKEY, public=b"x" * 32),
            evolve(PREKEY, chain=()),
            evolve(PREKEY, nai="nobody"),
        ):
            self.assertRaises(ApiMisuse, encode_prekey, prekey)
        self.assertRaises(ApiMisuse, encode_phase1, evolve(FIRST, share=b"short"))
        self.assertRaises(ApiMisuse, encode_phase1, evolve(FIRST, sealed=bytes(MAX_UNIT)))
        self.assertRaises(ApiMisuse, encode_phase2, evolve(SECOND, sealed=b"short"))
        self.assertRaises(ApiMisuse, encode_reply, evolve(REPLY, signature=b""))
        self.assertRaises(ApiMisuse, encode_introduction, evolve(INTRODUCTION, key=b"short"))

    def test_text_that_is_too_long_is_cut_between_characters(self) -> None:
        self.assertEqual(decode_unit(encode_unit(Gone(1, "x" + "ä" * 512))), Gone(1, "x" + "ä" * 255))
