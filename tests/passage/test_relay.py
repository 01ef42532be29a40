"""An agent's two hops joined, without sockets: in place, proved anew, whatever pieces it comes in."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.passage.faces import End, Way
from seckex.passage.hop import MOST_FRAMES, HopEnd
from seckex.passage.pieces import NOTHING
from seckex.passage.relay import Across
from tests.passage.parts import AT_AGENT, AT_HOME, NOW, TO_AGENT, TO_HOME, WALL, WHO, Octets, Side, awaiting, nonce


class Joined:
    """A node, its agent and its home agent; each direction of the agent's with what is not used up."""

    def __init__(self, early: bytes = b"") -> None:
        self.now = NOW.monotonic
        sinks = Octets(), Octets()
        self.node = Side(HopEnd.calling(TO_AGENT, nonce(1), NOW, sinks[0]), sinks[0])
        self.home = Side(HopEnd.called(awaiting(AT_HOME, number=2), NOW, sinks[1]), sinks[1])
        self.front = HopEnd.called(awaiting(AT_AGENT, number=3), NOW)
        self.back = HopEnd.calling(TO_HOME, nonce(4), NOW)
        self.node.outbox += early
        for side, hop in ((self.node, self.front), (self.home, self.back)):
            self._open(side, hop)
        self.outward, self.inward = Across(self.front, self.back), Across(self.back, self.front)
        self.rest = {Way.OUTWARD: bytearray(), Way.INWARD: bytearray()}
        self.home.hear(self.outward.begin(self.now), self.now)

    def _open(self, side: Side, hop: HopEnd) -> None:
        for _ in range(4):
            said = b"".join(hop.gather(memoryview(b""), self.now))
            hop.sent(len(said), self.now)
            side.hear(said, self.now)
            side.flush(self.now)
            octets = memoryview(bytearray(side.wire))
            side.wire.clear()
            while octets and (used := hop.take(octets, self.now, NOTHING)):
                octets = octets[used:]
        if not hop.is_open or not side.hop.is_open:
            raise AssertionError(f"{hop} is not open")

    def pass_on(self, piece: int = 1 << 20) -> None:
        """Let everything through that has been said, in pieces."""
        for way, across, side, other in (
            (Way.OUTWARD, self.outward, self.node, self.home),
            (Way.INWARD, self.inward, self.home, self.node),
        ):
            side.flush(self.now)
            octets, rest = bytes(side.wire), self.rest[way]
            side.wire.clear()
            for at in range(0, len(octets), piece):
                rest += octets[at : at + piece]
                with memoryview(bytearray(rest)) as view:
                    used = across.take(view, self.now)
                    other.hear(bytes(view[:used]), self.now)
                del rest[:used]

    def prove(self) -> None:
        """Let a second pass, at the end of which there are PROOFs."""
        self.now += 1
        for side in (self.node, self.home):
            side.hop.tick(self.now)
        self.pass_on()


class RelayTests(SynchronousTestCase):
    def test_what_came_before_the_first_proof_is_passed_on_and_proved(self) -> None:
        joined = Joined(b"early")
        self.assertEqual(joined.home.octets.came, b"early")
        self.assertEqual(joined.home.hop.arriving.proved, 5)
        self.assertEqual(joined.front.held, b"")

    @settings(max_examples=30, deadline=None)
    @given(
        st.lists(st.tuples(st.booleans(), st.integers(1, 5000)), max_size=6),
        st.sampled_from((1, 3, 35, 1000, 1 << 20)),
    )
    def test_octets_and_proofs_go_across_in_whatever_pieces(self, said: list[tuple[bool, int]], piece: int) -> None:
        joined = Joined()
        expected = {False: b"", True: b""}
        for number, (inward, count) in enumerate(said):
            octets = bytes([number]) * (count if piece > 10 else count % 90)
            (joined.home if inward else joined.node).outbox += octets
            expected[inward] += octets
            joined.now += 0.4
            for side in (joined.node, joined.home):
                side.hop.tick(joined.now)
            joined.pass_on(piece)
        joined.prove()
        joined.prove()
        self.assertEqual(joined.home.octets.came, expected[False])
        self.assertEqual(joined.node.octets.came, expected[True])
        for hop in (joined.node.hop, joined.front, joined.back, joined.home.hop):
            self.assertIsNone(hop.ending)
        figures = joined.back.figures(WHO, WALL, WALL)
        self.assertEqual(figures, joined.home.hop.figures(WHO, WALL, WALL))
        self.assertEqual(figures.outward.proved, len(expected[False]))
        self.assertEqual(figures.inward.proved, len(expected[True]))

    def test_what_is_not_proved_by_the_node_is_not_proved_by_the_agent(self) -> None:
        joined = Joined()
        joined.node.outbox += b"unproved"
        joined.pass_on()
        self.assertEqual(joined.home.octets.came, b"unproved")
        outward = joined.back.figures(WHO, WALL, WALL).outward
        self.assertEqual((outward.carried, outward.proved), (8, 0))
        # Somebody has taken the connection over, and has no key.
        joined.node.wire += b"\x02\0\0\x04evil\x03\0\0\x20" + bytes(32)
        joined.pass_on()
        ending = joined.front.ending
        self.assertEqual(ending and ending.end, End.VIOLATED)
        self.assertEqual(joined.home.octets.came, b"unprovedevil")
        self.assertEqual(joined.home.hop.arriving.proved, 0)

    def test_many_frames_at_once_are_taken_in_portions(self) -> None:
        joined = Joined()
        with memoryview(bytearray(b"\x02\0\0\x01x" * (2 * MOST_FRAMES + 5))) as view:
            used = 0
            for expected, crowded in ((MOST_FRAMES, True), (2 * MOST_FRAMES, True), (2 * MOST_FRAMES + 5, False)):
                used += joined.outward.take(view[used:], joined.now)
                self.assertEqual((used, joined.front.crowded), (5 * expected, crowded))
        self.assertIsNone(joined.front.ending)

    def test_the_end_of_the_source_leaves_what_came_before_it(self) -> None:
        joined = Joined()
        joined.home.outbox += b"last words"
        joined.home.flush(joined.now)
        joined.home.hop.refuse(300)
        joined.pass_on()
        self.assertEqual(joined.node.octets.came, b"last words")
        ending = joined.back.ending
        self.assertEqual(ending and (ending.end, ending.code), (End.REFUSED, 300))
        self.assertTrue(joined.back.between_frames)
