"""Nodes that are revoked, as home agents see it: what their center tells of them is rewritten on its way."""

from __future__ import annotations

from attrs import define, evolve, field

from seckex.roles.foreign_agent.agent import ForeignAgent
from seckex.roles.foreign_agent.visitors import KIND as VISITOR
from seckex.roles.home_agent.records import SERIAL, read_serial
from seckex.roles.home_agent.role import HomeAgent
from seckex.wire import hop
from seckex.wire.keying import NodeEntry
from seckex.wire.numbers import Kind
from tests.roaming.hop import Parcel
from tests.roaming.host import Host
from tests.roaming.world import World


@define(eq=False)
class Revoker:
    """The center of ``world`` with nodes that it has revoked; ``serials`` are those of that, by name."""

    world: World
    serials: dict[str, int] = field(factory=dict)
    _since: int = 0
    _latest: int = 0

    def __attrs_post_init__(self) -> None:
        self.world.network.hop_faults.append(self._passing)

    def revoke(self, host: Host, *, told: bool = True) -> None:
        """Revoke a node; the home agent is told that there are changes, unless nobody can."""
        record = self.world.home.store.records.get((SERIAL, b""))
        self._latest = 1 + max(self._latest, 0 if record is None else read_serial(record))
        self.serials[host.nai] = self._latest
        if told and self.world.home.house is not None:
            self.world.network.relay(self.world.centers[0], self.world.home.nai, hop.encode_hop(hop.Changed(1)))

    def _passing(self, parcel: Parcel) -> Parcel:
        kind = parcel.octets[3]
        if kind == Kind.NODES and parcel.sender == self.world.home.nai:
            asked = hop.decode_hop(parcel.octets)
            self._since = asked.query.since if isinstance(asked, hop.Nodes) else 0
        elif kind == Kind.ENTRIES and parcel.receiver == self.world.home.nai:
            told = hop.decode_hop(parcel.octets)
            if isinstance(told, hop.Entries):
                return evolve(parcel, octets=hop.encode_hop(self._rewritten(told)))
        return parcel

    def _rewritten(self, told: hop.Entries) -> hop.Entries:
        entries = told.entries
        own = [each for each in entries.entries if each.node not in self.serials]
        for nai, serial in self.serials.items():
            if serial > self._since:
                own.append(NodeEntry(serial, False, False, 2, nai, bytes(32), bytes(32), revoked=True))
        self._latest = max(self._latest, entries.serial, *(each.serial for each in own), 0)
        own.sort(key=lambda each: each.serial)
        return evolve(told, entries=evolve(entries, serial=max(entries.serial, self._latest), entries=tuple(own)))


def remains(world: World, host: Host) -> list[str]:
    """Return what there is anywhere of a node that was revoked, beside itself and its name at home."""
    found = []
    home, nai = world.home, host.nai
    if home.house is not None:
        role = home.role(HomeAgent)
        node = role.home.nodes.get(nai)
        if node is not None and (node.current or node.former or node.bindings or node.association):
            found.append("keys or bindings at home")
        if any(each.node == nai for each in role.home.revocations):
            found.append("revocations that are not answered")
        if any(each.peer == nai for each in home.adopted.values()):
            found.append("an association at home")
    if any(each.peer == nai for each in home.store.associations.values()):
        found.append("an association in the store at home")
    return found


def visitors(agent: Host) -> int:
    """Return how many visitors an agent has, in memory and in its store, whichever is more."""
    stored = sum(kind == VISITOR for kind, _ in agent.store.records)
    if agent.house is None:
        return stored
    return max(stored, agent.role(ForeignAgent).counters["visitors"])
