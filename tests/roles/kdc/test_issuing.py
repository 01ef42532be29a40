"""KEYS: who gets which keys, the same for the same request, and nothing that is not durable."""

from __future__ import annotations

from typing import ClassVar

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from seckex.config.kdc import Kdc
from seckex.events.kdc import KeysNotStored, KeysRefused
from seckex.machine import Now
from seckex.node.actions import Commit
from seckex.roles.faces import Relay
from seckex.roles.kdc import issuing
from seckex.roles.kdc.center import Center
from seckex.roles.kdc.issued import ISSUED, REMEMBERED, Issued, request_name
from seckex.sa.store import PutRecord
from seckex.wire import hop
from seckex.wire.general import Header, encode_header
from seckex.wire.numbers import Code, Keying, Kind
from tests.roaming.host import Crashing
from tests.roles.kdc.parts import HOME, NODE, Asking, CenterCase


class IssuingTests(CenterCase):
    def setUp(self) -> None:
        super().setUp()
        self.add()

    def units(self) -> int:
        """Return how many units of issued keys there were."""
        return sum(
            isinstance(operation, PutRecord) and operation.record.kind == ISSUED
            for unit in self.kdc.units
            for operation in unit
        )

    def test_each_mode_has_keys_of_its_own(self) -> None:
        stateful = self.keys(self.home, self.request())
        seed = self.keys(self.home, self.request(mode=Keying.SEMI_STATEFUL))
        self.assertEqual((len(set(stateful)), len(seed)), (3, 1))
        self.assertEqual({len(key) for key in stateful + seed}, {32})
        self.assertEqual(len({*stateful, *seed}), 4)

    def test_another_request_gets_other_keys(self) -> None:
        first = self.keys(self.home, self.request())
        for changed in (
            self.request(digest=b"\1" * 32),
            self.request(agent="other@example.net"),
            self.request(lifetime=60),
        ):
            self.assertFalse({*first} & {*self.keys(self.home, changed)})

    def test_the_same_request_gets_the_same_keys_and_is_stored_once(self) -> None:
        first = self.keys(self.home, self.request())
        self.network.run(REMEMBERED - 1)
        self.assertEqual(self.keys(self.home, self.request()), first)
        self.assertEqual(self.units(), 1)
        self.network.run(3)
        self.assertNotEqual(self.keys(self.home, self.request()), first)
        self.assertEqual(self.kdc.counters["kdc.remembered"], 1)

    def test_a_request_that_comes_again_while_it_is_stored_is_answered_each_time(self) -> None:
        numbers = [self.ask(self.home, self.request()) for _ in range(issuing.MOST_ASKING + 2)]
        self.network.run()
        answers = [message for number in numbers for message in self.answers(self.home, number)]
        self.assertEqual(len(answers), issuing.MOST_ASKING)
        self.assertEqual(len({message.material for message in answers if isinstance(message, hop.Issued)}), 1)

    def test_what_comes_while_a_unit_is_under_way_goes_into_the_next(self) -> None:
        self.kdc.commit_delay = 0.1
        numbers = [self.ask(self.home, self.request(digest=bytes([n]) * 32)) for n in range(20)]
        self.network.run(2)
        self.assertEqual([len(self.answers(self.home, number)) for number in numbers], [1] * 20)
        self.assertEqual(self.units(), 2)
        self.assertEqual(self.kdc.counters["kdc.issued"], 20)

    def test_a_unit_has_a_bound(self) -> None:
        self.patch(issuing, "MOST_AT_ONCE", 4)
        for n in range(10):
            self.ask(self.home, self.request(digest=bytes([n]) * 32))
        self.network.run(2)
        self.assertEqual((self.units(), self.kdc.counters["kdc.issued"]), (4, 10))

    def test_too_many_that_wait_are_refused(self) -> None:
        self.patch(issuing, "MOST_WAITING", 3)
        numbers = [self.ask(self.home, self.request(digest=bytes([n]) * 32)) for n in range(5)]
        self.network.run(2)
        answers = [message for number in numbers for message in self.answers(self.home, number)]
        codes = [answer.detail.code for answer in answers if isinstance(answer, hop.NotIssued)]
        self.assertEqual((len(answers), codes), (5, [Code.INSUFFICIENT_RESOURCES] * 2))
        self.assertEqual(self.kdc.counters["kdc.waiting"], 0)

    # -- who gets none

    def test_who_gets_none_and_why(self) -> None:
        for host, request, code in (
            (self.other, self.request(), Code.UNKNOWN_NODE),
            (self.home, self.request("nobody@example.org"), Code.UNKNOWN_NODE),
            (self.other, self.request("nobody@example.org"), Code.UNKNOWN_NODE),
            (self.home, self.request(kvno=2), Code.WRONG_KEY_VERSION),
            (self.home, self.request(lifetime=28801), Code.BAD_LIFETIME),
        ):
            self.assertEqual(self.refusal(host, request), code)
        self.assertEqual(self.units(), 0)
        told = self.kdc.reported(KeysRefused)
        self.assertEqual([event.code for event in told], [129, 273, 273, 275, 276])
        self.assertIn("no keys of node@example.org for other@example.org: 129 prohibited", str(told[0]))

    def test_reports_of_refusals_are_rationed(self) -> None:
        for _ in range(30):
            self.refusal(self.home, self.request("nobody@example.org"))
        self.assertLess(len(self.kdc.reported(KeysRefused)), 15)
        self.assertEqual(self.kdc.counters["kdc.refused"], 30)

    def test_a_disabled_node_gets_none_also_for_a_request_that_had_some(self) -> None:
        self.keys(self.home, self.request())
        directory = self.kdc.role(Center).directory
        known = directory.find(NODE)
        assert known is not None
        directory.put(evolve(known, enabled=False, serial=known.serial + 1))
        self.assertEqual(self.refusal(self.home, self.request()), Code.DISABLED_NODE)

    def test_what_cannot_be_read_is_refused_where_it_can_be_answered(self) -> None:
        header = encode_header(Header(Kind.KEYS, False, 77, 0))
        self.home.ask(self.home.role(Asking), lambda: [Relay("kdc@example.org", header + b"rubbish!")])
        self.network.run()
        [answer] = self.answers(self.home, 77)
        assert isinstance(answer, hop.NotIssued)
        self.assertEqual(answer.detail.code, Code.POORLY_FORMED)
        header = encode_header(Header(Kind.NODES, False, 78, 0))
        self.home.ask(self.home.role(Asking), lambda: [Relay("kdc@example.org", header + b"rubbish!")])
        self.network.run()
        self.assertEqual(self.answers(self.home, 78), [])
        self.assertEqual(self.kdc.counters["kdc.malformed"], 2)

    # -- durability

    def test_nothing_leaves_that_could_not_be_stored(self) -> None:
        self.kdc.commit_faults[len(self.kdc.units) + 1] = "the disk is full"
        self.assertEqual(self.refusal(self.home, self.request()), Code.INSUFFICIENT_RESOURCES)
        self.assertEqual(len(self.kdc.reported(KeysNotStored)), 1)
        self.keys(self.home, self.request())

    def test_killed_at_each_point_a_request_has_one_answer_for_good(self) -> None:
        for when in ("before", "after"):
            for stage in ("action", "commit"):
                request = self.request(digest=f"{when} {stage}".encode().ljust(32))
                struck: list[Crashing] = []

                def once(
                    point: Crashing, when: str = when, stage: str = stage, struck: list[Crashing] = struck
                ) -> bool:
                    hit = not struck and (point.when, point.stage) == (when, stage) and isinstance(point.action, Commit)
                    if hit:
                        struck.append(point)
                    return hit

                self.kdc.crash = once
                number = self.ask(self.home, request)
                self.network.run(2)
                early = self.answers(self.home, number)
                self.assertEqual((len(struck), early), (1, []), f"{when} {stage}")
                stored = [r.octets for r in self.kdc.store.records.values() if r.kind == ISSUED]
                keys = self.keys(self.home, request)
                # What was durable when it died is what is issued: nobody can have other keys.
                durable = when == "after" and stage == "commit"
                self.assertEqual(any(b"".join(keys) in octets for octets in stored), durable, f"{when} {stage}")
                self.assertEqual(self.keys(self.home, request), keys)

    def test_killed_behind_the_answer_it_gives_the_same_again(self) -> None:
        self.kdc.crash = lambda point: (
            point.when == "after" and isinstance(point.action, Relay) and point.ordinal < 100 and not struck.append(1)  # type: ignore[func-returns-value]  # what is true
        )
        struck: list[int] = []
        number = self.ask(self.home, self.request())
        self.network.run(1)
        self.kdc.crash = lambda _point: False
        self.assertEqual(len(struck), 1)
        self.assertLessEqual(len(self.answers(self.home, number)), 1)
        first = self.keys(self.home, self.request())
        self.kdc.restart()
        self.assertEqual(self.keys(self.home, self.request()), first)

    def test_a_restart_does_not_have_them_remembered_for_longer(self) -> None:
        first = self.keys(self.home, self.request())
        self.network.run(REMEMBERED / 2)
        self.kdc.restart()
        self.assertEqual(self.kdc.counters["kdc.remembered"], 1)
        self.network.run(REMEMBERED / 2 + 2)
        self.assertEqual(self.kdc.counters["kdc.remembered"], 0)
        self.assertNotEqual(self.keys(self.home, self.request()), first)

    def test_records_go_on_behind_those_of_before_a_clock_that_was_set_back(self) -> None:
        self.keys(self.home, self.request())
        self.kdc.skew = -3600.0
        self.kdc.restart()
        self.keys(self.home, self.request(digest=b"\1" * 32))
        self.assertEqual(len([1 for kind, _ in self.kdc.store.records if kind == ISSUED]), 2)


class IssuedTests(SynchronousTestCase):
    DRAWN: ClassVar = {bytes(16): bytes((1, 3)) + bytes(96)}

    def test_a_request_is_its_neighbours(self) -> None:
        names = {request_name(*each) for each in (("a@x", b"q"), ("b@x", b"q"), ("a@x", b"r"), ("a@", b"xq"))}
        self.assertEqual((len(names), {len(name) for name in names}), (4, {16}))

    def test_no_record_has_the_name_of_another(self) -> None:
        issued, now = Issued(1024), Now(0.0, 1e9)
        records = [issued.record(self.DRAWN, each) for each in (now, now, now._replace(wall=0.0))]
        after = Issued(1024)
        after.restore(records[-1], now)
        records.append(after.record(self.DRAWN, now._replace(wall=0.0)))
        self.assertEqual(sorted({record.name for record in records}), [record.name for record in records])

    def test_what_is_in_two_records_is_remembered_once(self) -> None:
        issued, now = Issued(1024), Now(0.0, 1e9)
        record = issued.record(self.DRAWN, now)
        for _ in range(2):
            issued.restore(record, now)
        self.assertEqual(len(issued), 1)
        issued.expire(Now(REMEMBERED, 0.0))
        self.assertEqual((len(issued), issued.next_end), (0, None))


class BoundTests(CenterCase):
    settings = Kdc(issued=1024, keying=("semi-stateful",), longest_lifetime=300)

    def test_of_too_many_requests_the_oldest_is_forgotten(self) -> None:
        self.patch(self.kdc.role(Center)._issuing.issued, "most", 3)
        self.add()
        requests = [self.request(mode=Keying.SEMI_STATEFUL, lifetime=300, digest=bytes([n]) * 32) for n in range(4)]
        keys = [self.keys(self.home, request) for request in requests]
        self.assertEqual(self.kdc.counters["kdc.remembered"], 3)
        self.assertEqual(self.kdc.counters["kdc.forgotten-early"], 1)
        self.assertEqual([self.keys(self.home, request) for request in requests[1:]], keys[1:])
        self.assertNotEqual(self.keys(self.home, requests[0]), keys[0])

    def test_policy(self) -> None:
        self.add(home_agent=HOME)
        self.assertEqual(self.refusal(self.home, self.request(lifetime=300)), Code.PROHIBITED)
        semi = self.request(mode=Keying.SEMI_STATEFUL, lifetime=301)
        self.assertEqual(self.refusal(self.home, semi), Code.BAD_LIFETIME)
        self.keys(self.home, evolve(semi, lifetime=0))
