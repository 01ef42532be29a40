"""Two daemons do all that they can do; every secret of that run is then looked for in all that they have shown.

Both run in this process, over real sockets, with stores on disk and logs at
their finest. What was shown is what `tests.shown` notes, and what the files hold.
"""

from __future__ import annotations

import os
import socket
from typing import Any, Final

from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from seckex.cli.control_client import ask
from seckex.cli.demo.files import write_key
from seckex.cli.demo.processes import free_port
from seckex.crypto import schedule
from seckex.machine import Path as Somewhere
from seckex.net.daemon import DATABASE, Daemon
from seckex.net.inprocess import initiator_of, responder_of
from seckex.node.node import Node
from tests.daemons.stage import FORWARD, HOME, INITIATOR, NODE, RESPONDER
from tests.shown import ShownCase, forms, found

reactor: Any = installed

#: Said both ways over a dialog.
MARKER: Final = b"what the two programs tell each other is nobody else's business"

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


class RunTests(ShownCase):
    """See the module."""

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
        self.objects = "\n".join(self.living())

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

    # -- what was shown

    def _in_files(self) -> set[bytes]:
        """Return the secrets that lie in files of their own."""
        text = (self.folder / "node.key0").read_text()
        key = bytes.fromhex(text.split('key = "')[1][:64])
        masters = [file.read_bytes() for file in self.folder.rglob("*master*") if file.is_file()]
        self.assertEqual(len(masters), 2, sorted(self.folder.rglob("*")))
        return {key, *(master for master in masters if len(master) == 32)}

    def shown(self) -> dict[str, bytes]:
        """Return all that was shown, by where."""
        files = {
            f"file {file.name}": file.read_bytes()
            for file in self.folder.rglob("*")
            if file.is_file() and not ("master" in file.name or file.suffix == ".key0")
        }
        self.assertLessEqual({f"file {DATABASE}", "file responder.log", "file initiator.log"}, set(files))
        return files | self.texts()

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
