"""The cursor over octets: what it reads, and where it says that reading failed."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.errors import ApiMisuse, Malformed
from seckex.wire.buffer import Reader, Writer
from tests.wire.samples import FEW, u8, u16, u32, u64

PAIR = struct.Struct(">BH")


class ReaderTests(SynchronousTestCase):
    def refused(self, reader: Reader, offset: int, field: str, call: str, *arguments: object) -> Malformed:
        error: Malformed = self.assertRaises(Malformed, getattr(reader, call), *arguments)
        self.assertEqual((error.field, error.offset), (field, offset))
        return error

    def test_fields_come_in_order_and_big_endian(self) -> None:
        reader = Reader(bytes.fromhex("01 0203 04050607 08090a0b0c0d0e0f 10 1112 aabb 0000 c3a9"))
        self.assertEqual(reader.u8("a"), 0x01)
        self.assertEqual(reader.u16("b"), 0x0203)
        self.assertEqual(reader.u32("c"), 0x04050607)
        self.assertEqual(reader.u64("d"), 0x08090A0B0C0D0E0F)
        self.assertEqual(reader.unpack(PAIR, "e"), (0x10, 0x1112))
        self.assertEqual(reader.take(2, "f"), b"\xaa\xbb")
        reader.zeros(2, "g")
        self.assertEqual(reader.remaining, 2)
        self.assertEqual(reader.text("h"), "é")
        reader.end("all")

    def test_a_field_that_is_cut_off_is_named_with_its_offset(self) -> None:
        for call in ("u16", "u32", "u64"):
            self.refused(Reader(b"\0\0\0", 2), 2, "field", call, "field")
        self.refused(Reader(b"\0\0\0", 3), 3, "field", "u8", "field")
        self.refused(Reader(b"\0\0\0", 1), 1, "field", "take", 3, "field")
        self.refused(Reader(b"\0\0\0", 1), 1, "field", "zeros", 3, "field")
        error = self.refused(Reader(b"\0\0\0", 1), 1, "pair", "unpack", PAIR, "pair")
        self.assertEqual(str(error), "pair at octet 1: needs 3 octets, 2 are left")

    def test_a_failed_read_leaves_the_cursor_where_it_was(self) -> None:
        reader = Reader(b"\x07\x08")
        self.assertRaises(Malformed, reader.u32, "long")
        self.assertRaises(Malformed, reader.unpack, PAIR, "pair")
        self.assertRaises(Malformed, reader.sub, 3, "sub")
        self.assertEqual(reader.u16("short"), 0x0708)

    def test_a_length_opens_a_reader_over_exactly_that_many_octets(self) -> None:
        reader = Reader(b"\x01\x02\x03\x04")
        inside = reader.sub(3, "inside")
        self.assertEqual((reader.remaining, inside.remaining), (1, 3))
        self.assertEqual(inside.u16("first"), 0x0102)
        self.refused(inside, 2, "second", "u16", "second")
        error = self.refused(inside, 2, "inside", "end", "inside")
        self.assertEqual(str(error), "inside at octet 2: 1 octets too many")
        self.assertEqual(inside.rest(), b"\x03")
        inside.end("inside")
        self.assertEqual(reader.u8("after"), 4)

    def test_a_length_beyond_the_end_opens_nothing(self) -> None:
        self.refused(Reader(b"\0" * 4), 0, "Length", "sub", 5, "Length")
        # A sub-reader cannot reach what its parent has and it has not.
        self.refused(Reader(b"\0" * 4).sub(2, "outer"), 0, "Length", "sub", 3, "Length")

    def test_reserved_octets_are_zero(self) -> None:
        reader = Reader(b"\1\0\0\1\0")
        reader.u8("first")
        self.refused(reader, 1, "Reserved", "zeros", 3, "Reserved")

    def test_text_that_is_not_utf8_is_refused_at_the_octet_at_fault(self) -> None:
        error = self.refused(Reader(b"\0ab\xffcd", 1), 3, "text", "text", "text")
        self.assertIsNone(error.__cause__)

    def test_base_shifts_errors_and_nothing_else(self) -> None:
        reader = Reader(b"\1\2\3\4", base=100)
        self.assertEqual(reader.u8("first"), 1)
        self.assertEqual(reader.offset, 1)
        inside = reader.sub(2, "inside")
        self.assertEqual(inside.u8("second"), 2)
        self.refused(inside, 102, "third", "u16", "third")
        self.assertEqual(inside.fail("second", "is odd", 1).offset, 101)

    @FEW
    @given(st.binary(max_size=40), st.integers(0, 50))
    def test_take_gives_what_was_asked_or_nothing(self, octets: bytes, count: int) -> None:
        reader = Reader(octets)
        if count <= len(octets):
            self.assertEqual(reader.take(count, "field") + reader.rest(), octets)
        else:
            self.refused(reader, 0, "field", "take", count, "field")


class WriterTests(SynchronousTestCase):
    @FEW
    @given(u8, u16, u32, u64, u8, u16, st.binary(max_size=40))
    def test_what_is_written_is_read(self, a: int, b: int, c: int, d: int, e: int, f: int, octets: bytes) -> None:
        writer = Writer().u8(a).u16(b).u32(c).u64(d).pack(PAIR, e, f).zeros(3).prefixed(octets).raw(b"end")
        reader = Reader(writer.octets())
        self.assertEqual(len(writer), reader.remaining)
        self.assertEqual((reader.u8("a"), reader.u16("b"), reader.u32("c"), reader.u64("d")), (a, b, c, d))
        self.assertEqual(reader.unpack(PAIR, "pair"), (e, f))
        reader.zeros(3, "zeros")
        self.assertEqual(reader.take(reader.u32("lp"), "octets"), octets)
        self.assertEqual(reader.rest(), b"end")

    def test_a_value_that_does_not_fit_is_the_callers_mistake(self) -> None:
        for call, bits in (("u8", 8), ("u16", 16), ("u32", 32), ("u64", 64)):
            for value in (-1, 1 << bits):
                writer = Writer()
                self.assertRaises(ApiMisuse, getattr(writer, call), value)
                self.assertEqual(len(writer), 0)
        self.assertRaises(ApiMisuse, Writer().pack, PAIR, 256, 0)
