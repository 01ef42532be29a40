"""Centers: which nodes there are, who issues keys, and what happens when one does not."""

from __future__ import annotations

from attrs import evolve

from seckex.crypto.registration import provisioned
from seckex.crypto.secrets import Secret
from seckex.events.home_agent import CenterPassedOver, CentersSilent, NodeEnded, NodeRevoked, NodesTaken
from seckex.roles.home_agent import Limits
from seckex.roles.home_agent.nodes import KnownNode
from seckex.roles.home_agent.serving import KEYS_WITHIN
from seckex.wire import hop
from seckex.wire.extensions import Detail
from seckex.wire.keying import KeyMaterial, NodeEntries, NodeEntry
from seckex.wire.numbers import Code, Keying
from tests.roles.home_agent.parts import AGENT, HOME, KDC, KDC2, NODE, OTHER, Center, Node, Table


class IssuingTests(Table):
    def setUp(self) -> None:
        super().setUp()
        self.centers[KDC2] = Center(dict(self.centers[KDC].nodes))
        self.start(keying=Keying.STATEFUL)
        self.first, self.second = self.centers.values()

    def counts(self) -> tuple[int, int]:
        """Return how often each was asked for keys."""
        return len(self.first.requests), len(self.second.requests)

    def test_the_first_is_asked_first(self) -> None:
        self.register()
        self.assertEqual(self.counts(), (1, 0))

    def test_one_that_cannot_be_reached_gives_way(self) -> None:
        self.first.unreachable = True
        self.assertEqual(self.register()[1].answer.code, 0)
        self.assertEqual(self.counts(), (0, 1))
        self.assertEqual(self.told(CenterPassedOver)[0].center, KDC)
        # For a while the other one is asked first, so that nobody waits.
        self.first.unreachable = False
        self.register()
        self.assertEqual(self.counts(), (0, 2))
        self.wait(11)
        self.register()
        self.assertEqual(self.counts(), (1, 2))

    def test_one_that_says_nothing_gives_way_in_time(self) -> None:
        self.first.silent = True
        request = self.request()
        relayed = self.agent.relay(request.octets)
        self.assertEqual(self.relay(relayed.octets), [])
        before = len(self.said)
        self.wait(KEYS_WITHIN + 0.1)
        heard = [hop.decode_hop(each.octets) for each in self.said[before:] if each.neighbour == AGENT]
        self.assertEqual(self.read(request, relayed, heard).answer.code, 0)
        self.assertEqual(self.counts(), (0, 1))

    def test_one_that_cannot_store_gives_way(self) -> None:
        self.first.refuses = Detail(Code.INSUFFICIENT_RESOURCES, 0, 0, "the disk is full")
        self.assertEqual(self.register()[1].answer.code, 0)
        self.assertEqual(self.counts(), (1, 1))

    def test_one_that_does_not_know_the_node_yet_gives_way(self) -> None:
        self.first.refuses = Detail(Code.UNKNOWN_NODE, 0, 0, "nobody of that name")
        self.assertEqual(self.register()[1].answer.code, 0)
        self.second.refuses = self.first.refuses
        _, found = self.register()
        self.code_of(found, Code.UNKNOWN_NODE, "nobody of that name")

    def test_what_is_the_nodes_own_is_not_asked_twice(self) -> None:
        for code in (Code.DISABLED_NODE, Code.WRONG_KEY_VERSION, Code.BAD_LIFETIME):
            self.first.refuses = Detail(code, 0, 0, "no")
            self.wait(11)
            _, found = self.register()
            self.code_of(found, code, f"{KDC}: no")
        self.assertEqual(self.counts(), (3, 0))

    def test_without_any_it_is_refused(self) -> None:
        self.first.unreachable = self.second.unreachable = True
        _, found = self.register()
        self.code_of(found, Code.KDC_UNREACHABLE, "nobody is there")

    def test_to_deregister_no_center_is_needed(self) -> None:
        self.register()
        self.first.unreachable = self.second.unreachable = True
        self.assertEqual(self.register(lifetime=0)[1].answer.code, 0)

    def test_keys_of_another_mode_are_none(self) -> None:
        def answer(message: hop.HopMessage) -> hop.HopMessage:
            return hop.Issued(message.identification, KeyMaterial(Keying.SEMI_STATEFUL, (bytes(32),)))

        self.first.errs = answer
        self.assertEqual(self.register()[1].answer.code, 0)
        self.assertEqual(self.counts(), (0, 1))

    def waiting(self) -> int:
        """Have a registration wait for keys; return the Identification of the question."""
        self.first.silent = True
        self.assertEqual(self.relay(self.agent.relay(self.request().octets).octets), [])
        asked = hop.decode_hop(self.said[-1].octets)
        assert isinstance(asked, hop.Keys)
        return asked.identification

    def test_only_who_was_asked_is_heard_and_only_once(self) -> None:
        number = self.waiting()
        material = KeyMaterial(Keying.STATEFUL, (bytes(32),) * 3)
        self.assertTrue(self.home.awaits(number))
        for neighbour, wrong in ((KDC2, number), (AGENT, number), (KDC, number ^ 1)):
            self.hear(neighbour, hop.Issued(wrong, material))
            self.assertEqual(self.adopted, [])
        self.hear(KDC, hop.Issued(number, material))
        self.assertEqual(len(self.adopted), 1)
        self.hear(KDC, hop.Issued(number, material))
        self.hear(KDC, hop.NotIssued(number, Detail(Code.DISABLED_NODE, 0, 0, "late")))
        self.assertEqual(len(self.adopted), 1)
        self.assertFalse(self.home.awaits(number))

    def test_a_node_that_begins_anew_gives_the_one_before_up(self) -> None:
        older = self.agent.relay(self.request().octets).octets
        number = self.waiting()
        # What has gone by on the way is not heard any more.
        late = self.answered(hop.NotRelayed, self.relay(older))
        self.assertEqual(late.detail.code, Code.FAILED_AUTHENTICATION)
        self.first.silent = False
        heard = self.relay(self.agent.relay(self.request().octets).octets)
        self.assertEqual([type(each) for each in heard], [hop.NotRelayed, hop.Relayed])
        self.hear(KDC, hop.Issued(number, KeyMaterial(Keying.STATEFUL, (bytes(32),) * 3)))
        self.assertEqual(len(self.adopted), 1)

    def test_one_that_is_disabled_meanwhile_gets_nothing(self) -> None:
        self.wait(5)
        number = self.waiting()
        self.first.silent = False
        self.first.nodes[NODE] = self.node.entry(2, enabled=False)
        before = len(self.said)
        self.hear(KDC, hop.Changed(1))
        self.wait(1)
        heard = [hop.decode_hop(each.octets) for each in self.said[before:] if each.neighbour == AGENT]
        self.assertEqual([type(each) for each in heard], [hop.NotRelayed])
        self.hear(KDC, hop.Issued(number, KeyMaterial(Keying.STATEFUL, (bytes(32),) * 3)))
        self.assertEqual(self.adopted, [])
        self.code_of(self.register()[1], Code.DISABLED_NODE)


class SyncTests(Table):
    def nodes(self) -> list[str]:
        """Return who is known."""
        return sorted(node.nai for node in self.home.home.nodes)

    def add(self, nai: str, serial: int) -> Node:
        """Add a node at the center."""
        node = Node.provisioned(nai)
        self.centers[KDC].nodes[nai] = node.entry(serial)
        return node

    def test_at_the_start_and_ever_after(self) -> None:
        self.start()
        self.assertEqual(self.nodes(), [NODE])
        self.assertEqual(self.told(NodesTaken), [NodesTaken(KDC, 1, 1)])
        self.add(OTHER, 2)
        self.wait(2)
        self.assertEqual(self.nodes(), [NODE])
        self.wait(2)
        self.assertEqual(self.nodes(), [NODE, OTHER])

    def test_when_a_center_says_so(self) -> None:
        self.start()
        self.add(OTHER, 2)
        self.wait(2.1)
        self.hear(AGENT, hop.Changed(1))
        self.wait(0.2)
        self.assertEqual(self.nodes(), [NODE])
        self.hear(KDC, hop.Changed(1))
        self.wait(0.1)
        self.assertEqual(self.nodes(), [NODE, OTHER])

    def test_many_in_parts(self) -> None:
        for number in range(2, 12):
            self.add(f"node{number}@example.org", number)
        self.centers[KDC].part = 4
        self.start()
        self.assertEqual(len(self.nodes()), 11)
        self.assertEqual([event.count for event in self.told(NodesTaken)], [4, 4, 3])
        self.start()
        self.assertEqual(len(self.told(NodesTaken)), 3)

    def test_a_node_that_was_deleted_is_gone_with_all_that_it_had(self) -> None:
        self.start()
        _, found = self.register()
        self.centers[KDC].nodes[NODE] = self.node.entry(2, enabled=False, deleted=True, root=bytes(32), chain=bytes(32))
        self.wait(31)
        self.assertEqual((self.nodes(), self.store.associations), ([], {}))
        self.assertEqual([each.spi_in for each in self.released], [found.answer.spi_of_home])
        self.assertIn("was deleted", self.told(NodeEnded)[0].why)
        self.assertEqual(self.home.status(self.now())["nodes"], [])
        self.unheard(self.agent.relay(self.request().octets).octets, Code.FAILED_AUTHENTICATION)
        self.start()
        self.assertEqual(self.nodes(), [])

    def test_a_node_that_was_added_anew_begins_anew(self) -> None:
        self.start()
        self.register()
        fresh = Node.provisioned(NODE, bytes(32))
        changes = {"root": fresh.root.octets, "chain": bytes(32)}
        self.centers[KDC].nodes[NODE] = fresh.entry(2, **changes)
        self.wait(31)
        node = self.home.home.nodes.get(NODE)
        assert node is not None
        self.assertEqual(next(node.credentials).window.base, 0)

    def rotated(self, until: int, serial: int = 2) -> Node:
        """Have the center tell of another KEY 0, the former being taken until then; return the node that has it."""
        fresh = Node.provisioned(NODE, bytes(range(1, 33)), kvno=2)
        root, chain = provisioned(Secret(bytes(range(1, 33))), (NODE, HOME), 2)
        entry = fresh.entry(serial, root=root.octets, chain=chain.octets, until=until)
        self.centers[KDC].nodes[NODE] = entry
        self.wait(31)
        return fresh

    def test_the_former_key_is_taken_until_the_center_says(self) -> None:
        self.start(keying=Keying.STATEFUL)
        self.register()
        fresh = self.rotated(int(self.now().wall) + 300)
        for _ in range(2):
            self.assertEqual(self.register()[1].answer.code, 0)
        self.assertEqual(self.centers[KDC].requests[-1].kvno, 1)
        # A restart changes nothing of it.
        self.start()
        self.assertEqual(self.register()[1].answer.code, 0)
        self.later(300)
        self.code_of(self.register()[1], Code.WRONG_KEY_VERSION)
        self.node = fresh
        self.assertEqual(self.register()[1].answer.code, 0)
        self.assertEqual(self.centers[KDC].requests[-1].kvno, 2)

    def test_a_registration_under_the_new_key_ends_the_former_ones_time(self) -> None:
        self.start()
        self.register()
        old, fresh = self.node, self.rotated(int(self.now().wall) + 300)
        self.node = fresh
        self.assertEqual(self.register()[1].answer.code, 0)
        request = old.request(self.centers[KDC].home_keys[0], self.now())
        self.unheard(self.agent.relay(request.octets).octets, Code.FAILED_AUTHENTICATION)

    def test_the_center_may_end_it_earlier(self) -> None:
        self.start()
        self.register()
        self.rotated(int(self.now().wall) + 300)
        self.assertEqual(self.register()[1].answer.code, 0)
        self.rotated(0, serial=3)
        self.code_of(self.register()[1], Code.WRONG_KEY_VERSION)

    def test_of_who_was_revoked_nothing_stays_but_the_name(self) -> None:
        self.start()
        self.register()
        self.rotated(int(self.now().wall) + 300, serial=2)
        self.centers[KDC].nodes[NODE] = NodeEntry(3, False, False, 3, NODE, bytes(32), bytes(32), revoked=True)
        self.wait(31)
        node = self.home.home.nodes.get(NODE)
        assert node is not None
        self.assertEqual(node, KnownNode(NODE, 3, False, None))
        self.assertEqual(self.store.associations, {})
        self.unheard(self.agent.relay(self.request().octets).octets, Code.FAILED_AUTHENTICATION)
        # Nor is anybody who knows no key but zeros.
        nobody = evolve(self.node, root=Secret(bytes(32)), kvno=3)
        request = nobody.request(self.centers[KDC].home_keys[0], self.now(), fallback=True)
        self.unheard(self.agent.relay(request.octets).octets, Code.FAILED_AUTHENTICATION)
        self.assertEqual(self.told(NodeRevoked), [NodeRevoked(NODE, 1)])
        # Who has another KEY 0 may come back.
        self.node = self.rotated(0, serial=4)
        self.assertEqual(self.register()[1].answer.code, 0)

    def test_what_is_told_again_changes_nothing(self) -> None:
        self.start()
        self.register()
        before = self.home.home.nodes.get(NODE)
        self.centers[KDC].nodes[NODE] = self.node.entry(5)
        self.wait(31)
        after = self.home.home.nodes.get(NODE)
        assert before is not None
        assert after is not None
        self.assertEqual((after.serial, after.current, after.bindings), (5, before.current, before.bindings))
        self.assertEqual(self.register()[1].answer.code, 0)

    def test_nodes_of_others_are_not_ours(self) -> None:
        stranger = Node.provisioned(OTHER)
        self.centers[KDC].nodes[OTHER] = stranger.entry(2, home_agent="home2@example.org")
        self.start()
        self.assertEqual(self.nodes(), [NODE])

    def test_it_waits_for_a_registration_that_is_being_stored(self) -> None:
        self.start()
        self.hold()
        request = self.request()
        relayed = self.agent.relay(request.octets)
        self.relay(relayed.octets)
        self.centers[KDC].nodes[NODE] = self.node.entry(2, enabled=False)
        self.wait(31)
        self.assertEqual(len(self.held or ()), 1)
        self.let_go()
        node = self.home.home.nodes.get(NODE)
        assert node is not None
        self.assertEqual((node.enabled, next(node.credentials).window.base, node.bindings), (False, 1, ()))
        self.assertEqual(len(self.released), 1)
        self.start()
        after = self.home.home.nodes.get(NODE)
        assert after is not None
        self.assertEqual((after.enabled, next(after.credentials).window.base), (False, 1))

    def test_a_registration_waits_for_what_is_told_of_its_node(self) -> None:
        self.start()
        self.centers[KDC].nodes[NODE] = self.node.entry(2, enabled=False)
        self.hold()
        self.wait(31)
        request = self.request()
        relayed = self.agent.relay(request.octets)
        self.assertEqual(self.relay(relayed.octets), [])
        before = len(self.said)
        self.let_go()
        heard = [hop.decode_hop(each.octets) for each in self.said[before:] if each.neighbour == AGENT]
        self.code_of(self.read(request, relayed, heard), Code.DISABLED_NODE)

    def test_an_answer_out_of_order_is_of_no_use(self) -> None:
        other = Node.provisioned(OTHER).entry
        for entries in (
            NodeEntries(2, False, (other(2), self.node.entry(1))),
            NodeEntries(0, True, ()),
        ):
            self.store.records.clear()
            self.reports.clear()

            def answer(message: hop.HopMessage, told: NodeEntries = entries) -> hop.HopMessage:
                return hop.Entries(message.identification, told)

            self.centers[KDC].errs = answer
            self.start()
            self.assertEqual(self.nodes(), [])
            self.assertIn("out of order", self.told(CentersSilent)[0].why)

    def test_more_than_there_is_room_for_are_not_taken(self) -> None:
        self.add(OTHER, 2)
        self.start(limits=Limits(nodes=1))
        self.assertEqual(self.nodes(), [])
        self.assertIn("more than 1 nodes", self.told(CentersSilent)[0].why)
        self.start(limits=Limits(nodes=2))
        self.assertEqual(self.nodes(), [NODE, OTHER])

    def test_the_next_center_tells_as_well(self) -> None:
        self.centers[KDC2] = Center(dict(self.centers[KDC].nodes))
        self.centers[KDC].unreachable = True
        self.start()
        self.assertEqual((self.nodes(), self.told(CentersSilent)), ([NODE], []))
        self.centers[KDC2].silent = True
        self.wait(60)
        self.assertEqual(len(self.told(CentersSilent)), 1)
        self.assertEqual(self.home.status(self.now())["centers-failing"], f"{KDC2}: no answer came")
        self.assertEqual(self.register()[1].answer.code, 0)

    def test_a_store_that_cannot_be_written_is_tried_again(self) -> None:
        self.start()
        self.add(OTHER, 2)
        self.outcome = lambda _commit: "no space left on device"
        self.wait(31)
        self.assertEqual(self.nodes(), [NODE])
        self.outcome = lambda commit: self.store.commit([commit.unit])[0]
        self.wait(31)
        self.assertEqual(self.nodes(), [NODE, OTHER])
