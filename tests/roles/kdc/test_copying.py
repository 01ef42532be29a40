"""Replicas: a home agent that cannot reach one center asks another, and gets keys there."""

from __future__ import annotations

from attrs import evolve

from seckex.config.kdc import Kdc
from seckex.errors import Unfeasible
from seckex.events.kdc import CopyingFailed, NodesCopied
from seckex.roles.kdc.center import Center, NewPrincipal
from seckex.roles.kdc.copying import REFRESH
from seckex.roles.kdc.principals import Principal
from seckex.wire import hop
from seckex.wire.keying import MAX_ENTRIES, NodeQuery
from seckex.wire.numbers import Code
from tests.roaming.hop import on_hop, snap
from tests.roles.kdc.parts import HOME, KDC, NODE, OTHER, Asking, CenterCase

SPARE = "spare@example.org"


class CopyingCase(CenterCase):
    settings = Kdc(replicas=(SPARE,))

    def setUp(self) -> None:
        super().setUp()
        self.spare = self.center("spare", SPARE, KDC, HOME, OTHER, settings=Kdc(replicates=KDC))
        self.kdc.neighbours.add(SPARE)
        for host in (self.home, self.other):
            host.neighbours.add(SPARE)

    def copied(self) -> int:
        """Return how many nodes the replica knows."""
        return self.spare.counters["kdc.principals"]


class CopyingTests(CopyingCase):
    def test_it_issues_keys_for_the_nodes_of_its_center(self) -> None:
        self.add()
        self.spare.start()
        self.network.run()
        self.kdc.stop()
        self.assertEqual(len(self.keys(self.home, self.request(), SPARE)), 3)
        self.assertEqual(self.refusal(self.other, self.request(), SPARE), Code.PROHIBITED)
        self.assertEqual(self.refusal(self.home, self.request("x@example.org"), SPARE), Code.UNKNOWN_NODE)

    def test_it_tells_home_agents_the_same(self) -> None:
        self.add(kvno=3)
        self.add("second@example.org", OTHER)
        self.spare.start()
        self.network.run()
        for host in (self.home, self.other):
            self.assertEqual(self.nodes(host, center=SPARE).entries, self.nodes(host).entries)

    def test_key_0_does_not_get_there(self) -> None:
        [principal] = self.add()
        assert isinstance(principal, Principal)
        self.spare.start()
        self.network.run()
        for record in self.spare.store.records.values():
            self.assertNotIn(principal.key0.octets, record.octets)
        role = self.spare.role(Center)
        error = self.assertRaises(Unfeasible, role.provision, NODE, (), self.spare.now())
        self.assertIn("provision it at kdc@example.org", str(error))
        new = NewPrincipal(nai="new@example.org", home_agent=HOME)
        error = self.assertRaises(Unfeasible, role.add, new, self.spare.now(), lambda _told: None)
        self.assertIn("is a replica of kdc@example.org: add nodes there", str(error))

    def test_it_is_told_of_changes_and_tells_those_whom_they_concern(self) -> None:
        self.spare.start()
        self.network.run()
        self.nodes(self.home, center=SPARE)
        self.nodes(self.other, center=SPARE)
        self.add()
        self.network.run()
        self.assertEqual(self.copied(), 1)
        self.assertEqual([len(host.role(Asking).all(hop.Changed)) for host in (self.home, self.other)], [1, 0])

    def test_many_come_in_parts_and_survive_a_restart(self) -> None:
        for n in range(2 * MAX_ENTRIES + 5):
            self.add(f"n{n}@example.org")
        self.spare.start()
        self.network.run()
        self.assertEqual(self.copied(), 2 * MAX_ENTRIES + 5)
        self.assertEqual([e.entries for e in self.spare.reported(NodesCopied)], [MAX_ENTRIES, MAX_ENTRIES, 5])
        self.kdc.stop()
        self.spare.restart()
        self.assertEqual(self.copied(), 2 * MAX_ENTRIES + 5)
        self.keys(self.home, self.request("n7@example.org"), SPARE)

    def test_killed_at_any_commit_it_goes_on_where_it_was(self) -> None:
        for n in range(MAX_ENTRIES + 5):
            self.add(f"n{n}@example.org")
        self.spare.lost_outcomes = {1}
        self.spare.commit_faults = {2: "the disk is full"}
        self.spare.start()
        self.network.run(5)
        self.assertEqual(self.copied(), MAX_ENTRIES + 5)
        self.assertIn("the disk is full", self.spare.reported(CopyingFailed)[0].why)

    def test_a_center_that_comes_later_is_found(self) -> None:
        self.add()
        self.kdc.stop()
        self.spare.start()
        self.network.run(90)
        self.assertEqual(self.copied(), 0)
        self.assertEqual(len(self.spare.reported(CopyingFailed)), 1)
        self.kdc.start()
        self.network.run(REFRESH + 1)
        self.assertEqual(self.copied(), 1)

    def test_an_answer_that_is_lost_is_asked_for_again(self) -> None:
        self.add()
        self.network.hop_faults.append(on_hop("ENTRIES", snap))
        self.spare.start()
        self.network.run(30)
        self.assertEqual(self.copied(), 1)

    def test_changes_that_were_not_told_are_found_in_time(self) -> None:
        self.spare.start()
        self.network.run()
        self.network.hop_faults.append(on_hop("CHANGED", snap))
        self.add()
        self.network.run(9)
        self.assertEqual(self.copied(), 0)
        self.network.run(REFRESH)
        self.assertEqual(self.copied(), 1)

    def test_one_that_is_not_allowed_is_told_of_nothing(self) -> None:
        self.add()
        self.add("its@example.org", "stray@example.org")
        stray = self.center("stray", "stray@example.org", KDC, settings=Kdc(replicates=KDC))
        self.kdc.neighbours.add(stray.nai)
        stray.start()
        self.network.run()
        self.assertEqual(stray.counters["kdc.principals"], 0)
        self.assertIn("is this center among its kdc.replicas?", stray.reported(CopyingFailed)[0].why)

    def test_only_its_center_is_believed(self) -> None:
        self.spare.start()
        self.network.run()
        entry = self.nodes(self.home).entries
        self.say(self.home, hop.Entries(5, entry), SPARE)
        self.say(self.home, hop.Changed(6), SPARE)
        asked = len(self.network.told)
        self.network.run()
        self.assertEqual(self.copied(), 0)
        self.assertEqual([p for p in self.network.told[asked:] if p.sender == SPARE], [])

    def test_a_table_that_is_full_takes_no_more(self) -> None:
        for n in range(3):
            self.add(f"n{n}@example.org")
        self.spare.build = lambda host: {"kdc": Center(SPARE, evolve(Kdc(replicates=KDC), principals=2), host.entropy)}
        self.spare.start()
        self.network.run()
        self.assertEqual(self.copied(), 0)
        self.assertIn("more than 2 nodes", self.spare.reported(CopyingFailed)[0].why)

    def test_a_replica_is_told_of_one_node_with_its_home_agent(self) -> None:
        self.add()
        asking = self.asking("asks", SPARE)
        asking.start()
        [entry] = self.nodes(asking, NodeQuery(0, 1, NODE)).entries.entries
        self.assertEqual(entry.home_agent, HOME)
