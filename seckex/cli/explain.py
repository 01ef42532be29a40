"""``seckex explain``: why two principals agree on what they do, or on nothing.

With two configurations: what a negotiation between them would come to, step by
step, without talking to anybody. With a peer: what the daemon remembers of
those negotiations with it that came to nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click
from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from seckex.cli.finding import ask_about_peer, daemon_options, sockets_of
from seckex.cli.node_view import agent_rows, registration_lines
from seckex.cli.output import ExitCode, json_option, leave, plain, print_answer, print_tables
from seckex.cli.status_view import amount, span
from seckex.cli.wording import association_lines, dated, failure_lines, offer_lines, texts

PEER_SCHEMA: Final = "seckex.explain-peer/1"

_SAYS: Final = {
    "offer": "offers",
    "counter": "would not choose, and counters with",
    "counter-heard": "is told what would be taken",
    "choice": "chooses",
    "agreement": "holds an association",
    "refusal": "refuses",
    "silence": "gives up: no answer",
    "dropped": "meets it with silence",
    "remark": "notes",
}


@click.command()
@click.argument("subjects", nargs=-1, required=True, metavar="FILE FILE | PEER")
@daemon_options
@json_option
def explain(subjects: tuple[str, ...], socket_path: Path | None, config_path: Path | None, as_json: bool) -> None:
    """Say why two principals agree, or why not.

    With two configurations, of an initiator and of a responder: try a negotiation between them here, and print each
    step with its reasons. With the name of a peer: print what became of the negotiations with it that failed, as the
    daemon remembers them.
    """
    if len(subjects) > 2:
        raise click.UsageError("give two files, or one peer")
    if len(subjects) == 2:
        if socket_path is not None or config_path is not None:
            raise click.UsageError("two files are explained without a daemon: leave --socket and --config out")
        _files(Path(subjects[0]), Path(subjects[1]), as_json)
    elif Path(subjects[0]).is_file():
        raise click.UsageError(f"{plain(subjects[0])} is a file: give the other side's as well, or a peer's name")
    else:
        _peer(subjects[0], sockets_of(socket_path, config_path), as_json)


def _files(first: Path, second: Path, as_json: bool) -> None:
    # Brings in the machines of both roles, which no other command needs.
    from seckex.cli.dry_run import explain_files

    told = explain_files(first, second)
    if as_json:
        print_answer(told)
    else:
        print_tables(_story(told, boxed=sys.stdout.isatty()))
    leave(ExitCode.FINE if told["agreed"] else ExitCode.NO)


def _story(told: Mapping[str, Any], boxed: bool) -> Iterator[RenderableType]:
    yield Text(f"{told['initiator']} begins, {told['responder']} answers", style="bold")
    if told["key0"]:
        yield Text(f"KEY 0: {plain(told['key0'])}")
    for number, step in enumerate(told["steps"], start=1):
        style = {"refusal": "red", "silence": "red", "dropped": "red", "choice": "green", "agreement": "green"}
        rounds = f" (round {step['round']})" if step["round"] else ""
        yield Text(f"\n{number}. {step['who']} {_SAYS[step['step']]}{rounds}", style=style.get(step["step"], ""))
        if step["offer"]:
            would = "would take " if step["step"] == "refusal" else ""
            yield from (Text(f"   {would}{line}") for line in offer_lines(step["offer"]))
        yield from (Text(f"   - {plain(reason)}", style="dim") for reason in step["reasons"])
    yield Text("")
    if told["agreement"]:
        yield _agreement(told["agreement"], boxed)
    else:
        yield Text("nothing is agreed", style="bold red")
    for remark in told["remarks"]:
        yield Text(f"but {plain(remark)}" if told["agreed"] else plain(remark), style="yellow")


def _agreement(agreement: Mapping[str, Any], boxed: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD if boxed else None, pad_edge=boxed, padding=(0, 2, 0, 0))
    table.add_column("agreed")
    table.add_column("")
    for protocol, name in agreement["transforms"].items():
        table.add_row(protocol, name)
    table.add_row("lifetime", span(agreement["lifetime"]))
    table.add_row("octets", amount(agreement["octets_bound"]) if agreement["octets_bound"] else "no bound")
    return table


def _peer(peer: str, sockets: list[Path], as_json: bool) -> None:
    answer = ask_about_peer(sockets, {"command": "explain", "peer": peer}, PEER_SCHEMA)
    if as_json:
        print_answer(answer)
    else:
        for line in _memories(answer):
            click.echo(line)
    leave(ExitCode.FINE)


def _memories(answer: Mapping[str, Any]) -> Iterator[str]:
    peer, local = plain(answer.get("peer", "?")), plain(answer.get("local", "?"))
    association, failures, clock = (answer.get(name) for name in ("association", "failures", "clock"))
    if isinstance(association, dict):
        yield f"{local} has an association with {peer}:"
        yield from (f"  {line}" for line in association_lines(association))
    else:
        yield f"{local} has no association with {peer}"
    registration = answer.get("registration")
    if isinstance(registration, dict):
        yield from (f"  {line}" for line in registration_lines(registration))
        for agent, address, *_, note in agent_rows(registration):
            yield f"  agent {agent} at {address}{'' if note == '-' else f': {note}'}"
    if isinstance(clock, dict):
        yield f"at {dated(clock)} its clock was {plain(clock.get('seconds'))} s from ours"
    remembered = [each for each in failures if isinstance(each, dict)] if isinstance(failures, list) else []
    for failure in remembered:
        yield ""
        yield f"{dated(failure)}"
        yield from (f"  {line}" for line in failure_lines(failure))
    if not remembered:
        yield f"no negotiation with {peer} has failed since the daemon started"
        yield from _silence(answer)


def _silence(answer: Mapping[str, Any]) -> Iterator[str]:
    """Say what was met with silence: none of it can be laid at this peer's door, and any of it may be its."""
    dropped = answer.get("dropped")
    counts = [f"{name} {count}" for name, count in dropped.items()] if isinstance(dropped, dict) else []
    if counts:
        yield "met with silence, from whomever: " + ", ".join(texts(counts))
