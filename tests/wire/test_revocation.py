"""REVOCATION and REVOKED: octets by hand from docs/passages.md, section 7, and values."""

from __future__ import annotations

from typing import Final

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from seckex.errors import ApiMisuse, Malformed, UnsupportedVersion
from seckex.wire.general import Header, encode_header
from seckex.wire.numbers import Kind, Reason
from seckex.wire.revocation import (
    SIZE,
    Revocation,
    Revoked,
    Signed,
    decode_signed,
    encode_signed,
    encode_start,
    spi_of,
)
from tests.wire import roaming
from tests.wire.roaming import REVOCATION, REVOKED, FormCase, pattern, signed, with_octets
from tests.wire.samples import FEW, mutated

REVOCATION_OCTETS: Final = (
    bytes.fromhex("ff 10 001c edd5a4000badcafe 00002000")
    + bytes.fromhex("7f 33 0010  01 02 0000 00004000 00066517289a6240")
    + bytes.fromhex("7f 14 000c")
    + bytes(12)
    + bytes.fromhex("7f 16 0024 00002000")
    + pattern(32, 7)
)
REVOKED_OCTETS: Final = (
    bytes.fromhex("ff 11 001d edd5a4000badcafe 00003000  7f 18 0020")
    + pattern(32, 4)
    + bytes.fromhex("7f 16 0024 00003000")
    + pattern(32, 7)
)


class RevocationTests(FormCase):
    def refused(self, octets: bytes, field: str, offset: int) -> None:
        self.broken(decode_signed, octets, field, offset)

    def test_both_have_the_octets_of_the_document(self) -> None:
        for said, octets in ((REVOCATION, REVOCATION_OCTETS), (REVOKED, REVOKED_OCTETS)):
            self.assertEqual(signed(said).hex(), octets.hex())
            self.assertEqual(decode_signed(octets), Signed(said, octets[:-32], pattern(32, 7)))
            # An answer is no longer than what asked for it.
            self.assertEqual(len(octets), SIZE)
            self.assertEqual(spi_of(octets), said.spi)
            self.assertEqual(spi_of(octets + b"\0"), 0)

    def test_read_whole_or_not_at_all(self) -> None:
        for octets in (REVOCATION_OCTETS, REVOKED_OCTETS):
            self.read_whole_or_not_at_all(roaming.signed_again, octets)
            self.bits_flipped(roaming.signed_again, octets)

    def test_any_message_comes_back(self) -> None:
        @FEW
        @given(roaming.revocations, st.binary(min_size=32, max_size=32))
        def comes_back(said: Revocation | Revoked, mac: bytes) -> None:
            whole = Signed(said, encode_start(said), mac)
            self.assertEqual(decode_signed(encode_signed(whole)), whole)

        comes_back()

    def test_rubbish(self) -> None:
        @FEW
        @given(mutated(st.sampled_from((REVOCATION_OCTETS, REVOKED_OCTETS))) | st.binary(max_size=100))
        def rubbish(octets: bytes) -> None:
            self.refused_or_exact(roaming.signed_again, octets)

        rubbish()

    def test_fields_that_make_no_sense(self) -> None:
        for at, changed, field, offset in (
            (20, b"\0", "Version", 20),
            (20, b"\2", "Version", 20),
            (21, b"\0", "Reason", 21),
            (21, b"\5", "Reason", 21),
            (22, b"\1", "Reserved", 22),
            (23, b"\1", "Reserved", 22),
            (24, b"\0\0\0\xff", "SPI", 24),
            (40, b"\1", "padding", 40),
            (12, b"\0\0\0\0", "SPI", 12),
            (56, b"\0\0\x20\1", "SPI", 56),
            (0, b"\1", "Type", 0),
            (1, b"\x11", "Flags", 1),
        ):
            self.refused(with_octets(REVOCATION_OCTETS, at, changed), field, offset)
        self.assertRaises(UnsupportedVersion, decode_signed, with_octets(REVOCATION_OCTETS, 1, b"\x20"))
        for reason in Reason:
            read = decode_signed(with_octets(REVOCATION_OCTETS, 21, bytes((reason,)))).said
            self.assertEqual(read, evolve(REVOCATION, reason=reason))

    def test_a_mac_of_another_size(self) -> None:
        longer = REVOCATION_OCTETS[:54] + b"\0\x25" + REVOCATION_OCTETS[56:] + b"\0"
        self.refused(longer, "authenticator", 92)
        shorter = REVOCATION_OCTETS[:54] + b"\0\x23" + REVOCATION_OCTETS[56:-1]
        self.assertRaises(Malformed, decode_signed, shorter)

    def test_kinds_of_others(self) -> None:
        octets = encode_header(Header(Kind.DELETE, False, 1, 0x2000)) + REVOCATION_OCTETS[16:]
        self.refused(octets, "Kind", 2)

    def test_what_cannot_be_said(self) -> None:
        for wrong in (
            evolve(REVOCATION, spi=255),
            evolve(REVOCATION, spi_of_node=0),
            evolve(REVOCATION, time=1 << 64),
            evolve(REVOKED, spi=0),
            evolve(REVOKED, digest=bytes(31)),
        ):
            self.assertRaises(ApiMisuse, encode_start, wrong)
        self.assertRaises(ApiMisuse, encode_signed, Signed(REVOKED, encode_start(REVOKED), bytes(31)))
        self.assertRaises(ApiMisuse, encode_signed, Signed(REVOCATION, encode_start(REVOKED), bytes(32)))

    def test_macs_are_not_shown(self) -> None:
        self.assertNotIn(repr(pattern(32, 7)), repr(decode_signed(REVOCATION_OCTETS)))
