"""Which association a link may have, and how it is named at the two ends of the link."""

from __future__ import annotations

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from seckex.net.usage import Traffic
from seckex.node.associations import AssociationTable
from seckex.sa.association import Association
from tests.sa.test_association import EVERYTHING, agreed, ends


class LinkAssociationTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.table = AssociationTable(4)
        self.traffic = Traffic(self.table)

    def known(self, association: Association) -> Association:
        self.table.add(association)
        return association

    def test_its_name_is_the_spi_at_who_accepts_whichever_began_it(self) -> None:
        alice, bob = ends(EVERYTHING)
        for opener, acceptor in ((alice, bob), (bob, alice)):
            opening = self.traffic.link_association(self.known(opener), opens=True)
            accepting = self.traffic.link_association(self.known(acceptor), opens=False)
            assert opening is not None
            assert accepting is not None
            self.assertEqual((opening.spi, opening.here), (acceptor.spi_in, opener.spi_in))
            self.assertEqual((accepting.spi, accepting.here), (acceptor.spi_in, acceptor.spi_in))
            self.assertEqual(opening.schedule.body(b"i" * 16, b"r" * 16), accepting.schedule.body(b"i" * 16, b"r" * 16))

    def test_none_with_one_spi_at_both_ends(self) -> None:
        """What Alice says to open a link could come back to her as if Bob had said it."""
        alice, _ = ends(EVERYTHING)
        same = self.known(evolve(alice, spi_out=alice.spi_in))
        self.assertIsNone(self.traffic.link_association(same, opens=False))

    def test_none_without_encryption(self) -> None:
        bare, _ = ends(agreed("hmac-sha-256", "x25519"))
        self.assertIsNone(self.traffic.link_association(self.known(bare), opens=True))

    def test_with_a_bound_one_link_in_all(self) -> None:
        alice, _ = ends(EVERYTHING)
        made = self.traffic.link_association(self.known(alice), opens=True)
        self.assertEqual(made and made.octets, 3 << 20)
        self.table.usage(alice.spi_in).octets_in = 1
        self.assertIsNone(self.traffic.link_association(alice, opens=True))

    def test_bounds_are_used_up_to_different_shares(self) -> None:
        alice, _ = ends(EVERYTHING)
        for first, share in ((0, 0.8), (255, 0.9)):
            one = evolve(alice, transcript=bytes((first,)) + alice.transcript[1:])
            made = self.traffic.link_association(self.known(one), opens=True)
            self.assertAlmostEqual(made.worn_at if made else 0, share)
