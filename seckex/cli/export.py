"""``seckex export``: keying material for another program, from an association that exists."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from seckex.cli.finding import ask_about_peer, daemon_options, sockets_of
from seckex.cli.output import Fault, create_secret, json_option, plain, print_json
from seckex.cli.wording import spi

SCHEMA: Final = "seckex.export/1"
_SHORTEST: Final = 32
_LONGEST: Final = 8160


@click.command()
@click.argument("peer", metavar="PEER")
@click.argument("label", metavar="LABEL")
@click.option("--context", metavar="HEX", default="", help="What the material is bound to, besides the label.")
@click.option(
    "--length", type=click.IntRange(_SHORTEST, _LONGEST), default=_SHORTEST, show_default=True, help="How many octets."
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The file to make, of the octets as they are.")
@click.option("--print", "printed", is_flag=True, help="Print the octets in hexadecimal.")
@daemon_options
@json_option
def export(
    peer: str,
    label: str,
    context: str,
    length: int,
    output: Path | None,
    printed: bool,
    socket_path: Path | None,
    config_path: Path | None,
    as_json: bool,
) -> None:
    """Export keying material of the association with PEER for another program, under LABEL.

    Both ends get the same octets for the same label, context and length while they hold the same association; they tell
    nothing of its own keys, nor of what is exported under another label. The file has mode 0600 and is never
    overwritten.
    """
    if output is None and not printed:
        raise click.UsageError("say where it is to go: --output FILE, or --print")
    if output is not None and output.exists():
        raise Fault(f"{output} exists and is left as it is: choose another with -o")
    request = {"command": "export", "peer": peer, "label": label, "context": context, "length": length}
    answer = ask_about_peer(sockets_of(socket_path, config_path), request, SCHEMA)
    try:
        octets = bytes.fromhex(answer.pop("key"))
    except (KeyError, TypeError, ValueError) as error:
        raise Fault("the daemon's answer has no key in it") from error
    if output is not None:
        create_secret(output, octets)
    about = {"file": output and str(output), **{name: answer.get(name) for name in ("peer", "spi_in", "spi_out")}}
    if as_json:
        print_json(SCHEMA, about | {"label": label, "length": len(octets)} | ({"key": octets.hex()} if printed else {}))
    elif printed:
        click.echo(octets.hex())
    else:
        pair = f"SPI in {spi(about['spi_in'])}, out {spi(about['spi_out'])}"
        click.echo(plain(f"{output}: {len(octets)} octets from the association with {about['peer']}, {pair}"))
