"""A message that the program under test has sent: its test decides how far it comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from attrs import Factory, define, field
from twisted.internet.defer import Deferred

from seckex.delivery.faces import Payload, Stage
from seckex.net.delivery.api import Dialog, MessageFailed

_ORDER: Final = (None, Stage.ACCEPTED, Stage.DELIVERED, Stage.PROCESSED)


@define(eq=False)
class Posted:
    """A message of the program; ``stage`` is how far it has come, None before it is durable here.

    ``expires`` is by the clock of the test, 0 for never. ``failed`` is why it failed for good.
    """

    dialog: Dialog = field(repr=False)
    name: str
    number: int
    payload: Payload = field(repr=False)
    type: str = ""
    expires: float = 0.0
    key: str = ""
    _moved: Callable[[], None] = field(default=lambda: None, repr=False)
    stage: Stage | None = None
    failed: MessageFailed | None = None
    _asked: list[tuple[Stage, Deferred[None]]] = field(init=False, repr=False, default=Factory(list))

    def when(self, stage: Stage) -> Deferred[None]:
        """Fire when it has come so far."""
        asked: Deferred[None] = Deferred()
        self._asked.append((stage, asked))
        self._tell()
        return asked

    def reach(self, stage: Stage) -> None:
        """Let it come so far, unless it has come further or has failed."""
        if self.failed is None and not self.has(stage):
            self.stage = stage
            self._tell()

    def refuse(self, code: int, why: str) -> None:
        """Let it fail for good, as when the peer puts it aside; what has been processed cannot fail."""
        if self.failed is None and not self.has(Stage.PROCESSED):
            self.failed = MessageFailed(code, why)
            self._tell()

    def has(self, stage: Stage) -> bool:
        """Tell whether it has come so far."""
        return _ORDER.index(self.stage) >= _ORDER.index(stage)

    def _tell(self) -> None:
        self._moved()
        asked, self._asked = self._asked, []
        for stage, when in asked:
            if self.has(stage):
                when.callback(None)
            elif self.failed is not None:
                when.errback(self.failed)
            else:
                self._asked.append((stage, when))
