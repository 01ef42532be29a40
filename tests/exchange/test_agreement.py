"""Conversations that end with an association, or without one because the policies do not meet."""

from __future__ import annotations

from hashlib import sha384

from attrs import evolve

from seckex.events import (
    AssociationConfirmed,
    AssociationEstablished,
    CounterReceived,
    CounterSent,
    NegotiationRefused,
    OfferSent,
)
from seckex.exchange import shares
from seckex.sa.algorithms import BY_NAME
from seckex.sa.policy import Policy
from seckex.sa.proposal import guessed
from seckex.wire.numbers import Kind, ProtocolId, Role
from tests.conversation import AES, CHACHA, HOME, INDISPENSABLE, NODE, ConversationCase, policy, proposal, sealing
from tests.link import Datagram, lose, on


class OneRoundTests(ConversationCase):
    def test_what_is_offered_is_chosen(self) -> None:
        node, home = self.pair()
        ours = self.established(node, home)
        self.assertArrows(
            "OFFER 1 -->",
            "<-- CHOICE 1",
            "CONFIRM -->",
            "<-- CONFIRMED",
        )
        for host, role in ((node, "initiator"), (home, "responder")):
            self.assertTold(host, AssociationEstablished, role=role, rounds=1, lifetime=3600, octet_bound=0)
            self.assertTold(host, AssociationConfirmed)
        self.assertEqual(str(ours.agreement), "aes-256-gcm + hmac-sha-256 + prf-hmac-sha-256 + x25519")
        self.assertEqual(node.ready, [evolve(ours, confirmed=False)])
        self.assertEqual((ours.role, ours.local, ours.peer), (Role.INITIATOR, node.nai, home.nai))

    def test_an_association_may_be_used_by_the_initiator_once_CHOICE_has_come(self) -> None:
        node, home = self.pair()
        self.network.faults = [on("CONFIRM", lose, times=100)]
        node.want(home)
        # OFFER 1 -->
        # <-- CHOICE 1
        self.network.run_until(lambda: bool(node.ready))
        self.assertEqual(self.assertAgreed(node, home).confirmed, False)

    def test_the_initiators_order_decides_and_reasons_are_told(self) -> None:
        ours = policy(sealing("chacha20-poly1305 aes-128-gcm aes-256-gcm"))
        theirs = policy(sealing("aes-256-gcm aes-128-gcm"))
        node, home = self.pair(ours, theirs)
        agreed = self.established(node, home)
        self.assertArrows("OFFER 1 -->", "<-- CHOICE 1", "CONFIRM -->", "<-- CONFIRMED")
        self.assertIn(BY_NAME["aes-128-gcm"], agreed.agreement.algorithms)
        reason = "proposal 1, transform 1: chacha20-poly1305 is not in the policy beside aes-128-gcm"
        self.assertTold(home, AssociationEstablished, reasons=(reason,))

    def test_an_earlier_proposal_number_goes_before_a_later_one(self) -> None:
        ours = policy(sealing("chacha20-poly1305"), sealing("aes-128-gcm"), sealing("aes-256-gcm"))
        theirs = policy(sealing("aes-256-gcm"), sealing("aes-128-gcm"))
        agreed = self.established(*self.pair(ours, theirs))
        self.assertIn(BY_NAME["aes-128-gcm"], agreed.agreement.algorithms)

    def test_the_lower_lifetime_and_octet_bound_hold(self) -> None:
        ours = policy(sealing("aes-256-gcm", lifetime=7200, mebioctets=5))
        theirs = policy(sealing("aes-256-gcm", lifetime=600, mebioctets=1 << 20))
        agreed = self.established(*self.pair(ours, theirs))
        self.assertEqual((agreed.agreement.lifetime, agreed.octet_bound), (600, 5 << 20))

    def test_a_bound_that_only_the_responder_has_holds(self) -> None:
        agreed = self.established(*self.pair(AES, policy(sealing("aes-256-gcm", mebioctets=7))))
        self.assertEqual(agreed.octet_bound, 7 << 20)

    def test_the_authenticators_are_as_long_as_the_hash_of_the_PRF(self) -> None:
        for prf, octets in (("prf-hmac-sha-256", 32), ("prf-hmac-sha-384", 48)):
            self.setUp()
            both = policy(proposal(f"aes-256-gcm {prf} x25519"))
            ours = self.established(*self.pair(both, both))
            self.assertEqual(len(ours.keys.rekey), octets)
            self.assertEqual(len(self.network.last("CONFIRMED").octets), 16 + 8 + octets)

    def test_an_agreement_may_do_without_key_agreement_and_prf(self) -> None:
        for names in ("aes-256-gcm", "aes-256-gcm prf-hmac-sha-384", "aes-256-gcm x25519"):
            self.anew()
            plain = Policy((proposal(names),), frozenset({ProtocolId.ENCRYPTION}))
            ours = self.established(*self.pair(plain, plain))
            self.assertEqual(str(ours.agreement), names.replace(" ", " + "))

    def test_both_may_begin_at_once(self) -> None:
        node, home = self.pair()
        node.want(home)
        home.want(node)
        # OFFER 1 -->      <-- OFFER 1
        # <-- CHOICE 1     CHOICE 1 -->
        self.network.run(5)
        for host, other in ((node, home), (home, node)):
            self.assertEqual(len(host.ready), 1)
            self.assertEqual(len(host.node.associations), 2)
            mirrored = other.node.associations.get(host.ready[0].spi_out)
            self.assertEqual(mirrored and mirrored.keys, host.ready[0].keys)
        keys = [a.keys.octets() for a in node.node.associations]
        self.assertNotEqual(keys[0], keys[1])

    def test_no_two_sessions_have_a_key_in_common(self) -> None:
        node, home = self.pair()
        seen: set[bytes] = set()
        for _ in range(5):
            node.want(home)
            self.network.run(3)
            ours = self.assertConversation(node, home)
            keys = ours.keys
            each = (keys.confirm_i, keys.confirm_r, keys.auth_i, keys.auth_r, keys.dialog, keys.exporter, keys.rekey)
            self.assertEqual(len({*seen, *(key.octets for key in each)}), len(seen) + 7)
            seen.update(key.octets for key in each)
            node.store.associations.clear()
            node.restart()
            node.wanted.clear()


class CounterTests(ConversationCase):
    def test_a_counter_offer_within_the_policy_is_taken_up(self) -> None:
        ours = policy(sealing("chacha20-poly1305"), sealing("aes-256-gcm", lifetime=900), open_with=1)
        node, home = self.pair(ours, AES)
        agreed = self.established(node, home)
        self.assertArrows(
            "OFFER 1 -->",  # chacha20-poly1305
            "<-- COUNTER 1",  # aes-256-gcm
            "OFFER 2 -->",  # aes-256-gcm
            "<-- CHOICE 2",
            "CONFIRM -->",
            "<-- CONFIRMED",
        )
        self.assertEqual(agreed.agreement.lifetime, 900)
        sent = self.assertTold(home, CounterSent, round=1, peer=node.nai)
        heard = self.assertTold(node, CounterReceived, round=1, peer=home.nai)
        self.assertEqual(sent.counter, heard.counter)
        why = "proposal 1, transform 1: chacha20-poly1305 is not in the policy, which has aes-256-gcm"
        self.assertEqual((sent.reasons, heard.why), ((why,), why))
        self.assertEqual(len({offer.spi for offer in node.told(OfferSent)}), 1, "SPI_i stays through the rounds")
        self.assertTold(home, AssociationEstablished, rounds=2)

    def test_rounds_have_fresh_identifications_nonces_and_shares(self) -> None:
        ours = policy(sealing("chacha20-poly1305"), sealing("aes-256-gcm"), open_with=1)
        self.established(*self.pair(ours, AES))
        first, second = (d.octets for d in self.network.sent if d.label.startswith("OFFER"))
        self.assertNotEqual(first[4:12], second[4:12])
        self.assertNotEqual(first[32:64], second[32:64])
        self.assertNotEqual(*(octets[octets.index(b"\0\x1f\0\0") + 4 :][:32] for octets in (first, second)))

    def test_the_transcript_is_of_all_that_was_said(self) -> None:
        ours = policy(sealing("chacha20-poly1305"), sealing("aes-256-gcm"), open_with=1)
        agreed = self.established(*self.pair(ours, AES))
        # OFFER 1, COUNTER 1, OFFER 2, CHOICE 2: docs/protocol.md, section 6.
        names = b"".join(len(name).to_bytes(4, "big") + name.encode() for name in (NODE, HOME))
        digest = sha384(b"seckex1 transcript" + names).digest()
        for datagram, number, role in zip(self.network.sent, (1, 1, 2, 2), (1, 2, 1, 2), strict=False):
            covered = datagram.octets[:-32]
            digest = sha384(digest + bytes((number, role)) + len(covered).to_bytes(4, "big") + covered).digest()
        self.assertEqual(agreed.transcript, digest)

    def test_the_part_that_is_acceptable_is_agreed_on(self) -> None:
        ours = policy(proposal("aes-256-gcm hmac-sha-384 prf-hmac-sha-256 x25519"))
        node, home = self.pair(ours, AES)
        agreed = self.established(node, home)
        self.assertArrows(
            "OFFER 1 -->",  # with hmac-sha-384
            "<-- COUNTER 1",  # the same without authentication
            "OFFER 2 -->",
            "<-- CHOICE 2",
            "CONFIRM -->",
            "<-- CONFIRMED",
        )
        self.assertEqual(str(agreed.agreement), "aes-256-gcm + prf-hmac-sha-256 + x25519")
        self.assertIn("acceptable without authentication", str(home.told(CounterSent)[0]))

    def test_the_part_below_what_the_initiator_demands_is_abandoned(self) -> None:
        demands = Policy(
            (proposal("aes-256-gcm hmac-sha-384 prf-hmac-sha-256 x25519"),),
            INDISPENSABLE | {ProtocolId.AUTHENTICATION},
        )
        node, home = self.pair(demands, AES)
        node.want(home)
        self.network.run(0.5)
        self.assertArrows("OFFER 1 -->", "<-- COUNTER 1", "ABANDON 2 -->")
        reason = "proposal 1: authentication missing, which is mandatory here"
        self.assertTold(node, NegotiationRefused, detail=(reason,))

    def test_two_counter_offers(self) -> None:
        ours = policy(
            sealing("chacha20-poly1305"),
            proposal("aes-256-gcm hmac-sha-384 prf-hmac-sha-256 x25519"),
            open_with=1,
        )
        node, home = self.pair(ours, AES)
        agreed = self.established(node, home)
        self.assertArrows(
            "OFFER 1 -->",  # chacha20-poly1305
            "<-- COUNTER 1",  # aes-256-gcm with hmac-sha-256, which is not ours
            "OFFER 2 -->",  # aes-256-gcm with hmac-sha-384: what was not offered yet
            "<-- COUNTER 2",  # aes-256-gcm without authentication
            "OFFER 3 -->",
            "<-- CHOICE 3",
            "CONFIRM -->",
            "<-- CONFIRMED",
        )
        self.assertEqual(str(agreed.agreement), "aes-256-gcm + prf-hmac-sha-256 + x25519")
        self.assertTold(node, AssociationEstablished, rounds=3)

    def test_after_three_rounds_the_responder_says_what_it_would_have_taken(self) -> None:
        brief = policy(sealing("aes-256-gcm", lifetime=100))
        lasting = policy(sealing("aes-256-gcm"), sealing("aes-128-gcm"), shortest_lifetime=600)
        node, home = self.pair(brief, lasting)
        node.want(home)
        self.network.run(0.5)
        self.assertArrows(
            "OFFER 1 -->",  # for 100 s
            "<-- COUNTER 1",  # up to 3600 s
            "OFFER 2 -->",  # for 100 s
            "<-- COUNTER 2",
            "OFFER 3 -->",
            "<-- REFUSAL 3",
        )
        why = "3 rounds without agreement: proposal 1: a lifetime of 100 s, at least 600 s is wanted here"
        would = "#1: aes-256-gcm + hmac-sha-256 + prf-hmac-sha-256 + x25519"
        for host, peer in ((node, home), (home, node)):
            refused = self.assertTold(host, NegotiationRefused, peer=peer.nai, by=home.nai, code=257, reason=why)
            self.assertTrue(refused.acceptable.startswith(would), refused.acceptable)
        self.assertEqual(node.told(OfferSent)[-1].offer, would)
        self.assertEqual(len(node.node.associations) + len(home.node.associations), 0)

    def test_a_key_agreement_without_its_share_is_countered_with_that_group(self) -> None:
        node, home = self.pair()
        forgetful = iter((evolve(AES, guesses=0),))
        self.patch(shares, "guessed", lambda offer, policy: guessed(offer, next(forgetful, policy)))
        self.established(node, home)
        self.assertArrows(
            "OFFER 1 -->",  # x25519 without a key exchange
            "<-- COUNTER 1",  # x25519 would be chosen
            "OFFER 2 -->",
            "<-- CHOICE 2",
            "CONFIRM -->",
            "<-- CONFIRMED",
        )
        why = "proposal 1: x25519 would be chosen, but the offer holds no key exchange for it"
        self.assertTold(home, CounterSent, reasons=(why,))


class AbandonTests(ConversationCase):
    def test_a_counter_offer_outside_of_the_policy_is_abandoned(self) -> None:
        node, home = self.pair(CHACHA, AES)
        node.want(home)
        self.network.run(0.5)
        self.assertArrows(
            "OFFER 1 -->",  # chacha20-poly1305
            "<-- COUNTER 1",  # aes-256-gcm
            "ABANDON 2 -->",  # chacha20-poly1305 and nothing else
        )
        for host, peer in ((node, home), (home, node)):
            refused = self.assertTold(host, NegotiationRefused, peer=peer.nai, by=node.nai, code=256)
            self.assertIn("the counter-offer is not within our own policy", refused.reason)
            self.assertIn("aes-256-gcm is not in the policy, which has chacha20-poly1305", str(refused))
            self.assertEqual(refused.acceptable, "#1: chacha20-poly1305 + hmac-sha-256 + prf-hmac-sha-256 + x25519")
        self.assertEqual(home.counters["half-open"], 0)
        self.assertEqual([(u.peer, u.wait) for u in node.unavailable], [(home.nai, 1.0)])

    def test_an_ABANDON_that_is_lost_or_comes_twice_changes_nothing(self) -> None:
        node, home = self.pair(CHACHA, AES)
        self.network.faults = [on("ABANDON", lose)]
        node.want(home)
        self.network.run(0.5)
        # OFFER 1 -->
        # <-- COUNTER 1
        # ABANDON 2 --> lost
        self.assertEqual(home.counters["half-open"], 1)
        abandon = self.network.last("ABANDON")
        for _ in range(2):
            home.receive(abandon.octets, abandon.source)
        self.assertTold(home, NegotiationRefused)
        self.assertEqual(home.counters["half-open"], 0)

    def test_a_half_open_exchange_that_is_never_gone_on_with_is_forgotten(self) -> None:
        node, home = self.pair(CHACHA, AES)
        self.network.faults = [on("ABANDON", lose, times=100)]
        node.want(home)
        self.network.run(0.5)
        self.assertEqual(home.counters["half-open"], 1)
        node.stop()
        self.network.run(31)
        self.assertEqual(home.counters["half-open"], 0)
        self.assertEqual(home.counters["half-open-expired"], 1)

    def test_abandoning_is_not_believed_without_authentication(self) -> None:
        ours = policy(sealing("chacha20-poly1305"), sealing("aes-256-gcm"), open_with=1)
        node, home = self.pair(ours, AES)

        def forge(datagram: Datagram) -> tuple[Datagram, ...]:
            forged = datagram.octets[:3] + bytes((Kind.ABANDON,)) + datagram.octets[4:]
            return evolve(datagram, octets=forged, delay=0.001), datagram

        self.network.faults = [on("OFFER 2", forge)]
        self.established(node, home)
        self.assertDropped(home, "unauthenticated", "the MAC of ABANDON")
        self.assertEqual(home.told(NegotiationRefused), [])
