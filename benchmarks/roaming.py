"""A roaming network for benchmarks: who takes part, their configurations, and nodes at the key distribution center."""

from __future__ import annotations

import os
import time
from collections import deque
from pathlib import Path
from typing import Final

from seckex.config.kdc import Kdc
from seckex.config.policy import PolicySettings
from seckex.machine import Now
from seckex.node.actions import Commit
from seckex.roles.kdc.center import Center, NewPrincipal
from seckex.storage.masterkey import load_master_key
from seckex.storage.sqlite import SqliteStore

AGENT: Final = "agent@visited.example"
HOME: Final = "home@example.org"
CENTER: Final = "kdc@example.org"
POLICY: Final = PolicySettings().as_policy()


def node_name(number: int) -> str:
    """Return the NAI of a node."""
    return f"node{number}@example.org"


def _common(role: str, nai: str) -> str:
    name = nai.partition("@")[0]
    return f"""\
role = "{role}"
[identity]
nai = "{nai}"
certificate = "{name}.pem"
private-key = "{name}.key"
trust = ["ca.pem"]
[state]
directory = "{name}"
[log]
level = "error"
"""


def configurations(keying: str, ports: tuple[int, int, int, int]) -> dict[str, str]:
    """Return the files of the direct topology, by daemon; ``ports`` are the agent's, home's and for hops."""
    agent, home, home_hops, center_hops = ports
    return {
        "kdc": _common("kdc", CENTER)
        + f'[kdc]\n[hops-listen]\naddresses = ["127.0.0.1"]\nport = {center_hops}\naccept = ["{HOME}"]\n',
        "responder": _common("responder", HOME)
        + f"""\
[listen]
addresses = ["127.0.0.1"]
port = {home}
[[peers]]
nai = "*@example.org"
authentication = "registration"
[limits]
associations = 1000000
[home-agent]
keying = "{keying}"
kdcs = ["{CENTER}"]
replies = 1000000
[[hops]]
nai = "{CENTER}"
address = "127.0.0.1"
port = {center_hops}
[hops-listen]
addresses = ["127.0.0.1"]
port = {home_hops}
accept = ["{AGENT}"]
""",
        "agent": _common("agent", AGENT)
        + f"""\
[listen]
addresses = ["127.0.0.1"]
port = {agent}
[limits]
cookies = "never"
source-rate = 1000000
source-burst = 1000000
[foreign-agent]
groups = []
answers = 65536
visitors = 1000000
[[hops]]
nai = "{HOME}"
address = "127.0.0.1"
port = {home_hops}
""",
    }


def enrol(folder: Path, count: int) -> None:
    """Add ``count`` nodes to the database of a center that does not run."""
    state = folder / "kdc"
    state.mkdir(mode=0o700)
    database = state / "seckex.db"
    store = SqliteStore(database, load_master_key(state / "master.key", database, os.urandom), os.urandom)
    now = Now(time.monotonic(), time.time())
    center = Center(CENTER, Kdc(), os.urandom)
    center.start(store.load(0, now.wall), now)
    for number in range(count):
        waiting = deque(center.add(NewPrincipal(nai=node_name(number), home_agent=HOME), now, lambda _: None))
        while waiting:
            action = waiting.popleft()
            if isinstance(action, Commit):
                (outcome,) = store.commit([action.unit])
                waiting.extend(center.committed(action.token, outcome, now))
    store.close()
