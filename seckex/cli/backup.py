"""``seckex backup``: a copy of a daemon's store, while it serves or not."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import click

from seckex.cli.control_client import Refused, Unreachable, ask
from seckex.cli.finding import daemon_options, live, sockets_of
from seckex.cli.output import Fault, NoDaemon, json_option, plain, print_json
from seckex.config.load import read_settings

_PATH: Final = click.Path(path_type=Path)


@click.command()
@click.argument("target", metavar="DIR", type=_PATH)
@click.option("--with-key", is_flag=True, help="Put the master key beside it: whoever has the backup has everything.")
@daemon_options
@json_option
def backup(target: Path, with_key: bool, socket_path: Path | None, config_path: Path | None, as_json: bool) -> None:
    """Copy what a daemon has stored into a new directory, as it is at one moment; the daemon may serve meanwhile.

    DIR can serve as a state directory as it is. Without --with-key it needs the master key of now, which has to be
    kept elsewhere. Run it as the user that the daemon runs as.
    """
    # Imported when they are needed: they bring in most of a daemon.
    from seckex.net.daemon import DATABASE
    from seckex.storage.backup import SCHEMA, back_up

    state = read_settings(config_path or _configuration(socket_path)).state
    database = state.directory / DATABASE
    if not database.exists():
        raise Fault(f"{database} is not there: no daemon has run with this configuration yet")
    said = back_up(database, state.master_key, target, time.time(), with_key=with_key)
    if as_json:
        print_json(SCHEMA, {"directory": str(target)} | said)
        return
    click.echo(plain(f"{target}: {said['octets']} octets, sealed under the master key {said['master_keys'][0]}"))
    messages = said["messages"]
    if messages is not None:
        large = f"{messages['files']} files with {messages['file_octets']} octets"
        click.echo(plain(f"Messages: {messages['octets']} octets, and of large ones {large}."))
        if messages["missing"]:
            click.echo(plain(f"{messages['missing']} files are missing: their messages cannot be read."), err=True)
    if with_key:
        click.echo("The key is beside it: keep it where nobody else can read it.")
    else:
        click.echo(plain(f"It needs that key, which is in {state.master_key}: keep a copy of it elsewhere."))


def _configuration(socket_path: Path | None) -> Path:
    """Return the configuration of the daemon that answers."""
    try:
        answer = ask(live(sockets_of(socket_path, None)), {"command": "status"}, "seckex.status/1")
    except Unreachable as error:
        raise NoDaemon(str(error)) from error
    except Refused as error:
        raise Fault(str(error)) from error
    return Path(answer["daemon"]["configuration"])
