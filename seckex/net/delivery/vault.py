"""The keys that dialogs of messages use: see `seckex.delivery.keys.faces.Vault`.

Ours are the certificate's and the prekeys' (`seckex.net.delivery.prekeys`); what vouches for others is their
certificates, the prekeys that they tell, and associations. Of others' prekeys the best that was told last is kept, in
memory, of `MOST_PEERS` peers; of more, the one that was told longest ago is forgotten, and told again on its
next connection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from attrs import define, field, frozen

from seckex.config.credentials import Credentials
from seckex.crypto.identity import Identity, Trust, Voucher
from seckex.crypto.prekeys import PrivatePrekey, PublicPrekey, verify_prekey
from seckex.delivery.keys.faces import AssociationKeys, ExchangedKek, Policy
from seckex.delivery.keys.pair import Principal
from seckex.errors import BadCertificate, SeckexError
from seckex.net.delivery.prekeys import KEMS, PrekeyRing
from seckex.sa.association import Association
from seckex.wire.prekey import decode_prekey

MOST_PEERS: Final = 4096
MOST_EXCHANGES: Final = 4096


@frozen
class _Known:
    prekey: PublicPrekey
    chain: tuple[bytes, ...]


@define
class MessageVault:
    """See the module. ``held`` returns our associations with a peer, the newest last, ``at`` the one of an SPI here."""

    nai: str
    ring: PrekeyRing
    credentials: Credentials | None
    policy: Policy
    entropy: Callable[[int], bytes]
    _wall: Callable[[], float]
    _held: Callable[[str], Sequence[Association]]
    _at: Callable[[int], Association | None]
    _known: dict[str, _Known] = field(factory=dict, repr=False)
    _exchanges: dict[bytes, ExchangedKek] = field(factory=dict, repr=False)

    @property
    def identity(self) -> Identity | None:
        """See `Vault.identity`."""
        return None if self.credentials is None else self.credentials.identity

    @property
    def trust(self) -> Trust | None:
        """See `Vault.trust`."""
        return None if self.credentials is None else self.credentials.trust

    @property
    def principals(self) -> Sequence[Principal]:
        """See `Vault.principals`; where there is no certificate, us by our name."""
        return self.ring.principals or (Principal.of_association(self.nai),)

    def own(self, fingerprint: bytes) -> Principal | None:
        """Return us by one of our certificates."""
        return next((each for each in self.principals if each.fingerprint == fingerprint), None)

    def clock_ns(self) -> int:
        """See `Vault.clock_ns`."""
        return int(self._wall() * 1e9)

    def reconfigure(self, credentials: Credentials | None, policy: Policy) -> None:
        """Go on with another certificate, other trust, other policy."""
        self.credentials, self.policy = credentials, policy
        self.ring.use(self.identity, self._wall())

    # -- prekeys

    def private_prekey(self, prekey_id: bytes) -> PrivatePrekey | None:
        """See `Vault.private_prekey`."""
        return self.ring.private(prekey_id)

    def own_prekey(self, now: float) -> PrivatePrekey | None:
        """See `HouseVault.own_prekey`."""
        return self.ring.best(now)

    def told_prekeys(self, now: float) -> Sequence[bytes]:
        """Return what others are told of ours."""
        return self.ring.told(now)

    def learn_prekeys(self, peer: str, prekeys: Iterable[bytes], now: float) -> None:
        """Take what ``peer`` tells, as far as it is his and verifies: the best of what he tells now counts."""
        found = [known for known in (self._verified(peer, octets, now) for octets in prekeys) if known is not None]
        if found:
            self._known.pop(peer, None)
            self._known[peer] = min(found, key=lambda each: (KEMS.index(each.prekey.kem), -each.prekey.expiry))
            if len(self._known) > MOST_PEERS:
                del self._known[next(iter(self._known))]

    def _verified(self, peer: str, octets: bytes, now: float) -> _Known | None:
        trust = self.trust
        if trust is None:
            return None
        try:
            told = decode_prekey(octets)
            prekey = verify_prekey(told, trust, now)
        except SeckexError:
            return None
        return _Known(prekey, told.chain) if prekey.nai == peer else None

    def prekey(self, peer: str, now: float) -> PublicPrekey | None:
        """See `Vault.prekey`: one whose certificate was revoked since is known no more."""
        known = self._known.get(peer)
        if known is None or now >= known.prekey.expiry or self._vouched(known, now) is None:
            return None
        return known.prekey

    def voucher(self, peer: str, fingerprint: bytes, now: float) -> Voucher | None:
        """See `Vault.voucher`."""
        known = self._known.get(peer)
        if known is None or known.prekey.fingerprint != fingerprint:
            return None
        return self._vouched(known, now)

    def known_voucher(self, peer: str, now: float) -> Voucher | None:
        """See `seckex.delivery.terms.HouseVault`."""
        known = self._known.get(peer)
        return None if known is None else self._vouched(known, now)

    def _vouched(self, known: _Known, now: float) -> Voucher | None:
        trust = self.trust
        try:
            return None if trust is None else trust.verify(known.chain, now)
        except BadCertificate:
            return None

    # -- associations

    def association_to(self, peer: str, kdc: bool) -> AssociationKeys | None:
        """See `Vault.association_to`; whether a center has issued the keys of one is not known to its ends."""
        now = self._wall()
        living = [one for one in self._held(peer) if one.confirmed and now < one.expires]
        return None if kdc or not living else _keys(living[-1], living[-1].spi_out)

    def association_at(self, spi: int) -> AssociationKeys | None:
        """See `Vault.association_at`."""
        found = self._at(spi)
        return None if found is None or self._wall() >= found.expires else _keys(found, found.spi_in)

    # -- exchanges

    def exchanged(self, exchange_id: bytes) -> ExchangedKek | None:
        """See `Vault.exchanged`."""
        return self._exchanges.get(exchange_id)

    def spend_exchanged(self, exchange_id: bytes) -> None:
        """See `Vault.spend_exchanged`."""
        self._exchanges.pop(exchange_id, None)

    def keep_exchanged(self, exchanged: ExchangedKek) -> None:
        """Take what came of an exchange, at its target; of too many the oldest is forgotten."""
        self._exchanges[exchanged.exchange_id] = exchanged
        if len(self._exchanges) > MOST_EXCHANGES:
            del self._exchanges[next(iter(self._exchanges))]

    def tend(self, now: float) -> None:
        """Do what time demands; some times a minute."""
        self.ring.tend(now)
        for exchange_id in [each for each, kek in self._exchanges.items() if kek.expires <= now]:
            del self._exchanges[exchange_id]


def _keys(association: Association, spi: int) -> AssociationKeys:
    return AssociationKeys(spi, association.peer, association.keys, association.expires)
