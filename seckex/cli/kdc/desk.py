"""Who is asked about nodes: the daemon that has the center, or where none runs the center's database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

import click

from seckex.cli.control_client import TIMEOUT, Refused, Unreachable, ask
from seckex.cli.finding import sockets_of
from seckex.cli.output import Fault, NoDaemon
from seckex.config.common import Settings
from seckex.config.kdc import Kdc

PRINCIPAL_SCHEMA: Final = "seckex.kdc-principal/1"
LIST_SCHEMA: Final = "seckex.kdc-list/1"
EXPORT_SCHEMA: Final = "seckex.kdc-export/1"
EXPORTS_SCHEMA: Final = "seckex.kdc-exports/1"
ENROL_SCHEMA: Final = "seckex.kdc-enrol/1"
REVOKED_SCHEMA: Final = "seckex.kdc-revoked/1"
AUDIT_SCHEMA: Final = "seckex.kdc-audit-entries/1"
DUMP_SCHEMA: Final = "seckex.kdc-dump/1"
PART_SCHEMA: Final = "seckex.kdc-dump-part/1"
LOAD_SCHEMA: Final = "seckex.kdc-load/1"
CHECK_SCHEMA: Final = "seckex.kdc-audit-check/1"

# Sealing under a passphrase takes a while.
PATIENCE: Final = TIMEOUT + 10
# Nothing changes so late: asks only whether there is a center.
_NEVER: Final = 2**63
_PROBE: Final = {"command": "kdc-list", "after": _NEVER}

#: Answers a request with an object of the schema; raises `Fault` and its kin.
Ask: TypeAlias = Callable[[dict[str, Any], str], dict[str, Any]]


@contextmanager
def asking(socket_path: Path | None, config_path: Path | None, patience: float = PATIENCE) -> Iterator[Ask]:
    """Yield what asks the center; each answer may take so many seconds."""
    live = _live(sockets_of(socket_path, config_path), alone=config_path is not None)
    if live is not None:
        path = live
        yield lambda request, schema: _asked(path, request, schema, patience)
    elif config_path is None:
        where = "say with --config where its database is, or with --socket where its daemon listens"
        raise NoDaemon(f"no daemon with a key distribution center answers: {where}")
    else:
        # Imported when it is needed: it brings in most of a daemon.
        from seckex.cli.kdc.alone import center_alone

        with center_alone(config_path) as alone:
            yield alone


def _live(sockets: list[Path], *, alone: bool) -> Path | None:
    """Return where a daemon answers that has a center; ``alone`` tells that without one the database will do."""
    for path in sockets:
        try:
            ask(path, _PROBE, LIST_SCHEMA)
        except Unreachable as error:
            if not error.absent or (len(sockets) == 1 and not alone):
                raise NoDaemon(str(error)) from error
        except Refused as error:
            if error.word != "unknown-command":
                raise Fault(str(error)) from error
            if len(sockets) == 1:
                raise Fault(f"the daemon on {path} is no key distribution center: its file has no [kdc]") from error
        else:
            return path
    return None


def _asked(path: Path, request: dict[str, Any], schema: str, patience: float) -> dict[str, Any]:
    try:
        return ask(path, request, schema, patience)
    except Unreachable as error:
        raise NoDaemon(str(error)) from error
    except Refused as error:
        if error.word == "unfit":
            raise click.UsageError(error.why) from error
        raise Fault(error.why or str(error)) from error


def kdc_of(settings: Settings, config_path: Path) -> Kdc:
    """Return the section ``[kdc]`` of a file, which must have one."""
    found = getattr(settings, "kdc", None)
    if not isinstance(found, Kdc):
        raise Fault(f"{config_path} is not the file of a key distribution center: it has no [kdc]")
    return found
