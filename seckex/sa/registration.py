"""What a policy means inside a registration: docs/registration.md, section 9.

There the KEM of the request stands in place of key exchanges. So a policy is
narrowed to the proposals whose key agreement may be that KEM, and to it alone;
what is offered, chosen and countered names it, and holds no values. With that,
selection is the same function as between any two principals, with
``shares_needed`` off; a counter-offer that names another key agreement asks for another KEM.

Bundles are spelt out: their numbers are between two principals, and whoever
chooses here may be a third.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import evolve

from seckex.errors import PeerIncompatible
from seckex.sa.algorithms import BY_NUMBER, Algorithm
from seckex.sa.offer import Offer, from_payload, to_payload
from seckex.sa.policy import Policy, PolicyProposal
from seckex.sa.proposal import own_offer
from seckex.wire.numbers import GROUP_X25519, GROUP_X25519_ML_KEM_768, Code, Kem, ProtocolId, SaSubType
from seckex.wire.payloads import decode_sa, encode_sa

KEY_AGREEMENTS: Final[Mapping[Kem, Algorithm]] = {
    Kem.X25519: BY_NUMBER[ProtocolId.KEY_AGREEMENT, GROUP_X25519, 0],
    Kem.X25519_ML_KEM_768: BY_NUMBER[ProtocolId.KEY_AGREEMENT, GROUP_X25519_ML_KEM_768, 0],
}


def kems(policy: Policy) -> tuple[Kem, ...]:
    """Return the KEMs that a policy allows, the best first."""
    found: dict[Kem, tuple[int, int]] = {}
    for place, proposal in enumerate(policy.proposals):
        listed = proposal.algorithms.get(ProtocolId.KEY_AGREEMENT, ())
        for kem, algorithm in KEY_AGREEMENTS.items():
            if algorithm in listed:
                found[kem] = min(found.get(kem, (place, len(listed))), (place, listed.index(algorithm)))
    return tuple(sorted(found, key=found.__getitem__))


def narrowed(policy: Policy, kem: Kem) -> Policy:
    """Return what ``policy`` would agree on with ``kem``: no proposal where it does not allow that one."""
    key_agreement = KEY_AGREEMENTS[kem]
    proposals = tuple(
        _spelt_out(proposal, key_agreement)
        for proposal in policy.proposals
        if key_agreement in proposal.algorithms.get(ProtocolId.KEY_AGREEMENT, ())
    )
    return evolve(policy, proposals=proposals, open_with=0, guesses=0, bundles={}, groups={})


def _spelt_out(proposal: PolicyProposal, key_agreement: Algorithm) -> PolicyProposal:
    algorithms = {**proposal.algorithms, ProtocolId.KEY_AGREEMENT: (key_agreement,)}
    return evolve(proposal, algorithms=algorithms, bundle=0)


def encode_offer(policy: Policy, kem: Kem, sub_type: SaSubType) -> bytes:
    """Return the SA payload that offers what ``policy`` has for ``kem``; raises `PeerIncompatible` if that is nothing.

    As many proposals as the policy opens with.
    """
    own = own_offer(narrowed(policy, kem), 0, policy.open_with)
    if not own.alternatives:
        raise PeerIncompatible(Code.NOTHING_ACCEPTABLE, f"{KEY_AGREEMENTS[kem]} is not in the policy")
    return encode(own, sub_type)


def encode(offer: Offer, sub_type: SaSubType) -> bytes:
    """Return the SA payload of an offer, a counter-offer or a choice, without values."""
    bare = tuple(evolve(each, shares={}, parameters={}) for each in offer.alternatives)
    return encode_sa(to_payload(Offer(bare, sub_type)))


def decode(payload: bytes, sub_type: SaSubType, base: int = 0, *, choice: bool = False) -> Offer:
    """Return what an SA payload inside a registration means.

    Raises as `seckex.wire.payloads.decode_sa` and `seckex.sa.offer.from_payload`, and `PeerIncompatible` for values
    of key exchanges.
    """
    offer = from_payload(decode_sa(payload, base), choice=choice, sub_type=sub_type)
    if any(each.shares for each in offer.alternatives):
        raise PeerIncompatible(Code.UNKNOWN_PAYLOAD, "a key exchange inside a registration, which has its KEM")
    return offer
