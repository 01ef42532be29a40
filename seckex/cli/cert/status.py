"""``seckex cert status``: all that a daemon proves and believes by, and until when."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from seckex.cli.cert.command import SCHEMA, cert, print_shown, state_of
from seckex.cli.control_client import Refused, Unreachable, ask
from seckex.cli.output import DAY, ExitCode, instant, json_option, leave, life, plain, print_json
from seckex.config.common import Identity
from seckex.config.credentials import MAX_PEM
from seckex.config.files import read_public
from seckex.config.load import read_settings
from seckex.config.pairs import read_pairs
from seckex.config.problems import ConfigInvalid, Problem
from seckex.crypto.showing import Shown, show, show_certificate
from seckex.errors import BadCertificate, SeckexError
from seckex.wire.prekey import decode_prekey

_PREKEYS_SCHEMA: Final = "seckex.prekeys/1"
_WRONG: Final = ("expired", "not-yet-valid")


@cert.command("status")
@click.option("--config", "config_path", type=click.Path(path_type=Path), required=True, help="The daemon's.")
@click.option(
    "--soon",
    type=click.IntRange(0, 36500),
    default=30,
    show_default=True,
    help="Warn of what expires within so many days.",
)
@json_option
def cert_status(config_path: Path, soon: int, as_json: bool) -> None:
    """Show what a daemon proves its name by and whom it trusts, until when: certificates, lists, pairs, prekeys.

    Prekeys are those of a daemon that runs. They are made anew in time by themselves, so their end is no warning.
    """
    now, worst = time.time(), ExitCode.FINE
    settings = read_settings(config_path)
    problems: list[Problem] = []
    for file, each, used in _used(settings.identity, settings.state.directory, problems):
        state = state_of(each, now, soon)
        if state in _WRONG or each.objection:
            worst = ExitCode.NO
        elif state == "expires-soon" and worst == ExitCode.FINE:
            worst = ExitCode.EXPIRING
        print_shown(file, each, state, as_json, now, soon, use=used)
    for octets in _prekeys(settings.state.control):
        _print_prekey(octets, as_json, now)
    for problem in problems:
        worst = ExitCode.NO
        if as_json:
            print_json(SCHEMA, {"file": "", "problem": str(problem)})
        else:
            click.echo(plain(f"seckex: {problem}"), err=True)
    leave(worst)


def _used(identity: Identity, state: Path, problems: list[Problem]) -> Iterator[tuple[Path, Shown, str]]:
    """Yield each certificate and list, its file, and what it is for; note what cannot be read among ``problems``."""
    own = ((identity.certificate, "identity.certificate"),) if identity.certificate is not None else ()
    trusted = ((file, "identity.trust") for file in identity.trust)
    for file, used in (*own, *trusted, *((file, "identity.revocation") for file in identity.revocation)):
        try:
            found = show(read_public(file, MAX_PEM))
        except BadCertificate as error:
            problems.append(Problem(used, f"{file}: {error.why}"))
        except ConfigInvalid as error:
            problems.append(Problem(used, str(error)))
        else:
            yield from ((file, each, used) for each in found)
    paired, wrong = read_pairs(state)
    problems += wrong
    yield from ((file, show_certificate(each.certificate), "pair") for file, each in paired)


def _prekeys(control: Path) -> Iterator[bytes]:
    try:
        answer = ask(control, {"command": "prekeys"}, _PREKEYS_SCHEMA)
        yield from map(bytes.fromhex, answer["prekeys"])
    except (Unreachable, Refused, KeyError, TypeError, ValueError):
        return


def _print_prekey(octets: bytes, as_json: bool, now: float) -> None:
    try:
        prekey = decode_prekey(octets)
    except SeckexError:
        return
    name = prekey.kem.name.lower().replace("_", "-")
    if as_json:
        about: dict[str, Any] = {"kind": "prekey", "name": prekey.nai, "kem": name, "id": prekey.prekey_id.hex()}
        print_json(SCHEMA, about | {"not-before": instant(prekey.not_before), "not-after": instant(prekey.expiry)})
        return
    left = life(prekey.not_before, prekey.expiry, now, 0) if prekey.expiry - now < DAY else instant(prekey.expiry)
    click.echo(plain(f"prekey {prekey.prekey_id.hex()} of {prekey.nai}, {name}, {left}"))
