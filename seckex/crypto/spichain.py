"""One-time SPIs: a chain of keys that both ends go along, each giving one SPI (docs/registration.md, section 8).

Nothing leads back: whoever reads what is kept at one index learns no SPI of an
earlier one, so that earlier requests cannot be told to be this node's. The chain
is of two levels, each *epoch* of 256 indices beginning from a key of its own: so
somebody far behind catches up in a few hundred steps, and nobody can make a home
agent walk for long.

Python cannot promise to erase memory. What can be done is that a `Chain` holds
nothing of what was before it, and that its owner drops the one before.
"""

from __future__ import annotations

from typing import Final

from attrs import field, frozen

from seckex.crypto.secrets import Secret
from seckex.crypto.suites import SHA256
from seckex.errors import ApiMisuse
from seckex.wire.numbers import LOWEST_SPI

CHAIN_KEY_SIZE: Final = 32
EPOCH: Final = 256
WINDOW: Final = 8

#: An index is taken up to so far above the base, and refused beyond.
FARTHEST: Final = 65_536

LAST_INDEX: Final = 0xFFFFFFFF

_OCTETS: Final = 4 + 2 * CHAIN_KEY_SIZE


def _step(key: bytes, label: bytes) -> bytes:
    return SHA256.mac(key, label)


@frozen
class Chain:
    """The chain at one index: all that is kept, and what all later SPIs come from."""

    index: int
    _key: Secret = field(repr=False)
    _next_epoch: Secret = field(repr=False)

    @classmethod
    def begin(cls, start: Secret) -> Chain:
        """Return the chain at index 0; ``start`` is what provisioning gives, 32 octets."""
        if len(start) != CHAIN_KEY_SIZE:
            raise ApiMisuse(f"a chain starts from {CHAIN_KEY_SIZE} octets")
        return cls(0, Secret(_step(start.octets, b"chain")), Secret(_step(start.octets, b"epoch")))

    @property
    def spi(self) -> int:
        """The SPI of this index, 256 at least; two indices may have the same, by chance."""
        spi = int.from_bytes(_step(self._key.octets, b"spi")[:4], "big")
        return spi if spi >= LOWEST_SPI else spi + LOWEST_SPI

    def after(self, steps: int = 1) -> Chain:
        """Return the chain ``steps`` later, 65,537 at most; some 500 keys at most are derived on the way."""
        if not 0 <= steps <= FARTHEST + 1:
            raise ApiMisuse(f"a chain goes on by at most {FARTHEST + 1} steps, and never back")
        index = self.index + steps
        if index > LAST_INDEX:
            raise ApiMisuse("the chain has come to its end: the node needs a new KEY 0")
        key, epoch = self._key.octets, self._next_epoch.octets
        at = self.index
        if index // EPOCH > at // EPOCH:
            for _ in range(index // EPOCH - at // EPOCH - 1):
                epoch = _step(epoch, b"epoch")
            key, epoch, at = _step(epoch, b"chain"), _step(epoch, b"epoch"), index - index % EPOCH
        for _ in range(index - at):
            key = _step(key, b"next")
        return Chain(index, Secret(key), Secret(epoch))

    def octets(self) -> bytes:
        """Return all of it in one string of 68 octets, for sealing at rest; `from_octets` reads it."""
        return self.index.to_bytes(4, "big") + self._key.octets + self._next_epoch.octets

    @classmethod
    def from_octets(cls, octets: bytes) -> Chain:
        """Read what `octets` wrote; raises `ApiMisuse` for anything else."""
        if len(octets) != _OCTETS:
            raise ApiMisuse(f"a chain has {_OCTETS} octets")
        keys = octets[4:]
        return cls(int.from_bytes(octets[:4], "big"), Secret(keys[:CHAIN_KEY_SIZE]), Secret(keys[CHAIN_KEY_SIZE:]))


@frozen
class Window:
    """A node's chain as its home agent follows it: ``spis`` are those of [base, base + 8).

    ``chain`` is the chain at base, which is what is made durable.
    """

    chain: Chain
    _last: Chain = field(repr=False)
    spis: tuple[int, ...] = field(repr=False)

    @classmethod
    def of(cls, chain: Chain) -> Window:
        """Return the window that begins with ``chain``."""
        spis = [chain.spi]
        last = chain
        for _ in range(min(WINDOW - 1, LAST_INDEX - chain.index)):
            last = last.after()
            spis.append(last.spi)
        return cls(chain, last, tuple(spis))

    @property
    def base(self) -> int:
        """The first index that was not used."""
        return self.chain.index

    def takes(self, index: int) -> bool:
        """Tell whether a request of that index is neither a replay nor too far ahead, nor the last of all."""
        return self.base <= index <= self.base + FARTHEST and index < LAST_INDEX

    def advance(self, base: int) -> Window:
        """Return the window from ``base`` on: one above an index that this one takes."""
        chain = self.chain.after(base - self.base)
        if base != self.base + 1 or self._last.index == LAST_INDEX:
            return Window.of(chain)
        # The common case, in which nearly all of the window stays.
        last = self._last.after()
        return Window(chain, last, (*self.spis[1:], last.spi))
