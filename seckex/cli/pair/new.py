"""``seckex pair init``: a certificate for a machine that no authority certifies."""

from __future__ import annotations

import time
from pathlib import Path

import click

from seckex.cli.kdc.group import nai_of
from seckex.cli.output import Fault, create_secret, instant, json_option, plain, print_json
from seckex.cli.pair.group import SCHEMA, pair
from seckex.crypto.identity import Identity
from seckex.crypto.issuing import issue_alone
from seckex.errors import BadCertificate


@pair.command("init")
@click.option("--nai", required=True, metavar="NAI", callback=nai_of, help="The name of this machine.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The file to make.  [default: NAI.pem]")
@click.option("--days", type=click.IntRange(1, 36500), default=365, show_default=True, help="How long it is good for.")
@json_option
def init(nai: str, output: Path | None, days: int, as_json: bool) -> None:
    """Make a certificate that this machine signs itself, and its private key beside it, with the suffix .key.

    It is good for those who pair with this machine. Neither file is ever overwritten.
    """
    file = output or Path(f"{nai.replace('/', '_')}.pem")
    held = file.with_suffix(".key")
    if held == file:
        raise click.UsageError("-o must have another suffix than .key, which the private key gets")
    for each in (file, held):
        if each.exists():
            raise Fault(f"{each} exists and is left as it is: choose another with -o")
    try:
        issued = issue_alone(nai, time.time(), days)
    except BadCertificate as error:
        raise Fault(error.why) from error
    made = Identity.from_pem(issued.certificate, issued.key.octets)
    create_secret(held, issued.key.octets)
    create_secret(file, issued.certificate)
    if as_json:
        about = {"file": str(file), "key": str(held), "nai": nai, "fingerprint": made.fingerprint}
        print_json(SCHEMA, about | {"not-after": instant(made.not_after)})
        return
    click.echo(plain(f"{file}: certificate of {nai} by itself, until {instant(made.not_after)}"))
    click.echo(f"  SHA-256     {made.fingerprint}")
    click.echo("in the daemon's configuration:")
    for line in (
        "[identity]",
        f'nai = "{nai}"',
        f'certificate = "{file.absolute()}"',
        f'private-key = "{held.absolute()}"',
    ):
        click.echo(plain(f"  {line}"))
