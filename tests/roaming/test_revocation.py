"""Registrations that end before their time, everywhere: revoked nodes, moves, nodes that leave, and operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from seckex.errors import Unfeasible
from seckex.events.foreign_agent import VisitorRevoked
from seckex.events.home_agent import BindingsEnded, NodeRevoked, RevocationGivenUp, RevocationTold
from seckex.events.mobile_node import Registered
from seckex.machine import Path
from seckex.roles.foreign_agent.agent import ForeignAgent
from seckex.roles.home_agent.role import HomeAgent
from seckex.wire.numbers import Kind, Reason
from seckex.wire.revocation import Revocation, decode_signed
from tests.link import Datagram, flipped
from tests.roaming.agreement import known_at_home, registration_of
from tests.roaming.case import RoamingCase
from tests.roaming.host import Host
from tests.roaming.revoking import remains, revoke, visitors
from tests.roaming.world import HOME, NODES, World

SOON: Final = 5.0


def losing(kind: Kind, times: float = float("inf")) -> Callable[[Datagram], tuple[Datagram, ...]]:
    """Return a fault that loses the first datagrams of a kind."""
    left = [times]

    def fault(datagram: Datagram) -> tuple[Datagram, ...]:
        if datagram.label == kind.name and left[0] > 0:
            left[0] -= 1
            return ()
        return (datagram,)

    return fault


class RevokingCase(RoamingCase):
    """A node that is registered, and a center that may revoke it."""

    def revoking(self, *, nodes: int = 1, agents: int = 1, **how: Any) -> World:
        world = self.world(nodes=nodes, agents=agents, **how)
        for node in world.nodes:
            self.registered(world, node)
        world.network.run(2)
        return world

    def revoke(self, world: World, node: Host) -> None:
        told: list[object] = []
        revoke(world, node, told)
        world.network.run_until(lambda: told)
        self.assertNotIsInstance(told[0], str)

    def gone(self, world: World, within: float = SOON, *, node: Host | None = None, left: int = 0) -> None:
        """Let time go by until nothing of a revoked node is anywhere."""
        host = node or world.nodes[0]

        def done() -> bool:
            return not remains(world, host) and sum(map(visitors, world.agents)) == left

        world.network.run_until(done, within)
        # Nor does it come back.
        world.network.run(60)
        self.assertTrue(done(), remains(world, host))

    def said(self, world: World, since: int = 0) -> list[str]:
        kinds = ("REVOCATION", "REVOKED")
        return [each for each in world.network.arrows()[since:] if each.rpartition(" ")[2] in kinds]


class RevokedTests(RevokingCase):
    def test_nothing_stays_of_a_node_that_was_revoked(self) -> None:
        for topology in ("direct", "aaa"):
            world = self.revoking(topology=topology)
            node = world.nodes[0]
            key1 = world.home.adopted[known_at_home(world, node).association]
            self.revoke(world, node)
            self.gone(world)
            self.assertEqual(self.said(world), ["home --> agent1 REVOCATION", "agent1 --> home REVOKED"])
            self.assertTold(world.home, NodeRevoked, node=NODES[0], agents=1)
            told = self.assertTold(world.home, RevocationTold, node=NODES[0], reason="revoked")
            self.assertLess(told.seconds, 0.1)
            self.assertTold(world.agents[0], VisitorRevoked, home_agent=HOME, reason="revoked")
            (release,) = [each for each in world.home.released if each.peer == NODES[0]]
            self.assertEqual(release.spi_in, key1.spi_in)

    def test_it_is_not_heard_any_more(self) -> None:
        world = self.revoking()
        node = world.nodes[0]
        self.revoke(world, node)
        self.gone(world)
        before = len(node.reported(Registered))
        self.asked(node, "again")
        world.network.run(60)
        self.assertEqual(len(node.reported(Registered)), before)
        self.assertEqual(remains(world, node), [])
        # Nor after everybody has started again.
        world.home.restart()
        world.agents[0].restart()
        self.asked(node, "again")
        world.network.run(60)
        self.assertEqual(len(node.reported(Registered)), before)
        self.assertEqual(remains(world, node), [])
        self.assertEqual(visitors(world.agents[0]), 0)

    def test_the_other_nodes_of_an_agent_stay(self) -> None:
        world = self.revoking(nodes=2)
        self.revoke(world, world.nodes[0])
        self.gone(world, left=1)
        self.assertIn(known_at_home(world, world.nodes[1]).association, world.home.adopted)

    def test_all_that_it_has_left_behind_at_its_agents_is_ended(self) -> None:
        world = self.revoking(agents=2)
        node = world.nodes[0]
        for _ in range(3):
            self.asked(node, "again")
            world.network.run(3)
        # What it had before, the agent keeps under other names, and does not know of whom.
        self.assertEqual(visitors(world.agents[0]), 4)
        self.assertEqual(self.said(world), [])
        self.revoke(world, node)
        self.gone(world)
        self.assertEqual(len(world.agents[0].reported(VisitorRevoked)), 4)

    def test_where_agents_may_follow_nodes_as_well(self) -> None:
        world = self.revoking(same_pseudonym=True)
        self.asked(world.nodes[0], "again")
        world.network.run(3)
        self.assertEqual(visitors(world.agents[0]), 1)
        self.revoke(world, world.nodes[0])
        self.gone(world)

    def test_at_several_agents(self) -> None:
        world = self.revoking(agents=2, bindings=2)
        node = world.nodes[0]
        node.cells = {"cell2"}
        world.network.run_until(lambda: len(known_at_home(world, node).bindings) == 2)
        world.network.run(10)
        self.assertEqual([visitors(each) for each in world.agents], [1, 1])
        self.revoke(world, node)
        self.gone(world)
        self.assertTold(world.home, NodeRevoked, agents=2)


class DownTests(RevokingCase):
    def test_an_agent_that_was_down_for_a_minute(self) -> None:
        world = self.revoking()
        world.agents[0].stop()
        self.revoke(world, world.nodes[0])
        world.network.run(60)
        said = [datagram.octets for datagram in world.network.sent if datagram.label == "REVOCATION"]
        # 0, 0.5, 1.5, and then every two seconds: the same octets.
        self.assertIn(len(said), range(30, 34))
        self.assertEqual(len(set(said)), 1)
        self.assertEqual(remains(world, world.nodes[0]), ["revocations that are not answered"])
        world.agents[0].start()
        self.assertEqual(visitors(world.agents[0]), 1)
        self.gone(world)

    def test_a_home_agent_that_was_down_when_its_node_was_revoked(self) -> None:
        world = self.revoking()
        world.home.stop()
        self.revoke(world, world.nodes[0])
        world.network.run(60)
        world.home.start()
        self.gone(world)

    def test_both(self) -> None:
        world = self.revoking()
        world.home.stop()
        world.agents[0].stop()
        self.revoke(world, world.nodes[0])
        world.network.run(60)
        world.home.start()
        world.network.run(60)
        # What is not answered is said by who starts again, too: the same octets.
        world.home.restart()
        world.network.run(10)
        self.assertEqual(len({each.octets for each in world.network.sent if each.label == "REVOCATION"}), 1)
        world.agents[0].start()
        self.gone(world)

    def test_lost_answers(self) -> None:
        world = self.revoking()
        world.network.faults.append(losing(Kind.REVOKED, 5))
        self.revoke(world, world.nodes[0])
        self.gone(world, 15)
        answers = {each.octets for each in world.network.sent if each.label == "REVOKED"}
        self.assertEqual(len(answers), 1, "the same octets have the same answer")
        self.assertEqual(len(world.agents[0].reported(VisitorRevoked)), 1)

    def test_an_agent_that_starts_again_before_its_answer_was_heard(self) -> None:
        world = self.revoking()
        world.network.faults.append(losing(Kind.REVOKED, 2))
        self.revoke(world, world.nodes[0])
        world.network.run_until(lambda: world.agents[0].reported(VisitorRevoked))
        world.network.run(0.1)
        world.agents[0].restart()
        self.assertEqual(visitors(world.agents[0]), 0)
        self.gone(world, 15)

    def test_an_agent_whose_disk_is_full_says_nothing_until_it_can(self) -> None:
        world = self.revoking()
        agent = world.agents[0]
        agent.trouble = lambda _unit: "no space is left"
        self.revoke(world, world.nodes[0])
        world.network.run(10)
        # Its traffic has stopped nevertheless.
        self.assertEqual(agent.role(ForeignAgent).counters["visitors"], 0)
        self.assertNotIn("agent1 --> home REVOKED", self.said(world))
        agent.trouble = lambda _unit: ""
        self.gone(world)

    def test_an_agent_whose_disk_is_full_and_that_starts_again(self) -> None:
        world = self.revoking()
        agent = world.agents[0]
        agent.trouble = lambda _unit: "no space is left"
        self.revoke(world, world.nodes[0])
        world.network.run(3)
        agent.restart()
        self.assertEqual(visitors(agent), 1)
        agent.trouble = lambda _unit: ""
        self.gone(world)

    def test_a_home_agent_that_cannot_store_it_says_nothing(self) -> None:
        world = self.revoking()
        world.home.trouble = lambda _unit: "no space is left"
        self.revoke(world, world.nodes[0])
        world.network.run(10)
        self.assertEqual(self.said(world), [])
        self.assertEqual(visitors(world.agents[0]), 1)
        world.home.trouble = lambda _unit: ""
        self.gone(world, 60)

    def test_what_is_never_answered_is_given_up_with_the_lifetime_of_the_registration(self) -> None:
        world = self.revoking(lifetime=300)
        world.agents[0].stop()
        self.revoke(world, world.nodes[0])
        world.network.run(400)
        self.assertTold(world.home, RevocationGivenUp, node=NODES[0], reason="revoked")
        self.assertEqual(remains(world, world.nodes[0]), [])
        kinds = {kind for kind, _ in world.home.store.records}
        self.assertNotIn("ha.revocation", kinds)
        world.agents[0].start()
        world.network.run(1)
        self.assertEqual(world.agents[0].role(ForeignAgent).counters["visitors"], 0)


class MoveTests(RevokingCase):
    def moved(self, world: World) -> None:
        node = world.nodes[0]
        node.cells = {"cell2"}
        self.asked(node, "again")
        world.network.run_until(lambda: known_at_home(world, node).bindings[0].agent == world.agents[1].nai)
        world.network.run_until(lambda: visitors(world.agents[1]))

    def test_the_agent_that_a_node_has_left_is_told(self) -> None:
        world = self.revoking(agents=2)
        old = known_at_home(world, world.nodes[0]).association
        self.moved(world)
        world.network.run(4.5)
        # So long links may move.
        self.assertEqual([visitors(each) for each in world.agents], [1, 1])
        self.assertNotIn(old, [each.spi_in for each in world.home.released])
        world.network.run(1)
        self.assertEqual([visitors(each) for each in world.agents], [0, 1])
        self.assertIn(old, [each.spi_in for each in world.home.released])
        self.assertTold(world.agents[0], VisitorRevoked, reason="moved")
        self.assertTold(world.home, RevocationTold, reason="moved")
        self.registered(world)

    def test_it_is_told_as_soon_as_the_links_have_moved(self) -> None:
        world = self.revoking(agents=2)
        old = known_at_home(world, world.nodes[0]).association
        self.moved(world)
        role = world.home.role(HomeAgent)
        world.home.ask(role, lambda: role.gone(old, world.home.now(), by_peer=False))
        world.network.run(0.1)
        self.assertEqual([visitors(each) for each in world.agents], [0, 1])

    def test_a_home_agent_that_starts_again_meanwhile(self) -> None:
        world = self.revoking(agents=2)
        self.moved(world)
        world.home.restart()
        world.network.run(6)
        self.assertEqual([visitors(each) for each in world.agents], [0, 1])

    def test_a_node_that_is_revoked_meanwhile(self) -> None:
        world = self.revoking(agents=2)
        self.moved(world)
        self.revoke(world, world.nodes[0])
        self.gone(world)

    def test_where_a_node_may_be_at_both_agents_nobody_is_told(self) -> None:
        world = self.revoking(agents=2, bindings=2)
        node = world.nodes[0]
        node.cells = {"cell2"}
        world.network.run_until(lambda: len(known_at_home(world, node).bindings) == 2)
        world.network.run(20)
        self.assertEqual([visitors(each) for each in world.agents], [1, 1])
        self.assertEqual(self.said(world), [])


class LeavingTests(RevokingCase):
    def test_a_node_that_deregisters(self) -> None:
        world = self.revoking()
        self.asked(world.nodes[0], "down")
        world.network.run(5)
        self.assertEqual(visitors(world.agents[0]), 0)
        self.assertTold(world.agents[0], VisitorRevoked, reason="left")
        self.assertEqual(list(world.home.role(HomeAgent).home.revocations), [])

    def test_where_its_agent_has_heard_of_it_in_the_reply_it_answers_nevertheless(self) -> None:
        world = self.revoking(same_pseudonym=True)
        self.asked(world.nodes[0], "down")
        world.network.run(5)
        self.assertEqual(visitors(world.agents[0]), 0)
        self.assertEqual(world.agents[0].reported(VisitorRevoked), [])
        self.assertEqual(self.said(world), ["home --> agent1 REVOCATION", "agent1 --> home REVOKED"])

    def test_a_node_that_ends_its_association(self) -> None:
        world = self.revoking()
        spi = known_at_home(world, world.nodes[0]).association
        role = world.home.role(HomeAgent)
        world.home.ask(role, lambda: role.gone(spi, world.home.now(), by_peer=True))
        world.network.run(2)
        self.assertEqual(known_at_home(world, world.nodes[0]).bindings, ())
        self.assertEqual(visitors(world.agents[0]), 0)
        self.assertTold(world.home, BindingsEnded, node=NODES[0], reason="left", told=1)

    def test_an_association_that_is_not_the_nodes_any_more_ends_nothing(self) -> None:
        world = self.revoking()
        spi = known_at_home(world, world.nodes[0]).association
        self.asked(world.nodes[0], "again")
        world.network.run(3)
        role = world.home.role(HomeAgent)
        world.home.ask(role, lambda: role.gone(spi, world.home.now(), by_peer=True))
        world.network.run(2)
        self.assertEqual(len(known_at_home(world, world.nodes[0]).bindings), 1)


class OperatorTests(RevokingCase):
    def ended(self, world: World, nai: str = NODES[0]) -> list[str]:
        done: list[str] = []
        role = world.home.role(HomeAgent)
        world.home.ask(role, lambda: role.end(nai, world.home.now(), done.append))
        world.network.run(1)
        return done

    def test_an_operator_ends_it_and_the_node_may_register_again(self) -> None:
        world = self.revoking()
        self.assertEqual(self.ended(world), [""])
        self.assertEqual(visitors(world.agents[0]), 0)
        self.assertTold(world.agents[0], VisitorRevoked, reason="operator")
        self.assertTold(world.home, BindingsEnded, reason="operator")
        self.assertEqual(self.ended(world), ["it is not registered"])
        self.asked(world.nodes[0], "again")
        self.registered(world)

    def test_a_node_that_there_is_not(self) -> None:
        world = self.revoking()
        self.assertRaises(Unfeasible, self.ended, world, "nobody@home.example")

    def test_it_waits_for_what_is_being_stored(self) -> None:
        world = self.revoking()
        world.home.commit_delay = 0.5
        self.asked(world.nodes[0], "again")
        world.network.run(0.2)
        self.assertEqual(self.ended(world), [""])
        world.network.run(2)
        self.assertEqual(known_at_home(world, world.nodes[0]).bindings, ())
        self.assertEqual(visitors(world.agents[0]), 0)

    def test_where_it_cannot_be_stored_nothing_has_ended(self) -> None:
        world = self.revoking()
        world.home.trouble = lambda _unit: "no space is left"
        (why,) = self.ended(world)
        self.assertIn("no space is left", why)
        self.assertEqual(len(known_at_home(world, world.nodes[0]).bindings), 1)
        self.assertEqual(self.said(world), [])


class ForgeryTests(RevokingCase):
    """What is on the wire between home agent and agent, and somebody who has it in hand."""

    def stage(self) -> tuple[World, Datagram]:
        """Return a network in which a REVOCATION was lost on its way, and that."""
        world = self.revoking()
        world.network.faults.append(losing(Kind.REVOCATION))
        self.revoke(world, world.nodes[0])
        world.network.run_until(lambda: self.said(world))
        return world, world.network.last("REVOCATION")

    def say(self, world: World, octets: bytes, source: Path, destination: Path) -> None:
        world.network.deliver(Datagram(source, destination, octets), ("wire",))
        world.network.run(0.3)

    def test_every_bit(self) -> None:
        world, said = self.stage()
        for bit in range(8 * len(said.octets)):
            self.say(world, flipped(said.octets, bit), said.source, said.destination)
        self.assertEqual(visitors(world.agents[0]), 1)
        self.assertNotIn("agent1 --> home REVOKED", self.said(world))
        counters = world.agents[0].role(ForeignAgent).counters
        self.assertGreater(counters["dropped.revocation-authentication"], 300)
        # And the genuine one is taken from wherever it comes; the answer goes there.
        self.say(world, said.octets, Path("192.0.2.77", 5), said.destination)
        self.assertEqual(visitors(world.agents[0]), 0)

    def test_truncated_and_prolonged(self) -> None:
        world, said = self.stage()
        for size in range(len(said.octets)):
            self.say(world, said.octets[:size], said.source, said.destination)
        self.say(world, said.octets + b"\0", said.source, said.destination)
        self.assertEqual(visitors(world.agents[0]), 1)

    def test_of_another_registration(self) -> None:
        world = self.revoking(nodes=2)
        world.network.faults.append(losing(Kind.REVOCATION))
        self.revoke(world, world.nodes[0])
        world.network.run_until(lambda: self.said(world))
        said = world.network.last("REVOCATION")
        other = known_at_home(world, world.nodes[1]).bindings[0]
        forged = said.octets[:12] + other.spi_out.to_bytes(4, "big") + said.octets[16:56]
        forged += other.spi_out.to_bytes(4, "big") + said.octets[60:]
        self.say(world, forged, said.source, said.destination)
        self.assertEqual(visitors(world.agents[0]), 2)

    def test_reflected(self) -> None:
        world, said = self.stage()
        self.say(world, said.octets, said.destination, said.source)
        as_answer = said.octets[:1] + b"\x11" + said.octets[2:3] + bytes((Kind.REVOKED,)) + said.octets[4:]
        self.say(world, as_answer, said.destination, said.source)
        self.assertEqual(world.home.role(HomeAgent).home.revocations.pending, 1)

    def test_answers(self) -> None:
        world = self.revoking()
        world.network.faults.append(losing(Kind.REVOKED))
        self.revoke(world, world.nodes[0])
        world.network.run_until(lambda: "agent1 --> home REVOKED" in self.said(world))
        answer = world.network.last("REVOKED")
        revocations = world.home.role(HomeAgent).home.revocations
        for bit in range(8 * len(answer.octets)):
            self.say(world, flipped(answer.octets, bit), answer.source, answer.destination)
        self.assertEqual(revocations.pending, 1)
        self.say(world, answer.octets, answer.source, answer.destination)
        self.assertEqual(revocations.pending, 0)
        # A copy of it says nothing any more.
        self.say(world, answer.octets, answer.source, answer.destination)
        self.assertEqual(world.home.role(HomeAgent).counters["dropped.revoked-unasked"] > 0, True)

    def test_an_old_one_does_not_end_what_came_after(self) -> None:
        world = self.revoking(agents=2)
        node = world.nodes[0]
        node.cells = {"cell2"}
        self.asked(node, "again")
        world.network.run_until(lambda: visitors(world.agents[0]) == 0)
        old = next(each for each in world.network.sent if each.label == "REVOCATION")
        node.cells = {"cell1"}
        self.asked(node, "again")
        world.network.run_until(lambda: visitors(world.agents[0]) == 1)
        self.say(world, old.octets, old.source, old.destination)
        self.assertEqual(visitors(world.agents[0]), 1)
        # It gets the answer that it had.
        self.assertEqual(len({each.octets for each in world.network.sent if each.label == "REVOKED"}), 1)

    def test_what_is_in_it(self) -> None:
        world, said = self.stage()
        read = decode_signed(said.octets).said
        assert isinstance(read, Revocation)
        self.assertEqual(read.reason, Reason.REVOKED)
        registration = registration_of(world.nodes[0])
        assert registration is not None
        self.assertEqual(read.spi_of_node, registration.visit.spi_in)
        self.assertNotIn(NODES[0].partition("@")[0].encode(), said.octets)
        self.assertEqual(read.time // 1_000_000, int(world.home.now().wall))
