"""Sealed files that bring KEY 0 to a device: under a passphrase, or to the device's own key.

    -----BEGIN SECKEX PROVISIONING-----
    Sealed: passphrase scrypt 65536 8 2             or: key hpke-x25519 0123456789abcdef

    base64, lines of 64
    -----END SECKEX PROVISIONING-----

The line of `Sealed` says how, and is authenticated. With a passphrase the octets
are `salt (16) | AES-256-GCM(scrypt(passphrase in NFC, salt), nonce 0)` (RFC 7914;
N, r and p are in the line), so a file is as good as its passphrase: 64 MiB and a
third of a second stand against each guess. With a key they are what HPKE (RFC 9180:
X25519, HKDF-SHA256, AES-256-GCM) makes in base mode with empty associated data; the line has the
beginning of the SHA-256 of the public key. HPKE tells nobody who has sealed: a
file that a device takes must have come by a way that its owner trusts.

`"seckex1 provisioning" | the line` is the associated data of the one and the info of the
other. What is inside is the business of others, octets, 32 KiB at most. Parameters
of scrypt that would take much more memory or time than ours are refused before
anything is computed.
"""

from __future__ import annotations

import re
import unicodedata
from base64 import b64decode, b64encode
from typing import Final

from attrs import field, frozen
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from seckex.crypto.secrets import Secret
from seckex.crypto.suites import SHA256, TAG_SIZE, new_aead
from seckex.errors import ApiMisuse, AuthenticationFailed, Malformed, Unfeasible
from seckex.wire.numbers import Suite as Cipher

SALT_SIZE: Final = 16
KEY_SIZE: Final = 32
MAX_PLAINTEXT: Final = 32_768
MAX_TEXT: Final = 65_536
SHORTEST_PASSPHRASE: Final = 12
LONGEST_PASSPHRASE: Final = 1024

_LINE: Final = 64
_FIELD: Final = "Sealed: "
_PASSPHRASE: Final = re.compile(r"passphrase scrypt ([1-9][0-9]{0,6}) 8 ([1-4])", re.ASCII)
_KEY: Final = re.compile(r"key hpke-x25519 ([0-9a-f]{16})", re.ASCII)
_COSTS: Final = tuple(1 << bits for bits in range(14, 19))  # 16 to 256 MiB
_COST: Final = (65_536, 2)
_HPKE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_HPKE_OVERHEAD: Final = 32 + TAG_SIZE


@frozen
class Purpose:
    """What is sealed: ``title`` stands in the first and last line, ``label`` keeps one purpose from another."""

    what: str
    title: str
    label: bytes

    @property
    def begin(self) -> str:
        """The first line."""
        return f"-----BEGIN SECKEX {self.title}-----"

    @property
    def end(self) -> str:
        """The last line."""
        return f"-----END SECKEX {self.title}-----"

    def bound(self, how: str) -> bytes:
        """Return what a seal is bound to."""
        return self.label + (_FIELD + how).encode()

    def malformed(self, why: str) -> Malformed:
        """Return what to raise."""
        return Malformed(self.what, 0, why)


PROVISIONING: Final = Purpose("provisioning file", "PROVISIONING", b"seckex1 provisioning")


def _is_passphrase(text: str) -> bool:
    return SHORTEST_PASSPHRASE <= len(text) <= LONGEST_PASSPHRASE and text.isprintable()


def _scrypt(passphrase: str, salt: bytes, cost: tuple[int, int]) -> bytes:
    octets = unicodedata.normalize("NFC", passphrase).encode()
    return Scrypt(salt=salt, length=KEY_SIZE, n=cost[0], r=8, p=cost[1]).derive(octets)


def fingerprint_of(public: bytes) -> str:
    """Return what names a device's public key in the files that are sealed to it: 16 hexadecimal digits."""
    return SHA256.digest(public)[:8].hex()


def public_of(private: Secret) -> bytes:
    """Return the public half, 32 octets, of a device's X25519 key, 32 random octets."""
    return _private(private).public_key().public_bytes_raw()


def _private(private: Secret) -> X25519PrivateKey:
    if len(private) != KEY_SIZE:
        raise ApiMisuse(f"an X25519 key has {KEY_SIZE} octets")
    return X25519PrivateKey.from_private_bytes(private.octets)


@frozen
class SealedFile:
    """A file as it was read; ``how`` is what its line says, `recipient` or a passphrase opens it."""

    how: str
    _octets: bytes = field(repr=False)
    purpose: Purpose = field(default=PROVISIONING, repr=False)

    @property
    def recipient(self) -> str | None:
        """The fingerprint of the key that opens it; None: a passphrase does."""
        match = _KEY.fullmatch(self.how)
        return None if match is None else match[1]

    def open_with_passphrase(self, passphrase: str) -> Secret:
        """Return what is inside; raises `AuthenticationFailed`. Takes about half a second."""
        match = _PASSPHRASE.fullmatch(self.how)
        if match is None:
            raise AuthenticationFailed(f"a key opens the {self.purpose.what}, not a passphrase")
        if not _is_passphrase(passphrase):
            raise AuthenticationFailed(f"no {self.purpose.what} has such a passphrase")
        salt, sealed = self._octets[:SALT_SIZE], self._octets[SALT_SIZE:]
        key = _scrypt(passphrase, salt, (int(match[1]), int(match[2])))
        try:
            return Secret(new_aead(Cipher.AES_256_GCM, key).decrypt(bytes(12), sealed, self.purpose.bound(self.how)))
        except InvalidTag:
            raise AuthenticationFailed(f"the passphrase is wrong, or the {self.purpose.what} was altered") from None

    def open_with_key(self, private: Secret) -> Secret:
        """Return what is inside; raises `AuthenticationFailed`."""
        key = _private(private)
        if self.recipient != fingerprint_of(key.public_key().public_bytes_raw()):
            what = "a passphrase" if self.recipient is None else f"the key {self.recipient}"
            raise AuthenticationFailed(f"{what} opens the {self.purpose.what}, not this key")
        try:
            return Secret(_HPKE.decrypt(self._octets, key, self.purpose.bound(self.how)))
        except InvalidTag:
            raise AuthenticationFailed(f"the {self.purpose.what} was altered") from None


def _armour(how: str, octets: bytes, purpose: Purpose = PROVISIONING) -> str:
    text = b64encode(octets).decode()
    lines = [text[at : at + _LINE] for at in range(0, len(text), _LINE)]
    return "\n".join([purpose.begin, _FIELD + how, "", *lines, purpose.end, ""])


def _check_size(plaintext: Secret) -> None:
    if len(plaintext) > MAX_PLAINTEXT:
        raise ApiMisuse(f"provisioning of {len(plaintext)} octets, at most {MAX_PLAINTEXT} are allowed")


def seal_with_passphrase(plaintext: Secret, passphrase: str, salt: bytes, purpose: Purpose = PROVISIONING) -> str:
    """Return the file; ``salt`` is 16 random octets. Raises `Unfeasible` for what will not do as a passphrase."""
    _check_size(plaintext)
    if len(salt) != SALT_SIZE:
        raise ApiMisuse(f"a salt has {SALT_SIZE} octets")
    if not _is_passphrase(passphrase):
        why = f"a passphrase has {SHORTEST_PASSPHRASE} to {LONGEST_PASSPHRASE} characters, all of which can be seen"
        raise Unfeasible(why)
    how = f"passphrase scrypt {_COST[0]} 8 {_COST[1]}"
    key = _scrypt(passphrase, salt, _COST)
    sealed = new_aead(Cipher.AES_256_GCM, key).encrypt(bytes(12), plaintext.octets, purpose.bound(how))
    return _armour(how, salt + sealed, purpose)


def seal_to_key(plaintext: Secret, public: bytes, purpose: Purpose = PROVISIONING) -> str:
    """Return the file for the device that has ``public``, 32 octets; the library draws what HPKE needs.

    Raises `Unfeasible` for what is no public key.
    """
    _check_size(plaintext)
    how = f"key hpke-x25519 {fingerprint_of(public)}"
    try:
        key = X25519PublicKey.from_public_bytes(public)
        return _armour(how, _HPKE.encrypt(plaintext.octets, key, purpose.bound(how)), purpose)
    except ValueError:
        raise Unfeasible("the device's public key is not one of X25519") from None


def read_sealed(text: str, purpose: Purpose = PROVISIONING) -> SealedFile:
    """Read a file; raises `Malformed`. Nothing of it is authenticated before it is opened."""
    if len(text) > MAX_TEXT:
        raise purpose.malformed(f"is longer than {MAX_TEXT} characters")
    lines = text.strip().splitlines()
    if (
        len(lines) < 5
        or lines[0] != purpose.begin
        or lines[-1] != purpose.end
        or lines[2]
        or not lines[1].startswith(_FIELD)
    ):
        raise purpose.malformed(f"does not begin and end as a sealed {purpose.what} does")
    how = lines[1].removeprefix(_FIELD)
    passphrase, key = _PASSPHRASE.fullmatch(how), _KEY.fullmatch(how)
    if passphrase is None and key is None:
        raise purpose.malformed("is sealed in a way that is not known here")
    if passphrase is not None and int(passphrase[1]) not in _COSTS:
        raise purpose.malformed(f"asks for an scrypt of N = {passphrase[1]}, which is none of {_COSTS}")
    try:
        octets = b64decode("".join(lines[3:-1]), validate=True)
    except ValueError:
        raise purpose.malformed("is not in base64") from None
    shortest = _HPKE_OVERHEAD if passphrase is None else SALT_SIZE + TAG_SIZE
    if not shortest <= len(octets) <= MAX_PLAINTEXT + shortest:
        raise purpose.malformed(f"holds {len(octets)} octets")
    return SealedFile(how, octets, purpose)
