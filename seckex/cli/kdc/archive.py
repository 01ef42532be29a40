"""``seckex kdc dump`` and ``load``: all nodes of a center in an encrypted file, and back."""

from __future__ import annotations

import base64
import os
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final

import click

from seckex.cli.finding import daemon_options
from seckex.cli.kdc.command import passphrase_of
from seckex.cli.kdc.desk import DUMP_SCHEMA, LOAD_SCHEMA, PART_SCHEMA, Ask, asking
from seckex.cli.kdc.group import kdc
from seckex.cli.output import Fault, instant, json_option, plain, print_answer, print_json
from seckex.config.devicekey import MAX_FILE, parse_private, parse_public
from seckex.config.files import read_private, read_public
from seckex.crypto.archive import read_header
from seckex.crypto.provisioning import SealedFile
from seckex.crypto.secrets import Secret
from seckex.errors import AuthenticationFailed, Malformed

_PATH: Final = click.Path(path_type=Path)
_LONGEST_HEADER: Final = 4096
#: A million nodes take about a minute off line, where another program may use the disk as well.
_PATIENCE: Final = 600.0


@kdc.command("dump")
@click.argument("file", metavar="FILE", type=_PATH)
@click.option("--passphrase-file", type=_PATH, help="A file whose first line is the passphrase that opens it.")
@click.option("--to", "public_file", type=_PATH, help="The file of the public key whose private half opens it.")
@daemon_options
@json_option
def dump(
    file: Path,
    passphrase_file: Path | None,
    public_file: Path | None,
    socket_path: Path | None,
    config_path: Path | None,
    as_json: bool,
) -> None:
    """Make an encrypted archive of all nodes, KEY 0 of each in it: under a passphrase, or to a key.

    Without either option a passphrase is asked for. The file has mode 0600, has its name when it is whole, and is
    never overwritten.
    """
    if passphrase_file is not None and public_file is not None:
        raise click.UsageError("give --passphrase-file or --to, not both")
    if os.path.lexists(file):
        raise Fault(f"{file} exists and is left as it is: name another file")
    request: dict[str, Any] = {"command": "kdc-dump"}
    if public_file is not None:
        request["public"] = base64.b64encode(parse_public(read_public(public_file, MAX_FILE), public_file)).decode()
    else:
        request["passphrase"] = passphrase_of(passphrase_file)
    draft = file.with_name(f".{file.name}.draft")
    try:
        with suppress(FileNotFoundError):
            draft.unlink()
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as opened, asking(socket_path, config_path) as ask:
                answer, nodes = _parts(ask, request, opened, quiet=as_json)
                opened.flush()
                os.fsync(opened.fileno())
            os.link(draft, file)
        finally:
            draft.unlink()
    except OSError as error:
        raise Fault(f"{file} cannot be made: {error.strerror}") from error
    about = {"file": str(file), "nodes": nodes, "sealed_to": answer["sealed_to"]}
    if as_json:
        print_json(DUMP_SCHEMA, about)
    else:
        click.echo(plain(f"{file}: {nodes} node(s), sealed {answer['sealed_to']}"))


def _parts(ask: Ask, request: dict[str, Any], file: IO[bytes], *, quiet: bool) -> tuple[dict[str, Any], int]:
    """Write all parts; return the first answer, and how many nodes there were."""
    answer = ask(request, DUMP_SCHEMA)
    file.write(answer["header"].encode())
    while True:
        part = ask({"command": "kdc-dump-part", "dump": answer["dump"]}, PART_SCHEMA)
        file.write(base64.b64decode(part["sealed"]))
        if not quiet and answer["nodes"]:
            click.echo(f"\r{part['nodes']} of {answer['nodes']}", nl=not part["more"], err=True)
        if not part["more"]:
            return answer, int(part["nodes"])


@kdc.command("load")
@click.argument("file", metavar="FILE", type=_PATH)
@click.option("--passphrase-file", type=_PATH, help="A file whose first line is the passphrase that opens it.")
@click.option("--key", "key_file", type=_PATH, help="The file of the private key that opens it.")
@click.option("--replace", is_flag=True, help="Take the archive in place of the nodes that there are.")
@daemon_options
@json_option
def load(
    file: Path,
    passphrase_file: Path | None,
    key_file: Path | None,
    replace: bool,
    socket_path: Path | None,
    config_path: Path | None,
    as_json: bool,
) -> None:
    """Take over all nodes of an archive, into a center without any; all or none of them.

    With --replace nodes that the archive does not have are deleted, and who is revoked or deleted here with the key
    version of the archive, or a later one, stays so. A daemon reads the file itself, and issues no keys while it
    stores.
    """
    if passphrase_file is not None and key_file is not None:
        raise click.UsageError("give --passphrase-file or --key, not both")
    key = _opened(file, passphrase_file, key_file)
    request = {
        "command": "kdc-load",
        "file": os.path.abspath(file),
        "key": key.octets.hex(),
        "replace": replace,
    }
    with asking(socket_path, config_path, _PATIENCE) as ask:
        answer = ask(request, LOAD_SCHEMA)
    if as_json:
        print_answer(answer)
        return
    origin = f"{answer['center']}, {instant(answer['made'])}"
    click.echo(plain(f"{answer['taken']} node(s) were taken over from the archive of {origin}"))
    if answer["deleted"] or answer["kept"]:
        click.echo(
            plain(
                f"{answer['deleted']} that it does not have were deleted, {answer['kept']} stay deleted or revoked as "
                "they were here"
            )
        )


def _opened(file: Path, passphrase_file: Path | None, key_file: Path | None) -> Secret:
    """Return the key of an archive."""
    try:
        with file.open("rb") as opened:
            sealed, _ = read_header(opened.read(_LONGEST_HEADER))
    except OSError as error:
        raise Fault(f"{file} cannot be read: {error.strerror}") from error
    except Malformed as error:
        raise Fault(f"{file} is no archive: {error}") from error
    try:
        return _unsealed(sealed, passphrase_file, key_file)
    except AuthenticationFailed as error:
        raise Fault(f"{file}: {error}") from error


def _unsealed(sealed: SealedFile, passphrase_file: Path | None, key_file: Path | None) -> Secret:
    if sealed.recipient is None:
        if key_file is not None:
            raise Fault("a passphrase opens the archive: give --passphrase-file")
        return sealed.open_with_passphrase(passphrase_of(passphrase_file, confirm=False))
    if key_file is None:
        raise Fault(f"the key {sealed.recipient} opens the archive: give --key")
    return sealed.open_with_key(parse_private(read_private(key_file, MAX_FILE), key_file))
