"""How a daemon's status looks to people.

The answer comes from another process and holds names that peers chose, so
nothing in it is relied on to be there, and text is made harmless first.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from seckex.cli.output import plain

_YEAR_10000: Final = 253_370_000_000  # a little less, for any time zone
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def status_tables(
    status: Mapping[str, Any], boxed: bool, of_roles: Iterable[RenderableType] = ()
) -> Iterator[RenderableType]:
    """Yield what to print for one daemon; ``boxed`` draws lines, for terminals.

    ``of_roles`` is what there is to print of its roles in a roaming network.
    """
    yield from _daemon(_table_of(status, "daemon"))
    yield from _exchange(_table_of(status, "master_key"))
    associations = _list_of(status, "associations")
    yield _heading("associations", len(associations), status)
    yield from _associations(associations, boxed)
    yield from of_roles
    for name in ("forwards", "services"):
        entries = list(filter(_is_table, _list_of(status, name)))
        if any(entries):
            yield _heading(name, len(entries), status)
            yield _entries(entries, boxed)
    refusals = _list_of(status, "refusals")
    if refusals:
        yield _heading("last refusals", len(refusals), status)
        yield from map(_refusal, refusals)
    counters = {name: count for name, count in _table_of(status, "counters").items() if count}
    if counters:
        yield Text("\ncounters", style="bold")
        yield rows_of(None, [(plain(name), plain(count)) for name, count in sorted(counters.items())], boxed)


def span(seconds: object) -> str:
    """Return a duration in its two largest units: ``"2h 05m"``."""
    number = _number(seconds)
    if number is None:
        return "-"
    whole = max(0, int(number))
    minutes, hours, days = whole // 60 % 60, whole // 3600 % 24, whole // 86400
    if days:
        return f"{days}d {hours:02}h"
    if hours:
        return f"{hours}h {minutes:02}m"
    return f"{minutes}m {whole % 60:02}s" if minutes else f"{whole}s"


def amount(octets: object) -> str:
    """Return a size in the largest unit it fills, with one decimal: ``"1.4 MiB"``."""
    number = _number(octets)
    if number is None:
        return "-"
    size, unit = number, 0
    while size >= 1024 and unit < len(_UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size:.1f} {_UNITS[unit]}" if unit else f"{int(size)} B"


def moment(seconds: object) -> str:
    """Return a point in time, given in seconds since 1970, by the local clock."""
    number = _number(seconds)
    if number is None or not 0 <= number < _YEAR_10000:
        return "-"
    return datetime.fromtimestamp(number).astimezone().isoformat(" ", "seconds")


def _number(value: object) -> float | None:
    try:
        number = float(value) if isinstance(value, int | float) else math.nan
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _daemon(daemon: Mapping[str, Any]) -> Iterator[RenderableType]:
    get = daemon.get
    about = f"seckex {plain(get('version', '?'))}, pid {plain(get('pid', '?'))}, worker {plain(get('worker', '?'))}"
    title = Text(f"{plain(get('role', 'daemon'))} {plain(get('nai', '?'))}", style="bold")
    yield title.append(f"  {about}, up {span(get('uptime'))}", style="not bold")
    listening = ", ".join(map(plain, _list_of(daemon, "listening")))
    if listening:
        yield Text(f"listening on {listening}")
    key_log = get("key_log")
    if key_log:
        yield Text(f"WARNING: the keys of all links are written to {plain(key_log)} (debug.key-log)", style="bold red")


def _exchange(key: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Say how far the exchange of the master key is, while there is one."""
    if not key.get("exchanging"):
        return
    part = _number(key.get("part")) or 0.0
    said = f"the master key is being exchanged: pass {plain(key.get('passes'))}, {part:.0%}"
    trouble = plain(key.get("trouble") or "")
    yield Text(f"{said}; {trouble}" if trouble else said, style="yellow")


def _heading(name: str, count: int, status: Mapping[str, Any]) -> Text:
    total = _table_of(status, "truncated").get(name.removeprefix("last "), count)
    return Text(f"\n{name}: {count if total == count else f'{count} of {plain(total)}'}", style="bold")


def _associations(associations: Sequence[Any], boxed: bool) -> Iterator[RenderableType]:
    rows, dialogs = [], []
    vouched = any(one.get("authority") for one in filter(_is_table, associations))
    for one in filter(_is_table, associations):
        opened = _list_of(one, "dialogs")
        bound = one.get("octets_bound")
        rows.append(
            (
                plain(one.get("peer", "?")),
                plain(one.get("role", "?")) + ("" if one.get("confirmed", True) else ", unconfirmed"),
                _spi(one.get("spi_in")),
                _spi(one.get("spi_out")),
                plain(" ".join(map(str, _table_of(one, "transforms").values()))),
                *([vouched_by(one)] if vouched else []),
                span(one.get("age")),
                span(one.get("lifetime_left")),
                amount(one.get("octets_in")),
                amount(one.get("octets_out")),
                amount(bound) if bound else "none",
                str(_table_of(one, "truncated").get("dialogs", len(opened))),
            )
        )
        for dialog in filter(_is_table, opened):
            octets = (amount(dialog.get("octets_in")), amount(dialog.get("octets_out")))
            names = (plain(one.get("peer", "?")), plain(dialog.get("service", "?")), plain(dialog.get("id", "?")))
            dialogs.append((*names, *octets, span(dialog.get("age"))))
    if rows:
        heads = (
            "peer",
            "role",
            "SPI in",
            "SPI out",
            "transforms",
            "by",
            "age",
            "left",
            "in",
            "out",
            "bound",
            "dialogs",
        )
        yield rows_of(heads, rows, boxed)
    if dialogs:
        yield Text(f"\ndialogs: {len(dialogs)}", style="bold")
        yield rows_of(("peer", "service", "dialog", "in", "out", "age"), dialogs, boxed)


def vouched_by(association: Mapping[str, Any]) -> str:
    """Return what the trust in the peer comes from, without what is for programs to compare.

    That is the check value of a key, and all certificates of a chain behind the fingerprint of the first.
    """
    word, *rest = plain(association.get("authority") or "-").partition(" check ")[0].split(" ")
    return " ".join([word, *(rest[:1] if word == "certificate" else rest)])


def _entries(entries: Sequence[Any], boxed: bool) -> Table:
    """Lay out objects by whatever keys they have."""
    heads = list(dict.fromkeys(key for one in entries for key in one))
    return rows_of(
        tuple(map(plain, heads)), [tuple(plain(one.get(key, "-")) for key in heads) for one in entries], boxed
    )


def _refusal(refusal: Any) -> Text:
    if not _is_table(refusal):
        return Text(plain(refusal))
    get = refusal.get
    side = f" ({plain(get('side'))})" if get("side") else ""
    lines = [
        f"{moment(get('at'))}  {plain(get('peer', '?'))}  {plain(get('code', '?'))} {plain(get('label', ''))}{side}"
    ]
    lines += [f"  {plain(line)}" for line in (get("reason"), *_list_of(refusal, "detail")) if line]
    return Text("\n".join(lines))


def rows_of(heads: tuple[str, ...] | None, rows: Sequence[tuple[str, ...]], boxed: bool) -> Table:
    """Lay out rows of text under ``heads``."""
    table = Table(
        box=box.SIMPLE_HEAD if boxed else None, show_header=heads is not None, pad_edge=boxed, padding=(0, 2, 0, 0)
    )
    for head in heads or rows[0]:
        table.add_column(Text(head))
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _spi(value: object) -> str:
    return f"0x{value:08x}" if isinstance(value, int) else "-"


def _is_table(value: object) -> bool:
    return isinstance(value, dict)


def _table_of(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = values.get(key)
    return value if isinstance(value, dict) else {}


def _list_of(values: Mapping[str, Any], key: str) -> Sequence[Any]:
    value = values.get(key)
    return value if isinstance(value, list) else []
