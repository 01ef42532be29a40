"""A node's request as its agent takes it: whether it may go on, and what goes on in its place.

Nothing that the node says of itself can be read here. What can be is judged
before any public-key work: whom the request is for, how long, and whether the
node has heard the agent lately. What is raised becomes a hint to the node, which
nobody authenticates (docs/registration.md, section 14).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from attrs import field, frozen

from seckex.crypto.kem import KemKey, kem
from seckex.crypto.registration_seals import sign_request
from seckex.crypto.secrets import Secret
from seckex.errors import Malformed, PeerFault, PeerIncompatible, PeerMisbehaved
from seckex.roles.foreign_agent.challenges import Challenges
from seckex.roles.foreign_agent.terms import AgentTerms
from seckex.wire.mobileip import AgentShares, NodeRequest, encode_agent_request
from seckex.wire.numbers import LIFETIMES, Code

_CHALLENGE: Final = "challenge"


@frozen
class Asked:
    """A request that is relayed.

    ``message`` is what goes to the home agent. ``key`` is that of Z, and ``ss3`` what the node alone will know of ct3.
    """

    request: NodeRequest
    shares: AgentShares
    message: bytes = field(repr=False)
    key: KemKey = field(repr=False)
    ss3: Secret = field(repr=False)


def objection_to(fault: Malformed | PeerFault) -> PeerFault:
    """Return what a node is told of octets that are no request, or not one of version 1."""
    if isinstance(fault, Malformed) and fault.field == _CHALLENGE:
        return PeerMisbehaved(Code.MISSING_CHALLENGE, str(fault))
    return PeerMisbehaved(Code.AGENT_POORLY_FORMED_REQUEST, str(fault))


def check(request: NodeRequest, terms: AgentTerms, challenges: Challenges) -> None:
    """Raise `PeerFault`, with what the node is told, for a request that is not relayed."""
    if request.agent != terms.nai:
        raise PeerMisbehaved(Code.AGENT_POORLY_FORMED_REQUEST, f"the request is for another agent than {terms.nai}")
    if request.care_of not in terms.care_of:
        raise PeerMisbehaved(Code.AGENT_POORLY_FORMED_REQUEST, "the care-of address is not one of this agent's")
    lifetime = request.header.lifetime
    if lifetime not in LIFETIMES:
        known = ", ".join(map(str, LIFETIMES))
        raise PeerMisbehaved(Code.AGENT_POORLY_FORMED_REQUEST, f"a lifetime of {lifetime} s; there are {known}")
    if lifetime > terms.longest:
        why = f"a lifetime of {lifetime} s, at most {terms.longest} s are granted here"
        raise PeerIncompatible(Code.AGENT_LIFETIME_TOO_LONG, why)
    if not terms.serves(request.home_agent):
        raise PeerIncompatible(Code.AGENT_PROHIBITED, "nodes of this home agent are not served here")
    if request.kem not in terms.kems:
        raise PeerIncompatible(Code.AGENT_PROHIBITED, f"the KEM {request.kem.name} is not in the policy here")
    challenges.check(request.challenge)


def compose(request: NodeRequest, terms: AgentTerms, taken: Callable[[int], bool]) -> Asked:
    """Return the request as it goes to the home agent, signed; ``taken`` tells which SPIs are not to be had.

    This is where public-key work is done. Raises `PeerMisbehaved` for a share of the node's that is none.
    """
    method, entropy, offers = kem(request.kem), terms.entropy, terms.offers[request.kem]
    key = method.keypair(entropy(method.seed_size))
    try:
        ct3, ss3 = method.seal(request.x, entropy(method.randomness))
    except PeerFault as fault:
        raise PeerMisbehaved(Code.AGENT_POORLY_FORMED_REQUEST, f"the node's share: {fault.why}") from None
    spi_home = terms.new_spi(taken)
    spi_node = terms.new_spi(lambda spi: spi == spi_home or taken(spi))
    shares = AgentShares(request.kem, spi_home, spi_node, key.public, ct3)

    def sign(covered: bytes) -> bytes:
        return sign_request(terms.identity, covered, request.home_agent)

    message = encode_agent_request(
        request.octets, shares, terms.address, terms.port, offers, terms.identity.chain, sign
    )
    return Asked(request, shares, message, key, ss3)
