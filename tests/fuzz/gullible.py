"""Authentication lifted: MACs, seals and signatures are taken for right, so that what is behind them is reached.

Putting the right MAC on a mutant would have the same effect; this way it does
not matter which key and transcript a message has. A seal that verifies opens as
ever, a sealed text that was seen before opens as what it was, and any other as
its own octets.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Final

from seckex.crypto import secrets, suites
from seckex.crypto.identity import Voucher
from seckex.wire.numbers import Suite

_TAG: Final = suites.TAG_SIZE


class _Open:
    """An AEAD whose seals everybody can make."""

    seen: Final[dict[bytes, bytes]] = {}

    def __init__(self, suite: Suite, key: bytes) -> None:
        self._aead = suites.new_aead(suite, key)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._aead, name)

    def encrypt(self, nonce: bytes, plaintext: bytes, covered: bytes) -> bytes:
        sealed = self._aead.encrypt(nonce, plaintext, covered)
        if len(self.seen) < 4096:
            self.seen[sealed] = plaintext
        return sealed

    def decrypt(self, nonce: bytes, sealed: bytes, covered: bytes) -> bytes:
        try:
            return bytes(self._aead.decrypt(nonce, sealed, covered))
        except suites.InvalidTag:
            return self.seen.get(sealed, sealed[:-_TAG])


def _believe(left: bytes, right: bytes) -> bool:
    # What is not even as long as it should be is no MAC of a mad peer.
    return len(left) == len(right)


def _vouch(_voucher: Voucher, _signature: bytes, _label: bytes, _signed: bytes) -> None:
    """Take a signature for right."""


def _exchange_modules() -> list[ModuleType]:
    return [module for name, module in sys.modules.items() if name.startswith("seckex.exchange.")]


@contextmanager
def gullible() -> Iterator[None]:
    """Have the exchanges believe everything, for the length of a ``with``."""
    replaced: list[tuple[Any, str, Any]] = [(Voucher, "verify", Voucher.verify)]
    setattr(Voucher, "verify", _vouch)  # noqa: B010  # a method in the place of another
    for module in _exchange_modules():
        for name, real, other in (("equal", secrets.equal, _believe), ("new_aead", suites.new_aead, _Open)):
            if getattr(module, name, None) is real:
                replaced.append((module, name, real))
                setattr(module, name, other)
    try:
        yield
    finally:
        for module, name, real in replaced:
            setattr(module, name, real)
