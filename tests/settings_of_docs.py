"""Every setting as the classes of settings have it: its path in a file, its default and what it may be."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, get_args

import attrs
from attrs import NOTHING, frozen

from seckex.config.agent import AgentSettings
from seckex.config.initiator import InitiatorSettings
from seckex.config.kdc import KdcSettings
from seckex.config.responder import ResponderSettings
from seckex.config.structure import file_key
from seckex.config.values import Named, Octets, OneDuration, Reader, Seconds, Several, duration, size

ROLES: Final[tuple[type[Any], ...]] = (InitiatorSettings, ResponderSettings, AgentSettings, KdcSettings)


@frozen
class Setting:
    """One setting: ``path`` with ``[]`` for an element of a list of tables and ``NAME`` for a key that is chosen."""

    path: str
    default: str
    allowed: str


def settings(cls: type[Any], path: str = "") -> Iterator[Setting]:
    """Yield the settings of a class and of the classes within, in their order."""
    attrs.resolve_types(cls)
    for field in attrs.fields(cls):
        place = f"{path}{file_key(field.name)}"
        table, suffix = _table(field.type)
        if table is not None:
            yield from settings(table, f"{place}{suffix}.")
        else:
            # The one default that is not its class's own: it depends on who runs the daemon.
            default = "see below" if place == "state.directory" else _default(field)
            yield Setting(place, default, _allowed(field.type))


def _table(kind: Any) -> tuple[type[Any] | None, str]:
    """Return the class of the tables that a type holds, and how their place is written."""
    if isinstance(kind, type) and attrs.has(kind):
        return kind, ""
    base, *notes = get_args(kind) if hasattr(kind, "__metadata__") else (kind,)
    parts = get_args(base)
    inner = next((each for each in parts if isinstance(each, type) and attrs.has(each)), None)
    if inner is None or inner.__module__.startswith("seckex.sa"):
        return None, ""
    if type(None) in parts:
        return inner, ""
    return inner, ".NAME" if any(isinstance(note, Named) for note in notes) else "[]"


def _note(kind: Any) -> Any:
    return next((note for note in getattr(kind, "__metadata__", ()) if isinstance(note, Reader | Several)), None)


def _allowed(kind: Any) -> str:
    note = _note(kind)
    if isinstance(note, Several):
        element = get_args(get_args(kind)[0])[0]
        inner = _note(element)
        return f"{note.expected}, each {'the path of a file' if inner is None else inner.expected}"
    if note is not None:
        # The units are told of once.
        return re.sub(r" \(a number of [^)]*\)", "", note.expected)
    return "the path of a file" if kind is Path else 'the path of a file, or "-"'


def _default(field: attrs.Attribute[Any]) -> str:
    value: Any = field.default
    if value is NOTHING:
        return "required"
    if isinstance(value, attrs.Factory):  # type: ignore[arg-type]  # a class that poses as a function
        return "see below"
    note = _note(field.type)
    if isinstance(note, Seconds | OneDuration):
        return f'"{duration(value)}"'
    if isinstance(note, Octets):
        return f'"{size(value)}"' if value else "0"
    if isinstance(value, tuple):
        return f"[{', '.join(_quoted(each) for each in value)}]"
    return '"-"' if value is None else _quoted(value)


def _quoted(value: object) -> str:
    if type(value) is int:
        return str(value)
    name = getattr(value, "name", value)
    return f'"{str(name).lower().replace("_", "-")}"'
