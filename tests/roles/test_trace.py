"""Ways found hop by hop: what each adds, who may ask, and what comes of it where no way leads on."""

from __future__ import annotations

from collections.abc import Mapping

from twisted.trial.unittest import SynchronousTestCase

from seckex.errors import PeerIncompatible
from seckex.machine import Now, Path
from seckex.roles import trace
from seckex.roles.faces import Relay, Role
from seckex.roles.trace import ANSWER_WITHIN, REMEMBERED_FOR, NoWay, Tracer, Way
from seckex.wire import hop
from seckex.wire.hop import Route, TracedHop, encode_hop
from seckex.wire.numbers import MOST_HOPS, Code, Security
from tests.roaming.host import Host
from tests.roaming.network import Network

AGENT, FOREIGN, HOME = "agent@visited.example", "aaa@visited.example", "home@home.example"
ONE, TWO = "one@home.example", "two@home.example"
#: Who asks whom, by the realm of whom it is for.
WAYS = {AGENT: (FOREIGN,), FOREIGN: (ONE, TWO), ONE: (HOME,), TWO: (HOME,)}


class Line(Network):
    """An agent, three servers, a home agent; and a node that hears the agent."""

    def __init__(self) -> None:
        super().__init__()
        self.ways = dict(WAYS)
        self.heard_agent = True
        for name, nai in (("agent", AGENT), ("foreign", FOREIGN), ("one", ONE), ("two", TWO), ("home", HOME)):
            self.host(name, self._tracer, nai=nai, neighbours=(AGENT, FOREIGN, ONE, TWO, HOME), cells={"radio"})
        self.host("node", self._node, nai="node@home.example", cells={"radio"})
        for host in self.hosts.values():
            host.start()

    def _tracer(self, host: Host) -> Mapping[str, Role]:
        def ways(destination: str) -> tuple[str, ...]:
            if destination.partition("@")[2] != "home.example":
                raise PeerIncompatible(Code.UNKNOWN_REALM, "no route leads there")
            return self.ways.get(host.nai, ())

        def security(neighbour: str) -> Security:
            return Security.ASSOCIATION if neighbour == HOME else Security.TLS

        return {"trace": Tracer(host.nai, ways, security, host.entropy, public=host.nai == AGENT)}

    def _node(self, host: Host) -> Mapping[str, Role]:
        def nothing(destination: str) -> tuple[str, ...]:
            raise PeerIncompatible(Code.NEXT_HOP_UNREACHABLE, f"nobody leads to {destination}")

        def near(_now: Now) -> tuple[str, Path] | None:
            return (AGENT, self.hosts["agent"].path) if self.heard_agent else None

        return {"trace": Tracer(host.nai, nothing, lambda _: Security.NONE, host.entropy, near)}

    def way(self, name: str = "agent", destination: str = HOME) -> Way | NoWay:
        """Have somebody look for a way, and return it."""
        found = self.begin(name, destination)
        self.run_until(lambda: found)
        return found[0]

    def begin(self, name: str = "agent", destination: str = HOME) -> list[Way | NoWay]:
        found: list[Way | NoWay] = []
        host = self.hosts[name]
        tracer = host.role(Tracer)
        host.ask(tracer, lambda: tracer.trace(destination, found.append, host.now()))
        return found


def shape(found: Way | NoWay) -> list[tuple[str, Security]]:
    if isinstance(found, NoWay):
        raise AssertionError(found)
    return [(each.nai, each.security) for each in found]


WHOLE = [(AGENT, Security.TLS), (FOREIGN, Security.TLS), (ONE, Security.ASSOCIATION)]


class WayTests(SynchronousTestCase):
    def test_each_adds_itself_with_the_security_of_its_hop_and_the_time(self) -> None:
        found = Line().way()
        self.assertEqual(shape(found), WHOLE)
        # A hop takes 5 ms each way, and 20 ms to be made.
        times = [each.microseconds for each in found] if not isinstance(found, NoWay) else []
        self.assertEqual(times, [90_000, 60_000, 30_000])

    def test_the_second_time_hops_are_there(self) -> None:
        line = Line()
        line.way()
        found = line.way()
        self.assertEqual(
            [each.microseconds for each in found] if not isinstance(found, NoWay) else [], [30000, 20000, 10000]
        )

    def test_to_ourselves(self) -> None:
        self.assertEqual(Line().way(destination=AGENT), ())

    def test_around_somebody_who_is_gone(self) -> None:
        line = Line()
        line.hosts["one"].stop()
        self.assertEqual(shape(line.way()), [*WHOLE[:2], (TWO, Security.ASSOCIATION)])

    def test_around_somebody_who_is_silent(self) -> None:
        line = Line()
        line.hop_faults.append(lambda parcel: None if parcel.sender == ONE else parcel)
        self.assertEqual(shape(line.way("foreign")), [(FOREIGN, Security.TLS), (TWO, Security.ASSOCIATION)])
        self.assertApproximates(line.monotonic, ANSWER_WITHIN, 0.3)


class NoWayTests(SynchronousTestCase):
    def test_a_realm_that_somebody_knows_no_way_to(self) -> None:
        found = Line().way(destination="home@elsewhere.example")
        self.assertEqual(found, NoWay(AGENT, Code.UNKNOWN_REALM, "no route leads there"))

    def test_a_way_that_ends_on_the_way(self) -> None:
        line = Line()
        line.unproved |= {frozenset((ONE, HOME)), frozenset((TWO, HOME))}
        found = line.way()
        self.assertEqual(found, NoWay(TWO, Code.NO_SECURE_HOP, f"{HOME}: it does not prove its name"))

    def test_a_circle(self) -> None:
        line = Line()
        line.ways |= {ONE: (FOREIGN,), TWO: (FOREIGN,)}
        found = line.way()
        self.assertIsInstance(found, NoWay)
        self.assertEqual((found.by, found.code) if isinstance(found, NoWay) else (), (TWO, Code.ROUTING_LOOP))

    def test_nobody_answers(self) -> None:
        line = Line()
        line.hop_faults.append(lambda parcel: None if parcel.receiver == HOME else parcel)
        found = line.way()
        self.assertEqual(found.code if isinstance(found, NoWay) else 0, Code.NEXT_HOP_UNREACHABLE)
        line.run(60)
        self.assertTrue(all(host.role(Tracer).status(host.now()) == {"pending": 0} for host in line.hosts.values()))

    def test_no_more_than_may_be_under_way(self) -> None:
        self.patch(trace, "MOST_PENDING", 3)
        line = Line()
        found = [line.begin() for _ in range(4)]
        self.assertEqual(found[3], [NoWay(AGENT, Code.INSUFFICIENT_RESOURCES, "too many ask for ways")])
        line.run(1)
        self.assertEqual([len(each) for each in found], [1, 1, 1, 1])


class NodeTests(SynchronousTestCase):
    def test_a_node_asks_its_agent_and_sees_its_own_hop_without_security(self) -> None:
        line = Line()
        found = line.way("node")
        self.assertEqual(shape(found), [("node@home.example", Security.NONE), *WHOLE])

    def test_its_agent_does_not_learn_who_it_is(self) -> None:
        line = Line()
        line.way("node")
        said = b"".join(datagram.octets for datagram in line.sent) + b"".join(parcel.octets for parcel in line.told)
        self.assertNotIn(b"node@", said)

    def test_no_agent_is_heard(self) -> None:
        line = Line()
        line.heard_agent = False
        self.assertEqual(
            line.way("node"), NoWay("node@home.example", Code.NEXT_HOP_UNREACHABLE, f"nobody leads to {HOME}")
        )

    def test_its_agent_is_gone(self) -> None:
        line = Line()
        line.hosts["agent"].stop()
        found = line.way("node")
        self.assertEqual(found.code if isinstance(found, NoWay) else 0, Code.NEXT_HOP_UNREACHABLE)

    def test_what_its_agent_says_where_no_way_leads_on(self) -> None:
        line = Line()
        line.refused.add(frozenset((AGENT, FOREIGN)))
        self.assertEqual(line.way("node"), NoWay(AGENT, Code.NEXT_HOP_UNREACHABLE, f"{FOREIGN}: it does not answer"))

    def test_the_agent_asks_once_for_all_who_ask(self) -> None:
        line = Line()
        found = [line.begin("node") for _ in range(5)]
        line.run_until(lambda: all(found))
        line.way("node")
        self.assertEqual(sum(arrow == "agent ::> foreign TRACE" for arrow in line.arrows()), 1)
        line.run(REMEMBERED_FOR)
        line.way("node")
        self.assertEqual(sum(arrow == "agent ::> foreign TRACE" for arrow in line.arrows()), 2)

    def test_strangers_cannot_keep_neighbours_waiting(self) -> None:
        line = Line()
        line.hop_faults.append(lambda parcel: None if parcel.receiver == HOME else parcel)
        for number in range(30):
            line.begin("node", f"h{number}@home.example")
        line.run(1)
        self.assertEqual(
            line.hosts["agent"].role(Tracer).status(line.hosts["agent"].now()), {"pending": trace.MOST_PUBLIC}
        )
        self.assertIsInstance(line.begin("agent"), list)

    def test_over_udp_nobody_is_answered_and_by_others_nobody_at_all(self) -> None:
        line = Line()
        octets = encode_hop(hop.Trace(9, Route(MOST_HOPS, HOME, ()), ()))
        for name in ("agent", "foreign"):
            for tcp in (False, True):
                if (name, tcp) != ("agent", True):
                    line.hosts[name].receive(octets, Path("192.0.2.77", 4434, 0, tcp))
        line.run(2)
        self.assertEqual(line.arrows(), [])


class LiarTests(SynchronousTestCase):
    def test_a_route_that_hides_who_said_it(self) -> None:
        line = Line()
        octets = encode_hop(hop.Trace(9, Route(MOST_HOPS, HOME, (TWO,)), ()))
        agent = line.hosts["agent"]
        agent.ask(agent.role(Tracer), lambda: [Relay(FOREIGN, octets)])
        line.run(1)
        self.assertEqual(line.arrows(), ["agent ::> foreign TRACE", "foreign ::> agent NOT_RELAYED"])

    def test_an_answer_from_somebody_who_was_not_asked_or_of_another_kind(self) -> None:
        line = Line()
        found = line.begin()
        line.run(0.001)
        number = hop.decode_hop(line.told[0].octets).identification
        lie = encode_hop(hop.Traced(number, (TracedHop(FOREIGN, Security.TLS, 1),)))
        line.hosts["agent"].hear(TWO, lie)
        self.assertEqual(found, [])
        line.hosts["agent"].hear(FOREIGN, encode_hop(hop.Relayed(number, b"what")))
        self.assertEqual(found, [NoWay(FOREIGN, Code.POORLY_FORMED, "its answer is none")])

    def test_what_cannot_be_read(self) -> None:
        line = Line()
        octets = encode_hop(hop.Trace(9, Route(MOST_HOPS, HOME, (AGENT,)), ()))
        for cut in range(16, len(octets)):
            line.hosts["foreign"].hear(AGENT, octets[:cut])
        self.assertEqual(line.hosts["foreign"].counters["trace.unexpected"], len(octets) - 16)
        self.assertEqual(line.arrows(), [])

    def test_a_way_that_is_too_long_is_none(self) -> None:
        line = Line()
        found = line.begin()
        line.run(0.001)
        number = hop.decode_hop(line.told[0].octets).identification
        long = encode_hop(hop.Traced(number, (TracedHop(FOREIGN, Security.TLS, 1),) * hop.MAX_ROUTE))
        line.hosts["agent"].hear(FOREIGN, long)
        self.assertEqual(found, [NoWay(FOREIGN, Code.POORLY_FORMED, "its answer is none")])
