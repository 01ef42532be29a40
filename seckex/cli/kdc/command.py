"""``seckex kdc init``, ``add``, ``disable``, ``enable``, ``show`` and ``export``."""

from __future__ import annotations

import base64
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from seckex.cli.doctor.local import DATABASE
from seckex.cli.finding import daemon_options
from seckex.cli.kdc.desk import EXPORT_SCHEMA, PRINCIPAL_SCHEMA, asking, kdc_of
from seckex.cli.kdc.group import kdc, nai_of
from seckex.cli.output import Fault, create_secret, instant, json_option, plain, print_answer, print_json
from seckex.config.common import Settings, State
from seckex.config.devicekey import MAX_FILE, parse_public
from seckex.config.files import read_private, read_public
from seckex.config.load import default_state, prepare_state, read_settings
from seckex.crypto.provisioning import LONGEST_PASSPHRASE, SHORTEST_PASSPHRASE
from seckex.errors import StoreFailed
from seckex.storage.lock import WorkerLock
from seckex.storage.masterkey import load_master_key
from seckex.storage.sqlite import SqliteStore

INIT_SCHEMA: Final = "seckex.kdc-init/1"
_PATH: Final = click.Path(path_type=Path)


@kdc.command("init")
@click.option("--config", "config_path", type=_PATH, help="The center's configuration, which says where its state is.")
@json_option
def init(config_path: Path | None, as_json: bool) -> None:
    """Make the state directory of a center: master key and database. Nothing that is there is touched."""
    settings = None if config_path is None else read_settings(config_path)
    if settings is not None and config_path is not None:
        kdc_of(settings, config_path)
    state = _default_state() if settings is None else settings.state
    database = state.directory / DATABASE
    if os.path.lexists(database):
        raise Fault(f"{database} is there already, and is left as it is")
    prepare_state(config_path or Path("kdc.toml"), state)
    try:
        lock = WorkerLock(state.directory, state.worker)
    except StoreFailed as error:
        raise Fault(str(error)) from error
    try:
        SqliteStore(database, load_master_key(state.master_key, database, os.urandom), os.urandom).close()
    finally:
        lock.release()
    if as_json:
        about = {"directory": str(state.directory), "master_key": str(state.master_key), "database": str(database)}
        print_json(INIT_SCHEMA, about)
        return
    click.echo(plain(f"{database}: made, sealed under {state.master_key}"))
    click.echo("Keep the master key where backups of the database do not go. What comes next:")
    for line in _next_steps(settings, config_path or Path("kdc.toml")):
        click.echo(plain(f"  {line}"))


def _default_state() -> State:
    try:
        return State(directory=default_state("kdc"))
    except RuntimeError as error:
        raise Fault("there is no home directory to make it in: give --config") from error


def _next_steps(settings: Settings | None, config: Path) -> Iterator[str]:
    if settings is None:
        yield f"write {config}, beginning with conf/kdc.toml"
    else:
        identity = settings.identity
        if identity.certificate is None or not identity.certificate.exists():
            file = identity.certificate or "FILE.pem"
            yield f"seckex cert new {identity.nai} -d CA -o {file}        or a certificate of your own authority"
    yield f"seckex kdc add NODE --home-agent HOME-AGENT --config {config}"
    role = "kdc" if settings is None else settings.role
    yield f"twistd -n --pidfile= seckex-{role} --config {config}"
    yield f"seckex kdc export NODE -o NODE.provision --config {config}        once the home agent has said its keys"


@kdc.command("add")
@click.argument("nai", metavar="NAI", callback=nai_of)
@click.option("--home-agent", metavar="NAI", callback=nai_of, required=True, help="Where the node is at home.")
@click.option("--home-address", metavar="ADDRESS", help="Its address there.  [default: any]")
@click.option("--layer2", metavar="MAC", help="Its Ethernet address.  [default: none]")
@daemon_options
@json_option
def add(
    nai: str,
    home_agent: str,
    home_address: str | None,
    layer2: str | None,
    socket_path: Path | None,
    config_path: Path | None,
    as_json: bool,
) -> None:
    """Add a node, and draw its KEY 0."""
    request: dict[str, Any] = {"command": "kdc-add", "principal": nai, "home_agent": home_agent}
    request |= {name: value for name, value in (("home_address", home_address), ("layer2", layer2)) if value}
    with asking(socket_path, config_path) as ask:
        answer = ask(request, PRINCIPAL_SCHEMA)
    if as_json:
        print_answer(answer)
    else:
        click.echo(plain(f"{answer['principal']} is at home with {answer['home_agent']}, key version {answer['kvno']}"))


def _allowing(name: str, text: str, *, enabled: bool) -> None:
    @kdc.command(name, help=text)
    @click.argument("nai", metavar="NAI", callback=nai_of)
    @daemon_options
    @json_option
    def command(nai: str, socket_path: Path | None, config_path: Path | None, as_json: bool) -> None:
        request = {"command": "kdc-allow", "principal": nai, "enabled": enabled}
        with asking(socket_path, config_path) as ask:
            answer = ask(request, PRINCIPAL_SCHEMA)
        if as_json:
            print_answer(answer)
        else:
            click.echo(plain(f"{answer['principal']} is {answer['state']}"))


_allowing("disable", "End what a node has with its home agent, and have it refused until it is enabled.", enabled=False)
_allowing("enable", "Have a node's home agent take it again.", enabled=True)


@kdc.command("show")
@click.argument("nai", metavar="NAI", callback=nai_of)
@daemon_options
@json_option
def show(nai: str, socket_path: Path | None, config_path: Path | None, as_json: bool) -> None:
    """Show what is known of a node, without its key."""
    with asking(socket_path, config_path) as ask:
        answer = ask({"command": "kdc-show", "principal": nai}, PRINCIPAL_SCHEMA)
    if as_json:
        print_answer(answer)
        return
    keys = [f"kem {key['kem']} until {instant(key['until'])}" for key in answer["home_keys"]]
    lines = {
        "home agent": answer["home_agent"],
        "key version": answer["kvno"],
        "state": answer["state"],
        "former KEY 0": "" if answer["until"] is None else f"taken up to {instant(answer['until'])}",
        "added": "" if answer["created"] is None else instant(answer["created"]),
        "home address": answer["home_address"] or ("not known here" if answer["copied"] else "any"),
        "layer 2": answer["layer2"] or ("not known here" if answer["copied"] else "none"),
        "static keys": "; ".join(keys) or "none: the home agent has not said any",
        "KEY 0": _where(answer),
    }
    click.echo(plain(answer["principal"]))
    for name, value in lines.items():
        if value != "":
            click.echo(plain(f"  {name:<14}{value}"))


def _where(principal: dict[str, Any]) -> str:
    if principal["state"] == "revoked":
        return "destroyed"
    return "at the center that this one replicates" if principal["copied"] else "here"


@kdc.command("export")
@click.argument("nai", metavar="NAI", callback=nai_of)
@click.option("-o", "--output", type=_PATH, help="The file to make.  [default: NAI.provision]")
@click.option("--passphrase-file", type=_PATH, help="A file whose first line is the passphrase that opens it.")
@click.option("--to", "public_file", type=_PATH, help="The file of the device's public key, which opens it.")
@click.option("--home-agent-address", "addresses", multiple=True, metavar="ADDRESS", help="Where the home agent is.")
@daemon_options
@json_option
def export(
    nai: str,
    output: Path | None,
    passphrase_file: Path | None,
    public_file: Path | None,
    addresses: tuple[str, ...],
    socket_path: Path | None,
    config_path: Path | None,
    as_json: bool,
) -> None:
    """Make the provisioning file of a node: its KEY 0, sealed under a passphrase or to the device's own key.

    Without either option a passphrase is asked for. The file has mode 0600 and is never overwritten.
    """
    if passphrase_file is not None and public_file is not None:
        raise click.UsageError("give --passphrase-file or --to, not both")
    file = output or Path(file_name(nai))
    if os.path.lexists(file):
        raise Fault(f"{file} exists and is left as it is: choose another with -o")
    request: dict[str, Any] = {"command": "kdc-export", "principal": nai, "addresses": list(addresses)}
    with asking(socket_path, config_path) as ask:
        # Asked before anything secret is: there may be no such node.
        ask({"command": "kdc-show", "principal": nai}, PRINCIPAL_SCHEMA)
        if public_file is not None:
            public = parse_public(read_public(public_file, MAX_FILE), public_file)
            request["public"] = base64.b64encode(public).decode()
        else:
            request["passphrase"] = passphrase_of(passphrase_file)
        answer = ask(request, EXPORT_SCHEMA)
    create_secret(file, answer["sealed"].encode())
    about = {name: answer[name] for name in ("principal", "home_agent", "kvno", "sealed_to", "home_keys")}
    if as_json:
        print_json(EXPORT_SCHEMA, {"file": str(file)} | about)
        return
    click.echo(plain(f"{file}: KEY 0 of {nai}, key version {answer['kvno']}, sealed {answer['sealed_to']}"))
    if not answer["home_keys"]:
        click.echo(
            plain(
                f"It has no static key of {answer['home_agent']}, which the node needs to register: make another file "
                f"once seckex kdc show {nai} tells of one"
            ),
            err=True,
        )


def file_name(nai: str) -> str:
    """Return how a node's provisioning file is called unless somebody says otherwise."""
    return f"{nai.replace('/', '_')}.provision"


def passphrase_of(file: Path | None, *, confirm: bool = True) -> str:
    """Return the passphrase in a file, or what is typed where there is none, twice if it is to be confirmed."""
    if file is None:
        if not sys.stdin.isatty():
            raise click.UsageError("there is nobody to ask for a passphrase: give --passphrase-file or --to")
        return str(click.prompt("Passphrase", hide_input=True, confirmation_prompt=confirm))
    try:
        lines = read_private(file, 4 * LONGEST_PASSPHRASE).decode().splitlines()
    except UnicodeDecodeError as error:
        raise Fault(f"{file} is not UTF-8 text") from error
    if not lines or len(lines[0]) < SHORTEST_PASSPHRASE:
        raise Fault(f"{file} must begin with a line of at least {SHORTEST_PASSPHRASE} characters")
    return lines[0]
