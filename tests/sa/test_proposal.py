"""Selection, counter-offers and the initiator's check: docs/protocol.md, section 8."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import TypeVar

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.errors import PeerFault, PeerIncompatible, PeerMisbehaved
from seckex.sa.algorithms import Algorithm
from seckex.sa.association import Agreement
from seckex.sa.offer import Alternative, Offer, from_payload, numbered, to_payload
from seckex.sa.policy import Policy, PolicyProposal
from seckex.sa.proposal import (
    MOST_TOLD,
    Chosen,
    Countered,
    Reason,
    Refused,
    Verdict,
    accept,
    own_offer,
    select,
    told,
)
from seckex.wire.numbers import Code
from seckex.wire.payloads import Attribute, KeyExchange, Proposal, SaPayload, UnknownPayload, decode_sa, encode_sa
from tests.sa.samples import (
    AUTHENTICATION,
    ENCRYPTION,
    HOUR,
    KEY_AGREEMENT,
    PRF,
    alternative,
    chosen_names,
    known_offers,
    offer,
    offers,
    policies,
    policy,
    proposal,
)

AES, AES_128, CHACHA = "aes-256-gcm", "aes-128-gcm", "chacha20-poly1305"
MAC, MAC_384, PRF_256, PRF_384 = "hmac-sha-256", "hmac-sha-384", "prf-hmac-sha-256", "prf-hmac-sha-384"

T = TypeVar("T")

SOME = settings(max_examples=75, deadline=None)


class Selecting(SynchronousTestCase):
    def chosen(self, verdict: Verdict) -> Chosen:
        self.assertIsInstance(verdict, Chosen)
        assert isinstance(verdict, Chosen)
        return verdict

    def countered(self, verdict: Verdict) -> Countered:
        self.assertIsInstance(verdict, Countered)
        assert isinstance(verdict, Countered)
        return verdict

    def takes(self, verdict: Verdict, number: int, *names: str) -> Chosen:
        """Insist that proposal ``number`` was chosen with just these algorithms."""
        chosen = self.chosen(verdict)
        self.assertEqual((chosen.alternative.number, chosen_names(chosen.agreement)), (number, list(names)))
        self.assertEqual([len(member.transforms) for member in chosen.alternative.protocols], [1] * len(names))
        return chosen

    def reasons(self, verdict: Verdict) -> list[tuple[int, int]]:
        return [(reason.proposal, reason.transform) for reason in verdict.reasons]


class FigureTests(Selecting):
    """The three figures that give numbers their meaning."""

    def test_figure_26_one_number_is_an_and(self) -> None:
        both = offer(alternative(AES, MAC))
        # -> proposal 1: AES and proposal 1: HMAC
        # <- both, or nothing of it
        self.takes(select(both, policy(proposal(AES, MAC))), 1, AES, MAC)
        for lacking in (proposal(AES, MAC_384), proposal(CHACHA, MAC)):
            self.assertNotIsInstance(select(both, policy(lacking)), Chosen)
        # What two proposals of the policy have, one each, is not had together.
        verdict = self.countered(select(both, policy(proposal(AES, MAC_384), proposal(CHACHA, MAC))))
        self.assertEqual(
            [str(reason) for reason in verdict.reasons][:1],
            ["proposal 1: each protocol alone would do, but no single proposal of the policy has them together"],
        )

    def test_figure_27_higher_numbers_are_an_or(self) -> None:
        either = offer(alternative(AES, MAC), alternative(CHACHA), alternative(AES_128))
        self.takes(select(either, policy(proposal(AES, MAC))), 1, AES, MAC)
        self.takes(select(either, policy(proposal(CHACHA))), 2, CHACHA)
        self.takes(select(either, policy(proposal(AES_128))), 3, AES_128)
        # The initiator's order decides, not the responder's.
        self.takes(select(either, policy(proposal(AES_128), proposal(CHACHA))), 2, CHACHA)

    def test_figure_28_transforms_are_an_or_within_a_proposal(self) -> None:
        several = offer(alternative(AES, CHACHA, AES_128))
        self.takes(select(several, policy(proposal(AES_128, CHACHA, AES))), 1, AES)
        self.takes(select(several, policy(proposal(AES_128, CHACHA))), 1, CHACHA)
        self.takes(select(several, policy(proposal(AES_128))), 1, AES_128)
        for name, number in ((AES, 1), (CHACHA, 2), (AES_128, 3)):
            chosen = self.chosen(select(several, policy(proposal(name))))
            # A choice keeps the transform's number, and names one transform for each protocol.
            self.assertEqual([t.number for t in chosen.alternative.protocols[0].transforms], [number])


class AnswerTests(Selecting):
    everything = (AES, MAC, PRF_256, "x25519")

    def test_accept_all(self) -> None:
        chosen = self.takes(
            select(offer(alternative(*self.everything)), policy(proposal(*self.everything))), 1, *self.everything
        )
        self.assertEqual(chosen.reasons, ())
        self.assertEqual(chosen.agreement.lifetime, HOUR)

    def test_a_choice_has_the_number_that_it_had_in_the_offer(self) -> None:
        two = offer(alternative(AES), alternative(*self.everything))
        chosen = self.takes(select(two, policy(proposal(*self.everything), mandatory=(PRF,))), 2, *self.everything)
        self.assertEqual(accept(Offer((chosen.alternative,)), two, policy()), chosen.agreement)

    def test_accept_part_what_is_optional_is_left_out(self) -> None:
        # -> encryption and authentication and PRF     the responder knows no such authentication, and does not need one
        asked = offer(alternative(AES, CHACHA, MAC, PRF_256))
        ours = policy(proposal(CHACHA, MAC_384, PRF_256), mandatory=(ENCRYPTION, PRF))
        verdict = self.countered(select(asked, ours))
        # <- encryption and PRF, one transform each
        self.assertEqual(str(verdict.counter), "#1: chacha20-poly1305 + prf-hmac-sha-256")
        self.assertEqual([m.number for m in verdict.counter.alternatives[0].protocols], [1, 2])
        self.assertEqual(str(verdict.reasons[-1]), "proposal 1: acceptable without authentication")
        self.takes(select(verdict.counter, ours), 1, CHACHA, PRF_256)

    def test_accept_part_never_below_what_is_mandatory(self) -> None:
        asked = offer(alternative(AES, MAC, PRF_256))
        ours = policy(proposal(CHACHA, MAC, PRF_256), mandatory=(ENCRYPTION,))
        verdict = self.countered(select(asked, ours))
        self.assertEqual(str(verdict.counter), "#1: chacha20-poly1305 + hmac-sha-256 + prf-hmac-sha-256")
        self.assertEqual(verdict.counter, own_offer(ours))

    def test_accept_part_of_an_unknown_protocol(self) -> None:
        asked = offer(alternative(AES, MAC))
        strange = evolve(asked.alternatives[0].protocols[1], protocol=None, label="protocol 9")
        asked = offer(evolve(asked.alternatives[0], protocols=(asked.alternatives[0].protocols[0], strange)))
        verdict = self.countered(select(asked, policy(proposal(AES, MAC))))
        self.assertEqual(str(verdict.counter), "#1: aes-256-gcm")
        self.assertEqual(list(map(str, verdict.reasons)), [
            "proposal 1: protocol 9 is not known here", "proposal 1: acceptable without protocol 9",
        ])  # fmt: skip

    def test_whole_later_proposals_come_before_parts_of_earlier_ones(self) -> None:
        asked = offer(alternative(AES, MAC), alternative(AES_128))
        self.takes(select(asked, policy(proposal(AES, AES_128))), 2, AES_128)

    def test_of_several_parts_the_first_is_countered(self) -> None:
        asked = offer(alternative(AES, MAC), alternative(AES_128, MAC))
        verdict = self.countered(select(asked, policy(proposal(AES_128, AES))))
        self.assertEqual(str(verdict.counter), "#1: aes-256-gcm")
        self.assertEqual([a.number for a in verdict.counter.alternatives], [1])

    def test_counter_with_our_own_proposals(self) -> None:
        ours = policy(proposal(AES, MAC), proposal(CHACHA), mandatory=(ENCRYPTION,))
        verdict = self.countered(select(offer(alternative(AES_128)), ours))
        self.assertEqual(str(verdict.counter), "#1: aes-256-gcm + hmac-sha-256; #2: chacha20-poly1305")
        self.assertEqual([a.shares for a in verdict.counter.alternatives], [{}, {}])

    def test_group_missing(self) -> None:
        asked = offer(alternative(AES, CHACHA, "x25519", share=False))
        ours = policy(proposal(CHACHA, "x25519"))
        verdict = self.countered(select(asked, ours))
        # Only the group was missing: just this is countered, with no key exchange of ours.
        self.assertEqual(str(verdict.counter), "#1: chacha20-poly1305 + x25519")
        self.assertEqual(verdict.counter.alternatives[0].shares, {})
        self.assertEqual(
            str(verdict.reasons[-1]), "proposal 1: x25519 would be chosen, but the offer holds no key exchange for it"
        )
        # The initiator looks at counter-offers, which hold none.
        self.takes(select(asked, ours, shares_needed=False), 1, CHACHA, "x25519")
        self.takes(select(offer(alternative(AES, CHACHA, "x25519")), ours), 1, CHACHA, "x25519")

    def test_a_policy_that_wants_nothing_refuses(self) -> None:
        verdict = select(offer(alternative(AES)), policy())
        self.assertIsInstance(verdict, Refused)
        self.assertEqual(self.reasons(verdict), [(1, 1)])


class PreferenceTests(Selecting):
    def test_within_a_number_the_earlier_protocol_weighs_more(self) -> None:
        asked = offer(alternative(AES, CHACHA, MAC, MAC_384))
        # Either AES with the second MAC or ChaCha with the first: encryption stands first in the offer.
        ours = policy(proposal(CHACHA, MAC), proposal(AES, MAC_384))
        chosen = self.takes(select(asked, ours), 1, AES, MAC_384)
        self.assertEqual(
            list(map(str, chosen.reasons)),
            ["proposal 1, transform 1: hmac-sha-256 is not in the policy beside hmac-sha-384"],
        )

    def test_equally_preferred_is_what_our_policy_lists_first(self) -> None:
        ours = policy(proposal(AES, lifetime=100), proposal(AES, CHACHA, lifetime=200))
        self.assertEqual(self.chosen(select(offer(alternative(AES, CHACHA)), ours)).agreement.lifetime, 100)

    def test_unknown_algorithms_are_never_chosen(self) -> None:
        payload = to_payload(offer(alternative(CHACHA, AES)))
        unknown = payload.payloads[0]
        assert isinstance(unknown, Proposal)
        for change in (
            {"transform_id": 99},
            {"attributes": (Attribute(20000, 1),)},
            {"attributes": (Attribute(14, 256),)},
        ):
            first = evolve(unknown.transforms[0], **change)
            asked = from_payload(SaPayload(7, (evolve(unknown, transforms=(first, *unknown.transforms[1:])),)))
            chosen = self.takes(select(asked, policy(proposal(CHACHA, AES))), 1, AES)
            self.assertEqual(self.reasons(chosen), [(1, 1)])
            self.assertNotIsInstance(select(asked, policy(proposal(CHACHA))), Chosen)


class LifetimeTests(Selecting):
    def test_the_lower_of_both_lifetimes(self) -> None:
        for theirs, ours in ((100, 200), (200, 100), (100, 100)):
            chosen = self.chosen(select(offer(alternative(AES, lifetime=theirs)), policy(proposal(AES, lifetime=ours))))
            self.assertEqual((chosen.agreement.lifetime, chosen.alternative.lifetime), (100, 100))

    def test_too_short_a_lifetime(self) -> None:
        ours = policy(proposal(AES), shortest=60)
        self.takes(select(offer(alternative(AES, lifetime=60)), ours), 1, AES)
        verdict = self.countered(select(offer(alternative(AES, lifetime=59)), ours))
        self.assertEqual(
            list(map(str, verdict.reasons)), ["proposal 1: a lifetime of 59 s, at least 60 s is wanted here"]
        )
        self.assertEqual(verdict.counter, own_offer(ours))
        # No part of it would live longer.
        verdict = self.countered(select(offer(alternative(AES, MAC, lifetime=59)), ours))
        self.assertEqual(verdict.counter, own_offer(ours))

    def test_the_lower_of_both_octet_bounds_where_none_is_the_highest(self) -> None:
        for theirs, ours, both in ((5, 9, 5), (9, 5, 5), (0, 5, 5), (5, 0, 5), (0, 0, 0)):
            asked = offer(alternative(AES, MAC, mebioctets=theirs))
            chosen = self.chosen(select(asked, policy(proposal(AES, MAC, mebioctets=ours))))
            self.assertEqual(chosen.agreement.mebioctets, both)
            self.assertEqual([m.transforms[0].mebioctets for m in chosen.alternative.protocols], [both, 0])

    def test_without_encryption_there_are_no_octets_to_bound(self) -> None:
        asked = offer(alternative(MAC))
        chosen = self.chosen(select(asked, policy(proposal(MAC, mebioctets=5), mandatory=())))
        self.assertEqual(chosen.agreement, accept(Offer((chosen.alternative,)), asked, policy()))


class MandatoryTests(Selecting):
    def test_what_is_mandatory_and_missing_is_named(self) -> None:
        ours = policy(proposal(AES, PRF_256, "x25519"), mandatory=(ENCRYPTION, KEY_AGREEMENT, PRF))
        verdict = self.countered(select(offer(alternative(AES), alternative(AES, "x25519")), ours))
        self.assertEqual(list(map(str, verdict.reasons)), [
            "proposal 1: key-agreement and prf missing, which is mandatory here",
            "proposal 2: prf missing, which is mandatory here",
        ])  # fmt: skip
        self.takes(
            select(offer(alternative(AES), alternative(AES, PRF_256, "x25519")), ours), 2, AES, PRF_256, "x25519"
        )

    def test_what_is_optional_may_be_missing(self) -> None:
        self.takes(select(offer(alternative(AES)), policy(proposal(AES, MAC, PRF_256))), 1, AES)


class ReasonTests(Selecting):
    def test_every_transform_that_is_passed_over_is_named(self) -> None:
        asked = offer(alternative(AES, CHACHA, MAC), alternative(AES, AES_128))
        chosen = self.takes(select(asked, policy(proposal(AES_128))), 2, AES_128)
        self.assertEqual(list(map(str, chosen.reasons)), [
            "proposal 1, transform 1: aes-256-gcm is not in the policy, which has aes-128-gcm",
            "proposal 1, transform 2: chacha20-poly1305 is not in the policy, which has aes-128-gcm",
            "proposal 1, transform 1: hmac-sha-256 is not in the policy, which has none",
            "proposal 2, transform 1: aes-256-gcm is not in the policy beside aes-128-gcm",
        ])  # fmt: skip

    def test_what_the_policy_has_instead_is_named_once(self) -> None:
        ours = policy(proposal(CHACHA, AES_128), proposal(AES_128, CHACHA))
        verdict = self.countered(select(offer(alternative(AES, MAC)), ours))
        self.assertEqual(list(map(str, verdict.reasons)), [
            "proposal 1, transform 1: aes-256-gcm is not in the policy, which has chacha20-poly1305 or aes-128-gcm",
            "proposal 1, transform 1: hmac-sha-256 is not in the policy, which has none",
        ])  # fmt: skip

    def test_reasons_about_no_proposal_stand_alone(self) -> None:
        self.assertEqual(str(Reason(0, 0, "text")), "text")
        self.assertEqual(str(Reason(2, 0, "text")), "proposal 2: text")
        self.assertEqual(str(Reason(2, 3, "text")), "proposal 2, transform 3: text")


class BundleTests(Selecting):
    def with_bundle(self, *, transforms: bool) -> Offer:
        one = alternative(AES, MAC)
        kept = one.protocols[0].transforms if transforms else ()
        return offer(evolve(one, protocols=(evolve(one.protocols[0], bundle=7, transforms=kept), *one.protocols[1:])))

    def test_a_bundle_is_not_known_and_refuses_its_proposal(self) -> None:
        for transforms in (False, True):
            verdict = self.countered(select(self.with_bundle(transforms=transforms), policy(proposal(AES, MAC))))
            self.assertEqual(str(verdict.reasons[0]), "proposal 1: bundle 7 is not known here")
            self.assertEqual(str(verdict.counter), "#1: aes-256-gcm + hmac-sha-256")

    def test_an_optional_bundle_is_left_out(self) -> None:
        verdict = self.countered(select(self.with_bundle(transforms=True), policy(proposal(AES, MAC), mandatory=())))
        self.assertEqual(str(verdict.counter), "#1: hmac-sha-256")


class OwnOfferTests(Selecting):
    def test_an_opening_and_the_rest(self) -> None:
        ours = policy(proposal(AES), proposal(CHACHA), proposal(AES_128))
        self.assertEqual(str(own_offer(ours)), "#1: aes-256-gcm; #2: chacha20-poly1305; #3: aes-128-gcm")
        self.assertEqual(str(own_offer(ours, 0, 1)), "#1: aes-256-gcm")
        self.assertEqual(str(own_offer(ours, 1)), "#1: chacha20-poly1305; #2: aes-128-gcm")
        self.assertEqual(str(own_offer(ours, 1, 1)), "#1: chacha20-poly1305")

    def test_it_says_lifetime_and_bound(self) -> None:
        (only,) = own_offer(policy(proposal(AES, MAC, lifetime=123, mebioctets=9))).alternatives
        self.assertEqual(only.lifetime, 123)
        self.assertEqual([member.transforms[0].mebioctets for member in only.protocols], [9, 0])


class AcceptTests(Selecting):
    """A choice is within the offer or it is refused."""

    asked = offer(
        alternative(AES, AES_128, MAC, PRF_256, "x25519", mebioctets=8),
        alternative(CHACHA, AES, PRF_256, PRF_384, "x25519"),
    )
    theirs = policy(proposal(AES_128, CHACHA, AES, MAC, PRF_384, PRF_256, "x25519", lifetime=1800, mebioctets=5))
    ours = policy(proposal(AES), shortest=600)

    def choice(self, number: int) -> SaPayload:
        verdict = select(Offer(self.asked.alternatives[number - 1 :]), self.theirs)
        return to_payload(Offer((self.chosen(verdict).alternative,)))

    def accepted(self, payload: SaPayload) -> Agreement:
        """Read a choice as the initiator does, from octets."""
        return accept(from_payload(decode_sa(encode_sa(payload)), choice=True), self.asked, self.ours)

    def test_what_was_offered(self) -> None:
        for number, names in ((1, [AES, MAC, PRF_256, "x25519"]), (2, [CHACHA, PRF_256, "x25519"])):
            agreement = self.accepted(self.choice(number))
            self.assertEqual(chosen_names(agreement), names)
            self.assertEqual((agreement.lifetime, agreement.mebioctets), (1800, 5))

    def test_less_than_was_offered(self) -> None:
        for lifetime in (600, 1800, HOUR):
            self.assertEqual(self.accepted(self.altered_all(lifetime=lifetime)).lifetime, lifetime)
        for mebioctets in (1, 8):
            self.assertEqual(self.accepted(self.bounded(mebioctets)).mebioctets, mebioctets)

    def altered_all(self, choice: int = 1, /, **changes: int) -> SaPayload:
        payload = self.choice(choice)
        parts = [evolve(p, **changes) if isinstance(p, Proposal) else p for p in payload.payloads]  # type: ignore[arg-type]  # all are integers
        return evolve(payload, payloads=tuple(parts))

    def bounded(self, mebioctets: int, at: int = 0) -> SaPayload:
        """Return a choice whose proposal ``at`` carries a bound on octets, 0 for none."""
        parts = list(self.choice(1).payloads)
        part = parts[at]
        assert isinstance(part, Proposal)
        kept = tuple(a for a in part.transforms[0].attributes if a.type != 16384)
        bound = (Attribute(16384, mebioctets.to_bytes(5, "big")),) if mebioctets else ()
        parts[at] = evolve(part, transforms=(evolve(part.transforms[0], attributes=kept + bound),))
        return SaPayload(7, tuple(parts))

    def alterations(self, payload: SaPayload) -> Iterator[tuple[str, SaPayload]]:
        """Every way in which a choice can say something else than the one that it is, and that was not offered."""
        parts = payload.payloads
        number = parts[0].number if isinstance(parts[0], Proposal) else 0
        for sub_type in (0, 1, 4, 8, 255):
            yield f"sub-type {sub_type}", evolve(payload, sub_type=sub_type)
        for other in {0, 1, 2, 3, 255} - {number}:
            yield f"number {other}", self.altered_all(number, number=other)
        for lifetime in (0, 599, HOUR + 1, 2**32 - 1):
            yield f"lifetime {lifetime}", self.altered_all(number, lifetime=lifetime)
        for at, part in enumerate(parts):
            if isinstance(part, Proposal):
                for name, altered in self.altered_proposals(part):
                    yield f"{name} at {at}", evolve(payload, payloads=(*parts[:at], *altered, *parts[at + 1 :]))
        yield "nothing", evolve(payload, payloads=())
        yield "an unknown payload", evolve(payload, payloads=(*parts, UnknownPayload(9, b"")))
        yield "twice", evolve(payload, payloads=parts + parts)
        second = tuple(evolve(p, number=p.number + 1) if isinstance(p, Proposal) else p for p in parts)
        yield "two numbers", evolve(payload, payloads=parts + second)

    def altered_proposals(self, part: Proposal) -> Iterator[tuple[str, tuple[Proposal | KeyExchange, ...]]]:
        yield "left out", ()
        yield "twice", (part, evolve(part, protocol_number=part.protocol_number + 1))
        for bundle in (1, 255, 256, 2**32 - 1):
            yield f"SPI {bundle}", (evolve(part, spi=bundle),)
        for protocol in {0, 1, 2, 3, 4, 5, 255} - {part.protocol_id}:
            yield f"protocol {protocol}", (evolve(part, protocol_id=protocol),)
        for other in {0, 1, 2, 3, 4, 5} - {part.protocol_number}:
            yield f"protocol number {other}", (evolve(part, protocol_number=other),)
        yield "no lifetime of the others", (evolve(part, lifetime=part.lifetime - 1),)
        (transform,) = part.transforms
        yield "no transform", (evolve(part, transforms=()),)
        yield "two transforms", (evolve(part, transforms=(transform, evolve(transform, number=transform.number + 1))),)
        for other in {0, 1, 2, 3, 255} - {transform.number}:
            yield f"transform number {other}", (evolve(part, transforms=(evolve(transform, number=other),)),)
        for other in {0, 1, 5, 6, 12, 13, 14, 20, 28, 31, 32, 0xFFFF} - {transform.transform_id}:
            yield f"transform {other}", (evolve(part, transforms=(evolve(transform, transform_id=other),)),)
        for other in {0, 1, 2, 3, 255} - {transform.keys}:
            yield f"{other} keys", (evolve(part, transforms=(evolve(transform, keys=other),)),)
        plain = tuple(a for a in transform.attributes if a.type != 14)
        for bits in {0, 128, 192, 256, 512} - {transform.key_bits}:
            attributes = (Attribute(14, bits), *plain) if bits else plain
            yield f"{bits} bits", (evolve(part, transforms=(evolve(transform, attributes=attributes),)),)
        strange = evolve(transform, attributes=(*transform.attributes, Attribute(20000, 1)))
        yield "an attribute", (evolve(part, transforms=(strange,)),)

    def test_every_alteration_is_refused(self) -> None:
        for number in (1, 2):
            count = 0
            for name, payload in self.alterations(self.choice(number)):
                try:
                    agreement = self.accepted(payload)
                except PeerFault as fault:
                    self.assertIn(fault.code, (Code.POORLY_FORMED, Code.NOTHING_ACCEPTABLE, Code.UNKNOWN_PAYLOAD), name)
                else:
                    self.fail(f"{name} was taken for {agreement}")
                count += 1
            self.assertGreater(count, 100)

    def test_more_octets_than_offered(self) -> None:
        for mebioctets in (0, 9, 2**16, 2**39):
            fault = self.assertRaises(PeerMisbehaved, self.accepted, self.bounded(mebioctets))
            self.assertEqual((fault.proposal, fault.transform, fault.why), (1, 1, "more octets than offered"))

    def test_octets_are_bounded_by_the_encryption_alone(self) -> None:
        for at in (1, 2, 3):
            for mebioctets in (1, 5, 2**39):
                self.assertRaises(PeerMisbehaved, self.accepted, self.bounded(mebioctets, at))

    def test_faults_name_proposal_and_transform(self) -> None:
        fault = self.assertRaises(PeerMisbehaved, self.accepted, self.altered_all(1, number=3))
        self.assertEqual((fault.code, fault.proposal, fault.why), (Code.POORLY_FORMED, 3, "proposal 3 was not offered"))

    def test_an_association_that_would_live_too_short_is_incompatible_not_misbehaved(self) -> None:
        fault = self.assertRaises(PeerIncompatible, self.accepted, self.altered_all(lifetime=599))
        self.assertEqual((fault.code, fault.proposal), (Code.NOTHING_ACCEPTABLE, 1))
        self.assertEqual(fault.why, "a lifetime of 599 s was chosen, at least 600 s is wanted here")

    def test_a_choice_of_what_nobody_knows(self) -> None:
        # A counter-offer is never repeated with what is not known, but should it be, nobody can choose it.
        strange = evolve(self.asked.alternatives[0].protocols[0].transforms[0], algorithm=None)
        member = evolve(self.asked.alternatives[0].protocols[0], transforms=(strange,))
        both = Offer((evolve(self.asked.alternatives[0], protocols=(member,)),))
        self.assertRaises(PeerMisbehaved, accept, both, both, self.ours)


def wanted(asked: Offer, ours: Policy) -> tuple[Alternative, tuple[Algorithm, ...], PolicyProposal] | None:
    """Try out the documented order, one combination after the other."""
    for one in asked.alternatives:
        protocols = {member.protocol for member in one.protocols}
        if one.lifetime < ours.shortest_lifetime or not ours.mandatory <= protocols or None in protocols:
            continue
        if any(member.bundle for member in one.protocols):
            continue
        for combination in itertools.product(*(member.transforms for member in one.protocols)):
            algorithms = tuple(t.algorithm for t in combination if t.algorithm is not None)
            if len(algorithms) < len(combination):
                continue
            for mine in ours.proposals:
                if all(a in mine.algorithms.get(a.protocol, ()) for a in algorithms):
                    return one, algorithms, mine
    return None


def lower(*bounds: int) -> int:
    """Return the lowest bound, where 0 is none."""
    return min((bound for bound in bounds if bound), default=0)


def within(agreement: Agreement, one: Alternative, ours: Policy) -> bool:
    """Whether an agreement is allowed by both an alternative and a policy, whatever was preferred."""
    listed = {t.algorithm: t for member in one.protocols for t in member.transforms}
    protocols = [algorithm.protocol for algorithm in agreement.algorithms]
    encryption = [listed[a] for a in agreement.algorithms if a in listed and a.protocol is ENCRYPTION]

    def bounded(bound: int) -> bool:
        return not (bound and encryption) or 0 < agreement.mebioctets <= bound

    return (
        set(agreement.algorithms) <= set(listed)
        and protocols == [member.protocol for member in one.protocols]
        and ours.mandatory <= set(protocols)
        and ours.shortest_lifetime <= agreement.lifetime <= one.lifetime
        and all(bounded(transform.mebioctets) for transform in encryption)
        and any(
            all(a in mine.algorithms.get(a.protocol, ()) for a in agreement.algorithms)
            and agreement.lifetime <= mine.lifetime
            and bounded(mine.mebioctets)
            for mine in ours.proposals
        )
    )


class PropertyTests(Selecting):
    @SOME
    @given(offers, policies)
    def test_a_choice_is_within_both_offer_and_policy(self, asked: Offer, ours: Policy) -> None:
        verdict = select(asked, ours)
        if isinstance(verdict, Chosen):
            original = asked.alternatives[verdict.alternative.number - 1]
            self.assertTrue(within(verdict.agreement, original, ours), (asked, ours, verdict))

    @SOME
    @given(offers, policies)
    def test_no_downgrade_the_choice_is_the_initiators_first(self, asked: Offer, ours: Policy) -> None:
        best = wanted(asked, ours)
        verdict = select(asked, ours, shares_needed=False)
        if best is None:
            self.assertNotIsInstance(verdict, Chosen)
            return
        one, algorithms, mine = best
        chosen = self.takes(verdict, one.number, *(algorithm.name for algorithm in algorithms))
        self.assertEqual(chosen.agreement.lifetime, min(one.lifetime, mine.lifetime))
        offered = [t.mebioctets for m in one.protocols for t in m.transforms if t.algorithm in algorithms]
        encrypts = any(algorithm.protocol is ENCRYPTION for algorithm in algorithms)
        self.assertEqual(chosen.agreement.mebioctets, lower(mine.mebioctets, *offered) if encrypts else 0)
        # With the group's key exchange missing, and only then, the same comes as a counter-offer.
        groups = [a.group for a in algorithms if a.protocol is KEY_AGREEMENT]
        missing = any(asked.serving(one, group) is None for group in groups)
        verdict = select(asked, ours)
        if missing:
            self.assertEqual(self.countered(verdict).counter, numbered((evolve(chosen.alternative, shares={}),)))
        else:
            self.assertEqual(verdict, chosen)

    @SOME
    @given(offers, policies, st.booleans())
    def test_it_is_a_function(self, asked: Offer, ours: Policy, shares_needed: bool) -> None:
        again = Policy(tuple(ours.proposals), frozenset(sorted(ours.mandatory, reverse=True)), ours.shortest_lifetime)
        self.assertEqual(
            select(asked, ours, shares_needed=shares_needed), select(evolve(asked), again, shares_needed=shares_needed)
        )

    @SOME
    @given(offers, policies)
    def test_a_counter_offer_is_acceptable_to_its_author(self, asked: Offer, ours: Policy) -> None:
        verdict = select(asked, ours)
        self.assertNotIsInstance(verdict, Refused)
        if isinstance(verdict, Countered):
            # As it comes over the network.
            counter = from_payload(decode_sa(encode_sa(to_payload(verdict.counter))))
            self.assertEqual(counter, verdict.counter)
            self.assertIsInstance(select(counter, ours, shares_needed=False), Chosen)
            self.assertTrue(all(alternative.shares == {} for alternative in counter.alternatives))

    @SOME
    @given(known_offers, policies)
    def test_both_ends_agree_on_the_same(self, asked: Offer, theirs: Policy) -> None:
        verdict = select(asked, theirs)
        if isinstance(verdict, Chosen):
            payload = decode_sa(encode_sa(to_payload(Offer((verdict.alternative,)))))
            choice = from_payload(payload, choice=True)
            self.assertEqual(accept(choice, asked, policy(shortest=0)), verdict.agreement)

    @SOME
    @given(offers, policies, st.randoms(use_true_random=True))
    def test_whatever_is_done_to_an_offer_no_weaker_choice_comes_of_it(
        self, asked: Offer, ours: Policy, chance: random.Random
    ) -> None:
        altered = self.stripped(asked, chance)
        verdict = select(altered, ours)
        if not isinstance(verdict, Chosen):
            return
        # Never anything outside of the responder's policy ...
        source = next(a for a in altered.alternatives if a.number == verdict.alternative.number)
        self.assertTrue(within(verdict.agreement, source, ours), (altered, ours, verdict))
        # ... and the initiator takes nothing that it did not offer.
        try:
            agreement = accept(Offer((verdict.alternative,)), asked, policy(shortest=0))
        except PeerFault:
            return
        self.assertEqual(agreement.algorithms, verdict.agreement.algorithms)
        original = asked.alternatives[verdict.alternative.number - 1]
        self.assertTrue(within(agreement, original, ours))

    def stripped(self, asked: Offer, chance: random.Random) -> Offer:
        """Return a subset of an offer in another order, as somebody on the way might have made it."""
        changed: list[Alternative] = []
        for one in self.some(asked.alternatives, chance):
            members = [
                evolve(member, transforms=tuple(evolve(t, number=n) for n, t in enumerate(kept, start=1)))
                for member in self.some(one.protocols, chance)
                for kept in [self.some(member.transforms, chance)]
            ]
            changed.append(evolve(one, protocols=tuple(evolve(m, number=n) for n, m in enumerate(members, start=1))))
        return numbered(changed)

    def some(self, things: tuple[T, ...], chance: random.Random) -> list[T]:
        return chance.sample(things, chance.randint(min(1, len(things)), len(things)))

    @SOME
    @given(offers, policies)
    def test_what_is_passed_over_has_its_reason(self, asked: Offer, ours: Policy) -> None:
        verdict = select(asked, ours)
        numbers = {reason.proposal for reason in verdict.reasons}
        self.assertLessEqual(numbers, {a.number for a in asked.alternatives})
        if isinstance(verdict, Chosen):
            self.assertLessEqual(set(range(1, verdict.alternative.number)), numbers)
            for member in asked.alternatives[verdict.alternative.number - 1].protocols:
                taken = verdict.alternative.protocols[member.number - 1].transforms[0].number
                for transform in range(1, taken):
                    self.assertIn((verdict.alternative.number, transform), self.reasons(verdict))


class ExhaustiveTests(Selecting):
    """All pairs of the smallest offers and policies."""

    def test_all_pairs(self) -> None:
        orders = [(), (AES,), (CHACHA,), (AES, CHACHA), (CHACHA, AES)]
        shapes = [(*one, *other) for one in orders for other in ((), (MAC,)) if one or other]
        singles = [alternative(*names) for names in shapes]
        asked = [offer(*few) for count in (1, 2) for few in itertools.product(singles, repeat=count)]
        proposals = [proposal(*names) for names in shapes]
        mandatories = ((), (ENCRYPTION,), (ENCRYPTION, AUTHENTICATION))
        ours = [
            policy(*few, mandatory=mandatory)
            for mandatory in mandatories
            for few in (*((one,) for one in proposals), *zip(proposals, proposals[3:], strict=False))
            if all(set(mandatory) <= set(one.algorithms) for one in few)
        ]
        outcomes: dict[type, int] = {Chosen: 0, Countered: 0}
        for one, mine in itertools.product(asked, ours):
            verdict, best = select(one, mine), wanted(one, mine)
            outcomes[type(verdict)] += 1
            if best is None:
                counter = self.countered(verdict).counter
                self.assertIsInstance(select(counter, mine), Chosen)
            else:
                chosen = self.chosen(verdict)
                self.assertEqual((chosen.alternative.number, chosen.agreement.algorithms), (best[0].number, best[1]))
        self.assertGreater(min(outcomes.values()), 500)


class ToldTests(SynchronousTestCase):
    def test_the_first_reasons_are_told_and_the_others_counted(self) -> None:
        reasons = [Reason(1, number, "no") for number in range(1, MOST_TOLD + 4)]
        self.assertEqual(told(reasons[:MOST_TOLD]), tuple(map(str, reasons[:MOST_TOLD])))
        self.assertEqual(told(reasons)[MOST_TOLD - 1 :], (str(reasons[MOST_TOLD - 1]), "and 3 more"))
        self.assertEqual(told([]), ())
