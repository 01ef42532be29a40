"""Sizes of what a KEM makes, and the shares of an agent.

See docs/registration.md, sections 1 and 3. Values are octets of the right size here and nothing else.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

from attrs import frozen

from seckex.errors import PeerIncompatible
from seckex.wire.buffer import Reader, Writer
from seckex.wire.frames import checked_spi, read_spi, sized
from seckex.wire.numbers import Code, Kem

_SPIS: Final = struct.Struct(">II")


@frozen
class Sizes:
    """Octets of a ``public`` key, a ``ciphertext``, a ``request`` with its MAC, and an ``answer`` in the clear."""

    public: int
    ciphertext: int
    request: int
    answer: int


SIZES: Final[Mapping[int, Sizes]] = {
    Kem.X25519: Sizes(public=32, ciphertext=32, request=1152, answer=640),
    Kem.X25519_ML_KEM_768: Sizes(public=1216, ciphertext=1120, request=4096, answer=2048),
}
KEM_OF_CIPHERTEXT: Final[Mapping[int, Kem]] = {sizes.ciphertext: Kem(kem) for kem, sizes in SIZES.items()}
KEM_OF_ANSWER: Final[Mapping[int, Kem]] = {sizes.answer: Kem(kem) for kem, sizes in SIZES.items()}
_KEM_OF_SHARES: Final = {_SPIS.size + sizes.public + sizes.ciphertext: Kem(kem) for kem, sizes in SIZES.items()}
_KEMS: Final[Mapping[int, Kem]] = {int(kem): kem for kem in Kem}


def known_kem(number: int) -> Kem:
    """Return the KEM of this number; raises `PeerIncompatible`."""
    kem = _KEMS.get(number)
    if kem is None:
        raise PeerIncompatible(Code.UNKNOWN_PAYLOAD, f"the KEM {number}")
    return kem


@frozen
class AgentShares:
    """What a foreign agent adds to a request: SPIs for the associations ``spi_home`` and ``spi_node``, Z and ct3.

    ``z`` is a fresh public key of the agent's, ``ct3`` gives ss3 to the holder of the node's share.
    """

    kem: Kem
    spi_home: int
    spi_node: int
    z: bytes
    ct3: bytes

    @property
    def data(self) -> bytes:
        """The octets that the transcript has; raises `ApiMisuse` for what `read_agent_shares` would refuse."""
        sizes = SIZES[self.kem]
        writer = Writer().pack(_SPIS, checked_spi(self.spi_home), checked_spi(self.spi_node))
        return writer.raw(sized(self.z, sizes.public, "Z")).raw(sized(self.ct3, sizes.ciphertext, "ct3")).octets()


def read_agent_shares(data: Reader) -> AgentShares:
    """Read the data of agent shares, whole, whose size tells the KEM; raises `Malformed`."""
    start = data.offset
    kem = _KEM_OF_SHARES.get(data.remaining)
    if kem is None:
        raise data.fail("agent shares", f"{data.remaining} octets are those of no KEM")
    spi_home, spi_node = data.unpack(_SPIS, "SPI")
    sizes = SIZES[kem]
    return AgentShares(
        kem,
        read_spi(data, spi_home, start),
        read_spi(data, spi_node, start + 4),
        data.take(sizes.public, "Z"),
        data.take(sizes.ciphertext, "ct3"),
    )
