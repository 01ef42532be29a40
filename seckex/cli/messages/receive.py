"""``seckex receive``: messages for a command, a directory or the standard output.

The daemon gives one message at a time, and the next when it has heard a verdict. When this process ends
without one, the daemon gives the message again, to whoever receives next.
"""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Iterator
from http.client import HTTPResponse
from pathlib import Path
from typing import Any, Final

import click

from seckex.cli.messages.client import Client, Declined, part
from seckex.cli.messages.desk import client_of, messages_options
from seckex.cli.messages.taking import Given, IntoDirectory, Taking, ToCommand, ToOutput
from seckex.cli.output import ExitCode, Fault, NoDaemon, leave, plain

#: How long nothing comes where all that waits has come.
QUIET: Final = 1.0
LONGEST_LINE: Final = 2**20


@click.command()
@click.option("--service", required=True, metavar="NAME", help="The service to receive for.")
@click.option("--exec", "command", metavar="CMD", help="A command that is given each message.")
@click.option(
    "--dir", "directory", type=click.Path(path_type=Path, file_okay=False, exists=True), help="Where to make files."
)
@click.option("--one", is_flag=True, help="Wait for one message, and end.")
@click.option("--follow", is_flag=True, help="Go on until Ctrl-C.")
@messages_options
def receive(
    service: str,
    command: str | None,
    directory: Path | None,
    one: bool,
    follow: bool,
    socket_path: Path | None,
    config_path: Path | None,
) -> None:
    """Take the messages of a service.

    All that wait; with --follow those that come later as well. With --exec each is the standard input of a command,
    whose exit status is the verdict: 0 done, 75 retry later, any other dead letter. With --dir each is a file of the
    message's name. Otherwise they go to the standard output.
    """
    if command is not None and directory is not None:
        raise click.UsageError("give --exec or --dir, not both")
    if one and follow:
        raise click.UsageError("give --one or --follow, not both")
    client = client_of(socket_path, config_path)
    taking = _taking(command, directory)
    try:
        quiet = None if one or follow else QUIET
        with client.stream(f"/v1/services/{part(service)}/messages", timeout=quiet) as stream:
            for told in _given(stream):
                _take(client, taking, told)
                if one:
                    break
    except KeyboardInterrupt:
        leave(ExitCode.FINE)


def _taking(command: str | None, directory: Path | None) -> Taking:
    if directory is not None:
        return IntoDirectory(directory)
    if command is None:
        return ToOutput()
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise click.UsageError(f"--exec: {error}") from error
    found = shutil.which(words[0]) if words else None
    if found is None:
        raise click.UsageError("--exec: there is no such command")
    return ToCommand([found, *words[1:]])


def _given(stream: HTTPResponse) -> Iterator[dict[str, Any]]:
    """Yield what is told of messages, until nothing has come for as long as the connection waits."""
    while True:
        try:
            line = stream.readline(LONGEST_LINE)
        except TimeoutError:
            return
        if not line:
            raise NoDaemon("the daemon has closed the connection")
        try:
            told = json.loads(line)
        except ValueError as error:
            raise Fault("what answers is no seckex daemon") from error
        yield told


def _take(client: Client, taking: Taking, told: dict[str, Any]) -> None:
    given = Given(client, told)
    verdict, why = taking.take(given)
    body = json.dumps({"verdict": verdict.value, "why": why}).encode()
    try:
        client.ask("POST", f"/v1/messages/{part(given.id)}/verdict", None, body)
    except Declined as error:
        click.echo(f"seckex: {plain(given.name)}: the verdict came too late: {error.message}", err=True)
