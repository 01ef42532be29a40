"""How a foreign agent and an AAA relay look to people; nothing of an answer is relied on to be there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from seckex.cli.output import plain
from seckex.cli.status_view import rows_of, span
from seckex.cli.wording import texts


def agent_tables(status: Mapping[str, Any], boxed: bool) -> Iterator[RenderableType]:
    """Yield what to print of the foreign agent and of the AAA relay in a daemon's status; ``boxed`` draws lines."""
    roles = status.get("roles")
    found = roles if isinstance(roles, dict) else {}
    agent, relay = found.get("foreign-agent"), found.get("aaa")
    if isinstance(agent, dict):
        yield from _agent(agent, boxed)
    if isinstance(relay, dict):
        yield from _relay(relay, boxed)


def _agent(agent: Mapping[str, Any], boxed: bool) -> Iterator[RenderableType]:
    get = agent.get
    yield Text("\nforeign agent", style="bold")
    by = ", ".join(texts(get("servers"))) or "each home agent itself"
    yield Text(f"  {'domain':<14}{plain(get('domain', '?'))}, care-of {', '.join(texts(get('care-of')))}")
    yield Text(f"  {'asks':<14}{by}")
    busy = f"busy with {plain(get('busy'))}" if get("busy") else "not busy"
    said = f"advertisement {plain(get('sequence', '?'))}, {busy}"
    yield Text(f"  {'says':<14}{said}; {plain(get('under-way', '?'))} requests under way")
    yield Text(f"\nvisitors: {plain(get('visitors-in-all', '?'))}", style="bold")
    rows = list(map(_visitor, _tables(get("visitors"))))
    if rows:
        yield rows_of(("pseudonym", "home agent", "left", "keys"), rows, boxed)


def _visitor(visitor: Mapping[str, Any]) -> tuple[str, ...]:
    get = visitor.get
    keys = f"{plain(get('keying', '?'))} by {plain(get('kem', '?'))}"
    return plain(get("pseudonym", "?")), plain(get("home-agent", "?")), span(get("expires-in")), keys


def _relay(relay: Mapping[str, Any], boxed: bool) -> Iterator[RenderableType]:
    yield Text(f"\nAAA relay: {plain(relay.get('pending', '?'))} registrations under way", style="bold")
    rows = [("a home agent", *_next(each)) for each in _tables(relay.get("home_agents"))]
    for route in _tables(relay.get("routes")):
        rows += [(plain(route.get("realm", "?")), *_next(each)) for each in _tables(route.get("next"))]
    if rows:
        yield rows_of(("realm", "next", "trouble"), rows, boxed)


def _next(following: Mapping[str, Any]) -> tuple[str, str]:
    return plain(following.get("nai", "?")), plain(following.get("trouble") or "-")


def _tables(value: object) -> list[dict[str, Any]]:
    """Return the objects of a list, none where it is no list."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
