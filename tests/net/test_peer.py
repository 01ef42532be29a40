"""Links of the side that has an address: built, built again, replaced, waited for and given up."""

from __future__ import annotations

import os
from typing import Any

from attrs import evolve
from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IProtocol, IProtocolFactory

from seckex.dialog.faces import Cause, Closure, LinkAssociation
from seckex.dialog.link import Link
from seckex.dialog.table import DialogTables
from seckex.errors import PeerIncompatible
from seckex.net.peer import LOOK_AGAIN, MOST_LINKS, MOST_WAITERS, PeerLinks
from seckex.net.stream import LinkPort, LinkTerms
from seckex.wire.numbers import Code
from tests.dialog.parts import SPI, association
from tests.net.loopback import LoopbackCase, reactor


class Counting:
    """An endpoint that counts attempts, and can be told to lead nowhere."""

    def __init__(self, case: PeerCase) -> None:
        self._case = case
        self.attempts = 0
        self.port: int | None = None

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        self.attempts += 1
        port = self._case.where.port if self.port is None else self.port
        connecting: Deferred[IProtocol] = HostnameEndpoint(reactor, "127.0.0.1", port).connect(factory)
        return connecting


class PeerCase(LoopbackCase):
    def setUp(self) -> None:
        super().setUp()
        self.dialogs_i, self.dialogs_r = DialogTables(64, 600), DialogTables(64, 600)
        self.port = LinkPort(self.of(self.dialogs_r), self.responder, self.known.get, 64, 16)
        listening = reactor.listenTCP(0, self.port, interface="127.0.0.1")
        self.where = listening.getHost()
        self.addCleanup(listening.stopListening)
        self.addCleanup(self.port.close)
        self.listening = listening
        self.endpoint = Counting(self)
        endpoint: Any = self.endpoint
        self.peer = PeerLinks(self.of(self.dialogs_i), endpoint, self.initiator)
        self.peer.startService()
        self.addCleanup(self.peer.stopService)

    def of(self, dialogs: DialogTables) -> LinkTerms:
        return evolve(self.terms(), dialogs=dialogs)

    def another(self, number: int) -> LinkAssociation:
        """Return one more association, known at both ends."""
        made = evolve(association(secret=bytes([number]) * 8, spi=SPI + number), here=number)
        self.known[made.spi] = made
        return made

    async def open(self) -> Link:
        self.peer.use(evolve(association(), here=1))
        link: Link = await self.peer.when_open(20)
        await self.until(lambda: bool(self.port.links))
        return link

    async def cut(self) -> None:
        """Reset the connection from the responder's side."""
        before = len(self.initiator.closed)
        connection = next(iter(self.port._proved.values()))
        connection.transport.abortConnection()
        await self.until(lambda: len(self.initiator.closed) > before)


class BuildingTests(PeerCase):
    async def test_a_lost_link_is_built_again_at_once_and_carries_on(self) -> None:
        link = await self.open()
        _, program, far, _ = await self.dialog(link)
        await self.pass_time(2)
        far.write(b"x" * 200_000)
        await self.cut()
        await self.pass_time(0.01)
        again = await self.peer.when_open(20)
        self.assertIsNot(again, link)
        await self.until(lambda: len(program.got) == 200_000)
        self.assertEqual((program.said, self.endpoint.attempts), (["opened"], 2))

    async def test_one_that_is_lost_again_and_again_is_not_built_at_once(self) -> None:
        await self.open()
        await self.cut()
        self.assertEqual(self.endpoint.attempts, 1)
        await self.pass_time(1.3)
        await self.until(lambda: len(self.initiator.opened) == 2)

    async def test_delays_grow(self) -> None:
        self.endpoint.port = 1
        self.peer.use(association())
        due = []
        for count in range(1, 9):
            await self.until(lambda: self.endpoint.attempts == count and bool(self.later.clock.calls))  # noqa: B023  # awaited before it changes
            (call,) = self.later.clock.calls
            due.append(call.getTime() - self.later.seconds())
            await self.pass_time(due[-1])
        for delay, least in zip(due, (0.5, 1, 2, 4, 8, 16, 30, 30), strict=True):
            self.assertTrue(least <= delay <= 1.25 * least, due)

    async def test_whoever_waits_does_not_wait_for_a_long_delay(self) -> None:
        self.endpoint.port = 1
        self.peer.use(association())
        for count in range(1, 7):
            await self.until(lambda: self.endpoint.attempts == count and bool(self.later.clock.calls))  # noqa: B023  # as above
            await self.pass_time(40)
        await self.until(lambda: self.endpoint.attempts == 7 and bool(self.later.clock.calls))
        await self.pass_time(2)
        self.endpoint.port = None
        waiting = self.peer.when_open(20)
        await self.pass_time(0)
        await waiting
        self.assertEqual(self.endpoint.attempts, 8)

    async def test_nobody_listens_any_more(self) -> None:
        link = await self.open()
        _, program, *_ = await self.dialog(link)
        self.endpoint.port = 1
        await self.cut()
        for count in range(2, 14):
            self.assertEqual(program.said, ["opened"])
            await self.pass_time(1.3)
            await self.until(lambda: self.endpoint.attempts == count and bool(self.later.clock.calls))  # noqa: B023  # as above
            if program.ending is not None:
                break
        self.assertIn("over: lost: nobody has listened at the peer's port for 10 s", program.said[-1])

    async def test_stopped_while_it_connects(self) -> None:
        self.peer.use(association())
        await self.peer.stopService()
        self.assertEqual(self.later.clock.calls, [])


class ReplacingTests(PeerCase):
    async def test_a_new_association_takes_over(self) -> None:
        link = await self.open()
        _, program, far, _ = await self.dialog(link)
        octets = os.urandom(3 << 20)
        far.write(octets)
        self.peer.use(self.another(2))
        await self.until(lambda: len(program.got) == len(octets))
        await self.pass_time(LOOK_AGAIN)
        await self.until(lambda: any(closed is link for closed, _ in self.initiator.closed))
        self.assertEqual((program.got, program.said), (octets, ["opened"]))
        self.assertEqual([each.association and each.association.here for each in self.peer.links], [2])
        self.assertIn("closed, unspecified (128): 'a newer link carries the dialogs'", self.initiator.closures)

    async def test_the_old_one_stays_until_the_new_one_has_taken_over(self) -> None:
        """CLOSE must not overtake RESUME on another connection: a responder may keep no dialog without a link."""
        first = await self.open()
        dialog, program, *_ = await self.dialog(first)
        seen: list[tuple[bool, bool]] = []
        opened = self.initiator.link_opened

        def second_opened(link: Link) -> None:
            opened(link)
            # After all that the opening leads to, and before anything can come in answer.
            reactor.callLater(0, lambda: seen.append((dialog.carrier.carries, first.closure is None)))

        self.patch(self.initiator, "link_opened", second_opened)
        self.peer.use(self.another(2))
        await self.until(lambda: bool(seen) and dialog.carrier.carries)
        self.assertEqual(seen, [(False, True)])
        await self.pass_time(LOOK_AGAIN)
        await self.until(lambda: first.closure is not None)
        self.assertEqual(program.said, ["opened"])

    async def test_the_old_one_stays_while_the_new_one_cannot_be_built(self) -> None:
        link = await self.open()
        self.peer.use(association(secret=b"unknown there", spi=0x5555))
        await self.until(lambda: len(self.initiator.closed) == 1)
        self.assertIs(self.initiator.closed[0][1].cause, Cause.UNKNOWN_ASSOCIATION)
        self.assertIs(self.peer.link, link)

    async def test_of_too_many_the_oldest_is_closed(self) -> None:
        link = await self.open()
        for number in range(MOST_LINKS):
            self.peer.use(association(secret=b"unknown there", spi=0x5555 + number))
        await self.until(lambda: any(closed is link for closed, _ in self.initiator.closed))
        self.assertIn(Closure(Cause.CLOSED, Code.UNSPECIFIED, "there are newer links"), self.initiator.closed[0])

    async def test_withdrawn(self) -> None:
        link = await self.open()
        _, program, *_ = await self.dialog(link)
        self.peer.withdraw(7)
        self.assertIs(self.peer.link, link)
        self.peer.withdraw(1)
        self.assertEqual((self.peer.link, program.said), (None, ["opened"]))
        self.assertEqual(self.dialogs_i.detached, 1)
        self.peer.use(self.another(2))
        await self.until(lambda: not self.dialogs_i.detached)


class WaitingTests(PeerCase):
    async def test_those_who_wait_get_it_when_it_opens(self) -> None:
        first, second = self.peer.when_open(20), self.peer.when_open(20)
        self.peer.use(association())
        self.assertIs(await first, await second)

    async def test_it_does_not_open_in_time(self) -> None:
        waiting = self.peer.when_open(20)
        self.later.clock.advance(20)
        await self.assertFailure(waiting, defer.TimeoutError)

    async def test_too_many_wait(self) -> None:
        for _ in range(MOST_WAITERS):
            self.peer.when_open(20).addErrback(lambda _: None)
        error: Any = await self.assertFailure(self.peer.when_open(20), PeerIncompatible)
        self.assertIs(error.code, Code.INSUFFICIENT_RESOURCES)
        self.later.clock.advance(20)
