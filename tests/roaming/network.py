"""A roaming network on a table: hosts with the roles that live there, radio, secure hops, and clocks wound by hand.

A `Network` holds `tests.roaming.host.Host`s and moves what they say. There are two
ways, as `seckex.roles.faces` has them. **Radio** is UDP and TCP between whoever
shares a cell: the faults of `tests.link` stand on it and see each `Datagram`.
**Hops** join two principals that know each other; on them messages keep
their order and their octets, but a hop breaks, and what was on its way is lost.

Nothing happens by itself: `Network.run` goes from event to event. Randomness
comes from a seed, so a conversation repeats itself octet for octet. What holds
at all times is checked at each event: nothing that a host receives makes it raise, no
datagram would be fragmented, nobody unproved gets more octets than he
sent, and no two ends hold one pair of SPIs with different keys. A failed check
shows all that was said.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, NoReturn

from twisted.trial.unittest import FailTest

from seckex.machine import Path
from seckex.roles.faces import Role
from seckex.sa.association import Association
from seckex.sa.store import Unit
from seckex.wire.numbers import ANSWER_FLAG, MAX_DATAGRAM, MAX_HOP_MESSAGE, Code
from tests.link import Datagram, Fault, label
from tests.roaming.air import GROUPS, PORT, WIRE, Listener, Stream, family
from tests.roaming.hop import Hop, HopFault, Parcel
from tests.roaming.host import NEVER, Host

_AT_ONCE: Final = 2000


class Network:
    """See the module. ``trace`` gets every line and every message, for whoever wants to compare two runs."""

    def __init__(self, seed: int | str = 1) -> None:
        self.seed = seed
        self.monotonic = 0.0
        self.hosts: dict[str, Host] = {}
        self.faults: list[Fault] = []
        self.hop_faults: list[HopFault] = []
        self.sent: list[Datagram] = []
        self.told: list[Parcel] = []
        self.lines: list[str] = []
        self.trace: Callable[[str, bytes], None] = lambda _line, _octets: None
        #: Called after each event, with each message that is said, and with each unit that became durable.
        self.after_step: Callable[[], None] = lambda: None
        self.saying: Callable[[Host, bytes], None] = lambda _host, _octets: None
        self.storing: Callable[[Host, Unit], None] = lambda _host, _unit: None
        self.listeners: dict[tuple[str, int], Listener] = {}
        self.hops: dict[frozenset[str], Hop] = {}
        #: Pairs of names between which no hop comes to be: refused at once, answering nothing, or not proving its name.
        self.refused: set[frozenset[str]] = set()
        self.silent: set[frozenset[str]] = set()
        self.unproved: set[frozenset[str]] = set()
        self.steps = 0
        #: The name of the host that does what is being done.
        self.acting = ""
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._scheduled = 0
        self._ports = 49152
        self._vias = 1000
        self._keys: dict[tuple[bytes, frozenset[int]], bytes] = {}
        self._heard: dict[tuple[str, Path], int] = {}

    def __str__(self) -> str:
        return "\n".join(self.lines)

    def note(self, line: str, octets: bytes = b"") -> None:
        """Add a line to what failures show."""
        self.lines.append(f"{self.monotonic:9.3f}  {line}")
        self.trace(self.lines[-1], octets)

    def fail(self, why: str) -> NoReturn:
        """End the test."""
        raise FailTest(f"{why}\n{self}")

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Have what is done be done by nobody: by who looks at the table."""
        acting, self.acting = self.acting, ""
        yield
        self.acting = acting

    def host(
        self,
        name: str,
        build: Callable[[Host], Mapping[str, Role]],
        *addresses: str,
        nai: str = "",
        cells: Iterable[str] = (),
        neighbours: Iterable[str] = (),
    ) -> Host:
        """Add a host, which does not run yet; ``build`` returns its roles, new ones each time that it starts.

        Its NAI is ``name@example.org`` unless said otherwise. It hears the radio of ``cells``, and makes
        hops to the NAIs that are its ``neighbours``.
        """
        own = addresses or (f"192.0.2.{len(self.hosts) + 1}",)
        host = Host(self, name, nai or f"{name}@example.org", own, build)
        host.cells, host.neighbours = set(cells), set(neighbours)
        self.hosts[name] = host
        for number, address in enumerate(own):
            self.listeners[address, PORT] = Listener(host, number)
        return host

    # -- time

    def at(self, delay: float, act: Callable[[], None]) -> None:
        """Do something later."""
        self._scheduled += 1
        heapq.heappush(self._queue, (self.monotonic + delay, self._scheduled, act))

    def step(self, until: float) -> bool:
        """Do what is next, if it is due by ``until``."""
        due, ticking = NEVER, None
        for host in self.hosts.values():
            if host.armed < due:
                due, ticking = host.armed, host
        queued = self._queue[0][0] if self._queue else NEVER
        if min(due, queued) > until:
            return False
        self.steps += 1
        self.monotonic = max(self.monotonic, min(due, queued))
        if ticking is None or queued <= due:
            heapq.heappop(self._queue)[2]()
        else:
            ticking.tick()
        self.after_step()
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

    # -- radio

    def free_port(self) -> int:
        """Return the number of a port that nobody has had."""
        self._ports += 1
        return self._ports

    def free_via(self) -> int:
        """Return the number of a connection that nobody has had."""
        self._vias += 1
        return self._vias

    def send(self, datagram: Datagram, sender: Host) -> None:
        """Put a datagram on the air, where the faults are."""
        if len(datagram.octets) > MAX_DATAGRAM:
            self.fail(f"{datagram.label} of {len(datagram.octets)} octets would be fragmented")
        self.sent.append(datagram)
        self.note(f"{sender.name} --> {self.name_of(datagram.destination)}  {datagram.label}", datagram.octets)
        self.saying(sender, datagram.octets)
        for piece in self._faulted(datagram):
            self.deliver(piece, sender.cells)

    def _faulted(self, datagram: Datagram) -> Iterable[Datagram]:
        pieces: Iterable[Datagram] = (datagram,)
        for fault in self.faults:
            pieces = [after for before in pieces for after in fault(before)]
        return pieces

    def deliver(self, datagram: Datagram, cells: Iterable[str]) -> None:
        """Have a datagram arrive with whoever listens in ``cells``, past all faults; an attacker's as well."""
        heard = frozenset(cells)
        if datagram.destination.host in GROUPS:
            heard -= {WIRE}
            found = [
                each
                for (address, port), each in self.listeners.items()
                if family(address) == family(datagram.destination.host)
                and port == PORT
                and address != datagram.source.host
            ]
        else:
            there = self.listeners.get((datagram.destination.host, datagram.destination.port))
            found = [] if there is None else [there]
        for listener in found:
            if heard & listener.host.cells:
                self.at(datagram.delay, self._arrival(listener, datagram))

    def _arrival(self, listener: Listener, datagram: Datagram) -> Callable[[], None]:
        def arrive() -> None:
            destination = datagram.destination
            if destination.host not in GROUPS and (
                self.listeners.get((destination.host, destination.port)) is not listener
            ):
                return
            source = datagram.source._replace(via=listener.via)
            listener.host.receive(datagram.octets, source)

        return arrive

    def name_of(self, path: Path) -> str:
        """Return whose address a path has."""
        if path.host in GROUPS:
            return "all"
        for (address, _), listener in self.listeners.items():
            if address == path.host:
                return listener.host.name
        return str(path)

    def reachable(self, path: Path, sender: Host) -> Host | None:
        """Return who answers TCP at ``path``, as far as ``sender`` is concerned."""
        listener = self.listeners.get((path.host, path.port))
        if listener is None or path.port != PORT or listener.host.house is None:
            return None
        return listener.host if listener.host.cells & sender.cells else None

    def send_stream(self, stream: Stream, sender: Host, octets: bytes) -> None:
        """Send a message over TCP: in order and whole, or the connection breaks."""
        source, destination = stream.client_path, stream.server_path
        if sender is stream.server:
            source, destination = destination, source
        datagram = Datagram(source, destination, octets)
        self.sent.append(datagram)
        self.note(f"{sender.name} ==> {self.name_of(destination)}  {datagram.label} over TCP", octets)
        self.saying(sender, octets)
        pieces = list(self._faulted(datagram))
        if not pieces:
            stream.end()
        for piece in pieces[:1]:
            receiver = stream.server if sender is stream.client else stream.client
            via = stream.server_via if sender is stream.client else stream.client_via
            when = max(self.monotonic + piece.delay, stream.arrived.get(receiver.name, 0.0))
            stream.arrived[receiver.name] = when
            self.at(when - self.monotonic, self._streamed(stream, receiver, via, piece))

    def _streamed(self, stream: Stream, receiver: Host, via: int, piece: Datagram) -> Callable[[], None]:
        def arrive() -> None:
            if not stream.broken:
                receiver.receive(piece.octets, piece.source._replace(via=via, tcp=True))

        return arrive

    # -- hops

    def relay(self, sender: Host, neighbour: str, octets: bytes) -> None:
        """Say something over a secure hop, which is made if there is none; an answer is lost then."""
        if len(octets) > MAX_HOP_MESSAGE:
            self.fail(f"{label(octets)} of {len(octets)} octets is too long for a hop")
        receiver = next((host for host in self.hosts.values() if host.nai == neighbour), None)
        pair = frozenset((sender.nai, neighbour))
        hop = self.hops.get(pair)
        if hop is None or hop.broken:
            if octets[1] & ANSWER_FLAG:
                self.note(f"{sender.name} has no hop to {neighbour} for {label(octets)}")
                return
            if receiver is None or neighbour not in sender.neighbours:
                self.at(0, lambda: sender.unreachable(neighbour, octets, "not a neighbour", Code.NEXT_HOP_UNREACHABLE))
                return
            hop = self.hops[pair] = Hop(self, sender, receiver)
        parcel = Parcel(sender.nai, neighbour, octets)
        self.told.append(parcel)
        self.note(f"{sender.name} ::> {hop.other(sender).name}  {parcel.label}", octets)
        self.saying(sender, octets)
        hop.say(parcel)

    def hop_between(self, one: Host, other: Host) -> Hop | None:
        """Return the hop between two, if there is one."""
        return self.hops.get(frozenset((one.nai, other.nai)))

    def break_hops(self, *hosts: Host) -> None:
        """Break the hops among ``hosts``, all of one's where it is alone."""
        names = {host.nai for host in hosts}
        for pair, hop in self.hops.items():
            if pair & names if len(names) == 1 else pair <= names:
                hop.end()

    # -- what is to be seen of it

    def arrows(self) -> list[str]:
        """Return all that was said, radio and hops, as arrows."""
        return [
            " ".join(line.split()[1:5]) for line in self.lines if any(a in line for a in (" --> ", " ==> ", " ::> "))
        ]

    def last(self, wanted: str) -> Datagram:
        """Return the youngest datagram that is called ``wanted``."""
        found = [datagram for datagram in self.sent if datagram.called(wanted)]
        if not found:
            self.fail(f"no {wanted} was sent")
        return found[-1]

    def count(self, octets: int, host: Host, path: Path) -> None:
        """Take note that ``host`` got so many octets from ``path``, or with a negative number sent them there."""
        key = host.name, path._replace(via=None, tcp=False)
        self._heard[key] = self._heard.get(key, 0) + octets
        if self._heard[key] < 0:
            self.fail(f"{host.name} sends {path} more than it got from there")

    def witness(self, association: Association) -> None:
        """Take note of an association that somebody holds."""
        pair = association.transcript, frozenset((association.spi_in, association.spi_out))
        keys = association.keys.octets()
        if self._keys.setdefault(pair, keys) != keys:
            self.fail(f"two ends hold {association} with different keys")
