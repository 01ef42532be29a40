"""What a fuzz target is, and how one is found by its name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from random import Random
from typing import Final

from seckex.errors import SeckexError
from tests.fuzz.mutate import Mutator, scramble

CORPUS: Final = Path(__file__).parent / "corpus"


class Target:
    """``name``, how its inputs are ``mutate``d, what they begin with, and what happens with one.

    ``allowed`` are the errors that an input may cause. ``run`` is given inputs
    one after the other within `session`; ``short`` is how many of them the
    tests can afford.
    """

    name: str
    short = 40
    mutate: Mutator = staticmethod(scramble)
    allowed: tuple[type[SeckexError], ...] = ()

    def made(self) -> Iterator[tuple[str, bytes]]:
        """Yield the names and octets of the corpus, out of real conversations."""
        raise NotImplementedError

    def run(self, octets: bytes) -> None:
        """Do to ``octets`` what is done to what comes from outside."""
        raise NotImplementedError

    def session(self) -> AbstractContextManager[object]:
        """Return what is to be entered around runs."""
        return nullcontext()

    def reset(self) -> None:
        """Forget what earlier inputs have left."""

    def seeds(self) -> list[bytes]:
        """Return the corpus in the tree, what was a finding once included."""
        folder = CORPUS / self.name
        return [file.read_bytes() for file in sorted(folder.iterdir())] if folder.is_dir() else []

    def mutants(self, seeds: list[bytes], random: Random, count: int) -> Iterator[bytes]:
        """Yield ``count`` mutants, some of them of earlier ones."""
        found = list(seeds) or [b""]
        for _ in range(count):
            octets = self.mutate(random.choice(found), random, found)
            yield octets
            if random.random() < 0.01 and len(octets) < 10_000:
                # A few survive, so that mutations add up.
                spare = len(seeds) + random.randrange(16)
                found[spare : spare + 1] = [octets]


class Function(Target):
    """A target that is a function of the octets."""

    def __init__(
        self,
        name: str,
        function: Callable[[bytes], object],
        mutate: Mutator,
        made: Callable[[], Iterator[tuple[str, bytes]]],
        *allowed: type[SeckexError],
        short: int = 500,
    ) -> None:
        self.short = short
        self.name, self.mutate, self.allowed = name, mutate, allowed
        self._function, self._made = function, made

    def made(self) -> Iterator[tuple[str, bytes]]:
        """See `Target.made`."""
        return self._made()

    def run(self, octets: bytes) -> None:
        """Call the function."""
        self._function(octets)


def targets() -> dict[str, Target]:
    """Return every target by name."""
    # Not before the engine has instrumented what these import.
    from tests.fuzz import decoders, gate, identities, links, machines, messages, passages, registrations, requests

    rooms = (decoders, registrations, identities, gate, machines, links, passages, messages, requests)
    found = [target for room in rooms for target in room.targets()]
    return {target.name: target for target in found}


def seed_of_now() -> int:
    """Return a seed that no earlier run had."""
    return int.from_bytes(os.urandom(6), "big")
