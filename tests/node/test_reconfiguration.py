"""Another configuration while a node runs: who is gone ends, who is changed has new terms, others notice nothing."""

from __future__ import annotations

from attrs import evolve

from seckex.events import AssociationEnded, AssociationEstablished, NegotiationRefused
from seckex.machine import Path
from seckex.node.limits import Limits
from seckex.node.reconfiguration import REKEYED, REMOVED
from seckex.sa.policy import Policy
from seckex.sa.store import PutAssociation
from seckex.wire.numbers import Code
from tests.conversation import AES, CHACHA, NODE, ConversationCase, policy, sealing
from tests.exchange.test_faults import TWO_ROUNDS
from tests.link import lose, on
from tests.pump import Host

OTHER = b"k" * 32
EITHER = policy(sealing("aes-256-gcm"), sealing("chacha20-poly1305"))


class ReconfigurationCase(ConversationCase):
    def with_a_bystander(self) -> tuple[Host, Host, Host]:
        """Return an initiator, a responder, and another initiator that has an association with the same responder."""
        node, home = self.pair()
        other = self.network.host("other@example.net")
        other.knows(home, AES, spi=0x2000)
        home.knows(other, AES, spi=0x2000)
        home.restart()
        other.start()
        self.established(other, home)
        return node, home, other

    def assertUndisturbed(self, other: Host, home: Host) -> None:
        """Check that the bystander's association is what it was, and that it can have another."""
        self.assertEqual((len(other.ready), other.gone), (1, []))
        self.assertConversation(other, home)
        other.renew()
        self.network.run(3)
        self.assertEqual(len(other.ready), 2)


class RemovedTests(ReconfigurationCase):
    def test_what_a_removed_peer_has_ends(self) -> None:
        node, home, other = self.with_a_bystander()
        ours = self.established(node, home)
        del home.peers[node.nai]
        home.reconfigure()
        self.assertTold(home, AssociationEnded, peer=node.nai, spi_in=ours.spi_out, why=REMOVED)
        self.assertEqual([gone.association.peer for gone in home.gone], [node.nai])
        self.network.run(1)
        self.assertNotIn(ours.spi_out, home.store.associations)
        node.renew()
        self.network.run(3)
        self.assertDropped(home, "unknown-key0")
        self.assertUndisturbed(other, home)

    def test_a_peer_removed_while_its_answer_becomes_durable_gets_none(self) -> None:
        node, home, other = self.with_a_bystander()
        said = len(self.network.sent)
        home.hold_commits()
        node.want(home)
        self.network.run(0.2)
        del home.peers[node.nai]
        home.reconfigure()
        home.release_commits()
        self.network.run(0.2)
        self.assertEqual(self.network.arrows()[said:], ["OFFER 1 -->"])
        self.assertEqual([each.peer for each in home.store.associations.values()], [other.nai])
        self.assertEqual(home.counters["unconfirmed"], 0)
        self.assertUndisturbed(other, home)

    def test_an_initiator_forgets_a_removed_peer_at_every_moment(self) -> None:
        for seconds in (0.0, 0.005, 0.011, 0.015, 0.021, 0.025, 0.5):
            self.anew()
            node, home = self.pair()
            node.commit_delay = home.commit_delay = 0.001
            node.want(home)
            self.network.run(seconds)
            del node.peers[home.nai]
            node.reconfigure()
            node.wanted.clear()
            said = len(self.network.sent)
            self.network.run(120)
            asked = {label for label in self.network.arrows()[said:] if label.endswith("-->")}
            self.assertEqual(asked - {"DELETE -->"}, set(), seconds)
            self.assertEqual((len(node.node.associations), node.store.associations), (0, {}), seconds)
            self.assertIsNone(node.node._seeking._wanted.get(home.nai))

    def test_what_is_half_open_with_a_removed_peer_is_forgotten(self) -> None:
        node, home = self.pair(TWO_ROUNDS, AES)
        node.want(home)
        self.network.run_until(lambda: home.counters["half-open"] == 1)
        del home.peers[node.nai]
        home.reconfigure()
        self.assertEqual(home.counters["half-open"], 0)
        self.network.run(3)
        self.assertDropped(home, "unknown-key0")

    def test_a_peer_that_comes_back_is_served_again(self) -> None:
        node, home = self.pair()
        self.established(node, home)
        kept = dict(home.peers)
        home.peers.clear()
        home.reconfigure()
        home.peers.update(kept)
        home.reconfigure()
        node.renew()
        self.network.run(3)
        self.assertConversation(node, home)


class RekeyedTests(ReconfigurationCase):
    def test_associations_by_the_old_key_end_and_the_new_key_serves(self) -> None:
        node, home, other = self.with_a_bystander()
        ours = self.established(node, home)
        home.knows(node, AES, key=OTHER)
        home.reconfigure()
        self.assertTold(home, AssociationEnded, peer=node.nai, spi_in=ours.spi_out, why=REKEYED)
        node.renew()
        self.network.run(2)
        self.assertDropped(home, "unauthenticated")
        node.knows(home, AES, key=OTHER)
        node.reconfigure()
        self.assertTold(node, AssociationEnded, spi_in=ours.spi_in, why=f"deleted by the peer: {REKEYED}")
        self.network.run(1)
        again = self.assertConversation(node, home)
        self.assertNotEqual(again.root, ours.root)
        self.assertEqual(list(node.store.associations), [again.spi_in])
        self.assertUndisturbed(other, home)

    def test_a_key_changed_in_the_middle_of_an_exchange_begins_another(self) -> None:
        for seconds in (0.0, 0.011, 0.015, 0.021, 0.025, 0.035):
            self.anew()
            node, home = self.pair()
            node.commit_delay = home.commit_delay = 0.001
            node.want(home)
            self.network.run(seconds)
            for host, peer in ((home, node), (node, home)):
                host.knows(peer, AES, key=OTHER)
                host.reconfigure()
            self.network.run(5)
            ours = self.assertConversation(node, home)
            self.assertEqual(list(node.store.associations), [ours.spi_in], seconds)
            self.assertEqual(list(home.store.associations), [ours.spi_out], seconds)

    def test_a_start_with_another_key_ends_what_the_store_has(self) -> None:
        node, home = self.pair()
        ours = self.established(node, home)
        home.stop()
        home.knows(node, AES, key=OTHER)
        home.start()
        self.network.run(1)
        self.assertTold(home, AssociationEnded, peer=node.nai, spi_in=ours.spi_out, why=REKEYED)
        self.assertEqual(home.store.associations, {})


class AlteredTests(ReconfigurationCase):
    def altered(self, host: Host, peer: Host, other: Policy) -> None:
        before = host.peers[peer.nai]
        host.peers[peer.nai] = evolve(before, terms=evolve(before.terms, policy=other))
        host.reconfigure()

    def test_another_policy_brings_another_association_while_the_old_one_stands(self) -> None:
        node, home = self.pair(EITHER, EITHER)
        first = self.established(node, home)
        self.altered(node, home, CHACHA)
        self.assertEqual(node.gone, [])
        self.network.run(1)
        second = self.assertConversation(node, home)
        self.assertIn("aes-256-gcm", str(first.agreement))
        self.assertIn("chacha20-poly1305", str(second.agreement))
        self.assertIsNotNone(node.node.usable(first.spi_in, node.now()))

    def test_the_same_once_more_changes_nothing(self) -> None:
        node, home = self.pair(EITHER, EITHER)
        self.established(node, home)
        said, terms = len(self.network.sent), home.node.peers[NODE].terms
        for host in (node, home):
            host.reconfigure()
        self.network.run(5)
        self.assertEqual(len(self.network.sent), said)
        self.assertIs(home.node.peers[NODE].terms, terms)
        self.assertEqual((node.gone, home.gone), ([], []))

    def test_an_offer_under_way_gives_way_to_one_by_the_new_policy(self) -> None:
        node, home = self.pair(EITHER, EITHER)
        node.want(home)
        self.altered(node, home, CHACHA)
        self.network.run(1)
        self.assertIn("chacha", str(self.assertConversation(node, home).agreement))
        # The responder has one that its initiator does not know of; it is never confirmed.
        self.network.run(61)
        self.assertEqual(len(home.node.associations), 1)

    def test_an_initiator_whose_counter_offer_was_by_an_old_policy_begins_anew(self) -> None:
        node, home = self.pair(policy(sealing("aes-256-gcm"), sealing("chacha20-poly1305"), open_with=1), CHACHA)
        node.want(home)
        self.network.run_until(lambda: home.counters["half-open"] == 1)
        self.altered(home, node, AES)
        self.network.run(15)
        self.assertIn("aes-256-gcm", str(self.assertConversation(node, home).agreement))
        self.assertLessEqual(len(node.told(AssociationEstablished)), 1)

    def test_another_address_is_asked_at_the_next_exchange(self) -> None:
        node, home = self.pair()
        ours = self.established(node, home)
        elsewhere = Path("192.0.2.99", 4434)
        before = node.peers[home.nai]
        node.peers[home.nai] = evolve(before, path=elsewhere)
        node.reconfigure()
        self.network.run(1)
        self.assertEqual((node.node.usable(ours.spi_in, node.now()), node.gone), (ours, []))
        said = len(self.network.sent)
        node.renew()
        self.network.run(1)
        self.assertEqual({each.destination for each in self.network.sent[said:]}, {elsewhere})


class LimitTests(ReconfigurationCase):
    def test_a_lowered_limit_refuses_what_is_new_and_leaves_what_is(self) -> None:
        node, home, other = self.with_a_bystander()
        home.limits = Limits(associations=1)
        home.reconfigure()
        node.want(home)
        self.network.run(1)
        self.assertEqual(len(home.node.associations), 1)
        self.assertIn(int(Code.INSUFFICIENT_RESOURCES), [each.code for each in node.told(NegotiationRefused)])
        home.limits = Limits(associations=3)
        home.reconfigure()
        self.network.run(3)
        self.assertConversation(node, home)
        self.assertUndisturbed(other, home)

    def test_no_more_than_the_limit_stay_half_open(self) -> None:
        _, home = self.pair(TWO_ROUNDS, AES)
        for number in range(3):
            more = self.network.host(f"n{number}@example.net")
            more.knows(home, TWO_ROUNDS, spi=0x3000 + number)
            home.knows(more, AES, spi=0x3000 + number)
        home.restart()
        self.network.faults = [on("OFFER 2", lose, times=4)]
        for host in self.network.hosts.values():
            if host is not home:
                if host.running is None:
                    host.start()
                host.want(home)
        self.network.run_until(lambda: home.counters["half-open"] == 4)
        self.network.faults.clear()
        home.limits = Limits(half_open=2)
        home.reconfigure()
        self.network.run(3)
        self.assertLessEqual(home.counters["half-open"], 2)


class StoredTests(ReconfigurationCase):
    def test_nothing_is_stored_for_a_peer_that_is_gone(self) -> None:
        """Whatever was on its way to the store when the peer went is taken out again."""
        node, home = self.pair()
        node.hold_commits()
        node.want(home)
        self.network.run(0.3)
        del node.peers[home.nai]
        node.reconfigure()
        node.release_commits()
        self.network.run(1)
        self.assertTrue(any(isinstance(each, PutAssociation) for unit in node.units for each in unit))
        self.assertEqual(node.store.associations, {})
