"""What a mobile node is configured to do, and the offers that come of its policy.

The same is offered to the home agent and, for the agent, to it as well
(docs/registration.md, section 9).
"""

from __future__ import annotations

from functools import cached_property
from ipaddress import IPv4Address, IPv6Address
from typing import Final, TypeAlias

from attrs import evolve, field, frozen

from seckex.roles.mobile_node.choices import Choices
from seckex.sa.offer import Offer
from seckex.sa.policy import Policy
from seckex.sa.proposal import own_offer
from seckex.sa.registration import encode, narrowed
from seckex.wire.numbers import Kem, SaSubType

Address: TypeAlias = IPv4Address | IPv6Address

EVERYBODY: Final = "*@"


@frozen
class Plan:
    """How ``local`` registers with ``home_agent``.

    ``agents`` are NAIs, or ``*@realm`` for all of a realm, the preferred ones
    first; empty is anybody. ``solicit`` are hosts and ports that are asked whether an agent is there,
    ``groups`` multicast addresses with ports to which the same question goes, where advertisements are
    also taken that nobody asked for. ``lifetime`` in seconds is one of `seckex.wire.numbers.LIFETIMES`.
    ``manager`` tells that the home agent is a mobility manager. ``passages`` tells that links to it are built through
    the agent where that carries traffic. ``worker`` goes into SPIs.
    """

    local: str
    home_agent: str
    policy: Policy
    kem: Kem = Kem.X25519
    lifetime: int = 1800
    simultaneous: bool = False
    manager: bool = False
    passages: bool = True
    agents: tuple[str, ...] = ()
    solicit: tuple[tuple[str, int], ...] = ()
    groups: tuple[tuple[str, int], ...] = ()
    worker: int = 0

    @property
    def sub_type(self) -> SaSubType:
        """What the SA towards the home agent is."""
        return SaSubType.MN_SMM if self.manager else SaSubType.MN_HA

    @property
    def realm(self) -> str:
        """What others than the home agent and its center see of the node."""
        return "@" + self.home_agent.partition("@")[2]

    @cached_property
    def opened(self) -> Offers:
        """What a registration begins by offering."""
        return _offers(self, self.kem, 0, self.policy.open_with)

    @cached_property
    def choices(self) -> Choices:
        """What was chosen so far."""
        return Choices(self.policy)

    def preference(self, nai: str) -> int | None:
        """Return how much an agent is preferred, 0 most; None for one that will not do."""
        if not self.agents:
            return 0
        for place, name in enumerate(self.agents):
            everybody = name.startswith(EVERYBODY) and nai.partition("@")[2] == name.removeprefix(EVERYBODY)
            if everybody or name == nai:
                return place
        return None


@frozen
class Offers:
    """What a round offers: ``home`` for the home agent, ``visit`` for the foreign agent.

    ``kem`` is what they go with; ``opened`` counts the proposals of the narrowed policy that were offered by now.
    """

    kem: Kem
    home: Offer = field(repr=False)
    visit: Offer = field(repr=False)
    opened: int = 0

    @cached_property
    def home_payload(self) -> bytes:
        """The SA payload of ``home``."""
        return encode(self.home, SaSubType(self.home.sub_type))

    @cached_property
    def visit_payload(self) -> bytes:
        """That of ``visit``."""
        return encode(self.visit, SaSubType(self.visit.sub_type))

    @cached_property
    def _text(self) -> str:
        return str(self.home)

    def __str__(self) -> str:
        return self._text


def opening(plan: Plan, kem: Kem) -> Offers:
    """Return what a registration begins by offering; both are empty where the policy has nothing for ``kem``."""
    return plan.opened if kem is plan.kem else _offers(plan, kem, 0, plan.policy.open_with)


def remaining(plan: Plan, offers: Offers) -> Offers | None:
    """Return what the policy has that ``offers`` and those before it had not; None if that is nothing."""
    rest = _offers(plan, offers.kem, offers.opened, 0)
    return rest if rest.home.alternatives else None


def _offers(plan: Plan, kem: Kem, first: int, count: int) -> Offers:
    policy = narrowed(plan.policy, kem)
    offer = own_offer(policy, first, count)
    opened = min(first + count if count else len(policy.proposals), len(policy.proposals))
    return Offers(kem, evolve(offer, sub_type=plan.sub_type), evolve(offer, sub_type=SaSubType.MN_FA), opened)
