"""What a target makes of headers that it does not hold: who vouches for them, and the KEK in them.

docs/messages.md, sections 4 and 6. Everything here is asked of an envelope whose body has not been opened yet, so
nothing that is found may be kept before that has happened. What has ended, was revoked or is not known to us is
`HeadersMissing`; what nobody who may can have said is `Forged`.
"""

from __future__ import annotations

from typing import Final

from seckex.crypto.envelope import kek_id, verify_mac_pair, verify_pair
from seckex.crypto.kek import exported_kek, kek_export, kek_info, open_anonymous, open_kek
from seckex.crypto.prekeys import PrivatePrekey
from seckex.crypto.secrets import Secret
from seckex.delivery.keys.faces import Forged, HeadersMissing, Vault
from seckex.delivery.keys.pair import ANONYMOUS, Pair, Principal
from seckex.delivery.keys.rotation import LONGEST_KEK, SKEW
from seckex.delivery.keys.sources import Kek
from seckex.errors import AuthenticationFailed, BadCertificate, Malformed
from seckex.machine import Now
from seckex.wire.envelope import Envelope
from seckex.wire.envelope_headers import KekHeader
from seckex.wire.envelope_pair import ServicePair, decode_anonymous
from seckex.wire.numbers import MessageKek, PairAlgorithm

_OF_ASSOCIATIONS: Final = (MessageKek.ASSOCIATION, MessageKek.KDC)


class Taking:
    """One envelope with all headers, at its target at ``now``."""

    __slots__ = ("_dialog_id", "_envelope", "_now", "_peer", "_vault")

    def __init__(self, vault: Vault, envelope: Envelope, now: Now) -> None:
        self._vault = vault
        self._envelope = envelope
        self._now = now
        self._dialog_id = envelope.dialog.dialog_id
        self._peer = "" if envelope.pair is None else envelope.pair.initiator

    def _missing(self, field: str, why: str) -> HeadersMissing:
        return HeadersMissing(field, why, self._dialog_id, peer=self._peer)

    def _forged(self, field: str, why: str) -> Forged:
        return Forged(field, why, self._dialog_id, self._peer)

    def kek(self) -> Kek:
        """Return the KEK; raises `HeadersMissing`, `Forged` and `Malformed`."""
        header, said = self._envelope.kek, self._envelope.pair
        if header is None:
            raise self._missing("KEK id", "no such key is held")
        self._check_life(header)
        try:
            if said is None:
                pair, secret, until = self._anonymous(header)
            elif header.source in _OF_ASSOCIATIONS:
                pair, secret, until = self._of_association(header, said)
            else:
                pair, secret, until = self._of_certificates(header, said)
        except (Forged, HeadersMissing):
            raise
        except AuthenticationFailed as error:
            raise self._forged("service pair header, KEK header", str(error)) from None
        if kek_id(secret) != header.kek_id:
            raise self._forged("KEK id", "is not that of the key in the header")
        if header.expiry > until:
            raise self._forged("Expiry", "is after the end of what vouches for the key")
        unsigned, octets = self._envelope.pair_unsigned, self._envelope.kek_octets
        ends = min(header.expiry, until)
        kem, source_id = header.kem, header.source_id
        return Kek(header.source, secret, header.kek_id, pair, unsigned, octets, ends, self._now, kem, source_id)

    def _check_life(self, header: KekHeader) -> None:
        wall, created = self._now.wall, self._envelope.created / 1e6
        if header.expiry <= wall:
            raise self._missing("Expiry", "the key has expired")
        if header.expiry > wall + LONGEST_KEK + SKEW:
            raise self._forged("Expiry", "is further ahead than a key may live")
        if not header.expiry - LONGEST_KEK - SKEW <= created < header.expiry:
            raise self._missing("Creation time", "is not within the life of the key")

    # -- certificates

    def _of_certificates(self, header: KekHeader, said: ServicePair) -> tuple[Pair, Secret, float]:
        if said.algorithm is not PairAlgorithm.ECDSA:
            raise self._forged("Algorithm", "is not that of the key's source")
        target = self._target(said)
        initiator = self._initiator(said)
        pair = Pair(initiator, target, said.own, said.service, said.priority, said.chain)
        if header.source is MessageKek.THREE_PHASE:
            return pair, self._of_exchange(header, pair), pair.not_after
        prekey = self._prekey(header)
        info = kek_info(
            initiator.nai, initiator.fingerprint, target.nai, target.fingerprint, prekey.id, self._dialog_id
        )
        return pair, open_kek(prekey, info, header.sealed), min(pair.not_after, prekey.expiry)

    def _target(self, said: ServicePair) -> Principal:
        for each in self._vault.principals:
            if each.fingerprint == said.target_fingerprint:
                if (each.nai, each.issued) != (said.target, said.target_issued):
                    raise self._forged("target's NAI, target's issue date", "are not those of the certificate")
                return each
        raise self._missing("target's fingerprint", "is that of no certificate of ours")

    def _initiator(self, said: ServicePair) -> Principal:
        trust = self._vault.trust
        if trust is None:
            raise self._missing("chain", "nobody is trusted to vouch for others")
        try:
            voucher = trust.verify(said.chain, self._now.wall)
        except BadCertificate as error:
            raise self._missing("chain", f"{error.flaw.value}: {error.why}") from None
        initiator = Principal.of_voucher(voucher)
        if initiator.fingerprint != said.initiator_fingerprint:
            raise self._forged("initiator's fingerprint", "is not that of the certificate")
        if (initiator.nai, initiator.issued) != (said.initiator, said.initiator_issued):
            raise self._forged("initiator's NAI, initiator's issue date", "are not those of the certificate")
        try:
            verify_pair(voucher, said.proof, self._envelope.signed)
        except AuthenticationFailed as error:
            raise self._forged("signature", str(error)) from None
        return initiator

    def _prekey(self, header: KekHeader) -> PrivatePrekey:
        prekey = self._vault.private_prekey(header.source_id)
        if prekey is None:
            raise self._missing("source id", "is that of no prekey of ours")
        if prekey.kem is not header.kem:
            raise self._forged("KEM", "is not that of the prekey")
        if self._envelope.created / 1e6 < prekey.not_before - SKEW:
            raise self._missing("Creation time", "is before the prekey")
        return prekey

    def _of_exchange(self, header: KekHeader, pair: Pair) -> Secret:
        found = self._vault.exchanged(header.source_id)
        if found is None:
            raise self._missing("source id", "is that of no exchange that is known")
        if found.dialog_id != self._dialog_id:
            raise self._forged("Dialog id", "is not that of the exchange")
        for name, one, other in (
            ("initiator's fingerprint", pair.initiator, found.initiator),
            ("target's fingerprint", pair.target, found.target),
        ):
            if (one.nai, one.fingerprint) != (other.nai, other.fingerprint):
                raise self._forged(name, "is not that of the exchange")
        if header.expiry > found.expires:
            raise self._forged("Expiry", "is after the end of what the exchange gave")
        return found.kek

    # -- associations

    def _of_association(self, header: KekHeader, said: ServicePair) -> tuple[Pair, Secret, float]:
        if said.algorithm is not PairAlgorithm.MAC:
            raise self._forged("Algorithm", "is not that of the key's source")
        found = self._vault.association_at(int.from_bytes(header.source_id, "big"))
        if found is None or found.expires <= self._now.wall:
            raise self._missing("source id", "is the SPI of no association")
        if found.kdc != (header.source is MessageKek.KDC):
            raise self._forged("Source", "is not that of the association")
        if said.target != self._vault.nai:
            raise self._missing("target's NAI", "is not ours")
        if said.initiator != found.peer:
            raise self._forged("initiator's NAI", "is not whom the association is with")
        initiator, target = Principal.of_association(said.initiator), Principal.of_association(said.target)
        if (initiator.fingerprint, target.fingerprint) != (said.initiator_fingerprint, said.target_fingerprint):
            raise self._forged("fingerprints", "are not those of the names")
        export = kek_export(found.keys, said.initiator, said.target, self._dialog_id)
        secret = exported_kek(export, header.sealed)
        verify_mac_pair(secret, said.proof, self._envelope.signed)
        return Pair(initiator, target, said.own, said.service, said.priority), secret, found.expires

    # -- nobody

    def _anonymous(self, header: KekHeader) -> tuple[Pair, Secret, float]:
        prekey = self._prekey(header)
        for target in self._vault.principals:
            info = kek_info(
                ANONYMOUS.nai, ANONYMOUS.fingerprint, target.nai, target.fingerprint, prekey.id, self._dialog_id
            )
            try:
                secret, octets = open_anonymous(prekey, info, header.sealed)
                found = decode_anonymous(octets)
            except Malformed as error:
                raise self._forged("sealed KEK", str(error)) from None
            except AuthenticationFailed:
                continue
            if found.target != target.nai:
                raise self._forged("sealed KEK", "is for somebody else")
            pair = Pair(ANONYMOUS, target, found.own, found.service, found.priority)
            return pair, secret, min(pair.not_after, prekey.expiry)
        raise self._forged("sealed KEK", "does not open")


def still_vouched(vault: Vault, kek: Kek, now: Now) -> bool:
    """Tell whether what vouched for a KEK when it was taken still does."""
    pair = kek.pair
    if kek.source in _OF_ASSOCIATIONS:
        found = vault.association_at(int.from_bytes(kek.source_id, "big"))
        return found is not None and found.peer == pair.initiator.nai and now.wall < found.expires
    if all(each.fingerprint != pair.target.fingerprint for each in vault.principals):
        return False
    if pair.anonymous:
        return True
    try:
        return vault.trust is not None and bool(vault.trust.verify(pair.chain, now.wall))
    except BadCertificate:
        return False
