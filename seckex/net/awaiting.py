"""Waiting for what comes of something that an operator has begun: events tell.

Whoever asks says how long it will wait; when that is over it is told so, and what was begun goes on by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from twisted.internet.defer import Deferred

from seckex.events import Event
from seckex.net.control import Answer
from seckex.net.log import EventLog

MOST_TOLD: Final = 32

# What an event means to whoever waits; None where it is nothing yet.
Reading: TypeAlias = Callable[[Event], Answer | None]


def awaited(
    log: EventLog, reactor: Any, peer: str, seconds: int, begin: Callable[[], None], read: Reading, nothing: Answer
) -> Deferred[Answer]:
    """Call ``begin`` and return what ``read`` makes of one of the events that follow, or ``nothing`` after ``seconds``.

    The answer has what was told of ``peer`` meanwhile. Raises what ``begin`` raises.
    """
    told: list[str] = []
    answered: Deferred[Answer] = Deferred(lambda _: stop())

    def heard(_at: float, event: Event) -> None:
        if getattr(event, "peer", None) == peer and len(told) < MOST_TOLD:
            told.append(str(event))
        answer = read(event)
        if answer is not None:
            stop()
            answered.callback(answer | {"events": told})

    def late() -> None:
        unsubscribe()
        why = f"nothing is settled after {seconds} s; it goes on by itself"
        answered.callback(nothing | {"pending": why, "events": told})

    unsubscribe = log.subscribe(heard)
    timer = reactor.callLater(seconds, late)

    def stop() -> None:
        unsubscribe()
        timer.cancel()

    try:
        begin()
    except Exception:
        stop()
        raise
    return answered
