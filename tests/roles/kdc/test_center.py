"""What an operator asks of a center: nodes are added once and durably, KEY 0 is given away; and what it keeps."""

from __future__ import annotations

from ipaddress import ip_address

from attrs import evolve
from hypothesis import given
from hypothesis import settings as tries
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.config.kdc import Kdc
from seckex.config.provision import HomeKey
from seckex.crypto.secrets import Secret
from seckex.errors import Malformed, PeerFault, Unfeasible
from seckex.events.kdc import PrincipalAdded, PrincipalAllowed, PrincipalProvisioned, PrincipalRotated, RecordUnreadable
from seckex.machine import Now, Path
from seckex.roles.kdc.center import Center, NewPrincipal
from seckex.roles.kdc.directory import Directory
from seckex.roles.kdc.issued import ISSUED, Issued
from seckex.roles.kdc.principals import PRINCIPAL, Copy, Known, Principal
from seckex.roles.kdc.telling import HOME_KEYS
from seckex.sa.store import Record
from seckex.wire import hop
from seckex.wire.info import Layer2Extension
from seckex.wire.keying import NodeQuery
from seckex.wire.numbers import Code
from tests.roles.kdc.parts import HOME, HOME_KEY, KDC, NODE, OTHER, Asking, CenterCase

NODE_0 = Principal(nai=NODE, home_agent=HOME, kvno=1, key0=Secret(bytes(range(32))), serial=5, created=6)
FULL = evolve(NODE_0, enabled=False, home_address=ip_address("2001:db8::7"), layer2=Layer2Extension(0, bytes(range(6))))


class AddingTests(CenterCase):
    def why(self, nai: str = NODE, home_agent: str = HOME) -> str:
        """Ask for a node that cannot be, and return why."""
        new = NewPrincipal(nai=nai, home_agent=home_agent)
        error = self.assertRaises(Unfeasible, self.kdc.role(Center).add, new, self.kdc.now(), lambda _told: None)
        return str(error)

    def test_a_node_is_added(self) -> None:
        [principal] = self.add(home_address=ip_address("10.0.0.7"))
        assert isinstance(principal, Principal)
        self.assertEqual(self.kdc.role(Center).find(NODE), principal)
        self.assertEqual(
            str(self.kdc.reported(PrincipalAdded)[0]), f"{NODE}, at home with {HOME}, has been added with key version 1"
        )
        self.kdc.restart()
        self.assertEqual(self.kdc.role(Center).find(NODE), principal)

    def test_each_has_a_key_of_its_own(self) -> None:
        added = self.add() + self.add("second@example.org")
        self.assertEqual(len({p.record().octets for p in added if isinstance(p, Principal)}), 2)

    def test_who_cannot_be_added(self) -> None:
        self.add()
        for changes, why in (
            ({}, "is there already"),
            ({"nai": "nobody"}, "name@realm of at most 128"),
            ({"nai": "n" * 117 + "@example.org"}, "name@realm of at most 128"),
            ({"home_agent": "x"}, "name@realm of at most 128"),
            ({"nai": HOME}, "cannot be its own home agent"),
        ):
            self.assertIn(why, self.why(**changes))

    def test_one_that_is_being_added_is_there(self) -> None:
        role = self.kdc.role(Center)
        new = NewPrincipal(nai=NODE, home_agent=HOME)
        self.kdc.ask(role, lambda: role.add(new, self.kdc.now(), lambda _told: None))
        self.assertIn("is there already", self.why())
        self.assertRaises(Unfeasible, role.find, NODE)

    def test_what_is_not_stored_is_not_there(self) -> None:
        self.kdc.commit_faults[1] = "the disk is full"
        self.assertEqual(self.add(), ["the disk is full"])
        self.assertRaises(Unfeasible, self.kdc.role(Center).find, NODE)
        self.assertIsInstance(self.add()[0], Principal)

    def test_one_that_somebody_else_stored_is_told(self) -> None:
        record = NODE_0.record()
        self.kdc.store.records[record.key] = record
        self.assertEqual(self.add(), [f"{NODE} is in the database already"])

    def test_killed_at_the_commit_it_is_there_or_not(self) -> None:
        self.kdc.lost_outcomes = {1}
        self.assertEqual(self.add(), [])
        self.assertIsInstance(self.kdc.role(Center).find(NODE), Principal)
        self.assertEqual(len(self.nodes(self.home).entries.entries), 1)

    def test_the_table_is_bounded(self) -> None:
        self.kdc.build = lambda host: {"kdc": Center(KDC, Kdc(principals=1), host.entropy)}
        self.kdc.restart()
        self.add()
        self.assertIn("kdc.principals allows no more", self.why(nai="second@example.org"))

    def test_the_list_is_in_the_order_of_changes(self) -> None:
        for name in ("b@example.org", "a@example.org"):
            self.add(name)
        role = self.kdc.role(Center)
        listed = list(role.directory.after(0, None))
        self.assertEqual([known.nai for known in listed], ["b@example.org", "a@example.org"])
        self.assertEqual([known.nai for known in role.directory.after(listed[0].serial, None)], ["a@example.org"])

    def test_nothing_is_taken_from_strangers(self) -> None:
        role = self.kdc.role(Center)
        self.assertEqual(role.received(b"x", Path("192.0.2.9", 1), self.kdc.now()), [])
        self.assertEqual(role.status(self.kdc.now())["principals"], 0)


class AllowingTests(CenterCase):
    def setUp(self) -> None:
        super().setUp()
        self.add()
        self.nodes(self.home)

    def allow(self, *, enabled: bool) -> list[Known | str]:
        """Enable or disable the node, as an operator would; return what he is told."""
        told: list[Known | str] = []
        role = self.kdc.role(Center)
        self.kdc.ask(role, lambda: role.allow(NODE, self.kdc.now(), told.append, enabled=enabled))
        self.network.run(0.1)
        return told

    def test_a_node_is_disabled_and_its_home_agent_told(self) -> None:
        before = self.kdc.role(Center).find(NODE)
        [disabled] = self.allow(enabled=False)
        assert isinstance(disabled, Principal)
        self.assertFalse(disabled.enabled)
        self.assertGreater(disabled.serial, before.serial)
        self.network.run(2)
        self.assertTrue(self.home.role(Asking).all(hop.Changed))
        [entry] = self.nodes(self.home, NodeQuery(before.serial, 64)).entries.entries
        self.assertFalse(entry.enabled)
        self.assertEqual(self.refusal(self.home, self.request()), Code.DISABLED_NODE)
        self.kdc.restart()
        self.assertEqual(self.kdc.role(Center).find(NODE), disabled)
        self.assertEqual([str(event) for event in self.kdc.reported(PrincipalAllowed)], [f"{NODE} was disabled"])

    def test_it_is_enabled_again(self) -> None:
        self.allow(enabled=False)
        [enabled] = self.allow(enabled=True)
        assert isinstance(enabled, Principal)
        self.assertTrue(enabled.enabled)
        self.assertEqual(len(self.keys(self.home, self.request())), 3)

    def test_what_is_so_already_changes_nothing(self) -> None:
        before = self.kdc.role(Center).find(NODE)
        self.assertEqual(self.allow(enabled=True), [before])

    def test_what_is_not_stored_is_not_so(self) -> None:
        self.kdc.commit_faults[len(self.kdc.units) + 1] = "the disk is full"
        self.assertEqual(self.allow(enabled=False), ["the disk is full"])
        self.assertTrue(self.kdc.role(Center).find(NODE).enabled)

    def test_who_cannot_be_disabled(self) -> None:
        role, now = self.kdc.role(Center), self.kdc.now()
        error = self.assertRaises(Unfeasible, role.allow, "x@example.org", now, lambda _told: None, enabled=False)
        self.assertIn("not known here", str(error))

    def test_a_replica_leaves_it_to_its_center(self) -> None:
        replica = Center("replica@example.org", Kdc(replicates=KDC), self.kdc.entropy)
        replica.directory.put(Copy(NODE, HOME, 1, 1, True, False, bytes(32), bytes(32)))
        now = self.kdc.now()
        error = self.assertRaises(Unfeasible, replica.allow, NODE, now, lambda _told: None, enabled=False)
        self.assertIn(f"is a replica of {KDC}: say so there", str(error))


class RekeyingTests(CenterCase):
    def setUp(self) -> None:
        super().setUp()
        [self.before] = self.add()
        self.nodes(self.home)

    def rotate(self) -> list[Known | str]:
        """Draw another KEY 0 for the node, as an operator would; return what he is told."""
        told: list[Known | str] = []
        role = self.kdc.role(Center)
        self.kdc.ask(role, lambda: role.rotate(NODE, self.kdc.now(), told.append))
        self.network.run(0.1)
        return told

    def test_it_is_another_of_the_next_version_and_the_home_agent_is_told(self) -> None:
        before = self.before
        [after] = self.rotate()
        assert isinstance(before, Principal)
        assert isinstance(after, Principal)
        self.assertEqual(after.kvno, 2)
        self.assertNotEqual(after.key0, before.key0)
        self.network.run(2)
        self.assertTrue(self.home.role(Asking).all(hop.Changed))
        [entry] = self.nodes(self.home, NodeQuery(before.serial, 64)).entries.entries
        self.assertEqual(entry.kvno, 2)
        self.assertEqual(self.refusal(self.home, self.request()), Code.WRONG_KEY_VERSION)
        self.assertEqual(self.kdc.role(Center).provision(NODE, (), self.kdc.now()).key0, after.key0)
        self.kdc.restart()
        self.assertEqual(self.kdc.role(Center).find(NODE), after)
        self.assertIn("key version 2", str(self.kdc.reported(PrincipalRotated)[0]))

    def test_what_is_not_stored_is_not_so(self) -> None:
        self.kdc.commit_faults[len(self.kdc.units) + 1] = "the disk is full"
        self.assertEqual(self.rotate(), ["the disk is full"])
        self.assertEqual(self.kdc.role(Center).find(NODE), self.before)

    def test_who_cannot_be(self) -> None:
        role, now = self.kdc.role(Center), self.kdc.now()
        self.kdc.ask(role, lambda: role.rotate(NODE, now, lambda _told: None))
        error = self.assertRaises(Unfeasible, role.rotate, NODE, now, lambda _told: None)
        self.assertIn("is being changed already", str(error))
        last = evolve(NODE_0, nai="last@example.org", kvno=0xFFFFFFFF)
        role.directory.put(last)
        error = self.assertRaises(Unfeasible, role.rotate, last.nai, now, lambda _told: None)
        self.assertIn("there are no more", str(error))


class ProvisioningTests(CenterCase):
    def test_it_has_all_that_the_node_needs(self) -> None:
        [principal] = self.add(kvno=3, home_address=ip_address("10.0.0.7"), layer2=FULL.layer2)
        assert isinstance(principal, Principal)
        role = self.kdc.role(Center)
        self.assertEqual(role.provision(NODE, (), self.kdc.now()).home_keys, ())
        self.nodes(self.home, None, HOME_KEY)
        self.nodes(self.other, None, evolve(HOME_KEY, public=bytes(32)))
        self.network.run()
        found = role.provision(NODE, ("192.0.2.1",), self.kdc.now())
        self.assertEqual((found.nai, found.home_agent, found.kvno), (NODE, HOME, 3))
        self.assertEqual((found.home_address, found.layer2), (ip_address("10.0.0.7"), FULL.layer2))
        self.assertEqual((found.addresses, found.key0), (("192.0.2.1",), principal.key0))
        self.assertEqual(found.home_keys, (HomeKey(kem=1, until=HOME_KEY.until, public=HOME_KEY.public),))
        said: list[str] = []
        self.kdc.ask(role, lambda: role.provisioned([found], "to a public key", self.kdc.now(), said.append))
        self.network.run(0.1)
        self.assertEqual(said, [""])
        [told] = self.kdc.reported(PrincipalProvisioned)
        self.assertEqual(str(told), f"{NODE} was provisioned with key version 3, sealed to a public key")

    def test_nobody_that_is_not_known(self) -> None:
        error = self.assertRaises(Unfeasible, self.kdc.role(Center).provision, NODE, (), self.kdc.now())
        self.assertEqual(str(error), f"{NODE} is not known here")


class RecordTests(CenterCase):
    COPY_0 = Copy(NODE, HOME, 1, 5, True, False, bytes(32), bytes(range(32)))

    def test_what_is_written_is_read(self) -> None:
        for principal in (NODE_0, FULL):
            self.assertEqual(Principal.read(principal.record()), principal)
        for copy in (self.COPY_0, evolve(self.COPY_0, enabled=False), evolve(self.COPY_0, enabled=False, deleted=True)):
            self.assertEqual(Copy.read(copy.record()), copy)

    def test_no_secret_shows(self) -> None:
        self.assertNotIn("\\x01\\x02", repr(NODE_0) + repr(NODE_0.record()) + repr(self.COPY_0))

    def test_what_is_damaged_is_left_out_and_told(self) -> None:
        self.add()
        self.keys(self.home, self.request())
        self.nodes(self.home, None, HOME_KEY)
        self.network.run()
        whole = dict(self.kdc.store.records)
        self.assertEqual({kind for kind, _ in whole}, {PRINCIPAL, ISSUED, HOME_KEYS})
        for key, record in whole.items():
            for octets in (b"", record.octets[:-1], record.octets + b"x", b"\7" + record.octets[1:], b"\xff" * 99):
                self.kdc.stop()
                self.kdc.store.records = whole | {key: evolve(record, octets=octets)}
                self.kdc.reports.clear()
                self.kdc.start()
                self.assertEqual([event.kind for event in self.kdc.reported(RecordUnreadable)], [record.kind])
            for name in (b"\xff", b"x" * 200):
                self.kdc.stop()
                self.kdc.store.records = {key: evolve(record, name=name)}
                self.kdc.reports.clear()
                self.kdc.start()
                told = self.kdc.reported(RecordUnreadable)
                self.assertEqual(len(told), int(record.kind != HOME_KEYS or name == b"\xff"), (key, name))

    def test_a_center_and_a_replica_do_not_take_each_others_nodes(self) -> None:
        for record in (NODE_0.record(), self.COPY_0.record()):
            self.kdc.store.records[record.key] = record
        self.kdc.restart()
        self.assertIsInstance(self.kdc.role(Center).find(NODE), Principal)

    @tries(max_examples=60, deadline=None)
    @given(st.binary(max_size=120), st.binary(max_size=20))
    def test_anything_is_read_or_refused(self, octets: bytes, name: bytes) -> None:
        now = Now(0.0, 0.0)
        for read in (Principal.read, Copy.read, lambda record: Issued(1024).restore(record, now)):
            try:
                read(Record("kdc.x", name, octets))
            except (Malformed, PeerFault) as error:
                self.assertTrue(str(error))


class DirectoryTests(SynchronousTestCase):
    def names(self, directory: Directory, serial: int, home_agent: str | None = HOME) -> list[str]:
        return [known.nai for known in directory.after(serial, home_agent)]

    def test_a_node_stands_where_it_was_changed_last(self) -> None:
        directory = Directory(10)
        for serial, nai in enumerate(("a@x", "b@x", "a@x", "c@x"), 1):
            directory.put(evolve(NODE_0, nai=nai, serial=serial))
        self.assertEqual(self.names(directory, 0), ["b@x", "a@x", "c@x"])
        self.assertEqual(self.names(directory, 3), ["c@x"])
        self.assertEqual((directory.latest(HOME), directory.latest(OTHER), len(directory)), (4, 0, 3))

    def test_changes_that_were_overtaken_are_let_go(self) -> None:
        directory = Directory(10)
        for serial in range(1, 1000):
            directory.put(evolve(NODE_0, serial=serial))
        self.assertEqual(self.names(directory, 0), [NODE])
        self.assertLess(len(directory._all), 100)

    def test_a_node_that_moves_is_its_new_home_agents(self) -> None:
        directory = Directory(10)
        directory.put(NODE_0)
        directory.put(evolve(NODE_0, home_agent=OTHER, serial=6))
        self.assertEqual((self.names(directory, 0), self.names(directory, 0, OTHER)), ([], [NODE]))
        self.assertEqual(self.names(directory, 0, None), [NODE])

    def test_they_may_be_read_in_any_order(self) -> None:
        directory = Directory(10)
        for serial in (3, 1, 2):
            directory.put(evolve(NODE_0, nai=f"n{serial}@x", serial=serial))
        self.assertEqual(self.names(directory, 0), ["n1@x", "n2@x", "n3@x"])

    def test_a_question_behind_the_end(self) -> None:
        self.assertEqual(self.names(Directory(1), NodeQuery(5, 1).since), [])
