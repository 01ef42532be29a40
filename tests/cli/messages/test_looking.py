"""``seckex dialogs``, ``outbox``, ``inbox``, ``dead`` and ``why``."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase

from seckex.cli.messages.view import facts, why_lines
from seckex.delivery.faces import Verdict
from seckex.net.delivery.api import Decision
from seckex.testing import Delivered, State
from tests.cli.messages.served import PEER, ServedCase, reactor

#: What a daemon says of a message of ours that waits.
WHY: dict[str, Any] = {
    "schema": "seckex.why/1",
    "name": "0123456789ab.o7",
    "direction": "sent",
    "stage": "accepted",
    "stuck": "shop@example.net is not reached: connection \x1b[31mrefused",
    "advice": "it waits for a connection with shop@example.net: is that running and reached?",
    "dialog": {
        "id": "0123456789ab0123456789ab01234567",
        "peer": "shop@example.net",
        "service": "bills",
        "begun": "here",
        "created": 1900000000,
        "state": "waiting",
        "connected": False,
        "keys": {"source": "prekey", "generation": 2, "headers": ["pair", "kek"], "made": {"at": 1900000000}},
        "ours": {"next": 8, "acknowledged": 6},
        "theirs": {},
        "why": "",
    },
    "steps": [
        {"at": 1900000000.5, "what": "sealed with all headers", "chain": "abcdef12", "why": "the first of the dialog"},
        {"at": 1900000001.5, "what": "sent again"},
        {"at": 1900000002.5, "what": "sent again"},
    ],
}


class ViewTests(SynchronousTestCase):
    def test_why(self) -> None:
        self.assertEqual(
            list(why_lines(WHY)),
            [
                "0123456789ab.o7, to shop@example.net, is accepted",
                "it is held up: shop@example.net is not reached: connection \\x1b[31mrefused",
                "what to do: it waits for a connection with shop@example.net: is that running and reached?",
                "dialog: begun here, for the service bills, not connected",
                "keys:",
                "  source: prekey",
                "  generation: 2",
                "  headers: pair, kek",
                "  made:",
                "    at: 2030-03-17 17:46:40 UTC",
                "sent: next 8, acknowledged 6",
                "steps:",
                "  2030-03-17 17:46:40 UTC  sealed with all headers (chain abcdef12, why the first of the dialog)",
                "  2030-03-17 17:46:41 UTC  sent again, 2 times",
            ],
        )

    def test_why_of_a_dialog(self) -> None:
        lines = list(why_lines({"dialog": WHY["dialog"] | {"why": "no route", "keys": None}, "steps": []}))
        self.assertEqual(lines[0], "dialog 0123456789ab0123456789ab01234567 with shop@example.net is waiting")
        self.assertEqual(lines[1], "it is held up: no route")
        self.assertEqual(
            lines[3:], ["keys: none are held", "sent: next 8, acknowledged 6", "no step of it is remembered"]
        )

    def test_facts(self) -> None:
        told = {"name": "a", "held_up": "", "list": [], "at": 1900000000}
        self.assertEqual(list(facts(told)), ["name: a", "held up: -", "list: -", "at: 2030-03-17 17:46:40 UTC"])


class LookingTests(ServedCase):
    def dead(self, peer: str = PEER, payload: bytes = b"1") -> Deferred[Delivered]:
        receiving = self.messages.receive("orders", lambda _: Decision(Verdict.DEAD, "no such pump"))
        order = self.messages.deliver("orders", payload, peer=peer)

        def later() -> Delivered:
            receiving.stop()
            return order

        return deferLater(reactor, 0, later)

    @inlineCallbacks
    def test_dialogs(self) -> Any:
        self.messages.dialog("shop@example.net", "bills", own="orders")
        result = yield self.run_command("dialogs")
        head, row = result.stdout.splitlines()
        self.assertEqual(head.split(), ["dialog", "begun", "peer", "service", "own", "priority", "state", "why"])
        expected = ["000000000001", "here", "shop@example.net", "bills", "orders", "4", "connected", "-"]
        self.assertEqual(row.split(), expected)
        result = yield self.run_command("dialogs", "--json")
        self.assertEqual(json.loads(result.stdout)["schema"], "seckex.dialogs/1")
        self.messages.dialog("shop@example.net", "bills")
        result = yield self.run_command("dialogs", "--limit", "1")
        self.assertEqual(result.stderr, "There are 2, of which these are the first\n")

    @inlineCallbacks
    def test_what_waits(self) -> Any:
        sent = self.messages.dialog("shop@example.net", "bills").send(bytes(2048))
        order = self.messages.deliver("orders", b"1")
        for side, name, size in (("outbox", sent.name, "2.0 KiB"), ("inbox", order.name, "1 B")):
            result = yield self.run_command(side, "list")
            self.assertEqual(result.exit_code, 0)
            self.assertIn(name, result.stdout)
            self.assertIn(size, result.stdout)
            result = yield self.run_command(side, "list", "--dialog", "f" * 32)
            self.assertEqual(result.stdout, "no messages\n")
            result = yield self.run_command(side, "list", "--json")
            self.assertEqual(json.loads(result.stdout)["messages"][0]["name"], name)
            result = yield self.run_command(side, "show", name)
            self.assertTrue(result.stdout.startswith(f"{name}, "))
            result = yield self.run_command(side, "retry", name)
            self.assertEqual((result.exit_code, result.output), (0, ""))
            result = yield self.run_command(side, "drop", name, "0123456789ab.o1")
            self.assertEqual(result.exit_code, 1)
            self.assertEqual(result.stderr, "seckex: 0123456789ab.o1: there is no message 0123456789ab.o1 here\n")
        self.assertIsNotNone(self.messages.posted[0].failed)
        self.assertEqual(order.state, State.DROPPED)
        result = yield self.run_command("inbox", "drop", "0123456789ab.o1")
        self.assertEqual((result.exit_code, result.stderr.count("\n")), (1, 1))

    @inlineCallbacks
    def test_the_dead(self) -> Any:
        order = yield self.dead()
        other = yield self.dead("other@example.net", b"2 pumps")
        result = yield self.run_command("dead", "list")
        self.assertEqual(len(result.stdout.splitlines()), 3)
        self.assertIn("no such pump", result.stdout)
        result = yield self.run_command("dead", "list", "--json", "--limit", "1")
        self.assertEqual(json.loads(result.stdout)["name"], order.name)
        result = yield self.run_command("dead", "list", "--json")
        self.assertEqual([json.loads(line)["name"] for line in result.stdout.splitlines()], [order.name, other.name])
        file = self.home / "payload"
        result = yield self.run_command("dead", "show", other.name, "-o", str(file))
        self.assertIn("why: no such pump\n", result.stdout)
        self.assertEqual((file.read_bytes(), file.stat().st_mode & 0o777), (b"2 pumps", 0o600))
        result = yield self.run_command("dead", "show", other.name, "-o", str(file))
        self.assertEqual(result.exit_code, 1)
        result = yield self.run_command("dead", "show", other.name, "--json")
        self.assertEqual(json.loads(result.stdout)["schema"], "seckex.dead-message/1")
        yield self.run_command("dead", "retry", order.name)
        yield self.run_command("dead", "drop", other.name)
        self.assertEqual((order.state, other.state), (State.WAITING, State.DROPPED))
        result = yield self.run_command("dead", "list")
        self.assertEqual(result.stdout, "no messages\n")

    @inlineCallbacks
    def test_why(self) -> Any:
        sent = self.messages.dialog("shop@example.net", "bills").send(b"1")
        result = yield self.run_command("why", sent.name)
        self.assertEqual(result.stdout.splitlines()[0], f"{sent.name}, to shop@example.net, is accepted")
        result = yield self.run_command("why", sent.name[:12])
        self.assertTrue(result.stdout.startswith("dialog 000000000001"))
        result = yield self.run_command("why", sent.name, "--json")
        self.assertEqual(json.loads(result.stdout)["schema"], "seckex.why/1")
        for name, code in (("0123456789ab.o1", 1), ("../dead", 2), ("", 2)):
            result = yield self.run_command("why", name)
            self.assertEqual(result.exit_code, code, name)
