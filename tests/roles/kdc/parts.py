"""A center, home agents that ask it, and a table between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import Factory, define, evolve
from twisted.trial.unittest import SynchronousTestCase

from seckex.config.kdc import Kdc
from seckex.machine import Now, Path
from seckex.roles.faces import Relay, RoleAction
from seckex.roles.kdc.center import Center, NewPrincipal
from seckex.roles.kdc.principals import Principal
from seckex.sa.store import Outcome, Snapshot
from seckex.wire import hop
from seckex.wire.keying import HomeKey, KeyRequest, NodeQuery
from seckex.wire.numbers import Kem, Keying, Kind
from tests.roaming.host import Host
from tests.roaming.network import Network

HOME = "home@example.org"
OTHER = "other@example.org"
KDC = "kdc@example.org"
NODE = "node@example.org"
HOME_KEY = HomeKey(Kem.X25519, 4_000_000_000, bytes(range(32)))

M = TypeVar("M", bound=hop.HopMessage)


@define
class Asking:
    """A home agent as far as a center knows one: it remembers what it hears."""

    heard_: list[hop.HopMessage] = Factory(list)
    unreached: list[str] = Factory(list)
    kinds: frozenset[int] = frozenset((Kind.CHANGED,))
    counters: Mapping[str, int] = Factory(dict)

    def status(self, now: Now) -> dict[str, Any]:  # noqa: ARG002  # a role's interface
        return {}

    def start(self, snapshot: Snapshot, now: Now) -> list[RoleAction]:  # noqa: ARG002  # the same
        return []

    def received(self, octets: bytes, path: Path, now: Now) -> list[RoleAction]:  # noqa: ARG002  # the same
        return []

    def heard(self, neighbour: str, octets: bytes, now: Now) -> list[RoleAction]:  # noqa: ARG002  # the same
        self.heard_.append(hop.decode_hop(octets))
        return []

    def awaits(self, identification: int) -> bool:  # noqa: ARG002  # the same
        return True

    def unreachable(self, neighbour: str, identification: int, why: str, code: int, now: Now) -> list[RoleAction]:  # noqa: ARG002  # the same
        self.unreached.append(why)
        return []

    def failed(self, path: Path, why: str, now: Now) -> list[RoleAction]:  # noqa: ARG002  # the same
        return []

    def committed(self, token: int, outcome: Outcome | str, now: Now) -> list[RoleAction]:  # noqa: ARG002  # the same
        return []

    def worked(self, token: int, result: object, now: Now) -> list[RoleAction]:  # noqa: ARG002  # the same
        return []

    def tick(self, now: Now) -> list[RoleAction]:  # noqa: ARG002  # the same
        return []

    def next_deadline(self, now: Now) -> float | None:  # noqa: ARG002  # the same
        return None

    def all(self, kind: type[M]) -> list[M]:
        """Return what was heard of one kind."""
        return [message for message in self.heard_ if isinstance(message, kind)]


class CenterCase(SynchronousTestCase):
    """Has a network with a center and two home agents."""

    settings = Kdc()

    def setUp(self) -> None:
        self.network = Network()
        self.kdc = self.center("kdc", KDC, HOME, OTHER)
        self.home = self.asking("home", HOME)
        self.other = self.asking("other", OTHER)
        for host in (self.kdc, self.home, self.other):
            host.start()
        self.number = 0

    def center(self, name: str, nai: str, *neighbours: str, settings: Kdc | None = None) -> Host:
        """Add a center, which does not run yet."""
        build = {"kdc": lambda host: Center(host.nai, settings or self.settings, host.entropy)}
        return self.network.host(name, lambda host: {"kdc": build["kdc"](host)}, nai=nai, neighbours={*neighbours})

    def asking(self, name: str, nai: str, *neighbours: str) -> Host:
        """Add a home agent, which does not run yet."""
        return self.network.host(name, lambda _host: {"asks": Asking()}, nai=nai, neighbours={KDC, *neighbours})

    def add(
        self, nai: str = NODE, home_agent: str = HOME, host: Host | None = None, **more: Any
    ) -> list[Principal | str]:
        """Add a node, as an operator would; return what he is told."""
        told: list[Principal | str] = []
        host = host or self.kdc
        role = host.role(Center)
        new = NewPrincipal(nai=nai, home_agent=home_agent, **more)
        host.ask(role, lambda: role.add(new, host.now(), told.append))
        self.network.run(0.1)
        return told

    def request(self, node: str = NODE, **changes: Any) -> KeyRequest:
        """Return a request for keys."""
        request = KeyRequest(Keying.STATEFUL, 3600, 1, bytes(32), node, "agent@example.net")
        return evolve(request, **changes)

    def say(self, host: Host, message: hop.HopMessage, center: str = KDC) -> None:
        """Have a home agent say something to a center."""
        host.ask(host.role(Asking), lambda: [Relay(center, hop.encode_hop(message))])

    def ask(self, host: Host, request: KeyRequest, center: str = KDC) -> int:
        """Ask for keys; return under which Identification."""
        self.number += 1
        self.say(host, hop.Keys(self.number, request), center)
        return self.number

    def answers(self, host: Host, number: int) -> list[hop.HopMessage]:
        """Return the answers to one question."""
        return [message for message in host.role(Asking).heard_ if message.identification == number]

    def answer(self, host: Host, request: KeyRequest, center: str = KDC) -> hop.Issued | hop.NotIssued:
        """Ask for keys, and return the answer."""
        number = self.ask(host, request, center)
        self.network.run_until(lambda: self.answers(host, number))
        [answer] = self.answers(host, number)
        assert isinstance(answer, hop.Issued | hop.NotIssued)
        return answer

    def keys(self, host: Host, request: KeyRequest, center: str = KDC) -> tuple[bytes, ...]:
        """Ask for keys, and return them."""
        answer = self.answer(host, request, center)
        if isinstance(answer, hop.NotIssued):
            self.network.fail(f"refused: {answer.detail}")
        return answer.material.keys

    def refusal(self, host: Host, request: KeyRequest, center: str = KDC) -> int:
        """Ask for keys, and return the code that they are refused with."""
        answer = self.answer(host, request, center)
        if isinstance(answer, hop.Issued):
            self.network.fail("issued")
        return answer.detail.code

    def nodes(self, host: Host, query: NodeQuery | None = None, *home_keys: HomeKey, center: str = KDC) -> hop.Entries:
        """Ask for nodes, and return the answer."""
        self.number += 1
        number = self.number
        self.say(host, hop.Nodes(number, query or NodeQuery(0, 64), home_keys), center)
        self.network.run_until(lambda: self.answers(host, number))
        [answer] = self.answers(host, number)
        assert isinstance(answer, hop.Entries)
        return answer
