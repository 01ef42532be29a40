"""Each code of docs/protocol.md, section 11, that an exchange can cause: who says it and what both logs tell.

Most of them need a peer that holds KEY 0 and breaks a rule, so the tests break
one function of the program on one side.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from attrs import evolve

from seckex.crypto.suites import new_aead
from seckex.events import CounterReceived, NegotiationRefused
from seckex.exchange import answer, initiator, messages, responder
from seckex.exchange.messages import build_offer
from seckex.exchange.terms import Terms
from seckex.exchange.transcript import Transcript
from seckex.node.limits import Limits
from seckex.sa.offer import Offer, to_payload
from seckex.sa.policy import Policy
from seckex.sa.proposal import own_offer
from seckex.sa.selector import Selected
from seckex.wire.extensions import Detail, encode_sealed_start
from seckex.wire.numbers import Code, KeyExchangeSub, Suite
from seckex.wire.payloads import Attribute, KeyExchange, Proposal, SaPayload, UnknownPayload, decode_sa, encode_sa
from tests.conversation import AES, CHACHA, INDISPENSABLE, ConversationCase, policy, sealing
from tests.pump import Host

CHOICE: Final = Selected.choice


def changing(kind: type, **changes: Any) -> Callable[[SaPayload], SaPayload]:
    """Return what changes the first part of ``kind`` in an SA payload."""

    def change(sa: SaPayload) -> SaPayload:
        parts = list(sa.payloads)
        place = next(number for number, part in enumerate(parts) if isinstance(part, kind))
        parts[place] = evolve(parts[place], **changes)
        return evolve(sa, payloads=tuple(parts))

    return change


def first(offer: Offer) -> Proposal:
    """Return the first proposal payload of an offer."""
    return next(part for part in to_payload(offer).payloads if isinstance(part, Proposal))


class RefusedOfferTests(ConversationCase):
    """The responder refuses an offer: OFFER 1 -->, <-- REFUSAL 1, and both say why."""

    def refused(self, code: Code, why: str, pair: tuple[Host, Host] | None = None) -> NegotiationRefused:
        """Check the refusal at both ends, that nothing is left of it, and return the initiator's report."""
        node, home = pair or self.pair()
        node.want(home)
        self.network.run(0.5)
        # OFFER 1 -->
        # <-- REFUSAL 1
        self.assertArrows("OFFER 1 -->", "<-- REFUSAL 1")
        for host, peer in ((node, home), (home, node)):
            event = self.assertTold(host, NegotiationRefused, peer=peer.nai, by=home.nai, code=code)
            self.assertIn(why, event.reason)
            self.assertIn(f"{int(code)} {code.label}", str(event))
        self.assertEqual((len(node.node.associations), len(home.node.associations)), (0, 0))
        self.assertEqual((home.counters["half-open"], home.counters["unconfirmed"]), (0, 0))
        self.assertEqual([(u.peer, u.wait) for u in node.unavailable], [(home.nai, 1.0)])
        return node.told(NegotiationRefused)[0]

    def offering(self, change: Callable[[SaPayload], SaPayload]) -> None:
        """Have the initiator offer something else than it means."""
        self.patch(initiator, "encode_sa", lambda sa: encode_sa(change(sa)))

    def building(self, build: Callable[..., tuple[bytes, Transcript]]) -> None:
        """Have the initiator's offers built by ``build``, which is given the right function and its arguments."""
        self.patch(initiator, "build_offer", partial(build, build_offer))

    def test_130_a_full_table(self) -> None:
        pair = self.pair(limits=Limits(associations=0))
        self.refused(Code.INSUFFICIENT_RESOURCES, "the table of associations is full; try later", pair)

    def test_130_a_store_that_cannot_be_written(self) -> None:
        node, home = self.pair()
        home.commit_faults[1] = "disk full"
        node.want(home)
        self.network.run(0.5)
        # OFFER 1 -->
        # <-- REFUSAL 1
        why = "the store cannot be written; try later"
        self.assertTold(node, NegotiationRefused, by=home.nai, code=130, reason=why)

    def test_134_proposals_out_of_sequence(self) -> None:
        self.offering(changing(Proposal, number=2))
        self.refused(Code.POORLY_FORMED, "the first proposal number is not 1")

    def test_134_names_the_proposal_and_the_transform(self) -> None:
        both = policy(sealing("aes-256-gcm aes-128-gcm"))
        twice = tuple(evolve(transform, number=1) for transform in first(own_offer(both)).transforms)
        self.offering(changing(Proposal, transforms=twice))
        refused = self.refused(Code.POORLY_FORMED, "transform number 1 does not rise", self.pair(both))
        self.assertEqual(refused.detail, ("proposal 1", "transform 1"))

    def test_134_an_offer_that_cannot_be_read(self) -> None:
        self.patch(initiator, "encode_sa", lambda sa: encode_sa(sa)[:-1])
        self.refused(Code.POORLY_FORMED, "needs")

    def test_134_no_offer_at_all(self) -> None:
        self.building(lambda build, *a: build(*a[:4], Detail(0, 0, 0, "nothing"), a[5]))
        self.refused(Code.POORLY_FORMED, "SaPayloadExtension at octet 768: missing")

    def test_134_an_empty_offer(self) -> None:
        self.offering(lambda sa: evolve(sa, payloads=()))
        self.refused(Code.POORLY_FORMED, "an offer without proposals")

    def test_134_an_SPI_of_a_bundle_for_the_initiator(self) -> None:
        self.patch(Terms, "new_spi", lambda _terms: 255)
        self.refused(Code.POORLY_FORMED, "the SPIs of the exchange extension")

    def test_134_no_names(self) -> None:
        self.patch(
            messages,
            "encode_sealed_start",
            lambda sub, content, spi, size: encode_sealed_start(sub, min(content, 1), spi, size),
        )
        self.refused(Code.POORLY_FORMED, "the NAIs of initiator and responder are missing")

    def test_134_names_whose_seal_does_not_open(self) -> None:
        self.patch(messages, "new_aead", _BrokenSeal)
        self.refused(Code.POORLY_FORMED, "a sealed NAI does not open")

    def test_256_nothing_acceptable(self) -> None:
        self.refused(Code.NOTHING_ACCEPTABLE, "", self.pair(theirs=Policy((), INDISPENSABLE)))

    def test_258_the_names_of_others(self) -> None:
        self.building(lambda build, *a: build(*a[:3], ("mallory@example.net", "home@example.org"), *a[4:]))
        why = "mallory@example.net asks for home@example.org, but this KEY 0 is between node@example.net and home@"
        self.refused(Code.WRONG_IDENTITY, why)

    def test_258_names_the_wrong_way_round(self) -> None:
        self.building(lambda build, *a: build(*a[:3], a[3][::-1], *a[4:]))
        self.refused(Code.WRONG_IDENTITY, "home@example.org asks for node@example.net")

    def test_260_a_key_share_of_the_wrong_size(self) -> None:
        self.offering(changing(KeyExchange, value=bytes(31)))
        self.refused(Code.BAD_KEY_SHARE, "an X25519 value has 32 octets, this one 31")

    def test_260_a_key_share_that_leads_to_zero(self) -> None:
        # Points of low order, from RFC 7748 section 6.1 and "May the Fourth Be With You".
        for value in (bytes(32), b"\1" + bytes(31), b"\xec" + b"\xff" * 30 + b"\x7f"):
            self.anew()
            self.offering(changing(KeyExchange, value=value))
            self.refused(Code.BAD_KEY_SHARE, "the X25519 value leads to the all-zero secret")

    def test_261_an_unknown_payload(self) -> None:
        self.offering(lambda sa: evolve(sa, payloads=(*sa.payloads, UnknownPayload(99, b"?"))))
        refused = self.refused(Code.UNKNOWN_PAYLOAD, "a payload of type 99 is not known here")
        self.assertEqual(refused.detail, ("proposal 1",))

    def test_261_a_secret_over_a_secure_path(self) -> None:
        self.offering(changing(KeyExchange, sub=KeyExchangeSub.SECRET))
        self.refused(Code.UNKNOWN_PAYLOAD, "a secret over a secure path is not taken here")

    def test_262_a_round_that_is_not_remembered(self) -> None:
        begin = initiator._offer
        rounds = iter((2,))
        self.patch(
            initiator,
            "_offer",
            lambda attempt, offer, opened, number, *rest: begin(attempt, offer, opened, next(rounds, number), *rest),
        )
        node, home = self.pair()
        self.established(node, home)
        self.assertArrows(
            "OFFER 2 -->",  # as if the responder had restarted after COUNTER 1
            "<-- REFUSAL 2",
            "OFFER 1 -->",  # so the initiator begins anew
            "<-- CHOICE 1",
            "CONFIRM -->",
            "<-- CONFIRMED",
        )
        why = "round 2 of an exchange that is not remembered"
        self.assertTold(home, NegotiationRefused, code=262, by=home.nai, reason=why)

    def test_unknown_transforms_protocols_and_attributes_are_not_errors(self) -> None:
        unknown = Attribute(99, 1)
        for change in (
            lambda sa: changing(Proposal, transforms=(evolve(sa.payloads[0].transforms[0], transform_id=999),))(sa),
            lambda sa: changing(Proposal, transforms=(evolve(sa.payloads[0].transforms[0], attributes=(unknown,)),))(
                sa
            ),
            changing(Proposal, protocol_id=77),
            changing(Proposal, spi=9, transforms=()),
        ):
            self.anew()
            self.offering(change)
            node, home = self.pair()
            node.want(home)
            self.network.run(0.005)
            self.patch(initiator, "encode_sa", encode_sa)
            self.network.run(3)
            self.assertArrows(
                "OFFER 1 -->",  # what the responder does not know
                "<-- COUNTER 1",
                "OFFER 2 -->",
                "<-- CHOICE 2",
                "CONFIRM -->",
                "<-- CONFIRMED",
            )
            self.assertConversation(node, home)


class RefusalReadingTests(ConversationCase):
    """What the initiator makes of a REFUSAL, whatever it says."""

    def refusing(self, refusal: answer.Refusal) -> tuple[Host, Host]:
        self.patch(responder.ExpectOffer, "_admit", lambda *_: refusal)
        node, home = self.pair()
        node.want(home)
        self.network.run(0.5)
        return node, home

    def test_every_code_is_told_by_its_name(self) -> None:
        for code in Code:
            if code in (Code.IDENTIFICATION_MISMATCH, Code.UNKNOWN_EXCHANGE):
                continue
            self.anew()
            node, home = self.refusing(answer.Refusal(code, "because"))
            self.assertArrows("OFFER 1 -->", "<-- REFUSAL 1")
            for host in (node, home):
                refused = self.assertTold(host, NegotiationRefused, by=home.nai, code=code, reason="because")
                self.assertIn(f"{int(code)} {code.label}: because", str(refused))
            self.assertEqual(node.unavailable[0].why, "because")

    def test_a_code_that_is_not_known_ends_the_exchange_too(self) -> None:
        unknown: Any = 999
        node, _ = self.refusing(answer.Refusal(unknown, "new"))
        self.assertArrows("OFFER 1 -->", "<-- REFUSAL 1")
        self.assertIn("refuses with 999 code-999: new", str(self.assertTold(node, NegotiationRefused)))

    def test_beginning_anew_is_done_once(self) -> None:
        node, _ = self.refusing(answer.Refusal(Code.UNKNOWN_EXCHANGE, "forgotten"))
        self.assertArrows("OFFER 1 -->", "<-- REFUSAL 1", "OFFER 1 -->", "<-- REFUSAL 1")
        self.assertTold(node, NegotiationRefused, code=262, reason="forgotten")

    def test_133_without_a_clock_ends_the_exchange(self) -> None:
        self.patch(answer, "Clock", lambda _seconds: Detail(0, 0, 0, "no clock"))
        node, _ = self.refusing(answer.Refusal(Code.IDENTIFICATION_MISMATCH, "somewhen else"))
        self.assertArrows("OFFER 1 -->", "<-- REFUSAL 1")
        self.assertTold(node, NegotiationRefused, code=133, reason="somewhen else")

    def test_what_would_be_acceptable_may_be_unreadable(self) -> None:
        odd = SaPayload(7, (UnknownPayload(99, b""),))
        for change, said in (
            (lambda _sa: encode_sa(odd), "something that cannot be read: a payload of type 99 is not known here"),
            (lambda sa: encode_sa(sa)[:-1], "something that cannot be read: needs"),
        ):
            self.anew()
            self.patch(answer, "encode_sa", change)
            node, _ = self.refusing(answer.Refusal(Code.NOTHING_ACCEPTABLE, "no", acceptable=own_offer(AES)))
            refused = self.assertTold(node, NegotiationRefused, code=256, reason="no")
            self.assertTrue(refused.acceptable.startswith(said), refused.acceptable)


class OddAnswerTests(ConversationCase):
    """A responder that holds KEY 0 and breaks the rules: what verifies and breaks one ends the exchange at once."""

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
        self.patch(Terms, "new_spi", lambda terms: 256 if terms.local == "node@example.net" else 255)
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


class SheddingTests(ConversationCase):
    """An answer that would be longer than its request sheds what would be acceptable, then text."""

    def test_a_counter_offer_is_cut_down_to_the_size_of_the_request(self) -> None:
        many = policy(*(sealing("aes-256-gcm aes-128-gcm") for _ in range(8)))
        node, home = self.pair(CHACHA, many)
        node.want(home)
        self.network.run(0.5)
        counter = self.network.last("COUNTER").octets
        self.assertLessEqual(len(counter), 768)
        self.assertGreater(len(counter), 600, "no more is shed than has to be")

    def test_a_refusal_sheds_proposals_first(self) -> None:
        acceptable = own_offer(policy(*(sealing("aes-256-gcm aes-128-gcm") for _ in range(8))))
        self.patch(responder.ExpectOffer, "_admit", lambda *_: answer.Refusal(Code(256), "ü" * 400, 0, 0, acceptable))
        node, home = self.pair()
        node.want(home)
        self.network.run(0.5)
        refused = self.assertTold(node, NegotiationRefused, code=256)
        self.assertLessEqual(len(self.network.last("REFUSAL").octets), 768)
        self.assertIn("#1: ", refused.acceptable)
        self.assertNotIn("#3: ", refused.acceptable)
        self.assertEqual(set(refused.reason), {"ü"}, "text is cut between characters")

    def test_a_text_that_leaves_no_room_for_one_proposal_is_cut(self) -> None:
        all_of_them = "aes-256-gcm aes-128-gcm chacha20-poly1305 hmac-sha-384 prf-hmac-sha-384"
        acceptable = own_offer(policy(sealing(all_of_them, mebioctets=1 << 20)))
        self.patch(responder.ExpectOffer, "_admit", lambda *_: answer.Refusal(Code(256), "x" * 600, 0, 0, acceptable))
        node, home = self.pair()
        node.want(home)
        self.network.run(0.5)
        refused = self.assertTold(node, NegotiationRefused, code=256)
        self.assertEqual(refused.reason, "x" * 64)
        self.assertIn("chacha20-poly1305", refused.acceptable)


class _BrokenSeal:
    """An AEAD that seals under another key than it opens with."""

    def __init__(self, suite: Suite, key: bytes) -> None:
        self.encrypt = new_aead(suite, bytes(32)).encrypt
        self.decrypt = new_aead(suite, key).decrypt


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
