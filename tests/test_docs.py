"""The documents against the program: what they list is what there is, and what they point at exists.

Tables are read as tables. Words that have no place in a product are looked for in
sources as well.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path
from typing import Any, Final

import attrs
import click
from twisted.trial.unittest import SynchronousTestCase

from seckex import events
from seckex.cli.counters import MEANINGS
from seckex.cli.demo import demo
from seckex.cli.main import main
from seckex.cli.output import ExitCode
from seckex.config.hops import HopSettings
from seckex.config.key0 import Key0
from seckex.config.structure import file_key
from seckex.dialog.faces import Cause
from seckex.net import forwards
from seckex.net.log import EventLog
from seckex.net.principal import Clock
from seckex.net.status import StatusReport
from seckex.net.usage import Traffic
from seckex.wire import numbers
from seckex.wire.advertisement import SOLICITATION_SIZE
from seckex.wire.keying import MAX_ENTRIES
from seckex.wire.mobileip.reply import AGENT_ANSWER_SIZE
from seckex.wire.numbers import Code
from seckex.wire.shares import SIZES
from tests import transitions_of_docs
from tests.conversation import AES, ConversationCase
from tests.settings_of_docs import ROLES, settings

ROOT: Final = Path(__file__).parent.parent
README: Final = ROOT / "README.md"
DOCS: Final = ROOT / "docs"
DOCUMENTS: Final = (README, *sorted(DOCS.glob("*.md")))

MESSAGES: Final = (
    *("services", "connections", "outbox_octets", "inbox_octets", "spool_octets", "dead", "prekeys", "trouble"),
)
MASTER_KEY: Final = (
    *("schema", "key", "former", "exchanging", "rewrapped", "unreadable", "part", "passes", "trouble", "ended"),
)

FOLDERS: Final = ("seckex", "tests", "benchmarks", "twisted_plugins", "conf", "contrib")

#: What is part of the product, documents included.
PRODUCT: Final = (
    *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*")),
    *DOCUMENTS,
    *(ROOT / name for name in ("Makefile", "setup.cfg", "pyproject.toml", ".ci/run")),
)

#: Written so that no pattern finds itself here.
MISPLACED: Final = (
    r"/[w]ork/|/tmp/[d]ocs",
    r"(?i)\b[s]ub-?agents?\b|\b[c]laude\b|\b[a]nthropic\b|\b[o]penai\b|\b[c]hat-?gpt\b|\b[c]opilot\b",
    r"\b[A]I\b|\b[L]LMs?\b|(?i:\b[l]anguage model)",
    r"(?i)[p]ypi\b|[p]ythonhosted|[a]rtifactory|\bindex-[u]rl\b",
    r"(?i)\b[i]ssue #?\d|(?:^|\s)#\d{2,}\b|\(#\d+\)",
    r"\b(?:ARCHITECTURE|PROTOCOL|MISSION|VERIFICATION|BRIEF)\.[m]d\b",
    r"\b(?:[T]ODO|[F]IXME|[X]XX)\b",
)
#: A session key is a term of the protocol, a session is none of the product's.
MISPLACED_IN_DOCUMENTS: Final = (*MISPLACED, r"(?i)\bsessions?\b(?! key)")


def prose(path: Path) -> Iterator[str]:
    """Yield the lines of a document that are not in blocks of code."""
    code = False
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            code = not code
        elif not code:
            yield line


def cells(line: str) -> list[str]:
    """Return the cells of a row of a table."""
    return [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]


def section(path: Path, title: str) -> list[str]:
    """Return the lines of prose under a heading, down to the next of its level."""
    lines = list(prose(path))
    start = lines.index(f"## {title}")
    end = next((at for at in range(start + 1, len(lines)) if lines[at].startswith("## ")), len(lines))
    return lines[start + 1 : end]


def rows(path: Path, title: str) -> list[list[str]]:
    """Return the rows of the tables under a heading, without those that head them."""
    table = [cells(line) for line in section(path, title) if line.startswith("|")]
    heads = {at - 1 for at, row in enumerate(table) if all(re.fullmatch("-+", cell) for cell in row)}
    return [row for at, row in enumerate(table) if at not in heads and at - 1 not in heads]


def quoted(cell: str) -> list[str]:
    """Return what stands in backticks in a cell."""
    return re.findall(r"`([^`]+)`", cell)


def slug(heading: str) -> str:
    """Return the anchor that a heading gets."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


class LinkTests(SynchronousTestCase):
    def test_every_link_inside_leads_somewhere(self) -> None:
        for document in DOCUMENTS:
            for target in re.findall(r"\]\(([^)\s]+)\)", "\n".join(prose(document))):
                if re.match(r"https?://", target):
                    continue
                name, _, anchor = target.partition("#")
                path = (document.parent / name).resolve() if name else document
                self.assertTrue(path.exists(), f"{document.name}: {target}")
                if anchor:
                    headings = [line.lstrip("# ") for line in prose(path) if line.startswith("#")]
                    self.assertIn(anchor, list(map(slug, headings)), f"{document.name}: {target}")

    def test_every_document_is_found_from_the_readme(self) -> None:
        text = README.read_text(encoding="utf-8")
        for document in DOCUMENTS[1:]:
            self.assertIn(f"(docs/{document.name})", text)

    def test_every_section_is_in_its_documents_contents(self) -> None:
        for document in DOCUMENTS[1:]:
            text = document.read_text(encoding="utf-8")
            for line in prose(document):
                if line.startswith("## ") and "\n- [" in text.partition("\n## ")[0]:
                    self.assertIn(f"](#{slug(line[3:])})", text, f"{document.name}: {line}")

    def test_files_and_names_exist(self) -> None:
        for document in DOCUMENTS:
            for name in quoted("\n".join(prose(document))):
                if re.fullmatch(r"[a-z_]+/[a-z_0-9]+\.py", name):
                    self.assertTrue((ROOT / name).exists() or (ROOT / "seckex" / name).exists(), name)
                elif re.fullmatch(r"(tests|seckex)(\.\w+)+", name) and not name.startswith("seckex.db"):
                    self.assertTrue(resolved(name) is not None, f"{document.name}: {name}")


def resolved(name: str) -> Any:
    """Return what a dotted name stands for, None for nothing."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[cut:]:
            found = getattr(found, attribute, None)
        return found
    return None


class TableTests(SynchronousTestCase):
    def test_every_row_has_as_many_cells_as_its_head(self) -> None:
        for document in DOCUMENTS:
            width = 0
            for line in prose(document):
                if not line.startswith("|"):
                    width = 0
                    continue
                self.assertTrue(line.endswith("|"), f"{document.name}: {line}")
                width = width or len(cells(line))
                self.assertEqual(len(cells(line)), width, f"{document.name}: {line}")


class WordTests(SynchronousTestCase):
    def search(self, path: Path, patterns: tuple[str, ...]) -> None:
        text = path.read_text(encoding="utf-8")
        for pattern in patterns:
            found = re.search(pattern, text, re.MULTILINE)
            self.assertIsNone(found, f"{path.relative_to(ROOT)}: {found and found[0]!r}")

    def test_nothing_speaks_of_what_is_not_the_products(self) -> None:
        for path in PRODUCT:
            if path.is_file() and not {"__pycache__", "corpus"} & {*path.parts}:
                self.search(path, MISPLACED_IN_DOCUMENTS if path in DOCUMENTS else MISPLACED)

    def test_the_search_can_fail(self) -> None:
        for parts in (
            ("issue", " 12"),
            ("/wo", "rk/x"),
            ("sub", "agent"),
            ("A", "I"),
            ("TO", "DO"),
            ("one ses", "sion"),
        ):
            found = [pattern for pattern in MISPLACED_IN_DOCUMENTS if re.search(pattern, "".join(parts), re.MULTILINE)]
            self.assertTrue(found, parts)


class SettingTests(SynchronousTestCase):
    BOTH, HOPS, OWN = "Settings of both roles", "Settings of hops", "Settings of {}"
    KDC = "Settings of key distribution centers"
    AGENTS = "Settings of foreign agents"
    MESSAGES = "Settings of messages"

    def documented(self, title: str) -> dict[str, tuple[str, str]]:
        table = rows(DOCS / "configuration.md", title)
        for path, _, _, what in table:
            self.assertTrue(what, path)
        return {quoted(path)[0]: (default, allowed) for path, default, allowed, _ in table}

    def test_every_setting_is_documented_with_its_default_and_limits(self) -> None:
        both = self.documented(self.BOTH)
        for cls in ROLES:
            article = "an" if cls.role[0] in "aeiou" else "a"
            of_hops = self.documented(self.HOPS) if issubclass(cls, HopSettings) else {}
            of_kdc = self.documented(self.KDC) if "kdc" in attrs.fields_dict(cls) else {}
            of_agents = self.documented(self.AGENTS) if "foreign_agent" in attrs.fields_dict(cls) else {}
            of_messages = self.documented(self.MESSAGES) if "messages" in attrs.fields_dict(cls) else {}
            documented = both | of_hops | of_kdc | of_agents | of_messages
            documented |= self.documented(self.OWN.format(f"{article} {cls.role}"))
            expected = {one.path: (one.default, one.allowed) for one in settings(cls)}
            self.assertEqual(documented, expected)

    def test_roles_and_key_files(self) -> None:
        text = (DOCS / "configuration.md").read_text(encoding="utf-8")
        for cls in ROLES:
            self.assertIn(f'`role = "{cls.role}"`', text)
        for field in attrs.fields(Key0):
            self.assertIn(f"\n{file_key(field.name)} = ", text)


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    """Yield a command and those within, with their full names."""
    if path == "seckex demo":
        command = demo
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from commands(inner, f"{path} {name}")


class CommandTests(SynchronousTestCase):
    def test_every_command_and_option_is_documented(self) -> None:
        documented: dict[str, set[str]] = {}
        current = ""
        for name, option, _ in rows(DOCS / "operations.md", "The seckex command"):
            current = (quoted(name) or [current])[0]
            documented.setdefault(current, set()).update(quoted(option))
        for path, command in commands(main, "seckex"):
            options = {name for each in command.params for name in each.opts if name.startswith("-")}
            if path == "seckex":
                options |= {"--help"}
            if options - {"--help"} or not isinstance(command, click.Group):
                self.assertEqual(documented.pop(path), options, path)
        self.assertEqual(documented, {})


class ExitCodeTests(SynchronousTestCase):
    def test_every_exit_code_is_documented(self) -> None:
        documented = [int(code) for code, _ in rows(DOCS / "operations.md", "Exit codes")]
        self.assertEqual(documented, [int(code) for code in ExitCode])


class CounterTests(SynchronousTestCase):
    def test_the_commands_list_of_counters_is_that_of_the_document(self) -> None:
        causes = {f"links.{cause.name.lower().replace('_', '-')}" for cause in Cause}
        documented = causes | {f"dropped.{cause}" for cause in dropped_causes()}
        for cell, _ in rows(DOCS / "operations.md", "Counters"):
            documented |= {name for name in quoted(cell) if not name.endswith(".CAUSE")}
        self.assertEqual(set(MEANINGS), documented)
        self.assertNotIn("", MEANINGS.values())


def dropped_causes() -> set[str]:
    """Return the causes for which nodes drop messages, and how those at the edge count theirs."""
    causes = set()
    for room in ("node", "net", "net/passages", "net/delivery"):
        for path in (ROOT / "seckex" / room).glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("note", "ration", "may_report"):
                    first = node.args[0]
                    if isinstance(first, ast.Constant):
                        causes.add(str(first.value))
    return causes


class CodeTests(SynchronousTestCase):
    def codes(self, document: str, title: str) -> list[tuple[str, str]]:
        return [(number, name) for number, name, *_ in rows(DOCS / document, title)]

    def test_every_code_is_in_one_of_the_protocols_and_in_the_operators_table(self) -> None:
        expected = sorted((str(int(code)), code.label) for code in Code)
        specified = [*self.codes("protocol.md", "11 Codes"), *self.codes("registration.md", "14 Codes")]
        self.assertEqual(sorted(specified), expected)
        self.assertEqual(sorted(self.codes("operations.md", "Refusals and what to do")), expected)

    def test_kinds_and_extensions_of_registration_are_those_of_the_program(self) -> None:
        for enum, title, first in (
            (numbers.ExtensionSub, "3 Extensions", numbers.ExtensionSub.REGISTRATION),
            (numbers.Kind, "11 Hops", numbers.Kind.RELAY),
        ):
            documented = {
                int(number): name.partition(",")[0].upper().replace(" ", "_")
                for number, name, _ in rows(DOCS / "registration.md", title)
            }
            self.assertEqual(documented, {int(one): one.name for one in enum if one >= first})

    def test_sizes_of_registration_are_those_of_the_program(self) -> None:
        text = (DOCS / "registration.md").read_text(encoding="utf-8")
        classic, hybrid = SIZES[numbers.Kem.X25519], SIZES[numbers.Kem.X25519_ML_KEM_768]
        for said in (
            f"exactly **{classic.request:,}** octets with the KEM X25519, and **{hybrid.request:,}** with the hybrid",
            f"public key {classic.public}, ciphertext {classic.ciphertext}, secret 32",
            f"public key {hybrid.public:,}, ciphertext {hybrid.ciphertext:,}, secret 32",
            f"zero-filled to {classic.answer} octets ({hybrid.answer:,} with Kem 2)",
            f"`sealed`, {classic.answer + 16} octets with Kem 1, {hybrid.answer + 16:,} with Kem 2",
            f"eF holds, zero-filled to {AGENT_ANSWER_SIZE} octets",
            f"eF (sealed, {AGENT_ANSWER_SIZE + 16})",
            f"padded to {SOLICITATION_SIZE} octets",
            f"each behind its length in 16 bits, 16 to {numbers.MAX_HOP_MESSAGE:,}",
            f"The node's is at most {numbers.MAX_NODE_NAI} octets",
            f"0 (deregister), {', '.join(map(str, numbers.LIFETIMES[1:]))};",
            f"hops left ({numbers.MOST_HOPS} at most)",
            f"Most 16 (1 to {MAX_ENTRIES})",
            f"Vendor 32 = {numbers.ENTERPRISE} ",
        ):
            self.assertIn(said, text)

    def test_limits_of_the_wire_are_those_of_the_protocol(self) -> None:
        text = " ".join(section(DOCS / "protocol.md", "12 Limits"))
        for name in (
            "MESSAGE",
            "EXTENSIONS",
            "PAYLOADS",
            "ATTRIBUTES",
            "TRANSFORMS",
            "NAI",
            "DETAIL",
            "SERVICE",
            "BODY",
        ):
            self.assertIn(f" {getattr(numbers, f'MAX_{name}'):,}", text)
        self.assertIn(f"at least {numbers.REQUEST_SIZE} octets", text)


class EventTests(SynchronousTestCase):
    def test_every_event_is_documented_with_its_level_and_fields(self) -> None:
        documented = {
            quoted(name)[0]: (level, quoted(fields))
            for name, level, fields, _ in (
                row for row in rows(DOCS / "operations.md", "Logs and events") if len(row) == 4
            )
        }
        parts = (f"seckex.events.{each.name}" for each in pkgutil.iter_modules(events.__path__))
        modules = (events, *map(importlib.import_module, parts))
        classes = [
            cls
            for module in modules
            for cls in vars(module).values()
            if isinstance(cls, type) and issubclass(cls, events.Event)
        ]
        expected = {
            cls.__name__: (cls.level, [field.name for field in attrs.fields(cls)])
            for cls in classes
            if cls is not events.Event
        }
        self.assertEqual(documented, expected)

    def test_every_cause_of_silence_is_documented(self) -> None:
        table = rows(DOCS / "operations.md", "Silence, time-outs and lost links")
        documented = {name for cell, *_ in table for name in quoted(cell)}
        causes = {cause.name.lower().replace("_", "-") for cause in Cause} | dropped_causes()
        self.assertGreater(len(causes), len(Cause))
        self.assertEqual(causes - documented, set())


class StatusTests(ConversationCase):
    def test_every_field_of_the_status_is_documented(self) -> None:
        node, home = self.pair(AES)
        self.established(node, home)
        log = EventLog("info", lambda: 0.0)
        log.report(events.NegotiationFailed("home@example.org", "no answer", ("a cause",)))
        traffic = Traffic(node.node.associations)
        told = {
            "forwards": [{field.name: "" for field in attrs.fields(forwards.Forward)} | {"connections": 0}],
            "services": [{"name": "", "connect": "", "dialogs": 0}],
            "passages": {"open": [], "failure": None},
            "roles": {},
            "messages": dict.fromkeys(MESSAGES, ""),
            "hops": [dict.fromkeys(("nai", "security", "state", "accepted", "why"), "")],
            "master_key": dict.fromkeys(MASTER_KEY, ""),
        }
        report = StatusReport(
            role="initiator",
            worker=0,
            node=node.node,
            traffic=traffic,
            log=log,
            clock=Clock(lambda: 0.0, lambda: 0.0),
            listening=lambda: ["somewhere"],
            extras=lambda: told,
            counters=lambda: {"forwards.refused": 0, "links.refused": 0, "links.dropped": 0},
        )
        answer = report.answer({})
        documented = {quoted(name)[0]: what for name, what in rows(DOCS / "operations.md", "Status")}
        self.assertEqual({name for name in documented if "." not in name}, set(answer))
        for name, value in answer.items():
            inner = value[0] if isinstance(value, list) else value
            if isinstance(inner, dict) and name != "counters":
                self.assertEqual(set(inner) - set(quoted(documented[name])), set(), name)
        counted = {name for cell, _ in rows(DOCS / "operations.md", "Counters") for name in quoted(cell)}
        self.assertEqual(set(answer["counters"]) - counted, set())


class DiagramTests(SynchronousTestCase):
    def test_the_diagrams_are_drawn_from_the_tables_of_transitions(self) -> None:
        text = transitions_of_docs.FILE.read_text(encoding="utf-8")
        self.assertEqual(
            transitions_of_docs.written(text), text, "python -m tests.transitions_of_docs writes them anew"
        )


class ConstantTests(SynchronousTestCase):
    def test_limits_are_those_of_the_program(self) -> None:
        table = rows(DOCS / "architecture.md", "Tables and their limits")
        self.assertGreater(len(table), 20)
        for name, value, _ in table:
            self.assertEqual(resolved(quoted(name)[0]), float(value), name)

    def test_every_label_is_listed_among_the_keys(self) -> None:
        text = "\n".join(prose(DOCS / "security.md"))
        labels = set()
        for path in (ROOT / "seckex").rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if (
                    isinstance(node, ast.Constant)
                    and isinstance(node.value, bytes)
                    and node.value.startswith(b"seckex1 ")
                ):
                    labels.add(node.value.decode().strip())
        self.assertGreater(len(labels), 20)
        for label in labels - {"seckex1"}:
            self.assertIn(f"`{label}`", text)


class DependencyTests(SynchronousTestCase):
    def test_every_dependency_is_documented(self) -> None:
        parser = ConfigParser()
        parser.read(ROOT / "setup.cfg", encoding="utf-8")
        for title, option in (
            ("To run", parser["options"]["install_requires"]),
            ("To test", parser["options.extras_require"]["test"]),
            ("To fuzz", parser["options.extras_require"]["fuzz"]),
            (
                "For what stands beside",
                "\n".join(parser["options.extras_require"][name] for name in ("bench", "strongswan")),
            ),
            ("To check", parser["options.extras_require"]["lint"]),
        ):
            wanted = {re.split(r"[\[>=<]", line)[0] for line in option.split()}
            documented = {name for name, *_ in rows(DOCS / "dependencies.md", title)}
            self.assertEqual(documented, wanted, title)
