"""``seckex up``, ``rekey`` and ``down``: associations begun, replaced and ended by hand.

The first two wait until the daemon knows what came of it, and print what was
agreed, or why nothing was. The daemon goes on by itself when the wait is over.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from seckex.cli.finding import ask_about_peer, daemon_options, sockets_of
from seckex.cli.output import ExitCode, json_option, leave, plain, print_answer
from seckex.cli.wording import association_lines, failure_lines

_PATIENCE: Final = 35
_LONGEST: Final = 120
# The daemon answers within the time that it was given; this is for its being busy.
_GRACE: Final = 5.0


def _command(name: str, text: str) -> Callable[[Callable[..., None]], click.Command]:
    """Make a command of what prints its outcome; ``text`` is its help."""

    def made(show: Callable[[dict[str, Any]], None]) -> click.Command:
        @click.command(name, help=text)
        @click.argument("peer", metavar="PEER")
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
        def command(peer: str, seconds: int, socket_path: Path | None, config_path: Path | None, as_json: bool) -> None:
            request = {"command": name, "peer": peer, "seconds": seconds}
            sockets = sockets_of(socket_path, config_path)
            answer = ask_about_peer(sockets, request, f"seckex.{name}/1", seconds + _GRACE)
            if as_json:
                print_answer(answer)
            else:
                show(answer)
            leave(_exit_code(answer))

        return command

    return made


def _exit_code(answer: dict[str, Any]) -> ExitCode:
    if answer.get("done"):
        return ExitCode.FINE
    return ExitCode.UNSETTLED if answer.get("pending") else ExitCode.NO


def _say(answer: dict[str, Any], headline: str) -> None:
    """Print what came of it: the headline, and then why or with what."""
    peer = plain(answer.get("peer", "?"))
    if answer.get("done"):
        click.echo(f"{peer}: {headline}")
        association = answer.get("association")
        for line in association_lines(association) if isinstance(association, dict) else ():
            click.echo(f"  {line}")
        return
    if answer.get("pending"):
        click.echo(f"{peer}: {plain(answer['pending'])}", err=True)
    failure = answer.get("failure")
    for number, line in enumerate(failure_lines(failure) if isinstance(failure, dict) else ()):
        click.echo(f"  {line}" if number else f"{peer}: {line}", err=True)


@_command(
    "up",
    "Have an association with PEER, now and from now on.\n\nOnly who has the address of PEER can begin: at a responder "
    "this is answered by saying so, unless there is an association already.",
)
def up(answer: dict[str, Any]) -> None:
    """Print it."""
    _say(answer, "there was an association already" if answer.get("already") else "associated")


@_command(
    "rekey",
    "Replace the association with PEER by a new one.\n\nThe old one goes on until the new one has taken over.",
)
def rekey(answer: dict[str, Any]) -> None:
    """Print it."""
    _say(answer, "rekeyed")


@_command(
    "down",
    "End every association with PEER, and begin none until `seckex up`.\n\nPEER is told, where it can be reached. "
    "Dialogs under it break off. A PEER that begins by itself may begin anew.",
)
def down(answer: dict[str, Any]) -> None:
    """Print it."""
    _say(answer, "there was no association" if answer.get("already") else "ended")
