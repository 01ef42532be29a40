"""What who is not to know a node can learn of it: from its requests, and from all that others hold, show or log.

Requests of all nodes in either form have one length and one layout; the positions that are the same in all
of them are those that must be, and all others look drawn by lot.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cache, partial
from typing import Any

from seckex.events.mobile_node import RegistrationSent
from seckex.roles.mobile_node.role import MobileNode
from seckex.wire.mobileip import decode_node_reply, decode_node_request
from seckex.wire.mobileip.reply import NodeReply
from seckex.wire.numbers import Code, Kem, Keying
from tests.link import lose, on
from tests.roaming.agreement import missing
from tests.roaming.case import RoamingCase
from tests.roaming.world import Shape, World
from tests.simulation.invariants import Invariants


def requests_of(world: World) -> list[bytes]:
    """Return each different request that was on the air."""
    return list(dict.fromkeys(sent.octets for sent in world.network.sent if sent.label == "REQUEST"))


def drawn(octets: bytes) -> list[tuple[int, int]]:
    """Return where in a request there is what no two requests may have in common."""
    request = decode_node_request(octets)
    x = octets.index(request.x)
    block = request.hd_end - 4
    return [
        (20, 24),
        (octets.index(request.spi.to_bytes(4, "big")), octets.index(request.spi.to_bytes(4, "big")) + 4),
        (x, x + len(request.x) + len(request.ciphertext)),
        (block, request.hd_end + len(request.sealed)),
        (request.covered - 4, len(request.octets)),
    ]


def bits(octets: bytes) -> int:
    """Return how many bits are set."""
    return sum(octet.bit_count() for octet in octets)


@cache
def many(kem: Kem) -> tuple[bytes, ...]:
    """Return requests of two nodes, by one-time SPIs and by the fallback, for the first time and again."""
    world = World(Shape(nodes=2, kem=kem, lifetime=28800)).start()
    network = world.network
    network.run_until(lambda: not any(missing(world, node) for node in world.nodes))
    network.faults = [on("REQUEST", lose, 10**6)]
    for node in world.nodes:
        network.monotonic += 1
        role = node.role(MobileNode)
        asked = role.keeping.again(node.now())
        node.ask(role, partial(list, asked))
    network.run(2400)
    network.faults = []
    network.run(120)
    sent = [each for node in world.nodes for each in node.reported(RegistrationSent)]
    if len({each.fallback for each in sent}) != 2 or len(sent) < 60:
        network.fail("not enough was said")
    return tuple(requests_of(world))


class UniformTests(RoamingCase):
    """All requests of two nodes, by one-time SPIs and by the fallback, for the first time and again."""

    def test_one_length(self) -> None:
        for kem, size in ((Kem.X25519, 1152), (Kem.X25519_ML_KEM_768, 4096)):
            self.assertEqual({len(octets) for octets in many(kem)}, {size})

    def test_they_differ_where_they_must_and_nowhere_else(self) -> None:
        for kem in Kem:
            found = many(kem)
            self.assertEqual(len({tuple(drawn(octets)) for octets in found}), 1, "one layout")
            places = drawn(found[0])
            # Whole seconds, and the challenge: the same for everybody who asks at that time.
            challenge = found[0].index(decode_node_request(found[0]).challenge)
            of_the_time = [(16, 20), (challenge, challenge + 16)]
            for at, octets in enumerate(zip(*found, strict=True)):
                somewhere = any(first <= at < behind for first, behind in (*places, *of_the_time))
                if not somewhere:
                    self.assertEqual(len(set(octets)), 1, f"octet {at} tells requests apart")
            for first, behind in places:
                parts = [octets[first:behind] for octets in found]
                self.assertEqual(len(set(parts)), len(parts), f"octets {first} to {behind} come again")

    def test_what_is_drawn_looks_drawn(self) -> None:
        found = many(Kem.X25519)
        for first, behind in drawn(found[0]):
            columns = ["".join(chr(octets[at]) for octets in found) for at in range(first, behind)]
            # X25519 keys have their last bit clear; all else is even.
            for column in columns:
                most = Counter(column).most_common(1)[0][1]
                self.assertLess(most, 12, f"octets {first} to {behind} are not drawn")
            whole = b"".join(octets[first:behind] for octets in found)
            self.assertLess(abs(bits(whole) / (8 * len(whole)) - 0.5), 0.05)

    def test_nothing_in_one_request_comes_again_in_another(self) -> None:
        found = many(Kem.X25519)
        places = [place for place in drawn(found[0]) if place[1] - place[0] >= 16]
        seen: set[bytes] = set()
        for octets in found:
            own = {octets[at : at + 8] for first, behind in places for at in range(first, behind - 8)}
            self.assertFalse(seen & own)
            seen |= own

    def test_each_request_leaves_from_a_port_of_its_own(self) -> None:
        world = self.world(lifetime=60)
        self.registered(world)
        world.network.run(300)
        ports: dict[bytes, set[int]] = {}
        for sent in world.network.sent:
            if sent.label == "REQUEST":
                ports.setdefault(sent.octets, set()).add(sent.source.port)
        self.assertGreater(len(ports), 4)
        self.assertTrue(all(len(used) == 1 for used in ports.values()))
        self.assertEqual(len(set.union(*ports.values())), len(ports))


class ReplyTests(RoamingCase):
    def replies(self, world: World) -> list[NodeReply]:
        """Return the replies that were on the air."""
        found = (decode_node_reply(sent.octets) for sent in world.network.sent if sent.label == "REPLY")
        return [reply for reply in found if isinstance(reply, NodeReply)]

    def test_acceptance_refusal_and_counter_offer_have_one_size(self) -> None:
        sizes: set[int] = set()
        shapes: tuple[dict[str, Any], ...] = ({}, {"rounds": True}, {"keying": Keying.SEMI_STATEFUL}, {"lifetime": 60})
        for how in shapes:
            world = self.world(**how)
            self.registered(world)
            self.asked(world.nodes[0], "down")
            world.network.run(3)
            self.asked(world.nodes[0], "up")
            world.nodes[0].skew = 4000
            world.network.run(3)
            sizes |= {len(reply.octets) for reply in self.replies(world)}
        self.assertEqual(len(sizes), 1)

    def test_an_agent_sees_that_there_is_a_refusal_and_not_why(self) -> None:
        world = self.world(start=False)
        world.nodes[0].skew = 4000
        world.start()
        self.registered(world)
        refused = [reply for reply in self.replies(world) if reply.header.code]
        self.assertEqual({reply.header.code for reply in refused}, {Code.UNSPECIFIED})
        self.assertNotIn("clock", " ".join(str(event) for event in world.agents[0].reports))


class RelayTests(RoamingCase):
    """All that agents, AAA servers and centers hold, show, log, say or hear, looked through."""

    def looked_through(self, shape: Shape) -> None:
        world = self.world(shape, start=False, nodes=2)
        invariants = Invariants(world, self.ledger)
        world.start()
        for node in world.nodes:
            self.registered(world, node)
        invariants.look_around()
        for node in world.nodes:
            self.asked(node, "again")
        world.network.run(5)
        for node in world.nodes:
            self.registered(world, node)
        invariants.look_around()
        for host in world.network.hosts.values():
            host.restart()
        world.network.run(2)
        invariants.look_around()
        self.asked(world.nodes[0], "down")
        world.network.run(3)
        invariants.look_around()

    def test_in_every_topology_and_mode(self) -> None:
        for topology in ("direct", "aaa"):
            for keying in Keying:
                for version in (4, 6):
                    self.looked_through(Shape(topology, keying, version=version))

    def test_with_the_hybrid_and_counter_offers(self) -> None:
        self.looked_through(Shape("aaa", Keying.STATEFUL, Kem.X25519_ML_KEM_768, rounds=True))

    def test_a_server_that_is_a_center_too(self) -> None:
        self.looked_through(Shape("aaa", Keying.SEMI_STATEFUL, center="aaa"))

    def test_what_relays_see_of_two_nodes_is_the_same(self) -> None:
        world = self.world(topology="aaa", keying=Keying.STATEFUL, nodes=2)
        for node in world.nodes:
            self.registered(world, node)
        relays = [parcel.octets for parcel in world.network.told if parcel.label == "RELAY"]
        self.assertEqual(self.lengths(relays), 1)
        replies = [parcel.octets for parcel in world.network.told if parcel.label == "RELAYED"]
        # Signatures have the lengths that they happen to have.
        self.assertLessEqual(max(map(len, replies)) - min(map(len, replies)), 4)

    def lengths(self, messages: Iterable[bytes]) -> int:
        """Return how many lengths there are among messages that name their senders, of each hop."""
        by_way = {len(octets) for octets in messages}
        return 1 if max(by_way) - min(by_way) <= 3 * 25 + 4 else len(by_way)
