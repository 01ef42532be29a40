"""NODES, CHANGED and static keys: home agents are told of their own nodes, and of nothing else."""

from __future__ import annotations

from seckex.crypto.registration import provisioned
from seckex.events.kdc import HomeKeysTaken, NodesTold
from seckex.roles.kdc import telling
from seckex.roles.kdc.center import Center
from seckex.roles.kdc.principals import Principal
from seckex.roles.kdc.telling import AGAIN, HOME_KEYS, LONGEST, PACE
from seckex.wire import hop
from seckex.wire.keying import HomeKey, NodeQuery
from seckex.wire.numbers import MAX_HOP_MESSAGE, Kem
from tests.roles.kdc.parts import HOME, HOME_KEY, NODE, OTHER, Asking, CenterCase


class NodesTests(CenterCase):
    def test_a_home_agent_is_told_what_came_of_key_0_and_never_key_0(self) -> None:
        [principal] = self.add(kvno=7)
        assert isinstance(principal, Principal)
        answer = self.nodes(self.home).entries
        [entry] = answer.entries
        assert principal.key0 is not None
        root, chain = provisioned(principal.key0, (NODE, HOME), 7)
        self.assertEqual((entry.node, entry.kvno, entry.enabled, entry.deleted), (NODE, 7, True, False))
        self.assertEqual((entry.root, entry.chain, entry.home_agent), (root.octets, chain.octets, ""))
        self.assertEqual((answer.serial, answer.more), (principal.serial, False))
        for parcel in self.network.told:
            self.assertNotIn(principal.key0.octets, parcel.octets)

    def test_of_its_own_nodes_only(self) -> None:
        self.add()
        self.add("second@example.org", OTHER)
        self.assertEqual([entry.node for entry in self.nodes(self.home).entries.entries], [NODE])
        self.assertEqual([entry.node for entry in self.nodes(self.other).entries.entries], ["second@example.org"])
        self.assertEqual(self.nodes(self.other, NodeQuery(0, 1, NODE)).entries.entries, ())

    def test_one_node(self) -> None:
        self.add()
        self.add("second@example.org")
        answer = self.nodes(self.home, NodeQuery(0, 1, "second@example.org")).entries
        self.assertEqual([entry.node for entry in answer.entries], ["second@example.org"])
        self.assertEqual((answer.serial, answer.more), (0, False))
        self.assertEqual(self.nodes(self.home, NodeQuery(0, 1, "third@example.org")).entries.entries, ())

    def test_what_has_changed_since(self) -> None:
        names = [f"n{n}@example.org" for n in range(5)]
        for name in names:
            self.add(name)
        first = self.nodes(self.home, NodeQuery(0, 2)).entries
        self.assertEqual(([entry.node for entry in first.entries], first.more), (names[:2], True))
        rest = self.nodes(self.home, NodeQuery(first.serial, 64)).entries
        self.assertEqual(([entry.node for entry in rest.entries], rest.more), (names[2:], False))
        none = self.nodes(self.home, NodeQuery(rest.serial, 64)).entries
        self.assertEqual((none.entries, none.serial), ((), rest.serial))

    def test_an_answer_fits_into_a_message_whatever_the_names(self) -> None:
        realm = "é" * 58 + ".example"
        for n in range(70):
            self.add(f"{n:03}@{realm}")
        found: list[str] = []
        since, more = 0, True
        while more:
            answer = self.nodes(self.home, NodeQuery(since, 64)).entries
            since, more = answer.serial, answer.more
            found += [entry.node for entry in answer.entries]
        self.assertEqual(found, [f"{n:03}@{realm}" for n in range(70)])
        self.assertTrue(all(len(parcel.octets) <= MAX_HOP_MESSAGE for parcel in self.network.told))

    def test_serials_go_up_over_a_backup_that_was_restored(self) -> None:
        backup = dict(self.kdc.store.records)
        self.add()
        since = self.nodes(self.home).entries.serial
        self.kdc.stop()
        self.kdc.store.records = backup
        self.network.run(1)
        self.kdc.start()
        self.add("second@example.org")
        self.assertEqual(
            [e.node for e in self.nodes(self.home, NodeQuery(since, 64)).entries.entries], ["second@example.org"]
        )

    def test_they_are_there_after_a_restart(self) -> None:
        self.add()
        before = self.nodes(self.home).entries
        self.kdc.restart()
        self.assertEqual(self.nodes(self.home).entries, before)


class ChangedTests(CenterCase):
    def changes(self) -> list[int]:
        """Return how often each home agent was told of changes."""
        return [len(host.role(Asking).all(hop.Changed)) for host in (self.home, self.other)]

    def test_who_has_asked_is_told_of_its_own_changes(self) -> None:
        self.add()
        self.assertEqual(self.changes(), [0, 0])
        self.nodes(self.home)
        self.nodes(self.other)
        self.add("second@example.org", OTHER)
        self.network.run()
        self.assertEqual(self.changes(), [0, 1])
        [told] = self.other.role(Asking).all(hop.Changed)
        self.assertNotEqual(told.identification, 0)

    def test_who_had_asked_before_a_restart_is_told_without_asking_again(self) -> None:
        self.nodes(self.home, None, HOME_KEY)
        self.network.run()
        self.kdc.restart()
        self.add()
        self.assertEqual(self.changes(), [1, 0])

    def test_once_a_second_at_most(self) -> None:
        self.nodes(self.home)
        for n in range(5):
            self.add(f"n{n}@example.org")
        self.assertEqual(self.changes(), [1, 0])
        self.network.run(PACE)
        self.assertEqual(self.changes(), [2, 0])
        self.nodes(self.home)
        self.network.run(9)
        self.assertEqual(self.changes(), [2, 0])

    def test_who_does_not_ask_is_told_again_less_and_less_often(self) -> None:
        self.nodes(self.home)
        self.add()
        self.network.run(1 + AGAIN)
        self.assertEqual(self.changes(), [2, 0])
        self.network.run(600)
        self.assertLess(self.changes()[0], 10 + 600 / LONGEST)
        told = self.changes()[0]
        self.nodes(self.home)
        self.network.run(100)
        self.assertEqual(self.changes(), [told, 0])

    def test_who_cannot_be_reached_does_no_harm(self) -> None:
        self.nodes(self.home)
        self.home.stop()
        self.add()
        self.network.run(9)
        self.home.start()
        self.assertEqual(len(self.nodes(self.home).entries.entries), 1)

    def test_neighbours_are_bounded(self) -> None:
        self.patch(telling, "MOST_NEIGHBOURS", 1)
        self.nodes(self.home)
        self.nodes(self.other)
        self.assertEqual(self.kdc.counters["kdc.neighbours"], 1)
        self.add()
        self.add("second@example.org", OTHER)
        self.assertEqual(self.changes(), [0, 1])


class HomeKeyTests(CenterCase):
    def held(self, home_agent: str = HOME) -> tuple[HomeKey, ...]:
        """Return what is known of a home agent's static keys."""
        return self.kdc.role(Center)._telling.home_keys(home_agent, self.kdc.now().wall)

    def test_they_are_kept(self) -> None:
        self.nodes(self.home, None, HOME_KEY)
        self.network.run()
        self.assertEqual(self.held(), (HOME_KEY,))
        self.kdc.restart()
        self.assertEqual((self.held(), self.held(OTHER)), ((HOME_KEY,), ()))
        self.assertEqual([event.keys for event in self.kdc.reported(HomeKeysTaken)], [1])

    def test_they_replace_those_of_before_and_nothing_said_leaves_them(self) -> None:
        hybrid = HomeKey(Kem.X25519_ML_KEM_768, 4_000_000_000, bytes(1216))
        for keys in ((HOME_KEY,), (HOME_KEY, hybrid), (), (HOME_KEY, hybrid)):
            self.nodes(self.home, None, *keys)
            self.network.run()
        self.assertEqual(self.held(), (HOME_KEY, hybrid))
        self.assertEqual(len(self.kdc.units), 2)

    def test_those_that_have_ended_are_not_given_away(self) -> None:
        self.nodes(self.home, None, HomeKey(Kem.X25519, int(self.kdc.now().wall) + 5, bytes(32)))
        self.network.run(1)
        self.assertEqual(len(self.held()), 1)
        self.network.run(9)
        self.assertEqual(self.held(), ())

    def test_what_could_not_be_stored_is_taken_the_next_time(self) -> None:
        self.kdc.commit_faults[1] = "the disk is full"
        self.nodes(self.home, None, HOME_KEY)
        self.network.run()
        self.assertEqual(self.held(), ())
        self.nodes(self.home, None, HOME_KEY)
        self.network.run()
        self.assertEqual(self.held(), (HOME_KEY,))

    def test_strangers_give_way_to_each_other_and_not_home_agents_to_them(self) -> None:
        self.patch(telling, "MOST_STRANGERS", 1)
        self.add()
        third = self.asking("third", "third@example.org")
        self.kdc.neighbours.add(third.nai)
        third.start()
        for host in (self.home, self.other, third):
            self.nodes(host, None, HOME_KEY)
            self.network.run()
        self.assertEqual([len(self.held(nai)) for nai in (HOME, OTHER, third.nai)], [1, 0, 1])
        self.assertEqual(sum(kind == HOME_KEYS for kind, _ in self.kdc.store.records), 2)

    def test_what_an_operator_sees(self) -> None:
        self.add()
        self.nodes(self.home, None, HOME_KEY)
        self.network.run()
        [told] = self.kdc.reported(NodesTold)
        self.assertEqual(str(told), "home@example.org was told of 1 node(s) that changed after serial 0")
        self.assertEqual(self.kdc.counters["kdc.home-keys"], 1)
