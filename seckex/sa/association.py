"""A security association: what two principals have agreed, and its keys.

An association belongs to two directions at once: ``spi_in`` names it in what
comes to us, ``spi_out`` in what we send. Between principals the responder's SPI
is the one that travels (docs/protocol.md, sections 3 and 10).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import field, frozen

from seckex.crypto.authority import OldAssociation
from seckex.crypto.schedule import AgreedKeys, LinkSchedule
from seckex.sa.algorithms import Algorithm
from seckex.wire.numbers import PRF_HMAC_SHA2_256, ProtocolId, Role, Suite

SUITES: Final[Mapping[str, Suite]] = {
    "aes-256-gcm": Suite.AES_256_GCM,
    "aes-128-gcm": Suite.AES_128_GCM,
    "chacha20-poly1305": Suite.CHACHA20_POLY1305,
}

# A worker writes its number into the lowest bits of the SPIs that it hands out: any packet can be steered to its owner.
WORKER_BITS: Final = 6


@frozen
class Agreement:
    """What was chosen: one algorithm per protocol.

    ``lifetime`` in seconds, ``mebioctets`` in units of 2^20 octets (0: no bound).
    """

    algorithms: tuple[Algorithm, ...]
    lifetime: int
    mebioctets: int = 0

    def algorithm(self, protocol: ProtocolId) -> Algorithm | None:
        """Return what was chosen for ``protocol``, None where it is not part of the agreement."""
        for algorithm in self.algorithms:
            if algorithm.protocol == protocol:
                return algorithm
        return None

    @property
    def suite(self) -> Suite | None:
        """The AEAD of links, None for an association without encryption."""
        encryption = self.algorithm(ProtocolId.ENCRYPTION)
        return None if encryption is None else SUITES[encryption.name]

    @property
    def prf(self) -> int:
        """Transform ID of the PRF; where none was agreed it is HMAC-SHA-256."""
        prf = self.algorithm(ProtocolId.PRF)
        return PRF_HMAC_SHA2_256 if prf is None else prf.transform_id

    def __str__(self) -> str:
        return " + ".join(str(algorithm) for algorithm in self.algorithms)


@frozen
class Association:
    """One association as one of its two ends holds it.

    ``created`` in wall-clock seconds since 1970; it may be used until
    `expires`. ``transcript`` is T after CHOICE; both ends' confirmations are
    over it. ``confirmed`` tells that the peer has proved the keys. ``root`` is
    what the trust in the peer comes from (`seckex.crypto.authority.Authority.root`);
    ``replaces`` is the SPI here of the association that vouched for this one, 0
    for none; ``tie`` decides between two that replace the same one (the lower
    nonce of the last round, docs/protocol.md, section 9) and is not stored.
    """

    role: Role
    local: str
    peer: str
    spi_in: int
    spi_out: int
    agreement: Agreement
    created: float
    transcript: bytes
    keys: AgreedKeys = field(repr=False)
    confirmed: bool = False
    root: str = ""
    replaces: int = 0
    tie: bytes = field(default=b"", repr=False, eq=False)

    @property
    def expires(self) -> float:
        """Wall-clock time after which nothing is sent or accepted under it."""
        return self.created + self.agreement.lifetime

    @property
    def names(self) -> tuple[str, str]:
        """The NAIs of initiator and responder."""
        return (self.local, self.peer) if self.role is Role.INITIATOR else (self.peer, self.local)

    @property
    def responder_spi(self) -> int:
        """The SPI that names it on links and in CONFIRM."""
        return self.spi_out if self.role is Role.INITIATOR else self.spi_in

    @property
    def octet_bound(self) -> int:
        """The most octets that it may carry, 0 for no bound."""
        return self.agreement.mebioctets << 20

    def authority(self, *, responding: bool) -> OldAssociation:
        """Return what vouches for the exchange that renews it; ``responding`` tells which end of that this is."""
        ours = self.role is Role.INITIATOR
        spis = (self.spi_in, self.spi_out) if ours else (self.spi_out, self.spi_in)
        spi = self.spi_in if responding else self.spi_out
        return OldAssociation(self.keys, spi, self.names, spis, self.root)

    def link_schedule(self) -> LinkSchedule | None:
        """Return the key schedule of its links, None for an association without encryption."""
        suite = self.agreement.suite
        return None if suite is None else LinkSchedule(suite, self.keys.prf, self.keys.dialog)
