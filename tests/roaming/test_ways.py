"""Ways to the home network and to centers: the next one where one fails, loops, hops that are not secure."""

from __future__ import annotations

from attrs import evolve

from seckex.events import NegotiationRefused
from seckex.events.aaa import NextHopFailed, RegistrationNotRelayed
from seckex.events.foreign_agent import RelayFailed
from seckex.events.home_agent import CenterPassedOver, NodesTaken
from seckex.events.mobile_node import AgentRefused
from seckex.roles.aaa.ways import Ways
from seckex.roles.trace import NoWay, Tracer
from seckex.wire import hop
from seckex.wire.hop import Route, TracedHop, decode_hop, encode_hop
from seckex.wire.numbers import Code, Keying, Kind, Security
from tests.roaming.case import RoamingCase
from tests.roaming.hop import Parcel, on_hop, snap
from tests.roaming.host import Host
from tests.roaming.world import CENTERS, FOREIGN_AAA, HOME, HOME_AAA, HOME_REALM, World

OTHER_AAA = "aaa2@visited.example"
OTHER_HOME_AAA = "aaa2@home.example"


def pair(one: str, other: str) -> frozenset[str]:
    """Return what names a hop."""
    return frozenset((one, other))


class HopTests(RoamingCase):
    def with_two_ways(self) -> World:
        """Return a world with two AAA servers on each side, not started."""
        world = self.world(start=False, topology="aaa", keying=Keying.STATEFUL)
        for name, nai, neighbours, ways in (
            (
                "aaaf2",
                OTHER_AAA,
                {HOME_AAA, OTHER_HOME_AAA},
                Ways(frozenset(), {HOME_REALM: (OTHER_HOME_AAA, HOME_AAA)}),
            ),
            ("aaah2", OTHER_HOME_AAA, {HOME}, Ways(frozenset((HOME,)), {})),
        ):
            host = world._add(name, nai, f"192.0.2.{50 + len(name)}")
            host.neighbours = neighbours
            world.terms[name]["aaa"] = ways
        world.network.hosts["aaaf"].neighbours |= {OTHER_HOME_AAA}
        world.terms["aaaf"]["aaa"] = Ways(frozenset(), {HOME_REALM: (HOME_AAA, OTHER_HOME_AAA)})
        world.agents[0].neighbours |= {OTHER_AAA}
        agent = world.terms["agent1"]["agent"]
        world.terms["agent1"]["agent"] = evolve(agent, servers=(FOREIGN_AAA, OTHER_AAA))
        return world

    def test_the_first_way_where_all_is_well(self) -> None:
        world = self.with_two_ways().start()
        self.registered(world)
        self.assertNotIn("agent1 ::> aaaf2 RELAY", world.network.arrows())

    def test_the_other_server_where_one_is_down(self) -> None:
        for down, reports in (("aaaf", RelayFailed), ("aaah", NextHopFailed)):
            world = self.with_two_ways()
            down_host = world.network.hosts[down]
            world.start()
            down_host.stop()
            self.registered(world)
            told = world.agents[0] if down == "aaaf" else world.network.hosts["aaaf"]
            self.assertTrue(told.reported(reports))

    def test_the_other_server_where_one_swallows_everything(self) -> None:
        for silent in (FOREIGN_AAA, HOME_AAA):
            world = self.with_two_ways()

            def swallow(parcel: Parcel, silent: str = silent) -> Parcel | None:
                return None if parcel.receiver == silent and parcel.label == "RELAY" else parcel

            world.network.hop_faults = [swallow]
            world.start()
            self.registered(world)

    def test_the_same_reply_by_whichever_way(self) -> None:
        world = self.with_two_ways()
        # The reply is lost between the home servers: the other one asks, and is told the same.
        world.network.hop_faults = [on_hop("RELAYED", snap, 1)]
        world.start()
        self.registered(world)
        parcels = [p for p in world.network.told if p.label == "RELAYED" and p.sender == HOME]
        messages = {
            message.message for message in (decode_hop(p.octets) for p in parcels) if isinstance(message, hop.Relayed)
        }
        self.assertEqual((len(parcels), len(messages)), (2, 1))
        self.assertEqual(world.home.counters["home-agent.registered"], 1)

    def test_both_ways_are_down(self) -> None:
        world = self.with_two_ways().start()
        for name in ("aaaf", "aaaf2"):
            world.network.hosts[name].stop()
        world.network.run(10)
        self.assertTold(world.nodes[0], AgentRefused, code=Code.HOME_NETWORK_UNREACHABLE)
        world.network.hosts["aaaf"].start()
        self.registered(world)

    def test_no_hop_is_used_that_does_not_prove_its_name(self) -> None:
        for one, other in ((FOREIGN_AAA, HOME_AAA), (HOME_AAA, HOME), (FOREIGN_AAA, "north@visited.example")):
            world = self.world(start=False, topology="aaa")
            world.network.unproved.add(pair(one, other))
            world.start()
            world.network.run(10)
            self.assertEqual(world.home.adopted, {})
            self.assertTold(world.nodes[0], AgentRefused, code=Code.HOME_NETWORK_UNREACHABLE)
            self.assertFalse(
                [p for p in world.network.told if {p.sender, p.receiver} == {one, other} and p.label == "RELAYED"]
            )
            world.network.unproved.clear()
            self.registered(world)

    def test_a_loop_is_found(self) -> None:
        world = self.world(start=False, topology="aaa")
        world.terms["aaaf"]["aaa"] = Ways(frozenset(), {HOME_REALM: (HOME_AAA,)})
        world.terms["aaah"]["aaa"] = Ways(frozenset(), {HOME_REALM: (FOREIGN_AAA,)})
        if world.home_aaa is None:
            self.fail("no AAA server")
        world.home_aaa.neighbours = {FOREIGN_AAA}
        world.start()
        world.network.run(5)
        refused = self.assertTold(world.home_aaa, RegistrationNotRelayed, code=Code.ROUTING_LOOP)
        self.assertEqual(refused.neighbour, FOREIGN_AAA)
        self.assertTold(world.nodes[0], AgentRefused, code=Code.HOME_NETWORK_UNREACHABLE)
        relays = [p for p in world.network.told if p.label == "RELAY"]
        self.assertLessEqual(len(relays) / max(len(world.nodes[0].reported(AgentRefused)), 1), 4)

    def test_a_route_with_no_hops_left_and_one_that_names_its_reader(self) -> None:
        world = self.world(topology="aaa")
        self.registered(world)
        server, agent = world.foreign_aaa, world.agents[0]
        if server is None:
            self.fail("no AAA server")
        whole = decode_hop(next(p.octets for p in world.network.told if p.label == "RELAY"))
        if not isinstance(whole, hop.Relay):
            self.fail("not a RELAY")
        for number, route in enumerate(
            (
                Route(0, HOME, (agent.nai,)),
                Route(8, HOME, (server.nai, agent.nai)),
                Route(8, HOME, ("other@x.example",)),
            )
        ):
            server.hear(agent.nai, encode_hop(evolve(whole, identification=number, route=route)))
        refusals = [p for p in world.network.told if p.label == "NOT_RELAYED"]
        codes = [
            message.detail.code
            for message in map(decode_hop, (p.octets for p in refusals))
            if isinstance(message, hop.NotRelayed)
        ]
        self.assertEqual(codes, [Code.ROUTING_LOOP, Code.ROUTING_LOOP, Code.POORLY_FORMED])


class TraceTests(RoamingCase):
    def traced(self, world: World, host: Host, destination: str = HOME) -> tuple[TracedHop, ...] | NoWay:
        """Have a host find the way to a home agent."""
        found: list[tuple[TracedHop, ...] | NoWay] = []
        tracer = host.role(Tracer)
        host.ask(tracer, lambda: tracer.trace(destination, found.append, host.now()))
        world.network.run_until(lambda: found)
        return found[0]

    def test_the_way_hop_by_hop(self) -> None:
        for topology, names in (("direct", ["agent1"]), ("aaa", ["agent1", "aaaf", "aaah"])):
            world = self.world(topology=topology)
            for host in (world.nodes[0], world.agents[0]):
                way = self.traced(world, host)
                if isinstance(way, NoWay):
                    self.fail(str(way))
                others = [world.network.hosts[name].nai for name in names if name != host.name]
                self.assertEqual([each.nai for each in way], [host.nai, *others])
                expected = [Security.NONE] if host is world.nodes[0] else []
                self.assertEqual([each.security for each in way], [*expected, *[Security.TLS] * len(names)])
                times = [each.microseconds for each in way]
                self.assertEqual(times, sorted(times, reverse=True))

    def test_where_it_does_not_go_on(self) -> None:
        world = self.world(topology="aaa")
        world.home.stop()
        for destination, by, code in (
            (HOME, HOME_AAA, Code.NEXT_HOP_UNREACHABLE),
            ("ha@elsewhere.example", FOREIGN_AAA, Code.UNKNOWN_REALM),
        ):
            found = self.traced(world, world.nodes[0], destination)
            if not isinstance(found, NoWay):
                self.fail("there is a way")
            self.assertEqual((found.by, found.code), (by, code))

    def test_nothing_of_the_node_is_in_it(self) -> None:
        world = self.world(topology="aaa")
        self.traced(world, world.nodes[0])
        said = [p.octets for p in world.network.told] + [sent.octets for sent in world.network.sent]
        traces = b"".join(octets for octets in said if octets[3:4] in (bytes((Kind.TRACE,)), bytes((Kind.TRACED,))))
        self.assertTrue(traces)
        self.assertNotIn(b"wanderer", traces)


class CenterTests(RoamingCase):
    def with_a_replica(self) -> World:
        """Return a world with two centers, which both know the node."""
        world = self.world(keying=Keying.STATEFUL, replica=True)
        self.registered(world)
        world.network.run(40)
        return world

    def again(self, world: World) -> None:
        """Have the node register again."""
        self.asked(world.nodes[0], "again")
        world.network.run(15)
        self.registered(world)

    def test_the_replica_is_asked_where_the_first_center_is_down(self) -> None:
        world = self.with_a_replica()
        world.centers[0].stop()
        self.again(world)
        self.assertIn("home ::> kdc2 KEYS", world.network.arrows())
        self.assertTold(world.home, CenterPassedOver, center=CENTERS[0])

    def test_the_replica_is_asked_where_the_first_center_is_silent(self) -> None:
        for wanted in ("KEYS", "ISSUED"):
            world = self.with_a_replica()

            def swallow(parcel: Parcel, wanted: str = wanted) -> Parcel | None:
                return None if parcel.label == wanted and CENTERS[0] in (parcel.sender, parcel.receiver) else parcel

            world.network.hop_faults = [swallow]
            self.again(world)
            self.assertIn("kdc2 ::> home ISSUED", world.network.arrows())

    def test_back_to_the_first_center(self) -> None:
        world = self.with_a_replica()
        world.centers[0].stop()
        self.again(world)
        world.centers[0].start()
        world.network.run(30)
        asked = world.network.arrows().count("home ::> kdc KEYS")
        self.again(world)
        self.assertEqual(world.network.arrows().count("home ::> kdc KEYS"), asked + 1)

    def test_no_center_at_all(self) -> None:
        world = self.with_a_replica()
        for center in world.centers:
            center.stop()
        self.asked(world.nodes[0], "again")
        world.network.run(10)
        self.assertTold(world.nodes[0], NegotiationRefused, code=Code.KDC_UNREACHABLE)
        # What is in use stays in use.
        self.assertEqual(len(world.home.adopted), 1)
        world.centers[1].start()
        world.network.run(60)
        self.registered(world)

    def test_stateless_keying_asks_no_center(self) -> None:
        world = self.world()
        self.registered(world)
        world.centers[0].stop()
        self.again(world)
        self.assertNotIn("home ::> kdc KEYS", world.network.arrows())

    def test_a_node_that_is_added_later_is_known_at_once(self) -> None:
        world = self.world(start=False, keying=Keying.STATEFUL, nodes=2)
        for host in world.network.hosts.values():
            if host not in world.nodes:
                host.start()
        world.network.run(2)
        world.provision(world.nodes[0])
        world.nodes[0].start()
        self.registered(world)
        taken = len(world.home.reported(NodesTaken))
        world.provision(world.nodes[1])
        self.assertGreater(len(world.home.reported(NodesTaken)), taken)
        world.nodes[1].start()
        self.registered(world, world.nodes[1])

    def test_a_home_agent_that_was_down_when_a_node_was_added(self) -> None:
        world = self.world(start=False, keying=Keying.STATEFUL, nodes=2)
        for host in world.network.hosts.values():
            if host not in world.nodes:
                host.start()
        world.network.run(2)
        world.home.stop()
        world.provision(world.nodes[0])
        world.home.start()
        world.nodes[0].start()
        self.registered(world)

    def test_changes_that_nobody_could_be_told(self) -> None:
        world = self.world(start=False, keying=Keying.STATEFUL)
        world.network.hop_faults = [on_hop(Kind.CHANGED.name, snap, 99)]
        world.start()
        # It asks by itself every now and then.
        world.network.run(60)
        self.registered(world)
