"""``seckex provision``: a mobile node takes over what its key distribution center has made for it.

The sealed file is opened here. What comes of the KEY 0 in it goes into the
node's store, by way of the daemon that runs or, where none does, directly;
KEY 0 itself is kept nowhere.
"""

from __future__ import annotations

import base64
import os
import sys
from pathlib import Path
from typing import Any, Final

import click

from seckex.cli.control_client import TIMEOUT, Refused, Unreachable, ask
from seckex.cli.finding import daemon_options, live, sockets_of
from seckex.cli.output import Fault, NoDaemon, create_secret, json_option, plain, print_answer, print_json
from seckex.config.devicekey import KEY_SIZE, MAX_FILE, parse_private, render_private, render_public
from seckex.config.files import read_private, read_public
from seckex.config.initiator import InitiatorSettings
from seckex.config.load import prepare_state, read_settings
from seckex.config.problems import ConfigInvalid, Problem
from seckex.config.provision import Provision, parse_provision
from seckex.crypto.provisioning import LONGEST_PASSPHRASE, MAX_TEXT, fingerprint_of, public_of, read_sealed
from seckex.crypto.secrets import Secret
from seckex.errors import Malformed, StoreFailed

SCHEMA: Final = "seckex.provision/1"
KEY_SCHEMA: Final = "seckex.device-key/1"

_PATH: Final = click.Path(path_type=Path)


@click.command()
@click.argument("file", type=_PATH, required=False)
@click.option("--passphrase-file", type=_PATH, help="A file whose first line is the passphrase that opens it.")
@click.option("--key", "key_file", type=_PATH, help="The file of this device's key, which opens it.")
@click.option("--new-key", type=_PATH, help="Make a key of this device in that file instead, its public half beside.")
@daemon_options
@json_option
def provision(
    file: Path | None,
    passphrase_file: Path | None,
    key_file: Path | None,
    new_key: Path | None,
    socket_path: Path | None,
    config_path: Path | None,
    as_json: bool,
) -> None:
    """Take over the provisioning FILE that came from the key distribution center.

    A daemon that runs takes it at once; without one it goes into the store, where --config says which. Without either
    option that opens it, a passphrase is asked for where one is needed.
    """
    if new_key is not None:
        if file is not None or passphrase_file is not None or key_file is not None:
            raise click.UsageError("--new-key makes a key and takes nothing over: leave the rest out")
        _make_key(new_key, as_json)
        return
    if file is None:
        raise click.UsageError("name the file that came from the key distribution center")
    if passphrase_file is not None and key_file is not None:
        raise click.UsageError("give --passphrase-file or --key, not both")
    path = _listening(socket_path, config_path)
    if path is None and config_path is None:
        raise click.UsageError("without a daemon, --config has to say where the store is")
    found = _opened(file, passphrase_file, key_file)
    if not found.home_keys:
        why = f"{file} has no static key of {found.home_agent}, without which nobody can register there"
        raise Fault(f"{why}: export it again when the center has one")
    answer = _hand_over(path, found) if path is not None else _store(config_path or Path(), found)
    if as_json:
        print_answer(answer)
        return
    version = f"version {found.kvno} of KEY 0"
    click.echo(plain(f"{found.nai} is provisioned for {found.home_agent}, {version}; KEY 0 itself is not kept"))
    click.echo(plain(f"{file} is of no use any more: delete it"))
    if path is None:
        click.echo("The daemon registers when it is started.")


def _make_key(file: Path, as_json: bool) -> None:
    private = Secret(os.urandom(KEY_SIZE))
    public, beside = public_of(private), file.with_name(file.name + ".pub")
    create_secret(file, render_private(private))
    try:
        with beside.open("xb") as stream:
            stream.write(render_public(public))
    except OSError as error:
        raise Fault(f"{beside} cannot be made: {error.strerror}") from error
    name = fingerprint_of(public)
    if as_json:
        print_json(KEY_SCHEMA, {"file": str(file), "public": str(beside), "fingerprint": name})
    else:
        click.echo(plain(f"{file}: the key of this device, {name}; it must not leave the device"))
        click.echo(plain(f"{beside}: its public half, for seckex kdc export --to"))


def _listening(socket_path: Path | None, config_path: Path | None) -> Path | None:
    """Return the socket of the daemon that runs, None where none does."""
    sockets = sockets_of(socket_path, config_path)
    if config_path is None:
        return live(sockets)
    try:
        ask(sockets[0], {"command": "status"}, "seckex.status/1")
    except Unreachable as error:
        if error.absent:
            return None
        raise NoDaemon(str(error)) from error
    return sockets[0]


def _opened(file: Path, passphrase_file: Path | None, key_file: Path | None) -> Provision:
    """Return what stands in a sealed file; raises `ConfigInvalid` and `AuthenticationFailed`."""
    try:
        sealed = read_sealed(read_public(file, MAX_TEXT).decode())
    except UnicodeDecodeError as error:
        raise ConfigInvalid(file, [Problem("", "is not UTF-8 text")]) from error
    except Malformed as error:
        raise ConfigInvalid(file, [Problem("", error.why)]) from error
    if key_file is not None:
        opened = sealed.open_with_key(parse_private(read_private(key_file, MAX_FILE), key_file))
    elif sealed.recipient is not None:
        raise click.UsageError(f"{plain(file)} is sealed to the device's key {sealed.recipient}: give it with --key")
    else:
        opened = sealed.open_with_passphrase(_passphrase(passphrase_file))
    return parse_provision(opened.octets, file)


def _passphrase(file: Path | None) -> str:
    if file is None:
        if not sys.stdin.isatty():
            raise click.UsageError("there is nobody to ask for the passphrase: give --passphrase-file or --key")
        return str(click.prompt("Passphrase", hide_input=True))
    try:
        lines = read_private(file, 4 * LONGEST_PASSPHRASE).decode().splitlines()
    except UnicodeDecodeError as error:
        raise Fault(f"{file} is not UTF-8 text") from error
    return lines[0] if lines else ""


def _hand_over(path: Path, found: Provision) -> dict[str, Any]:
    """Give it to the daemon that listens at ``path``."""
    # Imported when it is needed: it brings in most of a daemon.
    from seckex.net.mobile_node import home_of

    home = home_of(found)
    text = base64.b64encode(home.record().octets).decode()
    try:
        return ask(path, {"command": "provision", "home_agent": home.home_agent, "home": text}, SCHEMA, 2 * TIMEOUT)
    except Unreachable as error:
        raise NoDaemon(str(error)) from error
    except Refused as error:
        raise Fault(error.why or str(error)) from error


def _store(config: Path, found: Provision) -> dict[str, Any]:
    """Put it into the store of a daemon that does not run."""
    from seckex.net.daemon import DATABASE
    from seckex.net.mobile_node import home_of, plan_of
    from seckex.roles.mobile_node.records import HOME, Home, objection_to
    from seckex.sa.store import PutRecord
    from seckex.storage.lock import WorkerLock
    from seckex.storage.masterkey import load_master_key
    from seckex.storage.sqlite import SqliteStore

    settings = read_settings(config)
    plan = plan_of(settings) if isinstance(settings, InitiatorSettings) else None
    if plan is None:
        raise Fault(f'{config} is not that of a mobile node: no peer has authentication = "registration"')
    home, state = home_of(found), settings.state
    prepare_state(config, state)
    try:
        lock = WorkerLock(state.directory, state.worker)
    except StoreFailed as error:
        raise NoDaemon(f"no daemon answers on {state.control}, though one runs: {error}") from error
    try:
        database = state.directory / DATABASE
        store = SqliteStore(database, load_master_key(state.master_key, database, os.urandom), os.urandom)
        try:
            name = home.home_agent.encode()
            records = (each for each in store.load(state.worker, 0.0).records if each.key == (HOME, name))
            known = next(map(Home.read, records), None)
            objection = objection_to(home, plan.local, plan.home_agent, known)
            if objection:
                raise Fault(objection)
            store.commit([(PutRecord(home.record()),)])
        finally:
            store.close()
    finally:
        lock.release()
    return {"schema": SCHEMA, "node": home.node, "home_agent": home.home_agent, "kvno": home.kvno, "daemon": False}
