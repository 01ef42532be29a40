"""Key encapsulation for registrations: DHKEM(X25519, HKDF-SHA256), alone or joined with ML-KEM-768.

The first is that of RFC 9180, section 4.1, octet for octet; docs/registration.md,
section 1, has the second, which is safe as long as one of its two parts is. A
`Kem` makes a `KemKey` out of a seed; who has the key's public half seals a fresh
secret to it, which the key opens.

Randomness is passed in, so that everything is a pure function of its arguments
but the encapsulation of ML-KEM, for which the library draws by itself. A value
that will not do raises `PeerMisbehaved`, code bad-key-share. A ciphertext that
was altered and still is one leads to another secret, not to an error: what is
authenticated or sealed under that secret finds it out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol, TypeAlias

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey

from seckex.crypto.groups.curves import X25519_SIZE, X25519Share
from seckex.crypto.groups.interface import bad_share, check_size
from seckex.crypto.schedule import lp
from seckex.crypto.secrets import Secret
from seckex.crypto.suites import SHA256
from seckex.errors import ApiMisuse
from seckex.wire.numbers import Kem as KemNumber

SECRET_SIZE: Final = 32

# RFC 9180, section 4: the version and the suite_id of DHKEM(X25519, HKDF-SHA256) begin every input.
_SUITE: Final = b"HPKE-v1KEM\x00\x20"
_EAE_PRK: Final = _SUITE + b"eae_prk"
_SHARED_SECRET: Final = SECRET_SIZE.to_bytes(2, "big") + _SUITE + b"shared_secret"

_ML_KEM_SEED: Final = 64
_ML_KEM_PUBLIC: Final = 1184
_ML_KEM_CIPHERTEXT: Final = 1088
_HYBRID: Final = b"seckex1 hybrid kem"


def _dhkem(shared: Secret, enc: bytes, public: bytes) -> bytes:
    """RFC 9180's ExtractAndExpand."""
    return SHA256.expand(SHA256.extract(b"", _EAE_PRK + shared.octets), _SHARED_SECRET + enc + public, SECRET_SIZE)


def _join(post_quantum: bytes, classical: bytes, ciphertext: bytes, public: bytes) -> Secret:
    prk = SHA256.extract(_HYBRID, lp(post_quantum) + lp(classical))
    return Secret(SHA256.expand(prk, lp(ciphertext) + lp(public), SECRET_SIZE))


def _check_seed(octets: bytes, size: int) -> None:
    if len(octets) != size:
        raise ApiMisuse(f"{size} random octets are needed, not {len(octets)}")


class X25519Key:
    """A key of the first; ``seed`` is the private key of RFC 7748."""

    __slots__ = ("_share",)

    def __init__(self, seed: bytes) -> None:
        _check_seed(seed, X25519_SIZE)
        self._share = X25519Share(seed)

    def __repr__(self) -> str:
        return "<X25519Key>"

    @property
    def public(self) -> bytes:
        """The public half, 32 octets."""
        return self._share.value

    def open(self, ciphertext: bytes) -> Secret:
        """Return the secret, 32 octets; raises `PeerMisbehaved`."""
        return Secret(_dhkem(self._share.finish(ciphertext), ciphertext, self._share.value))


class HybridKey:
    """A key of the second; ``seed`` is an X25519 private key (32) and the seed of an ML-KEM key (64, FIPS 203)."""

    __slots__ = ("_curve", "_kem", "public")

    def __init__(self, seed: bytes) -> None:
        _check_seed(seed, X25519_SIZE + _ML_KEM_SEED)
        self._curve = X25519Key(seed[:X25519_SIZE])
        self._kem = MLKEM768PrivateKey.from_seed_bytes(seed[X25519_SIZE:])
        self.public = self._kem.public_key().public_bytes_raw() + self._curve.public

    def __repr__(self) -> str:
        return "<HybridKey>"

    def open(self, ciphertext: bytes) -> Secret:
        """Return the secret, 32 octets; raises `PeerMisbehaved`."""
        check_size(ciphertext, _ML_KEM_CIPHERTEXT + X25519_SIZE, "a hybrid ciphertext")
        classical = self._curve.open(ciphertext[_ML_KEM_CIPHERTEXT:])
        post_quantum = self._kem.decapsulate(ciphertext[:_ML_KEM_CIPHERTEXT])
        return _join(post_quantum, classical.octets, ciphertext, self.public)


KemKey: TypeAlias = X25519Key | HybridKey


class Kem(Protocol):
    """One way to hand a secret to the holder of a key; sizes in octets."""

    @property
    def number(self) -> KemNumber:
        """What it is on the wire."""
        ...

    @property
    def name(self) -> str:
        """What configurations and logs call it."""
        ...

    @property
    def public_size(self) -> int:
        """Octets of a public key."""
        ...

    @property
    def ciphertext_size(self) -> int:
        """Octets of a ciphertext."""
        ...

    @property
    def seed_size(self) -> int:
        """Random octets that a key is made from."""
        ...

    @property
    def randomness(self) -> int:
        """Random octets for `seal`."""
        ...

    def keypair(self, seed: bytes) -> KemKey:
        """Return the key that ``seed`` makes."""
        ...

    def seal(self, public: bytes, randomness: bytes) -> tuple[bytes, Secret]:
        """Return the ciphertext and the secret in it, 32 octets; raises `PeerMisbehaved` for no public key."""
        ...


class _X25519:
    number: Final = KemNumber.X25519
    name: Final = "x25519"
    public_size: Final = X25519_SIZE
    ciphertext_size: Final = X25519_SIZE
    seed_size: Final = X25519_SIZE
    randomness: Final = X25519_SIZE

    def keypair(self, seed: bytes) -> X25519Key:
        """See `Kem.keypair`."""
        return X25519Key(seed)

    def seal(self, public: bytes, randomness: bytes) -> tuple[bytes, Secret]:
        """See `Kem.seal`."""
        _check_seed(randomness, self.randomness)
        ephemeral = X25519Share(randomness)
        return ephemeral.value, Secret(_dhkem(ephemeral.finish(public), ephemeral.value, public))


class _Hybrid:
    number: Final = KemNumber.X25519_ML_KEM_768
    name: Final = "x25519-ml-kem-768"
    public_size: Final = _ML_KEM_PUBLIC + X25519_SIZE
    ciphertext_size: Final = _ML_KEM_CIPHERTEXT + X25519_SIZE
    seed_size: Final = X25519_SIZE + _ML_KEM_SEED
    randomness: Final = X25519_SIZE

    def keypair(self, seed: bytes) -> HybridKey:
        """See `Kem.keypair`."""
        return HybridKey(seed)

    def seal(self, public: bytes, randomness: bytes) -> tuple[bytes, Secret]:
        """See `Kem.seal`; ML-KEM's part of the randomness is the library's own."""
        check_size(public, self.public_size, "a hybrid public key")
        enc, classical = X25519_KEM.seal(public[_ML_KEM_PUBLIC:], randomness)
        try:
            post_quantum, ciphertext = MLKEM768PublicKey.from_public_bytes(public[:_ML_KEM_PUBLIC]).encapsulate()
        except ValueError:
            raise bad_share("the ML-KEM-768 key is not one") from None
        ciphertext += enc
        return ciphertext, _join(post_quantum, classical.octets, ciphertext, public)


X25519_KEM: Final = _X25519()
HYBRID_KEM: Final = _Hybrid()

KEMS: Final[Mapping[int, Kem]] = {each.number: each for each in (X25519_KEM, HYBRID_KEM)}


def kem(number: int) -> Kem:
    """Return the KEM of a number on the wire; raises `ApiMisuse` for one that there is not."""
    try:
        return KEMS[number]
    except KeyError:
        raise ApiMisuse(f"no KEM has the number {number}") from None
