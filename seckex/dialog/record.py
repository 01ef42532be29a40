"""Sealing and opening the records of an open link: the hot path.

The style of the house is waived here: counters are mutable, one precompiled
struct writes preamble and headers, each link keeps one AEAD for each direction,
and records are sealed into, and opened in, the one buffer that the socket sends
from and receives into. A record carries its MIC before the body where an AEAD
wants it behind: sealing lets the tag fall behind the body, where the next
record will overwrite it, and copies it to its place; opening a large record
puts the MIC behind the body for as long as the AEAD looks at it, then puts back
what stood there. So a body is never copied but by the AEAD itself, and a record
that comes in pieces is whole when its last piece is.

What these classes write and accept is what the plain codec of
`seckex.wire.dialog` and `seckex.dialog.plain` do; a property test holds them to
it. Buffers grow with what passes through them, up to `LARGEST_INBOX` and to
what a caller lets wait in an outbox, and then stay.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from seckex.crypto.schedule import RecordKey
from seckex.crypto.suites import TAG_SIZE, InvalidTag, new_aead
from seckex.errors import AuthenticationFailed, Malformed
from seckex.wire.dialog import DIALOG_HEADER_SIZE, PREAMBLE_SIZE, record_size
from seckex.wire.numbers import MAGIC, MAX_BODY, VERSION, RecordFlag, RecordType, Suite

HEADERS: Final = PREAMBLE_SIZE + DIALOG_HEADER_SIZE
LARGEST_RECORD: Final = HEADERS + MAX_BODY
DATA_WORD: Final = RecordType.DATA << 24
SMALLEST_BUFFER: Final = 2048
LARGEST_INBOX: Final = 8 * 65536 + LARGEST_RECORD

# Below this a body is copied to be joined with its MIC: cheaper than making room for the MIC behind it.
_LARGE: Final = 4096

# Preamble and dialog header, without the MIC as the AEAD sees them, and with it as they travel.
# The first 8 octets, up to the header length, are those of the link.
_COVERED: Final = struct.Struct(">8sIQIQIIQ")
_HEADERS: Final = struct.Struct(">8sIQIQ16sIIQ")
_START: Final = struct.Struct(">HBBHH")
_NONCE: Final = struct.Struct(">4sQ")

Octets: TypeAlias = bytes | bytearray | memoryview


class Outbox:
    """Octets that wait for the transport: those of ``buffer`` from ``start`` to ``end``.

    There is always room for one tag behind ``end``.
    """

    __slots__ = ("buffer", "end", "size", "start", "view")

    def __init__(self) -> None:
        self._replace(bytearray(SMALLEST_BUFFER))
        self.start = self.end = 0

    def _replace(self, buffer: bytearray) -> None:
        self.buffer = buffer
        self.view = memoryview(buffer)
        self.size = len(buffer)

    def __len__(self) -> int:
        return self.end - self.start

    def make_room(self, count: int) -> None:
        """Make room for ``count`` octets and a tag behind ``end``, by moving or growing."""
        waiting = bytes(self.view[self.start : self.end])
        needed = len(waiting) + count + TAG_SIZE
        if needed > self.size:
            self._replace(bytearray(max(needed, 2 * self.size)))
        self.view[: len(waiting)] = waiting
        self.start, self.end = 0, len(waiting)

    def append(self, octets: bytes) -> None:
        """Add octets as they are."""
        if self.end + len(octets) + TAG_SIZE > self.size:
            self.make_room(len(octets))
        end = self.end + len(octets)
        self.view[self.end : end] = octets
        self.end = end

    def pending(self) -> memoryview:
        """Return what waits; it is valid until the outbox is touched again."""
        return self.view[self.start : self.end]

    def sent(self, count: int) -> None:
        """Take away the first ``count`` octets, which the transport has taken."""
        self.start += count
        if self.start == self.end:
            self.start = self.end = 0


class Inbox:
    """Octets that have come and are not used up: those of ``buffer`` from ``start`` to ``end``.

    There is always room for one tag behind ``end``.
    """

    __slots__ = ("_largest", "_size", "_whole", "buffer", "end", "start", "view")

    def __init__(self) -> None:
        self._largest = SMALLEST_BUFFER
        self._replace(bytearray(SMALLEST_BUFFER))
        self.start = self.end = 0

    def _replace(self, buffer: bytearray) -> None:
        self.buffer = buffer
        self.view = memoryview(buffer)
        self._size = len(buffer)
        self._whole = self.view[: self._size - TAG_SIZE]

    def widen(self) -> None:
        """Let the buffer grow from now on: the peer has proved who it is."""
        self._largest = LARGEST_INBOX

    def space(self) -> memoryview:
        """Return where what comes next is to be put; it is valid until the inbox is touched again.

        A buffer that the last read filled is doubled first.
        """
        start, end, size = self.start, self.end, self._size
        if start == end and end < size - TAG_SIZE:
            self.start = self.end = 0
            return self._whole
        kept = end - start
        if end + TAG_SIZE == size and size < self._largest:
            waiting = bytes(self.view[start:end])
            self._replace(bytearray(min(2 * size, self._largest)))
            self.view[:kept] = waiting
        elif kept and start:
            self.view[:kept] = self.view[start:end]
        self.start, self.end = 0, kept
        return self.view[kept : self._size - TAG_SIZE]

    def pending(self) -> memoryview:
        """Return what is not used up."""
        return self.view[self.start : self.end]


class Sealer:
    """Seals the records of one direction of one link into ``outbox``.

    ``clock`` gives nanoseconds since 1970. ``counter`` is that of the next
    record; the caller must see to it that it stays below 2^64. ``octets``
    counts those of bodies.
    """

    __slots__ = ("_clock", "_context", "_encrypt_into", "_outbox", "_prefix", "_start", "counter", "octets")

    def __init__(
        self, key: RecordKey, context: int, from_responder: bool, clock: Callable[[], int], outbox: Outbox
    ) -> None:
        self._encrypt_into = new_aead(key.suite, key.key.octets).encrypt_into
        self._prefix = key.prefix
        self._context = context
        self._start = _start(key.suite, from_responder)
        self._clock = clock
        self._outbox = outbox
        self.counter = 0
        self.octets = 0

    def seal(self, dialog: int, kind_word: int, sequence: int, body: Octets) -> None:
        """Seal one record; ``kind_word`` is the type with 24 zero bits behind it."""
        outbox = self._outbox
        length = len(body)
        if outbox.end + length + 80 > outbox.size:
            outbox.make_room(HEADERS + length)
        at = outbox.end
        end = at + HEADERS + length
        start, context, counter = self._start, self._context, self.counter
        created = self._clock() // 1000
        covered = _COVERED.pack(start, length, created, context, counter, dialog, kind_word, sequence)
        nonce = _NONCE.pack(self._prefix, counter)
        self._encrypt_into(nonce, body, covered, outbox.view[at + HEADERS : end + TAG_SIZE])
        buffer = outbox.buffer
        mic = buffer[end : end + TAG_SIZE]
        _HEADERS.pack_into(buffer, at, start, length, created, context, counter, mic, dialog, kind_word, sequence)
        outbox.end = end
        self.counter = counter + 1
        self.octets += length


class Opener:
    """Opens the records of one direction of one link out of ``inbox``.

    ``largest_body`` bounds the bodies; a record that announces more is refused
    before it has come. ``counter`` is that of the next record, ``octets`` counts
    those of bodies.
    """

    __slots__ = (
        "_context",
        "_decrypt",
        "_inbox",
        "_prefix",
        "_start",
        "_stopped",
        "counter",
        "largest_body",
        "octets",
    )

    def __init__(self, key: RecordKey, context: int, from_responder: bool, inbox: Inbox, largest_body: int) -> None:
        self._decrypt = new_aead(key.suite, key.key.octets).decrypt
        self._prefix = key.prefix
        self._context = context
        self._start = _start(key.suite, from_responder)
        self._inbox = inbox
        self.largest_body = largest_body
        self.counter = 0
        self.octets = 0
        self._stopped = False

    def open_all(
        self,
        takers: Mapping[int, Callable[[int, bytes], None]],
        other: Callable[[int, int, int, bytes], None],
    ) -> None:
        """Open every record that is whole, and hand on what it holds.

        DATA goes to ``takers[dialog](sequence, plaintext)``, whatever has no
        taker to ``other(dialog, kind word, sequence, plaintext)``. Ends early
        when `stop` is called meanwhile. Raises `Malformed`,
        `UnsupportedVersion` and `AuthenticationFailed`, and what the takers
        raise; the link must then be ended, since the stream cannot be followed.
        """
        inbox = self._inbox
        buffer, at, end = inbox.buffer, inbox.start, inbox.end
        while end - at >= HEADERS and not self._stopped:
            fields = _HEADERS.unpack_from(buffer, at)
            start, length, created, context, counter, mic, dialog, kind_word, sequence = fields
            if (
                start != self._start
                or counter != self.counter
                or context != self._context
                or length > self.largest_body
            ):
                raise self._refusal(at, fields)
            body_at = at + HEADERS
            body_end = body_at + length
            if body_end > end:
                break
            covered = _COVERED.pack(start, length, created, context, counter, dialog, kind_word, sequence)
            nonce = _NONCE.pack(self._prefix, counter)
            try:
                if length < _LARGE:
                    body = self._decrypt(nonce, buffer[body_at:body_end] + mic, covered)
                else:
                    behind = buffer[body_end : body_end + TAG_SIZE]
                    buffer[body_end : body_end + TAG_SIZE] = mic
                    body = self._decrypt(nonce, inbox.view[body_at : body_end + TAG_SIZE], covered)
                    buffer[body_end : body_end + TAG_SIZE] = behind
            except InvalidTag:
                raise AuthenticationFailed("the integrity check of a record failed") from None
            inbox.start = at = body_end
            self.counter = counter + 1
            self.octets += length
            if kind_word == DATA_WORD and length and dialog in takers:
                takers[dialog](sequence, body)
            else:
                other(dialog, kind_word, sequence, body)

    def stop(self) -> None:
        """Open no more."""
        self._stopped = True

    def _refusal(self, at: int, fields: tuple[bytes, int, int, int, int, bytes, int, int, int]) -> Malformed:
        record_size(self._inbox.view[at : at + HEADERS])
        start, length, _, context, counter = fields[:5]
        if start[:4] != self._start[:4]:
            return Malformed("Suite", 3, "is not that of this link")
        if start != self._start:
            return Malformed("Flags", 4, "are not those of this link, or the record is not sealed")
        if context != self._context:
            return Malformed("Context", 20, "is not that of this link")
        if counter != self.counter:
            return Malformed("Counter", 24, f"{counter} is not the next")
        return Malformed("Body length", 8, f"{length} where {self.largest_body} are allowed")


def _start(suite: Suite, from_responder: bool) -> bytes:
    flags = RecordFlag.STREAM | (RecordFlag.FROM_RESPONDER if from_responder else 0)
    return _START.pack(MAGIC, VERSION, suite, flags, DIALOG_HEADER_SIZE)
