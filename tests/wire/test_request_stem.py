"""What stays the same of a registration request, told from its raw octets."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.wire.extensions import Cookie
from seckex.wire.general import decode_message
from seckex.wire.mobileip import decode_node_request, with_cookie
from seckex.wire.mobileip.stem import encode_request_cookie, request_stem
from seckex.wire.numbers import MAX_COOKIE, Kem, Kind
from tests.wire.roaming import request

REQUEST = request(Kem.X25519)


class StemTests(SynchronousTestCase):
    def test_with_a_cookie_and_without_the_stem_is_the_request(self) -> None:
        self.assertEqual(request_stem(REQUEST), (1152, b""))
        for size in (1, 21, MAX_COOKIE):
            asked = with_cookie(REQUEST, b"c" * size)
            self.assertEqual(request_stem(asked), (1152, b"c" * size))
            self.assertEqual(decode_node_request(asked).cookie, b"c" * size)

    def test_what_is_something_else(self) -> None:
        asked = with_cookie(REQUEST, b"cookie")
        others = [REQUEST[:-1], REQUEST + b"\0", asked[:-1], asked + b"\0", b"", with_cookie(REQUEST, b"c" * 64) + b"c"]
        # Another type, length, vendor or sub-type.
        others += [asked[:at] + bytes((asked[at] ^ 1,)) + asked[at + 1 :] for at in range(1152, 1162)]
        for octets in others:
            self.assertEqual(request_stem(octets), (0, b""))

    @settings(max_examples=100, deadline=None)
    @given(st.binary(max_size=1300))
    def test_anything_is_looked_at(self, octets: bytes) -> None:
        request_stem(octets)
        request_stem(REQUEST + octets)


class CookieTests(SynchronousTestCase):
    def test_it_has_the_identification_and_is_shorter_than_what_it_answers(self) -> None:
        answer = encode_request_cookie(REQUEST, b"c" * 21)
        assert answer is not None
        message = decode_message(answer)
        self.assertEqual((message.header.kind, message.header.spi), (Kind.COOKIE, 0))
        self.assertEqual(message.header.identification, decode_node_request(REQUEST).header.identification)
        self.assertEqual(message.extensions, (Cookie(b"c" * 21),))
        self.assertIsNone(encode_request_cookie(REQUEST[:30], b"c" * 21))
