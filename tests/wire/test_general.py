"""Whole messages, as octets written by hand from docs/protocol.md and as values."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.errors import ApiMisuse, Malformed, PeerIncompatible, UnsupportedVersion
from seckex.wire.extensions import (
    Authenticator,
    Clock,
    Detail,
    Exchange,
    Extension,
    NaiExtension,
    Padding,
    SaPayloadExtension,
    SealedExtension,
    encode_authenticator_start,
    encode_sealed_start,
)
from seckex.wire.general import (
    Header,
    Message,
    Versions,
    decode_header,
    decode_message,
    decode_versions,
    encode_header,
    encode_message,
    encode_versions,
)
from seckex.wire.numbers import MAX_EXTENSIONS, MAX_MESSAGE, Code, ExtensionSub, Kind
from tests.wire.samples import FEW, faults_of, messages, mutated

IDENTIFICATION = 0x6553F100_0BADCAFE
OFFER = Header(Kind.OFFER, answer=False, identification=IDENTIFICATION, spi=1000)
OFFER_HEADER = bytes.fromhex("ff 10 0001  6553f1000badcafe  000003e8")
EXTENSIONS = (
    Exchange(1, 0x1000, 0, b"\xbb" * 32),
    SealedExtension(ExtensionSub.NAI, 0, 1000, b"\xaa" * 20, 16 + 48 + 12),
    SaPayloadExtension(b"\1\7\0\4"),
    Padding(2),
    Authenticator(1000, b"\xcc" * 32),
)
OFFER_OCTETS = OFFER_HEADER + bytes.fromhex(
    "7f 12 002c  01 000000  00001000  00000000"
    + "bb" * 32
    + "7f 01 001c  00 80 0000  000003e8"
    + "aa" * 20
    + "7f 10 0004  01070004"
    + "7f 14 0002  0000"
    + "7f 16 0024  000003e8"
    + "cc" * 32
)
REQUESTS = (
    Kind.OFFER,
    Kind.CONFIRM,
    Kind.ABANDON,
    Kind.PROBE,
    Kind.DELETE,
    Kind.SOLICITATION,
    Kind.RELAY,
    Kind.KEYS,
    Kind.NODES,
    Kind.CHANGED,
    Kind.TRACE,
    Kind.REVOCATION,
)
KINDS = [kind for kind in Kind if kind is not Kind.VERSIONS]


class HeaderTests(SynchronousTestCase):
    def broken(self, octets: str, field: str, offset: int) -> None:
        error = self.assertRaises(Malformed, decode_header, bytes.fromhex(octets))
        self.assertEqual((error.field, error.offset), (field, offset), str(error))

    def test_a_header_has_the_octets_of_the_document(self) -> None:
        self.assertEqual(encode_header(OFFER), OFFER_HEADER)
        self.assertEqual(decode_header(OFFER_HEADER), OFFER)

    def test_kinds_are_requests_or_answers(self) -> None:
        for kind in KINDS:
            answer = kind not in REQUESTS
            header = Header(kind, answer, 1, 2)
            self.assertEqual(decode_header(encode_header(header)), header)
            self.assertEqual(encode_header(header)[1], 0x11 if answer else 0x10)
            self.assertRaises(ApiMisuse, encode_header, Header(kind, not answer, 1, 2))
            reflected = bytearray(encode_header(header))
            reflected[1] ^= 1
            self.broken(reflected.hex(), "Flags", 1)

    def test_sizes(self) -> None:
        for size in range(16):
            self.broken(OFFER_HEADER[:size].hex(), "message", 0)
        self.broken(OFFER_HEADER.hex() + "00" * (MAX_MESSAGE - 15), "message", 0)

    def test_fields_that_no_version_1_has(self) -> None:
        self.broken("fe 10 0001  6553f1000badcafe  000003e8", "Type", 0)
        self.broken("ff 12 0001  6553f1000badcafe  000003e8", "Flags", 1)
        self.broken("ff 18 0001  6553f1000badcafe  000003e8", "Flags", 1)
        self.broken("ff 10 00ff  6553f1000badcafe  000003e8", "Kind", 2)
        self.broken("ff 11 0000  6553f1000badcafe  000003e8", "Kind", 2)  # VERSIONS has header version 0

    def test_another_version_is_told_with_what_is_needed_to_answer(self) -> None:
        error = self.assertRaises(
            UnsupportedVersion, decode_header, bytes.fromhex("ff 2e abcd  6553f1000badcafe  ffffffff")
        )
        self.assertEqual((error.version, error.identification), (2, IDENTIFICATION))

    def test_a_type_that_is_not_ours_has_no_version(self) -> None:
        self.broken("01 20 0001  6553f1000badcafe  000003e8", "Type", 0)

    def test_numbers_that_do_not_fit(self) -> None:
        self.assertRaises(ApiMisuse, encode_header, Header(Kind.OFFER, False, 1 << 64, 1))
        self.assertRaises(ApiMisuse, encode_header, Header(Kind.OFFER, False, 1, 1 << 32))
        self.assertRaises(ApiMisuse, encode_header, Header(Kind.VERSIONS, True, 1, 1))


class MessageTests(SynchronousTestCase):
    def test_an_offer_has_the_octets_of_the_document(self) -> None:
        self.assertEqual(encode_message(OFFER, EXTENSIONS).hex(), OFFER_OCTETS.hex())
        self.assertEqual(decode_message(OFFER_OCTETS), Message(OFFER, EXTENSIONS, len(OFFER_OCTETS) - 32))

    def test_where_a_seal_stood(self) -> None:
        sealed = decode_message(OFFER_OCTETS).extensions[1]
        assert isinstance(sealed, SealedExtension)
        self.assertEqual(OFFER_OCTETS[sealed.offset :][:20], b"\xaa" * 20)

    def test_where_a_payload_stood(self) -> None:
        payload = decode_message(OFFER_OCTETS).extensions[2]
        assert isinstance(payload, SaPayloadExtension)
        self.assertEqual(OFFER_OCTETS[payload.offset :][:4], payload.payload)

    def test_a_message_is_built_piece_by_piece_to_be_sealed_and_authenticated(self) -> None:
        octets = encode_message(OFFER, EXTENSIONS[:1])
        octets += encode_sealed_start(ExtensionSub.NAI, 0, OFFER.spi, 20)
        seal_covers = octets
        octets += b"\xaa" * 20
        octets += encode_message(OFFER, EXTENSIONS[2:4])[16:]
        octets += encode_authenticator_start(OFFER.spi, 32)
        mac_covers = octets
        self.assertEqual(octets + b"\xcc" * 32, OFFER_OCTETS)

        message = decode_message(OFFER_OCTETS)
        sealed = message.extensions[1]
        assert isinstance(sealed, SealedExtension)
        self.assertEqual(OFFER_OCTETS[: sealed.offset], seal_covers)
        self.assertEqual(OFFER_OCTETS[: message.signed], mac_covers)

    def test_without_an_authenticator_all_would_be_covered(self) -> None:
        octets = encode_message(OFFER, [Padding(8)])
        self.assertEqual(decode_message(octets).signed, len(octets))
        self.assertEqual(decode_message(OFFER_HEADER), Message(OFFER, (), 16))

    def test_cut_anywhere_it_is_malformed_or_ends_between_extensions(self) -> None:
        ends = [16, 64, 96, 104, 110]
        for size in range(len(OFFER_OCTETS)):
            if size in ends:
                self.assertEqual(decode_message(OFFER_OCTETS[:size]).extensions, EXTENSIONS[: ends.index(size)])
            else:
                error = self.assertRaises(Malformed, decode_message, OFFER_OCTETS[:size])
                self.assertLessEqual(error.offset, size)

    def test_nothing_follows_an_authenticator(self) -> None:
        for more in (b"\0", bytes.fromhex("7f 14 0000"), OFFER_OCTETS[-40:]):
            error = self.assertRaises(Malformed, decode_message, OFFER_OCTETS + more)
            self.assertEqual((error.field, error.offset), ("authenticator", len(OFFER_OCTETS)))
        self.assertRaises(ApiMisuse, encode_message, OFFER, [*EXTENSIONS, Padding(0)])
        self.assertRaises(ApiMisuse, encode_message, OFFER, [EXTENSIONS[-1], EXTENSIONS[-1]])

    def test_a_seal_is_under_the_key_that_the_header_names(self) -> None:
        foreign = SealedExtension(ExtensionSub.NAI, 0, 1001, b"\xaa" * 20)
        self.assertRaises(ApiMisuse, encode_message, OFFER, [foreign])
        octets = OFFER_HEADER + bytes.fromhex("7f 01 001c  00 80 0000  000003e9" + "aa" * 20)
        error = self.assertRaises(Malformed, decode_message, octets)
        self.assertEqual((error.field, error.offset), ("SPI", 24))

    def test_a_mac_is_under_the_key_that_the_header_names(self) -> None:
        self.assertRaises(ApiMisuse, encode_message, OFFER, [Authenticator(1001, b"\xcc" * 32)])
        octets = OFFER_HEADER + bytes.fromhex("7f 14 0000  7f 16 0024  000003e9" + "cc" * 32)
        error = self.assertRaises(Malformed, decode_message, octets)
        self.assertEqual((error.field, error.offset), ("SPI", 24))

    def test_offsets_of_errors_count_from_the_start_of_the_message(self) -> None:
        octets = bytearray(OFFER_OCTETS)
        octets[109] = 1
        error = self.assertRaises(Malformed, decode_message, bytes(octets))
        self.assertEqual((error.field, error.offset), ("padding", 108))

    def test_an_unknown_extension_is_refused(self) -> None:
        error = self.assertRaises(PeerIncompatible, decode_message, OFFER_HEADER + bytes.fromhex("7f 40 0000"))
        self.assertEqual(error.code, Code.UNKNOWN_PAYLOAD)

    def test_extensions_in_a_message_are_limited(self) -> None:
        full = (Clock(1),) * MAX_EXTENSIONS
        octets = encode_message(OFFER, full)
        self.assertEqual(decode_message(octets).extensions, full)
        self.assertRaises(ApiMisuse, encode_message, OFFER, (*full, Clock(1)))
        error = self.assertRaises(Malformed, decode_message, octets + octets[-12:])
        self.assertEqual((error.field, error.offset), ("extension", len(octets)))

    def test_octets_in_a_message_are_limited(self) -> None:
        octets = encode_message(OFFER, [Padding(MAX_MESSAGE - 20)])
        self.assertEqual(len(octets), MAX_MESSAGE)
        self.assertEqual(len(decode_message(octets).extensions), 1)
        self.assertRaises(ApiMisuse, encode_message, OFFER, [Padding(MAX_MESSAGE - 19)])

    @FEW
    @given(messages())
    def test_any_message_comes_back(self, parts: tuple[Header, tuple[Extension, ...]]) -> None:
        header, extensions = parts
        octets = encode_message(header, extensions)
        message = decode_message(octets)
        self.assertEqual((message.header, message.extensions), parts)
        last = extensions[-1] if extensions else None
        self.assertEqual(octets[message.signed :], last.mac if isinstance(last, Authenticator) else b"")

    @FEW
    @given(
        st.binary(max_size=100)
        | st.binary(max_size=100).map(lambda rubbish: OFFER_HEADER + rubbish)
        | mutated(messages().map(lambda parts: encode_message(*parts)))
        | mutated(st.just(OFFER_OCTETS))
    )
    def test_rubbish_is_refused_or_means_exactly_its_octets(self, octets: bytes) -> None:
        message = faults_of(decode_message, octets)
        if message is not None:
            self.assertEqual(encode_message(message.header, message.extensions), octets)

    def test_every_octet_changed_in_every_bit_is_refused_or_means_exactly_that(self) -> None:
        for bit in range(8 * len(OFFER_OCTETS)):
            octets = bytearray(OFFER_OCTETS)
            octets[bit // 8] ^= 1 << bit % 8
            message = faults_of(decode_message, bytes(octets))
            if message is not None:
                self.assertEqual(encode_message(message.header, message.extensions), octets)

    def test_answers_of_the_document(self) -> None:
        header = Header(Kind.REFUSAL, answer=True, identification=IDENTIFICATION, spi=1000)
        extensions = (
            Exchange(1, 0x1000, 0, b"\xbb" * 32),
            Detail(Code.IDENTIFICATION_MISMATCH, 0, 0, "the clocks are 400 s apart"),
            Clock(1_700_000_400),
            Authenticator(1000, b"\xcc" * 32),
        )
        self.assertEqual(decode_message(encode_message(header, extensions)).extensions, extensions)

    def test_the_same_name_in_the_clear(self) -> None:
        octets = encode_message(OFFER, [NaiExtension(0, "a@b")])
        self.assertEqual(decode_message(octets).extensions, (NaiExtension(0, "a@b"),))


class VersionsTests(SynchronousTestCase):
    """A request of another version, and the hint that it gets."""

    # -> a request of version 2, of which only the invariants can be read
    REQUEST = bytes.fromhex("ff 2e abcd  6553f1000badcafe  ffffffff") + bytes(20)
    # <- VERSIONS with header version 0: one version, 1
    ANSWER = bytes.fromhex("ff 01 0000  6553f1000badcafe  00000000  01 01")

    def test_the_answer_has_the_octets_of_the_document(self) -> None:
        self.assertEqual(encode_versions(self.REQUEST, (1,)), self.ANSWER)
        self.assertEqual(decode_versions(self.ANSWER), Versions(IDENTIFICATION, (1,)))

    def test_the_asker_reads_all_versions(self) -> None:
        answer = encode_versions(self.REQUEST, (1, 2, 15))
        assert answer is not None
        self.assertEqual(decode_versions(answer).versions, (1, 2, 15))

    def test_an_answer_is_not_answered(self) -> None:
        self.assertIsNone(encode_versions(self.ANSWER, (1,)))
        self.assertIsNone(encode_versions(bytes([0xFF, 0x21]) + self.REQUEST[2:], (1,)))

    def test_the_answer_is_never_longer_than_the_request(self) -> None:
        self.assertEqual(encode_versions(self.REQUEST[:18], (1,)), self.ANSWER)
        for size in range(18):
            self.assertIsNone(encode_versions(self.REQUEST[:size], (1,)))

    def test_only_another_version_is_answered(self) -> None:
        for version in range(16):
            request = bytes([0xFF, version << 4]) + self.REQUEST[2:]
            self.assertEqual(encode_versions(request, (1,)), self.ANSWER if version > 1 else None)

    def test_what_is_not_ours_is_not_answered(self) -> None:
        self.assertIsNone(encode_versions(b"\x01" + self.REQUEST[1:], (1,)))

    def test_a_reader_of_messages_takes_it_for_another_version(self) -> None:
        error = self.assertRaises(UnsupportedVersion, decode_message, self.ANSWER)
        self.assertEqual((error.version, error.identification), (0, IDENTIFICATION))

    def test_cut_or_with_trailing_octets_it_is_malformed(self) -> None:
        for size in range(len(self.ANSWER)):
            self.assertRaises(Malformed, decode_versions, self.ANSWER[:size])
        error = self.assertRaises(Malformed, decode_versions, self.ANSWER + b"\1")
        self.assertEqual((error.field, error.offset), ("VERSIONS", 18))

    def test_what_is_not_versions(self) -> None:
        for octets, field, offset in (
            ("fe 01 0000  6553f1000badcafe  00000000  01 01", "Type", 0),
            ("ff 00 0000  6553f1000badcafe  00000000  01 01", "Flags", 1),
            ("ff 03 0000  6553f1000badcafe  00000000  01 01", "Flags", 1),
            ("ff 01 0002  6553f1000badcafe  00000000  01 01", "Kind", 2),
            ("ff 01 0000  6553f1000badcafe  00000001  01 01", "SPI", 12),
            ("ff 01 0000  6553f1000badcafe  00000000  02 01", "Version", 17),
        ):
            error = self.assertRaises(Malformed, decode_versions, bytes.fromhex(octets))
            self.assertEqual((error.field, error.offset), (field, offset), str(error))
        error = self.assertRaises(UnsupportedVersion, decode_versions, OFFER_OCTETS)
        self.assertEqual((error.version, error.identification), (1, IDENTIFICATION))

    @FEW
    @given(st.binary(max_size=40) | mutated(st.just(ANSWER)))
    def test_rubbish_is_refused(self, octets: bytes) -> None:
        versions = faults_of(decode_versions, octets)
        if versions is not None:
            self.assertEqual(octets[17:], bytes(versions.versions))

    @FEW
    @given(st.binary(max_size=40) | mutated(st.just(REQUEST)))
    def test_whatever_asks_the_answer_is_no_longer_and_repeats_its_identification(self, request: bytes) -> None:
        answer = encode_versions(request, (1,))
        if answer is not None:
            self.assertLessEqual(len(answer), len(request))
            self.assertEqual(decode_versions(answer).identification.to_bytes(8, "big"), request[4:12])
