"""Complete registrations per second, and how long one takes, through an agent, a home agent and a center.

The direct topology, stateful, each role one process, real daemons with TLS
hops and their stores on disk; many mobile nodes in one more process. The peers
are figures of a C IKEv2 daemon, measured on two cores: 779 set-ups a second with
both ends on them, 3.5 ms for one.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from benchmarks.certificates import make_principals
from benchmarks.daemons import daemon, folder, free_port, line, process, wait_for
from benchmarks.roaming import AGENT, CENTER, HOME, configurations, enrol
from benchmarks.rows import Row, alternate

WINDOW = 64


def registrations(window: int, count: int, keying: str = "stateful") -> tuple[float, float, float]:
    """Return registrations a second, and the 50th and 99th percentile of milliseconds."""
    with ExitStack() as stack:
        path = stack.enter_context(folder())
        ports = free_port(), free_port(), free_port(), free_port()
        make_principals(path, {nai.partition("@")[0]: nai for nai in (AGENT, HOME, CENTER)})
        for name, text in configurations(keying, ports).items():
            (path / f"{name}.toml").write_text(text)
        enrol(path, window)
        for role, state in (("kdc", "kdc"), ("responder", "home"), ("agent", "agent")):
            child = stack.enter_context(daemon(role, path))
            wait_for(path / state / "control.sock", child)
        load = stack.enter_context(
            process("-m", "benchmarks.roamers", str(path), str(ports[0]), str(window), str(count))
        )
        line(load)
        if load.stdin is not None:
            load.stdin.write("go\n")
            load.stdin.flush()
        rate, half, most = map(float, line(load).split())
        return rate, half, most


def measure(quick: bool) -> Sequence[Row]:
    """Return the rows."""
    runs, count, single = (1, 3000, 300) if quick else (5, 20000, 2000)
    alone: list[tuple[float, float, float]] = []

    def one() -> float:
        alone.append(registrations(1, single))
        return alone[-1][1]

    rate, half = alternate(runs, lambda: registrations(WINDOW, count)[0], one)
    most = sorted(each[2] for each in alone)[len(alone) // 2]
    return [
        Row("complete registrations, direct, stateful", "1/s", rate, None, "", 1000),
        Row("one registration, p50", "ms", half, None, "", 3.5, lower=True),
        Row("one registration, p99", "ms", most, None, "", 10, lower=True),
    ]
