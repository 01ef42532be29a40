"""Selection with a memory says what selection without one says, whatever it remembers."""

from __future__ import annotations

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.groups.modp import MODP_1024
from seckex.crypto.groups.table import GROUPS
from seckex.crypto.groups.user import Parameters
from seckex.errors import Malformed, PeerIncompatible, PeerMisbehaved
from seckex.sa.algorithms import ANY_USER_GROUP, BY_NAME, user_group
from seckex.sa.offer import Offer, describe, from_payload, to_payload
from seckex.sa.policy import Policy, PolicyProposal
from seckex.sa.proposal import Chosen, select
from seckex.sa.selector import MOST_REMEMBERED, Selector
from seckex.wire.numbers import ProtocolId
from seckex.wire.payloads import SaPayload, UnknownPayload, decode_sa, encode_sa
from tests.sa.samples import (
    ENCRYPTION,
    HOUR,
    KEY_AGREEMENT,
    alternative,
    known_offers,
    offer,
    policies,
    policy,
    proposal,
)

VALUE = b"\x77" * 32
AES, CHACHA = "aes-256-gcm", "chacha20-poly1305"


def octets(asked: Offer, value: bytes) -> bytes:
    """Return an offer as it travels, with ``value`` for each of its key exchanges."""
    with_value = (evolve(a, shares=dict.fromkeys(a.shares, value)) for a in asked.alternatives)
    return encode_sa(to_payload(evolve(asked, alternatives=tuple(with_value))))


class SelectorTests(SynchronousTestCase):
    def agrees(self, selector: Selector, asked: Offer, ours: Policy, value: bytes) -> None:
        """Insist that the selector and `select` say the same of an offer."""
        selected, verdict = selector.select(octets(asked, value)), select(asked, ours)
        self.assertEqual((type(selected.verdict), selected.verdict.reasons), (type(verdict), verdict.reasons))
        if not isinstance(verdict, Chosen):
            self.assertEqual((selected.verdict, selected.share), (verdict, b""))
            return
        assert isinstance(selected.verdict, Chosen)
        self.assertEqual(selected.verdict.agreement, verdict.agreement)
        group = verdict.agreement.algorithm(ProtocolId.KEY_AGREEMENT)
        self.assertEqual(selected.share, b"" if group is None else value)
        self.assertEqual(selected.group, None if group is None else GROUPS[group.transform_id])
        ours_there = {} if group is None else {group.group: VALUE}
        chosen = Offer((evolve(verdict.alternative, shares=ours_there),), asked.sub_type)
        if group is None or selected.group.responder_size == len(VALUE):  # type: ignore[union-attr]  # there is one
            self.assertEqual(selected.choice(b"" if group is None else VALUE), encode_sa(to_payload(chosen)))

    @settings(max_examples=75, deadline=None)
    @given(st.lists(known_offers, min_size=1, max_size=3), policies)
    def test_it_says_what_select_says_the_first_time_and_every_time(self, asked: list[Offer], ours: Policy) -> None:
        selector = Selector(ours)
        for number in range(2):
            for one in asked:
                self.agrees(selector, one, ours, bytes([number]) * 32)

    def test_the_value_is_that_of_the_chosen_proposal(self) -> None:
        first, second = alternative(AES, "x25519"), alternative(CHACHA, "x25519")
        asked = offer(evolve(first, shares={31: b"\1" * 32}), evolve(second, shares={31: b"\2" * 32}))
        for name, value in ((AES, b"\1" * 32), (CHACHA, b"\2" * 32)):
            selected = Selector(policy(proposal(name, "x25519"))).select(encode_sa(to_payload(asked)))
            self.assertEqual(selected.share, value)

    def test_a_value_serves_other_proposals_of_its_offer_that_list_its_group(self) -> None:
        first, second = alternative(AES, "x25519"), alternative(CHACHA, "x25519", share=False)
        asked = offer(evolve(first, shares={31: b"\1" * 32}), second)
        selected = Selector(policy(proposal(CHACHA, "x25519"))).select(encode_sa(to_payload(asked)))
        self.assertIsInstance(selected.verdict, Chosen)
        self.assertEqual(selected.share, b"\1" * 32)
        # A value of its own goes before.
        asked = offer(asked.alternatives[0], evolve(second, shares={31: b"\3" * 32}))
        selected = Selector(policy(proposal(CHACHA, "x25519"))).select(encode_sa(to_payload(asked)))
        self.assertEqual(selected.share, b"\3" * 32)

    def test_a_user_defined_group_is_remembered_with_its_p_and_g(self) -> None:
        theirs = Parameters.of(MODP_1024.prime, 5)
        group = user_group(theirs.fingerprint)
        asked = offer(
            evolve(
                describe({ENCRYPTION: (BY_NAME[AES],), KEY_AGREEMENT: (group,)}, HOUR, 0),
                shares={group.group: b"\1" * 128},
                parameters={theirs.fingerprint: theirs},
            )
        )
        named = policy(PolicyProposal({ENCRYPTION: (BY_NAME[AES],), KEY_AGREEMENT: (group,)}, HOUR))
        anyone = policy(PolicyProposal({ENCRYPTION: (BY_NAME[AES],), KEY_AGREEMENT: (ANY_USER_GROUP,)}, HOUR))
        for ours, brought in (
            (evolve(named, groups={theirs.fingerprint: theirs}), None),
            (evolve(anyone, prime_bits=(1024, 2048)), theirs),
        ):
            selector = Selector(ours)
            for value in (b"\2" * 128, b"\3" * 128):
                payload = encode_sa(to_payload(offer(evolve(asked.alternatives[0], shares={group.group: value}))))
                selected = selector.select(payload)
                self.assertIsInstance(selected.verdict, Chosen)
                self.assertEqual((selected.share, selected.brought), (value, brought))
                said = from_payload(decode_sa(selected.choice(b"\x77" * 128)), choice=True).alternatives[0]
                self.assertEqual(dict(said.shares), {group.group: b"\x77" * 128})
                self.assertEqual(dict(said.parameters), {theirs.fingerprint: theirs})

    def test_a_value_of_another_size_is_another_offer(self) -> None:
        selector = Selector(policy(proposal(AES, "x25519")))
        for size in (32, 0, 1, 31, 33, 100, 32):
            self.assertEqual(selector.select(octets(offer(alternative(AES, "x25519")), b"v" * size)).share, b"v" * size)

    def test_what_cannot_be_read_is_never_remembered(self) -> None:
        selector = Selector(policy(proposal(AES)))
        good = octets(offer(alternative(AES)), b"")
        unknown = encode_sa(evolve(to_payload(offer(alternative(AES))), payloads=(UnknownPayload(9, b""),)))
        for _ in range(2):
            for broken in (b"", good[:-1], good + b"\0", b"\2" + good[1:]):
                self.assertRaises(Malformed, selector.select, broken)
            self.assertEqual(self.assertRaises(Malformed, selector.select, good[:-1], 100).offset // 100, 1)
            self.assertRaises(PeerIncompatible, selector.select, unknown)
            self.assertRaises(PeerMisbehaved, selector.select, encode_sa(SaPayload(7, ())))
            self.assertIsInstance(selector.select(good).verdict, Chosen)

    def test_it_remembers_so_many_and_the_oldest_gives_way(self) -> None:
        selector = Selector(policy(proposal(AES)))
        remembered = [
            selector.select(octets(offer(alternative(AES, lifetime=60 + number)), b"")).verdict
            for number in range(MOST_REMEMBERED)
        ]

        def same(number: int) -> bool:
            return (
                selector.select(octets(offer(alternative(AES, lifetime=60 + number)), b"")).verdict
                is remembered[number]
            )

        self.assertTrue(same(0) and same(MOST_REMEMBERED - 1))
        selector.select(octets(offer(alternative(AES, lifetime=50000)), b""))
        self.assertTrue(same(1) and same(MOST_REMEMBERED - 1))
        # What gave way is answered all the same.
        self.assertFalse(same(0))

    def test_no_value_is_kept_or_shown(self) -> None:
        selector = Selector(policy(proposal(AES, "x25519")))
        selected = selector.select(octets(offer(alternative(AES, "x25519")), VALUE))
        again = selector.select(octets(offer(alternative(AES, "x25519")), b"\x11" * 32))
        self.assertEqual((selected.share, again.share), (VALUE, b"\x11" * 32))
        # Offers that differ in their values only are one offer to remember.
        self.assertIs(selected.verdict, again.verdict)
        self.assertNotIn("wwww", repr(selected))
        assert isinstance(again.verdict, Chosen)
        self.assertEqual(again.verdict.alternative.shares, {31: bytes(32)})
