"""What waits for the store: one callable for each unit, called with what became of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from seckex.errors import ApiMisuse
from seckex.machine import Now
from seckex.node.actions import Commit
from seckex.roles.faces import RoleAction
from seckex.sa.store import Outcome, Unit

#: Takes an outcome, or why nothing was stored; returns what is to be done.
Then: TypeAlias = Callable[[Outcome | str, Now], list[RoleAction]]


class Commits:
    """See the module. Units become durable in the order in which they are asked for."""

    def __init__(self) -> None:
        self._waiting: dict[int, Then] = {}
        self._last = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def ask(self, unit: Unit, then: Then) -> Commit:
        """Return the action that makes ``unit`` durable; ``then`` is called once."""
        self._last += 1
        self._waiting[self._last] = then
        return Commit(self._last, unit)

    def told(self, token: int, outcome: Outcome | str, now: Now) -> list[RoleAction]:
        """Take an outcome."""
        then = self._waiting.pop(token, None)
        if then is None:
            raise ApiMisuse(f"no commit has the token {token}")
        return then(outcome, now)
