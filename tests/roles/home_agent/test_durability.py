"""What lasts: nothing is said before it is durable, and whoever starts again goes on where it was."""

from __future__ import annotations

from seckex.events import StoreTrouble, StoreUnwritable
from seckex.events.kdc import RecordUnreadable
from seckex.node.actions import Commit
from seckex.roles.home_agent.records import NODE as NODE_RECORD
from seckex.roles.home_agent.records import REPLY, REVOCATION, SERIAL, STATIC_KEY
from seckex.sa.store import Outcome, PutRecord, Record
from seckex.wire import hop
from seckex.wire.numbers import Code, Keying
from tests.roles.home_agent.parts import AGENT, KDC, NODE, Node, Table


class CommitTests(Table):
    def setUp(self) -> None:
        super().setUp()
        self.start()

    def test_what_cannot_be_stored_did_not_happen(self) -> None:
        request = self.request()
        message = self.agent.relay(request.octets).octets
        self.outcome = lambda _commit: "no space left on device"
        said = self.answered(hop.NotRelayed, self.relay(message))
        self.assertEqual(said.detail.code, Code.INSUFFICIENT_RESOURCES)
        self.assertEqual(self.told(StoreTrouble)[0].why, "no space left on device")
        self.assertEqual((self.adopted, self.home.counters["bound"], self.home.counters["under-way"]), ([], 0, 0))
        # So the very same request may be granted as soon as it can be.
        del self.outcome
        self.outcome = lambda commit: self.store.commit([commit.unit])[0]
        self.assertIsInstance(self.relay(message)[0], hop.Relayed)

    def test_a_refusal_is_durable_as_well(self) -> None:
        request = self.request(lifetime=61)
        message = self.agent.relay(request.octets).octets
        self.outcome = lambda _commit: "no space left on device"
        self.assertIsInstance(self.relay(message)[0], hop.NotRelayed)
        self.outcome = lambda commit: self.store.commit([commit.unit])[0]
        first = self.answered(hop.Relayed, self.relay(message)).message
        self.start()
        self.assertEqual(self.answered(hop.Relayed, self.relay(message)).message, first)
        self.unheard(self.agent.relay(request.octets).octets, Code.BEGIN_ANEW)

    def test_a_reply_that_is_stored_already_makes_the_node_begin_anew(self) -> None:
        request = self.request()
        message = self.agent.relay(request.octets).octets
        self.outcome = lambda _commit: Outcome.CONFLICT
        self.assertEqual(self.answered(hop.NotRelayed, self.relay(message)).detail.code, Code.BEGIN_ANEW)
        self.assertEqual(self.home.counters["bound"], 0)

    def test_copies_that_come_while_it_is_stored_get_the_same_reply(self) -> None:
        message = self.agent.relay(self.request().octets).octets
        self.hold()
        for neighbour in (AGENT, "aaa@visited.example", "aaa@visited.example"):
            self.assertEqual(self.relay(message, neighbour), [])
        before = len(self.said)
        self.let_go()
        heard = [(each.neighbour, hop.decode_hop(each.octets)) for each in self.said[before:]]
        self.assertEqual([neighbour for neighbour, _ in heard], [AGENT, *["aaa@visited.example"] * 2])
        self.assertEqual(len({answer.identification for _, answer in heard}), 3)
        replies = {answer.message for _, answer in heard if isinstance(answer, hop.Relayed)}
        self.assertEqual(len(replies), 1)

    def test_the_same_request_otherwise_is_refused_while_it_is_stored(self) -> None:
        request = self.request()
        self.hold()
        self.relay(self.agent.relay(request.octets).octets)
        self.unheard(self.agent.relay(request.octets).octets, Code.BEGIN_ANEW)

    def test_a_later_request_waits_for_the_one_before(self) -> None:
        one, two, three = (self.agent.relay(self.request().octets).octets for _ in range(3))
        self.hold()
        self.assertEqual(self.relay(one), [])
        self.assertEqual(self.relay(two), [])
        # A younger one takes the place of the one that waits.
        (given_up,) = self.relay(three)
        assert isinstance(given_up, hop.NotRelayed)
        self.assertEqual(given_up.detail.code, Code.BEGIN_ANEW)
        before = len(self.said)
        self.let_go()
        answers = [hop.decode_hop(each.octets) for each in self.said[before:]]
        self.assertEqual([(type(each), each.identification) for each in answers], [(hop.Relayed, 1), (hop.Relayed, 3)])
        self.assertEqual(self.base(), 3)
        self.assertEqual(len(self.store.associations), 1)

    def base(self) -> int:
        """Return the node's next index, in memory and in the store."""
        node = self.home.home.nodes.get(NODE)
        assert node is not None
        self.start()
        after = self.home.home.nodes.get(NODE)
        assert after is not None
        self.assertEqual(next(after.credentials).window.base, next(node.credentials).window.base)
        return next(after.credentials).window.base

    def test_a_unit_has_all_or_nothing(self) -> None:
        self.register()
        self.register()
        unit = self.units[-1]
        kinds = [type(operation).__name__ for operation in unit]
        self.assertEqual(kinds, ["PutRecord", "PutRecord", "DeleteAssociation", "PutAssociation", "PutRecord"])
        self.assertEqual(
            [each.record.kind for each in unit if isinstance(each, PutRecord)], [REPLY, NODE_RECORD, REVOCATION]
        )


class RestartTests(Table):
    def test_everything_goes_on(self) -> None:
        self.start(keying=Keying.STATEFUL)
        _, found = self.register()
        before = self.home.home.nodes.get(NODE)
        keys = self.static()
        self.start()
        after = self.home.home.nodes.get(NODE)
        assert before is not None
        assert after is not None
        self.assertEqual((after.bindings, after.association), (before.bindings, found.answer.spi_of_home))
        self.assertEqual((after.spis, self.static()), (before.spis, keys))
        _, found = self.register()
        self.assertTrue(found.answer.renewed)
        self.assertEqual(self.adopted[-1].replaces, (before.association,))
        self.assertEqual(self.home.status(self.now())["nodes"][0]["bindings"][0]["agent"], AGENT)

    def test_before_the_commit_nothing_has_happened_and_after_it_everything(self) -> None:
        self.start()
        message = self.agent.relay(self.request().octets).octets
        self.hold()
        self.relay(message)
        self.start()
        self.held = None
        self.assertIsInstance(self.relay(message)[0], hop.Relayed)
        message = self.agent.relay(self.request().octets).octets
        self.hold()
        self.relay(message)
        self.assertEqual(len(self.held or ()), 1)
        held: list[Commit] = self.held or []
        self.store.commit([held[0].unit])
        self.held = None
        self.start()
        self.assertIsInstance(self.relay(message)[0], hop.Relayed)
        self.assertEqual(self.home.counters["repeated"], 1)
        self.assertEqual(self.home.counters["bound"], 1)

    def test_bindings_that_have_expired_meanwhile_are_gone(self) -> None:
        self.start()
        self.register(lifetime=60)
        self.monotonic += 61
        self.start()
        self.assertEqual(self.home.counters["bound"], 0)

    def test_records_that_cannot_be_read_are_left_out_and_told_of(self) -> None:
        self.start()
        self.register()
        for kind in (NODE_RECORD, REPLY, STATIC_KEY, SERIAL):
            name = next(name for held, name in self.store.records if held == kind)
            record = self.store.records[kind, name]
            for octets in (b"", record.octets[:-1] if kind != REPLY else b"\0", b"\xff" + record.octets[1:]):
                if kind == REPLY and len(octets) > 32:
                    continue
                self.reports.clear()
                self.store.records[kind, name] = Record(kind, name, octets)
                self.start()
                self.assertEqual([event.kind for event in self.told(RecordUnreadable)], [kind], octets[:4])
                self.store.records[kind, name] = record

    def test_no_secret_shows(self) -> None:
        self.start()
        self.register()
        node = self.home.home.nodes.get(NODE)
        shown = repr(node) + repr(self.home.home.statics.of(self.static().kem)) + repr(self.home.status(self.now()))
        assert node is not None
        for secret in (next(node.credentials).root.secret.octets, node.bindings[0].keys.secret.octets):
            self.assertNotIn(repr(secret)[2:-1], shown)
            self.assertNotIn(secret.hex(), shown)


class KeyTests(Table):
    def test_static_keys_are_made_once_and_last(self) -> None:
        self.start()
        kept = self.static()
        self.start()
        self.assertEqual(self.static(), kept)
        self.assertEqual(self.centers[KDC].home_keys[0], kept)
        self.assertEqual(kept.until, int(self.now().wall) + 14 * 86400)

    def test_each_lives_for_twice_the_rotation(self) -> None:
        self.start(rotation=3600)
        seen = [self.static()]
        for _ in range(3):
            self.later(3601)
            seen.append(self.static())
        live = self.home.home.statics.of(seen[0].kem)
        self.assertEqual([key.told for key in live], seen[:1:-1])
        stored = [record for record in self.store.records.values() if record.kind == STATIC_KEY]
        self.assertEqual(len(stored), 4)
        self.assertEqual(self.centers[KDC].home_keys[0], seen[-1])

    def test_those_that_cannot_be_stored_are_not_used(self) -> None:
        self.outcome = lambda _commit: "no space left on device"
        self.start()
        self.assertEqual(self.home.home.statics.told(), ())
        self.assertTrue(self.told(StoreUnwritable))
        self.outcome = lambda commit: self.store.commit([commit.unit])[0]
        self.wait(11)
        self.assertEqual(len(self.home.home.statics.told()), 2)
        self.assertEqual(self.register()[1].answer.code, 0)

    def test_a_clock_that_was_far_ahead_is_no_hindrance(self) -> None:
        self.monotonic += 400 * 86400
        self.start()
        ahead = self.static()
        self.monotonic -= 400 * 86400
        self.start()
        self.assertNotEqual(self.static(), ahead)
        self.wait(60)
        self.assertEqual(len(self.home.home.statics.of(ahead.kem)), 2)
        self.assertEqual(self.register(static=ahead)[1].answer.code, 0)
        kept = self.static()
        self.start()
        self.assertEqual(self.static(), kept)

    def test_a_node_needs_one_that_lives(self) -> None:
        self.start(rotation=3600)
        old = self.static()
        for _ in range(2):
            self.later(3601)
        self.node = Node.provisioned()
        message = self.agent.relay(self.request(static=old).octets).octets
        self.unheard(message, Code.FAILED_AUTHENTICATION)
