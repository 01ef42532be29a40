"""One dialog at its target: what seals the direction back, and what the initiator is told to be held.

The initiator makes all keys; back goes under the DSK that it used last on a connection that leads to it, with a salt of
our own. That is safe to follow: an envelope opens on the connection only that it was sealed for, so nobody can lead us
back to older keys with a copy. What came through relays may be a copy, and is followed only if it was created later.
"""

from __future__ import annotations

from typing import Any, Final

from seckex.crypto.envelope import NO_PATH
from seckex.crypto.identity import Voucher
from seckex.delivery.keys.cache import Entry
from seckex.delivery.keys.faces import KeysWanting, Vault
from seckex.delivery.keys.pair import Pair
from seckex.delivery.keys.rotation import PLENTY, Generation, Wear
from seckex.delivery.keys.sealing import Outlet
from seckex.delivery.keys.sources import Kek
from seckex.delivery.record import BodySealer
from seckex.errors import ApiMisuse, BadCertificate
from seckex.machine import Now
from seckex.wire.numbers import Suite

SALT_SIZE: Final = 16
#: KEKs of one dialog that are remembered to be over; of more of them the one that ended first is forgotten.
MOST_RETIRED: Final = 64
NO_KEYS: Final = "no keys of the dialog are held"


class Accepting:
    """See the module; made by `seckex.delivery.keys.doorkeeper.Doorkeeper` alone, which keeps ``entries``: its KEKs."""

    __slots__ = (
        "_created",
        "_entry",
        "_generation",
        "_held",
        "_outlet",
        "_path",
        "_retired",
        "_short",
        "_short_until",
        "_suite",
        "_vault",
        "_wear",
        "dialog_id",
        "entries",
        "peer",
    )

    def __init__(self, vault: Vault, wear: Wear, dialog_id: bytes, peer: str) -> None:
        self._vault = vault
        self._wear = wear
        self.dialog_id = dialog_id
        self.peer = peer
        self.entries: list[Entry] = []
        self._entry: Entry | None = None
        self._generation: Generation | None = None
        self._suite = Suite.AES_256_GCM
        self._created = 0
        self._held: bytes | None = None
        self._retired: dict[bytes, None] = {}
        self._path: bytes | None = None
        self._outlet: Outlet | None = None
        self._short: BodySealer | None = None
        self._short_until = 0.0

    def __repr__(self) -> str:
        return f"<Accepting {self.dialog_id.hex()} of {self.peer!r}>"

    @property
    def pair(self) -> Pair | None:
        """Both ends, as the KEK in use has them; None without one."""
        return None if self._entry is None else self._entry.kek.pair

    @property
    def kek(self) -> Kek | None:
        """The KEK in use."""
        return None if self._entry is None else self._entry.kek

    def voucher(self, now: Now) -> Voucher | None:
        """Return whom a signed NOTICE is to be of, None without a name or where an association vouches."""
        trust, pair = self._vault.trust, self.pair
        if trust is None or pair is None or not pair.chain:
            return None
        try:
            return trust.verify(pair.chain, now.wall)
        except BadCertificate:
            return None

    @property
    def entry(self) -> Entry | None:
        """The KEK in use."""
        return self._entry

    # -- sealing

    def connection(self, path: bytes, now: Now) -> None:  # noqa: ARG002  # as at the initiator
        """Seal for the connection ``path`` (16 octets) from now on, or through relays with `NO_PATH`.

        A fresh salt is drawn. What was sealed for another connection opens nowhere any more.
        """
        self._close()
        self._path = path

    def ready(self, now: Now) -> bool:
        """Tell whether there are keys to seal with; otherwise the initiator has to be told that they are missing."""
        return self._entry is not None and now.wall < self._entry.until

    def wanting(self, now: Now) -> str:
        """Return why there are no keys to seal with, empty where there are."""
        return "" if self.ready(now) else NO_KEYS

    def seal(
        self,
        kind: int,
        count: int,
        fragment: int,
        fragments: int,
        sequence: int,
        acknowledged: int,
        body: bytes,
        now: Now,
    ) -> bytes:
        """Return an envelope of the direction back, whole; raises `KeysWanting` where `ready` says no."""
        short = self._short
        if short is not None and now.wall < self._short_until:
            return short.seal(kind, count, fragment, fragments, sequence, acknowledged, body)
        if not self.ready(now):
            raise KeysWanting(NO_KEYS)
        outlet = self._outlet or self._open_outlet()
        octets = outlet.named((kind, count, fragment, fragments, sequence, acknowledged), body)
        if outlet.begun and self._entry is not None:
            self._short, self._short_until = outlet.sealer, self._entry.until
        return octets

    def _open_outlet(self) -> Outlet:
        entry, generation, path = self._entry, self._generation, self._path
        if entry is None or generation is None or path is None:
            raise ApiMisuse("there is no connection to seal for")
        salt, clock = self._vault.entropy(SALT_SIZE), self._vault.clock_ns
        self._outlet = Outlet(self._suite, generation, salt, path, True, entry.kek.pair, self.dialog_id, clock)
        return self._outlet

    def _close(self) -> None:
        if self._outlet is not None:
            self._outlet.close()
        self._outlet = self._short = None

    def reseed(self) -> None:
        """Take another salt: the process has forked, and its twin has this one."""
        self._outlet = self._short = None

    # -- what the doorkeeper tells

    def followed(self, entry: Entry, generation: Generation, path: bytes, created: int, now: Now) -> None:
        """Seal under what has just opened an envelope, unless that may have been a copy."""
        if generation is self._generation and entry is self._entry:
            self._created = max(self._created, created)
            return
        if path == NO_PATH and created <= self._created:
            return
        self._created = created
        former, self._entry, self._generation, self._suite = self._entry, entry, generation, entry.suite
        self._close()
        generation.until = None
        until = now.monotonic + self._wear.hold
        if former is not None and former is not entry:
            # When it is dropped, it is retired as well: section 11.
            former.until = min(former.until, now.wall + self._wear.hold)
            self._supersede(former, None, until, now)
        self._supersede(entry, generation, until, now)

    def _supersede(self, entry: Entry, but: Generation | None, until: float, now: Now) -> None:
        for each in entry.generations.values():
            if each is not but and each.until is None:
                each.until = until
        for inlet in entry.inlets.values():
            if inlet.generation is not but:
                inlet.until = min(inlet.until, now.wall + self._wear.hold)

    def retire(self, kek_id: bytes) -> None:
        """Take nothing new under a KEK any more."""
        self._retired[kek_id] = None
        if len(self._retired) > MOST_RETIRED:
            del self._retired[next(iter(self._retired))]

    def retired(self, kek_id: bytes) -> bool:
        """Tell whether the dialog has left a KEK behind."""
        return kek_id in self._retired

    def dropped(self, entry: Entry) -> None:
        """Seal no more under a KEK that is gone."""
        self.entries.remove(entry)
        if entry is self._entry:
            self._close()
            self._entry = self._generation = None

    def learnt(self, chain: bytes) -> None:
        """Note that the initiator has sent headers in full that are held."""
        self._held = chain

    # -- what there is to say

    def room(self) -> int:
        """Return how many envelopes may be sealed now, which is as many as there are."""
        return PLENTY

    def pending_held(self) -> bytes | None:
        """Return the chain hash that HELD has to say, once; it comes again when the initiator has not heard of it."""
        held, self._held = self._held, None
        return held

    def shift_due(self, now: Now) -> bool:
        """Tell whether SHIFT has to be said: this end has used the DSK as much as one may be."""
        generation, outlet = self._generation, self._outlet
        if generation is None or outlet is None:
            return False
        wear = self._wear
        return (
            generation.envelopes + outlet.sealer.counter >= wear.envelopes
            or generation.octets + outlet.sealer.octets >= wear.octets
            or now.monotonic - generation.since >= 2 * wear.dsk_age
        )

    def shown(self, now: Now) -> dict[str, Any]:
        """Return what an operator may see of it."""
        entry, generation = self._entry, self._generation
        if entry is None or generation is None:
            return {"headers": "wanting", "why": "no keys are held: the initiator has to send all headers"}
        return {
            "headers": "short" if self._short is not None else "named",
            "source": entry.kek.source.name.lower().replace("_", "-"),
            "kek": entry.kek.id.hex(),
            "expires_in": max(0.0, entry.until - now.wall),
            "generation": generation.number,
        }
