"""``seckex kdc list``: nodes that fit, in parts as large as a daemon tells at once."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from seckex.cli.finding import daemon_options
from seckex.cli.kdc.desk import LIST_SCHEMA, PRINCIPAL_SCHEMA, Ask, asking
from seckex.cli.kdc.group import kdc, nai_of
from seckex.cli.output import instant, json_option, plain, print_json, print_tables

STATES = ("enabled", "disabled", "revoked", "deleted")


def _home_agent(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    return None if value is None else nai_of(ctx, param, value)


@kdc.command("list")
@click.option("--filter", "pattern", metavar="PATTERN", help="Names that fit, such as 'truck-*@example.org'.")
@click.option("--home-agent", metavar="NAI", callback=_home_agent, help="Those at home there.")
@click.option("--state", type=click.Choice(STATES), help="Those in that state.  [default: all but deleted]")
@click.option("--after", type=click.IntRange(0), default=0, help="Those that changed after this serial.")
@click.option("--limit", type=click.IntRange(1), help="So many at most, those that changed least lately.")
@daemon_options
@json_option
def list_(
    pattern: str | None,
    home_agent: str | None,
    state: str | None,
    after: int,
    limit: int | None,
    socket_path: Path | None,
    config_path: Path | None,
    as_json: bool,
) -> None:
    """List nodes, by name; with --json in the order of their changes, one object a line.

    To go on after --limit nodes, give the serial of the last one with --after.
    """
    wanted = {"pattern": pattern, "home_agent": home_agent, "state": state}
    found: list[dict[str, Any]] = []
    with asking(socket_path, config_path) as ask:
        for each in islice(listed(ask, after, wanted), limit):
            if as_json:
                print_json(PRINCIPAL_SCHEMA, each)
            else:
                found.append(each)
    if as_json:
        return
    table = Table("node", "home agent", "key version", "state", "added", box=None, pad_edge=False)
    for each in sorted(found, key=lambda one: str(one["principal"])):
        created = "" if each["created"] is None else instant(each["created"])
        table.add_row(*map(plain, (each["principal"], each["home_agent"], each["kvno"], each["state"], created)))
    print_tables([table] if found else ["no nodes"])
    if limit is not None and len(found) == limit:
        click.echo(f"There may be more: --after {max(one['serial'] for one in found)}", err=True)


def listed(ask: Ask, after: int, wanted: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the nodes that are wanted, in the order of their last changes."""
    further: int | None = after
    while further is not None:
        answer = ask({"command": "kdc-list", "after": further, **wanted}, LIST_SCHEMA)
        yield from answer["principals"]
        further = answer["after"]
