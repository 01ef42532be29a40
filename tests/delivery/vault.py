"""The keys of a principal on the table: a certificate by the table's authority, prekeys, whom it has heard of."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import define, field

from seckex.crypto.hpke import seed_size
from seckex.crypto.identity import Identity, TrustAnchors, Voucher
from seckex.crypto.prekeys import PrivatePrekey, PublicPrekey, make_prekey, sign_prekey, verify_prekey
from seckex.delivery.keys.faces import AssociationKeys, ExchangedKek, Policy
from seckex.delivery.keys.pair import Principal
from seckex.errors import SeckexError
from seckex.wire.numbers import Kem
from seckex.wire.prekey import decode_prekey
from tests.roaming.certificates import identity, trust

DAY = 86400.0


@define
class TableVault:
    """See the module and `seckex.delivery.keys.faces.Vault`; ``wall`` gives seconds since 1970."""

    nai: str
    entropy_: Callable[[int], bytes]
    wall: Callable[[], float]
    identity: Identity | None = None
    trust: TrustAnchors | None = field(factory=trust)
    policy: Policy = field(factory=Policy)
    kems: tuple[Kem, ...] = (Kem.X25519,)
    prekeys: dict[bytes, PrivatePrekey] = field(factory=dict)
    known: dict[str, PublicPrekey] = field(factory=dict)
    former: list[Identity] = field(factory=list)
    associations: dict[tuple[str, bool], AssociationKeys] = field(factory=dict)
    by_spi: dict[int, AssociationKeys] = field(factory=dict)
    exchanges: dict[bytes, ExchangedKek] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.identity = self.identity or identity(self.nai)
        self.new_prekeys()

    def new_prekeys(self) -> None:
        """Make new ones, one for each KEM, which are told from now on."""
        for kem in self.kems:
            made = make_prekey(kem, self.entropy_(seed_size(kem)), self.wall() - 300, self.wall() + 7 * DAY)
            self.prekeys[made.id] = made

    def renew(self, another: Identity) -> None:
        """Have another certificate from now on."""
        if self.identity is not None:
            self.former.append(self.identity)
        self.identity = another
        self.new_prekeys()

    def entropy(self, count: int) -> bytes:
        """Return random octets."""
        return self.entropy_(count)

    def clock_ns(self) -> int:
        """Return the wall clock in nanoseconds."""
        return int(self.wall() * 1e9)

    @property
    def principals(self) -> list[Principal]:
        """Return us by our certificates."""
        mine = [self.identity, *reversed(self.former)]
        return [Principal.of_identity(each) for each in mine if each is not None]

    def prekey(self, peer: str, now: float) -> PublicPrekey | None:
        """Return what was learnt of another."""
        found = self.known.get(peer)
        return found if found is not None and now < found.expiry else None

    def voucher(self, peer: str, fingerprint: bytes, now: float) -> Voucher | None:
        """Return what another's chain has said."""
        found = self.known_voucher(peer, now)
        return found if found is not None and bytes.fromhex(found.fingerprint) == fingerprint else None

    def vouched(self, voucher: Voucher, now: float) -> bool:
        """Tell whether a chain still holds."""
        return now < voucher.not_after

    def known_voucher(self, peer: str, now: float) -> Voucher | None:
        """Return what vouches for another."""
        found = self.prekey(peer, now)
        return None if found is None else found.voucher

    def private_prekey(self, prekey_id: bytes) -> PrivatePrekey | None:
        """Return one of ours."""
        return self.prekeys.get(prekey_id)

    def association_to(self, peer: str, kdc: bool) -> AssociationKeys | None:
        """Return an association at the initiator."""
        return self.associations.get((peer, kdc))

    def association_at(self, spi: int) -> AssociationKeys | None:
        """Return an association at the target."""
        return self.by_spi.get(spi)

    def exchanged(self, exchange_id: bytes) -> ExchangedKek | None:
        """Return what came of a three-phase exchange."""
        return self.exchanges.get(exchange_id)

    def spend_exchanged(self, exchange_id: bytes) -> None:
        """Forget what came of one."""
        self.exchanges.pop(exchange_id, None)

    # -- what a house asks beside

    def own_prekey(self, now: float) -> PrivatePrekey | None:
        """Return the newest of ours."""
        del now
        return next(reversed(self.prekeys.values()), None)

    def keep_exchanged(self, exchanged: ExchangedKek) -> None:
        """Take what came of an exchange."""
        self.exchanges[exchanged.exchange_id] = exchanged

    def told_prekeys(self, now: float) -> list[bytes]:
        """Return the newest prekey of each KEM, signed."""
        del now
        newest = {each.kem: each for each in self.prekeys.values()}
        assert self.identity is not None
        return [sign_prekey(each, self.identity) for each in newest.values()]

    def learn_prekeys(self, peer: str, prekeys: Sequence[bytes], now: float) -> None:
        """Take what another tells."""
        assert self.trust is not None
        for octets in prekeys:
            try:
                prekey = verify_prekey(decode_prekey(octets), self.trust, now)
            except SeckexError:
                continue
            if prekey.nai == peer:
                self.known[peer] = prekey
