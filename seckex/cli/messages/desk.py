"""Which daemon's messages a command is about, and the options that say so."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from seckex.cli.messages.client import Client
from seckex.cli.output import Fault, NoDaemon
from seckex.config.load import ROLES, default_state, read_settings
from seckex.config.messages import socket_name

_OTHERS: Final = "messages-*.sock"
_PATH: Final = click.Path(path_type=Path)
C = TypeVar("C", bound=Callable[..., Any])


def messages_options(command: C) -> C:
    """Give a command the options ``socket_path`` and ``config_path``."""
    named = "The daemon's configuration, which says where its socket is."
    command = click.option("--config", "config_path", type=_PATH, help=named)(command)
    named = "The socket on which the daemon serves messages."
    return click.option("--socket", "socket_path", type=_PATH, help=named)(command)


def client_of(socket_path: Path | None, config_path: Path | None) -> Client:
    """Return who is asked; raises `ConfigInvalid`, `Fault` and `NoDaemon`."""
    if socket_path is not None and config_path is not None:
        raise click.UsageError("give --socket or --config, not both")
    if socket_path is not None:
        return Client(socket_path)
    if config_path is not None:
        return Client(_configured(config_path))
    try:
        states = [default_state(role) for role in ROLES]
    except RuntimeError as error:
        raise Fault("there is no home directory to look in: give --socket or --config") from error
    # Those of workers other than the first have a number in their names.
    places = [path for state in states for path in (state / socket_name(0), *sorted(state.glob(_OTHERS)))]
    live = [place for place in places if _answers(place)]
    if not live:
        looked = ", ".join(map(str, places))
        raise NoDaemon(f"no daemon serves messages on any of {looked}: say with --config or --socket where one does")
    if len(live) > 1:
        raise Fault(f"daemons serve messages on {' and '.join(map(str, live))}: name one with --socket or --config")
    return Client(live[0])


def _configured(config_path: Path) -> Path:
    settings = read_settings(config_path)
    messages = getattr(settings, "messages", None)
    if messages is None:
        raise Fault(f"{config_path} has no [messages]: its daemon takes none")
    named: Path | None = messages.http.socket
    return settings.state.directory / socket_name(settings.state.worker) if named is None else named


def _answers(place: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(os.fspath(place))
        except OSError:
            return False
    return True
