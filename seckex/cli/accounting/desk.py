"""Asks a daemon for its accounts, page by page.

Those that are open come first, for they may end meanwhile: one that is found among
the finished later is told as it ended, and once.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click
from attrs import frozen

from seckex.cli.accounting.written import ACCOUNT_SCHEMA, TOTAL_SCHEMA
from seckex.cli.control_client import Refused, Unreachable, ask
from seckex.cli.finding import elsewhere, sockets_of
from seckex.cli.output import Fault, NoDaemon, plain

SCHEMA: Final = "seckex.accounting/1"

Row = dict[str, Any]


@frozen
class Desk:
    """The accounts of one role of one daemon."""

    path: Path
    local: str
    side: str

    def page(self, what: str, beyond: str | None, wanted: Row, *, newest: bool = False) -> tuple[list[Row], str | None]:
        """Return some records, and where to go on."""
        request = wanted | {"command": "accounting", "what": what, "side": self.side, "newest": newest}
        answer = _asked(self.path, request | ({} if beyond is None else {"beyond": beyond}))
        for complaint in answer["damaged"]:
            click.echo(plain(complaint), err=True)
        schema = TOTAL_SCHEMA if what == "totals" else ACCOUNT_SCHEMA
        head = {"schema": schema, "role": self.side, "local": self.local}
        return [head | record for record in answer["records"]], answer["beyond"]

    def every(self, what: str, wanted: Row, *, newest: bool = False) -> Iterator[Row]:
        """Yield all records."""
        beyond: str | None = None
        while True:
            records, beyond = self.page(what, beyond, wanted, newest=newest)
            yield from records
            if beyond is None:
                return

    def accounts(self, wanted: Row, *, newest: bool = False) -> Iterator[Row]:
        """Yield all accounts: the finished in the order of ending and then the open ones, or the ``newest`` first."""
        still = {each["id"]: each for each in self.every("open", wanted)}
        if newest:
            # Those that end while this is read are told as they were.
            yield from sorted(still.values(), key=lambda each: float(each["began"]), reverse=True)
        for each in self.every("finished", wanted, newest=newest):
            if still.pop(each["id"], None) is None or not newest:
                yield each
        if not newest:
            yield from still.values()


def desks(socket_path: Path | None, config_path: Path | None) -> list[Desk]:
    """Return who keeps accounts, of the daemons that answer; raises `Fault` and its kin where nobody does."""
    sockets = sockets_of(socket_path, config_path)
    found: list[Desk] = []
    silent: list[Unreachable] = []
    others = 0
    for path in sockets:
        try:
            answer = ask(path, {"command": "accounting", "what": "sides"}, SCHEMA)
        except Unreachable as error:
            silent.append(error)
        except Refused as error:
            if error.word != "unknown-command":
                raise Fault(str(error)) from error
            others += 1
        else:
            found += [Desk(path, str(answer["local"]), str(side)) for side in answer["sides"]]
    if found:
        return found
    if others:
        raise Fault("no daemon that answers keeps accounts: only foreign agents and home agents do")
    raise NoDaemon("; ".join(map(str, silent)) + elsewhere(sockets))


def _asked(path: Path, request: Row) -> Row:
    try:
        return ask(path, request, SCHEMA)
    except Unreachable as error:
        raise NoDaemon(str(error)) from error
    except Refused as error:
        if error.word == "unfit":
            raise click.UsageError(error.why) from error
        raise Fault(error.why or str(error)) from error
