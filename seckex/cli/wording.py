"""How associations and failures are put into lines for people; text from elsewhere is made harmless."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from seckex.cli.output import plain
from seckex.cli.status_view import amount, moment, span, vouched_by


def association_lines(association: Mapping[str, Any]) -> Iterator[str]:
    """Yield what was agreed."""
    get = association.get
    transforms = get("transforms")
    if isinstance(transforms, dict):
        yield from (f"{plain(protocol):<15}{plain(name)}" for protocol, name in transforms.items())
    left, bound = get("lifetime_left"), get("octets_bound")
    yield f"{'lifetime':<15}{span(left)} left" + (f", {amount(bound)} at most" if bound else "")
    yield f"{'SPI':<15}in {spi(get('spi_in'))}, out {spi(get('spi_out'))}"
    if get("authority"):
        yield f"{'authenticated':<15}by {vouched_by(association)}"
    yield f"{'confirmed':<15}{'by both' if get('confirmed') else 'not yet by the peer'}"


def failure_lines(failure: Mapping[str, Any]) -> Iterator[str]:
    """Yield why there was no agreement: who refused and why, what each side would have taken, what to look at."""
    get = failure.get
    by = f"{plain(get('by'))} refuses" if get("by") else "no answer that can be believed"
    if get("how") == "not-stored":
        by = "nothing could be stored"
    code = f" with {plain(get('code'))} {plain(get('label', ''))}" if get("code") else ""
    yield f"{by}{code}: {plain(get('reason', ''))}"
    for line in texts(get("detail")):
        yield f"  because {line}"
    sides = get("acceptable")
    for side in sides if isinstance(sides, list) else ():
        if isinstance(side, dict):
            yield f"  {plain(side.get('side'))} would take:"
            yield from (f"    {line}" for line in offer_lines(side.get("offers")))
    causes = [*texts(get("causes")), *texts(get("hints"))]
    if causes:
        yield "  likely causes:"
        yield from (f"    {line}" for line in causes)


def dated(failure: Mapping[str, Any]) -> str:
    """Return when it was."""
    return moment(failure.get("at"))


def offer_lines(offer: object) -> Iterator[str]:
    """Yield the proposals of an offer, one a line."""
    for line in str(offer or "").split("; "):
        yield plain(line)


def texts(value: object) -> Sequence[str]:
    """Return a list of texts, harmless, of whatever was sent in its place."""
    return [plain(line) for line in value] if isinstance(value, list) else []


def spi(value: object) -> str:
    """Return an SPI as it is written."""
    return f"0x{value:08x}" if isinstance(value, int) else "-"
