"""What all commands share in how they speak: exit codes, JSON, tables, text from elsewhere.

Exit codes: 0 fine, 1 the thing asked is wrong, 2 wrong usage (click's), 3 no
daemon to be reached. Failures are one line on the standard error. On a terminal
tables have colours and are fitted to its width; into a pipe goes plain text,
one row a line.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final, NoReturn

import click
from rich.console import Console, RenderableType

WRONG: Final = 1
UNREACHABLE: Final = 3
EXPIRES_SOON: Final = 30
_UNFOLDED: Final = 10_000

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON objects, one a line.")


class Fault(click.ClickException):
    """The thing asked is wrong: one line, and an exit code."""

    exit_code = WRONG

    def show(self, file: Any = None) -> None:
        """Print the line."""
        click.echo(f"seckex: {self.format_message()}", file=file or sys.stderr)


class NoDaemon(Fault):
    """No daemon can be reached."""

    exit_code = UNREACHABLE


def leave(exit_code: int) -> NoReturn:
    """End the command when it has said all it had to say."""
    click.get_current_context().exit(exit_code)


def plain(value: object) -> str:
    """Return ``value`` as text that cannot move a terminal's cursor: it may be from a peer."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in str(value))


def instant(seconds: float) -> str:
    """Return a moment, in seconds since 1970, for people."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def life(since: float, until: float, now: float) -> str:
    """Say until when something is good, and that it will soon not be, or is not."""
    days = int((until - now) // 86400)
    if now >= until:
        return f"EXPIRED at {instant(until)}"
    if now < since:
        return f"NOT YET VALID, from {instant(since)} to {instant(until)}"
    soon = ", EXPIRES SOON" if days < EXPIRES_SOON else ""
    return f"until {instant(until)}, {days} days from now{soon}"


def print_json(schema: str, values: dict[str, Any]) -> None:
    """Print one object on one line."""
    click.echo(json.dumps({"schema": schema} | values))


def print_tables(tables: Iterable[RenderableType]) -> None:
    """Print what rich lays out."""
    if sys.stdout.isatty():
        Console(highlight=False, markup=False, emoji=False).print(*tables, sep="\n")
        return
    console = Console(width=_UNFOLDED, no_color=True, highlight=False, markup=False, emoji=False)
    with console.capture() as captured:
        console.print(*tables, sep="\n")
    for line in captured.get().splitlines():
        click.echo(line.rstrip())
