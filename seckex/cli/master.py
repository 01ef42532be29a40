"""``seckex master``: the master key of a daemon's store, and another one in its place."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import click

from seckex.cli.control_client import Refused, Unreachable, ask
from seckex.cli.finding import daemon_options, live, sockets_of
from seckex.cli.output import Fault, NoDaemon, instant, json_option, plain, print_answer

SCHEMA: Final = "seckex.master-key/1"
# A commit may wait for other processes, and a pass begin behind it.
_PATIENCE: Final = 20.0
_LOOK_AGAIN: Final = 0.2


@click.group()
def master() -> None:
    """Look after the master key, which what a daemon has stored is sealed under."""


@master.command("show")
@daemon_options
@json_option
def show(socket_path: Path | None, config_path: Path | None, as_json: bool) -> None:
    """Show which master key a daemon uses, by its name, and how far an exchange is.

    Where no daemon runs, --config has it looked up in what is stored.
    """
    socket = _socket(socket_path, config_path)
    if socket is not None:
        answer = _asked(socket, "master-key")
    elif config_path is not None:
        answer = look_alone(config_path)
    _tell(answer, as_json)


@master.command("rotate")
@click.option("--wait", is_flag=True, help="Stay until all is done, and tell how far it is.")
@daemon_options
@json_option
def rotate(wait: bool, socket_path: Path | None, config_path: Path | None, as_json: bool) -> None:
    """Draw another master key and seal everything under it, while the daemon serves.

    The key file holds both keys until that is done, whatever happens meanwhile. Backups that were made before need the
    key of before: keep it with them. Where no daemon runs, --config has it done here and now.
    """
    socket = _socket(socket_path, config_path)
    if socket is None and config_path is not None:
        answer = exchange_alone(config_path, _progress if wait and not as_json else _silent)
    elif socket is not None:
        answer = _asked(socket, "master-key-exchange")
        while wait and answer["exchanging"]:
            time.sleep(_LOOK_AGAIN)
            answer = _asked(socket, "master-key")
            if not as_json:
                _progress(answer)
            if answer["trouble"]:
                raise Fault(f"{answer['trouble']}; the daemon tries again by itself")
    _tell(answer, as_json)


def _socket(socket_path: Path | None, config_path: Path | None) -> Path | None:
    """Return where the daemon answers, None where none runs whose configuration is given."""
    try:
        return live(sockets_of(socket_path, config_path))
    except NoDaemon:
        # One that runs and does not answer is found out by its lock.
        if config_path is None:
            raise
        return None


def _asked(path: Path, command: str) -> dict[str, Any]:
    try:
        return ask(path, {"command": command}, SCHEMA, _PATIENCE)
    except Unreachable as error:
        raise NoDaemon(str(error)) from error
    except Refused as error:
        raise Fault(error.why or str(error)) from error


def _silent(_answer: dict[str, Any]) -> None:
    pass


def _progress(answer: dict[str, Any]) -> None:
    done = f"pass {answer['passes']}, {answer['part']:.0%}: {answer['rewrapped']} secrets sealed anew"
    click.echo(f"\r{done:<60}", nl=not answer["exchanging"], err=True)


def _tell(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_answer(answer)
        return
    click.echo(plain(f"{answer['file']}: the master key is {answer['key']}"))
    if answer["exchanging"]:
        click.echo(
            plain(
                f"it takes the place of {answer['former']}: pass {answer['passes']}, {answer['part']:.0%}, "
                f"{answer['rewrapped']} secrets sealed anew"
            )
        )
    elif answer["former"]:
        click.echo(plain(f"it takes the place of {answer['former']}, which is there yet: seckex master rotate goes on"))
    elif answer["ended"]:
        click.echo(plain(f"exchanged at {instant(answer['ended'])}, {answer['rewrapped']} secrets were sealed anew"))
    if answer["unreadable"]:
        click.echo(plain(f"{answer['unreadable']} secrets cannot be read under any key"), err=True)
    if answer["trouble"]:
        click.echo(plain(answer["trouble"]), err=True)


def look_alone(config_path: Path) -> dict[str, Any]:
    """Return what a daemon that does not run would answer."""
    # Imported when it is needed: it brings in most of a daemon.
    from seckex.cli.store_alone import store_alone
    from seckex.net.rotation import standing

    with store_alone(config_path) as (settings, store):
        return standing(store, settings.state.master_key, None, False, "", None)


def exchange_alone(config_path: Path, tell: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Exchange the master key of a store that no daemon uses; return what a daemon would answer then."""
    # Imported when it is needed: it brings in most of a daemon.
    from seckex.cli.store_alone import store_alone
    from seckex.crypto.atrest import MasterKey
    from seckex.net.kdc_audit import exchange_entries
    from seckex.net.kdc_desk import OFF_LINE
    from seckex.net.principal import Clock
    from seckex.net.rotation import standing
    from seckex.roles.kdc.audit import Operator
    from seckex.sa.store import Append
    from seckex.storage.rotation import Rotation

    with store_alone(config_path) as (settings, store):
        state = settings.state
        turn = Rotation(store, state.master_key, state.worker, os.urandom)

        def entries(master: MasterKey, *, begins: bool) -> tuple[Append, ...]:
            if getattr(settings, "kdc", None) is None:
                return ()
            return exchange_entries(Clock().now(), master, begins, Operator(os.getuid(), OFF_LINE))

        turn.begin(partial(entries, begins=True))
        while not turn.step():
            tell(standing(store, state.master_key, turn.progress, True, "", None))
        turn.end(partial(entries, begins=False))
        return standing(store, state.master_key, turn.progress, False, "", time.time())
