"""Key agreement in exchanges by certificates, where it is mandatory: without it there would be no secret at all.

Before anybody has proved a name nobody may have long work done here. So groups
that are heavy (`seckex.crypto.groups.interface.Group`) take no part in these
exchanges, nor does a group of the peer's own that is not known to be good. The
association that comes of one can be renewed with any group of the policy.
"""

from __future__ import annotations

from attrs import evolve

from seckex.crypto.secrets import Secret
from seckex.errors import PeerIncompatible, PeerMisbehaved
from seckex.exchange.shares import Shares, beginning, known_group, responding
from seckex.exchange.terms import Terms
from seckex.sa.algorithms import ANY_USER_GROUP
from seckex.sa.offer import Alternative, Offer
from seckex.sa.policy import Policy, PolicyProposal
from seckex.sa.selector import Selected
from seckex.wire.numbers import PRF_HMAC_SHA2_256, Code, ProtocolId


def light(terms: Terms) -> Terms:
    """Return ``terms`` with what of their policy may be agreed on before anybody is known; maybe nothing."""
    policy = terms.policy
    proposals = tuple(filter(None, (_light(proposal, policy) for proposal in policy.proposals)))
    return evolve(terms, policy=evolve(policy, proposals=proposals))


def _light(proposal: PolicyProposal, policy: Policy) -> PolicyProposal | None:
    groups = proposal.algorithms.get(ProtocolId.KEY_AGREEMENT, ())
    known = (algorithm for algorithm in groups if algorithm != ANY_USER_GROUP)
    kept = tuple(algorithm for algorithm in known if not known_group(algorithm, policy).heavy)
    # A bundle is taken or left as a whole.
    if not kept or (proposal.bundle and kept != groups):
        return None
    return evolve(proposal, algorithms={**proposal.algorithms, ProtocolId.KEY_AGREEMENT: kept})


def with_shares(offer: Offer, terms: Terms) -> tuple[Offer, Shares]:
    """Return ``offer`` with key exchange values, and what they were made of, by group."""
    call = beginning(offer, terms)
    shares = call()
    return call.within(offer, shares, terms.policy), call.held(shares)


def respond(selected: Selected, terms: Terms) -> tuple[bytes, Secret]:
    """Return the responder's value and the secret; raises `PeerFault`."""
    call = responding(selected, terms)
    if call is None or call.heavy:
        raise PeerIncompatible(Code.NOTHING_ACCEPTABLE, "key agreement that is quick and known is needed here")
    responded = call()
    if responded.fault is not None:
        raise responded.fault
    return responded.value, responded.secret


def finish(held: Shares, chosen: Alternative) -> tuple[int, Secret]:
    """Return the PRF's transform ID and the secret of a choice; raises `PeerFault`."""
    algorithms = {member.protocol: member.transforms[0].algorithm for member in chosen.protocols if member.transforms}
    group, prf = algorithms.get(ProtocolId.KEY_AGREEMENT), algorithms.get(ProtocolId.PRF)
    share = None if group is None else held.get(group.group)
    if group is None or share is None:
        raise PeerMisbehaved(Code.BAD_KEY_SHARE, "a choice without one of the groups that values were sent for")
    return prf.transform_id if prf else PRF_HMAC_SHA2_256, share.finish(chosen.shares.get(group.group, b""))
