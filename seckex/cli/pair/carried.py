"""``seckex pair export`` and ``import``: pairing by files that somebody carries across."""

from __future__ import annotations

import time
from pathlib import Path

import click

from seckex.cli.output import Fault, create_secret, json_option, leave, plain, print_json
from seckex.cli.pair.group import (
    SCHEMA,
    address_option,
    config_option,
    describe,
    keep,
    known,
    ourselves,
    own_card,
    pair,
)
from seckex.config.files import read_public
from seckex.crypto.pairing import carried_code, meet
from seckex.errors import AuthenticationFailed, BadCertificate, Malformed, UnsupportedVersion
from seckex.wire.pairing import MAX_CARD_FILE, armour, unarmour


@pair.command("export")
@config_option
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The file to make; unless given it is printed.")
@address_option
@json_option
def export(config_path: Path, output: Path | None, address: str, as_json: bool) -> None:
    """Write this machine's card, for the other to import: name, certificates, prekeys, address. Nothing is secret."""
    settings, identity = ourselves(config_path)
    text = armour(own_card(settings, identity, address))
    if output is None:
        if as_json:
            print_json(SCHEMA, {"nai": identity.nai, "fingerprint": identity.fingerprint, "card": text})
        else:
            click.echo(text, nl=False)
        return
    create_secret(output, text.encode())
    if as_json:
        print_json(SCHEMA, {"nai": identity.nai, "fingerprint": identity.fingerprint, "file": str(output)})
    else:
        click.echo(plain(f"{output}: the card of {identity.nai}; have it imported there with seckex pair import"))


@pair.command("import")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@config_option
@click.option("--code", metavar="DIGITS", help="The code that the other side shows, instead of a question.")
@json_option
def import_card(file: Path, config_path: Path, code: str | None, as_json: bool) -> None:
    """Trust whose card is in FILE, after its code was compared with the one that is shown there for ours.

    The code covers both sides' certificates: import both cards, and compare by a voice that you know. It is long
    because whoever carries files has time to look for others with the same code.
    """
    settings, identity = ourselves(config_path)
    try:
        peer = meet(unarmour(read_public(file, MAX_CARD_FILE)), identity.nai, time.time())
    except BadCertificate as error:
        raise Fault(f"{file}: {error.why}") from error
    except (Malformed, UnsupportedVersion, AuthenticationFailed) as error:
        raise Fault(f"{file}: {error}") from error
    right = carried_code(identity, peer.voucher)
    if not as_json:
        describe(peer, right, known(settings, peer.nai))
    if code is None:
        if as_json:
            raise click.UsageError("with --json the code has to be given: --code")
        if not click.confirm("Does the other side show the same code?"):
            click.echo("Nothing is stored. If the codes differ, one of the files is not what its owner made.")
            leave(1)
    elif "".join(code.split()) != "".join(right.split()):
        raise Fault("that is another code: one of the files is not what its owner made, and nothing is stored")
    keep(config_path, settings, peer, as_json=as_json)
