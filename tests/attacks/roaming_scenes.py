"""Registrations that stop where one message is about to arrive: what attackers of a roaming network work on.

A `Visit` names a message, who says it to whom, and in which network; `Visit.play`
runs a new network up to it. The message itself is lost, so whoever plays the
attacker says what arrives in its place: anybody on the air, an AAA server on the way on hops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from attrs import evolve, frozen

from seckex.machine import Path
from seckex.node.limits import Flood
from seckex.roles.foreign_agent.terms import Limits
from seckex.roles.home_agent.role import HomeAgent
from seckex.roles.mobile_node.records import HOME as NODES_HOME
from seckex.roles.mobile_node.records import MOST_UNANSWERED, Home
from seckex.roles.mobile_node.role import MobileNode
from seckex.roles.trace import Tracer
from seckex.sa.store import PutRecord
from seckex.wire.numbers import Keying
from tests.link import Datagram
from tests.roaming.agreement import missing
from tests.roaming.hop import Parcel
from tests.roaming.host import Host
from tests.roaming.world import HOME, Shape, World

#: Somebody with a certificate, who is nobody's neighbour by configuration.
STRANGER: Final = "mallory@visited.example"
#: From where anybody speaks to agents, and to nodes.
SOMEWHERE: Final = Path("203.0.113.66", 40000, 0)
CALM: Final = Flood(cookies="never", source_rate=1e9, source_burst=10**9)


def register(world: World) -> None:
    """Let the node come, and do what it does."""
    world.nodes[0].start()


def by_fallback(world: World) -> None:
    """Let a node come that has asked in vain for as often as there are one-time SPIs to do it with."""
    store = world.nodes[0].store
    home = Home.read(store.records[NODES_HOME, HOME.encode()])
    spent = evolve(home, chain=home.chain.after(MOST_UNANSWERED))
    store.commit([(PutRecord(spent.record()),)])
    register(world)


def skewed(world: World) -> None:
    """Let a node come whose clock is wrong."""
    world.nodes[0].skew = 4000
    register(world)


def refused(world: World) -> None:
    """Let a node come that gets no keys, for a while."""
    before = world.terms["kdc"]["center"]

    def relent() -> None:
        world.terms["kdc"]["center"] = before
        world.centers[0].restart()

    world.terms["kdc"]["center"] = evolve(before, longest_lifetime=60)
    world.centers[0].restart()
    world.network.at(2.5, relent)
    register(world)


def unreachable(world: World) -> None:
    """Let a node come while the home agent is down."""
    world.home.stop()
    world.network.at(1.5, world.home.start)
    register(world)


def traced(world: World) -> None:
    """Register, and find the way."""
    register(world)
    agent = world.agents[0]
    tracer = agent.role(Tracer)
    asked = tracer.trace(HOME, lambda _found: None, agent.now())
    agent.ask(tracer, lambda: asked)


def changed(world: World) -> None:
    """Have the center tell of a change, before the node comes."""
    world.provision(world.nodes[1])


def ended(world: World) -> None:
    """Register, be ended by the operator of the home agent, and register again after a while."""
    node, home = world.nodes[0], world.home
    register(world)

    def end() -> None:
        if missing(world, node):
            world.network.at(0.5, end)
            return
        role = home.role(HomeAgent)
        home.ask(role, lambda: role.end(node.nai, home.now(), lambda _why: None))
        world.network.at(10.0, again)

    def again() -> None:
        if node.house is not None:
            role = node.role(MobileNode)
            node.ask(role, lambda: role.keeping.again(node.now()))

    world.network.at(0.5, end)


@frozen
class Stage:
    """A network in which ``octets`` were about to arrive at ``receiver``, said by ``sender``.

    ``path`` is where they come from on the air, None on a hop.
    """

    visit: Visit
    world: World
    octets: bytes
    sender: Host
    receiver: Host
    path: Path | None

    def hears(self, octets: bytes) -> None:
        """Have octets arrive where the message should have, from where it should have come."""
        if self.path is not None:
            self.receiver.receive(octets, self.path)
        else:
            self.receiver.hear(self.sender.nai, octets)

    def hears_forged(self, octets: bytes) -> None:
        """Have octets arrive that an attacker says: on the air, as who is on the way, or under a name of his own."""
        if self.visit.of_peers:
            self.receiver.hear(STRANGER, octets)
        else:
            self.hears(octets)

    def node_registers(self) -> None:
        """Let time go by until the node is registered."""
        network = self.world.network
        if self.world.nodes[0].house is None:
            self.world.nodes[0].start()
        network.run_until(lambda: not missing(self.world, self.world.nodes[0]), 600)


@frozen(eq=False)
class Visit:
    """``label`` is what `tests.link.label` calls the message, ``sender`` and ``receiver`` are names of hosts.

    ``special`` tells it from others of that name, ``begin`` makes it be said. ``of_peers`` is said over a hop between
    two alone, where nobody is in between; ``hint`` decides nothing, whatever it says.
    """

    label: str
    sender: str
    receiver: str
    keying: Keying = Keying.STATELESS
    begin: Callable[[World], None] = register
    special: str = ""
    rounds: bool = False
    nodes: int = 1
    of_peers: bool = False
    hint: bool = False

    def __str__(self) -> str:
        mode = self.keying.name.lower()
        return f"{self.label}{self.special} from {self.sender} {mode}".replace(" ", "_").replace("-", "_")

    def play(
        self,
        seed: int = 1,
        times: int = 1,
        nodes: int = 1,
        agents: int = 1,
        watched: Callable[[World], None] = lambda _world: None,
    ) -> Stage:
        """Run a new network, given to ``watched``, up to the message, which is lost so many times."""
        shape = Shape(
            "aaa", self.keying, nodes=max(self.nodes, nodes), agents=agents, rounds=self.rounds, lifetime=28800
        )
        world = World(shape, seed)
        watched(world)
        for number in range(agents):
            name = f"agent{number + 1}"
            world.terms[name]["agent"] = evolve(world.terms[name]["agent"], limits=Limits(flood=CALM))
        network, seen = world.network, list[tuple[bytes, Path | None]]()
        for host in network.hosts.values():
            if host not in world.nodes:
                host.start()
        network.run(2)
        world.provision(world.nodes[0])
        self._hold(world, seen, times)
        self.begin(world)
        network.run_until(lambda: seen, 1800)
        octets, path = seen[0]
        return Stage(self, world, octets, network.hosts[self.sender], network.hosts[self.receiver], path)

    def _hold(self, world: World, seen: list[tuple[bytes, Path | None]], times: int) -> None:
        """Have the message be lost, and be noted."""
        network = world.network
        sender, receiver = network.hosts[self.sender], network.hosts[self.receiver]

        def of_air(datagram: Datagram) -> Iterable[Datagram]:
            ours = datagram.label == self.label and network.name_of(datagram.source) == sender.name
            if not ours or len(seen) >= times:
                return (datagram,)
            listener = network.listeners.get((datagram.destination.host, datagram.destination.port))
            seen.append((datagram.octets, datagram.source._replace(via=0 if listener is None else listener.via)))
            return ()

        def of_hop(parcel: Parcel) -> Parcel | None:
            ours = parcel.label == self.label and (parcel.sender, parcel.receiver) == (sender.nai, receiver.nai)
            if not ours or len(seen) >= times:
                return parcel
            seen.append((parcel.octets, None))
            return None

        network.faults.append(of_air)
        network.hop_faults.append(of_hop)


def _of_registration(keying: Keying) -> tuple[Visit, ...]:
    return (
        Visit("REQUEST", "node1", "agent1", keying),
        Visit("REQUEST", "node1", "agent1", keying, by_fallback, " by fallback"),
        Visit("RELAY", "aaah", "home", keying),
        Visit("RELAYED", "aaaf", "agent1", keying),
        Visit("RELAYED", "aaaf", "agent1", keying, skewed, " refused"),
        Visit("REPLY", "agent1", "node1", keying),
        Visit("REPLY", "agent1", "node1", keying, register, " countered", rounds=True),
    )


def _of_centers(keying: Keying) -> tuple[Visit, ...]:
    return (
        Visit("KEYS", "home", "kdc", keying, of_peers=True),
        Visit("ISSUED", "kdc", "home", keying, of_peers=True),
        Visit("NOT_ISSUED", "kdc", "home", keying, refused, of_peers=True),
    )


#: What is the same in all modes of keying is tried in one.
ELSEWHERE: Final = (
    Visit("SOLICITATION", "node1", "agent1", hint=True),
    Visit("ADVERTISEMENT", "agent1", "node1", hint=True),
    Visit("RELAY", "agent1", "aaaf", hint=True),
    Visit("NOT_RELAYED", "aaaf", "agent1", begin=unreachable, hint=True),
    Visit("NODES", "home", "kdc", begin=changed, nodes=2, of_peers=True),
    Visit("ENTRIES", "kdc", "home", begin=changed, nodes=2, of_peers=True),
    Visit("CHANGED", "kdc", "home", begin=changed, nodes=2, of_peers=True),
    Visit("TRACE", "agent1", "aaaf", begin=traced, hint=True),
    Visit("TRACED", "aaaf", "agent1", begin=traced, hint=True),
    Visit("REVOCATION", "home", "agent1", begin=ended),
    Visit("REVOKED", "agent1", "home", begin=ended),
)

VISITS: Final = (
    *(visit for keying in Keying for visit in _of_registration(keying)),
    *(visit for keying in (Keying.STATEFUL, Keying.SEMI_STATEFUL) for visit in _of_centers(keying)),
    *ELSEWHERE,
)
