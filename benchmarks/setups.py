"""Associations set up per second by one responder daemon, against mutual-TLS connections accepted by a Twisted server.

The load comes from another process, made before the clock starts: offers under
one KEY 0, a window of them in flight. The responder is the real daemon: UDP,
X25519, its store durable before each answer.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.daemons import daemon, folder, free_port, line, process, wait_for
from benchmarks.rows import Row, alternate
from seckex.config.files import create_private
from seckex.config.key0 import Key0, render_key0
from seckex.crypto.secrets import Secret

HOME: Final = "home@example.org"
NODE: Final = "node@example.net"


def responder_toml(port: int, state: str) -> str:
    """Return the configuration of the responder that is measured."""
    return f"""\
role = "responder"
[identity]
nai = "{HOME}"
[listen]
addresses = ["127.0.0.1"]
port = {port}
[state]
directory = "{state}"
[log]
level = "error"
[limits]
cookies = "never"
source-rate = 1000000
source-burst = 1000000
replay-records = 1000000
associations = 1000000
[[peers]]
nai = "{NODE}"
key0 = "key0.toml"
"""


def write_key(path: Path) -> None:
    """Make the KEY 0 of a benchmark."""
    key = Key0(spi=0x5EC0DE, kvno=1, initiator=NODE, responder=HOME, key=Secret(secrets.token_bytes(32)))
    create_private(path, render_key0(key).encode())


def _associations(count: int) -> float:
    with folder() as path:
        port = free_port()
        write_key(path / "key0.toml")
        (path / "responder.toml").write_text(responder_toml(port, "state"))
        with (
            process("-m", "benchmarks.offers", str(path / "key0.toml"), str(port), str(count)) as load,
            daemon("responder", path) as responder,
        ):
            wait_for(path / "state" / "control.sock", responder)
            line(load)
            if load.stdin is not None:
                load.stdin.write("go\n")
                load.stdin.flush()
            return float(line(load))


def tls_connections(count: int) -> float:
    """Return how many mutual TLS connections a second a Twisted server takes."""
    with folder() as path, process("-m", "benchmarks.tls_server", str(path)) as server:
        port = line(server)
        with process("-m", "benchmarks.tls_client", str(path), port, str(count)) as client:
            return float(line(client))


def measure(quick: bool) -> Sequence[Row]:
    """Return the rows."""
    runs, offers, connections = (1, 2000, 300) if quick else (5, 12000, 1200)
    ours, peer = alternate(runs, lambda: _associations(offers), lambda: tls_connections(connections))
    return [Row("associations set up", "1/s", ours, peer, "Twisted mutual TLS connects", 10.0)]
