"""Hops that go as they should: opening, carrying, proving, ending."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.passage.carrying import TICK
from seckex.passage.faces import End, Octets, Party
from seckex.passage.hop import SPARE, HopEnd
from seckex.wire.passage import ACCEPT_SIZE, MOST_DATA, OPEN_SIZE, PROOF_SIZE, FrameKind, decode_header, decode_proof
from tests.passage.parts import NOW, TO_HOME, WALL, WHO, Conversation, nonce


def frames(said: bytearray, at: int) -> list[tuple[FrameKind, int]]:
    """Return the kinds and lengths of all frames from ``at``."""
    found = []
    while at < len(said):
        header = decode_header(said, at)
        found.append((header.kind, header.length))
        at += 4 + header.length
    return found


class OpeningTests(SynchronousTestCase):
    def test_open_accept_proof(self) -> None:
        hop = Conversation()
        # OPEN -->
        hop.caller.flush(hop.now)
        self.assertEqual(len(hop.caller.wire), OPEN_SIZE)
        hop.callee.hear(bytes(hop.caller.wire), hop.now)
        hop.caller.wire.clear()
        # <-- ACCEPT
        hop.callee.flush(hop.now)
        self.assertEqual(len(hop.callee.wire), ACCEPT_SIZE)
        self.assertFalse(hop.callee.hop.is_open)
        hop.caller.hear(bytes(hop.callee.wire), hop.now)
        hop.callee.wire.clear()
        self.assertTrue(hop.caller.hop.is_open)
        self.assertTrue(hop.caller.hop.wants_to_say)
        # PROOF -->
        hop.caller.flush(hop.now)
        self.assertEqual(frames(hop.caller.wire, 0), [(FrameKind.PROOF, PROOF_SIZE - 4)])
        hop.callee.hear(bytes(hop.caller.wire), hop.now)
        self.assertTrue(hop.callee.hop.is_open)
        self.assertEqual(hop.caller.hop.ident, hop.callee.hop.ident)
        self.assertEqual(len(hop.caller.hop.ident), 16)

    def test_octets_that_come_at_once_are_delivered_after_the_proof(self) -> None:
        hop = Conversation()
        hop.say(b"hello")
        hop.say(b"not before", inward=True)
        hop.caller.flush(hop.now)
        self.assertEqual(hop.caller.said[OPEN_SIZE:], b"\x02\0\0\x05hello")
        hop.callee.hear(bytes(hop.caller.wire), hop.now)
        hop.caller.wire.clear()
        self.assertEqual((hop.callee.octets.came, hop.callee.hop.held), (b"", b"hello"))
        hop.callee.flush(hop.now)
        self.assertEqual(len(hop.callee.said), ACCEPT_SIZE)
        hop.run()
        self.assertEqual(hop.callee.octets.came, b"hello")
        self.assertEqual(hop.caller.octets.came, b"not before")
        self.assertEqual(hop.callee.hop.arriving.octets(), Octets(5, 5, 0))

    def test_a_caller_sends_no_more_than_what_is_kept_before_accept(self) -> None:
        hop = Conversation()
        hop.say(b"x" * 100_000)
        hop.caller.flush(hop.now)
        self.assertEqual(len(hop.caller.outbox), 100_000 - 65536)
        self.assertEqual(len(hop.caller.said), OPEN_SIZE + 4 + 65536)
        hop.run()
        self.assertEqual(hop.callee.octets.came, b"x" * 100_000)
        self.assertEqual(
            frames(hop.caller.said, OPEN_SIZE),
            [(FrameKind.DATA, 65536), (FrameKind.PROOF, 32), (FrameKind.DATA, 34464)],
        )

    def test_nothing_comes_in_time(self) -> None:
        for side in ("caller", "callee"):
            hop = Conversation()
            end = getattr(hop, side).hop
            end.tick(hop.now + 9.9)
            self.assertIsNone(end.ending)
            end.tick(hop.now + 10)
            self.assertEqual(end.ending.end, End.TIMED_OUT)
            end.tick(hop.now + 11)

    def test_the_first_proof_has_its_time_from_open(self) -> None:
        hop = Conversation()
        hop.caller.flush(hop.now)
        hop.callee.hear(bytes(hop.caller.wire), hop.now + 9)
        hop.callee.hop.tick(hop.now + 18.9)
        self.assertIsNone(hop.callee.hop.ending)
        hop.callee.hop.tick(hop.now + 19)
        self.assertEqual(str(hop.callee.hop.ending), "timed-out, code 78: the first PROOF did not come in 10 s")


class CarryingTests(SynchronousTestCase):
    def test_large_octets_are_received_where_they_belong(self) -> None:
        hop = Conversation(size=1 << 20).open()
        hop.say(b"x" * 60_000)
        hop.caller.flush(hop.now)
        head, rest = bytes(hop.caller.wire[:4]), bytes(hop.caller.wire[4:])
        hop.callee.hear(head, hop.now)
        direct, spare = hop.callee.hop.into()
        self.assertEqual((len(direct), len(spare)), (60_000, SPARE))
        self.assertIs(direct.obj, hop.callee.octets.space().obj)
        direct[:] = rest[:60_000]
        hop.callee.hop.took(60_000, hop.now)
        self.assertEqual(hop.callee.octets.came, b"x" * 60_000)
        # Where the space is shorter than the DATA, nothing behind it can be anything else.
        self.assertEqual(len(hop.callee.hop.into()), 1)

    def test_a_proof_comes_after_a_second_and_tells_what_came(self) -> None:
        hop = Conversation().open()
        hop.say(b"a question")
        hop.run()
        hop.say(b"an answer", inward=True)
        hop.run()
        self.assertEqual(hop.callee.hop.arriving.octets(), Octets(10, 0, 0))
        for seconds, proved in ((0.5, 0), (1 - TICK, 10)):
            hop.now = NOW.monotonic + seconds
            hop.caller.hop.tick(hop.now)
            hop.run()
            self.assertEqual(hop.callee.hop.arriving.proved, proved)
        self.assertEqual(hop.callee.hop.leaving.octets(), Octets(9, 0, 9))
        self.assertEqual(hop.caller.hop.arriving.octets(), Octets(9, 0, 9))
        # Nothing more is due.
        hop.caller.hop.tick(hop.now + 5)
        self.assertFalse(hop.caller.hop.wants_to_say)

    def test_proofs_become_as_rare_as_they_may(self) -> None:
        hop = Conversation(size=100_000).open()
        at = len(hop.caller.said)
        hop.say(bytes(5 << 20))
        hop.run()
        said = frames(hop.caller.said, at)
        data = [length for kind, length in said if kind is FrameKind.DATA]
        self.assertEqual(data[:6], [65536, 1 << 17, 1 << 18, 1 << 19, MOST_DATA, MOST_DATA])
        self.assertEqual([kind for kind, _ in said[:4]], [FrameKind.DATA, FrameKind.PROOF] * 2)
        self.assertEqual(hop.callee.octets.came, bytes(5 << 20))

    def test_on_a_slow_path_proofs_are_not_further_apart_than_they_have_time(self) -> None:
        hop = Conversation(size=100_000).open()
        end = hop.caller.hop
        hop.say(bytes(1 << 20))
        lengths = []
        for _ in range(8):
            head, octets = end.gather(memoryview(bytes(hop.caller.outbox)), hop.now)
            lengths.append(decode_header(head).length)
            # The kernel takes what it is given, but slowly; then comes the PROOF.
            end.sent(len(head) + len(octets), hop.now)
            hop.now += 1.5
            (proof,) = end.gather(memoryview(bytes(hop.caller.outbox)), hop.now)
            end.sent(len(proof), hop.now)
        self.assertEqual(lengths, [65536 >> each for each in range(5)] + [4096] * 3)

    def test_figures_are_the_same_at_both_ends(self) -> None:
        hop = Conversation().open()
        hop.say(b"x" * 3000)
        hop.run()
        hop.say(b"y" * 50, inward=True)
        hop.run()
        for side in (hop.caller, hop.callee):
            side.hop.tick(hop.now + 2)
            hop.run()
        at_home = Party("visited.example", b"pseudonym", "node@home.example", "fa@visited.example")
        ours, theirs = hop.caller.hop.figures(WHO, WALL, WALL), hop.callee.hop.figures(at_home, WALL, WALL)
        self.assertEqual((ours.outward.carried, ours.outward.proved), (3000, 3000))
        self.assertEqual((ours.inward.carried, ours.inward.proved), (50, 50))
        self.assertEqual((ours.ident, ours.outward, ours.inward), (theirs.ident, theirs.outward, theirs.inward))
        self.assertEqual((ours.ended, ours.why), (None, ""))
        hop.caller.hop.lost("cut")
        ended = hop.caller.hop.figures(WHO, WALL, WALL + 5)
        self.assertEqual((ended.ended, ended.why), (WALL + 5, "lost: cut"))

    @settings(max_examples=40, deadline=None)
    @given(
        st.lists(st.tuples(st.booleans(), st.integers(1, 9000)), max_size=8),
        st.integers(1, 20_000),
        st.integers(1, 5000),
        st.sampled_from((1, 7, 4096, 200_000)),
    )
    def test_what_is_sent_arrives_however_it_is_cut(
        self, said: list[tuple[bool, int]], most: int, size: int, piece: int
    ) -> None:
        hop = Conversation(size=size)
        expected = [b"", b""]
        for number, (inward, count) in enumerate(said):
            octets = bytes([number]) * count
            hop.say(octets, inward=inward)
            expected[inward] += octets
            hop.now += 0.9
            for side in (hop.caller, hop.callee):
                side.hop.tick(hop.now)
            if piece > 1 or count < 300:
                self.run_in_pieces(hop, most, piece)
        hop.run()
        self.assertEqual([bytes(hop.callee.octets.came), bytes(hop.caller.octets.came)], expected)
        for side in (hop.caller, hop.callee):
            self.assertIsNone(side.hop.ending)

    def run_in_pieces(self, hop: Conversation, most: int, piece: int) -> None:
        for side, other in ((hop.caller, hop.callee), (hop.callee, hop.caller)):
            side.flush(hop.now, most)
            octets = bytes(side.wire)
            side.wire.clear()
            for at in range(0, len(octets), piece):
                other.hear(octets[at : at + piece], hop.now)


class EndingTests(SynchronousTestCase):
    def test_both_directions_end_one_after_the_other(self) -> None:
        hop = Conversation().open()
        hop.say(b"the last word")
        hop.caller.flush(hop.now)
        hop.caller.hop.finish()
        self.assertFalse(hop.caller.hop.said_all)
        hop.run()
        self.assertTrue(hop.caller.hop.said_all)
        self.assertTrue(hop.callee.hop.ended_by_peer())
        self.assertTrue(hop.callee.hop.heard_all)
        # The other direction goes on.
        hop.say(b"the very last", inward=True)
        hop.run()
        self.assertEqual(hop.caller.octets.came, b"the very last")
        hop.callee.hop.finish()
        hop.run()
        self.assertTrue(hop.caller.hop.ended_by_peer())
        self.assertEqual(decode_proof(hop.callee.said[-36:])[:2], (13, 13))
        for side in (hop.caller, hop.callee):
            self.assertIsNone(side.hop.ending)
            side.hop.finished()
            self.assertEqual(str(side.hop.ending), "finished")

    def test_an_end_without_a_proof_is_none(self) -> None:
        hop = Conversation().open()
        hop.say(b"x")
        hop.run()
        self.assertFalse(hop.callee.hop.ended_by_peer())
        self.assertEqual(hop.callee.hop.ending.end if hop.callee.hop.ending else None, End.LOST)

    def test_an_end_within_a_frame_is_none(self) -> None:
        for octets in (b"\x02", b"\x02\0\0\x05abc", b"\x03\0\0\x20" + bytes(31)):
            hop = Conversation().open()
            hop.callee.hear(octets, hop.now)
            self.assertFalse(hop.callee.hop.ended_by_peer(), octets)

    def test_an_end_before_the_proof_is_none(self) -> None:
        hop = Conversation()
        hop.caller.flush(hop.now)
        hop.callee.hear(bytes(hop.caller.wire), hop.now)
        self.assertFalse(hop.callee.hop.ended_by_peer())

    def test_a_callee_refuses_in_place_of_a_frame(self) -> None:
        hop = Conversation().open()
        hop.say(b"as long as it lasts", inward=True)
        hop.callee.flush(hop.now)
        hop.callee.hop.refuse(300, "the registration has ended")
        hop.run()
        self.assertEqual(hop.caller.octets.came, b"as long as it lasts")
        self.assertEqual(str(hop.caller.hop.ending), "refused, code 300")
        self.assertEqual(str(hop.callee.hop.ending), "closed, code 300: the registration has ended")
        hop.callee.hop.refuse(302)
        self.assertFalse(hop.callee.hop.wants_to_say)

    def test_nothing_follows_half_a_frame(self) -> None:
        hop = Conversation().open()
        hop.say(b"x" * 100, inward=True)
        octets = memoryview(bytes(hop.callee.outbox))
        hop.callee.hop.gather(octets, hop.now)
        self.assertEqual(hop.callee.hop.sent(50, hop.now), 46)
        hop.callee.hop.refuse(300)
        self.assertEqual(hop.callee.hop.gather(octets[46:], hop.now), [])

    def test_a_caller_does_not_refuse(self) -> None:
        hop = Conversation().open()
        hop.caller.hop.refuse(300)
        self.assertFalse(hop.caller.hop.wants_to_say)
        self.assertEqual(str(hop.caller.hop.ending), "closed, code 300")

    def test_an_end_shows_no_secret(self) -> None:
        end = HopEnd.calling(TO_HOME, nonce(), NOW)
        self.assertEqual(repr(end), "<HopEnd caller ExpectAccept>")
