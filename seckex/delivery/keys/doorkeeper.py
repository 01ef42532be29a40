"""At a target: whatever comes in the direction out is opened here, with cached keys or with the headers that it has.

A short envelope takes one look into a table, and the AEAD. One with a salt is read, its KEK and DSK are looked for,
and what is not held is taken out of its headers; nothing of that is kept before its body has verified. So what an
attacker can make of headers alone is work, never state.

Whether keys were never known, have ended, were revoked or left behind, it is `HeadersMissing`. Copies are refused by
the window of each salt; salts are bound to connections, and those that are forgotten do not come again as long as
their KEK is remembered. What is not remembered any more, as after a restart, is for the numbers of messages to refuse,
which are durable.
"""

from __future__ import annotations

import struct
from typing import Final

from seckex.crypto.envelope import NO_PATH, body_key, dsk_id, unwrap_dsk
from seckex.crypto.suites import SHA256
from seckex.delivery.keys.accepting import Accepting
from seckex.delivery.keys.cache import MOST_GENERATIONS, MOST_KEKS, Cache, Entry, Inlet
from seckex.delivery.keys.faces import Forged, HeadersMissing, Opened, Refused, Vault
from seckex.delivery.keys.rotation import SKEW, USUAL, Generation, Wear
from seckex.delivery.keys.taking import Taking, still_vouched
from seckex.delivery.record import BodyOpener
from seckex.errors import AuthenticationFailed
from seckex.machine import Now
from seckex.wire.envelope import Envelope, decode_envelope
from seckex.wire.envelope_headers import DialogHeader, SessionKeyHeader
from seckex.wire.numbers import Code, MessageKek, MessageKind, RecordFlag

DIGEST_SIZE: Final = 16
#: KEKs of one dialog that can be opened under at a time; of more the one that came first goes.
MOST_KEKS_OF_DIALOG: Final = 8
#: Seconds between two looks at all that is remembered.
SWEEP: Final = 5.0
#: Seconds after which chains are verified again, since lists of what was revoked go stale.
RECHECK: Final = 60.0

#: What cannot be with an envelope that is short and comes to a target without a relay between.
NOT_SHORT: Final = int(
    RecordFlag.FULL
    | RecordFlag.SERVICE_PAIR
    | RecordFlag.KEK
    | RecordFlag.SESSION_KEY
    | RecordFlag.FROM_RESPONDER
    | RecordFlag.ROUTING
)
FLAGS_AT: Final = 5
#: Of a short envelope: creation time, then the dialog header.
SHORT: Final = struct.Struct(">12xQ28x16sBBHHHQQ")
KINDS: Final = {int(kind): kind for kind in MessageKind}

_opened: Final = tuple.__new__


def digest_of(octets: bytes) -> bytes:
    """Return what a NOTICE names an envelope by."""
    return SHA256.digest(octets)[:DIGEST_SIZE]


class Doorkeeper:
    """See the module.

    ``most`` bounds the KEKs that are remembered. What was created before ``refuse_before`` (seconds since 1970) is
    missing its headers: the store was restored from a backup then (docs/messages.md, section 12).
    """

    def __init__(self, vault: Vault, wear: Wear = USUAL, most: int = MOST_KEKS, refuse_before: float = 0.0) -> None:
        self._vault = vault
        self._wear = wear
        self._cache = Cache(most)
        self._inlets = self._cache.inlets
        self._dialogs: dict[tuple[str, bytes], Accepting] = {}
        self._refuse_before = refuse_before
        self._sweep_at = self._recheck_at = 0.0

    def __len__(self) -> int:
        return len(self._cache)

    def accepting(self, peer: str, dialog_id: bytes) -> Accepting | None:
        """Return what seals the direction back, while keys of the dialog are held."""
        return self._dialogs.get((peer, dialog_id))

    # -- opening

    def open(self, octets: bytes, path: bytes, now: Now) -> Opened:
        """Open an envelope that has come on the connection ``path``.

        Raises `HeadersMissing`, `Refused`, `Forged` and other `AuthenticationFailed`, and what
        `seckex.wire.envelope.decode_envelope` raises; nothing has changed then.
        """
        inlet = self._inlets.get(octets[20:24] + octets[48:64])
        if inlet is None or octets[FLAGS_AT] & NOT_SHORT or inlet.path != path or now.wall >= inlet.until:
            return self._open(octets, path, now)
        body = inlet.opener.open(octets)
        entry = inlet.entry
        entry.used = now.monotonic
        created, dialog_id, kind, _, count, fragment, fragments, sequence, acknowledged = SHORT.unpack_from(octets)
        header = DialogHeader(dialog_id, KINDS[kind], count, fragment, fragments, sequence, acknowledged)
        return _opened(
            Opened,
            (header, False, body, inlet.peer, inlet.pair, inlet.chain, None, created / 1e6, entry.accepting),
        )

    def _open(self, octets: bytes, path: bytes, now: Now) -> Opened:
        envelope = decode_envelope(octets)
        try:
            return self._open_decoded(envelope, path, now)
        except (HeadersMissing, Refused) as refusal:
            refusal.digest = digest_of(octets)
            raise

    def _open_decoded(self, envelope: Envelope, path: bytes, now: Now) -> Opened:
        dialog_id = envelope.dialog.dialog_id
        claimed = "" if envelope.pair is None else envelope.pair.initiator
        if envelope.back:
            raise Forged("Flags", "the direction is that of our own envelopes", dialog_id)
        if envelope.routing is not None:
            path = NO_PATH
        key = envelope.key
        if key is None:
            raise HeadersMissing("Context", "no key of this name is held on this connection", dialog_id)
        self._check_created(envelope, now, claimed)
        entry = self._cache.find(dialog_id, key.kek_id)
        if entry is not None and now.wall >= entry.until:
            self._drop(entry)
            entry = None
        new_entry = entry is None
        if entry is None:
            entry = self._taken(envelope, key, claimed, now)
        else:
            self._compare(envelope, entry, claimed)
        generation, new_generation = self._generation(envelope, key, entry, now)
        inlet = entry.inlets.get(envelope.salt + path)
        if inlet is not None and inlet.generation is not generation:
            raise Forged("DSK id", "is not that of this salt", dialog_id, entry.kek.pair.initiator.nai)
        new_inlet = inlet is None
        if inlet is None:
            inlet = self._inlet(envelope, entry, generation, path)
        body = inlet.opener.open_decoded(envelope)
        # Only now is it known that all of it belongs together.
        if new_entry:
            self._check_policy(envelope, entry)
            self._remember(entry)
        if new_generation:
            entry.generations[generation.id] = generation
            entry.highest = generation.number
        inlet.newest = max(inlet.newest, envelope.created)
        if new_inlet:
            self._cache.add_inlet(inlet)
        entry.used = now.monotonic
        accepting = entry.accepting
        accepting.followed(entry, generation, path, envelope.created, now)
        if new_generation:
            self._limit_generations(entry)
        if key.sealed:
            accepting.learnt(generation.chain)
        return Opened(
            envelope.dialog,
            False,
            body,
            inlet.peer,
            inlet.pair,
            generation.chain,
            generation.chain if new_generation else None,
            envelope.created / 1e6,
            accepting,
        )

    def _check_created(self, envelope: Envelope, now: Now, claimed: str) -> None:
        created = envelope.created / 1e6
        if created > now.wall + SKEW:
            why = f"is {created - now.wall:.0f} s ahead of the clock here"
        elif created < self._refuse_before:
            why = "is before the store was restored from a backup"
        else:
            return
        raise HeadersMissing("Creation time", why, envelope.dialog.dialog_id, peer=claimed)

    def _taken(self, envelope: Envelope, key: SessionKeyHeader, claimed: str, now: Now) -> Entry:
        dialog_id = envelope.dialog.dialog_id
        accepting = self._dialogs.get((claimed, dialog_id)) or Accepting(self._vault, self._wear, dialog_id, claimed)
        if accepting.retired(key.kek_id):
            raise HeadersMissing("KEK id", "the dialog has left this key behind", dialog_id, peer=claimed)
        kek = Taking(self._vault, envelope, now).kek()
        return Entry(dialog_id, kek, envelope.suite, accepting, now.monotonic)

    def _compare(self, envelope: Envelope, entry: Entry, claimed: str) -> None:
        """Hold headers that come again to those that were taken."""
        dialog_id = envelope.dialog.dialog_id
        if envelope.suite is not entry.suite:
            raise Forged("Suite", "is not that of the key", dialog_id, claimed)
        if envelope.kek is None:
            return
        if envelope.kek_octets != entry.kek.octets:
            raise Forged("KEK header", "is not the one that is held under this KEK id", dialog_id, claimed)
        if envelope.pair_unsigned != entry.kek.pair_unsigned:
            raise Forged("service pair header", "is not the one that is held with this KEK", dialog_id, claimed)

    def _generation(self, envelope: Envelope, key: SessionKeyHeader, entry: Entry, now: Now) -> tuple[Generation, bool]:
        dialog_id, peer = envelope.dialog.dialog_id, entry.kek.pair.initiator.nai
        known = entry.generations.get(key.dsk_id)
        if known is not None:
            if known.until is not None and now.monotonic >= known.until:
                raise HeadersMissing("DSK id", "the dialog has left this key behind", dialog_id, peer=peer)
            if envelope.key_octets != (known.sealed if key.sealed else known.named):
                raise Forged("session key header", "is not the one that is held with this DSK", dialog_id, peer)
            return known, False
        if key.generation <= entry.highest:
            raise HeadersMissing("Generation", f"{key.generation} is over", dialog_id, peer=peer)
        if not key.sealed:
            raise HeadersMissing("DSK id", "no such key is held", dialog_id, peer=peer)
        kek = entry.kek
        try:
            dsk = unwrap_dsk(kek.secret, key.generation, key.sealed, dialog_id, kek.octets)
        except AuthenticationFailed as error:
            raise Forged("sealed DSK", str(error), dialog_id, peer) from None
        if dsk_id(dsk) != key.dsk_id:
            raise Forged("DSK id", "is not that of the key in the header", dialog_id, peer)
        before, since = (kek.pair_unsigned, kek.octets), now.monotonic
        return Generation(key.generation, dsk, key.dsk_id, kek.id, envelope.key_octets, before, since), True

    def _inlet(self, envelope: Envelope, entry: Entry, generation: Generation, path: bytes) -> Inlet:
        dialog_id, pair = entry.dialog_id, entry.kek.pair
        if envelope.created <= entry.floor:
            raise HeadersMissing("Salt", "may be one that is over", dialog_id, peer=pair.initiator.nai)
        body = body_key(envelope.suite, generation.dsk, envelope.salt, path, 0, pair.initiator.fingerprint, dialog_id)
        inlet = Inlet(entry, generation, envelope.salt, path, body, BodyOpener(body, dialog_id, False))
        if inlet.key in self._inlets:
            raise HeadersMissing("Salt", "leads to a context that is another's", dialog_id, peer=pair.initiator.nai)
        return inlet

    def _check_policy(self, envelope: Envelope, entry: Entry) -> None:
        policy, kek = self._vault.policy, entry.kek
        if kek.source not in policy.sources:
            field, why = "Source", f"KEKs of source {kek.source.name} are not taken"
        elif envelope.suite not in policy.suites:
            field, why = "Suite", f"{envelope.suite.name} is not taken"
        elif kek.pair.anonymous and kek.pair.service not in policy.anonymous:
            field, why = "service pair header", f"service {kek.pair.service!r} is not for initiators without a name"
        else:
            return
        raise Refused(Code.PROHIBITED, field, why, entry.dialog_id, peer=kek.pair.initiator.nai)

    def _remember(self, entry: Entry) -> None:
        accepting = entry.accepting
        self._dialogs[accepting.peer, entry.dialog_id] = accepting
        accepting.entries.append(entry)
        if len(accepting.entries) > MOST_KEKS_OF_DIALOG:
            self._drop(accepting.entries[0])
        if entry.kek.source is MessageKek.THREE_PHASE:
            # From now on it is here, and ends when the entry does.
            self._vault.spend_exchanged(entry.kek.source_id)
        for gone in self._cache.add(entry):
            self._dropped(gone)

    def _limit_generations(self, entry: Entry) -> None:
        while len(entry.generations) > MOST_GENERATIONS:
            self._cache.drop_generation(entry, min(entry.generations.values(), key=lambda each: each.number))

    # -- forgetting

    def _drop(self, entry: Entry) -> None:
        self._cache.drop(entry)
        self._dropped(entry)

    def _dropped(self, entry: Entry) -> None:
        accepting = entry.accepting
        accepting.dropped(entry)
        accepting.retire(entry.kek.id)
        if not accepting.entries:
            self._dialogs.pop((accepting.peer, entry.dialog_id), None)

    def lost(self, path: bytes) -> None:
        """Forget the salts of a connection that is over."""
        if path != NO_PATH:
            self._cache.drop_path(path)

    def settled(self, accepting: Accepting) -> None:
        """Forget what a dialog's keys were before: all that was sealed under them is acknowledged, both ways."""
        for entry in tuple(accepting.entries):
            if entry is not accepting.entry:
                self._drop(entry)
                continue
            for each in tuple(entry.generations.values()):
                if each.until is not None:
                    self._cache.drop_generation(entry, each)

    def forget(self, accepting: Accepting) -> None:
        """Forget all keys of a dialog: it has ended."""
        for entry in tuple(accepting.entries):
            self._drop(entry)

    def expire(self, now: Now) -> None:
        """Forget what is over, at most every `SWEEP` seconds; to be called every second."""
        if now.monotonic < self._sweep_at:
            return
        self._sweep_at = now.monotonic + SWEEP
        for entry in self._cache:
            if now.wall >= entry.until:
                self._drop(entry)
                continue
            for each in tuple(entry.generations.values()):
                if each.until is not None and now.monotonic >= each.until:
                    self._cache.drop_generation(entry, each)
        if now.monotonic >= self._recheck_at:
            self.recheck(now)

    def recheck(self, now: Now) -> None:
        """Forget what would not be taken again: certificates, associations, trust and policy may be others now."""
        self._recheck_at = now.monotonic + RECHECK
        policy = self._vault.policy
        for entry in self._cache:
            kek = entry.kek
            allowed = kek.source in policy.sources and entry.suite in policy.suites
            if kek.pair.anonymous and kek.pair.service not in policy.anonymous:
                allowed = False
            if not allowed or not still_vouched(self._vault, kek, now):
                self._drop(entry)

    def reseed(self) -> None:
        """Take other salts for all that is sealed here: the process has forked."""
        for accepting in self._dialogs.values():
            accepting.reseed()
