"""What daemons that run in this process show, and the search in it for every secret that has come into being.

Each secret is noted as it is made; what is shown are logs, in both forms, the
answers on control sockets, the ``repr`` of every living object of ours, the text of every error of ours, and
tracebacks of failures with the variables of their frames. What is looked for is
each secret itself, a half of it, and both as hexadecimal, as base64, as a
literal of Python, and as a number.
"""

from __future__ import annotations

import base64
import gc
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from traceback import TracebackException
from typing import Any, Final

from twisted.internet import reactor as installed
from twisted.internet.task import deferLater
from twisted.logger import LogEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from seckex.crypto import atrest, kem, suites
from seckex.crypto.groups.curves import X25519Share
from seckex.crypto.secrets import Secret
from seckex.crypto.suites import Hash
from seckex.dialog import plain, record
from seckex.errors import SeckexError
from seckex.exchange import messages
from seckex.net.daemon import Daemon
from seckex.net.log import human_line, json_line

reactor: Any = installed

SHORTEST: Final = 16


def forms(secret: bytes) -> Iterator[bytes]:
    """Yield how octets can look in what is shown."""
    for piece in (secret, secret[: max(len(secret) // 2, SHORTEST)]):
        yield piece
        yield piece.hex().encode()
        yield piece.hex().upper().encode()
        yield repr(piece)[2:-1].encode()
        yield str(list(piece))[1:-1].encode()
        yield str(int.from_bytes(piece, "big")).encode()
        for shift in range(3):
            # What stands before and behind changes the characters at both ends.
            yield base64.b64encode(bytes(shift) + piece)[4:-4]
            yield base64.urlsafe_b64encode(bytes(shift) + piece)[4:-4]


def shortest(all_forms: Iterable[bytes]) -> list[bytes]:
    """Return those that hold no other one: where none of these is, the others are not either."""
    kept: list[bytes] = []
    for form in sorted(set(all_forms), key=len):
        if not any(other in form for other in kept):
            kept.append(form)
    return kept


def found(secrets: Iterable[bytes], shown: dict[str, bytes]) -> list[str]:
    """Return where which secret was shown."""
    places = []
    for number, secret in enumerate(sorted(secrets)):
        for form in shortest(forms(secret)):
            places += [f"{where}: secret {number} as {form[:60]!r}" for where, text in shown.items() if form in text]
    return places


def with_variables(failure: Failure) -> str:
    """Return the traceback of a failure with the variables of all its frames."""
    if failure.type is None or failure.value is None:
        return ""
    traced = TracebackException(failure.type, failure.value, failure.getTracebackObject(), capture_locals=True)
    return "".join(traced.format())


#: Labels of what comes out of HKDF and is a name, told to everybody.
NAMES: Final = (b"seckex1 passage id", b"seckex1 kek id")


class ShownCase(TestCase):
    """Daemons in ``running``, what they show, and the ``secrets`` that they have."""

    timeout = 120

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="seckex-test-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.secrets: set[bytes] = set()
        self.errors: list[str] = []
        self.lines: list[str] = []
        self.failures: list[str] = []
        self.answers: list[str] = []
        self.objects = ""
        self.running: list[Daemon[Any]] = []
        self._note_secrets()
        self._note_errors()
        self._note_lines()

    # -- what is noted

    def note(self, octets: bytes | bytearray | memoryview) -> None:
        """Take note of a secret."""
        if len(octets) >= SHORTEST:
            self.secrets.add(bytes(octets))

    def _note_secrets(self) -> None:
        made, drawn, extract = Secret.__init__, X25519Share.__init__, Hash.extract

        def secret(one: Secret, octets: bytes) -> None:
            self.note(octets)
            made(one, octets)

        def private(share: X25519Share, randomness: bytes) -> None:
            self.note(randomness)
            drawn(share, randomness)

        self.patch(Secret, "__init__", secret)
        self.patch(X25519Share, "__init__", private)
        # Whatever comes out of HKDF is a key of some kind, and so is what an AEAD or a MAC is given.
        for name in ("expand", "extract"):
            self.patch(Hash, name, self._noting(getattr(Hash, name), result=True))
        # Both halves of a hybrid key come from its seed.
        self.patch(kem, "_check_seed", self._noting(kem._check_seed, argument=0))
        self.patch(Hash, "mac", self._mac(extract))
        for module in (suites, atrest, messages, plain, record):
            self.patch(module, "new_aead", self._noting(suites.new_aead, argument=1))

    def _mac(self, keyed: Callable[[Hash, bytes, bytes], bytes]) -> Callable[..., bytes]:
        """Note the key of a MAC, and not the MAC, which goes over the network; what is used as a key is noted then."""

        def noting(suite: Hash, key: bytes, *parts: bytes) -> bytes:
            self.note(key)
            return keyed(suite, key, b"".join(parts))

        return noting

    def _noting(
        self, function: Callable[..., Any], *, result: bool = False, argument: int | None = None
    ) -> Callable[..., Any]:
        def noting(*arguments: Any) -> Any:
            if argument is not None:
                self.note(arguments[argument])
            value = function(*arguments)
            if result and not any(isinstance(each, bytes) and each in NAMES for each in arguments):
                self.note(value)
            return value

        return noting

    def _note_errors(self) -> None:
        def made(error: SeckexError, *arguments: object) -> None:
            Exception.__init__(error, *arguments)
            self.errors.append(f"{error} {error!r} {vars(error)}")

        self.patch(SeckexError, "__init__", made)

    def _note_lines(self) -> None:
        def line(event: LogEvent) -> None:
            self.lines += [json_line(event), human_line(event)]
            if "log_failure" in event:
                self.failures.append(with_variables(event["log_failure"]))

        observer: Any = line
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    # -- the run

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait until something holds."""
        while not holds():
            await deferLater(reactor, 0.002)

    async def stop_all(self) -> None:
        """Stop what runs."""
        running, self.running = self.running, []
        for daemon in running:
            await daemon.stopService()

    # -- what was shown

    def living(self) -> Iterator[str]:
        """Yield the ``repr`` of every object of ours that lives, and of what it holds in its own names."""
        for one in gc.get_objects():
            kind = type(one)
            if str(kind.__module__).startswith("seckex.") and not isinstance(one, type):
                yield f"{one!r} {one}"

    def texts(self) -> dict[str, bytes]:
        """Return what was shown elsewhere than in files, by where."""
        texts = {
            "lines": self.lines,
            "errors": self.errors,
            "failures": self.failures,
            "answers": self.answers,
            "objects": [self.objects],
        }
        for name, text in texts.items():
            self.assertTrue(text, f"no {name}")
        return {name: "\n".join(text).encode(errors="replace") for name, text in texts.items()}
