"""Dialogs against TLS and plain TCP: 64 KiB messages one way, and 64-octet echoes one at a time; and through forwards.

Both ends are processes of their own. The forwards' figure has four: a sender, two
real daemons, a receiver; it shares the machine's cores among them and has no peer.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from benchmarks.certificates import make_certificate
from benchmarks.daemons import daemon, folder, free_port, line, process, wait_for
from benchmarks.rows import Row, alternate
from benchmarks.setups import HOME, responder_toml, write_key

INITIATOR = """\
role = "initiator"
[identity]
nai = "node@example.net"
[state]
directory = "node"
[log]
level = "error"
[[peers]]
nai = "home@example.org"
key0 = "key0.toml"
address = "127.0.0.1"
port = {port}
[[forwards]]
listen = "tcp:{forward}:interface=127.0.0.1"
peer = "{home}"
service = "sink"
"""
SERVICE = """\
services = ["sink"]
[services.sink]
connect = "tcp:host=127.0.0.1:port={port}"
"""


def _measure(carrier: str, test: str, count: int) -> float:
    with folder() as path:
        make_certificate(path / "server.pem", "server")
        words = (carrier, test, str(free_port()), str(count))
        with process("-m", "benchmarks.carrier", "server", *words, str(path)) as server:
            line(server)
            with process("-m", "benchmarks.carrier", "client", *words) as client:
                return float(line(server if test == "messages" else client))


def _forwarded(count: int) -> float:
    with folder() as path:
        port, forward, sink = free_port(), free_port(), free_port()
        write_key(path / "key0.toml")
        (path / "responder.toml").write_text(responder_toml(port, "home") + SERVICE.format(port=sink))
        (path / "initiator.toml").write_text(INITIATOR.format(port=port, forward=forward, home=HOME))
        words = ("tcp", "messages")
        with (
            process("-m", "benchmarks.carrier", "server", *words, str(sink), str(count), str(path)) as receiver,
            daemon("responder", path) as responder,
        ):
            wait_for(path / "home" / "control.sock", responder)
            with daemon("initiator", path) as initiator:
                wait_for(path / "node" / "control.sock", initiator)
                line(receiver)
                with process("-m", "benchmarks.carrier", "client", *words, str(forward), str(count)):
                    return float(line(receiver))


def measure(quick: bool) -> Sequence[Row]:
    """Return the rows."""
    runs, messages, echoes = (1, 4000, 4000) if quick else (5, 30000, 30000)
    kinds = ("dialog", "tls", "tcp")
    dialog, tls, plain = alternate(runs, *(partial(_measure, kind, "messages", messages) for kind in kinds))
    echo, tls_echo, plain_echo = alternate(runs, *(partial(_measure, kind, "echo", echoes) for kind in kinds))
    (through,) = alternate(runs, partial(_forwarded, messages // 2))
    return [
        Row("64 KiB messages over a dialog", "MB/s", dialog, tls, "Twisted TLS", 2.0),
        Row("64 KiB messages over a dialog", "MB/s", dialog, plain, "plain Twisted TCP", 0.65),
        Row("64 KiB messages through forwards, four processes", "MB/s", through, plain, "plain Twisted TCP", None),
        Row("64-octet echo over a dialog", "us", echo, plain_echo, "plain Twisted TCP", 1.25, lower=True),
        Row("64-octet echo over a dialog", "us", echo, tls_echo, "Twisted TLS", None, lower=True),
    ]
