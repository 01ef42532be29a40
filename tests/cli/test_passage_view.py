"""How passages are shown, and that nothing of an answer is relied on."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console
from twisted.trial.unittest import SynchronousTestCase

from seckex.cli.passage_view import failure_lines, passage_tables

OPEN = {"since": 1_790_000_000, "outward": 2048, "outward_proved": 1024, "inward": 10_485_760, "inward_proved": 0}
FAILURE = {
    "agent": "agent@example.net",
    "address": "192.0.2.1:4434",
    "code": 300,
    "why": "refused, code 300",
    "then": "registering anew",
    "at": 1_790_000_000,
}


class PassageViewTests(SynchronousTestCase):
    def shown(self, passages: Any) -> str:
        console = Console(width=200, record=True, file=io.StringIO())
        for each in passage_tables({"passages": passages}, boxed=False):
            console.print(each)
        return console.export_text()

    def test_at_a_node_at_an_agent_and_at_a_home_agent(self) -> None:
        for named, whose in (
            ({"peer": "home@example.org", "agent": "agent@example.net"}, "home@example.org"),
            ({"pseudonym": "00ff", "domain": "example.org", "address": "192.0.2.7"}, "00ff of example.org"),
            ({"node": "node@example.org", "agent": "agent@example.net"}, "node@example.org"),
        ):
            text = self.shown({"open": [{"passage": "abcd", **named, **OPEN}], "failure": None})
            for word in ("passages: 1", "abcd", whose, "2.0 KiB", "10.0 MiB", "1.0 KiB + 0 B"):
                self.assertIn(word, text)

    def test_why_there_is_none(self) -> None:
        (line,) = failure_lines({"failure": FAILURE})
        self.assertIn("not through agent@example.net at 192.0.2.1:4434: refused, code 300; registering anew", line)

    def test_nothing_of_an_answer_is_relied_on(self) -> None:
        strange: list[Any] = [
            None,
            [],
            {},
            {"open": 7},
            {"open": [None, 3, {}]},
            {"open": [{"since": "x"}], "failure": 1},
        ]
        for passages in strange:
            self.shown(passages)
