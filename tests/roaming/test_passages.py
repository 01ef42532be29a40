"""What roles know of traffic through agents: each end finds what the other calls with, as long as there is reason."""

from __future__ import annotations

from collections.abc import Callable

from attrs import evolve

from seckex.machine import Now
from seckex.passage.faces import Admission, Admitted, End
from seckex.passage.hop import HopEnd
from seckex.passage.opening import ExpectOpen
from seckex.passage.times import Times
from seckex.roles.faces import ClosePassages
from seckex.roles.foreign_agent.agent import ForeignAgent
from seckex.roles.foreign_agent.terms import Limits
from seckex.roles.home_agent.role import HomeAgent
from seckex.roles.mobile_node.role import MobileNode
from seckex.wire.numbers import Code, Hop
from tests.passage.parts import Octets
from tests.roaming.case import SHAPES, RoamingCase
from tests.roaming.host import Host
from tests.roaming.world import AGENTS, HOME, HOME_REALM, NODES, VISITED, World


def called(admission: Admission, lookup: Callable[[int], Admitted | None], now: Now) -> tuple[HopEnd, HopEnd]:
    """Open a hop, both ends of it in memory; return the caller's end and the callee's."""
    caller = HopEnd.calling(admission, b"c" * 16, now, Octets())
    callee = HopEnd.called(ExpectOpen(b"r" * 16, lookup, lambda _: None, Times()), now, Octets())
    for _ in range(3):
        for one, other in ((caller, callee), (callee, caller)):
            while buffers := one.gather(memoryview(b""), now.monotonic):
                octets = b"".join(buffers)
                one.sent(len(octets), now.monotonic)
                if other.ending is None:
                    space = other.into()[-1]
                    space[: len(octets)] = octets
                    other.took(len(octets), now.monotonic)
    return caller, callee


class PassageCase(RoamingCase):
    def admission(self, world: World) -> Admission:
        """Return what the node's links are built with."""
        role = world.nodes[0].role(MobileNode)
        registration = role.keeping.registration
        assert registration is not None
        admission = role.admission(registration.spi_in)
        assert admission is not None
        return admission

    def agent(self, world: World) -> ForeignAgent:
        return world.agents[0].role(ForeignAgent)

    def home(self, world: World) -> HomeAgent:
        return world.home.role(HomeAgent)

    def known(self, world: World) -> tuple[Admission, Admitted, Admitted]:
        """Return what the node calls with, and what agent and home agent know by it."""
        admission = self.admission(world)
        at_agent = self.agent(world).passage(admission.spi)
        assert at_agent is not None
        assert at_agent.onward is not None
        at_home = self.home(world).passage(at_agent.onward.spi)
        assert at_home is not None
        return admission, at_agent, at_home

    def passes(self, world: World) -> None:
        """Insist that both hops open."""
        admission, at_agent, _ = self.known(world)
        assert at_agent.onward is not None
        now = world.network.hosts["home"].now()
        for calls, lookup in (
            (admission, self.agent(world).passage),
            (at_agent.onward, self.home(world).passage),
        ):
            caller, callee = called(calls, lookup, now)
            self.assertTrue(caller.is_open and callee.is_open, (caller.ending, callee.ending))
            self.assertEqual(caller.ident, callee.ident)

    def refused(self, world: World, admission: Admission, lookup: Callable[[int], Admitted | None]) -> int:
        """Return the code with which a hop is refused."""
        caller, _ = called(admission, lookup, world.home.now())
        ending = caller.ending
        assert ending is not None
        self.assertEqual(ending.end, End.REFUSED)
        return ending.code


class KnownTests(PassageCase):
    def test_both_hops_open_with_what_a_registration_left_in_every_shape(self) -> None:
        for shape in SHAPES:
            world = self.world(shape)
            self.registered(world)
            self.passes(world)
            admission, at_agent, at_home = self.known(world)
            self.assertEqual((admission.hop, at_home.hop), (Hop.MN_FA, Hop.FA_HA))
            self.assertEqual((admission.callee, admission.host), (AGENTS[0], world.agents[0].addresses[0]))
            assert at_agent.onward is not None
            self.assertEqual((at_agent.onward.callee, at_agent.onward.host), (HOME, world.home.addresses[0]))
            # The home agent takes the link of this registration there, and no other.
            self.assertIn(at_home.link, world.home.adopted)
            self.assertEqual(world.home.adopted[at_home.link].peer, NODES[0])
            # The agent accounts to a pseudonym, and the home agent to the node.
            self.assertEqual((at_agent.who.domain, at_agent.who.node, at_agent.who.agent), (HOME_REALM, "", ""))
            self.assertEqual((at_home.who.domain, at_home.who.node), (VISITED, NODES[0]))
            self.assertEqual(at_agent.who.pseudonym, at_home.who.pseudonym)

    def test_neither_key_opens_the_other_hop(self) -> None:
        world = self.world()
        self.registered(world)
        admission, at_agent, at_home = self.known(world)
        home, agent = self.home(world), self.agent(world)
        for calls, lookup in (
            (evolve(admission, hop=Hop.FA_HA, spi=at_home.spi), home.passage),
            (evolve(admission, keys=at_home.keys), agent.passage),
        ):
            self.assertEqual(self.refused(world, calls, lookup), Code.FAILED_AUTHENTICATION)
        # The agent's SPI of KEY 2 is no visitor's.
        assert at_agent.onward is not None
        visitor = next(iter(agent._visitors))
        self.assertEqual(self.refused(world, evolve(admission, spi=visitor.spi_home), agent.passage), 300)

    def test_everybody_knows_it_after_a_restart(self) -> None:
        world = self.world()
        self.registered(world)
        before = self.known(world)
        for host in (world.nodes[0], world.agents[0], world.home):
            host.restart()
        self.assertEqual(self.known(world), before)

    def test_a_node_that_wants_none_and_an_agent_that_carries_none(self) -> None:
        for host, name, change in (("node1", "node", {"passages": False}), ("agent1", "agent", {"limits": _NONE})):
            world = self.world(start=False)
            world.terms[host][name] = evolve(world.terms[host][name], **change)
            world.start()
            self.registered(world)
            role = world.nodes[0].role(MobileNode)
            assert role.keeping.registration is not None
            self.assertIsNone(role.admission(role.keeping.registration.spi_in))


class EndTests(PassageCase):
    def closed(self, host: Host) -> list[int]:
        return [action.spi for action in host.closed]

    def test_a_registration_that_expires(self) -> None:
        world = self.world(lifetime=60)
        self.registered(world)
        admission, at_agent, at_home = self.known(world)
        world.nodes[0].stop()
        world.network.run(70)
        self.assertEqual(self.refused(world, admission, self.agent(world).passage), 300)
        assert at_agent.onward is not None
        self.assertEqual(self.refused(world, at_agent.onward, self.home(world).passage), 300)
        self.assertEqual((self.closed(world.agents[0]), self.closed(world.home)), ([at_agent.spi], [at_home.spi]))

    def test_what_was_replaced_opens_no_more_and_has_some_seconds_for_its_links(self) -> None:
        world = self.world(same_pseudonym=True)
        self.registered(world)
        _, at_agent, at_home = self.known(world)
        self.asked(world.nodes[0], "again")
        world.network.run(2)
        self.registered(world)
        self.passes(world)
        self.assertIsNone(self.home(world).passage(at_home.spi))
        self.assertIsNone(self.agent(world).passage(at_agent.spi))
        world.network.run(10)
        self.assertIn(at_agent.spi, self.closed(world.agents[0]))
        self.assertIn(at_home.spi, self.closed(world.home))
        _, now_at_agent, now_at_home = self.known(world)
        self.assertNotIn(now_at_agent.spi, self.closed(world.agents[0]))
        self.assertNotIn(now_at_home.spi, self.closed(world.home))

    def test_a_node_that_leaves(self) -> None:
        world = self.world()
        self.registered(world)
        _, _, at_home = self.known(world)
        self.asked(world.nodes[0], "down")
        world.network.run(2)
        self.assertIn(at_home.spi, self.closed(world.home))
        self.assertTrue(all(isinstance(each, ClosePassages) for each in world.home.closed))

    def test_a_node_that_is_refused_registers_anew_and_not_all_the_time(self) -> None:
        world = self.world()
        self.registered(world)
        node = world.nodes[0]
        role = node.role(MobileNode)
        begun = role.keeping.counters["begun"]
        for _ in range(9):
            registration = role.keeping.registration
            assert registration is not None
            spi = registration.spi_in
            node.ask(role, lambda spi=spi: role.keeping.moves.turned_away(spi, Code.UNKNOWN_ASSOCIATION, node.now()))  # type: ignore[misc]
            world.network.run(1.0)
        self.assertEqual(role.keeping.counters["begun"], begun + 1)
        world.network.run(2.0)
        self.assertEqual(role.keeping.counters["begun"], begun + 2)
        # Of an association of before nothing follows.
        node.ask(role, lambda: role.keeping.moves.turned_away(spi, Code.UNKNOWN_ASSOCIATION, node.now()))
        world.network.run(15)
        self.assertEqual(role.keeping.counters["begun"], begun + 2)


_NONE = Limits(passages=0)
