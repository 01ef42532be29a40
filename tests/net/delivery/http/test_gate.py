"""Who may ask, and what is not understood."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from seckex.crypto.secrets import Secret
from seckex.net.delivery.http.gate import TokenGate
from tests.net.delivery.http.scene import TO, HttpCase, Wire

TOKEN = "0123456789abcdef0123456789abcdef"


class TokenTests(SynchronousTestCase):
    def refused(self, **headers: str) -> tuple[int, str, str] | None:
        given = {name.replace("_", "-"): [value] for name, value in headers.items()}
        problem = TokenGate(Secret(TOKEN.encode())).refusal(Headers(given))
        return None if problem is None else (int(problem.status), problem.code, problem.field)

    def test_who_has_the_token_may_ask(self) -> None:
        for host in "localhost", "LOCALHOST:80", "127.0.0.1:4435", "[::1]:4435":
            self.assertIsNone(self.refused(Host=host, Authorization=f"Bearer {TOKEN}"))

    def test_others_may_not(self) -> None:
        for said in ("", "Bearer ", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}0", f"Basic {TOKEN}", TOKEN):
            self.assertEqual(self.refused(Host="localhost", Authorization=said), (401, "token", "Authorization"))
        self.assertEqual(self.refused(Host="localhost"), (401, "token", "Authorization"))

    def test_other_names_are_not_answered_to(self) -> None:
        for host in "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "192.0.2.1", "":
            self.assertEqual(self.refused(Host=host, Authorization=f"Bearer {TOKEN}"), (421, "host", "Host"))
        self.assertEqual(self.refused(Authorization=f"Bearer {TOKEN}"), (421, "host", "Host"))

    def test_web_pages_may_not_ask_with_the_token_either(self) -> None:
        for name in "Origin", "Sec_Fetch_Site":
            told = self.refused(Host="localhost", Authorization=f"Bearer {TOKEN}", **{name: "null"})
            self.assertEqual(told, (403, "browser", name.replace("_", "-")))


class RefusalTests(HttpCase):
    def test_who_may_not_ask_is_told_before_the_body(self) -> None:
        wire = Wire(self.served.over_tcp(Secret(TOKEN.encode())))
        wire.begin("POST", f"/v1/messages?{TO}", Content_Length="1000")
        heard = wire.heard()
        self.assertEqual((heard.status, heard.told["code"]), (401, "token"))
        self.assertEqual((heard.headers["www-authenticate"], heard.headers["connection"]), ("Bearer", "close"))
        self.assertTrue(wire.transport.disconnecting)
        wire.say(bytes(1000))
        self.messages.advance()
        self.assertEqual((wire.transport.value(), self.messages.posted), (b"", []))

    def test_without_a_body_as_well(self) -> None:
        wire = Wire(self.served.over_tcp(Secret(TOKEN.encode())))
        wire.begin("GET", "/v1/dialogs")
        self.assertEqual(wire.heard().status, 401)
        wire = Wire(self.served.over_tcp(Secret(TOKEN.encode())))
        wire.begin("GET", "/v1/dialogs", Authorization=f"Bearer {TOKEN}")
        self.assertEqual(wire.heard().status, 200)

    def test_paths_and_methods_that_there_are_not(self) -> None:
        for path in "/", "/v1", "/v1/messages/", "/v2/messages", "/v1/services/orders":
            self.problem(404, "unknown-path", "path", "GET", path)
        self.problem(400, "unfit", "path", "GET", "/v1/%ff")
        self.problem(405, "method", "", "GET", "/v1/messages")
        self.problem(405, "method", "", "BREW", "/v1/messages")
        heard = self.ask("PATCH", "/v1/uploads/u1")
        self.assertEqual((heard.status, heard.headers["allow"]), (405, "PUT, HEAD, DELETE"))

    def test_what_is_said_badly(self) -> None:
        for query, field, code in (
            ("service=bills", "to", "unfit"),
            ("to=peer@example.net", "service", "unfit"),
            ("to=nobody&service=bills", "to", "unfit"),
            (f"to={'x' * 300}@example.net&service=bills", "to", "unfit"),
            ("to=peer@example.net&service=", "service", "unfit"),
            (f"{TO}&priority=8", "priority", "unfit"),
            (f"{TO}&priority=-1", "priority", "unfit"),
            (f"{TO}&ttl=0", "ttl", "unfit"),
            (f"{TO}&ttl=nan", "ttl", "unfit"),
            (f"{TO}&ttl=1e400", "ttl", "unfit"),
            (f"{TO}&type={'x' * 65}", "type", "unfit"),
            (f"{TO}&type=a%20b", "type", "unfit"),
            (f"{TO}&type=a&type=b", "type", "unfit"),
            (f"{TO}&wait=soon", "wait", "unfit"),
            (f"{TO}&upload=../x", "upload", "unfit"),
            (f"{TO}&too=x", "too", "unknown-parameter"),
            (f"{TO}&x", "query", "unfit"),
            (f"{TO}&type=%ff", "query", "unfit"),
            ("&".join(f"a{number}=1" for number in range(65)), "query", "unfit"),
        ):
            self.problem(400, code, field, "POST", f"/v1/messages?{query}", b"")
        self.problem(400, "unfit", "type", "POST", f"/v1/messages?{TO}&type=a", b"", Seckex_Type="b")
        self.assertEqual(self.messages.posted, [])

    def test_a_body_where_none_is_wanted(self) -> None:
        self.problem(413, "too-long", "body", "GET", "/v1/services/orders/messages", b"x")

    def test_what_is_no_http(self) -> None:
        for octets in b"\0\0\0\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"a" * 20000 + b"\r\n\r\n":
            wire = self.wire()
            wire.say(octets)
            self.assertTrue(wire.transport.disconnecting)

    def test_a_fault_shows_nothing_of_the_program(self) -> None:
        def broken() -> list[object]:
            raise ValueError("a secret")

        self.patch(self.messages, "shown_dialogs", broken)
        told = self.problem(500, "fault", "", "GET", "/v1/dialogs")
        self.assertNotIn("secret", str(told))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
