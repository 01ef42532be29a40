"""Links in passages over real sockets: a node's end, an agent between, a home agent's end, and why there is none."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

from attrs import evolve
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.internet.task import deferLater

from seckex.dialog.faces import Cause
from seckex.events import Event
from seckex.events.mobile_node import TrafficEnded, TrafficFailed, TrafficPasses, TrafficRefused
from seckex.events.passages import PassageClosed, PassageOpened, PassageRefused
from seckex.net.log import EventLog
from seckex.net.messages import Messages
from seckex.net.passages.calling import Calls
from seckex.net.passages.ends import ends
from seckex.net.passages.port import PassagePort
from seckex.net.passages.relayed import relaying
from seckex.net.passages.showing import shown_passages
from seckex.net.passages.terms import PassageTerms
from seckex.net.peer import PeerLinks
from seckex.net.port import SharedPort
from seckex.net.principal import Clock
from seckex.net.stream import LinkPort
from seckex.passage.faces import Admitted, Figures
from seckex.wire.numbers import Code
from tests.dialog.parts import SPI, Program, association
from tests.net.loopback import LoopbackCase, reactor
from tests.passage.parts import AGENT, AT_AGENT, AT_HOME, SPI2, SPI3, TO_AGENT, TO_HOME, WALL

MEBIOCTET = 1 << 20
HERE = 77


class PassageCase(LoopbackCase):
    """A node with links, an agent and a home agent, whose time is the test's."""

    def setUp(self) -> None:
        super().setUp()
        seconds = self.later.clock.seconds
        self.looks = 0

        def wall() -> float:
            # Time goes on a little with each look, as it does.
            self.looks += 1
            return float(WALL + seconds() + self.looks / 1_000_000)

        self.clock = Clock(seconds, wall)
        self.events: list[Event] = []
        self.figures: dict[str, list[Figures]] = {"agent": [], "home": []}
        self.at_home: dict[int, Admitted] = {SPI2: evolve(AT_HOME, link=SPI)}
        self.at_agent: dict[int, Admitted] = {}
        self.refusals: list[tuple[int, int]] = []
        log = EventLog("error", wall)
        log.subscribe(lambda _at, event: self.events.append(event))
        self.calls = Calls(self.later, self.clock, os.urandom, log, lambda *said: self.refusals.append(said))
        self.home = LinkPort(self.terms(), self.responder, self.known.get, 64, 16)
        self.home_port = PassagePort(self.of("home"), self.at_home.get, end=ends(self.home, self.known.get))
        self.home_at = self.hear(self.home, self.home_port)
        agent_links = LinkPort(self.terms(), self.responder, lambda _: None, 64, 16)
        self.agent_port = PassagePort(self.of("agent"), self.at_agent.get, relay=relaying())
        self.agent_at = self.hear(agent_links, self.agent_port)
        onward = evolve(TO_HOME, host="127.0.0.1", port=self.home_at)
        self.at_agent[SPI3] = evolve(AT_AGENT, onward=onward)

    def of(self, who: str) -> PassageTerms:
        return PassageTerms(
            self.later, self.clock, os.urandom, self.events.append, lambda _: True, self.figures[who].append
        )

    def hear(self, links: LinkPort, passages: PassagePort) -> int:
        """Listen as daemons do; return the port."""
        later: Any = self.later
        messages = Messages(later, lambda *_: None, lambda *_: None, lambda host: host)
        shared = SharedPort(later, links, messages)
        shared.passages = passages
        listening = reactor.listenTCP(0, shared, interface="127.0.0.1")
        self.addCleanup(listening.stopListening)
        self.addCleanup(shared.close)
        self.addCleanup(links.close)
        self.addCleanup(self.over, passages)
        port: int = listening.getHost().port
        return port

    async def over(self, passages: PassagePort) -> None:
        await passages.close()

    def node(self, **changes: Any) -> PeerLinks:
        """Return a node's links, through the agent unless changed."""
        admission = evolve(TO_AGENT, host="127.0.0.1", port=self.agent_at)
        route = self.calls.route(evolve(admission, **changes), HERE, "home@example.org")
        links = PeerLinks(self.terms(), route.endpoint, self.initiator)
        links.use(association(), route)
        links.startService()
        self.addCleanup(links.stopService)
        return links

    def told(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if type(event) is kind]

    async def passing(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds that takes time."""
        while not holds():
            await self.pass_time(0.25)
            await deferLater(reactor, 0.001)

    def carries(self) -> bool:
        return bool(list(self.home_port.carrying())) and bool(list(self.agent_port.carrying()))


def _over(*programs: Program) -> bool:
    return all(program.ending is not None for program in programs)


class CarryingTests(PassageCase):
    async def test_a_link_runs_through_the_agent_octet_for_octet(self) -> None:
        links = self.node()
        link = await links.when_open(20)
        for _ in range(2):
            dialog, program, far, far_program = await self.dialog(link)
            up, down = os.urandom(3 * MEBIOCTET + 7), os.urandom(2 * MEBIOCTET + 1)
            for at in range(0, len(up), 100_000):
                dialog.write(up[at : at + 100_000])
            far.write(down)
            dialog.end()
            far.end()
            await self.until(partial(_over, program, far_program))
            self.assertEqual((far_program.got, program.got), (up, down))
        self.assertEqual((len(self.told(TrafficPasses)), len(self.told(PassageOpened))), (1, 2))

    async def test_what_is_shown_and_that_it_is_proved_within_a_second(self) -> None:
        link = await self.node().when_open(20)
        dialog, _, _, far = await self.dialog(link)
        dialog.write(b"x" * 1000)
        await self.until(lambda: len(far.got) == 1000)
        await self.until(self.carries)

        def proved() -> bool:
            shown = [*shown_passages(self.agent_port), *shown_passages(self.home_port)]
            return len(shown) == 2 and all(each["outward_proved"] >= 1000 for each in shown)

        began = self.later.seconds()
        await self.passing(proved)
        # That long a connection may do without a proof, and a moment for it to come.
        self.assertLessEqual(self.later.seconds() - began, 2.0)
        (at_agent,), (at_home,) = shown_passages(self.agent_port), shown_passages(self.home_port)
        self.assertEqual(at_agent["passage"], at_home["passage"])
        (here,) = self.calls.status()["open"]
        self.assertGreater(here["outward"], 1000)
        self.assertEqual((here["spi_in"], here["agent"]), (HERE, AGENT))
        self.assertIsNone(self.calls.status()["failure"])

    async def test_an_orderly_end_is_one_for_everybody(self) -> None:
        links = self.node()
        link = await links.when_open(20)
        dialog, _, _, far = await self.dialog(link)
        dialog.write(b"the last words")
        await self.until(lambda: far.got == b"the last words")
        await self.until(self.carries)
        await links.stopService()
        await self.until(lambda: len(self.told(PassageClosed)) == 2 and bool(self.told(TrafficEnded)))
        at_agent, at_home = self.figures["agent"][-1], self.figures["home"][-1]
        self.assertEqual((at_agent.why, at_home.why), ("finished", "finished"))
        self.assertEqual(at_agent.ident, at_home.ident)
        # What one has proved the other has had, to the last octet.
        for figures in (at_agent, at_home):
            for way in (figures.outward, figures.inward):
                self.assertEqual(way.carried, way.proved)
        self.assertEqual(at_agent.outward.carried, at_home.outward.carried)
        self.assertEqual(at_agent.inward.carried, at_home.inward.carried)
        self.assertEqual((self.refusals, self.calls.counters["passages.standing"]), ([], 0))

    async def test_a_program_that_does_not_read_holds_up_its_peer_and_nobody_loses_anything(self) -> None:
        link = await self.node().when_open(20)
        _, program, far, _ = await self.dialog(link)
        octets = os.urandom(6 * MEBIOCTET)
        view = memoryview(octets)
        for at in range(0, len(view), MEBIOCTET):
            far.write(bytes(view[at : at + MEBIOCTET]))
        await self.until(lambda: len(program.got) == len(octets))
        self.assertEqual(program.got, octets)

    async def test_a_passage_that_breaks_is_replaced_by_another(self) -> None:
        links = self.node()
        await links.when_open(20)
        await self.until(self.carries)
        self.home_port.close_all(SPI2, Code.UNKNOWN_ASSOCIATION, "for the test")
        await self.until(lambda: bool(self.initiator.closed))
        await self.passing(lambda: len(self.initiator.opened) == 2)
        self.assertEqual(len(self.told(TrafficPasses)), 2)


class RefusedTests(PassageCase):
    async def test_a_visitor_that_the_agent_does_not_know(self) -> None:
        del self.at_agent[SPI3]
        self.node()
        await self.until(lambda: bool(self.told(TrafficRefused)))
        (refused,) = self.told(TrafficRefused)
        self.assertEqual((refused.code, refused.hint, refused.then), (300, True, "registering anew"))
        self.assertEqual(self.refusals, [(HERE, refused.code)])
        failure = self.calls.status()["failure"]
        self.assertEqual((failure["code"], failure["agent"]), (300, AGENT))
        # Nothing of it got anywhere.
        self.assertEqual((self.figures["agent"], self.figures["home"], self.responder.opened), ([], [], []))

    async def test_a_visitor_that_has_ended_while_it_was_carried(self) -> None:
        await self.node().when_open(20)
        await self.until(self.carries)
        admitted = self.at_agent.pop(SPI3)
        self.agent_port.close_all(admitted.spi, Code.UNKNOWN_ASSOCIATION, "the registration has expired")
        await self.until(lambda: bool(self.told(TrafficRefused)))
        (refused,) = self.told(TrafficRefused)
        # This one is authentic: the agent had accepted.
        self.assertEqual((refused.code, refused.hint), (300, False))
        self.assertEqual(self.refusals, [(HERE, refused.code)])
        self.assertEqual(self.initiator.closed[0][1].cause, Cause.LOST)

    async def test_a_home_agent_that_does_not_know_the_binding(self) -> None:
        del self.at_home[SPI2]
        self.node()
        await self.until(lambda: bool(self.told(TrafficRefused)))
        (refused,) = self.told(TrafficRefused)
        self.assertEqual((refused.code, refused.hint), (300, False))
        self.assertEqual(self.told(PassageRefused)[0].code, 300)

    async def test_another_key_1_than_that_of_the_registration(self) -> None:
        self.at_home[SPI2] = evolve(self.at_home[SPI2], link=SPI + 1)
        self.node()
        await self.until(lambda: bool(self.initiator.closed))
        self.assertEqual(self.initiator.closed[0][1].cause, Cause.UNKNOWN_ASSOCIATION)
        self.assertEqual(self.responder.opened, [])

    async def test_more_passages_than_there_may_be(self) -> None:
        self.agent_port.reconfigure(1, 4)
        await self.node().when_open(20)
        self.node()
        await self.until(lambda: bool(self.told(TrafficRefused)))
        (refused,) = self.told(TrafficRefused)
        self.assertEqual(
            (refused.code, refused.hint, refused.then),
            (130, False, "trying again, by another agent where one is heard"),
        )
        self.assertEqual(self.refusals, [(HERE, 130)])

    async def test_an_agent_that_carries_nothing_any_more(self) -> None:
        self.agent_port.reconfigure(0, 4)
        self.node()
        await self.until(lambda: bool(self.told(TrafficRefused)))
        self.assertEqual(self.told(TrafficRefused)[0].code, 129)
        self.assertEqual(self.refusals, [(HERE, 129)])


class UnreachableTests(PassageCase):
    async def test_an_agent_that_is_not_there(self) -> None:
        listening = reactor.listenTCP(0, ServerFactory(), interface="127.0.0.1")
        port = listening.getHost().port
        await listening.stopListening()
        self.node(port=port)
        await self.passing(lambda: bool(self.told(TrafficFailed)))
        (failed,) = self.told(TrafficFailed)
        self.assertIn("it cannot be reached: Connection was refused", failed.why)
        self.assertEqual(self.refusals, [(HERE, 0)])
        self.assertIn("it cannot be reached", self.calls.status()["failure"]["why"])

    async def test_a_home_agent_that_is_not_there(self) -> None:
        listening = reactor.listenTCP(0, ServerFactory(), interface="127.0.0.1")
        port = listening.getHost().port
        await listening.stopListening()
        known = self.at_agent[SPI3]
        assert known.onward is not None
        self.at_agent[SPI3] = evolve(known, onward=evolve(known.onward, port=port))
        self.node()
        await self.until(lambda: bool(self.told(TrafficRefused)))
        (refused,) = self.told(TrafficRefused)
        self.assertEqual(
            (refused.code, refused.hint, refused.then),
            (302, False, "trying again, by another agent where one is heard"),
        )
        self.assertEqual(self.refusals, [(HERE, 302)])

    async def test_an_agent_that_says_nothing(self) -> None:
        mute = ServerFactory.forProtocol(Protocol)
        mute.noisy = False
        listening = reactor.listenTCP(0, mute, interface="127.0.0.1")
        self.addCleanup(listening.stopListening)
        self.node(port=listening.getHost().port)
        await self.passing(lambda: bool(self.told(TrafficFailed)))
        self.assertIn("ACCEPT did not come in 10 s", self.told(TrafficFailed)[0].why)
        self.assertEqual(self.refusals, [])
