"""Keys issued per second by one key distribution center, against AS exchanges of MIT's krb5kdc in the same run.

The center is the real daemon: requests come over an established hop (mutual TLS),
each is for another registration, and keys are durable before they leave. The
load comes from another process over one connection, a window of requests in
flight. krb5kdc answers over UDP and stores nothing; it is left out where it is not installed.
"""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from benchmarks import kerberos
from benchmarks.daemons import daemon, folder, free_port, line, process, wait_for
from benchmarks.rows import Row, alternate
from seckex.config.files import create_private
from seckex.crypto.issuing import Authority

NODES: Final = 1000
WINDOW: Final = 256
KDC: Final = "kdc@example.org"
HOME: Final = "home@example.org"


def kdc_toml(port: int) -> str:
    """Return the configuration of the center that is measured."""
    return f"""\
role = "kdc"
[identity]
nai = "{KDC}"
certificate = "kdc.pem"
private-key = "kdc.key"
trust = ["ca.pem"]
[hops-listen]
addresses = ["127.0.0.1"]
port = {port}
accept = ["{HOME}"]
[state]
directory = "state"
[log]
level = "error"
"""


def write_certificates(path: Path) -> None:
    """Make an authority, and the certificates of center and home agent."""
    now = time.time()
    made = Authority.issue_itself("an authority", now, 30)
    authority = Authority.from_pem(made.certificate, made.key.octets)
    create_private(path / "ca.pem", made.certificate)
    for name, nai in (("kdc", KDC), ("home", HOME)):
        issued = authority.issue(nai, now, 30)
        create_private(path / f"{name}.pem", issued.certificate)
        create_private(path / f"{name}.key", issued.key.octets)


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


def _go(load: subprocess.Popen[str]) -> float:
    line(load)
    if load.stdin is not None:
        load.stdin.write("go\n")
        load.stdin.flush()
    return float(line(load))


def _keys(count: int) -> float:
    with folder() as path:
        port = free_port()
        write_certificates(path)
        (path / "kdc.toml").write_text(kdc_toml(port))
        with daemon("kdc", path) as center:
            wait_for(path / "state" / "control.sock", center)
            add_nodes(path / "state" / "control.sock")
            arguments = (str(path), str(port), str(count), str(WINDOW))
            with process("-m", "benchmarks.key_requests", *arguments) as load:
                return _go(load)


def _tickets(count: int) -> float:
    with folder() as path:
        port = free_port()
        with (
            kerberos.realm(path, port),
            process("-m", "benchmarks.kerberos", str(port), str(count), str(WINDOW)) as load,
        ):
            return _go(load)


def measure(quick: bool) -> Sequence[Row]:
    """Return the rows."""
    runs, count = (1, 5000) if quick else (5, 40000)
    absent = kerberos.missing()
    if absent:
        click.echo(f"without a peer: {absent}", err=True)
        [ours] = alternate(runs, lambda: _keys(count))
        return [Row("keys issued", "1/s", ours, None, "krb5kdc AS exchanges", 1.0)]
    ours, peer = alternate(runs, lambda: _keys(count), lambda: _tickets(count))
    return [Row("keys issued", "1/s", ours, peer, "krb5kdc AS exchanges", 1.0)]
