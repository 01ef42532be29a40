"""A peer that holds KEY 0 and breaks the rules: what verifies and breaks one ends the exchange at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from attrs import evolve

from seckex.events import CounterReceived, NegotiationRefused
from seckex.exchange import answer, initiator, responder
from seckex.exchange.terms import Terms
from seckex.sa.proposal import own_offer
from seckex.sa.selector import Selected
from seckex.wire.numbers import Code, SaSubType
from seckex.wire.payloads import Attribute, Proposal, SaPayload, UnknownPayload, decode_sa, encode_sa
from tests.conversation import AES, CHACHA, ConversationCase, policy, sealing
from tests.exchange.parts import changing, first
from tests.pump import Host

CHOICE: Final = Selected.choice


class OddAnswerTests(ConversationCase):
    def ends(self, kind: str, why: str, pair: tuple[Host, Host] | None = None) -> None:
        node, home = pair or self.pair(policy(sealing("aes-256-gcm aes-128-gcm")), AES)
        node.want(home)
        self.network.run(0.3)
        self.assertArrows("OFFER 1 -->", f"<-- {kind} 1")
        self.assertEqual((len(node.node.associations), node.units), (0, []))
        refused = self.assertTold(node, NegotiationRefused, peer=home.nai, by=node.nai)
        self.assertIn(why, refused.reason)
        self.assertIn(refused.code, (Code.POORLY_FORMED, Code.NOTHING_ACCEPTABLE, Code.UNKNOWN_PAYLOAD))

    def choosing(self, change: Callable[[SaPayload], SaPayload]) -> None:
        self.patch(Selected, "choice", lambda selected, value: encode_sa(change(decode_sa(CHOICE(selected, value)))))

    def test_a_choice_of_what_was_not_offered(self) -> None:
        aes = first(own_offer(AES)).transforms
        renumbered = (evolve(aes[0], number=2),)
        for change, why in (
            (changing(Proposal, transforms=first(own_offer(CHACHA)).transforms), "chacha20-poly1305 was not offered"),
            (changing(Proposal, transforms=renumbered), "aes-256-gcm was not offered"),
            (changing(Proposal, transforms=(*aes, *renumbered)), "2 transforms chosen for encryption"),
            (_with_all(lifetime=3601), "a lifetime of 3601 s was chosen where 3600 s was offered"),
            (_with_all(lifetime=59), "a lifetime of 59 s was chosen, at least 60 s is wanted here"),
            (_with_all(number=2), "proposal 2 was not offered"),
            (_without_authentication, "the choice does not have the protocols of the offer"),
        ):
            self.anew()
            self.choosing(change)
            self.ends("CHOICE", why)

    def test_a_choice_for_others_than_two_principals(self) -> None:
        self.choosing(lambda sa: evolve(sa, sub_type=SaSubType.MN_HA))
        node, home = self.pair()
        node.want(home)
        self.network.run(0.3)
        # What cannot be read is not told from what does not verify.
        self.assertArrows("OFFER 1 -->", "<-- CHOICE 1")
        self.assertDropped(node, "unauthenticated", "an SA of sub-type 1 is not negotiated here")
        self.assertEqual((len(node.node.associations), node.units), (0, []))

    def test_a_choice_of_two_proposals(self) -> None:
        def doubled(sa: SaPayload) -> SaPayload:
            return evolve(sa, payloads=(*sa.payloads, *_with_all(number=2)(sa).payloads))

        self.choosing(doubled)
        self.ends("CHOICE", "a choice is of one proposal number")

    def test_a_choice_of_more_octets_than_offered(self) -> None:
        bounded = policy(sealing("aes-256-gcm", mebioctets=5))
        transform = first(own_offer(bounded)).transforms[0]
        for bound in ((Attribute(16384, 6),), ()):
            self.anew()
            change = changing(Proposal, transforms=(evolve(transform, attributes=(Attribute(14, 256), *bound)),))
            self.choosing(change)
            self.ends("CHOICE", "more octets than offered", self.pair(bounded, bounded))

    def test_an_SPI_of_a_bundle_for_the_responder(self) -> None:
        self.patch(Terms, "new_spi", lambda terms, _theirs=0: 256 if terms.local == "node@example.net" else 255)
        self.ends("CHOICE", "the responder's SPI is reserved")

    def test_an_SPI_that_is_the_same_at_both_ends(self) -> None:
        self.patch(Terms, "new_spi", lambda _terms, _theirs=0: 256)
        self.ends("CHOICE", "the responder's SPI is reserved")

    def test_a_counter_offer_that_breaks_a_rule(self) -> None:
        for change, why in (
            (lambda sa: encode_sa(changing(Proposal, number=2)(sa)), "the first proposal number is not 1"),
            (lambda sa: encode_sa(evolve(sa, payloads=(UnknownPayload(99, b""),))), "a payload of type 99"),
            (lambda sa: encode_sa(sa)[:-1], "needs"),
        ):
            self.anew()
            self.patch(answer, "encode_sa", change)
            self.ends("COUNTER", why, self.pair(CHACHA, AES))

    def test_a_counter_offer_after_the_third_round_is_abandoned(self) -> None:
        self.patch(responder, "MAX_ROUNDS", 4)
        brief = policy(sealing("aes-256-gcm", lifetime=100))
        node, home = self.pair(brief, policy(sealing("aes-256-gcm"), shortest_lifetime=600))
        node.want(home)
        self.network.run(0.5)
        self.assertArrows(
            "OFFER 1 -->",
            "<-- COUNTER 1",
            "OFFER 2 -->",
            "<-- COUNTER 2",
            "OFFER 3 -->",
            "<-- COUNTER 3",
        )
        self.assertEqual(len(node.told(CounterReceived)), 3)
        why = "3 rounds without agreement"
        self.assertTold(node, NegotiationRefused, by=node.nai, code=Code.TOO_MANY_ROUNDS, reason=why)

    def test_an_ABANDON_may_be_unreadable(self) -> None:
        node, home = self.pair(CHACHA, AES)
        node.want(home)
        self.network.run(0.015)
        self.patch(initiator, "encode_sa", lambda _sa: encode_sa(SaPayload(7, (UnknownPayload(99, b""),))))
        self.network.run(0.3)
        self.assertArrows("OFFER 1 -->", "<-- COUNTER 1", "ABANDON 2 -->")
        refused = self.assertTold(home, NegotiationRefused, by=node.nai, code=Code.NOTHING_ACCEPTABLE)
        self.assertIn("something that cannot be read", refused.acceptable)


def _with_all(**changes: Any) -> Callable[[SaPayload], SaPayload]:
    def change(sa: SaPayload) -> SaPayload:
        parts = (evolve(part, **changes) if isinstance(part, Proposal) else part for part in sa.payloads)
        return evolve(sa, payloads=tuple(parts))

    return change


def _without_authentication(sa: SaPayload) -> SaPayload:
    kept = [part for part in sa.payloads if not (isinstance(part, Proposal) and part.protocol_id == 1)]
    number = 0
    parts: list[Any] = []
    for part in kept:
        if isinstance(part, Proposal):
            number += 1
            parts.append(evolve(part, protocol_number=number))
        else:
            parts.append(part)
    return evolve(sa, payloads=tuple(parts))
