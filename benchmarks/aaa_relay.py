"""The AAA relay that `benchmarks.aaa` measures: ``python -m benchmarks.aaa_relay FOLDER PORT HOME_PORT``.

The parts are those of the daemon: secure hops, the house with its role, the
edge that drives it; there is nothing that would have to be durable. It listens on PORT, passes
everything on to the home agent at HOME_PORT, and prints a line when it is ready.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Final

from twisted.internet import reactor as installed

from seckex.config.aaa import Aaa
from seckex.config.common import Identity
from seckex.config.credentials import read_credentials
from seckex.config.files import Owner
from seckex.config.hops import Hop, HopsListen
from seckex.net.hops.hops import Hops
from seckex.net.house import HouseAtEdge
from seckex.net.log import EventLog
from seckex.net.principal import Clock
from seckex.net.sockets import Sockets
from seckex.roles.aaa.relay import AaaRelay
from seckex.roles.aaa.ways import Ways
from seckex.roles.house import House

reactor: Any = installed

RELAY: Final = "aaa@visited.example"
AGENT: Final = "agent@visited.example"
HOME: Final = "home@home.example"


def main() -> None:
    """Run until ended."""
    folder, port, home_port = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    identity = Identity(
        nai=RELAY, certificate=folder / "aaa.pem", private_key=folder / "aaa.key", trust=(folder / "ca.pem",)
    )
    credentials, problems = read_credentials(identity, Owner())
    if problems:
        raise SystemExit("; ".join(map(str, problems)))
    clock = Clock(monotonic=reactor.seconds)
    log = EventLog("warn", clock.wall)
    house = House(RELAY, {"aaa": AaaRelay(RELAY, Ways.of(Aaa(home_agents=(HOME,))), 4096, os.urandom)})
    nothing: Any = None
    edge = HouseAtEdge(reactor, house, lambda _octets, _path: None, nothing, nothing, log, clock)
    listen = HopsListen(addresses=("127.0.0.1",), port=port, accept=(AGENT,))
    neighbours = (Hop(nai=HOME, address="127.0.0.1", port=home_port),)
    hops = Hops(reactor, RELAY, neighbours, listen, credentials, edge.heard, edge.unreachable, log, clock)
    edge.hops = hops
    hops.ports.bind(Sockets({}))
    hops.open()
    print("ready", flush=True)
    reactor.run()


main()
