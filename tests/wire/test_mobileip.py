"""Registration messages, as octets written by hand from docs/registration.md and as values."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Final

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.errors import ApiMisuse, Malformed, PeerIncompatible, Unfeasible
from seckex.wire.extensions import Detail
from seckex.wire.mobileip import (
    SIZES,
    AgentRefusal,
    AgentShares,
    NodeReply,
    ReplyHeader,
    RequestHeader,
    RequestParts,
    decode_agent_request,
    decode_home_reply,
    decode_node_reply,
    decode_node_request,
    encode_agent_refusal,
    encode_agent_request,
    encode_home_reply,
    encode_node_reply,
    encode_node_request,
    encode_reply_header,
    with_cookie,
)
from seckex.wire.numbers import Code, Kem, SaSubType
from tests.wire import roaming
from tests.wire.roaming import AGENT, HOME, IDENTIFICATION, FormCase, pattern, sa, with_octets
from tests.wire.samples import FEW, mutated

X25519: Final = Kem.X25519


def vendor(sub: int, data: bytes) -> bytes:
    """Return a critical vendor extension, as the document has it."""
    return bytes.fromhex(f"26 00 {6 + len(data):04x} 00007ed9 {sub:04x}") + data


def clear(content: int, info: bytes) -> bytes:
    return bytes((content, 0, 0, 0, 0, 0, 0, 0)) + info


#: The request of `roaming.parts_of`, by hand: its extensions, one by one.
EXTENSIONS: Final = (
    vendor(32, bytes.fromhex("01 01 01 00 12345678") + bytes(32)),
    vendor(1, clear(1, AGENT.encode())),
    vendor(1, clear(2, HOME.encode())),
    vendor(2, clear(1, bytes((192, 0, 2, 1)))),
    bytes.fromhex("84 10") + pattern(16, 2),
    vendor(33, pattern(32, 3) + pattern(32, 4)),
    vendor(16, sa(1)),
    vendor(16, sa(2)),
    vendor(20, bytes(522)),
    vendor(34, bytes.fromhex("00 80 0000 12345678") + pattern(272, 5)),
    bytes.fromhex("20 14 12345678") + pattern(16, 6),
)
HEADER: Final = bytes.fromhex("01 00 012c 00000000 00000000 c0000201 edd5a4000badcafe")
REQUEST: Final = HEADER + b"".join(EXTENSIONS)
REPLY_HEADER: Final = bytes.fromhex("03 00 012c 00000000 00000000 edd5a4000badcafe")


def at(extension: int) -> int:
    """Return where an extension of the request begins."""
    return len(HEADER) + sum(map(len, EXTENSIONS[:extension]))


def encoded(parts: RequestParts) -> bytes:
    return encode_node_request(parts, lambda _hd: pattern(272, 5), lambda _covered: pattern(16, 6))


class NodeRequestTests(FormCase):
    def refused(self, octets: bytes, field: str, offset: int) -> None:
        self.broken(decode_node_request, octets, field, offset)

    def test_a_request_has_the_octets_of_the_document(self) -> None:
        self.assertEqual(len(REQUEST), 1152)
        self.assertEqual(roaming.request(X25519).hex(), REQUEST.hex())

    def test_what_it_says(self) -> None:
        read = decode_node_request(REQUEST)
        parts = roaming.parts_of(X25519)
        self.assertEqual(read.header, RequestHeader(0, 300, IPv4Address("192.0.2.1"), IDENTIFICATION))
        self.assertEqual((read.kem, read.round, read.previous, read.spi), (X25519, 1, bytes(32), 0x12345678))
        self.assertEqual((read.agent, read.home_agent), (AGENT, HOME))
        self.assertEqual((read.care_of, read.challenge), (parts.care_of, parts.challenge))
        self.assertEqual((read.x, read.ciphertext), (parts.x, parts.ciphertext))
        self.assertEqual({sub: offer.payload for sub, offer in read.offers.items()}, {1: sa(1), 2: sa(2)})
        for offer in read.offers.values():
            self.assertEqual(REQUEST[offer.offset :][: len(offer.payload)], offer.payload)
        self.assertEqual((read.sealed, read.mac), (pattern(272, 5), pattern(16, 6)))
        self.assertEqual((read.octets, read.cookie), (REQUEST, None))
        self.assertEqual((read.hd_end, read.covered), (at(10) - 272, 1152 - 16))

    def test_what_is_sealed_and_covered(self) -> None:
        covers: list[bytes] = []

        def seal(hd: bytes) -> bytes:
            covers.append(hd)
            return pattern(272, 5)

        def mac(covered: bytes) -> bytes:
            covers.append(covered)
            return pattern(16, 6)

        encode_node_request(roaming.parts_of(X25519), seal, mac)
        self.assertEqual(covers, [REQUEST[: at(10) - 272], REQUEST[:-16]])

    def test_requests_have_one_size_for_each_kem(self) -> None:
        for kem, size in ((Kem.X25519, 1152), (Kem.X25519_ML_KEM_768, 4096)):
            parts = roaming.parts_of(kem)
            for other in (
                parts,
                evolve(parts, agent="a@b", home_agent="c@d"),
                evolve(parts, care_of=IPv6Address("2001:db8::1")),
                evolve(parts, home_offer=sa(4, bytes(100))),
            ):
                self.assertEqual(len(encoded(other)), size)

    def test_all_that_fits_fits(self) -> None:
        for kem in Kem:
            parts = roaming.parts_of(kem)
            spare = self.padding(encoded(evolve(parts, home_offer=sa(1, b""))))
            full = encoded(evolve(parts, home_offer=sa(1, bytes(spare))))
            self.assertEqual((len(full), self.padding(full)), (SIZES[kem].request, 0))
            self.assertRaises(Unfeasible, encoded, evolve(parts, home_offer=sa(1, bytes(spare + 1))))

    def padding(self, request: bytes) -> int:
        start = request.index(bytes.fromhex("00007ed9 0014"))
        return int.from_bytes(request[start - 2 : start], "big") - 6

    def test_read_whole_or_not_at_all(self) -> None:
        for kem in Kem:
            self.read_whole_or_not_at_all(roaming.request_again, roaming.request(kem))

    def test_any_request_comes_back(self) -> None:
        @FEW
        @given(roaming.request_parts)
        def comes_back(parts: RequestParts) -> None:
            octets = encoded(parts)
            self.assertEqual(roaming.request_again(octets), octets)
            read = decode_node_request(octets)
            self.assertEqual(
                (read.agent, read.home_agent, read.care_of), (parts.agent, parts.home_agent, parts.care_of)
            )
            self.assertEqual(read.header.flags, parts.flags)

        comes_back()

    def test_every_bit_flipped(self) -> None:
        self.bits_flipped(roaming.request_again, REQUEST)

    def test_rubbish(self) -> None:
        @FEW
        @given(st.binary(max_size=100) | mutated(st.sampled_from([REQUEST, REQUEST + bytes(80)])))
        def rubbish(octets: bytes) -> None:
            self.refused_or_exact(roaming.request_again, octets)

        rubbish()

    def test_flags(self) -> None:
        for flags in range(256):
            octets = with_octets(REQUEST, 1, bytes((flags,)))
            if flags in (0, 0x80):
                self.assertEqual(decode_node_request(octets).header.flags, flags)
            else:
                self.refused(octets, "Flags", 1)
                self.assertRaises(ApiMisuse, encoded, evolve(roaming.parts_of(X25519), flags=flags))

    def test_headers(self) -> None:
        for kind in (0, 2, 3, 255):
            self.refused(with_octets(REQUEST, 0, bytes((kind,))), "Type", 0)
        for place in range(4, 12):
            self.refused(with_octets(REQUEST, place, b"\1"), "Home Address", 4)
        self.refused(with_octets(REQUEST, 15, b"\2"), "Care-of Address", at(3))

    def test_a_care_of_address_of_ipv6_is_0_in_the_header(self) -> None:
        octets = encoded(evolve(roaming.parts_of(X25519), care_of=IPv6Address("2001:db8::1")))
        self.assertEqual(octets[12:16], bytes(4))
        self.refused(with_octets(octets, 12, bytes((192, 0, 2, 1))), "Care-of Address", at(3))

    def test_fields_of_the_registration_extension(self) -> None:
        start = at(0) + 10
        for place, octet, field in ((2, 0, "Round"), (2, 4, "Round"), (3, 1, "Reserved")):
            self.refused(with_octets(REQUEST, start + place, bytes((octet,))), field, start + place)
        for place in (0, 1):
            error = self.assertRaises(
                PeerIncompatible, decode_node_request, with_octets(REQUEST, start + place, b"\x09")
            )
            self.assertEqual(error.code, Code.UNKNOWN_PAYLOAD)
        self.refused(with_octets(REQUEST, start + 4, bytes((0, 0, 0, 255))), "SPI", start + 4)

    def test_one_spi_in_three_places(self) -> None:
        self.refused(with_octets(REQUEST, at(0) + 14, b"\x13"), "identity block", at(9) + 10)
        self.refused(with_octets(REQUEST, at(9) + 14, b"\x13"), "identity block", at(9) + 10)
        self.refused(with_octets(REQUEST, at(10) + 2, b"\x13"), "32", at(10))

    def test_the_identity_block_is_sealed(self) -> None:
        for place, octet in ((10, 1), (11, 0), (11, 0x81), (12, 1), (13, 1)):
            self.refused(with_octets(REQUEST, at(9) + place, bytes((octet,))), "identity block", at(9) + 10)

    def test_names_and_addresses_are_in_the_clear_and_in_their_places(self) -> None:
        for extension in (1, 2, 3):
            for place, octet in ((10, 0), (11, 0x80), (12, 1), (17, 1)):
                octets = with_octets(REQUEST, at(extension) + place, bytes((octet,)))
                self.refused(octets, "Content-Type", at(extension) + 10)
        self.refused(with_octets(REQUEST, at(1) + 18, b"@"), "INFO", at(1) + 18)
        self.refused(with_octets(REQUEST, at(1) + 18, b"\xff"), "INFO", at(1) + 18)

    def test_offers_say_between_whom_they_are(self) -> None:
        for extension, allowed in ((6, (1, 4)), (7, (2,))):
            for sub in range(9):
                octets = with_octets(REQUEST, at(extension) + 11, bytes((sub,)))
                if sub in allowed:
                    self.assertIn(SaSubType(sub), decode_node_request(octets).offers)
                else:
                    self.refused(octets, "SA payload", at(extension) + 10)
            for place in (10, 13):
                self.refused(with_octets(REQUEST, at(extension) + place, b"\x09"), "SA payload", at(extension) + 10)

    def test_zeros(self) -> None:
        self.refused(with_octets(REQUEST, at(8) + 10 + 521, b"\1"), "padding", at(8) + 10)

    def test_each_extension_is_there_once_and_in_its_place(self) -> None:
        for one in range(len(EXTENSIONS)):
            for order in (
                [*EXTENSIONS[:one], *EXTENSIONS[one + 1 :]],
                [*EXTENSIONS[:one], EXTENSIONS[one], *EXTENSIONS[one:]],
                [*EXTENSIONS[:one], *EXTENSIONS[one + 1 : one + 2], EXTENSIONS[one], *EXTENSIONS[one + 2 :]],
            ):
                octets = HEADER + b"".join(order)
                if order != list(EXTENSIONS):
                    # As many octets as there have to be, so that it is the order that is wrong.
                    fill = bytes(max(0, 1152 - len(octets)))
                    self.assertRaises(Malformed, decode_node_request, octets + fill)

    def test_no_extension_is_longer_than_what_it_says(self) -> None:
        for one, field in ((0, "registration"), (5, "node shares"), (9, "identity block")):
            longer = vendor(EXTENSIONS[one][9], EXTENSIONS[one][10:] + b"\0")
            # The padding makes up for it.
            parts = [*EXTENSIONS[:one], longer, *EXTENSIONS[one + 1 :]]
            parts[8] = vendor(20, bytes(521))
            octets = HEADER + b"".join(parts)
            self.assertEqual(len(octets), 1152)
            end = octets.index(longer) + len(longer) - 1
            self.refused(octets, field, end)

    def test_the_mac_is_the_end(self) -> None:
        octets = HEADER + b"".join([*EXTENSIONS[:8], vendor(20, bytes(512)), *EXTENSIONS[9:]])
        self.refused(octets + bytes(10), "request", 1142)
        self.refused(octets + EXTENSIONS[8][:10], "request", 1142)

    def test_extensions_that_version_1_does_not_have(self) -> None:
        for changed in (
            with_octets(REQUEST, at(1), b"\x27"),  # another type
            with_octets(REQUEST, at(1) + 4, b"\1"),  # another vendor
            with_octets(REQUEST, at(1) + 8, b"\x40"),  # another sub-type
        ):
            error = self.assertRaises(PeerIncompatible, decode_node_request, changed)
            self.assertEqual(error.code, Code.UNKNOWN_PAYLOAD)

    def test_frames(self) -> None:
        self.refused(with_octets(REQUEST, at(1) + 1, b"\1"), "Reserved", at(1) + 1)
        self.refused(with_octets(REQUEST, at(1) + 2, bytes((0, 5))), "Length", at(1) + 2)
        self.refused(with_octets(REQUEST, at(1) + 2, b"\xff\xff"), "Length", at(1) + 10)
        self.refused(with_octets(REQUEST, at(1) + 9, b"\2"), "Sub", at(1) + 8)
        self.refused(with_octets(REQUEST, at(4) + 1, b"\x0f"), "challenge", at(4))
        self.refused(with_octets(REQUEST, at(5), b"\x20"), "Type", at(5))

    def test_a_cookie_stands_behind_all_that_is_covered(self) -> None:
        for size in (1, 37, 64):
            octets = with_cookie(REQUEST, pattern(size))
            self.assertEqual(octets[1152:], vendor(23, pattern(size)))
            read = decode_node_request(octets)
            self.assertEqual((read.octets, read.cookie), (REQUEST, pattern(size)))
        self.read_whole_or_not_at_all(roaming.request_again, octets, 1152)
        self.assertLessEqual(len(octets), 1232)
        for size in (0, 65):
            self.assertRaises(ApiMisuse, with_cookie, REQUEST, bytes(size))
            self.refused(REQUEST + vendor(23, bytes(size)), "Cookie", 1162)

    def test_what_cannot_be_said(self) -> None:
        parts = roaming.parts_of(X25519)
        for wrong in (
            evolve(parts, round=0),
            evolve(parts, round=4),
            evolve(parts, spi=255),
            evolve(parts, spi=1 << 32),
            evolve(parts, lifetime=1 << 16),
            evolve(parts, identification=1 << 64),
            evolve(parts, previous=bytes(31)),
            evolve(parts, challenge=bytes(15)),
            evolve(parts, x=bytes(31)),
            evolve(parts, ciphertext=bytes(1120)),
            evolve(parts, agent="nobody"),
            evolve(parts, home_agent="a@b" * 100),
            evolve(parts, home_offer=sa(2)),
            evolve(parts, home_offer=sa(1) + b"\0"),
            evolve(parts, agent_offer=b"\1"),
        ):
            self.assertRaises(ApiMisuse, encoded, wrong)
        self.assertRaises(ApiMisuse, encode_node_request, parts, lambda _: bytes(271), lambda _: bytes(16))
        self.assertRaises(ApiMisuse, encode_node_request, parts, lambda _: bytes(272), lambda _: bytes(17))


class AgentRequestTests(FormCase):
    ADDED = (
        vendor(35, bytes.fromhex("00001000 00002000") + pattern(32, 7) + pattern(32, 8)),
        vendor(2, clear(1, IPv6Address("2001:db8::1").packed)),
        vendor(50, bytes.fromhex("11520000")),
        vendor(16, sa(3)),
        vendor(16, sa(2, b"policy")),
        vendor(36, b"\2" + bytes.fromhex("012c") + pattern(300, 9) + bytes.fromhex("00c8") + pattern(200, 10)),
        vendor(37, pattern(70, 11)),
    )
    OCTETS = REQUEST + b"".join(ADDED)

    def at(self, extension: int) -> int:
        return len(REQUEST) + sum(map(len, self.ADDED[:extension]))

    def refused(self, octets: bytes, field: str, offset: int) -> None:
        self.broken(decode_agent_request, octets, field, offset)

    def test_it_has_the_octets_of_the_document(self) -> None:
        self.assertEqual(roaming.agent_request(X25519).hex(), self.OCTETS.hex())

    def test_what_it_says(self) -> None:
        read = decode_agent_request(self.OCTETS)
        self.assertEqual(read.request, decode_node_request(REQUEST))
        self.assertEqual(read.shares, roaming.shares_of(X25519))
        self.assertEqual(read.shares_data, self.ADDED[0][10:])
        self.assertEqual((read.address, read.port), (IPv6Address("2001:db8::1"), 4434))
        self.assertEqual({sub: offer.payload for sub, offer in read.offers.items()}, {3: sa(3), 2: sa(2, b"policy")})
        for offer in read.offers.values():
            self.assertEqual(self.OCTETS[offer.offset :][: len(offer.payload)], offer.payload)
        self.assertEqual(read.certificates, (pattern(300, 9), pattern(200, 10)))
        self.assertEqual((read.signature, read.signed), (pattern(70, 11), self.at(6)))
        self.assertEqual(read.octets, self.OCTETS)

    def test_read_whole_or_not_at_all(self) -> None:
        for kem in Kem:
            self.read_whole_or_not_at_all(roaming.agent_request_again, roaming.agent_request(kem))

    def test_every_bit_flipped(self) -> None:
        self.bits_flipped(roaming.agent_request_again, self.OCTETS, 3)

    def test_rubbish(self) -> None:
        @FEW
        @given(mutated(st.sampled_from([self.OCTETS, roaming.agent_request(Kem.X25519_ML_KEM_768)])))
        def rubbish(octets: bytes) -> None:
            self.refused_or_exact(roaming.agent_request_again, octets)

        rubbish()

    def test_each_extension_is_there_once_and_in_its_place(self) -> None:
        for one in range(len(self.ADDED)):
            for order in (
                [*self.ADDED[:one], *self.ADDED[one + 1 :]],
                [*self.ADDED[:one], self.ADDED[one], *self.ADDED[one:]],
                [*self.ADDED[:one], *self.ADDED[one + 1 : one + 2], self.ADDED[one], *self.ADDED[one + 2 :]],
            ):
                if order != list(self.ADDED):
                    self.assertRaises(Malformed, decode_agent_request, REQUEST + b"".join(order))

    def test_a_cookie_was_for_the_agent_only(self) -> None:
        octets = with_cookie(REQUEST, bytes(20)) + b"".join(self.ADDED)
        self.refused(octets, "Sub", 1160)

    def test_one_kem(self) -> None:
        hybrid = roaming.agent_request(Kem.X25519_ML_KEM_768)[4096:]
        self.refused(REQUEST + hybrid, "agent shares", 1162)
        self.refused(REQUEST + vendor(35, bytes(71)), "agent shares", 1162)

    def test_spis(self) -> None:
        for place in (10, 14):
            octets = with_octets(self.OCTETS, self.at(0) + place, bytes((0, 0, 0, 255)))
            self.refused(octets, "SPI", self.at(0) + place)
            self.assertRaises(ApiMisuse, getattr, evolve(roaming.shares_of(X25519), spi_home=255), "data")

    def test_certificates_and_signatures(self) -> None:
        self.refused(with_octets(self.OCTETS, self.at(5) + 10, b"\5"), "Count", self.at(5) + 10)
        self.refused(with_octets(self.OCTETS, self.at(5) + 10, b"\1"), "certificates", self.at(5) + 313)
        for size in (0, 7, 73):
            octets = self.OCTETS[: self.at(6)] + vendor(37, bytes(size))
            self.refused(octets, "signature", self.at(6) + 10)

    def test_the_port(self) -> None:
        for place, octets, field in ((10, bytes(2), "Port"), (12, b"\0\1", "Reserved")):
            at = self.at(2) + place
            self.refused(with_octets(self.OCTETS, at, octets), field, at)

    def test_what_cannot_be_said(self) -> None:
        shares = roaming.shares_of(X25519)
        address, certificates = IPv4Address("192.0.2.9"), (b"certificate",)
        offers = {SaSubType.HA_FA: sa(3), SaSubType.MN_FA: sa(2)}

        def sign(_covered: bytes) -> bytes:
            return bytes(70)

        encode_agent_request(REQUEST, shares, address, 4434, offers, certificates, sign)
        for wrong in (evolve(shares, z=bytes(31)), evolve(shares, ct3=b""), evolve(shares, spi_node=1 << 32)):
            self.assertRaises(ApiMisuse, encode_agent_request, REQUEST, wrong, address, 1, offers, certificates, sign)
        swapped = {SaSubType.HA_FA: sa(2), SaSubType.MN_FA: sa(3)}
        self.assertRaises(ApiMisuse, encode_agent_request, REQUEST, shares, address, 4434, swapped, certificates, sign)
        self.assertRaises(ApiMisuse, encode_agent_request, REQUEST, shares, address, 4434, offers, (), sign)
        for port in (0, 65536):
            self.assertRaises(
                ApiMisuse, encode_agent_request, REQUEST, shares, address, port, offers, certificates, sign
            )
        for size in (7, 73):
            short = bytes(size)
            self.assertRaises(
                ApiMisuse,
                encode_agent_request,
                REQUEST,
                shares,
                address,
                4434,
                offers,
                certificates,
                lambda _, s=short: s,
            )


class HomeReplyTests(FormCase):
    PARTS = (
        vendor(38, pattern(32, 12)),
        vendor(39, pattern(656, 13)),
        vendor(40, pattern(32, 14) + pattern(528, 15)),
        vendor(36, b"\1" + bytes.fromhex("012c") + pattern(300, 16)),
        vendor(37, pattern(71, 17)),
    )
    OCTETS = REPLY_HEADER + b"".join(PARTS)

    def test_it_has_the_octets_of_the_document(self) -> None:
        self.assertEqual(roaming.home_reply(X25519).hex(), self.OCTETS.hex())

    def test_what_it_says(self) -> None:
        read = decode_home_reply(self.OCTETS)
        self.assertEqual(read.header, ReplyHeader(0, 300, IDENTIFICATION))
        self.assertEqual(encode_reply_header(read.header), REPLY_HEADER)
        self.assertEqual((read.kem, read.y, read.sealed), (X25519, pattern(32, 12), pattern(656, 13)))
        self.assertEqual((read.c2, read.sealed_secrets), (pattern(32, 14), pattern(528, 15)))
        self.assertEqual((read.certificates, read.signature), ((pattern(300, 16),), pattern(71, 17)))
        self.assertEqual((read.signed, read.octets), (len(self.OCTETS) - 81, self.OCTETS))

    def test_read_whole_or_not_at_all(self) -> None:
        for kem in Kem:
            for code in (0, 128):
                self.read_whole_or_not_at_all(roaming.home_reply_again, roaming.home_reply(kem, code))

    def test_every_bit_flipped(self) -> None:
        self.bits_flipped(roaming.home_reply_again, self.OCTETS)

    def test_rubbish(self) -> None:
        @FEW
        @given(mutated(st.sampled_from([roaming.home_reply(kem) for kem in Kem])))
        def rubbish(octets: bytes) -> None:
            self.refused_or_exact(roaming.home_reply_again, octets)

        rubbish()

    def test_each_extension_is_there_once_and_in_its_place(self) -> None:
        for one in range(len(self.PARTS)):
            for order in (
                [*self.PARTS[:one], *self.PARTS[one + 1 :]],
                [*self.PARTS[:one], self.PARTS[one], *self.PARTS[one:]],
                [*self.PARTS[:one], *self.PARTS[one + 1 : one + 2], self.PARTS[one], *self.PARTS[one + 2 :]],
            ):
                if order != list(self.PARTS):
                    self.assertRaises(Malformed, decode_home_reply, REPLY_HEADER + b"".join(order))

    def test_a_refusal_has_the_same_size(self) -> None:
        for kem in Kem:
            self.assertEqual(len(roaming.home_reply(kem, 128)), len(roaming.home_reply(kem)))
            self.assertEqual(len(roaming.node_reply(kem, 128)), len(roaming.node_reply(kem)))

    def test_headers(self) -> None:
        self.broken(decode_home_reply, with_octets(self.OCTETS, 0, b"\1"), "Type", 0)
        for place in range(4, 12):
            self.broken(decode_home_reply, with_octets(self.OCTETS, place, b"\1"), "Home Address", 4)
        refused = roaming.home_reply(X25519, 128)
        self.broken(decode_home_reply, with_octets(refused, 3, b"\1"), "Lifetime", 2)
        for code in range(256):
            octets = with_octets(refused, 1, bytes((code,)))
            if code in (0, 128):
                self.assertEqual(decode_home_reply(octets).header.code, code)
            else:
                self.broken(decode_home_reply, octets, "Code", 1)

    def test_sizes_go_with_one_kem(self) -> None:
        hybrid = (*self.PARTS[:1], vendor(39, bytes(2064)), *self.PARTS[2:])
        self.broken(decode_home_reply, REPLY_HEADER + b"".join(hybrid), "sealed answer", 20 + 42 + 10 + 656)
        wrong = REPLY_HEADER + vendor(38, bytes(33)) + b"".join(self.PARTS[1:])
        self.broken(decode_home_reply, wrong, "Y", 30)

    def test_what_cannot_be_said(self) -> None:
        for code, lifetime in ((128, 1), (64, 0), (129, 0), (0, 1 << 16)):
            header = ReplyHeader(code, lifetime, 1)
            self.assertRaises(ApiMisuse, self.said, header)
        header = ReplyHeader(0, 300, 1)
        self.said(header)
        for name, size in (("y", 33), ("sealed", 655), ("c2", 31), ("sealed_secrets", 527)):
            self.assertRaises(ApiMisuse, self.said, header, **{name: bytes(size)})

    def said(self, header: ReplyHeader, **changed: bytes) -> bytes:
        octets = {"y": bytes(32), "sealed": bytes(656), "c2": bytes(32), "sealed_secrets": bytes(528)} | changed
        return encode_home_reply(header, X25519, certificates=(b"c",), sign=lambda _: bytes(70), **octets)


class NodeReplyTests(FormCase):
    PARTS = (AgentRequestTests.ADDED[0], vendor(38, pattern(32, 12)), vendor(39, pattern(656, 13)))
    OCTETS = REPLY_HEADER + b"".join(PARTS)
    REFUSAL = bytes.fromhex("03 6a 0000 00000000 00000000 edd5a4000badcafe") + vendor(
        19, bytes.fromhex("006a 00 00") + b"that challenge is 90 s old"
    )

    def test_it_has_the_octets_of_the_document(self) -> None:
        self.assertEqual(roaming.node_reply(X25519).hex(), self.OCTETS.hex())
        self.assertEqual(roaming.refusal().hex(), self.REFUSAL.hex())

    def test_what_it_says(self) -> None:
        read = decode_node_reply(self.OCTETS)
        assert isinstance(read, NodeReply)
        self.assertEqual((read.header, read.kem), (ReplyHeader(0, 300, IDENTIFICATION), X25519))
        self.assertEqual((read.shares, read.shares_data), (roaming.shares_of(X25519), self.PARTS[0][10:]))
        self.assertEqual((read.y, read.sealed, read.octets), (pattern(32, 12), pattern(656, 13), self.OCTETS))

    def test_it_is_shorter_than_its_request(self) -> None:
        self.assertLess(len(self.OCTETS), len(REQUEST))

    def test_read_whole_or_not_at_all(self) -> None:
        for kem in Kem:
            for code in (0, 128):
                self.read_whole_or_not_at_all(roaming.node_reply_again, roaming.node_reply(kem, code))

    def test_every_bit_flipped(self) -> None:
        self.bits_flipped(roaming.node_reply_again, self.OCTETS)
        self.bits_flipped(roaming.node_reply_again, self.REFUSAL)

    def test_rubbish(self) -> None:
        samples = [*(roaming.node_reply(kem) for kem in Kem), self.REFUSAL]

        @FEW
        @given(mutated(st.sampled_from(samples)))
        def rubbish(octets: bytes) -> None:
            self.refused_or_exact(roaming.node_reply_again, octets)

        rubbish()

    def test_any_shares_come_back(self) -> None:
        @FEW
        @given(roaming.shares)
        def comes_back(shares: AgentShares) -> None:
            sizes = SIZES[shares.kem]
            header = ReplyHeader(0, 60, 1)
            octets = encode_node_reply(header, shares, y=bytes(sizes.ciphertext), sealed=bytes(sizes.answer + 16))
            read = decode_node_reply(octets)
            assert isinstance(read, NodeReply)
            self.assertEqual((read.shares, read.shares_data), (shares, shares.data))

        comes_back()

    def test_one_kem(self) -> None:
        hybrid = roaming.node_reply(Kem.X25519_ML_KEM_768)
        mixed = REPLY_HEADER + self.PARTS[0] + hybrid[20 + 2354 :]
        self.broken(decode_node_reply, mixed, "agent shares", 30)

    def test_an_agents_own_refusal(self) -> None:
        read = decode_node_reply(self.REFUSAL)
        detail = Detail(106, 0, 0, "that challenge is 90 s old")
        self.assertEqual(read, AgentRefusal(ReplyHeader(106, 0, IDENTIFICATION), detail))
        for size in range(len(self.REFUSAL)):
            if size < 20 + 14:
                self.assertRaises(Malformed, decode_node_reply, self.REFUSAL[:size])
        self.assertRaises((Malformed, PeerIncompatible), decode_node_reply, self.REFUSAL + b"\0")
        self.broken(decode_node_reply, with_octets(self.REFUSAL, 3, b"\1"), "Lifetime", 2)

    def test_codes(self) -> None:
        refused = roaming.node_reply(X25519, 128)
        for code in range(256):
            reply = with_octets(refused, 1, bytes((code,)))
            own = with_octets(self.REFUSAL, 1, bytes((code,)))
            if 64 <= code <= 109:
                self.assertIsInstance(decode_node_reply(own), AgentRefusal)
                self.broken(decode_node_reply, reply, "Sub", 28)
                encode_agent_refusal(code, 1, Detail(code, 0, 0, ""))
                continue
            self.assertRaises(ApiMisuse, encode_agent_refusal, code, 1, Detail(code, 0, 0, ""))
            if code in (0, 128):
                self.assertIsInstance(decode_node_reply(reply), NodeReply)
                self.broken(decode_node_reply, own, "Sub", 28)
            else:
                self.broken(decode_node_reply, own, "Code", 1)

    def test_what_cannot_be_said(self) -> None:
        shares = roaming.shares_of(X25519)
        for header in (ReplyHeader(64, 0, 1), ReplyHeader(128, 9, 1), ReplyHeader(1, 0, 1)):
            self.assertRaises(ApiMisuse, encode_node_reply, header, shares, y=bytes(32), sealed=bytes(656))


class SecrecyTests(SynchronousTestCase):
    def test_addresses_of_the_node_are_nowhere_in_headers(self) -> None:
        for octets in (REQUEST, AgentRequestTests.OCTETS, HomeReplyTests.OCTETS, NodeReplyTests.OCTETS):
            self.assertEqual(octets[4:12], bytes(8))
