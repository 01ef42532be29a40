"""Registrations that one AAA relay passes on and back per second, over TLS hops, and how much later they come.

The relay is one process, its neighbours another one. A RADIUS server of the
same run, where one is installed, authenticates names and passwords (PAP) out of
a file, over UDP: its requests are in the clear but for the password, and it
relays nothing, so that the two do different things for the same purpose.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import radius
from benchmarks.certificates import make_principals
from benchmarks.daemons import folder, free_port, line, process
from benchmarks.rows import Row, alternate

AGENT, RELAY, HOME = "agent@visited.example", "aaa@visited.example", "home@home.example"
WINDOW = 64


def _run(path: Path, window: int, count: int, *, direct: bool = False) -> tuple[float, float]:
    """Return answers a second and the median time of one in milliseconds."""
    home_port, port = free_port(), free_port()
    asked = home_port if direct else port
    ends = ("-m", "benchmarks.aaa_ends", str(path), str(home_port), str(asked), str(window), str(count))
    with process(*ends) as load, process("-m", "benchmarks.aaa_relay", str(path), str(port), str(home_port)) as relay:
        line(load)
        line(relay)
        if load.stdin is not None:
            load.stdin.write("go\n")
            load.stdin.flush()
        rate, median = map(float, line(load).split())
        return rate, median


def measure(quick: bool) -> Sequence[Row]:
    """Return the rows."""
    runs, count, single = (1, 4000, 500) if quick else (5, 30000, 3000)
    with folder() as path, radius.server(path) as server:
        make_principals(path, {"agent": AGENT, "aaa": RELAY, "home": HOME})
        measures = [
            lambda: _run(path, WINDOW, count)[0],
            lambda: _run(path, 1, single)[1],
            lambda: _run(path, 1, single, direct=True)[1],
        ]
        if server is not None:
            measures.append(lambda: radius.authentications(server, WINDOW, count))
        rate, through, straight, *theirs = alternate(runs, *measures)
    peer = theirs[0] if theirs else None
    name = "FreeRADIUS, PAP over UDP, authentications"
    return [
        Row("AAA relay, registrations over TLS hops", "1/s", rate, peer, name, 1.5),
        Row("AAA relay, a registration comes later by (p50)", "ms", through - straight, None, "", 0.5, lower=True),
    ]


if __name__ == "__main__":
    began = time.perf_counter()
    for row in measure(quick=True):
        print(row)
    print(time.perf_counter() - began)
