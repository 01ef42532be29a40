"""Which daemon a command talks to: the one that is named, or those whose state is where it is by default."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from seckex.cli.control_client import TIMEOUT, Refused, Unreachable, ask
from seckex.cli.output import Fault, NoDaemon
from seckex.config.common import control_name
from seckex.config.load import ROLES, default_state, read_settings

_PATH: Final = click.Path(path_type=Path)
_OTHERS: Final = "control-*.sock"
C = TypeVar("C", bound=Callable[..., Any])


def daemon_options(command: C) -> C:
    """Give a command the options ``socket_path`` and ``config_path``."""
    named = "The daemon's configuration, which says where its socket is."
    command = click.option("--config", "config_path", type=_PATH, help=named)(command)
    named = "The daemon's control socket."
    return click.option("--socket", "--control", "socket_path", type=_PATH, help=named)(command)


def sockets_of(socket_path: Path | None, config_path: Path | None) -> list[Path]:
    """Return where to look for daemons; raises `ConfigInvalid`."""
    if socket_path is not None and config_path is not None:
        raise click.UsageError("give --socket or --config, not both")
    if socket_path is not None:
        return [socket_path]
    if config_path is not None:
        return [read_settings(config_path).state.control]
    try:
        states = [default_state(role) for role in ROLES]
    except RuntimeError as error:
        raise Fault("there is no home directory to look in: give --socket or --config") from error
    # Those of workers other than the first have a number in their names.
    return [path for state in states for path in (state / control_name(0), *sorted(state.glob(_OTHERS)))]


def live(sockets: list[Path]) -> Path:
    """Return the one socket that a daemon answers on; raises `NoDaemon`, and `Fault` where it is not one."""
    answering, silent = [], []
    for path in sockets:
        try:
            ask(path, {"command": "status"}, "seckex.status/1")
            answering.append(path)
        except Unreachable as error:
            silent.append(error)
    if not answering:
        raise NoDaemon("; ".join(map(str, silent)) + elsewhere(sockets))
    if len(answering) > 1:
        named = " and ".join(map(str, answering))
        raise Fault(f"daemons answer on {named}: name one with --socket or --config")
    return answering[0]


def ask_about_peer(
    sockets: list[Path], request: dict[str, Any], schema: str, timeout: float = TIMEOUT
) -> dict[str, Any]:
    """Return the answer of the first daemon that knows the peer which ``request`` names.

    Raises `NoDaemon`, `Fault` with what daemons say that do not know it, or will not, and
    `click.UsageError` with what they say of words that will not do.
    """
    silent: list[Unreachable] = []
    strangers: list[Refused] = []
    for path in sockets:
        try:
            return ask(path, request, schema, timeout)
        except Unreachable as error:
            if not error.absent:
                raise NoDaemon(str(error)) from error
            silent.append(error)
        except Refused as error:
            if error.word == "unfit":
                raise click.UsageError(error.why) from error
            if error.word != "unknown-peer":
                raise Fault(error.why or str(error)) from error
            strangers.append(error)
    if strangers:
        raise Fault("; ".join(error.why for error in strangers))
    raise NoDaemon("; ".join(map(str, silent)) + elsewhere(sockets))


def elsewhere(sockets: list[Path]) -> str:
    """Return what to do where nothing answers in any of the places that are looked at without options."""
    return ": start one, or say with --config or --socket where it is" if len(sockets) > 1 else ""
