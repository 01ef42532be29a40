"""A cursor over octets that cannot be misread, and its counterpart for writing.

Every length field opens a sub-reader over exactly that many octets, which must
end empty; a field that is missing, too long or left over raises `Malformed`
with the name of the field and its offset in the outermost message. Nothing is
copied until a caller asks for octets, and nothing is allocated by a length that
the input does not have.
"""

from __future__ import annotations

import struct
from typing import Any, Final

from seckex.errors import ApiMisuse, Malformed

_U16: Final = struct.Struct(">H")
_U32: Final = struct.Struct(">I")
_U64: Final = struct.Struct(">Q")


class Reader:
    """Reads big-endian fields from ``octets[start:end]``; raises `Malformed`.

    ``base`` is where ``octets`` begin in the outermost message: it is added to
    the offsets of errors, while ``offset`` stays an index into ``octets``.
    """

    __slots__ = ("_end", "_octets", "base", "offset")

    def __init__(self, octets: bytes, start: int = 0, end: int | None = None, base: int = 0) -> None:
        self._octets = octets
        self.offset = start
        self._end = len(octets) if end is None else end
        self.base = base

    @property
    def remaining(self) -> int:
        """Octets that have not been read."""
        return self._end - self.offset

    def _advance(self, count: int, field: str) -> int:
        start = self.offset
        if count > self._end - start:
            raise self._short(count, field)
        self.offset = start + count
        return start

    def _short(self, count: int, field: str) -> Malformed:
        return self.fail(field, f"needs {count} octets, {self._end - self.offset} are left")

    def u8(self, field: str) -> int:
        """Read 8 bits."""
        return self._octets[self._advance(1, field)]

    def u16(self, field: str) -> int:
        """Read 16 bits."""
        value: int = _U16.unpack_from(self._octets, self._advance(2, field))[0]
        return value

    def u32(self, field: str) -> int:
        """Read 32 bits."""
        value: int = _U32.unpack_from(self._octets, self._advance(4, field))[0]
        return value

    def u64(self, field: str) -> int:
        """Read 64 bits."""
        value: int = _U64.unpack_from(self._octets, self._advance(8, field))[0]
        return value

    def unpack(self, fields: struct.Struct, field: str) -> tuple[Any, ...]:
        """Read several fields of fixed size at once; ``field`` names them together."""
        # Not by way of _advance, nor is sub: these two run for every extension and payload.
        start = self.offset
        end = start + fields.size
        if end > self._end:
            raise self._short(fields.size, field)
        self.offset = end
        return fields.unpack_from(self._octets, start)

    def take(self, count: int, field: str) -> bytes:
        """Read ``count`` octets."""
        start = self._advance(count, field)
        return self._octets[start : start + count]

    def since(self, start: int) -> bytes:
        """Return again what was read from index ``start`` on."""
        return self._octets[start : self.offset]

    def rest(self) -> bytes:
        """Read all that is left."""
        start = self.offset
        self.offset = self._end
        return self._octets[start : self._end]

    def text(self, field: str) -> str:
        """Read all that is left as UTF-8."""
        start = self.offset
        try:
            return self.rest().decode()
        except UnicodeDecodeError as error:
            raise self.fail(field, "not UTF-8", start + error.start) from None

    def zeros(self, count: int, field: str) -> None:
        """Read ``count`` reserved octets, which must be zero."""
        start = self._advance(count, field)
        if self._octets.count(0, start, start + count) != count:
            raise self.fail(field, "reserved octets are not zero", start)

    def sub(self, count: int, field: str) -> Reader:
        """Open a reader over the next ``count`` octets and step over them."""
        start = self.offset
        end = start + count
        if end > self._end:
            raise self._short(count, field)
        self.offset = end
        return Reader(self._octets, start, end, self.base)

    def fail(self, field: str, why: str, offset: int | None = None) -> Malformed:
        """Return the error for a field that could be read and makes no sense.

        ``offset`` is an index into this reader's octets; without it, the error
        is at what would be read next.
        """
        return Malformed(field, self.base + (self.offset if offset is None else offset), why)

    def end(self, field: str) -> None:
        """Insist that nothing is left."""
        if self.offset != self._end:
            raise self.fail(field, f"{self._end - self.offset} octets too many")


class Writer:
    """Appends big-endian fields; raises `ApiMisuse` for a value that does not fit."""

    __slots__ = ("_octets",)

    def __init__(self) -> None:
        self._octets = bytearray()

    def __len__(self) -> int:
        return len(self._octets)

    def _pack(self, packer: struct.Struct, value: int) -> Writer:
        try:
            self._octets += packer.pack(value)
        except struct.error as error:
            raise ApiMisuse(f"{value} does not fit into {packer.size} octets") from error
        return self

    def u8(self, value: int) -> Writer:
        """Write 8 bits."""
        if not 0 <= value <= 0xFF:
            raise ApiMisuse(f"{value} does not fit into one octet")
        self._octets.append(value)
        return self

    def u16(self, value: int) -> Writer:
        """Write 16 bits."""
        return self._pack(_U16, value)

    def u32(self, value: int) -> Writer:
        """Write 32 bits."""
        return self._pack(_U32, value)

    def u64(self, value: int) -> Writer:
        """Write 64 bits."""
        return self._pack(_U64, value)

    def pack(self, fields: struct.Struct, *values: int) -> Writer:
        """Write several integers of fixed size at once."""
        try:
            self._octets += fields.pack(*values)
        except struct.error as error:
            raise ApiMisuse(f"{values} do not fit the fields {fields.format}") from error
        return self

    def raw(self, octets: bytes) -> Writer:
        """Write octets as they are."""
        self._octets += octets
        return self

    def zeros(self, count: int) -> Writer:
        """Write reserved octets or padding."""
        self._octets += bytes(count)
        return self

    def prefixed(self, octets: bytes) -> Writer:
        """Write ``octets`` behind their length in 32 bits: ``lp()`` of docs/protocol.md."""
        return self.u32(len(octets)).raw(octets)

    def octets(self) -> bytes:
        """Return all that was written."""
        return bytes(self._octets)
