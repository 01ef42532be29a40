"""Who calls for a passage: strangers, copies, too many, and those who never prove anything."""

from __future__ import annotations

import os
import resource
import socket
from functools import partial
from typing import Any

from attrs import evolve
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from seckex.events.passages import PassageRefused
from seckex.net.descriptor import LINGER
from seckex.net.passages import port as ports
from seckex.net.passages.port import MOST_SILENT, OPEN_BURST, OPEN_RATE
from seckex.passage.faces import OPEN_WITHIN, Ending
from seckex.passage.faces import End as Ends
from seckex.passage.hop import HopEnd
from seckex.wire.numbers import Code
from seckex.wire.passage import ACCEPT_SIZE, NONCE_SIZE
from tests.net.loopback import reactor
from tests.net.passages.ends import AgentCase, End
from tests.passage.parts import AT_HOME, KEY2, TO_AGENT, TO_HOME


class Stranger(Protocol):
    """Says something to the port, and notes what it hears."""

    transport: Any

    def __init__(self, words: bytes = b"") -> None:
        self._words = words
        self.heard = b""
        self.lost = ""

    def connectionMade(self) -> None:
        self.transport.write(self._words)

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = type(reason.value).__name__


class StrangerTests(AgentCase):
    def opening(self, spi: int = 0x33333333) -> bytes:
        """Return an authentic OPEN."""
        end = HopEnd.calling(evolve(TO_AGENT, spi=spi), os.urandom(NONCE_SIZE), self.clock.now())
        return b"".join(end.gather(memoryview(b""), 0.0))

    async def stranger(self, words: bytes) -> Stranger:
        found = Stranger(words)
        await self.connect(found)
        return found

    async def lost(self, stranger: Stranger) -> None:
        await self.until(lambda: stranger.lost)

    async def test_other_protocols_hear_nothing(self) -> None:
        port = self.agent()
        for words in (b"P" * 64, b"PS\x09" + bytes(61), b"POST / HTTP/1.0\r\n" * 10):
            stranger = await self.stranger(words)
            await self.lost(stranger)
            self.assertEqual(stranger.heard, b"")
        self.assertEqual(port.counters["passages.refused"], 3)
        self.assertEqual(len(self.told(PassageRefused)), 3)

    async def test_who_is_not_known_is_told_so_even_if_it_has_said_more(self) -> None:
        self.agent()
        for admission, code in ((evolve(TO_AGENT, spi=77), 300), (evolve(TO_AGENT, keys=KEY2), 131)):
            node = await self.node(admission)
            node.say(b"x" * 60_000)
            await node.gone
            self.assertEqual(node.hop.ending, Ending(Ends.REFUSED, code, hint=True))

    async def test_who_does_not_go_after_a_refusal_is_dropped(self) -> None:
        port = self.agent()
        stranger = await self.stranger(self.opening(spi=77))
        await self.until(lambda: stranger.heard)
        # It does not end its own direction.
        stranger.transport.stopReading()
        self.later.clock.advance(LINGER)
        await self.until(lambda: not port._silent)

    async def test_reports_of_strangers_are_rationed(self) -> None:
        self.agent()
        self.may_report = False
        for _ in range(2):
            await (await self.node(evolve(TO_AGENT, spi=77))).gone
        self.assertEqual(self.told(PassageRefused), [])
        self.may_report = True
        await (await self.node(evolve(TO_AGENT, spi=77))).gone
        self.assertEqual(len(self.told(PassageRefused)), 1)
        self.assertTrue(self.told(PassageRefused)[0].endswith("(2 more not shown)"))

    async def test_a_copy_of_an_open(self) -> None:
        port = self.agent()
        opening = self.opening()
        first = await self.stranger(opening)
        await self.until(lambda: len(first.heard) == ACCEPT_SIZE)
        copy = await self.stranger(opening)
        await self.until(lambda: copy.lost)
        self.assertEqual(copy.heard[4:6], Code.IDENTIFICATION_MISMATCH.to_bytes(2, "big"))
        self.assertEqual(len(list(port)), 1)

    async def test_half_an_open_is_not_waited_for_any_longer_than_a_whole_one(self) -> None:
        port = self.agent()
        stranger = await self.stranger(self.opening()[:63])
        await self.until(lambda: len(port._silent) == 1)
        self.later.clock.advance(OPEN_WITHIN)
        await self.until(lambda: stranger.lost)
        self.assertEqual(len(port._silent), 0)
        gone = await self.stranger(self.opening()[:63])
        gone.transport.abortConnection()
        await self.until(lambda: gone.lost and not port._silent)

    async def test_of_those_who_say_nothing_the_oldest_gives_way(self) -> None:
        self.patch(ports, "MOST_SILENT", 3)
        port = self.agent()
        strangers = []
        for _ in range(5):
            strangers.append(await self.stranger(b"PS"))
            await self.until(lambda: len(port._silent) == min(len(strangers), 3))
        await self.until(lambda: strangers[0].lost and strangers[1].lost)
        self.assertEqual([stranger.lost for stranger in strangers[2:]], ["", "", ""])
        self.assertEqual(port.counters["passages.dropped"], 2)

    async def test_where_there_are_no_passages(self) -> None:
        self.agent(most=0)
        node = await self.node()
        await node.gone
        self.assertEqual(node.hop.ending, Ending(Ends.REFUSED, Code.PROHIBITED))

    async def test_an_agent_is_no_home_agent(self) -> None:
        self.admitted[AT_HOME.spi] = AT_HOME
        self.agent()
        node = await self.node(TO_HOME)
        await node.gone
        self.assertEqual(node.hop.ending, Ending(Ends.REFUSED, Code.PROHIBITED))


class LimitTests(AgentCase):
    async def unproved(self, port: Any, spi: int = 0x33333333) -> Stranger:
        """Have somebody open a hop and prove nothing."""
        before = len(port._unproved)
        end = HopEnd.calling(evolve(TO_AGENT, spi=spi), os.urandom(NONCE_SIZE), self.clock.now())
        stranger = Stranger(b"".join(end.gather(memoryview(b""), 0.0)))
        await self.connect(stranger)
        await self.until(lambda: stranger.heard or stranger.lost)
        self.assertLessEqual(len(port._unproved), before + 1)
        return stranger

    async def test_a_caller_that_never_proves_anything(self) -> None:
        port = self.agent()
        stranger = await self.unproved(port)
        await self.pass_time(9.5)
        self.assertEqual((stranger.lost, len(list(port))), ("", 1))
        await self.pass_time(1)
        await self.until(lambda: stranger.lost and not list(port))
        self.assertEqual(port.counters["passages.unproved"], 1)
        self.assertEqual((self.figures, port.counters["passages.opened"]), ([], 0))

    async def test_as_many_as_one_visitor_may_have(self) -> None:
        port = self.agent(of_one=2)
        first, _ = await self.carrying()
        idle = await self.unproved(port)
        second, _ = await self.carrying()
        # What proves nothing gives way to what does.
        await self.until(lambda: idle.lost)
        third = await self.node()
        await third.gone
        self.assertEqual(third.hop.ending, Ending(Ends.REFUSED, Code.INSUFFICIENT_RESOURCES))
        await self.until(lambda: port.counters["passages.standing"] == 2)
        self.assertEqual((first.lost, second.lost), ("", ""))
        # Another visitor has its own.
        other = await self.node(self.admit(8))
        await self.until(lambda: other.hop.is_open)

    async def test_one_visitor_that_opens_and_closes_all_the_time(self) -> None:
        port = self.agent()
        endings = []
        for _ in range(OPEN_BURST + 2):
            node = await self.node()
            await self.until(partial(self.decided, node))
            endings.append(node.hop.ending)
            node.transport.abortConnection()
            await self.until(lambda: not list(port))
        self.assertEqual(endings[:OPEN_BURST], [None] * OPEN_BURST)
        self.assertEqual(set(endings[OPEN_BURST:]), {Ending(Ends.REFUSED, Code.INSUFFICIENT_RESOURCES)})
        # Others are not held up, and this one no longer than it takes.
        other = await self.node(self.admit(8))
        await self.until(lambda: other.hop.is_open)
        await self.pass_time(1 / OPEN_RATE, other)
        node = await self.node()
        await self.until(lambda: node.hop.is_open)

    def decided(self, node: End) -> object:
        """Tell whether a node's hop is open, or over."""
        return node.hop.is_open or node.hop.ending

    async def test_as_many_as_there_may_be(self) -> None:
        port = self.agent(most=3)
        nodes = [await self.node(self.admit(spi)) for spi in (8, 9)]
        await self.until(lambda: all(node.hop.is_open for node in nodes))
        await self.until(lambda: not port._unproved)
        idle = await self.unproved(port)
        last = await self.node(self.admit(10))
        await self.until(lambda: last.hop.is_open and idle.lost)
        await self.until(lambda: not port._unproved)
        refused = await self.node(self.admit(11))
        await refused.gone
        self.assertEqual(refused.hop.ending, Ending(Ends.REFUSED, Code.INSUFFICIENT_RESOURCES))
        port.reconfigure(4, 4)
        node = await self.node(self.admit(11))
        await self.until(lambda: node.hop.is_open)

    async def test_two_thousand_idle_opens(self) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        port = self.agent(most=50, of_one=20)
        self.may_report, self.home.silent = False, True
        for number in range(2000):
            admission = self.admit(1000 + number % 10)
            end = HopEnd.calling(admission, os.urandom(NONCE_SIZE), self.clock.now())
            caller = socket.create_connection((self.where.host, self.where.port))
            self.addCleanup(caller.close)
            caller.sendall(b"".join(end.gather(memoryview(b""), 0.0)))
            if number % 50 == 49:
                await deferLater(reactor, 0.0)
        counters = ("passages.dropped", "passages.refused")
        await self.until(lambda: sum(port.counters[each] for each in counters) >= 2000 - MOST_SILENT - 50)
        self.assertLessEqual(len(list(port)), 50)
        self.assertLessEqual(len(port._silent), MOST_SILENT)
        # Who is in earnest gets through.
        self.home.silent = False
        node = await self.node(self.admit(7))
        node.say(b"hello")
        await self.until(lambda: any(end.sink.came == b"hello" for end in self.home.ends))
        await self.pass_time(11)
        await self.until(lambda: len(list(port)) == 1)
