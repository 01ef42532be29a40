"""A home agent as a daemon, its own center beside it: real hops and a real store, towards a scripted node and agent."""

from __future__ import annotations

import time
from ipaddress import ip_address
from typing import Any

from click.testing import CliRunner
from twisted.internet.threads import deferToThread

from seckex.cli.demo.processes import free_port
from seckex.cli.main import main
from seckex.config.hops import Hop, HopsListen
from seckex.config.load import load
from seckex.config.responder import ResponderSettings
from seckex.crypto.registration import provisioned
from seckex.crypto.spichain import Chain
from seckex.machine import Now
from seckex.net.hops.hops import Hops
from seckex.net.log import EventLog
from seckex.net.principal import Clock
from seckex.net.responder import ResponderDaemon
from seckex.node.actions import Gone
from seckex.roles.home_agent import HomeAgent
from seckex.roles.kdc.center import Center
from seckex.wire import hop
from seckex.wire.keying import HomeKey
from seckex.wire.mobileip import decode_home_reply
from seckex.wire.numbers import MOST_HOPS, Code, Kem
from tests.config.written import write_credentials
from tests.net.test_kdc import HOME, NODE, DaemonCase, reactor
from tests.roles.home_agent.parts import Agent, Node, Read, Relayed, Request, read

AGENT = "agent@example.org"
NODES = '[[peers]]\nnai = "*@example.org"\nauthentication = "registration"\n'


class HomeAgentDaemonTests(DaemonCase):
    def setUp(self) -> None:
        super().setUp()
        write_credentials(self.directory, "agent", AGENT)
        self.links = free_port()
        self.asked_so_far = 0

    def text(self, more: str = "", peers: str = NODES) -> str:
        """Return the configuration of a home agent that is its own center."""
        base = self.kdc_toml(name="home").replace('role = "kdc"', 'role = "responder"')
        listen = f'[listen]\naddresses = ["127.0.0.1"]\nport = {self.links}\n'
        return f'{base}{listen}{peers}[kdc]\n[home-agent]\nkdcs = ["{HOME}"]\n{more}'

    def daemon(self, text: str) -> ResponderDaemon:
        """Start a home agent."""
        daemon = ResponderDaemon(reactor, load(self.write("home", text), ResponderSettings))
        self.start(daemon)
        return daemon

    async def provisioned(self, daemon: ResponderDaemon) -> tuple[Node, HomeKey]:
        """Return a node that was added at the center, and the static key that it was given."""
        await self.add(name="home")
        house = daemon.house
        assert house is not None
        center, home = house.house.roles["kdc"], house.house.roles["home-agent"]
        assert isinstance(center, Center)
        assert isinstance(home, HomeAgent)
        await self.until(lambda: home.counters["nodes"])
        file = center.provision(NODE, ("127.0.0.1",), self.now())
        root, chain = provisioned(file.key0, (NODE, HOME), file.kvno)
        keys = [HomeKey(Kem(key.kem), key.until, key.public) for key in file.home_keys if key.kem == Kem.X25519]
        return Node(NODE, root, Chain.begin(chain), file.kvno), keys[0]

    def now(self) -> Now:
        return Now(reactor.seconds(), time.time())

    def hops(self) -> Hops:
        """Return an agent's hop to the home agent."""
        hops = Hops(
            reactor,
            AGENT,
            (Hop(nai=HOME, address="127.0.0.1", port=self.port),),
            HopsListen(),
            self.credentials("agent"),
            lambda _neighbour, octets: self.heard.append(hop.decode_hop(octets)),
            lambda *_: None,
            EventLog("error", lambda: 0.0),
            Clock(reactor.seconds),
        )
        self.addCleanup(hops.close)
        return hops

    async def relay(self, hops: Hops, relayed: Relayed) -> hop.HopMessage:
        """Return what a home agent answers to an agent's message."""
        self.asked_so_far += 1
        route = hop.Route(MOST_HOPS, HOME, (AGENT,))
        return await self.asked(hops, HOME, hop.Relay(self.asked_so_far, route, relayed.octets))

    async def register(self, hops: Hops, node: Node, key: HomeKey, **changes: Any) -> tuple[Request, Read]:
        """Have a node registered; return its request and what it reads."""
        request = node.request(key, self.now(), agent=AGENT, **changes)
        relayed = Agent(self.credentials("agent").identity, ip_address("127.0.0.1")).relay(request.octets)
        answer = await self.relay(hops, relayed)
        assert isinstance(answer, hop.Relayed)
        found = read(request, decode_home_reply(answer.message), relayed.shares.data)
        if found.answer.code == Code.REGISTERED:
            node.root = found.healed
        return request, found

    async def test_a_node_registers_and_its_association_is_used(self) -> None:
        daemon = self.daemon(self.text('keying = "stateful"\n'))
        node, key = await self.provisioned(daemon)
        hops = self.hops()
        _, found = await self.register(hops, node, key)
        self.assertEqual(found.answer.code, Code.REGISTERED)
        spi = found.answer.spi_of_home
        held = daemon.principal.node.usable(spi, self.now())
        assert held is not None
        self.assertEqual((held.peer, held.confirmed), (NODE, True))
        self.assertIsNotNone(daemon.find(spi))
        told = await self.command({"command": "status"}, "seckex.status/1", "home")
        [shown] = told["roles"]["home-agent"]["nodes"]
        self.assertEqual((shown["nai"], shown["spi-in"], shown["bindings"][0]["agent"]), (NODE, spi, AGENT))
        self.assertEqual(told["counters"]["home-agent.registered"], 1)
        self.assertNotIn(held.keys.secret.octets.hex(), str(told))

    async def test_the_older_one_goes_when_it_is_renewed_and_both_when_it_ends(self) -> None:
        daemon = self.daemon(self.text())
        node, key = await self.provisioned(daemon)
        hops = self.hops()
        await self.register(hops, node, key)
        await self.register(hops, node, key)
        associations = daemon.principal.node.associations
        self.assertEqual(len(associations.held(NODE)), 2)
        _, found = await self.register(hops, node, key, lifetime=0)
        self.assertEqual(found.answer.code, Code.REGISTERED)
        self.assertEqual(associations.held(NODE), ())

    async def test_a_restart_keeps_who_is_registered(self) -> None:
        daemon = self.daemon(self.text())
        node, key = await self.provisioned(daemon)
        _, found = await self.register(self.hops(), node, key)
        await daemon.stopService()
        again = self.daemon(self.text())
        self.assertIsNotNone(again.principal.node.usable(found.answer.spi_of_home, self.now()))
        assert again.house is not None
        self.assertEqual(again.house.house.counters["home-agent.bound"], 1)
        _, found = await self.register(self.hops(), node, key)
        self.assertTrue(found.answer.renewed)

    async def test_its_operator_ends_it_and_it_may_come_back(self) -> None:
        daemon = self.daemon(self.text())
        node, key = await self.provisioned(daemon)
        hops = self.hops()
        await self.register(hops, node, key)
        arguments = ["home", "end", NODE, "--config", str(self.directory / "home.toml")]
        for said, code in ((f"{NODE} has no registration any more; told: {AGENT}", 0), ("it is not registered", 1)):
            result = await deferToThread(CliRunner().invoke, main, arguments)
            self.assertEqual(result.exit_code, code, result.output)
            self.assertIn(said, result.output)
        self.assertEqual(daemon.principal.node.associations.held(NODE), ())
        told = await self.command({"command": "status"}, "seckex.status/1", "home")
        [waiting] = told["roles"]["home-agent"]["revocations"]
        self.assertEqual((waiting["node"], waiting["agent"], waiting["reason"]), (NODE, AGENT, "operator"))
        _, found = await self.register(hops, node, key)
        self.assertEqual(found.answer.code, Code.REGISTERED)

    async def test_of_a_node_that_there_is_not_nothing_is_ended(self) -> None:
        self.daemon(self.text())
        for nai, said in (("nobody@example.org", "no node nobody@example.org is at home here"), ("?", "node ")):
            request = ["home", "end", nai, "--config", str(self.directory / "home.toml")]
            result = await deferToThread(CliRunner().invoke, main, request)
            self.assertEqual(result.exit_code, 1, result.output)
            self.assertIn(said, result.output)

    async def test_a_node_that_ends_its_association_has_left(self) -> None:
        daemon = self.daemon(self.text())
        node, key = await self.provisioned(daemon)
        _, found = await self.register(self.hops(), node, key)
        association = daemon.principal.node.usable(found.answer.spi_of_home, self.now())
        assert association is not None
        assert daemon.house is not None
        counters = daemon.house.house
        daemon.principal.run([Gone(association, "not by the peer")], self.now())
        await self.until(lambda: counters.counters["home-agent.bound"])
        daemon.principal.run([Gone(association, "deleted by the peer", by_peer=True)], self.now())
        await self.until(lambda: not counters.counters["home-agent.bound"])
        self.assertEqual(counters.counters["home-agent.revocations-pending"], 1)

    async def test_why_it_was_refused_is_told_to_who_asks(self) -> None:
        daemon = self.daemon(self.text('shortest-registration = "15m"\n'))
        node, key = await self.provisioned(daemon)
        _, found = await self.register(self.hops(), node, key, lifetime=60)
        self.assertEqual(found.answer.code, Code.BAD_LIFETIME)
        told = await self.command({"command": "explain", "peer": NODE}, "seckex.explain-peer/1", "home")
        [failure] = told["failures"]
        self.assertEqual((failure["code"], failure["by"]), (Code.BAD_LIFETIME, HOME))
        self.assertIn("at least 900 s is wanted here", failure["reason"])
        self.assertEqual(failure["detail"], [f"through {AGENT}"])

    async def test_it_goes_on_by_other_settings(self) -> None:
        daemon = self.daemon(self.text())
        node, key = await self.provisioned(daemon)
        hops = self.hops()
        await self.register(hops, node, key)
        self.write("home", self.text('kind = "mobility-manager"\nlongest-registration = "15m"\n'))
        outcome = daemon.reload()
        self.assertEqual(outcome["kept"], ["home-agent.kind: only a restart changes it"])
        self.assertEqual(outcome["changed"], ["home-agent.longest-registration"])
        _, found = await self.register(hops, node, key)
        self.assertEqual(found.answer.lifetime, 900)
        self.write("home", self.text('domains = ["elsewhere.example"]\nagents = ["other@example.org"]\n'))
        daemon.reload()
        request = node.request(key, self.now(), agent=AGENT)
        answer = await self.relay(hops, Agent(self.credentials("agent").identity).relay(request.octets))
        assert isinstance(answer, hop.NotRelayed)
        self.assertEqual(answer.detail.code, Code.AGENT_NOT_ALLOWED)

    async def test_nodes_have_associations_even_where_they_may_use_nothing(self) -> None:
        key0 = '[[peers]]\nnai = "*@example.net"\nauthentication = "certificate"\n'
        daemon = self.daemon(self.text(peers=key0))
        node, key = await self.provisioned(daemon)
        _, found = await self.register(self.hops(), node, key)
        await daemon.stopService()
        again = self.daemon(self.text(peers=key0))
        self.assertIsNotNone(again.principal.node.usable(found.answer.spi_of_home, self.now()))
