"""Registrations that one AAA relay passes on and back per second, over TLS hops, and how much later they come.

The relay is the daemon, one process; its neighbours are another one. A RADIUS server of the
same run, where one is installed, authenticates names and passwords (PAP) out of
a file, over UDP: its requests are in the clear but for the password, and it
relays nothing, so that the two do different things for the same purpose.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from subprocess import Popen

from benchmarks import radius
from benchmarks.certificates import make_principals
from benchmarks.daemons import daemon, folder, free_port, line, process, wait_for
from benchmarks.rows import Row, alternate

AGENT, RELAY, HOME = "agent@visited.example", "aaa@visited.example", "home@home.example"
WINDOW = 64


SETTINGS = """\
role = "agent"
[identity]
nai = "{relay}"
certificate = "aaa.pem"
private-key = "aaa.key"
trust = ["ca.pem"]
[listen]
addresses = ["127.0.0.1"]
port = {listen}
[state]
directory = "state-{port}"
[log]
level = "error"
[aaa]
home-agents = ["{home}"]
[[hops]]
nai = "{home}"
address = "127.0.0.1"
port = {home_port}
[hops-listen]
addresses = ["127.0.0.1"]
port = {port}
accept = ["{agent}"]
"""


def _ends(path: Path, window: int, count: int, home_port: int, asked: int) -> AbstractContextManager[Popen[str]]:
    return process("-m", "benchmarks.aaa_ends", str(path), str(home_port), str(asked), str(window), str(count))


def _measured(load: Popen[str]) -> tuple[float, float]:
    """Return answers a second and the median time of one in milliseconds."""
    if load.stdin is not None:
        load.stdin.write("go\n")
        load.stdin.flush()
    rate, median = map(float, line(load).split())
    return rate, median


def _through(path: Path, window: int, count: int) -> tuple[float, float]:
    """Measure by way of a relay."""
    listen, home_port, port = free_port(), free_port(), free_port()
    names = {"relay": RELAY, "home": HOME, "agent": AGENT}
    text = SETTINGS.format(listen=listen, port=port, home_port=home_port, **names)
    (path / "agent.toml").write_text(text)
    with _ends(path, window, count, home_port, port) as load:
        line(load)
        with daemon("agent", path) as relay:
            wait_for(path / f"state-{port}" / "control.sock", relay)
            return _measured(load)


def _straight(path: Path, window: int, count: int) -> tuple[float, float]:
    """Measure without any."""
    home_port = free_port()
    with _ends(path, window, count, home_port, home_port) as load:
        line(load)
        return _measured(load)


def measure(quick: bool) -> Sequence[Row]:
    """Return the rows."""
    runs, count, single = (1, 4000, 500) if quick else (5, 30000, 3000)
    with folder() as path, radius.server(path) as server:
        make_principals(path, {"agent": AGENT, "aaa": RELAY, "home": HOME})
        measures = [
            lambda: _through(path, WINDOW, count)[0],
            lambda: _through(path, 1, single)[1],
            lambda: _straight(path, 1, single)[1],
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
