"""Solicitations and advertisements: octets by hand from docs/registration.md, section 10, and values."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Final

from attrs import evolve
from hypothesis import assume, given
from hypothesis import strategies as st

from seckex.errors import ApiMisuse, Malformed, PeerIncompatible, UnsupportedVersion
from seckex.wire.advertisement import (
    Advertisement,
    AdvertisementFlag,
    decode_advertisement,
    decode_solicitation,
    encode_advertisement,
    encode_solicitation,
)
from tests.wire import roaming
from tests.wire.roaming import ADVERTISEMENT, IDENTIFICATION, FormCase, pattern, with_octets
from tests.wire.samples import FEW, mutated, u64

SOLICITATION: Final = bytes.fromhex("ff 10 000f edd5a4000badcafe 00000000 7f 14 01ec") + bytes(492)
DATA: Final = (
    bytes.fromhex("01 09 001e 0e10 0102 1152")
    + pattern(16)
    + b"\x15agent@visited.example"
    + b"\x0fvisited.example"
    + b"\2"
    + b"\4\xc0\0\2\1"
    + b"\6"
    + IPv6Address("2001:db8::1").packed
)
HEADER: Final = bytes.fromhex("ff 11 0010 edd5a4000badcafe 00000000")
OCTETS: Final = HEADER + b"\x7f\x2b" + len(DATA).to_bytes(2, "big") + DATA


class SolicitationTests(FormCase):
    def test_it_has_the_octets_of_the_document(self) -> None:
        self.assertEqual(len(SOLICITATION), 512)
        self.assertEqual(encode_solicitation(IDENTIFICATION).hex(), SOLICITATION.hex())
        self.assertEqual(decode_solicitation(SOLICITATION), IDENTIFICATION)

    def test_read_whole_or_not_at_all(self) -> None:
        self.read_whole_or_not_at_all(roaming.solicitation_again, SOLICITATION)

    def test_every_bit_flipped(self) -> None:
        self.bits_flipped(roaming.solicitation_again, SOLICITATION)

    def test_a_shorter_one_is_not_answered(self) -> None:
        short = SOLICITATION[:18] + (491).to_bytes(2, "big") + bytes(491)
        self.broken(decode_solicitation, short, "message", 0)
        long = SOLICITATION[:18] + (493).to_bytes(2, "big") + bytes(493)
        self.broken(decode_solicitation, long, "message", 0)

    def test_other_messages(self) -> None:
        self.broken(decode_solicitation, OCTETS, "Kind", 2)
        self.broken(decode_solicitation, with_octets(SOLICITATION, 15, b"\1"), "SPI", 12)
        self.broken(decode_solicitation, with_octets(SOLICITATION, 16, b"\x7e"), "Type", 16)
        self.broken(decode_solicitation, with_octets(SOLICITATION, 17, b"\x01"), "Sub", 17)
        self.assertRaises(PeerIncompatible, decode_solicitation, with_octets(SOLICITATION, 17, b"\xc8"))
        self.assertRaises(UnsupportedVersion, decode_solicitation, with_octets(SOLICITATION, 1, b"\x20"))


class AdvertisementTests(FormCase):
    def refused(self, octets: bytes, field: str, offset: int) -> None:
        self.broken(decode_advertisement, octets, field, offset)

    def with_data(self, data: bytes) -> bytes:
        return HEADER + b"\x7f\x2b" + len(data).to_bytes(2, "big") + data

    def test_it_has_the_octets_of_the_document(self) -> None:
        self.assertEqual(encode_advertisement(IDENTIFICATION, ADVERTISEMENT).hex(), OCTETS.hex())
        self.assertEqual(decode_advertisement(OCTETS), (IDENTIFICATION, ADVERTISEMENT))

    def test_read_whole_or_not_at_all(self) -> None:
        self.read_whole_or_not_at_all(roaming.advertisement_again, OCTETS)

    def test_every_bit_flipped(self) -> None:
        self.bits_flipped(roaming.advertisement_again, OCTETS)

    def test_any_advertisement_comes_back_no_longer_than_what_asks_for_it(self) -> None:
        @FEW
        @given(u64, roaming.advertisements)
        def comes_back(identification: int, advertisement: Advertisement) -> None:
            try:
                octets = encode_advertisement(identification, advertisement)
            except ApiMisuse:
                assume(False)
            self.assertLessEqual(len(octets), len(SOLICITATION))
            self.assertEqual(decode_advertisement(octets), (identification, advertisement))

        comes_back()

    def test_rubbish(self) -> None:
        @FEW
        @given(mutated(st.just(OCTETS)) | st.binary(max_size=60).map(self.with_data))
        def rubbish(octets: bytes) -> None:
            self.refused_or_exact(roaming.advertisement_again, octets)

        rubbish()

    def test_flags(self) -> None:
        for flags in range(256):
            octets = with_octets(OCTETS, 21, bytes((flags,)))
            if flags < 64:
                self.assertEqual(decode_advertisement(octets)[1].flags, flags)
            else:
                self.refused(octets, "Flags", 21)
                wrong = evolve(ADVERTISEMENT, flags=AdvertisementFlag(flags))
                self.assertRaises(ApiMisuse, encode_advertisement, 0, wrong)

    def test_fields(self) -> None:
        self.refused(with_octets(OCTETS, 20, b"\2"), "Version", 20)
        nai = 20 + 26
        domain = nai + 22
        count = domain + 16
        self.refused(with_octets(OCTETS, nai + 6, b"a"), "NAI", nai)
        self.refused(with_octets(OCTETS, domain + 1, b" "), "Domain", domain)
        self.refused(with_octets(OCTETS, domain + 1, b"@"), "Domain", domain)
        self.refused(with_octets(OCTETS, domain + 1, b"\xff"), "Domain", domain + 1)
        for number in (0, 9):
            self.refused(with_octets(OCTETS, count, bytes((number,))), "Count", count)
        self.refused(with_octets(OCTETS, count + 1, b"\5"), "Family", count + 1)
        self.refused(with_octets(OCTETS, count, b"\1"), "advertisement", count + 6)

    def test_other_messages(self) -> None:
        self.refused(SOLICITATION, "Kind", 2)
        self.refused(with_octets(OCTETS, 15, b"\1"), "SPI", 12)
        self.refused(OCTETS + bytes(406), "message", 0)

    def test_the_longest(self) -> None:
        name = "a" * 200 + "@" + "b" * 52
        long = evolve(ADVERTISEMENT, nai=name, domain="d" * 100, care_of=(IPv6Address(1),) * 6)
        self.assertEqual(decode_advertisement(encode_advertisement(0, long)), (0, long))
        for wrong in (
            evolve(long, domain="d" * 200),
            evolve(long, nai=name + "c"),
            evolve(ADVERTISEMENT, care_of=()),
            evolve(ADVERTISEMENT, care_of=(IPv4Address(1),) * 9),
            evolve(ADVERTISEMENT, domain=""),
            evolve(ADVERTISEMENT, domain="a b"),
            evolve(ADVERTISEMENT, domain="d" * 254),
            evolve(ADVERTISEMENT, challenge=bytes(15)),
            evolve(ADVERTISEMENT, port=1 << 16),
        ):
            self.assertRaises(ApiMisuse, encode_advertisement, 0, wrong)

    def test_cut_anywhere_inside_its_data(self) -> None:
        for size in range(len(DATA)):
            self.assertRaises(Malformed, decode_advertisement, self.with_data(DATA[:size]))
