"""``seckex key``: makes the keys that two principals share before they ever talk."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Final

import click

from seckex.cli.output import create_secret, json_option, plain, print_json
from seckex.config.key0 import Key0, render_key0
from seckex.config.problems import Unfit
from seckex.config.values import NAI
from seckex.crypto.secrets import KEY0_SIZE, Secret
from seckex.wire.numbers import LOWEST_SPI

SCHEMA: Final = "seckex.key-new/1"
_U32: Final = 2**32


def _nai(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    try:
        return NAI.read(value)
    except Unfit as error:
        raise click.BadParameter(str(error)) from error


@click.group()
def key() -> None:
    """Make keys."""


@key.command("new")
@click.option("--initiator", metavar="NAI", callback=_nai, required=True, help="One of the two; either may initiate.")
@click.option("--responder", metavar="NAI", callback=_nai, required=True, help="The other.")
@click.option(
    "--kvno", type=click.IntRange(0, _U32 - 1), default=1, show_default=True, help="The key's version number."
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The file to make.  [default: key0.toml]")
@click.option("--print", "printed", is_flag=True, help="Print the file, the secret key in it; without -o make none.")
@json_option
def new(initiator: str, responder: str, kvno: int, output: Path | None, printed: bool, as_json: bool) -> None:
    """Make a KEY 0 for two principals.

    The file has mode 0600 and is never overwritten. Both principals need the same file;
    carry it over a path that nobody can read.
    """
    if initiator == responder:
        raise click.UsageError("--initiator and --responder must be two")
    spi = LOWEST_SPI + secrets.randbelow(_U32 - LOWEST_SPI)
    secret = Secret(secrets.token_bytes(KEY0_SIZE))
    key0 = Key0(spi=spi, kvno=kvno, initiator=initiator, responder=responder, key=secret)
    file = None if printed and output is None else output or Path("key0.toml")
    if file is not None:
        create_secret(file, render_key0(key0).encode())
    if as_json:
        about = {"file": file and str(file), "spi": spi, "kvno": kvno, "initiator": initiator, "responder": responder}
        print_json(SCHEMA, about | ({"key": secret.octets.hex()} if printed else {}))
    elif printed:
        click.echo(render_key0(key0), nl=False)
    else:
        click.echo(plain(f"{file}: KEY 0 between {initiator} and {responder}, SPI {spi:#010x}, kvno {kvno}"))
