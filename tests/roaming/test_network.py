"""The network on its table does to messages what it should, and sees what should not be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import Factory, define
from twisted.trial.unittest import FailTest, SynchronousTestCase

from seckex.machine import Now, Path, Send
from seckex.node.actions import Commit, Work
from seckex.roles.faces import ClosePort, Relay, Role, RoleAction
from seckex.sa.store import Outcome, PutRecord, Record, Snapshot
from seckex.wire.general import Header, encode_header
from seckex.wire.numbers import Kind
from tests.link import duplicate, late, lose, on
from tests.roaming.certificates import identity, trust
from tests.roaming.hop import on_hop, snap
from tests.roaming.host import Crashing, Host
from tests.roaming.network import Network

ASKED = encode_header(Header(Kind.CHANGED, False, 7, 0))
SOLICITED = encode_header(Header(Kind.SOLICITATION, False, 7, 0)) + bytes(4)
ADVERTISED = encode_header(Header(Kind.ADVERTISEMENT, True, 7, 0))


@define
class Parrot:
    """Says what it is made to, answers solicitations, and remembers everything."""

    answers: bool = False
    kinds: frozenset[int] = frozenset((Kind.SOLICITATION, Kind.ADVERTISEMENT, Kind.CHANGED))
    got: list[Any] = Factory(list)
    counters: Mapping[str, int] = Factory(dict)
    due: float | None = None

    def status(self, now: Now) -> dict[str, Any]:
        return {"now": now.monotonic}

    def start(self, snapshot: Snapshot, now: Now) -> list[RoleAction]:
        self.got.append((now.monotonic, [record.octets for record in snapshot.records]))
        return []

    def received(self, octets: bytes, path: Path, now: Now) -> list[RoleAction]:  # noqa: ARG002  # a parrot has no clock
        self.got.append(octets)
        if self.answers and octets == SOLICITED:
            return [Send(ADVERTISED, path)]
        return []

    def heard(self, neighbour: str, octets: bytes, now: Now) -> list[RoleAction]:
        self.got.append((neighbour, octets, now.monotonic))
        return []

    def awaits(self, identification: int) -> bool:
        return identification == 7

    def unreachable(self, neighbour: str, identification: int, why: str, code: int, now: Now) -> list[RoleAction]:
        self.got.append((neighbour, identification, why, code, now.monotonic))
        return []

    def failed(self, path: Path, why: str, now: Now) -> list[RoleAction]:
        self.got.append((path, why, now.monotonic))
        return []

    def committed(self, token: int, outcome: Outcome | str, now: Now) -> list[RoleAction]:
        self.got.append((token, outcome, now.monotonic))
        return []

    def worked(self, token: int, result: object, now: Now) -> list[RoleAction]:
        self.got.append((token, result, now.monotonic))
        return []

    def tick(self, now: Now) -> list[RoleAction]:
        self.got.append(now.monotonic)
        self.due = None
        return []

    def next_deadline(self, now: Now) -> float | None:
        return self.due if now.monotonic >= 0 else None


class NetworkTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.network = Network()

    def host(self, name: str, *addresses: str, answers: bool = False) -> Host:
        def build(_host: Host) -> Mapping[str, Role]:
            return {"parrot": Parrot(answers)}

        host = self.network.host(name, build, *addresses, cells=("here",))
        host.start()
        return host

    def pair(self) -> tuple[Host, Host]:
        node, agent = self.host("node"), self.host("agent", answers=True)
        for host, other in ((node, agent), (agent, node)):
            host.neighbours.add(other.nai)
        return node, agent

    def says(self, host: Host, *actions: RoleAction) -> None:
        host.ask(host.role(Parrot), lambda: actions)

    def got(self, host: Host) -> list[Any]:
        return host.role(Parrot).got[1:]

    def test_radio_there_and_back_to_a_port_of_its_own(self) -> None:
        node, agent = self.pair()
        self.says(node, Send(SOLICITED, agent.path._replace(via=-4)))
        self.network.run()
        self.assertEqual((self.got(node), self.got(agent)), ([ADVERTISED], [SOLICITED]))
        self.assertNotEqual(self.network.sent[0].source.port, node.path.port)
        self.says(node, Send(SOLICITED, agent.path._replace(via=-4)), ClosePort(-4))
        self.network.run()
        self.assertEqual(len(self.got(node)), 1)
        self.assertEqual(self.network.arrows()[:2], ["node --> agent SOLICITATION", "agent --> node ADVERTISEMENT"])

    def test_who_is_elsewhere_hears_nothing(self) -> None:
        node, agent = self.pair()
        agent.cells = {"there"}
        self.says(node, Send(SOLICITED, agent.path._replace(via=-1)))
        self.says(node, Send(SOLICITED, agent.path._replace(via=-2, tcp=True)))
        self.network.run()
        self.assertEqual(self.got(agent), [])
        self.assertEqual(self.got(node)[0][1], "connection refused")

    def test_multicast_reaches_all_others_of_the_cell_and_family(self) -> None:
        node, agent = self.pair()
        other, six = self.host("other"), self.host("six", "2001:db8::6")
        self.says(agent, Send(ADVERTISED, Path("239.255.67.34", 4434)))
        self.network.run()
        self.assertEqual([self.got(host) for host in (node, agent, other, six)], [[ADVERTISED], [], [ADVERTISED], []])

    def test_faults_of_the_radio(self) -> None:
        node, agent = self.pair()
        for fault, times in ((lose, 0), (duplicate, 2), (late(3), 1)):
            self.network.faults = [on("SOLICITATION", fault)]
            before = len(self.got(agent))
            self.says(node, Send(SOLICITED, agent.path._replace(via=-1)))
            self.network.run(5)
            self.assertEqual(len(self.got(agent)) - before, times)

    def test_tcp_keeps_the_order_and_breaks(self) -> None:
        node, agent = self.pair()
        over = agent.path._replace(via=-1, tcp=True)
        self.network.faults = [on("SOLICITATION", late(1))]
        self.says(node, Send(SOLICITED, over), Send(ADVERTISED, over))
        self.network.run(3)
        self.assertEqual(self.got(agent), [SOLICITED, ADVERTISED])
        self.assertEqual(self.got(node), [ADVERTISED])
        self.network.faults = [on("SOLICITATION", lose)]
        self.says(node, Send(SOLICITED, over), Send(ADVERTISED, over))
        self.network.run(3)
        self.assertEqual(self.got(agent)[2:], [ADVERTISED], "the second goes over another connection")

    def test_hops_keep_the_order_and_lose_what_is_on_its_way(self) -> None:
        node, agent = self.pair()
        other = encode_header(Header(Kind.CHANGED, False, 8, 0))
        self.network.hop_faults = [on_hop("CHANGED", lambda parcel: parcel)]
        self.says(node, Relay(agent.nai, ASKED), Relay(agent.nai, other))
        self.network.run()
        self.assertEqual([octets for _, octets, _ in self.got(agent)], [ASKED, other])
        self.network.hop_faults = [on_hop("CHANGED", snap)]
        self.says(node, Relay(agent.nai, ASKED), Relay(agent.nai, other))
        self.network.run()
        self.assertEqual([octets for _, octets, _ in self.got(agent)][2:], [other])
        self.says(node, Relay(agent.nai, ASKED))
        self.network.break_hops(agent)
        self.network.run()
        self.assertEqual(len(self.got(agent)), 3)

    def test_hops_that_cannot_be_made(self) -> None:
        node, agent = self.pair()
        pair = frozenset((node.nai, agent.nai))
        for table, code, at_least in (
            (self.network.refused, 280, 0),
            (self.network.silent, 280, 5),
            (self.network.unproved, 279, 0),
        ):
            table.add(pair)
            began = self.network.monotonic
            self.says(node, Relay(agent.nai, ASKED))
            self.network.run(10)
            who, identification, _, told, when = self.got(node)[-1]
            self.assertEqual((who, identification, told), (agent.nai, 7, code))
            self.assertGreaterEqual(when - began, at_least)
            table.clear()
        self.says(node, Relay("nobody@example.org", ASKED))
        self.network.run()
        self.assertEqual(self.got(node)[-1][3], 280)
        self.assertEqual(self.got(agent), [])

    def test_commits_work_and_ticks(self) -> None:
        node, _ = self.pair()
        record = Record("mn.x", b"name", b"octets")
        node.commit_faults[2] = "disk full"
        node.role(Parrot).due = 2.0
        self.says(node, Commit(1, (PutRecord(record),)), Commit(2, ()), Work(3, lambda: 33))
        self.network.run(5)
        self.assertEqual([item[:2] for item in self.got(node)[:3]], [(1, Outcome.STORED), (2, "disk full"), (3, 33)])
        self.assertEqual(self.got(node)[3:], [2.0])
        node.restart()
        self.assertEqual(node.role(Parrot).got[0][1], [b"octets"])

    def test_crashes_before_and_after_what_is_durable(self) -> None:
        for when, stored in (("before", []), ("after", [b"octets"])):
            self.network = Network()
            node, _ = self.pair()
            at: Callable[[Crashing], bool] = lambda point, when=when: point.when == when and point.stage == "commit"  # type: ignore[misc]  # noqa: E731
            node.crash = at
            self.says(node, Commit(1, (PutRecord(Record("mn.x", b"name", b"octets")),)))
            self.network.run()
            self.assertEqual(node.role(Parrot).got[0][1], stored)

    def test_it_sees_more_going_to_an_address_than_came_from_there(self) -> None:
        _, agent = self.pair()
        self.assertRaises(FailTest, self.says, agent, Send(ADVERTISED, Path("203.0.113.1", 4434)))

    def test_it_sees_what_would_be_fragmented(self) -> None:
        node, agent = self.pair()
        self.assertRaises(FailTest, self.says, node, Send(bytes(1233), agent.path._replace(via=-1)))

    def test_a_seed_repeats_itself(self) -> None:
        self.assertEqual(*(Network(3).host("x", lambda _: {}).entropy(16) for _ in range(2)))
        self.assertNotEqual(*(Network(seed).host("x", lambda _: {}).entropy(16) for seed in range(2)))

    def test_certificates_are_the_same_in_every_run(self) -> None:
        found = identity("fa@visited.example")
        self.assertEqual(trust().verify(found.chain, 1_790_000_000.0).nai, "fa@visited.example")
        self.assertEqual(found.fingerprint[:16], identity.__wrapped__("fa@visited.example").fingerprint[:16])
