"""Replicas: a home agent that cannot reach one center asks another, and gets keys there."""

from __future__ import annotations

from attrs import evolve

from seckex.config.kdc import Kdc
from seckex.errors import Unfeasible
from seckex.events.kdc import CopyingFailed, NodesCopied
from seckex.roles.kdc.center import Center, NewPrincipal
from seckex.roles.kdc.copying import LONGEST_PAUSE, REFRESH
from seckex.roles.kdc.principals import Principal
from seckex.roles.kdc.telling import AGAIN, PACE
from seckex.wire import hop
from seckex.wire.keying import MAX_ENTRIES, NodeEntries, NodeEntry, NodeQuery
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
        self.assertEqual(self.refusal(self.other, self.request(), SPARE), Code.UNKNOWN_NODE)
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
        assert principal.key0 is not None
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

    def test_long_names_go_into_as_many_parts_as_are_needed(self) -> None:
        realm = "a" * 60 + "." + "b" * 60 + "." + "c" * 60 + "." + "d" * 50 + ".example"
        for n in range(MAX_ENTRIES):
            self.add(f"n{n}@{'e' * 100}.example.org", f"home@{realm}")
        self.spare.start()
        self.network.run()
        self.assertEqual(self.copied(), MAX_ENTRIES)
        self.assertGreater(len(self.spare.reported(NodesCopied)), 1)

    def test_a_change_while_it_asks_is_asked_for_too(self) -> None:
        self.add()
        self.spare.start()
        self.network.run_until(lambda: self.network.hop_between(self.spare, self.kdc))
        self.spare.commit_delay = 0.5
        self.network.run_until(lambda: self.spare.units)
        self.add("second@example.org")
        self.network.run(5)
        self.assertEqual(self.copied(), 2)

    def answering(self, *serials: int, more: bool = False) -> list[str]:
        """Have the center answer with entries of these serials; return what the replica says of it."""
        self.spare.stop()
        self.spare.reports.clear()
        self.kdc.stop()
        self.spare.start()
        self.network.run(0.1)
        entry = NodeEntry(0, True, False, 1, NODE, bytes(32), bytes(32), HOME)
        entries = tuple(evolve(entry, serial=serial, node=f"n{serial}@example.org") for serial in serials)
        role = self.spare.role(Center)
        assert role._copying is not None
        number = role._copying._awaited
        self.assertIsNotNone(number)
        said = hop.encode_hop(hop.Entries(number or 0, NodeEntries(1, more, entries)))
        self.spare.hear(OTHER, said)
        self.network.run(0.1)
        self.assertEqual(self.copied(), 0)
        self.assertTrue(role.awaits(number or 0))
        self.spare.hear(KDC, said)
        self.network.run(0.1)
        return [event.why for event in self.spare.reported(CopyingFailed)]

    def test_an_answer_of_somebody_else_or_out_of_order_is_of_no_use(self) -> None:
        self.network.silent.add(frozenset((SPARE, KDC)))
        for serials, more in (((2, 1), False), ((0, 1), False), ((), True)):
            self.assertEqual(self.answering(*serials, more=more), ["its answer is out of order"])
            self.assertEqual(self.copied(), 0)
        self.assertEqual(self.answering(1, 2), [])
        self.assertEqual(self.copied(), 2)

    def test_it_asks_less_and_less_often(self) -> None:
        self.kdc.stop()
        self.spare.start()
        self.network.run(300)
        asked = [parcel for parcel in self.network.told if parcel.sender == SPARE]
        self.assertLess(len(asked), 300 / LONGEST_PAUSE + 4)

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
        self.network.run(0.5)
        self.assertEqual(self.copied(), 0)
        self.network.run(PACE + AGAIN)
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

    def test_an_answer_that_comes_too_late_is_not_believed(self) -> None:
        self.spare.start()
        self.network.run()
        self.add("late@example.org")
        found = self.kdc.role(Center).directory.find("late@example.org")
        assert found is not None
        late = hop.Entries(5, NodeEntries(found.serial, False, (found.entry(HOME),)))
        center = self.spare.role(Center)
        self.assertEqual(center.heard(KDC, hop.encode_hop(late), self.spare.now()), [])
        # What it has asked for itself is.
        self.network.run()
        self.assertEqual(self.copied(), 1)

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
