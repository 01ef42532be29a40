"""The registration that is under way, and what waits for the store.

There is one at a time. What it asks for becomes actions for the edge; the
outcome of a commit comes back under a token. One that was let go is driven no
more, whatever comes for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from seckex.errors import ApiMisuse
from seckex.machine import (
    Action,
    Arm,
    Deliver,
    Now,
    Persist,
    PersistConflict,
    Persisted,
    PersistFailed,
    Report,
    Send,
    State,
    Step,
    advance,
)
from seckex.node.actions import Commit
from seckex.roles.faces import RoleAction
from seckex.roles.mobile_node.registering import TRANSITIONS, Finished
from seckex.sa.store import Outcome, Unit

Delivered: TypeAlias = Callable[[object, Now, list[RoleAction]], None]
Then: TypeAlias = Callable[[Outcome | str, Now, list[RoleAction]], None]


class Course:
    """See the module; ``delivered`` takes what a registration comes to."""

    def __init__(self, delivered: Delivered) -> None:
        self._delivered = delivered
        self._pending: dict[int, Then] = {}
        self._last = 0
        self._life = 0
        self.state: State | None = None
        self.deadline: float | None = None

    @property
    def waiting(self) -> int:
        """How many units have not had their outcome."""
        return len(self._pending)

    def begin(self, step: Step, now: Now, actions: list[RoleAction]) -> None:
        """Begin a registration; there must be none under way."""
        if self.state is not None:
            raise ApiMisuse("a registration is under way already")
        self._take(step, now, actions)

    def drive(self, event: object, now: Now, actions: list[RoleAction]) -> None:
        """Give ``event`` to it; raises what its state raises, having changed nothing."""
        if self.state is not None:
            self._take(advance(TRANSITIONS, self.state, event, now), now, actions)

    def let_go(self) -> None:
        """Drive it no more."""
        self.state = self.deadline = None
        self._life += 1

    def _take(self, step: Step, now: Now, actions: list[RoleAction]) -> None:
        if type(step.state) is not type(self.state):
            self.deadline = None
        self.state = step.state
        if isinstance(step.state, Finished):
            self.let_go()
        self._run(step.actions, now, actions)

    def _run(self, asked: Iterable[Action], now: Now, actions: list[RoleAction]) -> None:
        for action in asked:
            match action:
                case Send() | Report():
                    actions.append(action)
                case Arm(deadline):
                    self.deadline = deadline
                case Persist(unit):
                    life = self._life
                    self.commit(unit, lambda *came, life=life: self._stored(life, *came), actions)
                case Deliver(result):
                    self._delivered(result, now, actions)
                case _:
                    raise ApiMisuse(f"a registration asks for no {type(action).__name__}")

    def _stored(self, life: int, outcome: Outcome | str, now: Now, actions: list[RoleAction]) -> None:
        if life != self._life:
            return
        if outcome is Outcome.STORED:
            self.drive(Persisted(), now, actions)
        elif outcome is Outcome.CONFLICT:
            self.drive(PersistConflict(), now, actions)
        else:
            self.drive(PersistFailed(str(outcome)), now, actions)

    def commit(self, unit: Unit, then: Then, actions: list[RoleAction]) -> None:
        """Ask for ``unit`` to be made durable; ``then`` takes the outcome, or why nothing was stored."""
        self._last += 1
        self._pending[self._last] = then
        actions.append(Commit(self._last, unit))

    def committed(self, token: int, outcome: Outcome | str, now: Now, actions: list[RoleAction]) -> None:
        """Take an outcome."""
        if token not in self._pending:
            raise ApiMisuse(f"no commit has the token {token}")
        self._pending.pop(token)(outcome, now, actions)
