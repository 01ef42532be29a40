"""Two principals whom no authority certifies: they have paired, and agree on an association."""

from __future__ import annotations

from seckex.crypto.identity import Identity
from seckex.crypto.issuing import issue_alone
from seckex.crypto.pairing import make_card, read_card
from seckex.crypto.pinned import PinnedTrust
from seckex.events import CertificateRefused
from tests.conversation import HOME, NODE
from tests.exchange.certified import SMOOTH, CertifiedCase
from tests.pump import WALL


def alone(nai: str) -> Identity:
    issued = issue_alone(nai, WALL, 10)
    return Identity.from_pem(issued.certificate, issued.key.octets)


def trusting(*identities: Identity) -> PinnedTrust:
    return PinnedTrust([read_card(make_card(each, "")).certificate for each in identities])


class PairedTests(CertifiedCase):
    def setUp(self) -> None:
        super().setUp()
        self.ours, self.theirs = alone(NODE), alone(HOME)

    def test_they_agree(self) -> None:
        node, home = self.certified(
            node=self.ours,
            home=self.theirs,
            trusted_by_node=trusting(self.theirs),
            trusted_by_home=trusting(self.ours),
        )
        self.agreed(node, home)
        self.assertArrows(*SMOOTH)

    def test_with_another_certificate_of_the_same_name_nobody_does(self) -> None:
        node, home = self.certified(
            node=self.ours,
            home=alone(HOME),
            trusted_by_node=trusting(self.theirs),
            trusted_by_home=trusting(self.ours),
        )
        self.wanted(node, home)
        self.assertTold(node, CertificateRefused, peer=HOME, flaw="unknown-issuer")
        self.assertNothing(node, home)

    def test_nor_with_one_that_another_authority_trusts(self) -> None:
        node, home = self.certified(
            node=self.ours,
            home=self.root.identity(HOME),
            trusted_by_node=trusting(self.theirs),
            trusted_by_home=trusting(self.ours),
        )
        self.wanted(node, home)
        self.assertTold(node, CertificateRefused, peer=HOME)
        self.assertNothing(node, home)
