"""The outside of a RELAY: looked at, and written anew for the next hop, with what is inside untouched.

All that a relay needs to know is in the route. What comes of a route is the
same for every registration that has it, so it is worked out once and
remembered under its octets and who said it; then a message costs a look at a
table. What is not remembered is read in full, with all checks.

Limit: `MOST_REMEMBERED` routes, of which the oldest gives way.
"""

from __future__ import annotations

from typing import Final

from attrs import field, frozen

from seckex.errors import Malformed, PeerIncompatible
from seckex.roles.aaa.ways import Ways
from seckex.wire import hop
from seckex.wire.extensions import Detail
from seckex.wire.frames import GENERAL_SIZE
from seckex.wire.hop import MAX_ROUTE, NotRelayed, Route, decode_hop, encode_hop, encode_route
from seckex.wire.numbers import EXTENSION_TYPE, HEADER_SIZE, Code, ExtensionSub

MOST_REMEMBERED: Final = 1024

_SPI: Final = slice(12, 16)
_NO_SPI: Final = bytes(4)
_ROUTE: Final = bytes((EXTENSION_TYPE, ExtensionSub.ROUTE))
_MESSAGE: Final = bytes((EXTENSION_TYPE, ExtensionSub.REGISTRATION_MESSAGE))


@frozen
class Onward:
    """What becomes of messages with one route: ``following`` are asked, with the extension ``route``, or ``detail``."""

    came: Route
    route: bytes = field(repr=False)
    following: tuple[str, ...]
    detail: Detail | None = None


class Envelopes:
    """Those that the principal ``local`` is given."""

    def __init__(self, local: str, ways: Ways) -> None:
        self._local = local
        self._ways = ways
        self._remembered: dict[tuple[str, bytes], Onward] = {}

    def reconfigure(self, ways: Ways) -> None:
        """Go on by other ways."""
        self._ways = ways
        self._remembered.clear()

    def opened(self, neighbour: str, octets: bytes) -> tuple[Onward, int]:
        """Return what becomes of a RELAY that ``neighbour`` has said, and where its route ends.

        Raises `Malformed`, `UnsupportedVersion` and `PeerIncompatible` for what is none.
        """
        start = HEADER_SIZE + GENERAL_SIZE
        end = start + (octets[start - 2] << 8 | octets[start - 1]) if len(octets) > start else 0
        inside = end + GENERAL_SIZE
        if 0 < inside <= len(octets) and octets[_SPI] == _NO_SPI:
            known = self._remembered.get((neighbour, octets[HEADER_SIZE:end]))
            size = octets[inside - 2] << 8 | octets[inside - 1]
            if known is not None and octets[end : end + 2] == _MESSAGE and inside + size == len(octets):
                return known, end
        message = decode_hop(octets)
        if not isinstance(message, hop.Relay):
            raise Malformed("Kind", 2, f"{message.kind.name} is not relayed")
        found = self._onward(neighbour, message.route)
        self._remembered[neighbour, octets[HEADER_SIZE:end]] = found
        if len(self._remembered) > MOST_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        return found, end

    def _onward(self, neighbour: str, came: Route) -> Onward:
        try:
            following = self._following(neighbour, came)
        except PeerIncompatible as refusal:
            return Onward(came, b"", (), Detail(refusal.code, 0, 0, refusal.why))
        route = Route(came.hops - 1, came.home_agent, (*came.relayed, self._local))
        return Onward(came, encode_route(route), following)

    def _following(self, neighbour: str, came: Route) -> tuple[str, ...]:
        relayed = came.relayed
        if relayed[-1:] != (neighbour,):
            raise PeerIncompatible(Code.POORLY_FORMED, f"the route does not end with {neighbour}, who said it")
        if self._local in relayed:
            raise PeerIncompatible(Code.ROUTING_LOOP, f"{self._local} has relayed it before")
        if came.hops == 0 or len(relayed) >= MAX_ROUTE - 1:
            raise PeerIncompatible(Code.ROUTING_LOOP, f"{len(relayed)} have relayed it, and nobody more may")
        following = tuple(each for each in self._ways.to(came.home_agent) if each not in relayed)
        if not following:
            raise PeerIncompatible(Code.ROUTING_LOOP, "all who could be asked have relayed it before")
        return following

    def refusal(self, identification: bytes, came: Route, detail: Detail) -> bytes:
        """Return the answer that says why a message is not relayed, and that it is we who say so."""
        route = Route(came.hops, came.home_agent, (*came.relayed[: MAX_ROUTE - 1], self._local))
        return encode_hop(NotRelayed(int.from_bytes(identification, "big"), detail, route))
