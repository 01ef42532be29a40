"""One dialog at its initiator: makes the keys of both directions, decides which headers go, opens what comes back.

Headers are left out when a HELD that has verified names their chain, and not before: until then every envelope has
all of them, and at most four are under way. After that the first envelope on each connection names the session key
and has a salt, and all that follow are short. A new DSK goes sealed with each envelope until its chain is HELD too.

Where an association vouches, a target that has lost its keys can prove nothing, so HELD counts for the connection only
that it was heard on; headers cost little there.

Keys are made when they are first needed. What was superseded opens answers for `Wear.hold` seconds more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from seckex.crypto.envelope import KEY_SIZE, NO_PATH, body_key, mac_pair, sign_pair, wrap_dsk
from seckex.crypto.identity import Voucher
from seckex.crypto.secrets import Secret
from seckex.delivery.keys.accepting import SALT_SIZE
from seckex.delivery.keys.doorkeeper import FLAGS_AT, KINDS, SHORT, digest_of
from seckex.delivery.keys.faces import Forged, HeadersMissing, KeysWanting, Opened, Vault
from seckex.delivery.keys.pair import Terms
from seckex.delivery.keys.rotation import FIRST_ENVELOPES, PLENTY, USUAL, Generation, Wear
from seckex.delivery.keys.sealing import Outlet
from seckex.delivery.keys.sources import Kek, KekSource
from seckex.delivery.record import BodyOpener, BodySealer
from seckex.errors import ApiMisuse
from seckex.machine import Now
from seckex.wire.envelope import ANONYMOUS, Envelope, decode_envelope
from seckex.wire.envelope_headers import DialogHeader
from seckex.wire.numbers import MessageKek, RecordFlag, Suite

#: Seconds between two times that fresh keys are made because the target has lost them, or wants others.
AGAIN: Final = 1.0
#: Seconds after which a KEK that is due and could not be made is tried again.
LATER: Final = 60.0
#: Salts of the direction back that are remembered for one connection.
MOST_SALTS_BACK: Final = 8

_NOT_SHORT: Final = int(
    RecordFlag.FULL | RecordFlag.SERVICE_PAIR | RecordFlag.KEK | RecordFlag.SESSION_KEY | RecordFlag.ROUTING
)
_opened: Final = tuple.__new__


class _Inlet:
    """What opens one salt of the target's."""

    __slots__ = ("context", "generation", "kek", "opener", "salt")

    def __init__(self, kek: Kek, generation: Generation, salt: bytes, context: bytes, opener: BodyOpener) -> None:
        self.kek = kek
        self.generation = generation
        self.salt = salt
        self.context = context
        self.opener = opener


class Initiating:
    """See the module."""

    def __init__(
        self,
        vault: Vault,
        terms: Terms,
        source: KekSource,
        suite: Suite = Suite.AES_256_GCM,
        wear: Wear = USUAL,
    ) -> None:
        self.terms = terms
        self._vault = vault
        self._source = source
        self._suite = suite
        self._wear = wear
        self._kek: Kek | None = None
        self._generation: Generation | None = None
        self._former: list[tuple[Kek, Generation]] = []
        self._kek_held = self._held = False
        self._unheld = 0
        self._path: bytes | None = None
        self._outlet: Outlet | None = None
        # What the hot path looks at: the sealer of short envelopes, and where it is over.
        self._short: BodySealer | None = None
        self._short_counter = self._short_octets = 0
        self._short_until = 0.0
        self._inlets: dict[bytes, _Inlet] = {}
        self._salts: dict[bytes, _Inlet] = {}
        self._fresh_at: float | None = None
        self._kek_at = 0.0
        self._why = "nothing was sealed yet"

    def __repr__(self) -> str:
        return f"<Initiating {self.terms.dialog_id.hex()} to {self.terms.peer}>"

    @property
    def kek(self) -> Kek | None:
        """The KEK in use."""
        return self._kek

    # -- sealing

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
        """Return an envelope of the direction out, whole; raises `KeysWanting`."""
        short = self._short
        if (
            short is not None
            and short.counter < self._short_counter
            and short.octets < self._short_octets
            and now.monotonic < self._short_until
        ):
            return short.seal(kind, count, fragment, fragments, sequence, acknowledged, body)
        return self._seal(kind, count, fragment, fragments, sequence, acknowledged, body, now)

    def _seal(
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
        kek, generation = self._renewed(now)
        outlet = self._outlet or self._open_outlet(kek, generation)
        if not self._kek_held:
            self._unheld += 1
            headers = kek.octets + generation.sealed
            if kek.pair.anonymous:
                return outlet.sealer.seal(
                    kind,
                    count,
                    fragment,
                    fragments,
                    sequence,
                    acknowledged,
                    body,
                    headers,
                    ANONYMOUS,
                    outlet.salt,
                    outlet.routing,
                )
            return outlet.sealer.seal_proven(
                kind,
                count,
                fragment,
                fragments,
                sequence,
                acknowledged,
                body,
                outlet.salt,
                kek.pair_unsigned,
                kek.pair.algorithm,
                headers,
                self._prove,
                outlet.routing,
            )
        octets = outlet.named(kind, count, fragment, fragments, sequence, acknowledged, body, sealed=not self._held)
        self._shorten(kek, generation, outlet, now)
        return octets

    def _prove(self, signed: bytes) -> bytes:
        kek = self._kek
        if kek is None:
            raise ApiMisuse("there is no key to prove")
        return mac_pair(kek.secret, signed) if kek.signer is None else sign_pair(kek.signer, signed)

    def _shorten(self, kek: Kek, generation: Generation, outlet: Outlet, now: Now) -> None:
        """Let the next envelopes be short if they may, as long as no key is worn."""
        if not self._held or not outlet.begun:
            return
        wear = self._wear
        self._short = outlet.sealer
        self._short_counter = wear.envelopes - generation.envelopes
        self._short_octets = wear.octets - generation.octets
        ends = min(generation.since + wear.dsk_age, max(self._kek_turn(kek, now), self._kek_at))
        self._short_until = min(ends, now.monotonic + kek.until - now.wall)
        self._why = "the target holds the headers"

    def _open_outlet(self, kek: Kek, generation: Generation) -> Outlet:
        path = self._path
        if path is None:
            raise ApiMisuse("there is no connection to seal for")
        pair = kek.pair
        self._outlet = Outlet(
            self._suite,
            generation,
            self._vault.entropy(SALT_SIZE),
            path,
            False,
            pair.initiator.fingerprint,
            (pair.target.nai, pair.initiator.nai),
            self.terms.dialog_id,
            self._vault.clock_ns,
        )
        return self._outlet

    def connection(self, path: bytes, now: Now) -> None:
        """Seal for the connection ``path`` (16 octets) from now on, or through relays with `NO_PATH`.

        A fresh salt is drawn. What was under way on the connection before is lost, as are its salts.
        """
        if len(path) != len(NO_PATH):
            raise ApiMisuse(f"a path has {len(NO_PATH)} octets")
        self._close()
        self._unheld = 0
        if path != self._path or path != NO_PATH:
            for inlet in tuple(self._salts.values()):
                self._drop_inlet(inlet)
        self._path = path
        if self._kek is not None and self._kek.of_association:
            self._unhold("it was not said on this connection yet that the headers are held")
        self._expire(now)

    def _close(self) -> None:
        if self._outlet is not None:
            self._outlet.close()
        self._outlet = self._short = None

    def _unhold(self, why: str) -> None:
        self._kek_held = self._held = False
        self._unheld = 0
        self._short = None
        self._why = why

    # -- keys

    def _renewed(self, now: Now) -> tuple[Kek, Generation]:
        """Return the keys to seal under now, others than before if those are worn."""
        kek, generation = self._kek, self._generation
        if kek is None or now.wall >= kek.until:
            return self._new_kek(now)
        if self._kek_due(kek, now) and now.monotonic >= self._kek_at:
            try:
                return self._new_kek(now)
            except KeysWanting:
                # The former serves until its end.
                self._kek_at = now.monotonic + LATER
        if generation is None or self._dsk_due(generation, now):
            generation = self._new_generation(kek, now)
        return kek, generation

    def _new_kek(self, now: Now) -> tuple[Kek, Generation]:
        kek = self._source.make(self.terms, self._wear, now)
        self._supersede(now)
        self._kek, self._generation = kek, None
        self._kek_at = 0.0
        self._unhold("the target has not said yet that it holds the headers")
        return kek, self._new_generation(kek, now)

    def _new_generation(self, kek: Kek, now: Now) -> Generation:
        number = 1 if self._generation is None else self._generation.number + 1
        self._supersede(now)
        dsk = Secret(self._vault.entropy(KEY_SIZE))
        sealed = wrap_dsk(kek.secret, number, dsk, self.terms.dialog_id, kek.octets)
        self._generation = Generation(number, dsk, kek.id, sealed, (kek.pair_unsigned, kek.octets), now.monotonic)
        self._held = False
        return self._generation

    def _supersede(self, now: Now) -> None:
        """Put the keys in use behind those that come, for as long as answers under them may be under way."""
        kek, generation = self._kek, self._generation
        self._close()
        if kek is not None and generation is not None and generation.until is None:
            generation.until = now.monotonic + self._wear.hold
            self._former.append((kek, generation))

    def _kek_turn(self, kek: Kek, now: Now) -> float:
        """Return when (monotonic) a KEK is due, by its age and its life."""
        wear = self._wear
        life = (kek.until - kek.since.wall) * wear.kek_part
        return min(kek.since.monotonic + wear.kek_age, now.monotonic + kek.since.wall + life - now.wall)

    def _kek_due(self, kek: Kek, now: Now) -> bool:
        return now.monotonic >= self._kek_turn(kek, now) or self._source.stale(kek, now)

    def _dsk_due(self, generation: Generation, now: Now) -> bool:
        wear = self._wear
        envelopes, octets = self._used(generation)
        old = now.monotonic - generation.since >= wear.dsk_age
        return old or envelopes >= wear.envelopes or octets >= wear.octets

    def _used(self, generation: Generation) -> tuple[int, int]:
        """Return how many envelopes a DSK has had, both ways, and octets of bodies of ours.

        Octets of the other way need no count: as many envelopes as there may be hold no more than there may be.
        """
        envelopes, octets = generation.envelopes, generation.octets
        if self._outlet is not None:
            envelopes += self._outlet.sealer.counter
            octets += self._outlet.sealer.octets
        for inlet in self._inlets.values():
            if inlet.generation is generation:
                envelopes += inlet.opener.counter
        return envelopes, octets

    def ready(self, now: Now) -> bool:
        """Tell whether `seal` has keys; those that are wanting or worn are made, if they can be."""
        try:
            self._renewed(now)
        except KeysWanting:
            return False
        return True

    def due(self, now: Now) -> bool:
        """Tell whether keys are worn: the next envelope will be under others."""
        kek, generation = self._kek, self._generation
        if kek is None or generation is None:
            return False
        return now.wall >= kek.until or self._kek_due(kek, now) or self._dsk_due(generation, now)

    def exchange_due(self, now: Now) -> bool:
        """Tell whether a three-phase exchange has to give the next KEK: the dialog has moved to such keys."""
        if self._source.source is not MessageKek.THREE_PHASE:
            return False
        return self._kek is None or now.wall >= self._kek.until or self._kek_due(self._kek, now)

    def rotate(self, now: Now, kek: bool = False) -> None:
        """Make other keys now: another DSK or, with ``kek``, another KEK too; raises `KeysWanting`."""
        if kek or self._kek is None or now.wall >= self._kek.until:
            self._new_kek(now)
        else:
            self._new_generation(self._kek, now)

    def shift(self, now: Now) -> bool:
        """Take another DSK since the target has said SHIFT, once per second at most; tells whether it was done."""
        if self._kek is None or (self._generation is not None and now.monotonic < self._generation.since + AGAIN):
            return False
        self._new_generation(self._kek, now)
        return True

    def move(self, source: KekSource, now: Now) -> None:
        """Take KEKs from a three-phase exchange from now on; the dialog never goes back to another source."""
        if source.source is not MessageKek.THREE_PHASE:
            raise ApiMisuse("a dialog moves to keys of a three-phase exchange, and nowhere else")
        former, self._source = self._source, source
        try:
            self._new_kek(now)
        except KeysWanting:
            self._source = former
            raise

    # -- what the target says

    def held(self, chain: bytes, now: Now) -> None:
        """Take HELD, of an envelope that `open` has opened: leave out the headers of this chain."""
        kek, generation = self._kek, self._generation
        if kek is None or generation is None:
            return
        if chain == generation.chain:
            self._kek_held = self._held = True
            if self._outlet is not None:
                self._shorten(kek, generation, self._outlet, now)
        elif any(former is kek and each.chain == chain for former, each in self._former):
            self._kek_held = True

    def missing(self, now: Now) -> bool:
        """Take a NOTICE that `seckex.delivery.keys.notices.believed` believes: all headers, and fresh keys.

        Once per second at most; tells whether what is not acknowledged is to be sent again now. The source and the
        suite stay what they are.
        """
        if self._fresh_at is not None and now.monotonic < self._fresh_at:
            return False
        self._fresh_at = now.monotonic + AGAIN
        self._forget_keys("the target does not hold the keys any more")
        return True

    def _forget_keys(self, why: str) -> None:
        self._close()
        self._kek = self._generation = None
        self._former.clear()
        self._inlets.clear()
        self._salts.clear()
        self._unhold(why)

    def reseed(self) -> None:
        """Take fresh keys: the process has forked, and its twin has these, generations to come included."""
        self._forget_keys("the process has forked")

    def recheck(self, now: Now) -> None:
        """Seal nothing more to a target that nobody vouches for any more; to be called when trust is another."""
        kek = self._kek
        if kek is None or kek.voucher is None:
            return
        if self._vault.voucher(kek.pair.target.nai, kek.pair.target.fingerprint, now.wall) is None:
            self._forget_keys("nobody vouches for the target any more")

    def room(self) -> int:
        """Return how many envelopes may be sealed now: few until the target has said what it holds."""
        if self._kek is None or self._kek_held:
            return PLENTY if self._kek is not None else FIRST_ENVELOPES
        return max(0, FIRST_ENVELOPES - self._unheld)

    def pending_held(self) -> bytes | None:
        """Return None: an initiator has made the keys, and has nothing to say of what it holds."""
        return None

    def voucher(self, now: Now) -> Voucher | None:  # noqa: ARG002  # as at the target
        """Return whom a signed NOTICE is to be of, None where an association vouches."""
        return None if self._kek is None else self._kek.voucher

    # -- opening

    def open(self, octets: bytes, path: bytes, now: Now) -> Opened:
        """Open an envelope of the direction back that has come on the connection ``path``.

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
        pair = inlet.kek.pair
        chain = inlet.generation.chain
        return _opened(Opened, (header, True, body, pair.target.nai, pair, chain, None, created / 1e6, None))

    def _open(self, octets: bytes, path: bytes, now: Now) -> Opened:
        envelope = decode_envelope(octets)
        dialog_id, peer = self.terms.dialog_id, self.terms.peer
        if envelope.dialog.dialog_id != dialog_id or not envelope.back:
            raise Forged("Dialog id, Flags", "are not of the direction back of this dialog", dialog_id, peer)
        try:
            inlet = self._inlet(envelope, path, now)
        except HeadersMissing as refusal:
            refusal.digest = digest_of(octets)
            raise
        body = inlet.opener.open_decoded(envelope)
        if inlet.salt not in self._salts:
            self._remember(inlet)
        pair, chain = inlet.kek.pair, inlet.generation.chain
        return Opened(envelope.dialog, True, body, pair.target.nai, pair, chain, None, envelope.created / 1e6)

    def _inlet(self, envelope: Envelope, path: bytes, now: Now) -> _Inlet:
        dialog_id, peer, key = self.terms.dialog_id, self.terms.peer, envelope.key
        if key is None:
            raise HeadersMissing("Context", "no key of this name is held", dialog_id, peer=peer)
        if envelope.routing is not None:
            path = NO_PATH
        if path != self._path:
            raise HeadersMissing("path", "the dialog goes another way now", dialog_id, peer=peer)
        kek, generation = self._keys_named(key.dsk_id, now)
        if envelope.key_octets != generation.named or envelope.suite is not self._suite:
            raise Forged("session key header, Suite", "are not those of the key", dialog_id, peer)
        known = self._salts.get(envelope.salt)
        if known is not None:
            if known.generation is not generation:
                raise Forged("DSK id", "is not that of this salt", dialog_id, peer)
            return known
        target = kek.pair.target.fingerprint
        body = body_key(self._suite, generation.dsk, envelope.salt, path, 1, target, dialog_id)
        context = body.context.to_bytes(4, "big")
        if context in self._inlets or len(self._salts) >= MOST_SALTS_BACK:
            raise HeadersMissing("Salt", "is one too many, or leads to the context of another", dialog_id, peer=peer)
        return _Inlet(kek, generation, envelope.salt, context, BodyOpener(body, dialog_id, True))

    def _keys_named(self, name: bytes, now: Now) -> tuple[Kek, Generation]:
        kek, generation = self._kek, self._generation
        if kek is not None and generation is not None and generation.id == name:
            return kek, generation
        for former, each in self._former:
            if each.id == name and each.until is not None and now.monotonic < each.until:
                return former, each
        raise HeadersMissing("DSK id", "no such key is held", self.terms.dialog_id, peer=self.terms.peer)

    def _remember(self, inlet: _Inlet) -> None:
        self._salts[inlet.salt] = inlet
        self._inlets[inlet.context] = inlet

    def _drop_inlet(self, inlet: _Inlet) -> None:
        del self._salts[inlet.salt]
        del self._inlets[inlet.context]
        inlet.generation.spent(inlet.opener.counter, 0)

    # -- forgetting

    def settled(self) -> None:
        """Forget what the keys were before: all that was sealed under them is acknowledged, both ways."""
        self._forget([each for _, each in self._former])

    def expire(self, now: Now) -> None:
        """Forget what was superseded long enough ago, and see what is worn; to be called every second."""
        if self._former:
            self._expire(now)
        if self._short is not None and self.due(now):
            self._short = None

    def _expire(self, now: Now) -> None:
        self._forget([each for _, each in self._former if each.until is not None and now.monotonic >= each.until])

    def _forget(self, gone: Sequence[Generation]) -> None:
        self._former = [pair for pair in self._former if pair[1] not in gone]
        for inlet in tuple(self._salts.values()):
            if inlet.generation in gone:
                self._drop_inlet(inlet)

    # -- for operators

    def shown(self, now: Now) -> dict[str, Any]:
        """Return what an operator may see: which headers go with envelopes now, why, and under which keys."""
        kek, generation = self._kek, self._generation
        if kek is None or generation is None:
            return {"headers": "whole", "why": self._why, "source": _shown(self._source.source)}
        envelopes, octets = self._used(generation)
        shape = "anonymous" if kek.pair.anonymous else "whole"
        if self._kek_held:
            shape = "short" if self._short is not None else "new session key"
        return {
            "headers": shape,
            "why": self._why,
            "source": _shown(kek.source),
            "kek": kek.id.hex(),
            "expires_in": max(0.0, kek.until - now.wall),
            "generation": generation.number,
            "envelopes": envelopes,
            "octets": octets,
        }


def _shown(source: MessageKek) -> str:
    return source.name.lower().replace("_", "-")
