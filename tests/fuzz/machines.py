"""Targets that are nodes in the middle of an exchange: each message, mutated, in place of the real one.

Each comes twice: as an attacker has it, without a key, and ``authenticated``,
as a peer gone mad has it, whose MACs are right. Whatever comes, a node raises
nothing, keeps its tables within their limits, answers with nothing longer than
its request, and without a key nobody changes anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from seckex.machine import Path
from seckex.wire.numbers import MAX_DATAGRAM
from tests.attacks.scenes import SCENES, UNPROVEN, Scene, Stage
from tests.fuzz.gullible import gullible
from tests.fuzz.mutate import message, structured
from tests.fuzz.target import Target
from tests.link import lose

STRANGER: Final = Path("203.0.113.66", 4434)

#: How many inputs a node works on before it is set up anew; any that changes it has the same effect.
AGE: Final = 2000


class Node(Target):
    """See the module: the host to which the message of ``scene`` was about to come."""

    mutate = staticmethod(structured(message))

    def __init__(self, scene: Scene, *, authenticated: bool) -> None:
        self.name = str(scene).lower() + ("_authenticated" if authenticated else "")
        self._scene = scene
        self._authenticated = authenticated
        self._stage: Stage | None = None
        self._before: tuple[object, ...] = ()
        self._counters: dict[str, int] = {}
        self._octets = b""
        self._age = 0
        # A node is set up anew for each that verifies.
        self.short = 20 if authenticated else 40

    def session(self) -> AbstractContextManager[object]:
        """Lift authentication, if so."""
        return gullible() if self._authenticated else nullcontext()

    def made(self) -> Iterator[tuple[str, bytes]]:
        """Yield the message, and what was said before it."""
        stage = self._scene.play()
        for datagram in stage.network.sent[-2:]:
            yield datagram.label.replace(" ", "_"), datagram.octets

    def reset(self) -> None:
        """Begin a new exchange for the next input."""
        self._stage = None

    def run(self, octets: bytes) -> None:
        """Let ``octets`` arrive."""
        stage = self._stage
        if stage is None or self._age > AGE:
            stage = self._stage = self._scene.play()
            stage.network.faults = [lose]
            self._octets, self._age = stage.datagram.octets, 0
            self._before, self._counters = stage.host.tables(), stage.host.counters
        host, network = stage.host, stage.network
        self._age += 1
        if self._authenticated:
            # What others hold of an association says nothing if anybody may alter what they say.
            network._keys.clear()
        said = len(network.sent)
        host.receive(octets, STRANGER._replace(tcp=len(octets) > MAX_DATAGRAM))
        # No time passes, but commits have their outcomes.
        network.run(0)
        if host.tables() != self._before or len(network.sent) != said:
            self._check_limits(stage)
            if not self._authenticated and octets != self._octets:
                self._check_answers(stage, said)
            self._stage = None
        del network.lines[:], host.reports[:]

    def _check_limits(self, stage: Stage) -> None:
        limits, counters = stage.host.limits, stage.host.counters
        for name, most in (
            ("associations", limits.associations),
            ("half-open", limits.half_open),
            ("unconfirmed", limits.unconfirmed),
            ("replay-records", limits.replay_records),
        ):
            if counters[name] > min(most, self._counters[name] + 1):
                raise AssertionError(f"one message leads to {counters[name]} {name}")

    def _check_answers(self, stage: Stage, said: int) -> None:
        """Without a key the answer to an old request can be had, a hint, and nothing else."""
        host = stage.host
        if self._scene.mode == "certificates":
            # Much is said before anybody has proved anything; but nobody gets an association for it.
            if tuple(host.node.associations) or host.units:
                raise AssertionError("what nobody has authenticated has led to an association")
            return
        known = {one.octets for one in stage.network.sent[:said]}
        for datagram in stage.network.sent[said:]:
            if datagram.label not in UNPROVEN and datagram.octets not in known:
                raise AssertionError(f"{datagram.label} answers what nobody has authenticated")
        if host.tables() != self._before:
            raise AssertionError("what nobody has authenticated has changed the node")


def targets() -> list[Target]:
    """Return the targets of this module."""
    return [Node(scene, authenticated=authenticated) for scene in SCENES for authenticated in (False, True)]
