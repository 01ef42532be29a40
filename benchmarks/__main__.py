"""``python -m benchmarks [NAME ...] [--quick] [--json]``."""

from __future__ import annotations

import importlib
import json
import sys
from typing import Final

import click
from rich.console import Console
from rich.table import Table

from benchmarks.rows import Row

NAMES: Final = (
    "cookies",
    "setups",
    "exchanges",
    "envelopes",
    "messages",
    "groups",
    "certified",
    "dialogs",
    "takeover",
    "passages",
    "moves",
    "revocation",
    "memory",
    "aaa",
    "kdc",
    "registrations",
)


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(NAMES))
@click.option("--quick", is_flag=True, help="Fewer and shorter runs: to see that it works, not to be quoted.")
@click.option("--json", "as_json", is_flag=True, help="Print a list of objects.")
def main(names: tuple[str, ...], quick: bool, as_json: bool) -> None:
    """Measure, and compare with peers started in the same run."""
    rows: list[Row] = []
    for name in names or NAMES:
        click.echo(f"{name} ...", err=True)
        rows += importlib.import_module(f"benchmarks.{name}").measure(quick)
    if as_json:
        json.dump([row.as_dict() for row in rows], sys.stdout, indent=2)
        sys.stdout.write("\n")
        return
    table = Table("what", "unit", "ours", "peer", "", "ratio", "target", "met", box=None)
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        met = {True: "yes", False: "no", None: "-"}[row.met]
        target = "" if row.target is None else f"{'at most ' if row.lower else ''}{row.target:g}"
        peer = "" if row.peer is None else f"{row.peer:,.1f}"
        table.add_row(row.name, row.unit, f"{row.ours:,.1f}", peer, row.peer_name, ratio, target, met)
    Console().print(table)


main()
