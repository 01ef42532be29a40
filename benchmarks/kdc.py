"""Keys issued per second by one key distribution center, against AS exchanges of MIT's krb5kdc in the same run.

The center is the real daemon: requests come over an established hop (mutual TLS),
each is for another registration, and keys are durable before they leave. The
load comes from another process over one connection, a window of requests in
flight. krb5kdc answers over UDP and stores nothing; it is left out where it is not installed.

The same with very many nodes is in `benchmarks.kdc_scale`.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from benchmarks import kdc_scale, kerberos
from benchmarks.center import HOME, WINDOW, go, issued, kdc_toml, write_certificates
from benchmarks.daemons import daemon, folder, free_port, process, wait_for
from benchmarks.rows import Row, alternate

NODES: Final = 1000


def add_nodes(control: Path) -> None:
    """Have a daemon add the nodes that keys are asked for."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(control))
        answers = connection.makefile("r")
        for number in range(NODES):
            request = {"command": "kdc-add", "principal": f"node{number}@example.org", "home_agent": HOME}
            connection.sendall(json.dumps(request).encode() + b"\n")
            if "error" in json.loads(answers.readline()):
                raise RuntimeError("a node cannot be added")


def _keys(count: int) -> float:
    with folder() as path:
        port = free_port()
        write_certificates(path)
        (path / "kdc.toml").write_text(kdc_toml(port))
        with daemon("kdc", path) as center:
            wait_for(path / "state" / "control.sock", center)
            add_nodes(path / "state" / "control.sock")
            return issued(path, port, count, NODES)


def _tickets(count: int) -> float:
    with folder() as path:
        port = free_port()
        with (
            kerberos.realm(path, port),
            process("-m", "benchmarks.kerberos", str(port), str(count), str(WINDOW)) as load,
        ):
            return go(load)


def measure(quick: bool) -> Sequence[Row]:
    """Return the rows."""
    runs, count = (1, 5000) if quick else (5, 40000)
    scale = kdc_scale.measure(quick)
    absent = kerberos.missing()
    if absent:
        click.echo(f"without a peer: {absent}", err=True)
        [ours] = alternate(runs, lambda: _keys(count))
        return [Row("keys issued", "1/s", ours, None, "krb5kdc AS exchanges", 1.0), *scale]
    ours, peer = alternate(runs, lambda: _keys(count), lambda: _tickets(count))
    return [Row("keys issued", "1/s", ours, peer, "krb5kdc AS exchanges", 1.0), *scale]
