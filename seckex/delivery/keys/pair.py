"""Who speaks with whom in a dialog: what a service pair header says, or what is sealed in its place.

docs/messages.md, sections 4 and 6. A principal is named by its NAI and by its certificate: fingerprint and issue
date. Where an association vouches there is no certificate, and a hash of the NAI stands for the fingerprint. An
initiator without a name has an empty NAI and a fingerprint of zeros, here as in the keys.
"""

from __future__ import annotations

import math
from typing import Final

from attrs import frozen

from seckex.crypto.envelope import NOBODY, association_fingerprint
from seckex.crypto.identity import Identity, Voucher
from seckex.wire.envelope_pair import ServicePair
from seckex.wire.numbers import PairAlgorithm


@frozen
class Principal:
    """One end of a dialog; ``issued`` and ``not_after`` in seconds since 1970, ``fingerprint`` has 32 octets."""

    nai: str
    issued: int
    fingerprint: bytes
    not_after: float = math.inf

    @classmethod
    def of_identity(cls, identity: Identity) -> Principal:
        """Return us, by our certificate."""
        return cls(identity.nai, identity.issued, bytes.fromhex(identity.fingerprint), identity.not_after)

    @classmethod
    def of_voucher(cls, voucher: Voucher) -> Principal:
        """Return whom a verified chain is of."""
        return cls(voucher.nai, voucher.issued, bytes.fromhex(voucher.fingerprint), voucher.not_after)

    @classmethod
    def of_association(cls, nai: str) -> Principal:
        """Return whom an association vouches for."""
        return cls(nai, 0, association_fingerprint(nai))


#: An initiator without a name.
ANONYMOUS: Final = Principal("", 0, NOBODY)


@frozen
class Terms:
    """What a dialog is, to whoever begins it; ``peer`` is the target's NAI, ``own`` our service, which may be empty."""

    dialog_id: bytes
    peer: str
    service: str
    own: str = ""
    priority: int = 4
    anonymous: bool = False


@frozen
class Pair:
    """Both ends of a dialog under one KEK: ``chain`` has the initiator's certificates, none where there are none."""

    initiator: Principal
    target: Principal
    own: str
    service: str
    priority: int
    chain: tuple[bytes, ...] = ()

    @property
    def anonymous(self) -> bool:
        """Whether the initiator has no name."""
        return not self.initiator.nai

    @property
    def algorithm(self) -> PairAlgorithm:
        """What vouches for it."""
        return PairAlgorithm.ECDSA if self.chain else PairAlgorithm.MAC

    @property
    def not_after(self) -> float:
        """The end of the life of the first certificate to end, in seconds since 1970."""
        return min(self.initiator.not_after, self.target.not_after)

    def header(self) -> ServicePair:
        """Return the service pair header, not yet proved."""
        return ServicePair(
            self.algorithm,
            self.initiator.nai,
            self.initiator.issued,
            self.initiator.fingerprint,
            self.target.nai,
            self.target.issued,
            self.target.fingerprint,
            self.own,
            self.service,
            self.priority,
            self.chain,
        )
