"""A key distribution center with 1,000,000 nodes beside itself with 1,000: issue rate, start-up, memory.

Start-up is from the start of the process until it has issued keys for one node, and, told apart, until it has looked at
all nodes; the interpreter and all modules are part of it. Memory is what the process has more with
many nodes than with few, by node.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks import principals
from benchmarks.center import issued, kdc_toml, write_certificates
from benchmarks.daemons import daemon, folder, free_port, wait_for
from benchmarks.key_requests import connect, drive, requests
from benchmarks.rows import Row, alternate

FEW: Final = 1000
MANY: Final = 1_000_000
_PATIENCE: Final = 300.0


class _Center:
    """The state of a center, which is started more than once; times and sizes of each start."""

    def __init__(self, path: Path, nodes: int) -> None:
        self.path, self.nodes = path, nodes
        self.first: list[float] = []
        self.all: list[float] = []
        self.octets: list[float] = []
        path.mkdir()
        write_certificates(path)
        principals.write(path, nodes)

    @contextmanager
    def running(self) -> Iterator[int]:
        """Start it, and measure that; yield its port."""
        port = free_port()
        (self.path / "kdc.toml").write_text(kdc_toml(port))
        control = self.path / "state" / "control.sock"
        begun = time.monotonic()
        with daemon("kdc", self.path) as center:
            self._first_key(port)
            self.first.append(time.monotonic() - begun)
            wait_for(control, center)
            while _counter(control, "kdc.unopened"):
                if time.monotonic() - begun > _PATIENCE:
                    raise RuntimeError("the center does not get to know its nodes")
                time.sleep(0.05)
            self.all.append(time.monotonic() - begun)
            self.octets.append(_resident(center.pid))
            yield port

    def _first_key(self, port: int) -> None:
        made = requests(1, self.nodes)
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                with connect(self.path, port) as hop:
                    drive(hop, made, 1)
                return
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.02)

    def rate(self, count: int) -> float:
        """Start it, and return how many keys it issues a second."""
        with self.running() as port:
            return issued(self.path, port, count, self.nodes)


def _counter(control: Path, name: str) -> int:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(control))
        connection.sendall(b'{"command": "status"}\n')
        with connection.makefile("r") as answers:
            return int(json.loads(answers.readline())["counters"][name])


def _resident(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("the process has no memory")


def measure(quick: bool) -> Sequence[Row]:
    """Return the rows."""
    runs, count, nodes = (1, 5000, 20_000) if quick else (3, 40_000, MANY)
    with folder() as path:
        few, many = _Center(path / "few", FEW), _Center(path / "many", nodes)
        ours, peer = alternate(runs, lambda: many.rate(count), lambda: few.rate(count))
    each = (min(many.octets) - min(few.octets)) / (nodes - FEW)
    return [
        Row(f"keys issued, {nodes:,} nodes", "1/s", ours, peer, f"with {FEW:,}", 0.9),
        Row(f"start to first key, {nodes:,} nodes", "s", sorted(many.first)[runs // 2], None, "", 5.0, lower=True),
        Row(f"start to all known, {nodes:,} nodes", "s", sorted(many.all)[runs // 2], None, "", None),
        Row("memory of a node", "octets", each, None, "", None),
    ]
