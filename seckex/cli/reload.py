"""``seckex reload``: has a daemon read its files again."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from seckex.cli.control_client import Refused, Unreachable, ask
from seckex.cli.finding import daemon_options, live, sockets_of
from seckex.cli.output import ExitCode, Fault, NoDaemon, json_option, leave, print_answer
from seckex.cli.wording import texts

SCHEMA: Final = "seckex.reload/1"
# Reading thousands of key files takes a moment.
_PATIENCE: Final = 60.0


@click.command()
@daemon_options
@json_option
def reload(socket_path: Path | None, config_path: Path | None, as_json: bool) -> None:
    """Have a daemon read its configuration, keys and certificates again, as SIGHUP does.

    Where anything in them is wrong all stays as it was, and it is said what is; what cannot change while the daemon
    runs is named.
    """
    try:
        answer = ask(live(sockets_of(socket_path, config_path)), {"command": "reload"}, SCHEMA, _PATIENCE)
    except Unreachable as error:
        raise NoDaemon(str(error)) from error
    except Refused as error:
        known = error.word != "unknown-command"
        raise Fault(str(error) if known else "the daemon cannot reload: stop it and start it again") from error
    if as_json:
        print_answer(answer)
    else:
        _print(answer)
    leave(ExitCode.FINE if answer.get("done") else ExitCode.NO)


def _print(answer: dict[str, Any]) -> None:
    changed, kept = texts(answer.get("changed")), texts(answer.get("kept"))
    for line in texts(answer.get("problems")):
        click.echo(line, err=True)
    if not answer.get("done"):
        click.echo("nothing was changed: the configuration of before stays, whole", err=True)
        return
    for line in changed:
        click.echo(f"changed: {line}")
    for line in kept:
        click.echo(f"kept as it was: {line}")
    if not changed and not kept:
        click.echo("nothing has changed")
