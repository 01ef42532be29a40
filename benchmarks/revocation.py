"""How long after ``kdc revoke`` a stolen device has nothing left, among many nodes that are registered.

Real daemons: a center, a home agent, an agent; so many nodes in one more process, registered
through the agent; and one whole node whose program downloads through it. The
clock starts with the command and stops when the last of these is seen: the
home agent has forgotten the node's keys and closed its passage, the agent has
deleted the visitor and closed its side, and the program's connection is over.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from benchmarks.certificates import make_principals
from benchmarks.daemons import daemon, folder, free_port, line, process, wait_for
from benchmarks.moves import command, serve
from benchmarks.roaming import AGENT, CENTER, HOME, configurations, enrol, node_name
from benchmarks.rows import Row

_PATIENCE: Final = 120.0
_SERVICE: Final = '[services.download]\nconnect = "tcp:127.0.0.1:{web}"\n'
_NODE: Final = """\
role = "initiator"
[identity]
nai = "{nai}"
[state]
directory = "node"
[log]
level = "error"
[[peers]]
nai = "{home}"
authentication = "registration"
address = "127.0.0.1"
port = {port}
[registration]
solicit = ["127.0.0.1"]
port = {agent}
groups = []
[[forwards]]
listen = "tcp:{forward}:interface=127.0.0.1"
peer = "{home}"
service = "download"
"""
#: What is told when something of the node has gone, by daemon.
_GONE: Final = {
    "home": ("NodeRevoked", "PassageClosed"),
    "agent": ("VisitorRevoked", "PassageClosed"),
}


def _configure(path: Path, ports: tuple[int, int, int, int], nai: str, web: int, forward: int) -> None:
    make_principals(path, {each.partition("@")[0]: each for each in (AGENT, HOME, CENTER)})
    for name, text in configurations("stateful", ports).items():
        state = {"responder": "home"}.get(name, name)
        text = text.replace('level = "error"', f'format = "json"\nfile = "{state}.log"')
        text = text.replace(
            'authentication = "registration"', 'authentication = "registration"\nservices = ["download"]'
        )
        (path / f"{name}.toml").write_text(text + (_SERVICE.format(web=web) if name == "responder" else ""))
    node = _NODE.format(nai=nai, home=HOME, port=ports[1], agent=ports[0], forward=forward)
    (path / "node.toml").write_text(node)


def _seen(path: Path) -> list[float]:
    """Return when each thing that is to go has gone (wall clock), as far as it has."""
    found = []
    for name, events in _GONE.items():
        told = [json.loads(each) for each in (path / f"{name}.log").read_text().splitlines()]
        found += [
            next(each["time"] for each in told if each["event"] == event)
            for event in events
            if any(each["event"] == event for each in told)
        ]
    return found


def _until(what: str, done: Callable[[], object]) -> None:
    until = time.monotonic() + _PATIENCE
    while not done():
        if time.monotonic() > until:
            raise RuntimeError(f"waited in vain for {what}")
        time.sleep(0.02)


def revoked_within(count: int) -> float:
    """Return the seconds that it takes among ``count`` nodes that are registered."""
    nai = node_name(count)
    with ExitStack() as stack:
        path = stack.enter_context(folder())
        ports = free_port(), free_port(), free_port(), free_port()
        forward = free_port()
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        _configure(path, ports, nai, listener.getsockname()[1], forward)
        enrol(path, count + 1)
        for role, state in (("kdc", "kdc"), ("responder", "home"), ("agent", "agent")):
            wait_for(path / state / "control.sock", stack.enter_context(daemon(role, path)))
        words = (str(path), str(ports[0]), str(count), "0")
        line(stack.enter_context(process("-m", "benchmarks.roamers", *words)))
        command(path, "provision", "--new-key", "device.key")
        command(path, "kdc", "export", nai, "--to", "device.key.pub", "-o", "node.sealed", "--config", "kdc.toml")
        command(path, "provision", "node.sealed", "--key", "device.key", "--config", "node.toml")
        wait_for(path / "node" / "control.sock", stack.enter_context(daemon("initiator", path, "node")))
        _until("the passage", lambda: '"event": "PassageOpened"' in (path / "home.log").read_text())
        download = stack.enter_context(socket.create_connection(("127.0.0.1", forward), timeout=_PATIENCE))
        if not download.recv(1 << 18):
            raise RuntimeError("nothing is downloaded")
        over: list[float] = []

        def read() -> None:
            with contextlib.suppress(OSError):
                while download.recv(1 << 18):
                    pass
            over.append(time.time())

        threading.Thread(target=read, daemon=True).start()
        began = time.time()
        command(path, "kdc", "revoke", nai, "--config", "kdc.toml")
        _until("all to be gone", lambda: len(_seen(path)) == sum(map(len, _GONE.values())) and over)
        return max(*_seen(path), *over) - began


def measure(quick: bool) -> Sequence[Row]:
    """Return the rows."""
    count = 500 if quick else 10000
    seconds = revoked_within(count)
    what = f"from kdc revoke to nothing left anywhere, {count} nodes registered"
    return [Row(what, "s", seconds, None, "", 5, lower=True)]
