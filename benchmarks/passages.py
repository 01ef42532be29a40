"""64 KiB messages from a node by way of its agent to its home agent, against the same through a plain Twisted relay.

Three processes in each case. The peer's have nothing but TCP to do; ours encrypt at both ends, admit both hops, and
prove what they carry.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from benchmarks.daemons import free_port, line, process
from benchmarks.rows import Row, alternate


def _measure(how: str, count: int) -> float:
    words = (how, str(count), str(free_port()), str(free_port()))
    with process("-m", "benchmarks.passing", "home", *words) as home:
        line(home)
        with process("-m", "benchmarks.passing", "agent", *words) as agent:
            line(agent)
            with process("-m", "benchmarks.passing", "node", *words):
                return float(line(home))


def measure(quick: bool) -> Sequence[Row]:
    """Return the rows."""
    runs, messages = (1, 4000) if quick else (5, 30000)
    kinds = ("passage", "plain", "tuned")
    ours, plain, tuned = alternate(runs, *(partial(_measure, kind, messages) for kind in kinds))
    what = "64 KiB messages node, agent, home, three processes"
    return [
        Row(what, "MB/s", ours, plain, "plain Twisted TCP relay", 0.6),
        Row(what, "MB/s", ours, tuned, "the same, with larger reads", None),
    ]
