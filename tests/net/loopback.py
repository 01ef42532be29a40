"""What the tests of links over real sockets share: a reactor whose later is the test's, owners, and waiting."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, Final

from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import TestCase

from seckex.dialog.faces import Closure, LinkAssociation
from seckex.dialog.link import Link
from seckex.dialog.stream import Dialog
from seckex.net.peer import PeerLinks
from seckex.net.stream import LinkPort, LinkTerms
from seckex.wire.dialog import Hello
from tests.dialog.parts import SPI, Program, association, new_id

reactor: Any = installed

LIMITS: Final = Hello(credit=1 << 20, most_dialogs=8, largest_body=65536)
PATIENCE: Final = 60.0


class LaterReactor:
    """The reactor for sockets, a `Clock` for everything that is not to be done at once."""

    def __init__(self) -> None:
        self.clock = Clock()

    def callLater(self, delay: float, call: Callable[..., object], *args: Any, **kwargs: Any) -> IDelayedCall:
        source: Any = self.clock if delay else reactor
        made: IDelayedCall = source.callLater(delay, call, *args, **kwargs)
        return made

    def seconds(self) -> float:
        return self.clock.seconds()

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)


class Owning:
    """An owner of links that gives each dialog a `Program`."""

    def __init__(self) -> None:
        self.opened: list[Link] = []
        self.closed: list[tuple[Link, Closure]] = []
        self.worn: list[Link] = []
        self.idle: list[Link] = []
        self.offers: list[tuple[Dialog, Program]] = []
        self.answer: Callable[[Dialog, Program], None] = lambda dialog, _: dialog.accept()

    def link_opened(self, link: Link) -> None:
        self.opened.append(link)

    def dialog_offered(self, _link: Link, dialog: Dialog) -> None:
        program = Program()
        self.offers.append((dialog, program))
        dialog.attach(program)
        self.answer(dialog, program)

    def link_idle(self, link: Link) -> None:
        self.idle.append(link)

    def link_worn(self, link: Link) -> None:
        self.worn.append(link)

    def link_closed(self, link: Link, closure: Closure) -> None:
        self.closed.append((link, closure))

    @property
    def closures(self) -> list[str]:
        return [str(closure) for _, closure in self.closed]


class LoopbackCase(TestCase):
    """Tests with a responder's port and initiators' links on loopback addresses."""

    timeout = 120

    def setUp(self) -> None:
        self.later = LaterReactor()
        self.responder, self.initiator = Owning(), Owning()
        self.known: dict[int, LinkAssociation] = {SPI: association()}

    def terms(self, limits: Hello = LIMITS) -> LinkTerms:
        reactors: Any = self.later
        return LinkTerms(reactors, limits, time.time_ns, os.urandom)

    def listen(self, interface: str = "127.0.0.1", *, most_connections: int = 64, most_unproved: int = 16) -> LinkPort:
        """Listen for links; everything is closed when the test is over."""
        port = LinkPort(self.terms(), self.responder, self.known.get, most_connections, most_unproved)
        listening = reactor.listenTCP(0, port, interface=interface)
        self.where = listening.getHost()
        self.addCleanup(listening.stopListening)
        self.addCleanup(port.close)
        return port

    def links(self, limits: Hello = LIMITS) -> PeerLinks:
        """Return links of an initiator to that port, without an association yet."""
        endpoint = HostnameEndpoint(reactor, self.where.host, self.where.port)
        links = PeerLinks(self.terms(limits), endpoint, self.initiator)
        links.startService()
        self.addCleanup(links.stopService)
        return links

    async def linked(self, most_connections: int = 64) -> tuple[LinkPort, PeerLinks, Link]:
        """Open a link, and wait until both ends know."""
        port = self.listen(most_connections=most_connections)
        links = self.links()
        links.use(association())
        link = await links.when_open(PATIENCE)
        await self.until(lambda: bool(port.links))
        return port, links, link

    async def dialog(self, link: Link) -> tuple[Dialog, Program, Dialog, Program]:
        """Open a dialog: both ends and their programs."""
        before = len(self.responder.offers)
        program = Program()
        dialog = link.open("echo", new_id(), program)
        await self.until(lambda: len(self.responder.offers) > before and "opened" in program.said)
        return dialog, program, *self.responder.offers[-1]

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds, for as long as a test may take."""
        while not holds():
            await deferLater(reactor, 0.001)

    def pass_time(self, seconds: float) -> Deferred[None]:
        """Let time pass for everything but sockets."""
        self.later.clock.advance(seconds)
        return succeed(None)
