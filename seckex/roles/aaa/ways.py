"""Where registrations go on to: home agents that are served directly, and next hops by realm."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from seckex.config.aaa import ANY_REALM, Aaa
from seckex.errors import PeerIncompatible
from seckex.wire.numbers import Code


@frozen
class Ways:
    """What an AAA server knows of the network; NAIs of neighbours, the best first."""

    home_agents: frozenset[str]
    by_realm: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, settings: Aaa) -> Ways:
        """Return what is configured."""
        return cls(frozenset(settings.home_agents), {route.realm: route.next for route in settings.routes})

    def to(self, home_agent: str) -> tuple[str, ...]:
        """Return whom to ask, one after the other; raises `PeerIncompatible` where no way is known."""
        if home_agent in self.home_agents:
            return (home_agent,)
        realm = home_agent.partition("@")[2]
        found = self.by_realm.get(realm) or self.by_realm.get(ANY_REALM)
        if found is not None:
            return found
        if any(each.partition("@")[2] == realm for each in self.home_agents):
            raise PeerIncompatible(Code.UNKNOWN_HOME_AGENT, f"{home_agent} is no home agent of its realm")
        raise PeerIncompatible(Code.UNKNOWN_REALM, f"no route leads to the realm {realm}")
