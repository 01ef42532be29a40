"""Each code of docs/protocol.md, section 11, that an exchange can cause: who says it and what both logs tell.

Most of them need a peer that holds KEY 0 and breaks a rule, so the tests break
one function of the program on one side.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from attrs import evolve

from seckex.crypto.suites import new_aead
from seckex.events import NegotiationRefused
from seckex.exchange import answer, initiator, messages, responder
from seckex.exchange.messages import build_offer
from seckex.exchange.terms import Terms
from seckex.exchange.transcript import Transcript
from seckex.node.limits import Limits
from seckex.sa.offer import Offer
from seckex.sa.policy import Policy
from seckex.sa.proposal import own_offer
from seckex.wire.extensions import Detail, encode_sealed_start
from seckex.wire.numbers import Code, KeyExchangeSub, SaSubType, Suite
from seckex.wire.payloads import Attribute, KeyExchange, Proposal, SaPayload, UnknownPayload, encode_sa
from tests.conversation import AES, CHACHA, INDISPENSABLE, ConversationCase, policy, sealing
from tests.exchange.parts import changing, first
from tests.pump import Host


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

    def test_256_an_association_between_others_than_two_principals(self) -> None:
        self.offering(lambda sa: evolve(sa, sub_type=SaSubType.MN_HA))
        self.refused(Code.NOTHING_ACCEPTABLE, "an SA of sub-type 1 is not negotiated here")

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

    def test_where_a_proposal_leaves_no_room_there_is_no_text(self) -> None:
        wide = own_offer(policy(sealing("aes-256-gcm"))).alternatives[0]
        wide = evolve(wide, protocols=tuple(evolve(p, transforms=p.transforms * 15) for p in wide.protocols))
        self.patch(
            responder.ExpectOffer,
            "_admit",
            lambda *_: answer.Refusal(Code(256), "x" * 64, 0, 0, Offer((wide,))),
        )
        node, home = self.pair()
        node.want(home)
        self.network.run(0.5)
        self.assertEqual(self.assertTold(node, NegotiationRefused, code=256).reason, "")


class _BrokenSeal:
    """An AEAD that seals under another key than it opens with."""

    def __init__(self, suite: Suite, key: bytes) -> None:
        self.encrypt = new_aead(suite, bytes(32)).encrypt
        self.decrypt = new_aead(suite, key).decrypt
