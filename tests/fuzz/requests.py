"""The target that is a control socket: requests of operators, mutated, to a daemon that has an association."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from seckex.net.control import ControlFactory, read_request
from tests.conversation import HOME
from tests.fuzz.mutate import tree
from tests.fuzz.target import Target
from tests.net.test_commands import CommandCase

#: How many requests one daemon answers.
AGE: Final = 500


class Control(Target):
    """See the module."""

    name = "control"
    mutate = staticmethod(tree)
    short = 200

    def __init__(self) -> None:
        self._factory: ControlFactory | None = None
        self._age = 0

    def made(self) -> Iterator[tuple[str, bytes]]:
        """Yield a request for each command."""
        for command in ("status", "explain", "events", "up", "rekey", "down", "reload"):
            request = {"command": command, "peer": HOME, "seconds": 3}
            yield command, json.dumps(request).encode()
        export = {"command": "export", "peer": HOME, "label": "another protocol", "context": "00ff", "length": 48}
        yield "export", json.dumps(export).encode()

    def reset(self) -> None:
        """Begin with a new daemon."""
        self._factory = None

    def run(self, octets: bytes) -> None:
        """Ask, and let go of what is to be waited for."""
        if self._factory is None or self._age > AGE:
            self._factory, self._age = self._daemon(), 0
        self._age += 1
        answer = self._factory.answer(read_request(octets))
        if isinstance(answer, Deferred):
            answer.cancel()
            return
        told = json.loads(answer)
        if not isinstance(told, dict) or "the command failed" in told.get("error", ""):
            raise AssertionError(f"answered {told}")

    def _daemon(self) -> ControlFactory:
        case = CommandCase("anew")
        case.anew()
        node, home = case.pair()
        case.established(node, home)
        desk = case.desk(node)
        # What it begins goes no further, since no time passes.
        return ControlFactory(desk.commands(), Clock(), desk.streams())


def targets() -> list[Target]:
    """Return the target of this module."""
    return [Control()]
