"""How a home agent, a key distribution center and hops look to people; nothing of an answer is relied on to be there.

What is shown is what the daemon tells, and that is what its role may know.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from seckex.cli.output import plain
from seckex.cli.status_view import moment, rows_of, span
from seckex.cli.wording import spi, texts


def home_tables(status: Mapping[str, Any], boxed: bool) -> Iterator[RenderableType]:
    """Yield what to print of home agent, center and hops in a daemon's status; ``boxed`` draws lines."""
    roles = status.get("roles")
    found = roles if isinstance(roles, dict) else {}
    home, center = found.get("home-agent"), found.get("kdc")
    if isinstance(home, dict):
        yield from _home(home, boxed)
    if isinstance(center, dict):
        yield from _center(center)
    rows = [_hop(hop) for hop in _tables(status.get("hops"))]
    if rows:
        yield Text(f"\nhops: {len(rows)}", style="bold")
        yield rows_of(("neighbour", "security", "ours", "theirs", "trouble"), rows, boxed)


def _home(home: Mapping[str, Any], boxed: bool) -> Iterator[RenderableType]:
    get = home.get
    centers = ", ".join(texts(get("centers"))) or "none"
    kind = plain(get("kind", "home-agent")).replace("-", " ")
    yield Text(f"\n{kind}", style="bold").append(f"  {plain(get('keying', '?'))} keys", style="not bold")
    yield Text(f"  {'centers':<14}{centers}")
    if get("centers-failing"):
        yield Text(f"  {'failing':<14}{plain(get('centers-failing'))}")
    nodes = _tables(get("nodes"))
    more = get("nodes-not-shown")
    total = f"{len(nodes)} of {len(nodes) + more}" if isinstance(more, int) and more else len(nodes)
    yield Text(f"\nnodes: {total}", style="bold")
    rows = [row for node in nodes for row in _node(node)]
    if rows:
        yield rows_of(("node", "home address", "agent", "care-of", "left", "SPI in", "refused last"), rows, boxed)
    yield from _revocations(home, boxed)


def _revocations(home: Mapping[str, Any], boxed: bool) -> Iterator[RenderableType]:
    """Yield what agents are told of registrations that have ended, and have not answered."""
    waiting, total = _tables(home.get("revocations")), home.get("revocations-in-all")
    if not waiting:
        return
    more = f" of {total}" if isinstance(total, int) and total > len(waiting) else ""
    yield Text(f"\nends that agents have not confirmed: {len(waiting)}{more}", style="bold")
    rows = [
        (
            plain(each.get("node", "?")),
            plain(each.get("agent", "?")),
            plain(each.get("reason") or "-"),
            moment(each.get("since")),
            plain(each.get("tries", "?")),
            span(each.get("left")),
        )
        for each in waiting
    ]
    yield rows_of(("node", "agent", "reason", "since", "said", "left"), rows, boxed)


def _node(node: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    get = node.get
    standing = ", revoked" if get("revoked") else "" if get("enabled", True) else ", disabled"
    name = plain(get("nai", "?")) + standing
    address, refused = plain(get("home-address") or "any"), get("refused")
    why = "-"
    if isinstance(refused, dict):
        why = f"{moment(refused.get('at'))} {plain(refused.get('code', '?'))} {plain(refused.get('why', ''))}"
    bindings = _tables(get("bindings"))
    for each in bindings:
        where = plain(each.get("agent", "?")), plain(each.get("care-of", "?")), span(each.get("left"))
        yield (name, address, *where, spi(get("spi-in")), why)
    if not bindings:
        yield (name, address, "-", "-", "-", spi(get("spi-in")), why)


def _center(center: Mapping[str, Any]) -> Iterator[RenderableType]:
    get = center.get
    yield Text("\nkey distribution center", style="bold")
    yield Text(f"  {'nodes':<14}{plain(get('principals', '?'))}, up to serial {plain(get('serial', '?'))}")
    yield Text(f"  {'issues':<14}{' and '.join(texts(get('keying'))) or 'nothing'} keys")
    if get("replicates"):
        yield Text(f"  {'replicates':<14}{plain(get('replicates'))}")
    replicas = texts(get("replicas"))
    if replicas:
        yield Text(f"  {'replicas':<14}{', '.join(replicas)}")


def _hop(hop: Mapping[str, Any]) -> tuple[str, ...]:
    get = hop.get
    return (
        plain(get("nai", "?")),
        plain(get("security", "?")),
        plain(get("state", "?")),
        plain(get("accepted", 0)),
        plain(get("why") or "-"),
    )


def _tables(value: object) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
