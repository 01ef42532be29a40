"""How a mobile node's registration looks to people; nothing of an answer is relied on to be there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from seckex.cli.move import milliseconds
from seckex.cli.output import plain
from seckex.cli.passage_view import failure_lines
from seckex.cli.status_view import rows_of, span
from seckex.cli.wording import spi, texts


def node_tables(status: Mapping[str, Any], boxed: bool) -> Iterator[RenderableType]:
    """Yield what to print of the mobile node in a daemon's status, if it is one; ``boxed`` draws lines."""
    roles = status.get("roles")
    node = roles.get("mobile-node") if isinstance(roles, dict) else None
    if not isinstance(node, dict):
        return
    yield Text("\nregistration", style="bold")
    yield from map(Text, registration_lines(node))
    rows = agent_rows(node)
    yield Text(f"\nagents heard: {len(rows)}", style="bold")
    if rows:
        yield rows_of(("agent", "address", "care-of", "says", "heard", "note"), rows, boxed)


def registration_lines(node: Mapping[str, Any]) -> Iterator[str]:
    """Yield how a node is registered, or why not."""
    get = node.get
    yield f"{plain(get('state', '?'))} with {plain(get('home-agent', '?'))}"
    registration = get("registration")
    if isinstance(registration, dict):
        yield from _registration(registration)
    if get("next-in") is not None:
        yield f"  {'next in':<14}{span(get('next-in'))}"
    shared = get("shared")
    if isinstance(shared, dict):
        asked = f"{plain(shared.get('requests'))} requests, {plain(shared.get('unanswered'))} since the last reply"
        yield f"  {'KEY 0':<14}version {plain(shared.get('kvno'))}; {asked}; next by {plain(shared.get('next-form'))}"
    last = get("last-move")
    if isinstance(last, dict):
        yield f"  {'moved':<14}{span(last.get('ago'))} ago from {plain(last.get('left'))}, as {plain(last.get('why'))}"
        if last.get("dialogs"):
            stood = f"stood still for {milliseconds(last.get('pause'))}, {plain(last.get('round_trips'))} round trip(s)"
            yield f"  {'':<14}{plain(last.get('dialogs'))} dialogs {stood}"
    passages = get("passages")
    if isinstance(passages, dict):
        yield from failure_lines(passages)
    failure = get("last-failure")
    if isinstance(failure, dict):
        code = f" ({plain(failure.get('code'))})" if failure.get("code") else ""
        yield f"  {'failed':<14}by way of {plain(failure.get('agent'))}{code}: {plain(failure.get('why'))}"
        yield from (f"    {line}" for line in texts(failure.get("causes")))


def _registration(registration: Mapping[str, Any]) -> Iterator[str]:
    get = registration.get
    yield f"  {'agent':<14}{plain(get('agent'))} at {plain(get('address'))}, care-of {plain(get('care-of'))}"
    yield f"  {'home address':<14}{plain(get('home-address') or 'none')}"
    yield f"  {'lifetime':<14}{span(get('left'))} of {span(get('lifetime'))} left"
    how = f"{plain(get('keying'))} keys by {plain(get('kem'))} after {plain(get('rounds'))} round(s)"
    yield f"  {'keys':<14}{how}, {plain(get('form'))}; SPI {spi(get('spi-in'))}"
    traffic = "through the agent" if get("traffic") == "agent" else "directly to the home agent"
    yield f"  {'traffic':<14}{traffic}"


def agent_rows(node: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return a row for each agent that is heard: name, address, care-of address, what it says, when, and a note."""
    agents = node.get("agents")
    rows: list[tuple[str, ...]] = []
    for agent in agents if isinstance(agents, list) else ():
        if isinstance(agent, dict):
            get = agent.get
            says = [word for word in ("busy", "aaa", "tcp", "hybrid", "traffic") if get(word)]
            note = "in use" if get("in-use") else plain(get("objection") or "")
            rows.append(
                (
                    plain(get("nai", "?")),
                    plain(get("address", "?")),
                    plain(get("care-of", "?")),
                    " ".join(says) or "-",
                    span(get("heard")),
                    note or "-",
                )
            )
    return rows
