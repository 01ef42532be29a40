"""As much of JSON Schema as docs/openapi.json uses."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
    "object": (dict,),
    "array": (list,),
}
KNOWN = frozenset(
    (
        *("type", "properties", "required", "additionalProperties", "enum", "const", "items", "pattern", "minimum"),
        *("maximum", "maxLength", "$ref", "description", "default", "format", "contentEncoding", "contentMediaType"),
    )
)


def resolve(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a reference stands for."""
    while "$ref" in schema:
        found: Any = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        schema = found
    return schema


def faults(document: Mapping[str, Any], schema: Mapping[str, Any], value: Any, at: str = "") -> Iterator[str]:
    """Yield what is wrong with a value."""
    schema = resolve(document, schema)
    if unknown := set(schema) - KNOWN:
        yield f"{at}: the schema has {unknown}"
    kinds = schema.get("type", ())
    kinds = (kinds,) if isinstance(kinds, str) else kinds
    fitting = [kind for kind in kinds if isinstance(value, _TYPES[kind]) and (kind == "boolean" or value is not True)]
    if kinds and not fitting:
        yield f"{at}: {value!r} is none of {kinds}"
        return
    if "const" in schema and value != schema["const"]:
        yield f"{at}: {value!r} is not {schema['const']!r}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{at}: {value!r} is none of {schema['enum']}"
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        yield f"{at}: {value!r} does not fit {schema['pattern']}"
    if isinstance(value, str) and len(value) > schema.get("maxLength", len(value)):
        yield f"{at}: {value!r} is too long"
    if isinstance(value, int | float) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        yield f"{at}: {value!r} is out of bounds"
    if isinstance(value, dict):
        known = schema.get("properties", {})
        yield from (f"{at}.{name}: is missing" for name in schema.get("required", ()) if name not in value)
        if not schema.get("additionalProperties", True):
            yield from (f"{at}.{name}: is not known" for name in value if name not in known)
        for name in known.keys() & value.keys():
            yield from faults(document, known[name], value[name], f"{at}.{name}")
    if isinstance(value, list):
        for index, each in enumerate(value):
            yield from faults(document, schema.get("items", {}), each, f"{at}[{index}]")


def fitting(schema: Mapping[str, Any], example: str) -> list[str]:
    """Return texts that a parameter must take."""
    if "enum" in schema:
        return [str(each) for each in schema["enum"]]
    if "minimum" in schema:
        return [str(schema["minimum"]), str(schema["maximum"])]
    return [example, *(["x" * schema["maxLength"], ""] if "maxLength" in schema else [])]


def unfitting(schema: Mapping[str, Any]) -> list[str]:
    """Return texts that a parameter must not take."""
    if "enum" in schema:
        return ["", "x", schema["enum"][0].upper()]
    if "minimum" in schema:
        beyond = [str(schema["maximum"] + 1), "-1", "", "x", "1e0", "+1", "nan", "inf"]
        return beyond + ([str(schema["minimum"] - 1)] if schema["minimum"] > 0 else [])
    if "maxLength" in schema:
        return ["x" * (schema["maxLength"] + 1), "a b", "\N{LATIN SMALL LETTER U WITH DIAERESIS}"]
    return ["", "x" * 300, "\0"]
