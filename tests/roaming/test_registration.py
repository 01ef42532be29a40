"""Registrations from their beginning to their end: both topologies, all modes of keying, both KEMs, renewed, ended."""

from __future__ import annotations

from attrs import evolve
from twisted.trial.unittest import FailTest

from seckex.crypto.secrets import Secret
from seckex.events import NegotiationRefused
from seckex.events.foreign_agent import VisitorLeft, VisitorRegistered
from seckex.events.home_agent import NodeDeregistered, NodeRegistered
from seckex.events.mobile_node import Deregistered, Registered, RegistrationEnded, RegistrationSent
from seckex.roles.foreign_agent.agent import ForeignAgent
from seckex.roles.home_agent.role import HomeAgent
from seckex.wire.numbers import Code, Kem, Keying, SaContent
from tests.link import late, lose, on
from tests.roaming.agreement import known_at_home, registration_of, visitor_of
from tests.roaming.case import HYBRID, SHAPES, RoamingCase, arrows_of
from tests.roaming.world import HOME, NODES, home_address, layer2_address


class FlowTests(RoamingCase):
    def test_every_topology_and_mode(self) -> None:
        for shape in SHAPES:
            world = self.world(shape)
            self.registered(world)
            self.assertEqual(self.said(world), arrows_of(shape), str(shape))
            keying = shape.keying.name.lower().replace("_", "-")
            self.assertTold(world.nodes[0], Registered, keying=keying, lifetime=1800, rounds=1)
            self.assertTold(world.home, NodeRegistered, peer=NODES[0], agent=world.agents[0].nai)

    def test_each_key_has_two_who_know_it(self) -> None:
        for shape in SHAPES:
            world = self.world(shape)
            self.registered(world)
            for content, holders in (
                (SaContent.MN_HA, {"node1", "home"}),
                (SaContent.FA_HA, {"agent1", "home"}),
                (SaContent.MN_FA, {"node1", "agent1"}),
            ):
                self.assertEqual([names for _, names in self.ledger.holders(content)], [holders], str(shape))

    def test_wherever_the_center_lives(self) -> None:
        for topology, center in (("direct", "home"), ("aaa", "home"), ("aaa", "aaa")):
            for keying in (Keying.STATEFUL, Keying.SEMI_STATEFUL):
                world = self.world(topology=topology, keying=keying, center=center)
                self.registered(world)
                asks = "home ::> aaah KEYS" in world.network.arrows()
                self.assertEqual(asks, center == "aaa")

    def test_by_ipv6(self) -> None:
        for keying in Keying:
            world = self.world(keying=keying, version=6)
            self.registered(world)
            self.assertEqual(self.assertTold(world.nodes[0], Registered).care_of, "2001:db8:2::1")

    def test_hybrid_goes_over_tcp(self) -> None:
        for keying in Keying:
            world = self.world(HYBRID, keying=keying)
            self.registered(world)
            self.assertEqual(self.said(world)[0], "node1 ==> agent1 REQUEST")
            self.assertEqual(self.said(world)[-1], "agent1 ==> node1 REPLY")
            self.assertTold(world.nodes[0], Registered, kem="x25519-ml-kem-768")

    def test_what_the_home_agent_learns_of_a_node(self) -> None:
        world = self.world()
        self.registered(world)
        known = known_at_home(world, world.nodes[0])
        self.assertEqual(known.home_address, home_address(0))
        self.assertEqual([each.layer2 for each in known.bindings], [layer2_address(0)])

    def test_two_nodes_are_two_visitors_and_do_not_know_each_others_keys(self) -> None:
        world = self.world(keying=Keying.STATEFUL, nodes=2)
        for node in world.nodes:
            self.registered(world, node)
        bindings = [known_at_home(world, node).bindings[0] for node in world.nodes]
        self.assertNotEqual(bindings[0].pseudonym, bindings[1].pseudonym)
        self.assertEqual([each.home_agent for each in world.agents[0].role(ForeignAgent)._visitors], [HOME, HOME])
        for content in (SaContent.MN_HA, SaContent.MN_FA):
            for _, holders in self.ledger.holders(content):
                self.assertEqual(len(holders & {"node1", "node2"}), 1)

    def test_without_mixing_where_both_policies_have_it_so(self) -> None:
        for keying in Keying:
            for agents, homes in ((True, True), (False, True), (False, False), (True, False)):
                world = self.world(start=False, keying=keying)
                world.terms["home"]["home-agent"] = evolve(world.terms["home"]["home-agent"], mix=homes)
                world.terms["agent1"]["agent"] = evolve(world.terms["agent1"]["agent"], mix=agents)
                world.start()
                if homes or not agents:
                    self.registered(world)
                else:
                    world.network.run(5)
                    self.assertEqual(world.agents[0].counters["agent.visitors"], 0)

    def test_the_same_every_time(self) -> None:
        said: list[list[bytes]] = []
        for _ in range(2):
            world = self.world(keying=Keying.STATEFUL)
            self.registered(world)
            said.append([sent.octets for sent in world.network.sent])
        self.assertEqual(*said)


class LossTests(RoamingCase):
    def test_a_lost_request_is_said_again_with_the_same_octets(self) -> None:
        world = self.world(start=False)
        world.network.faults = [on("REQUEST", lose, 2)]
        world.start()
        self.registered(world)
        requests = [sent.octets for sent in world.network.sent if sent.label == "REQUEST"]
        self.assertEqual((len(requests), len(set(requests))), (3, 1))

    def test_a_lost_reply_is_repeated_by_the_agent_without_asking_anybody(self) -> None:
        world = self.world(start=False)
        world.network.faults = [on("REPLY", lose, 1)]
        world.start()
        self.registered(world)
        self.assertEqual(
            self.said(world),
            [*arrows_of(world.shape), "node1 --> agent1 REQUEST", "agent1 --> node1 REPLY"],
        )

    def test_a_late_reply_counts_as_long_as_its_request_does(self) -> None:
        world = self.world(start=False)
        world.network.faults = [on("REPLY", late(9), 4)]
        world.start()
        self.registered(world)
        self.assertEqual(len(world.nodes[0].reported(RegistrationSent)), 1)

    def test_nobody_answers(self) -> None:
        world = self.world(start=False)
        world.network.faults = [on("REQUEST", lose, 5)]
        world.start()
        world.network.run(16)
        # Sent after 1, 2, 4 and 8 s more: five times in 15 s, then it begins anew.
        self.registered(world)
        sent = [each.octets for each in world.network.sent if each.label == "REQUEST"]
        self.assertEqual(len(set(sent)), 2)
        self.assertEqual(len({octets[36:40] for octets in sent}), 2, "each has a one-time SPI of its own")


class RenewalTests(RoamingCase):
    def test_before_the_lifetime_is_over(self) -> None:
        world = self.world(keying=Keying.STATEFUL, lifetime=60)
        self.registered(world)
        node, since = world.nodes[0], world.network.monotonic
        spi = self.spi_of(node)
        world.network.run_until(lambda: self.spi_of(node) != spi, 60)
        self.registered(world)
        self.assertTrue(0.79 * 60 <= world.network.monotonic - since <= 0.9 * 60 + 2, "at 80 to 90 %")
        # It is in place of the one before, everywhere.
        for host in (node, world.home):
            self.assertEqual(host.store.associations, host.adopted)
            self.assertEqual(len(host.adopted), 1)
        self.assertEqual(node.replaced[-1][1], (spi,))
        self.assertEqual(len(node.reported(Registered)), 2)
        # The agent does not know that the two are one node's, and so keeps the first until it ends.
        agent = world.agents[0]
        self.assertEqual([each.again for each in agent.reported(VisitorRegistered)], [False, False])
        self.assertEqual(agent.counters["agent.visitors"], 2)
        world.network.run_until(lambda: agent.counters["agent.visitors"] == 1, 15)
        self.registered(world)
        self.asked(node, "down")
        world.network.run(65)
        self.assertEqual(agent.counters["agent.visitors"], 0)

    def test_where_the_home_agent_lets_agents_follow_nodes_a_renewal_takes_the_place_of_the_one_before(self) -> None:
        world = self.world(lifetime=60, same_pseudonym=True)
        for _ in range(3):
            self.registered(world)
            self.asked(world.nodes[0], "again")
            world.network.run(2)
        self.registered(world)
        self.assertEqual(world.agents[0].counters["agent.visitors"], 1)
        self.assertEqual(len({each.pseudonym for each in world.agents[0].reported(VisitorRegistered)}), 1)

    def test_again_and_again_for_an_hour(self) -> None:
        world = self.world(keying=Keying.SEMI_STATEFUL, lifetime=300)
        self.registered(world)
        world.network.run(3600)
        self.registered(world)
        count = len(world.nodes[0].reported(Registered))
        self.assertTrue(13 <= count <= 16, count)
        self.assertEqual(world.nodes[0].reported(RegistrationEnded), [])
        # Keys of each registration are others.
        self.assertEqual(len(self.ledger.agreed), 3 * count)

    def test_the_home_agent_grants_less(self) -> None:
        world = self.world(start=False, lifetime=28800)
        world.terms["home"]["home-agent"] = evolve(world.terms["home"]["home-agent"], longest=300)
        world.start()
        self.registered(world)
        self.assertTold(world.nodes[0], Registered, lifetime=300)
        self.assertEqual(known_at_home(world, world.nodes[0]).bindings[0].lifetime, 300)
        world.network.run(290)
        self.assertEqual(len(world.nodes[0].reported(Registered)), 2)

    def test_the_agent_passes_less_on(self) -> None:
        world = self.world(start=False, lifetime=28800)
        world.terms["agent1"]["agent"] = evolve(world.terms["agent1"]["agent"], longest=900)
        world.start()
        self.registered(world)
        self.assertTold(world.nodes[0], RegistrationSent, lifetime=900)
        self.assertTold(world.nodes[0], Registered, lifetime=900)

    def test_less_than_what_the_home_agent_wants_is_refused(self) -> None:
        world = self.world(start=False, lifetime=60)
        world.terms["home"]["home-agent"] = evolve(world.terms["home"]["home-agent"], shortest=300)
        world.start()
        world.network.run(2)
        self.assertTold(world.nodes[0], NegotiationRefused, code=Code.BAD_LIFETIME, by=HOME)


class EndTests(RoamingCase):
    def test_deregistration(self) -> None:
        for shape in SHAPES:
            world = self.world(shape, same_pseudonym=True)
            self.registered(world)
            node, since = world.nodes[0], len(world.network.arrows())
            self.asked(node, "down")
            world.network.run(2)
            self.assertTold(node, Deregistered, told=True)
            self.assertTold(world.home, NodeDeregistered, peer=NODES[0])
            self.assertTold(world.agents[0], VisitorLeft)
            # Nothing is issued for it, and nothing is left of it.
            said = self.said(world, since)
            self.assertEqual(said, [arrow for arrow in arrows_of(shape) if "kdc" not in arrow])
            self.assertEqual((node.adopted, world.home.adopted), ({}, {}))
            self.assertEqual((node.store.associations, world.home.store.associations), ({}, {}))
            self.assertIsNone(registration_of(node))
            self.assertEqual(known_at_home(world, node).bindings, ())
            self.assertEqual(world.agents[0].counters["agent.visitors"], 0)
            world.network.run(120)
            self.assertEqual(self.said(world, since), said, "it stays down")

    def test_up_again(self) -> None:
        world = self.world()
        self.registered(world)
        self.asked(world.nodes[0], "down")
        world.network.run(2)
        self.asked(world.nodes[0], "up")
        self.registered(world)

    def test_down_where_nobody_answers(self) -> None:
        world = self.world(lifetime=60)
        self.registered(world)
        world.network.faults = [on("REQUEST", lose, 99)]
        self.asked(world.nodes[0], "down")
        world.network.run(30)
        self.assertTold(world.nodes[0], Deregistered, told=False)
        self.assertEqual(world.nodes[0].adopted, {})
        # The others find out by themselves.
        world.network.run(60)
        self.assertEqual(known_at_home(world, world.nodes[0]).bindings, ())
        self.assertEqual(world.agents[0].counters["agent.visitors"], 0)

    def test_a_node_that_is_gone_is_forgotten_when_its_lifetime_is_over(self) -> None:
        world = self.world(lifetime=60)
        self.registered(world)
        world.nodes[0].stop()
        world.network.run(70)
        self.assertEqual(known_at_home(world, world.nodes[0]).bindings, ())
        self.assertEqual(world.agents[0].counters["agent.visitors"], 0)
        world.nodes[0].start()
        self.registered(world)

    def test_a_registration_whose_end_was_not_seen_is_over_all_the_same(self) -> None:
        world = self.world(lifetime=60)
        self.registered(world)
        for host in (world.nodes[0], world.agents[0], world.home):
            host.stop()
        world.network.monotonic += 600
        for host in (world.home, world.agents[0], world.nodes[0]):
            host.start()
        self.assertIsNone(registration_of(world.nodes[0]))
        self.assertEqual(known_at_home(world, world.nodes[0]).bindings, ())
        self.registered(world)


class BindingTests(RoamingCase):
    def moved(self, bindings: int, *, asks: bool) -> list[str]:
        """Have a node move from the first agent to the second; return at which agents the home agent has it then."""
        world = self.world(start=False, agents=2, bindings=bindings)
        plan = world.terms["node1"]["node"]
        world.terms["node1"]["node"] = evolve(plan, simultaneous=asks)
        world.start()
        self.registered(world)
        world.nodes[0].cells = {"cell2"}
        world.network.run_until(lambda: world.nodes[0].reported(Registered)[-1].agent == world.agents[1].nai)
        self.registered(world)
        self.world_of_bindings = world
        return [each.agent for each in known_at_home(world, world.nodes[0]).bindings]

    def test_one_binding_takes_the_place_of_the_one_before(self) -> None:
        self.assertEqual(self.moved(2, asks=False), ["south@visited.example"])

    def test_two_where_that_is_allowed_and_asked_for(self) -> None:
        self.assertEqual(self.moved(2, asks=True), ["north@visited.example", "south@visited.example"])
        world = self.world_of_bindings
        first, second = known_at_home(world, world.nodes[0]).bindings
        visitors = visitor_of(world.agents[0], first), visitor_of(world.agents[1], second)
        self.assertEqual(
            [each and each.key2.octets() for each in visitors], [first.keys.octets(), second.keys.octets()]
        )

    def test_two_where_that_is_not_allowed(self) -> None:
        world = self.world(start=False, agents=2)
        world.terms["node1"]["node"] = evolve(world.terms["node1"]["node"], simultaneous=True)
        world.start()
        self.registered(world)
        world.nodes[0].cells = {"cell2"}
        world.network.run_until(lambda: world.nodes[0].reported(NegotiationRefused))
        self.assertTold(world.nodes[0], NegotiationRefused, code=Code.TOO_MANY_BINDINGS)
        self.assertEqual([each.agent for each in known_at_home(world, world.nodes[0]).bindings], [world.agents[0].nai])


class TableTests(RoamingCase):
    """The table on which all this stands sees what should not be."""

    def test_different_keys_at_two_ends(self) -> None:
        world = self.world()
        self.registered(world)
        registration = registration_of(world.nodes[0])
        if registration is None:
            self.fail("not registered")
        ours = world.nodes[0].adopted[registration.spi_in]
        with world.network.aside():
            other = evolve(ours.keys, secret=Secret(bytes(32)))
        world.nodes[0].adopted[registration.spi_in] = evolve(ours, keys=other)
        with self.assertRaises(FailTest) as caught:
            self.registered(world)
        self.assertIn("KEY 1 of node1", str(caught.exception))

    def test_a_key_in_the_wrong_hands(self) -> None:
        world = self.world()
        self.registered(world)
        (secret, _), *_ = self.ledger.holders(SaContent.MN_HA)
        self.ledger.made[secret].add("agent1")
        with self.assertRaises(FailTest) as caught:
            self.registered(world)
        self.assertIn("MN_HA is known to ['agent1', 'home', 'node1']", str(caught.exception))

    def test_home_agents_are_what_their_shapes_say(self) -> None:
        world = self.world(keying=Keying.SEMI_STATEFUL, kem=Kem.X25519)
        self.assertEqual(world.home.role(HomeAgent).home.terms.keying, Keying.SEMI_STATEFUL)
