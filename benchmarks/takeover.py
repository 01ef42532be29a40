"""What a receiver sees while one link after another takes its dialog over, in full flight, make before break.

Both ends are processes of their own. The figure beside is that of the same
stream on one link: what the machine does to it anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from benchmarks.daemons import free_port, line, process
from benchmarks.rows import Row, alternate


def _longest_pause(takeovers: int) -> float:
    words = (str(free_port()), str(takeovers))
    with process("-m", "benchmarks.handover", "server", *words) as server:
        line(server)
        with process("-m", "benchmarks.handover", "client", *words):
            pause, octets = line(server).split()
    if octets != "whole":
        raise RuntimeError("octets were lost, or came twice")
    return float(pause)


def measure(quick: bool) -> Sequence[Row]:
    """Return the rows."""
    runs, takeovers = (1, 8) if quick else (5, 20)
    ours, alone = alternate(runs, partial(_longest_pause, takeovers), partial(_longest_pause, 0))
    what = "longest pause of a full stream while links take over"
    return [
        Row(what, "ms", ours, None, "", 20.0, lower=True),
        Row(what, "ms", ours, alone, "no takeover", None, lower=True),
    ]
