"""``seckex kdc audit show``, ``verify`` and ``export``: what was done to a center, and whether its log was altered."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final

import click

from seckex.cli.finding import daemon_options
from seckex.cli.kdc.desk import AUDIT_SCHEMA, CHECK_SCHEMA, Ask, asking
from seckex.cli.kdc.group import kdc
from seckex.cli.output import Fault, create_secret, instant, json_option, plain, print_json
from seckex.sa.logs import Head, LogEntry, follow

ENTRY_SCHEMA: Final = "seckex.kdc-audit/1"
LOG: Final = "kdc.audit"
_PATH: Final = click.Path(path_type=Path)
_SHOWN: Final = 50
# As many as a daemon tells at once.
MOST_LAST: Final = 500
_HASH: Final = 32
# Of an entry: what is not said behind the rest of its line.
_SAID: Final = ("by", "what", "principal")


@kdc.group("audit")
def audit() -> None:
    """Look at the log of all that was done to a center: nothing in it is ever altered."""


@audit.command("show")
@click.option("--principal", metavar="NAI", help="What was done to this node.")
@click.option("--after", type=click.IntRange(0), help="The entries after this number.  [default: the last 50]")
@click.option("--limit", type=click.IntRange(1), help="So many at most.")
@daemon_options
@json_option
def show(
    principal: str | None,
    after: int | None,
    limit: int | None,
    socket_path: Path | None,
    config_path: Path | None,
    as_json: bool,
) -> None:
    """Show entries, the oldest first."""
    with asking(socket_path, config_path) as ask:
        last = min(limit or _SHOWN, MOST_LAST) if after is None and principal is None else 0
        every = _entries(ask, after or 0, last)
        wanted = (each for each in every if principal in (None, _said(each).get("principal")))
        for each in islice(wanted, limit):
            said = _said(each)
            if as_json:
                print_json(ENTRY_SCHEMA, {name: each[name] for name in ("seq", "at", "hash")} | {"entry": said})
            else:
                click.echo(plain(_line(each, said)))


@audit.command("verify")
@click.option("--file", type=_PATH, help="An exported log, in place of the center's own.")
@click.option("--head", metavar="NUMBER:HASH", help="An entry that is known from elsewhere, and has to be there.")
@daemon_options
@json_option
def verify(
    file: Path | None, head: str | None, socket_path: Path | None, config_path: Path | None, as_json: bool
) -> None:
    """Follow the log from its first entry to its last: nothing was altered, left out or put in.

    What it prints of the last entry, kept elsewhere, shows later that nothing up to there was changed since (--head).
    """
    known = None if head is None else _head(head)
    if file is None:
        with asking(socket_path, config_path) as ask:
            answer = ask({"command": "kdc-audit-verify"}, CHECK_SCHEMA)
            if answer["good"] and known is not None:
                answer = _against(ask, answer, known)
    else:
        answer = _of_file(file, known)
    if as_json:
        print_json(CHECK_SCHEMA, answer)
    elif answer["good"]:
        sound = answer["sound"]
        click.echo(f"{sound['seq']} entries, each follows the one before: {sound['seq']}:{sound['hash']}")
    else:
        click.echo(plain(f"The log is not what was written: {answer['why']}"))
        click.echo(f"All is in order up to entry {answer['sound']['seq']}.")
    if not answer["good"]:
        raise click.exceptions.Exit(1)


@audit.command("export")
@click.option("-o", "--output", type=_PATH, help="The file to make.  [default: the standard output]")
@click.option("--after", type=click.IntRange(0), default=0, help="The entries after this number.")
@daemon_options
def export(output: Path | None, after: int, socket_path: Path | None, config_path: Path | None) -> None:
    """Write the log as JSON, one object a line, with what is needed to verify it."""
    with asking(socket_path, config_path) as ask:
        lines = (json.dumps({"log": LOG, **each}, ensure_ascii=False) for each in _entries(ask, after, 0))
        if output is None:
            for line in lines:
                click.echo(line)
            return
        if os.path.lexists(output):
            raise Fault(f"{output} exists and is left as it is: choose another with -o")
        count = 0
        create_secret(output, b"")
        with output.open("a", encoding="utf-8") as opened:
            for line in lines:
                opened.write(line + "\n")
                count += 1
    click.echo(plain(f"{output}: {count} entries"))


def _entries(ask: Ask, after: int, last: int) -> Iterator[dict[str, Any]]:
    request: dict[str, Any] = {"command": "kdc-audit", "after": after, "last": last}
    while True:
        answer = ask(request, AUDIT_SCHEMA)
        yield from answer["entries"]
        if not answer["more"]:
            return
        request = {"command": "kdc-audit", "after": answer["entries"][-1]["seq"]}


def _said(each: dict[str, Any]) -> dict[str, Any]:
    try:
        said = json.loads(each["text"])
    except ValueError:
        said = None
    return said if isinstance(said, dict) else {"what": "unreadable"}


def _line(each: dict[str, Any], said: dict[str, Any]) -> str:
    by = said.get("by")
    who = f"uid {by['uid']}, {by['place']}" if isinstance(by, dict) else "the center"
    rest = ", ".join(
        f"{name.replace('_', ' ')} {_value(name, value)}" for name, value in said.items() if name not in _SAID
    )
    whom = f" {said['principal']}" if said.get("principal") else ""
    return f"{each['seq']:>6}  {instant(each['at'])}  {said.get('what')}{whom}  [{who}]" + (f"  {rest}" if rest else "")


def _value(name: str, value: object) -> object:
    return instant(value) if name == "until" and isinstance(value, int | float) else value


def _head(text: str) -> Head:
    number, _, octets = text.partition(":")
    try:
        found = Head(int(number), bytes.fromhex(octets))
    except ValueError:
        found = Head()
    if found.seq < 1 or len(found.hash) != _HASH:
        raise click.BadParameter("say the number of an entry, a colon, and its hash", param_hint="--head")
    return found


def _against(ask: Ask, answer: dict[str, Any], known: Head) -> dict[str, Any]:
    """Return the answer where the log has the entry that is known, and otherwise that it does not."""
    found = ask({"command": "kdc-audit", "after": known.seq - 1}, AUDIT_SCHEMA)["entries"][:1]
    if found and found[0]["seq"] == known.seq and found[0]["hash"] == known.hash.hex():
        return answer
    why = f"entry {known.seq} is not the one that is known from elsewhere: this is another log, or an older one"
    return answer | {"good": False, "sound": {"seq": 0, "hash": ""}, "at_fault": known.seq, "why": why}


def _of_file(file: Path, known: Head | None) -> dict[str, Any]:
    passed: list[bool] = []

    def noticed(entries: Iterator[LogEntry]) -> Iterator[LogEntry]:
        for each in entries:
            if known is not None and (each.seq, each.hash) == (known.seq, known.hash):
                passed.append(True)
            yield each

    try:
        with file.open(encoding="utf-8") as opened:
            check = follow(LOG, noticed(_read(file, opened)))
    except OSError as error:
        raise Fault(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Fault(f"{file} is not UTF-8 text") from error
    sound = {"seq": check.sound.seq, "hash": check.sound.hash.hex()}
    good, at_fault, why = check.is_sound, check.at_fault, check.why
    if good and known is not None and not passed:
        good, at_fault, why = False, known.seq, f"entry {known.seq} is not the one that is known from elsewhere"
    return {"log": LOG, "good": good, "sound": sound, "at_fault": at_fault, "why": why}


def _read(file: Path, opened: IO[str]) -> Iterator[LogEntry]:
    for number, line in enumerate(opened, 1):
        try:
            read = json.loads(line)
            entry = LogEntry(int(read["seq"]), float(read["at"]), read["text"].encode(), bytes.fromhex(read["hash"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Fault(f"{file}, line {number}: it is no entry of a log") from error
        yield entry
