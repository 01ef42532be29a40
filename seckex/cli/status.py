"""``seckex status``: what the daemons of this machine are doing, and why they refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

import click

from seckex.cli.agent_view import agent_tables
from seckex.cli.control_client import Refused, Unreachable, ask
from seckex.cli.finding import daemon_options, elsewhere, sockets_of
from seckex.cli.home_view import home_tables
from seckex.cli.node_view import node_tables
from seckex.cli.output import Fault, NoDaemon, json_option, print_tables
from seckex.cli.passage_view import passage_tables
from seckex.cli.status_view import status_tables
from seckex.config.problems import ConfigInvalid

SCHEMA: Final = "seckex.status/1"


@click.command()
@daemon_options
@json_option
def status(socket_path: Path | None, config_path: Path | None, as_json: bool) -> None:
    """Show what the daemons of this machine are doing.

    Without options, the daemons that keep their state where it is by default.
    """
    try:
        answers = _ask_all(sockets_of(socket_path, config_path))
    except ConfigInvalid as error:
        raise Fault(str(error)) from error
    if as_json:
        for answer in answers:
            click.echo(json.dumps(answer))
        return
    for index, answer in enumerate(answers):
        if index:
            click.echo()
        boxed = sys.stdout.isatty()
        of_roles = (*node_tables(answer, boxed), *agent_tables(answer, boxed), *home_tables(answer, boxed))
        of_roles = (*of_roles, *passage_tables(answer, boxed))
        print_tables(status_tables(answer, boxed, of_roles))


def _ask_all(sockets: list[Path]) -> list[dict[str, Any]]:
    """Return the answers of those that are there; a failure if none is, or if one is there and does not answer."""
    answers, silent = [], []
    for path in sockets:
        try:
            answers.append(ask(path, {"command": "status"}, SCHEMA))
        except Unreachable as error:
            silent.append(error)
        except Refused as error:
            raise Fault(str(error)) from error
    if not answers or not all(error.absent for error in silent):
        raise NoDaemon("; ".join(map(str, silent)) + elsewhere(sockets))
    return answers
