"""Nodes that are revoked at their center, and what is left of them anywhere."""

from __future__ import annotations

from seckex.errors import Unfeasible
from seckex.roles.foreign_agent.agent import ForeignAgent
from seckex.roles.foreign_agent.visitors import KIND as VISITOR
from seckex.roles.home_agent.role import HomeAgent
from seckex.roles.kdc.center import Center
from tests.roaming.host import Host
from tests.roaming.world import World


def revoke(world: World, host: Host, told: list[object]) -> None:
    """Have the operator of the center revoke a node; ``told`` gets what came of it."""
    at = world.centers[0]
    center = at.role(Center)
    try:
        actions = center.revoke([host.nai], at.now(), told.append)
    except Unfeasible as error:
        told.append(str(error))
        return
    at.ask(center, lambda: actions)


def remains(world: World, host: Host, *, waiting: bool = True) -> list[str]:
    """Return what the home agent has of a node that was revoked, beside its name.

    Unless ``waiting`` what agents have not answered does not count: they may never have heard of a registration.
    """
    found = []
    home, nai = world.home, host.nai
    if home.house is not None:
        role = home.role(HomeAgent)
        node = role.home.nodes.get(nai)
        if node is not None and (node.current or node.former or node.bindings or node.association):
            found.append("keys or bindings at home")
        if waiting and any(each.node == nai for each in role.home.revocations):
            found.append("revocations that are not answered")
        now = home.now().wall
        if any(each.peer == nai and each.expires > now for each in home.adopted.values()):
            found.append("an association at home")
    # There is nobody here who would delete those whose dates are over.
    if any(each.peer == nai and each.expires > home.now().wall for each in home.store.associations.values()):
        found.append("an association in the store at home")
    return found


def visitors(agent: Host) -> int:
    """Return how many visitors an agent has, in memory and in its store, whichever is more."""
    stored = sum(kind == VISITOR for kind, _ in agent.store.records)
    if agent.house is None:
        return stored
    return max(stored, agent.role(ForeignAgent).counters["visitors"])
