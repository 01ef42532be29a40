"""What must hold at every step, whatever goes wrong.

`Invariants` looks at what becomes durable and at what is said, as it happens, and at all memory and stores now and
then:

- keys: nobody makes a key that is not his, and no two ends have different keys of one context;
- index: a node says nothing new under an index that it used, and a home agent's base never goes back;
- acceptance: a request of a node's has one reply, and spends an index that was not spent;
- durable first: a home agent's reply leaves after it is stored, an agent's after its visitor is, a node's request after
  its index is, keys of a center after they are;
- ends: a REVOCATION leaves after it is stored, its answer after the visitor is not stored any more; who was revoked is
  never known again, and in the end nothing of it is anywhere;
- privacy: what agents, relays and centers hold, show or say has no identity, address or key that they must not have.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import define, field

from seckex.roles.foreign_agent.agent import ForeignAgent
from seckex.roles.foreign_agent.visitors import KIND as VISITOR
from seckex.roles.foreign_agent.visitors import decode as decode_visitor
from seckex.roles.home_agent.records import NODE, REPLY, read_node
from seckex.roles.home_agent.records import REVOCATION as ENDED
from seckex.roles.kdc.issued import ISSUED
from seckex.roles.mobile_node.records import HOME as NODES_HOME
from seckex.roles.mobile_node.records import Home
from seckex.sa.store import PutRecord, Record, Unit
from seckex.wire.general import decode_header
from seckex.wire.hop import Issued, Relayed, decode_hop
from seckex.wire.mobileip import AgentRefusal, decode_node_reply, decode_node_request
from seckex.wire.numbers import HEADER_SIZE, REGISTRATION_REPLY, REGISTRATION_REQUEST, Code, Kind, SaContent
from tests.roaming.host import Host
from tests.roaming.knowledge import GAP, Ledger, memory, octets_of, said, shown, stored
from tests.roaming.revoking import remains
from tests.roaming.world import HOME, NODES, World, home_address, layer2_address

_REPLY_START = 32


@define(eq=False)
class Invariants:
    """See the module; it looks from when it is made."""

    world: World
    ledger: Ledger
    requests: dict[str, set[bytes]] = field(factory=dict)
    spis: dict[int, bytes] = field(factory=dict)
    bases: dict[tuple[str, int], int] = field(factory=dict)
    replies: dict[bytes, bytes] = field(factory=dict)
    visitors: set[tuple[str, int]] = field(factory=set)
    revoked: set[str] = field(factory=set)
    bindings: dict[str, set[tuple[str, int]]] = field(factory=dict)
    accepted: int = 0

    def __attrs_post_init__(self) -> None:
        network = self.world.network
        network.saying, network.storing = self.saying, self.storing

    # -- what becomes durable

    def storing(self, host: Host, unit: Unit) -> None:
        """Look at a unit that became durable."""
        with self.world.network.aside():
            self._stored(host, unit)

    def _stored(self, host: Host, unit: Unit) -> None:
        put = [operation.record for operation in unit if isinstance(operation, PutRecord)]
        for record in put:
            if record.kind == VISITOR:
                self.visitors.add((host.name, decode_visitor(record.octets).spi_home))
        replies = [record for record in put if record.kind == REPLY]
        for record in put:
            if record.kind == NODE:
                self._moved(record, spent=bool(replies))
        if replies and not any(record.kind == NODE for record in put):
            self.world.network.fail("a request is answered without spending its index")
        for record in replies:
            self._replied(record)

    def _moved(self, record: Record, *, spent: bool) -> None:
        node = read_node(record, HOME)
        if node.current is None:
            self.revoked.add(node.nai)
        elif node.nai in self.revoked:
            self.world.network.fail(f"{node.nai} was revoked, and is known again")
        self.bindings.setdefault(node.nai, set()).update((each.agent, each.spi_out) for each in node.bindings)
        for credentials in node.credentials:
            key = node.nai, credentials.kvno
            base, before = credentials.window.base, self.bases.get(key, 0)
            self.bases[key] = base
            if base < before:
                self.world.network.fail(f"the base of {node.nai} goes back from {before} to {base}")
            if spent and credentials is node.current and base == before:
                self.world.network.fail(f"a request of {node.nai} is answered without spending its index")

    def _replied(self, record: Record) -> None:
        req, reply = record.octets[:_REPLY_START], record.octets[_REPLY_START:]
        if self.replies.setdefault(req, reply) != reply:
            self.world.network.fail("one request has two replies")
        self.accepted += reply[1] == Code.REGISTERED

    # -- what is said

    def saying(self, host: Host, octets: bytes) -> None:
        """Look at a message."""
        with self.world.network.aside():
            self._said(host, octets)

    def _said(self, host: Host, octets: bytes) -> None:
        if host in self.world.nodes and octets[0] == REGISTRATION_REQUEST:
            self._requested(host, octets)
        elif host in self.world.agents and octets[0] == REGISTRATION_REPLY:
            self._passed(host, octets)
        elif octets[3] == Kind.RELAYED and host is self.world.home:
            self._relayed(octets)
        elif octets[3] == Kind.ISSUED:
            self._issued(host, octets)
        elif octets[3] == Kind.REVOCATION and host is self.world.home:
            if not any(octets in record.octets for (kind, _), record in host.store.records.items() if kind == ENDED):
                self.world.network.fail("the home agent says a revocation that is not durable")
        elif octets[3] == Kind.REVOKED:
            self._answered(host, decode_header(octets[:HEADER_SIZE]).spi)

    def _answered(self, host: Host, spi: int) -> None:
        stored = (record.octets for (kind, _), record in host.store.records.items() if kind == VISITOR)
        if any(decode_visitor(octets).spi_of_home == spi for octets in stored):
            self.world.network.fail(f"{host.name} answers for a visitor that it still has stored")

    def _requested(self, host: Host, octets: bytes) -> None:
        request = decode_node_request(octets)
        own = self.requests.setdefault(host.name, set())
        own.add(request.octets)
        if self.spis.setdefault(request.spi, request.octets) != request.octets:
            self.world.network.fail(f"{host.name} says something new under the SPI {request.spi:#010x}")
        record = host.store.records[NODES_HOME, HOME.encode()]
        if Home.read(record).chain.index < len(own):
            self.world.network.fail(f"{host.name} says something under an index that is not durable as used")

    def _passed(self, host: Host, octets: bytes) -> None:
        reply = decode_node_reply(octets)
        if isinstance(reply, AgentRefusal) or reply.header.code != Code.REGISTERED or not reply.header.lifetime:
            return
        if (host.name, reply.shares.spi_home) not in self.visitors:
            self.world.network.fail(f"{host.name} passes on a registration that it has not stored")

    def _relayed(self, octets: bytes) -> None:
        message = decode_hop(octets)
        if isinstance(message, Relayed) and message.message not in self.replies.values():
            self.world.network.fail("the home agent says a reply that is not durable")

    def _issued(self, host: Host, octets: bytes) -> None:
        message = decode_hop(octets)
        if not isinstance(message, Issued):
            return
        records = [record.octets for record in host.store.records.values() if record.kind == ISSUED]
        for key in message.material.keys:
            if not any(key in record for record in records):
                self.world.network.fail(f"{host.name} gives a key away that is not durable")

    # -- what is left of who was revoked

    def left_of(self, node: Host, *, waiting: bool = True) -> list[str]:
        """Return what is left anywhere of a node that was revoked, beside itself and its name at home.

        For ``waiting`` see `tests.roaming.revoking.remains`.
        """
        world = self.world
        if world.home.house is None or any(agent.house is None for agent in world.agents):
            return ["somebody is down"]
        if node.nai not in self.revoked:
            return ["the home agent does not know"]
        with world.network.aside():
            # What takes long comes last, and only if nothing else is left.
            return remains(world, node, waiting=waiting) or list(self._at_agents(node)) or list(self._keys_left(node))

    def _at_agents(self, node: Host) -> Iterator[str]:
        for agent in self.world.agents:
            own = {spi for nai, spi in self.bindings.get(node.nai, ()) if nai == agent.nai}
            live = (record for record in agent.store.records.values() if record.expires > agent.now().wall)
            with self.world.network.aside():
                # Whoever was asked for a role is taken for who acts.
                stored = {decode_visitor(record.octets).spi_home for record in live if record.kind == VISITOR}
            if own & stored or any(agent.role(ForeignAgent).has_visitor(spi) for spi in own):
                yield f"a visitor at {agent.name}"

    def _keys_left(self, node: Host) -> Iterator[str]:
        for content, others in ((SaContent.MN_HA, [self.world.home]), (SaContent.MN_FA, self.world.agents)):
            keys = [secret for secret, holders in self.ledger.holders(content) if node.name in holders]
            for host in others:
                now = host.now().wall
                lasting = [each for each in host.store.records.values() if each.expires > now]
                lasting_too = [each for each in host.store.associations.values() if each.expires > now]
                held = memory(host) + octets_of([lasting, lasting_too])
                if any(key in held for key in keys):
                    yield f"a key at {host.name}"

    # -- who knows what

    def look_around(self) -> None:
        """Look into all memory, stores, messages and whatever is shown."""
        with self.world.network.aside():
            self._look_around()

    def _look_around(self) -> None:
        world = self.world
        self.ledger.check((each.name for each in world.nodes), (each.name for each in world.agents), (world.home.name,))
        private, roots, keys = self._private(), self._roots(), self._keys()
        for host in world.network.hosts.values():
            held = memory(host) + stored(host)
            if host in world.relays:
                self._absent(host, held + shown(host) + said(world.network, host), private)
            elif host in world.nodes:
                self._absent(host, held, {what: each for what, each in private.items() if host.nai not in what})
            if host not in world.nodes and host is not world.home:
                self._absent(host, held, roots)
            self._absent(host, held, {f"a key of {names}": key for names, key in keys if host.name not in names})
            self._absent(host, shown(host), {f"a key of {names}": key for names, key in keys})
        air = GAP.join(datagram.octets for datagram in world.network.sent[-200:])
        for what, octets in private.items():
            if octets in air:
                world.network.fail(f"{what} is on the air in the clear")

    def _absent(self, host: Host, held: bytes, wanted: dict[str, bytes]) -> None:
        for what, octets in wanted.items():
            if octets in held or octets.hex().encode() in held:
                self.world.network.fail(f"{host.name} has {what}")

    def _private(self) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for number in range(len(self.world.nodes)):
            found[f"the identity of {NODES[number]}"] = NODES[number].partition("@")[0].encode()
            address = home_address(number, self.world.shape.version).packed
            # Four octets may stand somewhere by chance.
            found[f"the home address of {NODES[number]}"] = address if len(address) > 4 else GAP + address + GAP
            found[f"the layer 2 address of {NODES[number]}"] = layer2_address(number).address
        return found

    def _roots(self) -> dict[str, bytes]:
        """Return what nodes and home agent alone share once a registration has healed what provisioning gave."""
        found: dict[str, bytes] = {}
        for host in self.world.nodes:
            record = host.store.records.get((NODES_HOME, HOME.encode()))
            if record is not None and (home := Home.read(record)).answered:
                found[f"the chain of {host.name}"] = home.chain.octets()[4:36]
                if home.root.octets not in self.world.first_roots:
                    found[f"the root of {host.name}"] = home.root.octets
        return found

    def _keys(self) -> list[tuple[tuple[str, ...], bytes]]:
        return [
            (tuple(sorted(self.ledger.made.get(secret, ()))), secret)
            for found in self.ledger.agreed.values()
            for secret in found
        ]
