"""Messages between the daemons of two files, in this process, over real sockets, disks and stores."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from seckex.cli.demo.processes import free_port
from seckex.config.initiator import InitiatorSettings
from seckex.config.load import load
from seckex.config.responder import ResponderSettings
from seckex.delivery.faces import FRAGMENT, SPOOLED_ABOVE, Verdict
from seckex.net.daemon import Daemon
from seckex.net.delivery.api import Decision, Message, MessageFailed
from seckex.net.delivery.messages import MessagesAtEdge
from seckex.net.initiator import InitiatorDaemon
from seckex.net.responder import ResponderDaemon
from tests.config.written import write_credentials
from tests.net.delivery.test_connections import Raw

reactor: Any = installed
HOME, NODE = "home@example.org", "node@example.net"

RESPONDER = """\
role = "responder"
[identity]
nai = "home@example.org"
certificate = "home.pem"
private-key = "home.key"
trust = ["ca/ca.pem"]
[listen]
addresses = ["127.0.0.1"]
port = {port}
[state]
directory = "home"
[log]
level = "error"
[messages.services.orders]
from = ["*@example.net"]
attempts = 2
retry-after = 0
largest = "16 MiB"
"""

INITIATOR = """\
role = "initiator"
[identity]
nai = "node@example.net"
certificate = "node.pem"
private-key = "node.key"
trust = ["ca/ca.pem"]
[state]
directory = "node"
[log]
level = "error"
[messages.services.receipts]
[[messages.peers]]
nai = "home@example.org"
address = "127.0.0.1"
port = {port}
"""


class DaemonsCase(TestCase):
    timeout = 60

    def setUp(self) -> None:
        # Control sockets have short paths: trial's own folders are too deep.
        self.folder = Path(tempfile.mkdtemp(prefix="seckex-test-"))
        self.addCleanup(shutil.rmtree, self.folder)
        write_credentials(self.folder, "home", HOME)
        write_credentials(self.folder, "node", NODE)
        port = free_port()
        (self.folder / "home.toml").write_text(RESPONDER.format(port=port))
        (self.folder / "node.toml").write_text(INITIATOR.format(port=port))
        self.running: dict[str, Daemon[Any]] = {}
        self.addCleanup(self.stop_all)

    async def stop_all(self) -> None:
        for name in tuple(self.running):
            await self.stop(name)

    def start(self, name: str) -> MessagesAtEdge:
        file = self.folder / f"{name}.toml"
        daemon: Daemon[Any] = (
            ResponderDaemon(reactor, load(file, ResponderSettings))
            if name == "home"
            else InitiatorDaemon(reactor, load(file, InitiatorSettings))
        )
        daemon.privilegedStartService()
        daemon.startService()
        self.running[name] = daemon
        assert daemon.messages is not None
        return daemon.messages

    async def stop(self, name: str) -> None:
        await self.running.pop(name).stopService()

    async def until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            await deferLater(reactor, 0.002)


class ExchangeTests(DaemonsCase):
    async def test_messages_go_both_ways(self) -> None:
        home, node = self.start("home"), self.start("node")
        got: list[tuple[str, bytes, str]] = []

        def order(message: Message) -> Verdict:
            got.append((message.peer, bytes(message.payload), message.type))  # type: ignore[arg-type]  # it is short
            message.dialog.send(b"thanks for " + bytes(message.payload))  # type: ignore[arg-type]  # as above
            return Verdict.DONE

        receipts: list[bytes] = []

        async def receipt(message: Message) -> Verdict:
            receipts.append(bytes(message.payload))  # type: ignore[arg-type]  # as above
            return Verdict.DONE

        home.receive("orders", order, at_once=4)
        node.receive("receipts", receipt)
        dialog = node.dialog(HOME, "orders", own="receipts")
        sent = [dialog.send(b"order %d" % number, type="order/1") for number in range(20)]
        await sent[0].accepted
        await sent[-1].delivered
        await sent[-1].processed
        self.assertEqual(got, [(NODE, b"order %d" % number, "order/1") for number in range(20)])
        await self.until(lambda: len(receipts) == 20)
        self.assertEqual(receipts, [b"thanks for order %d" % number for number in range(20)])

    async def test_what_was_accepted_outlives_both_daemons(self) -> None:
        node = self.start("node")
        dialog = node.dialog(HOME, "orders")
        sent = dialog.send_all([b"%d" % number for number in range(300)])
        await sent[-1].accepted
        await self.stop("node")
        home = self.start("home")
        got: list[bytes] = []
        home.receive("orders", lambda message: got.append(bytes(message.payload)) or Verdict.DONE)  # type: ignore[func-returns-value,arg-type]  # short for two statements
        again = self.start("node")
        await self.until(lambda: len(got) == 300)
        self.assertEqual(got, [b"%d" % number for number in range(300)])
        self.assertEqual(again.dialog(HOME, "orders").id, dialog.id)
        await self.stop("home")
        await again.dialog(HOME, "orders").send(b"one more").accepted
        home = self.start("home")
        home.receive("orders", lambda message: got.append(bytes(message.payload)) or Verdict.DONE)  # type: ignore[func-returns-value,arg-type]  # as above
        await self.until(lambda: len(got) == 301)
        self.assertEqual(got[-1], b"one more")

    async def test_a_long_message_goes_by_way_of_the_spools(self) -> None:
        home, node = self.start("home"), self.start("node")
        payload = bytes(range(256)) * (SPOOLED_ABOVE // 256 + 1000)
        got = bytearray()
        done: Deferred[None] = Deferred()

        async def order(message: Message) -> Verdict:
            self.assertEqual((message.size, message.pieces), (len(payload), -(-len(payload) // FRAGMENT)))
            await message.read(lambda octets: got.extend(octets))
            done.callback(None)
            return Verdict.DONE

        home.receive("orders", order)
        upload = node.upload()
        for at in range(0, len(payload), 100_000):
            await upload.write(payload[at : at + 100_000])
        sent = node.dialog(HOME, "orders").send(await upload.finish())
        await sent.processed
        await done
        self.assertEqual(bytes(got), payload)
        await self.until(lambda: home.status()["spool_octets"] == node.status()["spool_octets"] == 0)
        await self.until(lambda: not any((self.folder / "home" / "spool" / "0").iterdir()))

    async def test_what_a_program_does_not_bear_is_put_aside(self) -> None:
        home, node = self.start("home"), self.start("node")
        attempts: list[int] = []

        def order(message: Message) -> Verdict | Decision:
            if message.payload == b"bad":
                attempts.append(message.attempt)
                raise ValueError(f"a secret: {message.payload!r}")
            if message.payload == b"unwanted":
                return Decision(Verdict.DEAD, "nobody wants it")
            return Verdict.DONE

        home.receive("orders", order)
        dialog = node.dialog(HOME, "orders")
        bad, unwanted, good = dialog.send_all([b"bad", b"unwanted", b"good"])
        await self.assertFailure(bad.processed, MessageFailed)
        await self.assertFailure(unwanted.processed, MessageFailed)
        await good.processed
        self.assertEqual(attempts, [1, 2])
        dead = await home.shown_dead()
        self.assertEqual([each["number"] for each in dead], [1, 2])
        self.assertIn("nobody wants it", dead[1]["why"])
        told, payload = await home.dead_message(dialog.id, False, 1)  # type: ignore[misc]  # it is there
        self.assertEqual((told["name"], payload), (bad.name, b"bad"))
        await home.drop(dialog.id, False, 1)
        self.assertEqual(home.status()["dead"], 1)
        self.assertEqual([each["number"] for each in await home.shown_dead()], [2])


class ReloadTests(DaemonsCase):
    async def test_services_and_peers_change_while_dialogs_go_on(self) -> None:
        home, node = self.start("home"), self.start("node")
        home.receive("orders", lambda _: Verdict.DONE)
        dialog = node.dialog(HOME, "orders")
        await dialog.send(b"one").processed
        file = self.folder / "home.toml"
        file.write_text(file.read_text() + '[messages.services.more]\nfrom = ["node@example.net"]\n')
        answer = self.running["home"].reload()
        self.assertEqual((answer["done"], answer["changed"]), (True, ["messages.services.more"]))
        home.receive("more", lambda _: Verdict.DONE)
        await node.dialog(HOME, "more").send(b"two").processed
        await dialog.send(b"three").processed

    async def test_what_only_a_restart_changes_is_told_and_kept(self) -> None:
        home = self.start("home")
        file = self.folder / "home.toml"
        before = file.read_text()
        file.write_text(before + '[messages.http]\nsocket = "other.sock"\n')
        answer = self.running["home"].reload()
        self.assertEqual(answer["kept"], ["messages.http: only a restart changes it"])
        file.write_text(before[: before.index("[messages")] + "[messages]\n")
        self.assertTrue(self.running["home"].reload()["done"])
        self.assertEqual(home.status()["services"], [])

    async def test_who_may_not_send_is_refused_and_told(self) -> None:
        home, node = self.start("home"), self.start("node")
        del home
        file = self.folder / "home.toml"
        file.write_text(file.read_text().replace("*@example.net", "*@example.com"))
        self.assertTrue(self.running["home"].reload()["done"])
        sent = node.dialog(HOME, "orders").send(b"please")
        await sent.accepted
        await self.assertFailure(sent.processed, MessageFailed)


class EndTests(DaemonsCase):
    async def test_a_daemon_that_cannot_start_leaves_nothing_behind(self) -> None:
        self.start("home")
        daemon = ResponderDaemon(reactor, load(self.folder / "home.toml", ResponderSettings))
        self.assertRaises(SystemExit, daemon.privilegedStartService)
        await self.stop("home")
        (self.folder / "home" / "messages.db").write_bytes(b"no database " * 1000)
        daemon = ResponderDaemon(reactor, load(self.folder / "home.toml", ResponderSettings))
        daemon.privilegedStartService()
        self.assertRaises(SystemExit, daemon.startService)
        (self.folder / "home" / "messages.db").unlink()
        self.start("home")

    async def test_what_others_say_at_the_port_is_none_of_its_business(self) -> None:
        home = self.start("home")
        port = self.running["home"].settings.listen.port
        end = Raw()
        await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port), end)
        end.transport.write(b"Mumble")
        await end.lost
        self.assertEqual(home.counters()["messages.connections-broken"], 1)
        self.assertEqual(self.running["home"].principal.node.counters["dropped.messages"], 1)
