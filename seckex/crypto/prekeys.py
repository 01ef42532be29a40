"""Prekeys, which key exchange keys are sealed to while those who hold them are away: docs/messages.md, section 6.

A `PrivatePrekey` is made out of random octets and stored as octets until it has expired, when whoever holds it
destroys it. What others are told is signed with the key of the principal's certificate, and lives no longer than
that. `verify_prekey` gives a `PublicPrekey`, the only thing that a KEK is sealed to.
"""

from __future__ import annotations

from typing import Final

from attrs import evolve, field, frozen

from seckex.crypto.envelope import sign, verify
from seckex.crypto.hpke import PrivateKey, check_public, seed_size
from seckex.crypto.identity import Identity, Trust, Voucher
from seckex.crypto.schedule import lp
from seckex.crypto.secrets import Secret, equal
from seckex.crypto.suites import SHA256
from seckex.errors import ApiMisuse, AuthenticationFailed, BadCertificate, Flaw, PeerMisbehaved
from seckex.wire.envelope_headers import PREKEY_ID_SIZE
from seckex.wire.numbers import Kem
from seckex.wire.prekey import Prekey, encode_prekey, encode_unsigned

_LABEL: Final = b"seckex1 prekey signature"
_STORED: Final = 17


def prekey_id(public: bytes) -> bytes:
    """Return what names a public key, 16 octets."""
    return SHA256.digest(b"seckex1 prekey id", lp(public))[:PREKEY_ID_SIZE]


class PrivatePrekey:
    """The private half; ``not_before`` and ``expiry`` in whole seconds since 1970, ``id`` is that of its public key."""

    __slots__ = ("_key", "_seed", "expiry", "id", "kem", "not_before", "public")

    def __init__(self, kem: Kem, seed: Secret, not_before: int, expiry: int) -> None:
        if not 0 <= not_before < expiry < 1 << 64:
            raise ApiMisuse("a prekey ends after it begins")
        self._key = PrivateKey(kem, seed)
        self._seed = seed
        self.kem = kem
        self.not_before = not_before
        self.expiry = expiry
        self.public = self._key.public
        self.id = prekey_id(self.public)

    def __repr__(self) -> str:
        return f"<PrivatePrekey {self.id.hex()}>"

    def open(self, sealed: bytes, info: bytes) -> Secret:
        """Return what HPKE has sealed to it under ``info``; raises `AuthenticationFailed`."""
        return self._key.open(sealed, info)

    def octets(self) -> Secret:
        """Return all of it, for sealing at rest; `from_octets` reads it."""
        life = self.not_before.to_bytes(8, "big") + self.expiry.to_bytes(8, "big")
        return Secret(self.kem.to_bytes(1, "big") + life + self._seed.octets)

    @classmethod
    def from_octets(cls, stored: Secret) -> PrivatePrekey:
        """Read what `octets` wrote; raises `ApiMisuse` for anything else."""
        octets = stored.octets
        if len(octets) < _STORED or octets[0] not in Kem.__members__.values():
            raise ApiMisuse("these are not the octets of a prekey")
        not_before, expiry = (int.from_bytes(octets[at : at + 8], "big") for at in (1, 9))
        return cls(Kem(octets[0]), Secret(octets[_STORED:]), not_before, expiry)


def make_prekey(kem: Kem, randomness: bytes, not_before: float, expiry: float) -> PrivatePrekey:
    """Return a prekey; ``randomness`` has `seckex.crypto.hpke.seed_size` octets, times are seconds since 1970.

    Whoever makes one lets it begin some minutes ago: the clocks of others may be slow.
    """
    if len(randomness) != seed_size(kem):
        raise ApiMisuse(f"a prekey of {kem.name} is made from {seed_size(kem)} octets")
    return PrivatePrekey(kem, Secret(randomness), int(not_before), int(expiry))


def sign_prekey(prekey: PrivatePrekey, identity: Identity) -> bytes:
    """Return the octets that others are told; raises `ApiMisuse` where the certificates end before the prekey."""
    if prekey.expiry > identity.not_after:
        raise ApiMisuse("a prekey ends with the certificates at the latest")
    told = Prekey(prekey.kem, prekey.not_before, prekey.expiry, identity.nai, prekey.id, prekey.public, identity.chain)
    return encode_prekey(evolve(told, signature=sign(identity, _LABEL, encode_unsigned(told))))


@frozen
class PublicPrekey:
    """A prekey that was verified: ``voucher`` is of the principal that has it.

    ``expiry``, in seconds since 1970, is where it ends or who vouches for it, whichever is earlier.
    """

    kem: Kem
    id: bytes
    public: bytes = field(repr=False)
    expiry: int
    voucher: Voucher

    @property
    def nai(self) -> str:
        """Whose it is."""
        return self.voucher.nai

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the principal's certificate."""
        return bytes.fromhex(self.voucher.fingerprint)


def verify_prekey(prekey: Prekey, trust: Trust, now: float) -> PublicPrekey:
    """Return a prekey that somebody who is trusted vouches for; ``now`` in wall-clock seconds.

    Raises `BadCertificate`, also where the prekey is not of now, and `AuthenticationFailed`. The caller compares the
    NAI with whom it wants to reach.
    """
    voucher = trust.verify(prekey.chain, now)
    if voucher.nai != prekey.nai:
        raise BadCertificate(Flaw.WRONG_NAME, f"a prekey of {prekey.nai} with the certificate of {voucher.nai}")
    if now >= prekey.expiry:
        raise BadCertificate(Flaw.EXPIRED, f"a prekey of {voucher.nai} has expired")
    if now < prekey.not_before:
        raise BadCertificate(Flaw.NOT_YET_VALID, f"a prekey of {voucher.nai} has not begun")
    verify(voucher, prekey.signature, _LABEL, prekey.unsigned)
    if not equal(prekey.prekey_id, prekey_id(prekey.public)):
        raise AuthenticationFailed(f"a prekey of {voucher.nai} has the id of another")
    try:
        check_public(prekey.kem, prekey.public)
    except PeerMisbehaved as error:
        # Its owner can sign it all the same: found out here, and not when something is to be sealed.
        raise AuthenticationFailed(f"a prekey of {voucher.nai} cannot be used: {error.why}") from None
    expiry = min(prekey.expiry, int(voucher.not_after))
    return PublicPrekey(prekey.kem, prekey.prekey_id, prekey.public, expiry, voucher)
