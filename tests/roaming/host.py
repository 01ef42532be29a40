"""A host of `tests.roaming.network`: roles in one house, what lasts, its ports, the clocks that it believes.

What a role asks for is done as the edge does it: commits and work have their
outcomes later, the rest at once and in order. A host can stop at any point:
`Host.crash` is asked before and after each action whether it does, and then
nothing that follows is done. What was durable is there when it starts again.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from attrs import frozen

from seckex.errors import SeckexError
from seckex.events import Event
from seckex.machine import Now, Path, Report, Send
from seckex.node.actions import Commit, Work
from seckex.roles.faces import Adopt, ClosePassages, ClosePort, Relay, Release, Role, RoleAction
from seckex.roles.house import House, is_roaming
from seckex.sa.association import Association
from seckex.sa.store import MemoryStore, Outcome, Purge, PutAssociation, Unit
from seckex.wire.numbers import Kind
from tests.link import Datagram, label
from tests.roaming.air import GROUPS, PORT, WALL, Listener, Stream, family

if TYPE_CHECKING:
    from tests.roaming.network import Network

E = TypeVar("E", bound=Event)
R = TypeVar("R", bound=Role)

NEVER: Final = math.inf
_KIND_AT: Final = slice(2, 4)
_REVOCATION: Final = int(Kind.REVOCATION).to_bytes(2, "big")


@frozen
class Crashing:
    """A point at which a host may stop: "before" or "after" an ``action``, the ``ordinal``-th of this host.

    A commit is done later than it is asked for: ``stage`` is "action", or "commit" where it comes to the store.
    """

    host: Host
    when: str
    action: RoleAction
    ordinal: int
    stage: str = "action"


class Host:
    """See the module.

    Commits are counted from 1 over all lives: ``commit_faults`` are what becomes of some of
    them in place of being stored; after ``lost_outcomes`` the host restarts before
    it hears that they were.
    """

    def __init__(
        self,
        network: Network,
        name: str,
        nai: str,
        addresses: Sequence[str],
        build: Callable[[Host], Mapping[str, Role]],
    ) -> None:
        self.network, self.name, self.nai, self.addresses, self.build = network, name, nai, tuple(addresses), build
        self.entropy = random.Random(f"{network.seed} {name}").randbytes  # noqa: S311  # has to repeat itself
        self.store = MemoryStore()
        self.cells: set[str] = set()
        self.neighbours: set[str] = set()
        self.skew = 0.0
        self.commit_delay = 0.001
        self.work_delay = 0.001
        self.commit_faults: dict[int, Outcome | str] = {}
        self.lost_outcomes: set[int] = set()
        #: Why a unit cannot be stored at the moment; nothing where it can.
        self.trouble: Callable[[Unit], str] = lambda _unit: ""
        self.crash: Callable[[Crashing], bool] = lambda _point: False
        #: What happens when `crash` says so: by default it starts again at once.
        self.crashed: Callable[[Host], None] = lambda host: host.start()
        self.units: list[Unit] = []
        self.reports: list[Event] = []
        #: The associations that links use, by their SPI here, and what each replaced.
        self.adopted: dict[int, Association] = {}
        self.replaced: list[tuple[int, tuple[int, ...]]] = []
        self.released: list[Release] = []
        self.closed: list[ClosePassages] = []
        self.house: House | None = None
        self.armed = NEVER
        self.actions = 0
        self.life = 0
        self._ports: dict[int, Path] = {}
        self._streams: dict[int, Stream] = {}

    def __repr__(self) -> str:
        return f"<Host {self.name}>"

    @property
    def path(self) -> Path:
        """Where it answers."""
        return Path(self.addresses[0], PORT)

    def now(self) -> Now:
        """Return both clocks."""
        return Now(self.network.monotonic, WALL + self.network.monotonic + self.skew)

    # -- its life

    def start(self) -> None:
        """Start from what lasts."""
        if self.house is not None:
            self.network.fail(f"{self.name} runs already")
        now = self.now()
        snapshot = self.store.load(0, now.wall)
        # As the node of a daemon does from time to time.
        self.store.commit([(Purge(now.wall),)])
        self.network.acting = self.name
        self.house = House(self.nai, self.build(self))
        self.adopted = {association.spi_in: association for association in snapshot.associations}
        self.network.note(f"{self.name} starts")
        self._run(self.house.start(snapshot, now))

    def stop(self) -> None:
        """Lose all that does not last; connections and hops break."""
        self.network.note(f"{self.name} stops")
        self.house = None
        self.life += 1
        self.armed = NEVER
        for path in self._ports.values():
            self.network.listeners.pop((path.host, path.port), None)
        for stream in self._streams.values():
            stream.end()
        self._ports, self._streams = {}, {}
        self.network.break_hops(self)

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def role(self, kind: type[R]) -> R:
        """Return the role of one kind, which must be there."""
        found = [role for role in self._running.roles.values() if isinstance(role, kind)]
        if len(found) != 1:
            self.network.fail(f"{self.name} has {len(found)} {kind.__name__}s")
        return found[0]

    def ask(self, role: Role, what: Callable[[], Sequence[RoleAction]]) -> None:
        """Run what ``role`` wants after it was asked for something by an operator."""
        self._run(self._running.ask(role, what, self.now()))

    @property
    def _running(self) -> House:
        if self.house is None:
            self.network.fail(f"{self.name} is not running")
        self.network.acting = self.name
        return self.house

    # -- what happens to it

    def receive(self, octets: bytes, source: Path) -> None:
        """Take a message from whoever can reach it; nothing happens where nobody listens."""
        if self.house is None:
            return
        if source.via is not None and source.via >= 0 and not source.tcp:
            self.network.count(len(octets), self, source)
        if is_roaming(octets) or (source.via is not None and source.via < 0):
            self._run(self._running.received(octets, source, self.now()))

    def hear(self, neighbour: str, octets: bytes) -> None:
        """Take a message over a secure hop."""
        if self.house is not None:
            self._run(self._running.heard(neighbour, octets, self.now()))

    def unreachable(self, neighbour: str, octets: bytes, why: str, code: int) -> None:
        """Take note that a message could not be said."""
        if self.house is not None:
            self.network.note(f"{self.name} cannot say {label(octets)} to {neighbour}: {why}")
            self._run(self._running.unreachable(neighbour, octets, why, code, self.now()))

    def failed(self, path: Path, why: str) -> None:
        """Take note that nothing can be sent to a path."""
        if self.house is not None:
            self._run(self._running.failed(path, why, self.now()))

    def tick(self) -> None:
        """Do what is due."""
        self._run(self._running.tick(self.now()))

    # -- what it asks for

    def _run(self, actions: Sequence[RoleAction]) -> None:
        life = self.life
        for action in actions:
            self.actions += 1
            if self._crashes("before", action):
                return
            self._do(action)
            if life != self.life or self._crashes("after", action):
                return
        deadline = self._running.next_deadline(self.now())
        self.armed = NEVER if deadline is None else deadline

    def _crashes(self, when: str, action: RoleAction, stage: str = "action") -> bool:
        if not self.crash(Crashing(self, when, action, self.actions, stage)):
            return False
        self.network.note(f"{self.name} dies {when} {type(action).__name__} ({stage})")
        self.stop()
        self.crashed(self)
        return True

    def _do(self, action: RoleAction) -> None:
        match action:
            case Send(octets, path):
                self._send(octets, path)
            case Relay(neighbour, octets):
                self.network.relay(self, neighbour, octets)
            case Commit():
                self._commit(action)
            case Work(token, call):
                self._work(token, call)
            case Report(event):
                self.reports.append(event)
                self.network.note(f"{self.name}: {event}")
            case Adopt(association, replaces):
                if self.store.associations.get(association.spi_in) != association:
                    self.network.fail(f"{self.name} adopts what is not durable")
                self.adopted[association.spi_in] = association
                self.replaced.append((association.spi_in, replaces))
                # There are no links that would have to move first.
                for spi in replaces:
                    self.adopted.pop(spi, None)
            case Release(spi_in, why):
                self.network.note(f"{self.name} releases {spi_in:#010x}: {why}")
                self.adopted.pop(spi_in, None)
                self.released.append(action)
            case ClosePassages():
                self.closed.append(action)
            case ClosePort(via):
                self._close(via)

    def _send(self, octets: bytes, path: Path) -> None:
        if path.tcp:
            self._send_stream(octets, path)
            return
        source = self.path
        for address in self.addresses:
            if family(address) == family(path.host):
                source = Path(address, PORT)
                break
        if path.via is not None and path.via < 0:
            source = self._port(path.via, source)
        elif path.host not in GROUPS and octets[_KIND_AT] != _REVOCATION:
            # A home agent says of itself that a registration has ended; whatever else leaves here is an answer.
            self.network.count(-len(octets), self, path)
        self.network.send(Datagram(source, path._replace(via=None), octets), self)

    def _port(self, via: int, main: Path) -> Path:
        if via not in self._ports:
            self._ports[via] = path = Path(main.host, self.network.free_port())
            self.network.listeners[path.host, path.port] = Listener(self, via)
        return self._ports[via]

    def _send_stream(self, octets: bytes, path: Path) -> None:
        stream = self._streams.get(path.via) if path.via is not None else None
        if stream is None or stream.broken:
            if path.via is None or path.via >= 0:
                return
            server = self.network.reachable(path, self)
            if server is None:
                self.network.at(0.01, lambda: self.failed(path, "connection refused"))
                return
            own = Path(self.addresses[0], self.network.free_port(), None, True)
            stream = Stream(self, path.via, server, self.network.free_via(), own, path._replace(via=None))
            self._streams[path.via] = server._streams[stream.server_via] = stream
        self.network.send_stream(stream, self, octets)

    def _close(self, via: int) -> None:
        path = self._ports.pop(via, None)
        if path is not None:
            self.network.listeners.pop((path.host, path.port), None)
        stream = self._streams.pop(via, None)
        if stream is not None:
            stream.end()

    def _work(self, token: int, call: Callable[[], Any]) -> None:
        life = self.life

        def done() -> None:
            if life != self.life:
                return
            self.network.acting = self.name
            try:
                result: object = call()
            except SeckexError as error:
                result = error
            self._run(self._running.worked(token, result, self.now()))

        self.network.at(self.work_delay, done)

    def _commit(self, action: Commit) -> None:
        self.units.append(action.unit)
        ordinal = len(self.units)
        life, fault = self.life, self.commit_faults.pop(ordinal, None)

        def outcome() -> None:
            if life != self.life or self._crashes("before", action, "commit"):
                return
            said = fault or self.trouble(action.unit) or self.store.commit([action.unit])[0]
            if said is Outcome.STORED:
                for operation in action.unit:
                    if isinstance(operation, PutAssociation):
                        self.network.witness(operation.association)
                self.network.storing(self, action.unit)
            if ordinal in self.lost_outcomes:
                self.restart()
            elif not self._crashes("after", action, "commit"):
                self._run(self._running.committed(action.token, said, self.now()))

        self.network.at(self.commit_delay, outcome)

    # -- what is to be seen of it

    def reported(self, kind: type[E]) -> list[E]:
        """Return the reports of one kind."""
        return [event for event in self.reports if isinstance(event, kind)]

    @property
    def counters(self) -> Mapping[str, int]:
        """See `House.counters`."""
        return self._running.counters
