"""A network on a table: nodes, links that misbehave on demand, and clocks that are wound by hand.

A `Network` holds hosts, each with a `Node`, a `MemoryStore` and clocks of its
own, and moves messages between them, over UDP or TCP as their paths say. Nothing happens by itself: `Network.run` goes
from event to event. Randomness comes from a seed, so a conversation repeats itself
octet for octet. The faults of `tests.link` stand on the link and see each datagram.

Three things hold at all times and are checked at each event: an answer goes to
where its request came from and over UDP is not longer than it; no two ends hold one
pair of SPIs with different keys; and nothing that a host receives makes it raise.
A failed check shows all that was said, as arrows.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterable
from typing import Any, Final, NoReturn, TypeVar

from twisted.trial.unittest import FailTest

from seckex.crypto.authority import Key0
from seckex.crypto.certified import Certificates
from seckex.crypto.identity import Identity, Trust
from seckex.crypto.secrets import Secret
from seckex.errors import SeckexError
from seckex.events import Event
from seckex.exchange.terms import Terms
from seckex.machine import Now, Path, Report, Send
from seckex.node.actions import Commit, Gone, NodeAction, Ready, Unavailable, Work
from seckex.node.limits import Flood, Limits, Peer
from seckex.node.node import Node
from seckex.sa.association import Association
from seckex.sa.policy import Policy
from seckex.sa.store import MemoryStore, Outcome, PutAssociation, Unit
from seckex.wire.numbers import ANSWER_FLAG, MAX_DATAGRAM
from tests.link import Datagram, Fault, label

E = TypeVar("E", bound=Event)

WALL: Final = 1_790_000_000.0
KEY: Final = bytes(range(32))
KEY0_SPI: Final = 0x1234

#: For tests that are not about floods: nobody is ever asked for a cookie or told to come later.
CALM: Final = Flood(cookies="never", source_rate=1e9, source_burst=10**9)

_NEVER: Final = float("inf")
_AT_ONCE: Final = 1000


class Network:
    """See the module. The first host stands on the left of the arrows."""

    def __init__(self, seed: int = 1) -> None:
        self.seed = seed
        self.monotonic = 0.0
        self.hosts: dict[Path, Host] = {}
        self.faults: list[Fault] = []
        self.sent: list[Datagram] = []
        self.lines: list[str] = []
        self.before_step: Callable[[int], None] = lambda _ordinal: None
        self.steps = 0
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._scheduled = 0
        self._keys: dict[tuple[tuple[str, str], int, int], bytes] = {}

    def __str__(self) -> str:
        return "\n".join(self.lines)

    def note(self, line: str) -> None:
        """Add a line to what failures show."""
        self.lines.append(f"{self.monotonic:9.3f}  {line}")

    def fail(self, why: str) -> NoReturn:
        """End the test."""
        raise FailTest(f"{why}\n{self}")

    def host(self, name: str, limits: Limits | None = None, nai: str = "") -> Host:
        """Add a host; its NAI is its name unless said otherwise."""
        path = Path(f"192.0.2.{len(self.hosts) + 1}", 4434)
        self.hosts[path] = host = Host(self, name, path, limits or Limits(flood=CALM), nai or name)
        return host

    def send(self, datagram: Datagram) -> None:
        """Put a datagram on the link, where the faults are."""
        self.sent.append(datagram)
        self.note(f"{self.arrow(datagram)}  {len(datagram.octets)} octets")
        pieces: Iterable[Datagram] = (datagram,)
        for fault in self.faults:
            pieces = [after for before in pieces for after in fault(before)]
        for piece in pieces:
            self.deliver(piece)

    def deliver(self, datagram: Datagram) -> None:
        """Have a datagram arrive, past all faults; an attacker's as well."""
        host = self.hosts.get(datagram.destination._replace(tcp=False))
        if host is not None:
            self.at(datagram.delay, lambda: host.receive(datagram.octets, datagram.source))

    def arrow(self, datagram: Datagram) -> str:
        """Return the datagram as an arrow."""
        right = datagram.source._replace(tcp=False) == next(iter(self.hosts))
        return f"{datagram.label} -->" if right else f"<-- {datagram.label}"

    def arrows(self) -> list[str]:
        """Return all that was sent."""
        return [self.arrow(datagram) for datagram in self.sent]

    def last(self, wanted: str) -> Datagram:
        """Return the youngest datagram that is called ``wanted``."""
        found = [datagram for datagram in self.sent if datagram.called(wanted)]
        if not found:
            self.fail(f"no {wanted} was sent")
        return found[-1]

    def at(self, delay: float, act: Callable[[], None]) -> None:
        """Do something later."""
        self._scheduled += 1
        heapq.heappush(self._queue, (self.monotonic + delay, self._scheduled, act))

    def step(self, until: float) -> bool:
        """Do what is next, if it is due by ``until``."""
        due = [(host.deadline(), number) for number, host in enumerate(self.hosts.values())]
        at, number = min(due, default=(_NEVER, -1))
        queued = self._queue[0][0] if self._queue else _NEVER
        if min(at, queued) > until:
            return False
        self.steps += 1
        self.before_step(self.steps)
        self.monotonic = max(self.monotonic, min(at, queued))
        if queued <= at:
            heapq.heappop(self._queue)[2]()
        else:
            list(self.hosts.values())[number].tick()
        return True

    def run(self, seconds: float = 1.0) -> None:
        """Let time go by."""
        self.run_until(lambda: False, seconds, must=False)

    def run_until(self, done: Callable[[], object], within: float = 120.0, *, must: bool = True) -> None:
        """Let time go by until ``done``; fails where that takes longer than ``within`` seconds."""
        until = self.monotonic + within
        here, times = self.monotonic, 0
        while not done():
            if not self.step(until):
                self.monotonic = until
                if must:
                    self.fail(f"not done within {within} s")
                return
            here, times = (here, times + 1) if here == self.monotonic else (self.monotonic, 0)
            if times > _AT_ONCE:
                self.fail("time stands still")

    def witness(self, association: Association) -> None:
        """Take note of an association that somebody holds."""
        spis = association.spi_in, association.spi_out
        pair = (association.names, *(spis if association.role.name == "INITIATOR" else spis[::-1]))
        keys = association.keys.octets()
        if self._keys.setdefault(pair, keys) != keys:
            self.fail(f"two ends hold {pair} with different keys")


def _or_never(deadline: float | None) -> float:
    return _NEVER if deadline is None else deadline


class Host:
    """One principal: its node, what lasts (``store``), and the clocks that it believes.

    Commits are counted from 1: ``commit_faults`` are what becomes of some of
    them in place of being stored, after ``lost_outcomes`` the host restarts
    before it hears that they were. A ``lazy`` one looks at its deadlines
    only when its node says that something is due sooner, as daemons do.
    """

    def __init__(self, network: Network, name: str, path: Path, limits: Limits, nai: str) -> None:
        self.network = network
        self.name, self.nai, self.path, self.limits = name, nai, path, limits
        self.entropy = random.Random(f"{network.seed} {name}").randbytes  # noqa: S311  # has to repeat itself
        self.store = MemoryStore()
        self.peers: dict[str, Peer] = {}
        self.wanted: list[str] = []
        self.skew = 0.0
        self.commit_delay = 0.0
        self.work_delay = 0.0
        self.commit_faults: dict[int, Outcome | str] = {}
        self.lost_outcomes: set[int] = set()
        self.units: list[Unit] = []
        self.held: list[Callable[[], None]] | None = None
        self.reports: list[Event] = []
        self.ready: list[Association] = []
        self.unavailable: list[Unavailable] = []
        self.gone: list[Gone] = []
        self.running: Node | None = None
        self.lazy = False
        self._life = 0
        self._armed = _NEVER

    # -- who it is

    def knows(self, peer: Host, policy: Policy, *, key: bytes = KEY, spi: int = KEY0_SPI, **terms: Any) -> None:
        """Configure ``peer``, with whom KEY 0 is shared."""
        key0 = Key0(Secret(key), spi, 1, (self.nai, peer.nai))
        agreed = Terms(self.nai, peer.nai, key0, policy, self.entropy, **terms)
        self.peers[peer.nai] = Peer(agreed, peer.path)

    def certifies(
        self, peer: Host, policy: Policy, identity: Identity, trust: Trust, *, nai: str = "", **terms: Any
    ) -> None:
        """Configure ``peer``, who proves its name by certificate; ``nai`` may be all of a realm in place of it."""
        name = nai or peer.nai
        agreed = Terms(self.nai, name, Certificates(identity, trust, name), policy, self.entropy, **terms)
        self.peers[name] = Peer(agreed, peer.path)

    @property
    def node(self) -> Node:
        """The node, which must be running."""
        if self.running is None:
            self.network.fail(f"{self.name} is not running")
        return self.running

    def now(self) -> Now:
        """Return both clocks."""
        return Now(self.network.monotonic, WALL + self.network.monotonic + self.skew)

    def start(self) -> None:
        """Start from what lasts."""
        self.running = Node(self.nai, self.peers.values(), self.entropy, self.limits)
        now = self.now()
        self._run(self.running.start(self.store.load(0, now.wall), now))
        for peer in self.wanted:
            self._run(self.node.want(peer, now))

    def stop(self) -> None:
        """Lose all that does not last."""
        self.network.note(f"{self.name} stops")
        self.running = None
        self._life += 1
        self._armed = _NEVER

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def want(self, peer: Host) -> None:
        """Want an association from now on, restarts included."""
        self.wanted.append(peer.nai)
        self._run(self.node.want(peer.nai, self.now()))

    def renew(self, *, hinted: bool = False) -> None:
        """Ask for another association in place of the one in use, as a link does that was told it is not known."""
        self.node.renew(self.ready[-1], self.now(), hinted=hinted)

    def reconfigure(self) -> None:
        """Go on with what `peers` and `limits` are now."""
        self._run(self.node.reconfigure(self.peers.values(), self.limits, self.now()))

    def rekey(self, peer: Host) -> None:
        """Renew the association with ``peer`` now."""
        self._run(self.node.rekey(peer.nai, self.now()))

    def down(self, peer: Host) -> None:
        """End all associations with ``peer`` and want no more."""
        self.wanted = [nai for nai in self.wanted if nai != peer.nai]
        self._run(self.node.down(peer.nai, self.now()))

    def lost(self, association: Association) -> None:
        """Take note that a link's peer said that it has this association no more."""
        self._run(self.node.lost(association, self.now()))

    def retire(self, association: Association) -> None:
        """Forget an association whose links are done, another being in its place."""
        self._run(self.node.retire(association))

    # -- what happens to it

    def receive(self, octets: bytes, source: Path) -> None:
        """Take one datagram; nothing happens where nobody listens."""
        if self.running is not None:
            self._run(self.running.receive(octets, source, self.now()), (source, len(octets)))

    def tick(self) -> None:
        """Do what is due."""
        self._armed = _NEVER
        self._run(self.node.tick(self.now()))

    def deadline(self) -> float:
        """Return when `tick` is due."""
        if self.running is None:
            return _NEVER
        if not self.lazy:
            return _or_never(self.running.next_deadline(self.now()))
        if self.running.take_sooner() or self._armed == _NEVER:
            self._armed = min(self._armed, _or_never(self.running.next_deadline(self.now())))
        return self._armed

    def proves(self, association: Association) -> None:
        """Take note that a link's first record came under ``association``."""
        self._run(self.node.proved(association.spi_in, self.now()))

    def hold_commits(self) -> None:
        """Let no commit have an outcome before `release_commits`."""
        self.held = []

    def release_commits(self) -> None:
        """Let the commits that were held have their outcomes now."""
        held, self.held = self.held or [], None
        for outcome in held:
            self.network.at(0, outcome)

    # -- what it asks for

    def _run(self, actions: list[NodeAction], request: tuple[Path, int] | None = None) -> None:
        for action in actions:
            match action:
                case Send(octets, path):
                    self._check_answer(octets, path, request)
                    self.network.send(Datagram(self.path._replace(tcp=path.tcp), path, octets))
                case Commit():
                    self._commit(action, request)
                case Work(token, call):
                    self._work(token, call, request)
                case Report(event):
                    self.reports.append(event)
                    self.network.note(f"{self.name}: {event}")
                case Ready(association):
                    self.ready.append(association)
                case Unavailable():
                    self.unavailable.append(action)
                case Gone():
                    self.gone.append(action)
        self.deadline()

    def _check_answer(self, octets: bytes, path: Path, request: tuple[Path, int] | None) -> None:
        if len(octets) > MAX_DATAGRAM and not path.tcp:
            self.network.fail(f"{label(octets)} of {len(octets)} octets would be fragmented")
        if not octets[1] & ANSWER_FLAG:
            return
        if request is None:
            self.network.fail(f"{self.name} answers {label(octets)} to nothing")
        if path != request[0] or (len(octets) > request[1] and not path.tcp):
            self.network.fail(f"{label(octets)} of {len(octets)} octets to {path} answers {request}")

    def _work(self, token: int, call: Callable[[], Any], request: tuple[Path, int] | None) -> None:
        life = self._life

        def done() -> None:
            if life != self._life or self.running is None:
                return
            try:
                result: object = call()
            except SeckexError as error:
                result = error
            self._run(self.running.worked(token, result, self.now()), request)

        self.network.at(self.work_delay, done)

    def _commit(self, action: Commit, request: tuple[Path, int] | None) -> None:
        self.units.append(action.unit)
        ordinal = len(self.units)
        life, fault = self._life, self.commit_faults.pop(ordinal, None)

        def outcome() -> None:
            if life != self._life or self.running is None:
                return
            said = self.store.commit([action.unit])[0] if fault is None else fault
            if said is Outcome.STORED:
                for operation in action.unit:
                    if isinstance(operation, PutAssociation):
                        self.network.witness(operation.association)
            if ordinal in self.lost_outcomes:
                self.restart()
            else:
                self._run(self.running.committed(action.token, said, self.now()), request)

        if self.held is None:
            self.network.at(self.commit_delay, outcome)
        else:
            self.held.append(outcome)

    # -- what is to be seen of it

    def told(self, kind: type[E]) -> list[E]:
        """Return the reports of one kind."""
        return [event for event in self.reports if isinstance(event, kind)]

    @property
    def counters(self) -> dict[str, int]:
        """See `Node.counters`."""
        return self.node.counters

    def tables(self) -> tuple[object, ...]:
        """Return all that the node has in mind and in store, save for its counters of what it dropped."""
        node = self.node
        sizes = {name: size for name, size in node.counters.items() if "." not in name}
        for noise in ("answers-unexpected", "retransmissions"):
            sizes.pop(noise, None)
        expecting = {number: talk.state for number, talk in node._asking._expecting.items()}
        half_open = dict(node._answering.half_open._entries)
        unconfirmed = {spi: (at, talk.state) for spi, (at, talk) in node._answering.unconfirmed._entries.items()}
        return (
            sizes,
            expecting,
            half_open,
            unconfirmed,
            {spi: talk.state for spi, (_, talk) in node._certified.half_open._entries.items()},
            dict(node._certified._rounds._entries),
            tuple(node.associations),
            dict(node._answering._under_way),
            dict(self.store.associations),
            dict(self.store.replays),
            len(self.units),
        )
