"""Both ends' accounts of the same passages, side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.cli.accounting import reconciling
from seckex.passage.faces import Figures, Octets, Party
from tests.cli.accounting.parts import AGENT, AccountingCase
from tests.roles.accounts.parts import ident

#: The same passage as both ends call it.
THERE = Party("example.org", bytes(15) + b"p")
HERE = Party("visited.example", bytes(15) + b"p", "node@example.org", AGENT)


def passage(number: int, who: Party, out: tuple[int, ...], into: tuple[int, ...], **changes: Any) -> Figures:
    """Return figures of a passage that has ended, unless told otherwise."""
    ended: dict[str, Any] = {"ended": 1060.0, "why": "in order"} | changes
    return Figures(ident(number), who, 1000.0 + number, Octets(*out), Octets(*into), **ended)


class ReconcileCase(AccountingCase):
    def setUp(self) -> None:
        super().setUp()
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def both(self, number: int, out: tuple[int, ...], into: tuple[int, ...]) -> None:
        """Have both ends know the same of a passage."""
        self.agent.books.tell(passage(number, THERE, out, into))
        self.home.books.tell(passage(number, HERE, out, into))

    def reconcile(self, code: int, *arguments: str, form: str = "--json") -> str:
        """Export both, and reconcile that."""
        files = [self.folder / f"{len(list(self.folder.iterdir()))}-{end}" for end in ("agent", "home")]
        self.at_agent("export", form, "-o", str(files[0]))
        self.seckex("export", form, "-o", str(files[1]))
        return self.seckex("reconcile", *map(str, files), *arguments, code=code)

    def told(self, code: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Return what is told of each passage, and of all."""
        rows = [json.loads(line) for line in self.reconcile(code, "--json").splitlines()]
        self.assertEqual({row["schema"] for row in rows[:-1]} - {"seckex.reconciled/1"}, set())
        self.assertEqual(rows[-1]["schema"], "seckex.reconciliation/1")
        return rows[:-1], rows[-1]


class ReconcileTests(ReconcileCase):
    def test_what_both_have_alike_is_equal(self) -> None:
        self.both(1, (100, 100, 90), (200, 200, 200))
        self.both(2, (5, 5, 5), (7, 7, 7))
        rows, summary = self.told(0)
        self.assertEqual([row["verdict"] for row in rows], ["equal", "equal"])
        self.assertEqual(rows[0]["outward"], {"agent": 100, "home": 100, "reconciled": 100, "receipted": 90})
        self.assertEqual(rows[0]["node"], "node@example.org")
        self.assertEqual(summary["passages"], {"equal": 2, "differs": 0, "open": 0, "agent-only": 0, "home-only": 0})
        self.assertEqual(summary["inward"], {"agent": 207, "home": 207, "reconciled": 207, "receipted": 207})
        self.assertEqual((summary["agent"], summary["home"]), ("agent@visited.example", "home@example.org"))

    def test_csv_does_as_well(self) -> None:
        self.both(1, (100, 100, 90), (200, 200, 200))
        self.agent.books.tell(passage(2, THERE, (1, 1, 1), (1, 1, 1)))
        self.assertEqual(self.reconcile(1), self.reconcile(1, form="--csv"))

    def test_what_one_end_proved_and_the_other_never_had(self) -> None:
        self.agent.books.tell(passage(1, THERE, (100, 100, 60), (50, 40, 40)))
        self.home.books.tell(passage(1, HERE, (60, 60, 60), (70, 70, 40)))
        [row], summary = self.told(1)
        self.assertEqual(row["verdict"], "differs")
        self.assertEqual(row["outward"], {"agent": 100, "home": 60, "reconciled": 60, "receipted": 60})
        self.assertEqual(row["inward"], {"agent": 40, "home": 70, "reconciled": 40, "receipted": 40})
        self.assertEqual(
            row["lacks"],
            [
                "outward: the home agent has no proofs of 40 octets that the agent says it proved",
                "inward: the agent has no proofs of 30 octets that the home agent says it proved",
            ],
        )
        self.assertEqual(summary["passages"]["differs"], 1)

    def test_an_end_that_was_killed_lacks_what_came_last(self) -> None:
        self.agent.books.tell(passage(1, THERE, (10, 10, 10), (0, 0, 0), ended=None, why=""))
        self.agent.books = self.agent.books.restarted()
        self.home.books.tell(passage(1, HERE, (90, 90, 90), (0, 0, 0)))
        [row], _ = self.told(1)
        self.assertEqual(row["outward"]["reconciled"], 10)
        self.assertEqual(
            row["lacks"],
            [
                "outward: the account of the agent lacks 80 octets that it has proved",
                "the account of the agent was cut short",
            ],
        )

    def test_who_has_acknowledged_more_than_he_says_he_had_is_found_out(self) -> None:
        self.agent.books.tell(passage(1, THERE, (100, 60, 100), (0, 0, 0)))
        self.home.books.tell(passage(1, HERE, (60, 60, 60), (0, 0, 0)))
        [row], _ = self.told(1)
        self.assertEqual(row["verdict"], "differs")
        self.assertEqual(row["lacks"], ["outward: the home agent has acknowledged 40 octets more than its account has"])

    def test_what_is_open_is_no_difference(self) -> None:
        self.agent.books.tell(passage(1, THERE, (100, 100, 100), (0, 0, 0), ended=None, why=""))
        self.home.books.tell(passage(1, HERE, (60, 60, 60), (0, 0, 0), ended=None, why=""))
        [row], summary = self.told(0)
        self.assertEqual((row["verdict"], row["outward"]["reconciled"]), ("open", 60))
        self.assertEqual(row["lacks"][:2], ["still open at the agent", "still open at the home agent"])
        self.assertEqual(summary["passages"]["open"], 1)

    def test_what_one_end_alone_has(self) -> None:
        self.both(1, (1, 1, 1), (1, 1, 1))
        self.agent.books.tell(passage(2, THERE, (5, 5, 5), (0, 0, 0)))
        self.home.books.tell(passage(3, HERE, (7, 7, 7), (0, 0, 0)))
        rows, summary = self.told(1)
        self.assertEqual([row["verdict"] for row in rows], ["equal", "agent-only", "home-only"])
        self.assertEqual(summary["outward"], {"agent": 6, "home": 8, "reconciled": 1, "receipted": 1})

    def test_what_is_with_others_is_left_out(self) -> None:
        self.both(1, (1, 1, 1), (1, 1, 1))
        self.agent.books.tell(passage(2, evolve(THERE, domain="elsewhere.example"), (5, 5, 5), (0, 0, 0)))
        self.home.books.tell(passage(3, evolve(HERE, agent="b@visited.example"), (7, 7, 7), (0, 0, 0)))
        rows, _ = self.told(0)
        self.assertEqual([row["id"] for row in rows], [ident(1).hex()])

    def test_people_see_what_is_amiss_and_the_sums(self) -> None:
        self.both(1, (1000, 1000, 1000), (1, 1, 1))
        self.agent.books.tell(passage(2, THERE, (5, 5, 5), (0, 0, 0)))
        said = self.reconcile(1)
        self.assertIn("agent@visited.example and home@example.org\n", said)
        self.assertIn("passages: 1 equal, 0 differs, 0 open, 1 agent-only, 0 home-only\n", said)
        self.assertIn("agent-only", said.splitlines()[2])
        self.assertNotIn(ident(1).hex(), said)
        self.assertEqual(said.splitlines()[-2].split(), ["outward", "1005", "1000", "1000", "1000"])

    def test_exports_that_will_not_do(self) -> None:
        self.both(1, (1, 1, 1), (1, 1, 1))
        agent, home = self.folder / "agent", self.folder / "home"
        self.at_agent("export", "--json", "-o", str(agent))
        self.seckex("export", "--json", "-o", str(home))
        self.seckex("reconcile", str(home), str(agent), code=1)
        self.seckex("reconcile", str(agent), str(self.folder / "nothing"), code=1)
        two = self.folder / "two"
        two.write_text(agent.read_text() + agent.read_text().replace(AGENT, "b@visited.example"))
        self.seckex("reconcile", str(two), str(home), code=1)
        # The same passage twice, as where exports of several days meet.
        twice = self.folder / "twice"
        early = json.loads(agent.read_text()) | {"ended": None, "as_of": 1010.0}
        twice.write_text(agent.read_text() + json.dumps(early) + "\n")
        self.seckex("reconcile", str(twice), str(home))


COUNTS = st.tuples(*[st.integers(0, 50)] * 3)


class SumTests(SynchronousTestCase):
    @settings(max_examples=80, deadline=None)
    @given(st.lists(st.tuples(COUNTS, COUNTS, COUNTS, COUNTS, st.sampled_from(("both", "agent", "home"))), max_size=6))
    def test_nothing_is_reconciled_that_one_end_does_not_have(self, told: list[tuple[Any, ...]]) -> None:
        def row(number: int, role: str, out: tuple[int, ...], into: tuple[int, ...]) -> dict[str, Any]:
            figures = ("carried", "proved", "acknowledged")
            ways = {"outward": dict(zip(figures, out, strict=True)), "inward": dict(zip(figures, into, strict=True))}
            names = {"id": str(number), "role": role, "node": "", "pseudonym": "", "domain": "h", "agent": "a@a"}
            local = "a@a" if role == "foreign-agent" else "h@h"
            return {**names, "local": local, "began": 1.0, "as_of": 2.0, "ended": 2.0, "whole": True, **ways}

        at_agent = [row(n, "foreign-agent", *t[:2]) for n, t in enumerate(told) if t[4] != "home"]
        at_home = [row(n, "home-agent", *t[2:4]) for n, t in enumerate(told) if t[4] != "agent"]
        ends = reconciling.Ends("a@a", "h@h", {r["id"]: r for r in at_agent}, {r["id"]: r for r in at_home})
        rows = list(ends.reconciled())
        summary = reconciling.summary(ends, rows)
        self.assertEqual(sum(summary["passages"].values()), len(told))
        for way in ("outward", "inward"):
            self.assertEqual(summary[way]["agent"], sum(r[way]["proved"] for r in at_agent))
            self.assertEqual(summary[way]["home"], sum(r[way]["proved"] for r in at_home))
            for each in (*rows, summary):
                told_of = each[way]
                self.assertLessEqual(told_of["receipted"], told_of["reconciled"])
                self.assertLessEqual(told_of["reconciled"], min(told_of["agent"], told_of["home"]))
        for each in rows:
            alike = all(each[way]["agent"] == each[way]["home"] for way in ("outward", "inward"))
            if each["verdict"] == reconciling.EQUAL:
                self.assertTrue(alike)
