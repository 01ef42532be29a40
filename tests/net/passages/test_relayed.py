"""Passages through an agent, over real sockets: what they carry, how they end, and what cannot be had."""

from __future__ import annotations

import hashlib
import os
from functools import partial
from typing import Any

from seckex.events.passages import PassageClosed, PassageFailed, PassageOpened
from seckex.net.descriptor import LINGER
from seckex.net.passages import buffers
from seckex.net.passages.port import PassagePort
from seckex.passage.faces import End as Ends
from seckex.passage.faces import Ending
from seckex.passage.hop import MOST_FRAMES
from seckex.wire.numbers import Code
from seckex.wire.passage import OPEN_SIZE, data_header
from tests.net.loopback import reactor
from tests.net.passages.ends import AgentCase, End
from tests.passage.parts import SPI3

MEBIOCTET = 1 << 20


def digest(octets: bytes | bytearray) -> str:
    return hashlib.sha256(octets).hexdigest()


class CarryingTests(AgentCase):
    async def test_mebioctets_both_ways_at_once(self) -> None:
        port = self.agent()
        node, home = await self.carrying()
        up, down = os.urandom(5 * MEBIOCTET + 7), os.urandom(4 * MEBIOCTET + 1)
        node.say(up)
        home.say(down)
        await self.until(lambda: len(home.sink.came) == len(up) and len(node.sink.came) == len(down))
        self.assertEqual((digest(home.sink.came), digest(node.sink.came)), (digest(up), digest(down)))
        await self.pass_time(1.5, node, home)
        await self.until(lambda: home.hop.arriving.proved == len(up) and node.hop.arriving.proved == len(down))
        self.assertEqual(port.counters["passages.standing"], 1)
        self.assertEqual(
            self.told(PassageOpened), ["passage of visitor 70736575646f6e796d of home.example from 127.0.0.1"]
        )

    async def test_nothing_but_small_frames_takes_a_turn_for_each_portion(self) -> None:
        port = self.agent()
        node, home = await self.carrying()
        looks = self.frames_in_a_turn(port)
        octets = os.urandom(3000)
        for octet in octets:
            node.say(bytes((octet,)))
        node.say(b"")
        await self.until(lambda: home.sink.came == octets)
        self.assertLessEqual(max(looks), MOST_FRAMES * 5)
        home.say(b"and back")
        await self.until(lambda: node.sink.came == b"and back")
        await self.pass_time(1.5, node, home)
        await self.until(lambda: home.hop.arriving.proved == len(octets))

    def frames_in_a_turn(self, port: PassagePort) -> list[int]:
        """Note how many octets the agent takes at once from now on."""
        taken: list[int] = []
        (passage,) = port
        across: Any = passage._front.across  # type: ignore[attr-defined]  # what is looked at is how it takes
        take = across.take

        class Noting:
            payload, proof = across.payload, across.proof

            def take(self, view: memoryview, now: float) -> int:
                taken.append(take(view, now))
                return taken[-1]

        passage._front.across = Noting()  # type: ignore[attr-defined]  # as above
        return taken

    async def test_what_comes_at_once_arrives(self) -> None:
        self.agent()
        node = await self.node()
        node.say(b"early " * 10_000)
        await self.until(lambda: len(self.home.ends) == 1 and len(self.home.ends[0].sink.came) == 60_000)
        self.assertEqual(self.home.ends[0].sink.came, b"early " * 10_000)

    async def test_both_ends_end_in_order(self) -> None:
        self.agent()
        node, home = await self.carrying()
        node.say(b"the last word")
        node.end()
        await self.until(lambda: home.ended)
        self.assertEqual(home.sink.came, b"the last word")
        home.say(b"the very last")
        await self.until(lambda: node.sink.came == b"the very last")
        home.end()
        self.assertEqual(await node.gone, "ConnectionDone")
        self.assertEqual(await home.gone, "ConnectionDone")
        await self.until(lambda: self.told(PassageClosed))
        self.assertTrue(self.told(PassageClosed)[0].endswith("finished; 13 octets to the home agent, 13 from it"))
        self.assertEqual(self.figures[-1].why, "finished")
        self.assertEqual((self.figures[-1].outward.proved, self.figures[-1].inward.proved), (13, 13))

    async def test_a_slow_reader_slows_the_sender_down_and_nobody_else(self) -> None:
        self.agent()
        node, home = await self.carrying()
        other, other_home = await self.carrying()
        home.transport.pauseProducing()
        octets = os.urandom(24 * MEBIOCTET)
        node.say(octets)
        other.say(octets)
        await self.until(lambda: len(other_home.sink.came) == len(octets))
        # Nobody holds it against the sender that its octets lie there.
        await self.pass_time(20, other, other_home)
        self.assertEqual((node.lost, home.lost, home.sink.came), ("", "", b""))
        self.assertIsNone(node.hop.ending)
        home.transport.resumeProducing()
        await self.until(lambda: len(home.sink.came) == len(octets))
        self.assertEqual(digest(home.sink.came), digest(octets))

    async def test_many_slow_readers_cost_little(self) -> None:
        self.patch(buffers, "MOST", 1)
        self.agent()
        pairs = [await self.carrying() for _ in range(3)]
        octets = os.urandom(12 * MEBIOCTET)
        for node, home in pairs:
            home.transport.pauseProducing()
            node.say(octets)
        await self.pass_time(2)
        for _, home in pairs:
            home.transport.resumeProducing()
        for _, home in pairs:
            await self.until(partial(lambda sink: len(sink.came) == len(octets), home.sink))
            self.assertEqual(digest(home.sink.came), digest(octets))

    async def test_what_it_amounts_to_is_told_as_it_begins_as_it_goes_on_and_as_it_ends(self) -> None:
        self.agent()
        node, home = await self.carrying()
        await self.until(lambda: self.figures)
        self.assertEqual((self.figures[0].ident, self.figures[0].outward.carried), (home.hop.ident, 0))
        node.say(b"x" * 100)
        await self.until(lambda: home.sink.came)
        await self.pass_time(29, node, home)
        self.assertEqual(len(self.figures), 1)
        await self.pass_time(2, node, home)
        self.assertEqual(self.figures[1].outward.proved, 100)
        # Nothing has changed.
        await self.pass_time(31, node, home)
        self.assertEqual(len(self.figures), 2)
        node.transport.abortConnection()
        await home.gone
        await self.until(lambda: len(self.figures) == 3)
        self.assertIn("the node's hop: lost", self.figures[2].why)
        self.assertIsNotNone(self.figures[2].ended)
        ours, theirs = self.figures[2], home.hop.figures(self.figures[2].who, 0, 0)
        self.assertEqual((ours.ident, ours.outward), (theirs.ident, theirs.outward))


class EndingTests(AgentCase):
    async def test_the_end_of_one_hop_ends_the_other(self) -> None:
        self.agent()
        node, home = await self.carrying()
        home.transport.abortConnection()
        await node.gone
        self.assertEqual(node.hop.ending, Ending(Ends.REFUSED, Code.CONNECT_FAILED))
        node, home = await self.carrying()
        node.transport.abortConnection()
        await home.gone

    async def test_within_a_frame_there_is_no_room_for_a_reason(self) -> None:
        self.agent()
        node, home = await self.carrying()
        home.transport.write(data_header(100) + b"half")
        await self.until(lambda: node.sink.came)
        home.transport.abortConnection()
        await node.gone
        self.assertEqual(node.hop.ending, None)

    async def test_an_end_without_a_proof_is_not_passed_on_as_one(self) -> None:
        self.agent()
        node, home = await self.carrying()
        node.say(b"unproved")
        node.transport.loseWriteConnection()
        await home.gone
        self.assertFalse(home.ended)

    async def test_a_direction_that_does_not_end(self) -> None:
        self.agent()
        node, home = await self.carrying()
        node.end()
        await self.until(lambda: home.ended)
        await self.pass_time(61)
        await node.gone
        await self.until(lambda: self.figures[-1].ended)
        self.assertIn("the other direction did not end", self.figures[-1].why)

    async def test_what_admitted_it_has_ended(self) -> None:
        port = self.agent()
        node, home = await self.carrying()
        port.close_all(SPI3 + 1, 300, "somebody else's")
        port.close_all(SPI3, 300, "the visitor has left")
        await node.gone
        await home.gone
        self.assertEqual(node.hop.ending, Ending(Ends.REFUSED, 300))
        await self.until(lambda: self.told(PassageClosed))
        self.assertIn("closed, code 300: the visitor has left", self.told(PassageClosed)[0])
        await self.until(lambda: not list(port))

    async def test_a_refuse_does_not_wait_for_ever_to_be_heard(self) -> None:
        port = self.agent()
        node, home = await self.carrying()
        node.transport.pauseProducing()
        port.close_all(SPI3, 300, "the visitor has left")
        await home.gone
        self.later.clock.advance(LINGER)
        await self.until(lambda: not list(port))

    async def test_a_daemon_that_stops_says_so(self) -> None:
        port = self.agent()
        node, home = await self.carrying()
        await port.close()
        await node.gone
        self.assertEqual(node.hop.ending, Ending(Ends.REFUSED, Code.SHUTTING_DOWN))
        self.assertTrue(home.lost)
        self.assertEqual(port.counters["passages.standing"], 0)
        stranger = await self.node()
        await stranger.gone

    async def test_octets_that_somebody_alters_on_the_way_end_both_hops(self) -> None:
        self.agent()
        node, home = await self.carrying()
        node.say(b"x" * 100)
        await self.until(lambda: len(home.sink.came) == 100)
        node.hop.leaving.cover(b"what has never come", 0.0)
        node.hop.leaving.carried = 100
        await self.pass_time(1.5, node)
        await home.gone
        self.assertIn("forged", self.figures[-1].why)
        self.assertEqual((self.figures[-1].outward.carried, self.figures[-1].outward.proved), (100, 0))


class UnreachableTests(AgentCase):
    async def turned_away(self, node: End, code: int) -> None:
        await node.gone
        self.assertEqual(node.hop.ending, Ending(Ends.REFUSED, code))

    async def test_a_home_agent_that_is_not_there(self) -> None:
        free = reactor.listenTCP(0, self.home, interface="127.0.0.1")
        admission = self.admit(9, free.getHost().port)
        await free.stopListening()
        port = self.agent()
        await self.turned_away(await self.node(admission), Code.CONNECT_FAILED)
        self.assertEqual(len(self.told(PassageFailed)), 1)
        self.assertIn("Connection was refused", self.told(PassageFailed)[0])
        self.assertEqual(port.counters["passages.failed"], 1)
        self.assertEqual((self.figures, self.told(PassageClosed)), ([], []))

    async def test_one_that_says_nothing(self) -> None:
        self.home.silent = True
        self.agent()
        node = await self.node()
        await self.until(lambda: node.hop.is_open)
        await self.pass_time(10.5, node)
        await self.turned_away(node, Code.AGENT_TIMEOUT)

    async def test_one_that_refuses(self) -> None:
        self.agent()
        for verdict in (Code.INSUFFICIENT_RESOURCES, Code.PROHIBITED):
            self.home.verdict = verdict
            await self.turned_away(await self.node(), verdict)
        # It does not know the registration any more: nor should the node rely on it.
        self.home.known.clear()
        await self.turned_away(await self.node(), Code.UNKNOWN_ASSOCIATION)

    async def test_reports_of_it_are_rationed(self) -> None:
        self.agent()
        self.home.known.clear()
        self.may_report = False
        for _ in range(3):
            await (await self.node()).gone
        self.assertEqual(self.told(PassageFailed), [])
        self.may_report = True
        await (await self.node()).gone
        self.assertTrue(self.told(PassageFailed)[0].endswith("refused, code 300 (3 more not shown)"))

    async def test_nothing_passes_before_the_home_agent_has_accepted(self) -> None:
        self.home.silent = True
        self.agent()
        node = await self.node()
        node.say(b"word" * 50_000)
        await self.until(lambda: node.hop.is_open and self.home.heard)
        await self.pass_time(2)
        self.assertEqual(len(self.home.heard), OPEN_SIZE)
