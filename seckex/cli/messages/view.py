"""Dialogs and messages for people: lines and tables out of what a daemon says, which may be from a peer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from rich import box
from rich.console import RenderableType
from rich.table import Table

from seckex.cli.output import instant, plain
from seckex.cli.status_view import amount

#: Of a step, what is told of every one.
_OF_EVERY: Final = ("at", "what")
#: Of a dialog, what has lines of its own.
_WAYS: Final = (("ours", "sent"), ("theirs", "received"))


def table(heads: Sequence[str], rows: Sequence[Sequence[object]], boxed: bool) -> RenderableType:
    """Return a table."""
    made = Table(*heads, box=box.SIMPLE_HEAD if boxed else None, pad_edge=boxed, padding=(0, 2, 0, 0))
    for row in rows:
        made.add_row(*(plain("-" if each in (None, "") else each) for each in row))
    return made


def dialogs_table(dialogs: Sequence[Mapping[str, Any]], boxed: bool) -> RenderableType:
    """Return a row for each dialog."""
    rows = [
        (
            str(each.get("id"))[:12],
            each.get("begun"),
            each.get("peer") or "anonymous",
            each.get("service"),
            each.get("own"),
            each.get("priority"),
            each.get("state"),
            each.get("why"),
        )
        for each in dialogs
    ]
    return table(("dialog", "begun", "peer", "service", "own", "priority", "state", "why"), rows, boxed)


def queue_table(messages: Sequence[Mapping[str, Any]], boxed: bool) -> RenderableType:
    """Return a row for each message that waits."""
    rows = [
        (
            each.get("name"),
            each.get("count", 1),
            each.get("peer") or "anonymous",
            each.get("service"),
            amount(int(each.get("size") or 0)),
            each.get("why"),
        )
        for each in messages
    ]
    return table(("message", "messages", "peer", "service", "size", "why"), rows, boxed)


def dead_table(messages: Sequence[Mapping[str, Any]], boxed: bool) -> RenderableType:
    """Return a row for each message that was put aside."""
    rows = [
        (
            each.get("name"),
            each.get("peer") or "anonymous",
            each.get("service"),
            each.get("attempts"),
            amount(int(each.get("size") or 0)),
            each.get("code"),
            each.get("why"),
        )
        for each in messages
    ]
    return table(("message", "peer", "service", "attempts", "size", "code", "why"), rows, boxed)


def facts(told: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """Yield a line for each thing that is told, what is inside of another behind it."""
    for name, value in told.items():
        shown = plain(name).replace("_", " ")
        if isinstance(value, Mapping):
            yield f"{indent}{shown}:"
            yield from facts(value, indent + "  ")
        elif isinstance(value, list):
            yield f"{indent}{shown}: {', '.join(map(plain, value)) or '-'}"
        elif name in ("at", "created", "expires", "stored") and isinstance(value, int | float) and value:
            yield f"{indent}{shown}: {instant(value)}"
        else:
            yield f"{indent}{shown}: {'-' if value in (None, '') else plain(value)}"


def why_lines(told: Mapping[str, Any]) -> Iterator[str]:
    """Yield what there is to say of a message, or a dialog: where it is, what holds it up, and how it came there."""
    dialog = told.get("dialog")
    dialog = dialog if isinstance(dialog, Mapping) else {}
    peer = plain(dialog.get("peer") or "somebody without a name")
    if "name" in told:
        way = "to" if told.get("direction") == "sent" else "from"
        yield f"{plain(told['name'])}, {way} {peer}, is {plain(told.get('stage'))}"
        if told.get("stuck"):
            yield f"it is held up: {plain(told['stuck'])}"
        if told.get("advice"):
            yield f"what to do: {plain(told['advice'])}"
    else:
        yield f"dialog {plain(dialog.get('id'))} with {peer} is {plain(dialog.get('state'))}"
        if dialog.get("why"):
            yield f"it is held up: {plain(dialog['why'])}"
    yield f"dialog: begun {plain(dialog.get('begun'))}, for the service {plain(dialog.get('service'))}" + (
        "" if dialog.get("connected") else ", not connected"
    )
    keys = dialog.get("keys")
    if isinstance(keys, Mapping):
        yield "keys:"
        yield from facts(keys, "  ")
    else:
        yield "keys: none are held"
    for name, shown in _WAYS:
        way_told = dialog.get(name)
        if isinstance(way_told, Mapping) and way_told:
            yield f"{shown}: " + ", ".join(f"{plain(key)} {plain(value)}" for key, value in way_told.items())
    yield from _steps(told.get("steps"))


def _steps(steps: object) -> Iterator[str]:
    listed = [each for each in steps if isinstance(each, Mapping)] if isinstance(steps, list) else []
    if not listed:
        yield "no step of it is remembered"
        return
    yield "steps:"
    for (what, more), alike in groupby(listed, _shown_step):
        first, *others = [each.get("at") for each in alike]
        when = instant(first) if isinstance(first, int | float) else "-"
        times = f", {len(others) + 1} times" if others else ""
        yield f"  {when}  {what}" + (f" ({more})" if more else "") + times


def _shown_step(step: Mapping[str, Any]) -> tuple[str, str]:
    """Return what a step was, and what else is told of it but when."""
    more = ", ".join(f"{plain(name)} {plain(value)}" for name, value in step.items() if name not in _OF_EVERY)
    return plain(step.get("what")), more
