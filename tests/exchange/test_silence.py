"""Requests that get no answer: how often they are repeated, when they are given up, and what the operator is told."""

from __future__ import annotations

from itertools import pairwise

from seckex.events import MessageDropped, NegotiationFailed, VersionsHeard, VersionUnsupported
from seckex.wire.numbers import ANSWER_FLAG, HEADER_SIZE, Kind
from tests.conversation import AES, HOME, NODE, ConversationCase
from tests.link import Datagram, altered, lose, on
from tests.pump import Host, Network


class RetransmissionTests(ConversationCase):
    def intervals(self, kind: str, network: Network) -> list[float]:
        """Return the seconds between the sendings of ``kind``, as the lines of the network tell them."""
        times = [float(line.split()[0]) for line in network.lines if f"  {kind}" in line and "-->" in line]
        return [after - before for before, after in pairwise(times)]

    def test_a_request_is_repeated_octet_for_octet_at_doubled_intervals(self) -> None:
        node, home = self.pair()
        home.stop()
        node.want(home)
        self.network.run(29)
        # OFFER 1 -->   at 0, 0.5, 1.5, 3.5, 7.5, 15.5, 23.5 and a little later
        offers = {datagram.octets for datagram in self.network.sent}
        self.assertEqual(len(offers), 1)
        intervals = self.intervals("OFFER 1", self.network)
        self.assertEqual(len(intervals), len(self.network.sent) - 1)
        for interval, least in zip(intervals, (0.5, 1, 2, 4, 8, 8), strict=False):
            self.assertTrue(least <= interval + 0.001 and interval - 0.001 <= least * 1.25, (interval, least))

    def test_a_timer_that_is_set_only_when_something_is_due_sooner_is_set_in_time(self) -> None:
        node, home = self.pair()
        node.lazy = home.lazy = True
        self.network.run(1)
        self.network.faults = [on("OFFER", lose), on("CONFIRM", lose)]
        node.want(home)
        self.network.run(0.7)
        # OFFER 1 -->   lost
        # OFFER 1 -->
        # <-- CHOICE 1
        # CONFIRM -->   lost
        self.network.run(0.7)
        self.assertConversation(node, home)

    def test_the_jitter_stays_in_its_bounds_and_differs(self) -> None:
        firsts = []
        for seed in range(20):
            self.anew()
            self.network.seed = seed
            node, home = self.pair()
            home.stop()
            node.want(home)
            self.network.run(2)
            firsts.append(self.intervals("OFFER 1", self.network)[0])
        self.assertGreaterEqual(min(firsts), 0.5)
        self.assertLessEqual(max(firsts), 0.625)
        self.assertGreater(len(set(firsts)), 15)

    def test_a_request_is_given_up_after_30_seconds(self) -> None:
        node, home = self.pair()
        home.stop()
        node.want(home)
        self.network.run(29.9)
        self.assertEqual((node.told(NegotiationFailed), node.unavailable), ([], []))
        self.network.run(0.2)
        failed = self.assertTold(node, NegotiationFailed, peer=home.nai)
        self.assertEqual(failed.why, f"no answer from {home.path} to {len(self.network.sent)} requests")
        self.assertEqual([(u.peer, u.why, u.wait) for u in node.unavailable], [(home.nai, failed.why, 1.0)])

    def test_after_each_failure_the_next_try_comes_later(self) -> None:
        node, home = self.pair()
        home.stop()
        node.want(home)
        self.network.run(600)
        self.assertEqual([u.wait for u in node.unavailable[:8]], [1, 2, 4, 8, 16, 32, 60, 60])
        # Once somebody is there, the next try comes through and pauses are short again.
        home.start()
        self.network.run(100)
        self.assertConversation(node, home)
        self.assertEqual(node.node._seeking._wanted[HOME].pause, 1)

    def test_a_lost_CONFIRM_is_repeated_and_given_up_without_losing_the_association(self) -> None:
        node, home = self.pair()
        self.network.faults = [on("CONFIRM", lose, times=1000)]
        node.want(home)
        self.network.run(40)
        # OFFER 1 -->
        # <-- CHOICE 1
        # CONFIRM -->   lost, as are all that follow
        for interval, least in zip(self.intervals("CONFIRM", self.network), (0.5, 1, 2, 4, 8, 8), strict=False):
            self.assertTrue(least <= interval + 0.001 and interval - 0.001 <= least * 1.25, (interval, least))
        self.assertTold(node, NegotiationFailed, why=f"no answer to {len(self.network.sent) - 2} confirmations")
        self.assertAgreed(node, home)
        self.assertEqual((node.unavailable, node.gone), ([], []))

    def test_an_answer_ends_the_repetitions(self) -> None:
        node, home = self.pair()
        self.established(node, home)
        said = len(self.network.sent)
        self.network.run(60)
        self.assertEqual(len(self.network.sent), said)


class UnknownKey0Tests(ConversationCase):
    def pair_with(self, key: bytes = bytes(32), spi: int = 0x1234) -> tuple[Host, Host]:
        """Return two hosts of which the left holds another KEY 0 than the right."""
        node, home = self.network.host(NODE), self.network.host(HOME)
        node.knows(home, AES, key=key, spi=spi)
        home.knows(node, AES)
        node.start()
        home.start()
        node.want(home)
        return node, home

    def test_an_SPI_that_nobody_has_is_answered_by_a_hint_and_explained(self) -> None:
        node, home = self.pair_with(key=bytes(range(32)), spi=0x9999)
        self.network.run(31)
        self.assertEqual({datagram.label for datagram in self.network.sent}, {"OFFER 1", "UNKNOWN"})
        self.assertDropped(home, "unknown-key0", "no KEY 0 with SPI 0x00009999 is configured here")
        self.assertEqual(home.counters["dropped.unknown-key0"], len(self.network.sent) // 2, "each has one answer")
        causes = self.assertTold(node, NegotiationFailed).causes
        self.assertIn("no seckex responder runs at UDP 192.0.2.2:4434, or a firewall is between", causes)
        self.assertIn("192.0.2.2:4434 says that it does not know KEY 0 with SPI 0x00009999, kvno 1", causes)
        self.assertIn("KEY 0 with SPI 0x00009999", str(node.told(NegotiationFailed)[0]))

    def test_another_key_under_the_same_SPI_is_met_with_silence(self) -> None:
        node, home = self.pair_with(key=bytes(32))
        self.network.run(31)
        self.assertEqual({datagram.label for datagram in self.network.sent}, {"OFFER 1"})
        self.assertDropped(home, "unauthenticated", "the MAC of OFFER does not verify under KEY 0")
        failed = str(self.assertTold(node, NegotiationFailed))
        self.assertIn("or holds another key under that SPI (its log tells)", failed)
        self.assertEqual(home.units, [])

    def test_the_same_key_for_another_NAI_is_met_with_silence(self) -> None:
        node, home = self.network.host("mallory", nai="mallory@example.net"), self.network.host(HOME)
        other = self.network.host(NODE)
        node.knows(home, AES)
        home.knows(other, AES)
        node.start()
        home.start()
        node.want(home)
        self.network.run(1)
        self.assertEqual({datagram.label for datagram in self.network.sent}, {"OFFER 1"})
        self.assertDropped(home, "unauthenticated")

    def test_drops_are_told_of_sparingly_and_counted_exactly(self) -> None:
        node, home = self.pair()
        for number in range(1, 101):
            home.receive(bytes((255, 0x10, 0, 1, *bytes(8), *number.to_bytes(4, "big"))), node.path)
        self.assertEqual(home.counters["dropped.unknown-key0"], 100)
        self.assertEqual(len(home.told(MessageDropped)), 10)
        self.network.run(60)
        home.receive(b"rubbish", node.path)
        self.assertEqual(home.told(MessageDropped)[-1].suppressed, 90)
        self.assertIn("(90 more not shown)", str(home.told(MessageDropped)[-1]))


class VersionTests(ConversationCase):
    def test_a_request_of_another_version_is_told_which_are_spoken(self) -> None:
        node, home = self.pair()
        # An initiator of version 2, which keeps to the invariants of every version.
        later = altered(lambda octets: octets[:1] + b"\x20" + octets[2:])
        self.network.faults = [on("OFFER", later, times=1000)]
        node.want(home)
        # OFFER of version 2 -->
        # <-- VERSIONS
        self.network.run(0.4)
        self.assertArrows("OFFER 1 -->", "<-- VERSIONS")
        versions = self.network.last("VERSIONS").octets
        self.assertEqual(versions, b"\xff\x01\0\0" + self.network.sent[0].octets[4:12] + bytes(4) + b"\1\1")
        self.assertTold(home, VersionUnsupported, address=str(node.path), version=2, spoken=(1,))
        self.assertTold(node, VersionsHeard, peer=home.nai, address=str(home.path), versions=(1,), spoken=(1,))

    def test_the_hint_is_no_reason_to_stop(self) -> None:
        node, home = self.pair()
        self.network.faults = [on("OFFER", altered(lambda octets: octets[:1] + b"\x20" + octets[2:]))]
        self.established(node, home)
        self.assertArrows(
            "OFFER 1 -->",  # arrives as of version 2
            "<-- VERSIONS",
            "OFFER 1 -->",
            "<-- CHOICE 1",
            "CONFIRM -->",
            "<-- CONFIRMED",
        )

    def test_hints_are_told_with_the_time_out(self) -> None:
        node, home = self.pair()
        self.network.faults = [on("OFFER", altered(lambda octets: octets[:1] + b"\x20" + octets[2:]), times=1000)]
        node.want(home)
        self.network.run(31)
        failed = self.assertTold(node, NegotiationFailed)
        self.assertEqual(failed.causes[0], f"{home.path} says that it speaks protocol version 1 only")
        self.assertTold(node, VersionsHeard)

    def test_hints_are_few_however_many_are_sent(self) -> None:
        node, home = self.pair()
        home.stop()
        node.want(home)
        offer = self.network.last("OFFER").octets
        for version in range(2, 40):
            forged = b"\xff\x01\0\0" + offer[4:12] + bytes(4) + bytes((1, version))
            for _ in range(2):
                node.receive(forged, home.path)
        self.assertEqual(len(node.told(VersionsHeard)), 4)
        self.network.run(31)
        self.assertLessEqual(len(self.assertTold(node, NegotiationFailed).causes), 6)

    def test_hints_do_not_keep_an_association_from_being_confirmed(self) -> None:
        node, home = self.pair()
        self.network.faults = [on("CONFIRM", lose)]
        node.want(home)
        # OFFER 1 -->
        # <-- CHOICE 1
        # CONFIRM -->   lost
        self.network.run(0.1)
        confirm = self.network.last("CONFIRM").octets
        node.receive(b"\xff\x01\0\0" + confirm[4:12] + bytes(4) + b"\1\7", home.path)
        self.network.run(2)
        self.assertConversation(node, home)

    def test_answers_of_another_version_are_never_answered(self) -> None:
        node, home = self.pair()
        offer = Datagram(node.path, home.path, self.said(node, home))
        for version in range(16):
            for flags in range(16):
                if flags & ANSWER_FLAG:
                    octets = offer.octets[:1] + bytes((version << 4 | flags,)) + offer.octets[2:]
                    home.receive(octets, node.path)
        self.assertEqual([label for label in self.network.arrows() if "OFFER" not in label], [])

    def said(self, node: Host, home: Host) -> bytes:
        """Return an offer that has not arrived."""
        self.network.faults = [lose]
        node.want(home)
        return self.network.last("OFFER").octets

    def test_VERSIONS_is_not_answered_with_VERSIONS(self) -> None:
        node, home = self.pair()
        request = b"\xff\x20" + bytes(14) + bytes(2)
        home.receive(request, node.path)
        self.assertArrows("<-- VERSIONS")
        for _ in range(3):
            versions = self.network.last("VERSIONS")
            for host, source in ((node, home.path), (home, node.path)):
                host.receive(versions.octets, source)
        self.network.run(5)
        self.assertArrows("<-- VERSIONS")

    def test_a_request_that_is_shorter_than_VERSIONS_is_not_answered(self) -> None:
        node, home = self.pair()
        for size in range(HEADER_SIZE + 2):
            home.receive((b"\xff\x20" + bytes(30))[:size], node.path)
        self.assertArrows()
        home.receive((b"\xff\x20" + bytes(30))[: HEADER_SIZE + 2], node.path)
        self.assertArrows("<-- VERSIONS")
        self.assertEqual(home.counters["dropped.malformed"], HEADER_SIZE)
        self.assertEqual(home.counters["dropped.version"], 2 + 1)

    def test_all_other_versions_are_answered_whatever_else_they_say(self) -> None:
        node, home = self.pair()
        for version in range(2, 16):
            home.receive(bytes((0xFF, version << 4)) + b"\xee" * 40, node.path)
        self.assertEqual(self.network.arrows(), ["<-- VERSIONS"] * 14)

    def test_a_VERSIONS_that_is_malformed_or_for_nobody_is_dropped(self) -> None:
        node, home = self.pair()
        self.said(node, home)
        number = self.network.last("OFFER").octets[4:12]
        start = b"\xff\x01\0\0"
        for octets in (
            start + number + bytes(4) + b"\2\1",
            start + number + bytes(4) + b"\1\1\1",
            start + number + b"\0\0\0\1" + b"\1\1",
            b"\xff\x01\0" + bytes((Kind.OFFER,)) + number + bytes(4) + b"\1\1",
            b"\xff\x00\0\0" + number + bytes(4) + b"\1\1",
        ):
            node.receive(octets, home.path)
        self.assertEqual(node.counters["dropped.malformed"], 5)
        node.receive(start + bytes(8) + bytes(4) + b"\1\1", home.path)
        self.assertEqual(node.told(VersionsHeard), [])
