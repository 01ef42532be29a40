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

    What is new and right holds from then on; where something is wrong the old goes on, and it is said which.
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
    for line in texts(answer.get("changed")):
        click.echo(f"changed: {line}")
    for line in texts(answer.get("kept")):
        click.echo(f"kept as it was: {line}")
    for line in texts(answer.get("problems")):
        click.echo(line, err=True)
    if answer.get("done") and not answer.get("changed"):
        click.echo("nothing has changed")
