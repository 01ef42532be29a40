"""The way to somebody, as an operator asks for it: one question, one answer."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final

from twisted.internet.defer import Deferred

from seckex.events import label_of
from seckex.net.control import Answer, Commands, Declined, Request
from seckex.net.house import HouseAtEdge
from seckex.roles.trace import NoWay, Tracer, Way
from seckex.wire.info import is_nai

ROLE: Final = "trace"
SCHEMA: Final = "seckex.ping/1"


class TraceCommands:
    """What is asked of ``tracer``, who lives in ``house``."""

    def __init__(self, tracer: Tracer, house: HouseAtEdge, local: str) -> None:
        self._tracer = tracer
        self._house = house
        self._local = local

    def commands(self) -> Commands:
        """Return what answers each command, by its name."""
        return {"ping": self._ping}

    def _ping(self, request: Request) -> Deferred[Answer]:
        peer = request.get("peer")
        if not isinstance(peer, str) or not is_nai(peer):
            raise Declined("the request needs a peer, as a network access identifier", "unfit")
        answered: Deferred[Answer] = Deferred()

        def done(found: Way | NoWay) -> None:
            if not answered.called:
                answered.callback(self._told(peer, found))

        self._house.ask(self._tracer, lambda now: self._tracer.trace(peer, done, now))
        return answered

    def _told(self, peer: str, found: Way | NoWay) -> dict[str, Any]:
        told: dict[str, Any] = {"schema": SCHEMA, "local": self._local, "peer": peer, "way": [], "failure": None}
        if isinstance(found, NoWay):
            failure = {"by": found.by, "code": found.code, "label": label_of(found.code), "why": found.why}
            return told | {"failure": failure}
        return told | {"way": hops(peer, found)}


def hops(destination: str, way: Way) -> list[dict[str, Any]]:
    """Return each hop: from whom to whom, its security, and what it adds to the time until the answer, in seconds.

    Each on the way has measured from there to the end and back. What the hops of others
    add is what they say; none adds less than nothing.
    """
    if not way:
        return []
    ends = [*(each.nai for each in way[1:]), destination]
    times = [*(each.microseconds for each in way), 0]
    return [
        {
            "from": each.nai,
            "to": end,
            "security": each.security.name.lower(),
            "seconds": max(before - after, 0) / 1e6,
            "to_the_end": before / 1e6,
        }
        for each, end, (before, after) in zip(way, ends, pairwise(times), strict=True)
    ]
