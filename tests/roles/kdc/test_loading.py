"""A center with very many nodes: opened when they are wanted, looked at in slices, told in order."""

from __future__ import annotations

import random

from attrs import evolve
from hypothesis import given
from hypothesis import settings as tries
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.secrets import Secret
from seckex.errors import Unfeasible
from seckex.events.kdc import PrincipalsLoaded, RecordUnreadable
from seckex.roles.faces import Relay
from seckex.roles.kdc import center, changes
from seckex.roles.kdc.center import LATER, Center, NewPrincipal
from seckex.roles.kdc.changes import Changes
from seckex.roles.kdc.directory import Directory
from seckex.roles.kdc.principals import PRINCIPALS, Copy, Principal
from seckex.sa.store import Record
from seckex.wire import hop
from seckex.wire.keying import NodeQuery
from tests.roles.kdc.parts import HOME, KDC, NODE, OTHER, CenterCase


class LoadingCase(CenterCase):
    """Has a center that starts with ten nodes and looks at one in each turn."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(center, "SLICE", 1)
        for number in range(10):
            self.add(f"n{number}@example.org", OTHER if number == 3 else HOME)
        self.rotate("n2@example.org")
        self.entries = self.nodes(self.home).entries

    def rotate(self, nai: str) -> None:
        role = self.kdc.role(Center)
        self.kdc.ask(role, lambda: role.rotate(nai, self.kdc.now(), lambda _told: None))
        self.network.run(0.1)

    def restart(self) -> Center:
        """Start again, with the nodes to be opened later, none of which has been looked at."""
        whole = self.kdc.store.load
        self.patch(self.kdc.store.__class__, "load", lambda _store, worker, now: whole(worker, now, later=LATER))
        self.kdc.restart()
        role = self.kdc.role(Center)
        self.assertEqual(role.directory.unopened, 10)
        return role


class LoadingTests(LoadingCase):
    def test_keys_are_issued_before_all_have_been_looked_at(self) -> None:
        role = self.restart()
        answers = role.heard(HOME, hop.encode_hop(hop.Keys(1, self.request("n9@example.org"))), self.kdc.now())
        self.assertEqual(len(answers), 1)
        self.assertEqual(role.directory.unopened, 9)
        self.network.run(0.1)
        self.assertEqual((role.directory.unopened, len(role.directory)), (0, 10))

    def test_who_asks_for_changes_waits_and_is_answered(self) -> None:
        role, now = Center(KDC, self.settings, self.kdc.entropy), self.kdc.now()
        self.assertEqual(role.start(self.kdc.store.load(0, now.wall, later=LATER), now), [])
        asked = hop.encode_hop(hop.Nodes(7, NodeQuery(0, 64), ()))
        self.assertEqual(role.heard(HOME, asked, now), [])
        [answer, _] = role.heard(HOME, hop.encode_hop(hop.Nodes(8, NodeQuery(0, 64, "n4@example.org"), ())), now)
        assert isinstance(answer, Relay)
        self.assertEqual(hop.decode_hop(answer.octets).identification, 8)
        actions = [action for _ in range(11) for action in role.tick(now)]
        answers = [hop.decode_hop(action.octets) for action in actions if isinstance(action, Relay)]
        self.assertEqual(answers, [hop.Entries(7, self.entries)])

    def test_nothing_is_changed_meanwhile(self) -> None:
        role = self.restart()
        now = self.kdc.now()
        for what in (
            lambda: role.revoke(("n1@example.org",), now, lambda _told: None),
            lambda: role.add(NewPrincipal(nai=NODE, home_agent=HOME), now, lambda _told: None),
        ):
            self.assertIn("have not been looked at", str(self.assertRaises(Unfeasible, what)))
        called: list[int] = []
        role.when_known(lambda: called.append(1))
        self.assertEqual(called, [])
        self.network.run(0.1)
        self.assertEqual(called, [1])
        role.when_known(lambda: called.append(2))
        self.assertEqual(called, [1, 2])
        self.assertEqual([event.nodes for event in self.kdc.reported(PrincipalsLoaded)], [10])

    def test_serials_go_on_where_they_were(self) -> None:
        role = self.restart()
        self.network.run(0.1)
        self.kdc.skew = -1000.0
        self.add("last@example.org")
        self.assertGreater(role.find("last@example.org").serial, self.entries.serial)

    def test_what_is_damaged_is_told(self) -> None:
        for name, octets in ((b"n1@example.org", b"\2rubbish"), (b"n5@example.org", b"")):
            key = ("kdc.principal", name)
            self.kdc.store.records[key] = evolve(self.kdc.store.records[key], octets=octets or b"x")
        role = self.restart()
        self.assertIsNone(role.directory.find("n5@example.org"))
        self.network.run(0.1)
        self.assertEqual(len(self.kdc.reported(RecordUnreadable)), 2)
        self.assertEqual(len(role.directory), 8)


class FormTests(SynchronousTestCase):
    def test_the_quick_look_finds_what_the_whole_record_says(self) -> None:
        for deleted, revoked in ((False, False), (True, False), (False, True)):
            key0 = None if deleted or revoked else Secret(bytes(range(32)))
            node = Principal(NODE, HOME, 7, key0, 99, 5, False, deleted=deleted, revoked=revoked, until=4)
            octets = node.record().octets
            flags, kvno, serial, until, home_agent = PRINCIPALS.checked(octets)
            self.assertEqual(
                (flags, kvno, serial, until, home_agent), (2 * deleted + 4 * revoked, 7, 99, 4, HOME.encode())
            )
            self.assertEqual(PRINCIPALS.standing(octets), (flags, kvno, serial, until, home_agent))
            self.assertEqual(PRINCIPALS.read(NODE.encode(), octets), node)

    def test_records_of_the_version_before(self) -> None:
        copy = Copy(NODE, HOME, 1, 5, True, False, bytes(32), bytes(range(32)))
        octets = copy.record().octets
        old = b"\1" + octets[1:14] + octets[22:]
        self.assertEqual(Copy.read(Record("kdc.copy", NODE.encode(), old)), copy)


class ChangesTests(SynchronousTestCase):
    @tries(max_examples=40, deadline=None)
    @given(st.lists(st.integers(0, 30), max_size=200), st.booleans(), st.integers(0, 2**32))
    def test_it_is_what_sorting_would_be(self, names: list[int], in_order: bool, seed: int) -> None:
        self.patch(changes, "RUN", 8)
        noted = list(enumerate(names, 1))
        last = {name: serial for serial, name in noted}
        if not in_order:
            random.Random(seed).shuffle(noted)  # noqa: S311  # has to repeat itself
        found = Changes()
        known: dict[bytes, int] = {}
        for serial, number in noted:
            name = str(number).encode()
            if serial < known.get(name, 0):
                continue
            found.live += name not in known
            known[name] = serial
            found.note(serial, name, lambda at, one: known[one] == at)
        for since in (0, 3, len(names) // 2, len(names)):
            told = [pair for pair in found.after(since) if known[pair[1]] == pair[0]]
            expected = sorted((at, str(number).encode()) for number, at in last.items() if at > since)
            self.assertEqual(told, expected)
        self.assertLessEqual(len(found), 3 * found.live + 64 + 8)

    def test_many_at_once_are_as_one_by_one(self) -> None:
        self.patch(changes, "RUN", 4)
        one, many = Changes(), Changes()
        for serials in ([1, 2, 5], [7, 8, 9, 10, 11, 12, 13, 14, 15], [6, 4], [20, 19], []):
            names = [str(serial).encode() for serial in serials]
            for changes_ in (one, many):
                changes_.live += len(names)
            for serial, name in zip(serials, names, strict=True):
                one.note(serial, name, lambda _at, _name: True)
            many.note_all(serials, names, lambda _at, _name: True)
        for since in range(21):
            self.assertEqual(list(many.after(since)), list(one.after(since)))
        self.assertEqual((many.latest, len(many)), (one.latest, len(one)))


class DirectoryTests(SynchronousTestCase):
    def test_it_is_small(self) -> None:
        directory = Directory(10_000)
        for number in range(5000):
            directory.put(Principal(f"n{number}@x", HOME, 1, None, number + 1, 5))
        self.assertEqual(len(directory), 5000)
        self.assertEqual(len(list(directory.after(4990, HOME))), 10)
        for value in directory._known.values():
            self.assertIsInstance(value, bytes)
