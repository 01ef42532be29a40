"""What becomes of a message that was received: a command's input, a file, or output; and what is said of it then."""

from __future__ import annotations

import filecmp
import os
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol, TypeAlias

from attrs import frozen

from seckex.cli.messages.client import BLOCK, Client
from seckex.cli.output import Fault, plain
from seckex.delivery.faces import Verdict

#: The exit status that asks for the message again later (EX_TEMPFAIL of sysexits.h).
TEMPORARY: Final = 75
Judged: TypeAlias = tuple[Verdict, str]
#: What a command is told of its message, in its environment behind SECKEX_.
TOLD: Final = ("name", "id", "dialog", "peer", "service", "type", "expires", "attempt", "size")


@frozen
class Given:
    """A message and what was told of it."""

    client: Client
    told: dict[str, Any]

    @property
    def id(self) -> str:
        """What it is called by programs."""
        return str(self.told.get("id"))

    @property
    def name(self) -> str:
        """What it is called by people."""
        return str(self.told.get("name"))

    def pieces(self) -> Iterator[bytes]:
        """Yield the payload."""
        inline, elsewhere = self.told.get("payload"), self.told.get("payload-at")
        if isinstance(inline, str):
            yield b64decode(inline)
            return
        with self.client.stream(str(elsewhere), timeout=60.0) as stream:
            while octets := stream.read(BLOCK):
                yield octets

    def write(self, out: BinaryIO) -> None:
        """Write the payload."""
        for octets in self.pieces():
            out.write(octets)


class Taking(Protocol):
    """Takes messages one by one."""

    def take(self, given: Given) -> Judged:
        """Return the verdict, and why."""
        ...


class ToOutput:
    """Writes payloads to the standard output, one behind the other."""

    def take(self, given: Given) -> Judged:
        """Write it; done when it is written."""
        out = sys.stdout.buffer
        given.write(out)
        out.flush()
        return Verdict.DONE, ""


@frozen
class IntoDirectory:
    """Makes a file for each message, which appears whole."""

    directory: Path

    def take(self, given: Given) -> Judged:
        """Make the file; done when it is durable. One that is there already with this payload is it."""
        name = _file_name(given.name)
        part = self.directory / f".{name}.part"
        try:
            self._write(part, given)
            if not self._appear(part, self.directory / name):
                # Of two dialogs whose ids begin alike, the second's messages have their whole ids for names.
                os.replace(part, self.directory / _file_name(given.id))
            self._sync()
        except OSError as error:
            raise Fault(f"{self.directory} cannot be written to: {error.strerror}") from error
        finally:
            part.unlink(missing_ok=True)
        return Verdict.DONE, ""

    @staticmethod
    def _write(part: Path, given: Given) -> None:
        part.unlink(missing_ok=True)
        with open(part, "xb", opener=_private) as file:  # a path opens nothing with a mode
            given.write(file)
            file.flush()
            os.fsync(file.fileno())

    @staticmethod
    def _appear(part: Path, file: Path) -> bool:
        try:
            os.link(part, file)
        except FileExistsError:
            return filecmp.cmp(part, file, shallow=False)
        return True

    def _sync(self) -> None:
        descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _file_name(name: str) -> str:
    """Return a name of a message as that of a file; what is none is refused."""
    if not name.replace(".", "").isalnum() or name.startswith("."):
        raise Fault(f"the daemon calls a message {plain(name)}, which is no name of one")
    return name


@frozen
class ToCommand:
    """Runs a command for each message."""

    words: Sequence[str]

    def take(self, given: Given) -> Judged:
        """Run it; its exit status is the verdict. One that was killed by a signal is given the message again."""
        told = {f"SECKEX_{name.upper()}": str(given.told.get(name, "")) for name in TOLD}
        try:
            process = subprocess.Popen(self.words, stdin=subprocess.PIPE, env=os.environ | told)  # noqa: S603  # the operator's own command
        except OSError as error:
            raise Fault(f"{self.words[0]} cannot be run: {error.strerror}") from error
        with process:
            self._feed(process, given)
            status = process.wait()
        if status == 0:
            return Verdict.DONE, ""
        if status < 0:
            return Verdict.RETRY, f"the command was ended by signal {-status}"
        return (Verdict.RETRY if status == TEMPORARY else Verdict.DEAD), f"the command ended with status {status}"

    @staticmethod
    def _feed(process: subprocess.Popen[bytes], given: Given) -> None:
        stdin = process.stdin
        # A command need not read all, or any.
        with suppress(BrokenPipeError):
            if stdin is not None:
                given.write(stdin)  # type: ignore[arg-type]  # it takes octets as files do
        with suppress(BrokenPipeError):
            if stdin is not None:
                stdin.close()
