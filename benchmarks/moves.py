"""How long a download stands still while its node moves from one agent to another and back, again and again.

Real daemons on loopback: a node, two agents, a home agent with its center. A program
downloads through the node's forward as fast as it can. The pause is the one
that the node tells of: from the last octets over the old link to the first over the new one;
round trips are those that fell into it.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from click.testing import CliRunner

from benchmarks.certificates import make_principals
from benchmarks.daemons import daemon, folder, free_port, wait_for
from benchmarks.rows import Row
from seckex.cli.control_client import ask
from seckex.cli.main import main

HOME: Final = "home@example.org"
NODE: Final = "node@example.org"
AGENTS: Final = ("north@example.net", "south@example.net")
_PATIENCE: Final = 30.0
_PIECE: Final = bytes(65536)

_START: Final = """\
role = "{role}"
[identity]
nai = "{nai}"
{more}
[state]
directory = "{name}"
[log]
level = "error"
"""
_CERTIFIED: Final = 'certificate = "{name}.pem"\nprivate-key = "{name}.key"\ntrust = ["ca.pem"]'
_NODE: Final = """
[[peers]]
nai = "home@example.org"
authentication = "registration"
address = "127.0.0.1"
port = {home}
[registration]
solicit = ["127.0.0.2", "127.0.0.3"]
port = {agent}
groups = []
[[forwards]]
listen = "tcp:{forward}:interface=127.0.0.1"
peer = "home@example.org"
service = "download"
"""
_AGENT: Final = """
[listen]
addresses = ["{address}"]
port = {agent}
[foreign-agent]
groups = []
[[hops]]
nai = "home@example.org"
address = "127.0.0.1"
port = {hops}
"""
_HOME: Final = """
[listen]
addresses = ["127.0.0.1"]
port = {home}
[home-agent]
kdcs = ["home@example.org"]
[kdc]
[hops-listen]
addresses = ["127.0.0.1"]
port = {hops}
accept = ["north@example.net", "south@example.net"]
[[peers]]
nai = "*@example.org"
authentication = "registration"
services = ["download"]
[services.download]
connect = "tcp:127.0.0.1:{web}"
"""


def _configure(path: Path, ports: dict[str, int]) -> None:
    names = {nai.partition("@")[0]: nai for nai in (*AGENTS, HOME)}
    make_principals(path, names)
    texts = {"home": _HOME.format(**ports)}
    for number, name in enumerate(("north", "south"), start=2):
        texts[name] = _AGENT.format(address=f"127.0.0.{number}", **ports)
    for name, text in texts.items():
        role = "responder" if name == "home" else "agent"
        start = _START.format(role=role, nai=names[name], name=name, more=_CERTIFIED.format(name=name))
        (path / f"{name}.toml").write_text(start + text)
    (path / "node.toml").write_text(
        _START.format(role="initiator", nai=NODE, name="node", more="") + _NODE.format(**ports)
    )


def command(path: Path, *words: str) -> None:
    """Run the ``seckex`` command in this process, on files of a folder."""
    files = [str(path / word) if "." in word and "@" not in word else word for word in words]
    done = CliRunner().invoke(main, files)
    if done.exit_code:
        raise RuntimeError(f"seckex {' '.join(words)}: {done.output}")


def serve(listener: socket.socket) -> None:
    """Say octets without end to whoever connects."""
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_say, args=(connection,), daemon=True).start()


def _say(connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError):
        while True:
            connection.sendall(_PIECE)


@contextmanager
def _network(path: Path) -> Iterator[dict[str, int]]:
    """Run everybody; the node is registered then."""
    ports = {name: free_port() for name in ("home", "agent", "hops", "forward", "web")}
    _configure(path, ports)
    with ExitStack() as stack, socket.create_server(("127.0.0.1", ports["web"])) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        command(path, "kdc", "init", "--config", "home.toml")
        command(path, "kdc", "add", NODE, "--home-agent", HOME, "--config", "home.toml")
        for name, role in (("home", "responder"), ("north", "agent"), ("south", "agent")):
            child = stack.enter_context(daemon(role, path, name))
            wait_for(path / name / "control.sock", child)
        command(path, "provision", "--new-key", "device.key")
        command(path, "kdc", "export", NODE, "--to", "device.key.pub", "-o", "node.sealed", "--config", "home.toml")
        command(path, "provision", "node.sealed", "--key", "device.key", "--config", "node.toml")
        child = stack.enter_context(daemon("initiator", path, "node"))
        wait_for(path / "node" / "control.sock", child)
        yield ports


def _move(path: Path, agent: str) -> dict[str, Any]:
    """Move, and return what that cost."""
    asked = {"command": "move", "peer": HOME, "agent": agent, "seconds": 10}
    told = ask(path / "node" / "control.sock", asked, "seckex.move/1", _PATIENCE)
    if not told["done"]:
        raise RuntimeError(f"the node has not moved: {told}")
    moved: dict[str, Any] = told["move"]
    return moved


def _moves(count: int) -> list[dict[str, Any]]:
    with folder() as path, _network(path) as ports:
        until = time.monotonic() + _PATIENCE
        while not (role := _registration(path)):
            if time.monotonic() > until:
                raise RuntimeError("the node has not registered")
            time.sleep(0.05)
        here = AGENTS.index(role)
        with socket.create_connection(("127.0.0.1", ports["forward"]), timeout=_PATIENCE) as download:
            threading.Thread(target=_read, args=(download,), daemon=True).start()
            time.sleep(1)
            moves = []
            for _ in range(count):
                here = 1 - here
                moves.append(_move(path, AGENTS[here]))
                # As somebody who moves often would; what is left of the last move is over by then.
                time.sleep(0.3)
            return moves


def _registration(path: Path) -> str:
    status = ask(path / "node" / "control.sock", {"command": "status"}, "seckex.status/1")
    registration = status["roles"]["mobile-node"]["registration"]
    return str(registration["agent"]) if registration else ""


def _read(download: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while download.recv(1 << 18):
            pass


def measure(quick: bool) -> Sequence[Row]:
    """Return the rows."""
    moves = _moves(8 if quick else 60)
    if not all(move["dialogs"] for move in moves):
        raise RuntimeError("nothing was carried while the node moved")
    pauses = sorted(move["pause"] * 1000 for move in moves)
    registering = sorted(move["registering"] * 1000 for move in moves)
    what = "pause of a download at a move between agents"
    return [
        Row(f"{what}, p50", "ms", pauses[len(pauses) // 2], None, "", 50, lower=True),
        Row(f"{what}, p99", "ms", pauses[(len(pauses) * 99) // 100], None, "", 50, lower=True),
        Row(f"{what}, at most", "round trips", max(move["round_trips"] for move in moves), None, "", 3, lower=True),
        Row("registering at a move, p50", "ms", registering[len(registering) // 2], None, "", None, lower=True),
    ]
