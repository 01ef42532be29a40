"""The key agreement lines of an exchange: which shares an offer has, and what a responder makes of one.

What a group does may take long, and so is a call without a side effect that a
conversation may have done aside. Its randomness is drawn when the call is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from attrs import evolve, field, frozen

from seckex.crypto.groups.interface import Group, Share
from seckex.crypto.groups.table import GROUPS
from seckex.crypto.groups.user import Parameters
from seckex.crypto.groups.verdicts import Verdict
from seckex.crypto.secrets import Secret
from seckex.errors import PeerFault, PeerIncompatible
from seckex.exchange.terms import Terms
from seckex.sa.algorithms import Algorithm, GroupKey
from seckex.sa.offer import Alternative, Offer
from seckex.sa.policy import Policy
from seckex.sa.proposal import guessed
from seckex.sa.selector import Selected

Shares: TypeAlias = Mapping[GroupKey, Share]

# Further guesses must leave an offer within what a message holds.
_MOST_OCTETS: Final = 6144


@frozen
class Finish:
    """The initiator's last step of an agreement; raises `PeerMisbehaved`."""

    share: Share
    value: bytes = field(repr=False)

    def __call__(self) -> Secret:
        """Return the secret."""
        return self.share.finish(self.value)


@frozen
class Begin:
    """Makes the shares of one offer: ``plan`` has the proposal number, the group and the randomness of each."""

    plan: tuple[tuple[int, GroupKey, Group, bytes], ...] = field(repr=False)

    @property
    def heavy(self) -> bool:
        """Whether it is to be done aside."""
        return any(group.heavy for _, _, group, _ in self.plan)

    def __call__(self) -> tuple[Share, ...]:
        """Return the shares, in the plan's order."""
        return tuple(group.begin(randomness) for _, _, group, randomness in self.plan)

    def held(self, shares: tuple[Share, ...]) -> Shares:
        """Return ``shares`` by their groups."""
        return {key: share for (_, key, _, _), share in zip(self.plan, shares, strict=True)}

    def within(self, offer: Offer, shares: tuple[Share, ...], policy: Policy) -> Offer:
        """Return ``offer`` with the values of ``shares``."""
        values: dict[int, dict[GroupKey, bytes]] = {}
        for (number, key, _, _), share in zip(self.plan, shares, strict=True):
            values.setdefault(number, {})[key] = share.value
        return Offer(
            tuple(_with(each, values.get(each.number, {}), policy) for each in offer.alternatives), offer.sub_type
        )


def _with(alternative: Alternative, shares: Mapping[GroupKey, bytes], policy: Policy) -> Alternative:
    """Return ``alternative`` with these shares in place of its own."""
    if not shares and not alternative.shares and not alternative.parameters:
        return alternative
    parameters = {key: policy.groups[key] for key in shares if isinstance(key, bytes)}
    return evolve(alternative, shares=shares, parameters=parameters)


def beginning(offer: Offer, terms: Terms) -> Begin:
    """Return what makes the shares that ``offer`` is to have, with fresh randomness."""
    plan: list[tuple[int, GroupKey, Group, bytes]] = []
    octets = 0
    for number, algorithm in guessed(offer, terms.policy):
        group = known_group(algorithm, terms.policy)
        octets += group.initiator_size
        if isinstance(algorithm.group, bytes):
            parameters = terms.policy.groups[algorithm.group]
            octets += len(parameters.prime) + len(parameters.generator)
        if plan and octets > _MOST_OCTETS:
            break
        plan.append((number, algorithm.group, group, terms.entropy(group.randomness)))
    return Begin(tuple(plan))


def known_group(algorithm: Algorithm, policy: Policy) -> Group:
    """Return a group that has a number or that the policy names."""
    key = algorithm.group
    return policy.groups[key].group() if isinstance(key, bytes) else GROUPS[key]


@frozen
class Responded:
    """What `Respond` came to: the responder's value and the secret, or whose fault it is that there is none.

    ``verdict`` is that on the peer's own group, where one had to be found.
    """

    value: bytes = b""
    secret: Secret = field(factory=lambda: Secret(b""))
    fault: PeerFault | None = None
    verdict: Verdict | None = None


@frozen
class Respond:
    """The responder's step of an agreement; a group of the peer's own, ``brought``, is verified first."""

    group: Group
    share: bytes = field(repr=False)
    randomness: bytes = field(repr=False)
    brought: Parameters | None = None

    @property
    def heavy(self) -> bool:
        """Whether it is to be done aside."""
        return self.brought is not None or self.group.heavy

    def __call__(self) -> Responded:
        """Return what comes of it; raises nothing."""
        group, verdict = self.group, None
        try:
            if self.brought is not None:
                group = verdict = self.brought.verified()
        except PeerIncompatible as fault:
            return Responded(fault=fault, verdict=fault)
        try:
            value, secret = group.respond(self.share, self.randomness)
        except PeerFault as fault:
            return Responded(fault=fault, verdict=verdict)
        return Responded(value, secret, verdict=verdict)


def responding(selected: Selected, terms: Terms) -> Respond | None:
    """Return what answers the initiator's share, None where no group was chosen; raises `PeerIncompatible`.

    The memory of verdicts is asked; whether there is time for a new one is not looked at here.
    """
    group, brought = selected.group, selected.brought
    if group is None:
        return None
    if brought is not None:
        verdict = terms.verdicts.known(brought)
        if isinstance(verdict, PeerIncompatible):
            raise PeerIncompatible(verdict.code, verdict.why)
        if verdict is not None:
            group, brought = verdict, None
    return Respond(group, selected.share, terms.entropy(group.randomness), brought)
