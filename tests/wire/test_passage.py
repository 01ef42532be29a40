"""Frames of a hop, as octets written by hand from docs/passages.md and as values."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.errors import ApiMisuse, Malformed, UnsupportedVersion
from seckex.wire.numbers import Hop
from seckex.wire.passage import (
    MOST_DATA,
    AcceptFrame,
    FrameKind,
    Header,
    OpenFrame,
    ProofFrame,
    RefuseFrame,
    data_header,
    decode_accept,
    decode_header,
    decode_open,
    decode_proof,
    decode_refuse,
    encode_accept,
    encode_open,
    encode_proof,
    encode_refuse,
)
from tests.wire.samples import FEW

NONCE, MAC, TAG = b"sixteen of nonce", bytes(range(32)), bytes(range(0xA0, 0xB0))

OPEN = OpenFrame(Hop.FA_HA, 0x1234, 0x0102030405060708, NONCE, MAC)
OPEN_OCTETS = bytes.fromhex("5053 01 01 00001234 0102030405060708") + NONCE + MAC
ACCEPT_OCTETS = bytes.fromhex("01 00 0030") + NONCE + MAC
REFUSE_OCTETS = bytes.fromhex("04 00 0022 012c") + MAC
PROOF_OCTETS = bytes.fromhex("03 000020 0000000000100000 00000000000000ff") + TAG


class FrameTests(SynchronousTestCase):
    def test_each_frame_is_what_the_document_says(self) -> None:
        table: tuple[tuple[Callable[[bytes], Any], Callable[[Any], bytes], object, bytes], ...] = (
            (decode_open, encode_open, OPEN, OPEN_OCTETS),
            (decode_accept, encode_accept, AcceptFrame(NONCE, MAC), ACCEPT_OCTETS),
            (decode_refuse, encode_refuse, RefuseFrame(300, MAC), REFUSE_OCTETS),
            (decode_proof, encode_proof, ProofFrame(1 << 20, 255, TAG), PROOF_OCTETS),
        )
        for decode, encode, value, octets in table:
            self.assertEqual(decode(octets), value)
            self.assertEqual(encode(value), octets)
        self.assertEqual(
            [len(each) for each in (OPEN_OCTETS, ACCEPT_OCTETS, PROOF_OCTETS, REFUSE_OCTETS)], [64, 52, 36, 38]
        )

    def test_headers_tell_how_much_comes(self) -> None:
        for octets, kind in (
            (ACCEPT_OCTETS, FrameKind.ACCEPT),
            (PROOF_OCTETS, FrameKind.PROOF),
            (REFUSE_OCTETS, FrameKind.REFUSE),
        ):
            self.assertEqual(decode_header(octets), Header(kind, len(octets) - 4))
            self.assertEqual(decode_header(b"xx" + octets, 2), Header(kind, len(octets) - 4))
        for length in (1, 65536, MOST_DATA):
            self.assertEqual(decode_header(data_header(length)), Header(FrameKind.DATA, length))
        self.assertEqual(data_header(0x012345), bytes.fromhex("02 012345"))

    def test_what_begins_no_frame(self) -> None:
        for octets in (
            "00000001", "02000000", "02100001", "02ffffff", "03000021", "0300001f", "01010030", "01000031", "04000023",
            "04010022", "05000001", "ffffffff", "50530100", "020000", "",
        ):  # fmt: skip
            self.assertRaises(Malformed, decode_header, bytes.fromhex(octets))
        self.assertRaises(Malformed, decode_header, PROOF_OCTETS, 33)

    def test_what_is_no_open(self) -> None:
        for octets in (b"\x53" + OPEN_OCTETS[1:], OPEN_OCTETS[:3] + b"\x02" + OPEN_OCTETS[4:], OPEN_OCTETS + b"x", b""):
            self.assertRaises(Malformed, decode_open, octets)
        self.assertRaises(UnsupportedVersion, decode_open, OPEN_OCTETS[:2] + b"\x02" + OPEN_OCTETS[3:])

    def test_frames_are_as_long_as_they_are(self) -> None:
        decoders: tuple[tuple[Callable[[bytes], object], bytes], ...] = (
            (decode_open, OPEN_OCTETS),
            (decode_accept, ACCEPT_OCTETS),
            (decode_refuse, REFUSE_OCTETS),
            (decode_proof, PROOF_OCTETS),
        )
        for decode, octets in decoders:
            for wrong in (octets[:-1], octets + b"\0", octets[:3], b""):
                self.assertRaises(Malformed, decode, wrong)
        for decode, _ in decoders[1:]:
            for other in (ACCEPT_OCTETS, REFUSE_OCTETS, PROOF_OCTETS):
                if decoders[[d for d, _ in decoders].index(decode)][1] != other:
                    self.assertRaises(Malformed, decode, other)

    @FEW
    @given(st.binary(max_size=80))
    def test_decoders_are_total(self, octets: bytes) -> None:
        for decode in (decode_open, decode_accept, decode_refuse, decode_proof, decode_header):
            for prefix in (b"", OPEN_OCTETS[:3], ACCEPT_OCTETS[:4], REFUSE_OCTETS[:4], PROOF_OCTETS[:4]):
                with contextlib.suppress(Malformed, UnsupportedVersion):
                    decode(prefix + octets)

    def test_values_that_do_not_fit(self) -> None:
        for encode, value in (
            (encode_open, OpenFrame(Hop.MN_FA, 1, 1, NONCE[1:])),
            (encode_open, OpenFrame(Hop.MN_FA, 1, 1 << 64, NONCE)),
            (encode_accept, AcceptFrame(NONCE, MAC + b"x")),
            (encode_refuse, RefuseFrame(1 << 16)),
            (encode_proof, ProofFrame(0, 0, MAC)),
            (encode_proof, ProofFrame(1 << 64, 0, TAG)),
            (encode_proof, ProofFrame(0, -1, TAG)),
        ):
            self.assertRaises(ApiMisuse, encode, value)
        for length in (0, MOST_DATA + 1, -1):
            self.assertRaises(ApiMisuse, data_header, length)
