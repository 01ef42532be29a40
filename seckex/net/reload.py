"""Reading a configuration again: what has changed, what can change while a daemon runs, and what is said of it.

Everything is judged before anything is changed: where one thing is wrong all
stays as it was. What cannot change in a process that runs stays as it was too,
and is named, while the rest goes ahead.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, Generic, TypeVar

import attrs
from attrs import evolve, frozen

from seckex.config.common import Settings
from seckex.config.problems import Problem, key_path
from seckex.config.structure import file_key

SCHEMA: Final = "seckex.reload/1"
#: The sections of a file that are read at a start only.
AT_START: Final = ("state", "debug")

S = TypeVar("S", bound=Settings)


@frozen
class Outcome:
    """What came of a reload: all paths in the file that ``changed``, those that ``restart`` has to be for, problems.

    With problems nothing has changed.
    """

    changed: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()

    def answer(self) -> dict[str, Any]:
        """Return what the control socket says."""
        return {
            "schema": SCHEMA,
            "done": not self.problems,
            "changed": list(self.changed),
            "kept": [f"{path}: only a restart changes it" for path in self.restart],
            "problems": list(map(str, self.problems)),
        }


@frozen
class Prepared(Generic[S]):
    """What came of opening what new ``settings`` ask for.

    ``settings`` are what can be had: what only a ``restart`` can open is as it was before.
    """

    settings: S
    restart: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


def hear(number: int, heard: Callable[[], None]) -> Callable[[], None] | None:
    """Call ``heard`` on a signal, from wherever the main thread is then; return what ends that.

    Only the main thread may ask for signals; elsewhere this does nothing and returns None.
    """
    if threading.current_thread() is not threading.main_thread():
        return None
    before = signal.signal(number, lambda _number, _frame: heard())
    return partial(_restore, number, before)


def _restore(number: int, before: Any) -> None:
    signal.signal(number, before)


def differences(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """Yield the paths of settings at which ``after`` is another than ``before``."""
    if attrs.has(type(before)) and type(before) is type(after):
        for field in attrs.fields(type(before)):
            inner = key_path(path, file_key(field.name))
            yield from differences(getattr(before, field.name), getattr(after, field.name), inner)
    elif isinstance(before, Mapping) and isinstance(after, Mapping):
        yield from _by_name(before, after, path)
    elif _named(before) and _named(after):
        yield from _by_name({one.nai: one for one in before}, {one.nai: one for one in after}, path)
    elif before != after:
        yield path


def _by_name(before: Mapping[str, Any], after: Mapping[str, Any], path: str) -> Iterator[str]:
    for name in dict.fromkeys((*before, *after)):
        inner = key_path(path, name)
        if name in before and name in after:
            yield from differences(before[name], after[name], inner)
        else:
            yield inner


def _named(value: Any) -> bool:
    return isinstance(value, Sequence) and bool(value) and all(hasattr(one, "nai") for one in value)


def possible(before: S, after: S) -> tuple[S, tuple[str, ...]]:
    """Return the settings of ``after`` as far as they can change now, and the paths of those that cannot."""
    stay = [name for name in AT_START if getattr(before, name) != getattr(after, name)]
    restart = tuple(path for name in stay for path in differences(getattr(before, name), getattr(after, name), name))
    return evolve(after, **{name: getattr(before, name) for name in stay}), restart
