"""How passages look to people, at a node, an agent or a home agent; nothing of an answer is relied on to be there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from seckex.cli.output import plain
from seckex.cli.status_view import amount, moment, rows_of


def passage_tables(status: Mapping[str, Any], boxed: bool) -> Iterator[RenderableType]:
    """Yield what to print of the passages in a daemon's status, if it has to do with any; ``boxed`` draws lines."""
    passages = status.get("passages")
    if not isinstance(passages, dict):
        return
    found = passages.get("open")
    rows = [_row(each) for each in found if isinstance(each, dict)] if isinstance(found, list) else []
    if rows:
        yield Text(f"\npassages: {len(rows)}", style="bold")
        yield rows_of(("passage", "of", "by way of", "since", "from the node", "to it", "proved"), rows, boxed)
    yield from map(Text, failure_lines(passages))


def failure_lines(passages: Mapping[str, Any]) -> Iterator[str]:
    """Yield why traffic does not pass, if it does not."""
    failure = passages.get("failure")
    if isinstance(failure, dict):
        get = failure.get
        where = f"{plain(get('agent', '?'))} at {plain(get('address', '?'))}"
        told = f"not through {where}: {plain(get('why', '?'))}; {plain(get('then', '?'))}"
        yield f"  {'traffic':<14}{told} ({moment(get('at'))})"


def _row(passage: Mapping[str, Any]) -> tuple[str, ...]:
    get = passage.get
    whose = get("node") or get("peer") or f"{plain(get('pseudonym', '?'))} of {plain(get('domain', '?'))}"
    proved = f"{amount(get('outward_proved'))} + {amount(get('inward_proved'))}"
    by = get("agent") or get("address") or "?"
    octets = amount(get("outward")), amount(get("inward"))
    return (plain(get("passage", "?")), plain(whose), plain(by), moment(get("since")), *octets, proved)
