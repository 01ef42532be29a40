"""Extensions, as octets written by hand from docs/protocol.md and as values."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.errors import ApiMisuse, Malformed, PeerIncompatible
from seckex.wire.buffer import Reader
from seckex.wire.extensions import (
    Authenticator,
    Clock,
    Cookie,
    Detail,
    Exchange,
    Extension,
    IpExtension,
    Layer2Extension,
    NaiExtension,
    Padding,
    ProposalPayloadExtension,
    RequestDigest,
    SaPayloadExtension,
    SealedExtension,
    clipped,
    decode_extension,
    encode_authenticator_start,
    encode_extension,
    encode_sealed_start,
)
from seckex.wire.numbers import MAX_DETAIL, Code, ExtensionSub
from tests.wire.samples import FEW, faults_of, macs, mutated, plain, sealed, u32

KNOWN: tuple[tuple[Extension, str], ...] = (
    (NaiExtension(2, "ha@x"), "7f 01 000c  02 00 0000  00000000  68614078"),
    (IpExtension(0, IPv4Address("192.0.2.1")), "7f 02 000c  00 00 0000  00000000  c0000201"),
    (
        IpExtension(1, IPv6Address("2001:db8::1")),
        "7f 02 0018  01 00 0000  00000000  20010db8000000000000000000000001",
    ),
    (Layer2Extension(0, b"\2\0\0\0\0\1"), "7f 03 000e  00 00 0000  00000000  020000000001"),
    (Layer2Extension(1, b"001010123456789"), "7f 03 0017  01 00 0000  00000000" + b"001010123456789".hex()),
    (SealedExtension(ExtensionSub.NAI, 0, 1000, b"\xaa" * 20), "7f 01 001c  00 80 0000  000003e8" + "aa" * 20),
    (SealedExtension(ExtensionSub.SA, 7, 1000, b"\xaa" * 16), "7f 04 0018  07 80 0000  000003e8" + "aa" * 16),
    (SaPayloadExtension(b"\1\7\0\4"), "7f 10 0004  01070004"),
    (ProposalPayloadExtension(b"\2\0\0\4"), "7f 11 0004  02000004"),
    (Exchange(2, 0x1000, 0x2000, b"\xbb" * 32), "7f 12 002c  02 000000  00001000  00002000" + "bb" * 32),
    (Detail(263, 1, 2, "wäre"), "7f 13 0009  0107 01 02  77c3a47265"),
    (Padding(3), "7f 14 0003  000000"),
    (Padding(0), "7f 14 0000"),
    (Clock(1_700_000_000), "7f 15 0008  000000006553f100"),
    (Cookie(b"\xdd" * 21), "7f 17 0015" + "dd" * 21),
    (RequestDigest(b"\xee" * 32), "7f 18 0020" + "ee" * 32),
    (Authenticator(1000, b"\xcc" * 32), "7f 16 0024  000003e8" + "cc" * 32),
)


def decode(octets: bytes) -> Extension:
    reader = Reader(octets)
    extension = decode_extension(reader)
    reader.end("extension")
    return extension


class WholeCutTrailingTests(SynchronousTestCase):
    def test_each_has_the_octets_of_the_document(self) -> None:
        for extension, octets in KNOWN:
            self.assertEqual(encode_extension(extension).hex(), bytes.fromhex(octets).hex())
            self.assertEqual(decode(bytes.fromhex(octets)), extension)

    def test_cut_anywhere_it_is_malformed(self) -> None:
        for _, text in KNOWN:
            octets = bytes.fromhex(text)
            for size in range(len(octets)):
                error = self.assertRaises(Malformed, decode, octets[:size])
                self.assertLessEqual(error.offset, size)

    def test_one_ends_where_its_length_says(self) -> None:
        for extension, text in KNOWN:
            reader = Reader(bytes.fromhex(text) + b"\x7f")
            self.assertEqual(decode_extension(reader), extension)
            self.assertEqual(reader.remaining, 1)

    def test_fixed_sizes_take_no_octet_more(self) -> None:
        for extension, text in KNOWN:
            if isinstance(extension, Exchange | Clock):
                octets = bytearray.fromhex(text + "00")
                octets[3] += 1
                error = self.assertRaises(Malformed, decode, bytes(octets))
                self.assertEqual((error.field, error.offset), ("Length", len(octets) - 1))

    @FEW
    @given(plain | macs | sealed(u32))
    def test_any_extension_comes_back(self, extension: Extension) -> None:
        self.assertEqual(decode(encode_extension(extension)), extension)

    @FEW
    @given(st.binary(max_size=80) | mutated((plain | macs | sealed(u32)).map(encode_extension)))
    def test_rubbish_is_refused_or_means_exactly_its_octets(self, octets: bytes) -> None:
        extension = faults_of(decode, octets)
        if extension is not None:
            self.assertEqual(encode_extension(extension), octets)


class OffsetTests(SynchronousTestCase):
    """Where an extension stood, for associated data and for errors inside payloads."""

    def test_the_offset_of_a_seal_is_that_of_its_info(self) -> None:
        extension = decode_extension(Reader(bytes(5) + bytes.fromhex(KNOWN[5][1]), 5))
        assert isinstance(extension, SealedExtension)
        self.assertEqual(extension.offset, 5 + 4 + 8)

    def test_the_offset_of_a_payload_is_that_of_its_first_octet(self) -> None:
        for text in (KNOWN[7][1], KNOWN[8][1]):
            extension = decode_extension(Reader(bytes(5) + bytes.fromhex(text), 5))
            assert isinstance(extension, SaPayloadExtension | ProposalPayloadExtension)
            self.assertEqual(extension.offset, 5 + 4)

    def test_the_same_offer_at_another_place_is_the_same_offer(self) -> None:
        self.assertEqual(SaPayloadExtension(b"offer", 20), SaPayloadExtension(b"offer", 200))
        self.assertEqual(hash(SaPayloadExtension(b"offer", 20)), hash(SaPayloadExtension(b"offer", 200)))


class StartsTests(SynchronousTestCase):
    """What stands before a seal and a MAC, which both cover it."""

    def test_a_seal_is_preceded_by_its_start(self) -> None:
        start = encode_sealed_start(ExtensionSub.NAI, 0, 1000, 20)
        self.assertEqual(start + b"\xaa" * 20, bytes.fromhex(KNOWN[5][1]))

    def test_a_mac_is_preceded_by_its_start(self) -> None:
        self.assertEqual(encode_authenticator_start(1000, 32) + b"\xcc" * 32, bytes.fromhex(KNOWN[-1][1]))

    def test_what_cannot_be_sealed(self) -> None:
        for arguments in (
            (ExtensionSub.CLOCK, 0, 1000, 20),
            (ExtensionSub.NAI, 3, 1000, 20),
            (ExtensionSub.NAI, 0, 1000, 15),
            (ExtensionSub.NAI, 0, 1 << 32, 20),
            (ExtensionSub.NAI, 0, 1000, 65536),
        ):
            self.assertRaises(ApiMisuse, encode_sealed_start, *arguments)

    def test_macs_are_32_to_48_octets(self) -> None:
        for size in (31, 49):
            self.assertRaises(ApiMisuse, encode_authenticator_start, 1000, size)


class BrokenRulesTests(SynchronousTestCase):
    def broken(self, octets: str, field: str, offset: int) -> None:
        error = self.assertRaises(Malformed, decode, bytes.fromhex(octets))
        self.assertEqual((error.field, error.offset), (field, offset), str(error))

    def test_type(self) -> None:
        self.broken("7e 15 0008 0000000000000000", "Type", 0)

    def test_an_unknown_sub_type_is_refused_and_not_malformed(self) -> None:
        error = self.assertRaises(PeerIncompatible, decode, bytes.fromhex("7f 1f 0000"))
        self.assertEqual(error.code, Code.UNKNOWN_PAYLOAD)

    def test_length_beyond_the_message(self) -> None:
        self.broken("7f 15 0009 0000000000000000", "Length", 4)

    def test_reserved_bits_of_an_exchange(self) -> None:
        self.broken("7f 12 002c  02 000001  00001000  00002000" + "bb" * 32, "Reserved", 5)

    def test_a_short_nonce(self) -> None:
        self.broken("7f 12 002b  02 000000  00001000  00002000" + "bb" * 31, "Nonce", 16)

    def test_padding_is_zeros(self) -> None:
        self.broken("7f 14 0003  000100", "padding", 4)

    def test_text_of_a_detail(self) -> None:
        self.broken("7f 13 0006  0107 01 02  61ff", "text", 9)
        self.broken("7f 13 0006  0107 01 02  610a", "text", 8)  # a line feed would forge a line of the log
        self.broken("7f 13 0006  0107 01 02  c29b", "text", 8)  # so would a C1 control
        size = MAX_DETAIL + 1
        self.broken(f"7f 13 {4 + size:04x}  0107 01 02" + "61" * size, "text", 8)

    def test_text_of_a_detail_at_its_limit(self) -> None:
        detail = Detail(256, 0, 0, "ä" * (MAX_DETAIL // 2))
        self.assertEqual(decode(encode_extension(detail)), detail)

    def test_size_of_a_mac(self) -> None:
        self.broken("7f 16 0023  000003e8" + "cc" * 31, "MAC", 8)
        self.broken("7f 16 0035  000003e8" + "cc" * 49, "MAC", 8)

    def test_sizes_of_a_cookie_and_of_a_digest(self) -> None:
        self.broken("7f 17 0000", "Cookie", 4)
        self.broken("7f 17 0041" + "dd" * 65, "Cookie", 4)
        self.broken("7f 18 001f" + "ee" * 31, "Digest", 4)
        self.broken("7f 18 0021" + "ee" * 33, "Length", 36)

    def test_what_a_decoder_would_refuse_cannot_be_encoded(self) -> None:
        extensions: tuple[Extension, ...] = (
            Exchange(256, 0, 0, bytes(32)),
            Exchange(-1, 0, 0, bytes(32)),
            Exchange(1, 1 << 32, 0, bytes(32)),
            Exchange(1, 0, 0, bytes(31)),
            Detail(256, 0, 0, "a" * (MAX_DETAIL + 1)),
            Detail(256, 0, 0, "two\nlines"),
            Detail(65536, 0, 0, ""),
            Padding(-1),
            Padding(1 << 40),
            Clock(-1),
            Cookie(b""),
            Cookie(bytes(65)),
            RequestDigest(bytes(31)),
            RequestDigest(bytes(33)),
            Authenticator(1000, bytes(31)),
            SaPayloadExtension(bytes(65536)),
        )
        for extension in extensions:
            self.assertRaises(ApiMisuse, encode_extension, extension)

    def test_a_text_that_is_too_long_is_clipped_between_characters(self) -> None:
        self.assertEqual(clipped("ä" * 300), "ä" * 256)
        self.assertEqual(clipped("aä" * 300), "aä" * 170 + "a")
        self.assertEqual(clipped("wäre", 2), "w")
        self.assertEqual(clipped("a\udcff"), "a?")

    def test_the_first_and_last_rounds_that_can_be_said(self) -> None:
        for number in (0, 255):
            exchange = Exchange(number, 1, 2, bytes(32))
            self.assertEqual(decode(encode_extension(exchange)), exchange)

    def test_text_that_is_not_unicode_is_sent_as_far_as_it_is(self) -> None:
        # Names of files that are not UTF-8 reach error messages with surrogates in them.
        octets = encode_extension(Detail(128, 0, 0, "no file a\udcff"))
        self.assertEqual(decode(octets), Detail(128, 0, 0, "no file a?"))
