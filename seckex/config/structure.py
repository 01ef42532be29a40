"""From TOML's tables to frozen settings, collecting everything that is wrong.

The classes of settings say by their types how each value is read; cattrs walks
them and gathers the errors of a section in one exception group, which is
flattened here into problems with paths. The sections of a file are read one by
one, and the tables of a list too, so that a mistake in one does not hide the
contradictions between others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, get_args

import attrs
from attrs import NOTHING, frozen
from cattrs import Converter
from cattrs.errors import BaseValidationError, ClassValidationError, ForbiddenExtraKeysError, IterableValidationError
from cattrs.gen import make_dict_structure_fn, override

from seckex.config.problems import Problem, Unfit, key_path, nearest, shown
from seckex.config.values import Named, Reader, Several

Resolve = Callable[[str], Path]

_PATH: Final = "the path of a file"


class Unread:
    """Stands for a table that could not be read, where others are compared with it.

    Every attribute is the text that the file has for it, or empty where there is none.
    """

    def __init__(self, raw: object) -> None:
        self._raw = raw if isinstance(raw, dict) else {}

    def lacks(self, attribute: str) -> bool:
        """Tell whether the file has nothing for an attribute."""
        return file_key(attribute) not in self._raw

    def __getattr__(self, name: str) -> str:
        text = self._raw.get(file_key(name))
        return text if isinstance(text, str) else ""


@frozen
class Reading:
    """What came of a file: the sections that could be read, and what is wrong with the others.

    Of a list of tables that could be read in part there are all, with an `Unread` for each of the others.
    """

    sections: Mapping[str, Any]
    problems: tuple[Problem, ...]


def file_key(attribute: str) -> str:
    """Return the name that a class's attribute has in files; an underscore at its end keeps it from being a keyword."""
    return attribute.rstrip("_").replace("_", "-")


def settings_converter(resolve: Resolve) -> Converter:
    """Return a converter for classes of settings; ``resolve`` makes a path of the file absolute."""

    def path(raw: object, _: object) -> Path:
        if not isinstance(raw, str) or not raw or not raw.isprintable():
            raise Unfit(_PATH, raw)
        return resolve(raw)

    def optional_path(raw: object, _: object) -> Path | None:
        return None if raw == "-" else path(raw, None)

    converter = Converter(detailed_validation=True, forbid_extra_keys=True)
    converter.register_structure_hook(Path, path)
    converter.register_structure_hook_func(lambda kind: kind == Path | None, optional_path)
    converter.register_structure_hook_factory(attrs.has, _table)
    converter.register_structure_hook_factory(lambda kind: hasattr(kind, "__metadata__"), _annotated)
    return converter


def _table(cls: type[Any], converter: Converter) -> Callable[[Any, Any], Any]:
    """Read a table of the file into ``cls``, whose attributes have hyphens for underscores in files."""
    renames: dict[str, Any] = {field.name: override(rename=file_key(field.name)) for field in attrs.fields(cls)}
    structure = make_dict_structure_fn(cls, converter, _cattrs_forbid_extra_keys=True, **renames)

    def read(raw: Any, _: object) -> Any:
        if not isinstance(raw, dict):
            raise Unfit("a table", raw)
        return structure(raw, cls)

    return read


def _annotated(kind: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    """Read a value as the reader in its type's annotation says."""
    base, note, *_ = get_args(kind)
    if isinstance(note, Several | Named):
        check, inner = note.check, converter.get_structure_hook(base)

        def read_all(raw: Any, _: object) -> Any:
            check(raw)
            return inner(raw, base)

        return read_all
    return lambda raw, _: note.read(raw)


def read_sections(raw: Mapping[str, Any], cls: type[Any], converter: Converter) -> Reading:
    """Read each attribute of ``cls`` from ``raw`` by itself; an absent one takes its default."""
    attrs.resolve_types(cls)
    sections: dict[str, Any] = {}
    problems: list[Problem] = []
    for field in attrs.fields(cls):
        key = file_key(field.name)
        if key in raw:
            try:
                sections[field.name] = converter.structure(raw[key], field.type)
            except (BaseValidationError, Unfit) as error:
                problems += problems_in(error, key)
                salvaged = _salvaged(raw[key], field.type, converter)
                if salvaged is not None:
                    sections[field.name] = salvaged
        elif field.default is NOTHING:
            problems.append(Problem(key, _missing(field.type)))
        else:
            make = getattr(field.default, "factory", None)
            sections[field.name] = make() if make else field.default
    problems += _unknown(set(raw) - {file_key(field.name) for field in attrs.fields(cls)}, cls, "")
    return Reading(sections, tuple(problems))


def _salvaged(raw: object, kind: Any, converter: Converter) -> Any:
    """Return the tables of a list, or those under chosen names, that can be read each by itself; None for others."""
    inner = get_args(get_args(kind)[0]) if hasattr(kind, "__metadata__") else ()
    table: Any = next((each for each in inner if isinstance(each, type) and attrs.has(each)), None)
    if table is None:
        return None

    def read(value: object) -> Any:
        try:
            return converter.structure(value, table)
        except (BaseValidationError, Unfit):
            return Unread(value)

    named = any(isinstance(note, Named) for note in kind.__metadata__)
    if isinstance(raw, dict) and named:
        return {name: read(value) for name, value in raw.items()}
    return tuple(map(read, raw)) if isinstance(raw, list) and not named else None


def problems_in(error: BaseException, path: str, reveal: bool = True) -> Iterator[Problem]:
    """Flatten what cattrs raised; without ``reveal`` nothing of the file's content is repeated."""
    if isinstance(error, IterableValidationError):
        for inner, element in error.group_exceptions()[0]:
            place = f"{path}[{element.index}]" if isinstance(element.index, int) else key_path(path, element.index)
            yield from problems_in(inner, place, reveal)
    elif isinstance(error, ClassValidationError):
        noted, others = error.group_exceptions()
        for inner, attribute in noted:
            place = key_path(path, file_key(attribute.name))
            if isinstance(inner, KeyError):
                yield Problem(place, _missing(attribute.type))
            else:
                yield from problems_in(inner, place, reveal)
        for inner in others:
            yield from problems_in(inner, path, reveal)
    elif isinstance(error, ForbiddenExtraKeysError):
        yield from _unknown(error.extra_fields, error.cl, path, reveal)
    elif isinstance(error, Unfit):
        what = f"must be {error.expected}"
        if reveal:
            what = f"{what}, not {shown(error.found)}" + (f": {error.hint}" if error.hint else "")
        yield Problem(path, what)
    else:
        raise error


def _unknown(keys: set[str], cls: type[Any], path: str, reveal: bool = True) -> Iterator[Problem]:
    known = [file_key(field.name) for field in attrs.fields(cls)]
    if keys and not reveal:
        yield Problem(path, f"has a key that is none of {', '.join(known)}")
        return
    for key in sorted(keys):
        advice = nearest(key, known) or f"known here: {', '.join(known)}"
        yield Problem(key_path(path, key), f"is not a setting; {advice}")


def _missing(kind: Any) -> str:
    for note in getattr(kind, "__metadata__", ()):
        if isinstance(note, Reader | Several | Named):
            return f"is required: {note.expected}"
    return f"is required: {_PATH}" if kind is Path else "is required"
