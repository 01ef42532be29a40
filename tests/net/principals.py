"""Two principals in one process, over real sockets: nodes, sockets and stores, and no daemon around them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from seckex.crypto.authority import Key0
from seckex.crypto.secrets import Secret
from seckex.errors import StoreFailed
from seckex.events import Event
from seckex.exchange.terms import Terms
from seckex.machine import Path
from seckex.net.port import SharedPort
from seckex.net.principal import Clock, Principal
from seckex.node.limits import Limits, Peer
from seckex.node.node import Node
from seckex.sa.association import Association
from seckex.sa.policy import Policy
from seckex.sa.store import MemoryStore, Outcome, Unit
from tests.conversation import AES, HOME, NODE
from tests.net.loopback import LoopbackCase, reactor
from tests.pump import KEY, KEY0_SPI


class Commits:
    """A store in memory that commits in the next turn of the reactor."""

    def __init__(self) -> None:
        self.store = MemoryStore()

    def submit(self, unit: Unit, done: Callable[[Outcome | StoreFailed], None]) -> None:
        outcome = self.store.commit([unit])[0]
        reactor.callLater(0, done, outcome)


class Log:
    """Keeps what is reported."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.failures: list[str] = []

    def report(self, event: Event) -> None:
        self.events.append(event)

    def failure(self, text: str) -> None:
        self.failures.append(text)


class Watching:
    """Keeps the associations that are ready."""

    def __init__(self) -> None:
        self.associations: list[Association] = []

    def ready(self, association: Association) -> None:
        self.associations.append(association)

    def unavailable(self, peer: str, why: str) -> None:
        """Nothing."""

    def gone(self, association: Association, why: str) -> None:
        """Nothing."""

    def forbid(self, peer: str, why: str) -> None:
        """Nothing."""


class PrincipalCase(LoopbackCase):
    """Tests with an initiator and a responder."""

    def principal(self, local: str, peer: str, policy: Policy, path: Path | None, limits: Limits | None) -> Principal:
        key0 = Key0(Secret(KEY), KEY0_SPI, 1, (NODE, HOME))
        terms = Terms(local, peer, key0, policy, os.urandom)
        node = Node(local, [Peer(terms, path)], os.urandom, limits or Limits())
        log: Any = Log()
        principal = Principal(reactor, node, Commits(), log, Clock())
        principal.watcher = Watching()
        self.addCleanup(self.stopped, principal)
        return principal

    async def stopped(self, principal: Principal) -> None:
        for done in principal.stop():
            await done
        await self.until(lambda: len(principal.messages) == 0)
        self.assertEqual(self.log_of(principal).failures, [])

    @staticmethod
    def log_of(principal: Principal) -> Log:
        log: Any = principal._log
        return log  # type: ignore[no-any-return]  # as it was given above

    @staticmethod
    def ready(principal: Principal) -> list[Association]:
        watcher: Any = principal.watcher
        found: list[Association] = watcher.associations
        return found

    def home(self, policy: Policy = AES, limits: Limits | None = None, interface: str = "127.0.0.1") -> Principal:
        """Return a responder that listens over UDP and TCP; where is in ``self.where``."""
        home = self.principal(HOME, NODE, policy, None, limits)
        links = self.listen(interface)
        shared = self.shared = SharedPort(self.later, links, home.messages)
        listening = reactor.listenTCP(0, shared, interface=interface)
        self.addCleanup(listening.stopListening)
        self.addCleanup(shared.close)
        self.where = listening.getHost()
        home.datagrams.bind(interface, self.where.port)
        return home

    def node(self, policy: Policy = AES, host: str = "", port: int = 0) -> Principal:
        """Return an initiator that knows where the responder is."""
        path = Path(host or self.where.host, port or self.where.port)
        return self.principal(NODE, HOME, policy, path, None)

    async def agreed(self, node: Principal) -> Association:
        node.want(HOME)
        await self.until(lambda: bool(self.ready(node)))
        await self.until(lambda: any(held.confirmed for held in node.node.associations))
        return self.ready(node)[0]
