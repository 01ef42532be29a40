"""A message that a peer has sent to the program under test: what became of it."""

from __future__ import annotations

from enum import Enum

from attrs import Factory, define, field
from twisted.python.failure import Failure

from seckex.delivery.faces import Direction, Payload, Verdict, message_name


class State(Enum):
    """Where a message of a peer is; verdicts count when they are durable."""

    WAITING = "waiting"
    GIVEN = "given"
    DONE = "done"
    DEAD = "dead"
    DROPPED = "dropped"


@define(eq=False)
class Delivered:
    """A message of a peer. ``due`` is when it is given again, by the clock of the test.

    ``verdicts`` has what the program said, as it said it; ``failures`` what its code raised instead, each of
    which counts as a verdict to retry. ``code`` and ``why`` are those of the dead.
    """

    dialog_id: bytes
    direction: Direction
    number: int
    peer: str
    service: str
    type: str
    expires: float
    payload: Payload = field(repr=False)
    state: State = State.WAITING
    attempt: int = 0
    due: float = 0.0
    code: int = 0
    why: str = ""
    verdicts: list[Verdict] = Factory(list)
    failures: list[Failure] = Factory(list)

    @property
    def name(self) -> str:
        """What it is called by people."""
        return message_name(self.dialog_id, self.direction, self.number)

    @property
    def judged(self) -> bool:
        """Whether the program has said of it what is to last."""
        return len(self.verdicts) == self.attempt > 0 and self.verdicts[-1] is not Verdict.RETRY

    @property
    def open(self) -> bool:
        """Whether more may become of it."""
        return self.state in (State.WAITING, State.GIVEN)
