"""Renewal under the association itself, from either end and from both at once; deletion; probes; exports."""

from __future__ import annotations

from attrs import evolve

from seckex.crypto.secrets import Secret
from seckex.errors import ApiMisuse, Unfeasible
from seckex.events import AssociationEnded, NegotiationFailed
from seckex.machine import Path
from seckex.node.limits import Peer
from seckex.node.seeking import PROBE_EVERY
from seckex.sa.association import Association
from seckex.sa.policy import Policy
from seckex.wire.numbers import ProtocolId
from tests.conversation import AES, CHACHA, HOME, NODE, ConversationCase, policy, proposal, sealing
from tests.link import lose, on
from tests.pump import Host

BOTH = policy(sealing("aes-256-gcm"), sealing("chacha20-poly1305"))
ONLY_AUTHENTICATION = Policy((proposal("hmac-sha-256 prf-hmac-sha-256 x25519"),), frozenset((ProtocolId.PRF,)))


class RekeyCase(ConversationCase):
    def begun(self, ours: Policy = AES, theirs: Policy = AES) -> tuple[Host, Host, Association]:
        """Return both ends of an association, of which the second has no address of the first."""
        self.anew()
        node, home = self.network.host(NODE), self.network.host(HOME)
        node.knows(home, ours)
        home.knows(node, theirs)
        home.peers[NODE] = Peer(home.peers[NODE].terms, None)
        node.start()
        home.start()
        first = self.established(node, home)
        self.said = len(self.network.sent)
        return node, home, first

    def since(self) -> list[str]:
        """Return what was said since `begun`."""
        return self.network.arrows()[self.said :]


class RekeyTests(RekeyCase):
    def test_the_initiator_renews_under_the_association(self) -> None:
        node, home, first = self.begun()
        node.rekey(home)
        self.network.run()
        self.assertEqual(self.since(), ["OFFER 1 -->", "<-- CHOICE 1", "CONFIRM -->", "<-- CONFIRMED"])
        second = self.assertConversation(node, home)
        theirs = home.node.associations.get(second.spi_out)
        self.assertEqual((second.replaces, theirs and theirs.replaces), (first.spi_in, first.spi_out))
        self.assertEqual(second.root, first.root)
        self.assertIn("key0 0x00001234 kvno 1", second.root)
        self.assertNotEqual(second.keys, first.keys)
        self.assertEqual(node.ready, [evolve(first, confirmed=False), evolve(second, confirmed=False)])
        self.assertEqual(self.network.sent[self.said].octets[12:16], first.spi_out.to_bytes(4, "big"))

    def test_the_responder_renews_where_the_initiator_asked_from(self) -> None:
        node, home, first = self.begun()
        home.rekey(node)
        self.network.run()
        self.assertEqual(self.since(), ["<-- OFFER 1", "CHOICE 1 -->", "<-- CONFIRM", "CONFIRMED -->"])
        second = self.assertConversation(home, node)
        self.assertEqual(second.replaces, first.spi_out)
        # The initiator of the first goes on to look after it: it has the address.
        self.assertEqual([each.spi_in for each in node.ready], [first.spi_in, second.spi_out])
        self.assertEqual(home.ready, [])
        node.rekey(home)
        self.network.run()
        self.assertConversation(node, home)

    def test_what_is_said_under_an_association_proves_its_keys(self) -> None:
        for asked in ("rekey", "down"):
            node, home = self.pair()
            self.network.faults = [on("CONFIRM", lose, 99)]
            node.want(home)
            self.network.run(1)
            first = self.assertAgreed(node, home)
            node.node.associations.add(evolve(first, confirmed=True))
            node.node._seeking._wanted[HOME].association = evolve(first, confirmed=True)
            self.assertEqual(len(home.node._answering.unconfirmed), 1)
            getattr(node, asked)(home)
            self.network.run(1)
            self.assertNotIn(first.spi_out, home.node._answering.unconfirmed)
            self.anew()

    def test_renewals_of_renewals(self) -> None:
        node, home, first = self.begun()
        roots = set()
        for turn in range(6):
            (node, home)[turn % 2].rekey((home, node)[turn % 2])
            self.network.run()
            newest = node.node.associations.newest(HOME)
            roots.add(newest and newest.root)
        self.assertEqual(roots, {first.root})
        self.assertEqual(len({each.keys.secret.octets for each in node.node.associations}), 7)

    def test_a_renewal_may_bring_other_transforms(self) -> None:
        node, home, first = self.begun(AES, BOTH)
        peer = node.node.peers[HOME]
        node.node._seeking._wanted[HOME].peer = evolve(peer, terms=evolve(peer.terms, policy=CHACHA))
        node.rekey(home)
        self.network.run()
        second = self.assertConversation(node, home)
        chosen = [each.agreement.algorithm(ProtocolId.ENCRYPTION) for each in (first, second)]
        self.assertEqual([each and each.name for each in chosen], ["aes-256-gcm", "chacha20-poly1305"])
        # The old one stands until its links have moved.
        self.assertIsNotNone(node.node.usable(first.spi_in, node.now()))

    def test_a_counter_offer_within_a_renewal(self) -> None:
        node, home, _ = self.begun(BOTH, BOTH)
        peer = home.node.peers[NODE]
        home.node.peers._peers[NODE] = evolve(peer, terms=evolve(peer.terms, policy=CHACHA))
        ours = node.node.peers[HOME]
        node.node._seeking._wanted[HOME].peer = evolve(ours, terms=evolve(ours.terms, policy=evolve(BOTH, open_with=1)))
        node.rekey(home)
        self.network.run()
        self.assertEqual(self.since()[:4], ["OFFER 1 -->", "<-- COUNTER 1", "OFFER 2 -->", "<-- CHOICE 2"])
        self.assertConversation(node, home)

    def test_what_cannot_be_is_said(self) -> None:
        node, home = self.pair()
        for host, peer, why in (
            (node, HOME, "there is no association with home@example.org to renew"),
            (node, "who@example.org", "who@example.org is not among the peers"),
        ):
            error = self.assertRaises(Unfeasible, host.node.rekey, peer, host.now())
            self.assertIn(why, str(error))
        node.want(home)
        error = self.assertRaises(Unfeasible, node.node.rekey, HOME, node.now())
        self.assertIn("there is no association", str(error))
        self.established(node, home)
        node.rekey(home)
        error = self.assertRaises(Unfeasible, node.node.rekey, HOME, node.now())
        self.assertIn("is under way already", str(error))

    def test_a_responder_that_was_restarted_does_not_know_where_to_ask(self) -> None:
        node, home, _ = self.begun()
        home.restart()
        error = self.assertRaises(Unfeasible, home.node.rekey, NODE, home.now())
        self.assertIn("was not heard from since this daemon started", str(error))
        node.rekey(home)
        self.network.run()
        self.assertConversation(node, home)


class FallBackTests(RekeyCase):
    def test_a_responder_that_lost_its_state_says_so_and_KEY_0_serves(self) -> None:
        node, home, first = self.begun()
        home.store.associations.clear()
        home.restart()
        node.rekey(home)
        self.network.run(3)
        self.assertEqual(self.since()[:4], ["OFFER 1 -->", "<-- UNKNOWN", "OFFER 1 -->", "<-- CHOICE 1"])
        second = self.assertConversation(node, home)
        self.assertEqual((second.replaces, first.root), (0, second.root))

    def test_silence_leads_to_KEY_0_as_well(self) -> None:
        node, home, first = self.begun()
        self.network.faults = [on("CHOICE", lose, 5)]
        node.rekey(home)
        self.network.run(14)
        self.network.faults = []
        self.assertEqual(len(node.told(NegotiationFailed)), 1)
        self.assertEqual((node.gone, node.unavailable), ([], []))
        self.network.run(40)
        second = self.assertConversation(node, home)
        self.assertEqual(second.replaces, 0)
        self.assertIsNotNone(node.node.usable(first.spi_in, node.now()))

    def test_a_forged_hint_costs_one_exchange_and_no_association(self) -> None:
        node, home, first = self.begun()
        node.rekey(home)
        request = self.network.sent[-1].octets
        node.receive(bytes((255, 0x11, 0, 14)) + request[4:16], Path("203.0.113.1", 9))
        self.network.run(3)
        self.assertConversation(node, home)
        self.assertIsNotNone(node.node.usable(first.spi_in, node.now()))

    def test_another_KEY_0_ends_associations_at_the_next_start(self) -> None:
        node, home, first = self.begun()
        node.rekey(home)
        self.network.run()
        home.knows(node, AES, key=bytes(32))
        home.restart()
        self.network.run()
        self.assertEqual((len(home.node.associations), len(home.store.associations)), (0, 0))
        self.assertIsNotNone(first)


class SimultaneousTests(RekeyCase):
    def test_the_lowest_nonce_loses_at_both_ends(self) -> None:
        roles = set()
        for seed in range(12):
            self.anew()
            self.network.seed = seed
            node, home = self.pair()
            first = self.established(node, home)
            node.rekey(home)
            home.rekey(node)
            self.network.run()
            node.retire(first)
            self.network.run()
            stays = node.node.associations.newest(HOME)
            if stays is None:
                self.fail("none is left")
            roles.add(stays.role)
            self.assertEqual([each.spi_in for each in node.node.associations], [stays.spi_in])
            self.assertEqual(node.ready[-1].spi_in, stays.spi_in)
            theirs = home.node.associations.get(stays.spi_out)
            self.assertEqual(theirs and theirs.keys, stays.keys)
            lost = [each for each in home.told(AssociationEnded) + node.told(AssociationEnded) if "both" in each.why]
            self.assertEqual(len(lost), 2)
        self.assertEqual(len(roles), 2, "each end wins some")

    def test_a_lost_proof_costs_no_further_exchange(self) -> None:
        for seed in range(8):
            self.anew()
            self.network.seed = seed
            node, home = self.pair()
            self.established(node, home)
            self.network.faults = [on("CONFIRMED", lose)]
            node.rekey(home)
            home.rekey(node)
            self.network.run(20)
            offers = [each for each in self.network.arrows() if "OFFER" in each]
            self.assertEqual(len(offers), 3)
            self.assertEqual((len(node.node.associations), len(home.node.associations)), (2, 2))

    def test_whatever_is_lost_there_is_one_in_the_end(self) -> None:
        for number, message in enumerate(("OFFER", "CHOICE", "CONFIRM", "CONFIRMED", "DELETE", "DELETED") * 2):
            self.anew()
            self.network.seed = number
            node, home = self.pair()
            self.established(node, home)
            self.network.faults = [on(message, lose, 1 + number % 2)]
            node.rekey(home)
            home.rekey(node)
            self.network.run(90)
            ours = node.node.associations.newest(HOME)
            theirs = ours and home.node.associations.get(ours.spi_out)
            self.assertEqual(theirs and theirs.keys, ours and ours.keys, message)
            self.assertIsNotNone(theirs, message)


class DeletionTests(RekeyCase):
    def test_down_ends_it_at_both_ends(self) -> None:
        node, home, first = self.begun()
        node.down(home)
        self.network.run()
        self.assertEqual(self.since(), ["DELETE -->", "<-- DELETED"])
        self.assertTold(node, AssociationEnded, spi_in=first.spi_in, why="ended by an operator")
        self.assertTold(home, AssociationEnded, spi_in=first.spi_out, why="deleted by the peer: ended by an operator")
        self.assertEqual([each.association.spi_in for each in home.gone], [first.spi_out])
        self.assertEqual((len(node.store.associations), len(home.store.associations)), (0, 0))
        self.network.run(3600)
        self.assertEqual(self.since(), ["DELETE -->", "<-- DELETED"], "it is not wanted any more")
        self.established(node, home)

    def test_what_a_link_says_is_gone_vouches_for_nothing_more(self) -> None:
        node, home, first = self.begun()
        home.store.associations.clear()
        home.restart()
        node.lost(first)
        self.network.run(3)
        self.assertTold(node, AssociationEnded, spi_in=first.spi_in, why="the peer says that it is gone")
        self.assertEqual(self.since()[:2], ["OFFER 1 -->", "<-- CHOICE 1"])
        second = self.assertConversation(node, home)
        self.assertEqual(second.replaces, 0)

    def test_where_the_responder_ends_it_the_initiator_begins_anew(self) -> None:
        node, home, first = self.begun()
        home.down(node)
        self.network.run(3)
        self.assertEqual(self.since()[:3], ["<-- DELETE", "DELETED -->", "OFFER 1 -->"])
        second = self.assertConversation(node, home)
        self.assertNotEqual(second.spi_in, first.spi_in)

    def test_a_lost_DELETE_is_repeated(self) -> None:
        node, home, _ = self.begun()
        self.network.faults = [on("DELETE", lose)]
        node.down(home)
        self.network.run(2)
        self.assertEqual(self.since(), ["DELETE -->", "DELETE -->", "<-- DELETED"])

    def test_after_a_lost_DELETED_the_copy_finds_nothing(self) -> None:
        node, home, _ = self.begun()
        self.network.faults = [on("DELETED", lose)]
        node.down(home)
        self.network.run(2)
        self.assertEqual(self.since(), ["DELETE -->", "<-- DELETED", "DELETE -->", "<-- UNKNOWN"])
        self.assertEqual(node.counters["asking"], 0)

    def test_DELETED_waits_until_the_deletion_is_durable(self) -> None:
        node, home, _ = self.begun()
        home.hold_commits()
        node.down(home)
        self.network.run(0.3)
        self.assertEqual(self.since(), ["DELETE -->"])
        home.release_commits()
        self.network.run(0.1)
        self.assertEqual(self.since(), ["DELETE -->", "<-- DELETED"])

    def test_a_deletion_that_cannot_be_stored_is_not_said_to_be(self) -> None:
        node, home, first = self.begun()
        home.commit_faults = {len(home.units) + 1: "the disk is full"}
        node.down(home)
        self.network.run(5)
        self.assertEqual(self.since(), ["DELETE -->", "DELETE -->", "<-- UNKNOWN"])
        self.assertIsNone(home.node.associations.get(first.spi_out))

    def test_nobody_is_told_for_ever(self) -> None:
        node, home, _ = self.begun()
        home.stop()
        node.down(home)
        self.network.run(60)
        self.assertLessEqual(len(self.since()), 8)
        self.assertEqual(node.counters["asking"], 0)

    def test_down_lets_go_of_a_negotiation_under_way(self) -> None:
        node, home = self.pair()
        home.stop()
        node.want(home)
        node.down(home)
        self.network.run(60)
        self.assertArrows("OFFER 1 -->")

    def test_down_while_the_association_is_being_stored(self) -> None:
        node, home = self.pair()
        node.hold_commits()
        node.want(home)
        self.network.run()
        node.down(home)
        node.release_commits()
        self.network.run(5)
        self.assertEqual((len(node.node.associations), len(node.store.associations)), (0, 0))
        self.assertEqual(len(home.node.associations), 0)

    def test_nobody_else_can_delete(self) -> None:
        node, home, first = self.begun()
        node.down(home)
        genuine = self.network.sent[-1].octets
        self.network.faults = []
        for place in range(len(genuine)):
            for target, source in ((home, node.path), (node, home.path)):
                target.receive(genuine[:place] + bytes((genuine[place] ^ 1,)) + genuine[place + 1 :], source)
                self.assertIsNotNone(home.node.associations.get(first.spi_out))

    def test_a_DELETE_sent_back_deletes_nothing(self) -> None:
        node, home, first = self.begun()
        node.down(home)
        request = self.network.sent[-1].octets
        node.receive(request, home.path)
        self.assertIsNotNone(home.node.associations.get(first.spi_out))


class ProbeTests(RekeyCase):
    def test_an_association_without_links_is_asked_after(self) -> None:
        node, _, first = self.begun(ONLY_AUTHENTICATION, ONLY_AUTHENTICATION)
        self.network.run(2 * PROBE_EVERY + 1)
        self.assertEqual(self.since(), ["PROBE -->", "<-- PRESENT"] * 2)
        self.assertEqual(list(node.node.associations), [first])

    def test_one_with_links_is_not(self) -> None:
        self.begun()
        self.network.run(5 * PROBE_EVERY)
        self.assertEqual(self.since(), [])

    def test_a_dead_peer_is_noticed_and_negotiated_with_anew(self) -> None:
        node, home, first = self.begun(ONLY_AUTHENTICATION, ONLY_AUTHENTICATION)
        home.stop()
        self.network.run(PROBE_EVERY + 12)
        self.assertTold(node, AssociationEnded, spi_in=first.spi_in, why="the peer does not answer")
        home.start()
        self.network.run(60)
        self.assertConversation(node, home)

    def test_a_peer_that_lost_its_state_is_noticed_and_negotiated_with_anew(self) -> None:
        node, home, _ = self.begun(ONLY_AUTHENTICATION, ONLY_AUTHENTICATION)
        home.store.associations.clear()
        home.restart()
        self.network.run(PROBE_EVERY + 3)
        self.assertEqual(self.since()[:4], ["PROBE -->", "<-- UNKNOWN", "OFFER 1 -->", "<-- CHOICE 1"])
        self.assertConversation(node, home)

    def test_no_octet_of_a_probe_or_its_answer_can_be_altered(self) -> None:
        node, home, _ = self.begun(ONLY_AUTHENTICATION, ONLY_AUTHENTICATION)
        self.network.run_until(lambda: self.since() == ["PROBE -->", "<-- PRESENT"], within=60)
        probe, present = (sent.octets for sent in self.network.sent[-2:])
        for genuine, host, source in ((probe, home, node.path), (present, node, home.path)):
            for place in range(len(genuine)):
                said = len(self.network.sent)
                host.receive(genuine[:place] + bytes((genuine[place] ^ 1,)) + genuine[place + 1 :], source)
                self.assertNotIn("PRESENT", " ".join(self.network.arrows()[said:]), place)


class ExportTests(RekeyCase):
    def test_both_ends_export_the_same_until_the_next_renewal(self) -> None:
        node, home, _ = self.begun()
        ours = node.node.export(HOME, b"label", b"context", 48)
        self.assertEqual(ours, home.node.export(NODE, b"label", b"context", 48))
        self.assertEqual(len(ours), 48)
        others = [
            node.node.export(HOME, b"label", b"context", 32),
            node.node.export(HOME, b"label", b"other", 48),
            node.node.export(HOME, b"other", b"context", 48),
        ]
        node.rekey(home)
        self.network.run()
        others.append(node.node.export(HOME, b"label", b"context", 48))
        self.assertEqual(others[-1], home.node.export(NODE, b"label", b"context", 48))
        self.assertNotIn(ours, others)
        self.assertNotIn(ours, [Secret(each.octets[:48]) for each in others])

    def test_short_exports_are_refused(self) -> None:
        node, _, _ = self.begun()
        self.assertRaises(ApiMisuse, node.node.export, HOME, b"label", b"", 31)

    def test_without_an_association_there_is_none(self) -> None:
        node, _ = self.pair()
        self.assertRaises(Unfeasible, node.node.export, HOME, b"label", b"", 32)
        self.assertRaises(Unfeasible, node.node.export, "who@example.org", b"label", b"", 32)
