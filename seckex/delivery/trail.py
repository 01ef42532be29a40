"""What has happened to the messages of a dialog, step by step, for whoever asks why.

A step is about a range of numbers, so that an envelope with a hundred messages is one step. Of each dialog the last
`MOST_STEPS` are kept, in memory: after a restart a message's way begins with what the store knows.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final, NamedTuple

MOST_STEPS: Final = 256


class TrailStep(NamedTuple):
    """One step: ``first`` to ``last`` are numbers, both 0 where it is about all; ``at`` in wall-clock seconds."""

    at: float
    ours: bool
    first: int
    last: int
    what: str
    details: tuple[tuple[str, Any], ...] = ()


class Trail:
    """The steps of one dialog."""

    __slots__ = ("_steps",)

    def __init__(self) -> None:
        self._steps: deque[TrailStep] = deque(maxlen=MOST_STEPS)

    def note(self, at: float, ours: bool, first: int, last: int, what: str, **details: Any) -> None:
        """Add a step; one that says the same of the numbers behind the last one's is joined to that."""
        steps, said = self._steps, tuple(details.items())
        if steps:
            before = steps[-1]
            if before[1:] == (ours, first, last, what, said):
                # Fragments of one message, or what was tried again.
                return
            if before.ours is ours and before.last + 1 == first and before[4:] == (what, said):
                steps[-1] = TrailStep(before.at, ours, before.first, last, what, said)
                return
        steps.append(TrailStep(at, ours, first, last, what, said))

    def of(self, ours: bool, number: int) -> list[dict[str, Any]]:
        """Return the steps that a message of ours, or of the peer's, has had, the first one first."""
        return [
            {"at": step.at, "what": step.what, **dict(step.details)}
            for step in self._steps
            if (step.last == 0 or (step.ours is ours and step.first <= number <= step.last))
        ]
