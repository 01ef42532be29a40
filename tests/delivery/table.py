"""Houses on a table: stores in memory, wires that can be cut, clocks wound by hand, everything drawn from a seed.

What is to happen lies in one queue; `Table.run` has it happen until nothing is left. Whatever crosses a wire keeps its
order, everything else takes its turn.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any

from attrs import define, field

from seckex.delivery.faces import FRAGMENT, DialogName, Direction, Incoming, Outgoing, Payload, Spooled, Stage, Verdict
from seckex.delivery.house import House
from seckex.delivery.memory import MemoryMessages
from seckex.delivery.store import MessageUnit
from seckex.delivery.terms import HouseLimits, HouseTerms, PeerTerms, RelayTerms, ServiceTerms
from seckex.errors import SeckexError, StoreFailed
from seckex.machine import Now
from tests.delivery.vault import TableVault
from tests.roaming.air import WALL

NODE = "node@example.org"
HOME = "home@example.org"
RELAY = "relay@example.org"


class Randomness:
    """A stream of octets that comes of a seed."""

    def __init__(self, seed: str) -> None:
        self._seed = seed.encode()
        self._count = 0

    def __call__(self, count: int) -> bytes:
        self._count += 1
        return hashlib.shake_256(self._seed + self._count.to_bytes(8, "big")).digest(count)


@define(eq=False, slots=False)
class Wire:
    """One connection: its number at either end, None at an end that has lost it."""

    ends: dict[str, int]
    cut: bool = False


@define(eq=False, slots=False)
class Host:
    """A principal: its house, its store and the programs beside it."""

    table: Table
    nai: str
    services: dict[str, ServiceTerms]
    peers: dict[str, PeerTerms]
    limits: HouseLimits = field(factory=HouseLimits)
    relay: RelayTerms | None = None
    store: MemoryMessages = field(factory=lambda: MemoryMessages(at_once=False))
    spool: dict[str, dict[int, bytes]] = field(factory=dict)
    synced: set[str] = field(factory=set)
    got: list[Incoming] = field(factory=list)
    stages: dict[tuple[str, Stage], int] = field(factory=dict)
    judged: dict[str, int] = field(factory=dict)
    failures: list[tuple[int, int, str]] = field(factory=list)
    events: list[Any] = field(factory=list)
    answers: Callable[[Incoming], Verdict | None] = field(default=lambda _: Verdict.DONE)
    attached: dict[str, int] = field(factory=dict)
    skew: float = 0.0

    def __attrs_post_init__(self) -> None:
        self.randomness = Randomness(f"{self.table.seed} {self.nai}")
        self.vault = TableVault(self.nai, self.randomness, self.wall)
        self.wires: dict[int, Wire] = {}
        self.said: list[bytes] = []
        self.life = 0
        self.house: House
        self.start()

    def wall(self) -> float:
        """Return this host's wall clock."""
        return self.table.wall + self.skew

    def now(self) -> Now:
        """Return both clocks."""
        return Now(self.table.monotonic, self.wall())

    def start(self) -> None:
        """Begin with what is stored."""
        self.life += 1
        self.up = True
        self.store.serve(self.wall())
        terms = HouseTerms(
            nai=self.nai,
            vault=self.vault,
            services=self.services,
            peers=self.peers,
            limits=self.limits,
            relay=self.relay,
        )
        self.house = House(terms, EdgeOnTable(self, self.life), self.store.load(0, self.wall()), self.now())
        for service, at_once in self.attached.items():
            self.house.attach(service, at_once, self.now())

    def crash(self) -> None:
        """End without a word; what is not durable is forgotten."""
        self.up = False
        self.life += 1
        self.store.crash()
        self.spool = {name: pieces for name, pieces in self.spool.items() if name in self.synced}
        for wire in list(self.wires.values()):
            self.table.cut(wire)

    def receive(self, service: str, at_once: int = 16) -> None:
        """Have a program that takes messages for a service."""
        self.attached[service] = at_once
        self.house.attach(service, at_once, self.now())

    def send(self, peer: str, service: str, *payloads: Payload, own: str = "", type: str = "", ttl: float = 0) -> bytes:  # noqa: A002  # what it is called
        """Send messages by the dialog with a service; return the dialog's id."""
        dialog_id = self.house.dialog(DialogName(peer, service, own), self.now())
        expires = self.wall() + ttl if ttl else 0.0
        self.house.send(dialog_id, [Outgoing(payload, type, expires) for payload in payloads], self.now())
        return dialog_id

    def spooled(self, octets: bytes) -> Spooled:
        """Put a payload into a file of the spool, as an upload does."""
        name = self.randomness(8).hex()
        cut = (octets[at : at + FRAGMENT] for at in range(0, len(octets), FRAGMENT))
        self.spool[name] = dict(enumerate(cut))
        self.synced.add(name)
        return Spooled(name, len(octets))

    def octets(self, payload: Payload) -> bytes:
        """Return the octets of a payload, be it in a file."""
        if isinstance(payload, bytes):
            return payload
        pieces = self.spool[payload.name]
        return b"".join(pieces[at] for at in sorted(pieces))

    def payloads(self) -> list[Any]:
        """Return what programs have got."""
        return [message.payload for message in self.got]


@define(eq=False, slots=False)
class EdgeOnTable:
    """The edge of one life of a host's house."""

    host: Host
    life: int

    @property
    def alive(self) -> bool:
        """Whether this life goes on."""
        return self.host.up and self.host.life == self.life

    def _later(self, call: Callable[[], None], what: str = "") -> None:
        def when_alive() -> None:
            if self.alive:
                call()

        self.host.table.post((self.host.nai, what), when_alive)

    def now(self) -> Now:
        return self.host.now()

    def entropy(self, count: int) -> bytes:
        return self.host.randomness(count)

    def soon(self) -> None:
        self._later(lambda: self.host.house.flush(self.host.now()))

    def say(self, connection: int, octets: bytes) -> None:
        wire = self.host.wires.get(connection)
        self.host.said.append(octets)
        if wire is not None and not wire.cut:
            self.host.table.carry(wire, self.host, octets)

    def backlog(self, connection: int) -> int:
        return 0 if connection in self.host.wires else 1 << 30

    def call(self, peer: str) -> None:
        self._later(lambda: self.host.table.connect(self.host, peer))

    def drop(self, connection: int) -> None:
        wire = self.host.wires.get(connection)
        if wire is not None:
            self._later(lambda: self.host.table.cut(wire))

    def commit(self, unit: MessageUnit, done: Callable[[StoreFailed | None], None]) -> None:
        def write() -> None:
            try:
                self.host.store.commit([unit])
            except StoreFailed as error:
                failure = error
                self._later(lambda: done(failure), "store")
            else:
                # What is written is durable a moment later only, and told a moment after that.
                self._later(sync, "store")

        def sync() -> None:
            self.host.store.sync()
            self._later(lambda: done(None), "store")

        self._later(write, "store")

    def fetch(
        self, dialog_id: bytes, direction: Direction, first: int, done: Callable[[bytes | StoreFailed], None]
    ) -> None:
        ours = self.host.house.ours(dialog_id, direction)

        def read() -> None:
            found = self.host.store.segment(dialog_id, ours, first)
            done(StoreFailed("there is no such segment") if found is None else found.octets)

        self._later(read)

    def fetch_kept(self, number: int, done: Callable[[bytes | StoreFailed], None]) -> None:
        def read() -> None:
            found = self.host.store.kept(number)
            done(StoreFailed("there is no such envelope") if found is None else found)

        self._later(read)

    def read_piece(self, spool: str, fragment: int, done: Callable[[bytes | StoreFailed], None]) -> None:
        def read() -> None:
            pieces = self.host.spool.get(spool, {})
            done(pieces[fragment] if fragment in pieces else StoreFailed("there is no such piece"))

        self._later(read, "spool")

    def write_piece(self, spool: str, fragment: int, octets: bytes, done: Callable[[StoreFailed | None], None]) -> None:
        def write() -> None:
            if self.host.store.failing is not None:
                done(self.host.store.failing)
                return
            self.host.spool.setdefault(spool, {})[fragment] = octets
            done(None)

        self._later(write, "spool")

    def sync_spool(self, spool: str, done: Callable[[StoreFailed | None], None]) -> None:
        def sync() -> None:
            if spool in self.host.spool:
                self.host.synced.add(spool)
                done(None)
            else:
                done(StoreFailed("there is no such file"))

        self._later(sync, "spool")

    def drop_spool(self, spool: str) -> None:
        self.host.spool.pop(spool, None)

    def give(self, message: Incoming) -> None:
        self.host.got.append(message)
        verdict = self.host.answers(message)
        if verdict is not None:
            self._later(
                lambda: self.host.house.verdict(
                    message.dialog_id, message.number, verdict, "the program says so", self.host.now()
                )
            )

    def judged(self, dialog_id: bytes, upto: int) -> None:
        self.host.judged[dialog_id.hex()] = upto

    def progress(self, dialog_id: bytes, direction: Direction, stage: Stage, upto: int) -> None:  # noqa: ARG002  # the interface's
        self.host.stages[dialog_id.hex(), stage] = upto

    def failed(self, dialog_id: bytes, direction: Direction, number: int, code: int, why: str) -> None:  # noqa: ARG002  # the interface's
        self.host.failures.append((number, code, why))

    def report(self, event: Any) -> None:
        self.host.events.append(event)


class Table:
    """Hosts, wires and time."""

    def __init__(self, seed: str = "table", rng: Random | None = None) -> None:
        self.seed = seed
        self.monotonic = 1000.0
        self.wall = float(WALL)
        self.hosts: dict[str, Host] = {}
        self.random = rng
        self.queues: dict[Any, deque[Callable[[], None]]] = {}
        self.happened = 0
        self.unreachable: set[str] = set()
        #: Who reaches nobody.
        self.away: set[str] = set()
        self._numbers = 0
        self._dues: list[tuple[float, Callable[[], None]]] = []

    def host(self, nai: str, **terms: Any) -> Host:
        """Put a principal on the table."""
        made = self.hosts[nai] = Host(self, nai, terms.pop("services", {}), terms.pop("peers", {}), **terms)
        return made

    def pair(self, source: str = "prekey", **limits: Any) -> tuple[Host, Host]:
        """Put a node and its home there: home has the service ``orders``, node ``answers``."""
        bounds = HouseLimits(**limits)
        home = self.host(
            HOME,
            services={"orders": ServiceTerms(allowed=(NODE,), largest=1 << 32, attempts=3)},
            limits=bounds,
        )
        node = self.host(
            NODE,
            services={"answers": ServiceTerms(allowed=(HOME,), attempts=3)},
            peers={HOME: PeerTerms(source=source)},
            limits=bounds,
        )
        return node, home

    def behind_a_relay(self, **bounds: Any) -> tuple[Host, Host, Host]:
        """Put the same two there, neither of which calls the other, and a relay between them."""
        relay = self.host(RELAY, relay=RelayTerms(principals=("*@example.org",), **bounds))
        home = self.host(
            HOME,
            services={"orders": ServiceTerms(allowed=(NODE,), largest=1 << 32, attempts=3)},
            peers={RELAY: PeerTerms(collects=True)},
        )
        node = self.host(
            NODE,
            services={"answers": ServiceTerms(allowed=(HOME,), attempts=3)},
            peers={HOME: PeerTerms(via=RELAY)},
        )
        return node, home, relay

    def connect(self, caller: Host, peer: str) -> None:
        """Make a connection, or fail to."""
        terms = caller.peers.get(peer)
        where = terms.via if terms is not None and terms.via else peer
        callee = self.hosts.get(where)
        if callee is None or not callee.up or where in self.unreachable or caller.nai in self.away:
            caller.house.unreachable(peer, "nobody is there", caller.now())
            self.later(5.0, lambda: self.connect(caller, peer) if caller.up else None)
            return
        self._numbers += 2
        wire = Wire({caller.nai: self._numbers, callee.nai: self._numbers + 1})
        caller.wires[self._numbers] = wire
        callee.wires[self._numbers + 1] = wire
        callee.house.connected(self._numbers + 1, None, callee.now())
        caller.house.connected(self._numbers, peer, caller.now())

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Have something happen after some time."""
        self._dues.append((self.monotonic + seconds, call))

    def carry(self, wire: Wire, sender: Host, octets: bytes) -> None:
        """Bring a unit to the other end."""
        other = next(nai for nai in wire.ends if nai != sender.nai)

        def arrive() -> None:
            host = self.hosts[other]
            if wire.cut or not host.up:
                return
            try:
                host.house.unit(wire.ends[other], octets, host.now())
            except SeckexError as error:
                host.events.append(error)
                self.cut(wire)

        self.post((wire.ends[other], "wire"), arrive)

    def cut(self, wire: Wire) -> None:
        """End a connection at both ends."""
        if wire.cut:
            return
        wire.cut = True
        for nai, number in wire.ends.items():
            host = self.hosts[nai]
            host.wires.pop(number, None)
            if host.up:
                host.house.lost(number, host.now())

    def cut_all(self) -> None:
        """End all connections."""
        for host in self.hosts.values():
            for wire in list(host.wires.values()):
                self.cut(wire)

    def post(self, line: Any, call: Callable[[], None]) -> None:
        """Have something happen after all that stands in the same line; lines take turns as the dice fall."""
        self.queues.setdefault(None if self.random is None else line, deque()).append(call)

    def step(self) -> bool:
        """Have one thing happen; return whether there was any."""
        queues = self.queues
        while queues:
            line = next(iter(queues)) if self.random is None else self.random.choice(list(queues))
            queue = queues[line]
            if queue:
                self.happened += 1
                queue.popleft()()
                return True
            del queues[line]
        return False

    def run(self, most: int = 20_000) -> None:
        """Have everything happen that can now."""
        for _ in range(most):
            if not self.step():
                return
        raise AssertionError("there is no end to it")

    def advance(self, seconds: float) -> None:
        """Let time pass, a second at a time."""
        self.run()
        for _ in range(int(seconds)):
            self.monotonic += 1
            self.wall += 1
            self.tick()
            self.run()

    def tick(self) -> None:
        """Have happen what is due."""
        due = [each for each in self._dues if each[0] <= self.monotonic]
        self._dues = [each for each in self._dues if each[0] > self.monotonic]
        for _, call in due:
            call()
        for host in self.hosts.values():
            if host.up:
                host.house.tick(host.now())
