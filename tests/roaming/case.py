"""How conversations of a whole roaming network are written down and checked."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, TypeVar

from attrs import evolve
from twisted.trial.unittest import FailTest, SynchronousTestCase

from seckex.events import Event
from seckex.roles.faces import RoleAction
from seckex.roles.mobile_node.role import MobileNode
from seckex.wire.numbers import Kem, Keying
from tests.roaming.agreement import missing, registration_of
from tests.roaming.host import Host
from tests.roaming.knowledge import Ledger
from tests.roaming.world import Shape, World

E = TypeVar("E", bound=Event)

#: Both topologies in all modes of keying.
SHAPES = tuple(Shape(topology, keying) for topology in ("direct", "aaa") for keying in Keying)
HYBRID = Shape(kem=Kem.X25519_ML_KEM_768)

#: A registration, by topology and whether a center is asked; what is said on hops back and forth.
DIRECT = ["node1 --> agent1 REQUEST", "agent1 ::> home RELAY", "home ::> agent1 RELAYED", "agent1 --> node1 REPLY"]
BY_AAA = [
    "node1 --> agent1 REQUEST",
    "agent1 ::> aaaf RELAY",
    "aaaf ::> aaah RELAY",
    "aaah ::> home RELAY",
    "home ::> aaah RELAYED",
    "aaah ::> aaaf RELAYED",
    "aaaf ::> agent1 RELAYED",
    "agent1 --> node1 REPLY",
]
ASKED = ["home ::> kdc KEYS", "kdc ::> home ISSUED"]
#: What belongs to no registration.
_ELSEWHERE = ("ADVERTISEMENT", "SOLICITATION", "NODES", "ENTRIES", "CHANGED", "REVOCATION", "REVOKED")


def arrows_of(shape: Shape) -> list[str]:
    """Return what is said in one registration where all goes well."""
    way = DIRECT if shape.topology == "direct" else BY_AAA
    middle = len(way) // 2
    return way if shape.keying is Keying.STATELESS else [*way[:middle], *ASKED, *way[middle:]]


class RoamingCase(SynchronousTestCase):
    """Tests that talk in a `World`; failures show what was said."""

    def setUp(self) -> None:
        self._watching = ExitStack()
        self.addCleanup(self._watching.close)

    def world(self, shape: Shape | None = None, *, start: bool = True, provision: bool = True, **how: Any) -> World:
        """Return a network, running; ``how`` are fields of its shape."""
        world = World(evolve(shape or Shape(), **how))
        network = world.network
        self._watching.close()
        self.ledger = self._watching.enter_context(Ledger(network).watching())

        class Told(FailTest):
            def __init__(self, why: object = "") -> None:
                super().__init__(f"{why}\n{network}")

        # Other processes, where tests run side by side, have to find it by its name.
        Told.__module__, Told.__name__ = FailTest.__module__, FailTest.__name__

        self.failureException = Told  # type: ignore[assignment]  # trial declares it no wider than its own
        return world.start(provision) if start else world

    def registered(self, world: World, host: Host | None = None, within: float = 120.0) -> None:
        """Let time go by until a node is registered, with the same keys at all ends, and nobody else has these."""
        node = host or world.nodes[0]
        world.network.run_until(lambda: not missing(world, node), within)
        # What was still on its way must not change that, nor must who comes back.
        world.network.run(1)
        world.network.run_until(lambda: not missing(world, node), within)
        names = [[each.name for each in hosts] for hosts in (world.nodes, world.agents, [world.home])]
        self.ledger.check(*names)

    def asked(self, host: Host, what: str) -> None:
        """Have an operator ask a node to be "up", "down" or to register "again"."""
        role = host.role(MobileNode)

        def ask() -> list[RoleAction]:
            actions: list[RoleAction] = getattr(role.keeping, what)(host.now())
            return actions

        host.ask(role, ask)

    def spi_of(self, host: Host) -> int:
        """Return the SPI of a node's association with its home agent."""
        registration = registration_of(host)
        if registration is None:
            self.fail(f"{host.name} is not registered")
        return registration.spi_in

    def said(self, world: World, since: int = 0) -> list[str]:
        """Return what was said of registrations, from the ``since``-th line on."""
        return [arrow for arrow in world.network.arrows()[since:] if arrow.rpartition(" ")[2] not in _ELSEWHERE]

    def assertTold(self, host: Host, kind: type[E], **fields: object) -> E:
        """Check that the last report of a kind has these fields, and return it."""
        events = host.reported(kind)
        self.assertTrue(events, f"no {kind.__name__} of {host.name}")
        for name, value in fields.items():
            self.assertEqual(getattr(events[-1], name), value, name)
        return events[-1]
