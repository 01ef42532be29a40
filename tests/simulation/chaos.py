"""What goes wrong, drawn from a seed: on the air, on hops, in stores and processes, until `Chaos.end`."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Final

from attrs import evolve

from seckex.sa.store import Unit
from tests.link import Datagram, flipped
from tests.roaming.hop import Parcel
from tests.roaming.host import Crashing, Host
from tests.roaming.world import World

LONGEST_DOWN: Final = 6.0
CUT_OFF: Final = 0.08


class Chaos:
    """See the module. Each run has its own mixture: some have much of one thing and nothing of another."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self.world = world
        self._rng = rng
        draw = rng.choice
        self.loss = draw((0.0, 0.1, 0.3, 0.5))
        self.duplicates = draw((0.0, 0.1, 0.5))
        self.late = draw((0.0, 0.2, 0.5))
        self.corrupt = draw((0.0, 0.05, 0.2))
        self.breaks = draw((0.0, 0.02, 0.15))
        self.crashes = draw((0.0, 0.005, 0.02, 0.05))
        self.full_disk = draw((0.0, 0.0, 0.05))
        #: Whether no agent reaches anybody, which lasts until nodes have asked more often than they have one-time SPIs.
        self.cut_off = rng.random() < CUT_OFF
        self.crashed = 0
        self._going_on = True
        if self.cut_off:
            world.network.refused |= {
                frozenset((each.nai, other)) for each in world.agents for other in each.neighbours
            }
        world.network.faults.append(self._on_the_air)
        world.network.hop_faults.append(self._on_a_hop)
        for host in world.network.hosts.values():
            host.crash, host.crashed = self._crash, self._restart_later
            host.trouble = self._trouble
            host.commit_delay = draw((0.0, 0.001, 0.02, 0.3))
            host.work_delay = draw((0.0, 0.01))

    def __str__(self) -> str:
        return (
            f"loss {self.loss}, duplicates {self.duplicates}, late {self.late}, corrupt {self.corrupt}, hops break "
            f"{self.breaks}, crashes {self.crashes}, full disk {self.full_disk}{', cut off' * self.cut_off}"
        )

    def end(self) -> None:
        """Let nothing go wrong from here on; who is down comes back."""
        self._going_on = False
        self.world.network.refused.clear()

    def _happens(self, chance: float) -> bool:
        return self._going_on and chance > 0 and self._rng.random() < chance

    def _on_the_air(self, datagram: Datagram) -> Iterable[Datagram]:
        if self._happens(self.loss):
            return ()
        return [self._worn(datagram) for _ in range(2 if self._happens(self.duplicates) else 1)]

    def _worn(self, datagram: Datagram) -> Datagram:
        octets, delay = datagram.octets, datagram.delay
        # What TCP delivers is whole.
        if self._happens(self.corrupt) and not datagram.source.tcp:
            octets = flipped(octets, self._rng.randrange(8 * len(octets)))
            if self._happens(0.3):
                octets = octets[: self._rng.randrange(len(octets) + 1)]
        if self._happens(self.late):
            delay += self._rng.random() * self._rng.choice((0.05, 0.5, 4.0))
        return evolve(datagram, octets=octets, delay=delay)

    def _on_a_hop(self, parcel: Parcel) -> Parcel | None:
        if self._happens(self.breaks):
            return None
        if self._happens(self.late):
            parcel = evolve(parcel, delay=parcel.delay + self._rng.random())
        return evolve(parcel, breaks=True) if self._happens(self.breaks) else parcel

    def _crash(self, _point: Crashing) -> bool:
        return self._happens(self.crashes)

    def _trouble(self, _unit: Unit) -> str:
        return "no space is left" if self._happens(self.full_disk) else ""

    def _restart_later(self, host: Host) -> None:
        self.crashed += 1
        self.world.network.at(self._rng.random() * LONGEST_DOWN, host.start)
