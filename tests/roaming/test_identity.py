"""One-time SPIs, the fallback, healing and Identifications: what happens to them when messages are lost."""

from __future__ import annotations

from seckex.crypto.registration import Root
from seckex.events import ClocksApart, NegotiationRefused
from seckex.events.home_agent import NodeRegistered, RequestUnheard
from seckex.events.mobile_node import Registered, RegistrationSent
from seckex.roles.mobile_node.records import MOST_UNANSWERED
from seckex.roles.mobile_node.role import MobileNode
from seckex.sa.store import Record
from seckex.wire.mobileip import decode_node_request
from seckex.wire.numbers import Code, Keying
from tests.link import lose, on
from tests.roaming.agreement import known_at_home
from tests.roaming.case import SHAPES, RoamingCase
from tests.roaming.hop import on_hop, snap
from tests.roaming.world import HOME, World


class FallbackTests(RoamingCase):
    def without_answers(self, world: World, requests: int) -> None:
        """Have a node ask so many times without a reply, each time anew."""
        node = world.nodes[0]
        before = len(node.reported(RegistrationSent))
        world.network.faults = [on("REQUEST", lose, 10**6)]
        self.asked(node, "again")
        world.network.run_until(lambda: len(node.reported(RegistrationSent)) == before + requests, 3600)
        world.network.faults = []

    def again_registered(self, world: World) -> None:
        """Let time go by until a node is registered for the second time."""
        world.network.run_until(lambda: len(world.nodes[0].reported(Registered)) == 2)

    def test_after_eight_losses_the_fallback_and_then_back(self) -> None:
        for shape in SHAPES:
            world = self.world(shape, lifetime=28800)
            self.registered(world)
            self.without_answers(world, MOST_UNANSWERED + 1)
            self.registered(world)
            self.again_registered(world)
            told = [each.fallback for each in world.nodes[0].reported(RegistrationSent)]
            self.assertEqual(told, [False] * (MOST_UNANSWERED + 1) + [True])
            self.assertTold(world.home, NodeRegistered, fallback=True)
            self.asked(world.nodes[0], "again")
            world.network.run(2)
            self.registered(world)
            self.assertTold(world.home, NodeRegistered, fallback=False)

    def test_a_window_that_was_not_used_up_needs_no_fallback(self) -> None:
        world = self.world(lifetime=28800)
        self.registered(world)
        self.without_answers(world, MOST_UNANSWERED - 1)
        self.again_registered(world)
        self.registered(world)
        self.assertTold(world.home, NodeRegistered, fallback=False)

    def test_the_base_moves_beyond_what_was_lost(self) -> None:
        world = self.world(lifetime=28800)
        self.registered(world)
        self.without_answers(world, 12)
        self.again_registered(world)
        base = next(known_at_home(world, world.nodes[0]).credentials).window.base
        self.assertEqual(base, 13)

    def test_a_fallback_looks_like_any_other_request(self) -> None:
        world = self.world(lifetime=28800)
        self.registered(world)
        self.without_answers(world, MOST_UNANSWERED + 1)
        self.again_registered(world)
        requests = [sent.octets for sent in world.network.sent if sent.label == "REQUEST"]
        first, last = requests[0], requests[-1]
        self.assertEqual(len(first), len(last))
        one, other = decode_node_request(first), decode_node_request(last)
        self.assertEqual((one.hd_end, one.covered, len(one.sealed)), (other.hd_end, other.covered, len(other.sealed)))


class HealingTests(RoamingCase):
    def roots(self, world: World) -> tuple[bytes, set[bytes]]:
        """Return the root of the node, and those that the home agent takes."""
        home = world.nodes[0].role(MobileNode).keeping.home
        if home is None:
            self.fail("nothing is shared with the home agent")
        roots: list[Root] = list(next(known_at_home(world, world.nodes[0]).credentials).roots)
        return home.root.octets, {root.secret.octets for root in roots}

    def test_each_registration_leaves_another_root(self) -> None:
        world = self.world(keying=Keying.STATEFUL)
        seen: set[bytes] = set()
        for _ in range(4):
            self.registered(world)
            ours, theirs = self.roots(world)
            self.assertIn(ours, theirs)
            self.assertNotIn(ours, seen)
            seen.add(ours)
            self.asked(world.nodes[0], "again")
            world.network.run(2)
        # What provisioning gave opens nothing any more.
        self.assertFalse(self.roots(world)[1] & world.first_roots)

    def test_replies_that_are_lost(self) -> None:
        world = self.world(start=False)
        # All of the first three requests' replies: the node begins anew, under the root of before.
        world.network.faults = [on("REPLY", lose, 15)]
        world.start()
        world.network.run_until(lambda: world.nodes[0].reported(Registered), 300)
        self.registered(world)
        self.assertGreater(len(world.home.reported(NodeRegistered)), 1)
        self.assertIn(*self.roots(world))
        for _ in range(2):
            self.asked(world.nodes[0], "again")
            world.network.run(2)
            self.registered(world)
            self.assertIn(*self.roots(world))

    def test_a_center_cannot_pose_as_a_node_that_has_registered(self) -> None:
        world = self.world(keying=Keying.STATEFUL)
        file_of_before: Record = world.nodes[0].store.records["mn.home", HOME.encode()]
        self.registered(world)
        self.asked(world.nodes[0], "again")
        world.network.run(2)
        self.registered(world)
        # Who has KEY 0 has what the node was provisioned with, and begins where it does not collide.
        node = world.nodes[0]
        node.stop()
        node.store.records["mn.home", HOME.encode()] = file_of_before
        node.store.records.pop(("mn.registration", HOME.encode()), None)
        node.start()
        accepted = len(world.home.reported(NodeRegistered))
        world.network.run(300)
        self.assertEqual(len(world.home.reported(NodeRegistered)), accepted)
        self.assertTrue(world.home.reported(RequestUnheard))


class ClockTests(RoamingCase):
    def test_clocks_within_the_window_need_nothing(self) -> None:
        for skew in (-290.0, 290.0):
            world = self.world(start=False)
            world.nodes[0].skew = skew
            world.start()
            self.registered(world)
            self.assertEqual(world.nodes[0].reported(ClocksApart), [])

    def test_clocks_beyond_it_are_told_and_corrected_for(self) -> None:
        for shape in SHAPES:
            for skew in (-3600.0, 10.0 * 365 * 86400):
                world = self.world(shape, start=False)
                world.nodes[0].skew = skew
                world.start()
                self.registered(world)
                told = self.assertTold(world.nodes[0], ClocksApart)
                self.assertLess(abs(told.seconds + skew), 2)
                self.assertEqual(len(world.nodes[0].reported(RegistrationSent)), 2)
                self.assertEqual(world.nodes[0].skew, skew)

    def test_a_clock_that_jumps_while_registered(self) -> None:
        world = self.world(keying=Keying.STATEFUL, lifetime=300)
        self.registered(world)
        for skew in (7200.0, -7200.0, 0.0):
            world.nodes[0].skew = skew
            world.network.run(400)
            self.registered(world)

    def test_a_home_agent_whose_clock_jumps(self) -> None:
        world = self.world(lifetime=300)
        self.registered(world)
        for skew in (7200.0, 0.0):
            world.home.skew = skew
            world.network.run(400)
            self.registered(world)

    def test_what_is_refused_is_sealed(self) -> None:
        world = self.world(start=False)
        world.nodes[0].skew = 3600
        world.start()
        self.registered(world)
        replies = [sent.octets for sent in world.network.sent if sent.label == "REPLY"]
        self.assertEqual([octets[1] for octets in replies], [128, Code.REGISTERED])
        self.assertEqual(len(replies[0]), len(replies[1]))
        self.assertEqual(world.nodes[0].reported(NegotiationRefused), [])


class ReplayTests(RoamingCase):
    def test_what_a_home_agent_has_replied_it_says_again_with_the_same_octets(self) -> None:
        world = self.world(start=False, topology="aaa")
        # The answer is lost between the servers: the agent's own servers ask again.
        world.network.hop_faults = [on_hop("RELAYED", snap, 1)]
        world.start()
        self.registered(world)
        registered = world.home.reported(NodeRegistered)
        self.assertGreaterEqual(len(registered), 1)
        self.assertEqual(len(world.home.adopted), 1)

    def test_the_same_request_to_another_agent_is_not_heard(self) -> None:
        world = self.world(agents=2)
        self.registered(world)
        request = world.network.last("REQUEST").octets
        before = known_at_home(world, world.nodes[0])
        path = world.nodes[0].path._replace(via=0, port=50000)
        world.agents[1].receive(request, path)
        world.network.run(5)
        self.assertEqual(known_at_home(world, world.nodes[0]), before)
        self.registered(world)
