"""What of a configuration may leave the machine in a report of faults.

A setting is kept if it is one that is known and none that names a secret. What
was left out is then also looked for wherever else it may stand, such as in
messages about it; so is whatever looks like a key.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, get_args

import attrs

from seckex.config.load import ROLES
from seckex.config.structure import file_key

REDACTED: Final = "<redacted>"
#: Settings that are, or say where to find, a secret.
SECRETS: Final = frozenset(("key0", "key", "key-log", "master-key", "private-key"))
# SPIs, identifiers of dialogs and check values are shorter than any key.
_LIKE_A_KEY: Final = re.compile(r"[0-9a-fA-F]{48,}|[A-Za-z0-9+/_-]{42,}={1,2}")
_SHORTEST: Final = 4


def _names(cls: type[Any]) -> Iterator[str]:
    """Yield the names of all settings of a class and of the classes within."""
    attrs.resolve_types(cls)
    for field in attrs.fields(cls):
        yield file_key(field.name)
        waiting = [field.type]
        while waiting:
            kind = waiting.pop()
            waiting += get_args(kind)
            if isinstance(kind, type) and attrs.has(kind) and kind.__module__.startswith("seckex.config"):
                yield from _names(kind)


KNOWN: Final = frozenset(("role", *(name for cls in ROLES.values() for name in _names(cls))))


class Redaction:
    """Leaves out of one configuration, and of everything that is said about it, what must not be told."""

    def __init__(self, file: Path) -> None:
        self._base = Path(os.path.abspath(file)).parent
        self._hidden: set[str] = set()

    def settings(self, raw: dict[str, Any]) -> dict[str, Any]:
        """Return the settings of a file as they may be told."""
        kept: dict[str, Any] = {}
        for name, value in raw.items():
            if name in SECRETS:
                self._hide(value)
                kept[name] = REDACTED
            elif isinstance(value, dict):
                kept[name] = self.settings(value)
            elif isinstance(value, list):
                kept[name] = [self.settings(one) if isinstance(one, dict) else self._leaf(name, one) for one in value]
            else:
                kept[name] = self._leaf(name, value)
        return kept

    def _leaf(self, name: str, value: object) -> object:
        if name not in KNOWN:
            return REDACTED
        return value if isinstance(value, str | int) else str(value)

    def _hide(self, value: object) -> None:
        """Take note of a path, in the forms that messages may have it in."""
        if isinstance(value, str) and len(value) >= _SHORTEST:
            self._hidden |= {value, str(self._base / value), os.path.expanduser(value)}

    def hide_path(self, path: Path) -> None:
        """Leave this path out of what is said as well."""
        self._hidden.add(str(path))

    def said(self, value: Any) -> Any:
        """Return what was said somewhere, an object for JSON, without what must not be told."""
        if isinstance(value, dict):
            return {self._text(str(name)): self.said(one) for name, one in value.items()}
        if isinstance(value, list):
            return [self.said(one) for one in value]
        return self._text(value) if isinstance(value, str) else value

    def _text(self, text: str) -> str:
        for hidden in sorted(self._hidden, key=len, reverse=True):
            text = text.replace(hidden, REDACTED)
        return _LIKE_A_KEY.sub(REDACTED, text)
