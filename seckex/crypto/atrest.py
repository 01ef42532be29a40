"""Keys at rest: what a store seals secrets with.

A `MasterKey` is 256 random bits that live outside of the database. It is never
used directly: each `Wrapping` seals under a key derived from it for one purpose
(its label) and one *epoch*, 16 random octets that are drawn anew each time a
store is opened.

An epoch's key belongs to one `Wrapping` in one process, so its nonces are a
counter and can never repeat, where random 96-bit nonces would end at 2^32
wrappings. Each wrapped secret names its epoch, so that later runs can read it.
A `Wrapping` must not be carried over a fork.

    wrapped = Epoch (16) | Counter 64 | AES-256-GCM ciphertext and tag      nonce = 0 (32) | Counter 64
    key     = HKDF-Expand(HKDF-Extract-SHA-256("seckex1 at rest", master), lp(label) | Epoch, 32)
    name    = HKDF-Expand(the same, lp("name"), 8), which tells master keys apart and is not secret

While the master key is being exchanged there are two of them: everything is
sealed under the new one, what is read may be sealed under either. An epoch
belongs to one of them, which is found out at the first secret of that epoch.

What is not done: secrets that were deleted may stand in free pages, logs and
backups of the database, and whoever has the master key as well can read them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from seckex.crypto.schedule import lp
from seckex.crypto.secrets import Secret, equal
from seckex.crypto.suites import SHA256, TAG_SIZE, Aead, InvalidTag, new_aead
from seckex.errors import ApiMisuse, AuthenticationFailed
from seckex.wire.numbers import Suite

MASTER_KEY_SIZE: Final = 32
EPOCH_SIZE: Final = 16
OVERHEAD: Final = EPOCH_SIZE + 8 + TAG_SIZE

# Epochs whose keys are held while reading; a store has one for each start whose associations still live.
MOST_EPOCHS: Final = 64


class MasterKey:
    """The root of all keys at rest; what was given is not kept.

    ``former`` is the one that it takes the place of, while that is not done yet.
    """

    __slots__ = ("_prk", "former")

    def __init__(self, key: Secret, former: MasterKey | None = None) -> None:
        if len(key) != MASTER_KEY_SIZE:
            raise ApiMisuse(f"a master key has {MASTER_KEY_SIZE} octets")
        self._prk = Secret(SHA256.extract(b"seckex1 at rest", key.octets))
        self.former = former

    def __repr__(self) -> str:
        return "<MasterKey>"

    @property
    def name(self) -> str:
        """What tells it from others: 16 hexadecimal digits."""
        return SHA256.expand(self._prk.octets, lp(b"name"), 8).hex()

    def is_same(self, other: MasterKey) -> bool:
        """Tell whether both are one key, whatever they take the place of."""
        return equal(self._prk.octets, other._prk.octets)

    def aead(self, label: bytes, epoch: bytes) -> Aead:
        """Return the cipher of one purpose and epoch."""
        return new_aead(Suite.AES_256_GCM, SHA256.expand(self._prk.octets, lp(label) + epoch, 32))


class Wrapping:
    """Seals and opens secrets of one purpose; ``epoch`` is 16 octets that were never used before."""

    __slots__ = ("_aead", "_count", "_epoch", "_label", "_master", "_others")

    def __init__(self, master: MasterKey, label: bytes, epoch: bytes) -> None:
        if len(epoch) != EPOCH_SIZE:
            raise ApiMisuse(f"an epoch has {EPOCH_SIZE} octets")
        self._master = master
        self._label = label
        self._epoch = epoch
        self._aead = master.aead(label, epoch)
        self._count = 0
        #: By epoch, the cipher, and whether it is one of the former master key's.
        self._others: dict[bytes, tuple[Aead, bool]] = {}

    def __repr__(self) -> str:
        return f"<Wrapping of {self._label.decode()}, {self._count} so far>"

    def wrap(self, plaintext: bytes, associated: bytes) -> bytes:
        """Return ``plaintext`` sealed and bound to ``associated``, `OVERHEAD` octets longer."""
        counter = self._count.to_bytes(8, "big")
        self._count += 1
        return self._epoch + counter + self._aead.encrypt(bytes(4) + counter, plaintext, associated)

    def unwrap(self, wrapped: bytes, associated: bytes) -> bytes:
        """Return what was wrapped under the same master key, label and ``associated``, in whatever epoch.

        Raises `AuthenticationFailed` for everything else.
        """
        return self._open(wrapped, associated)[0]

    def rewrap(self, wrapped: bytes, associated: bytes) -> bytes | None:
        """Return the same sealed under the present master key, None where it is so already; raises as `unwrap`."""
        plaintext, is_former = self._open(wrapped, associated)
        return self.wrap(plaintext, associated) if is_former else None

    def _open(self, wrapped: bytes, associated: bytes) -> tuple[bytes, bool]:
        if len(wrapped) < OVERHEAD:
            raise AuthenticationFailed("a wrapped secret is cut short")
        epoch = wrapped[:EPOCH_SIZE]
        nonce = bytes(4) + wrapped[EPOCH_SIZE : EPOCH_SIZE + 8]
        sealed = wrapped[EPOCH_SIZE + 8 :]
        for aead, is_former in self._readers(epoch):
            try:
                plaintext = aead.decrypt(nonce, sealed, associated)
            except InvalidTag:
                continue
            if epoch != self._epoch and epoch not in self._others:
                if len(self._others) >= MOST_EPOCHS:
                    self._others.clear()
                self._others[epoch] = aead, is_former
            return plaintext, is_former
        raise AuthenticationFailed("the seal of a wrapped secret does not verify")

    def _readers(self, epoch: bytes) -> Iterator[tuple[Aead, bool]]:
        if epoch == self._epoch:
            yield self._aead, False
            return
        known = self._others.get(epoch)
        if known is not None:
            yield known
            return
        yield self._master.aead(self._label, epoch), False
        if self._master.former is not None:
            yield self._master.former.aead(self._label, epoch), True
