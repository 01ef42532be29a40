"""Whole roaming networks, ready to run: Fig. 2 (agent to home agent) and Fig. 12 (by way of AAA servers).

A `Shape` says what there is; a `World` is that, running, with nodes that were
provisioned as operators do it: added at the key distribution center, exported, taken
over. What roles are made of stands in `World.terms` and may be changed before a
host starts again. Each agent has a cell of its own; nodes begin in that of the first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any, Final

from attrs import frozen

from seckex.config.kdc import Kdc
from seckex.config.provision import Provision
from seckex.errors import PeerIncompatible
from seckex.machine import Now, Path
from seckex.net.mobile_node import home_of
from seckex.roles.aaa.relay import AaaRelay
from seckex.roles.aaa.ways import Ways
from seckex.roles.faces import Role
from seckex.roles.foreign_agent.agent import ForeignAgent
from seckex.roles.foreign_agent.terms import AgentTerms
from seckex.roles.home_agent.role import HomeAgent
from seckex.roles.home_agent.terms import HomeTerms
from seckex.roles.kdc.center import Center, NewPrincipal
from seckex.roles.mobile_node.plan import Plan
from seckex.roles.mobile_node.role import MobileNode
from seckex.roles.trace import Tracer
from seckex.sa.policy import Policy
from seckex.sa.store import PutRecord
from seckex.wire.info import Layer2Extension
from seckex.wire.numbers import Code, Kem, Keying, Layer2Content, Security
from tests.conversation import INDISPENSABLE, proposal
from tests.roaming.air import GROUPS, PORT, WIRE, family
from tests.roaming.certificates import identity, trust
from tests.roaming.host import Host
from tests.roaming.network import Network

HOME_REALM: Final = "home.example"
NODES: Final = (f"wanderer-one@{HOME_REALM}", f"wanderer-two@{HOME_REALM}")
HOME: Final = f"ha@{HOME_REALM}"
HOME_AAA: Final = f"aaa@{HOME_REALM}"
CENTERS: Final = (f"kdc@{HOME_REALM}", f"kdc2@{HOME_REALM}")
VISITED: Final = "visited.example"
AGENTS: Final = (f"north@{VISITED}", f"south@{VISITED}")
FOREIGN_AAA: Final = f"aaa@{VISITED}"

_ALSO: Final = "hmac-sha-256 prf-hmac-sha-256 x25519 x25519-ml-kem-768"
AES: Final = Policy((proposal(f"aes-256-gcm {_ALSO}"),), INDISPENSABLE)
#: Offers at first what nobody here takes, and what they take once they have said so.
TWO_ROUNDS: Final = Policy(
    (proposal(f"chacha20-poly1305 {_ALSO}"), proposal(f"aes-256-gcm {_ALSO}")), INDISPENSABLE, open_with=1
)


@frozen
class Shape:
    """What a network is made of.

    ``center`` is where the key distribution center lives: "own", "aaa" or "home"; ``replica`` tells that there is
    another one, a replica of it. ``version`` is of IP, on the radio and elsewhere. ``rounds`` tells that nodes need
    a counter-offer, ``bindings`` at how many agents they may be, which they ask for where that is more than one.
    ``same_pseudonym`` tells that agents may follow nodes.
    """

    topology: str = "direct"
    keying: Keying = Keying.STATELESS
    kem: Kem = Kem.X25519
    center: str = "own"
    nodes: int = 1
    agents: int = 1
    replica: bool = False
    lifetime: int = 1800
    version: int = 4
    rounds: bool = False
    bindings: int = 1
    same_pseudonym: bool = False

    def __str__(self) -> str:
        more = f"{' replica' * self.replica}{' rounds' * self.rounds} IPv{self.version}, {self.bindings} binding(s)"
        return f"{self.topology} {self.keying.name.lower()} {self.kem.name.lower()} {self.center}{more}"


class World:
    """See the module. `start` runs everything; until then ``terms``, by the names of hosts, may be changed."""

    def __init__(self, shape: Shape | None = None, seed: int | str = 1) -> None:
        self.shape = shape or Shape()
        self.network = Network(seed)
        self.terms: dict[str, dict[str, Any]] = {}
        #: What came of KEY 0, as long as nothing has healed it.
        self.first_roots: set[bytes] = set()
        self.home = self._add("home", HOME, "192.0.2.10", "2001:db8:1::10", cells=(WIRE,))
        direct = self.shape.topology == "direct"
        self.foreign_aaa = None if direct else self._add("aaaf", FOREIGN_AAA, "192.0.2.30")
        self.home_aaa = None if direct else self._add("aaah", HOME_AAA, "192.0.2.20")
        own = self.shape.center == "own"
        self.centers = [self._add("kdc", CENTERS[0], "192.0.2.40") if own else self._host_of_center()]
        if self.shape.replica:
            self.centers.append(self._add("kdc2", CENTERS[1], "192.0.2.41"))
        self.agents = [self._agent(number) for number in range(self.shape.agents)]
        self.nodes = [self._node(number) for number in range(self.shape.nodes)]
        self._roles_of_home()
        self._roles_of_servers()
        self._roles_of_centers()

    # -- who there is

    def _add(self, name: str, nai: str, *addresses: str, cells: tuple[str, ...] = ()) -> Host:
        self.terms[name] = {}
        own = tuple(each for each in addresses if family(each) == self.shape.version) or addresses
        return self.network.host(name, self._build, *own, nai=nai, cells=cells)

    def _build(self, host: Host) -> Mapping[str, Role]:
        return {kind: _MADE[kind](host, terms) for kind, terms in self.terms[host.name].items()}

    def _host_of_center(self) -> Host:
        if self.shape.center == "home":
            return self.home
        if self.home_aaa is None:
            raise ValueError("a center at an AAA server needs one")
        return self.home_aaa

    def _agent(self, number: int) -> Host:
        name, nai = f"agent{number + 1}", AGENTS[number]
        host = self._add(
            name, nai, f"198.51.100.{number + 1}", f"2001:db8:2::{number + 1}", cells=(f"cell{number + 1}", WIRE)
        )
        direct = self.foreign_aaa is None
        host.neighbours = {HOME} if direct else {FOREIGN_AAA}
        address = ip_address(host.addresses[0])
        self.terms[name]["agent"] = AgentTerms(
            identity=identity(nai),
            trust=trust(),
            policy=AES,
            entropy=host.entropy,
            address=address,
            care_of=(address,),
            domain=VISITED,
            servers=() if direct else (FOREIGN_AAA,),
            groups=tuple(group for group in GROUPS if family(group) == self.shape.version),
        )
        self.terms[name]["trace"] = Way(lambda home_agent: (home_agent,) if direct else (FOREIGN_AAA,), public=True)
        return host

    def _node(self, number: int) -> Host:
        name, nai = f"node{number + 1}", NODES[number]
        host = self._add(name, nai, f"198.51.100.{number + 101}", f"2001:db8:2::{number + 101}", cells=("cell1",))
        self.terms[name]["node"] = Plan(
            local=nai,
            home_agent=HOME,
            policy=TWO_ROUNDS if self.shape.rounds else AES,
            kem=self.shape.kem,
            lifetime=self.shape.lifetime,
            simultaneous=self.shape.bindings > 1,
            groups=tuple((group, PORT) for group in GROUPS if family(group) == self.shape.version),
        )
        near = AGENTS[0], self.agents[0].path
        self.terms[name]["trace"] = Way(_nowhere, lambda _now: near)
        return host

    def _roles_of_home(self) -> None:
        self.home.neighbours = {center.nai for center in self.centers} - {HOME}
        self.terms["home"]["home-agent"] = HomeTerms(
            identity=identity(HOME),
            trust=trust(),
            policy=AES,
            entropy=self.home.entropy,
            address=ip_address(self.home.addresses[0]),
            keying=self.shape.keying,
            centers=tuple(center.nai for center in self.centers),
            bindings=self.shape.bindings,
            same_pseudonym=self.shape.same_pseudonym,
        )
        self.terms["home"]["trace"] = Way(_nowhere)

    def _roles_of_servers(self) -> None:
        if self.foreign_aaa is None or self.home_aaa is None:
            return
        self.foreign_aaa.neighbours = {HOME_AAA}
        self.home_aaa.neighbours = {HOME}
        self.terms["aaaf"]["aaa"] = Ways(frozenset(), {HOME_REALM: (HOME_AAA,)})
        self.terms["aaah"]["aaa"] = Ways(frozenset((HOME,)), {})
        for name in ("aaaf", "aaah"):
            self.terms[name]["trace"] = Way(self.terms[name]["aaa"].to)

    def _roles_of_centers(self) -> None:
        first, *others = self.centers
        replicas = tuple(each.nai for each in others)
        self.terms[first.name]["center"] = Kdc(replicas=replicas)
        for other in others:
            other.neighbours = {first.nai}
            self.terms[other.name]["center"] = Kdc(replicates=first.nai)

    @property
    def relays(self) -> list[Host]:
        """Who passes registrations on and is to know nothing of nodes; not who is a center as well."""
        servers = [host for host in (self.foreign_aaa, self.home_aaa) if host is not None]
        return [*self.agents, *(host for host in servers if host not in self.centers)]

    # -- life

    def start(self, provision: bool = True) -> World:
        """Start everybody but the nodes, provision these, start them; return the world."""
        for host in self.network.hosts.values():
            if host not in self.nodes:
                host.start()
        self.network.run(2)
        for host in self.nodes if provision else ():
            self.provision(host)
        for host in self.nodes:
            host.start()
        return self

    def provision(self, host: Host, kvno: int = 1) -> Provision:
        """Add a node at the center, have the home agent hear of it, and give the node what it needs."""
        number = self.nodes.index(host)
        new = NewPrincipal(
            nai=host.nai,
            home_agent=HOME,
            kvno=kvno,
            home_address=home_address(number, self.shape.version),
            layer2=layer2_address(number),
        )
        told: list[object] = []
        at = self.centers[0]
        center = at.role(Center)
        at.ask(center, lambda: center.add(new, at.now(), told.append))
        self.network.run_until(lambda: told)
        if isinstance(told[0], str):
            self.network.fail(told[0])
        self.network.run(2)
        file = center.provision(host.nai, (self.home.addresses[0],), at.now())
        home = home_of(file)
        self.first_roots.add(home.root.octets)
        host.store.commit([(PutRecord(home.record()),)])
        return file


@frozen
class Way:
    """How a host finds ways: by those that registrations go, or by asking who is ``near``."""

    ways: Callable[[str], tuple[str, ...]]
    near: Callable[[Now], tuple[str, Path] | None] = lambda _now: None
    public: bool = False


def _secure(_neighbour: str) -> Security:
    return Security.TLS


def _nowhere(home_agent: str) -> tuple[str, ...]:
    raise PeerIncompatible(Code.UNKNOWN_REALM, f"no way leads to {home_agent}")


def home_address(number: int, version: int = 4) -> Any:
    """Return the address at home of a node."""
    return ip_address(f"10.77.0.{number + 5}" if version == 4 else f"2001:db8:77::{number + 5}")


def layer2_address(number: int) -> Layer2Extension:
    """Return the address on layer 2 of a node."""
    return Layer2Extension(Layer2Content.ETHERNET, bytes.fromhex(f"02dec0de000{number + 1}"))


_MADE: Final[Mapping[str, Callable[[Host, Any], Role]]] = {
    "node": lambda host, plan: MobileNode(plan, host.entropy),
    "agent": lambda _host, terms: ForeignAgent(terms),
    "home-agent": lambda host, terms: HomeAgent(terms, host.now()),
    "aaa": lambda host, ways: AaaRelay(host.nai, ways, 1024, host.entropy),
    "trace": lambda host, way: Tracer(host.nai, way.ways, _secure, host.entropy, way.near, public=way.public),
    "center": lambda host, settings: Center(host.nai, settings, host.entropy),
}
