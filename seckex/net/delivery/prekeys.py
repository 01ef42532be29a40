"""Our prekeys: made, told, replaced in time, destroyed at their end (docs/messages.md, section 6).

A prekey is told only when it is durable, sealed in the state store: what was sealed to one that a crash has taken could
not be opened. It is a record with the certificate that it was made under, so that what came for a former certificate
can be opened as long as the prekey lives. New ones, one for each KEM, are made every so often, and when the
certificate is another; at its end a prekey is deleted from the store, which overwrites it, and from memory.

Bounds: `MOST_KEPT` prekeys; while there are so many none is made.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Final

from attrs import define, field, frozen

from seckex.crypto.hpke import seed_size
from seckex.crypto.identity import Identity
from seckex.crypto.prekeys import PrivatePrekey, make_prekey, sign_prekey
from seckex.crypto.secrets import Secret
from seckex.delivery.keys.pair import Principal
from seckex.errors import ApiMisuse, StoreFailed
from seckex.sa.store import DeleteRecord, Outcome, PutRecord, Record, Unit
from seckex.wire.numbers import Kem

PREKEY: Final = "messages.prekey"
KEMS: Final = (Kem.X25519_ML_KEM_768, Kem.X25519)
MOST_KEPT: Final = 256
#: A prekey begins so many seconds ago: the clocks of others may be slow.
BEGUN_BEFORE: Final = 300.0
#: One that would end sooner is not made.
SHORTEST: Final = 60.0
#: Seconds until making one is tried again.
AGAIN: Final = 10.0

_FORM: Final = struct.Struct(">BBQ32sd")
_VERSION: Final = 1


@frozen
class KeptPrekey:
    """A prekey, and whom it is of."""

    private: PrivatePrekey = field(repr=False)
    principal: Principal
    made: float

    def record(self, worker: int) -> Record:
        """Return what is stored of it."""
        whose = self.principal
        head = _FORM.pack(_VERSION, worker, whose.issued, whose.fingerprint, whose.not_after)
        octets = head + self.private.octets().octets
        return Record(PREKEY, self.name(worker), octets, float(self.private.expiry))

    def name(self, worker: int) -> bytes:
        """Return the name of its record."""
        return bytes([worker]) + self.private.id


def read_prekey(record: Record, nai: str) -> KeptPrekey | None:
    """Return what a record has; None where another version of the program has written it."""
    if len(record.octets) <= _FORM.size or record.octets[0] != _VERSION:
        return None
    _, _, issued, fingerprint, not_after = _FORM.unpack_from(record.octets)
    try:
        private = PrivatePrekey.from_octets(Secret(record.octets[_FORM.size :]))
    except ApiMisuse:
        return None
    return KeptPrekey(private, Principal(nai, issued, fingerprint, not_after), private.not_before + BEGUN_BEFORE)


@define
class PrekeyRing:
    """See the module. ``submit`` makes a unit durable and tells later; times are wall-clock seconds."""

    nai: str
    worker: int
    every: float
    lifetime: float
    _entropy: Callable[[int], bytes]
    _submit: Callable[[Unit, Callable[[Outcome | StoreFailed], None]], None]
    #: Called when what was being made is told, or could not be stored.
    settled: Callable[[], None] = lambda: None
    _identity: Identity | None = None
    _kept: dict[bytes, KeptPrekey] = field(factory=dict, repr=False)
    _told: dict[Kem, tuple[KeptPrekey, bytes]] = field(factory=dict, repr=False)
    _making: bool = False
    _not_before: float = 0.0
    trouble: str = ""

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def is_settled(self) -> bool:
        """Whether none is being made."""
        return not self._making

    def load(self, records: Iterable[Record]) -> None:
        """Take those that were stored."""
        for record in records:
            if record.kind == PREKEY and record.name[:1] == bytes([self.worker]):
                kept = read_prekey(record, self.nai)
                if kept is not None:
                    self._kept[kept.private.id] = kept

    def use(self, identity: Identity | None, now: float) -> None:
        """Have prekeys of this certificate from now on."""
        before = self._identity
        self._identity = identity
        if before is None or identity is None or before.fingerprint != identity.fingerprint:
            self._told.clear()
            self._tell()
        self._not_before = 0.0
        self.tend(now)

    @property
    def principals(self) -> tuple[Principal, ...]:
        """Us by our present certificate, then by those that prekeys have."""
        own = () if self._identity is None else (Principal.of_identity(self._identity),)
        return tuple(dict.fromkeys((*own, *(kept.principal for kept in self._kept.values()))))

    def private(self, prekey_id: bytes) -> PrivatePrekey | None:
        """Return one of ours."""
        kept = self._kept.get(prekey_id)
        return None if kept is None else kept.private

    def best(self, now: float) -> PrivatePrekey | None:
        """Return the best of those that are told."""
        told = {kem: kept.private for kem, (kept, _) in self._told.items() if now < kept.private.expiry}
        return next((told[kem] for kem in KEMS if kem in told), None)

    def told(self, now: float) -> tuple[bytes, ...]:
        """Return the newest of each KEM, signed, as octets of the wire."""
        return tuple(octets for kept, octets in self._told.values() if now < kept.private.expiry)

    def tend(self, now: float) -> None:
        """Destroy what is at its end, make what is missing; some times a minute."""
        ended = [kept for kept in self._kept.values() if kept.private.expiry <= now]
        for kept in ended:
            del self._kept[kept.private.id]
        if ended:
            self._submit(tuple(DeleteRecord(PREKEY, kept.name(self.worker)) for kept in ended), _destroyed)
            self._told.clear()
            self._tell()
        if not self._making and now >= self._not_before and self._wanting(now):
            self._make(now)

    def _wanting(self, now: float) -> bool:
        if self._identity is None or len(self._kept) + len(KEMS) > MOST_KEPT:
            return False
        newest = [self._told[kem][0].made if kem in self._told else -1.0 for kem in KEMS]
        # A clock that was set back makes another one due.
        return not all(now - self.every < made <= now + self.every for made in newest)

    def _make(self, now: float) -> None:
        identity = self._identity
        if identity is None:
            return
        expiry = min(now + self.lifetime, identity.not_after)
        if expiry - now < SHORTEST:
            return
        whose = Principal.of_identity(identity)
        made = [
            KeptPrekey(make_prekey(kem, self._entropy(seed_size(kem)), now - BEGUN_BEFORE, expiry), whose, now)
            for kem in KEMS
        ]

        def done(outcome: Outcome | StoreFailed) -> None:
            self._making = False
            if isinstance(outcome, StoreFailed):
                self.trouble = str(outcome)
                self._not_before = now + AGAIN
            else:
                self.trouble = ""
                for kept in made:
                    self._kept[kept.private.id] = kept
                self._tell()
            self.settled()

        self._making = True
        self._submit(tuple(PutRecord(kept.record(self.worker)) for kept in made), done)

    def _tell(self) -> None:
        """Sign what is newer than what is told, of the present certificate."""
        identity = self._identity
        if identity is None:
            return
        fingerprint = bytes.fromhex(identity.fingerprint)
        for kept in sorted(self._kept.values(), key=lambda each: each.made):
            private = kept.private
            told = self._told.get(private.kem)
            if kept.principal.fingerprint == fingerprint and (told is None or told[0].made < kept.made):
                self._told[private.kem] = kept, sign_prekey(private, identity)


def _destroyed(_outcome: Outcome | StoreFailed) -> None:
    """Ignore it: what is not deleted now is not read at the next start, and goes with the next purge."""
