"""Everybody is killed at every step of a registration, before and after what he does: it comes to its end anyway."""

from __future__ import annotations

from collections.abc import Callable

from attrs import evolve

from seckex.events.home_agent import NodeRegistered
from seckex.events.mobile_node import Registered
from seckex.roles.mobile_node.role import MobileNode
from seckex.wire.numbers import Keying
from tests.link import lose, on
from tests.roaming.agreement import known_at_home, registration_of
from tests.roaming.case import RoamingCase
from tests.roaming.host import Crashing, Host
from tests.roaming.world import Shape, World
from tests.simulation.toy import toys

MODES = (Shape("aaa", Keying.STATEFUL), Shape("direct", Keying.STATELESS), Shape("direct", Keying.SEMI_STATEFUL))


def matters(point: Crashing) -> bool:
    """Tell whether dying here leaves behind what it would not elsewhere: after an action is before the next."""
    return point.when == "before" or point.stage == "commit"


class KilledTests(RoamingCase):
    """A node registers, again, and no more; one host dies at one point of it, and starts again a second later."""

    def setUp(self) -> None:
        super().setUp()
        # What is looked at here is in which order things happen.
        playing = toys()
        playing.__enter__()
        self.addCleanup(playing.__exit__, None, None, None)

    def points(self, shape: Shape, name: str) -> int:
        """Return how many points there are at which a host may die in a registration, and in the end of it."""
        world = self.prepared(shape)
        seen: list[Crashing] = []

        def note(point: Crashing) -> bool:
            if matters(point):
                seen.append(point)
            return False

        world.network.hosts[name].crash = note
        self.ends(world)
        return len(seen)

    def prepared(self, shape: Shape) -> World:
        """Return a network in which the nodes do not run yet."""
        world = self.world(shape, start=False)
        for host in world.network.hosts.values():
            if host not in world.nodes:
                host.start()
        world.network.run(2)
        for host in world.nodes:
            world.provision(host)
        return world

    def ends(self, world: World) -> None:
        """Have it register, register again, and end that."""
        node = world.nodes[0]
        if node.house is None:
            node.start()
        self.registered(world, within=300)
        self.asked(node, "again")
        world.network.run(3)
        self.registered(world, within=300)
        self.asked(node, "down")
        world.network.run_until(lambda: self.is_down(node), 300)

    def is_down(self, node: Host) -> bool:
        """Tell whether a node has deregistered; one that has died meanwhile is asked once more."""
        if node.house is None:
            return False
        if node.role(MobileNode).keeping.wanted:
            self.asked(node, "down")
        return registration_of(node) is None

    def killed(self, shape: Shape, name: str, at: int) -> None:
        world = self.prepared(shape)
        host, seen = world.network.hosts[name], 0

        def crash(point: Crashing) -> bool:
            nonlocal seen
            seen += matters(point)
            return matters(point) and seen == at

        def later(host: Host) -> None:
            world.network.at(1.0, host.start)

        host.crash, host.crashed = crash, later
        self.ends(world)
        self.assertGreaterEqual(seen, at)

    def everywhere(self, name: str) -> None:
        for number, shape in enumerate(MODES):
            if name in World(shape).network.hosts:
                # What is the same in all modes is tried in each at other points.
                points = range(1, self.points(shape, name) + 1)
                for at in points if not number else points[number::3]:
                    self.killed(shape, name, at)


def _killing(name: str) -> Callable[[KilledTests], None]:
    def test(self: KilledTests) -> None:
        self.everywhere(name)

    return test


for _name in ("node1", "agent1", "home", "kdc", "aaaf", "aaah"):
    setattr(KilledTests, f"test_{_name}_at_every_step", _killing(_name))


#: Units without which there is nobody who could register: the operator is told.
_PROVISIONING = (("kdc", 1), ("kdc", 2), ("home", 1))


class StoreTests(RoamingCase):
    """Stores that are full, and outcomes that nobody hears of."""

    def test_no_unit_of_the_home_agent_can_be_stored_for_a_while(self) -> None:
        world = self.world(start=False, keying=Keying.STATEFUL)
        world.home.trouble = lambda unit: "no space is left" if len(unit) > 2 else ""
        world.start()
        world.network.run(30)
        self.assertIsNone(registration_of(world.nodes[0]))
        self.assertEqual(world.home.reported(NodeRegistered), [])
        world.home.trouble = lambda _unit: ""
        self.registered(world)

    def test_each_commit_of_each_host_fails_once(self) -> None:
        for name in ("node1", "agent1", "home", "kdc"):
            for ordinal in range(1, 8):
                world = self.world(start=False, keying=Keying.STATEFUL)
                world.network.hosts[name].commit_faults = {ordinal: "no space is left"}
                if (name, ordinal) in _PROVISIONING:
                    continue
                world.start()
                self.registered(world)
                self.asked(world.nodes[0], "again")
                world.network.run(30)
                self.registered(world)

    def test_a_home_agent_dies_when_its_reply_is_durable_and_says_it_again(self) -> None:
        world = self.world(start=False, topology="aaa")
        world.home.lost_outcomes = {3}
        world.start()
        self.registered(world)
        # It was accepted in the earlier life: then with a reply that the agent never got.
        self.assertEqual(next(known_at_home(world, world.nodes[0]).credentials).window.base, 2)


class TogetherTests(RoamingCase):
    def test_everybody_restarts_while_a_node_is_registered(self) -> None:
        for shape in MODES:
            world = self.world(shape, lifetime=300)
            self.registered(world)
            for host in world.network.hosts.values():
                host.restart()
                self.assertEqual(world.nodes[0].store.associations, world.nodes[0].adopted)
                world.network.run(10)
            self.registered(world)
            world.network.run(600)
            self.registered(world)

    def test_a_node_that_restarts_goes_on_with_what_it_has(self) -> None:
        world = self.world(lifetime=1800)
        self.registered(world)
        spi = self.spi_of(world.nodes[0])
        world.nodes[0].restart()
        world.network.run(20)
        self.assertEqual(self.spi_of(world.nodes[0]), spi)
        self.assertEqual(len(world.home.reported(NodeRegistered)), 1)
        self.registered(world)

    def test_an_agent_that_restarts_keeps_its_visitors(self) -> None:
        world = self.world(lifetime=1800)
        self.registered(world)
        world.agents[0].restart()
        self.assertEqual(world.agents[0].counters["agent.visitors"], 1)
        # The node notices it by the sequence number, and registers again, in vain or not.
        world.network.run(60)
        self.registered(world)
        # By another name: the agent cannot tell that this is the one that it has.
        self.assertEqual(world.agents[0].counters["agent.visitors"], 2)
        world.network.run(1800)
        self.assertLessEqual(world.agents[0].counters["agent.visitors"], 2)

    def test_registered_in_an_earlier_life_and_not_told(self) -> None:
        world = self.world(start=False)
        world.network.faults = [on("REPLY", lose, 3)]
        world.start()
        world.network.run_until(lambda: world.home.reported(NodeRegistered))
        world.nodes[0].restart()
        self.registered(world)
        self.assertTold(world.nodes[0], Registered)
        self.assertEqual(len(world.home.adopted), 1)

    def test_stores_of_before_are_read(self) -> None:
        world = self.world(keying=Keying.STATEFUL)
        self.registered(world)
        before = evolve(world.terms["home"]["home-agent"], longest=300)
        world.terms["home"]["home-agent"] = before
        world.home.restart()
        self.asked(world.nodes[0], "again")
        world.network.run(3)
        self.registered(world)
        self.assertTold(world.nodes[0], Registered, lifetime=300)
