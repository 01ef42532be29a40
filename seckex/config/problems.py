"""What is wrong with a file, where, and what would be right.

A file is judged whole: every `Problem` carries the place it was found at, as a
path in the file such as ``policy.proposals[1].encryption[0]``, and all of them
travel in one `ConfigInvalid`.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from os import PathLike, fspath
from typing import Final

from attrs import frozen

from seckex.errors import SeckexError

_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SHOWN: Final = 48


@frozen
class Problem:
    """One thing wrong: ``path`` in the file (empty: the file itself) and a sentence that continues it."""

    path: str
    what: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}" if self.path else self.what


class ConfigInvalid(SeckexError):
    """A file that cannot be used; ``problems`` are all that were found in ``file``."""

    def __init__(self, file: str | PathLike[str], problems: Iterable[Problem]) -> None:
        self.file = fspath(file)
        self.problems = tuple(problems)
        super().__init__("\n".join(f"{self.file}: {problem}" for problem in self.problems))


class Unfit(ValueError):
    """A value that will not do.

    ``expected`` completes the words "must be"; ``found`` is the value as it
    stands in the file, kept out of the exception's text because a key file's
    values must not be repeated; ``hint`` is a further remark.
    """

    def __init__(self, expected: str, found: object, hint: str = "") -> None:
        super().__init__(f"must be {expected}")
        self.expected = expected
        self.found = found
        self.hint = hint


def key_path(parent: str, key: str) -> str:
    """Return the path of ``key`` inside the table at ``parent``, quoted as TOML would where it needs to be."""
    quoted = key if _BARE_KEY.fullmatch(key) else _clipped(json.dumps(key))
    return f"{parent}.{quoted}" if parent else quoted


def shown(value: object) -> str:
    """Return ``value`` as a message may show it: one short line without control characters."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _clipped(json.dumps(value))
    if isinstance(value, int | float):
        return _clipped(str(value))
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return "a table"
    return f"a {type(value).__name__}"


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the suggestion that follows a misspelt ``word``, or nothing where none of ``known`` is near."""
    candidates = difflib.get_close_matches(word.lower().replace("_", "-"), list(known), n=1)
    return f'did you mean "{candidates[0]}"?' if candidates else ""


def repeated(values: Iterable[str], place: Callable[[int], str]) -> Iterator[Problem]:
    """Yield a problem for each value that has come before; ``place`` is the path of the value at an index.

    What is empty could not be read, and is told of elsewhere.
    """
    first: dict[str, int] = {}
    for index, value in enumerate(values):
        if not value:
            continue
        earlier = first.setdefault(value, index)
        if earlier != index:
            yield Problem(place(index), f"must differ from {place(earlier)}: both are {shown(value)}")


def _clipped(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
