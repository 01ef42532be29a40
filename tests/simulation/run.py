"""One seed: a network that is drawn, a time in which everything goes wrong, a time in which nothing does.

In the end every node has to be registered, with the same keys as its home agent and its agent have, but for one that
was revoked: of that nothing is left anywhere. What nodes fetch has to arrive, and keys of places that they left
have to be gone, from them and from home.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from attrs import frozen

from seckex.errors import Unfeasible
from seckex.machine import Now
from seckex.roles.faces import RoleAction
from seckex.roles.mobile_node.keeping import Keeping
from seckex.roles.mobile_node.role import MobileNode
from seckex.wire.numbers import Code, Kem, Keying
from tests.roaming.agreement import missing
from tests.roaming.host import Host
from tests.roaming.knowledge import Ledger
from tests.roaming.revoking import revoke
from tests.roaming.world import Shape, World
from tests.simulation.chaos import Chaos
from tests.simulation.invariants import Invariants
from tests.simulation.places import left_behind
from tests.simulation.toy import toys
from tests.simulation.traffic import Traffic

SHORTEST, LONGEST = 15.0, 75.0
CUT_OFF_FOR: Final = 240.0
CALM: Final = 400.0
LOOK_EVERY: Final = 60.0
#: So long a home agent may have what was replaced.
GRACE: Final = 30.0
#: In so many seeds a node is revoked.
STOLEN: Final = 0.4
#: Then nothing of it is anywhere so many seconds after everybody can be reached: some are down until then, and a home
#: agent whose hop was cut asks its center every 30 s.
SOON: Final = 40.0


@frozen
class Result:
    """What a seed has come to; ``trace`` is the hash of all that happened in its order."""

    seed: int
    trace: str
    steps: int
    crashes: int
    accepted: int
    simulated: float
    lines: tuple[str, ...]
    downloads: int
    handed_over: int


def shape_of(rng: random.Random) -> Shape:
    """Return what the network of a seed is made of."""
    topology = rng.choice(("direct", "aaa", "aaa"))
    return Shape(
        topology=topology,
        keying=rng.choice(tuple(Keying)),
        kem=rng.choice((Kem.X25519, Kem.X25519, Kem.X25519_ML_KEM_768)),
        center=rng.choice(("own", "own", "home", "aaa" if topology == "aaa" else "own")),
        nodes=2,
        agents=2,
        replica=rng.random() < 0.25,
        lifetime=rng.choice((60, 60, 300)),
        version=rng.choice((4, 6)),
        rounds=rng.random() < 0.25,
        bindings=rng.choice((1, 1, 2)),
    )


class Simulation:
    """One seed; `run` raises `twisted.trial.unittest.FailTest` where something does not hold."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._rng = random.Random(f"simulation {seed}")  # noqa: S311  # has to repeat itself
        self.world = World(shape_of(self._rng), f"simulation {seed}")
        self._hash = hashlib.sha256()
        self.world.network.trace = self._traced
        self.ledger = Ledger(self.world.network)
        self.chaos: Chaos | None = None
        self._stolen = self.world.nodes[0] if self._rng.random() < STOLEN else None
        self._traffic = Traffic(self.world, seed, self._stolen)

    def _traced(self, line: str, octets: bytes) -> None:
        self._hash.update(line.encode())
        self._hash.update(octets)

    def run(self) -> Result:
        """Run it to its end."""
        network = self.world.network
        network.note(f"seed {self.seed}: {self.world.shape}")
        with toys(), self.ledger.watching():
            invariants = self._invariants = Invariants(self.world, self.ledger)
            self.world.start()
            for node in self.world.nodes:
                node.cells = {"cell1", "cell2"}
            self.chaos = Chaos(self.world, self._rng)
            network.note(str(self.chaos))
            self._wrong(invariants)
            self.chaos.end()
            network.note("nothing goes wrong from here on")
            for node in self.world.nodes:
                node.cells |= {"cell1"}
                self._asked(node, "up")
            self._revoke(at_last=True)
            network.run_until(self._forgotten, SOON)
            network.run_until(self._settled, CALM)
            # What was on its way may still change something.
            network.run(5)
            network.run_until(self._settled, CALM)
            invariants.look_around()
            arrived = dict(self._traffic.finished)
            network.run_until(lambda: self._all_arrives(arrived), CALM)
            network.run(GRACE)
            for found in left_behind(self.world, self.ledger):
                network.fail(found)
        return Result(
            self.seed,
            self._hash.hexdigest(),
            network.steps,
            self.chaos.crashed,
            invariants.accepted,
            network.monotonic,
            tuple(network.lines),
            sum(self._traffic.finished.values()),
            self._traffic.moved,
        )

    def _wrong(self, invariants: Invariants) -> None:
        network = self.world.network
        lasting = SHORTEST + self._rng.random() * (LONGEST - SHORTEST)
        until = network.monotonic + (CUT_OFF_FOR if self.chaos is not None and self.chaos.cut_off else lasting)
        looked = network.monotonic
        while network.monotonic < until:
            network.run(self._rng.random() * 8)
            self._something()
            if network.monotonic - looked > LOOK_EVERY:
                looked = network.monotonic
                invariants.look_around()

    # -- what people do meanwhile

    def _something(self) -> None:
        rng, network = self._rng, self.world.network
        what = rng.choice(
            (
                "move",
                "move",
                "asked",
                "elsewhere",
                "turned away",
                "wires",
                "again",
                "down",
                "up",
                "clock",
                "cut",
                "restart",
                "revoke",
            )
        )
        node = rng.choice(self.world.nodes)
        host = rng.choice(list(network.hosts.values()))
        network.note(f"something happens: {what}")
        match what:
            case "move":
                node.cells = set(rng.choice((("cell1",), ("cell2",), ("cell1", "cell2"), ())))
            case "asked":
                self._tells(node, lambda keeping, now: keeping.moves.move("", now))
            case "elsewhere":
                node.cells = set(rng.choice((("cell1",), ("cell2",), ("cell1", "cell2"))))
                self._tells(node, lambda keeping, now: keeping.moves.elsewhere("our address is another one", now))
            case "turned away":
                code = rng.choice((0, Code.UNKNOWN_ASSOCIATION, Code.INSUFFICIENT_RESOURCES, Code.CONNECT_FAILED))
                self._tells(node, lambda keeping, now: keeping.moves.turned_away(_spi_of(keeping), code, now))
            case "wires":
                self._traffic.cut()
            case "again" | "up" | "down":
                self._asked(node, what)
            case "clock":
                node.skew = rng.choice((0.0, 200.0, -200.0, 5000.0, -5000.0))
            case "cut":
                network.break_hops(host)
            case "restart" if host.house is not None:
                host.restart()
            case "revoke":
                self._revoke()

    def _revoke(self, *, at_last: bool = False) -> None:
        """Have the node that is stolen, if any is, revoked; ``at_last`` until that is done."""
        center = self.world.centers[0]
        if self._stolen is None:
            return
        if at_last:
            # Who is down comes back.
            self.world.network.run_until(lambda: center.house is not None)
        if center.house is not None:
            revoke(self.world, self._stolen, [])

    def _asked(self, host: Host, what: str) -> None:
        def asked(keeping: Keeping, now: Now) -> list[RoleAction]:
            actions: list[RoleAction] = getattr(keeping, what)(now)
            return actions

        self._tells(host, asked)

    def _tells(self, host: Host, what: Callable[[Keeping, Now], list[RoleAction]]) -> None:
        """Have a node be told something, by an operator or by who sees to its links."""
        if host.house is None:
            return
        role = host.role(MobileNode)
        try:
            actions = what(role.keeping, host.now())
        except Unfeasible:
            return
        host.ask(role, lambda: actions)

    # -- how it has to end

    def _all_arrives(self, before: dict[str, int]) -> bool:
        """Tell whether every node has fetched something since, all of it; one from before may have been under way."""
        now = self._traffic.finished
        nodes = [node.name for node in self.world.nodes if node is not self._stolen]
        return all(now.get(name, 0) >= before.get(name, 0) + 2 for name in nodes)

    def _forgotten(self) -> bool:
        return self._stolen is None or not self._invariants.left_of(self._stolen, waiting=False)

    def _settled(self) -> bool:
        stolen = self._stolen
        if any(missing(self.world, node) for node in self.world.nodes if node is not stolen):
            return False
        return stolen is None or not self._invariants.left_of(stolen)


def _spi_of(keeping: Keeping) -> int:
    return 0 if keeping.registration is None else keeping.registration.spi_in


def run(seed: int, breaking: Callable[[], AbstractContextManager[object]] = nullcontext) -> Result:
    """Run a seed, with something broken where ``breaking`` does that."""
    with breaking():
        return Simulation(seed).run()
