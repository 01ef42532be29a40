"""Durable messages between two daemons, against JetStream, mutual TLS connects and scp.

Both daemons are real ones, each with a program in its own process; every message of 1 KiB is durable, synced, before
anybody is told so. JetStream is that of NATS: a file store that it does not sync, clients in Python, nothing is
encrypted. What is not installed of nats-server, nats-py and sshd leaves its figures out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import click

from benchmarks import files, streams
from benchmarks.post import posted
from benchmarks.posting import SIZE, WINDOW
from benchmarks.rows import Row, alternate_several
from benchmarks.setups import tls_connections

_JETSTREAM: Final = "JetStream, not synced"
#: Microseconds of processors for each message, both ends together, that leave room for 30,000 a second on two cores.
_MOST_EACH: Final = 66


def _rates(runs: int, count: int) -> list[Row]:
    """Return how many go through by one dialog and by a hundred."""
    absent = streams.missing()
    if absent:
        click.echo(f"without a peer: {absent}", err=True)
    peers: list[Callable[[], Sequence[float]]] = [] if absent else [lambda: (streams.published(count, SIZE, WINDOW),)]
    numbers = (1, 100)
    ours = (partial(posted, "rate", count, dialogs) for dialogs in numbers)
    found = alternate_several(runs, *ours, *peers)
    peer = found.pop()[0] if peers else None
    rows: list[Row] = []
    for dialogs, (rate, cost) in zip(numbers, found, strict=True):
        what = f"durable messages of 1 KiB by {dialogs} dialog{'s' if dialogs > 1 else ''}"
        rows += [
            Row(what, "1/s", rate, peer, _JETSTREAM, 1.2),
            Row(what, "1/s", rate, None, "", 30_000),
            Row("the same, processors of both ends", "us", cost, None, "", _MOST_EACH, lower=True),
        ]
    return rows


def measure(quick: bool) -> Sequence[Row]:
    """Return the rows."""
    runs, count, begun, connections = (1, 20_000, 200, 300) if quick else (5, 200_000, 5_000, 1_200)
    [(middle, high)] = alternate_several(runs, lambda: posted("latency", count // 100))
    dialogs, tls = alternate_several(runs, lambda: posted("dialogs", begun), lambda: (tls_connections(connections),))
    what = "one message at a time, until it is durable at the peer"
    return [
        *_rates(runs, count),
        Row(f"{what}, median", "ms", middle, None, "", None, lower=True),
        Row(f"{what}, 99 of 100", "ms", high, None, "", None, lower=True),
        Row(
            "dialogs begun, their first message durable", "1/s", dialogs[0], tls[0], "Twisted mutual TLS connects", 10.0
        ),
        Row("the same, processors of both ends", "us", dialogs[1], None, "", None, lower=True),
        *files.measure(quick),
    ]
