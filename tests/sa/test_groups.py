"""Groups and bundles in offers: what is picked, what is guessed, what a predefined bundle stands for."""

from __future__ import annotations

from typing import ClassVar

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.groups.modp import MODP_1024
from seckex.crypto.groups.user import Parameters
from seckex.errors import PeerMisbehaved
from seckex.sa.algorithms import ANY_USER_GROUP, BY_NAME, named, user_group
from seckex.sa.offer import Alternative, Offer, OfferedTransform, describe, from_payload, to_payload
from seckex.sa.policy import Policy, PolicyProposal
from seckex.sa.proposal import Chosen, Countered, accept, guessed, own_offer, select
from seckex.wire.payloads import decode_sa, encode_sa
from tests.sa.samples import ENCRYPTION, HOUR, KEY_AGREEMENT, PRF, alternative, chosen_names, offer, policy, proposal

AES, CHACHA = "aes-256-gcm", "chacha20-poly1305"
USERS = Parameters.of(MODP_1024.prime, 5)
GROUP = user_group(USERS.fingerprint)


def through_octets(said: Offer, *, choice: bool = False) -> Offer:
    """Return what the other side reads."""
    return from_payload(decode_sa(encode_sa(to_payload(said))), choice=choice)


class NameTests(SynchronousTestCase):
    def test_a_user_defined_group_is_found_again_by_its_name(self) -> None:
        self.assertEqual(named(GROUP.name), GROUP)
        self.assertEqual(named("x25519"), BY_NAME["x25519"])
        for name in (
            "",
            "user-group-",
            "user-group-00",
            GROUP.name.upper(),
            GROUP.name + "00",
            GROUP.name[11:],
            "rot13",
        ):
            self.assertRaises(KeyError, named, name)


class GuessTests(SynchronousTestCase):
    def guesses(self, asked: Offer, count: int) -> list[tuple[int, str]]:
        return [(number, str(group)) for number, group in guessed(asked, evolve(policy(), guesses=count))]

    def test_the_first_group_of_each_proposal_goes_before_second_ones(self) -> None:
        asked = offer(
            alternative(AES, "p-256", "x25519"), alternative(AES), alternative(AES, "modp-2048", "p-256"),
        )  # fmt: skip
        self.assertEqual(self.guesses(asked, 0), [])
        self.assertEqual(self.guesses(asked, 1), [(1, "p-256")])
        self.assertEqual(self.guesses(asked, 2), [(1, "p-256"), (3, "modp-2048")])
        self.assertEqual(self.guesses(asked, 8), [(1, "p-256"), (3, "modp-2048"), (1, "x25519")])

    def test_a_bundles_groups_are_guessed_as_well(self) -> None:
        ours = evolve(policy(), bundles={7: {KEY_AGREEMENT: (BY_NAME["p-256"],)}})
        asked = Offer((describe({KEY_AGREEMENT: (BY_NAME["p-256"],)}, HOUR, 0, bundle=7),))
        self.assertEqual([(n, str(g)) for n, g in guessed(asked, ours)], [(1, "p-256")])


class UserGroupTests(SynchronousTestCase):
    def asked(self, parameters: Parameters = USERS, *, share: bool = True) -> Offer:
        group = user_group(parameters.fingerprint)
        listed = describe({ENCRYPTION: (BY_NAME[AES],), KEY_AGREEMENT: (group,)}, HOUR, 0)
        if share:
            value = bytes(len(parameters.prime))
            listed = evolve(listed, shares={group.group: value}, parameters={parameters.fingerprint: parameters})
        return through_octets(Offer((listed,)))

    def ours(self, *groups: object, fewest: int = 1024) -> Policy:
        algorithms = {ENCRYPTION: (BY_NAME[AES],), KEY_AGREEMENT: groups}
        return evolve(policy(PolicyProposal(algorithms, HOUR)), prime_bits=(fewest, 8192))  # type: ignore[arg-type]  # algorithms

    def test_only_a_policy_that_names_it_takes_it(self) -> None:
        self.assertIsInstance(select(self.asked(), self.ours(GROUP)), Chosen)
        self.assertIsInstance(select(self.asked(), self.ours(ANY_USER_GROUP)), Chosen)
        other = user_group(bytes(16))
        for groups in ((BY_NAME["x25519"],), (other,)):
            verdict = select(self.asked(), self.ours(*groups))
            self.assertIsInstance(verdict, Countered)
            self.assertIn(f"{GROUP} is not in the policy", str(verdict.reasons[0]))

    def test_the_size_is_held_to_the_policy_before_anything_is_computed(self) -> None:
        for parameters, why in (
            (USERS, "P has 1024 bits, 2048 to 8192 are allowed"),
            (Parameters(b"\xff" * 1024, b"\2"), ""),
            (Parameters(b"\xff" * 1023 + b"\xfe", b"\2"), "P is even"),
            (Parameters(b"\xff" * 1024, b"\1"), "G is not between 2 and P - 2"),
        ):
            verdict = select(self.asked(parameters), self.ours(ANY_USER_GROUP, BY_NAME["x25519"], fewest=2048))
            self.assertEqual(isinstance(verdict, Chosen), not why, parameters.bits)
            self.assertIn(why, "; ".join(map(str, verdict.reasons)))

    def test_without_its_key_exchange_it_is_asked_for(self) -> None:
        verdict = select(self.asked(share=False), self.ours(ANY_USER_GROUP))
        assert isinstance(verdict, Countered)
        self.assertEqual(str(verdict.counter), f"#1: aes-256-gcm + {GROUP}")

    def test_an_initiator_takes_up_no_group_that_it_does_not_know(self) -> None:
        verdict = select(self.asked(share=False), self.ours(ANY_USER_GROUP, BY_NAME["x25519"]), shares_needed=False)
        self.assertIsInstance(verdict, Countered)
        self.assertIn("its P and G are not known here", str(verdict.reasons[0]))

    def test_the_placeholder_is_never_offered(self) -> None:
        self.assertEqual(str(own_offer(self.ours(ANY_USER_GROUP, GROUP))), f"#1: aes-256-gcm + {GROUP}")


class BundleTests(SynchronousTestCase):
    """SPI 7 stands for ChaCha20-Poly1305 or AES-256-GCM, two PRFs and x25519."""

    held: ClassVar = {
        ENCRYPTION: (BY_NAME[CHACHA], BY_NAME[AES]),
        PRF: (BY_NAME["prf-hmac-sha-256"], BY_NAME["prf-hmac-sha-384"]),
        KEY_AGREEMENT: (BY_NAME["x25519"],),
    }

    def ours(self, mebioctets: int = 0) -> Policy:
        return evolve(policy(PolicyProposal(self.held, HOUR, mebioctets, bundle=7)), bundles={7: self.held})

    def said(self, mebioctets: int = 0) -> Alternative:
        """Return the one alternative that a principal with the bundle offers, with a share."""
        return evolve(own_offer(self.ours(mebioctets)).alternatives[0], shares={31: b"\x55" * 32})

    def taken(self, asked: Offer, theirs: Policy) -> Offer:
        verdict = select(through_octets(asked), theirs)
        assert isinstance(verdict, Chosen), verdict
        return through_octets(Offer((verdict.alternative,)), choice=True)

    def test_it_is_offered_by_its_number_alone(self) -> None:
        asked = Offer((self.said(),))
        self.assertEqual(str(asked), "#1: bundle 7 + bundle 7 + bundle 7")
        self.assertEqual(len(encode_sa(to_payload(asked))), 4 + 3 * 16 + 40)
        self.assertEqual(through_octets(asked), asked)

    def test_whoever_has_it_chooses_from_it(self) -> None:
        asked = Offer((self.said(),))
        choice = self.taken(asked, self.ours())
        self.assertEqual(str(choice), f"#1: {CHACHA} + prf-hmac-sha-256 + x25519")
        self.assertEqual({member.bundle for member in choice.alternatives[0].protocols}, {7})
        self.assertEqual(chosen_names(accept(choice, asked, self.ours())), [CHACHA, "prf-hmac-sha-256", "x25519"])

    def test_a_policy_without_the_bundle_in_a_proposal_takes_what_it_likes_of_it(self) -> None:
        theirs = evolve(policy(proposal(AES, "prf-hmac-sha-384", "x25519")), bundles={7: self.held})
        choice = self.taken(Offer((self.said(),)), theirs)
        self.assertEqual(str(choice), f"#1: {AES} + prf-hmac-sha-384 + x25519")
        self.assertEqual([t.number for m in choice.alternatives[0].protocols for t in m.transforms], [2, 2, 1])

    def test_a_counter_offer_of_part_of_a_bundle_becomes_an_offer(self) -> None:
        theirs = evolve(policy(proposal(AES, "prf-hmac-sha-384", "x25519")), bundles={7: self.held})
        verdict = select(through_octets(Offer((evolve(self.said(), shares={}),))), theirs)
        assert isinstance(verdict, Countered)
        next_one = select(through_octets(verdict.counter), self.ours(), shares_needed=False)
        assert isinstance(next_one, Chosen)
        asked = Offer((evolve(next_one.alternative, shares={31: b"\x55" * 32}),))
        agreed = accept(self.taken(asked, theirs), asked, self.ours())
        self.assertEqual(chosen_names(agreed), [AES, "prf-hmac-sha-384", "x25519"])

    def test_with_a_bound_on_octets_the_encryption_is_listed(self) -> None:
        asked = Offer((self.said(mebioctets=9),))
        self.assertEqual(str(asked), f"#1: {CHACHA} or {AES} + bundle 7 + bundle 7")
        self.assertEqual(accept(self.taken(asked, self.ours()), asked, self.ours()).mebioctets, 9)

    def test_an_unknown_one_is_passed_over(self) -> None:
        verdict = select(through_octets(Offer((self.said(),))), policy(proposal(AES, "x25519")))
        self.assertIsInstance(verdict, Countered)
        self.assertEqual(str(verdict.reasons[0]), "proposal 1: bundle 7 is not known here")

    def test_what_it_does_not_hold_is_not_chosen_under_its_number(self) -> None:
        strange = self.said()
        for number, name in ((1, AES), (3, AES), (2, "aes-128-gcm")):
            listed = OfferedTransform(number, BY_NAME[name], name)
            first = evolve(strange.protocols[0], transforms=(listed,))
            verdict = select(Offer((evolve(strange, protocols=(first, *strange.protocols[1:])),)), self.ours())
            self.assertIsInstance(verdict, Countered)

    def test_two_that_hold_different_things_under_one_number_find_out(self) -> None:
        asked = Offer((self.said(),))
        turned = self.held | {ENCRYPTION: (BY_NAME[AES], BY_NAME[CHACHA])}
        theirs = evolve(policy(PolicyProposal(turned, HOUR, bundle=7)), bundles={7: turned})
        fault = self.assertRaises(PeerMisbehaved, accept, self.taken(asked, theirs), asked, self.ours())
        self.assertIn("aes-256-gcm was not offered", str(fault))
