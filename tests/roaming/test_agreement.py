"""Negotiation inside registrations: what is chosen, countered, taken up and refused, and what counts rounds."""

from __future__ import annotations

from attrs import evolve

from seckex.events import CounterReceived, NegotiationRefused
from seckex.events.foreign_agent import HomeNetworkRefused
from seckex.events.home_agent import RequestUnheard
from seckex.events.mobile_node import AgentRefused, Registered, RegistrationSent
from seckex.roles.home_agent.role import HomeAgent
from seckex.roles.mobile_node.role import MobileNode
from seckex.sa.policy import Policy
from seckex.wire.keying import HomeKey
from seckex.wire.numbers import Code, Kem, Keying
from tests.conversation import INDISPENSABLE, proposal
from tests.link import late, lose, on
from tests.roaming.agreement import registration_of
from tests.roaming.case import SHAPES, RoamingCase, arrows_of
from tests.roaming.world import AES, TWO_ROUNDS, World

KEMS = "x25519 x25519-ml-kem-768"
CHACHA = Policy((proposal(f"chacha20-poly1305 hmac-sha-256 prf-hmac-sha-256 {KEMS}"),), INDISPENSABLE)
BOTH = Policy((*CHACHA.proposals, *AES.proposals), INDISPENSABLE)
ONLY_HYBRID = Policy((proposal("aes-256-gcm hmac-sha-256 prf-hmac-sha-256 x25519-ml-kem-768"),), INDISPENSABLE)
EITHER = Policy((*ONLY_HYBRID.proposals, proposal("aes-256-gcm hmac-sha-256 prf-hmac-sha-256 x25519")), INDISPENSABLE)


class NegotiationTests(RoamingCase):
    def policies(self, node: Policy, agent: Policy, home: Policy, kem: Kem = Kem.X25519) -> World:
        """Return a world where everybody has a policy of his own."""
        world = self.world(start=False, kem=kem)
        for host, kind, policy in (("node1", "node", node), ("agent1", "agent", agent), ("home", "home-agent", home)):
            world.terms[host][kind] = evolve(world.terms[host][kind], policy=policy)
        return world.start()

    def test_the_first_that_all_take_in_the_order_of_the_node(self) -> None:
        world = self.policies(BOTH, AES, BOTH)
        self.registered(world)
        node = world.nodes[0]
        registered = self.assertTold(node, Registered, rounds=1)
        self.assertEqual(registered.transforms["encryption"], "chacha20-poly1305")
        # With the agent it is another: each pair of them chooses for itself.
        registration = registration_of(node)
        self.assertIn("aes-256-gcm", str(registration and registration.visit.agreement))

    def test_a_counter_offer_is_taken_up_in_a_second_round(self) -> None:
        for shape in SHAPES:
            world = self.world(shape, rounds=True)
            self.registered(world)
            node = world.nodes[0]
            self.assertTold(node, CounterReceived, round=1)
            self.assertEqual([each.round for each in node.reported(RegistrationSent)], [1, 2])
            self.assertTold(node, Registered, rounds=2)
            first = [arrow for arrow in arrows_of(shape) if "kdc" not in arrow]
            self.assertEqual(self.said(world), [*first, *arrows_of(shape)], "no keys are issued for a counter-offer")

    def test_rounds_that_are_lost_and_repeated(self) -> None:
        for fault in (lose, late(1.5)):
            world = self.world(start=False, rounds=True, keying=Keying.STATEFUL)
            world.network.faults = [on("REPLY", fault, 1), on("REQUEST", fault, 2)]
            world.start()
            self.registered(world)
            self.assertTold(world.nodes[0], Registered, rounds=2)

    def test_a_home_agent_that_has_restarted_between_rounds_lets_the_node_begin_anew(self) -> None:
        world = self.world(start=False, rounds=True)
        world.network.faults = [on("REPLY", late(1.0), 1)]
        world.start()
        world.network.run_until(lambda: "agent1 --> node1 REPLY" in world.network.arrows())
        world.home.restart()
        self.registered(world)
        self.assertEqual([each.round for each in world.nodes[0].reported(RegistrationSent)], [1, 2, 1, 2])

    def test_nothing_in_common(self) -> None:
        world = self.policies(CHACHA, BOTH, AES)
        world.network.run(3)
        refused = self.assertTold(world.nodes[0], NegotiationRefused, code=Code.NOTHING_ACCEPTABLE)
        self.assertIn("aes-256-gcm", refused.acceptable)
        self.assertEqual(world.nodes[0].adopted, {})

    def test_nothing_in_common_with_the_agent(self) -> None:
        world = self.policies(CHACHA, AES, BOTH)
        world.network.run(3)
        self.assertTold(world.nodes[0], NegotiationRefused, code=Code.NOTHING_ACCEPTABLE)
        self.assertEqual((world.nodes[0].adopted, world.home.adopted), ({}, {}))
        self.assertEqual(world.agents[0].counters["agent.visitors"], 0)

    def test_nothing_in_common_between_agent_and_home_agent(self) -> None:
        world = self.policies(BOTH, CHACHA, AES)
        world.network.run(3)
        self.assertEqual((world.nodes[0].adopted, world.home.adopted), ({}, {}))
        # It is between these two; the node hears of it that it is to look for another agent.
        self.assertTold(world.home, RequestUnheard, code=Code.NOTHING_ACCEPTABLE)
        self.assertTold(world.agents[0], HomeNetworkRefused, code=Code.NOTHING_ACCEPTABLE)
        self.assertTold(world.nodes[0], AgentRefused, code=Code.AGENT_PROHIBITED)

    def test_a_home_agent_that_wants_the_hybrid_gets_it_in_the_second_round(self) -> None:
        world = self.policies(EITHER, EITHER, ONLY_HYBRID)
        self.registered(world)
        self.assertTold(world.nodes[0], Registered, rounds=2, kem="x25519-ml-kem-768")
        requests = [arrow for arrow in self.said(world) if arrow.endswith("REQUEST")]
        self.assertEqual(requests, ["node1 --> agent1 REQUEST", "node1 ==> agent1 REQUEST"])

    def test_a_node_keeps_the_key_of_the_kem_that_it_would_rather_have(self) -> None:
        only_x25519 = Policy((EITHER.proposals[1],), INDISPENSABLE)
        world = self.policies(EITHER, EITHER, only_x25519, Kem.X25519_ML_KEM_768)
        node = world.nodes[0]
        for _ in range(2):
            self.registered(world)
            self.assertTold(node, Registered, kem="x25519", rounds=2)
            self.asked(node, "again")
            world.network.run(3)
        # It has asked for the hybrid first each time, and gets it when the home agent takes that again.
        self.assertEqual([each.round for each in node.reported(RegistrationSent)], [1, 2] * 3)
        terms = evolve(world.terms["home"]["home-agent"], policy=EITHER)
        world.home.role(HomeAgent).reconfigure(terms, world.home.now())
        self.asked(node, "again")
        world.network.run(3)
        self.registered(world)
        self.assertTold(node, Registered, kem="x25519-ml-kem-768", rounds=1)

    def test_whose_first_round_is_countered_hears_of_new_static_keys_all_the_same(self) -> None:
        only_x25519 = Policy((EITHER.proposals[1],), INDISPENSABLE)
        world = self.world(start=False, kem=Kem.X25519_ML_KEM_768, lifetime=28800)
        for host, kind, policy in (("node1", "node", EITHER), ("agent1", "agent", EITHER)):
            world.terms[host][kind] = evolve(world.terms[host][kind], policy=policy)
        home = world.terms["home"]["home-agent"]
        world.terms["home"]["home-agent"] = evolve(home, policy=only_x25519, rotation=100)
        world.start()
        self.registered(world)
        known = {kem: key.public for kem, key in self.static_keys(world).items()}
        world.network.run(101)
        self.asked(world.nodes[0], "again")
        world.network.run(3)
        self.registered(world)
        for kem, key in self.static_keys(world).items():
            self.assertNotEqual(key.public, known[kem], kem)
            self.assertEqual(key, world.home.role(HomeAgent).home.statics.of(kem)[0].told)

    def static_keys(self, world: World) -> dict[Kem, HomeKey]:
        """Return the static keys that a node knows."""
        home = world.nodes[0].role(MobileNode).keeping.home
        self.assertIsNotNone(home)
        return {} if home is None else {key.kem: key for key in home.keys}

    def test_the_hybrid_is_never_taken_back(self) -> None:
        only_x25519 = Policy((proposal("aes-256-gcm hmac-sha-256 prf-hmac-sha-256 x25519"),), INDISPENSABLE)
        world = self.policies(ONLY_HYBRID, EITHER, only_x25519, Kem.X25519_ML_KEM_768)
        world.network.run(5)
        self.assertTrue(world.nodes[0].reported(NegotiationRefused))
        self.assertEqual(world.nodes[0].adopted, {})

    def test_renewals_begin_with_the_whole_offer(self) -> None:
        world = self.world(rounds=True, lifetime=60)
        self.registered(world)
        self.asked(world.nodes[0], "again")
        world.network.run(2)
        self.registered(world)
        self.assertEqual([each.round for each in world.nodes[0].reported(RegistrationSent)], [1, 2, 1, 2])
        self.assertEqual(world.terms["node1"]["node"].policy, TWO_ROUNDS)
