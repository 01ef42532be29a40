"""An offer as it is meant: alternatives of protocols of transforms.

The wire has a flat sequence of proposals and key exchanges; here it becomes
the OR over proposal numbers of the AND over protocols of the OR over
transforms that Fig. 26-28 draw, and the rules of docs/protocol.md, section 5,
that give the sequence this meaning are checked. An offer that breaks one is
refused with the proposal and transform at fault; it never means something
else than its sender can have meant.

Counter-offers and choices are offers too: of what the responder would take, and of
exactly one transform for each protocol.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from attrs import evolve, field, frozen

from seckex.crypto.groups.user import FINGERPRINT_SIZE, Parameters
from seckex.errors import PeerIncompatible, PeerMisbehaved
from seckex.sa.algorithms import ANY_USER_GROUP, BY_NUMBER, PROTOCOL_NAMES, Algorithm, GroupKey, user_group
from seckex.wire.numbers import (
    ATTRIBUTE_FINGERPRINT,
    ATTRIBUTE_KEY_LENGTH,
    ATTRIBUTE_MEBIOCTETS,
    GROUP_USER,
    LOWEST_SPI,
    Code,
    KeyExchangeSub,
    ProtocolId,
    SaSubType,
)
from seckex.wire.payloads import Attribute, KeyExchange, Part, Proposal, SaPayload, Transform, UserKeyExchange

# The order in which our own offers list the protocols of one proposal; nothing depends on it.
_ORDER: Final = (ProtocolId.ENCRYPTION, ProtocolId.AUTHENTICATION, ProtocolId.PRF, ProtocolId.KEY_AGREEMENT)
_KNOWN_ATTRIBUTES: Final[Mapping[ProtocolId, frozenset[int]]] = {
    ProtocolId.ENCRYPTION: frozenset((ATTRIBUTE_KEY_LENGTH, ATTRIBUTE_MEBIOCTETS)),
    ProtocolId.KEY_AGREEMENT: frozenset((ATTRIBUTE_FINGERPRINT,)),
}
# The document's own sub-types for its own groups; every other number has ours.
_OWN_SUBS: Final[Mapping[int, KeyExchangeSub]] = {
    1: KeyExchangeSub.GROUP_1,
    2: KeyExchangeSub.GROUP_2,
}
_PROTOCOLS: Final[Mapping[int, ProtocolId]] = {int(protocol): protocol for protocol in ProtocolId}


@frozen
class OfferedTransform:
    """One alternative way; ``algorithm`` is None where this side does not know it."""

    number: int
    algorithm: Algorithm | None
    label: str
    mebioctets: int = 0

    def __str__(self) -> str:
        return self.label


@frozen
class OfferedProtocol:
    """One member of an AND; ``protocol`` is None where this side does not know it.

    A ``bundle`` stands for its transforms in their order, or for those that are
    listed, each under the number that it has in the bundle.
    """

    number: int
    protocol: ProtocolId | None
    label: str
    transforms: tuple[OfferedTransform, ...]
    bundle: int = 0

    def __str__(self) -> str:
        return " or ".join(map(str, self.transforms)) or f"bundle {self.bundle}"


@frozen
class Alternative:
    """One proposal number; ``lifetime`` in seconds, ``shares`` the public values by group.

    ``parameters`` are P and G of the user-defined groups among these.
    """

    number: int
    lifetime: int
    protocols: tuple[OfferedProtocol, ...]
    shares: Mapping[GroupKey, bytes] = field(factory=dict, repr=False)
    parameters: Mapping[bytes, Parameters] = field(factory=dict, repr=False)

    def __str__(self) -> str:
        return " + ".join(map(str, self.protocols))


@frozen
class Offer:
    """What one side offers, counters or chooses; ``sub_type`` says between whom (Fig. 18)."""

    alternatives: tuple[Alternative, ...]
    sub_type: int = SaSubType.PRINCIPALS

    def serving(self, alternative: Alternative, group: GroupKey) -> Alternative | None:
        """Return where the key exchange stands that serves ``group`` in ``alternative``: in it, else in the first."""
        return next((one for one in (alternative, *self.alternatives) if group in one.shares), None)

    def parameters(self) -> dict[bytes, Parameters]:
        """Return P and G of all user-defined groups that come with a key exchange."""
        return {name: found for one in self.alternatives for name, found in one.parameters.items()}

    def __str__(self) -> str:
        return "; ".join(f"#{alternative.number}: {alternative}" for alternative in self.alternatives)


def describe(
    algorithms: Mapping[ProtocolId, Iterable[Algorithm]], lifetime: int, mebioctets: int, bundle: int = 0
) -> Alternative:
    """Return the alternative, numbered 1, that lists ``algorithms`` in their order, or names their ``bundle``."""
    protocols: list[OfferedProtocol] = []
    for protocol in _ORDER:
        listed = tuple(one for one in algorithms.get(protocol, ()) if one is not ANY_USER_GROUP)
        if listed:
            bound = mebioctets if protocol is ProtocolId.ENCRYPTION else 0
            transforms = tuple(
                OfferedTransform(number, algorithm, algorithm.name, bound)
                for number, algorithm in enumerate(listed, start=1)
            )
            # A bound on octets is said on each transform, so these are listed.
            said = transforms if bound or not bundle else ()
            protocols.append(OfferedProtocol(len(protocols) + 1, protocol, PROTOCOL_NAMES[protocol], said, bundle))
    return Alternative(1, lifetime, tuple(protocols))


def expanded(offer: Offer, bundles: Mapping[int, Mapping[ProtocolId, tuple[Algorithm, ...]]]) -> Offer:
    """Return ``offer`` with the transforms that ``bundles`` has where it names one, and none where that is unknown."""
    if not any(member.bundle for alternative in offer.alternatives for member in alternative.protocols):
        return offer
    return evolve(
        offer,
        alternatives=tuple(
            evolve(a, protocols=tuple(_expand(m, bundles) if m.bundle else m for m in a.protocols))
            for a in offer.alternatives
        ),
    )


def _expand(
    member: OfferedProtocol, bundles: Mapping[int, Mapping[ProtocolId, tuple[Algorithm, ...]]]
) -> OfferedProtocol:
    held = () if member.protocol is None else bundles.get(member.bundle, {}).get(member.protocol, ())
    if not member.transforms:
        return evolve(
            member,
            transforms=tuple(OfferedTransform(number, one, one.name) for number, one in enumerate(held, start=1)),
        )
    if not held:
        return evolve(member, transforms=())
    return evolve(
        member,
        transforms=tuple(
            t if 0 < t.number <= len(held) and held[t.number - 1] == t.algorithm else evolve(t, algorithm=None)
            for t in member.transforms
        ),
    )


def numbered(alternatives: Iterable[Alternative]) -> Offer:
    """Return the offer of ``alternatives`` in this order of preference."""
    return Offer(
        tuple(
            alternative if alternative.number == number else evolve(alternative, number=number)
            for number, alternative in enumerate(alternatives, start=1)
        )
    )


def to_payload(offer: Offer) -> SaPayload:
    """Return the payload that says ``offer``; shares follow the proposal that they serve."""
    payloads: list[Part] = []
    for alternative in offer.alternatives:
        for member in alternative.protocols:
            payloads.append(
                Proposal(
                    alternative.number,
                    member.number,
                    member.protocol or 0,
                    alternative.lifetime,
                    member.bundle,
                    tuple(_to_transform(transform) for transform in member.transforms),
                )
            )
            if member.protocol is ProtocolId.KEY_AGREEMENT:
                payloads.extend(_to_exchange(group, value, alternative) for group, value in alternative.shares.items())
    return SaPayload(offer.sub_type, tuple(payloads))


def _to_exchange(group: GroupKey, value: bytes, alternative: Alternative) -> KeyExchange | UserKeyExchange:
    if isinstance(group, bytes):
        parameters = alternative.parameters[group]
        return UserKeyExchange(GROUP_USER, parameters.prime, parameters.generator, value)
    return KeyExchange(_OWN_SUBS.get(group, KeyExchangeSub.GROUP), group, value)


def _to_transform(offered: OfferedTransform) -> Transform:
    algorithm = offered.algorithm
    if algorithm is None:
        raise PeerIncompatible(Code.NOTHING_ACCEPTABLE, f"{offered.label} cannot be offered from here")
    attributes = []
    if algorithm.key_bits:
        attributes.append(Attribute(ATTRIBUTE_KEY_LENGTH, algorithm.key_bits))
    if algorithm.fingerprint:
        attributes.append(Attribute(ATTRIBUTE_FINGERPRINT, algorithm.fingerprint))
    if offered.mebioctets:
        bound = offered.mebioctets
        attributes.append(Attribute(ATTRIBUTE_MEBIOCTETS, bound if bound < 1 << 16 else bound.to_bytes(5, "big")))
    return Transform(offered.number, algorithm.keys, algorithm.transform_id, tuple(attributes))


def from_payload(payload: SaPayload, *, choice: bool = False, sub_type: int = SaSubType.PRINCIPALS) -> Offer:
    """Return what ``payload`` means; a ``choice`` keeps the proposal number that it had in the offer.

    Raises `PeerMisbehaved` (poorly-formed) where it breaks a rule of section 5
    and `PeerIncompatible` for another ``sub_type`` and for payloads that version 1 does not have.
    """
    if payload.sub_type != sub_type:
        # The keys are for two NAIs; what says it is for others must not get them.
        why = f"an SA of sub-type {payload.sub_type} is not negotiated here"
        raise PeerIncompatible(Code.NOTHING_ACCEPTABLE, why)
    members: dict[int, list[OfferedProtocol]] = {}
    lifetimes: dict[int, int] = {}
    shares: dict[int, dict[GroupKey, bytes]] = {}
    parameters: dict[int, dict[bytes, Parameters]] = {}
    last: Proposal | None = None
    for part in payload.payloads:
        if isinstance(part, Proposal):
            _check_order(part, last, choice=choice)
            if lifetimes.setdefault(part.number, part.lifetime) != part.lifetime:
                raise _poor("the members of one proposal number differ in lifetime", part)
            offered = _from_proposal(part)
            group = members.setdefault(part.number, [])
            if any(other.label == offered.label for other in group):
                raise _poor(f"{offered.label} twice under one proposal number", part)
            group.append(offered)
            last = part
        elif isinstance(part, KeyExchange | UserKeyExchange):
            if last is None or last.protocol_id != ProtocolId.KEY_AGREEMENT:
                raise _poor("a key exchange does not follow a key agreement proposal", last)
            named = shares.setdefault(last.number, {})
            if isinstance(part, KeyExchange):
                _add_share(named, part, last)
            else:
                _add_user_share(named, parameters.setdefault(last.number, {}), part, last)
        else:
            raise PeerIncompatible(
                Code.UNKNOWN_PAYLOAD, f"a payload of type {part.type} is not known here", last.number if last else 0
            )
    if not members:
        raise PeerMisbehaved(Code.POORLY_FORMED, "an offer without proposals")
    return Offer(
        tuple(
            Alternative(number, lifetimes[number], tuple(group), shares.get(number, {}), parameters.get(number, {}))
            for number, group in members.items()
        ),
        payload.sub_type,
    )


def _poor(why: str, at: Proposal | None, transform: int = 0) -> PeerMisbehaved:
    return PeerMisbehaved(Code.POORLY_FORMED, why, at.number if at else 0, transform)


def _check_order(proposal: Proposal, last: Proposal | None, *, choice: bool) -> None:
    number = proposal.number
    if last is None:
        if number != 1 and not (choice and number):
            raise _poor("the first proposal number is not 1", proposal)
    elif number not in (last.number, last.number + 1):
        raise _poor(f"proposal number {number} follows {last.number}: out of sequence", proposal)
    expected = 1 if last is None or number != last.number else last.protocol_number + 1
    if proposal.protocol_number != expected:
        raise _poor(f"protocol number {proposal.protocol_number} where {expected} belongs", proposal)


def _from_proposal(proposal: Proposal) -> OfferedProtocol:
    bundle = proposal.spi
    if bundle >= LOWEST_SPI:
        raise _poor(f"SPI {bundle:#010x} is not that of a bundle", proposal)
    if not proposal.transforms and not bundle:
        raise _poor("a proposal without transforms", proposal)
    last = 0
    for transform in proposal.transforms:
        if transform.number <= last:
            raise _poor(f"transform number {transform.number} does not rise", proposal, transform.number)
        last = transform.number
    label, protocol, transforms = _meaning(proposal.protocol_id, proposal.transforms)
    for offered, transform in zip(transforms, proposal.transforms, strict=True):
        if offered.algorithm is not None and transform.keys != offered.algorithm.keys:
            raise _poor(f"{offered.label} takes {offered.algorithm.keys} keys", proposal, transform.number)
    return OfferedProtocol(proposal.protocol_number, protocol, label, transforms, bundle)


# The same few lists of transforms come with every offer of every peer.
@lru_cache(maxsize=256)
def _meaning(
    protocol_id: int, transforms: tuple[Transform, ...]
) -> tuple[str, ProtocolId | None, tuple[OfferedTransform, ...]]:
    protocol = _PROTOCOLS.get(protocol_id)
    label = f"protocol {protocol_id}" if protocol is None else PROTOCOL_NAMES[protocol]
    return label, protocol, tuple(_from_transform(protocol, transform) for transform in transforms)


def _from_transform(protocol: ProtocolId | None, transform: Transform) -> OfferedTransform:
    algorithm = None
    known = frozenset() if protocol is None else _KNOWN_ATTRIBUTES.get(protocol, frozenset())
    if protocol is not None and all(attribute.type in known for attribute in transform.attributes):
        algorithm = _known_algorithm(protocol, transform)
    label = f"transform {transform.transform_id}" if algorithm is None else algorithm.name
    return OfferedTransform(transform.number, algorithm, label, transform.mebioctets)


def _known_algorithm(protocol: ProtocolId, transform: Transform) -> Algorithm | None:
    if protocol is not ProtocolId.KEY_AGREEMENT or not transform.attributes:
        return BY_NUMBER.get((protocol, transform.transform_id, transform.key_bits))
    fingerprint = transform.attributes[0].value
    if transform.transform_id != GROUP_USER or not isinstance(fingerprint, bytes):
        return None
    return user_group(fingerprint) if len(fingerprint) == FINGERPRINT_SIZE else None


def _add_share(shares: dict[GroupKey, bytes], part: KeyExchange, proposal: Proposal) -> None:
    group = part.transform_id
    if part.sub == KeyExchangeSub.SECRET:
        raise PeerIncompatible(Code.UNKNOWN_PAYLOAD, "a secret over a secure path is not taken here", proposal.number)
    if part.sub != _OWN_SUBS.get(group, KeyExchangeSub.GROUP) or group == GROUP_USER:
        raise _poor(f"key exchange sub-type {part.sub} with group {group}", proposal)
    if group in shares:
        raise _poor(f"two key exchanges for group {group}", proposal)
    # What a bundle lists is for those to say who know it.
    if not proposal.spi and all(transform.transform_id != group for transform in proposal.transforms):
        raise _poor(f"a key exchange for group {group}, which the proposal does not list", proposal)
    shares[group] = part.value


def _add_user_share(
    shares: dict[GroupKey, bytes], known: dict[bytes, Parameters], part: UserKeyExchange, proposal: Proposal
) -> None:
    parameters = Parameters(part.prime, part.generator)
    if part.transform_id != GROUP_USER:
        raise _poor(f"a user-defined group with the number {part.transform_id}", proposal)
    if parameters.fingerprint in shares:
        raise _poor(f"two key exchanges for {parameters.name}", proposal)
    listed = any(
        attribute == Attribute(ATTRIBUTE_FINGERPRINT, parameters.fingerprint)
        for transform in proposal.transforms
        for attribute in transform.attributes
    )
    if not proposal.spi and not listed:
        raise _poor(f"a key exchange for {parameters.name}, which the proposal does not list", proposal)
    shares[parameters.fingerprint] = part.value
    known[parameters.fingerprint] = parameters
