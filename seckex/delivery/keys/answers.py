"""What opens the direction back of one dialog at its initiator.

The initiator knows all keys that the target may use, so nothing is learnt here but salts. They are those of one
connection: another one makes them worthless. A salt is remembered once a body has verified under it, and for as long
as its DSK is, so that nothing opens twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from seckex.crypto.envelope import NO_PATH, body_key
from seckex.delivery.keys.doorkeeper import FLAGS_AT, KINDS, SHORT, digest_of
from seckex.delivery.keys.faces import Forged, HeadersMissing, Opened
from seckex.delivery.keys.pair import Terms
from seckex.delivery.keys.rotation import Generation
from seckex.delivery.keys.sources import Kek
from seckex.delivery.record import BodyOpener
from seckex.machine import Now
from seckex.wire.envelope import Envelope, decode_envelope
from seckex.wire.envelope_headers import DialogHeader
from seckex.wire.numbers import RecordFlag, Suite

#: Salts of the target that are remembered at a time; of more the one goes that had one longest ago, and what comes
#: with a salt that is not remembered must then be newer than what that one had.
MOST_SALTS_BACK: Final = 16

_NOT_SHORT: Final = int(
    RecordFlag.FULL | RecordFlag.SERVICE_PAIR | RecordFlag.KEK | RecordFlag.SESSION_KEY | RecordFlag.ROUTING
)
_opened: Final[Any] = tuple.__new__


class _Inlet:
    """What opens one salt of the target's."""

    __slots__ = ("chain", "context", "generation", "newest", "opener", "pair", "peer", "salt")

    def __init__(self, kek: Kek, generation: Generation, salt: bytes, context: bytes, opener: BodyOpener) -> None:
        self.pair = kek.pair
        self.peer = kek.pair.target.nai
        self.chain = generation.chain
        self.generation = generation
        self.salt = salt
        self.context = context
        self.opener = opener
        self.newest = 0


class Answers:
    """See the module; ``keys_named`` returns the KEK and the DSK with an id that answers may be under now."""

    def __init__(
        self, terms: Terms, suite: Suite, keys_named: Callable[[bytes, Now], tuple[Kek, Generation] | None]
    ) -> None:
        self._dialog_id = terms.dialog_id
        self._peer = terms.peer
        self._suite = suite
        self._keys_named = keys_named
        self._path: bytes | None = None
        self._inlets: dict[bytes, _Inlet] = {}
        self._salts: dict[bytes, _Inlet] = {}
        self._floor = 0

    def open(self, octets: bytes, path: bytes, now: Now) -> Opened:
        """Open an envelope that has come on the connection ``path``.

        Raises `HeadersMissing` (which is not answered), `Forged` and other `AuthenticationFailed`, and what
        `seckex.wire.envelope.decode_envelope` raises; nothing has changed then.
        """
        inlet = self._inlets.get(octets[20:24])
        if inlet is None or octets[FLAGS_AT] & _NOT_SHORT or path != self._path:
            return self._open(octets, path, now)
        until = inlet.generation.until
        if until is not None and now.monotonic >= until:
            return self._open(octets, path, now)
        body = inlet.opener.open(octets)
        created, dialog_id, kind, _, count, fragment, fragments, sequence, acknowledged = SHORT.unpack_from(octets)
        header = DialogHeader(dialog_id, KINDS[kind], count, fragment, fragments, sequence, acknowledged)
        fields = (header, True, body, inlet.peer, inlet.pair, inlet.chain, None, created / 1e6, None)
        opened: Opened = _opened(Opened, fields)
        return opened

    def _open(self, octets: bytes, path: bytes, now: Now) -> Opened:
        envelope = decode_envelope(octets)
        if envelope.dialog.dialog_id != self._dialog_id or not envelope.back:
            raise self._forged("Dialog id, Flags", "are not of the direction back of this dialog")
        try:
            inlet = self._inlet(envelope, path, now)
        except HeadersMissing as refusal:
            refusal.digest = digest_of(octets)
            raise
        body = inlet.opener.open_decoded(envelope)
        inlet.newest = max(inlet.newest, envelope.created)
        if inlet.salt not in self._salts:
            self._remember(inlet)
        created = envelope.created / 1e6
        return Opened(envelope.dialog, True, body, inlet.peer, inlet.pair, inlet.chain, None, created)

    def _missing(self, field: str, why: str) -> HeadersMissing:
        return HeadersMissing(field, why, self._dialog_id, peer=self._peer)

    def _forged(self, field: str, why: str) -> Forged:
        return Forged(field, why, self._dialog_id, self._peer)

    def _inlet(self, envelope: Envelope, path: bytes, now: Now) -> _Inlet:
        key = envelope.key
        if key is None:
            raise self._missing("Context", "no key of this name is held")
        if envelope.routing is not None:
            path = NO_PATH
        if path != self._path:
            raise self._missing("path", "the dialog goes another way now")
        found = self._keys_named(key.dsk_id, now)
        if found is None:
            raise self._missing("DSK id", "no such key is held")
        kek, generation = found
        if envelope.key_octets != generation.named or envelope.suite is not self._suite:
            raise self._forged("session key header, Suite", "are not those of the key")
        known = self._salts.get(envelope.salt)
        if known is not None:
            if known.generation is not generation:
                raise self._forged("DSK id", "is not that of this salt")
            return known
        target = kek.pair.target.fingerprint
        body = body_key(self._suite, generation.dsk, envelope.salt, path, 1, target, self._dialog_id)
        context = body.context.to_bytes(4, "big")
        if context in self._inlets or envelope.created <= self._floor:
            raise self._missing("Salt", "may be one that is over, or leads to the context of another")
        return _Inlet(kek, generation, envelope.salt, context, BodyOpener(body, self._dialog_id, True))

    def _remember(self, inlet: _Inlet) -> None:
        self._salts[inlet.salt] = self._inlets[inlet.context] = inlet
        if len(self._salts) > MOST_SALTS_BACK:
            oldest = min(self._salts.values(), key=lambda each: each.newest)
            self._floor = max(self._floor, oldest.newest)
            self._drop(oldest)

    # -- forgetting

    def connection(self, path: bytes) -> None:
        """Go on with another connection; what opens on the one before is over."""
        if path != self._path or path != NO_PATH:
            self.forget_all()
        self._path = path

    def count(self, generation: Generation) -> int:
        """Return how many envelopes have come under a DSK, by the salts that are remembered."""
        return sum(each.opener.counter for each in self._inlets.values() if each.generation is generation)

    def forget(self, gone: Sequence[Generation]) -> None:
        """Forget the salts of some DSKs."""
        for inlet in tuple(self._salts.values()):
            if inlet.generation in gone:
                self._drop(inlet)

    def forget_all(self) -> None:
        """Forget all salts."""
        for inlet in tuple(self._salts.values()):
            self._drop(inlet)

    def _drop(self, inlet: _Inlet) -> None:
        del self._salts[inlet.salt]
        del self._inlets[inlet.context]
        inlet.generation.spent(inlet.opener.counter, 0)
