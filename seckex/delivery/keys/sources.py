"""Where the KEKs of a dialog come from, at its initiator: docs/messages.md, section 6.

All sources have one face, `KekSource`: they make a KEK with the headers that say so, and tell when what vouched for it
is another by now. A source never gives way to another: who cannot make a KEK raises `KeysWanting`, and the dialog
waits. What the target makes of such headers is in `seckex.delivery.keys.taking`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, Protocol

from attrs import frozen

from seckex.crypto.envelope import KEY_SIZE, kek_id
from seckex.crypto.identity import Identity, Voucher
from seckex.crypto.kek import NONCE_SIZE, exported_kek, kek_export, kek_info, seal_kek
from seckex.crypto.secrets import Secret
from seckex.delivery.keys.faces import AssociationKeys, ExchangedKek, KeysWanting, Vault
from seckex.delivery.keys.pair import ANONYMOUS, Pair, Principal, Terms
from seckex.delivery.keys.rotation import Wear
from seckex.machine import Now
from seckex.wire.envelope_headers import KekHeader, encode_kek
from seckex.wire.envelope_pair import AnonymousPair, encode_anonymous, encode_pair_unsigned
from seckex.wire.numbers import Kem, MessageKek

#: Octets of the SPI that is the id of an association.
SPI_SIZE: Final = 4


@frozen(eq=False)
class Kek:
    """A KEK with its headers, at either end.

    ``pair_unsigned`` (empty in anonymous dialogs) and ``octets`` are the service pair header up to its proof and the
    KEK header as on the wire. ``until`` is when it ends, in seconds since 1970: its Expiry, or an end of what vouches
    for it. ``since`` is when it was made or taken here. At the initiator ``signer`` signs, None for a MAC or nobody,
    and ``voucher`` is the target's, by which it believes a NOTICE, None where an association vouches.
    """

    source: MessageKek
    secret: Secret
    id: bytes
    pair: Pair
    pair_unsigned: bytes
    octets: bytes
    until: float
    since: Now
    kem: Kem | None = None
    source_id: bytes = b""
    signer: Identity | None = None
    voucher: Voucher | None = None

    @property
    def of_association(self) -> bool:
        """Whether an association vouches for both ends: then a target that has lost the KEK can prove nothing."""
        return self.source in (MessageKek.ASSOCIATION, MessageKek.KDC)


class KekSource(Protocol):
    """See the module."""

    @property
    def source(self) -> MessageKek:
        """Which one it is."""
        ...

    def make(self, terms: Terms, wear: Wear, now: Now) -> Kek:
        """Return a new KEK for a dialog; raises `KeysWanting`."""
        ...

    def stale(self, kek: Kek, now: Now) -> bool:
        """Tell whether a KEK made now would be vouched for by another certificate or sealed to another prekey."""
        ...


@lru_cache(maxsize=256)
def _unsigned(pair: Pair) -> bytes:
    # Two that have a dialog have others, and nothing of a dialog is in this header.
    return encode_pair_unsigned(pair.header())


def _made(
    source: MessageKek,
    secret: Secret,
    pair: Pair,
    expiry: float,
    source_id: bytes,
    sealed: bytes,
    now: Now,
    kem: Kem | None = None,
    signer: Identity | None = None,
    voucher: Voucher | None = None,
) -> Kek:
    name, whole = kek_id(secret), int(expiry)
    if whole <= now.wall:
        raise KeysWanting(f"what a key for {pair.target.nai} would be vouched for by is at its end")
    octets = encode_kek(KekHeader(source, kem, name, whole, source_id, sealed))
    unsigned = b"" if pair.anonymous else _unsigned(pair)
    return Kek(source, secret, name, pair, unsigned, octets, whole, now, kem, source_id, signer, voucher)


class PrekeySource:
    """KEKs that are drawn here and sealed to a prekey of the target, who may be asleep."""

    source: Final = MessageKek.PREKEY

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def make(self, terms: Terms, wear: Wear, now: Now) -> Kek:
        """See `KekSource.make`."""
        vault, identity = self._vault, self._vault.identity
        prekey = vault.prekey(terms.peer, now.wall)
        if prekey is None:
            raise KeysWanting(f"no prekey of {terms.peer} is known")
        if identity is None and not terms.anonymous:
            raise KeysWanting("there is no certificate to sign with")
        signer = None if terms.anonymous else identity
        initiator = ANONYMOUS if signer is None else Principal.of_identity(signer)
        target = Principal.of_voucher(prekey.voucher)
        chain = () if signer is None else signer.chain
        pair = Pair(initiator, target, terms.own, terms.service, terms.priority, chain)
        kek = Secret(vault.entropy(KEY_SIZE))
        info = kek_info(
            initiator.nai, initiator.fingerprint, target.nai, target.fingerprint, prekey.id, terms.dialog_id
        )
        plaintext = kek
        if terms.anonymous:
            said = AnonymousPair(target.nai, terms.own, terms.service, terms.priority)
            plaintext = Secret(kek.octets + encode_anonymous(said))
        sealed = seal_kek(prekey, info, plaintext)
        expiry = min(now.wall + wear.kek_life, prekey.expiry, pair.not_after)
        return _made(self.source, kek, pair, expiry, prekey.id, sealed, now, prekey.kem, signer, prekey.voucher)

    def stale(self, kek: Kek, now: Now) -> bool:
        """See `KekSource.stale`."""
        prekey = self._vault.prekey(kek.pair.target.nai, now.wall)
        if kek.signer is not None and kek.signer is not self._vault.identity:
            return True
        return prekey is not None and prekey.id != kek.source_id


class AssociationSource:
    """KEKs that come of an association with the target, of one that a KDC has issued with ``kdc``."""

    def __init__(self, vault: Vault, *, kdc: bool = False) -> None:
        self._vault = vault
        self._kdc = kdc

    @property
    def source(self) -> MessageKek:
        """See `KekSource.source`."""
        return MessageKek.KDC if self._kdc else MessageKek.ASSOCIATION

    def _association(self, peer: str, now: Now) -> AssociationKeys | None:
        found = self._vault.association_to(peer, self._kdc)
        return found if found is not None and now.wall < found.expires else None

    def make(self, terms: Terms, wear: Wear, now: Now) -> Kek:
        """See `KekSource.make`."""
        vault, found = self._vault, self._association(terms.peer, now)
        if terms.anonymous:
            raise KeysWanting("an association vouches for a name: an anonymous dialog needs a prekey")
        if found is None:
            raise KeysWanting(f"there is no association with {terms.peer}")
        initiator, target = Principal.of_association(vault.nai), Principal.of_association(terms.peer)
        pair = Pair(initiator, target, terms.own, terms.service, terms.priority)
        nonce = vault.entropy(NONCE_SIZE)
        secret = exported_kek(kek_export(found.keys, vault.nai, terms.peer, terms.dialog_id), nonce)
        expiry = min(now.wall + wear.kek_life, found.expires)
        return _made(self.source, secret, pair, expiry, found.spi.to_bytes(SPI_SIZE, "big"), nonce, now)

    def stale(self, kek: Kek, now: Now) -> bool:
        """See `KekSource.stale`."""
        found = self._association(kek.pair.target.nai, now)
        return found is not None and found.spi.to_bytes(SPI_SIZE, "big") != kek.source_id


class ThreePhaseSource:
    """The one KEK that a three-phase exchange has given; another one takes another exchange."""

    source: Final = MessageKek.THREE_PHASE

    def __init__(self, vault: Vault, exchanged: ExchangedKek) -> None:
        self._vault = vault
        self._exchanged: ExchangedKek | None = exchanged

    def make(self, terms: Terms, wear: Wear, now: Now) -> Kek:
        """See `KekSource.make`; a second call wants another exchange."""
        found, self._exchanged = self._exchanged, None
        signer = self._vault.identity
        if found is None:
            raise KeysWanting(f"another exchange with {terms.peer} has to be made")
        if signer is None or bytes.fromhex(signer.fingerprint) != found.initiator.fingerprint:
            raise KeysWanting("the certificate is another one than at the exchange")
        if found.dialog_id != terms.dialog_id or found.target.nai != terms.peer:
            raise KeysWanting("the exchange was for another dialog")
        pair = Pair(found.initiator, found.target, terms.own, terms.service, terms.priority, signer.chain)
        expiry = min(now.wall + wear.kek_life, found.expires, pair.not_after)
        return _made(
            self.source, found.kek, pair, expiry, found.exchange_id, b"", now, signer=signer, voucher=found.voucher
        )

    def stale(self, kek: Kek, now: Now) -> bool:  # noqa: ARG002  # of use to the others
        """See `KekSource.stale`."""
        return kek.signer is not self._vault.identity
