"""What nobody should send over a hop: copies, altered frames, proofs of others, too much, too late."""

from __future__ import annotations

import struct

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.passage.faces import MOST_UNPROVED, End, Ending
from seckex.passage.hop import HopEnd
from seckex.passage.pieces import NOTHING
from seckex.passage.times import Times
from seckex.wire.numbers import Code, Hop
from seckex.wire.passage import (
    ACCEPT_SIZE,
    OPEN_SIZE,
    PROOF_SIZE,
    RefuseFrame,
    data_header,
    decode_refuse,
    encode_refuse,
)
from tests.passage.parts import (
    AT_HOME,
    KEY3,
    NOW,
    SPI2,
    TO_AGENT,
    TO_HOME,
    UNTIL,
    Conversation,
    Octets,
    Side,
    awaiting,
    later,
    nonce,
)
from tests.wire.samples import FEW


def ending(side: Side) -> Ending:
    found = side.hop.ending
    if found is None:
        raise AssertionError("this hop goes on")
    return found


class CopyTests(SynchronousTestCase):
    def again(self, said: bytes, times: Times, seconds: float = 0.0) -> Side:
        """Say to another connection of the callee what was said before."""
        sink = Octets()
        side = Side(HopEnd.called(awaiting(times=times, number=9), later(seconds), sink), sink)
        side.hear(said, NOW.monotonic + seconds)
        side.flush(NOW.monotonic + seconds)
        return side

    def test_an_open_is_taken_once(self) -> None:
        times = Times()
        hop = Conversation(callee=awaiting(times=times))
        hop.say(b"pay him")
        hop.run()
        copy = self.again(bytes(hop.caller.said), times)
        self.assertEqual(ending(copy), Ending(End.CLOSED, Code.IDENTIFICATION_MISMATCH))
        self.assertEqual(decode_refuse(bytes(copy.said)).code, 133)
        self.assertEqual(copy.octets.came, b"")

    def test_where_it_is_taken_again_nothing_passes_without_a_proof(self) -> None:
        hop = Conversation()
        hop.say(b"pay him")
        hop.run()
        # The callee has started anew, and knows of nothing.
        copy = self.again(bytes(hop.caller.said), Times())
        self.assertEqual(ending(copy).end, End.FORGED)
        self.assertEqual(copy.octets.came, b"")
        silent = self.again(bytes(hop.caller.said[: OPEN_SIZE + 11]), Times())
        self.assertEqual((len(silent.said), silent.hop.held), (ACCEPT_SIZE, b"pay him"))
        silent.hop.tick(NOW.monotonic + 10)
        self.assertEqual((ending(silent).end, silent.octets.came), (End.TIMED_OUT, b""))

    def test_clocks_may_differ_by_five_minutes(self) -> None:
        for seconds, code in ((299.0, 0), (-299.0, 0), (301.0, 133), (-301.0, 133)):
            hop = Conversation()
            said = b"".join(hop.caller.hop.gather(memoryview(b""), hop.now))
            copy = self.again(said, Times(), seconds)
            self.assertEqual(0 if copy.hop.ending is None else copy.hop.ending.code, code, seconds)

    def test_times_rise_for_each_association_and_are_bounded(self) -> None:
        times = Times(most=3)
        wall = NOW.wall
        time = int(wall * 1_000_000)
        self.assertEqual([times.take(1, time + each, UNTIL, wall) for each in (0, 1, 1, 0, 2)], [1, 1, 0, 0, 1])
        self.assertTrue(times.take(2, time, UNTIL, wall))
        times.take(3, time, wall + 1, wall)
        # What has expired goes first, then what was used the longest ago.
        times.take(4, time, UNTIL, wall + 2)
        self.assertFalse(times.take(1, time, UNTIL, wall))
        self.assertTrue(times.take(5, time, UNTIL, wall + 2))
        self.assertEqual(len(times), 3)
        self.assertTrue(times.take(2, time, UNTIL, wall))
        times.forget(2)
        self.assertTrue(times.take(2, time, UNTIL, wall))


class StrangerTests(SynchronousTestCase):
    def refused(self, hop: Conversation, code: int, *, hint: bool) -> None:
        hop.run()
        self.assertEqual(ending(hop.caller), Ending(End.REFUSED, code, hint=hint))
        self.assertIsNotNone(hop.callee.hop.ending)
        self.assertEqual(hop.callee.octets.came, b"")

    def test_who_is_not_known_gets_a_hint(self) -> None:
        self.refused(Conversation(evolve(TO_HOME, spi=5)), 300, hint=True)

    def test_nor_is_who_takes_one_hop_for_the_other(self) -> None:
        self.refused(Conversation(evolve(TO_HOME, hop=Hop.MN_FA)), 300, hint=True)

    def test_another_key(self) -> None:
        self.refused(Conversation(evolve(TO_HOME, keys=KEY3)), 131, hint=True)
        self.refused(Conversation(evolve(TO_AGENT, hop=Hop.FA_HA, spi=SPI2)), 131, hint=True)

    def test_what_has_expired(self) -> None:
        self.refused(Conversation(now=later(3601), callee=awaiting()), 300, hint=False)

    def test_no_room(self) -> None:
        callee = awaiting(verdict=Code.INSUFFICIENT_RESOURCES)
        self.refused(Conversation(callee=callee), 130, hint=False)

    def test_other_protocols_hear_nothing(self) -> None:
        for octets in (b"GET / HTTP/1.0\r\n" * 4, bytes(64), b"PS\x02" + bytes(61), b"PS\x01\x07" + bytes(60)):
            hop = Conversation()
            hop.callee.hear(octets, hop.now)
            hop.callee.flush(hop.now)
            self.assertEqual((ending(hop.callee).end, hop.callee.said), (End.FOREIGN, b""))


class AlterationTests(SynchronousTestCase):
    """Somebody between the two ends of a hop."""

    def said(self) -> Conversation:
        """Return a hop over which each kind of frame but REFUSE has gone."""
        hop = Conversation()
        hop.say(b"early")
        hop.run()
        for words, inward in ((b"a question", False), (b"an answer", True), (b"thanks", False)):
            hop.say(words, inward=inward)
            hop.run()
            hop.now += 2
            for side in (hop.caller, hop.callee):
                side.hop.tick(hop.now)
            hop.run()
        return hop

    def test_a_flipped_bit_ends_the_hop_wherever_it_is(self) -> None:
        plain = self.said()
        expected = bytes(plain.callee.octets.came), bytes(plain.caller.octets.came)
        ends: set[End] = set()
        for inward, length in ((False, len(plain.caller.said)), (True, len(plain.callee.said))):
            for at in range(length):
                hop = self.altered(at, inward)
                for side in (hop.caller, hop.callee):
                    if side.hop.ending is not None:
                        ends.add(side.hop.ending.end)
                self.assertFalse(hop.caller.hop.ending is None and hop.callee.hop.ending is None, (inward, at))
                # What came unaltered may have been delivered, and one DATA that was altered; nothing after that.
                proved = hop.callee.hop.arriving.proved, hop.caller.hop.arriving.proved
                self.assertEqual(hop.callee.octets.came[: proved[0]], expected[0][: proved[0]])
                self.assertEqual(hop.caller.octets.came[: proved[1]], expected[1][: proved[1]])
        self.assertLessEqual({End.FORGED, End.VIOLATED, End.FOREIGN, End.REFUSED, End.TIMED_OUT}, ends)

    def altered(self, at: int, inward: bool) -> Conversation:
        """Play what `said` does with one bit of one direction flipped."""
        done = 0

        def flip(octets: bytes) -> bytes:
            nonlocal done
            found = bytearray(octets)
            if done <= at < done + len(found):
                found[at - done] ^= 0x04
            done += len(found)
            return bytes(found)

        tampers = (None, flip) if inward else (flip, None)
        hop = Conversation()
        hop.say(b"early")
        hop.run(*tampers)
        for words, back in ((b"a question", False), (b"an answer", True), (b"thanks", False), (b"", False)):
            hop.say(words, inward=back)
            hop.run(*tampers)
            hop.now += 2
            for side in (hop.caller, hop.callee):
                side.hop.tick(hop.now)
            hop.run(*tampers)
        for _ in range(3):
            hop.now += 10.1
            for side in (hop.caller, hop.callee):
                side.hop.tick(hop.now)
            hop.run(*tampers)
        return hop

    def test_a_proof_that_is_sent_back_proves_nothing(self) -> None:
        hop = Conversation().open()
        hop.say(b"the same")
        hop.say(b"the same", inward=True)
        hop.run()
        for side in (hop.caller, hop.callee):
            side.hop.tick(hop.now + 2)
        hop.callee.flush(hop.now)
        proof = bytes(hop.callee.wire)
        self.assertEqual(len(proof), PROOF_SIZE)
        hop.callee.hear(proof, hop.now)
        self.assertEqual(ending(hop.callee).end, End.FORGED)

    def test_a_proof_that_is_left_out_is_missed_by_the_next(self) -> None:
        hop = Conversation().open()
        for count in range(2):
            hop.say(b"words")
            hop.run()
            hop.caller.hop.tick(hop.now + 2)
            hop.run(to_callee=(lambda _: b"") if not count else None)
        self.assertEqual(ending(hop.callee).end, End.FORGED)
        self.assertEqual(hop.callee.hop.arriving.proved, 0)

    def test_octets_in_another_order_or_twice(self) -> None:
        for tamper in (
            lambda octets: octets[: 4 + 5] + octets,
            lambda octets: octets[9:] + octets[:9],
            lambda octets: octets[9:],
        ):
            hop = Conversation().open()
            hop.say(b"first")
            hop.caller.flush(hop.now)
            hop.say(b"second")
            hop.run(to_callee=tamper)
            hop.caller.hop.tick(hop.now + 2)
            hop.run()
            self.assertIn(ending(hop.callee).end, (End.VIOLATED, End.FORGED))

    def test_counts_that_cannot_be_are_refused_though_they_verify(self) -> None:
        for sent, received in ((6, 0), (4, 0), (5, 1)):
            hop = Conversation().open()
            hop.say(b"words")
            hop.run()
            mac = hop.caller.hop.leaving._mac
            if mac is None:
                raise AssertionError("there is no key")
            hop.callee.hear(b"\x03\0\0\x20" + struct.pack(">QQ", sent, received) + mac.tag(sent, received), hop.now)
            self.assertEqual(ending(hop.callee).end, End.VIOLATED, (sent, received))

    def test_receipts_do_not_go_back(self) -> None:
        hop = Conversation().open()
        hop.say(b"words", inward=True)
        hop.run()
        hop.caller.hop.arriving.carried = 3
        hop.callee.hear(hop.caller.hop.proof(hop.now), hop.now)
        self.assertEqual(hop.callee.hop.leaving.acknowledged, 3)
        hop.caller.hop.arriving.carried = 2
        hop.callee.hear(hop.caller.hop.proof(hop.now), hop.now)
        self.assertEqual(ending(hop.callee).end, End.VIOLATED)


class ViolationTests(SynchronousTestCase):
    def test_more_octets_than_may_come_without_a_proof(self) -> None:
        hop = Conversation(size=1 << 20).open()
        hop.callee.hear((data_header(1 << 20) + bytes(1 << 20)) * 4, hop.now)
        self.assertIsNone(hop.callee.hop.ending)
        self.assertEqual(len(hop.callee.octets.came), MOST_UNPROVED)
        hop.callee.hear(data_header(1) + b"x", hop.now)
        self.assertEqual(ending(hop.callee).end, End.VIOLATED)

    def test_octets_without_a_proof_for_too_long(self) -> None:
        hop = Conversation().open()
        hop.say(b"x")
        hop.run()
        hop.callee.hop.tick(hop.now + 10)
        self.assertIsNone(hop.callee.hop.ending)
        hop.callee.hop.tick(hop.now + 10.1)
        self.assertEqual(ending(hop.callee).end, End.VIOLATED)

    def test_more_before_the_first_proof_than_is_kept(self) -> None:
        hop = Conversation()
        hop.caller.flush(hop.now)
        hop.callee.hear(bytes(hop.caller.wire) + data_header(65536) + bytes(65536), hop.now)
        self.assertIsNone(hop.callee.hop.ending)
        hop.callee.hear(data_header(1), hop.now)
        self.assertEqual(ending(hop.callee).end, End.VIOLATED)
        hop = Conversation()
        hop.caller.flush(hop.now)
        hop.callee.hear(bytes(hop.caller.wire) + data_header(65537), hop.now)
        self.assertEqual((ending(hop.callee).end, len(hop.callee.hop.held)), (End.VIOLATED, 0))

    def test_frames_where_they_cannot_be(self) -> None:
        accept, refuse = b"\x01\0\0\x30" + bytes(48), encode_refuse(RefuseFrame(300))
        for octets in (data_header(1) + b"x", b"\x03\0\0\x20" + bytes(32)):
            hop = Conversation()
            hop.caller.hear(octets, hop.now)
            self.assertEqual(ending(hop.caller).end, End.VIOLATED)
        for octets in (accept, refuse, b"PS\x01\x01" + bytes(60), b"\x02\0\0\0", b"\x02\x10\0\x01", b"\xff" * 4):
            hop = Conversation().open()
            hop.callee.hear(octets, hop.now)
            self.assertEqual(ending(hop.callee).end, End.VIOLATED, octets)
        hop = Conversation().open()
        hop.caller.hear(accept, hop.now)
        self.assertEqual(ending(hop.caller).end, End.VIOLATED)

    def test_a_refuse_that_anybody_could_say_ends_no_open_hop_as_one(self) -> None:
        hop = Conversation().open()
        hop.caller.hear(encode_refuse(RefuseFrame(300)), hop.now)
        self.assertEqual(ending(hop.caller).end, End.FORGED)
        forged = encode_refuse(RefuseFrame(300, bytes(31) + b"\x01"))
        hop = Conversation()
        hop.caller.hear(forged, hop.now)
        self.assertEqual(ending(hop.caller), Ending(End.FORGED, why="the MAC of a REFUSE does not verify"))

    def test_an_accept_of_another_open(self) -> None:
        one, other = Conversation().open(), Conversation(TO_HOME, awaiting(AT_HOME, number=2), later(1))
        other.caller.flush(other.now)
        other.caller.hear(bytes(one.callee.said[:ACCEPT_SIZE]), other.now)
        self.assertEqual(ending(other.caller).end, End.FORGED)

    @FEW
    @given(st.binary(max_size=300), st.booleans(), st.booleans())
    def test_garbage_raises_nothing_and_delivers_no_more_than_came(
        self, octets: bytes, inward: bool, opened: bool
    ) -> None:
        hop = Conversation()
        if opened:
            hop.open()
        side = hop.caller if inward else hop.callee
        side.hear(octets, hop.now)
        side.flush(hop.now)
        self.assertLessEqual(len(side.octets.came), len(octets))
        if side.hop.ending is None:
            # What a frame may still become is awaited, no longer than anything is.
            side.hop.ended_by_peer()
        self.assertTrue(side.hop.ending is not None or side.hop.heard_all)

    def test_an_end_without_a_taker_needs_no_spare_room(self) -> None:
        end = HopEnd.calling(TO_HOME, nonce(), NOW)
        self.assertEqual([len(each) for each in end.into()], [0])
        self.assertEqual(end.take(memoryview(b"\x01\0"), NOW.monotonic, NOTHING), 0)
