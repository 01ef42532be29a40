"""Accounts and totals as they are written for programs: JSON objects, one a line, or CSV; and read again.

Both have the same fields; in CSV those of the directions have its name before them, what is not there is
empty, and truth is ``true`` or ``false``. A field is added at the end, and none changes its meaning
without another schema.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TextIO

from seckex.cli.output import Fault

ACCOUNT_SCHEMA: Final = "seckex.account/1"
TOTAL_SCHEMA: Final = "seckex.account-total/1"

DIRECTIONS: Final = ("outward", "inward")
FIGURES: Final = ("carried", "proved", "acknowledged")
_OCTETS: Final = tuple(f"{way}_{figure}" for way in DIRECTIONS for figure in FIGURES)
_HEAD: Final = ("schema", "role", "local", "node", "agent", "domain", "pseudonym")

ACCOUNT_FIELDS: Final = (*_HEAD, "id", "began", "as_of", "ended", "whole", "why", *_OCTETS)
TOTAL_FIELDS: Final = (
    "schema", "role", "local", "node", "domain", "pseudonym", "passages", "open", "cut_short", "since", "last", *_OCTETS
)  # fmt: skip

_END: Final = "\r\n"
MAX_LINE: Final = 65536
_ROLES: Final = ("foreign-agent", "home-agent")
_MOST: Final = 1 << 64
_MOST_TEXT: Final = 1024

Row = dict[str, Any]


def json_line(row: Mapping[str, Any]) -> str:
    """Return a row as one line."""
    return json.dumps(row)


def csv_lines(rows: Iterable[Mapping[str, Any]], fields: tuple[str, ...]) -> Iterator[str]:
    """Yield a heading and a line for each row."""
    yield _csv(fields)
    for row in rows:
        flat = _flat(row)
        yield _csv([_cell(flat.get(field)) for field in fields])


def _csv(cells: Iterable[str]) -> str:
    text = io.StringIO()
    # What ends lines has to be known, so that cells are quoted that hold it.
    csv.writer(text, lineterminator=_END).writerow(cells)
    return text.getvalue().removesuffix(_END)


def _flat(row: Mapping[str, Any]) -> Row:
    flat = {name: value for name, value in row.items() if name not in DIRECTIONS}
    for way in DIRECTIONS:
        flat |= {f"{way}_{figure}": row[way][figure] for figure in FIGURES}
    return flat


def _cell(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def read_accounts(path: Path) -> list[Row]:
    """Return the accounts of an export, of either form; raises `Fault` for what is none."""
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            first = stream.read(1)
            stream.seek(0)
            return list(_of_json(stream, path) if first == "{" else _of_csv(stream, path))
    except OSError as error:
        raise Fault(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Fault(f"{path} is not UTF-8 text (at octet {error.start})") from error


def _of_json(stream: TextIO, path: Path) -> Iterator[Row]:
    number = 0
    while line := stream.readline(MAX_LINE):
        number += 1
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict) or not all(isinstance(row.get(way), dict) for way in DIRECTIONS):
            raise _wrong(path, number)
        yield _account(row, path, number)


def _of_csv(stream: TextIO, path: Path) -> Iterator[Row]:
    reader = csv.DictReader(stream)
    try:
        if not set(ACCOUNT_FIELDS) <= set(reader.fieldnames or ()):
            raise _wrong(path, 1)
        for cells in reader:
            row: Row = {field: cells[field] for field in ACCOUNT_FIELDS}
            try:
                row |= {way: {figure: int(row[f"{way}_{figure}"]) for figure in FIGURES} for way in DIRECTIONS}
                row |= {name: float(row[name]) for name in ("began", "as_of")}
                row |= {"ended": float(row["ended"]) if row["ended"] else None, "whole": row["whole"] == "true"}
            except (TypeError, ValueError):
                raise _wrong(path, reader.line_num) from None
            yield _account(row, path, reader.line_num)
    except csv.Error as error:
        raise Fault(f"{path} is no CSV: {error}") from error


def _account(row: Row, path: Path, number: int) -> Row:
    """Return a row that has all that is made use of."""
    texts = (row.get(name) for name in (*_HEAD, "id", "why"))
    counts = (row[way].get(figure) for way in DIRECTIONS for figure in FIGURES)
    ended = row.get("ended")
    times = (row.get("began"), row.get("as_of"), *(() if ended is None else (ended,)))
    right = (
        row.get("schema") == ACCOUNT_SCHEMA
        and row.get("role") in _ROLES
        and all(isinstance(text, str) and len(text) <= _MOST_TEXT for text in texts)
        and all(type(count) is int and 0 <= count < _MOST for count in counts)
        and all(type(time) in (int, float) and math.isfinite(time) for time in times)
        and isinstance(row.get("whole"), bool)
    )
    if not right:
        raise _wrong(path, number)
    return row


def _wrong(path: Path, number: int) -> Fault:
    return Fault(f"{path}, line {number}: no account as seckex accounting export has them ({ACCOUNT_SCHEMA})")
