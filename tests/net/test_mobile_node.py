"""A mobile node as a daemon: real sockets and a real store, towards a scripted agent and home agent."""

from __future__ import annotations

import base64
import os
import shutil
import socket
import tempfile
import time
from errno import ENODEV
from pathlib import Path as File
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred, ensureDeferred, gatherResults
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from seckex.cli.control_client import Refused, ask
from seckex.config.initiator import InitiatorSettings
from seckex.config.load import load
from seckex.crypto.registration import provisioned
from seckex.crypto.spichain import Chain
from seckex.machine import Now, Path, Send
from seckex.net.initiator import InitiatorDaemon
from seckex.net.log import EventLog
from seckex.net.mobile_node import ROLE, Roaming
from seckex.net.multicast import Place
from seckex.roles.mobile_node.plan import Plan
from seckex.roles.mobile_node.records import Home as Shared
from tests.roles.mobile_node.scripted import KEY0, Agent, Home
from tests.roles.mobile_node.world import AES, HOME, NODE

reactor: Any = installed

PATIENCE = 60.0

CONFIG = """
role = "initiator"
[identity]
nai = "{node}"
[state]
directory = "state"
[[peers]]
nai = "{home}"
authentication = "registration"
address = "127.0.0.1"
port = 1
[registration]
lifetime = "{lifetime}"
solicit = ["127.0.0.1"]
groups = []
port = {port}
[[policy.proposals]]
encryption = ["aes-256-gcm"]
authentication = ["hmac-sha-256"]
prf = ["prf-hmac-sha-256"]
"""


class Standing:
    """What a scripted agent needs of a host."""

    addresses = ("127.0.0.1",)
    entropy = staticmethod(os.urandom)


class Radio(DatagramProtocol):
    """Gives what comes to the agent, and sends what it says."""

    noisy = False

    def __init__(self, agent: Agent) -> None:
        self.agent = agent

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        for action in self.agent.received(datagram, Path(*addr), Now(time.monotonic(), time.time())):
            if isinstance(action, Send):
                self.transport.write(action.octets, action.path[:2])  # type: ignore[union-attr]  # it is there


class GroupTests(TestCase):
    def test_what_could_not_be_heard_is_tried_again_at_a_reload_and_nothing_else_is(self) -> None:
        tried: list[str] = []
        plan = Plan(NODE, HOME, AES, groups=(("239.255.67.34", 4434),))
        roaming = Roaming(reactor, plan, lambda _spi: False, EventLog("error", lambda: 0.0))
        self.addCleanup(lambda: gatherResults([each for each in roaming.close() if each is not None]))
        house: Any = Standing()
        whole = Place.open

        def absent(_place: Place, group: str, _port: int) -> socket.socket:
            tried.append(group)
            raise OSError(ENODEV, "")

        def there(place: Place, group: str, port: int) -> socket.socket:
            tried.append(group)
            return whole(place, group, port)

        self.patch(Place, "open", absent)
        roaming.open(house, "lo")
        self.patch(Place, "open", there)
        for _ in range(3):
            roaming.listen("lo")
        self.assertEqual(len(tried), 2)


class MobileNodeDaemonTests(TestCase):
    def setUp(self) -> None:
        # Sockets have short paths: trial's own folders are too deep.
        self.folder = File(tempfile.mkdtemp(prefix="seckex-test-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        standing: Any = Standing()
        self.home = Home(NODE, HOME, AES, os.urandom)
        self.agent = Agent(standing, self.home, port=0)
        port = reactor.listenUDP(0, Radio(self.agent), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.agent.port = port.getHost().port
        self.socket = self.folder / "state" / "control.sock"
        self.write()
        self.daemon: InitiatorDaemon | None = None
        self.addCleanup(self.stop)

    def write(self, lifetime: str = "30m", home: str = HOME) -> None:
        text = CONFIG.format(node=NODE, home=home, lifetime=lifetime, port=self.agent.port)
        (self.folder / "node.toml").write_text(text)

    def start(self) -> None:
        self.daemon = InitiatorDaemon(reactor, load(self.folder / "node.toml", InitiatorSettings))
        self.daemon.startService()

    def stop(self) -> Deferred[None] | None:
        return None if self.daemon is None else self.daemon.stopService()

    async def asked(self, command: str, schema: str, **request: Any) -> dict[str, Any]:
        answer: dict[str, Any] = await deferToThread(ask, self.socket, {"command": command, **request}, schema, 10.0)
        return answer

    async def provision(self) -> dict[str, Any]:
        shared = provisioned(KEY0, (NODE, HOME), 1)
        home = Shared(NODE, HOME, 1, shared.root, Chain.begin(shared.chain), keys=self.home.keys())
        text = base64.b64encode(home.record().octets).decode()
        return await self.asked("provision", "seckex.provision/1", home_agent=HOME, home=text)

    async def node(self) -> dict[str, Any]:
        status = await self.asked("status", "seckex.status/1")
        told: dict[str, Any] = status["roles"][ROLE]
        return told

    async def until(self, state: str) -> dict[str, Any]:
        give_up = time.monotonic() + PATIENCE
        while True:
            told = await self.node()
            if told["state"] == state:
                return told
            if time.monotonic() > give_up:
                self.fail(f"waited in vain to be {state}: {told}")
            await deferLater(reactor, 0.02)

    def test_from_provisioning_to_deregistering(self) -> Deferred[None]:
        async def talk() -> None:
            self.start()
            self.assertEqual((await self.node())["state"], "not provisioned")
            self.assertEqual((await self.provision())["daemon"], True)
            told = await self.until("registered")
            self.assertEqual(told["registration"]["agent"], self.agent.nai)
            explained = await self.asked("explain", "seckex.explain-peer/1", peer=HOME)
            self.assertEqual(explained["registration"]["state"], "registered")
            self.assertEqual(explained["association"]["authority"], "registration kvno 1")
            again = await self.asked("rekey", "seckex.rekey/1", peer=HOME)
            self.assertTrue(again["done"])
            self.assertNotEqual(again["association"]["spi_in"], told["registration"]["spi-in"])
            ended = await self.asked("down", "seckex.down/1", peer=HOME)
            self.assertIn(again["association"]["spi_in"], ended["ended"])
            await self.until("not wanted")
            self.assertEqual((await self.asked("status", "seckex.status/1"))["associations"], [])
            up = await self.asked("up", "seckex.up/1", peer=HOME)
            self.assertTrue(up["done"])
            ports = {path.port for _, _, path in self.agent.requests}
            self.assertEqual(len(ports), len(self.agent.requests))

        return ensureDeferred(talk())

    def test_what_is_not_newer_is_not_taken_over(self) -> Deferred[None]:
        async def talk() -> None:
            self.start()
            await self.provision()
            with self.assertRaises(Refused) as caught:
                await self.provision()
            self.assertIn("only a newer one takes its place", caught.exception.why)
            with self.assertRaises(Refused):
                await self.asked("provision", "seckex.provision/1", home_agent=HOME, home="rubbish")
            with self.assertRaises(Refused):
                await self.asked("provision", "seckex.provision/1")

        return ensureDeferred(talk())

    def test_after_a_restart_it_goes_on_with_what_it_has(self) -> Deferred[None]:
        async def talk() -> None:
            self.start()
            await self.provision()
            before = await self.until("registered")
            assert self.daemon is not None
            await self.daemon.stopService()
            self.start()
            after = await self.until("registered")
            self.assertEqual(before["registration"]["spi-in"], after["registration"]["spi-in"])
            [association] = (await self.asked("status", "seckex.status/1"))["associations"]
            self.assertEqual(association["spi_in"], after["registration"]["spi-in"])
            self.assertEqual(len(self.agent.requests), 1)

        return ensureDeferred(talk())

    def test_another_configuration(self) -> Deferred[None]:
        async def talk() -> None:
            self.start()
            await self.provision()
            await self.until("registered")
            self.write("15m")
            done = await self.asked("reload", "seckex.reload/1")
            self.assertEqual((done["done"], done["changed"]), (True, ["registration.lifetime"]))
            give_up = time.monotonic() + PATIENCE
            while (told := await self.until("registered"))["registration"]["lifetime"] != 900:
                self.assertLess(time.monotonic(), give_up)
                await deferLater(reactor, 0.02)
            self.assertEqual(told["registration"]["lifetime"], 900)
            self.write("15m", home="other@example.org")
            kept = await self.asked("reload", "seckex.reload/1")
            self.assertFalse(kept["done"])
            self.assertIn("changes at a restart only", kept["problems"][0])

        return ensureDeferred(talk())

    def test_an_agent_that_refuses_is_told_of(self) -> Deferred[None]:
        async def talk() -> None:
            self.agent.quiet = True
            self.start()
            await self.provision()
            up = await self.asked("up", "seckex.up/1", peer=HOME)
            self.assertFalse(up["done"])
            self.assertEqual(up["failure"]["reason"], "no foreign agent is heard")

        return ensureDeferred(talk())
