"""What an exchange is between: two principals, what they share, a policy."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

from attrs import evolve, field, frozen

from seckex.crypto.authority import Authority
from seckex.crypto.groups.verdicts import Verdicts
from seckex.errors import PeerIncompatible
from seckex.events import AssociationEstablished
from seckex.exchange.aside import Aside
from seckex.machine import Now
from seckex.sa.algorithms import PROTOCOL_NAMES
from seckex.sa.association import WORKER_BITS, Agreement, Association
from seckex.sa.offer import Offer
from seckex.sa.policy import Policy
from seckex.sa.proposal import own_offer
from seckex.sa.selector import Selector
from seckex.wire.numbers import LOWEST_SPI, Code

Entropy: TypeAlias = Callable[[int], bytes]


def _none_taken(_spi: int) -> bool:
    return False


@frozen
class Terms:
    """What both machines of an exchange are given.

    ``local`` and ``peer`` are NAIs. ``entropy`` returns that many random
    octets; it is the only source of randomness that an exchange has.
    ``clock_window`` in seconds: how far a request's Identification may be from the responder's clock.
    ``replaces`` is the SPI here of the association that is renewed, 0 for none; ``taken`` tells which SPIs name
    something here already. ``not_after`` is the end of what vouches for both, in wall-clock seconds.
    ``verdicts`` is the memory of user-defined groups, and ``aside`` counts the
    work in heavy groups, one of each for all peers. ``opening`` is what every exchange
    begins by offering, the first ``opened`` proposals of the policy.
    """

    local: str
    peer: str
    authority: Authority
    policy: Policy
    entropy: Entropy = field(repr=False)
    worker: int = 0
    clock_window: int = 300
    replaces: int = 0
    taken: Callable[[int], bool] = field(default=_none_taken, repr=False, eq=False)
    not_after: float = math.inf
    verdicts: Verdicts = field(factory=Verdicts, repr=False, eq=False)
    aside: Aside = field(factory=Aside, repr=False, eq=False)
    selector: Selector = field(init=False, repr=False, eq=False)
    opened: int = field(init=False, repr=False, eq=False)
    opening: Offer = field(init=False, repr=False, eq=False)

    @selector.default
    def _selector_of_policy(self) -> Selector:
        return Selector(self.policy)

    @opened.default
    def _as_the_policy_says(self) -> int:
        return self.policy.open_with or len(self.policy.proposals)

    @opening.default
    def _opening_of_policy(self) -> Offer:
        return own_offer(self.policy, 0, self.opened)

    def new_spi(self, theirs: int = 0) -> int:
        """Return a random SPI of this worker, above those of bundles, that names nothing here and is not ``theirs``."""
        while True:
            drawn = int.from_bytes(self.entropy(4), "big")
            spi = drawn >> WORKER_BITS << WORKER_BITS | self.worker
            if spi >= LOWEST_SPI and spi != theirs and not self.taken(spi):
                return spi


def bounded(agreement: Agreement, not_after: float, now: Now) -> Agreement:
    """Return what was agreed with a lifetime that ends at ``not_after``, wall-clock seconds, at the latest.

    Raises `PeerIncompatible` where less than a second is left.
    """
    if now.wall + agreement.lifetime <= not_after:
        return agreement
    left = int(not_after - now.wall)
    if left < 1:
        raise PeerIncompatible(Code.BAD_CERTIFICATE, "what vouches for the association ends within a second")
    return evolve(agreement, lifetime=left)


def established(association: Association, rounds: int, reasons: tuple[str, ...]) -> AssociationEstablished:
    """Return the event that tells of an association."""
    agreement = association.agreement
    return AssociationEstablished(
        peer=association.peer,
        role=association.role.name.lower(),
        spi_in=association.spi_in,
        spi_out=association.spi_out,
        transforms={PROTOCOL_NAMES[algorithm.protocol]: algorithm.name for algorithm in agreement.algorithms},
        lifetime=agreement.lifetime,
        octet_bound=association.octet_bound,
        rounds=rounds,
        reasons=reasons,
    )
