"""Stores that fail, contradict and are slow, and daemons that restart: nothing is accepted twice or by halves."""

from __future__ import annotations

from collections.abc import Callable

from seckex.events import AssociationEnded, AssociationEstablished, NegotiationRefused, StoreTrouble, StoreUnwritable
from seckex.node.node import PURGE_EVERY
from seckex.sa.store import ConfirmAssociation, DeleteAssociation, Outcome, PutAssociation, PutReplay
from seckex.wire.numbers import Code
from tests.conversation import AES, ConversationCase
from tests.exchange.test_faults import AGREEING, TWO_ROUNDS
from tests.link import lose, on
from tests.pump import Host


class OrderTests(ConversationCase):
    def test_an_answer_leaves_when_it_and_what_it_means_are_durable(self) -> None:
        node, home = self.pair(TWO_ROUNDS, AES)
        home.hold_commits()
        node.want(home)
        self.network.run(0.3)
        self.assertArrows("OFFER 1 -->")
        self.assertEqual([[type(part) for part in unit] for unit in home.units], [[PutReplay]])
        home.release_commits()
        self.network.run(0.05)
        self.assertArrows("OFFER 1 -->", "<-- COUNTER 1", "OFFER 2 -->", "<-- CHOICE 2", "CONFIRM -->", "<-- CONFIRMED")
        kinds = [[type(part) for part in unit] for unit in home.units]
        self.assertEqual(kinds, [[PutReplay], [PutReplay, PutAssociation], [ConfirmAssociation]])

    def test_the_initiator_uses_nothing_that_it_could_forget(self) -> None:
        node, home = self.pair()
        node.hold_commits()
        node.want(home)
        self.network.run(10)
        # OFFER 1 -->
        # <-- CHOICE 1
        self.assertArrows("OFFER 1 -->", "<-- CHOICE 1")
        self.assertEqual((node.ready, len(node.node.associations)), ([], 0))
        node.release_commits()
        self.network.run()
        self.assertConversation(node, home)

    def test_CONFIRMED_leaves_when_the_mark_is_durable(self) -> None:
        node, home = self.pair()
        node.want(home)
        self.network.run(0.015)
        home.hold_commits()
        self.network.run(0.3)
        self.assertArrows("OFFER 1 -->", "<-- CHOICE 1", "CONFIRM -->")
        home.release_commits()
        self.network.run()
        self.assertConversation(node, home)


class FailureTests(ConversationCase):
    def test_a_responder_that_cannot_store_says_so_and_accepts_nothing(self) -> None:
        for ours, failing in ((AES, 1), (TWO_ROUNDS, 1), (TWO_ROUNDS, 2)):
            self.anew()
            node, home = self.pair(ours, AES)
            home.commit_faults[failing] = "disk full"
            node.want(home)
            self.network.run(0.5)
            self.assertEqual(self.network.sent[-1].label, f"REFUSAL {failing}")
            self.assertTold(home, StoreTrouble, peer=node.nai, why="disk full")
            refused = self.assertTold(node, NegotiationRefused, by=home.nai, code=Code.INSUFFICIENT_RESOURCES)
            self.assertEqual(refused.reason, "the store cannot be written; try later")
            self.assertEqual((len(home.node.associations), home.counters["half-open"]), (0, 0))
            self.assertEqual(home.counters["replay-records"], failing - 1)
            # Later there is room again.
            self.network.run(5)
            self.assertConversation(node, home)
            self.assertEqual(len(home.node.associations), 1)

    def test_a_store_that_cannot_be_tidied_is_told_of(self) -> None:
        node, home = self.pair()
        self.established(node, home)
        home.commit_faults[len(home.units) + 1] = "gone"
        self.network.run(PURGE_EVERY)
        self.assertTold(home, StoreUnwritable, why="gone")
        self.network.run(PURGE_EVERY)
        self.assertTold(home, StoreUnwritable)

    def test_an_initiator_that_cannot_store_uses_nothing(self) -> None:
        node, home = self.pair()
        node.commit_faults[1] = "disk full"
        node.want(home)
        self.network.run(0.5)
        self.assertArrows("OFFER 1 -->", "<-- CHOICE 1")
        self.assertTold(node, StoreTrouble, peer=home.nai, why="disk full")
        self.assertEqual((node.ready, len(node.node.associations)), ([], 0))
        self.assertEqual([(u.peer, u.why) for u in node.unavailable], [(home.nai, "disk full")])
        self.network.run(5)
        self.assertConversation(node, home)
        # What the responder holds of the first is never confirmed.
        self.network.run(60)
        self.assertEqual(len(home.node.associations), 1)
        self.assertTold(home, AssociationEnded, why="never confirmed by the initiator")

    def test_a_mark_that_cannot_be_stored_is_not_the_end(self) -> None:
        for side in (0, 1):
            self.anew()
            pair = self.pair()
            pair[side].commit_faults[2] = "disk full"
            pair[0].want(pair[1])
            self.network.run(3)
            ours = self.assertAgreed(*pair)
            theirs = pair[1].node.associations.get(ours.spi_out)
            self.assertEqual((ours.confirmed, theirs and theirs.confirmed), (True, True))
            # OFFER 1 -->
            # <-- CHOICE 1
            # CONFIRM -->    and again, where the first was not noted
            # <-- CONFIRMED
            self.assertEqual(self.network.arrows().count("CONFIRM -->"), 1 + side)
            self.assertEqual(self.network.arrows().count("<-- CONFIRMED"), 1)

    def test_a_deletion_that_cannot_be_stored_is_made_up_for_by_the_next_life(self) -> None:
        node, home = self.pair()
        node.want(home)
        self.network.run(0.015)
        node.stop()
        home.commit_faults[3] = "disk full"
        self.network.run(120)
        self.assertEqual([[type(part) for part in unit] for unit in home.units[2:3]], [[DeleteAssociation]])
        self.assertEqual((len(home.node.associations), len(home.store.associations)), (0, 1))
        home.restart()
        self.network.run(120)
        self.assertEqual((len(home.node.associations), len(home.store.associations)), (0, 0))


class ConflictTests(ConversationCase):
    def test_an_SPI_that_is_taken_at_the_responder(self) -> None:
        node, home = self.pair()
        home.commit_faults[1] = Outcome.CONFLICT
        self.established(node, home)
        self.assertArrows(
            "OFFER 1 -->",  # and the responder draws an SPI that another worker gave away
            "OFFER 1 -->",
            "<-- CHOICE 1",
            "CONFIRM -->",
            "<-- CONFIRMED",
        )

    def test_an_SPI_that_is_taken_at_the_initiator(self) -> None:
        node, home = self.pair()
        node.commit_faults[1] = Outcome.CONFLICT
        ours = self.established(node, home)
        self.assertArrows(
            "OFFER 1 -->",
            "<-- CHOICE 1",  # for an SPI of ours that is taken
            "OFFER 1 -->",
            "<-- CHOICE 1",
            "CONFIRM -->",
            "<-- CONFIRMED",
        )
        self.assertNotEqual(self.network.sent[0].octets[24:28], ours.spi_in.to_bytes(4, "big"))

    def test_a_request_that_another_worker_has_answered_is_met_with_silence(self) -> None:
        node, home = self.pair()
        other = self.network.host("another worker", nai=home.nai)
        other.knows(node, AES)
        other.store = home.store
        other.start()
        self.network.faults = [on("CHOICE", lose)]
        node.want(home)
        offer = self.network.last("OFFER")
        other.receive(offer.octets, node.path)
        # OFFER 1 -->   to both workers
        # <-- CHOICE 1  from one
        self.network.run(0.3)
        self.assertEqual(self.network.arrows().count("<-- CHOICE 1"), 1)
        self.assertEqual(len(home.store.associations), 1)
        self.assertEqual(len(home.node.associations) + len(other.node.associations), 1)

    def test_a_mark_that_conflicts_ends_the_conversation_all_the_same(self) -> None:
        for side in (0, 1):
            self.anew()
            pair = self.pair()
            pair[side].commit_faults[2] = Outcome.CONFLICT
            pair[0].want(pair[1])
            self.network.run(3)
            self.assertAgreed(*pair)
            self.assertEqual(pair[0].counters["commits-waiting"] + pair[1].counters["commits-waiting"], 0)


class SlowTests(ConversationCase):
    def test_copies_that_come_while_the_first_is_being_stored_are_answered_once(self) -> None:
        node, home = self.pair()
        home.commit_delay = 2.0
        node.want(home)
        self.network.run(2.1)
        self.assertArrows("OFFER 1 -->", "OFFER 1 -->", "OFFER 1 -->", "<-- CHOICE 1", "CONFIRM -->")
        self.network.run(5)
        self.assertConversation(node, home)
        self.assertEqual(sum(isinstance(part, PutAssociation) for unit in home.units for part in unit), 1)
        self.assertTold(home, AssociationEstablished)

    def test_an_answer_that_took_too_long_is_let_pass(self) -> None:
        node, home = self.pair()
        home.commit_delay = 35.0
        node.want(home)
        self.network.run(34)
        self.assertEqual([u.peer for u in node.unavailable], [home.nai])
        home.commit_delay = 0
        self.network.run(60)
        self.assertConversation(node, home)
        self.assertGreaterEqual(node.counters["answers-unexpected"], 1)

    def test_the_responder_goes_on_with_others_meanwhile(self) -> None:
        node, home = self.pair()
        other = self.network.host("other@example.net")
        other.knows(home, AES, spi=0x5678)
        home.knows(other, AES, spi=0x5678)
        home.restart()
        other.start()
        home.hold_commits()
        node.want(home)
        self.network.run(0.1)
        held, home.held = home.held or [], None
        other.want(home)
        self.network.run(0.2)
        self.assertConversation(other, home)
        for outcome in held:
            outcome()
        self.network.run()
        self.assertConversation(node, home)


class RestartTests(ConversationCase):
    """Each side restarts before each event, and after each commit before it hears of it."""

    def ends_well(self, node: Host, home: Host) -> None:
        """Check that both come to hold one association; a link proves what CONFIRM does not."""
        node.want(home)
        self.network.run(45)
        ours = node.node.associations.newest(home.nai)
        theirs = None if ours is None else home.node.associations.get(ours.spi_out)
        if theirs is None:
            node.renew()
        elif not theirs.confirmed:
            home.proves(theirs)
        self.network.run(10)
        ours = self.assertAgreed(node, home)
        self.assertTrue(home.store.associations[ours.spi_out].confirmed)
        self.assertEqual(node.store.associations[ours.spi_in].keys, ours.keys)
        # What was left of the others is gone in a minute.
        self.network.run(60)
        self.assertEqual(home.counters["unconfirmed"], 0)
        self.assertAgreed(node, home)

    def test_before_each_event(self) -> None:
        for ours, theirs, datagrams in AGREEING:
            for side in ((0,), (1,), (0, 1)):
                for ordinal in range(1, 3 * datagrams):
                    self.anew()
                    pair = self.pair(ours, theirs)
                    self.network.before_step = _restarting([pair[number] for number in side], ordinal)
                    self.ends_well(*pair)

    def test_between_a_commit_and_its_outcome(self) -> None:
        for ours, theirs, _ in AGREEING:
            for side in (0, 1):
                for ordinal in range(1, 5):
                    self.anew()
                    pair = self.pair(ours, theirs)
                    pair[side].lost_outcomes.add(ordinal)
                    self.ends_well(*pair)

    def test_a_request_that_was_stored_and_not_answered_is_answered_after_the_restart(self) -> None:
        node, home = self.pair()
        home.lost_outcomes.add(1)
        self.established(node, home)
        self.assertArrows(
            "OFFER 1 -->",  # stored, then the responder dies
            "OFFER 1 -->",
            "<-- CHOICE 1",  # from the store
            "CONFIRM -->",
            "<-- CONFIRMED",
        )
        self.assertEqual(home.counters["retransmissions"], 1)
        self.assertEqual(sum(isinstance(part, PutAssociation) for unit in home.units for part in unit), 1)

    def test_a_responder_that_has_forgotten_the_first_round(self) -> None:
        node, home = self.pair(TWO_ROUNDS, AES)
        node.want(home)
        self.network.run(0.015)
        home.restart()
        self.network.run(15)
        self.assertArrows(
            "OFFER 1 -->",
            "<-- COUNTER 1",
            "OFFER 2 -->",  # which cannot be verified without the first round
            "OFFER 2 -->",
            "OFFER 2 -->",
            "OFFER 2 -->",
            "OFFER 1 -->",  # anew
            "<-- COUNTER 1",
            "OFFER 2 -->",
            "<-- CHOICE 2",
            "CONFIRM -->",
            "<-- CONFIRMED",
        )
        self.assertEqual(home.counters["dropped.unauthenticated"], 4)
        self.assertConversation(node, home)

    def test_beginning_anew_for_that_is_done_once(self) -> None:
        node, home = self.pair(TWO_ROUNDS, AES)
        self.network.faults = [on("OFFER 2", lose, times=100)]
        node.want(home)
        self.network.run(29)
        self.assertEqual(self.network.arrows().count("OFFER 1 -->"), 2)
        self.network.run(2)
        self.assertEqual([u.wait for u in node.unavailable], [1.0])

    def test_an_initiator_that_restarts_uses_what_it_has(self) -> None:
        node, home = self.pair()
        ours = self.established(node, home)
        said = len(self.network.sent)
        node.restart()
        self.network.run(60)
        self.assertEqual([association.keys for association in node.ready[1:]], [ours.keys])
        self.assertEqual(len(self.network.sent), said)


def _restarting(hosts: list[Host], ordinal: int) -> Callable[[int], None]:
    def step(now: int) -> None:
        if now == ordinal:
            for host in hosts:
                host.restart()

    return step
