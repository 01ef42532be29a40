"""What ``seckex accounting`` shows, sums and exports of what a daemon has kept."""

from __future__ import annotations

import csv
from pathlib import Path

import click
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.cli.accounting import desk
from seckex.cli.accounting.reconciling import SUMS, VERDICTS
from seckex.cli.accounting.written import (
    ACCOUNT_FIELDS,
    ACCOUNT_SCHEMA,
    FIGURES,
    TOTAL_FIELDS,
    TOTAL_SCHEMA,
    csv_lines,
    json_line,
    read_accounts,
)
from seckex.cli.output import Fault
from seckex.net import accounting as at_edge
from seckex.passage.faces import Octets
from tests.cli.accounting.parts import AGENT, AccountingCase
from tests.roles.accounts.parts import AT_AGENT, AT_HOME, figures, ident
from tests.test_docs import DOCS, quoted, rows, section

COMPARED = ("id", "node", "ended", "whole", "why", "outward", "inward")
OTHER = evolve(AT_HOME, node="other@example.org", agent="agent@far.example", domain="far.example")


class ShowTests(AccountingCase):
    def test_without_any_it_says_so(self) -> None:
        self.assertEqual(self.seckex("show"), "home-agent home@example.org: 0 passages\n")
        self.assertEqual(self.seckex("totals"), "home-agent home@example.org: 0 totals\n")
        self.assertEqual(self.seckex("export"), "")

    def test_a_home_agent_tells_of_nodes_and_agents(self) -> None:
        self.home.books.tell(figures(1, 2048, ended=1060.0, why="in order"), figures(2, 10, OTHER))
        head, heads, open_, ended = self.seckex("show").splitlines()
        self.assertEqual(head, "home-agent home@example.org: 2 passages")
        self.assertEqual(heads.split()[:4], ["began", "for", "node", "agent"])
        for word in ("other@example.org", "agent@far.example", "16m 40s", "10 B", "20 B", "open"):
            self.assertIn(word, open_)
        for word in ("node@example.org", "agent@visited.example", "1m 00s", "2.0 KiB", "4.0 KiB", "in order"):
            self.assertIn(word, ended)

    def test_an_agent_tells_of_pseudonyms(self) -> None:
        self.agent.books.tell(figures(1, 10, evolve(AT_AGENT, pseudonym=bytes(range(16))), ended=1060.0))
        _, heads, row = self.at_agent("show").splitlines()
        self.assertEqual(heads.split()[2:4], ["pseudonym", "realm"])
        self.assertEqual(row.split()[4:6], ["00010203", "example.org"])

    def test_the_last_come_first(self) -> None:
        self.patch(at_edge, "MOST_LOOKED_AT", 3)
        self.home.books.tell(*(figures(number, 1, ended=1000.0 + number) for number in range(10)), figures(99))
        shown = [row["id"] for row in self.lines("show", "--last", "6")]
        self.assertEqual(shown, [ident(number).hex() for number in (99, 9, 8, 7, 6, 5)])

    def test_what_to_show_can_be_chosen(self) -> None:
        late = evolve(figures(3, 1, ended=90_001.0), began=90_000.0)
        self.home.books.tell(
            figures(1, 1, ended=1060.0), figures(2, 1, OTHER, ended=1060.0), late, figures(4, 1, OTHER)
        )
        for arguments, expected in (
            (("--node", "node@example.org"), {1, 3}),
            (("--node", "nobody@example.org"), set()),
            (("--domain", "far.example"), {2, 4}),
            (("--agent", "agent@far.example"), {2, 4}),
            (("--pseudonym", AT_HOME.pseudonym.hex().upper()), {1, 2, 3, 4}),
            (("--since", "1970-01-02"), {3}),
            (("--until", "1970-01-02T00:00Z"), {1, 2, 4}),
            (("--since", "1970-01-01T00:16:40", "--until", "1970-01-02T01:00+00:59"), {1, 2, 4}),
            (("--since", "7d"), set()),
        ):
            for name in ("show", "export"):
                found = {int(row["id"], 16) for row in self.lines(name, *arguments)}
                self.assertEqual(found, expected, (name, arguments))

    def test_a_time_that_is_none(self) -> None:
        for text in ("yesterday", "99999999d", "2030-13-01"):
            self.seckex("show", "--since", text, code=2)

    def test_daemons_that_keep_none(self) -> None:
        self.patch(desk, "sockets_of", lambda *_: [Path("kdc.sock")])
        self.seckex("show", code=1)

    def test_what_nobody_there_knows_is_refused_and_not_answered_with_nothing(self) -> None:
        for command in "show", "totals", "export":
            self.seckex(command, "--role", "foreign-agent", code=1)
            self.seckex(command, "--role", "home-agent")
            for chosen in ("--node", "node@example.org"), ("--agent", AGENT):
                self.at_agent(command, *chosen, code=1)
                self.seckex(command, *chosen)
        self.patch(desk, "sockets_of", lambda *_: [Path("home.sock"), Path("agent.sock")])
        self.seckex("show", "--node", "node@example.org")

    def test_what_is_damaged_is_told_and_left_out(self) -> None:
        self.home.books.tell(figures(1, 1, ended=1060.0), figures(2, 1, ended=1060.0))
        key = ("ha.account.aside", bytes(8))
        store = self.home.books.store
        store.records[key] = evolve(store.records[key], octets=b"\x01rubbish")
        self.assertEqual(len(self.lines("show")), 1)


class RequestTests(AccountingCase):
    def test_a_request_that_will_not_do(self) -> None:
        for request in (
            {"what": "finished", "side": "foreign-agent"},
            {"what": "finished"},
            {"what": "everything", "side": "home-agent"},
            {"what": "open", "side": "home-agent", "beyond": "xyz"},
            {"what": "open", "side": "home-agent", "beyond": 5},
            {"what": "open", "side": "home-agent", "node": ["a"]},
            {"what": "open", "side": "home-agent", "node": "a" * 300},
            {"what": "open", "side": "home-agent", "since": "now"},
            {"what": "open", "side": "home-agent", "until": True},
        ):
            with self.assertRaises(click.ClickException):
                desk._asked(Path("home.sock"), request | {"command": "accounting"})


class TotalTests(AccountingCase):
    def test_totals_have_what_is_open_too(self) -> None:
        self.home.books.tell(figures(1, 5, ended=1060.0), figures(2, 7), figures(3, 1, OTHER, ended=1061.0))
        far, near = self.lines("totals")
        self.assertEqual((near["node"], near["domain"], near["pseudonym"]), ("node@example.org", "visited.example", ""))
        self.assertEqual((near["passages"], near["open"], near["outward"]["proved"]), (2, 1, 12))
        self.assertEqual((far["passages"], far["inward"]["carried"], far["last"]), (1, 2, 1061.0))

    def test_by_domain(self) -> None:
        who = evolve(AT_HOME, node="third@example.org")
        self.home.books.tell(figures(1, 5, ended=1060.0), figures(2, 7, who, ended=1060.0))
        [total] = self.lines("totals", "--by-domain")
        self.assertEqual((total["domain"], total["node"], total["passages"]), ("visited.example", "", 2))
        self.assertEqual(total["outward"], {"carried": 12, "proved": 12, "acknowledged": 12})

    def test_with_a_time_or_an_agent_they_are_of_the_records(self) -> None:
        self.home.books.tell(figures(1, 5, ended=1060.0), evolve(figures(2, 7, ended=90_001.0), began=90_000.0))
        [total] = self.lines("totals", "--since", "1970-01-02")
        self.assertEqual((total["passages"], total["outward"]["proved"], total["since"]), (1, 7, 90_000.0))
        [total] = self.lines("totals", "--agent", "agent@visited.example")
        self.assertEqual(total["passages"], 2)

    def test_a_table(self) -> None:
        self.home.books.tell(figures(1, 4096, ended=1060.0))
        _, heads, row = self.seckex("totals").splitlines()
        self.assertTrue(heads.startswith("node"))
        for word in ("node@example.org", "visited.example", "4.0 KiB", "8.0 KiB"):
            self.assertIn(word, row)

    def test_csv(self) -> None:
        self.home.books.tell(figures(1, 5, ended=1060.0))
        heads, row = csv.reader(self.seckex("totals", "--csv").splitlines())
        self.assertEqual(tuple(heads), TOTAL_FIELDS)
        self.assertEqual(row[heads.index("inward_proved")], "10")
        self.seckex("totals", "--csv", "--json", code=2)


class ExportTests(AccountingCase):
    def test_both_forms_say_the_same(self) -> None:
        self.patch(at_edge, "MOST_LOOKED_AT", 2)
        odd = evolve(AT_HOME, node='"q,u\'o"@example.org')
        self.home.books.tell(figures(1, 5, odd, ended=1060.5, why="a\nb, c"), figures(2, 7))
        for number in range(3, 8):
            self.home.books.tell(figures(number, number, ended=1060.0))
        folder = Path(self.mktemp())
        folder.mkdir()
        read = []
        for form in ("--json", "--csv"):
            file = folder / form
            self.seckex("export", form, "-o", str(file))
            self.assertEqual(file.stat().st_mode & 0o777, 0o600)
            read.append([{name: row[name] for name in COMPARED} for row in read_accounts(file)])
            self.seckex("export", form, "-o", str(file), code=1)
        self.assertEqual(read[0], read[1])
        self.assertEqual([row["ended"] for row in read[0]], [1060.5, *[1060.0] * 5, None])
        self.seckex("export", "--csv", "--json", code=2)

    def test_the_fields_are_those_of_the_program(self) -> None:
        self.home.books.tell(figures(1, 5, ended=1060.0))
        [row] = self.lines("export")
        flat = {name for name in ACCOUNT_FIELDS if not name.startswith(("outward_", "inward_"))} | {"outward", "inward"}
        self.assertEqual(set(row), flat)

    def test_one_that_ends_meanwhile_is_told_once(self) -> None:
        self.home.books.tell(figures(1, 5), figures(2, 6))
        page = desk.Desk.page

        def late(self_: desk.Desk, what: str, *more: object, **options: bool) -> object:
            found = page(self_, what, *more, **options)  # type: ignore[arg-type]  # passed on as it came
            if what == "open":
                self.home.books.tell(figures(ending.pop(), 9, ended=1060.0))
            return found

        ending = [2, 1]

        self.patch(desk.Desk, "page", late)
        for arguments, ended in (("export", [1]), ("show", [1])):
            rows = self.lines(arguments)
            self.assertEqual(sorted(row["id"] for row in rows), [ident(1).hex(), ident(2).hex()])
            self.assertEqual([int(row["id"], 16) for row in rows if row["ended"] is not None], ended)

    def test_what_is_no_export(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.home.books.tell(figures(1, 5, ended=1060.0))
        right = self.seckex("export", "--json")
        table = self.seckex("export", "--csv")
        for text in (
            "{}",
            "{",
            right.replace("seckex.account/1", "seckex.account/2"),
            right.replace('"proved": 5', '"proved": -5'),
            right.replace('"proved": 5', '"proved": "5"'),
            right.replace('"began": 1000.0', '"began": NaN'),
            right.replace('"role": "home-agent"', '"role": "kdc"'),
            right.replace('"whole": true', '"whole": 1'),
            table.replace("schema", "scheme"),
            table.replace(",5,", ",five,"),
            table.rsplit(",", 3)[0],
            "\0",
        ):
            file = folder / "x"
            file.write_text(text)
            with self.assertRaises(Fault, msg=text):
                read_accounts(file)
        file.write_bytes(b"{\xff")
        self.assertRaises(Fault, read_accounts, file)
        self.assertRaises(Fault, read_accounts, folder / "missing")

    @settings(max_examples=25, deadline=None)
    @given(st.text(max_size=20), st.integers(0, (1 << 64) - 1), st.none() | st.floats(0, 1e10))
    def test_whatever_stands_in_a_row_is_read_again(self, why: str, octets: int, ended: float | None) -> None:
        each = at_edge.shown_octets(Octets(octets, 0, 1))
        row = {
            **dict.fromkeys(("node", "agent", "domain", "pseudonym", "id"), "x"),
            "schema": "seckex.account/1", "role": "home-agent", "local": "h", "began": 1.5, "as_of": 2.0,
            "ended": ended, "whole": ended is None, "why": why.replace("\0", ""), "outward": each, "inward": each,
        }  # fmt: skip
        file = Path(self.mktemp())
        file.parent.mkdir(parents=True, exist_ok=True)
        for lines in ([json_line(row)], csv_lines([row], ACCOUNT_FIELDS)):
            file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="")
            [read] = read_accounts(file)
            self.assertEqual((read["outward"], read["ended"], read["whole"]), (each, ended, ended is None))
            self.assertEqual(read["why"], row["why"])


class DocumentTests(SynchronousTestCase):
    def test_every_field_and_verdict_is_documented(self) -> None:
        page = DOCS / "operations.md"
        table = rows(page, "Accounting")
        documented = {name for cell, _ in table for name in quoted(cell)}
        fields = {name for name in (*ACCOUNT_FIELDS, *TOTAL_FIELDS) if not name.startswith(("outward_", "inward_"))}
        self.assertEqual(documented, fields | {"outward", "inward"} | set(VERDICTS))
        [figures_] = [what for cell, what in table if quoted(cell) == ["outward", "inward"]]
        self.assertEqual(tuple(quoted(figures_)), FIGURES)
        said = " ".join(section(page, "Accounting"))
        for name in (*SUMS, "lacks", ACCOUNT_SCHEMA, TOTAL_SCHEMA):
            self.assertIn(f"`{name}`", said)
