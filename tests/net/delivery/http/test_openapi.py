"""docs/openapi.json against what is served: every operation, every parameter and every answer, tried."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from attrs import frozen

from seckex.delivery.faces import SPOOLED_ABOVE, Verdict
from seckex.errors import StoreFailed
from seckex.net.delivery.api import Decision
from seckex.net.delivery.http.parameters import IN_PATHS
from seckex.net.delivery.http.tree import Route
from seckex.testing import Delivered, State
from tests.net.delivery.http.scene import TO, Heard, HttpCase, Wire
from tests.net.delivery.http.schemas import faults, fitting, resolve, unfitting

DOCUMENT: Final = json.loads((Path(__file__).parents[4] / "docs" / "openapi.json").read_text(encoding="utf-8"))
PIECE: Final = "bytes 0-0/2"
NOBODY: Final = "0123456789ab.o1"
PROBLEM: Final = "application/problem+json"
#: What texts parameters take, and with what else they are said.
EXAMPLES: Final = {
    "to": "peer@example.net",
    "service": "bills",
    "own": "orders",
    "type": "bill",
    "label": "a",
    "key": "k",
    "dialog": "0" * 32,
    "after": f"{'0' * 32}.r7",
    "answers": NOBODY,
    "upload": "u1",
}


@frozen
class Operation:
    """One operation of the document."""

    method: str
    path: str
    said: Mapping[str, Any]

    @property
    def id(self) -> str:
        return str(self.said["operationId"])

    def parameters(self, place: str) -> dict[str, Mapping[str, Any]]:
        return {each["name"]: each for each in self.said.get("parameters", ()) if each["in"] == place}


OPERATIONS: Final = {
    operation.id: operation
    for path, methods in DOCUMENT["paths"].items()
    for operation in (Operation(method.upper(), path, said) for method, said in methods.items())
}


def operation_of(route: Route) -> Operation:
    """Return what the document says of what is served."""
    [found] = [each for each in OPERATIONS.values() if (each.method, each.path) == (route.method, route.path)]
    return found


def references(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yield every reference in the document."""
    if isinstance(value, dict):
        if "$ref" in value:
            yield value
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


class DocumentTests(HttpCase):
    def test_operations_are_those_that_are_served(self) -> None:
        served = {(route.method, route.path) for route in self.served.tree.routes}
        self.assertEqual({(each.method, each.path) for each in OPERATIONS.values()}, served)
        self.assertEqual(len(OPERATIONS), len(self.served.tree.routes))

    def test_parameters_are_those_that_are_read(self) -> None:
        for route in self.served.tree.routes:
            [operation] = [
                each for each in OPERATIONS.values() if (each.method, each.path) == (route.method, route.path)
            ]
            in_path = [part[1:-1] for part in route.path.split("/") if part.startswith("{")]
            told = operation.parameters("path")
            self.assertEqual(
                {name: each["schema"] for name, each in told.items()}, {n: IN_PATHS[n].schema for n in in_path}
            )
            self.assertTrue(all(each["required"] for each in told.values()))
            headers = dict(operation.parameters("header"))
            headers.pop("Content-Range", None)
            self.assertEqual(list(operation.parameters("query")), [each.name for each in route.parameters])
            self.assertEqual(list(headers), [each.header for each in route.parameters])
            for each in route.parameters:
                default = {} if each.default is None else {"default": each.default}
                for said in operation.parameters("query")[each.name], headers[each.header]:
                    self.assertEqual(said["schema"], {**each.kind.schema, **default}, each.name)
                    self.assertEqual(said.get("required", False), each.required)

    def test_who_takes_a_body_says_so(self) -> None:
        for route in self.served.tree.routes:
            [operation] = [
                each for each in OPERATIONS.values() if (each.method, each.path) == (route.method, route.path)
            ]
            self.assertEqual("requestBody" in operation.said, route.has_body, operation.id)

    def test_every_reference_leads_somewhere(self) -> None:
        found = list(references(DOCUMENT))
        self.assertGreater(len(found), 50)
        for each in found:
            self.assertTrue(resolve(DOCUMENT, each))
        used = {each["$ref"].rpartition("/")[2] for each in found}
        self.assertEqual(set(DOCUMENT["components"]["schemas"]) - used, set())


class ParameterTests(HttpCase):
    """Each is said in the query and in its header, as far as it goes and beyond."""

    def said(self, operation: Operation, name: str, text: str, *, header: bool) -> Heard:
        path = operation.path.replace("{service}", "orders")
        others = {"to": EXAMPLES["to"], "service": EXAMPLES["service"]} if operation.id == "sendMessage" else {}
        if name == "answers":
            others = {}
        others.pop(name, None)
        pairs = dict(others)
        headers = {}
        if header:
            [twin] = [each for each in operation.parameters("header") if each == f"Seckex-{name.title()}"]
            headers = {twin.replace("-", "_"): text}
        else:
            pairs[name] = text
        query = "&".join(f"{each}={quote(value, safe='')}" for each, value in pairs.items())
        wire = self.wire()
        body = b"" if operation.method == "POST" else None
        wire.begin(operation.method, f"{path}?{query}", body, **headers)
        self.messages.advance()
        self.messages.advance(3600)
        heard = wire.heard() if wire.transport.value() else Heard(0, {}, b"", False)
        wire.close()
        self.messages.advance()
        return heard

    def each(self) -> Iterator[tuple[Operation, str, Mapping[str, Any]]]:
        for operation in OPERATIONS.values():
            for name, parameter in operation.parameters("query").items():
                yield operation, name, parameter["schema"]

    def test_what_fits_is_taken(self) -> None:
        tried = 0
        for operation, name, schema in self.each():
            for text in fitting(schema, EXAMPLES.get(name, "")):
                for header in False, True:
                    heard = self.said(operation, name, text, header=header)
                    if heard.status == 400:
                        self.fail(f"{operation.id}: {name}={text}: {heard.body!r}")
                    tried += 1
        self.assertGreater(tried, 80)

    def test_what_does_not_fit_is_refused_by_its_name(self) -> None:
        for operation, name, schema in self.each():
            for text in unfitting(schema):
                # Nothing and zeros are no headers.
                for header in (False, True) if text.strip("\0") else (False,):
                    heard = self.said(operation, name, text, header=header)
                    told = (heard.status, heard.told["code"], heard.told["field"])
                    self.assertEqual(told, (400, "unfit", name), f"{operation.id}: {name}={text!r}")

    def test_names_in_paths(self) -> None:
        for operation in OPERATIONS.values():
            for name in operation.parameters("path"):
                path = operation.path.replace(f"{{{name}}}", "%00%20")
                wire = self.wire()
                wire.begin(operation.method, path, b"{}" if "requestBody" in operation.said else None)
                heard = wire.heard(operation.method)
                self.assertEqual(heard.status, 400, operation.id)
                if operation.method not in ("HEAD", "PUT"):
                    self.assertEqual((heard.told["code"], heard.told["field"]), ("unfit", name))


class AnswerTests(HttpCase):
    """Every answer of every operation comes about, and is what the document says."""

    def setUp(self) -> None:
        super().setUp()
        self.tried: set[tuple[str, int]] = set()
        self.wires: list[Wire] = []

    def begin(self) -> None:
        """Begin anew, with other messages."""
        super().setUp()
        self.wires.clear()

    def heard(self, id_: str, heard: Heard) -> Heard:
        """Hold an answer to the document."""
        operation = OPERATIONS[id_]
        answer = operation.said["responses"].get(str(heard.status))
        self.assertIsNotNone(answer, f"{id_}: {heard.status} {heard.body!r}")
        self.tried.add((id_, heard.status))
        for name in answer.get("headers", {}):
            if not (id_ == "receiveMessages" and heard.headers["content-type"] == "application/x-ndjson"):
                self.assertIn(name.lower(), heard.headers, id_)
        content = answer.get("content", {})
        if not content or operation.method == "HEAD":
            self.assertEqual(heard.body, b"", id_)
            return heard
        kind = heard.headers["content-type"]
        self.assertIn(kind, content, id_)
        values = heard.lines if kind == "application/x-ndjson" else [heard.told] if kind.endswith("json") else []
        for value in values:
            self.assertEqual(list(faults(DOCUMENT, content[kind]["schema"], value)), [], f"{id_} {heard.status}")
        return heard

    def have(self, id_: str, status: int, body: bytes | None = None, query: str = "", **said: str) -> Heard:
        """Ask for an operation; what stands in its path is in ``said``, headers begin with capitals."""
        operation = OPERATIONS[id_]
        path = operation.path
        for name, value in said.items():
            path = path.replace(f"{{{name}}}", value)
        headers = {name: value for name, value in said.items() if name[0].isupper()}
        heard = self.ask(operation.method, path + query, body, **headers)
        self.assertEqual(heard.status, status, f"{id_}: {heard.body!r}")
        return self.heard(id_, heard)

    def given(self, payload: bytes = b"1") -> Delivered:
        """Return a message that a stream has been told of."""
        wire = self.wire()
        wire.begin("GET", "/v1/services/orders/messages")
        self.wires.append(wire)
        return self.messages.deliver("orders", payload, peer=f"p{len(self.wires)}@example.net")

    def dead(self, payload: bytes = b"1") -> Delivered:
        receiving = self.messages.receive("orders", lambda _: Decision(Verdict.DEAD, "no such pump"))
        order = self.messages.deliver("orders", payload, peer=f"p{len(self.messages.delivered)}@example.net")
        self.messages.advance()
        receiving.stop()
        return order

    def test_every_answer_comes_about_and_is_what_it_is_said_to_be(self) -> None:
        for part in self.sending, self.receiving, self.looking, self.putting_aside:
            self.begin()
            part()
        said = {
            (operation.id, int(status))
            for operation in OPERATIONS.values()
            for status in operation.said["responses"]
            if status != "default"
        }
        self.assertEqual(self.tried, said)

    def sending(self) -> None:
        have = self.have
        have("sendMessage", 201, b"1", f"?{TO}")
        have("sendMessage", 202, b"1", f"?{TO}&wait=processed&timeout=0")
        have("sendMessage", 400, b"1")
        self.messages.posted[0].refuse(129, "no bills, please")
        have("sendMessage", 404, b"", f"?{TO}&upload=none")
        have("putPiece", 200, b"1", upload="u1", Content_Range=PIECE)
        have("sendMessage", 409, b"", f"?{TO}&upload=u1")
        have("sendMessage", 413, b"1", f"?{TO}&upload=u1")
        wire = self.wire()
        wire.begin("POST", f"/v1/messages?{TO}&wait=processed", b"1")
        self.messages.advance()
        self.messages.posted[-1].refuse(129, "no bills, please")
        self.assertEqual(self.heard("sendMessage", wire.heard()).status, 403)
        self.messages.room = 0
        have("sendMessage", 503, b"1", f"?{TO}")
        have("headUpload", 204, upload="u1")
        have("headUpload", 400, upload="..")
        have("headUpload", 404, upload="u2")
        have("putPiece", 400, b"1", upload="u1", Content_Range="bytes")
        have("putPiece", 404, b"1", upload="u2", Content_Range="bytes 1-1/2")
        have("putPiece", 409, b"1", upload="u1", Content_Range=PIECE)
        have("putPiece", 413, b"1", upload="u1", Content_Range="bytes 0-0/9999999999")
        self.messages.spool.trouble = StoreFailed("no space left on device")
        have("putPiece", 503, b"1", upload="u2", Content_Range=PIECE)
        self.messages.spool.trouble = None
        self.messages.spool.hold()
        self.wire().begin("PUT", "/v1/uploads/u1", b"1", Content_Range="bytes 1-1/2")
        have("deleteUpload", 409, upload="u1")
        self.messages.spool.release()
        have("deleteUpload", 204, upload="u1")
        have("deleteUpload", 400, upload="..")
        have("deleteUpload", 404, upload="u1")

    def receiving(self) -> None:
        have = self.have
        order = self.given()
        [line] = self.heard("receiveMessages", self.wires[0].heard()).lines
        have("receiveMessages", 409, service="orders")
        have("receiveMessages", 404, service="else")
        have("receiveMessages", 400, service="orders", query="?mode=two")
        have("getPayload", 200, message=line["id"])
        have("getPayload", 400, message="1")
        have("getPayload", 404, message=NOBODY)
        have("postVerdict", 400, b"{}", message=order.name)
        have("postVerdict", 404, b'{"verdict": "done"}', message=NOBODY)
        have("postVerdict", 413, bytes(65537), message=order.name)
        have("postVerdict", 204, b'{"verdict": "retry", "after": 60, "why": "later"}', message=order.name)
        self.wires[0].close()
        self.judge_the_second()
        have("receiveMessages", 204, service="bills", query="?mode=one&timeout=0")
        self.messages.deliver("bills", b"1")
        wire = self.wire()
        wire.begin("GET", "/v1/services/bills/messages?mode=one&lease=1")
        self.messages.advance()
        self.heard("receiveMessages", wire.heard())
        self.messages.advance(1)
        self.messages.advance()
        long = self.given(bytes(SPOOLED_ABOVE + 1))
        self.assertEqual(self.wires[1].heard().lines[-1]["size"], SPOOLED_ABOVE + 1)
        self.heard("receiveMessages", self.wires[1].heard())
        self.messages.spool.files.clear()
        have("getPayload", 503, message=long.name)
        self.wires[1].close()
        self.messages.advance()
        wire = self.wire()
        wire.begin("GET", "/v1/services/orders/messages?mode=one")
        self.messages.advance()
        self.assertEqual(self.heard("receiveMessages", wire.heard()).status, 503)

    def judge_the_second(self) -> None:
        """Say what becomes of a message before the one in front of it has a verdict, and then of that."""
        wire = self.wire()
        wire.begin("GET", "/v1/services/bills/messages?at-once=2")
        one, two = (self.messages.deliver("bills", b"%d" % number) for number in range(2))
        self.have("postVerdict", 202, b'{"verdict": "done"}', message=two.name)
        self.have("postVerdict", 204, b'{"verdict": "done"}', message=one.name)
        wire.close()

    def looking(self) -> None:
        have = self.have
        sent = self.ask("POST", f"/v1/messages?{TO}", b"1").told
        order = self.messages.deliver("orders", b"1")
        for id_ in "listDialogs", "listOutbox", "listInbox", "listDead":
            have(id_, 200)
            have(id_, 400, query="?limit=0")
        for name in sent["name"], order.name:
            have("whyMessage", 200, message=name)
        have("whyMessage", 400, message="1")
        have("whyMessage", 404, message=NOBODY)
        have("whyDialog", 200, dialog=sent["dialog"])
        have("whyDialog", 400, dialog="1")
        have("whyDialog", 404, dialog=NOBODY[:12])
        for side, name in (("Outbox", sent["name"]), ("Inbox", order.name)):
            for act in "retry", "drop":
                have(act + side, 204, message=name)
                have(act + side, 400, message="1")
                have(act + side, 404, message=NOBODY)
        have("endDialog", 400, b"[]", dialog=sent["dialog"])
        have("endDialog", 413, bytes(65537), dialog=sent["dialog"])
        have("endDialog", 204, b'{"code": 304, "why": "no more"}', dialog=sent["dialog"])
        have("endDialog", 404, b"", dialog=sent["dialog"])

    def putting_aside(self) -> None:
        have = self.have
        first, second = self.dead(), self.dead(bytes(SPOOLED_ABOVE + 1))
        told = have("listDead", 200, query="?limit=1").told
        self.assertTrue(told["after"])
        have("listDead", 400, query="?after=1")
        have("getDead", 200, message=first.name)
        have("getDeadPayload", 200, message=first.name)
        self.messages.spool.files.clear()
        have("getDeadPayload", 503, message=second.name)
        have("retryDead", 204, message=first.name)
        have("dropDead", 204, message=second.name)
        self.assertEqual(second.state, State.DROPPED)
        for id_ in "getDead", "getDeadPayload", "retryDead", "dropDead":
            have(id_, 400, message="1")
            have(id_, 404, message=NOBODY)

    def test_what_is_refused_everywhere_is_a_problem(self) -> None:
        schema = resolve(DOCUMENT, {"$ref": "#/components/responses/Refused"})["content"][PROBLEM]["schema"]
        for operation in OPERATIONS.values():
            self.assertEqual(operation.said["responses"]["default"], {"$ref": "#/components/responses/Refused"})
        for method, path, body in (("GET", "/v1/dialogs", b"x"), ("GET", "/v2", None), ("PATCH", "/v1/messages", None)):
            heard = self.ask(method, path, body)
            self.assertEqual(list(faults(DOCUMENT, schema, heard.told)), [])

    def test_a_wrong_answer_is_found(self) -> None:
        schema = DOCUMENT["components"]["schemas"]["Sent"]
        told = self.ask("POST", f"/v1/messages?{TO}", b"1").told
        self.assertEqual(list(faults(DOCUMENT, schema, told)), [])
        for wrong in ({"number": 0}, {"number": True}, {"stage": "lost"}, {"name": "x"}, {"more": 1}, {"schema": "x"}):
            self.assertEqual(len(list(faults(DOCUMENT, schema, told | wrong))), 1, wrong)
        del told["name"]
        self.assertEqual(list(faults(DOCUMENT, schema, told)), [".name: is missing"])
