"""What is read of a request before it is decoded, and the two answers that need no more."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.errors import SeckexError
from seckex.wire.extensions import Cookie, Extension, Padding, RequestDigest, encode_extension
from seckex.wire.general import Header, decode_message
from seckex.wire.numbers import Kind
from seckex.wire.stem import encode_cookie, encode_use_tcp, stem_of
from tests.wire.samples import FEW
from tests.wire.test_general import EXTENSIONS, IDENTIFICATION, OFFER_HEADER, OFFER_OCTETS

STEM = 104  # of OFFER_OCTETS: up to its padding


def message(*extensions: Extension) -> bytes:
    return OFFER_HEADER + b"".join(map(encode_extension, extensions))


class StemTests(SynchronousTestCase):
    def test_it_ends_before_the_padding_the_cookie_or_the_authenticator(self) -> None:
        first, cookie, padding, mac = EXTENSIONS[:3], Cookie(b"\xdd" * 21), Padding(5), EXTENSIONS[-1]
        self.assertEqual(stem_of(OFFER_OCTETS), (STEM, b""))
        self.assertEqual(stem_of(message(*first, cookie, padding, mac)), (STEM, b"\xdd" * 21))
        self.assertEqual(stem_of(message(*first, cookie, mac)), (STEM, b"\xdd" * 21))
        self.assertEqual(stem_of(message(*first, padding, cookie, mac)), (STEM, b""))
        self.assertEqual(stem_of(message(*first, mac)), (STEM, b""))
        self.assertEqual(stem_of(message(*first)), (STEM, b""))
        self.assertEqual(stem_of(OFFER_HEADER), (16, b""))

    def test_what_is_not_extensions_one_behind_the_other_has_none(self) -> None:
        ends = (16, 64, 96, 104)
        for size in range(16, STEM):
            self.assertEqual(stem_of(OFFER_OCTETS[:size]), (size if size in ends else 0, b""), size)
        self.assertEqual(stem_of(OFFER_HEADER + bytes(8)), (0, b""))
        self.assertEqual(stem_of(message(*[EXTENSIONS[0]] * 33)), (0, b""))
        for size in (0, 65, 0xFFFF):
            broken = message(*EXTENSIONS[:3]) + b"\x7f\x17" + size.to_bytes(2, "big") + bytes(min(size, 1000))
            self.assertEqual(stem_of(broken), (0, b""), size)

    @FEW
    @given(st.binary(max_size=200))
    def test_no_octets_make_it_raise_and_what_can_be_decoded_has_one(self, tail: bytes) -> None:
        octets = OFFER_HEADER + tail
        size, cookie = stem_of(octets)
        self.assertTrue(size == 0 or 16 <= size <= len(octets))
        self.assertLessEqual(len(cookie), 64)
        try:
            decode_message(octets)
        except SeckexError:
            return
        self.assertGreater(size, 0)


class HintTests(SynchronousTestCase):
    def test_their_octets(self) -> None:
        self.assertEqual(
            encode_cookie(OFFER_OCTETS, b"\xdd" * 21),
            bytes.fromhex("ff 11 0008  6553f1000badcafe  000003e8  7f 17 0015" + "dd" * 21),
        )
        self.assertEqual(
            encode_use_tcp(OFFER_OCTETS, b"\xee" * 32),
            bytes.fromhex("ff 11 0009  6553f1000badcafe  000003e8  7f 18 0020" + "ee" * 32),
        )

    def test_they_are_messages_like_others(self) -> None:
        for kind, octets, extension in (
            (Kind.COOKIE, encode_cookie(OFFER_OCTETS, b"\xdd" * 21), Cookie(b"\xdd" * 21)),
            (Kind.USE_TCP, encode_use_tcp(OFFER_OCTETS, b"\xee" * 32), RequestDigest(b"\xee" * 32)),
        ):
            decoded = decode_message(octets or b"")
            self.assertEqual(decoded.header, Header(kind, True, IDENTIFICATION, 1000))
            self.assertEqual(decoded.extensions, (extension,))

    def test_they_are_never_longer_than_the_request(self) -> None:
        for size in range(16, len(OFFER_OCTETS)):
            cookie, use_tcp = (
                encode_cookie(OFFER_OCTETS[:size], bytes(21)),
                encode_use_tcp(OFFER_OCTETS[:size], bytes(32)),
            )
            self.assertEqual(cookie is None, size < 41)
            self.assertEqual(use_tcp is None, size < 52)
