"""Bodies of messages and of STATE, as octets of docs/messages.md and as values."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.errors import ApiMisuse, Malformed
from seckex.wire.bodies import (
    Ask,
    Dead,
    End,
    Frame,
    Held,
    Processed,
    Received,
    Skip,
    decode_frames,
    encode_frames,
    pack_messages,
    pack_start,
    padded,
    unpack_messages,
    unpack_start,
)
from seckex.wire.numbers import MAX_BODY, MOST_JOINED
from tests.wire.messages import FRAMES, UNKNOWN_FRAME, any_frames, joined, types
from tests.wire.samples import FEW, faults_of, mutated, u64

ORDER = ("order", 1_790_000_000_000_000, b"a payload of 30 octets, or so.")
TWO_OCTETS = (
    bytes.fromhex("0000001e 00065bfeda25e000 05")
    + b"order"
    + ORDER[2]
    + bytes.fromhex("00000001 0000000000000000 00 78")
)
FRAMES_OCTETS = bytes.fromhex(
    "01 0020 0000000000000003 0000000000000003 0000000000000005 0000000000000009"
    "02 0008 0000000000000002"
    "03 0018 0000000000000001 0086 63616e6e6f742062652072656164"
    "04 0004 00400000"
    "05 0010 48484848484848484848484848484848"
    "07 000a 0000000000000004 0011"
    "08 0010 0000000000000009 000000000000000c"
    "09 0000"
    "0a 000a 000000000000001e 0000"
    "0b 0008 000000000000001e"
    "0c 0000"
    "0d 0008 000000006ab13b80"
    "0e 0008 0000000000000002"
)


class MessagesTests(SynchronousTestCase):
    def test_messages_have_the_octets_of_the_document(self) -> None:
        self.assertEqual(pack_messages([ORDER, ("", 0, b"x")]), TWO_OCTETS)
        self.assertEqual(unpack_messages(TWO_OCTETS, 2), [ORDER, ("", 0, b"x")])

    @FEW
    @given(joined)
    def test_any_messages(self, messages: list[tuple[str, int, bytes]]) -> None:
        self.assertEqual(unpack_messages(pack_messages(messages), len(messages)), messages)

    def test_a_short_body_has_zeros_behind_it(self) -> None:
        for size in range(30):
            body = pack_messages([("", 0, b"x" * size)])
            self.assertEqual(len(body), max(32, 13 + size))
            self.assertEqual(unpack_messages(body, 1), [("", 0, b"x" * size)])

    def test_and_no_other_has(self) -> None:
        short, long = pack_messages([("", 0, b"x" * 18)]), pack_messages([("", 0, b"x" * 19)])
        for body in (short[:31] + b"\1", short + b"\0", long + b"\0", TWO_OCTETS + bytes(14)):
            count = 2 if body.startswith(TWO_OCTETS) else 1
            self.assertEqual(self.assertRaises(Malformed, unpack_messages, body, count).field, "body")

    def test_with_another_count_a_body_is_malformed(self) -> None:
        for count in (0, 1, 3, MOST_JOINED):
            self.assertRaises(Malformed, unpack_messages, TWO_OCTETS, count)

    def test_cut_anywhere_too(self) -> None:
        for size in range(len(TWO_OCTETS)):
            self.assertRaises(Malformed, unpack_messages, TWO_OCTETS[:size], 2)

    def test_lengths_and_types_that_cannot_be(self) -> None:
        for at, value, field in (
            (0, "0000001f", "Length"),
            (0, "ffffffff", "Length"),
            (12, "ff", "Length"),
            (13, "20", "type"),
            (13, "7f", "type"),
            (13, "c3", "type"),
        ):
            new = bytes.fromhex(value)
            octets = TWO_OCTETS[:at] + new + TWO_OCTETS[at + len(new) :]
            self.assertEqual(self.assertRaises(Malformed, unpack_messages, octets, 2).field, field)
        body = pack_messages([("t" * 64, 0, b"payload")])
        longer = b"\0\0\0\x06" + body[4:12] + b"\x41" + body[13:]
        self.assertEqual(self.assertRaises(Malformed, unpack_messages, longer, 1).field, "type")

    @FEW
    @given(mutated(st.just(TWO_OCTETS)), st.integers(0, 4))
    def test_what_is_altered_is_read_or_refused(self, octets: bytes, count: int) -> None:
        messages = faults_of(lambda body: unpack_messages(body, count), octets)
        if messages:
            self.assertEqual(pack_messages(messages), octets)

    def test_what_would_not_be_read_is_not_written(self) -> None:
        for messages in (
            [],
            [("", 0, b"")] * (MOST_JOINED + 1),
            [("", 0, bytes(MAX_BODY))],
            [("t" * 65, 0, b"")],
            [("two words", 0, b"")],
            [("ä", 0, b"")],
            [("", -1, b"")],
            [("", 1 << 64, b"")],
        ):
            self.assertRaises(ApiMisuse, pack_messages, messages)

    def test_as_many_as_may_be_joined(self) -> None:
        messages = [("", 0, b"")] * MOST_JOINED
        self.assertEqual(unpack_messages(pack_messages(messages), MOST_JOINED), messages)

    def test_padding(self) -> None:
        self.assertEqual(padded(b"x"), b"x" + bytes(31))
        self.assertEqual(padded(b"x" * 33), b"x" * 33)


class StartTests(SynchronousTestCase):
    def test_fragment_0_begins_with_the_octets_of_the_document(self) -> None:
        octets = bytes.fromhex("0000000100000000 0000000000000007 04") + b"file"
        self.assertEqual(pack_start(1 << 32, 7, "file"), octets)
        self.assertEqual(unpack_start(octets + b"payload"), (1 << 32, 7, "file", 21))
        for size in range(len(octets)):
            self.assertRaises(Malformed, unpack_start, octets[:size])
        self.assertRaises(Malformed, unpack_start, octets[:16] + b"\x04a\nb.")

    @FEW
    @given(u64, u64, types)
    def test_any(self, size: int, expires: int, name: str) -> None:
        octets = pack_start(size, expires, name)
        self.assertEqual(unpack_start(octets + b"x"), (size, expires, name, len(octets)))


class FramesTests(SynchronousTestCase):
    def test_frames_have_the_octets_of_the_document(self) -> None:
        self.assertEqual(encode_frames(FRAMES), FRAMES_OCTETS)
        self.assertEqual(decode_frames(FRAMES_OCTETS), FRAMES)

    @FEW
    @given(any_frames)
    def test_any_frames(self, frames: tuple[Frame, ...]) -> None:
        body = encode_frames(frames)
        self.assertGreaterEqual(len(body), 32)
        self.assertEqual(decode_frames(body), frames)

    def test_few_frames_are_padded(self) -> None:
        self.assertEqual(encode_frames(()), b"\0\0\x1d" + bytes(29))
        self.assertEqual(encode_frames((Ask(),)), b"\x09\0\0\0\0\x1a" + bytes(26))
        for count in range(12):
            body = encode_frames((Ask(),) * count)
            self.assertGreaterEqual(len(body), 32)
            self.assertEqual(decode_frames(body), (Ask(),) * count)

    def test_frames_that_are_not_known_are_passed_over(self) -> None:
        for kind in (6, UNKNOWN_FRAME, 255):
            unknown = bytes((kind,)) + b"\0\x02??"
            self.assertEqual(decode_frames(unknown + FRAMES_OCTETS + unknown), FRAMES)

    def test_cut_anywhere_they_are_malformed_or_fewer(self) -> None:
        for size in range(len(FRAMES_OCTETS)):
            found = faults_of(decode_frames, FRAMES_OCTETS[:size])
            if found is not None:
                self.assertEqual(found, FRAMES[: len(found)])
                self.assertLess(len(found), len(FRAMES))

    def test_every_length_of_every_frame_must_be_right(self) -> None:
        at = 0
        for frame in FRAMES:
            right = int.from_bytes(FRAMES_OCTETS[at + 1 : at + 3], "big")
            if not isinstance(frame, Dead | End | Received):
                for length in {*range(40)} - {right}:
                    body = FRAMES_OCTETS[at : at + 1] + length.to_bytes(2, "big") + bytes(7) + b"\1" * (length - 7)
                    self.assertRaises(Malformed, decode_frames, body[: 3 + length])
            at += 3 + right

    def test_values_that_cannot_be(self) -> None:
        for body, field in (
            ("00 0001 01", "PADDING"),
            ("01 0008 0000000000000001", "RECEIVED"),
            ("01 0010 0000000000000000 0000000000000001", "RECEIVED"),
            ("01 0010 0000000000000002 0000000000000001", "RECEIVED"),
            ("01 0020 0000000000000001 0000000000000002 0000000000000002 0000000000000003", "RECEIVED"),
            ("08 0010 0000000000000002 0000000000000002", "SKIP"),
            ("03 000b 0000000000000001 0086 ff", "text"),
            ("0a 0009 0000000000000001 00", "Code"),
        ):
            self.assertEqual(self.assertRaises(Malformed, decode_frames, bytes.fromhex(body)).field, field)
        self.assertRaises(Malformed, decode_frames, b"\x01" + (33 * 16).to_bytes(2, "big") + bytes(33 * 16))
        long = b"\x03" + (10 + 513).to_bytes(2, "big") + bytes(10) + b"x" * 513
        self.assertEqual(self.assertRaises(Malformed, decode_frames, long).field, "text")

    def test_what_would_not_be_read_is_not_written(self) -> None:
        for frame in (
            Received(((0, 1),)),
            Received(((2, 1),)),
            Received(((1, 2), (2, 3))),
            Received(tuple((2 * one + 1, 2 * one + 1) for one in range(33))),
            Skip(3, 3),
            Held(b"short"),
            Processed(1 << 64),
            Dead(1, 1 << 16),
        ):
            self.assertRaises(ApiMisuse, encode_frames, (frame,))
        self.assertRaises(ApiMisuse, encode_frames, (Dead(1, 134, "x" * 512),) * 200)

    def test_text_that_is_too_long_is_cut_between_characters(self) -> None:
        self.assertEqual(decode_frames(encode_frames((End(1, 2, "x" + "ä" * 512),))), (End(1, 2, "x" + "ä" * 255),))

    @FEW
    @given(mutated(st.just(FRAMES_OCTETS)))
    def test_what_is_altered_is_read_or_refused(self, octets: bytes) -> None:
        frames = faults_of(decode_frames, octets)
        if frames is not None and all(octet for octet in octets):
            self.assertEqual(decode_frames(encode_frames(frames)), frames)
