"""``seckex dialogs``, ``outbox``, ``inbox``, ``dead`` and ``why``: where messages are, and what to do with them."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import click
from rich.console import RenderableType

from seckex.cli.messages.client import Client, part
from seckex.cli.messages.desk import client_of, messages_options
from seckex.cli.messages.view import dead_table, dialogs_table, facts, queue_table, why_lines
from seckex.cli.output import Fault, create_secret, json_option, plain, print_answer, print_json, print_tables

DEAD_MESSAGE: Final = "seckex.dead-message/1"
_DIALOG: Final = re.compile(r"[0-9a-f]{12}|[0-9a-f]{32}")
_MOST: Final = 1000
_LIMIT: Final = click.IntRange(1, _MOST)


@click.command()
@click.option("--limit", type=_LIMIT, default=_MOST, show_default=True, help="So many at most.")
@messages_options
@json_option
def dialogs(limit: int, socket_path: Path | None, config_path: Path | None, as_json: bool) -> None:
    """Show the dialogs of messages."""
    told = client_of(socket_path, config_path).ask("GET", "/v1/dialogs", {"limit": limit}).told
    _list(told, "dialogs", dialogs_table, as_json)


@click.command()
@click.argument("name")
@messages_options
@json_option
def why(name: str, socket_path: Path | None, config_path: Path | None, as_json: bool) -> None:
    """Say why a message, or a dialog, is where it is.

    Every step that it has taken: which headers went out and why, which keys were used, acknowledgements, attempts; what
    holds it up, and what to do about it. NAME is that of a message, or a dialog's id.
    """
    told = _why(client_of(socket_path, config_path), name)
    if as_json:
        print_answer(told)
    else:
        for line in why_lines(told):
            click.echo(line)


def _why(client: Client, name: str) -> dict[str, Any]:
    kind = "dialogs" if _DIALOG.fullmatch(name) else "messages"
    return client.ask("GET", f"/v1/{kind}/{part(name)}/why").told


def _list(
    told: dict[str, Any], name: str, shown: Callable[[Sequence[Any], bool], RenderableType], as_json: bool
) -> None:
    if as_json:
        print_answer(told)
        return
    listed = [each for each in told.get(name) or [] if isinstance(each, dict)]
    print_tables([shown(listed, sys.stdout.isatty())] if listed else [f"no {name}"])
    if int(told.get("all", 0)) > len(listed):
        click.echo(f"There are {told['all']}, of which these are the first", err=True)


def _queue(name: str, what: str, retried: str, dropped: str) -> click.Group:
    """Return the commands of what waits on one side."""

    @click.group(name, help=f"Look after {what}.")
    def group() -> None:
        pass

    @group.command("list", help=f"List {what}, the oldest of each dialog first.")
    @click.option("--dialog", metavar="ID", help="Those of one dialog, by its whole id.")
    @click.option("--limit", type=_LIMIT, default=_MOST, show_default=True, help="So many at most.")
    @messages_options
    @json_option
    def list_(
        dialog: str | None, limit: int, socket_path: Path | None, config_path: Path | None, as_json: bool
    ) -> None:
        said = {"dialog": dialog, "limit": limit}
        told = client_of(socket_path, config_path).ask("GET", f"/v1/{name}", said).told
        _list(told, "messages", queue_table, as_json)

    @group.command(help="Show one message: the same as seckex why.")
    @click.argument("message", metavar="NAME")
    @messages_options
    @json_option
    def show(message: str, socket_path: Path | None, config_path: Path | None, as_json: bool) -> None:
        told = _why(client_of(socket_path, config_path), message)
        if as_json:
            print_answer(told)
        else:
            for line in why_lines(told):
                click.echo(line)

    _acting(group, name, retried, dropped)
    return group


def _acting(group: click.Group, name: str, retried: str, dropped: str) -> None:
    """Add what has messages again, and what drops them."""

    @group.command(help=retried)
    @click.argument("messages", nargs=-1, required=True, metavar="NAME...")
    @messages_options
    def retry(messages: tuple[str, ...], socket_path: Path | None, config_path: Path | None) -> None:
        _act(client_of(socket_path, config_path), name, messages, "retry")

    @group.command(help=dropped)
    @click.argument("messages", nargs=-1, required=True, metavar="NAME...")
    @messages_options
    def drop(messages: tuple[str, ...], socket_path: Path | None, config_path: Path | None) -> None:
        _act(client_of(socket_path, config_path), name, messages, "drop")


def _act(client: Client, kind: str, messages: Sequence[str], act: str) -> None:
    failed = []
    for message in messages:
        try:
            client.ask("POST", f"/v1/{kind}/{part(message)}/{act}")
        except Fault as error:
            if len(messages) == 1:
                raise
            failed.append(f"{plain(message)}: {error.message}")
    if failed:
        raise Fault("; ".join(failed))


outbox = _queue(
    "outbox",
    "what was sent and is not processed",
    "Send what waits of a message's dialog again, now.",
    "Send a message no more, if it has not come to its peer.",
)
inbox = _queue(
    "inbox",
    "what came and is not processed",
    "Give what waits of a message's dialog again, now.",
    "Put a message aside that waits for a program.",
)


@click.group()
def dead() -> None:
    """Look after what was put aside."""


@dead.command("list")
@click.option("--limit", type=click.IntRange(1), help="So many at most.")
@messages_options
@json_option
def list_dead(limit: int | None, socket_path: Path | None, config_path: Path | None, as_json: bool) -> None:
    """List messages that were put aside, by dialogs; with --json one object a line."""
    found = []
    for each in _all_dead(client_of(socket_path, config_path), limit):
        if as_json:
            print_json(DEAD_MESSAGE, each)
        else:
            found.append(each)
    if not as_json:
        print_tables([dead_table(found, sys.stdout.isatty())] if found else ["no messages"])


def _all_dead(client: Client, limit: int | None) -> Iterator[dict[str, Any]]:
    after, left = None, limit
    while left is None or left > 0:
        said = {"after": after, "limit": _MOST if left is None else min(left, _MOST)}
        told = client.ask("GET", "/v1/dead", said).told
        yield from told.get("messages") or []
        after = told.get("after")
        if not after:
            return
        left = None if left is None else left - len(told["messages"])


@dead.command("show")
@click.argument("message", metavar="NAME")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="The file to make of its payload, mode 0600.")
@messages_options
@json_option
def show_dead(
    message: str, output: Path | None, socket_path: Path | None, config_path: Path | None, as_json: bool
) -> None:
    """Show a message that was put aside, and why it was."""
    client = client_of(socket_path, config_path)
    told = client.ask("GET", f"/v1/dead/{part(message)}").told
    if output is not None:
        with client.stream(f"/v1/dead/{part(message)}/payload", timeout=60.0) as payload:
            _save(output, payload)
    if as_json:
        print_answer(told)
        return
    for line in facts({name: value for name, value in told.items() if name != "schema"}):
        click.echo(line)


def _save(output: Path, payload: Any) -> None:
    create_secret(output, b"")
    try:
        with output.open("wb") as file:
            while octets := payload.read(65536):
                file.write(octets)
    except OSError as error:
        raise Fault(f"{output} cannot be written: {error.strerror}") from error


_acting(
    dead,
    "dead",
    "Give a message to the program of its service again.",
    "Forget a message, and its payload.",
)
