"""Units that no registration waits for, and what follows each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from seckex.events import StoreUnwritable
from seckex.machine import Now, Report
from seckex.node.conversation import Driver
from seckex.sa.store import Outcome, Unit

Then: TypeAlias = Callable[[Outcome | str, Now, list[Any]], None]


class Units:
    """See the module."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._then: dict[int, Then] = {}

    def commit(self, unit: Unit, then: Then | None, actions: list[Any]) -> None:
        """Make ``unit`` durable; ``then`` is told what became of it."""
        asked: list[Any] = []
        self._driver.commit(None, unit, asked)
        if then is not None:
            self._then[asked[0].token] = then
        actions += asked

    def committed(self, token: int, outcome: Outcome | str, now: Now, actions: list[Any]) -> None:
        """Take what became of one."""
        then = self._then.pop(token, None)
        if outcome is not Outcome.STORED:
            actions.append(Report(StoreUnwritable(str(outcome))))
        if then is not None:
            then(outcome, now, actions)
