"""Whether a daemon lives, and whether it is ready: a check of each thing that it cannot do its work without.

Reasons name nobody and no place: whoever may scrape may read them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from attrs import frozen

from seckex.machine import Now
from seckex.roles.faces import Role
from seckex.roles.home_agent import HomeAgent
from seckex.roles.kdc.center import Center
from seckex.roles.mobile_node.role import MobileNode

READY_SCHEMA: Final = "seckex.ready/1"
LIVE_SCHEMA: Final = "seckex.live/1"

#: Every check there is, and what it is about; docs/operations.md has the same.
CHECKS: Final[Mapping[str, str]] = {
    "running": "the daemon has started, and is not stopping",
    "listening": "its ports are open",
    "store": "what was to be made durable last was",
    "nodes": "at a home agent: a center has told which nodes there are, now or before",
    "center": "at a key distribution center: its nodes are loaded; of a replica, copied once",
    "registration": "at a mobile node: it is registered, and what it has of that is refused by nobody",
}


_WHY: Final = {
    "registered": "",
    "registered in vain": "the home agent or the agent does not know the registration any more",
}


@frozen
class Check:
    """One thing; ``why`` it is not as it should be, empty where it is."""

    name: str
    why: str = ""


def of_roles(roles: Mapping[str, Role], now: Now) -> Iterator[Check]:
    """Yield the checks of roles."""
    for role in roles.values():
        if isinstance(role, HomeAgent):
            yield Check("nodes", "" if role.synced else "no key distribution center has told of nodes yet")
        elif isinstance(role, Center):
            yield Check("center", "" if role.loaded else "the center that is replicated has told of no nodes yet")
        elif isinstance(role, MobileNode):
            state = role.state(now)
            yield Check("registration", _WHY.get(state, f"not registered: {state}"))


def ready(role: str, checks: Sequence[Check]) -> tuple[bool, dict[str, Any]]:
    """Return whether all is well, and what is told."""
    well = not any(check.why for check in checks)
    told = [{"check": check.name, "ready": not check.why, "why": check.why} for check in checks]
    return well, {"schema": READY_SCHEMA, "role": role, "ready": well, "checks": told}


def live(role: str, lag: float) -> dict[str, Any]:
    """Return what is told by who can tell anything: the reactor turns."""
    return {"schema": LIVE_SCHEMA, "role": role, "live": True, "lag": lag}
