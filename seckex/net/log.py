"""The daemon's log: events as sentences for people or as JSON objects for programs.

Events go out through ``twisted.logger``, so whatever a Twisted program does
with its log works for these too. Where a configuration asks for a file or for
JSON, an observer of ours writes one line per event there.
"""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TextIO, TypeAlias

import attrs
from twisted.logger import (
    FilteringLogObserver,
    LogEvent,
    Logger,
    LogLevel,
    LogLevelFilterPredicate,
    eventAsText,
    formatEvent,
    globalLogPublisher,
)
from twisted.python.failure import Failure

from seckex.config.files import Owner
from seckex.config.load import give
from seckex.events import Event, NegotiationFailed, NegotiationRefused, StoreTrouble

MAX_TROUBLES: Final = 64
MAX_RECENT: Final = 256
EVENT_SCHEMA: Final = "seckex.event/1"
Subscriber: TypeAlias = Callable[[float, Event], None]
_LEVELS: Final = {"debug": LogLevel.debug, "info": LogLevel.info, "warn": LogLevel.warn, "error": LogLevel.error}


class EventLog:
    """Writes events of at least ``level``, and tells all of them to whoever has subscribed.

    It remembers the last 64 troubles for `status`, and the last 256 events of whatever level for reports of faults.
    """

    def __init__(self, level: str, wall: Callable[[], float]) -> None:
        self._logger = Logger("seckex")
        self._least = _LEVELS[level]
        self._wall = wall
        self.troubles: deque[tuple[float, Event]] = deque(maxlen=MAX_TROUBLES)
        self.recent: deque[tuple[float, Event]] = deque(maxlen=MAX_RECENT)
        self._subscribers: list[Subscriber] = []

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Have ``subscriber`` called with the time and each event from now on; return what ends that."""
        self._subscribers.append(subscriber)
        return lambda: self._subscribers.remove(subscriber)

    def set_level(self, level: str) -> None:
        """Write from now on what is at least of ``level``."""
        self._least = _LEVELS[level]

    def report(self, event: Event) -> None:
        """Write ``event`` and tell it."""
        at = self._wall()
        self.recent.append((at, event))
        if isinstance(event, NegotiationRefused | NegotiationFailed | StoreTrouble):
            self.troubles.append((at, event))
        level = _LEVELS[event.level]
        if level >= self._least:
            fields = attrs.asdict(event)
            self._logger.emit(level, "{seckex_event}", seckex_event=event, seckex_fields=fields)
        for subscriber in tuple(self._subscribers):
            try:
                subscriber(at, event)
            except Exception:
                self.failure("an event could not be told")

    def say(self, level: str, text: str, **fields: Any) -> None:
        """Write a line that is no event of a conversation; ``text`` formats ``fields``."""
        if _LEVELS[level] >= self._least:
            self._logger.emit(_LEVELS[level], text, seckex_fields=fields, **fields)

    def failure(self, text: str, failure: Failure | None = None) -> None:
        """Write that something went wrong which should not have, with its traceback."""
        self._logger.failure(text, failure)


def event_record(at: float, event: Event) -> dict[str, Any]:
    """Return an event as an object for programs: its name, its sentence, and its fields beside."""
    head = {"schema": EVENT_SCHEMA, "time": at, "level": event.level, "event": type(event).__name__}
    return head | {"message": str(event)} | attrs.asdict(event)


def json_line(event: LogEvent) -> str:
    """Return an event as one JSON object and a newline."""
    name = type(event["seckex_event"]).__name__ if "seckex_event" in event else event.get("log_namespace", "")
    shown: dict[str, Any] = {
        "time": event["log_time"],
        "level": event["log_level"].name,
        "event": name,
        "message": formatEvent(event),
    }
    shown.update(event.get("seckex_fields", {}))
    if "log_failure" in event:
        shown["failure"] = eventAsText(event)
    return json.dumps(shown, default=str) + "\n"


def human_line(event: LogEvent) -> str:
    """Return an event as one line of text."""
    text = eventAsText(event, includeTimestamp=True, includeSystem=False)
    return f"{text}\n"


def observe(form: str, level: str, file: Path | None, owner: Owner | None = None) -> Callable[[], None] | None:
    """Begin to write lines as a configuration asks; return what ends that. Raises OSError if the file cannot be opened.

    None where it asks for nothing but what twistd does by itself: sentences on
    the standard streams. A file that is made belongs to ``owner``.
    """
    if form == "human" and file is None:
        return None
    # Twistd puts a log in the place of sys.stderr: what is written there would come back as an event.
    stream: TextIO = (sys.__stderr__ or sys.stderr) if file is None else _opened(file, owner or Owner())
    line = json_line if form == "json" else human_line

    def write(event: LogEvent) -> None:
        stream.write(line(event))

    predicate = LogLevelFilterPredicate(defaultLogLevel=_LEVELS[level])
    observer = FilteringLogObserver(write, [predicate])  # type: ignore[arg-type]  # a function provides ILogObserver
    globalLogPublisher.addObserver(observer)

    def end() -> None:
        globalLogPublisher.removeObserver(observer)
        if file is not None:
            stream.close()

    return end


def _opened(file: Path, owner: Owner) -> TextIO:
    fresh = not file.exists()
    stream = file.open("a", encoding="utf-8", buffering=1)
    if fresh:
        give(file, owner)
    return stream
