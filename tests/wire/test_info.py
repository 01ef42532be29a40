"""What Fig. 8 to 11 say, in the clear and as it comes out of a seal."""

from __future__ import annotations

from ipaddress import IPv4Address

from hypothesis import given
from twisted.trial.unittest import SynchronousTestCase

from seckex.errors import ApiMisuse, Malformed
from seckex.wire.buffer import Reader
from seckex.wire.extensions import decode_extension, encode_extension
from seckex.wire.info import (
    ClearExtension,
    IpExtension,
    Layer2Extension,
    NaiExtension,
    SaExtension,
    decode_info,
    encode_info,
    is_nai,
)
from seckex.wire.numbers import ExtensionSub, SaContent
from tests.wire.samples import FEW, infos, keys

SUBS = {
    NaiExtension: ExtensionSub.NAI,
    IpExtension: ExtensionSub.IP,
    Layer2Extension: ExtensionSub.LAYER2,
    SaExtension: ExtensionSub.SA,
}
KEY = SaExtension(SaContent.PRINCIPALS, 0x1000, 20, bytes(range(100, 132)))
KEY_INFO = bytes.fromhex("00001000 0014 0020") + bytes(range(100, 132))


class NaiTests(SynchronousTestCase):
    def test_names(self) -> None:
        for nai in ("a@b", "fred.smith@example.com", "fred=?#$&*+-/^smith@example.com", "中文@例え.テスト"):
            self.assertTrue(is_nai(nai), nai)

    def test_what_is_not_one(self) -> None:
        for text in (
            "",
            "fred",
            "@example.com",
            "fred@",
            "fred@example@com",
            "fred smith@example.com",
            "fred@example.com\n",
            "fr\x00ed@example.com",
            "fred@exam\x85ple.com",
            "fred@example\u2028com",
            "fred\udcff@example.com",
        ):
            self.assertFalse(is_nai(text), repr(text))

    def test_the_limit_is_in_octets(self) -> None:
        self.assertTrue(is_nai("a" * 247 + "@b.com"))
        self.assertFalse(is_nai("a" * 248 + "@b.com"))
        self.assertFalse(is_nai("ä" * 124 + "@b.com"))


class InfoTests(SynchronousTestCase):
    def test_a_key_has_the_octets_of_the_document(self) -> None:
        self.assertEqual(encode_info(KEY), KEY_INFO)
        self.assertEqual(decode_info(ExtensionSub.SA, SaContent.PRINCIPALS, KEY_INFO), KEY)
        self.assertEqual(KEY.key_bits, 256)

    def test_a_key_is_not_in_its_repr(self) -> None:
        self.assertNotIn("key", repr(KEY))
        self.assertNotIn("defg", repr(KEY))

    @FEW
    @given(infos | keys)
    def test_what_was_sealed_comes_out_again(self, extension: ClearExtension) -> None:
        info = encode_info(extension)
        self.assertEqual(decode_info(SUBS[type(extension)], extension.content, info, 99), extension)

    def test_cut_or_with_trailing_octets_it_is_malformed(self) -> None:
        for size in range(len(KEY_INFO)):
            error = self.assertRaises(Malformed, decode_info, ExtensionSub.SA, 7, KEY_INFO[:size])
            self.assertLessEqual(error.offset, size)
        error = self.assertRaises(Malformed, decode_info, ExtensionSub.SA, 7, KEY_INFO + b"\0", 1000)
        self.assertEqual((error.field, error.offset), ("INFO", 1000 + len(KEY_INFO)))

    def test_each_breach_is_named_with_its_place_in_the_message(self) -> None:
        for sub, content, info, field, offset in (
            (ExtensionSub.NAI, 0, b"nobody", "INFO", 100),
            (ExtensionSub.NAI, 0, b"a@\xff", "INFO", 102),
            (ExtensionSub.NAI, 0, b"a" * 250 + b"@bcd", "INFO", 100),
            (ExtensionSub.NAI, 3, b"a@b", "Content-Type", 100),
            (ExtensionSub.IP, 0, bytes(5), "INFO", 100),
            (ExtensionSub.LAYER2, 0, bytes(5), "INFO", 100),
            (ExtensionSub.LAYER2, 1, b"", "INFO", 100),
            (ExtensionSub.LAYER2, 2, bytes(17), "INFO", 100),
            (ExtensionSub.SA, 8, KEY_INFO, "Content-Type", 100),
            (ExtensionSub.SA, 7, KEY_INFO[:7], "SA-INFO", 100),
            (ExtensionSub.SA, 7, KEY_INFO[:-1], "key", 108),
            (ExtensionSub.CLOCK, 0, bytes(8), "Content-Type", 100),
        ):
            error = self.assertRaises(Malformed, decode_info, sub, content, info, 100)
            self.assertEqual((error.field, error.offset), (field, offset), str(error))

    def test_what_a_decoder_would_refuse_cannot_be_encoded(self) -> None:
        extensions: tuple[ClearExtension, ...] = (
            NaiExtension(3, "a@b"),
            NaiExtension(0, "nobody"),
            IpExtension(2, IPv4Address(0)),
            Layer2Extension(0, bytes(8)),
            Layer2Extension(1, b""),
            SaExtension(8, 0, 0, b""),
            SaExtension(7, 0, 0, bytes(65536)),
        )
        for extension in extensions:
            error = self.assertRaises(ApiMisuse, encode_info, extension)
            self.assertNotIn("\\x00\\x00", str(error))


class ClearFrameTests(SynchronousTestCase):
    def broken(self, octets: str, field: str, offset: int) -> None:
        error = self.assertRaises(Malformed, decode_extension, Reader(bytes.fromhex(octets)))
        self.assertEqual((error.field, error.offset), (field, offset), str(error))

    def test_a_key_in_the_clear_is_not_read(self) -> None:
        self.broken(f"7f 04 {8 + len(KEY_INFO):04x}  07 00 0000  00000000" + KEY_INFO.hex(), "Flags", 5)

    def test_a_key_in_the_clear_is_not_written(self) -> None:
        self.assertRaises(ApiMisuse, encode_extension, KEY)

    def test_content_types_are_those_of_the_figures(self) -> None:
        for sub, most in ((1, 2), (2, 1), (3, 2), (4, 7)):
            self.broken(f"7f {sub:02x} 0018  {most + 1:02x} 80 0000  00000001" + "aa" * 16, "Content-Type", 4)

    def test_reserved_bits(self) -> None:
        self.broken("7f 01 000b  00 00 0001  00000000  614062", "Reserved", 6)
        self.broken("7f 01 000b  00 01 0000  00000000  614062", "Flags", 5)
        self.broken("7f 01 0018  00 81 0000  00000001" + "aa" * 16, "Flags", 5)

    def test_an_spi_without_a_seal(self) -> None:
        self.broken("7f 01 000b  00 00 0000  00000001  614062", "SPI", 8)

    def test_a_seal_without_a_tag(self) -> None:
        self.broken("7f 01 0017  00 80 0000  00000001" + "aa" * 15, "INFO", 12)
