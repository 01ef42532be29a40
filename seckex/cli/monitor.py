"""``seckex monitor``: what a daemon does, as it does it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from seckex.cli.control_client import Refused, Unreachable, follow
from seckex.cli.finding import daemon_options, live, sockets_of
from seckex.cli.output import ExitCode, Fault, NoDaemon, leave, print_answer

SCHEMA: Final = "seckex.monitor/1"


@click.command()
@daemon_options
def monitor(socket_path: Path | None, config_path: Path | None) -> None:
    """Print events as they happen, one JSON object a line, until Ctrl-C.

    The first line says which daemon it is. Events of all levels are told, whatever the log's is. When lines are
    produced faster than they are read, some are left out, and a line says how many.
    """
    path = live(sockets_of(socket_path, config_path))
    try:
        for answer in follow(path, {"command": "monitor"}, SCHEMA):
            print_answer(answer)
    except KeyboardInterrupt:
        leave(ExitCode.FINE)
    except Unreachable as error:
        raise NoDaemon(str(error)) from error
    except Refused as error:
        raise Fault(str(error)) from error
