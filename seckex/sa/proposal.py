"""How an offer is answered: selection and counter-offer, as pure functions.

`select` looks at an offer with the eyes of a policy and says what is taken, or
what would be, with a reason for each proposal and transform that was passed
over (docs/protocol.md, section 8). Both sides use it: the responder on offers,
the initiator on counter-offers. `accept` is the initiator's check that a choice
lies within what it offered.

Order of preference: full acceptance of an earlier proposal number before a
later one, full acceptance of any before part of one, and within a number the
initiator's order of transforms, protocol by protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from attrs import evolve, frozen

from seckex.errors import PeerIncompatible, PeerMisbehaved
from seckex.sa.algorithms import ANY_USER_GROUP, PROTOCOL_NAMES, Algorithm
from seckex.sa.association import Agreement
from seckex.sa.offer import Alternative, Offer, OfferedProtocol, OfferedTransform, describe, expanded, numbered
from seckex.sa.policy import Policy, PolicyProposal
from seckex.wire.numbers import Code, ProtocolId


@frozen
class Reason:
    """Why a proposal (and transform; 0: the proposal as a whole) was taken or passed over."""

    proposal: int
    transform: int
    text: str

    def __str__(self) -> str:
        if not self.proposal:
            return self.text
        where = f"proposal {self.proposal}" + (f", transform {self.transform}" if self.transform else "")
        return f"{where}: {self.text}"


# An offer may have sixty-four payloads with sixteen transforms each, and whoever made it reads no further than this.
MOST_TOLD: Final = 24


def told(reasons: Sequence[Reason]) -> tuple[str, ...]:
    """Return reasons as texts: the first `MOST_TOLD`, and how many more there are."""
    more = len(reasons) - MOST_TOLD
    return (*map(str, reasons[:MOST_TOLD]), *((f"and {more} more",) if more > 0 else ()))


@frozen
class Chosen:
    """The offer is taken: ``alternative`` holds the one transform of each protocol."""

    alternative: Alternative
    agreement: Agreement
    reasons: tuple[Reason, ...]


@frozen
class Countered:
    """The offer is not taken, but ``counter`` would be."""

    counter: Offer
    reasons: tuple[Reason, ...]


@frozen
class Refused:
    """Nothing of the offer would do and there is nothing to counter it with."""

    reasons: tuple[Reason, ...]


Verdict: TypeAlias = Chosen | Countered | Refused
_Pick: TypeAlias = tuple[int, Algorithm, OfferedTransform]
# Why a user-defined group that the policy does not name will not do, by its look; nothing if it may.
_Objection: TypeAlias = Callable[[Algorithm], str]


def own_offer(policy: Policy, first: int = 0, count: int = 0) -> Offer:
    """Return the policy's proposals as an offer, ``count`` from the ``first`` on (0: all)."""
    proposals = policy.proposals[first : first + count if count else None]
    return numbered(describe(p.algorithms, p.lifetime, p.mebioctets, p.bundle) for p in proposals)


def select(offer: Offer, policy: Policy, *, shares_needed: bool = True) -> Verdict:
    """Answer ``offer`` by ``policy``.

    With ``shares_needed`` a key agreement without its key exchange in the
    offer is countered with that one group. A user-defined group that the policy does not
    name is chosen by its look; whether it is a group is yet to be found out.
    """
    offer = expanded(offer, policy.bundles)
    brought = offer.parameters()

    def objection(algorithm: Algorithm) -> str:
        parameters = brought.get(algorithm.fingerprint)
        if parameters is None:
            return "" if shares_needed else "its P and G are not known here"
        return parameters.objection(*policy.prime_bits)

    reasons: list[Reason] = []
    parts: list[Alternative] = []
    for alternative in offer.alternatives:
        verdict = _full(offer, alternative, policy, objection, reasons, shares_needed=shares_needed)
        if verdict is not None:
            return verdict
        part = _part(alternative, policy, objection, reasons)
        if part is not None:
            parts.append(part)
    if parts:
        return Countered(numbered(parts[:1]), tuple(reasons))
    if policy.proposals:
        return Countered(own_offer(policy), tuple(reasons))
    return Refused(tuple(reasons))


def _full(
    offer: Offer,
    alternative: Alternative,
    policy: Policy,
    objection: _Objection,
    reasons: list[Reason],
    *,
    shares_needed: bool,
) -> Chosen | Countered | None:
    """Return the verdict if every protocol of the alternative can be had, else say why not."""
    number = alternative.number
    if alternative.lifetime < policy.shortest_lifetime:
        text = f"a lifetime of {alternative.lifetime} s, at least {policy.shortest_lifetime} s is wanted here"
        reasons.append(Reason(number, 0, text))
        return None
    present = {member.protocol for member in alternative.protocols}
    missing = sorted(policy.mandatory - present)
    if missing:
        names = " and ".join(PROTOCOL_NAMES[protocol] for protocol in missing)
        reasons.append(Reason(number, 0, f"{names} missing, which is mandatory here"))
        return None
    best: tuple[tuple[int, ...], PolicyProposal, list[_Pick]] | None = None
    for proposal in policy.proposals:
        picks = [_pick(member, proposal, objection) for member in alternative.protocols]
        found = [pick for pick in picks if pick is not None]
        if len(found) == len(picks):
            rank = tuple(pick[0] for pick in found)
            if best is None or rank < best[0]:
                best = (rank, proposal, found)
    if best is None:
        _explain(alternative, policy, objection, reasons)
        return None
    _, proposal, found = best
    reasons.extend(_passed_over(alternative, found))
    chosen, agreement = _settle(alternative, proposal, found)
    group = agreement.algorithm(ProtocolId.KEY_AGREEMENT)
    chosen = evolve(chosen, shares={}, parameters={})
    if group is not None:
        serving = offer.serving(alternative, group.group)
        if serving is not None:
            parameters = {k: p for k, p in serving.parameters.items() if k == group.group}
            chosen = evolve(chosen, shares={group.group: serving.shares[group.group]}, parameters=parameters)
        elif shares_needed:
            text = f"{group} would be chosen, but the offer holds no key exchange for it"
            return Countered(numbered((chosen,)), (*reasons, Reason(number, 0, text)))
    return Chosen(chosen, agreement, tuple(reasons))


def _pick(member: OfferedProtocol, proposal: PolicyProposal, objection: _Objection) -> _Pick | None:
    """Return the first transform, in the initiator's order, that the policy's proposal has too."""
    if member.protocol is None:
        return None
    wanted = proposal.algorithms.get(member.protocol, ())
    for position, transform in enumerate(member.transforms):
        algorithm = transform.algorithm
        if algorithm is not None and (algorithm in wanted or _brought(algorithm, wanted, objection)):
            return position, algorithm, transform
    return None


def _brought(algorithm: Algorithm, wanted: tuple[Algorithm, ...], objection: _Objection) -> bool:
    """Tell whether it is a group of the peer's own, and one that may be had."""
    return bool(algorithm.fingerprint) and ANY_USER_GROUP in wanted and not objection(algorithm)


def _settle(alternative: Alternative, proposal: PolicyProposal, picks: list[_Pick]) -> tuple[Alternative, Agreement]:
    lifetime = min(alternative.lifetime, proposal.lifetime)
    by_protocol = {pick[1].protocol: pick for pick in picks}
    encryption = by_protocol.get(ProtocolId.ENCRYPTION)
    bounds = () if encryption is None else (proposal.mebioctets, encryption[2].mebioctets)
    bound = min((bound for bound in bounds if bound), default=0)
    members: list[OfferedProtocol] = []
    for member in alternative.protocols:
        pick = None if member.protocol is None else by_protocol.get(member.protocol)
        if pick is None:
            continue
        encrypts = member.protocol is ProtocolId.ENCRYPTION
        transform = evolve(pick[2], mebioctets=bound if encrypts else 0)
        members.append(evolve(member, number=len(members) + 1, transforms=(transform,)))
    agreement = Agreement(tuple(pick[1] for pick in picks), lifetime, bound)
    return evolve(alternative, lifetime=lifetime, protocols=tuple(members)), agreement


def _passed_over(alternative: Alternative, picks: list[_Pick]) -> list[Reason]:
    """Name what stood before the choice in the initiator's order."""
    reasons: list[Reason] = []
    for member, (position, algorithm, _) in zip(alternative.protocols, picks, strict=True):
        reasons.extend(
            Reason(alternative.number, transform.number, f"{transform} is not in the policy beside {algorithm}")
            for transform in member.transforms[:position]
        )
    return reasons


def _explain(alternative: Alternative, policy: Policy, objection: _Objection, reasons: list[Reason]) -> None:
    """Say, protocol by protocol, why no proposal of the policy takes the alternative."""
    before = len(reasons)
    for member in alternative.protocols:
        if member.bundle and not member.transforms:
            reasons.append(Reason(alternative.number, 0, f"bundle {member.bundle} is not known here"))
            continue
        if member.protocol is None:
            reasons.append(Reason(alternative.number, 0, f"{member.label} is not known here"))
            continue
        wanted = [name for p in policy.proposals for name in map(str, p.algorithms.get(member.protocol, ()))]
        if any(_pick(member, proposal, objection) for proposal in policy.proposals):
            continue
        have = " or ".join(dict.fromkeys(wanted)) or "none"
        for transform in member.transforms:
            text = f"{transform} is not in the policy, which has {have}"
            algorithm = transform.algorithm
            if algorithm is not None and algorithm.fingerprint and str(ANY_USER_GROUP) in wanted:
                text = f"{transform}: {objection(algorithm)}"
            reasons.append(Reason(alternative.number, transform.number, text))
    if len(reasons) == before:
        text = "each protocol alone would do, but no single proposal of the policy has them together"
        reasons.append(Reason(alternative.number, 0, text))


def _part(alternative: Alternative, policy: Policy, objection: _Objection, reasons: list[Reason]) -> Alternative | None:
    """Return the acceptable rest of an alternative whose unacceptable protocols are optional here."""
    if alternative.lifetime < policy.shortest_lifetime:
        return None
    for proposal in policy.proposals:
        picks = [pick for m in alternative.protocols if (pick := _pick(m, proposal, objection)) is not None]
        kept = {pick[1].protocol for pick in picks}
        if kept and kept >= policy.mandatory and len(kept) < len(alternative.protocols):
            text = "acceptable without " + " and ".join(
                member.label for member in alternative.protocols if member.protocol not in kept
            )
            reasons.append(Reason(alternative.number, 0, text))
            rest, _ = _settle(alternative, proposal, picks)
            return evolve(rest, shares={}, parameters={})
    return None


def accept(choice: Offer, offer: Offer, policy: Policy) -> Agreement:
    """Return what ``choice`` agrees on; the initiator's check that it lies within ``offer``.

    Raises `PeerMisbehaved` for anything that was not offered: another number,
    protocol or transform, more than one of them, a longer life; and
    `PeerIncompatible` for a life that is too short for ``policy``.
    """
    if choice.sub_type != offer.sub_type:
        why = f"an SA payload of sub-type {choice.sub_type} where {offer.sub_type} was offered"
        raise PeerMisbehaved(Code.POORLY_FORMED, why)
    if len(choice.alternatives) != 1:
        raise PeerMisbehaved(Code.POORLY_FORMED, "a choice is of one proposal number")
    chosen = choice.alternatives[0]
    offer = expanded(offer, policy.bundles)
    offered = next((a for a in offer.alternatives if a.number == chosen.number), None)
    if offered is None:
        raise PeerMisbehaved(Code.POORLY_FORMED, f"proposal {chosen.number} was not offered", chosen.number)
    if chosen.lifetime > offered.lifetime:
        why = f"a lifetime of {chosen.lifetime} s was chosen where {offered.lifetime} s was offered"
        raise PeerMisbehaved(Code.POORLY_FORMED, why, chosen.number)
    if chosen.lifetime < policy.shortest_lifetime:
        why = f"a lifetime of {chosen.lifetime} s was chosen, at least {policy.shortest_lifetime} s is wanted here"
        raise PeerIncompatible(Code.NOTHING_ACCEPTABLE, why, chosen.number)
    if [(m.protocol, m.bundle) for m in chosen.protocols] != [(m.protocol, m.bundle) for m in offered.protocols]:
        raise PeerMisbehaved(Code.POORLY_FORMED, "the choice does not have the protocols of the offer", chosen.number)
    algorithms = []
    bound = 0
    for member, wanted in zip(chosen.protocols, offered.protocols, strict=True):
        if len(member.transforms) != 1:
            why = f"{len(member.transforms)} transforms chosen for {member.label}, one belongs there"
            raise PeerMisbehaved(Code.POORLY_FORMED, why, chosen.number)
        pick = member.transforms[0]
        original = next((t for t in wanted.transforms if t.number == pick.number), None)
        if original is None or pick.algorithm is None or pick.algorithm != original.algorithm:
            raise PeerMisbehaved(Code.POORLY_FORMED, f"{pick} was not offered", chosen.number, pick.number)
        if original.mebioctets and not 0 < pick.mebioctets <= original.mebioctets:
            raise PeerMisbehaved(Code.POORLY_FORMED, "more octets than offered", chosen.number, pick.number)
        bound = pick.mebioctets or bound
        algorithms.append(pick.algorithm)
    return Agreement(tuple(algorithms), chosen.lifetime, bound)


def guessed(offer: Offer, policy: Policy) -> tuple[tuple[int, Algorithm], ...]:
    """Return for which groups an offer is to hold key exchanges, each with the proposal number that it goes to.

    These are the first groups of the proposals, in their order, then the second
    ones and so on, as many as the policy guesses.
    """
    found: dict[Algorithm, tuple[int, int]] = {}
    for alternative in expanded(offer, policy.bundles).alternatives:
        for member in alternative.protocols:
            if member.protocol is ProtocolId.KEY_AGREEMENT:
                for position, transform in enumerate(member.transforms):
                    if transform.algorithm is not None:
                        place = (position, alternative.number)
                        found[transform.algorithm] = min(found.get(transform.algorithm, place), place)
    best = sorted(found, key=found.__getitem__)[: policy.guesses]
    return tuple((found[group][1], group) for group in best)
