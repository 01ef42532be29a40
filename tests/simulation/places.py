"""Keys of places that were left: who has moved has nothing of them, and neither has its home."""

from __future__ import annotations

from collections.abc import Iterator

from seckex.roles.home_agent.role import HomeAgent
from seckex.roles.mobile_node.role import MobileNode
from seckex.wire.numbers import SaContent
from tests.roaming.host import Host
from tests.roaming.knowledge import GAP, Ledger, memory
from tests.roaming.world import World


def _in_use(world: World, host: Host) -> Iterator[bytes]:
    """Yield the secrets of the registrations that a host has now."""
    for association in host.adopted.values():
        yield association.keys.secret.octets
    if host is world.home:
        for node in host.role(HomeAgent).home.nodes:
            yield from (binding.keys.secret.octets for binding in node.bindings)
        return
    registration = host.role(MobileNode).keeping.registration
    if registration is not None:
        yield registration.visit.keys.secret.octets


def _lasting(host: Host) -> bytes:
    """Return what is in a store but for associations whose dates are over, which are a node's to delete."""
    live = [each for each in host.store.associations.values() if each.expires > host.now().wall]
    records = (record.octets for record in host.store.records.values())
    return GAP.join((*records, *(association.keys.octets() for association in live)))


def left_behind(world: World, ledger: Ledger) -> list[str]:
    """Return which keys of registrations that are over a node or the home agent still has, in memory or store."""
    found = []
    with world.network.aside():
        for host in (*world.nodes, world.home):
            if host.house is None:
                continue
            in_use, places = set(_in_use(world, host)), {"memory": memory(host)}
            if host is not world.home:
                # There, bindings whose dates are over stay until the node registers again.
                places["store"] = _lasting(host)
            for content in (SaContent.MN_HA, SaContent.FA_HA, SaContent.MN_FA):
                for secret, makers in ledger.holders(content):
                    if host.name in makers and secret not in in_use:
                        where = [place for place, held in places.items() if secret in held]
                        found += [
                            f"{host.name} has in its {each} a {content.name} key of what is over" for each in where
                        ]
    return found
