"""Public-key cryptography of toys: as fast as a hash, the same in every run, and of the same sizes on the wire.

It stands in at the seams where the real one does: `seckex.crypto.kem`'s table, `Identity.sign` and
`Voucher.verify`. Who holds a key of it, or a signature, can be seen in the program as with the real one; only an
attacker who computes would notice, and there is none in a simulation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final
from unittest.mock import patch

from attrs import field, frozen

from seckex.crypto.identity import Identity, Voucher
from seckex.crypto.kem import KEMS, Kem
from seckex.crypto.secrets import Secret
from seckex.errors import AuthenticationFailed

_SIGNATURE: Final = 64


def _stretched(octets: bytes, size: int) -> bytes:
    return hashlib.shake_128(octets).digest(size)


@frozen
class ToyKey:
    """A key; ``public`` is as long as a real one."""

    public: bytes
    seed: bytes = field(repr=False)

    def open(self, ciphertext: bytes) -> Secret:
        """Return the secret."""
        return Secret(_stretched(b"secret" + self.public + ciphertext, 32))


@frozen
class ToyKem:
    """A KEM that looks like ``real``."""

    real: Kem

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def keypair(self, seed: bytes) -> ToyKey:
        """See `Kem.keypair`."""
        return ToyKey(_stretched(b"public" + seed, self.real.public_size), seed)

    def seal(self, public: bytes, randomness: bytes) -> tuple[bytes, Secret]:
        """See `Kem.seal`."""
        ciphertext = _stretched(b"ciphertext" + randomness, self.real.ciphertext_size)
        return ciphertext, Secret(_stretched(b"secret" + public + ciphertext, 32))


def _sign(identity: Identity, label: bytes, transcript: bytes) -> bytes:
    return _stretched(f"{identity.fingerprint} signs".encode() + label + b"\0" + transcript, _SIGNATURE)


def _verify(voucher: Voucher, signature: bytes, label: bytes, transcript: bytes) -> None:
    if signature != _stretched(f"{voucher.fingerprint} signs".encode() + label + b"\0" + transcript, _SIGNATURE):
        raise AuthenticationFailed(f"the signature by {voucher.nai} does not verify")


@contextmanager
def toys() -> Iterator[None]:
    """Play with toys from here on."""
    with ExitStack() as stack:
        stack.enter_context(patch.dict(KEMS, {number: ToyKem(real) for number, real in KEMS.items()}))
        stack.enter_context(patch.object(Identity, "sign", _sign))
        stack.enter_context(patch.object(Voucher, "verify", _verify))
        yield
