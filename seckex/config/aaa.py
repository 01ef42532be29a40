"""The settings of an AAA relay: where registrations go on to, by the realm of their home agent."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Annotated, Final

from attrs import frozen

from seckex.config.problems import Problem, nearest, repeated, shown
from seckex.config.values import Nai, Several, Whole, Words, is_realm

MAX_ROUTES: Final = 1024
MAX_HOME_AGENTS: Final = 1024
#: The realm of a route that stands for all for which there is no other.
ANY_REALM: Final = "*"

REALM: Final = Words(
    f'a realm such as "example.org", or "{ANY_REALM}"', lambda text: text == ANY_REALM or is_realm(text)
)


@frozen(kw_only=True)
class AaaRoute:
    """Where registrations with the home agents of one realm go on to."""

    realm: Annotated[str, REALM]
    """The realm of home agents; ``*`` is every realm for which there is no other route."""

    next: Annotated[tuple[Nai, ...], Several(1, 8)]
    """Neighbours of ``hops``, the best first; the next one is asked when one cannot be reached or refuses to relay."""


@frozen(kw_only=True)
class Aaa:
    """An AAA relay; without home agents and routes there is none."""

    home_agents: Annotated[tuple[Nai, ...], Several(0, MAX_HOME_AGENTS)] = ()
    """Home agents to whom registrations go directly: neighbours of ``hops``, or such as come to us."""

    routes: Annotated[tuple[AaaRoute, ...], Several(0, MAX_ROUTES)] = ()
    pending: Annotated[int, Whole(1, 65536)] = 4096
    """Registrations at once that await an answer; a further one is refused (code 130)."""

    @property
    def relays(self) -> bool:
        """Whether there is such a relay."""
        return bool(self.home_agents or self.routes)


def aaa_contradictions(aaa: Aaa, local: str, neighbours: Collection[str]) -> Iterator[Problem]:
    """Yield what is wrong of a relay of the principal ``local`` with these ``neighbours``."""
    yield from repeated(aaa.home_agents, "aaa.home-agents[{}]".format)
    yield from repeated((route.realm for route in aaa.routes), "aaa.routes[{}].realm".format)
    for index, route in enumerate(aaa.routes):
        path = f"aaa.routes[{index}].next"
        yield from repeated(route.next, (path + "[{}]").format)
        for place, nai in enumerate(route.next):
            if nai == local:
                yield Problem(f"{path}[{place}]", "must be somebody else: this is identity.nai")
            elif nai not in neighbours:
                advice = nearest(nai, neighbours) or "add it to hops"
                yield Problem(f"{path}[{place}]", f"must be one of hops, not {shown(nai)}; {advice}")
