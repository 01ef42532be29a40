"""The payloads of a negotiation, as octets written by hand from docs/protocol.md and as values."""

from __future__ import annotations

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.errors import ApiMisuse, Malformed, PeerIncompatible
from seckex.wire.numbers import (
    ATTRIBUTE_KEY_LENGTH,
    ATTRIBUTE_MEBIOCTETS,
    MAX_ATTRIBUTES,
    MAX_PAYLOADS,
    MAX_TRANSFORMS,
    Code,
    KeyExchangeSub,
    ProtocolId,
    SaSubType,
)
from seckex.wire.payloads import (
    Attribute,
    KeyExchange,
    Proposal,
    SaPayload,
    Transform,
    UnknownPayload,
    UserKeyExchange,
    decode_proposal,
    decode_sa,
    encode_proposal,
    encode_sa,
    share_spans,
)
from tests.wire.samples import FEW, faults_of, mutated, proposals, sas

AES = Transform(1, 2, 20, (Attribute(ATTRIBUTE_KEY_LENGTH, 256), Attribute(ATTRIBUTE_MEBIOCTETS, b"\x01\x00\x00")))
CHACHA = Transform(2, 2, 28)
ENCRYPTION = Proposal(1, 1, ProtocolId.ENCRYPTION, 3600, 0, (AES, CHACHA))
AGREEMENT = Proposal(1, 2, ProtocolId.KEY_AGREEMENT, 3600, 0, (Transform(1, 0, 31),))
SHARE = KeyExchange(KeyExchangeSub.GROUP, 31, b"\x55" * 32)
OFFER = SaPayload(SaSubType.PRINCIPALS, (ENCRYPTION, AGREEMENT, SHARE))

ENCRYPTION_OCTETS = bytes.fromhex(
    "02 00 002b  01 01 02 02  00000e10  00000000"  # 43 octets: number 1, protocol 1, encryption, 2 transforms, an hour
    "03 00 0013  01 02 0014  800e 0100  4000 0003 010000"  # AES-GCM, 256 bits, 65,536 mebioctets in the long form
    "03 00 0008  02 02 001c"  # ChaCha20-Poly1305
)
OFFER_OCTETS = (
    bytes.fromhex("01 07 006f")
    + ENCRYPTION_OCTETS
    + bytes.fromhex("02 00 0018  01 02 03 01  00000e10  00000000  03 00 0008  01 00 001f")
    + bytes.fromhex("04 04 0028  001f 0000")
    + b"\x55" * 32
)


class KnownOctetsTests(SynchronousTestCase):
    def test_an_offer_has_the_octets_of_the_document(self) -> None:
        self.assertEqual(encode_sa(OFFER), OFFER_OCTETS)
        self.assertEqual(decode_sa(OFFER_OCTETS), OFFER)

    def test_a_proposal_alone_has_the_same_octets(self) -> None:
        self.assertEqual(encode_proposal(ENCRYPTION), ENCRYPTION_OCTETS)
        self.assertEqual(decode_proposal(ENCRYPTION_OCTETS), ENCRYPTION)

    def test_attributes_are_read_in_either_form(self) -> None:
        self.assertEqual((AES.key_bits, AES.mebioctets), (256, 65536))
        self.assertEqual((CHACHA.key_bits, CHACHA.mebioctets), (0, 0))
        longest = Transform(1, 2, 20, (Attribute(ATTRIBUTE_MEBIOCTETS, b"\xff" * 5),))
        self.assertEqual(longest.mebioctets, 2**40 - 1)
        short = Transform(1, 2, 20, (Attribute(ATTRIBUTE_MEBIOCTETS, 512),))
        self.assertEqual((short.key_bits, short.mebioctets), (0, 512))


class WholeCutTrailingTests(SynchronousTestCase):
    def test_cut_anywhere_it_is_malformed(self) -> None:
        for size in range(len(OFFER_OCTETS)):
            error = self.assertRaises(Malformed, decode_sa, OFFER_OCTETS[:size])
            self.assertLessEqual(error.offset, size)
        for size in range(len(ENCRYPTION_OCTETS)):
            self.assertRaises(Malformed, decode_proposal, ENCRYPTION_OCTETS[:size])

    def test_cut_anywhere_with_a_length_that_says_so_it_is_malformed_or_shorter(self) -> None:
        whole = {4, 47, 71, 111}  # between payloads an SA may end
        for size in range(4, len(OFFER_OCTETS)):
            octets = OFFER_OCTETS[:2] + size.to_bytes(2, "big") + OFFER_OCTETS[4:size]
            if size in whole:
                self.assertEqual(decode_sa(octets).payloads, OFFER.payloads[: sorted(whole).index(size)])
            else:
                self.assertRaises(Malformed, decode_sa, octets)

    def test_trailing_octets_are_malformed(self) -> None:
        for decode, octets in ((decode_sa, OFFER_OCTETS), (decode_proposal, ENCRYPTION_OCTETS)):
            error = self.assertRaises(Malformed, decode, octets + b"\0")
            self.assertEqual((error.field, error.offset), ("Length", len(octets)))

    @FEW
    @given(sas)
    def test_any_offer_comes_back(self, sa: SaPayload) -> None:
        self.assertEqual(decode_sa(encode_sa(sa)), sa)

    @FEW
    @given(proposals)
    def test_any_proposal_comes_back(self, proposal: Proposal) -> None:
        self.assertEqual(decode_proposal(encode_proposal(proposal)), proposal)

    @FEW
    @given(st.binary(max_size=100) | mutated(sas.map(encode_sa)) | mutated(st.just(OFFER_OCTETS)))
    def test_rubbish_is_refused_or_means_exactly_its_octets(self, octets: bytes) -> None:
        sa = faults_of(decode_sa, octets)
        if sa is not None:
            self.assertEqual(encode_sa(sa), octets)


class ShareSpansTests(SynchronousTestCase):
    """Where the public values of an offer are, without reading the rest of it."""

    def test_the_only_share(self) -> None:
        self.assertEqual(share_spans(OFFER_OCTETS), ((79, 111),))

    def test_a_share_behind_a_payload_that_is_empty(self) -> None:
        octets = bytes.fromhex("01 07 0012  2a 00 0004  04 04 000a 001f 0000 abcd")
        self.assertEqual(share_spans(octets), ((16, 18),))

    def test_a_length_of_nothing_ends_the_search(self) -> None:
        self.assertEqual(share_spans(bytes.fromhex("01 07 000c  04 04 0000  001f 0000")), ())

    @FEW
    @given(sas)
    def test_the_values_in_their_order(self, sa: SaPayload) -> None:
        octets = encode_sa(sa)
        known = [payload.value for payload in sa.payloads if isinstance(payload, KeyExchange | UserKeyExchange)]
        # An unknown kind of key exchange has no layout that is known; it is skipped in the comparison.
        if not any(isinstance(payload, UnknownPayload) and payload.type == 4 for payload in sa.payloads):
            self.assertEqual([octets[start:end] for start, end in share_spans(octets)], known)

    @FEW
    @given(st.binary(max_size=100) | mutated(st.just(OFFER_OCTETS)))
    def test_two_offers_that_differ_in_shares_alone_have_the_same_spans(self, octets: bytes) -> None:
        other = bytearray(octets)
        for start, end in share_spans(octets):
            other[start:end] = bytes(len(octets[start:end]))
        self.assertEqual(len(other), len(octets))
        self.assertEqual(share_spans(bytes(other)), share_spans(octets))


class UserGroupTests(SynchronousTestCase):
    """A group that its sender defines: P, G and a value, each behind its length, none of them unbounded."""

    def setUp(self) -> None:
        # The lengths are those of what follows, so they are put in.
        body = bytes.fromhex("0401 0000  0002 8003  0001 05  0002 0042")
        inside = bytes((4, 5)) + (4 + len(body)).to_bytes(2, "big") + body
        self.octets = bytes((1, 7)) + (4 + len(inside)).to_bytes(2, "big") + inside

    def altered(self, old: str, new: str) -> bytes:
        """Return the payload with one of its fields in other octets, all lengths around it put right."""
        body = self.octets[8:].replace(bytes.fromhex(old), bytes.fromhex(new), 1)
        inside = bytes((4, 5)) + (4 + len(body)).to_bytes(2, "big") + body
        return bytes((1, 7)) + (4 + len(inside)).to_bytes(2, "big") + inside

    def test_it_is_read_and_written(self) -> None:
        part = UserKeyExchange(1025, b"\x80\3", b"\5", b"\0\x42")
        self.assertEqual(decode_sa(self.octets), SaPayload(7, (part,)))
        self.assertEqual(encode_sa(SaPayload(7, (part,))), self.octets)
        self.assertEqual(share_spans(self.octets), ((21, 23),))

    def test_what_is_too_long_empty_or_left_over_is_malformed(self) -> None:
        for old, new, field in (
            ("0002 8003", "0000", "Plen"),
            ("0002 8003", "0401" + "80" * 1025, "Plen"),
            ("0001 05", "0000", "Glen"),
            ("0001 05", "ffff 05", "Glen"),
            ("0002 0042", "0000", "CVlen"),
            ("0002 0042", "0001 42", "CVlen"),
            ("0002 0042", "0003 000042", "CVlen"),
            ("0002 0042", "0002 0042 00", "Length"),
            ("0002 0042", "0002 00", "CV"),
            ("0002 8003", "0002 0003", "P"),
            ("0001 05", "0002 0005", "G"),
            ("0401 0000", "0401 0001", "Reserved"),
        ):
            error = self.assertRaises(Malformed, decode_sa, self.altered(old, new))
            self.assertEqual(error.field, field, (old, new))

    def test_the_largest_numbers_that_are_read(self) -> None:
        part = UserKeyExchange(1025, b"\xff" * 1024, b"\xfe" * 1024, bytes(1024))
        octets = encode_sa(SaPayload(7, (part,)))
        self.assertEqual(decode_sa(octets).payloads, (part,))
        self.assertEqual(share_spans(octets), ((len(octets) - 1024, len(octets)),))


class UnknownTests(SynchronousTestCase):
    """What version 1 does not know is not malformed."""

    def test_numbers_that_nobody_has_given_out_are_kept(self) -> None:
        transform = Transform(1, 3, 65535, (Attribute(0x7FFF, 1), Attribute(99, b""), Attribute(0, 0)))
        sa = SaPayload(99, (Proposal(1, 1, 200, 1, 0, (transform,)), KeyExchange(KeyExchangeSub.GROUP, 9999, b"")))
        self.assertEqual(decode_sa(encode_sa(sa)), sa)

    def test_a_payload_of_an_unknown_type_is_kept_whole(self) -> None:
        octets = bytes.fromhex("01 07 000b  2a 09 0007 010203")
        sa = decode_sa(octets)
        self.assertEqual(sa.payloads, (UnknownPayload(0x2A, b"\1\2\3", 9),))
        self.assertEqual(encode_sa(sa), octets)

    def test_without_a_sub_type_it_is_zero(self) -> None:
        self.assertEqual(encode_sa(SaPayload(7, (UnknownPayload(0x2A, b""),))), bytes.fromhex("01 07 0008  2a 00 0004"))

    def test_a_key_exchange_of_an_unknown_kind_is_not_read_as_one_that_is_known(self) -> None:
        self.assertEqual(
            decode_sa(bytes.fromhex("01 07 000a  04 06 0006 0001")).payloads, (UnknownPayload(4, b"\0\1", 6),)
        )

    def test_an_unknown_payload_inside_a_proposal_is_the_peers_wish_and_not_rubbish(self) -> None:
        error = self.assertRaises(
            PeerIncompatible,
            decode_proposal,
            bytes.fromhex("02 00 0014  01 01 02 01  00000e10  00000000  2a 00 0004"),
        )
        self.assertEqual(error.code, Code.UNKNOWN_PAYLOAD)


class BrokenRulesTests(SynchronousTestCase):
    """Field and offset of each thing that makes an offer unreadable."""

    def broken(self, octets: bytes | str, field: str, offset: int, base: int = 0) -> None:
        if isinstance(octets, str):
            octets = bytes.fromhex(octets)
        error = self.assertRaises(Malformed, decode_sa, octets, base)
        self.assertEqual((error.field, error.offset), (field, offset), str(error))

    def changed(self, at: int, value: str) -> bytes:
        new = bytes.fromhex(value)
        return OFFER_OCTETS[:at] + new + OFFER_OCTETS[at + len(new) :]

    def with_transform(self, transform: str) -> str:
        """Return an SA with one proposal with one transform, which begins at octet 20."""
        size = len(bytes.fromhex(transform))
        return f"01 07 {20 + size:04x}  02 00 {16 + size:04x}  01 01 02 01  00000e10  00000000 {transform}"

    def test_only_an_sa_is_an_sa(self) -> None:
        self.broken(ENCRYPTION_OCTETS, "Type", 0)
        self.assertRaises(Malformed, decode_proposal, OFFER_OCTETS)

    def test_a_length_covers_its_own_header(self) -> None:
        self.broken("01 07 0003", "Length", 2)
        self.broken(self.changed(6, "0003"), "Length", 6)

    def test_a_length_stays_inside_what_surrounds_it(self) -> None:
        self.broken(self.changed(6, "ffff"), "Length", 8)  # a proposal longer than its SA
        self.broken(self.changed(22, "00ff"), "Length", 24)  # a transform longer than its proposal
        self.broken(self.changed(34, "0004"), "attribute length", 36)  # an attribute longer than its transform

    def test_what_stands_inside_what(self) -> None:
        self.broken("01 07 0008  01 07 0004", "Type", 4)  # an SA in an SA
        self.broken("01 07 000c  03 00 0008  01 00 001f", "Type", 4)  # a transform outside a proposal
        self.broken(self.with_transform("04 04 0008 001f 0000"), "Type", 20)  # a key exchange inside one

    def test_sub_types_of_proposals_and_transforms_are_zero(self) -> None:
        self.broken(self.changed(5, "01"), "Sub", 5)
        self.broken(self.changed(21, "01"), "Sub", 21)

    def test_the_transforms_announced_are_those_present(self) -> None:
        self.broken(self.changed(11, "03"), "# Transforms", 11)
        self.broken(self.changed(11, "01"), "# Transforms", 39)
        self.broken(self.changed(11, "00"), "# Transforms", 20)

    def test_reserved_octets_of_a_key_exchange_are_zero(self) -> None:
        self.broken(self.changed(77, "0001"), "Reserved", 77)

    def test_no_attribute_type_twice(self) -> None:
        self.broken(self.with_transform("03 00 0010  01 02 0014  800e 0100  800e 0080"), "attribute", 32)
        # The two forms are one type.
        self.broken(self.with_transform("03 00 0011  01 02 0014  c000 0001  4000 0001 01"), "attribute", 32)

    def test_an_attribute_that_is_known_makes_sense(self) -> None:
        for attribute in (
            "000e 0002 0100",  # a key length has the short form
            "800e 0000",  # no bits at all
            "c000 0000",  # a bound of nothing is not the absence of a bound
            "4000 0000",
            "4000 0002 0000",
            "4000 0006 010000000000",  # more than 40 bits
        ):
            size = 8 + len(bytes.fromhex(attribute))
            self.broken(self.with_transform(f"03 00 {size:04x}  01 02 0014  {attribute}"), "attribute", 28)

    def test_offsets_count_from_the_start_of_the_message(self) -> None:
        self.broken(self.changed(5, "01"), "Sub", 105, base=100)
        self.broken(self.changed(6, "ffff"), "Length", 108, base=100)


class LimitTests(SynchronousTestCase):
    def test_payloads_in_an_sa(self) -> None:
        full = SaPayload(7, (UnknownPayload(9, b""),) * MAX_PAYLOADS)
        octets = encode_sa(full)
        self.assertEqual(decode_sa(octets), full)
        self.assertRaises(ApiMisuse, encode_sa, evolve(full, payloads=(*full.payloads, UnknownPayload(9, b""))))
        over = b"\x01\x07" + (len(octets) + 4).to_bytes(2, "big") + octets[4:] + b"\x09\0\0\x04"
        error = self.assertRaises(Malformed, decode_sa, over)
        self.assertEqual((error.field, error.offset), ("SA", len(octets)))

    def test_transforms_in_a_proposal(self) -> None:
        full = Proposal(1, 1, 2, 60, 0, tuple(Transform(n, 2, 20) for n in range(1, MAX_TRANSFORMS + 1)))
        octets = encode_proposal(full)
        self.assertEqual(decode_proposal(octets), full)
        self.assertRaises(ApiMisuse, encode_proposal, evolve(full, transforms=(*full.transforms, CHACHA)))
        over = bytearray(octets + octets[-8:])
        over[2:4] = len(over).to_bytes(2, "big")
        over[7] += 1
        error = self.assertRaises(Malformed, decode_proposal, bytes(over))
        self.assertEqual((error.field, error.offset), ("# Transforms", 7))

    def test_attributes_in_a_transform(self) -> None:
        attributes = tuple(Attribute(kind, 1) for kind in range(100, 100 + MAX_ATTRIBUTES))
        full = Proposal(1, 1, 2, 60, 0, (Transform(1, 2, 20, attributes),))
        octets = encode_proposal(full)
        self.assertEqual(decode_proposal(octets), full)
        over = bytearray(octets + bytes.fromhex("8063 0001"))
        over[2:4] = len(over).to_bytes(2, "big")
        over[18:20] = (len(over) - 16).to_bytes(2, "big")
        error = self.assertRaises(Malformed, decode_proposal, bytes(over))
        self.assertEqual((error.field, error.offset), ("attribute", len(octets)))

    def test_what_a_decoder_would_refuse_cannot_be_encoded(self) -> None:
        for transform in (
            Transform(1, 2, 20, tuple(Attribute(kind, 1) for kind in range(100, 101 + MAX_ATTRIBUTES))),
            Transform(1, 2, 20, (Attribute(100, 1), Attribute(100, 2))),
            Transform(1, 2, 20, (Attribute(ATTRIBUTE_KEY_LENGTH, b"\x01\x00"),)),
            Transform(1, 2, 20, (Attribute(ATTRIBUTE_MEBIOCTETS, 0),)),
            Transform(1, 2, 20, (Attribute(0x8000, 1),)),
            Transform(1, 2, 20, (Attribute(-1, 1),)),
            Transform(1, 2, 20, (Attribute(100, 65536),)),
            Transform(256, 2, 20),
        ):
            self.assertRaises(ApiMisuse, encode_proposal, evolve(AGREEMENT, transforms=(transform,)))
        for payload in (
            KeyExchange(5, 31, b""),
            KeyExchange(6, 31, b""),
            KeyExchange(4, 65536, b""),
            UserKeyExchange(1025, b"", b"\2", b""),
            UserKeyExchange(1025, b"\0\7", b"\2", b"\0\1"),
            UserKeyExchange(1025, b"\7", b"\0", b"\1"),
            UserKeyExchange(1025, b"\7", b"\2", b"\0\1"),
            UserKeyExchange(1025, b"\7" * 1025, b"\2", b"\1" * 1025),
            UserKeyExchange(65536, b"\7", b"\2", b"\1"),
            UnknownPayload(1, b""),
            UnknownPayload(4, b"", 4),
            UnknownPayload(256, b""),
            UnknownPayload(9, bytes(65536)),
        ):
            self.assertRaises(ApiMisuse, encode_sa, SaPayload(7, (payload,)))
