"""Having an association with every wanted peer: renewal before it expires, expiry, replacement, and restarts."""

from __future__ import annotations

from seckex.errors import Unfeasible
from seckex.events import AssociationEnded, AssociationEstablished, NegotiationFailed
from seckex.machine import Path
from seckex.node.limits import Peer
from seckex.node.node import PURGE_EVERY
from seckex.sa.store import DeleteAssociation, Purge
from tests.conversation import AES, HOME, NODE, ConversationCase, policy, sealing
from tests.link import lose, on
from tests.pump import Host

LIFETIME = 1000
THOUSAND = policy(sealing("aes-256-gcm", lifetime=LIFETIME))


class RenewalTests(ConversationCase):
    def begun(self, seed: int = 1, *, lazy: bool = False) -> tuple[Host, Host]:
        """Return both ends of an association that lives for a thousand seconds."""
        self.anew()
        self.network.seed = seed
        node, home = self.pair(THOUSAND, THOUSAND)
        node.lazy = home.lazy = lazy
        self.established(node, home)
        return node, home

    def test_an_association_is_renewed_at_80_to_90_percent_of_its_life(self) -> None:
        times = set()
        for seed in range(8):
            for lazy in (False, True):
                node, home = self.begun(seed, lazy=lazy)
                first, created = node.ready[0], self.network.monotonic - 1
                self.network.run_until(lambda node=node: len(node.ready) == 2, within=LIFETIME)  # type: ignore[misc]  # bound
                at = self.network.monotonic - created
                self.assertTrue(0.8 * LIFETIME <= at <= 0.9 * LIFETIME + 1, at)
                times.add(round(at))
                self.network.run()
                self.assertConversation(node, home)
                # The old one goes on until it expires.
                self.assertIsNotNone(node.node.usable(first.spi_in, node.now()))
                self.assertIsNotNone(home.node.usable(first.spi_out, home.now()))
                self.assertNotEqual(node.ready[1].keys, first.keys)
        self.assertGreater(len(times), 5)

    def test_an_association_ends_with_its_lifetime(self) -> None:
        node, home = self.begun()
        first = node.ready[0]
        self.network.run(LIFETIME - 2)
        self.assertEqual((node.gone, home.gone), ([], []))
        self.network.run(2)
        for host, peer, spi in ((node, home, first.spi_in), (home, node, first.spi_out)):
            self.assertTold(host, AssociationEnded, peer=peer.nai, spi_in=spi, why="its lifetime is over")
            self.assertEqual(
                [(gone.association.spi_in, gone.why) for gone in host.gone], [(spi, "its lifetime is over")]
            )
            self.assertIsNone(host.node.usable(spi, host.now()))
            self.assertEqual(len(host.node.associations), 1)
        # What has expired is purged from the stores within a minute.
        self.network.run(PURGE_EVERY)
        self.assertEqual((len(node.store.associations), len(home.store.associations)), (1, 1))

    def test_there_is_an_association_at_every_moment(self) -> None:
        node, home = self.begun()
        for _ in range(500):
            self.network.run(10)
            ours = node.ready[-1]
            self.assertIsNotNone(node.node.usable(ours.spi_in, node.now()))
            self.assertIsNotNone(home.node.usable(ours.spi_out, home.now()))
            self.assertLessEqual(len(home.node.associations), 2)
        self.assertGreaterEqual(len(node.ready), 5)

    def test_a_renewal_that_fails_is_tried_again(self) -> None:
        node, home = self.begun()
        home.stop()
        self.network.run(LIFETIME - 20)
        # OFFER 1 -->   and again, and again
        self.assertGreaterEqual(len(node.told(NegotiationFailed)), 1)
        self.assertEqual((node.gone, node.unavailable), ([], []), "the old one is still there")
        home.start()
        self.network.run(120)
        self.assertConversation(node, home)

    def test_where_it_never_succeeds_the_association_ends(self) -> None:
        node, home = self.begun()
        home.stop()
        self.network.run(LIFETIME + 1)
        self.assertEqual([gone.why for gone in node.gone], ["its lifetime is over"])
        self.assertEqual(len(node.node.associations), 0)
        home.start()
        self.network.run(120)
        self.assertConversation(node, home)

    def test_a_hint_may_ask_for_another(self) -> None:
        for lazy in (False, True):
            node, home = self.begun(lazy=lazy)
            node.renew(hinted=True)
            self.network.run(0.9)
            self.assertEqual(len(node.ready), 1)
            self.network.run(1)
            self.assertEqual(len(node.ready), 2)
            self.assertConversation(node, home)

    def test_asking_while_it_is_under_way_or_for_an_old_one_is_nothing(self) -> None:
        node, home = self.begun()
        first = node.ready[0]
        node.renew(hinted=True)
        self.network.faults = [on("OFFER", lose)]
        self.network.run(1.1)
        # OFFER 1 -->   lost
        node.renew(hinted=True)
        self.network.run(5)
        self.assertEqual(len(node.ready), 2)
        node.node.renew(first, node.now(), hinted=True)
        home.node.renew(first, home.now(), hinted=True)
        self.network.run(60)
        self.assertEqual(len(node.ready), 2)

    def test_hints_again_and_again_begin_no_more_than_once_a_minute(self) -> None:
        node, _ = self.begun()
        for _ in range(130):
            node.renew(hinted=True)
            self.network.run(1)
        self.assertEqual(len(node.ready), 4)

    def test_a_worn_out_one_is_replaced_at_once(self) -> None:
        node, home = self.begun()
        for count in range(2, 5):
            node.renew(hinted=False)
            self.network.run(0.1)
            self.assertEqual(len(node.ready), count)
        self.assertConversation(node, home)

    def test_what_was_replaced_is_forgotten_when_its_links_are_done(self) -> None:
        node, home = self.begun()
        first = node.ready[0]
        node.retire(first)
        self.assertEqual(node.gone, [], "the newest stays")
        node.renew()
        self.network.run(3)
        node.retire(first)
        why = "replaced by a newer one"
        self.assertEqual([(gone.association.spi_in, gone.why) for gone in node.gone], [(first.spi_in, why)])
        self.assertTold(node, AssociationEnded, spi_in=first.spi_in, why=why)
        self.assertEqual(node.units[-1], (DeleteAssociation(first.spi_in),))
        node.retire(first)
        self.assertEqual(len(node.gone), 1)
        self.network.run(LIFETIME)
        self.assertEqual([gone.why for gone in node.gone][:1], [why])
        self.assertNotIn(first.spi_in, [gone.association.spi_in for gone in node.gone[1:]])
        self.assertConversation(node, home)

    def test_a_clock_that_goes_back_does_not_put_off_a_renewal(self) -> None:
        for years in (0, 10):
            node, home = self.begun()
            node.skew = -years * 365 * 86400.0
            node.restart()
            self.network.run(LIFETIME)
            self.assertGreaterEqual(len(node.ready), 3)
            self.assertConversation(node, home)


class RestartTests(ConversationCase):
    def test_an_association_of_before_the_restart_is_renewed_in_time(self) -> None:
        node, home = self.pair(THOUSAND, THOUSAND)
        ours = self.established(node, home)
        self.network.run(LIFETIME / 2)
        node.restart()
        self.assertEqual(node.ready[1].keys, ours.keys)
        self.network.run(0.4 * LIFETIME + 5)
        self.assertEqual(len(node.ready), 3)
        self.assertConversation(node, home)

    def test_one_that_should_have_been_renewed_meanwhile_is_renewed_at_once(self) -> None:
        node, home = self.pair(THOUSAND, THOUSAND)
        self.established(node, home)
        node.stop()
        self.network.run(0.95 * LIFETIME)
        node.start()
        self.network.run()
        self.assertEqual(len(node.ready), 3)

    def test_an_expired_one_is_not_taken_up(self) -> None:
        node, home = self.pair(THOUSAND, THOUSAND)
        self.established(node, home)
        for host in (node, home):
            host.stop()
        self.network.run(LIFETIME + 1)
        home.start()
        self.assertEqual(len(home.node.associations), 0)
        node.start()
        self.network.run()
        self.assertConversation(node, home)

    def test_one_with_a_bound_on_octets_is_not_taken_up(self) -> None:
        bounded = policy(sealing("aes-256-gcm", mebioctets=5))
        node, home = self.pair(bounded, bounded)
        ours = self.established(node, home)
        node.restart()
        home.restart()
        # What it has carried is not known any more, so there is a new one.
        self.network.run()
        self.assertIn((DeleteAssociation(ours.spi_in),), node.units)
        self.assertIn((DeleteAssociation(ours.spi_out),), home.units)
        self.assertConversation(node, home)
        self.assertEqual((len(node.store.associations), len(home.store.associations)), (1, 1))

    def test_one_with_a_peer_that_is_not_configured_any_more_is_not_taken_up(self) -> None:
        node, home = self.pair()
        ours = self.established(node, home)
        home.peers.clear()
        home.restart()
        self.network.run()
        self.assertEqual((len(home.node.associations), len(home.store.associations)), (0, 0))
        self.assertEqual(home.units[-1], (DeleteAssociation(ours.spi_out),))

    def test_of_several_the_newest_is_used_whatever_the_clock_said(self) -> None:
        node, home = self.pair()
        node.skew = home.skew = 1800
        self.established(node, home)
        node.skew = home.skew = 0
        node.renew()
        self.network.run(3)
        newest = self.assertConversation(node, home)
        self.assertEqual(len(node.store.associations), 2)
        node.restart()
        self.assertEqual(node.ready[-1].keys, newest.keys)

    def test_an_association_serves_the_other_end_as_well(self) -> None:
        node, home = self.pair()
        self.established(node, home)
        said = len(self.network.sent)
        home.want(node)
        self.network.run()
        self.assertEqual(self.network.arrows()[said:], [])
        self.assertEqual(home.ready, list(home.node.associations))

    def test_the_store_is_purged_once_a_minute(self) -> None:
        for lazy in (False, True):
            self.anew()
            _, home = self.pair()
            home.lazy = lazy
            self.network.run(10 * PURGE_EVERY + 1)
            self.assertEqual([type(unit[0]) for unit in home.units], [Purge] * 10)


class WantingTests(ConversationCase):
    def test_a_peer_is_wanted_once(self) -> None:
        node, home = self.pair()
        self.established(node, home)
        node.want(home)
        self.network.run(10)
        self.assertEqual(len(node.told(AssociationEstablished)), 1)

    def test_a_peer_that_only_asks_cannot_be_wanted(self) -> None:
        node, home = self.pair()
        home.peers[NODE] = Peer(home.peers[NODE].terms, None)
        home.restart()
        error = self.assertRaises(Unfeasible, home.want, node)
        self.assertIn("no address of node@example.net is configured here", str(error))
        home.wanted.clear()
        self.network.run(5)
        self.assertArrows()
        self.established(node, home)

    def test_the_answer_may_come_from_another_address(self) -> None:
        node, home = self.pair()
        node.want(home)
        # OFFER 1 -->
        # <-- CHOICE 1   by another way: it is its MAC that is believed
        self.network.faults = [on("CHOICE", lose)]
        self.network.run(0.1)
        node.receive(self.network.last("CHOICE").octets, Path("203.0.113.1", 9))
        self.network.run()
        self.assertConversation(node, home)

    def test_several_peers_are_wanted_at_once(self) -> None:
        node = self.network.host(NODE)
        homes = [self.network.host(f"{number}.{HOME}") for number in range(5)]
        for number, home in enumerate(homes):
            node.knows(home, AES, spi=0x2000 + number)
            home.knows(node, AES, spi=0x2000 + number)
            home.start()
        homes[2].stop()
        node.start()
        node.lazy = True
        for home in homes:
            node.want(home)
        self.network.run(3)
        self.assertEqual(
            {association.peer for association in node.ready}, {home.nai for home in homes} - {homes[2].nai}
        )
        homes[2].start()
        self.network.run(30)
        for home in homes:
            self.assertConversation(node, home)
