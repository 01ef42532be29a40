"""Which agent a node registers by, and what it does when that is lost, restarts, is busy, or lies."""

from __future__ import annotations

from attrs import evolve

from seckex.events.foreign_agent import AgentBusy, AgentIdle, RequestTurnedAway
from seckex.events.mobile_node import (
    AgentHeard,
    AgentLost,
    AgentRefused,
    AgentRestarted,
    Registered,
    RegistrationEnded,
    RegistrationSent,
)
from seckex.roles.foreign_agent.advertising import Advertising
from seckex.roles.foreign_agent.agent import ForeignAgent
from seckex.roles.foreign_agent.terms import Limits
from seckex.roles.mobile_node.agents import STEADY_FOR
from seckex.wire.advertisement import decode_advertisement
from seckex.wire.numbers import Code, Keying
from tests.link import lose, on
from tests.roaming.agreement import known_at_home, registration_of
from tests.roaming.case import RoamingCase
from tests.roaming.host import Host
from tests.roaming.world import AGENTS, World

NORTH, SOUTH = AGENTS


class AgentCase(RoamingCase):
    def agent_of(self, host: Host) -> str:
        """Return by which agent a node is registered."""
        registration = registration_of(host)
        return "" if registration is None else registration.agent

    def at(self, world: World, agent: str, within: float = 120.0) -> None:
        """Let time go by until the node is registered by that agent."""
        world.network.run_until(lambda: self.agent_of(world.nodes[0]) == agent, within)
        self.registered(world)


class ChoiceTests(AgentCase):
    def test_of_several_the_one_that_is_preferred(self) -> None:
        for preferred in AGENTS:
            world = self.world(start=False, agents=2)
            world.terms["node1"]["node"] = evolve(world.terms["node1"]["node"], agents=(preferred, "*@visited.example"))
            world.nodes[0].cells = {"cell1", "cell2"}
            world.start()
            # The first that is heard may be the other one.
            self.at(world, preferred, STEADY_FOR + 120)

    def test_an_agent_that_is_not_allowed_is_never_asked(self) -> None:
        world = self.world(start=False, agents=2)
        world.terms["node1"]["node"] = evolve(world.terms["node1"]["node"], agents=(SOUTH,))
        world.start()
        world.network.run(60)
        self.assertEqual(self.said(world), [])
        world.nodes[0].cells = {"cell2"}
        self.at(world, SOUTH)

    def test_a_node_that_is_nowhere_looks_on(self) -> None:
        world = self.world(start=False)
        world.nodes[0].cells = set()
        world.start()
        world.network.run(300)
        self.assertEqual(self.said(world), [])
        world.nodes[0].cells = {"cell1"}
        self.at(world, NORTH, 60)

    def test_a_node_that_moves(self) -> None:
        for keying in Keying:
            world = self.world(keying=keying, agents=2, topology="aaa")
            self.at(world, NORTH)
            world.nodes[0].cells = {"cell2"}
            self.at(world, SOUTH)
            self.assertTold(world.nodes[0], AgentLost, agent=NORTH, in_use=True)
            world.nodes[0].cells = {"cell1"}
            self.at(world, NORTH)
            self.assertEqual([each.agent for each in known_at_home(world, world.nodes[0]).bindings], [NORTH])
            # It was never without a registration.
            self.assertEqual(world.nodes[0].reported(RegistrationEnded), [])

    def test_two_at_the_edge_of_hearing_are_not_changed_for_each_other(self) -> None:
        world = self.world(agents=2)
        self.at(world, NORTH)
        world.nodes[0].cells = {"cell1", "cell2"}
        world.network.run(300)
        self.assertTrue(world.nodes[0].reported(AgentHeard))
        self.assertEqual({each.agent for each in world.nodes[0].reported(Registered)}, {NORTH})


class TroubleTests(AgentCase):
    def test_another_agent_where_one_does_not_answer(self) -> None:
        world = self.world(start=False, agents=2)
        world.nodes[0].cells = {"cell1", "cell2"}
        world.network.refused.add(frozenset((NORTH, world.home.nai)))
        world.start()
        self.at(world, SOUTH)
        # Another agent, another request: nothing of the first comes again.
        requests = [sent.octets for sent in world.network.sent if sent.label == "REQUEST"]
        self.assertEqual(len({octets[16:24] for octets in requests}), len(set(requests)))

    def test_another_agent_where_one_says_no(self) -> None:
        world = self.world(start=False, agents=2)
        world.nodes[0].cells = {"cell1", "cell2"}
        terms = world.terms["agent1"]["agent"]
        world.terms["agent1"]["agent"] = evolve(terms, realms=frozenset(("elsewhere.example",)))
        world.start()
        self.at(world, SOUTH)
        self.assertTold(world.nodes[0], AgentRefused, code=Code.AGENT_PROHIBITED)

    def test_an_agent_that_is_lost(self) -> None:
        world = self.world()
        self.registered(world)
        world.agents[0].stop()
        world.network.run_until(lambda: world.nodes[0].reported(AgentLost))
        self.assertTold(world.nodes[0], AgentLost, agent=NORTH, in_use=True)
        world.network.run(30)
        world.agents[0].start()
        self.at(world, NORTH)

    def test_an_agent_that_restarts_is_noticed_by_its_sequence(self) -> None:
        world = self.world()
        self.registered(world)
        world.network.run(25)
        world.agents[0].restart()
        world.network.run_until(lambda: len(world.nodes[0].reported(Registered)) == 2)
        self.assertTold(world.nodes[0], AgentRestarted, agent=NORTH, in_use=True)
        self.registered(world)

    def test_a_sequence_that_wraps_is_no_restart(self) -> None:
        world = self.world()
        self.registered(world)
        advertising: Advertising = world.agents[0].role(ForeignAgent)._advertising
        advertising._sequence = 65534
        world.network.run(60)
        sequences = [
            decode_advertisement(sent.octets)[1].sequence
            for sent in world.network.sent
            if sent.label == "ADVERTISEMENT" and sent.destination.host.startswith("239")
        ]
        at = sequences.index(65535)
        self.assertEqual(sequences[at : at + 3], [65535, 256, 257])
        self.assertEqual(world.nodes[0].reported(AgentRestarted), [])

    def test_a_busy_agent_is_left_for_another(self) -> None:
        world = self.world(start=False, agents=2, nodes=2, same_pseudonym=True)
        terms = world.terms["agent1"]["agent"]
        world.terms["agent1"]["agent"] = evolve(terms, limits=Limits(visitors=1))
        for node in world.nodes:
            node.cells = {"cell1", "cell2"}
            plan = world.terms[node.name]["node"]
            world.terms[node.name]["node"] = evolve(plan, agents=(NORTH, SOUTH))
        world.nodes[1].cells = set()
        # By other names each time a visitor that registers again is another one, until the first one's time is over.
        home = world.terms["home"]["home-agent"]
        world.terms["home"]["home-agent"] = evolve(home, same_pseudonym=True)
        world.start()
        self.at(world, NORTH)
        self.assertTold(world.agents[0], AgentBusy)
        world.nodes[1].cells = {"cell1", "cell2"}
        world.network.run_until(lambda: self.agent_of(world.nodes[1]) == SOUTH)
        self.registered(world, world.nodes[1])
        # The agent takes others when who is there has gone.
        self.asked(world.nodes[0], "down")
        world.network.run(30)
        self.assertTold(world.agents[0], AgentIdle)
        world.network.run_until(lambda: self.agent_of(world.nodes[1]) == NORTH, 300)
        self.registered(world, world.nodes[1])

    def test_a_challenge_that_is_stale_costs_one_more_request(self) -> None:
        world = self.world(lifetime=300)
        self.registered(world)
        # The node hears nothing for a while, and asks with what it has.
        world.network.faults = [on("ADVERTISEMENT", lose, 3)]
        world.agents[0].restart()
        self.asked(world.nodes[0], "again")
        world.network.run(20)
        self.registered(world)
        codes = {each.code for each in world.agents[0].reported(RequestTurnedAway)}
        self.assertLessEqual(codes, {Code.UNKNOWN_CHALLENGE, Code.STALE_CHALLENGE})

    def test_what_an_agent_says_of_itself_changes_no_offer(self) -> None:
        world = self.world(start=False)
        terms = world.terms["agent1"]["agent"]
        world.terms["agent1"]["agent"] = evolve(terms, home_agents=frozenset(("other@home.example",)))
        world.start()
        world.network.run(120)
        offers = {(each.offer, each.lifetime) for each in world.nodes[0].reported(RegistrationSent)}
        self.assertEqual(len(offers), 1)
        self.assertGreater(len(world.nodes[0].reported(RegistrationSent)), 2)
