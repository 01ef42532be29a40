"""Roles that ask relays and answer them, and networks of relays to try them in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from seckex.config.aaa import Aaa, AaaRoute
from seckex.machine import Now, Path
from seckex.roles.aaa.relay import AaaRelay
from seckex.roles.aaa.ways import Ways
from seckex.roles.faces import Relay, Role, RoleAction
from seckex.sa.store import Outcome, Snapshot
from seckex.wire import hop
from seckex.wire.extensions import Detail
from seckex.wire.hop import NotRelayed, Relayed, Route, decode_hop, encode_hop
from seckex.wire.numbers import MOST_HOPS, Code, Kind
from tests.roaming.host import Host
from tests.roaming.network import Network

AGENT = "agent@visited.example"
FOREIGN = "aaa@visited.example"
FIRST, SECOND = "one@home.example", "two@home.example"
HOME = "home@home.example"
#: What is relayed: sealed for others, and of no concern to a relay.
INSIDE = bytes(range(64)) * 18


class Quiet:
    """A role that does nothing by itself."""

    kinds: frozenset[int] = frozenset()

    def __init__(self) -> None:
        self.counters: Mapping[str, int] = {}

    def status(self, now: Now) -> dict[str, Any]:
        return {"now": now.monotonic}

    def start(self, _snapshot: Snapshot, _now: Now) -> list[RoleAction]:
        return []

    def received(self, _octets: bytes, _path: Path, _now: Now) -> list[RoleAction]:
        return []

    def heard(self, _neighbour: str, _octets: bytes, _now: Now) -> list[RoleAction]:
        return []

    def awaits(self, _identification: int) -> bool:
        return False

    def unreachable(self, _nai: str, _identification: int, _why: str, _code: int, _now: Now) -> list[RoleAction]:
        return []

    def failed(self, _path: Path, _why: str, _now: Now) -> list[RoleAction]:
        return []

    def committed(self, _token: int, _outcome: Outcome | str, _now: Now) -> list[RoleAction]:
        return []

    def worked(self, _token: int, _result: object, _now: Now) -> list[RoleAction]:
        return []

    def tick(self, _now: Now) -> list[RoleAction]:
        return []

    def next_deadline(self, _now: Now) -> float | None:
        return None


class Asking(Quiet):
    """Has something relayed, and keeps what becomes of it with the time."""

    def __init__(self) -> None:
        super().__init__()
        self.got: list[tuple[float, Any]] = []
        self.trouble: list[tuple[str, int]] = []

    def ask(self, neighbour: str, home_agent: str = HOME, number: int = 1, **how: Any) -> list[RoleAction]:
        route = Route(how.get("hops", MOST_HOPS), home_agent, how.get("relayed", (AGENT,)))
        return [Relay(neighbour, encode_hop(hop.Relay(number, route, how.get("inside", INSIDE))))]

    def awaits(self, _identification: int) -> bool:
        return True

    def heard(self, _neighbour: str, octets: bytes, now: Now) -> list[RoleAction]:
        self.got.append((now.monotonic, decode_hop(octets)))
        return []

    def unreachable(self, nai: str, _identification: int, _why: str, code: int, _now: Now) -> list[RoleAction]:
        self.trouble.append((nai, code))
        return []

    @property
    def last(self) -> Any:
        return self.got[-1][1]


class Answering(Quiet):
    """Answers what is relayed to it, as ``answer`` says."""

    kinds = frozenset((int(Kind.RELAY),))

    def __init__(self) -> None:
        super().__init__()
        self.got: list[hop.Relay] = []
        self.answer: Callable[[hop.Relay], hop.HopMessage | None] = lambda asked: Relayed(
            asked.identification, b"reply to" + asked.message[:8]
        )

    def heard(self, neighbour: str, octets: bytes, _now: Now) -> list[RoleAction]:
        message = decode_hop(octets)
        if not isinstance(message, hop.Relay):
            return []
        self.got.append(message)
        said = self.answer(message)
        return [] if said is None else [Relay(neighbour, encode_hop(said))]


def refusing(code: Code, text: str = "no") -> Callable[[hop.Relay], hop.HopMessage]:
    """Return an answer that refuses."""

    def refuse(asked: hop.Relay) -> hop.HopMessage:
        return NotRelayed(asked.identification, Detail(code, 0, 0, text), asked.route)

    return refuse


def route(realm: str, *following: str) -> AaaRoute:
    return AaaRoute(realm=realm, next=following)


class Chain(Network):
    """An agent, a foreign AAA server, two home ones and a home agent; each of the last three answers to its place."""

    def __init__(self, *, most: int = 64) -> None:
        super().__init__()
        self.most = most
        self.settings: dict[str, Aaa] = {
            "foreign": Aaa(routes=(route("home.example", FIRST, SECOND),)),
            "one": Aaa(home_agents=(HOME,)),
            "two": Aaa(home_agents=(HOME,)),
        }
        self.agent = self.host("agent", lambda _: {"asks": Asking()}, nai=AGENT, neighbours=(FOREIGN,))
        self.foreign = self.server("foreign", FOREIGN, AGENT, FIRST, SECOND)
        self.one = self.server("one", FIRST, FOREIGN, SECOND, HOME)
        self.two = self.server("two", SECOND, FOREIGN, FIRST, HOME)
        self.home = self.host("home", lambda _: {"answers": Answering()}, nai=HOME, neighbours=(FIRST, SECOND))
        self.started = (self.agent, self.foreign, self.one, self.two, self.home)

    def server(self, name: str, nai: str, *neighbours: str) -> Host:
        def build(host: Host) -> Mapping[str, Role]:
            return {"aaa": AaaRelay(host.nai, Ways.of(self.settings[name]), self.most, host.entropy)}

        return self.host(name, build, nai=nai, neighbours=neighbours)

    def begin(self) -> Chain:
        for host in self.started:
            host.start()
        return self

    def ask(self, home_agent: str = HOME, number: int = 1, **how: Any) -> None:
        asking = self.agent.role(Asking)
        self.agent.ask(asking, lambda: asking.ask(FOREIGN, home_agent, number, **how))

    @property
    def asking(self) -> Asking:
        return self.agent.role(Asking)

    @property
    def answering(self) -> Answering:
        return self.home.role(Answering)

    def outcome(self) -> Any:
        """Return what came of the last question, once there is something."""
        before = len(self.asking.got)
        self.run_until(lambda: len(self.asking.got) > before, 60)
        return self.asking.last
