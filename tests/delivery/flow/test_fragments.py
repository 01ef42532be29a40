"""Messages in fragments: in memory and in the spool, over connections and processes that end in between."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from seckex.delivery.faces import FRAGMENT, Spooled
from seckex.delivery.flow import assembling, outbox
from seckex.delivery.flow.pieces import DropSpool, SyncSpool, WritePiece
from seckex.delivery.flow.receiving import ReceivingTerms
from seckex.delivery.store import PutSegment
from seckex.errors import PeerMisbehaved
from seckex.wire.bodies import Fragments, Skip, pack_messages, pack_start
from seckex.wire.numbers import MessageKind
from tests.delivery.flow.parts import Dialog, Said

TERMS = ReceivingTerms(largest=1 << 26)


def payload_of(fragments: int) -> bytes:
    """Return a payload that goes in so many fragments."""
    return b"".join(number.to_bytes(4) * (FRAGMENT // 4) for number in range(fragments - 1)) + b"the rest"


def fragments(said: list[Said]) -> list[int]:
    """Return which fragments were said."""
    return [each.fragment for each in said if each.kind is MessageKind.FRAGMENT]


class FragmentsCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.dialog = Dialog(TERMS)
        self.a, self.b = self.dialog.a, self.dialog.b
        self.dialog.settle()

    def hears(self, said: list[Said]) -> None:
        """Have ``b`` hear, and ``a`` hear what ``b`` says then."""
        for each in said:
            self.b.hears(each)
        self.b.turn()
        for each in self.b.says():
            self.a.hears(each)
        self.a.turn()


class FragmentTests(FragmentsCase):
    def test_sizes_around_a_fragment(self) -> None:
        payloads = [bytes(FRAGMENT - 1), bytes(FRAGMENT), bytes(FRAGMENT + 1), bytes(2 * FRAGMENT), b"the next"]
        self.a.send(*payloads)
        self.assertEqual(fragments(self.dialog.settle()), [0, 1, 0, 1])
        self.assertEqual(self.b.effects, payloads)
        self.assertEqual([each.type for each in self.b.given], ["t"] * 5)

    def test_a_long_one_goes_from_spool_to_spool(self) -> None:
        payload = payload_of(40)
        self.a.send(self.a.spool.put("a file", payload))
        self.b.answer = lambda _: None
        self.assertEqual(fragments(self.dialog.settle()), list(range(40)))
        (message,) = self.b.given
        assert isinstance(message.payload, Spooled)
        self.assertEqual((message.payload.size, self.b.spool.payload(message.payload)), (len(payload), payload))
        self.assertEqual((self.a.spool.files, self.a.stages["delivered"]), ({}, 1))
        self.b.crash()
        self.b.turn()
        self.assertEqual(self.b.given[-1].payload, message.payload)

    def test_little_of_it_is_in_memory(self) -> None:
        self.a.send(self.a.spool.put("a file", payload_of(90)))
        most = 0
        while self.a.sending.waiting:
            said = self.a.says(3)
            most = max(most, len(self.a.sending._outbox._pieces))
            self.hears(said)
        self.assertEqual(most, outbox.PIECES_AHEAD - 1)
        self.assertEqual((self.a.room.used, self.b.room.used), (0, 0))

    def test_no_more_under_way_than_the_spool_has_said(self) -> None:
        self.a.send(self.a.spool.put("a file", payload_of(90)))
        said = self.a.says()
        self.assertEqual(fragments(said), list(range(64)))
        self.hears(said[:16])
        self.assertEqual(fragments(self.a.says()), list(range(64, 80)))
        self.hears(said[16:20])
        self.assertEqual(self.a.says(), [])

    def test_whole_messages_of_another_direction_go_between(self) -> None:
        self.a.send(self.a.spool.put("a file", payload_of(10)))
        self.a.says(3)
        self.b.send(b"are you there?")
        for each in self.b.says():
            self.a.hears(each)
        self.assertEqual(self.a.given, [])
        self.a.turn()
        self.assertEqual(self.a.effects, [b"are you there?"])

    def test_those_behind_are_under_way_too(self) -> None:
        for number in range(3):
            self.a.send(self.a.spool.put(f"file {number}", payload_of(3)))
        said = self.a.says()
        self.assertEqual(fragments(said), [0, 1, 2] * 3)
        for each in sorted(said, key=lambda each: each.fragment):
            self.b.hears(each)
        self.b.turn()
        self.assertEqual(self.b.effects, [payload_of(3)] * 3)


class ResumeTests(FragmentsCase):
    def test_a_new_connection_goes_on_where_the_peer_is(self) -> None:
        payload = payload_of(30)
        self.a.send(self.a.spool.put("a file", payload))
        for each in self.a.says(20):
            self.b.hears(each)
        self.b.write()
        self.dialog.connect()
        said = self.a.says()
        self.assertEqual(fragments(said), [])
        self.assertEqual(fragments(self.dialog.settle()), list(range(20, 30)))
        self.assertEqual(self.b.effects, [payload])

    def test_a_restart_of_the_sender(self) -> None:
        payload = payload_of(30)
        self.a.send(self.a.spool.put("a file", payload))
        for each in self.a.says(20):
            self.b.hears(each)
        self.b.write()
        self.a.crash()
        self.dialog.connect()
        self.assertEqual(fragments(self.dialog.settle()), list(range(20, 30)))
        self.assertEqual(self.b.effects, [payload])

    def test_a_restart_of_the_receiver(self) -> None:
        payload = payload_of(30)
        self.a.send(self.a.spool.put("a file", payload))
        self.hears(self.a.says(20))
        self.b.crash()
        self.dialog.connect()
        self.assertEqual(fragments(self.dialog.settle()), list(range(30)))
        self.assertEqual((self.b.effects, self.b.spool.files), ([payload], {}))

    def test_a_receiver_that_began_anew_behind_the_same_connection(self) -> None:
        self.a.send(self.a.spool.put("a file", payload_of(30)))
        self.hears(self.a.says())
        self.assertEqual(self.a.sending.waiting, 0)
        self.a.send(self.a.spool.put("another", payload_of(30)))
        self.hears(self.a.says(25))
        self.b.crash()
        self.b.connect()
        self.assertEqual(fragments(self.dialog.settle()), list(range(25, 30)))
        self.assertEqual((fragments(self.dialog.wait(14)), self.b.receiving.done), ([], 1))
        self.assertEqual((fragments(self.dialog.wait(1)), self.b.receiving.done), (list(range(30)), 2))

    def test_lost_fragments_come_again(self) -> None:
        self.a.send(payload_of(10))
        said = self.a.says()
        self.hears(said[:3] + said[5:8])
        self.assertEqual(fragments(self.dialog.wait(15)), list(range(3, 10)))
        self.assertEqual(self.b.effects, [payload_of(10)])

    def test_fragments_before_the_first_are_dropped(self) -> None:
        self.a.send(payload_of(10))
        said = self.a.says()
        self.hears(said[1:])
        self.assertEqual(self.b.receiving.octets, 0)
        self.assertEqual(fragments(self.dialog.wait(15)), list(range(10)))


class SpoolTests(FragmentsCase):
    def setUp(self) -> None:
        super().setUp()
        self.b.automatic = False
        self.payload = payload_of(20)
        self.a.send(self.a.spool.put("a file", self.payload))
        for each in self.a.says():
            self.b.hears(each)
        self.work = self.b.receiving.spool_work()

    def test_it_is_given_when_the_file_is_durable(self) -> None:
        receiving = self.b.receiving
        self.assertEqual([each.fragment for each in self.work if isinstance(each, WritePiece)], list(range(20)))
        self.assertEqual(receiving.spool_work(), [])
        for each in self.work:
            self.assertFalse(receiving.has_changes)
            receiving.written(each, True)
        (sync,) = receiving.spool_work()
        self.assertIsInstance(sync, SyncSpool)
        self.assertFalse(receiving.has_changes)
        receiving.written(sync, True)
        self.assertTrue(receiving.has_changes)

    def test_a_piece_that_is_not_written_comes_again(self) -> None:
        receiving = self.b.receiving
        for each in self.work:
            assert isinstance(each, WritePiece)
            if each.fragment != 7:
                self.b.spool.files.setdefault(each.spool, {})[each.fragment] = each.octets
            receiving.written(each, each.fragment != 7)
        self.assertEqual(receiving.spool_work(), [])
        self.b.automatic = True
        for said in self.b.says():
            self.a.hears(said)
        self.assertEqual(fragments(self.dialog.wait(15)), list(range(7, 20)))
        self.assertEqual(self.b.effects, [self.payload])

    def test_a_file_that_is_not_synced_comes_again_from_its_beginning(self) -> None:
        receiving = self.b.receiving
        for each in self.work:
            receiving.written(each, True)
        (sync,) = receiving.spool_work()
        receiving.written(sync, False)
        (drop,) = receiving.spool_work()
        self.assertIsInstance(drop, DropSpool)
        self.assertEqual((drop.spool, receiving.octets, receiving.has_changes), (sync.spool, 0, False))
        self.b.automatic = True
        for said in self.b.says():
            self.a.hears(said)
        self.assertEqual(fragments(self.dialog.wait(15)), list(range(20)))
        self.assertEqual(self.b.effects, [self.payload])

    def test_a_message_that_is_said_both_ways_counts_once(self) -> None:
        receiving = self.b.receiving
        for each in self.work:
            receiving.written(each, True)
        (sync,) = receiving.spool_work()
        receiving.take_messages(1, 1, pack_messages([("", 0, b"another")]), self.b.now)
        receiving.written(sync, True)
        self.assertIsInstance(receiving.spool_work()[0], DropSpool)
        changes = receiving.changes(self.b.now)
        assert changes is not None
        self.assertEqual(len([each for each in changes.operations if isinstance(each, PutSegment)]), 1)

    def test_a_skip_forgets_what_was_begun(self) -> None:
        receiving = self.b.receiving
        receiving.hear(Skip(0, 1), self.b.now)
        (drop,) = receiving.spool_work()
        self.assertIsInstance(drop, DropSpool)
        self.assertEqual((drop.spool, receiving.octets), (self.work[0].spool, 0))
        for each in self.work:
            receiving.written(each, True)
        self.assertEqual(receiving.spool_work(), [])

    def test_a_spool_that_is_slow(self) -> None:
        self.patch(assembling, "MOST_UNWRITTEN", 5 * FRAGMENT)
        dialog = Dialog(TERMS)
        dialog.settle()
        dialog.b.automatic = False
        dialog.a.send(dialog.a.spool.put("a file", self.payload))
        for each in dialog.a.says():
            dialog.b.hears(each)
        self.assertEqual(len(dialog.b.receiving.spool_work()), 5)


class RefusedTests(FragmentsCase):
    def test_one_that_is_longer_than_the_service_takes(self) -> None:
        self.b.receiving.terms = ReceivingTerms(largest=100_000)
        self.a.send(b"before", payload_of(5), b"behind")
        self.dialog.settle()
        self.assertEqual((self.b.effects, [each.code for each in self.b.dead]), ([b"before", b"behind"], [130]))
        self.assertEqual([(each.number, each.code) for each in self.a.failed], [(2, 130)])
        self.assertEqual((self.a.sending.waiting, self.b.receiving.octets), (0, 0))

    def test_one_that_is_behind_a_gap_is_not_refused_yet(self) -> None:
        self.b.receiving.terms = ReceivingTerms(largest=100_000)
        self.a.send(b"before", payload_of(5))
        said = self.a.says()
        self.hears(said[1:])
        self.assertEqual(self.b.dead, [])
        self.dialog.wait(15)
        self.assertEqual((self.b.effects, [each.code for each in self.b.dead]), ([b"before"], [130]))

    def test_what_breaks_the_rules(self) -> None:
        receiving, now = self.b.receiving, self.b.now
        start = pack_start(FRAGMENT + 5, 0, "t")
        receiving.take_fragment(1, 0, 2, start + bytes(FRAGMENT), now)
        for fragment, count, body in (
            (1, 3, b"12345".ljust(32, b"\0")),
            (2, 2, b"12345".ljust(32, b"\0")),
            (1, 2, b"12345"),
            (1, 2, b"12345".ljust(33, b"\0")),
            (1, 2, b"12345".ljust(32, b"!")),
            (0, 2, start + bytes(FRAGMENT - 1)),
        ):
            with self.assertRaises(PeerMisbehaved):
                receiving.take_fragment(1, fragment, count, body, now)
        receiving.take_fragment(1, 1, 2, b"12345".ljust(32, b"\0"), now)
        self.b.turn()
        self.assertEqual([each[-6:] for each in self.b.effects], [b"\x0012345"])

    def test_a_beginning_that_cannot_be_read(self) -> None:
        receiving, now = self.b.receiving, self.b.now
        receiving.take_fragment(1, 0, 2, b"\xff" * 40, now)
        receiving.take_fragment(2, 0, 3, pack_start(FRAGMENT + 5, 0, "t") + bytes(FRAGMENT), now)
        self.b.turn()
        self.assertEqual([(each.number, each.code) for each in self.b.dead], [(1, 134), (2, 134)])
        self.assertEqual(receiving.done, 2)

    def test_so_many_at_a_time(self) -> None:
        receiving, now = self.b.receiving, self.b.now
        for number in range(2, 12):
            receiving.take_fragment(number, 0, 2, pack_start(FRAGMENT + 5, 0, "t") + bytes(FRAGMENT), now)
        receiving.take_fragment(1, 0, 2, pack_start(FRAGMENT + 5, 0, "t") + bytes(FRAGMENT), now)
        receiving.connected()
        told = [each.number for each in receiving.frames(now) if isinstance(each, Fragments)]
        self.assertEqual(told, [*range(2, 10), 1])
