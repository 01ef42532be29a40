"""``seckex home end``: what the operator of a home agent does to a node."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from seckex.cli.control_client import Refused, Unreachable, ask
from seckex.cli.finding import daemon_options, live, sockets_of
from seckex.cli.output import Fault, NoDaemon, json_option, plain, print_answer

SCHEMA: Final = "seckex.home-end/1"


@click.group()
def home() -> None:
    """Look after the nodes of a home agent that runs."""


@home.command("end")
@click.argument("nai", metavar="NODE")
@daemon_options
@json_option
def end(nai: str, socket_path: Path | None, config_path: Path | None, as_json: bool) -> None:
    """End all that NODE has here and at its agents: its registrations, keys, links and dialogs.

    It may register again; to have it refused, disable or revoke it at its key distribution center.
    """
    sockets = sockets_of(socket_path, config_path)
    socket = sockets[0] if len(sockets) == 1 else live(sockets)
    try:
        answer = ask(socket, {"command": "home-end", "node": nai}, SCHEMA)
    except Unreachable as error:
        raise NoDaemon(str(error)) from error
    except Refused as error:
        known = error.word != "unknown-command"
        raise Fault((error.why or str(error)) if known else "this daemon is no home agent") from error
    if as_json:
        print_answer(answer)
        return
    agents = ", ".join(map(str, answer["agents"]))
    click.echo(plain(f"{answer['node']} has no registration any more" + (f"; told: {agents}" if agents else "")))
