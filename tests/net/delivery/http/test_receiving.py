"""Programs of other processes receive."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any

from seckex.delivery.faces import FRAGMENT, SPOOLED_ABOVE, Verdict
from seckex.testing import State
from tests.net.delivery.http.scene import PEER, HttpCase, Wire

ORDERS = "/v1/services/orders/messages"


class ReceivingCase(HttpCase):
    def stream(self, query: str = "") -> Wire:
        wire = self.wire()
        wire.begin("GET", ORDERS + query)
        return wire

    def judge(self, name: str, verdict: str, **more: Any) -> int:
        told = json.dumps({"verdict": verdict, **more}).encode()
        return self.ask("POST", f"/v1/messages/{name}/verdict", told).status


class StreamTests(ReceivingCase):
    def test_messages_are_told_line_by_line(self) -> None:
        stream = self.stream()
        self.assertEqual(stream.heard().headers["content-type"], "application/x-ndjson")
        order = self.messages.deliver("orders", b"1 pump", type="order", ttl=60)
        [line] = stream.heard().lines
        self.assertEqual(b64decode(line.pop("payload")), b"1 pump")
        dialog = order.dialog_id.hex()
        self.assertEqual(
            line,
            {
                "schema": "seckex.message/1",
                "id": f"{dialog}.o1",
                "name": order.name,
                "dialog": dialog,
                "peer": PEER,
                "service": "orders",
                "type": "order",
                "expires": order.expires,
                "attempt": 1,
                "size": 6,
                "verdict": f"/v1/messages/{dialog}.o1/verdict",
            },
        )
        self.assertEqual(self.judge(order.name, "done"), 204)
        self.assertEqual(order.state, State.DONE)
        self.messages.deliver("orders", b"2 pumps")
        self.assertEqual([line["name"][-2:] for line in stream.heard().lines], ["o1", "o2"])

    def test_what_came_before_is_told_at_once(self) -> None:
        self.messages.deliver("orders", b"1")
        self.assertEqual(len(self.stream().heard().lines), 1)

    def test_no_more_is_told_than_has_no_verdict(self) -> None:
        stream = self.stream("?at-once=2")
        for number in range(3):
            self.messages.deliver("orders", b"%d" % number)
        first, _ = stream.heard().lines
        self.judge(first["id"], "done")
        self.assertEqual(len(stream.heard().lines), 3)

    def test_verdicts(self) -> None:
        self.stream("?at-once=3")
        orders = [self.messages.deliver("orders", b"%d" % number) for number in range(3)]
        self.judge(orders[0].name, "retry", why="the bank is closed", after=3600)
        self.judge(orders[1].name, "dead-letter", why="no such pump")
        self.assertEqual((orders[0].state, orders[0].why), (State.WAITING, "the bank is closed"))
        self.assertEqual((orders[1].state, orders[1].why), (State.DEAD, "no such pump"))
        self.messages.advance(3600)
        self.assertEqual(orders[0].attempt, 2)

    def test_a_verdict_is_answered_when_it_is_durable(self) -> None:
        self.stream()
        order = self.messages.deliver("orders", b"1")
        wire = self.wire()
        wire.begin("POST", f"/v1/messages/{order.name}/verdict", b'{"verdict": "done"}')
        self.assertEqual(wire.transport.value(), b"")
        self.messages.advance()
        self.assertEqual((wire.heard().status, order.state), (204, State.DONE))

    def test_verdicts_that_are_none(self) -> None:
        self.stream()
        order = self.messages.deliver("orders", b"1")
        path = f"/v1/messages/{order.name}/verdict"
        for told, field, code in (
            (b"", "body", "unfit"),
            (b"[]", "body", "unfit"),
            (b"[" * 5000, "body", "unfit"),
            (b"{}", "verdict", "unfit"),
            (b'{"verdict": "fine"}', "verdict", "unfit"),
            (b'{"verdict": "done", "since": 1}', "since", "unknown-member"),
            (b'{"verdict": "done", "why": 1}', "why", "unfit"),
            (b'{"verdict": "done", "why": "%s"}' % (b"x" * 1025), "why", "unfit"),
            (b'{"verdict": "done", "after": 1}', "after", "unfit"),
            (b'{"verdict": "retry", "after": true}', "after", "unfit"),
            (b'{"verdict": "retry", "after": "1"}', "after", "unfit"),
            (b'{"verdict": "retry", "after": -1}', "after", "unfit"),
            (b'{"verdict": "retry", "after": NaN}', "after", "unfit"),
        ):
            self.problem(400, code, field, "POST", path, told)
        self.problem(413, "too-long", "", "POST", path, bytes(65537))
        self.assertEqual(order.verdicts, [])

    def test_a_verdict_is_said_once_and_of_what_was_given(self) -> None:
        self.stream()
        order = self.messages.deliver("orders", b"1")
        self.assertEqual(self.judge(order.name, "done"), 204)
        self.assertEqual(self.judge(order.name, "done"), 404)
        self.assertEqual(self.judge("0123456789ab.o1", "done"), 404)
        self.problem(400, "unfit", "message", "POST", "/v1/messages/1/verdict", b"{}")

    def test_a_program_that_goes_away_is_given_its_messages_again(self) -> None:
        stream = self.stream("?at-once=2")
        orders = [self.messages.deliver("orders", b"%d" % number) for number in range(3)]
        stream.close()
        self.messages.advance()
        self.assertEqual([order.state for order in orders], [State.WAITING] * 3)
        self.assertEqual(orders[0].verdicts, [Verdict.RETRY])
        self.assertEqual([line["attempt"] for line in self.stream("?at-once=3").heard().lines], [2, 2, 1])

    def test_so_are_they_when_the_daemon_lets_go(self) -> None:
        stream = self.stream()
        order = self.messages.deliver("orders", b"1")
        self.served.close()
        self.assertTrue(stream.transport.disconnected)
        stream.close()
        self.messages.advance()
        self.assertEqual(order.state, State.WAITING)

    def test_one_program_for_each_service(self) -> None:
        self.stream()
        self.problem(409, "taken", "service", "GET", ORDERS)
        self.problem(409, "taken", "service", "GET", ORDERS + "?mode=one")
        self.problem(404, "unknown-service", "", "GET", "/v1/services/else/messages")

    def test_a_long_payload_is_fetched(self) -> None:
        stream = self.stream("?at-once=2")
        octets = bytes(range(256)) * 257
        self.messages.deliver("orders", octets)
        long = b"\1" * SPOOLED_ABOVE + b"\2"
        self.messages.deliver("orders", long)
        first, second = stream.heard().lines
        self.assertNotIn("payload", first)
        self.assertEqual(self.ask("GET", first["payload-at"]).body, octets)
        heard = self.ask("GET", second["payload-at"])
        self.assertEqual((heard.headers["content-length"], heard.body), (str(len(long)), long))
        self.assertEqual(self.ask("GET", f"/v1/messages/{second['name']}/payload").body, long)
        self.judge(second["id"], "done")
        self.assertEqual(self.ask("GET", second["payload-at"]).status, 404)

    def test_a_long_payload_is_written_no_faster_than_it_is_read(self) -> None:
        self.stream()
        order = self.messages.deliver("orders", bytes(2 * SPOOLED_ABOVE))
        self.messages.spool.hold()
        wire = self.wire()
        wire.begin("GET", f"/v1/messages/{order.name}/payload")
        self.assertEqual(wire.transport.value(), b"")
        program: Any = wire.transport.producer
        program.pauseProducing()
        self.messages.spool.release()
        self.assertEqual(len(wire.heard().body), FRAGMENT)
        program.resumeProducing()
        self.assertEqual(len(wire.heard().body), 2 * SPOOLED_ABOVE)

    def test_who_does_not_want_the_rest(self) -> None:
        self.stream()
        order = self.messages.deliver("orders", bytes(2 * SPOOLED_ABOVE))
        self.messages.spool.hold()
        wire = self.wire()
        wire.begin("GET", f"/v1/messages/{order.name}/payload")
        wire.close()
        self.messages.spool.release()
        self.assertEqual(wire.transport.value(), b"")

    def test_a_file_that_is_gone(self) -> None:
        self.stream()
        order = self.messages.deliver("orders", bytes(2 * SPOOLED_ABOVE))
        self.messages.spool.files.clear()
        self.problem(503, "store-failed", "", "GET", f"/v1/messages/{order.name}/payload")


class OneTests(ReceivingCase):
    def one(self, query: str = "") -> Wire:
        wire = self.stream("?mode=one" + query)
        self.messages.advance()
        return wire

    def test_the_payload_is_the_body(self) -> None:
        wire = self.one()
        self.assertEqual(wire.transport.value(), b"")
        order = self.messages.deliver("orders", b"1 pump", peer="übel@example.net", type="order")
        self.messages.advance()
        heard = wire.heard()
        self.assertEqual((heard.status, heard.body, heard.headers["seckex-name"]), (200, b"1 pump", order.name))
        self.assertEqual(heard.headers["seckex-peer"], "%C3%BCbel@example.net")
        self.assertEqual((heard.headers["seckex-type"], heard.headers["seckex-attempt"]), ("order", "1"))
        self.assertEqual(self.ask("POST", heard.headers["seckex-verdict"], b'{"verdict": "done"}').status, 204)
        self.assertEqual(order.state, State.DONE)
        self.messages.deliver("orders", b"2")
        self.assertEqual(self.one().heard().body, b"2")

    def test_it_waits_for_so_long_and_no_longer(self) -> None:
        wire = self.one("&timeout=5")
        self.messages.advance(5)
        self.assertEqual(wire.heard().status, 204)
        order = self.messages.deliver("orders", b"1")
        self.assertEqual(order.state, State.WAITING)
        self.assertEqual(self.one("&timeout=0").heard().body, b"1")

    def test_who_goes_away_before_the_answer_has_taken_nothing(self) -> None:
        self.one().close()
        order = self.messages.deliver("orders", b"1")
        self.assertEqual((order.state, order.attempt), (State.WAITING, 0))
        wire = self.stream("?mode=one")
        wire.close()
        self.messages.advance()
        self.assertEqual(order.state, State.WAITING)
        self.assertEqual(self.one().heard().headers["seckex-attempt"], "2")

    def test_the_lease_ends(self) -> None:
        order = self.messages.deliver("orders", b"1")
        wire = self.one("&lease=60")
        self.assertEqual(wire.heard().body, b"1")
        wire.close()
        self.messages.advance(59)
        self.assertEqual(order.state, State.GIVEN)
        self.messages.advance(1)
        self.messages.advance()
        self.assertEqual(order.state, State.WAITING)
        self.assertEqual(self.judge(order.name, "done"), 404)

    def test_a_long_payload_is_the_body_as_well(self) -> None:
        long = b"\1" * SPOOLED_ABOVE + b"\2"
        self.messages.deliver("orders", long)
        heard = self.one().heard()
        self.assertEqual((heard.body, heard.headers["seckex-service"]), (long, "orders"))

    def test_a_payload_that_cannot_be_read_is_given_back(self) -> None:
        order = self.messages.deliver("orders", bytes(SPOOLED_ABOVE + 1))
        self.messages.spool.files.clear()
        heard = self.one().heard()
        self.assertEqual((heard.status, heard.told["code"]), (503, "store-failed"))
        self.messages.advance()
        self.assertEqual((order.state, order.attempt), (State.WAITING, 1))
