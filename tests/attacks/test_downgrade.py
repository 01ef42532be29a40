"""All pairs of policies, and every way to strip, reorder and alter what they say: no outcome is weaker for it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Final

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from seckex.sa.association import Agreement
from seckex.sa.policy import Policy
from seckex.sa.proposal import Chosen, own_offer, select
from seckex.wire.numbers import Kind
from seckex.wire.payloads import decode_sa, encode_sa
from tests.attacks.forgeries import weakened
from tests.attacks.scenes import UNPROVEN, Scene, Stage
from tests.conversation import policy, proposal, sealing
from tests.exchange.parts import sa_of, with_sa
from tests.link import Datagram

STRONG: Final = sealing("aes-256-gcm chacha20-poly1305", lifetime=900, mebioctets=5)
MIXED: Final = sealing("chacha20-poly1305 aes-128-gcm")
WEAK: Final = sealing("aes-128-gcm")
LONG: Final = proposal("aes-256-gcm hmac-sha-384 prf-hmac-sha-384 x25519")
BARE: Final = proposal("aes-128-gcm prf-hmac-sha-256 x25519", lifetime=7200)

POOL: Final[tuple[Policy, ...]] = (
    policy(STRONG),
    policy(STRONG, MIXED, WEAK),
    policy(WEAK, STRONG),
    policy(LONG, MIXED),
    policy(BARE, WEAK, LONG),
    policy(MIXED, LONG, BARE, open_with=2),
)

WEAKENED: Final = (Kind.OFFER, Kind.COUNTER, Kind.CHOICE)


def agreed(stage: Stage) -> Agreement | None:
    """Return what the initiator's newest association has, None without one."""
    newest = stage.node.node.associations.newest(stage.home.nai)
    return None if newest is None else newest.agreement


class DowngradeTests(SynchronousTestCase):
    """Somebody between alters every message that has an SA, in every way, before it arrives."""

    forged = 0

    def play(self, ours: Policy, theirs: Policy, *, attacked: bool) -> Stage:
        """Run an exchange to its end."""
        scene = Scene("key 0", "OFFER 1", Kind.OFFER, ours, theirs)
        stage = scene.play()
        if attacked:
            stage.network.faults = [self.alter]
            for datagram in self.alter(stage.datagram):
                stage.network.deliver(datagram)
        else:
            stage.network.deliver(stage.datagram)
        stage.network.run(1.2)
        return stage

    def alter(self, datagram: Datagram) -> Iterator[Datagram]:
        """Have all that is weaker come first, then the datagram itself."""
        if int.from_bytes(datagram.octets[2:4], "big") in WEAKENED:
            for sa in weakened(decode_sa(sa_of(datagram.octets))):
                forged = with_sa(datagram.octets, encode_sa(sa))
                if forged != datagram.octets:
                    self.forged += 1
                    yield evolve(datagram, octets=forged)
        yield datagram

    def test_no_outcome_is_weaker(self) -> None:
        agreements = 0
        for ours, theirs in product(POOL, POOL):
            untouched, attacked = (self.play(ours, theirs, attacked=attacked) for attacked in (False, True))
            self.assertEqual(agreed(attacked), agreed(untouched), str(attacked.network))
            said = [sent.label for sent in attacked.network.sent if sent.label not in UNPROVEN]
            self.assertEqual(said, [sent.label for sent in untouched.network.sent], str(attacked.network))
            agreements += agreed(attacked) is not None
            if not ours.open_with:
                self.is_the_strongest(ours, theirs, agreed(attacked))
        self.assertGreater(self.forged, 2000)
        self.assertGreater(agreements, 20)

    def is_the_strongest(self, ours: Policy, theirs: Policy, found: Agreement | None) -> None:
        """Check that what came of it is what the two policies give, asked in peace."""
        verdict = select(own_offer(ours), theirs, shares_needed=False)
        if isinstance(verdict, Chosen):
            chosen = {m.protocol: m.transforms[0].algorithm for m in verdict.alternative.protocols}
            self.assertEqual({a.protocol: a for a in found.algorithms} if found else None, chosen)
