"""What an idle association takes at the responder, in KiB of its process's resident memory.

Offers are made in this process and answered in another one, which holds nothing
else: the node of `benchmarks.holder`, with and without what is remembered of
the requests against replay (each of those goes after twice the clock window, the association stays).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from benchmarks.daemons import folder, line, process
from benchmarks.holder import WARM, wall
from benchmarks.offers import offer_at, terms_of
from benchmarks.rows import Row
from benchmarks.setups import write_key
from seckex.config.load import read_key0

TARGET: Final = 4.0


def _held(count: int, mode: str) -> float:
    with folder() as path:
        file = path / "key0.toml"
        write_key(file)
        terms = terms_of(read_key0(file))
        with process("-m", "benchmarks.holder", str(file), str(count), mode) as holder:
            given: Any = holder.stdin
            for number in range(count + WARM):
                octets, _ = offer_at(terms, wall(number, mode == "let-go"))
                given.buffer.write(len(octets).to_bytes(4, "big") + octets)
            given.flush()
            return float(line(holder))


def measure(quick: bool) -> Sequence[Row]:
    """Return the rows."""
    count = 4000 if quick else 20000
    with_table, without = (_held(count, mode) for mode in ("keep", "let-go"))
    name = "an idle association at the responder"
    return [
        Row(name, "KiB", without, None, "", TARGET, lower=True),
        Row(f"{name}, its request remembered", "KiB", with_table, None, "", TARGET, lower=True),
    ]
