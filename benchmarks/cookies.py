"""Offers refused with a cookie a second by one responder daemon, against a Twisted server that echoes datagrams.

Both answer the same offers of 768 octets: the daemon, which asks everybody for a cookie, with 41 octets that it has to
compute, the other one with what came. It does nothing else, so this is what Twisted gives to whoever answers datagrams.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from benchmarks.daemons import daemon, folder, free_port, line, process, wait_for
from benchmarks.rows import Row, alternate
from benchmarks.setups import responder_toml, write_key
from seckex.config.load import read_key0
from seckex.wire.numbers import REQUEST_SIZE

_COOKIE: Final = 41


def _refusals(count: int) -> float:
    with folder() as path:
        port = free_port()
        write_key(path / "key0.toml")
        configuration = responder_toml(port, "state").replace('cookies = "never"', 'cookies = "always"')
        (path / "responder.toml").write_text(configuration)
        with daemon("responder", path) as responder:
            wait_for(path / "state" / "control.sock", responder)
            return _answers(port, read_key0(path / "key0.toml").spi, count, _COOKIE)


def _echoes(count: int) -> float:
    with process("-m", "benchmarks.echo") as server:
        return _answers(int(line(server)), 0x1234, count, REQUEST_SIZE)


def _answers(port: int, spi: int, count: int, size: int) -> float:
    with process("-m", "benchmarks.datagrams", str(port), str(spi), str(count), str(size)) as load:
        return float(line(load))


def measure(quick: bool) -> Sequence[Row]:
    """Return the rows."""
    runs, count = (1, 20_000) if quick else (5, 150_000)
    ours, peer = alternate(runs, lambda: _refusals(count), lambda: _echoes(count))
    return [Row("offers refused with a cookie", "1/s", ours, peer, "Twisted UDP echo", 0.4)]
