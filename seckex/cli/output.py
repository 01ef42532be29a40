"""What all commands share in how they speak: exit codes, JSON, tables, text from elsewhere.

Exit codes are those of `ExitCode`. Failures are one line on the standard error. On a terminal
tables have colours and are fitted to its width; into a pipe goes plain text,
one row a line.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from seckex.config.files import create_private

if TYPE_CHECKING:
    from rich.console import RenderableType

EXPIRES_SOON: Final = 30
DAY: Final = 86400
_UNFOLDED: Final = 10_000

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON objects, one a line.")


class ExitCode(IntEnum):
    """How commands end; docs/operations.md has the same list."""

    FINE = 0
    NO = 1
    USAGE = 2  # click's own
    NO_DAEMON = 3
    CONFIGURATION = 4
    UNSETTLED = 5
    EXPIRING = 6


class Fault(click.ClickException):
    """The answer is no: one line, and an exit code."""

    exit_code = ExitCode.NO

    def show(self, file: Any = None) -> None:
        """Print the line."""
        click.echo(f"seckex: {self.format_message()}", file=file or sys.stderr)


class NoDaemon(Fault):
    """No daemon can be reached."""

    exit_code = ExitCode.NO_DAEMON


class Misconfigured(Fault):
    """A configuration that the command needs cannot be read."""

    exit_code = ExitCode.CONFIGURATION


def leave(exit_code: int) -> NoReturn:
    """End the command when it has said all it had to say."""
    click.get_current_context().exit(exit_code)


def plain(value: object) -> str:
    """Return ``value`` as text that cannot move a terminal's cursor: it may be from a peer."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in str(value))


def instant(seconds: float) -> str:
    """Return a moment, in seconds since 1970, for people."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def expires_soon(since: float, until: float, now: float, within: int | None = None) -> bool:
    """Tell whether less than ``within`` days are left; by default `EXPIRES_SOON`, or a third of a shorter life.

    What lives for 30 days, as revocation lists do, would else expire soon on the day that it is made.
    """
    return until - now < (min(EXPIRES_SOON * DAY, (until - since) / 3) if within is None else within * DAY)


def life(since: float, until: float, now: float, within: int | None = None) -> str:
    """Say until when something is good, and that it will soon not be, or is not; ``within`` as of `expires_soon`."""
    days = int((until - now) // DAY)
    if now >= until:
        return f"EXPIRED at {instant(until)}"
    if now < since:
        return f"NOT YET VALID, from {instant(since)} to {instant(until)}"
    soon = ", EXPIRES SOON" if expires_soon(since, until, now, within) else ""
    return f"until {instant(until)}, {days} days from now{soon}"


def print_json(schema: str, values: dict[str, Any]) -> None:
    """Print one object on one line."""
    click.echo(json.dumps({"schema": schema} | values))


def create_secret(file: Path, octets: bytes) -> None:
    """Make a file of secrets with mode 0600; raises `Fault` where there is one, or none can be made."""
    try:
        create_private(file, octets)
    except FileExistsError as error:
        raise Fault(f"{file} exists and is left as it is: choose another with -o") from error
    except OSError as error:
        raise Fault(f"{file} cannot be made: {error.strerror}") from error


def print_answer(answer: dict[str, Any]) -> None:
    """Print what a daemon has answered, as it was."""
    click.echo(json.dumps(answer))


def print_tables(tables: Iterable[RenderableType]) -> None:
    """Print what rich lays out."""
    # Imported when needed: most commands print lines.
    from rich.console import Console

    if sys.stdout.isatty():
        Console(highlight=False, markup=False, emoji=False).print(*tables, sep="\n")
        return
    console = Console(width=_UNFOLDED, no_color=True, highlight=False, markup=False, emoji=False)
    with console.capture() as captured:
        console.print(*tables, sep="\n")
    for line in captured.get().splitlines():
        click.echo(line.rstrip())
