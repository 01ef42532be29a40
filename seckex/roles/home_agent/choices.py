"""What is chosen in a registration, three times: docs/registration.md, section 9.

Between node and home agent by our policy, between node and agent by what the
agent would take, between agent and home agent by our policy again. Where our policy
has nothing for the KEM of a request, the node is countered with the KEM that it has. Offers are the
same few octets over and over, and reading them costs more than the public-key
work: so what came out is kept, by the octets, `MOST_REMEMBERED` of each sort, the
oldest giving way. Only offers of agents that were authenticated get here, and of their nodes.
"""

from __future__ import annotations

from typing import Final, TypeVar

from attrs import evolve, frozen

from seckex.errors import Malformed, PeerFault
from seckex.roles.home_agent.refusals import Sealed, Unheard
from seckex.sa import registration
from seckex.sa.association import Agreement
from seckex.sa.offer import Alternative, Offer
from seckex.sa.policy import Policy, PolicyProposal
from seckex.sa.proposal import Chosen, Countered, Verdict, own_offer, select, told
from seckex.wire.extensions import SaPayloadExtension
from seckex.wire.mobileip import AgentRequest
from seckex.wire.numbers import MAX_ROUNDS, Code, Kem, ProtocolId, SaSubType

MOST_REMEMBERED: Final = 256

K = TypeVar("K")
V = TypeVar("V")


@frozen
class Choice:
    """What was chosen between two, and the SA payload that says so."""

    agreement: Agreement
    said: SaPayloadExtension


@frozen
class AgentSide:
    """What was chosen with the agent, and by which policy it chooses from what nodes offer it.

    For a KEM that we do not take nothing was chosen.
    """

    choice: Choice | None
    visits: Policy


@frozen
class Choices:
    """What was chosen between node and home agent, node and agent, and agent and home agent."""

    home: Choice
    visit: Choice
    agent: Choice


@frozen
class _Judged:
    """A verdict, and what comes of it: the choice, or what would be acceptable."""

    verdict: Verdict
    acceptable: Offer
    choice: Choice | None
    why: str


class Choosing:
    """See the module."""

    def __init__(self, policy: Policy, sub_type: SaSubType) -> None:
        self._policy = policy
        self._sub_type = sub_type
        self._agents: dict[tuple[Kem, bytes, bytes], AgentSide] = {}
        self._judged: dict[tuple[SaSubType, Kem, bytes, bytes], _Judged] = {}

    def of_agent(self, asked: AgentRequest) -> AgentSide:
        """Return what is chosen between the agent and us; raises `Unheard` where that is nothing."""
        kem, offers = asked.request.kem, asked.offers
        name = kem, offers[SaSubType.HA_FA].payload, offers[SaSubType.MN_FA].payload
        side = self._agents.get(name)
        if side is None:
            try:
                side = self._look(*name)
            except (Malformed, PeerFault) as fault:
                raise Unheard(Code.POORLY_FORMED, "agent-offer", f"the agent's offers: {fault}") from None
            _remember(self._agents, name, side)
        return side

    def _look(self, kem: Kem, offer: bytes, visits: bytes) -> AgentSide:
        own = registration.narrowed(self._policy, kem)
        judged = _judge(SaSubType.HA_FA, offer, own)
        if judged.choice is None and own.proposals:
            why = f"nothing of what the agent offers will do: {judged.why}; acceptable would be {own_offer(own)}"
            raise Unheard(Code.NOTHING_ACCEPTABLE, "agent-offer", why)
        return AgentSide(judged.choice, _policy_in(visits, self._policy))

    def of_node(self, asked: AgentRequest, side: AgentSide) -> Choices | Sealed:
        """Return all that is chosen, with what already is with the agent, or why it is not."""
        request, kem = asked.request, asked.request.kem
        if self._sub_type not in request.offers:
            kind = "mobility manager" if self._sub_type is SaSubType.MN_SMM else "home agent"
            return Sealed(Code.NOTHING_ACCEPTABLE, f"this is a {kind}: offers have the sub-type {self._sub_type.value}")
        offers, by = request.offers, asked.offers[SaSubType.MN_FA].payload
        try:
            home = self._look_up((self._sub_type, kem, offers[self._sub_type].payload, b""), self._policy)
            visit = self._look_up((SaSubType.MN_FA, kem, offers[SaSubType.MN_FA].payload, by), side.visits)
        except PeerFault as fault:
            return Sealed(fault.code, fault.why, fault.proposal, fault.transform)
        except Malformed as fault:
            return Sealed(Code.POORLY_FORMED, str(fault))
        if home.choice is not None and visit.choice is not None and side.choice is not None:
            return Choices(home.choice, visit.choice, side.choice)
        return self._without(home, visit if side.choice is not None else None, request.round)

    def _without(self, home: _Judged, visit: _Judged | None, round_: int) -> Sealed:
        """Return the refusal of what was not chosen: a counter-offer, or the end."""
        judged = [(home, "home agent")] if visit is None else [(home, "home agent"), (visit, "agent")]
        amiss = [(each, where) for each, where in judged if each.choice is None]
        why = "; ".join(f"with the {where}: {each.why}" for each, where in amiss)
        countered = all(isinstance(each.verdict, Countered) for each, _ in amiss)
        code = Code.NOTHING_ACCEPTABLE
        if countered:
            code = Code.COUNTER_OFFER if round_ < MAX_ROUNDS else Code.TOO_MANY_ROUNDS
        first = next(iter(amiss[0][0].verdict.reasons), None)
        at_fault = (first.proposal, first.transform) if first is not None else (0, 0)
        return Sealed(code, why, *at_fault, home.acceptable, None if visit is None else visit.acceptable)

    def _look_up(self, name: tuple[SaSubType, Kem, bytes, bytes], policy: Policy) -> _Judged:
        """Return the verdict on the offer in ``name``, whose last part tells whose ``policy`` it is."""
        judged = self._judged.get(name)
        if judged is None:
            sub_type, kem, offer, _ = name
            # The agent is not asked for another KEM: what it would take with that it says where it is asked with it.
            own = registration.narrowed(policy, kem) if sub_type is SaSubType.MN_FA else _for(kem, policy)
            judged = _judge(sub_type, offer, own)
            _remember(self._judged, name, judged)
        return judged


def _remember(memory: dict[K, V], name: K, value: V) -> None:
    if len(memory) >= MOST_REMEMBERED:
        del memory[next(iter(memory))]
    memory[name] = value


def _for(kem: Kem, policy: Policy) -> Policy:
    """Return what a policy has for a KEM, and where that is nothing what it has for others."""
    own = registration.narrowed(policy, kem)
    if own.proposals:
        return own
    others = (registration.narrowed(policy, each).proposals for each in registration.kems(policy))
    return evolve(own, proposals=tuple(proposal for each in others for proposal in each))


def _judge(sub_type: SaSubType, payload: bytes, policy: Policy) -> _Judged:
    verdict = select(registration.decode(payload, sub_type), policy, shares_needed=False)
    choice = None
    if isinstance(verdict, Chosen):
        acceptable = Offer((verdict.alternative,))
        choice = Choice(verdict.agreement, SaPayloadExtension(registration.encode(acceptable, sub_type)))
    else:
        acceptable = verdict.counter if isinstance(verdict, Countered) else own_offer(policy)
    return _Judged(verdict, evolve(acceptable, sub_type=sub_type), choice, "; ".join(told(verdict.reasons)))


def _policy_in(payload: bytes, ours: Policy) -> Policy:
    """Return the policy that an agent's offer stands for: it has what all of its proposals have, and no less."""
    offer = registration.decode(payload, SaSubType.MN_FA)
    proposals = tuple(_proposal_in(each) for each in offer.alternatives)
    mandatory = frozenset.intersection(*(frozenset(each.algorithms) for each in proposals))
    return evolve(ours, proposals=proposals, mandatory=mandatory)


def _proposal_in(alternative: Alternative) -> PolicyProposal:
    algorithms = {
        member.protocol: tuple(each.algorithm for each in member.transforms if each.algorithm is not None)
        for member in alternative.protocols
        if member.protocol is not None
    }
    sealing = (m for m in alternative.protocols if m.protocol is ProtocolId.ENCRYPTION)
    bounds = [each.mebioctets for member in sealing for each in member.transforms if each.mebioctets]
    return PolicyProposal(algorithms, alternative.lifetime, min(bounds, default=0))
