"""The group of commands, who we are, and how somebody that was paired with is shown and stored.

Commands are run as the user that the daemon runs as: its files are made here.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from seckex.cli.control_client import Refused, Unreachable, ask
from seckex.cli.output import Fault, instant, plain, print_json
from seckex.config.credentials import read_identity
from seckex.config.files import Owner, create_private
from seckex.config.load import AnySettings, prepare_state, read_settings
from seckex.config.pairs import DIRECTORY, MOST_PAIRS, pair_file, read_pairs
from seckex.config.problems import ConfigInvalid, Problem
from seckex.config.values import is_host
from seckex.crypto.identity import Identity
from seckex.crypto.pairing import Acquaintance, make_card
from seckex.errors import ApiMisuse
from seckex.wire.pairing import armour

SCHEMA: Final = "seckex.pair/1"
_PREKEYS_SCHEMA: Final = "seckex.prekeys/1"

C = TypeVar("C", bound=Callable[..., Any])


@click.group()
def pair() -> None:
    """Pair this machine with another one: each then trusts the other's certificate, and nobody else's by it.

    By files: export on both, carry the files across, import on both. Over a connection: listen on one, with on the
    other. Either way two people compare a code before anything is stored.
    """


def config_option(command: C) -> C:
    """Give a command the option ``config_path``."""
    path = click.Path(path_type=Path)
    named = "The daemon's configuration: who this machine is, and where its state is."
    return click.option("--config", "config_path", type=path, required=True, help=named)(command)


def address_option(command: C) -> C:
    """Give a command the option ``address``."""
    named = "Where the other is to call this machine's daemon; unless given it is told nothing of that."
    return click.option("--address", metavar="HOST:PORT", default="", help=named)(command)


def ourselves(config_path: Path) -> tuple[AnySettings, Identity]:
    """Return the settings and who we are; raises `ConfigInvalid`."""
    settings = read_settings(config_path)
    identity, problems = read_identity(settings.identity, Owner())
    if identity is None:
        wanting = Problem("identity.certificate", "is required, with identity.private-key: seckex pair init makes them")
        raise ConfigInvalid(config_path, problems or [wanting])
    return settings, identity


def own_card(settings: AnySettings, identity: Identity, address: str) -> bytes:
    """Return our card, with the prekeys that the daemon tells if it runs."""
    now = time.time()
    if not identity.not_before <= now < identity.not_after:
        raise Fault("our own certificate is not good now: see seckex cert status")
    try:
        return make_card(identity, address, _prekeys(settings.state.control))
    except ApiMisuse as error:
        raise Fault(f"no card can be made: {error}") from error


def _prekeys(control: Path) -> tuple[bytes, ...]:
    try:
        answer = ask(control, {"command": "prekeys"}, _PREKEYS_SCHEMA)
        return tuple(map(bytes.fromhex, answer["prekeys"]))
    except (Unreachable, Refused, KeyError, TypeError, ValueError):
        # A card is as good without: they are told on connections as well.
        return ()


def describe(peer: Acquaintance, code: str, before: Acquaintance | None = None, *, err: bool = False) -> None:
    """Print who somebody says that they are, and the code to compare.

    ``before`` is whom we are paired with by this name already. ``err``: on the standard error.
    """
    click.echo(plain(f"{peer.nai}, until {instant(peer.voucher.not_after)}"), err=err)
    click.echo(f"  SHA-256     {peer.voucher.fingerprint}", err=err)
    click.echo(plain(f"  address     {peer.card.address or 'not told'}"), err=err)
    if peer.card.prekeys:
        click.echo(f"  prekeys     {len(peer.card.prekeys)}", err=err)
    if before is not None and before.voucher.fingerprint != peer.voucher.fingerprint:
        click.echo("  replaces the certificate that was paired with already:", err=err)
        click.echo(f"  SHA-256     {before.voucher.fingerprint}", err=err)
    click.echo(f"  code        {code}", err=err)


def known(settings: AnySettings, nai: str) -> Acquaintance | None:
    """Return whom we are paired with by this name."""
    found, _ = read_pairs(settings.state.directory)
    return next((each for _, each in found if each.nai == nai), None)


def keep(config_path: Path, settings: AnySettings, peer: Acquaintance, *, as_json: bool = False) -> None:
    """Store whom we are paired with from now on, in the place of who had the name before, and say so."""
    state = settings.state.directory
    prepare_state(config_path, settings.state)
    file = pair_file(state, peer.nai)
    fresh = file.with_suffix(f".{os.getpid()}")
    try:
        (state / DIRECTORY).mkdir(mode=0o700, exist_ok=True)
        if not file.exists() and len(read_pairs(state)[0]) >= MOST_PAIRS:
            raise Fault(f"{MOST_PAIRS} are paired with already: forget one with seckex pair forget")
        fresh.unlink(missing_ok=True)
        create_private(fresh, armour(peer.octets).encode())
        fresh.replace(file)
    except OSError as error:
        raise Fault(f"{file} cannot be made: {error.strerror}") from error
    if as_json:
        print_json(SCHEMA, about(file, peer))
        return
    click.echo(plain(f"paired with {peer.nai}: {file}; a daemon that runs takes it up with seckex reload"))
    host, _, port = peer.card.address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if is_host(host) and port.isdecimal():
        click.echo("for messages, in its configuration:")
        for line in ("[[messages.peers]]", f'nai = "{peer.nai}"', f'address = "{host}"', f"port = {port}"):
            click.echo(plain(f"  {line}"))


def about(file: Path, peer: Acquaintance) -> dict[str, Any]:
    """Return what is printed of somebody as JSON."""
    return {
        "file": str(file),
        "nai": peer.nai,
        "address": peer.card.address,
        "fingerprint": peer.voucher.fingerprint,
        "not-before": instant(peer.since),
        "not-after": instant(peer.voucher.not_after),
        "prekeys": len(peer.card.prekeys),
    }
