"""Sealing and opening the bodies of envelopes: the hot path of messages.

The style of the house is waived here: counters are mutable, one precompiled struct writes what the MIC covers, each
key has one AEAD, and an envelope of the short shape is opened straight from its octets. Bodies of a dialog often have
one length in a row, so a struct for that length cuts and joins all parts at once. What these classes write and accept
is what the plain codec of `seckex.wire.envelope` does; a property test holds them to it.

A sealer never uses a counter twice, and counters have 32 bits: there are no more than `MOST_ENVELOPES` under a key.
Other keys come long before that (docs/messages.md, section 10). An opener takes each counter once, in a window; in
order that costs one comparison. Nothing of an opener changes before an envelope has verified.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final

from seckex.crypto.envelope import BodyKey
from seckex.crypto.suites import InvalidTag, new_aead
from seckex.errors import ApiMisuse, AuthenticationFailed, Malformed
from seckex.wire.dialog import PREAMBLE_SIZE
from seckex.wire.envelope import Envelope, decode_envelope, encode_preamble
from seckex.wire.envelope_headers import DIALOG_HEADER_SIZE, HEADER_START
from seckex.wire.envelope_pair import PROOF_SIZES, encode_proof
from seckex.wire.numbers import (
    MAGIC,
    MAX_BODY,
    MIN_BODY,
    MOST_JOINED,
    VERSION,
    MessageKind,
    PairAlgorithm,
    RecordFlag,
)

#: How many counters an opener still takes, from the highest down: docs/messages.md, section 3.
WINDOW: Final = 1024
MOST_ENVELOPES: Final = 1 << 32

_HEADERS: Final = PREAMBLE_SIZE + DIALOG_HEADER_SIZE
_FRAGMENT: Final = MessageKind.FRAGMENT.value
_WHOLE: Final = int(RecordFlag.SERVICE_PAIR | RecordFlag.KEK | RecordFlag.SESSION_KEY)
_FULL_FLAG: Final = int(RecordFlag.FULL)
_FRAGMENT_FLAG: Final = int(RecordFlag.FRAGMENT)
_ROUTING_FLAG: Final = int(RecordFlag.ROUTING)

# The first 8 octets, up to the header length, are the same in all short envelopes of a direction that have no
# fragments, and in all that have.
_START: Final = struct.Struct(">HBBHH")
# What the MIC covers in the short shape: preamble up to the MIC, dialog header. A counter of 33 bits does not fit.
_covered: Final = struct.Struct(">8sIQI4xI16sBxHHHQQ").pack
_dialog_header: Final = struct.Struct(">16sBxHHHQQ").pack
_nonce: Final = struct.Struct(">4sQ").pack
# What an opener looks at, with the MIC between: start, body length, context, counter, dialog id, kind with count,
# fragment with fragments, sequence. A sequence of 64 bits seems negative, and is looked at again.
_looked_at: Final = struct.Struct(">8sI8xIQ16x16sIIq8x").unpack_from
_FEWEST: Final = (MessageKind.MESSAGES << 24) + 1
_MOST: Final = (MessageKind.MESSAGES << 24) + MOST_JOINED
_ALL: Final = (1 << WINDOW) - 1


def _start(key: BodyKey, flags: int) -> bytes:
    return _START.pack(MAGIC, VERSION, key.suite, flags, DIALOG_HEADER_SIZE)


def _parts(length: int) -> struct.Struct:
    """Return the parts of a short envelope: preamble, MIC, dialog header, body."""
    return struct.Struct(f"32s16s40s{length}s")


class BodySealer:
    """Seals what one direction of a dialog says under one key.

    ``clock_ns`` gives nanoseconds since 1970. ``counter`` is that of the next envelope. What does not fit its field, a
    body of less than 32 or more than 65,536 octets, and the envelope after `MOST_ENVELOPES` raise `ApiMisuse`.
    """

    __slots__ = (
        "_back",
        "_clock",
        "_context",
        "_dialog_id",
        "_encrypt",
        "_join",
        "_length",
        "_octets",
        "_prefix",
        "_since",
        "_start",
        "_start_of_fragment",
        "_suite",
        "counter",
    )

    def __init__(self, key: BodyKey, dialog_id: bytes, back: bool, clock_ns: Callable[[], int]) -> None:
        self._encrypt = new_aead(key.suite, key.key.octets).encrypt
        self._prefix = key.prefix
        self._context = key.context
        self._suite = key.suite
        self._dialog_id = dialog_id
        self._back = int(RecordFlag.FROM_RESPONDER) if back else 0
        self._start = _start(key, self._back)
        self._start_of_fragment = _start(key, self._back | _FRAGMENT_FLAG)
        self._clock = clock_ns
        self.counter = 0
        # Of all envelopes before the one with this counter; those since have one length.
        self._octets = self._since = self._length = 0
        self._fit(MIN_BODY)

    def __repr__(self) -> str:
        return f"<BodySealer before {self.counter}>"

    @property
    def octets(self) -> int:
        """Octets of all bodies that were sealed."""
        return self._octets + (self.counter - self._since) * self._length

    def seal(
        self,
        kind: int,
        count: int,
        fragment: int,
        fragments: int,
        sequence: int,
        acknowledged: int,
        body: bytes,
        headers: bytes = b"",
        flags: int = 0,
        salt: bytes = b"",
        routing: bytes = b"",
    ) -> bytes:
        """Return an envelope: of the short shape without ``salt``, otherwise with salt, ``headers`` and ``routing``.

        ``headers`` are those behind the dialog header, ``flags`` say which they are; ``routing`` is the routing
        header.
        """
        length = len(body)
        if length != self._length:
            self._fit(length)
        if salt:
            dialog = self._dialog(kind, count, fragment, fragments, sequence, acknowledged)
            size = len(routing) + len(dialog) + len(headers)
            preamble = self._preamble(kind, flags, size, length, salt, routing)
            return self._seal(preamble, routing, dialog + headers, body)
        counter = self.counter
        try:
            covered = _covered(
                self._start if kind != _FRAGMENT else self._start_of_fragment,
                length,
                self._clock() // 1000,
                self._context,
                counter,
                self._dialog_id,
                kind,
                count,
                fragment,
                fragments,
                sequence,
                acknowledged,
            )
        except struct.error:
            raise self._misuse() from None
        self.counter = counter + 1
        sealed = self._encrypt(_nonce(self._prefix, counter), body, covered)
        # The struct takes of each only as much as belongs there.
        return self._join(covered, sealed[length:], covered[32:], sealed)

    def seal_proven(
        self,
        kind: int,
        count: int,
        fragment: int,
        fragments: int,
        sequence: int,
        acknowledged: int,
        body: bytes,
        salt: bytes,
        pair_unsigned: bytes,
        algorithm: PairAlgorithm,
        headers: bytes,
        prove: Callable[[bytes], bytes],
        routing: bytes = b"",
    ) -> bytes:
        """Return an envelope of the whole shape: ``prove`` is given what is signed and returns the proof.

        ``pair_unsigned`` is the service pair header up to its proof, ``headers`` are the two behind it.
        """
        self._fit(len(body))
        dialog = self._dialog(kind, count, fragment, fragments, sequence, acknowledged)
        size = len(routing) + len(dialog) + len(pair_unsigned) + 1 + PROOF_SIZES[algorithm] + len(headers)
        preamble = self._preamble(kind, _WHOLE, size, len(body), salt, routing)
        proof = encode_proof(algorithm, prove(b"".join((preamble, dialog, pair_unsigned, headers))))
        return self._seal(preamble, routing, b"".join((dialog, pair_unsigned, proof, headers)), body)

    def _fit(self, length: int) -> None:
        if not MIN_BODY <= length <= MAX_BODY:
            raise ApiMisuse(f"a body of {length} octets where {MIN_BODY} to {MAX_BODY} are allowed")
        self._octets, self._since = self.octets, self.counter
        self._join = _parts(length).pack
        self._length = length

    def _dialog(self, *fields: int) -> bytes:
        try:
            return _dialog_header(self._dialog_id, *fields)
        except struct.error:
            raise self._misuse() from None

    def _misuse(self) -> ApiMisuse:
        if self.counter >= MOST_ENVELOPES:
            return ApiMisuse(f"no more than {MOST_ENVELOPES} envelopes are sealed under one key")
        return ApiMisuse("a field of the dialog header does not fit")

    def _preamble(self, kind: int, flags: int, headers: int, length: int, salt: bytes, routing: bytes) -> bytes:
        if self.counter >= MOST_ENVELOPES:
            raise self._misuse()
        flags |= self._back | _FULL_FLAG
        if kind == _FRAGMENT:
            flags |= _FRAGMENT_FLAG
        if routing:
            flags |= _ROUTING_FLAG
        created = self._clock() // 1000
        return encode_preamble(self._suite, flags, headers, length, created, self.counter, salt=salt)

    def _seal(self, preamble: bytes, routing: bytes, headers: bytes, body: bytes) -> bytes:
        counter, length = self.counter, len(body)
        self.counter = counter + 1
        covered = preamble + routing[:HEADER_START] + headers
        sealed = self._encrypt(_nonce(self._prefix, counter), body, covered)
        return b"".join((preamble, sealed[length:], routing, headers, sealed[:length]))


class BodyOpener:
    """Opens what one direction of a dialog says under one key; ``counter`` is one more than the highest taken."""

    __slots__ = (
        "_back",
        "_context",
        "_cut",
        "_decrypt",
        "_dialog_id",
        "_length",
        "_missing",
        "_prefix",
        "_start",
        "_suite",
        "counter",
    )

    def __init__(self, key: BodyKey, dialog_id: bytes, back: bool) -> None:
        self._decrypt = new_aead(key.suite, key.key.octets).decrypt
        self._prefix = key.prefix
        self._context = key.context
        self._suite = key.suite
        self._dialog_id = dialog_id
        self._back = back
        self._start = _start(key, RecordFlag.FROM_RESPONDER if back else 0)
        self._cut: Callable[[bytes], tuple[Any, ...]] = _parts(MIN_BODY).unpack
        self._length = MIN_BODY
        # Bit n: the counter that is n below the highest has not come.
        self._missing = 0
        self.counter = 0

    def __repr__(self) -> str:
        return f"<BodyOpener before {self.counter}>"

    def open(self, octets: bytes) -> bytes:
        """Return the body of an envelope, whatever its shape.

        Raises what `seckex.wire.envelope.decode_envelope` and `open_decoded` raise.
        """
        length = len(octets) - _HEADERS
        if length != self._length:
            if not MIN_BODY <= length <= MAX_BODY:
                return self.open_decoded(decode_envelope(octets))
            self._length = length
            self._cut = _parts(length).unpack
        start, said, context, counter, dialog_id, word, parts, sequence = _looked_at(octets)
        if (
            start != self._start
            or counter != self.counter
            or context != self._context
            or said != length
            or dialog_id != self._dialog_id
            or not _FEWEST <= word <= _MOST
            or parts
            or sequence < 1
        ):
            return self.open_decoded(decode_envelope(octets))
        preamble, mic, dialog, sealed = self._cut(octets)
        try:
            body = self._decrypt(_nonce(self._prefix, counter), sealed + mic, preamble + dialog)
        except InvalidTag:
            raise AuthenticationFailed("the integrity check of an envelope failed") from None
        self.counter = counter + 1
        if self._missing:
            self._missing = self._missing << 1 & _ALL
        return body

    def open_decoded(self, envelope: Envelope) -> bytes:
        """Return the body of an envelope that was read.

        Raises `Malformed` where it is not of this dialog, direction, suite and context, and `AuthenticationFailed`
        where it does not verify, or its counter was taken before or is below the window.
        """
        if envelope.dialog.dialog_id != self._dialog_id:
            raise Malformed("Dialog id", PREAMBLE_SIZE, "is not that of this key")
        if envelope.back != self._back:
            raise Malformed("Flags", 4, "are those of the other direction")
        if envelope.suite is not self._suite:
            raise Malformed("Suite", 3, "is not that of this key")
        if not envelope.salt and envelope.context != self._context:
            raise Malformed("Context", 20, "is not that of this key")
        counter = envelope.counter
        missing = self._missing_after(counter)
        try:
            body = self._decrypt(_nonce(self._prefix, counter), envelope.body + envelope.mic, envelope.associated)
        except InvalidTag:
            raise AuthenticationFailed("the integrity check of an envelope failed") from None
        self._missing = missing
        self.counter = max(self.counter, counter + 1)
        return body

    def _missing_after(self, counter: int) -> int:
        """Return which counters are missing when this one has come; raises `AuthenticationFailed` if it may have."""
        ahead = counter - self.counter
        if ahead >= 0:
            # All that are skipped are missing; how many beyond the window does not matter.
            skipped = min(ahead, WINDOW)
            return (self._missing << (skipped + 1) | ((1 << skipped) - 1) << 1) & _ALL
        behind = -ahead - 1
        if not self._missing >> behind & 1:
            raise AuthenticationFailed("an envelope came again")
        return self._missing & ~(1 << behind)
