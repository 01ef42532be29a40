"""Operators look at messages of a daemon, and do what has to be done."""

from __future__ import annotations

import json

from seckex.delivery.faces import SPOOLED_ABOVE, Stage, Verdict
from seckex.net.delivery.api import Decision
from seckex.testing import Delivered, State
from tests.net.delivery.http.scene import TO, HttpCase


class LookingCase(HttpCase):
    def dead(self, payload: bytes = b"1", peer: str = "peer@example.net") -> Delivered:
        receiving = self.messages.receive("orders", lambda _: Decision(Verdict.DEAD, "no such pump"))
        order = self.messages.deliver("orders", payload, peer=peer)
        self.messages.advance()
        receiving.stop()
        return order


class ListTests(LookingCase):
    def test_what_waits(self) -> None:
        sent = self.ask("POST", f"/v1/messages?{TO}", b"1").told
        order = self.messages.deliver("orders", b"12")
        dialogs = self.ask("GET", "/v1/dialogs").told
        self.assertEqual((dialogs["schema"], dialogs["all"]), ("seckex.dialogs/1", 2))
        self.assertEqual([each["id"] for each in dialogs["dialogs"]], [sent["dialog"], order.dialog_id.hex()])
        outbox = self.ask("GET", "/v1/outbox").told
        self.assertEqual((outbox["schema"], outbox["messages"][0]["name"]), ("seckex.outbox/1", sent["name"]))
        inbox = self.ask("GET", "/v1/inbox").told
        self.assertEqual((inbox["schema"], inbox["messages"][0]["name"]), ("seckex.inbox/1", order.name))
        self.assertEqual(self.ask("GET", f"/v1/inbox?dialog={sent['dialog']}").told["messages"], [])

    def test_lists_have_an_end(self) -> None:
        for number in range(3):
            self.messages.deliver("orders", b"%d" % number)
        inbox = self.ask("GET", "/v1/inbox?limit=2").told
        self.assertEqual((len(inbox["messages"]), inbox["all"]), (2, 3))
        self.problem(400, "unfit", "limit", "GET", "/v1/inbox?limit=1001")
        self.problem(400, "unfit", "limit", "GET", "/v1/inbox?limit=0")

    def test_the_dead_are_told_in_parts(self) -> None:
        names = [self.dead(peer=f"p{number}@example.net").name for number in range(5)]
        told, target = [], "/v1/dead?limit=2"
        while target:
            part = self.ask("GET", target).told
            self.assertEqual(part["schema"], "seckex.dead/1")
            told += [each["name"] for each in part["messages"]]
            target = f"/v1/dead?limit=2&after={part['after']}" if part["after"] else ""
        self.assertEqual(told, names)


class MessageTests(LookingCase):
    def test_why(self) -> None:
        order = self.messages.deliver("orders", b"1")
        for name in order.name, f"{order.dialog_id.hex()}.o1":
            told = self.ask("GET", f"/v1/messages/{name}/why").told
            self.assertEqual((told["schema"], told["name"]), ("seckex.why/1", order.name))
        told = self.ask("GET", f"/v1/dialogs/{order.name[:12]}/why").told
        self.assertEqual(told["dialog"]["id"], order.dialog_id.hex())
        self.problem(404, "unknown-message", "message", "GET", "/v1/messages/0123456789ab.o1/why")
        self.problem(404, "unknown-dialog", "dialog", "GET", "/v1/dialogs/0123456789ab/why")

    def test_a_dead_message(self) -> None:
        order = self.dead()
        self.dead(b"2", "other@example.net")
        told = self.ask("GET", f"/v1/dead/{order.name}").told
        self.assertEqual((told["schema"], told["why"]), ("seckex.dead-message/1", "no such pump"))
        self.assertEqual(self.ask("GET", f"/v1/dead/{order.dialog_id.hex()}.o1/payload").body, b"1")
        self.assertEqual(self.ask("POST", f"/v1/dead/{order.name}/retry").status, 204)
        self.assertEqual(order.state, State.WAITING)
        self.problem(404, "unknown-message", "message", "GET", f"/v1/dead/{order.name}")

    def test_a_long_dead_message(self) -> None:
        order = self.dead(bytes(SPOOLED_ABOVE + 1))
        self.assertEqual(len(self.ask("GET", f"/v1/dead/{order.name}/payload").body), SPOOLED_ABOVE + 1)
        self.assertEqual(self.ask("POST", f"/v1/dead/{order.name}/drop").status, 204)
        self.assertEqual(order.state, State.DROPPED)

    def test_what_waits_is_had_again_or_dropped(self) -> None:
        sent = self.ask("POST", f"/v1/messages?{TO}", b"1").told
        order = self.messages.deliver("orders", b"1")
        self.assertEqual(self.ask("POST", f"/v1/outbox/{sent['name']}/retry").status, 204)
        self.assertEqual(self.ask("POST", f"/v1/outbox/{sent['dialog']}.o1/drop").status, 204)
        self.assertIsNotNone(self.messages.posted[0].failed)
        self.assertEqual(self.ask("POST", f"/v1/inbox/{order.name}/retry").status, 204)
        self.assertEqual(self.ask("POST", f"/v1/inbox/{order.name}/drop").status, 204)
        self.assertEqual(order.state, State.DROPPED)
        self.problem(404, "unknown-message", "message", "POST", "/v1/inbox/0123456789ab.o1/drop")
        self.problem(404, "unknown-dialog", "", "POST", f"/v1/outbox/{'0' * 32}.o1/drop")

    def test_a_dialog_ends(self) -> None:
        sent = self.ask("POST", f"/v1/messages?{TO}", b"1").told
        path = f"/v1/dialogs/{sent['dialog']}/end"
        for told, field in (({"code": -1}, "code"), ({"code": True}, "code"), ({"why": 1}, "why")):
            self.problem(400, "unfit", field, "POST", path, json.dumps(told).encode())
        self.assertEqual(self.ask("POST", path, b'{"code": 304, "why": "no more"}').status, 204)
        self.problem(404, "unknown-dialog", "", "POST", path)
        self.messages.posted[0].reach(Stage.PROCESSED)
