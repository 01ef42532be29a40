"""What ``status`` tells of passages at an agent or a home agent."""

from __future__ import annotations

from itertools import islice
from typing import Any, Final

from seckex.net.passages.port import PassagePort
from seckex.net.passages.terms import Passage
from seckex.passage.faces import Figures, Party

#: So many are shown; the others are counted.
MOST_SHOWN: Final = 256


def shown_passages(port: PassagePort) -> list[dict[str, Any]]:
    """Return those that carry, the oldest first; octets are those under KEY 2."""
    return [_shown(*each) for each in islice(port.carrying(), MOST_SHOWN)]


def _shown(passage: Passage, address: str, who: Party, since: float) -> dict[str, Any]:
    figures = passage.counted.figures(who, since, since)
    return {
        "passage": passage.counted.ident.hex(),
        "address": address,
        "node": who.node or None,
        "agent": who.agent or None,
        "pseudonym": who.pseudonym.hex(),
        "domain": who.domain,
        "since": int(since),
        **shown_octets(figures),
    }


def shown_octets(figures: Figures) -> dict[str, int]:
    """Return octets of DATA, from the node and to it, and how many of them are proved."""
    return {
        "outward": figures.outward.carried,
        "outward_proved": figures.outward.proved,
        "inward": figures.inward.carried,
        "inward_proved": figures.inward.proved,
    }
