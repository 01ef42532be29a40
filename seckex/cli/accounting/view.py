"""How accounts, totals and reconciliations look to people."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any, Final

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from seckex.cli.accounting.reconciling import AMISS, SUMS, VERDICTS
from seckex.cli.accounting.written import DIRECTIONS
from seckex.cli.output import plain
from seckex.cli.status_view import amount, moment, span

Row = dict[str, Any]

#: A pseudonym is told by its first digits; --json and --csv have all of them.
_DIGITS: Final = 8


def account_table(side: str, local: str, rows: list[Row]) -> Iterator[RenderableType]:
    """Yield what to print of accounts."""
    yield Text(f"{plain(side)} {plain(local)}: {len(rows)} passages", style="bold")
    if not rows:
        return
    table = _table("began", "for", *_names(side), "outward", "proved", "inward", "proved", "end")
    for row in rows:
        ended = row["ended"] if row["ended"] is not None else row["as_of"]
        cells = [moment(row["began"]), span(ended - row["began"]), *_who(side, row)]
        for way in DIRECTIONS:
            cells += [amount(row[way]["carried"]), amount(row[way]["proved"])]
        table.add_row(*map(plain, cells), plain(row["why"] if row["ended"] is not None else "open"))
    yield table


def total_table(side: str, local: str, rows: list[Row]) -> Iterator[RenderableType]:
    """Yield what to print of totals."""
    yield Text(f"{plain(side)} {plain(local)}: {len(rows)} totals", style="bold")
    if not rows:
        return
    whose = "node" if side == "home-agent" else "pseudonym"
    table = _table(whose, "domain", "passages", "open", "since", "last", "outward", "proved", "inward", "proved")
    for row in rows:
        name = row["node"] or row["pseudonym"][:_DIGITS] or "all others"
        cells = [name, row["domain"] or "all others", row["passages"], row["open"]]
        cells += [moment(row["since"]), moment(row["last"])]
        for way in DIRECTIONS:
            cells += [amount(row[way]["carried"]), amount(row[way]["proved"])]
        table.add_row(*map(plain, cells))
    yield table


def reconciliation_tables(rows: Iterable[Row], summary: Row) -> Iterator[RenderableType]:
    """Yield what to print of a reconciliation: what differs, one by one, and sums."""
    yield Text(f"{plain(summary['agent'])} and {plain(summary['home'])}", style="bold")
    amiss = [row for row in rows if row["verdict"] in AMISS]
    if amiss:
        table = _table("began", "id", "pseudonym", "verdict", "why")
        for row in amiss:
            why = "; ".join(row["lacks"])
            cells = (moment(row["began"]), row["id"], row["pseudonym"][:_DIGITS], row["verdict"], why)
            table.add_row(*map(plain, cells))
        yield table
    counts = summary["passages"]
    yield Text("passages: " + ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS))
    table = _table("octets", *(f"{name}'s" if name in ("agent", "home") else name for name in SUMS))
    for way in DIRECTIONS:
        table.add_row(way, *(str(summary[way][name]) for name in SUMS))
    yield table


def _names(side: str) -> tuple[str, ...]:
    return ("node", "agent") if side == "home-agent" else ("pseudonym", "realm")


def _who(side: str, row: Row) -> tuple[str, str]:
    return (row["node"], row["agent"]) if side == "home-agent" else (row["pseudonym"][:_DIGITS], row["domain"])


def _table(*heads: str) -> Table:
    boxed = sys.stdout.isatty()
    table = Table(box=box.SIMPLE_HEAD if boxed else None, pad_edge=boxed, padding=(0, 2, 0, 0))
    for head in heads:
        table.add_column(Text(head))
    return table
