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

from seckex.crypto.envelope import KEY_SIZE, NO_PATH, dsk_id, mac_pair, sign_pair, wrap_dsk
from seckex.crypto.identity import Voucher
from seckex.crypto.secrets import Secret
from seckex.delivery.keys.accepting import SALT_SIZE
from seckex.delivery.keys.answers import Answers
from seckex.delivery.keys.faces import KeysWanting, Opened, Vault
from seckex.delivery.keys.pair import Terms
from seckex.delivery.keys.rotation import FIRST_ENVELOPES, PLENTY, USUAL, Generation, Wear
from seckex.delivery.keys.sealing import DialogFields, Outlet
from seckex.delivery.keys.sources import Kek, KekSource
from seckex.delivery.record import BodySealer
from seckex.errors import ApiMisuse
from seckex.machine import Now
from seckex.wire.envelope import ANONYMOUS
from seckex.wire.envelope_headers import SessionKeyHeader, encode_key
from seckex.wire.numbers import MessageKek, Suite

#: Seconds between two times that fresh keys are made because the target has lost them, or wants others.
AGAIN: Final = 1.0
#: Seconds after which a KEK that is due and could not be made is tried again.
LATER: Final = 60.0


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
        #: What was superseded and is not forgotten yet.
        self.former: list[tuple[Kek, Generation]] = []
        self._kek_held = self._held = False
        self._unheld = 0
        self._path: bytes | None = None
        self._outlet: Outlet | None = None
        # What the hot path looks at: the sealer of short envelopes, and where it is over.
        self._short: BodySealer | None = None
        self._short_counter = self._short_octets = 0
        self._short_until = 0.0
        self._answers = Answers(terms, suite, self._keys_named)
        self._fresh_at: float | None = None
        self._kek_at = 0.0
        self._why = "nothing was sealed yet"

    def __repr__(self) -> str:
        return f"<Initiating {self.terms.dialog_id.hex()} to {self.terms.peer}>"

    @property
    def kek(self) -> Kek | None:
        """The KEK in use."""
        return self._kek

    @property
    def is_held(self) -> bool:
        """Whether the target has said that it holds the KEK in use."""
        return self._kek_held

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
        return self._seal((kind, count, fragment, fragments, sequence, acknowledged), body, now)

    def _seal(self, dialog: DialogFields, body: bytes, now: Now) -> bytes:
        kek, generation = self._renewed(now)
        outlet = self._outlet or self._open_outlet(kek, generation)
        if self._kek_held and not outlet.routing:
            octets = outlet.named(dialog, body, sealed=not self._held)
            self._shorten(kek, generation, outlet, now)
            return octets
        self._unheld += 1
        headers, seals, salt = kek.octets + generation.sealed, outlet.sealer, outlet.salt
        if kek.pair.anonymous:
            return seals.seal(*dialog, body, headers, ANONYMOUS, salt, outlet.routing)
        pair = kek.pair_unsigned, kek.pair.algorithm
        return seals.seal_proven(*dialog, body, salt, *pair, headers, self._prove, outlet.routing)

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
        ends = min(generation.since + wear.dsk_age, max(wear.kek_turn(kek.since, kek.until, now), self._kek_at))
        self._short_until = min(ends, now.monotonic + kek.until - now.wall)
        self._why = "the target holds the headers"

    def _open_outlet(self, kek: Kek, generation: Generation) -> Outlet:
        if self._path is None:
            raise ApiMisuse("there is no connection to seal for")
        salt, path = self._vault.entropy(SALT_SIZE), self._path
        self._outlet = Outlet(
            self._suite, generation, salt, path, False, kek.pair, self.terms.dialog_id, self._vault.clock_ns
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
        self._path = path
        self._answers.connection(path)
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
        name = dsk_id(dsk)
        sealed = wrap_dsk(kek.secret, number, dsk, self.terms.dialog_id, kek.octets)
        header = encode_key(SessionKeyHeader(number, name, kek.id, sealed))
        before = kek.pair_unsigned, kek.octets
        self._generation = Generation(number, dsk, name, kek.id, header, before, now.monotonic)
        self._held = False
        return self._generation

    def _supersede(self, now: Now) -> None:
        """Put the keys in use behind those that come, for as long as answers under them may be under way."""
        kek, generation = self._kek, self._generation
        self._close()
        if kek is not None and generation is not None and generation.until is None:
            generation.until = now.monotonic + self._wear.hold
            self.former.append((kek, generation))

    def _kek_due(self, kek: Kek, now: Now) -> bool:
        return now.monotonic >= self._wear.kek_turn(kek.since, kek.until, now) or self._source.stale(kek, now)

    def _dsk_due(self, generation: Generation, now: Now) -> bool:
        return self._wear.worn(generation.since, *self._used(generation), now)

    def _used(self, generation: Generation) -> tuple[int, int]:
        """Return how many envelopes a DSK has had, both ways, and octets of bodies of ours.

        Octets that come back need no count: as many envelopes as there may be hold no more than there may be.
        """
        envelopes, octets = generation.envelopes, generation.octets
        if self._outlet is not None:
            envelopes += self._outlet.sealer.counter
            octets += self._outlet.sealer.octets
        return envelopes + self._answers.count(generation), octets

    def ready(self, now: Now) -> bool:
        """Tell whether `seal` has keys; those that are wanting or worn are made, if they can be."""
        return not self.wanting(now)

    def wanting(self, now: Now) -> str:
        """Return why `seal` would have no keys, empty where it has some; those that are worn are made."""
        if self._short is None or now.monotonic >= self._short_until:
            try:
                self._renewed(now)
            except KeysWanting as error:
                return str(error)
        return ""

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
        elif any(former is kek and each.chain == chain for former, each in self.former):
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
        self.former.clear()
        self._answers.forget_all()
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
        if self._path == NO_PATH:
            # Nobody asks for headers through a relay, so they always go, and none waits to be held.
            return PLENTY
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
        """Open an envelope of the direction back that has come on the connection ``path``; see `Answers.open`."""
        return self._answers.open(octets, path, now)

    # -- forgetting

    def settled(self) -> None:
        """Forget what the keys were before: all that was sealed under them is acknowledged, both ways."""
        self._forget([each for _, each in self.former])

    def expire(self, now: Now) -> None:
        """Forget what was superseded long enough ago, and see what is worn; to be called every second."""
        if self.former:
            self._expire(now)
        if self._short is not None and self.due(now):
            self._short = None

    def _expire(self, now: Now) -> None:
        self._forget([each for _, each in self.former if each.until is not None and now.monotonic >= each.until])

    def _forget(self, gone: Sequence[Generation]) -> None:
        self.former = [pair for pair in self.former if pair[1] not in gone]
        self._answers.forget(gone)

    def _keys_named(self, name: bytes, now: Now) -> tuple[Kek, Generation] | None:
        """Return the keys that answers may be under, by the DSK id."""
        kek, generation = self._kek, self._generation
        if kek is not None and generation is not None and generation.id == name:
            return kek, generation
        for former, each in self.former:
            if each.id == name and each.until is not None and now.monotonic < each.until:
                return former, each
        return None

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
