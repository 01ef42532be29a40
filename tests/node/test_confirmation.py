"""The responder's side of confirmation: until the initiator has proved the keys, an association is on trial."""

from __future__ import annotations

from seckex.events import AssociationConfirmed, AssociationEnded
from seckex.sa.association import Association
from seckex.sa.store import ConfirmAssociation, DeleteAssociation
from tests.conversation import ConversationCase, policy, sealing
from tests.link import lose, on
from tests.pump import Host

WHY = "never confirmed by the initiator"


class ConfirmationTests(ConversationCase):
    def on_trial(self) -> tuple[Host, Host, Association]:
        """Return both ends of an association that is not confirmed, and the responder's view of it."""
        node, home = self.pair()
        self.network.faults = [on("CONFIRM", lose, times=1000)]
        node.want(home)
        self.network.run(0.3)
        # OFFER 1 -->
        # <-- CHOICE 1
        # CONFIRM -->   lost
        self.assertEqual(home.counters["unconfirmed"], 1)
        theirs = home.node.associations.newest(node.nai)
        if theirs is None:
            self.fail("no association")
        self.assertFalse(theirs.confirmed)
        return node, home, theirs

    def test_what_is_never_confirmed_is_forgotten_after_a_minute(self) -> None:
        node, home, theirs = self.on_trial()
        self.network.run(59)
        self.assertEqual((home.gone, home.told(AssociationEnded)), ([], []))
        self.network.run(1)
        self.assertTold(home, AssociationEnded, peer=node.nai, spi_in=theirs.spi_in, why=WHY)
        self.assertEqual([(gone.association, gone.why) for gone in home.gone], [(theirs, WHY)])
        self.assertEqual((len(home.node.associations), home.counters["unconfirmed"]), (0, 0))
        self.assertEqual((home.units[-1][0], len(home.store.associations)), (DeleteAssociation(theirs.spi_in), 0))
        self.assertIsNone(home.node.usable(theirs.spi_in, home.now()))

    def test_a_CONFIRM_that_comes_too_late_is_counted(self) -> None:
        node, home, _ = self.on_trial()
        self.network.run(61)
        confirm = self.network.last("CONFIRM")
        home.receive(confirm.octets, node.path)
        self.assertDropped(home, "unknown-association", "no association has the SPI")
        self.assertEqual(len(home.node.associations), 0)

    def test_a_CONFIRM_in_the_last_moment_is_enough(self) -> None:
        node, home, theirs = self.on_trial()
        self.network.run(59.5)
        home.receive(self.network.last("CONFIRM").octets, node.path)
        self.network.run(60)
        self.assertTold(home, AssociationConfirmed, spi_in=theirs.spi_in)
        self.assertEqual(home.told(AssociationEnded), [])
        self.assertTrue(home.store.associations[theirs.spi_in].confirmed)

    def test_a_lost_CONFIRMED_is_asked_for_again(self) -> None:
        node, home = self.pair()
        self.network.faults = [on("CONFIRMED", lose)]
        self.established(node, home)
        self.assertArrows(
            "OFFER 1 -->",
            "<-- CHOICE 1",
            "CONFIRM -->",
            "<-- CONFIRMED",  # lost
            "CONFIRM -->",
            "<-- CONFIRMED",
        )
        self.assertTold(home, AssociationConfirmed)
        self.assertEqual(sum(isinstance(unit[0], ConfirmAssociation) for unit in home.units), 1)

    def test_a_CONFIRM_is_answered_again_after_a_restart(self) -> None:
        node, home = self.pair()
        self.network.faults = [on("CONFIRMED", lose)]
        node.want(home)
        self.network.run(0.3)
        self.assertFalse(node.node.associations.newest(home.nai).confirmed)  # type: ignore[union-attr]  # there is one
        home.restart()
        # CONFIRM -->
        # <-- CONFIRMED
        self.network.run(1)
        self.assertConversation(node, home)
        self.assertEqual(home.counters["unconfirmed"], 0)

    def test_a_CONFIRM_that_first_comes_after_a_restart(self) -> None:
        node, home, theirs = self.on_trial()
        home.restart()
        self.assertEqual(home.counters["unconfirmed"], 1)
        self.network.faults = []
        self.network.run(2)
        self.assertConversation(node, home)
        self.assertTold(home, AssociationConfirmed, spi_in=theirs.spi_in)

    def test_a_restart_begins_the_minute_again(self) -> None:
        _, home, theirs = self.on_trial()
        self.network.run(50)
        home.restart()
        self.network.run(59)
        self.assertEqual(home.counters["unconfirmed"], 1)
        self.network.run(2)
        self.assertEqual([gone.association for gone in home.gone], [theirs])

    def test_a_links_first_record_proves_as_much(self) -> None:
        node, home, theirs = self.on_trial()
        home.proves(theirs)
        self.assertTold(home, AssociationConfirmed, spi_in=theirs.spi_in)
        self.network.run(0.1)
        self.assertTrue(home.store.associations[theirs.spi_in].confirmed)
        self.assertArrows("OFFER 1 -->", "<-- CHOICE 1", "CONFIRM -->")
        # The initiator still wants to hear it.
        self.network.faults = []
        self.network.run(2)
        self.assertConversation(node, home)
        self.network.run(60)
        self.assertEqual(home.gone, [])
        # Once is enough.
        home.proves(theirs)
        self.assertTold(home, AssociationConfirmed)

    def test_a_proof_of_what_is_not_known_is_nothing(self) -> None:
        node, home = self.pair()
        ours = self.established(node, home)
        before = home.tables()
        home.proves(ours)
        node.proves(ours)
        self.assertEqual(home.tables(), before)

    def test_a_CONFIRM_for_an_association_of_which_one_is_the_initiator(self) -> None:
        node, home = self.pair()
        ours = self.established(node, home)
        confirm = self.network.last("CONFIRM").octets
        spi = ours.spi_in.to_bytes(4, "big")
        node.receive(confirm[:12] + spi + confirm[16:20] + spi + confirm[24:], home.path)
        self.assertDropped(node, "unknown-association")

    def test_what_expires_before_it_is_confirmed_stays_away(self) -> None:
        brief = policy(sealing("aes-256-gcm", lifetime=20), shortest_lifetime=10)
        node, home = self.pair(brief, brief)
        self.network.faults = [on("CONFIRM", lose, times=1000)]
        node.want(home)
        self.network.run(0.3)
        confirm = self.network.last("CONFIRM")
        node.stop()
        self.network.run(21)
        # CONFIRM -->   after its association has expired
        home.receive(confirm.octets, confirm.source)
        self.assertDropped(home, "unknown-association")
        self.network.run(100)
        self.assertEqual([gone.why for gone in home.gone], ["its lifetime is over"])
        self.assertEqual((home.counters["unconfirmed"], len(home.node.associations)), (0, 0))

    def test_what_was_replaced_before_it_was_confirmed_stays_away(self) -> None:
        node, home, theirs = self.on_trial()
        confirm = self.network.last("CONFIRM")
        node.renew()
        self.network.run_until(lambda: len(home.node.associations) == 2)
        home.retire(theirs)
        # CONFIRM -->   for the one that was replaced
        home.receive(confirm.octets, confirm.source)
        self.assertDropped(home, "unknown-association")
        self.network.faults = []
        self.network.run(100)
        self.assertEqual([(gone.association, gone.why) for gone in home.gone], [(theirs, "replaced by a newer one")])
        self.assertConversation(node, home)
        self.assertEqual((home.counters["unconfirmed"], len(home.node.associations)), (0, 1))
