"""What a home agent is given: who it is, whose agents it lets relay, and how its nodes get their keys."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from attrs import Factory, field, frozen

from seckex.crypto.identity import Identity, Trust
from seckex.exchange.terms import Entropy
from seckex.roles.accounts import Retention
from seckex.sa.association import WORKER_BITS
from seckex.sa.policy import Policy
from seckex.wire.frames import Address
from seckex.wire.numbers import LIFETIMES, LOWEST_SPI, Keying, SaContent, SaSubType

#: In place of the realms of foreign agents: all that have a certificate.
ANY_DOMAIN: Final = "*"

_CONTENTS: Final = {SaSubType.MN_HA: SaContent.MN_HA, SaSubType.MN_SMM: SaContent.MN_SMM}


@frozen
class Limits:
    """The most entries of each table.

    ``nodes`` are all that the centers name: further ones are passed over, and told of. ``replies`` are kept for
    repetitions of their requests: the oldest gives way, and a repetition of its request is refused as a replay.
    ``under_way`` are requests whose reply waits for keys or for the store: further ones are refused (130).
    """

    nodes: int = 65536
    replies: int = 16384
    under_way: int = 4096


@frozen
class HomeTerms:
    """What a home agent goes by.

    ``address`` is its own, by which semi-stateful keys are made, and ``port`` where it takes links and passages there.
    ``sub_type`` is MN_HA, or MN_SMM for a mobility manager. ``centers`` are the key distribution centers, to be asked
    one after the other; ``keying`` is where keys come from. ``shortest`` and ``longest`` are lifetimes of registrations
    in seconds. ``bindings`` is how many agents a node may be at. ``domains`` are the realms whose agents may relay, and
    ``agents`` those agents, all of them where empty. ``mix`` is whether the secrets of KEMs go into KEY 2.
    ``same_pseudonym`` tells that agents call a node the same as long as it visits them, else by another name in each
    registration. ``network`` is what home addresses are from, anything that nodes ask for where None. ``clock_window``
    and ``rotation``, of the static keys, are in seconds. ``taken`` tells which SPIs name something here already.
    ``retention`` is how long accounts of passages are kept.
    """

    identity: Identity
    trust: Trust
    policy: Policy
    entropy: Entropy = field(repr=False)
    address: Address
    port: int = 4434
    sub_type: SaSubType = SaSubType.MN_HA
    keying: Keying = Keying.STATELESS
    centers: tuple[str, ...] = ()
    shortest: int = 60
    longest: int = LIFETIMES[-1]
    bindings: int = 1
    domains: frozenset[str] = frozenset((ANY_DOMAIN,))
    agents: frozenset[str] = frozenset()
    mix: bool = True
    same_pseudonym: bool = False
    network: IPv4Network | IPv6Network | None = None
    clock_window: int = 300
    rotation: int = 7 * 86400
    worker: int = 0
    taken: Callable[[int], bool] = field(default=lambda _spi: False, repr=False, eq=False)
    limits: Limits = Limits()
    retention: Retention = Factory(Retention)

    @property
    def nai(self) -> str:
        """Our own name."""
        return self.identity.nai

    @property
    def content(self) -> SaContent:
        """Between whom KEY 1 is."""
        return _CONTENTS[self.sub_type]

    def allows_domain(self, agent: str) -> bool:
        """Tell whether agents of this one's realm may relay; those of our own realm always may."""
        realm = realm_of(agent)
        return ANY_DOMAIN in self.domains or realm in self.domains or realm == realm_of(self.nai)

    def allows_agent(self, agent: str) -> bool:
        """Tell whether this agent may relay, its domain being allowed; we ourselves may."""
        return not self.agents or agent in self.agents or agent == self.nai

    def granted(self, wanted: int) -> int:
        """Return the lifetime that a registration gets that wants ``wanted`` seconds, 0 where that is too short.

        All of them are `LIFETIMES`.
        """
        granted = min(wanted, self.longest)
        return granted if granted >= self.shortest else 0

    def new_spi(self, *others: int) -> int:
        """Return a random SPI of this worker, above those of bundles, that names nothing here and is none of others."""
        while True:
            drawn = int.from_bytes(self.entropy(4), "big")
            spi = drawn >> WORKER_BITS << WORKER_BITS | self.worker
            if spi >= LOWEST_SPI and spi not in others and not self.taken(spi):
                return spi


def realm_of(nai: str) -> str:
    """Return what stands behind the ``@`` of a NAI."""
    return nai.partition("@")[2]
