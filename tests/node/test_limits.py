"""Full tables: what gives way, what is refused, and that room comes again."""

from __future__ import annotations

from attrs import evolve

from seckex.events import AssociationEstablished, MessageDropped, NegotiationFailed, NegotiationRefused
from seckex.node.limits import Limits
from seckex.sa.policy import Policy
from seckex.wire.numbers import Code
from tests.conversation import AES, CHACHA, HOME, ConversationCase, policy, sealing
from tests.exchange.test_faults import TWO_ROUNDS
from tests.link import lose, on
from tests.pump import CALM, Host


class LimitTests(ConversationCase):
    def crowd(self, number: int, limits: Limits, ours: Policy = AES) -> tuple[list[Host], Host]:
        """Return initiators with a KEY 0 each, and a responder that knows them all."""
        home = self.network.host(HOME, evolve(limits, flood=CALM))
        nodes = [self.network.host(f"node-{count}@example.net") for count in range(number)]
        for count, node in enumerate(nodes):
            node.knows(home, ours, spi=0x1000 + count)
            home.knows(node, AES, spi=0x1000 + count)
        for host in (home, *nodes):
            host.start()
        return nodes, home

    def refused(self, node: Host, home: Host, table: str) -> None:
        """Check that ``node`` is refused by a full table, at both ends."""
        said = len(self.network.sent)
        node.want(home)
        self.network.run(0.3)
        # OFFER 1 -->
        # <-- REFUSAL 1
        self.assertEqual([d.label for d in self.network.sent[said:]], ["OFFER 1", "REFUSAL 1"])
        why = f"the table of {table} is full; try later"
        for host in (node, home):
            event = host.told(NegotiationRefused)[-1]
            self.assertEqual((event.by, event.code, event.reason), (home.nai, Code.INSUFFICIENT_RESOURCES, why))

    def test_half_open_exchanges_give_way_to_younger_ones(self) -> None:
        nodes, home = self.crowd(4, Limits(half_open=3), CHACHA)
        self.network.faults = [on("ABANDON", lose, times=1000)]
        for node in nodes:
            node.want(home)
            self.network.run(0.1)
            node.stop()
        # OFFER 1 -->
        # <-- COUNTER 1   to each of four
        self.assertEqual(home.counters["half-open"], 3)
        self.assertEqual([key[0] for key in home.node._answering.half_open._entries], [0x1001, 0x1002, 0x1003])

    def test_whoever_had_to_give_way_begins_anew(self) -> None:
        nodes, home = self.crowd(2, Limits(half_open=1), TWO_ROUNDS)
        self.network.faults = [on("OFFER 2", lose)]
        nodes[0].want(home)
        self.network.run(0.1)
        nodes[1].want(home)
        # OFFER 1 -->      of the second
        # <-- COUNTER 1    whose exchange takes the place of the first's
        self.network.run(0.1)
        self.assertConversation(nodes[1], home)
        # OFFER 2 -->      of the first, which cannot be verified any more, and so on until it begins anew
        self.network.run(60)
        self.assertConversation(nodes[0], home)

    def test_a_full_table_of_unconfirmed_associations_refuses(self) -> None:
        nodes, home = self.crowd(3, Limits(unconfirmed=2))
        self.network.faults = [on("CONFIRM", lose, times=1000)]
        for node in nodes[:2]:
            node.want(home)
            self.network.run(0.1)
        self.refused(nodes[2], home, "unconfirmed associations")
        self.network.faults = []
        self.network.run(30)
        for node in nodes:
            self.assertConversation(node, home)

    def test_a_full_table_of_associations_refuses_and_none_gives_way(self) -> None:
        nodes, home = self.crowd(3, Limits(associations=2))
        for node in nodes[:2]:
            self.established(node, home)
        self.refused(nodes[2], home, "associations")
        for node in nodes[:2]:
            self.assertConversation(node, home)
        # Once one has expired there is room.
        nodes[0].stop()
        nodes[1].stop()
        self.network.run(3700)
        self.assertConversation(nodes[2], home)

    def test_a_full_table_of_replay_records_refuses_and_forgets_none(self) -> None:
        nodes, home = self.crowd(3, Limits(replay_records=2))
        for node in nodes[:2]:
            self.established(node, home)
        self.refused(nodes[2], home, "replay records")
        self.assertEqual(home.counters["replay-records"], 2)
        # What was answered is still answered.
        offer = self.network.sent[0]
        home.receive(offer.octets, offer.source)
        self.assertEqual(self.network.sent[-1].label, "CHOICE 1")
        self.network.run(700)
        self.assertConversation(nodes[2], home)

    def test_what_is_still_being_stored_takes_its_place_already(self) -> None:
        for limits, table in (
            (Limits(replay_records=2), "replay records"),
            (Limits(associations=2), "associations"),
            (Limits(unconfirmed=2), "unconfirmed associations"),
        ):
            self.anew()
            nodes, home = self.crowd(3, limits)
            home.hold_commits()
            for node in nodes[:2]:
                node.want(home)
                self.network.run(0.1)
            self.refused(nodes[2], home, table)
            nodes[2].stop()
            home.release_commits()
            self.network.run(2)
            self.assertEqual(len(home.told(AssociationEstablished)), 2)

    def test_no_record_is_made_of_a_refusal_by_a_full_table(self) -> None:
        nodes, home = self.crowd(1, Limits(associations=0))
        nodes[0].want(home)
        self.network.run(100)
        self.assertGreater(len(home.told(NegotiationRefused)), 3)
        self.assertEqual((home.counters["replay-records"], home.units), (0, home.units[:1]))

    def test_the_same_offer_is_accepted_once_there_is_room(self) -> None:
        nodes, home = self.crowd(2, Limits(unconfirmed=1))
        self.network.faults = [on("CONFIRM", lose), on("REFUSAL", lose)]
        nodes[0].want(home)
        self.network.run(0.1)
        nodes[1].want(home)
        # OFFER 1 -->
        # <-- REFUSAL 1   lost
        # CONFIRM -->     of the first, whose place is free then
        # OFFER 1 -->     the same octets again
        # <-- CHOICE 1
        self.network.run(4)
        for node in nodes:
            self.assertConversation(node, home)

    def test_a_flood_of_strangers_takes_no_place(self) -> None:
        node, home = self.pair(policy(sealing("aes-256-gcm")))
        self.network.faults = [lose]
        node.want(home)
        offer = self.network.last("OFFER").octets
        before = home.tables()
        for number in range(2000):
            home.receive(offer[:-4] + number.to_bytes(4, "big"), node.path)
        self.assertEqual(home.tables(), before)
        self.assertEqual(home.counters["dropped.unauthenticated"], 2000)
        self.assertLessEqual(len(home.told(MessageDropped)), 10)
        self.network.faults = []
        self.network.run(2)
        self.assertConversation(node, home)
        self.assertEqual(node.told(NegotiationFailed), [])
