"""``seckex kdc rotate``, ``revoke`` and ``delete``: what becomes of a node's KEY 0."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from seckex.cli.finding import daemon_options
from seckex.cli.kdc.desk import PRINCIPAL_SCHEMA, REVOKED_SCHEMA, Ask, asking
from seckex.cli.kdc.group import kdc, nai_of
from seckex.cli.output import Fault, instant, json_option, plain, print_answer, print_json
from seckex.config.problems import Unfit
from seckex.config.values import NAI

#: As many as a daemon takes at once.
AT_ONCE: Final = 64
_DURATION: Final = re.compile(r"([1-9][0-9]{0,8})([smhd])", re.ASCII)
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}

T = TypeVar("T")


def _moment(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int:
    """Return seconds since 1970; 0 where nothing was said."""
    if value is None:
        return 0
    found = _DURATION.fullmatch(value)
    if found is not None:
        return int(time.time()) + int(found[1]) * _SECONDS[found[2]]
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        why = "say how long, such as 7d, 12h or 30m, or a moment, such as 2030-01-31 or 2030-01-31T12:00 (UTC)"
        raise click.BadParameter(why) from error
    return int((moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp())


@kdc.command("rotate")
@click.argument("nai", metavar="NAI", callback=nai_of)
@click.option(
    "--until",
    metavar="WHEN",
    callback=_moment,
    help="Up to when the former KEY 0 is taken: 7d, 12h, 2030-01-31.  [default: until the node has used the new one]",
)
@daemon_options
@json_option
def rotate(nai: str, until: int, socket_path: Path | None, config_path: Path | None, as_json: bool) -> None:
    """Draw another KEY 0 for a node, which is to be exported and provisioned then.

    A node that was revoked is taken again, with the new KEY 0 only.
    """
    with asking(socket_path, config_path) as ask:
        answer = ask({"command": "kdc-rotate", "principal": nai, "until": until}, PRINCIPAL_SCHEMA)
    if as_json:
        print_answer(answer)
        return
    name, kvno = answer["principal"], answer["kvno"]
    click.echo(plain(f"{name} has another KEY 0, key version {kvno}: export it for the node"))
    if until:
        click.echo(plain(f"Key version {kvno - 1} is taken up to {instant(until)}, and none before it"))


@kdc.command("delete")
@click.argument("nai", metavar="NAI", callback=nai_of)
@daemon_options
@json_option
def delete(nai: str, socket_path: Path | None, config_path: Path | None, as_json: bool) -> None:
    """Delete a node: its KEY 0 is destroyed, and its home agent forgets it.

    The name stays known, with the number of its last key version: a node that is added under it has a higher one.
    """
    with asking(socket_path, config_path) as ask:
        answer = ask({"command": "kdc-delete", "principal": nai}, PRINCIPAL_SCHEMA)
    if as_json:
        print_answer(answer)
    else:
        click.echo(plain(f"{answer['principal']} is deleted, and its KEY 0 destroyed"))


@kdc.command("revoke")
@click.argument("nai", metavar="[NAI]", required=False)
@click.option(
    "--file",
    "names_file",
    type=click.Path(path_type=Path),
    help="A file with a name on each line, or - for what is typed.",
)
@daemon_options
@json_option
def revoke(
    nai: str | None, names_file: Path | None, socket_path: Path | None, config_path: Path | None, as_json: bool
) -> None:
    """Revoke a node: a stolen device has no key, association or traffic anywhere, some seconds later.

    Its KEY 0 is destroyed; home agents and other centers are told at once, and those that cannot be reached as soon as
    they can. Its name stays. It cannot be undone: a node that comes back gets another KEY 0 (seckex kdc rotate), and is
    provisioned anew.
    """
    if (nai is None) == (names_file is None):
        raise click.UsageError("give a name, or --file with many")
    names = _read(names_file) if names_file is not None else [_name(str(nai))]
    with asking(socket_path, config_path) as ask:
        if len(names) > 1:
            for some in in_parts(names, AT_ONCE):
                _ask(ask, some, check=True)
        revoked = 0
        for some in in_parts(names, AT_ONCE):
            answer = _ask(ask, some)
            revoked += len(answer["principals"])
            for each in answer["principals"]:
                if as_json:
                    print_json(PRINCIPAL_SCHEMA, each)
                elif names_file is None:
                    click.echo(plain(f"{each['principal']} is revoked, and its KEY 0 destroyed"))
            if names_file is not None:
                click.echo(f"{revoked} of {len(names)} revoked", err=True)


def _ask(ask: Ask, names: Sequence[str], *, check: bool = False) -> dict[str, Any]:
    return ask({"command": "kdc-revoke", "principals": list(names), "check": check}, REVOKED_SCHEMA)


def in_parts(all_: Sequence[T], most: int) -> Iterator[list[T]]:
    """Yield the elements, ``most`` at a time."""
    rest = iter(all_)
    while part := list(islice(rest, most)):
        yield part


def _name(text: str) -> str:
    try:
        return str(NAI.read(text))
    except Unfit as error:
        raise click.BadParameter(str(error), param_hint="NAI") from error


def _read(file: Path) -> list[str]:
    try:
        with click.open_file(str(file), encoding="utf-8") as opened:
            lines = opened.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Fault(f"{file} cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8 text'}") from error
    names: dict[str, None] = {}
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                names[NAI.read(line.strip())] = None
            except Unfit as error:
                raise Fault(f"{file}, line {number}: {error}") from error
    if not names:
        raise Fault(f"{file} has no names")
    return list(names)
