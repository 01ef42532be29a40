"""Two daemons with messages for benchmarks: their settings, and their processes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from benchmarks.certificates import make_principals
from benchmarks.daemons import folder, free_port, line, process
from benchmarks.vaults import HOME, NODE

SERVICE: Final = "orders"
_HOME: Final = """\
role = "responder"
[identity]
nai = "{home}"
certificate = "home.pem"
private-key = "home.key"
trust = ["ca.pem"]
[state]
directory = "home"
[log]
level = "error"
[listen]
port = {port}
[messages.services.orders]
from = ["{node}"]
largest = "2 GiB"
"""
_NODE: Final = """\
role = "initiator"
[identity]
nai = "{node}"
certificate = "node.pem"
private-key = "node.key"
trust = ["ca.pem"]
[state]
directory = "node"
[log]
level = "error"
[[messages.peers]]
nai = "{home}"
address = "127.0.0.1"
port = {port}
"""


def write_settings(path: Path) -> None:
    """Write ``home.toml`` and ``node.toml``, with certificates."""
    make_principals(path, {"node": NODE, "home": HOME})
    names = {"node": NODE, "home": HOME, "port": free_port()}
    for name, text in (("home", _HOME), ("node", _NODE)):
        (path / f"{name}.toml").write_text(text.format(**names))


def posted(test: str, count: int, dialogs: int = 1) -> tuple[float, float]:
    """Return what a test of `benchmarks.posting` has found between two new daemons."""
    with folder() as path:
        write_settings(path)
        with process("-m", "benchmarks.posting", "home", str(path)) as home:
            line(home)
            words = (str(path), test, str(count), str(dialogs), str(home.pid))
            with process("-m", "benchmarks.posting", "node", *words) as node:
                first, second = map(float, line(node).split())
                return first, second
