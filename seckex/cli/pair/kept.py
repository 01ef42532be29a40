"""``seckex pair list`` and ``forget``: whom we are paired with."""

from __future__ import annotations

from pathlib import Path

import click

from seckex.cli.kdc.group import nai_of
from seckex.cli.output import ExitCode, Fault, json_option, leave, plain, print_json
from seckex.cli.pair.group import SCHEMA, about, config_option, describe, ourselves, pair
from seckex.config.load import read_settings
from seckex.config.pairs import pair_file, read_pairs
from seckex.crypto.pairing import carried_code


@pair.command("list")
@config_option
@json_option
def list_pairs(config_path: Path, as_json: bool) -> None:
    """Show whom this machine is paired with, with the codes that they show for it, too."""
    settings, identity = ourselves(config_path)
    found, problems = read_pairs(settings.state.directory)
    for file, peer in found:
        code = carried_code(identity, peer.voucher)
        if as_json:
            print_json(SCHEMA, about(file, peer) | {"code": code})
            continue
        describe(peer, code)
    for problem in problems:
        click.echo(plain(f"seckex: {problem}"), err=True)
    leave(ExitCode.NO if problems else ExitCode.FINE)


@pair.command("forget")
@click.argument("nai", metavar="NAI", callback=nai_of)
@config_option
def forget(nai: str, config_path: Path) -> None:
    """Trust NAI no more by what was compared; a daemon that runs does so after seckex reload."""
    file = pair_file(read_settings(config_path).state.directory, nai)
    try:
        file.unlink()
    except FileNotFoundError:
        raise Fault(f"{nai} is nobody that this machine is paired with") from None
    except OSError as error:
        raise Fault(f"{file} cannot be removed: {error.strerror}") from error
    click.echo(plain(f"{nai} is not paired with any more; a daemon that runs believes it until seckex reload"))
