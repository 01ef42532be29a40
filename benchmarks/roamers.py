"""Many mobile nodes in one process, a load: ``python -m benchmarks.roamers FOLDER PORT WINDOW COUNT``.

Each is a whole mobile node with a port of its own, save that what it makes
durable is kept in memory: a real one has a disk of its own. What the key
distribution center knows of them is read from its database. Prints "ready",
waits for a line, then prints registrations per second and the 50th and 99th
percentile of how long one took, in milliseconds.
"""

from __future__ import annotations

import os
import select
import socket
import statistics
import sys
import time
from collections import deque
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from benchmarks.roaming import CENTER, HOME, POLICY, node_name
from seckex.config.kdc import Kdc
from seckex.crypto.registration import provisioned
from seckex.crypto.spichain import Chain
from seckex.events.mobile_node import Registered
from seckex.machine import Now, Report, Send
from seckex.machine import Path as Address
from seckex.node.actions import Commit
from seckex.roles.faces import RoleAction
from seckex.roles.kdc.center import Center
from seckex.roles.mobile_node.plan import Plan
from seckex.roles.mobile_node.records import Home
from seckex.roles.mobile_node.role import MobileNode
from seckex.sa.store import Outcome, Snapshot
from seckex.storage.masterkey import load_master_key
from seckex.storage.sqlite import SqliteStore
from seckex.wire.keying import HomeKey
from seckex.wire.numbers import Kem

PATIENCE: Final = 60.0
#: How many register for the first time at once, and how many a second do so at least.
AT_ONCE: Final = 64
SLOWEST: Final = 25


def now() -> Now:
    """Return both clocks."""
    return Now(time.monotonic(), time.time())


class Roamer:
    """One mobile node; ``began`` is when its present registration did."""

    def __init__(self, home: Home, agent: tuple[str, int], poll: select.epoll) -> None:
        plan = Plan(home.node, HOME, POLICY, solicit=(agent,), lifetime=1800)
        self.role = MobileNode(plan, os.urandom)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        poll.register(self.socket, select.EPOLLIN)
        self._via = 0
        self.began = 0.0
        self.registered = 0
        self._run(self.role.start(Snapshot((), (), records=(home.record(),)), now()))

    def _run(self, actions: list[RoleAction]) -> None:
        waiting = deque(actions)
        while waiting:
            action = waiting.popleft()
            if isinstance(action, Send):
                self._via = action.path.via or 0
                self.socket.sendto(action.octets, action.path[:2])
            elif isinstance(action, Commit):
                waiting.extend(self.role.committed(action.token, Outcome.STORED, now()))
            elif isinstance(action, Report) and isinstance(action.event, Registered):
                self.registered += 1

    def begin(self) -> None:
        """Register again."""
        self.began = time.monotonic()
        self._run(self.role.keeping.again(now()))

    def readable(self) -> bool:
        """Take what has come; return whether a registration is done."""
        before = self.registered
        try:
            octets, (host, port) = self.socket.recvfrom(2048)
        except BlockingIOError:
            return False
        self._run(self.role.received(octets, Address(host, port, self._via), now()))
        return self.registered > before

    def tick(self) -> None:
        """Do what is due."""
        deadline = self.role.next_deadline(now())
        if deadline is not None and deadline <= time.monotonic():
            self._run(self.role.tick(now()))


def homes(folder: Path, count: int) -> list[Home]:
    """Return what each node has been provisioned with, once the home agent has told its keys."""
    database = folder / "kdc" / "seckex.db"
    master = load_master_key(folder / "kdc" / "master.key", database, os.urandom)
    until = time.monotonic() + PATIENCE
    while True:
        store = SqliteStore(database, master, os.urandom)
        center = Center(CENTER, Kdc(), os.urandom)
        center.start(store.load(0, time.time()), now())
        store.close()
        if center.home_keys(HOME, time.time()):
            return [_home(center, node_name(number)) for number in range(count)]
        if time.monotonic() > until:
            raise RuntimeError("the home agent has not told its keys")
        time.sleep(0.1)


def _home(center: Center, nai: str) -> Home:
    file = center.provision(nai, ("127.0.0.1",), now())
    root, chain = provisioned(file.key0, (file.nai, file.home_agent), file.kvno)
    return Home(
        node=file.nai,
        home_agent=file.home_agent,
        kvno=file.kvno,
        root=root,
        chain=Chain.begin(chain),
        keys=tuple(HomeKey(Kem(key.kem), key.until, key.public) for key in file.home_keys),
        home_address=file.home_address,
        layer2=file.layer2,
        addresses=tuple(map(ip_address, file.addresses)),
    )


def main(folder: Path, agent: tuple[str, int], window: int, count: int) -> None:
    """Register ``count`` times, ``window`` nodes at once."""
    poll = select.epoll()
    waiting = homes(folder, window)[::-1]
    roamers: dict[int, Roamer] = {}
    until = time.monotonic() + PATIENCE + window / SLOWEST
    # Everybody is registered once before the clock starts: the home agent may still be hearing of them.
    begun: set[int] = set()
    while waiting or begun:
        while waiting and len(begun) < AT_ONCE:
            roamer = Roamer(waiting.pop(), agent, poll)
            roamers[roamer.socket.fileno()] = roamer
            begun.add(roamer.socket.fileno())
        for number, _ in poll.poll(0.05):
            roamers[number].readable()
        for number in tuple(begun):
            if roamers[number].registered:
                begun.discard(number)
            else:
                roamers[number].tick()
        if time.monotonic() > until:
            raise RuntimeError("not everybody is registered")
    print("ready", flush=True)
    sys.stdin.readline()
    began = looked = time.monotonic()
    took: list[float] = []
    for each in roamers.values():
        each.begin()
    while len(took) < count:
        for number, _ in poll.poll(0.05):
            roamer = roamers[number]
            if roamer.readable():
                took.append(time.monotonic() - roamer.began)
                roamer.begin()
        # A datagram may be lost, and is sent again when that is due.
        if time.monotonic() - looked > 1:
            looked = time.monotonic()
            for each in roamers.values():
                each.tick()
    lasted = time.monotonic() - began
    cuts = statistics.quantiles(took, n=100)
    print(len(took) / lasted, 1000 * cuts[49], 1000 * cuts[98], flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), ("127.0.0.1", int(sys.argv[2])), int(sys.argv[3]), int(sys.argv[4]))
