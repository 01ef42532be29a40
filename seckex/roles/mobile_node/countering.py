"""What a home agent would take instead, and what of that we would: docs/registration.md, section 9."""

from __future__ import annotations

from collections.abc import Callable

from attrs import evolve

from seckex.errors import PeerFault
from seckex.roles.mobile_node.choices import read_offer
from seckex.roles.mobile_node.plan import Offers, Plan, opening
from seckex.sa.offer import Offer, numbered
from seckex.sa.proposal import Chosen, select
from seckex.sa.registration import kems, narrowed
from seckex.wire.extensions import SaPayloadExtension
from seckex.wire.numbers import Kem, SaSubType
from seckex.wire.registration import Answer


def taken_up(answer: Answer, plan: Plan, offers: Offers, possible: Callable[[Kem], bool]) -> Offers | None:
    """Return what of the counter-offers to ``offers`` our own policy would have offered.

    None where that is not in each of them. ``possible`` tells which KEMs there are keys for, on the way as well. Raises
    `PeerFault`.
    """
    found = [kem for kem in kems(plan.policy) if possible(kem)]
    for kem in sorted(found, key=lambda kem: kem is not offers.kem):
        fresh = offers if kem is offers.kem else opening(plan, kem)
        home = _taken(answer.home_offer, plan.sub_type, plan, kem, fresh.home)
        visit = _taken(answer.agent_offer, SaSubType.MN_FA, plan, kem, fresh.visit)
        if home is not None and visit is not None:
            return evolve(fresh, home=home, visit=visit)
    return None


def _taken(said: SaPayloadExtension | None, sub_type: SaSubType, plan: Plan, kem: Kem, kept: Offer) -> Offer | None:
    """Return what of a counter-offer our policy has with ``kem``; ``kept`` where there was no counter-offer."""
    if said is None:
        return kept
    verdict = select(read_offer(said.payload, sub_type), narrowed(plan.policy, kem), shares_needed=False)
    return evolve(numbered((verdict.alternative,)), sub_type=sub_type) if isinstance(verdict, Chosen) else None


def acceptable_in(answer: Answer, plan: Plan) -> str:
    """Return what a refusal says would be acceptable, for people."""
    parts: list[str] = []
    for said, sub_type, where in (
        (answer.home_offer, plan.sub_type, "for KEY 1"),
        (answer.agent_offer, SaSubType.MN_FA, "for KEY 3"),
    ):
        if said is not None:
            try:
                parts.append(f"{read_offer(said.payload, sub_type)} {where}")
            except PeerFault as fault:
                parts.append(f"something that cannot be read {where}: {fault.why}")
    return "; ".join(parts)
