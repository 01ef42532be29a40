"""``seckex kdc enrol``: a fleet from a table, checked whole before the first node is stored, then in parts.

It may be run again after it was stopped at any point: nodes that are there as the table has them are
passed over, and so are files that exist.
"""

from __future__ import annotations

import base64
import csv
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import click

from seckex.cli.finding import daemon_options
from seckex.cli.kdc.changing import in_parts
from seckex.cli.kdc.command import file_name, passphrase_of
from seckex.cli.kdc.desk import ENROL_SCHEMA, EXPORTS_SCHEMA, Ask, asking
from seckex.cli.kdc.group import kdc
from seckex.cli.output import Fault, create_secret, json_option, plain, print_json
from seckex.config.devicekey import MAX_FILE, parse_public
from seckex.config.files import read_public
from seckex.config.problems import Unfit
from seckex.config.provision import Ethernet, HomeAddress
from seckex.config.values import NAI, Reader
from seckex.errors import SeckexError

ENROLLED_SCHEMA: Final = "seckex.kdc-enrolled/1"
REQUIRED: Final = ("nai", "home_agent")
#: What reads each column; those that are not required may be left out, and empty.
COLUMNS: Final[dict[str, Reader]] = {
    "nai": NAI,
    "home_agent": NAI,
    "home_address": HomeAddress(),
    "layer2": Ethernet(),
}
MOST_FAULTS: Final = 20
#: As many as a daemon takes at once, and as many octets, of which the rest of a request has some.
AT_ONCE: Final = 128
_OCTETS: Final = 60_000
# Sealing under a passphrase takes a third of a second each.
_EXPORTED: Final = {"public": 32, "passphrase": 8}
_PATH: Final = click.Path(path_type=Path)

#: The values of a row, in the order of `COLUMNS`, and the line that it ends at.
Row: TypeAlias = tuple[int, tuple[str | None, ...]]


@kdc.command("enrol")
@click.argument("file", metavar="FILE.csv", type=_PATH)
@click.option("--out", type=_PATH, help="A folder: makes each node's provisioning file there.")
@click.option("--passphrase-file", type=_PATH, help="A file whose first line is the passphrase that opens them.")
@click.option("--to", "public_file", type=_PATH, help="The file of the public key that opens them.")
@click.option("--home-agent-address", "addresses", multiple=True, metavar="ADDRESS", help="Where the home agent is.")
@daemon_options
@json_option
def enrol(
    file: Path,
    out: Path | None,
    passphrase_file: Path | None,
    public_file: Path | None,
    addresses: tuple[str, ...],
    socket_path: Path | None,
    config_path: Path | None,
    as_json: bool,
) -> None:
    """Add the nodes of a table, with a KEY 0 for each.

    The first row names the columns: nai and home_agent, and if wanted home_address and layer2. All
    rows are looked at before the first is stored. What was stopped can be run again.
    """
    if out is None and (passphrase_file is not None or public_file is not None):
        raise click.UsageError("say with --out where the files are to be made")
    if out is not None and (passphrase_file is None) == (public_file is None):
        raise click.UsageError("give --passphrase-file or --to with --out, and not both")
    rows = read_table(file)
    sealing = None if out is None else _sealing(passphrase_file, public_file, addresses)
    with asking(socket_path, config_path) as ask:
        new = _checked(ask, file, rows)
        if new:
            _add(ask, new, quiet=as_json)
        made = 0
        if out is not None and sealing is not None:
            made = _export(ask, [str(values[0]) for _, values in rows], out, sealing, quiet=as_json)
    about = {"file": str(file), "rows": len(rows), "added": len(new), "there": len(rows) - len(new), "files": made}
    if as_json:
        print_json(ENROLLED_SCHEMA, about)
        return
    click.echo(plain(f"{file}: {len(new)} node(s) added, {len(rows) - len(new)} were there already"))
    if out is not None:
        click.echo(plain(f"{out}: {made} provisioning file(s) made, {len(rows) - made} were there already"))


def read_table(file: Path) -> list[Row]:
    """Return the rows of a table; raises `Fault` that names row and column of what is wrong."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            return _rows(file, csv.reader(opened, strict=True))
    except OSError as error:
        raise Fault(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Fault(f"{file} is not UTF-8 text") from error


def _rows(file: Path, reader: Any) -> list[Row]:
    faults: list[str] = []
    rows: list[Row] = []
    seen: dict[str, int] = {}
    try:
        header = [name.strip().lower().replace("-", "_") for name in next(reader, [])]
        _check_header(file, header)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            line = reader.line_num
            if len(cells) != len(header):
                faults.append(f"row {line} has {len(cells)} cells, and the first row {len(header)}")
                continue
            read = dict(zip(header, (cell.strip() for cell in cells), strict=True))
            values, wrong = _values(read, line)
            faults += wrong
            if not wrong:
                name = str(values[0])
                if name in seen:
                    faults.append(f"row {line}, column nai: {name} is in row {seen[name]} already")
                seen[name] = line
                rows.append((line, values))
    except csv.Error as error:
        faults.append(f"row {reader.line_num}: {error}")
    _tell(file, faults)
    if not rows:
        raise Fault(f"{file} has no rows below the first, which names the columns")
    return rows


def _check_header(file: Path, header: Sequence[str]) -> None:
    strange = [name for name in header if name not in COLUMNS]
    missing = [name for name in REQUIRED if name not in header]
    if strange or missing or len(set(header)) < len(header):
        said = f"{', '.join(map(repr, strange))} is none" if strange else f"{', '.join(missing) or 'one'} is missing"
        if not strange and not missing:
            said = "one is there twice"
        raise Fault(f"{file}: the first row must name columns, nai, home_agent, home_address, layer2: {said}")


def _values(read: dict[str, str], line: int) -> tuple[tuple[str | None, ...], list[str]]:
    wrong: list[str] = []
    values: list[str | None] = []
    for column, reader in COLUMNS.items():
        text = read.get(column, "")
        if not text and column not in REQUIRED:
            values.append(None)
            continue
        try:
            reader.read(text)
        except Unfit as error:
            wrong.append(f"row {line}, column {column}: {error}")
        values.append(text)
    if not wrong and values[0] == values[1]:
        wrong.append(f"row {line}, column home_agent: {values[0]} cannot be its own home agent")
    return tuple(values), wrong


def _tell(file: Path, faults: Sequence[str]) -> None:
    """Stop where anything is wrong, and say what."""
    if not faults:
        return
    for fault in faults[:MOST_FAULTS]:
        click.echo(plain(f"{file}, {fault}"), err=True)
    more = len(faults) - MOST_FAULTS
    if more > 0:
        click.echo(f"... and {more} more", err=True)
    raise Fault(f"{file}: {len(faults)} fault(s), and nothing was stored")


def _batches(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """Yield rows, as many as fit into a request."""
    batch: list[Row] = []
    octets = 0
    for row in rows:
        size = len(json.dumps(row[1])) + 2
        if len(batch) == AT_ONCE or octets + size > _OCTETS:
            yield batch
            batch, octets = [], 0
        batch.append(row)
        octets += size
    if batch:
        yield batch


def _checked(ask: Ask, file: Path, rows: Sequence[Row]) -> list[Row]:
    """Return the rows that are not there yet; raises `Fault` where a row cannot be added."""
    new: list[Row] = []
    faults: list[str] = []
    for batch in _batches(rows):
        request = {"command": "kdc-enrol", "check": True, "rows": [list(values) for _, values in batch]}
        for row, found in zip(batch, ask(request, ENROL_SCHEMA)["rows"], strict=True):
            if found["outcome"] == "wrong":
                faults.append(f"row {row[0]}: {found['why']}")
            elif found["outcome"] == "new":
                new.append(row)
    _tell(file, faults)
    return new


def _add(ask: Ask, rows: Sequence[Row], *, quiet: bool) -> None:
    done = 0
    with _progress("adding", len(rows), quiet=quiet) as progress:
        for batch in _batches(rows):
            try:
                ask({"command": "kdc-enrol", "rows": [list(values) for _, values in batch]}, ENROL_SCHEMA)
            except (Fault, SeckexError) as error:
                rows_ = f"rows {batch[0][0]} to {batch[-1][0]}"
                raise Fault(f"{rows_}: {error}; {done} node(s) are stored: run it again") from error
            done += len(batch)
            progress.update(len(batch))


def _sealing(passphrase_file: Path | None, public_file: Path | None, addresses: Sequence[str]) -> dict[str, Any]:
    request: dict[str, Any] = {"command": "kdc-exports", "addresses": list(addresses)}
    if public_file is not None:
        public = parse_public(read_public(public_file, MAX_FILE), public_file)
        return request | {"public": base64.b64encode(public).decode()}
    return request | {"passphrase": passphrase_of(passphrase_file)}


def _export(ask: Ask, names: Sequence[str], out: Path, request: dict[str, Any], *, quiet: bool) -> int:
    """Make the files that are not there; return how many."""
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Fault(f"{out} cannot be made: {error.strerror}") from error
    missing = [nai for nai in names if not os.path.lexists(out / file_name(nai))]
    with _progress("sealing", len(missing), quiet=quiet) as progress:
        for some in in_parts(missing, _EXPORTED["public" if "public" in request else "passphrase"]):
            for each in ask(request | {"principals": some}, EXPORTS_SCHEMA)["files"]:
                create_secret(out / file_name(each["principal"]), each["sealed"].encode())
            progress.update(len(some))
    return len(missing)


def _progress(label: str, length: int, *, quiet: bool) -> Any:
    if quiet:
        return _Quiet()
    return click.progressbar(length=length, label=label, file=sys.stderr)


class _Quiet:
    def __enter__(self) -> _Quiet:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, _steps: int) -> None:
        pass
