"""What becomes of a node's KEY 0, fleets, and the log: what is done is durable with its entry, or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from seckex.config.kdc import Kdc
from seckex.errors import Unfeasible
from seckex.events.kdc import PrincipalDeleted, PrincipalRevoked, PrincipalsEnrolled
from seckex.machine import Now
from seckex.roles.faces import RoleAction
from seckex.roles.kdc.audit import AUDIT, Operator
from seckex.roles.kdc.center import Center, NewPrincipal
from seckex.roles.kdc.principals import Principal
from seckex.roles.kdc.telling import AGAIN, LONGEST_URGENT
from seckex.wire import hop
from seckex.wire.keying import NodeQuery
from seckex.wire.numbers import Code
from tests.roaming.hop import on_hop, snap
from tests.roles.kdc.parts import HOME, HOME_KEY, KDC, NODE, OTHER, Asking, CenterCase

BY = Operator(1000, "socket")
SPARE = "spare@example.org"


class OperationCase(CenterCase):
    def do(self, what: Callable[[Center, Now, Callable[[Any], None]], list[RoleAction]]) -> Any:
        """Have the center do something, as an operator would; return what he is told."""
        told: list[Any] = []
        role = self.kdc.role(Center)
        self.kdc.ask(role, lambda: what(role, self.kdc.now(), told.append))
        self.network.run(0.1)
        return told[0] if told else None

    def why(self, what: Callable[[Center, Now, Callable[[Any], None]], list[RoleAction]]) -> str:
        """Return why something cannot be done."""
        role, told = self.kdc.role(Center), list[Any]()
        error = self.assertRaises(Unfeasible, what, role, self.kdc.now(), told.append)
        self.assertEqual(told, [])
        return str(error)

    def revoke(self, *nais: str) -> Any:
        return self.do(lambda role, now, told: role.revoke(nais or (NODE,), now, told, BY))

    def rotate(self, nai: str = NODE, until: float = 0) -> Any:
        return self.do(lambda role, now, told: role.rotate(nai, now, told, BY, until=int(until)))

    def delete(self, nai: str = NODE) -> Any:
        return self.do(lambda role, now, told: role.delete(nai, now, told, BY))

    def enrol(self, *nais: str, home_agent: str = HOME) -> Any:
        rows = [NewPrincipal(nai=nai, home_agent=home_agent) for nai in nais]
        return self.do(lambda role, now, told: role.enrol(rows, now, told, BY))

    def entered(self) -> list[tuple[str, str]]:
        """Return what the log has: what, and to which node. It has to be in order."""
        self.assertTrue(self.kdc.store.verify(AUDIT).is_sound)
        said = [json.loads(entry.octets) for entry in self.kdc.store.entries(AUDIT, 0, 1000)]
        return [(one["what"], one["principal"]) for one in said]

    def entry(self, nai: str = NODE) -> Any:
        """Return what a home agent is told of a node."""
        [entry] = self.nodes(self.home, NodeQuery(0, 1, nai)).entries.entries
        return entry


class RevokingTests(OperationCase):
    def setUp(self) -> None:
        super().setUp()
        [self.before] = self.add()
        self.nodes(self.home)

    def test_nothing_is_left_but_the_name(self) -> None:
        [revoked] = self.revoke()
        assert isinstance(self.before, Principal)
        assert self.before.key0 is not None
        self.assertEqual((revoked.key0, revoked.revoked, revoked.enabled), (None, True, False))
        for record in self.kdc.store.records.values():
            self.assertNotIn(self.before.key0.octets, record.octets)
        entry = self.entry()
        self.assertEqual((entry.revoked, entry.enabled, entry.root, entry.chain), (True, False, bytes(32), bytes(32)))
        self.assertEqual(self.refusal(self.home, self.request()), Code.DISABLED_NODE)
        self.kdc.restart()
        self.assertEqual(self.kdc.role(Center).find(NODE), revoked)
        self.assertEqual(
            str(self.kdc.reported(PrincipalRevoked)[0]), f"{NODE} is revoked, and its KEY 0, key version 1, destroyed"
        )

    def test_it_cannot_be_undone_but_by_another_key_0(self) -> None:
        self.revoke()
        self.assertIn(
            "only another KEY 0 undoes",
            self.why(lambda role, now, told: role.allow(NODE, now, told, BY, enabled=True)),
        )
        self.assertIn("destroyed: rotate it first", self.why(lambda role, now, _told: [role.provision(NODE, (), now)]))  # type: ignore[list-item]  # it raises
        self.assertIn("no KEY 0 before", self.why(lambda role, now, told: role.rotate(NODE, now, told, BY, 2**33)))
        again = self.rotate()
        self.assertEqual((again.kvno, again.enabled, again.revoked), (2, True, False))
        self.assertEqual(len(self.keys(self.home, self.request(kvno=2))), 3)
        self.assertEqual(self.refusal(self.home, self.request()), Code.WRONG_KEY_VERSION)

    def test_who_is_added_again_has_a_higher_version(self) -> None:
        self.revoke()
        [again] = self.add()
        assert isinstance(again, Principal)
        self.assertEqual((again.kvno, again.enabled), (2, True))

    def test_twice_is_once(self) -> None:
        [first] = self.revoke()
        self.assertEqual(self.revoke(), [first])
        self.assertEqual(self.entered(), [("added", NODE), ("revoked", NODE)])

    def test_many_are_revoked_all_or_none(self) -> None:
        self.add("second@example.org", OTHER)
        self.assertIn(
            "x@example.org is not known",
            self.why(lambda role, now, told: role.revoke((NODE, "x@example.org"), now, told, BY)),
        )
        self.assertFalse(self.entry().revoked)
        self.assertEqual(len(self.revoke(NODE, "second@example.org", NODE)), 2)
        self.assertEqual(self.kdc.counters["kdc.revoked"], 2)

    def test_home_agents_are_told_at_once_whatever_they_were_told_before(self) -> None:
        self.add("second@example.org")
        before = len(self.home.role(Asking).all(hop.Changed))
        self.revoke()
        self.assertEqual(len(self.home.role(Asking).all(hop.Changed)), before + 1)

    def test_who_was_not_told_is_told_again_until_it_asks(self) -> None:
        self.network.hop_faults.append(on_hop("CHANGED", snap))
        self.revoke()
        self.assertEqual(self.home.role(Asking).all(hop.Changed), [])
        self.network.run(AGAIN)
        self.assertEqual(len(self.home.role(Asking).all(hop.Changed)), 1)
        self.network.run(60)
        told = len(self.home.role(Asking).all(hop.Changed))
        self.assertGreater(told, 60 / LONGEST_URGENT - 2)
        self.nodes(self.home)
        self.network.run(60)
        self.assertEqual(len(self.home.role(Asking).all(hop.Changed)), told)

    def test_after_a_restart_all_who_asked_before_are_told(self) -> None:
        self.nodes(self.home, None, HOME_KEY)
        self.network.run()
        self.kdc.lost_outcomes = {len(self.kdc.units) + 1}
        self.assertIsNone(self.revoke())
        self.network.run(1)
        self.assertTrue(self.home.role(Asking).all(hop.Changed))
        self.assertTrue(self.entry().revoked)


class DeletingTests(OperationCase):
    def setUp(self) -> None:
        super().setUp()
        self.add()
        self.nodes(self.home)

    def test_the_home_agent_is_told_to_forget_it(self) -> None:
        self.delete()
        entry = self.entry()
        self.assertEqual((entry.deleted, entry.root), (True, bytes(32)))
        self.assertIn("not known here", self.why(lambda role, now, told: role.delete(NODE, now, told, BY)))
        self.assertEqual(self.refusal(self.home, self.request()), Code.UNKNOWN_NODE)
        self.assertEqual((self.kdc.counters["kdc.principals"], self.kdc.counters["kdc.deleted"]), (0, 1))
        self.assertIn("was deleted", str(self.kdc.reported(PrincipalDeleted)[0]))

    def test_its_name_may_be_used_again_with_a_higher_version(self) -> None:
        self.delete()
        self.kdc.restart()
        new = NewPrincipal(nai=NODE, home_agent=OTHER)
        self.assertIn("was at home with", self.why(lambda role, now, told: role.add(new, now, told, BY)))
        [again] = self.add()
        assert isinstance(again, Principal)
        self.assertEqual(again.kvno, 2)
        self.assertEqual((self.kdc.counters["kdc.principals"], self.kdc.counters["kdc.deleted"]), (1, 0))


class RotatingTests(OperationCase):
    def test_the_former_one_is_taken_until_it_ends(self) -> None:
        self.add()
        until = self.kdc.now().wall + 600
        self.assertEqual(self.rotate(until=until).until, int(until))
        self.assertEqual((self.entry().kvno, self.entry().until), (2, int(until)))
        for kvno in (1, 2):
            self.keys(self.home, self.request(kvno=kvno, digest=bytes([kvno] * 32)))
        self.assertEqual(self.refusal(self.home, self.request(kvno=3)), Code.WRONG_KEY_VERSION)
        self.kdc.restart()
        self.network.run(601)
        self.assertEqual(self.refusal(self.home, self.request()), Code.WRONG_KEY_VERSION)
        self.keys(self.home, self.request(kvno=2))

    def test_a_time_that_is_over(self) -> None:
        self.add()
        why = self.why(lambda role, now, told: role.rotate(NODE, now, told, BY, int(now.wall)))
        self.assertIn("is over already", why)


class ReplicaTests(OperationCase):
    settings = Kdc(replicas=(SPARE,))

    def setUp(self) -> None:
        super().setUp()
        self.spare = self.center("spare", SPARE, KDC, HOME, OTHER, settings=Kdc(replicates=KDC))
        self.kdc.neighbours.add(SPARE)
        self.home.neighbours.add(SPARE)
        self.add()
        self.spare.start()
        self.network.run()
        self.nodes(self.home, center=SPARE)

    def hears(self, within: float) -> None:
        """Expect the replica to refuse the node in time, and to tell its home agents."""
        self.network.run(within)
        self.assertEqual(self.refusal(self.home, self.request(), SPARE), Code.DISABLED_NODE)
        self.assertTrue(self.home.role(Asking).all(hop.Changed))

    def test_a_replica_hears_of_a_revocation_at_once(self) -> None:
        self.revoke()
        self.hears(0.5)

    def test_also_after_its_center_was_restarted(self) -> None:
        self.kdc.restart()
        self.revoke()
        self.hears(0.5)

    def test_one_that_was_cut_off_hears_soon_after(self) -> None:
        self.network.silent.add(frozenset((SPARE, KDC)))
        self.revoke()
        self.network.run(120)
        self.network.silent.clear()
        self.hears(5)

    def test_it_keeps_what_the_former_version_is_taken_until(self) -> None:
        self.rotate(until=self.kdc.now().wall + 600)
        self.network.run(0.5)
        for kvno in (1, 2):
            self.keys(self.home, self.request(kvno=kvno, digest=bytes([kvno] * 32)), SPARE)
        self.spare.restart()
        self.network.run(601)
        self.assertEqual(self.refusal(self.home, self.request(), SPARE), Code.WRONG_KEY_VERSION)


class EnrollingTests(OperationCase):
    def names(self, count: int) -> Sequence[str]:
        return [f"n{n}@example.org" for n in range(count)]

    def test_they_are_added_with_a_key_each(self) -> None:
        added = self.enrol(*self.names(5))
        self.assertEqual(len({one.key0.octets for one in added}), 5)
        self.assertEqual([entry.node for entry in self.nodes(self.home).entries.entries], self.names(5))
        self.assertEqual(self.kdc.reported(PrincipalsEnrolled)[0].nodes, 5)
        self.assertEqual(self.entered(), [("enrolled", name) for name in self.names(5)])

    def test_those_that_are_there_are_passed_over(self) -> None:
        self.enrol(*self.names(2))
        before = self.kdc.role(Center).find("n0@example.org")
        self.assertEqual([one.nai for one in self.enrol(*self.names(3))], ["n2@example.org"])
        self.assertEqual(self.kdc.role(Center).find("n0@example.org"), before)
        self.assertEqual(self.enrol(*self.names(3)), ())

    def test_all_or_none(self) -> None:
        self.enrol("n1@example.org", home_agent=OTHER)
        rows = [NewPrincipal(nai=nai, home_agent=HOME) for nai in self.names(3)]
        self.assertIn("n1@example.org is there", self.why(lambda role, now, told: role.enrol(rows, now, told, BY)))
        twice = [rows[0], rows[0]]
        self.assertIn("named twice", self.why(lambda role, now, told: role.enrol(twice, now, told, BY)))
        self.assertEqual(self.kdc.counters["kdc.principals"], 1)

    def test_no_more_than_there_may_be(self) -> None:
        self.kdc.build = lambda host: {"kdc": Center(KDC, Kdc(principals=3), host.entropy)}
        self.kdc.restart()
        rows = [NewPrincipal(nai=nai, home_agent=HOME) for nai in self.names(4)]
        self.assertIn("allows no more", self.why(lambda role, now, told: role.enrol(rows, now, told, BY)))


class KilledTests(OperationCase):
    """Whatever is done happened, and is in the log, or did neither."""

    OPERATIONS: tuple[tuple[str, Callable[[KilledTests], Any]], ...] = (
        ("enabled", lambda case: case.do(lambda role, now, told: role.allow(NODE, now, told, BY, enabled=True))),
        ("rotated", lambda case: case.rotate()),
        ("revoked", lambda case: case.revoke()),
        ("deleted", lambda case: case.delete()),
        ("enrolled", lambda case: case.enrol("second@example.org")),
        ("added", lambda case: case.add("third@example.org")),
    )

    def test_at_each_point_of_each_operation(self) -> None:
        for what, operation in self.OPERATIONS:
            for stage, when in (("action", "before"), ("action", "after"), ("commit", "before"), ("commit", "after")):
                self.setUp()
                self.add()
                self.do(lambda role, now, told: role.allow(NODE, now, told, BY, enabled=False))
                before, entered = dict(self.kdc.store.records), self.entered()
                self.kdc.crash = _once(stage, when)
                operation(self)
                self.network.run(1)
                self.kdc.crash = lambda _point: False
                happened = self.kdc.store.records != before
                told = [one for one, _ in self.entered()[len(entered) :]]
                self.assertEqual(told, [what] if happened else [], (what, stage, when))
                self.assertEqual(happened, (stage, when) == ("commit", "after"), (what, stage, when))
                self.kdc.restart()


def _once(stage: str, when: str) -> Callable[[Any], bool]:
    seen: list[Any] = []

    def crash(point: Any) -> bool:
        if type(point.action).__name__ != "Commit" or (point.stage, point.when) != (stage, when) or seen:
            return False
        seen.append(point)
        return True

    return crash


class AuditTests(OperationCase):
    def said(self) -> list[dict[str, Any]]:
        return [json.loads(entry.octets) for entry in self.kdc.store.entries(AUDIT, 0, 1000)]

    def test_an_entry_says_who_did_what_and_no_key(self) -> None:
        [principal] = self.enrol(NODE)
        self.rotate()
        [enrolled, rotated] = self.said()
        self.assertEqual(enrolled["by"], {"uid": 1000, "place": "socket"})
        self.assertEqual((rotated["what"], rotated["kvno"], rotated["home_agent"]), ("rotated", 2, HOME))
        for entry in self.kdc.store.entries(AUDIT, 0, 10):
            self.assertNotIn(principal.key0.octets.hex(), entry.octets.decode())

    def test_what_was_refused_is_entered(self) -> None:
        role = self.kdc.role(Center)
        self.kdc.ask(role, lambda: role.declined("revoke", NODE, "it is not known here", self.kdc.now(), BY))
        self.network.run(0.1)
        [refused] = self.said()
        self.assertEqual(
            (refused["what"], refused["asked"], refused["why"]), ("refused", "revoke", "it is not known here")
        )

    def test_a_provisioning_file_is_entered_before_it_leaves(self) -> None:
        self.add()
        role = self.kdc.role(Center)
        found = role.provision(NODE, (), self.kdc.now())
        self.kdc.commit_faults[len(self.kdc.units) + 1] = "the disk is full"
        told = self.do(lambda center, now, said: center.provisioned([found], "to a key", now, said, BY))
        self.assertEqual(told, "the disk is full")
        self.assertEqual(self.do(lambda center, now, said: center.provisioned([found], "to a key", now, said, BY)), "")
        self.assertEqual(self.entered(), [("added", NODE), ("exported", NODE)])

    def test_neighbours_cannot_fill_it(self) -> None:
        self.add()
        for number in range(50):
            self.refusal(self.other, self.request(digest=bytes([number] * 32)))
            self.refusal(self.home, self.request("x@example.org", digest=bytes([number] * 32)))
        self.network.run(11)
        self.refusal(self.other, self.request())
        self.network.run(0.1)
        [_, first, second] = self.said()
        self.assertEqual((first["what"], first["neighbour"], first["principal"]), ("refused", OTHER, NODE))
        self.assertGreater(second["left_out"], 40)

    def test_the_beginning_is_entered(self) -> None:
        role = self.kdc.role(Center)
        self.kdc.ask(role, lambda: role.started(self.kdc.now()))
        self.network.run(0.1)
        self.assertEqual(self.entered(), [("started", "")])
