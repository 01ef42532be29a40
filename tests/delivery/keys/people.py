"""Principals with toy certificates, and two of them with a dialog between them; the clock is wound by hand.

`Talk` is a dialog: what its two ends say goes at once to where it belongs, or is kept by whoever is between. Keys and
signatures are made once a process (`tests.roaming.certificates`), entropy comes of a seed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from attrs import define, field

from seckex.crypto.hpke import seed_size
from seckex.crypto.identity import Identity, TrustAnchors, Voucher
from seckex.crypto.prekeys import PrivatePrekey, PublicPrekey, make_prekey, sign_prekey, verify_prekey
from seckex.crypto.schedule import AgreedKeys
from seckex.crypto.secrets import Secret
from seckex.delivery.keys.accepting import Accepting
from seckex.delivery.keys.doorkeeper import Doorkeeper
from seckex.delivery.keys.faces import AssociationKeys, ExchangedKek, Opened, Policy
from seckex.delivery.keys.initiating import Initiating
from seckex.delivery.keys.pair import Principal, Terms
from seckex.delivery.keys.rotation import USUAL, Wear
from seckex.delivery.keys.sources import AssociationSource, KekSource, PrekeySource, ThreePhaseSource
from seckex.errors import BadCertificate
from seckex.machine import Now
from seckex.wire.bodies import Held, encode_frames
from seckex.wire.numbers import PRF_HMAC_SHA2_256, Kem, MessageKek, MessageKind, Suite
from seckex.wire.prekey import decode_prekey
from tests.roaming.air import WALL
from tests.roaming.certificates import identity, trust

NODE: Final = "node@example.org"
HOME: Final = "home@example.org"
EVE: Final = "eve@example.org"
SERVICE: Final = "orders"
DIALOG: Final = bytes(range(16))
PATH: Final = b"path of this one"
OTHER_PATH: Final = b"path of the next"
BODY: Final = b"what the one has to say to the other"
DAY: Final = 86400.0

SPI: Final = 0x01020304
_KEYS: Final = AgreedKeys(PRF_HMAC_SHA2_256, Secret(b"\x07" * 32), b"an association of two")


@define
class Clock:
    """Both clocks, wound by hand."""

    monotonic: float = 1000.0
    wall: float = WALL

    @property
    def now(self) -> Now:
        """The time."""
        return Now(self.monotonic, self.wall)

    def wind(self, seconds: float) -> None:
        """Let time pass."""
        self.monotonic += seconds
        self.wall += seconds


@define(eq=False)
class Person:
    """A principal: see `seckex.delivery.keys.faces.Vault`."""

    nai: str
    clock: Clock
    identity: Identity | None = None
    trust: TrustAnchors | None = field(factory=trust)
    policy: Policy = field(factory=Policy)
    kem: Kem = Kem.X25519
    seed: str = ""
    former: list[Identity] = field(factory=list)
    private: dict[bytes, PrivatePrekey] = field(factory=dict)
    told: bytes = b""
    known: dict[str, PublicPrekey] = field(factory=dict)
    chains: dict[bytes, tuple[bytes, ...]] = field(factory=dict)
    associations: dict[tuple[str, bool], AssociationKeys] = field(factory=dict)
    spis: dict[int, AssociationKeys] = field(factory=dict)
    exchanges: dict[bytes, ExchangedKek] = field(factory=dict)
    drawn: int = 0

    def __attrs_post_init__(self) -> None:
        self.identity = self.identity or identity(self.nai)
        self.new_prekey()

    def new_prekey(self, life: float = 7 * DAY) -> PrivatePrekey:
        """Have another prekey from now on."""
        wall = self.clock.wall
        made = make_prekey(self.kem, self.entropy(seed_size(self.kem)), wall - 300, wall + life)
        self.private[made.id] = made
        assert self.identity is not None
        self.told = sign_prekey(made, self.identity)
        return made

    def renew(self, another: Identity) -> None:
        """Have another certificate from now on."""
        assert self.identity is not None
        self.former.append(self.identity)
        self.identity = another
        self.new_prekey()

    def hear(self, other: Person) -> None:
        """Learn the prekey of another."""
        self.learn_prekeys(other.nai, [other.told], self.clock.wall)

    # -- the vault

    def entropy(self, count: int) -> bytes:
        self.drawn += 1
        return hashlib.shake_256(f"{self.nai} {self.seed} {self.drawn}".encode()).digest(count)

    def clock_ns(self) -> int:
        return round(self.clock.wall * 1e9)

    @property
    def principals(self) -> Sequence[Principal]:
        mine = [] if self.identity is None else [self.identity]
        return [Principal.of_identity(each) for each in (*mine, *reversed(self.former))]

    def prekey(self, peer: str, now: float) -> PublicPrekey | None:
        found = self.known.get(peer)
        return found if found is not None and now < found.expiry else None

    def told_prekeys(self, now: float) -> Sequence[bytes]:
        del now
        return [self.told]

    def learn_prekeys(self, peer: str, prekeys: Sequence[bytes], now: float) -> None:
        assert self.trust is not None
        for octets in prekeys:
            told = decode_prekey(octets)
            self.known[peer] = verify_prekey(told, self.trust, now)
            self.chains[self.known[peer].fingerprint] = told.chain

    def voucher(self, peer: str, fingerprint: bytes, now: float) -> Voucher | None:
        try:
            found = None if self.trust is None else self.trust.verify(self.chains[fingerprint], now)
        except BadCertificate:
            return None
        return found if found is not None and found.nai == peer else None

    def private_prekey(self, prekey_id: bytes) -> PrivatePrekey | None:
        return self.private.get(prekey_id)

    def association_to(self, peer: str, kdc: bool) -> AssociationKeys | None:
        return self.associations.get((peer, kdc))

    def association_at(self, spi: int) -> AssociationKeys | None:
        return self.spis.get(spi)

    def exchanged(self, exchange_id: bytes) -> ExchangedKek | None:
        return self.exchanges.get(exchange_id)

    def spend_exchanged(self, exchange_id: bytes) -> None:
        self.exchanges.pop(exchange_id, None)


def associate(one: Person, other: Person, *, kdc: bool = False, spi: int = SPI, life: float = DAY) -> None:
    """Give two an association, whose SPI at the other is ``spi``."""
    expires = one.clock.wall + life
    one.associations[other.nai, kdc] = AssociationKeys(spi, other.nai, _KEYS, expires, kdc)
    other.spis[spi] = AssociationKeys(spi, one.nai, _KEYS, expires, kdc)


def exchange(one: Person, other: Person, dialog_id: bytes = DIALOG, name: bytes = b"exchange of them") -> ExchangedKek:
    """Have two made a three-phase exchange; return what the one has of it."""
    kek = Secret(hashlib.sha256(name).digest())
    ends = one.principals[0], other.principals[0]
    expires = one.clock.wall + 30 * DAY
    vouchers = [verify_prekey(decode_prekey(each.told), trust(), each.clock.wall).voucher for each in (one, other)]
    other.exchanges[name] = ExchangedKek(name, kek, dialog_id, *ends, vouchers[0], expires)
    return ExchangedKek(name, kek, dialog_id, *ends, vouchers[1], expires)


def source_of(kind: MessageKek, one: Person, other: Person, dialog_id: bytes = DIALOG) -> KekSource:
    """Return a source of KEKs, with all that it needs at both ends."""
    if kind is MessageKek.PREKEY:
        one.hear(other)
        return PrekeySource(one)
    if kind is MessageKek.THREE_PHASE:
        return ThreePhaseSource(one, exchange(one, other, dialog_id))
    associate(one, other, kdc=kind is MessageKek.KDC)
    return AssociationSource(one, kdc=kind is MessageKek.KDC)


@define(eq=False)
class Talk:
    """A dialog of a node with its home."""

    kind: MessageKek = MessageKek.PREKEY
    anonymous: bool = False
    suite: Suite = Suite.AES_256_GCM
    wear: Wear = USUAL
    dialog_id: bytes = DIALOG
    clock: Clock = field(factory=Clock)
    path: bytes = PATH
    seed: str = ""
    node: Person = field(init=False)
    home: Person = field(init=False)
    ours: Initiating = field(init=False)
    door: Doorkeeper = field(init=False)
    number: int = 0
    back_number: int = 0

    def __attrs_post_init__(self) -> None:
        self.node = Person(NODE, self.clock, seed=self.seed)
        self.home = Person(HOME, self.clock, policy=Policy(anonymous=frozenset({SERVICE})))
        self.ours = self.begin(source_of(self.kind, self.node, self.home, self.dialog_id))
        self.door = Doorkeeper(self.home, self.wear)

    def begin(self, source: KekSource) -> Initiating:
        """Begin at the node, as after a start."""
        terms = Terms(self.dialog_id, HOME, SERVICE, "", 4, self.anonymous)
        found = Initiating(self.node, terms, source, self.suite, self.wear)
        found.connection(self.path, self.clock.now)
        return found

    @property
    def theirs(self) -> Accepting:
        """The dialog at the home."""
        found = self.door.accepting("" if self.anonymous else NODE, self.dialog_id)
        assert found is not None
        return found

    def reconnect(self, path: bytes = OTHER_PATH) -> None:
        """Have another connection, at both ends."""
        self.door.lost(self.path)
        self.path = path
        self.ours.connection(path, self.clock.now)
        found = self.door.accepting("" if self.anonymous else NODE, self.dialog_id)
        if found is not None:
            found.connection(path, self.clock.now)

    def say(self, body: bytes = BODY) -> bytes:
        """Return an envelope of the node."""
        self.number += 1
        return self.ours.seal(MessageKind.MESSAGES, 1, 0, 0, self.number, 0, body, self.clock.now)

    def hear(self, octets: bytes) -> Opened:
        """Open it at the home."""
        return self.door.open(octets, self.path, self.clock.now)

    def answer(self, body: bytes = BODY) -> bytes:
        """Return an envelope of the home."""
        self.back_number += 1
        theirs = self.theirs
        return theirs.seal(MessageKind.MESSAGES, 1, 0, 0, self.back_number, 0, body, self.clock.now)

    def heed(self, octets: bytes) -> Opened:
        """Open it at the node."""
        return self.ours.open(octets, self.path, self.clock.now)

    def hold(self) -> bytes | None:
        """Have the home say HELD where it has to, and the node hear it; return what was said."""
        chain = self.theirs.pending_held()
        if chain is not None:
            frames = encode_frames([Held(chain)])
            self.theirs.connection(self.path, self.clock.now)
            opened = self.heed(self.theirs.seal(MessageKind.STATE, 0, 0, 0, 0, self.number, frames, self.clock.now))
            assert opened.body == frames
            self.ours.held(chain, self.clock.now)
        return chain

    def settle(self) -> None:
        """Come to where both directions are short."""
        self.hear(self.say())
        self.hold()
        self.hear(self.say())
        self.heed(self.answer())
