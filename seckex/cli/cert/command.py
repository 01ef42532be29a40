"""``seckex cert``: a small certificate authority in a directory, for trying things out.

The directory has ``ca.pem``, ``ca.key`` and ``ca.crl``. Certificates, keys and
the directory are never overwritten; the revocation list is replaced whole, in
one step, as that is what it is for. All files have mode 0600.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from seckex.cli.output import (
    EXPIRES_SOON,
    ExitCode,
    Fault,
    expires_soon,
    instant,
    json_option,
    leave,
    life,
    plain,
    print_json,
)
from seckex.config.files import create_private, read_private, read_public
from seckex.config.problems import ConfigInvalid, Unfit
from seckex.config.values import NAI
from seckex.crypto.certificates import read_certificates
from seckex.crypto.issuing import Authority
from seckex.crypto.showing import Shown, show
from seckex.errors import BadCertificate

SCHEMA: Final = "seckex.cert/1"
_MAX_FILE: Final = 2**20
_CERTIFICATE, _KEY, _LIST = "ca.pem", "ca.key", "ca.crl"

T = TypeVar("T")

_directory = click.option(
    "-d", "--directory", type=click.Path(path_type=Path), default=Path("ca"), help="The authority's.  [default: ca]"
)


def _days(default: int) -> Callable[[Any], Any]:
    return click.option(
        "--days", type=click.IntRange(1, 36500), default=default, show_default=True, help="How long it is good for."
    )


def _nai(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    try:
        return NAI.read(value)
    except Unfit as error:
        raise click.BadParameter(str(error)) from error


@click.group()
def cert() -> None:
    """Make and show certificates: a small private authority for trying things out.

    Exit codes: 0 fine, 1 something is wrong or has expired, 6 something expires soon.
    """


@cert.command("ca")
@_directory
@click.option("--name", default="seckex test authority", show_default=True, help="What it is called, 64 at most.")
@_days(3650)
@json_option
def new_authority(directory: Path, name: str, days: int, as_json: bool) -> None:
    """Make an authority: its certificate ca.pem, its key ca.key, an empty revocation list ca.crl."""
    if not 1 <= len(name) <= 64 or not name.isprintable():
        raise click.UsageError("--name must be 1 to 64 printable characters")
    now = time.time()
    issued = Authority.issue_itself(name, now, days)
    authority = Authority.from_pem(issued.certificate, issued.key.octets)
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Fault(f"{directory} cannot be made: {error.strerror}") from error
    _create(directory / _KEY, issued.key.octets)
    _create(directory / _CERTIFICATE, issued.certificate)
    _create(directory / _LIST, authority.issue_list(None, (), now, min(days, EXPIRES_SOON)))
    _tell(directory / _CERTIFICATE, as_json, now)


@cert.command("new")
@click.argument("nai", metavar="NAI", callback=_nai)
@_directory
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The file to make.  [default: NAI.pem]")
@_days(365)
@json_option
def new_principal(nai: str, directory: Path, output: Path | None, days: int, as_json: bool) -> None:
    """Make a certificate that NAI proves its name by, and its private key beside it, with the suffix .key."""
    now = time.time()
    authority = _authority(directory)
    issued = _of(directory / _CERTIFICATE, lambda: authority.issue(nai, now, days))
    file = output or Path(f"{nai.replace('/', '_')}.pem")
    held = file.with_suffix(".key")
    if held == file:
        raise click.UsageError("-o must have another suffix than .key, which the private key gets")
    for each in (file, held):
        if each.exists():
            raise Fault(f"{each} exists and is left as it is: choose another with -o")
    _create(held, issued.key.octets)
    _create(file, issued.certificate)
    _tell(file, as_json, now, key=str(held))


@cert.command("revoke")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@_directory
@_days(30)
@json_option
def revoke(files: tuple[Path, ...], directory: Path, days: int, as_json: bool) -> None:
    """Put the certificates in FILEs (the first of each) on the revocation list, and make it anew."""
    authority = _authority(directory)
    revoked = [_of(file, lambda file=file: read_certificates(_read(file))[0]) for file in files]  # type: ignore[misc]  # its type is plain
    _replace(directory, authority, revoked, days, as_json)


@cert.command("crl")
@_directory
@_days(30)
@json_option
def renew_list(directory: Path, days: int, as_json: bool) -> None:
    """Make the revocation list anew, with what is on it, before it is out of date."""
    _replace(directory, _authority(directory), [], days, as_json)


@cert.command("show")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option(
    "--soon",
    type=click.IntRange(0, 36500),
    help="Warn of what expires within so many days.  [default: 30, or the last third of a life of less than 90]",
)
@json_option
def show_files(files: tuple[Path, ...], soon: int | None, as_json: bool) -> None:
    """Show the certificates and revocation lists in FILEs, and warn of those that expire."""
    now = time.time()
    worst = ExitCode.FINE
    for file in files:
        try:
            found = show(_read(file))
        except (Fault, BadCertificate) as error:
            worst = ExitCode.NO
            why = error.why if isinstance(error, BadCertificate) else error.message.removeprefix(f"{file}: ")
            if as_json:
                print_json(SCHEMA, {"file": str(file), "problem": why})
            else:
                click.echo(plain(f"{file}: {why}"), err=True)
            continue
        for each in found:
            state = state_of(each, now, soon)
            wrong = state in ("expired", "not-yet-valid") or each.objection
            worst = (
                ExitCode.NO
                if wrong or worst == ExitCode.NO
                else ExitCode.EXPIRING
                if state == "expires-soon"
                else worst
            )
            print_shown(file, each, state, as_json, now, soon)
    leave(worst)


def state_of(each: Shown, now: float, soon: int | None) -> str:
    """Return one word for where ``now`` is in the life of what is shown."""
    if now >= each.until:
        return "expired"
    if now < each.since and each.kind != "list":
        return "not-yet-valid"
    return "expires-soon" if expires_soon(each.since, each.until, now, soon) else "good"


def print_shown(
    file: Path, each: Shown, state: str, as_json: bool, now: float, soon: int | None = None, **more: str
) -> None:
    """Print a certificate or list; ``more`` is printed as it is, by its name."""
    if as_json:
        about: dict[str, Any] = {
            "file": str(file),
            "kind": each.kind,
            "name": each.name,
            "issuer": each.issuer,
            "serial": each.serial,
            "not-before": instant(each.since),
            "not-after": instant(each.until),
            "state": state,
            "fingerprint": each.fingerprint,
            "revoked": list(each.revoked),
            "problem": each.objection,
        }
        print_json(SCHEMA, about | more)
        return
    what = {"list": "revocation list of", "other": "certificate of"}.get(each.kind, f"{each.kind}")
    when = life(min(each.since, now) if each.kind == "list" else each.since, each.until, now, soon)
    click.echo(plain(f"{file}: {what} {each.name}, {when}"))
    if each.objection:
        click.echo(plain(f"  good for nothing here: {each.objection}"))
    if each.kind == "list":
        click.echo(plain(f"  revoked     {', '.join(each.revoked) or 'nobody'}"))
    else:
        click.echo(plain(f"  issuer      {each.issuer}"))
        click.echo(plain(f"  serial      {each.serial}"))
        click.echo(plain(f"  SHA-256     {each.fingerprint}"))
    for name, value in more.items():
        click.echo(plain(f"  {name:<12}{value}"))


def _tell(file: Path, as_json: bool, now: float, **more: str) -> None:
    for each in show(_read(file)):
        print_shown(file, each, state_of(each, now, None), as_json, now, None, **more)


def _authority(directory: Path) -> Authority:
    certificate, held = directory / _CERTIFICATE, directory / _KEY
    if not certificate.exists():
        raise Fault(f"{directory} has no authority: make one with seckex cert ca -d {directory}")
    octets = _of(held, lambda: read_private(held, _MAX_FILE))
    return _of(certificate, lambda: Authority.from_pem(_read(certificate), octets))


def _replace(directory: Path, authority: Authority, revoked: list[Any], days: int, as_json: bool) -> None:
    now = time.time()
    file = directory / _LIST
    before = _read(file) if file.exists() else None
    octets = _of(file, lambda: authority.issue_list(before, revoked, now, days))
    fresh = file.with_suffix(f".{os.getpid()}")
    _create(fresh, octets)
    try:
        fresh.replace(file)
    except OSError as error:
        fresh.unlink()
        raise Fault(f"{file} cannot be replaced: {error.strerror}") from error
    _tell(file, as_json, now)


def _of(file: Path, call: Callable[[], T]) -> T:
    """Call, and name the file in what is wrong with it."""
    try:
        return call()
    except BadCertificate as error:
        raise Fault(f"{file}: {error.why}") from error
    except ConfigInvalid as error:
        raise Fault(str(error)) from error


def _read(file: Path) -> bytes:
    return _of(file, lambda: read_public(file, _MAX_FILE))


def _create(file: Path, octets: bytes) -> None:
    try:
        create_private(file, octets)
    except FileExistsError as error:
        raise Fault(f"{file} exists and is left as it is") from error
    except OSError as error:
        raise Fault(f"{file} cannot be made: {error.strerror}") from error
