"""A mobile node and a scripted agent on the pump, and what tests ask of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import evolve
from twisted.trial.unittest import FailTest, SynchronousTestCase

from seckex.crypto.registration import provisioned
from seckex.crypto.spichain import Chain
from seckex.events import Event
from seckex.roles.faces import Role
from seckex.roles.mobile_node.plan import Plan
from seckex.roles.mobile_node.records import Home as Shared
from seckex.roles.mobile_node.role import MobileNode
from seckex.sa.policy import Policy
from seckex.sa.store import PutRecord
from seckex.wire.numbers import Keying
from tests.conversation import policy, sealing
from tests.roaming.host import Host
from tests.roaming.network import Network
from tests.roles.mobile_node.scripted import KEY0, Agent, Home

E = TypeVar("E", bound=Event)

NODE, HOME = "node@example.org", "home@example.org"
AES = policy(sealing("aes-256-gcm"))
CHACHA = policy(sealing("chacha20-poly1305"))


class World(SynchronousTestCase):
    """A node, an agent, and a home agent behind it; failures show what was said."""

    def setUp(self) -> None:
        self.anew()

    def anew(self, **plan: Any) -> None:
        """Begin again, with another plan."""
        self.network = network = Network()
        self.agents: dict[str, Agent] = {}

        class Told(FailTest):
            def __init__(self, why: object = "") -> None:
                super().__init__(f"{why}\n{network}")

        # Other processes, where tests run side by side, have to find it by its name.
        Told.__module__, Told.__name__ = FailTest.__module__, FailTest.__name__

        self.failureException = Told  # type: ignore[assignment]  # trial declares it no wider than its own
        home_policy: Policy = plan.pop("home_policy", AES)
        manager = plan.get("manager", False)
        self.plan = Plan(NODE, HOME, plan.pop("policy", AES), solicit=(("192.0.2.2", 4434),), **plan)
        self.host = network.host("node", self.roles, "192.0.2.1", cells=["here"])
        self.home = Home(NODE, HOME, home_policy, self.host.entropy, manager=manager)
        self.agent_host = self.add_agent("agent", "192.0.2.2")
        self.agent = self.agents["agent"]

    def add_agent(self, name: str, address: str, **said: Any) -> Host:
        """Add an agent."""

        def build(host: Host) -> Mapping[str, Role]:
            if name not in self.agents:
                self.agents[name] = Agent(host, self.home, **said)
            return {"agent": self.agents[name]}

        host = self.network.host(name, build, address, cells=["here"])
        host.start()
        return host

    def roles(self, host: Host) -> Mapping[str, Role]:
        return {"mobile-node": MobileNode(self.plan, host.entropy)}

    def shared(self, kvno: int = 1) -> Shared:
        """Return what provisioning leaves."""
        root, chain = provisioned(KEY0, (NODE, HOME), kvno)
        return Shared(NODE, HOME, kvno, root, Chain.begin(chain), keys=self.home.keys())

    def provision(self) -> None:
        """Have the node know its home agent before it starts."""
        self.host.store.commit([(PutRecord(self.shared().record()),)])

    def start(self) -> None:
        """Provision and start."""
        self.provision()
        self.host.start()

    @property
    def node(self) -> MobileNode:
        return self.host.role(MobileNode)

    def registered(self, times: int = 1, within: float = 120.0) -> None:
        """Let time go by until the node has registered so often."""
        self.network.run_until(lambda: len(self.host.replaced) >= times, within)
        self.agree()

    def agree(self) -> None:
        """Insist that node and home agent, node and agent, have the same keys."""
        registration = self.node.keeping.registration
        self.assertIsNotNone(registration)
        if registration is not None:
            association = self.host.adopted[registration.spi_in]
            self.assertEqual(association.keys, self.home.key1[-1])
            self.assertEqual(registration.visit.keys, self.home.key3[-1])

    def told(self, kind: type[E]) -> list[E]:
        """Return what the node's operator was told of one kind."""
        return self.host.reported(kind)

    def rely_on(self, keying: Keying) -> None:
        """Have the home agent use a keying mode."""
        self.home.keying = keying

    def replan(self, **changes: Any) -> None:
        """Change the plan of the node, as from its next start."""
        self.plan = evolve(self.plan, **changes)
