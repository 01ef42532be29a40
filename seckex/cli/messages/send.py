"""``seckex send``: a message out of a file, or of what is piped in."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

import click

from seckex.cli.messages.client import TIMEOUT, Client, Declined, part
from seckex.cli.messages.desk import client_of, messages_options
from seckex.cli.output import ExitCode, Fault, json_option, leave, plain, print_answer
from seckex.delivery.faces import LARGEST_MESSAGE, PRIORITY, Stage

#: A longer file is sent in pieces of this size, and goes on where it was broken off.
PIECE: Final = 1 << 20
_STAGES: Final = [stage.value for stage in Stage]


@click.command()
@click.argument("file", default="-", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--to", required=True, metavar="NAI", help="Whom it is for.")
@click.option("--service", required=True, metavar="NAME", help="The service there.")
@click.option("--own", metavar="NAME", help="The service here that answers are for.")
@click.option("--type", "type_", metavar="TEXT", help="What kind of message it is, for the program there.")
@click.option("--priority", type=click.IntRange(0, 7), default=PRIORITY, show_default=True, help="0 goes first.")
@click.option("--label", metavar="TEXT", help="Tells dialogs apart that have all else in common.")
@click.option("--ttl", type=click.FloatRange(0.001), metavar="SECONDS", help="When it expires.")
@click.option("--key", metavar="TEXT", help="Sent again with the same key within a day it is the same message.")
@click.option("--wait", type=click.Choice(_STAGES), default=_STAGES[0], show_default=True, help="How far it must come.")
@click.option("--timeout", type=click.FloatRange(0, 3600), default=30.0, show_default=True, help="Seconds to wait.")
@messages_options
@json_option
def send(
    file: Path,
    to: str,
    service: str,
    own: str | None,
    type_: str | None,
    priority: int,
    label: str | None,
    ttl: float | None,
    key: str | None,
    wait: str,
    timeout: float,
    socket_path: Path | None,
    config_path: Path | None,
    as_json: bool,
) -> None:
    """Send a message and print its name.

    The payload is FILE, or the standard input. A file above 1 MiB that was broken off goes on where it was when the
    same command is given again, as long as the daemon runs.
    """
    client = client_of(socket_path, config_path)
    said: dict[str, Any] = {
        "to": to,
        "service": service,
        "own": own,
        "type": type_,
        "priority": priority,
        "label": label,
    }
    said |= {"ttl": ttl, "key": key, "wait": wait, "timeout": timeout}
    post = _Post(client, said, timeout + TIMEOUT)
    if str(file) == "-":
        reply = post.stream(sys.stdin.buffer)
    else:
        try:
            with file.open("rb") as opened:
                reply = post.file(opened, file.name, quiet=as_json)
        except OSError as error:
            raise Fault(f"{file} cannot be read: {error.strerror}") from error
    _tell(reply, wait, timeout, as_json)


def _tell(told: dict[str, Any], wait: str, timeout: float, as_json: bool) -> None:
    if as_json:
        print_answer(told)
    else:
        click.echo(plain(told.get("name", "?")))
    if told.get("stage") != wait:
        stage = plain(told.get("stage")) or "not durable yet"
        click.echo(f"seckex: it is {stage} after {timeout:g} s, and goes on by itself", err=True)
        leave(ExitCode.UNSETTLED)


class _Post:
    """How the payload gets to the daemon."""

    def __init__(self, client: Client, said: dict[str, Any], timeout: float) -> None:
        self._client = client
        self._said = said
        self._timeout = timeout

    def stream(self, octets: BinaryIO) -> dict[str, Any]:
        """Send what is read until its end, of a length that nobody knows."""
        first = octets.read(PIECE)
        if len(first) < PIECE:
            return self._send(first)
        return self._send(iter(_joined(first, octets)))

    def file(self, opened: BinaryIO, name: str, *, quiet: bool) -> dict[str, Any]:
        """Send a file, a long one in pieces."""
        stat = os.fstat(opened.fileno())
        size = stat.st_size
        if size > LARGEST_MESSAGE:
            raise Fault(f"a message has at most {LARGEST_MESSAGE:,} octets")
        if size <= PIECE:
            return self._send(opened.read(PIECE + 1))
        upload = _name(opened, stat)
        with _shown(name, size, quiet=quiet) as show:
            offset = self._offset(upload, size)
            show(offset)
            while offset < size:
                opened.seek(offset)
                octets = opened.read(min(PIECE, size - offset))
                if not octets or os.fstat(opened.fileno()).st_mtime_ns != stat.st_mtime_ns:
                    raise Fault(f"{plain(name)} changes while it is sent")
                offset = self._piece(upload, offset, octets, size)
                show(offset)
        self._said["upload"] = upload
        return self._send(b"")

    def _send(self, body: Any) -> dict[str, Any]:
        return self._client.ask("POST", "/v1/messages", self._said, body, timeout=self._timeout).told

    def _offset(self, upload: str, size: int) -> int:
        """Return where an upload goes on; 0 if it has not begun."""
        try:
            reply = self._client.ask("HEAD", f"/v1/uploads/{part(upload)}")
        except Declined as error:
            if error.status == 404:
                return 0
            raise
        return min(int(reply.headers.get("Upload-Offset", "0")), size)

    def _piece(self, upload: str, first: int, octets: bytes, size: int) -> int:
        where = {"Content-Range": f"bytes {first}-{first + len(octets) - 1}/{size}"}
        reply = self._client.ask("PUT", f"/v1/uploads/{part(upload)}", None, octets, where, timeout=60.0)
        return int(reply.told["offset"])


def _joined(first: bytes, rest: BinaryIO) -> Iterator[bytes]:
    yield first
    while octets := rest.read(65536):
        yield octets


def _name(opened: BinaryIO, stat: os.stat_result) -> str:
    """Return what the upload of a file is called: another content, size or time is another upload."""
    digest = hashlib.sha256(f"{stat.st_size} {stat.st_mtime_ns} ".encode())
    while octets := opened.read(PIECE):
        digest.update(octets)
    return digest.hexdigest()


@contextmanager
def _shown(name: str, size: int, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """Yield what shows how much is sent: a bar on a terminal, nothing otherwise."""
    if quiet or not sys.stderr.isatty():
        yield lambda offset: None  # noqa: ARG005  # there is nobody to tell
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(plain(name), total=size)
        yield lambda offset: progress.update(task, completed=offset)
