"""A negotiation that happens nowhere comes to what a real one would."""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.authority import Key0
from seckex.crypto.secrets import Secret
from seckex.events import AssociationEstablished, CounterSent, MessageDropped, NegotiationFailed, NegotiationRefused
from seckex.exchange.terms import Terms
from seckex.node.rehearsal import Rehearsal, rehearse
from seckex.sa.policy import Policy
from tests.conversation import AES, CHACHA, HOME, NODE, policy, proposal, sealing
from tests.groups import HEAVY, naming
from tests.pump import KEY, WALL


def terms(local: str, peer: str, wanted: Policy, key: bytes = KEY) -> Terms:
    """Return the terms of one side."""
    entropy = random.Random(f"{local} {key.hex()}").randbytes  # noqa: S311  # has to repeat itself
    return Terms(local, peer, Key0(Secret(key), 0x1234, 1, (local, peer)), wanted, entropy)


class RehearsalTests(SynchronousTestCase):
    def rehearse(self, ours: Policy, theirs: Policy, key: bytes = KEY) -> Rehearsal:
        return rehearse(terms(NODE, HOME, ours), terms(HOME, NODE, theirs, key), WALL)

    def kinds(self, result: Rehearsal) -> list[tuple[str, str]]:
        return [(one.who.partition("@")[0], type(one.event).__name__) for one in result.happened]

    def test_agreement(self) -> None:
        result = self.rehearse(AES, AES)
        if result.ours is None or result.theirs is None:
            self.fail("nothing was agreed")
        self.assertEqual(result.ours.keys.octets(), result.theirs.keys.octets())
        self.assertTrue(result.ours.confirmed and result.theirs.confirmed)
        self.assertEqual({one.at for one in result.happened}, {0.0})

    def test_agreement_in_groups_that_take_long_messages_or_long_work(self) -> None:
        hybrid = policy(proposal("aes-256-gcm prf-hmac-sha-256 x25519-ml-kem-768"))
        for both in (hybrid, naming(HEAVY)):
            result = self.rehearse(both, both)
            if result.ours is None or result.theirs is None:
                self.fail("nothing was agreed")
            self.assertEqual(result.ours.keys.octets(), result.theirs.keys.octets())
            self.assertTrue(result.ours.confirmed and result.theirs.confirmed)

    def test_a_counter_offer_that_is_taken_up(self) -> None:
        result = self.rehearse(policy(sealing("chacha20-poly1305"), sealing("aes-256-gcm"), open_with=1), AES)
        (countered,) = [one.event for one in result.happened if isinstance(one.event, CounterSent)]
        self.assertIn("chacha20-poly1305 is not in the policy", countered.reasons[0])
        established = [one.event for one in result.happened if isinstance(one.event, AssociationEstablished)]
        self.assertEqual([event.rounds for event in established], [2, 2])

    def test_nothing_acceptable_is_told_by_both(self) -> None:
        result = self.rehearse(AES, CHACHA)
        refused = [(one.who, one.event) for one in result.happened if isinstance(one.event, NegotiationRefused)]
        self.assertEqual(
            {(who, event.by, event.code) for who, event in refused}, {(NODE, NODE, 256), (HOME, NODE, 256)}
        )
        self.assertEqual((result.ours, result.theirs), (None, None))

    def test_other_keys_are_met_with_silence_until_the_initiator_gives_up(self) -> None:
        result = self.rehearse(AES, AES, bytes(32))
        self.assertEqual(self.kinds(result)[0], ("node", "OfferSent"))
        self.assertEqual(self.kinds(result)[-1], ("node", "NegotiationFailed"))
        self.assertEqual([one.at for one in result.happened if isinstance(one.event, NegotiationFailed)], [30.0])
        self.assertTrue(any(isinstance(one.event, MessageDropped) for one in result.happened))
