"""``seckex ping``, against daemons that answer as they are told, and what daemons make of a way."""

from __future__ import annotations

import json

from seckex.net.tracing import hops
from seckex.wire.hop import TracedHop
from seckex.wire.numbers import Security
from tests.cli.test_status import StatusCase

AGENT, AAA, HOME = "agent@visited.example", "aaa@visited.example", "home@home.example"


def hop(sender: str, receiver: str, security: str, seconds: float, whole: float) -> dict[str, object]:
    return {"from": sender, "to": receiver, "security": security, "seconds": seconds, "to_the_end": whole}


WAY = [hop(AGENT, AAA, "tls", 0.001, 0.0015), hop(AAA, HOME, "association", 0.0005, 0.0005)]


class PingTests(StatusCase):
    def ping(self, *arguments: str, **answer: object) -> tuple[int, str, str]:
        whole = {"schema": "seckex.ping/1", "local": AGENT, "peer": HOME, "way": [], "failure": None} | answer
        path = self.daemon(answer=whole)
        result = self.run_command("ping", HOME, "--socket", str(path), *arguments)
        return result.exit_code, result.stdout, result.stderr

    def test_each_hop_with_its_security_and_its_times(self) -> None:
        code, out, _ = self.ping("--count", "1", way=WAY)
        self.assertEqual(code, 0)
        lines = [line.split() for line in out.splitlines()]
        self.assertEqual(lines[1], ["1", AGENT, AAA, "tls", *3 * ["1.00", "ms"]])
        self.assertEqual(lines[2], ["2", AAA, HOME, "association", *3 * ["0.50", "ms"]])
        self.assertEqual(lines[3], ["there", "and", "back", *3 * ["1.50", "ms"]])

    def test_for_programs(self) -> None:
        code, out, _ = self.ping("--count", "2", "--json", way=WAY)
        self.assertEqual((code, [json.loads(line)["way"] for line in out.splitlines()]), (0, [WAY, WAY]))

    def test_no_way(self) -> None:
        failure = {"by": AAA, "code": 270, "label": "unknown-realm", "why": "no route leads there"}
        self.assertEqual(self.ping(failure=failure), (1, "", f"{AAA}: unknown-realm (270), no route leads there\n"))

    def test_what_others_say_moves_no_cursor(self) -> None:
        _, out, _ = self.ping(way=[hop(AGENT, "a\x1b[2Jb", "tls", 0, 0)])
        self.assertIn("a\\x1b[2Jb", out)

    def test_nor_do_reasons(self) -> None:
        _, _, err = self.ping(failure={"by": "\x07", "code": 1, "label": "x", "why": "\x1b"})
        self.assertEqual(err, "\\x07: x (1), \\x1b\n")

    def test_to_ourselves(self) -> None:
        self.assertEqual(self.ping(), (0, f"{HOME} is here\n", ""))

    def test_a_daemon_without_hops(self) -> None:
        path = self.daemon(answer={"schema": "seckex.error/1", "error": "no", "word": "unknown-command"})
        result = self.run_command("ping", HOME, "--socket", str(path))
        self.assertNotEqual(result.exit_code, 0)


class TimeTests(StatusCase):
    def test_each_hop_adds_what_the_next_ones_do_not(self) -> None:
        way = (TracedHop(AGENT, Security.TLS, 900), TracedHop(AAA, Security.ASSOCIATION, 500))
        self.assertEqual(
            hops(HOME, way),
            [hop(AGENT, AAA, "tls", 0.0004, 0.0009), hop(AAA, HOME, "association", 0.0005, 0.0005)],
        )

    def test_others_may_say_what_they_like(self) -> None:
        way = (TracedHop(AGENT, Security.TLS, 100), TracedHop(AAA, Security.TLS, 0xFFFFFFFF))
        self.assertEqual([each["seconds"] for each in hops(HOME, way)], [0, 4294.967295])
