"""Two daemons do all that they can do; every secret of that run is then looked for in all that they have shown.

Both run in this process, over real sockets, with stores on disk and logs at
their finest. Each secret is noted as it comes into being; what was shown are
logs, in both forms, the answers on the control socket, what the files hold, the
``repr`` of every living object of ours, the text of every error of ours, and
tracebacks of failures with the variables of their frames. What is looked for is
each secret itself, a half of it, and both as hexadecimal, as base64, as a
literal of Python, and as a number.
"""

from __future__ import annotations

import base64
import gc
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from traceback import TracebackException
from typing import Any, Final

from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.logger import LogEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from seckex.cli.control_client import ask
from seckex.cli.demo.files import write_key
from seckex.cli.demo.processes import free_port
from seckex.crypto import atrest, schedule, suites
from seckex.crypto.groups.curves import X25519Share
from seckex.crypto.secrets import Secret
from seckex.crypto.suites import Hash
from seckex.dialog import plain, record
from seckex.errors import SeckexError
from seckex.exchange import messages
from seckex.machine import Path as Somewhere
from seckex.net.daemon import DATABASE, Daemon
from seckex.net.inprocess import initiator_of, responder_of
from seckex.net.log import human_line, json_line
from seckex.node.node import Node
from tests.daemons.stage import FORWARD, HOME, INITIATOR, NODE, RESPONDER

reactor: Any = installed

#: Said both ways over a dialog.
MARKER: Final = b"what the two programs tell each other is nobody else's business"

SHORTEST: Final = 16
SOMEWHERE: Final = Somewhere("203.0.113.1", 9)


class Echo(Protocol):
    """Returns what it is told."""

    def dataReceived(self, data: bytes) -> None:
        transport: Any = self.transport
        transport.write(data)


class Said(Protocol):
    """Tells the marker, and keeps what comes back."""

    def __init__(self, done: Deferred[None]) -> None:
        self.done = done
        self.got = 0

    def connectionMade(self) -> None:
        transport: Any = self.transport
        transport.write(MARKER)

    def dataReceived(self, data: bytes) -> None:
        self.got += len(data)
        if self.got == len(MARKER):
            self.done.callback(None)


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


def found(secrets: Iterable[bytes], shown: dict[str, bytes]) -> list[str]:
    """Return where which secret was shown."""
    places = []
    for number, secret in enumerate(sorted(secrets)):
        for form in set(forms(secret)):
            places += [f"{where}: secret {number} as {form[:60]!r}" for where, text in shown.items() if form in text]
    return places


def with_variables(failure: Failure) -> str:
    """Return the traceback of a failure with the variables of all its frames."""
    if failure.type is None or failure.value is None:
        return ""
    traced = TracebackException(failure.type, failure.value, failure.getTracebackObject(), capture_locals=True)
    return "".join(traced.format())


class RunTests(TestCase):
    """See the module."""

    timeout = 60

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="seckex-test-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.secrets: set[bytes] = set()
        self.errors: list[str] = []
        self.lines: list[str] = []
        self.failures: list[str] = []
        self.answers: list[str] = []
        self._note_secrets()
        self._note_errors()
        self._note_lines()

    # -- what is noted

    def note(self, octets: bytes | bytearray | memoryview) -> None:
        """Take note of a secret."""
        if len(octets) >= SHORTEST:
            self.secrets.add(bytes(octets))

    def _note_secrets(self) -> None:
        made, drawn = Secret.__init__, X25519Share.__init__

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
        self.patch(Hash, "mac", self._noting(Hash.mac, argument=1))
        for module in (suites, atrest, messages, plain, record):
            self.patch(module, "new_aead", self._noting(suites.new_aead, argument=1))

    def _noting(
        self, function: Callable[..., Any], *, result: bool = False, argument: int | None = None
    ) -> Callable[..., Any]:
        def noting(*arguments: Any) -> Any:
            if argument is not None:
                self.note(arguments[argument])
            value = function(*arguments)
            if result:
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

    async def run_all(self) -> None:
        """Have both daemons negotiate, carry, renew, export, fail and stop."""
        service = reactor.listenTCP(0, Factory.forProtocol(Echo), interface="127.0.0.1")
        self.addCleanup(service.stopListening)
        port, self.forward = free_port(socket.SOCK_DGRAM), free_port()
        write_key(self.folder / "node.key0", NODE)
        connect = f"tcp:host=127.0.0.1:port={service.getHost().port}"
        responder = RESPONDER.format(addresses='"127.0.0.1"', port=port, connect=connect, closed=free_port())
        initiator = INITIATOR.format(address="127.0.0.1", port=port)
        initiator += FORWARD.format(listen=f"tcp:{self.forward}:interface=127.0.0.1", service="web")
        for role, text in (("responder", responder), ("initiator", initiator)):
            (self.folder / f"{role}.toml").write_text(text)
        self.daemons: list[Daemon[Any]] = [
            responder_of(reactor, self.folder / "responder.toml"),
            initiator_of(reactor, self.folder / "initiator.toml"),
        ]
        self.running = list(self.daemons)
        self.addCleanup(lambda: Deferred.fromCoroutine(self.stop_all()))
        for daemon in self.daemons:
            daemon.privilegedStartService()
            daemon.startService()
        await self.until(lambda: all(self.confirmed(daemon) for daemon in self.daemons))
        await self.talk()
        for role in ("initiator", "responder"):
            for command in ("status", "explain", "events"):
                await self.asked(role, command)
        await self.asked("initiator", "rekey")
        await self.talk()
        await self.until(lambda: all(self.confirmed(daemon) for daemon in self.daemons))
        exported = await deferToThread(self._ask, "initiator", "export", label="another protocol", length=32)
        self.note(bytes.fromhex(exported["key"]))
        await self.trouble(port)
        self.secrets |= {MARKER, *self._in_files()}
        self.objects = "\n".join(self._living())

    async def until(self, holds: Callable[[], object]) -> None:
        while not holds():
            await deferLater(reactor, 0.002)

    def confirmed(self, daemon: Daemon[Any]) -> bool:
        held = list(daemon.principal.node.associations)
        return bool(held) and all(association.confirmed for association in held)

    async def talk(self) -> None:
        """Say the marker over the forward and hear it again."""
        done: Deferred[None] = Deferred()
        factory = Factory.forProtocol(lambda: Said(done))
        factory.noisy = False
        said: Any = await TCP4ClientEndpoint(reactor, "127.0.0.1", self.forward).connect(factory)
        await done
        said.transport.loseConnection()

    async def asked(self, role: str, command: str) -> None:
        self.answers.append(str(await deferToThread(self._ask, role, command)))

    def _ask(self, role: str, command: str, **more: object) -> dict[str, Any]:
        peer = HOME if role == "initiator" else NODE
        schema = f"seckex.{'explain-peer' if command == 'explain' else command}/1"
        socket_path = self.folder / role / "control.sock"
        return ask(socket_path, {"command": command, "peer": peer, "seconds": 20} | more, schema, 25)

    async def trouble(self, port: int) -> None:
        """Send rubbish and forgeries, and have things fail that never should, in the midst of everything."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for octets in (b"rubbish", b"\xff\x10\0\1" + os.urandom(900), b"\xff\x20\0\1" + bytes(60)):
                stranger.sendto(octets, ("127.0.0.1", port))
        with socket.socket() as stranger:
            stranger.connect(("127.0.0.1", port))
            stranger.send(b"SK" + os.urandom(80))
        for daemon in self.daemons:
            self._fail(daemon)
        await deferLater(reactor, 0.05)
        self.flushLoggedErrors(ZeroDivisionError)

    def _fail(self, daemon: Daemon[Any]) -> None:
        """Fail where frames hold whatever a daemon works with, and log it as the daemon would."""
        node, now = daemon.principal.node, daemon.clock.now()

        def broken(*_arguments: object, **_more: object) -> None:
            raise ZeroDivisionError("by the test")

        for target, name, act in (
            (Node, "admitted", lambda: node.receive(b"\xff\x10\0\5" + bytes(60), SOMEWHERE, now)),
            (type(node._driver), "drive", lambda: self._offer(daemon)),
            (type(node._answering), "tick", lambda: node.tick(now)),
            (schedule.AgreedKeys, "octets", lambda: [one.keys.octets() for one in node.associations]),
        ):
            whole = getattr(target, name)
            setattr(target, name, broken)
            try:
                act()
            except ZeroDivisionError:
                daemon.log.failure("it failed")
            finally:
                setattr(target, name, whole)

    def _offer(self, daemon: Daemon[Any]) -> None:
        """Have a node take a copy of something that looks like an offer."""
        peer = next(iter(daemon.principal.node.peers.values()))
        spi = peer.terms.authority.spi.to_bytes(4, "big")
        exchange = b"\x7f\x12\0\x2c" + bytes((1, 0, 0, 0)) + bytes(40)
        octets = b"\xff\x10\0\1" + os.urandom(8) + spi + exchange
        octets += b"\x7f\x14" + (676).to_bytes(2, "big") + bytes(676) + b"\x7f\x16\0\x24" + spi + bytes(32)
        daemon.principal.node.receive(octets, SOMEWHERE, daemon.clock.now())

    async def stop_all(self) -> None:
        """Stop what runs."""
        running, self.running = self.running, []
        for daemon in running:
            await daemon.stopService()

    # -- what was shown

    def _in_files(self) -> set[bytes]:
        """Return the secrets that lie in files of their own."""
        text = (self.folder / "node.key0").read_text()
        key = bytes.fromhex(text.split('key = "')[1][:64])
        masters = [file.read_bytes() for file in self.folder.rglob("*master*") if file.is_file()]
        self.assertEqual(len(masters), 2, sorted(self.folder.rglob("*")))
        return {key, *(master for master in masters if len(master) == 32)}

    def _living(self) -> Iterator[str]:
        """Yield the ``repr`` of every object of ours that lives, and of what it holds in its own names."""
        for one in gc.get_objects():
            kind = type(one)
            if str(kind.__module__).startswith("seckex.") and not isinstance(one, type):
                yield f"{one!r} {one}"

    def shown(self) -> dict[str, bytes]:
        """Return all that was shown, by where."""
        files = {
            f"file {file.name}": file.read_bytes()
            for file in self.folder.rglob("*")
            if file.is_file() and not ("master" in file.name or file.suffix == ".key0")
        }
        self.assertLessEqual({f"file {DATABASE}", "file responder.log", "file initiator.log"}, set(files))
        texts = {
            "lines": self.lines,
            "errors": self.errors,
            "failures": self.failures,
            "answers": self.answers,
            "objects": [self.objects],
        }
        for name, text in texts.items():
            self.assertTrue(text, f"no {name}")
        return files | {name: "\n".join(text).encode(errors="replace") for name, text in texts.items()}

    async def test_no_secret_is_shown(self) -> None:
        await self.run_all()
        shown = self.shown()
        self.assertGreater(len(self.secrets), 40)
        self.assertGreaterEqual(len(self.failures), 8)
        self.assertEqual(found(self.secrets, shown), [])
        # The database as it is when all is written, after the log of what is to be written.
        await self.stop_all()
        self.assertEqual(found(self.secrets, self.shown()), [])
        # What is looked for would be found.
        for form in forms(MARKER):
            self.assertTrue(found({MARKER}, {"here": b"x" + form + b"y"}))
