"""What is wrong with who asks, or with what is asked for: each refused with its own code, told to who can act on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import evolve

from seckex.events import NegotiationRefused
from seckex.events.aaa import RegistrationNotRelayed
from seckex.events.foreign_agent import HomeNetworkRefused, RelayFailed, ReplyUnbelievable, RequestTurnedAway
from seckex.events.home_agent import NodeEnded, RequestUnheard, StaticKeysMade
from seckex.events.kdc import KeysRefused
from seckex.events.mobile_node import AgentRefused, NotProvisioned, RegistrationEnded, RegistrationSent
from seckex.roles.aaa.ways import Ways
from seckex.roles.foreign_agent import asked as agents_asked
from seckex.roles.kdc.center import Center
from seckex.roles.kdc.principals import Principal
from seckex.roles.mobile_node.role import MobileNode
from seckex.sa.store import PutRecord
from seckex.wire import hop
from seckex.wire.hop import decode_hop, encode_hop
from seckex.wire.keying import KeyRequest, NodeQuery
from seckex.wire.mobileip import decode_node_request
from seckex.wire.numbers import Code, Keying, Kind
from tests.crypto.certified import DAY
from tests.link import lose, on
from tests.roaming.agreement import known_at_home, registration_of
from tests.roaming.air import WALL
from tests.roaming.case import RoamingCase
from tests.roaming.certificates import identity
from tests.roaming.host import Host
from tests.roaming.world import AGENTS, HOME, HOME_AAA, NODES, World

EXPIRED = "an authority that nobody trusts"


class NetworkTests(RoamingCase):
    """Realms, domains, names and certificates."""

    def agent_with(self, **changes: Any) -> World:
        """Return a world whose agent has other terms, running for a while."""
        world = self.world(start=False)
        world.terms["agent1"]["agent"] = evolve(world.terms["agent1"]["agent"], **changes)
        world.start()
        world.network.run(5)
        self.assertEqual((world.home.adopted, world.nodes[0].adopted), ({}, {}))
        return world

    def home_with(self, **changes: Any) -> World:
        """Return a world whose home agent has other terms, running for a while."""
        world = self.world(start=False)
        world.terms["home"]["home-agent"] = evolve(world.terms["home"]["home-agent"], **changes)
        world.start()
        world.network.run(5)
        self.assertEqual((world.home.adopted, world.nodes[0].adopted), ({}, {}))
        return world

    def test_an_unknown_realm(self) -> None:
        world = self.world(start=False, topology="aaa")
        world.terms["aaaf"]["aaa"] = Ways(frozenset(), {"other.example": (HOME_AAA,)})
        world.start()
        world.network.run(5)
        if world.foreign_aaa is None:
            self.fail("no AAA server")
        self.assertTold(world.foreign_aaa, RegistrationNotRelayed, code=Code.UNKNOWN_REALM)
        self.assertTold(world.agents[0], RelayFailed, code=Code.UNKNOWN_REALM, neighbour=world.foreign_aaa.nai)
        self.assertTold(world.nodes[0], AgentRefused, code=Code.HOME_NETWORK_UNREACHABLE)

    def test_an_unknown_home_agent(self) -> None:
        world = self.world(start=False, topology="aaa")
        world.terms["aaah"]["aaa"] = Ways(frozenset(("other@home.example",)), {})
        world.start()
        world.network.run(5)
        self.assertTold(world.agents[0], HomeNetworkRefused, code=Code.UNKNOWN_HOME_AGENT, by=HOME_AAA)
        self.assertTold(world.nodes[0], AgentRefused, code=Code.HOME_AGENT_UNREACHABLE)

    def test_a_domain_that_is_not_allowed(self) -> None:
        world = self.home_with(domains=frozenset(("elsewhere.example",)))
        self.assertTold(world.home, RequestUnheard, code=Code.UNKNOWN_DOMAIN)
        self.assertTold(world.agents[0], HomeNetworkRefused, code=Code.UNKNOWN_DOMAIN, by=HOME)
        self.assertTold(world.nodes[0], AgentRefused, code=Code.AGENT_PROHIBITED)

    def test_an_agent_that_is_not_allowed(self) -> None:
        world = self.home_with(agents=frozenset((AGENTS[1],)))
        self.assertTold(world.home, RequestUnheard, code=Code.AGENT_NOT_ALLOWED)
        self.assertTold(world.agents[0], HomeNetworkRefused, code=Code.AGENT_NOT_ALLOWED)
        self.assertTold(world.nodes[0], AgentRefused, code=Code.AGENT_PROHIBITED)

    def test_certificates_of_agents_that_prove_nothing(self) -> None:
        for wrong, cause in (
            (identity(AGENTS[0], until=WALL - 10.0), "agent-certificate-expired"),
            (identity(AGENTS[0], since=WALL + DAY), "agent-certificate-not-yet-valid"),
            (identity(AGENTS[0], EXPIRED), "agent-certificate-unknown-issuer"),
        ):
            world = self.agent_with(identity=wrong)
            self.assertTold(world.home, RequestUnheard, code=Code.AGENT_FAILED_AUTHENTICATION, cause=cause)
            self.assertTold(world.agents[0], HomeNetworkRefused, code=Code.AGENT_FAILED_AUTHENTICATION)
            self.assertTold(world.nodes[0], AgentRefused, code=Code.AGENT_PROHIBITED)

    def test_a_home_agent_that_is_not_who_it_says(self) -> None:
        for wrong in (_posing("other@home.example", HOME), identity(HOME, EXPIRED), identity(HOME, until=WALL - 10.0)):
            world = self.world(start=False)
            world.terms["home"]["home-agent"] = evolve(world.terms["home"]["home-agent"], identity=wrong)
            world.start()
            world.network.run(5)
            # The agent believes no such reply, and passes nothing on.
            self.assertEqual(world.agents[0].counters["agent.visitors"], 0)
            self.assertTrue(world.agents[0].reported(ReplyUnbelievable))
            self.assertTold(world.nodes[0], AgentRefused, code=Code.HOME_AGENT_FAILED_AUTHENTICATION)
            self.assertEqual(world.nodes[0].adopted, {})

    def test_an_agent_that_lies_about_itself(self) -> None:
        # It advertises another's name, and has a certificate for its own.
        world = self.world(start=False, agents=2)
        liar = world.terms["agent1"]["agent"]
        world.terms["agent1"]["agent"] = evolve(liar, identity=_posing(AGENTS[0], AGENTS[1]))
        world.start()
        world.network.run(5)
        self.assertEqual((world.home.adopted, world.nodes[0].adopted), ({}, {}))
        told = self.assertTold(world.home, RequestUnheard, code=Code.AGENT_FAILED_AUTHENTICATION)
        self.assertIn(AGENTS[0], told.why)

    def test_an_agent_that_relays_what_was_meant_for_another(self) -> None:
        world = self.world(agents=2)
        self.registered(world)
        world.network.faults = [on("REQUEST", lose, 1)]
        self.asked(world.nodes[0], "again")
        world.network.run(0.5)
        # The second agent takes it off the air, and is first with it, under its own name.
        agent = world.agents[1]
        world.network.relay(
            agent, HOME, _relayed_by(world.terms["agent2"]["agent"], world.network.last("REQUEST").octets)
        )
        world.network.run(0.4)
        told = self.assertTold(world.home, RequestUnheard, neighbour=AGENTS[1], cause="agent-name")
        self.assertEqual(told.code, Code.AGENT_FAILED_AUTHENTICATION)
        self.registered(world)
        self.assertEqual([each.agent for each in known_at_home(world, world.nodes[0]).bindings], [AGENTS[0]])


def _posing(nai: str, as_whom: str) -> Any:
    """Return an identity that has the certificate of one and gives out the name of another."""
    own = identity(nai)
    posing = type(own).__new__(type(own))
    for slot in type(own).__slots__:
        setattr(posing, slot, getattr(own, slot))
    posing.nai = as_whom
    return posing


def _relayed_by(terms: Any, octets: bytes) -> bytes:
    """Return the RELAY of an agent that takes another's request for its own."""
    composed = agents_asked.compose(decode_node_request(octets), terms, lambda _spi: False)
    route = hop.Route(8, HOME, (terms.nai,))
    return encode_hop(hop.Relay(77, route, composed.message))


class NodeTests(RoamingCase):
    """Who is known, enabled, and has the right key."""

    def changed(self, world: World, change: Callable[[Principal, int], Principal]) -> None:
        """Have the center's database be changed, as an operator would; it tells the home agent."""
        host = world.centers[0]
        center = host.role(Center)
        principal = center.find(NODES[0])
        if not isinstance(principal, Principal):
            self.fail("no principal")
        after = change(principal, int(host.now().wall * 1000))
        host.store.commit([(PutRecord(after.record()),)])
        host.restart()
        world.network.run(40)

    def test_an_unknown_node(self) -> None:
        other = self.world()
        world = self.world(start=False)
        # It was provisioned by another network's center, with this home agent's name.
        world.start(provision=False)
        node = world.nodes[0]
        node.stop()
        node.store.records.update(other.nodes[0].store.records)
        node.start()
        world.network.run(40)
        self.assertTold(world.home, RequestUnheard, code=Code.FAILED_AUTHENTICATION)
        self.assertTold(world.agents[0], HomeNetworkRefused, code=Code.FAILED_AUTHENTICATION)
        self.assertEqual((world.home.adopted, node.adopted), ({}, {}))

    def test_a_node_that_was_not_provisioned(self) -> None:
        world = self.world(start=False)
        world.start(provision=False)
        world.network.run(40)
        self.assertTold(world.nodes[0], NotProvisioned)
        self.assertEqual(self.said(world), [])

    def test_a_disabled_node(self) -> None:
        world = self.world(keying=Keying.STATEFUL)
        self.registered(world)
        self.changed(world, lambda principal, serial: evolve(principal, enabled=False, serial=serial))
        # What it has ends at once, and it is told why when it asks.
        self.assertTold(world.home, NodeEnded, node=NODES[0])
        self.assertEqual((world.home.adopted, world.home.store.associations), ({}, {}))
        self.asked(world.nodes[0], "again")
        world.network.run(5)
        self.assertTold(world.nodes[0], NegotiationRefused, code=Code.DISABLED_NODE)
        self.changed(world, lambda principal, serial: evolve(principal, enabled=True, serial=serial))
        world.network.run(120)
        self.registered(world)

    def test_a_node_that_is_disabled_where_its_home_agent_has_not_heard_of_it(self) -> None:
        world = self.world(keying=Keying.STATEFUL)
        self.registered(world)
        world.network.hop_faults = [lambda parcel: None if parcel.label in ("ENTRIES", "CHANGED") else parcel]
        self.changed(world, lambda principal, serial: evolve(principal, enabled=False, serial=serial))
        self.asked(world.nodes[0], "again")
        world.network.run(5)
        self.assertTold(world.centers[0], KeysRefused, code=Code.DISABLED_NODE)
        self.assertTold(world.nodes[0], NegotiationRefused, code=Code.DISABLED_NODE)

    def test_another_version_of_key_0(self) -> None:
        world = self.world(keying=Keying.STATEFUL)
        self.registered(world)
        self.changed(world, lambda principal, serial: evolve(principal, kvno=2, serial=serial))
        self.asked(world.nodes[0], "again")
        world.network.run(5)
        self.assertTold(world.nodes[0], NegotiationRefused, code=Code.WRONG_KEY_VERSION)

    def test_keys_are_not_issued_to_strangers(self) -> None:
        world = self.world(keying=Keying.STATEFUL)
        self.registered(world)
        center, issued = world.centers[0], len([p for p in world.network.told if p.label == "ISSUED"])
        for mode in (Keying.STATEFUL, Keying.SEMI_STATEFUL):
            request = KeyRequest(mode, 300, 1, bytes(32), NODES[0], AGENTS[0])
            for neighbour in (*AGENTS, "other@home.example"):
                center.hear(neighbour, encode_hop(hop.Keys(5, request)))
                self.assertTold(center, KeysRefused, neighbour=neighbour, code=Code.PROHIBITED)
        unknown = KeyRequest(Keying.STATEFUL, 300, 1, bytes(32), "nobody@home.example", AGENTS[0])
        center.hear(HOME, encode_hop(hop.Keys(6, unknown)))
        self.assertTold(center, KeysRefused, code=Code.UNKNOWN_NODE)
        self.assertEqual(len([p for p in world.network.told if p.label == "ISSUED"]), issued)

    def test_a_mode_that_the_center_does_not_allow(self) -> None:
        world = self.world(start=False, keying=Keying.STATEFUL)
        world.terms["kdc"]["center"] = evolve(world.terms["kdc"]["center"], keying=("semi-stateful",))
        world.start()
        world.network.run(5)
        self.assertTold(world.centers[0], KeysRefused, code=Code.PROHIBITED)
        self.assertTold(world.nodes[0], NegotiationRefused, code=Code.KDC_UNREACHABLE)

    def test_nobody_gets_a_strangers_nodes(self) -> None:
        world = self.world()
        center = world.centers[0]
        for query in (NodeQuery(0, 64), NodeQuery(0, 64, NODES[0])):
            center.hear(AGENTS[0], encode_hop(hop.Nodes(9, query, ())))
        # There is no hop for the answer; what it would have been is told all the same.
        self.assertNotIn(b"wanderer-one", b"".join(p.octets for p in world.network.told if p.receiver == AGENTS[0]))


class LifetimeTests(RoamingCase):
    def asking_for(self, lifetime: int) -> World:
        """Return a world whose node asks for a lifetime that there is not."""
        world = self.world(start=False)
        # What a node of the product never says.
        world.terms["node1"]["node"] = evolve(world.terms["node1"]["node"], lifetime=28800)
        world.start()
        self.patch_lifetime(world.nodes[0], lifetime)
        world.network.run(5)
        return world

    def patch_lifetime(self, host: Host, lifetime: int) -> None:
        role = host.role(MobileNode)
        role.keeping.agents.objection = lambda *_: ""  # type: ignore[method-assign]
        begin = role.keeping._begin

        def beginning(agent: Any, *more: Any) -> None:
            class Generous:
                def __getattr__(self, name: str) -> Any:
                    return (lambda _wanted: lifetime) if name == "granting" else getattr(agent, name)

            begin(Generous(), *more)  # type: ignore[arg-type]  # it has all that an agent has

        role.keeping._begin = beginning  # type: ignore[method-assign,assignment]

    def test_infinite_and_odd_lifetimes_are_turned_away(self) -> None:
        for lifetime in (65535, 61, 1):
            world = self.asking_for(lifetime)
            self.assertTold(world.nodes[0], RegistrationSent, lifetime=lifetime)
            self.assertTold(world.agents[0], RequestTurnedAway, code=Code.AGENT_POORLY_FORMED_REQUEST)
            self.assertEqual(world.home.adopted, {})

    def test_nothing_to_end(self) -> None:
        world = self.asking_for(0)
        self.assertTold(world.nodes[0], NegotiationRefused, code=Code.BAD_LIFETIME)
        self.assertIsNone(registration_of(world.nodes[0]))


class StaticKeyTests(RoamingCase):
    def rotating(self, every: int, **how: Any) -> World:
        """Return a world whose home agent's static keys rotate."""
        world = self.world(start=False, **how)
        world.terms["home"]["home-agent"] = evolve(world.terms["home"]["home-agent"], rotation=every)
        return world.start()

    def test_nodes_are_told_of_the_next_key_and_use_it(self) -> None:
        for keying in Keying:
            world = self.rotating(120, lifetime=60, keying=keying)
            self.registered(world)
            world.network.run(600)
            self.registered(world)
            self.assertGreaterEqual(len(world.home.reported(StaticKeysMade)), 5)
            self.assertEqual(world.nodes[0].reported(RegistrationEnded), [])

    def test_the_key_before_is_still_taken(self) -> None:
        world = self.rotating(120, lifetime=1800)
        self.registered(world)
        world.network.run(150)
        self.asked(world.nodes[0], "again")
        world.network.run(3)
        self.registered(world)

    def test_what_was_sealed_to_a_key_that_is_gone_opens_nothing(self) -> None:
        world = self.rotating(120, lifetime=28800)
        self.registered(world)
        world.network.run(400)
        self.asked(world.nodes[0], "again")
        world.network.run(20)
        self.assertTold(world.home, RequestUnheard, code=Code.FAILED_AUTHENTICATION)
        records = [record for record in world.home.store.records.values() if record.kind == "ha.static-key"]
        self.assertEqual(len(records), 4, "two of each KEM")

    def test_provisioning_files_have_the_present_keys(self) -> None:
        world = self.rotating(120, nodes=2)
        world.network.run(400)
        told = world.centers[0].role(Center).home_keys(HOME, world.centers[0].now().wall)
        own = [p for p in world.network.told if p.label == Kind.NODES.name][-1]
        asked = decode_hop(own.octets)
        if not isinstance(asked, hop.Nodes):
            self.fail("not NODES")
        self.assertEqual({key.public for key in told}, {key.public for key in asked.home_keys})
