"""What a policy means inside a registration: which KEM goes with which proposals, and payloads without values."""

from __future__ import annotations

from typing import Final

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from seckex.config.policy import PolicySettings
from seckex.errors import PeerIncompatible
from seckex.sa import registration
from seckex.sa.algorithms import BY_NAME
from seckex.sa.offer import to_payload
from seckex.sa.policy import Policy, PolicyProposal
from seckex.sa.proposal import Chosen, Countered, accept, own_offer, select
from seckex.wire.numbers import Kem, ProtocolId, SaSubType
from seckex.wire.payloads import encode_sa

HYBRID: Final = BY_NAME["x25519-ml-kem-768"]
X25519: Final = BY_NAME["x25519"]
DEFAULT: Final = PolicySettings().as_policy()


def with_agreements(*lists: tuple[str, ...]) -> Policy:
    """Return a policy of proposals that differ in their key agreements."""
    algorithms = DEFAULT.proposals[0].algorithms
    proposals = tuple(
        PolicyProposal({**algorithms, ProtocolId.KEY_AGREEMENT: tuple(map(BY_NAME.__getitem__, names))}, 3600)
        for names in lists
    )
    return evolve(DEFAULT, proposals=proposals)


class NarrowedTests(SynchronousTestCase):
    def test_kems_in_the_order_of_the_policy(self) -> None:
        self.assertEqual(registration.kems(DEFAULT), (Kem.X25519,))
        both = with_agreements(("p-256",), ("x25519-ml-kem-768", "x25519"))
        self.assertEqual(registration.kems(both), (Kem.X25519_ML_KEM_768, Kem.X25519))
        self.assertEqual(registration.kems(with_agreements(("x25519",), ("x25519-ml-kem-768",)))[0], Kem.X25519)
        self.assertEqual(registration.kems(with_agreements(("p-256",))), ())

    def test_what_is_left_names_the_kem_and_nothing_else(self) -> None:
        policy = with_agreements(("p-256", "x25519"), ("x25519-ml-kem-768",))
        for kem, algorithm in ((Kem.X25519, X25519), (Kem.X25519_ML_KEM_768, HYBRID)):
            (proposal,) = registration.narrowed(policy, kem).proposals
            self.assertEqual(proposal.algorithms[ProtocolId.KEY_AGREEMENT], (algorithm,))

    def test_bundles_are_spelt_out(self) -> None:
        policy = evolve(DEFAULT, proposals=(evolve(DEFAULT.proposals[0], bundle=7),))
        (alternative,) = own_offer(registration.narrowed(policy, Kem.X25519)).alternatives
        self.assertTrue(all(member.transforms and not member.bundle for member in alternative.protocols))


class PayloadTests(SynchronousTestCase):
    def test_an_offer_is_chosen_from_and_the_choice_accepted(self) -> None:
        payload = registration.encode_offer(DEFAULT, Kem.X25519, SaSubType.MN_FA)
        offer = registration.decode(payload, SaSubType.MN_FA)
        verdict = select(offer, registration.narrowed(DEFAULT, Kem.X25519), shares_needed=False)
        assert isinstance(verdict, Chosen)
        said = registration.encode(evolve(offer, alternatives=(verdict.alternative,)), SaSubType.MN_FA)
        choice = registration.decode(said, SaSubType.MN_FA, choice=True)
        self.assertEqual(accept(choice, offer, DEFAULT), verdict.agreement)

    def test_another_kem_is_asked_for_by_a_counter_offer(self) -> None:
        payload = registration.encode_offer(DEFAULT, Kem.X25519, SaSubType.MN_HA)
        policy = with_agreements(("x25519-ml-kem-768",))
        verdict = select(registration.decode(payload, SaSubType.MN_HA), policy, shares_needed=False)
        assert isinstance(verdict, Countered)
        self.assertIn("x25519-ml-kem-768", str(verdict.counter))

    def test_a_policy_without_the_kem_offers_nothing(self) -> None:
        with self.assertRaisesRegex(PeerIncompatible, "x25519-ml-kem-768 is not in the policy"):
            registration.encode_offer(DEFAULT, Kem.X25519_ML_KEM_768, SaSubType.MN_HA)

    def test_what_is_between_others_is_refused(self) -> None:
        payload = registration.encode_offer(DEFAULT, Kem.X25519, SaSubType.MN_HA)
        with self.assertRaisesRegex(PeerIncompatible, "an SA of sub-type 1 is not negotiated here"):
            registration.decode(payload, SaSubType.MN_FA)

    def test_values_of_key_exchanges_are_refused(self) -> None:
        own = own_offer(DEFAULT)
        shared = evolve(own, alternatives=(evolve(own.alternatives[0], shares={31: bytes(32)}),))
        payload = encode_sa(to_payload(evolve(shared, sub_type=SaSubType.MN_HA)))
        with self.assertRaisesRegex(PeerIncompatible, "a key exchange inside a registration"):
            registration.decode(payload, SaSubType.MN_HA)
