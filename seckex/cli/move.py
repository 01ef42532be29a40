"""``seckex move``: has a mobile node register by way of another agent, and prints what that cost its dialogs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click

from seckex.cli.control_client import Refused, Unreachable, ask
from seckex.cli.finding import daemon_options, live, sockets_of
from seckex.cli.output import ExitCode, Fault, NoDaemon, json_option, leave, plain, print_answer
from seckex.cli.wording import failure_lines

SCHEMA: Final = "seckex.move/1"
_PATIENCE: Final = 35
_LONGEST: Final = 120
_GRACE: Final = 5.0


@click.command()
@click.argument("agent", metavar="[AGENT]", default="")
@click.option(
    "--wait",
    "seconds",
    type=click.IntRange(1, _LONGEST),
    default=_PATIENCE,
    show_default=True,
    help="How many seconds to wait for what comes of it.",
)
@daemon_options
@json_option
def move(agent: str, seconds: int, socket_path: Path | None, config_path: Path | None, as_json: bool) -> None:
    """Register by way of AGENT, or of the best of those heard but the one in use, and take all dialogs along.

    The mobile node stays with AGENT, whichever it prefers, until that is not heard any more or fails. What is carried
    goes on over the old agent until the new keys are there; the old ones are destroyed then.
    """
    sockets = sockets_of(socket_path, config_path)
    socket = sockets[0] if len(sockets) == 1 else live(sockets)
    try:
        request = {"command": "move", "agent": agent, "seconds": seconds}
        answer = ask(socket, request, SCHEMA, seconds + _GRACE)
    except Unreachable as error:
        raise NoDaemon(str(error)) from error
    except Refused as error:
        known = error.word != "unknown-command"
        raise Fault((error.why or str(error)) if known else "this daemon is no mobile node") from error
    if as_json:
        print_answer(answer)
    else:
        _print(answer)
    leave(_exit_code(answer))


def _exit_code(answer: Mapping[str, Any]) -> ExitCode:
    if answer.get("done"):
        return ExitCode.FINE
    return ExitCode.UNSETTLED if answer.get("pending") else ExitCode.NO


def _print(answer: Mapping[str, Any]) -> None:
    told = answer.get("move")
    if answer.get("done") and isinstance(told, dict):
        for line in move_lines(told):
            click.echo(line)
        return
    if answer.get("pending"):
        click.echo(plain(answer["pending"]), err=True)
    failure = answer.get("failure")
    for line in failure_lines(failure) if isinstance(failure, dict) else ():
        click.echo(line, err=True)


def move_lines(told: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is told of a move that is over."""
    get = told.get
    yield f"moved from {plain(get('left', '?'))} to {plain(get('agent', '?'))}"
    yield f"  {'registered':<14}within {milliseconds(get('registering'))}"
    if get("dialogs"):
        yield f"  {'dialogs':<14}{plain(get('dialogs'))}, after {plain(get('octets'))} octets"
        trips = f"{plain(get('round_trips'))} round trip(s)"
        yield f"  {'pause':<14}{milliseconds(get('pause'))} at most, {trips}"
    else:
        yield f"  {'dialogs':<14}none that had to follow"


def milliseconds(seconds: object) -> str:
    """Return a time as people read it."""
    return f"{1000 * seconds:.1f} ms" if isinstance(seconds, int | float) else "?"
