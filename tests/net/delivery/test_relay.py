"""Messages between two daemons that cannot call each other, by way of a third, over real sockets and disks."""

from __future__ import annotations

from typing import Any

from seckex.cli.demo.processes import free_port
from seckex.config.initiator import InitiatorSettings
from seckex.config.load import load
from seckex.config.responder import ResponderSettings
from seckex.delivery.faces import Verdict
from seckex.net.daemon import Daemon
from seckex.net.delivery.api import Message
from seckex.net.delivery.messages import MessagesAtEdge
from seckex.net.initiator import InitiatorDaemon
from seckex.net.responder import ResponderDaemon
from tests.config.written import write_credentials
from tests.net.delivery.test_daemons import HOME, DaemonsCase, reactor

RELAY = """\
role = "responder"
[identity]
nai = "relay@example.org"
certificate = "relay.pem"
private-key = "relay.key"
trust = ["ca/ca.pem"]
[listen]
addresses = ["127.0.0.1"]
port = {port}
[state]
directory = "relay"
[log]
level = "error"
[messages.relay]
for = ["home@example.org", "*@example.net"]
"""

ENDPOINT = """\
role = "initiator"
[identity]
nai = "{nai}"
certificate = "{name}.pem"
private-key = "{name}.key"
trust = ["ca/ca.pem"]
[state]
directory = "{name}"
[log]
level = "error"
[messages.services.{service}]
from = ["*@example.net"]
[[messages.peers]]
nai = "relay@example.org"
address = "127.0.0.1"
port = {port}
collect = "{collect}"
"""

BEHIND = """\
[[messages.peers]]
nai = "home@example.org"
via = "relay@example.org"
"""


class RelayTests(DaemonsCase):
    def setUp(self) -> None:
        super().setUp()
        write_credentials(self.folder, "relay", "relay@example.org")
        port = free_port()
        home = ENDPOINT.format(nai=HOME, name="home", service="orders", port=port, collect="yes")
        node = ENDPOINT.format(nai="node@example.net", name="node", service="receipts", port=port, collect="no")
        (self.folder / "relay.toml").write_text(RELAY.format(port=port))
        (self.folder / "home.toml").write_text(home)
        (self.folder / "node.toml").write_text(node + BEHIND)

    def start(self, name: str) -> MessagesAtEdge:
        file = self.folder / f"{name}.toml"
        daemon: Daemon[Any] = (
            ResponderDaemon(reactor, load(file, ResponderSettings))
            if name == "relay"
            else InitiatorDaemon(reactor, load(file, InitiatorSettings))
        )
        daemon.privilegedStartService()
        daemon.startService()
        self.running[name] = daemon
        assert daemon.messages is not None
        return daemon.messages

    async def test_a_message_waits_at_the_relay_through_a_restart_of_it(self) -> None:
        relay, home = self.start("relay"), self.start("home")
        await self.until(lambda: bool(relay.house.relaying._told))
        await self.stop("home")
        node = self.start("node")
        dialog = node.dialog(HOME, "orders", own="receipts")
        sent = dialog.send(b"an order")
        await self.until(lambda: relay.counters()["messages.relay-kept"] == 2)
        await self.stop("node")
        await self.stop("relay")
        relay = self.start("relay")
        self.assertEqual(relay.status()["relay_envelopes"], 2)
        home = self.start("home")
        got: list[tuple[str, bytes]] = []

        def order(message: Message) -> Verdict:
            got.append((message.peer, bytes(message.payload)))  # type: ignore[arg-type]  # it is short
            message.dialog.send(b"thanks")
            return Verdict.DONE

        home.receive("orders", order)
        await self.until(lambda: bool(got))
        self.assertEqual(got, [("node@example.net", b"an order")])
        await self.until(lambda: relay.status()["relay_envelopes"] > 0)
        await self.stop("home")
        node = self.start("node")
        receipts: list[bytes] = []
        node.receive("receipts", lambda message: receipts.append(bytes(message.payload)) or Verdict.DONE)  # type: ignore[func-returns-value,arg-type]  # short for two statements
        home = self.start("home")
        home.receive("orders", order)
        await self.until(lambda: bool(receipts))
        self.assertEqual(receipts, [b"thanks"])
        self.assertEqual((sent.number, len(got)), (1, 1))
