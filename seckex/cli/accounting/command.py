"""``seckex accounting show``, ``totals``, ``export`` and ``reconcile``."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from seckex.cli.accounting import reconciling
from seckex.cli.accounting.desk import Desk, Row, desks
from seckex.cli.accounting.summing import Sums, told_totals
from seckex.cli.accounting.view import account_table, reconciliation_tables, total_table
from seckex.cli.accounting.written import ACCOUNT_FIELDS, TOTAL_FIELDS, csv_lines, json_line, read_accounts
from seckex.cli.finding import daemon_options
from seckex.cli.output import ExitCode, Fault, create_secret, json_option, leave, print_json, print_tables
from seckex.config.problems import Unfit
from seckex.config.values import Seconds

RECONCILED_SCHEMA: Final = "seckex.reconciled/1"
RECONCILIATION_SCHEMA: Final = "seckex.reconciliation/1"
SHOWN: Final = 50

_RELATIVE: Final = re.compile(r"[0-9]{1,9}[smhd]")
_AGO: Final = Seconds(1, 3650 * 86400)
_PATH: Final = click.Path(path_type=Path)
C = TypeVar("C", bound=Callable[..., Any])


def _moment(_ctx: click.Context, _param: click.Parameter, text: str | None) -> float | None:
    """Read a day, a moment or a time ago, as seconds since 1970; days and moments without an offset are UTC."""
    if text is None:
        return None
    try:
        if _RELATIVE.fullmatch(text):
            return time.time() - int(_AGO.read(text))
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, Unfit) as error:
        why = 'must be a day or a moment such as "2030-01-31" or "2030-01-31T12:00Z", or a time ago such as "7d"'
        raise click.BadParameter(why) from error


def _choosing(command: C) -> C:
    """Give a command the options that say which passages."""
    for name, metavar, what in (
        ("until", "TIME", "Passages that began before."),
        ("since", "TIME", "Passages that began then or later: a day, a moment in UTC, or so long ago (7d, 12h)."),
    ):
        command = click.option(f"--{name}", callback=_moment, metavar=metavar, help=what)(command)
    for name, metavar, what in (
        ("pseudonym", "HEX", "Those of what an agent called a node."),
        ("agent", "NAI", "Those through one agent; at a home agent."),
        ("domain", "REALM", "Those with one domain: the agent's at a home agent, the home agent's at an agent."),
        ("node", "NAI", "Those of one node; at a home agent."),
    ):
        command = click.option(f"--{name}", default="", metavar=metavar, help=what)(command)
    return command


_csv_option: Final = click.option("--csv", "as_csv", is_flag=True, help="Print CSV, with a heading.")
_role_option: Final = click.option(
    "--role", type=click.Choice(["foreign-agent", "home-agent"]), help="Whose, where one daemon is both."
)


@click.group()
def accounting() -> None:
    """Tell what traffic through agents amounted to, as the agent and the home agent have it.

    Octets are those carried between agent and home agent; proved are those that a keyed proof of the sender
    covers, acknowledged those of which the receiver has told the sender that they came.
    """


def _desks(socket_path: Path | None, config_path: Path | None, role: str | None, wanted: Row) -> list[Desk]:
    found = desks(socket_path, config_path)
    chosen = [desk for desk in found if role in (None, desk.side)]
    if not chosen:
        there = " and ".join(f"{desk.local} as {desk.side}" for desk in found)
        raise Fault(f"no daemon that answers keeps accounts as {role}; there is {there}")
    if wanted.keys() & {"node", "agent"} and all(desk.side == "foreign-agent" for desk in chosen):
        raise Fault("nodes and agents are known to home agents only; at an agent, say --pseudonym or --domain")
    return chosen


def _wanted(node: str, domain: str, agent: str, pseudonym: str, since: float | None, until: float | None) -> Row:
    texts = {"node": node, "domain": domain, "agent": agent, "pseudonym": pseudonym.lower()}
    times = {"since": since, "until": until}
    return {name: value for name, value in (texts | times).items() if value not in ("", None)}


@accounting.command("show")
@click.option("--last", default=SHOWN, type=click.IntRange(1, 100_000), help=f"How many.  [default: {SHOWN}]")
@_choosing
@_role_option
@daemon_options
@json_option
def show(
    last: int,
    socket_path: Path | None,
    config_path: Path | None,
    role: str | None,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Show the last passages, those that are open first."""
    wanted = _wanted(**chosen)
    for desk in _desks(socket_path, config_path, role, wanted):
        found = islice(desk.accounts(wanted, newest=True), last)
        if as_json:
            _print_lines(map(json_line, found))
        else:
            print_tables(account_table(desk.side, desk.local, list(found)))


@accounting.command("export")
@click.option("-o", "--output", type=_PATH, help="The file to make, mode 0600; it is never overwritten.")
@_csv_option
@_choosing
@_role_option
@daemon_options
@json_option
def export(
    output: Path | None,
    as_csv: bool,
    socket_path: Path | None,
    config_path: Path | None,
    role: str | None,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Write all passages, in the order in which they ended and then those that are open, as JSON lines or CSV."""
    if as_csv and as_json:
        raise click.UsageError("give --json or --csv, not both")
    wanted = _wanted(**chosen)
    rows = (row for desk in _desks(socket_path, config_path, role, wanted) for row in desk.accounts(wanted))
    lines = csv_lines(rows, ACCOUNT_FIELDS) if as_csv else map(json_line, rows)
    if output is None:
        _print_lines(lines)
    else:
        create_secret(output, "".join(f"{line}\n" for line in lines).encode())


@accounting.command("totals")
@click.option("--by-domain", is_flag=True, help="One total for each domain, not for each node or pseudonym there.")
@_csv_option
@_choosing
@_role_option
@daemon_options
@json_option
def totals(
    by_domain: bool,
    as_csv: bool,
    socket_path: Path | None,
    config_path: Path | None,
    role: str | None,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Show totals, what is open included.

    Those of all time outlive the records that they are made of. With a time, or an agent, they are
    those of the records that there still are.
    """
    if as_csv and as_json:
        raise click.UsageError("give --json or --csv, not both")
    wanted = _wanted(**chosen)
    for desk in _desks(socket_path, config_path, role, wanted):
        rows = told_totals(desk, wanted, Sums(by_domain))
        if as_json:
            _print_lines(map(json_line, rows))
        elif as_csv:
            _print_lines(csv_lines(rows, TOTAL_FIELDS))
        else:
            print_tables(total_table(desk.side, desk.local, rows))


@accounting.command("reconcile")
@click.argument("agent_export", metavar="AGENT-EXPORT", type=_PATH)
@click.argument("home_export", metavar="HOME-EXPORT", type=_PATH)
@json_option
def reconcile(agent_export: Path, home_export: Path, as_json: bool) -> None:
    """Compare the exports of an agent and a home agent, passage by passage.

    Passages of the agent with home agents of other realms, and those of the home agent through other agents, are left
    out. Exit code 1 tells that something differs, or that one end alone has a passage; what is still open is compared
    as far as it is known, and is no difference.
    """
    ends = reconciling.Ends.of(read_accounts(agent_export), read_accounts(home_export))
    rows = list(ends.reconciled())
    summary = reconciling.summary(ends, rows)
    if as_json:
        for row in rows:
            print_json(RECONCILED_SCHEMA, row)
        print_json(RECONCILIATION_SCHEMA, summary)
    else:
        print_tables(reconciliation_tables(rows, summary))
    leave(ExitCode.NO if any(row["verdict"] in reconciling.AMISS for row in rows) else ExitCode.FINE)


def _print_lines(lines: Iterable[str] | Iterator[str]) -> None:
    for line in lines:
        click.echo(line)
