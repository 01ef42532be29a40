"""Records of links, as octets written by hand from docs/protocol.md and as values."""

from __future__ import annotations

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.errors import ApiMisuse, Malformed, UnsupportedVersion
from seckex.wire.dialog import (
    BODY_SIZES,
    LINK_TYPES,
    SEQUENCED_TYPES,
    Hello,
    Notice,
    Opening,
    Record,
    associated_data,
    decode_credit,
    decode_hello,
    decode_notice,
    decode_opening,
    decode_record,
    encode_credit,
    encode_hello,
    encode_notice,
    encode_opening,
    encode_record,
    record_size,
)
from seckex.wire.numbers import MAX_BODY, MAX_DETAIL, Code, RecordType, Suite
from seckex.wire.resumption import Standing, decode_resume, decode_resumed, encode_resume, encode_resumed
from tests.wire.samples import FEW, faults_of, mutated

MIC = bytes(range(0xA0, 0xB0))

HELLO = Record(
    Suite.AES_256_GCM, False, 0x0102030405060708, RecordType.HELLO, b"twelve octet", mic=MIC, salt=b"S" * 16, spi=0x1234
)
HELLO_OCTETS = (
    bytes.fromhex("534b 01 01  0085 0018  0000000c  0102030405060708")
    + b"S" * 16
    + bytes.fromhex("0000000000000000")
    + MIC
    + bytes.fromhex("01 00 0004 00001234")
    + bytes.fromhex("00000000 00 000000 0000000000000000")
    + b"twelve octet"
)

DATA = Record(
    Suite.CHACHA20_POLY1305, True, 1, RecordType.DATA, b"body", dialog=2, sequence=65536, context=7, counter=9, mic=MIC
)
DATA_OCTETS = (
    bytes.fromhex("534b 01 03  0090 0010  00000004  0000000000000001  00000007  0000000000000009")
    + MIC
    + bytes.fromhex("00000002 04 000000 0000000000010000")
    + b"body"
)

HINT = Record(Suite.AES_128_GCM, True, 1, RecordType.CLOSE, encode_notice(Notice(300)), sealed=False)
HINT_OCTETS = (
    bytes.fromhex("534b 01 02  0190 0010  00000002  0000000000000001  00000000  0000000000000000")
    + bytes(16)
    + bytes.fromhex("00000000 0a 000000 0000000000000000  012c")
)

KNOWN = ((HELLO, HELLO_OCTETS), (DATA, DATA_OCTETS), (HINT, HINT_OCTETS))

u32 = st.integers(0, 0xFFFFFFFF)
u64 = st.integers(0, 0xFFFFFFFFFFFFFFFF)


@st.composite
def records(draw: st.DrawFn) -> Record:
    kind = draw(st.sampled_from(RecordType))
    least, most = BODY_SIZES[kind]
    hello = kind is RecordType.HELLO
    of_link = kind in (RecordType.HELLO, RecordType.PING, RecordType.PONG, RecordType.CLOSE)
    sequenced = kind in SEQUENCED_TYPES
    return Record(
        suite=draw(st.sampled_from(Suite)),
        from_responder=draw(st.booleans()),
        created=draw(u64),
        kind=kind,
        body=draw(st.binary(min_size=least, max_size=min(most, least + 40))),
        dialog=0 if of_link else draw(st.integers(1, 0xFFFFFFFF)),
        sequence=draw(u64) if sequenced else 0,
        context=0 if hello else draw(u32),
        counter=draw(u64),
        mic=draw(st.binary(min_size=16, max_size=16)),
        salt=draw(st.binary(min_size=16, max_size=16)) if hello else b"",
        spi=draw(u32) if hello else 0,
    )


class KnownOctetsTests(SynchronousTestCase):
    def test_the_three_shapes_have_the_octets_of_the_document(self) -> None:
        for record, octets in KNOWN:
            self.assertEqual(encode_record(record), octets)
            self.assertEqual(decode_record(octets), record)
            self.assertEqual(record_size(octets), len(octets))

    def test_the_mic_covers_all_but_itself(self) -> None:
        self.assertEqual(associated_data(DATA) + DATA.body, DATA_OCTETS.replace(MIC, b""))
        self.assertEqual(associated_data(HELLO) + HELLO.body, HELLO_OCTETS.replace(MIC, b""))

    def test_bodies_have_the_octets_of_the_document(self) -> None:
        self.assertEqual(encode_hello(Hello(1, 2, 1027)), bytes.fromhex("00000001 00000002 00000403"))
        self.assertEqual(encode_opening(Opening(b"I" * 16, "däta")), b"I" * 16 + "däta".encode())
        self.assertEqual(encode_notice(Notice(301, "no")), bytes.fromhex("012d") + b"no")
        self.assertEqual(encode_credit(1 << 40), bytes.fromhex("0000010000000000"))
        self.assertEqual(encode_resume(b"I" * 16, Standing(1, 2)), b"I" * 16 + bytes(7) + b"\1" + bytes(7) + b"\2")
        self.assertEqual(encode_resumed(Standing(1, 2)), bytes(7) + b"\1" + bytes(7) + b"\2")


class RoundTripTests(SynchronousTestCase):
    @FEW
    @given(records())
    def test_records(self, record: Record) -> None:
        self.assertEqual(decode_record(encode_record(record)), record)

    @FEW
    @given(u32, u32, st.integers(1024, MAX_BODY))
    def test_hello(self, credit: int, most: int, largest: int) -> None:
        self.assertEqual(decode_hello(encode_hello(Hello(credit, most, largest))), Hello(credit, most, largest))

    @FEW
    @given(st.binary(min_size=16, max_size=16), st.text(min_size=1, max_size=60))
    def test_opening(self, dialog_id: bytes, service: str) -> None:
        self.assertEqual(decode_opening(encode_opening(Opening(dialog_id, service))), Opening(dialog_id, service))

    @FEW
    @given(st.integers(0, 0xFFFF), st.text(max_size=100))
    def test_notice(self, code: int, text: str) -> None:
        self.assertEqual(decode_notice(encode_notice(Notice(code, text))), Notice(code, text))

    @FEW
    @given(u64)
    def test_credit(self, limit: int) -> None:
        self.assertEqual(decode_credit(encode_credit(limit)), limit)

    @FEW
    @given(st.binary(min_size=16, max_size=16), u64, u64)
    def test_resume(self, dialog_id: bytes, received: int, limit: int) -> None:
        standing = Standing(received, limit)
        self.assertEqual(decode_resume(encode_resume(dialog_id, standing)), (dialog_id, standing))
        self.assertEqual(decode_resumed(encode_resumed(standing)), standing)


class WholeCutTrailingTests(SynchronousTestCase):
    def test_cut_anywhere_a_record_is_malformed(self) -> None:
        for _, octets in KNOWN:
            for size in range(len(octets)):
                self.assertRaises(Malformed, decode_record, octets[:size])

    def test_its_size_is_known_from_the_twelfth_octet_on(self) -> None:
        for _, octets in KNOWN:
            for size in range(len(octets)):
                self.assertEqual(record_size(octets[:size]), len(octets) if size >= 12 else None)

    def test_a_record_with_something_behind_it_is_malformed(self) -> None:
        for _, octets in KNOWN:
            self.assertRaises(Malformed, decode_record, octets + b"\x00")

    def test_bodies_cut_or_with_something_behind_them(self) -> None:
        for size in (*range(12), 13):
            self.assertRaises(Malformed, decode_hello, encode_hello(Hello(1, 2, 1024)).ljust(13)[:size])
        for size in (*range(8), 9):
            self.assertRaises(Malformed, decode_credit, encode_credit(1).ljust(9)[:size])
        for size in (*range(16), 17):
            self.assertRaises(Malformed, decode_resumed, bytes(17)[:size])
        for size in (*range(32), 33):
            self.assertRaises(Malformed, decode_resume, bytes(33)[:size])
        for size in range(17):
            self.assertRaises(Malformed, decode_opening, (b"I" * 16 + b"s")[:size])
        for size in range(2):
            self.assertRaises(Malformed, decode_notice, b"\x01\x2c"[:size])

    @FEW
    @given(mutated(st.sampled_from([octets for _, octets in KNOWN])))
    def test_what_is_altered_is_read_or_refused(self, octets: bytes) -> None:
        faults_of(decode_record, octets)
        faults_of(record_size, octets)


class RefusalTests(SynchronousTestCase):
    def assertMalformed(self, octets: bytes, field: str) -> None:
        error = self.assertRaises(Malformed, decode_record, octets)
        self.assertEqual(error.field, field)

    def altered(self, octets: bytes, at: int, value: str) -> bytes:
        new = bytes.fromhex(value)
        return octets[:at] + new + octets[at + len(new) :]

    def test_another_protocol(self) -> None:
        self.assertMalformed(self.altered(DATA_OCTETS, 0, "474554"), "Magic")

    def test_another_version(self) -> None:
        for function in (decode_record, record_size):
            error = self.assertRaises(UnsupportedVersion, function, self.altered(DATA_OCTETS, 2, "02"))
            self.assertEqual(error.version, 2)

    def test_an_unknown_suite(self) -> None:
        for suite in ("00", "04", "ff"):
            self.assertMalformed(self.altered(DATA_OCTETS, 3, suite), "Suite")

    def test_every_other_combination_of_flags(self) -> None:
        shapes = {0x0080, 0x0090, 0x0085, 0x0095, 0x0190}
        for flags in (*range(0x400), *(1 << bit | 0x0080 for bit in range(10, 16))):
            if flags not in shapes:
                self.assertMalformed(self.altered(DATA_OCTETS, 4, f"{flags:04x}"), "Flags")

    def test_a_header_length_that_the_flags_do_not_mean(self) -> None:
        for length in ("0000", "000f", "0011", "0018", "ffff"):
            self.assertMalformed(self.altered(DATA_OCTETS, 6, length), "Header length")

    def test_a_body_that_is_too_long_before_it_has_come(self) -> None:
        octets = self.altered(DATA_OCTETS, 8, "00010001")
        self.assertMalformed(octets, "Body length")
        self.assertRaises(Malformed, record_size, octets[:12])

    def test_a_kek_header_that_names_something_else(self) -> None:
        for value in ("02 00 0004", "01 01 0004", "01 00 0005"):
            self.assertMalformed(self.altered(HELLO_OCTETS, 60, value), "KEK header")

    def test_reserved_octets(self) -> None:
        for at in range(53, 56):
            self.assertMalformed(self.altered(DATA_OCTETS, at, "01"), "Reserved")

    def test_an_unknown_type(self) -> None:
        self.assertMalformed(self.altered(DATA_OCTETS, 52, "0e"), "Type")

    def test_a_hello_only_with_a_salt(self) -> None:
        self.assertMalformed(self.altered(HELLO_OCTETS, 72, "0a"), "Flags")
        plain_hello = bytes.fromhex("534b 01 01 0080 0010 0000000c") + bytes(36) + bytes(16) + b"twelve octet"
        self.assertMalformed(plain_hello, "Flags")

    def test_a_dialog_where_none_can_be_and_none_where_one_must_be(self) -> None:
        self.assertMalformed(self.altered(DATA_OCTETS, 48, "00000000"), "Dialog")
        self.assertMalformed(self.altered(HINT_OCTETS, 48, "00000001"), "Dialog")

    def test_a_sequence_where_none_can_be(self) -> None:
        self.assertMalformed(self.altered(HINT_OCTETS, 63, "01"), "Sequence")

    def test_a_body_of_a_size_that_its_type_does_not_have(self) -> None:
        for kind, (least, most) in BODY_SIZES.items():
            for size in {least - 1, most + 1} - {-1, MAX_BODY + 1}:
                octets = (
                    bytes.fromhex(f"534b0101 0080 0010 {size:08x}")
                    + bytes(36)
                    + bytes.fromhex(f"{int(kind not in LINK_TYPES):08x} {kind:02x} 000000 0000000000000000")
                    + bytes(size)
                )
                self.assertMalformed(octets, "Body length")

    def test_a_hint_with_a_context_a_counter_or_a_mic(self) -> None:
        for at in (20, 24, 32):
            self.assertMalformed(self.altered(HINT_OCTETS, at, "01"), "Flags")

    def test_nothing_but_a_hint_is_unsealed(self) -> None:
        self.assertMalformed(self.altered(DATA_OCTETS[:32] + bytes(16) + DATA_OCTETS[48:], 4, "0190"), "Flags")

    def test_a_largest_body_that_cannot_be(self) -> None:
        for largest in (0, 1, 1023, MAX_BODY + 1):
            self.assertRaises(Malformed, decode_hello, bytes(8) + largest.to_bytes(4, "big"))

    def test_text_that_is_not_utf_8(self) -> None:
        self.assertRaises(Malformed, decode_notice, b"\x01\x2c\xff")
        self.assertRaises(Malformed, decode_opening, b"I" * 16 + b"\xc3")

    def test_text_and_names_that_are_too_long(self) -> None:
        self.assertRaises(Malformed, decode_notice, bytes(2) + b"x" * (MAX_DETAIL + 1))
        self.assertRaises(Malformed, decode_opening, bytes(16) + b"x" * 256)


class MisuseTests(SynchronousTestCase):
    """What would not be read by a peer is not written."""

    def test_records(self) -> None:
        wrong = (
            evolve(DATA, dialog=0),
            evolve(DATA, body=b""),
            evolve(DATA, mic=b"short"),
            evolve(DATA, spi=1),
            evolve(DATA, salt=b"S" * 16),
            evolve(DATA, sealed=False),
            evolve(DATA, counter=1 << 64),
            evolve(HELLO, salt=b""),
            evolve(HELLO, salt=b"short"),
            evolve(HELLO, context=1),
            evolve(HELLO, sealed=False),
            evolve(HINT, from_responder=False),
            evolve(HINT, mic=MIC),
            evolve(HINT, context=1),
            evolve(HINT, sequence=1),
        )
        for record in wrong:
            self.assertRaises(ApiMisuse, encode_record, record)

    def test_bodies(self) -> None:
        self.assertRaises(ApiMisuse, encode_hello, Hello(1, 1, 1023))
        self.assertRaises(ApiMisuse, encode_hello, Hello(1 << 32, 1, 1024))
        self.assertRaises(ApiMisuse, encode_resume, b"I" * 15, Standing(0, 0))
        self.assertRaises(ApiMisuse, encode_opening, Opening(b"I" * 15, "s"))
        self.assertRaises(ApiMisuse, encode_opening, Opening(b"I" * 16, ""))
        self.assertRaises(ApiMisuse, encode_opening, Opening(b"I" * 16, "ä" * 128))

    def test_text_that_is_too_long_is_cut_between_characters(self) -> None:
        notice = decode_notice(encode_notice(Notice(Code.UNSPECIFIED, "x" + "ä" * MAX_DETAIL)))
        self.assertEqual(notice.text, "x" + "ä" * ((MAX_DETAIL - 1) // 2))
