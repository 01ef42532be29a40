"""Nodes that move: what makes them, which way round, and what does not."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

from attrs import evolve

from seckex.errors import Unfeasible
from seckex.events.foreign_agent import VisitorRegistered
from seckex.events.mobile_node import MoveRegistered, Registered, RegistrationEnded, RegistrationSent
from seckex.machine import Now
from seckex.roles.faces import RoleAction
from seckex.roles.foreign_agent.terms import AgentTerms, Limits
from seckex.roles.mobile_node.agents import STEADIEST, STEADY_FOR
from seckex.roles.mobile_node.keeping import Keeping
from seckex.roles.mobile_node.role import MobileNode
from seckex.wire.numbers import Code, Keying
from tests.link import Datagram, Fault, lose, on
from tests.roaming.agreement import agent_of, known_at_home, registration_of
from tests.roaming.case import RoamingCase
from tests.roaming.certificates import identity, trust
from tests.roaming.host import Host
from tests.roaming.world import AES, AGENTS, HOME, HOME_REALM, World

NORTH, SOUTH = AGENTS
BOTH = {"cell1", "cell2"}

Asking = Callable[[Keeping, Now], list[RoleAction]]


class MoveCase(RoamingCase):
    def between(self, preferring: tuple[str, ...] = (), **how: Any) -> World:
        """Return a world whose node is registered by the northern agent and hears both."""
        world = self.world(start=False, agents=2, **how)
        world.terms["node1"]["node"] = evolve(world.terms["node1"]["node"], agents=preferring)
        world.start()
        self.registered(world)
        world.nodes[0].cells = BOTH
        world.network.run(30)
        self.assertEqual(self.place(world), NORTH)
        return world

    def place(self, world: World) -> str:
        registration = registration_of(world.nodes[0])
        return "" if registration is None else registration.agent

    def tells(self, world: World, what: Asking) -> None:
        """Have the node be told something, by an operator or by who sees to its links."""
        host = world.nodes[0]
        keeping = host.role(MobileNode).keeping
        host.ask(host.role(MobileNode), lambda: what(keeping, host.now()))

    def asked_to_move(self, world: World, agent: str = "") -> None:
        self.tells(world, lambda keeping, now: keeping.moves.move(agent, now))

    def elsewhere(self, world: World) -> None:
        self.tells(world, lambda keeping, now: keeping.moves.elsewhere("our address is another one", now))

    def turned_away(self, world: World, code: int) -> None:
        registration = registration_of(world.nodes[0])
        assert registration is not None
        self.tells(world, lambda keeping, now: keeping.moves.turned_away(registration.spi_in, code, now))

    def until_at(self, world: World, agent: str, within: float) -> None:
        """Let time go by until the node is at an agent, with keys that all agree on, and has said so."""
        world.network.run_until(lambda: self.place(world) == agent, within)
        self.registered(world)

    def moves(self, world: World) -> list[MoveRegistered]:
        return world.nodes[0].reported(MoveRegistered)


class AskedForTests(MoveCase):
    def test_to_another_agent_and_back_in_every_mode(self) -> None:
        for keying in Keying:
            world = self.between(keying=keying, topology="aaa")
            for there, left in ((SOUTH, NORTH), (NORTH, SOUTH)):
                before = self.spi_of(world.nodes[0])
                self.asked_to_move(world, there)
                self.until_at(world, there, 1)
                move = self.assertTold(world.nodes[0], MoveRegistered, left=left, agent=there, why="asked for")
                self.assertEqual(move.spi_in, self.spi_of(world.nodes[0]))
                self.assertNotEqual(move.spi_in, before)
                self.assertLess(move.seconds, 1)
                self.assertEqual([each.agent for each in known_at_home(world, world.nodes[0]).bindings], [there])

    def test_what_was_before_goes_on_until_the_new_one_is_there(self) -> None:
        world = self.between()
        node = world.nodes[0]
        before = self.spi_of(node)
        asked = len(node.reported(RegistrationSent))
        held: list[bool] = []
        world.network.after_step = lambda: held.append(before in node.adopted)
        self.asked_to_move(world, SOUTH)
        world.network.run_until(lambda: self.place(world) == SOUTH)
        self.assertEqual(len(node.reported(RegistrationSent)), asked + 1)
        self.assertEqual(held, sorted(held, reverse=True))
        self.assertGreater(held.count(True), 3)
        self.assertEqual(node.replaced[-1], (self.spi_of(node), (before,)))

    def test_it_stays_there_whatever_it_prefers_until_that_is_lost(self) -> None:
        world = self.between(preferring=(NORTH, SOUTH))
        self.asked_to_move(world, SOUTH)
        self.until_at(world, SOUTH, 1)
        world.network.run(3000)
        self.assertEqual(self.place(world), SOUTH)
        world.nodes[0].cells = {"cell1"}
        self.until_at(world, NORTH, 120)
        world.nodes[0].cells = BOTH
        world.network.run(300)
        self.assertEqual(self.place(world), NORTH)

    def test_without_a_name_to_the_best_of_the_others(self) -> None:
        world = self.between()
        self.asked_to_move(world)
        self.until_at(world, SOUTH, 1)
        self.asked_to_move(world)
        self.until_at(world, NORTH, 1)

    def test_what_cannot_be_is_said(self) -> None:
        world = self.between()
        for agent, why in (
            (NORTH, "is the agent in use"),
            ("west@visited.example", f"no foreign agent west@visited.example is heard; heard is {NORTH}, {SOUTH}"),
        ):
            with self.assertRaises(Unfeasible) as refused:
                self.asked_to_move(world, agent)
            self.assertIn(why, str(refused.exception))
        self.asked_to_move(world)
        with self.assertRaisesRegex(Unfeasible, "under way"):
            self.asked_to_move(world)
        self.until_at(world, SOUTH, 1)
        world.nodes[0].cells = {"cell2"}
        world.network.run(60)
        with self.assertRaisesRegex(Unfeasible, "no other foreign agent"):
            self.asked_to_move(world)
        self.asked(world.nodes[0], "down")
        world.network.run(5)
        with self.assertRaisesRegex(Unfeasible, "not registered"):
            self.asked_to_move(world)

    def test_an_agent_that_vanishes_in_the_middle_of_it(self) -> None:
        world = self.between()
        world.network.faults = [on("REQUEST", lose, 1), *world.network.faults]
        self.asked_to_move(world, SOUTH)
        world.network.run(0.5)
        world.agents[1].stop()
        # It is at home as it was before, and registers there anew: the home agent may have taken what was not answered.
        world.network.run_until(lambda: len(world.nodes[0].reported(Registered)) == 2, 60)
        self.until_at(world, NORTH, 60)
        self.assertEqual(world.nodes[0].reported(RegistrationEnded), [])
        self.assertEqual(self.moves(world), [])

    def test_lost_messages_delay_it(self) -> None:
        world = self.between()
        world.network.faults = [on("REQUEST", lose, 2), on("REPLY", lose, 1)]
        self.asked_to_move(world, SOUTH)
        self.until_at(world, SOUTH, 15)
        self.assertEqual(len(self.moves(world)), 1)


class ElsewhereTests(MoveCase):
    def test_by_the_same_agent_from_another_address(self) -> None:
        world = self.between()
        before = self.spi_of(world.nodes[0])
        self.elsewhere(world)
        world.network.run_until(lambda: self.spi_of(world.nodes[0]) != before, 1)
        self.registered(world)
        self.assertTold(world.nodes[0], MoveRegistered, left=NORTH, agent=NORTH, why="our address is another one")
        world.network.run(60)
        self.assertEqual(len(self.moves(world)), 1)

    def test_by_another_agent_where_only_that_is_heard_and_at_once(self) -> None:
        world = self.between()
        world.nodes[0].cells = {"cell2"}
        self.elsewhere(world)
        # Long before the other one counts as lost.
        self.until_at(world, SOUTH, 1)
        self.assertTold(world.nodes[0], MoveRegistered, left=NORTH, agent=SOUTH)

    def test_what_was_on_its_way_from_the_old_address_is_let_go(self) -> None:
        world = self.between()
        world.network.faults = [on("REPLY", lose, 1)]
        self.asked_to_move(world, SOUTH)
        world.network.run(0.1)
        self.elsewhere(world)
        world.network.run_until(lambda: len(world.nodes[0].reported(Registered)) == 2, 3)
        self.registered(world)

    def test_nobody_answers_and_then_somebody_does(self) -> None:
        world = self.between()
        world.nodes[0].cells = set()
        self.elsewhere(world)
        world.network.run(20)
        self.assertEqual(self.place(world), NORTH)
        world.nodes[0].cells = {"cell2"}
        self.until_at(world, SOUTH, 20)

    def test_a_request_of_who_is_nowhere_is_repeated_sooner_and_given_up_sooner(self) -> None:
        world = self.between()
        node = world.nodes[0]

        def sent() -> list[float]:
            return [float(line.split()[0]) for line in world.network.lines if "node1 --> agent2  REQUEST" in line]

        node.cells = {"cell2"}
        world.network.faults = [on("REQUEST", lose, 2)]
        self.elsewhere(world)
        self.until_at(world, SOUTH, 3)
        first, second, third = sent()[:3]
        # With a quarter at most that is drawn.
        self.assertTrue(0.25 <= second - first <= 0.32 and 0.5 <= third - second <= 0.64, (first, second, third))

    def test_the_agent_that_answers_vanishes_before_it_has_replied(self) -> None:
        world = self.between()
        said: list[float] = []

        def vanishing(datagram: Datagram) -> tuple[Datagram, ...]:
            if datagram.called("REQUEST") and not said:
                said.append(world.network.monotonic)
                world.network.at(0, world.agents[0].stop)
            return (datagram,)

        fault: Fault = vanishing
        world.network.faults = [fault]
        self.elsewhere(world)
        self.until_at(world, SOUTH, 10)
        self.assertTrue(said)

    def test_a_node_that_is_not_registered_only_looks(self) -> None:
        world = self.world(start=False)
        world.nodes[0].cells = set()
        world.start()
        world.network.run(20)
        world.nodes[0].cells = {"cell1"}
        self.elsewhere(world)
        self.registered(world, within=2)
        self.assertEqual(self.moves(world), [])

    def test_one_that_was_left_wants_nothing(self) -> None:
        world = self.between()
        self.asked(world.nodes[0], "down")
        world.network.run(5)
        said = len(world.network.sent)
        self.elsewhere(world)
        world.network.run(1)
        self.assertEqual([each for each in world.network.sent[said:] if each.label == "REQUEST"], [])


class TurnedAwayTests(MoveCase):
    def test_an_agent_that_does_not_carry_is_left_for_another(self) -> None:
        for code in (Code.INSUFFICIENT_RESOURCES, Code.CONNECT_FAILED, Code.AGENT_TIMEOUT, 0):
            world = self.between()
            self.turned_away(world, code)
            self.until_at(world, SOUTH, 2)
            why = "is not reached" if not code else "does not carry"
            self.assertIn(why, self.assertTold(world.nodes[0], MoveRegistered, left=NORTH, agent=SOUTH).why)

    def test_one_that_does_not_know_the_node_any_more_is_asked_again(self) -> None:
        world = self.between()
        for _ in range(5):
            self.turned_away(world, Code.UNKNOWN_ASSOCIATION)
            world.network.run(1)
        self.assertEqual(len(world.nodes[0].reported(Registered)), 2)
        world.network.run(20)
        self.assertEqual(len(world.nodes[0].reported(Registered)), 3)
        self.assertEqual((self.place(world), self.moves(world)), (NORTH, []))

    def test_where_there_is_no_other_nothing_is_asked_for_what_the_agent_cannot_help(self) -> None:
        world = self.world()
        self.registered(world)
        self.turned_away(world, Code.CONNECT_FAILED)
        world.network.run(60)
        self.assertEqual(len(world.nodes[0].reported(Registered)), 1)

    def test_what_is_said_of_a_registration_of_before_is_nothing(self) -> None:
        world = self.between()
        self.tells(world, lambda keeping, now: keeping.moves.turned_away(77, Code.CONNECT_FAILED, now))
        world.network.run(60)
        self.assertEqual(len(world.nodes[0].reported(Registered)), 1)

    def test_two_that_do_not_carry_are_not_changed_for_each_other_all_the_time(self) -> None:
        world = self.between()
        for _ in range(600):
            self.turned_away(world, Code.CONNECT_FAILED)
            world.network.run(1)
        # Ten minutes: each time they are avoided for longer.
        self.assertLess(len(self.moves(world)), 25)


class SteadyTests(MoveCase):
    def test_a_preferred_agent_is_moved_to_when_it_was_heard_for_a_while(self) -> None:
        world = self.world(start=False, agents=2)
        world.terms["node1"]["node"] = evolve(world.terms["node1"]["node"], agents=(SOUTH, NORTH))
        world.start()
        self.registered(world)
        world.nodes[0].cells = BOTH
        began = world.network.monotonic
        self.until_at(world, SOUTH, 120)
        self.assertGreater(world.network.monotonic - began, STEADY_FOR)
        self.assertTold(world.nodes[0], MoveRegistered, why=f"{SOUTH} is preferred")

    def test_one_that_comes_and_goes_is_preferred_less_and_less_often(self) -> None:
        world = self.world(start=False, agents=2)
        world.terms["node1"]["node"] = evolve(world.terms["node1"]["node"], agents=(SOUTH, NORTH))
        world.start()
        self.registered(world)
        times: list[float] = []
        for _ in range(40):
            for cells in (BOTH, {"cell1"}):
                world.nodes[0].cells = set(cells)
                before = len(self.moves(world))
                world.network.run(60)
                times += [world.network.monotonic] * (len(self.moves(world)) - before)
        # At first it is taken at its word; in the end it has not been heard for long enough at any time.
        self.assertGreater(len(times), 2)
        self.assertLess(len(times), 10)
        self.assertLess(times[-1], world.network.monotonic - 2 * STEADIEST)

    def test_an_agent_that_is_busy_is_left_when_the_registration_is_renewed(self) -> None:
        world = self.between(lifetime=60)
        agent = world.agents[0]
        terms: AgentTerms = world.terms["agent1"]["agent"]
        world.terms["agent1"]["agent"] = evolve(terms, limits=Limits(visitors=1))
        registered = len(world.nodes[0].reported(Registered))
        agent.restart()
        self.until_at(world, SOUTH, 120)
        self.assertGreater(len(world.nodes[0].reported(Registered)), registered)
        self.assertEqual(world.nodes[0].reported(RegistrationEnded), [])


class HomeTests(MoveCase):
    """A home agent that is the agent of its own network."""

    def homely(self, **how: Any) -> World:
        world = self.world(start=False, **how)
        address = ip_address(world.home.addresses[0])
        world.terms["home"]["agent"] = AgentTerms(
            identity=identity(HOME),
            trust=trust(),
            policy=AES,
            entropy=world.home.entropy,
            address=address,
            care_of=(address,),
            domain=HOME_REALM,
            groups=world.terms["agent1"]["agent"].groups,
        )
        world.home.cells = {"home"}
        world.agents.append(world.home)
        return world.start()

    def settled_at(self, world: World, host: Host) -> None:
        world.network.run_until(lambda: self.place(world) == host.nai, 60)
        self.registered(world)
        registration = registration_of(world.nodes[0])
        assert registration is not None
        self.assertIs(agent_of(world, registration), host)

    def test_from_an_agent_home_and_back_in_every_mode(self) -> None:
        for keying in Keying:
            for topology in ("direct", "aaa"):
                world = self.homely(keying=keying, topology=topology)
                self.settled_at(world, world.agents[0])
                world.nodes[0].cells = {"cell1", "home"}
                world.network.run(20)
                told = len(world.network.told)
                self.asked_to_move(world, HOME)
                self.settled_at(world, world.home)
                # Of a registration at home nothing is said over hops, but to a center.
                spoken = {parcel.label for parcel in world.network.told[told:]}
                self.assertEqual(spoken & {"RELAY", "RELAYED"}, set())
                self.assertTrue(world.home.reported(VisitorRegistered))
                self.asked_to_move(world, NORTH)
                self.settled_at(world, world.agents[0])
                self.assertEqual([each.agent for each in self.moves(world)], [HOME, NORTH])

    def test_one_that_begins_at_home(self) -> None:
        world = self.world(start=False)
        world = self.homely()
        world.nodes[0].cells = {"home"}
        self.elsewhere(world)
        self.settled_at(world, world.home)

    def test_the_home_agent_restarts(self) -> None:
        world = self.homely()
        self.settled_at(world, world.agents[0])
        world.nodes[0].cells = {"home"}
        self.elsewhere(world)
        self.settled_at(world, world.home)
        world.home.restart()
        world.network.run(120)
        self.registered(world)
        self.assertEqual(self.place(world), HOME)
