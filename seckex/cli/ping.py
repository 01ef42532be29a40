"""``seckex ping``: the way to a home agent, hop by hop, with what each is secured by and its time."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import click
from rich import box
from rich.table import Table
from rich.text import Text

from seckex.cli.control_client import Refused, Unreachable, ask
from seckex.cli.finding import daemon_options, live, sockets_of
from seckex.cli.output import ExitCode, Fault, NoDaemon, json_option, leave, plain, print_answer, print_tables

SCHEMA: Final = "seckex.ping/1"
_MOST: Final = 1000
# Every neighbour on the way waits some seconds for the next one.
_PATIENCE: Final = 60.0


@click.command()
@click.argument("peer", metavar="PEER")
@click.option(
    "--count",
    type=click.IntRange(1, _MOST),
    default=3,
    show_default=True,
    help="How often to ask, one after the other.",
)
@daemon_options
@json_option
def ping(peer: str, count: int, socket_path: Path | None, config_path: Path | None, as_json: bool) -> None:
    """Show each hop of the way to PEER, a home agent or a neighbour, with its security and its time.

    The way is that of registrations. A mobile node asks its agent, in the clear, and that goes on over secure hops.
    """
    sockets = sockets_of(socket_path, config_path)
    socket = sockets[0] if len(sockets) == 1 else live(sockets)
    ways: list[list[dict[str, Any]]] = []
    for _ in range(count):
        try:
            answer = ask(socket, {"command": "ping", "peer": peer}, SCHEMA, _PATIENCE)
        except Unreachable as error:
            raise NoDaemon(str(error)) from error
        except Refused as error:
            raise Fault(_refused(error)) from error
        if as_json:
            print_answer(answer)
        failure = answer.get("failure")
        if isinstance(failure, dict):
            if not as_json:
                _tell(failure)
            leave(ExitCode.NO)
        way = answer.get("way")
        ways.append([each for each in way if isinstance(each, dict)] if isinstance(way, list) else [])
    if not as_json:
        _print(peer, ways)


def _refused(error: Refused) -> str:
    return "this daemon has no hops, and is no mobile node" if error.word == "unknown-command" else str(error)


def _tell(failure: dict[str, Any]) -> None:
    code, label = plain(failure.get("code", "?")), plain(failure.get("label", "?"))
    click.echo(f"{plain(failure.get('by', '?'))}: {label} ({code}), {plain(failure.get('why', ''))}", err=True)


def _print(peer: str, ways: list[list[dict[str, Any]]]) -> None:
    """Print the hops of the last way with the times of all that went the same way."""
    last = ways[-1]
    same = [way for way in ways if [_name(hop) for hop in way] == [_name(hop) for hop in last]]
    if not last:
        click.echo(f"{plain(peer)} is here")
        return
    boxed = sys.stdout.isatty()
    table = Table(box=box.SIMPLE_HEAD if boxed else None, pad_edge=boxed, padding=(0, 2, 0, 0))
    for head in ("hop", "from", "to", "secured by", "least", "mean", "most"):
        table.add_column(Text(head))
    for number, hop in enumerate(last):
        times = [_seconds(way[number].get("seconds")) for way in same]
        names = (str(number + 1), plain(hop.get("from", "?")), plain(hop.get("to", "?")))
        table.add_row(*map(Text, (*names, plain(hop.get("security", "?")), *_times(times))))
    whole = [_seconds(way[0].get("to_the_end")) for way in same]
    table.add_row(*map(Text, ("", "", "there and back", "", *_times(whole))))
    print_tables([table])
    if len(same) < len(ways):
        click.echo(f"{len(ways) - len(same)} of {len(ways)} went another way")


def _name(hop: dict[str, Any]) -> tuple[Any, Any, Any]:
    return hop.get("from"), hop.get("to"), hop.get("security")


def _seconds(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _times(seconds: list[float]) -> tuple[str, str, str]:
    return tuple(f"{1000 * each:.2f} ms" for each in (min(seconds), sum(seconds) / len(seconds), max(seconds)))  # type: ignore[return-value]  # three
